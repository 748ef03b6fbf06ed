#!/usr/bin/python3
"""Addresses held by lease: three daemons on a segment, a client that asks the address each 5 ms, and a
recorder of who has it, while links are cut and planes are killed and stopped beneath it."""
# timeout: 300

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from daemon_lib import Daemon  # noqa: E402
from nines_test import NINES, Skip, main, test  # noqa: E402

ADDRESS = "10.9.0.100"
KEEPALIVED_PROGRAM = "/usr/sbin/keepalived"
NODES = (1, 2, 3)

KEEPALIVED = """
vrrp_instance internal {{
    state BACKUP
    interface eth0
    virtual_router_id 51
    priority {priority}
    virtual_ipaddress {{
        {address}/32 dev eth0
    }}
    virtual_routes {{
        10.90.0.0/16 via 10.9.0.254 dev eth0
    }}
}}
"""

# Answers from the address with the host's name; bound before the address is there.
ECHO = """
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("10.9.0.100", 7777))
name = socket.gethostname().encode()
while True:
    data, peer = s.recvfrom(100)
    try: s.sendto(data + b" " + name, peer)
    except OSError: pass  # the address has just gone
"""

CLIENT = """
import select, socket, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setblocking(False)
next_at = time.monotonic()
while True:
    now = time.monotonic()
    if now >= next_at:
        try: s.sendto(b"%.6f" % now, ("10.9.0.100", 7777))
        except OSError: pass
        next_at += 0.005
    if select.select([s], [], [], max(0, next_at - time.monotonic()))[0]:
        try: data = s.recv(200)
        except OSError: continue
        sent, name = data.split()
        print("answer", sent.decode(), time.monotonic(), name.decode(), flush=True)
"""


class Node(Daemon):
    def __init__(self, cluster, number):
        scope = cluster.scope
        self.scope, self.number, self.name = scope, number, f"node{number}"
        self.switch, self.daemon = cluster.switch, None
        self.folder = scope.path(self.name)
        os.makedirs(self.folder)
        shutil.copy(cluster.key, os.path.join(self.folder, "cluster.key"))  # with its mode
        self.control = os.path.join(self.folder, "control.sock")
        self.config = os.path.join(self.folder, "nines.yaml")
        with open(os.path.join(self.folder, "keepalived.conf"), "w", encoding="utf-8") as file:
            file.write(KEEPALIVED.format(priority=255 - number, address=ADDRESS))
        witness = cluster.witness
        with open(self.config, "w", encoding="utf-8") as file:
            if number != witness:
                file.write("keepalived: keepalived.conf\n")
            file.write(f"control: {self.control}\n"
                       f"cluster:\n  key: cluster.key\n  state: {self.folder}/state\n"
                       f"{cluster.options}  self: {self.name}\n  nodes:\n")
            for each in NODES:
                more = ", witness: true" if each == witness else ""
                file.write(f"    node{each}: {{id: {each}, addresses: [10.9.0.{each}]{more}}}\n")
        self.power_on()

    def power_on(self):
        """The host, with the disk that it had and an empty /run."""
        port = f"port{self.number}"
        self.host = self.scope.namespace(self.name)
        self.host.link(self.switch, "eth0", port)
        self.switch.ip("link", "set", port, "master", "br0")
        self.host.ip("addr", "add", f"10.9.0.{self.number}/24", "dev", "eth0")
        self.host.run(["sh", "-c", "mount -t tmpfs tmpfs /run && "
                                   "echo 1 > /proc/sys/net/ipv4/ip_nonlocal_bind"])
        self.echo = self.host.start([sys.executable, "-c", ECHO], name=f"echo-{self.name}")

    def power_off(self):
        """Its processes and its kernel: the namespace, its addresses and its guard."""
        pids = [self.daemon.pid, self.owner(), self.echo.pid, self.host.holder.pid]
        for number in (signal.SIGSTOP, signal.SIGKILL):
            for pid in pids:
                os.kill(pid, number)
        for process in (self.daemon, self.echo, self.host.holder):
            process.wait(timeout=10)
        self.scope.wait_until(
            lambda: f"port{self.number}" not in self.switch.ip("-o", "link"), what="no host")

    def init(self):
        self.host.run([NINES, "cluster", "init", self.config])

    def nines(self, *arguments):
        return subprocess.run([NINES, *arguments, "--control", self.control], capture_output=True,
                              text=True, timeout=30, check=False)

    def ask(self, request):
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as control:
            control.settimeout(5)
            control.connect(self.control)
            control.sendall(request.encode() + b"\n")
            reply = b""
            while part := control.recv(65536):
                reply += part
        return json.loads(reply)

    def owner(self):
        return next(each for each in self.status()["planes"] if each["name"] == "owner")["pid"]

    def has_address(self):
        return f"inet {ADDRESS}/" in self.host.ip("-4", "addr", "show", "dev", "eth0")

    def has_route(self):
        return "10.90.0.0/16 via 10.9.0.254" in self.host.ip("-4", "route", "show")


