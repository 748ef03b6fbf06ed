#!/usr/bin/python3
"""Clients that wait for an answer through an address whose holder died hear of it from the next holder:
three daemons with balancers, a backend that never answers, and clients elsewhere and on the survivors."""
# timeout: 300

import os
import shutil
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from daemon_lib import Daemon  # noqa: E402
from nines_test import NINES, Skip, main, test  # noqa: E402

ADDRESS, ADDRESS6, PORT = "10.9.0.100", "fd09::100", 8080
NODES = (1, 2, 3)
BACKEND, CLIENT = 50, 200

KEEPALIVED = f"""
vrrp_instance internal {{
    state BACKUP
    interface eth0
    virtual_router_id 51
    priority PRIORITY
    virtual_ipaddress {{
        {ADDRESS}/32 dev eth0
    }}
    virtual_ipaddress_excluded {{
        {ADDRESS6}/128 dev eth0
    }}
}}
"""

HAPROXY = f"""
defaults
    mode http
    timeout connect 5s
    timeout client 60s
    timeout server 60s
listen api
    bind {ADDRESS}:{PORT}
    bind [{ADDRESS6}]:{PORT}
    server backend 10.9.0.{BACKEND}:8774
"""

# Answers /now at once, and everything else after the test is over.
SERVER = """
import http.server, time
class Api(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        if self.path != "/now": time.sleep(300)
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")
    def log_message(self, *arguments): pass
http.server.ThreadingHTTPServer(("0.0.0.0", 8774), Api).serve_forever()
"""

# Asks on `count` connections and waits: when each of them heard of its end, and how.
WAITERS = """
import selectors, socket, struct, sys, time
address, port, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
waiting = selectors.DefaultSelector()
for _ in range(count):
    s = socket.create_connection((address, port), timeout=5)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # killed, it resets
    s.sendall(b"GET /slow HTTP/1.1\\r\\nHost: api\\r\\n\\r\\n")
    waiting.register(s, selectors.EVENT_READ)
print("asked", flush=True)
while waiting.get_map():
    for key, _ in waiting.select():
        how = "end"
        try: key.fileobj.recv(1)
        except OSError as error: how = error.errno
        print("told", how, time.monotonic(), flush=True)
        waiting.unregister(key.fileobj)
"""

# Connects from a fixed port and loses that connection without a word, as a host that restarts does;
# then, told to by a line of input, connects anew from the same port until it has an answer, and asks
# on that same connection again when told to.
RETURNS = """
import socket, sys, time
address, port, own = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
TCP_REPAIR = 19
def connect(patience):
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind(("", own))
    s.settimeout(patience)
    s.connect((address, port))
    return s
def forget(s):
    s.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR, 1)
    s.close()
def ask(s):
    s.settimeout(5)
    s.sendall(b"GET /now HTTP/1.1\\r\\nHost: api\\r\\n\\r\\n")
    answer = b""
    while not answer.endswith(b"\\r\\n\\r\\nok"):  # head and body may come apart
        part = s.recv(1000)
        if not part: return False
        answer += part
    return b" 200 " in answer
s = connect(5)
assert ask(s)
print("asked", flush=True)
while "go" not in open(sys.argv[4]).read(): time.sleep(0.002)
forget(s)
while True:
    try: s = connect(0.05); break
    except OSError: pass
assert ask(s)
print("returned", time.monotonic(), flush=True)
while "again" not in open(sys.argv[4]).read(): time.sleep(0.01)
print("still" if ask(s) else "lost", flush=True)
"""


class Host:
    def __init__(self, cluster, number, name):
        self.scope, self.number, self.name = cluster.scope, number, name
        self.host = cluster.scope.namespace(name)
        self.host.link(cluster.switch, "eth0", f"port{number}")
        cluster.switch.ip("link", "set", f"port{number}", "master", "br0")
        self.host.ip("addr", "add", f"10.9.0.{number}/24", "dev", "eth0")
        self.host.ip("addr", "add", f"fd09::{number}/64", "dev", "eth0", "nodad")

    def wait_for_answers(self, count, address=ADDRESS):
        waiters = self.host.start([sys.executable, "-c", WAITERS, address, str(PORT), str(count)],
                                  name=f"waiters-{self.name}")
        self.scope.wait_until(lambda: "asked" in waiters.log() or not waiters.alive(),
                              what=f"{self.name}'s requests")
        assert waiters.alive(), waiters.log()
        return waiters


