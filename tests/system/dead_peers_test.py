#!/usr/bin/python3
"""A controller is dead to everybody at once: three daemons with services behind them, clients that hold
connections and make new ones, while hosts die, stand still, flap and return."""
# timeout: 400

import os
import signal
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from daemon_lib import Daemon  # noqa: E402
from nines_test import NINES, Skip, main, test  # noqa: E402

NODES = (1, 2, 3)
DATABASE, QUEUE, API, SSH, BALANCER = 3306, 5672, 8774, 22, 8080

KEEPALIVED = """
vrrp_instance internal {{
    state BACKUP
    interface eth0
    virtual_router_id 51
    priority {priority}
    virtual_ipaddress {{
        10.9.0.100/32 dev eth0
    }}
}}
"""

HAPROXY = """
defaults
    mode http
    timeout connect 5s
    timeout client 30s
    timeout server 30s
    retries 3
    option redispatch
listen api
    bind 127.0.0.1:8080
    server node1 10.9.0.1:8774
    server node2 10.9.0.2:8774
    server node3 10.9.0.3:8774
"""

# A host's services: they accept and say nothing, but the API answers with the host's name.
SERVICES = """
import http.server, socket, sys, threading
address, held = sys.argv[1], []
def accept(port):
    listener = socket.create_server((address, port))
    while True: held.append(listener.accept())
for port in (3306, 5672, 22): threading.Thread(target=accept, args=(port,), daemon=True).start()
class Api(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        name = socket.gethostname().encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(name)))
        self.end_headers()
        self.wfile.write(name)
    def log_message(self, *arguments): pass
http.server.ThreadingHTTPServer((address, 8774), Api).serve_forever()
"""

# Holds a connection until it is told of its end.
HOLDER = """
import socket, sys, time
s = socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=5)
s.settimeout(None)
print("held", flush=True)
try:
    s.recv(1)
    print("told end", time.monotonic(), flush=True)
except OSError as error: print("told", error.errno, time.monotonic(), flush=True)
"""

# One try to connect: how it ended, after how long, and whom it reached.
CONNECT = """
import errno, socket, sys, time
begun, how, whom = time.monotonic(), "connected", "nobody"
try: whom = socket.create_connection((sys.argv[1], int(sys.argv[2])), float(sys.argv[3])).getpeername()[0]
except TimeoutError: how = "silence"
except OSError as error: how = errno.errorcode.get(error.errno, str(error))
print(how, time.monotonic() - begun, whom)
"""

# Requests through the balancer, each on a connection of its own: who answered, and after how long.
REQUESTS = """
import sys, time, urllib.request
for _ in range(int(sys.argv[1])):
    begun = time.monotonic()
    try: who = urllib.request.urlopen("http://127.0.0.1:8080/", timeout=20).read().decode()
    except OSError as error: who = "failed:" + str(error).replace(" ", "_")
    print(who, time.monotonic() - begun)
"""


NODES_LISTED = "  nodes:\n" + "".join(f"    node{each}: {{id: {each}, addresses: [10.9.0.{each}]}}\n"
                                     for each in NODES)


class Host(Daemon):
    """With a daemon of nines, whatever that is for."""

    def __init__(self, cluster, number, name):
        scope = cluster.scope
        self.scope, self.number, self.name = scope, number, name
        self.address = f"10.9.0.{number}"
        self.host = scope.namespace(self.name)
        self.host.link(cluster.switch, "eth0", f"port{number}")
        cluster.switch.ip("link", "set", f"port{number}", "master", "br0")
        self.host.ip("addr", "add", f"{self.address}/24", "dev", "eth0")
        self.host.run(["sh", "-c", "mount -t tmpfs tmpfs /run"])
        self.folder = scope.path(self.name)
        os.makedirs(self.folder)
        self.control = os.path.join(self.folder, "control.sock")
        self.config = os.path.join(self.folder, "nines.yaml")

    def write(self, file, text, mode=0o644):
        with open(os.path.join(self.folder, file), "w", encoding="utf-8") as opened:
            os.fchmod(opened.fileno(), mode)
            opened.write(text)

    def sees(self, number):
        """What this node thinks of another; empty while its owner cannot be asked."""
        report = self.status().get("cluster", {}).get("dead_peers", {})
        return next((each for each in report.get("nodes", []) if each["node"] == number), {})

    def stands_in(self, reached, living):
        """Whether a connection to a dead host's queue ended where it should: with one that lives, or, where
        this kernel or container cannot, in a refusal that the status explains."""
        why = self.status()["cluster"]["dead_peers"].get("no_stand_in")
        return reached == "ECONNREFUSED" if why else reached in [each.address for each in living]

    def has_rule(self):
        return "nines-dead-peers" in self.host.run(["nft", "list", "tables"]).stdout

    def hold(self, other, port):
        holder = self.host.start([sys.executable, "-c", HOLDER, other.address, str(port)],
                                 name=f"holder-{self.number}-{other.number}-{port}-"
                                      f"{len(self.scope.processes)}")
        self.scope.wait_until(lambda: "held" in holder.log(), what="a connection")
        return holder

    def try_to_reach(self, other, port, patience=0.3):
        how, took, whom = self.host.run([sys.executable, "-c", CONNECT, other.address, str(port),
                                         str(patience)]).stdout.split()
        return how, float(took), whom

    def connect(self, other, port):
        return self.try_to_reach(other, port)[:2]

    def reached(self, other, port):
        """The address of who answered in its place, or how it ended."""
        how, _, whom = self.try_to_reach(other, port)
        return whom if how == "connected" else how