class Cluster:
    def __init__(self, scope, options="", witness=None):
        """witness: the number of a node that votes and holds nothing."""
        self.witness = witness
        if os.geteuid() != 0:
            raise Skip("namespaces with raw sockets need root's rights")
        self.scope, self.options = scope, options
        self.key = scope.path("cluster.key")
        scope.run([NINES, "cluster", "keygen", self.key])
        self.switch = scope.namespace("switch")
        self.switch.ip("link", "add", "br0", "type", "bridge")
        self.switch.ip("link", "set", "br0", "up")
        self.nodes = {number: Node(self, number) for number in NODES}
        self.client_host = scope.namespace("client")
        self.client_host.link(self.switch, "eth0", "port-client")
        self.switch.ip("link", "set", "port-client", "master", "br0")
        self.client_host.ip("addr", "add", "10.9.0.200/24", "dev", "eth0")
        self.client = None

    def start(self):
        for node in self.nodes.values():
            node.init()
            node.start()
        self.client = self.client_host.start([sys.executable, "-c", CLIENT], name="client")
        self.scope.wait_until(lambda: len(self.answers()) > 50, what="the client's first answers")
        return self

    def answers(self):
        """(sent, heard, who) of all answers."""
        text = self.client.log()
        rows = [line.split() for line in text[:text.rfind("\n") + 1].splitlines()]
        return [(float(row[1]), float(row[2]), row[3]) for row in rows if row[0] == "answer"]

    def holder(self):
        """The node that answers now."""
        last = self.answers()[-1]
        assert time.monotonic() - last[1] < 2, "nobody answers"
        return self.nodes[int(last[2][-1])]

    def cut(self, node, state="down"):
        self.switch.ip("link", "set", f"port{node.number}", state)

    def isolate(self, node):
        """From everybody, while its own link runs."""
        self.switch.ip("link", "set", f"port{node.number}", "nomaster")

    def rejoin(self, node):
        self.switch.ip("link", "set", f"port{node.number}", "master", "br0")

    def wait_for_other(self, node, since, timeout=10):
        def answered():
            return any(sent > since and who != node.name for sent, _, who in self.answers())
        self.scope.wait_until(answered, timeout, f"another than {node.name} to answer")

    def outage(self, since):
        """The longest time without an answer, from shortly before `since` on, in seconds."""
        heard = sorted(at for _, at, _ in self.answers() if at > since - 0.2)
        return max(b - a for a, b in zip(heard, heard[1:]))

    def wait_for_answers(self, since, count=100):
        self.scope.wait_until(
            lambda: sum(1 for sent, _, _ in self.answers() if sent > since) >= count, 10,
            "answers")

    def never_two_answer(self):
        """Answers of one node are not mixed with those of another: who answered changes, and does
        not change back within a lease's term."""
        changes = []
        for sent, _, who in sorted(self.answers()):
            if not changes or changes[-1][1] != who:
                changes.append((sent, who))
        for (first, _), (second, _) in zip(changes, changes[1:]):
            assert second - first > 0.05, changes