class Node(Daemon, Host):
    def __init__(self, cluster, number):
        super().__init__(cluster, number, f"node{number}")
        self.host.run(["sh", "-c", "mount -t tmpfs tmpfs /run"])
        self.folder = self.scope.path(self.name)
        os.makedirs(self.folder)
        shutil.copy(cluster.key, os.path.join(self.folder, "cluster.key"))
        self.control = os.path.join(self.folder, "control.sock")
        self.config = os.path.join(self.folder, "nines.yaml")
        self.write("keepalived.conf", KEEPALIVED.replace("PRIORITY", str(255 - number)))
        self.write("haproxy.cfg", HAPROXY)
        self.configure(cluster.options)

    def write(self, file, text):
        with open(os.path.join(self.folder, file), "w", encoding="utf-8") as opened:
            opened.write(text)

    def configure(self, options):
        nodes = "".join(f"    node{each}: {{id: {each}, addresses: [10.9.0.{each}]}}\n"
                        for each in NODES)
        self.write("nines.yaml", f"haproxy: haproxy.cfg\nkeepalived: keepalived.conf\n"
                                 f"control: {self.control}\n"
                                 f"cluster:\n  key: cluster.key\n  state: {self.folder}/state\n"
                                 f"  self: {self.name}\n{options}  nodes:\n{nodes}")

    def start(self):
        self.host.run([NINES, "cluster", "init", self.config])
        super().start()

    def sessions(self):
        return self.status()["cluster"].get("sessions", {})

    def knows(self):
        """How many sessions of others."""
        return sum(each["sessions"] for each in self.sessions().get("known", []))

    def has_address(self):
        return f"inet {ADDRESS}/" in self.host.ip("-4", "addr", "show", "dev", "eth0")


class Cluster:
    def __init__(self, scope, options=""):
        if os.geteuid() != 0:
            raise Skip("namespaces with raw sockets need root's rights")
        self.scope, self.options = scope, options
        self.key = scope.path("cluster.key")
        scope.run([NINES, "cluster", "keygen", self.key])
        self.switch = scope.namespace("switch")
        self.switch.ip("link", "add", "br0", "type", "bridge")
        self.switch.ip("link", "set", "br0", "up")
        self.nodes = [Node(self, number) for number in NODES]
        self.backend = Host(self, BACKEND, "backend")
        self.client = Host(self, CLIENT, "client")
        self.backend.host.start([sys.executable, "-c", SERVER], name="server")
        for node in self.nodes:
            node.start()
        scope.wait_until(lambda: any(node.has_address() for node in self.nodes), what="a holder")
        scope.wait_until(self.serves, what="an answer through the address")

    def serves(self):
        return self.client.host.run(
            [sys.executable, "-c", f"import urllib.request; print(urllib.request.urlopen("
             f"'http://{ADDRESS}:{PORT}/now', timeout=2).status)"], check=False).stdout == "200\n"

    def holder(self):
        return next(node for node in self.nodes if node.has_address())

    def others(self, node):
        return [each for each in self.nodes if each is not node]

    def wait_until_known(self, holder, count):
        """By both of the others, all of them."""
        for node in self.others(holder):
            self.scope.wait_until(lambda: node.knows() == count, 8,
                                  f"{node.name} to know {count} sessions")

    def kill(self, node):
        """Its host: the network is gone at once, then every process."""
        pids = [each["pid"] for each in node.status()["planes"]] + [node.daemon.pid]
        at = time.monotonic()
        self.switch.ip("link", "set", f"port{node.number}", "down")
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        node.daemon.wait(timeout=10)
        return at

    def wait_for_next(self, dead):
        self.scope.wait_until(lambda: any(each.has_address() for each in self.others(dead)), 10,
                              "the next holder")
        return next(each for each in self.others(dead) if each.has_address())


def said(process):
    """What it printed, in whole lines: the last one may be half written."""
    return process.log().rpartition("\n")[0]


def told(waiters):
    """(how, when) of those who heard of the end of their connection."""
    rows = [line.split() for line in said(waiters).splitlines() if line.startswith("told")]
    return [(row[1], float(row[2])) for row in rows]


def wait_until_all_told(scope, waiters, count, at, within):
    scope.wait_until(lambda: len(told(waiters)) == count, 10, f"{count} clients to be told")
    times = sorted(when - at for _, when in told(waiters))
    print(f"   # {count} told {times[0] * 1000:.0f} to {times[-1] * 1000:.0f} ms after the cut")
    assert {how for how, _ in told(waiters)} == {"104"}, "ECONNRESET"
    assert times[-1] < within, times