class Node(Host):
    def __init__(self, cluster, number):
        super().__init__(cluster, number, f"node{number}")
        self.key = cluster.key
        self.write("keepalived.conf", KEEPALIVED.format(priority=255 - number))
        self.write("haproxy.cfg", HAPROXY)
        self.configure("on")
        self.host.start([sys.executable, "-c", SERVICES, self.address], name=f"services-{number}")

    def configure(self, dead_peers):
        self.write("nines.yaml", f"haproxy: haproxy.cfg\nkeepalived: keepalived.conf\n"
                                 f"control: {self.control}\n"
                                 f"cluster:\n  key: {self.key}\n  state: {self.folder}/state\n"
                                 f"  self: {self.name}\n  dead_peers: {dead_peers}\n"
                                 f"{NODES_LISTED}")

    def plane(self, name):
        return next(each for each in self.status()["planes"] if each["name"] == name)["pid"]

    def requests(self, count):
        lines = self.host.run([sys.executable, "-c", REQUESTS, str(count)]).stdout.splitlines()
        return [(line.split()[0], float(line.split()[1])) for line in lines]


class Listener(Host):
    """A compute host: no vote, no address, no balancer, and a key of its own."""

    def __init__(self, cluster, number, name):
        super().__init__(cluster, number, name)
        key = cluster.scope.run([NINES, "cluster", "listener-key", cluster.key, name]).stdout
        self.write("listener.key", key, 0o600)
        self.write("nines.yaml", f"control: {self.control}\ncluster:\n"
                                 f"  key: {self.folder}/listener.key\n  listener: {name}\n"
                                 f"{NODES_LISTED}")


class Cluster:
    def __init__(self, scope):
        if os.geteuid() != 0:
            raise Skip("namespaces with raw sockets need root's rights")
        self.scope = scope
        self.key = scope.path("cluster.key")
        scope.run([NINES, "cluster", "keygen", self.key])
        self.switch = scope.namespace("switch")
        self.switch.ip("link", "add", "br0", "type", "bridge")
        self.switch.ip("link", "set", "br0", "up")
        self.nodes = {number: Node(self, number) for number in NODES}

    def start(self):
        for node in self.nodes.values():
            node.host.run([NINES, "cluster", "init", node.config])
            node.start()
        self.wait_until_well()
        return [self.nodes[number] for number in NODES]

    def wait_until_well(self, timeout=20):
        def well():
            return all(node.sees(other).get("verdict") == "well" and
                       node.sees(other).get("answers_echo") and
                       node.sees(other).get("evidence") == "heard"
                       for node in self.nodes.values() for other in NODES if other != node.number)
        self.scope.wait_until(well, timeout, "everybody to see everybody")

    def cut(self, node, state="down"):
        self.switch.ip("link", "set", f"port{node.number}", state)
        return time.monotonic()

    def wait_for_rules(self, dead, timeout=10):
        for node in self.nodes.values():
            if node is not dead:
                self.scope.wait_until(lambda: node.sees(dead.number).get("rule"), timeout,
                                      f"{node.name}'s rule")

    def wait_without_rules(self, timeout):
        begun = time.monotonic()
        self.scope.wait_until(lambda: not any(node.has_rule() for node in self.nodes.values()),
                              timeout, "the rules to go")
        return time.monotonic() - begun


def wait_until_told(scope, holder, at):
    """Of the end of its connection, by what a destroyed socket says, and by a verdict after `at`."""
    scope.wait_until(lambda: "told" in holder.log(), 10, "the client to be told")
    _, how, told = holder.log().split("held")[1].split()
    print(f"   # told after {float(told) - at:.2f} s")
    assert int(how) == 103, "ECONNABORTED"
    assert 1.0 <= float(told) - at < 5