@test
def a_holder_that_is_cut_off_is_followed_and_does_not_come_back_as_one(scope):
    cluster = Cluster(scope).start()
    first = cluster.holder()
    assert [node for node in cluster.nodes.values() if node.has_route()] == [first]
    first.host.ip("route", "del", "10.90.0.0/16")
    scope.wait_until(first.has_route, what="the route's return")
    cluster.cut(first)
    at = time.monotonic()
    cluster.wait_for_other(first, at)
    # It gave its address up by itself, and nobody could ask it to.
    scope.wait_until(lambda: not first.has_address(), 3, "the one behind the cut to let go")
    scope.wait_until(lambda: not first.has_route(), 1, "its route to go")
    cluster.wait_for_answers(at)
    print(f"   # outage {cluster.outage(at) * 1000:.0f} ms")
    assert cluster.outage(at) < 2
    second = cluster.holder()
    cluster.cut(first, "up")
    healed = time.monotonic()
    cluster.wait_for_answers(healed + 1)
    assert cluster.holder() is second and cluster.outage(healed) < 1
    assert [node for node in cluster.nodes.values() if node.has_route()] == [second]
    cluster.never_two_answer()


@test
def a_lost_answer_to_who_takes_over_costs_no_second(scope):
    cluster = Cluster(scope).start()
    first = cluster.holder()
    others = [node for node in cluster.nodes.values() if node is not first]
    for node in others:
        # The client says where it is, and the first time it is not heard. Linux asks again after a second.
        node.host.run(["sh", "-c", "ip neigh flush to 10.9.0.200 dev eth0 && nft '"
                       "table arp loss { chain input { type filter hook input priority 0; "
                       "arp operation reply arp saddr ip 10.9.0.200 limit rate 1/hour burst 1 packets counter drop; "
                       "}; }'"])
    cluster.cut(first)
    at = time.monotonic()
    cluster.wait_for_other(first, at)
    cluster.wait_for_answers(at)
    print(f"   # outage {cluster.outage(at) * 1000:.0f} ms")
    second = cluster.holder()
    assert "counter packets 1 " in second.host.run(["nft", "list", "table", "arp", "loss"]).stdout
    assert cluster.outage(at) < 1


@test
def a_minority_holds_nothing(scope):
    cluster = Cluster(scope).start()
    last = cluster.holder()
    others = [node for node in cluster.nodes.values() if node is not last]
    for node in others:
        cluster.cut(node)
    scope.wait_until(lambda: not last.has_address(), 5, "the last one to let go")
    time_without = time.monotonic()
    assert not any(node.has_address() for node in cluster.nodes.values())
    assert last.status()["instances"][0]["state"] == "BACKUP"
    for node in others:
        cluster.cut(node, "up")
    scope.wait_until(lambda: any(sent > time_without for sent, _, _ in cluster.answers()), 10,
                     "an owner once there is a majority")
    cluster.never_two_answer()


@test
def a_killed_owner_is_back_under_a_higher_epoch(scope):
    cluster = Cluster(scope).start()
    node = cluster.holder()
    epoch = node.status()["instances"][0]["epoch"]
    assert epoch > 0
    os.kill(node.owner(), signal.SIGKILL)
    at = time.monotonic()
    cluster.wait_for_answers(at + 0.5)
    print(f"   # outage {cluster.outage(at) * 1000:.0f} ms")
    assert cluster.outage(at) < 2
    assert cluster.holder().status()["instances"][0]["epoch"] > epoch
    cluster.never_two_answer()


@test
def a_storm_of_restarts_never_makes_two_holders(scope):
    cluster = Cluster(scope).start()
    epoch = cluster.holder().status()["instances"][0]["epoch"]
    for number in (1, 2, 3, 1, 2, 1, 3, 1):
        # The next death comes as soon as the supervisor has a new owner, whatever that one holds.
        node, old = cluster.nodes[number], cluster.nodes[number].owner()
        os.kill(old, signal.SIGKILL)
        scope.wait_until(lambda: node.owner() not in (0, old), 20, f"a new owner on {node.name}")
    at = time.monotonic()
    cluster.wait_for_answers(at)
    assert cluster.holder().status()["instances"][0]["epoch"] >= epoch
    cluster.never_two_answer()


@test
def a_stopped_owner_is_silent_when_its_term_is_over(scope):
    cluster = Cluster(scope).start()
    node = cluster.holder()
    os.kill(node.owner(), signal.SIGSTOP)
    at = time.monotonic()
    cluster.wait_for_other(node, at)
    # Its kernel answered no longer, though the address was still there and nobody acted.
    cluster.wait_for_answers(at + 0.5)
    print(f"   # outage {cluster.outage(at) * 1000:.0f} ms")
    assert cluster.outage(at) < 2
    cluster.never_two_answer()