@test
def clients_that_wait_are_told_by_the_next_holder(scope):
    cluster = Cluster(scope)
    holder = cluster.holder()
    elsewhere = cluster.client.wait_for_answers(20)
    by_ipv6 = cluster.client.wait_for_answers(3, ADDRESS6)
    on_survivors = [node.wait_for_answers(2) for node in cluster.others(holder)]
    cluster.wait_until_known(holder, 27)
    assert holder.sessions()["told"] == 27, holder.sessions()
    assert "27 here are known to the others" in holder.words(), holder.words()
    at = cluster.kill(holder)
    for waiters, count in [(elsewhere, 20), (by_ipv6, 3)] + [(each, 2) for each in on_survivors]:
        wait_until_all_told(scope, waiters, count, at, 1.125)
    second = cluster.wait_for_next(holder)
    last = second.sessions()["last_takeover"]
    assert (last["former_holder"], last["sessions"]) == (holder.name, 27), last
    print("   # " + next(line.strip() for line in second.words().splitlines()
                         if "last takeover" in line))
    scope.wait_until(cluster.serves, what="the next holder's answer")
    scope.wait_until(lambda: second.sessions()["last_takeover"]["nudges"] == 54, 3, "both rounds")


@test
def a_client_that_came_back_on_the_same_port_is_left_alone(scope):
    cluster = Cluster(scope)
    holder = cluster.holder()
    word = scope.write("word", "")
    client = cluster.client.host.start(
        [sys.executable, "-c", RETURNS, ADDRESS, str(PORT), "40000", word], name="returns")
    scope.wait_until(lambda: "asked" in client.log(), what="the first answer")
    cluster.wait_until_known(holder, 1)
    at = cluster.kill(holder)
    scope.write("word", "go")
    scope.wait_until(lambda: "returned" in said(client) or not client.alive(), what="its return")
    assert client.alive(), client.log()
    returned = float(said(client).split("returned")[1].split()[0])
    print(f"   # the client was back {(returned - at) * 1000:.0f} ms after the cut")
    second = cluster.wait_for_next(holder)
    scope.wait_until(lambda: second.sessions()["last_takeover"]["living"] >= 1, 3,
                     "its session to be found alive")
    scope.write("word", "go again")
    scope.wait_until(lambda: "still" in client.log() or not client.alive(), what="its answer")
    assert "still" in client.log(), client.log()


@test
def without_the_tuples_clients_wait_for_their_own_patience(scope):
    cluster = Cluster(scope, "  tell_sessions: false\n")
    holder = cluster.holder()
    waiters = cluster.client.wait_for_answers(3)
    assert not holder.sessions()["on"] and "sessions: not told" in holder.words()
    at = cluster.kill(holder)
    cluster.wait_for_next(holder)
    scope.wait_until(cluster.serves, what="the next holder's answer")
    time.sleep(max(0, at + 5 - time.monotonic()))
    assert waiters.alive() and told(waiters) == [], waiters.log()
    print("   # none told in 5 s")


@test
def one_line_turns_it_on_while_it_runs(scope):
    cluster = Cluster(scope, "  tell_sessions: false\n")
    holder = cluster.holder()
    waiters = cluster.client.wait_for_answers(3)
    assert cluster.others(holder)[0].knows() == 0
    for node in cluster.nodes:
        node.configure("  tell_sessions: true\n")
        node.daemon.signal(signal.SIGHUP)
    cluster.wait_until_known(holder, 3)
    waiters.stop()
    cluster.wait_until_known(holder, 0)


@test
def a_planned_switchover_tells_them_as_well(scope):
    cluster = Cluster(scope)
    holder = cluster.holder()
    waiters = cluster.client.wait_for_answers(5)
    cluster.wait_until_known(holder, 5)
    at = time.monotonic()
    subprocess.run([NINES, "cluster", "maintenance", "on", "--control", holder.control], check=True,
                   capture_output=True, timeout=10)
    wait_until_all_told(scope, waiters, 5, at, 1)


@test
def thousands_are_told_at_a_measured_pace(scope):
    cluster = Cluster(scope)
    holder = cluster.holder()
    waiters = [cluster.client.wait_for_answers(900) for _ in range(2)]
    cluster.wait_until_known(holder, 1800)
    at = cluster.kill(holder)
    for each in waiters:
        wait_until_all_told(scope, each, 900, at, 2)


main()