@test
def a_dead_controller_is_dead_to_its_clients_at_once(scope):
    cluster = Cluster(scope)
    first, second, dead = cluster.start()
    assert {who for who, _ in first.requests(9)} == {"node1", "node2", "node3"}
    database = first.hold(dead, DATABASE)
    ssh = first.hold(dead, SSH)
    living = first.hold(second, DATABASE)
    assert not first.has_rule(), "no packet passes a rule while nobody is dead"
    at = cluster.cut(dead)
    wait_until_told(scope, database, at)
    cluster.wait_for_rules(dead)
    for node in (first, second):
        how, took = node.connect(dead, DATABASE)
        print(f"   # refused after {took * 1000:.1f} ms")
        assert how == "ECONNREFUSED" and took < 0.3, (how, took)
        assert node.connect(dead, SSH)[0] == "silence", "SSH is left alone"
    assert "told" not in ssh.log() and "told" not in living.log()
    assert first.connect(second, DATABASE)[0] == "connected"
    seen = first.sees(dead.number)
    assert seen["verdict"] == "dead" and not seen["balanced"] and seen["connections_ended"] > 0, seen
    assert "not heard by 2 of 3 controllers" in seen["evidence"], seen
    assert "node3 dead, connections to it are refused" in first.words(), first.words()
    for node in (first, second, first, second):
        assert node.stands_in(node.reached(dead, QUEUE), (first, second)), first.words()
    assert ("; on 5672 others stand in" in first.words()) != \
        ("nobody stands in" in first.words()), first.words()
    requests = first.requests(30)
    assert {who for who, _ in requests} == {"node1", "node2"}, requests
    assert max(took for _, took in requests) < 2, requests
    assert not dead.has_rule(), "a minority cuts nobody off"

    healed = cluster.cut(dead, "up")
    scope.wait_until(lambda: first.connect(dead, DATABASE)[0] == "connected", 10, "the way back")
    print(f"   # connected {time.monotonic() - healed:.2f} s after the cable")
    cluster.wait_without_rules(3)
    assert first.reached(dead, QUEUE) == dead.address, "itself"
    cluster.wait_until_well()
    scope.wait_until(lambda: "node3" in {who for who, _ in first.requests(30)}, 15, "its share")


@test
def a_host_that_is_no_controller_is_told_as_well(scope):
    cluster = Cluster(scope)
    for node in cluster.nodes.values():
        node.configure("{listeners: true}")
    _, second, dead = cluster.start()
    compute = Listener(cluster, 51, "comp01")
    compute.start()
    scope.wait_until(lambda: all(compute.sees(each).get("evidence") == "heard" for each in NODES),
                     10, "all controllers to be heard")
    database, ssh = compute.hold(dead, DATABASE), compute.hold(dead, SSH)
    living = compute.hold(second, DATABASE)

    # What this host alone cannot reach is no controller's death.
    compute.host.ip("route", "add", "blackhole", f"{dead.address}/32")
    scope.wait_until(lambda: compute.sees(dead.number).get("verdict") == "doubted", 10,
                     "its own doubt")
    assert not compute.has_rule() and "told" not in database.log()
    compute.host.ip("route", "del", "blackhole", f"{dead.address}/32")
    scope.wait_until(lambda: compute.sees(dead.number).get("evidence") == "heard", 10, "its word")

    at = cluster.cut(dead)
    wait_until_told(scope, database, at)
    how, took = compute.connect(dead, DATABASE)
    assert how == "ECONNREFUSED" and took < 0.3, (how, took)
    assert compute.stands_in(compute.reached(dead, QUEUE), (cluster.nodes[1], second))
    assert compute.connect(dead, SSH)[0] == "silence", "SSH is left alone"
    assert "told" not in ssh.log() and "told" not in living.log()
    assert "not heard by 2 of 3 controllers" in compute.sees(dead.number)["evidence"]

    healed = cluster.cut(dead, "up")
    scope.wait_until(lambda: compute.connect(dead, DATABASE)[0] == "connected", 10, "the way back")
    print(f"   # connected {time.monotonic() - healed:.2f} s after the cable")
    scope.wait_until(lambda: not compute.has_rule(), 3, "the rule to go")


@test
def a_host_that_stands_still_is_healed_within_a_second_and_harms_nobody(scope):
    cluster = Cluster(scope)
    first, second, paused = cluster.start()
    held = paused.hold(second, DATABASE)
    pids = [paused.daemon.pid, paused.plane("owner"), paused.plane("proxy")]
    cluster.cut(paused)
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    begun = time.monotonic()
    cluster.wait_for_rules(paused)
    scope.wait_until(lambda: time.monotonic() - begun > 3, what="three seconds to pass")
    for pid in pids:
        os.kill(pid, signal.SIGCONT)
    cluster.cut(paused, "up")
    took = cluster.wait_without_rules(10)
    print(f"   # no rule {took:.2f} s after it went on")
    assert took < 3
    assert first.connect(paused, DATABASE)[0] == "connected"
    cluster.wait_until_well()
    assert paused.sees(1)["verdicts"] == 0 and paused.sees(2)["verdicts"] == 0, \
        "its own clock stood still, and not the others"
    assert "told" not in held.log() or "103" not in held.log(), held.log()