@test
def a_killed_daemon_is_followed(scope):
    cluster = Cluster(scope).start()
    node = cluster.holder()
    pids = [node.daemon.pid, node.owner()]
    for number in (signal.SIGSTOP, signal.SIGKILL):
        for pid in pids:
            os.kill(pid, number)
    at = time.monotonic()
    cluster.wait_for_other(node, at)
    cluster.wait_for_answers(at + 0.5)
    print(f"   # outage {cluster.outage(at) * 1000:.0f} ms")
    assert cluster.outage(at) < 2
    node.start()  # and is a voter again, with the promises it gave
    cluster.never_two_answer()


@test
def a_planned_stop_hands_over_in_a_round_trip(scope):
    cluster = Cluster(scope).start()
    node = cluster.holder()
    node.daemon.signal(signal.SIGTERM)
    at = time.monotonic()
    assert node.daemon.wait(timeout=10) == 0
    cluster.wait_for_other(node, at)
    cluster.wait_for_answers(at + 0.2)
    print(f"   # outage {cluster.outage(at) * 1000:.0f} ms")
    assert cluster.outage(at) < 1
    assert not node.has_address()
    cluster.never_two_answer()


@test
def the_status_asks_the_owner_and_does_without_it(scope):
    cluster = Cluster(scope).start()
    node = cluster.holder()
    status = node.status()
    assert status["cluster"]["voters"] == {
        "generation": 1, "nodes": [f"node{each}" for each in NODES]}, status["cluster"]
    assert status["cluster"]["voting"] is True
    assert next(each for each in status["planes"] if each["name"] == "owner")["scheduling"]
    assert isinstance(status["cluster"]["processor_moves"], int), status["cluster"]
    unknown = node.ask("cluster no such thing")
    assert "known requests" in unknown["error"], unknown
    owner = node.owner()
    os.kill(owner, signal.SIGSTOP)
    # It waits for the owner until its supervisor gives it up, and not longer.
    assert node.status()["cluster"] == {"error": "the owner died before it had answered"}
    scope.wait_until(lambda: node.owner() not in (0, owner), what="the next owner")
    scope.wait_until(lambda: "voters" in node.status()["cluster"], what="the next owner's answer")


def seen_by(node, other):
    """What `node` says of `other`."""
    view = node.status()["cluster"]
    return next(each for each in view.get("nodes", []) if each["name"] == other.name)


@test
def a_link_that_is_cut_one_way_is_said_to_be(scope):
    cluster = Cluster(scope).start()
    one, other = cluster.nodes[1], cluster.nodes[2]
    scope.wait_until(lambda: seen_by(one, other)["presence"] == "member", what="a member")
    before = seen_by(one, other)
    assert before["links"][0]["state"] == "works" and before["suspected_by"] == [], before
    assert 0 < before["links"][0]["round_trip_ms"] < 1000, before
    assert int(before["incarnation"], 16) > 0 and before["standing"] == "serving", before
    lease = one.status()["cluster"]["leases"][0]
    assert lease["name"] == "internal" and lease["owner"] == cluster.holder().name, lease
    assert lease["epoch"] > 0 and 0 < lease["remaining_ms"] <= 120, lease
    # What the first sends does not reach the other; what the other sends arrives.
    other.host.run(["nft", "add table ip cut; add chain ip cut in { type filter hook prerouting "
                           "priority -300; }; add rule ip cut in ip saddr 10.9.0.1 drop"])
    scope.wait_until(lambda: seen_by(one, other)["presence"] == "suspect", what="the suspicion")
    after = seen_by(one, other)
    assert after["links"][0]["state"] == "one way", after
    assert after["suspected_by"] == ["node1"], "the third hears both: nobody is gone"
    assert after["observers"] == ["node1", "node3"], after
    assert seen_by(other, one)["links"][0]["state"] == "silent", seen_by(other, one)
    words = scope.run([NINES, "status", "--control", one.control], check=False).stdout
    assert "node2: suspect" in words and "BROKEN, one way" in words, words
    assert "node2 is suspect: network 1: one way" in one.daemon.log(), one.daemon.log()
    other.host.run(["nft", "delete table ip cut"])
    scope.wait_until(lambda: seen_by(one, other)["presence"] == "member", what="the return")
    assert "node2 is back" in one.daemon.log()
    cluster.never_two_answer()


@test
def maintenance_moves_the_address_and_keeps_it_away(scope):
    cluster = Cluster(scope).start()
    node = cluster.holder()
    others = [each for each in cluster.nodes.values() if each is not node]
    for each in others:
        scope.wait_until(lambda each=each: seen_by(node, each)["presence"] == "member",
                         what="the members")
    word = lambda on: scope.run([NINES, "cluster", "maintenance", on, "--control", node.control])
    at = time.monotonic()
    said = word("on").stdout
    assert f"{node.name} is in maintenance" in said, said
    assert f"internal: handed to {others[0].name}" in said, said
    cluster.wait_for_other(node, at)
    cluster.wait_for_answers(at + 0.2)
    print(f"   # outage {cluster.outage(at) * 1000:.0f} ms")
    assert cluster.outage(at) < 1 and cluster.holder() is others[0]
    assert not node.has_address() and node.status()["instances"][0]["state"] == "STOP"
    scope.wait_until(lambda: seen_by(others[1], node)["standing"] == "maintenance", what="the word")
    assert seen_by(others[1], node)["presence"] == "member"
    # It is kept over a restart of the owner, and it votes: with one of the others gone, the last
    # one holds by its vote.
    owner = node.owner()
    os.kill(owner, signal.SIGKILL)
    scope.wait_until(lambda: node.owner() not in (0, owner), what="the next owner")
    scope.wait_until(lambda: seen_by(others[1], node)["presence"] == "member" and
                     seen_by(others[1], node)["standing"] == "maintenance", what="it to be back")
    cluster.cut(others[0])
    cut = time.monotonic()
    cluster.wait_for_other(others[0], cut)
    cluster.wait_for_answers(cut + 0.3)
    assert cluster.holder() is others[1] and not node.has_address()
    cluster.cut(others[0], "up")
    assert f"{node.name} serves" in word("off").stdout
    scope.wait_until(lambda: node.status()["instances"][0]["state"] == "BACKUP", what="a backup")
    bad = scope.run([NINES, "cluster", "maintenance", "soon"], check=False)
    assert bad.returncode == 2 and "'on' or 'off'" in bad.stderr, bad.stderr
    cluster.never_two_answer()


def grant_of(node):
    """The command that the status of a lone survivor says to type, as words."""
    for line in node.words().splitlines():
        if "nines lease grant" in line:
            return line[line.index("lease grant"):].split()
    return None


@test
def a_lone_survivor_owns_by_the_operators_word_alone(scope):
    cluster = Cluster(scope).start()
    last, others = cluster.nodes[3], [cluster.nodes[1], cluster.nodes[2]]
    early = last.nines("lease", "grant", "--i-have-powered-off", "node1",
                       "--i-have-powered-off", "node2")
    assert early.returncode == 1 and "it is not off: node1 was heard" in early.stderr, early
    assert grant_of(last) is None, last.words()
    for node in others:
        node.power_off()
    scope.wait_until(lambda: grant_of(last), 10, "the status to say what to do")
    assert not last.has_address()
    half = last.nines("lease", "grant", "--i-have-powered-off", "node1")
    assert half.returncode == 1 and "node2 is not heard either" in half.stderr, half
    granted = last.nines(*grant_of(last), "internal")
    at = time.monotonic()
    assert granted.returncode == 0 and "internal: held here" in granted.stdout, granted
    cluster.wait_for_answers(at)
    assert cluster.holder() is last

    # It outlives the process, and the host.
    pids = [last.daemon.pid, last.owner()]
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    last.daemon.wait(timeout=10)
    last.start()
    at = time.monotonic()
    cluster.wait_for_answers(at)
    last.power_off()
    last.power_on()
    last.start()
    at = time.monotonic()
    cluster.wait_for_answers(at)
    assert cluster.holder() is last and last.status()["instances"][0]["epoch"] > 0

    # Those who return on the client's side of a cut are a majority of what they remember.
    cluster.isolate(last)
    for node in others:
        node.power_on()
        node.start()
    for node in others:
        scope.wait_until(lambda: node.status()["cluster"]["unheard"] == ["node3"], 10,
                         f"{node.name} to hear all but the survivor")
        assert node.status()["cluster"]["cold"]
    scope.wait_until(lambda: all(grant_of(node) for node in others), 10, "what to do")
    assert not any(node.has_address() for node in others)
    assert last.has_address() and cluster.answers()[-1][2] == last.name
    cluster.rejoin(last)
    healed = time.monotonic()
    cluster.wait_for_answers(healed)
    assert cluster.holder() is last
    for node in cluster.nodes.values():
        scope.wait_until(lambda: node.status()["cluster"]["voters"]["nodes"] == ["node1", "node2", "node3"], 20,
                         f"{node.name} to know of three voters")
    last.power_off()
    at = time.monotonic()
    cluster.wait_for_other(last, at)
    cluster.never_two_answer()