@test
def nines_that_dies_takes_its_rules_along_and_the_next_makes_them_anew(scope):
    cluster = Cluster(scope)
    first, second, dead = cluster.start()
    cluster.cut(dead)
    cluster.wait_for_rules(dead)
    assert first.stands_in(first.reached(dead, QUEUE), (first, second)), first.words()
    pids = [first.daemon.pid, first.plane("owner"), first.plane("proxy")]
    for number in (signal.SIGSTOP, signal.SIGKILL):
        for pid in pids:
            os.kill(pid, number)
    scope.wait_until(lambda: not first.has_rule(), 1, "the rule to go with its owner")
    assert second.has_rule()
    assert first.reached(dead, QUEUE) == "silence", "who stood in goes with its owner as well"
    # Two of three are away by now: the second has no majority, and lifts its own.
    scope.wait_until(lambda: not second.has_rule(), 5, "the rule of a minority to go")
    first.start()
    # The new process has never heard of the dead host, and comes to the same verdict.
    cluster.wait_for_rules(dead, 15)
    os.kill(second.plane("owner"), signal.SIGKILL)
    scope.wait_until(lambda: second.sees(dead.number).get("verdicts") == 1 and second.has_rule(),
                     15, "the rule of the owner's next life")


@test
def nines_killed_or_stopped_on_a_living_host_resets_nobody(scope):
    cluster = Cluster(scope)
    first, second, living = cluster.start()
    held = first.hold(living, DATABASE)
    pids = [living.daemon.pid, living.plane("owner"), living.plane("proxy")]
    for number in (signal.SIGSTOP, signal.SIGKILL):
        for pid in pids:
            os.kill(pid, number)
        begun = time.monotonic()
        while time.monotonic() - begun < 2.5:
            assert not first.has_rule() and not second.has_rule(), first.words()
    assert "told" not in held.log()
    scope.wait_until(lambda: first.sees(3)["balanced"], what="its servers to have work")
    seen = first.sees(3)
    assert seen["verdicts"] == 0 and "its kernel answered" in seen["evidence"], seen
    assert "node3" in {who for who, _ in first.requests(30)}, "its services live"


@test
def a_flapping_host_is_cut_off_ever_more_seldom(scope):
    cluster = Cluster(scope)
    first, _, flapping = cluster.start()
    rounds = 6
    for _ in range(rounds):
        cut = cluster.cut(flapping)
        scope.wait_until(lambda: time.monotonic() - cut > 2.2, what="two seconds of silence")
        cluster.cut(flapping, "up")
        scope.wait_until(lambda: first.sees(3).get("evidence") == "heard", what="its return")
    verdicts = first.sees(3)["verdicts"]
    print(f"   # {verdicts} verdicts in {rounds} silences of two seconds")
    assert 1 <= verdicts <= 2, first.sees(3)
    cluster.wait_without_rules(3)


@test
def one_line_turns_it_off_while_it_runs(scope):
    cluster = Cluster(scope)
    first, _, dead = cluster.start()
    cluster.cut(dead)
    cluster.wait_for_rules(dead)
    first.configure("off")
    first.daemon.signal(signal.SIGHUP)
    scope.wait_until(lambda: not first.has_rule(), what="its rule to go")
    scope.wait_until(lambda: not first.status()["cluster"]["dead_peers"]["on"], what="the reload")
    assert "dead peers: off" in first.words()
    first.configure("{silence: 700ms, ports: [3306]}")
    first.daemon.signal(signal.SIGHUP)
    scope.wait_until(first.has_rule, what="its rule again")
    report = first.status()["cluster"]["dead_peers"]
    assert report["silence"] == 0.7 and report["ports"] == [3306], report
    # Addresses are what the kernel's part was made for.
    first.configure("{addresses: {node3: [10.9.0.33]}}")
    first.daemon.signal(signal.SIGHUP)
    scope.wait_until(lambda: "change by a restart" in first.daemon.log(), what="the refusal")
    # A virtual address is nobody's own.
    first.daemon.signal(signal.SIGTERM)
    assert first.daemon.wait(timeout=15) == 0
    first.configure("{addresses: {node3: [10.9.0.100]}}")
    refused = first.host.start([NINES, "run", "-c", first.config], name="refused")
    scope.wait_until(lambda: "10.9.0.100 is a virtual address of 'internal'" in refused.log(), 20,
                     "the refusal of a virtual address")


main()