@test
def a_word_about_nodes_that_live_ends_with_the_cut(scope):
    cluster = Cluster(scope).start()
    first = cluster.holder()
    alone = next(node for node in cluster.nodes.values() if node is not first)
    cluster.isolate(alone)
    scope.wait_until(lambda: grant_of(alone), 10, "the status to say what to do")
    granted = alone.nines(*grant_of(alone))
    assert granted.returncode == 0, granted
    # Two hold it, each on its side: the operator was wrong.
    assert alone.has_address() and first.has_address()
    by_word = alone.status()["instances"][0]["epoch"]
    assert by_word > first.status()["instances"][0]["epoch"]
    cluster.rejoin(alone)
    scope.wait_until(lambda: not first.has_address(), 3, "the older holder to let go")
    healed = time.monotonic()
    cluster.wait_for_answers(healed)
    assert cluster.holder() is alone
    assert "overruled" in first.daemon.log()


@test
def two_nodes_with_a_witness_lose_either_and_the_witness_holds_nothing(scope):
    cluster = Cluster(scope, witness=3).start()
    one, other = cluster.nodes[1], cluster.nodes[2]
    witness = cluster.nodes[3]
    first = cluster.holder()
    second = other if first is one else one
    assert first is not witness
    scope.wait_until(lambda: seen_by(second, witness)["presence"] == "member", what="the witness")
    assert seen_by(second, witness)["witness"] is True
    cluster.cut(first)
    at = time.monotonic()
    cluster.wait_for_other(first, at)
    cluster.wait_for_answers(at + 0.3)
    print(f"   # outage {cluster.outage(at) * 1000:.0f} ms")
    assert cluster.holder() is second and cluster.outage(at) < 2
    scope.wait_until(lambda: seen_by(second, first)["presence"] == "gone", what="the verdict")
    # The witness alone is no owner: with both nodes cut off nobody answers.
    cluster.cut(second)
    scope.wait_until(lambda: not second.has_address(), 5, "the second to let go")
    assert not witness.has_address() and witness.status()["instances"] == []
    assert witness.status()["cluster"]["voting"] is True
    cluster.cut(first, "up")
    healed = time.monotonic()
    scope.wait_until(lambda: any(sent > healed for sent, _, _ in cluster.answers()), 10,
                     "an owner, by the witness's vote")
    assert cluster.holder() is first
    witness.daemon.signal(signal.SIGTERM)
    assert witness.daemon.wait(timeout=10) == 0
    cluster.never_two_answer()


@test
def a_flushed_firewall_is_put_back(scope):
    cluster = Cluster(scope).start()
    node = cluster.holder()
    node.host.run(["nft", "flush", "ruleset"])
    scope.wait_until(
        lambda: "nines" in node.host.run(["nft", "list", "tables"]).stdout, what="our tables")
    at = time.monotonic()
    cluster.wait_for_answers(at)
    assert "somebody changed the guard's rules" in node.daemon.log()
    cluster.never_two_answer()


@test
def a_firewall_that_is_loaded_moves_no_address(scope):
    """nftables has one lock for each host, and 60,000 rules hold it longer than a lease lives. It also
    takes a processor of a kernel that cannot be interrupted (PREEMPT_NONE): not that of the rest."""
    processors = os.sched_getaffinity(0)
    if len(processors) == 1:
        raise Skip("a processor for the firewall and one for the rest")
    theirs = min(processors)
    os.sched_setaffinity(0, processors - {theirs})
    scope.on_end(os.sched_setaffinity, 0, processors)
    cluster = Cluster(scope).start()
    node = cluster.holder()
    guard = node.status()["cluster"]["guard"]
    assert guard["by_program"] == (
        "renewals wait while a firewall is loaded" not in node.daemon.log()), guard
    if not guard["by_program"]:
        raise Skip(guard["no_program"])
    epoch = node.status()["instances"][0]["epoch"]
    rules = "".join(f"tcp dport {port} accept\n" for port in range(1, 60001))
    rules = f"table inet load {{\nchain c {{\n{rules}}}\n}}\n"
    with open(scope.path("firewall"), "w", encoding="utf-8") as file:
        file.write(rules)
    at = time.monotonic()
    node.host.run(["taskset", "-c", str(theirs), "nft", "-f", scope.path("firewall")])
    print(f"   # loaded in {time.monotonic() - at:.1f} s")
    cluster.wait_for_answers(time.monotonic())
    assert cluster.holder() is node and node.status()["instances"][0]["epoch"] == epoch
    print(f"   # outage {cluster.outage(at) * 1000:.0f} ms")
    assert cluster.outage(at) < 0.5, cluster.outage(at)


@test
def no_thread_of_an_owner_has_more_rights_than_it_needs(scope):
    cluster = Cluster(scope).start()
    for node in cluster.nodes.values():
        folder = f"/proc/{node.owner()}/task"
        threads = os.listdir(folder)
        assert len(threads) > 1
        for thread in threads:
            with open(f"{folder}/{thread}/status", encoding="utf-8") as file:
                rights = next(line.split()[1] for line in file if line.startswith("CapPrm:"))
            # CAP_DAC_READ_SEARCH, NET_ADMIN, NET_RAW, IPC_LOCK, SYS_NICE, BPF
            allowed = sum(1 << number for number in (2, 12, 13, 14, 23, 39))
            assert int(rights, 16) & ~allowed == 0, rights


@test
def the_key_is_replaced_by_reloads_and_no_lease_is_lost(scope):
    # A longer term than usual: the machine may be busy, and what is tried is not its speed.
    cluster = Cluster(scope, "  term: 1s\n").start()
    holder = cluster.holder()
    epoch = holder.status()["instances"][0]["epoch"]
    begun = time.monotonic()
    added = scope.run([NINES, "cluster", "keygen", "--add", cluster.key])
    assert "opens, and does not seal yet" in added.stdout, added
    with open(cluster.key, encoding="utf-8") as file:
        old, new = (line for line in file.read().splitlines() if line and line[0] != "#")
    for step, lines in enumerate(((old, new), (new, old), (new,))):
        for node in cluster.nodes.values():
            # Each step on one node after the other: the others have what they had.
            path = os.path.join(node.folder, "cluster.key")
            with open(path, "w", encoding="utf-8", opener=lambda name, flags:
                      os.open(name, flags, 0o600)) as file:
                file.write("\n".join(lines) + "\n")
            node.daemon.signal(signal.SIGHUP)
            scope.wait_until(
                lambda: node.daemon.log().count("the owner's new configuration runs") > step,
                10, f"{node.name} to reload")
            at = time.monotonic()
            cluster.wait_for_answers(at)
            assert holder.status()["instances"][0]["epoch"] == epoch, (step, node.name)
    print(f"   # longest silence {cluster.outage(begun) * 1000:.0f} ms")
    # By the new key alone, they hear each other.
    scope.wait_until(lambda: all(grant_of(node) is None for node in cluster.nodes.values()), 5,
                     "a majority on each node")
    assert cluster.outage(begun) < 1

    # A file that cannot be used changes nothing.
    os.chmod(os.path.join(holder.folder, "cluster.key"), 0o644)
    holder.daemon.signal(signal.SIGHUP)
    scope.wait_until(lambda: "not reloaded, what runs stays" in holder.daemon.log(), 10, "a refusal")
    at = time.monotonic()
    cluster.wait_for_answers(at)
    assert holder.status()["instances"][0]["epoch"] == epoch


# Every advert that comes by: when, from whom, for which router, with which priority.
LISTENER = """
import socket, struct, time
s = socket.socket(socket.AF_INET, socket.SOCK_RAW, 112)
s.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP,
             struct.pack("4s4s", socket.inet_aton("224.0.0.18"), socket.inet_aton("10.9.0.200")))
while True:
    data, (source, _) = s.recvfrom(2000)
    print("advert", time.monotonic(), source, data[21], data[22], flush=True)
"""


@test
def who_holds_by_lease_advertises_where_that_is_asked_for(scope):
    cluster = Cluster(scope, "  advertise: true\n").start()
    listener = cluster.client_host.start([sys.executable, "-c", LISTENER], name="listener")

    def adverts(since=0.0):
        rows = [line.split() for line in listener.log().splitlines() if line.startswith("advert")]
        return [(row[2], int(row[3]), int(row[4])) for row in rows
                if len(row) == 5 and float(row[1]) > since]
    holder = cluster.holder()
    scope.wait_until(lambda: len(adverts()) >= 3, 20, "adverts")
    holder = cluster.holder()
    at = time.monotonic()
    scope.wait_until(lambda: adverts(at), 20, "another one")
    assert adverts(at)[0] == (f"10.9.0.{holder.number}", 51, 255 - holder.number), adverts(at)
    # A planned end says so, and the next holder speaks.
    at = time.monotonic()
    holder.daemon.signal(signal.SIGTERM)
    cluster.wait_for_other(holder, at)
    scope.wait_until(lambda: (f"10.9.0.{holder.number}", 51, 0) in adverts(at), 10, "the last one")
    scope.wait_until(lambda: any(source != f"10.9.0.{holder.number}" and priority > 0
                                 for source, _, priority in adverts(at)), 10, "the next holder's")
    # Nobody took the others' adverts for a conflict, and nobody obeyed one.
    for node in cluster.nodes.values():
        if node is not holder:
            assert node.status()["cluster"]["conflicts"] == [], node.status()["cluster"]["conflicts"]
    cluster.never_two_answer()


@test
def a_keepalived_that_claims_the_address_is_reported_and_not_obeyed(scope):
    cluster = Cluster(scope).start()
    holder = cluster.holder()
    epoch = holder.status()["instances"][0]["epoch"]
    rival = scope.namespace("rival")
    rival.link(cluster.switch, "eth0", "port-rival")
    cluster.switch.ip("link", "set", "port-rival", "master", "br0")
    rival.ip("addr", "add", "10.9.0.50/24", "dev", "eth0")
    folder = scope.path("rival")
    os.makedirs(folder)
    path = os.path.join(folder, "keepalived.conf")
    with open(path, "w", encoding="utf-8") as file:
        file.write(KEEPALIVED.format(priority=254, address=ADDRESS))
    keepalived = rival.start([KEEPALIVED_PROGRAM, "--dont-fork", "--log-console", "-f", path, "-p",
                 os.path.join(folder, "pid"), "-r", os.path.join(folder, "vrrp.pid")],
                name="keepalived")
    def conflicts(node):
        return node.status()["cluster"]["conflicts"]
    for node in cluster.nodes.values():
        scope.wait_until(lambda: conflicts(node) and conflicts(node)[0]["adverts"] >= 3, 20,
                         f"{node.name} to hear keepalived")
        assert conflicts(node)[0]["source"] == "10.9.0.50", conflicts(node)
        assert conflicts(node)[0]["router_id"] == 51 and conflicts(node)[0]["priority"] == 254
        assert node.daemon.log().count("the VRRP router at 10.9.0.50") == 1, "once a minute"
        assert "10.9.0.50" in node.words()
    # Nobody can keep it from taking the address; but nobody gives way to it.
    assert f"inet {ADDRESS}/" in rival.ip("-4", "addr", "show", "dev", "eth0")
    assert holder.has_address() and holder.status()["instances"][0]["epoch"] == epoch
    keepalived.signal(signal.SIGTERM)
    keepalived.wait(timeout=10)
    at = time.monotonic()
    cluster.wait_for_answers(at)
    assert cluster.holder() is holder
    assert holder.status()["instances"][0]["epoch"] == epoch
    cluster.never_two_answer()


@test
def a_cluster_is_begun_once(scope):
    cluster = Cluster(scope)
    node = cluster.nodes[1]
    node.init()
    again = node.host.run([NINES, "cluster", "init", node.config], check=False)
    assert again.returncode == 1 and "nothing was changed" in again.stderr


main()
