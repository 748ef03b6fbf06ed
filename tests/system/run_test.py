#!/usr/bin/python3
"""The one daemon of a controller: two of them on a segment, a client that asks the address without
a pause, and every plane, and the daemon itself, killed, stopped and reloaded beneath it."""
# timeout: 400

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from nines_test import NINES, Skip, main, test  # noqa: E402

ADDRESS = "10.9.0.100"

HAPROXY = """
global
    stats socket {folder}/stats.sock mode 600 level admin
    {extra}
defaults
    mode http
    timeout connect 1s
    timeout client 20s
    timeout server 20s
listen web
    bind 0.0.0.0:8080
    server local 127.0.0.1:9000
listen raw
    mode tcp
    bind 0.0.0.0:8081
    server local 127.0.0.1:9000
"""

KEEPALIVED = """
vrrp_instance internal {{
    state BACKUP
    nopreempt
    interface eth0
    virtual_router_id 51
    priority {priority}
    advert_int 1
    virtual_ipaddress {{
        {address}/32 dev eth0
    }}
    virtual_routes {{
        10.90.0.0/16 via 10.9.0.254 dev eth0
    }}
}}
"""

# Answers with its host's name; "/slow" after a second.
SERVER = """
import http.server, socket, time
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        if self.path == "/slow": time.sleep(1)
        body = socket.gethostname().encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *words): pass
class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 256
Server(("127.0.0.1", 9000), Handler).serve_forever()
"""

# A request each 10 ms, each on a connection of its own; a line for each when it has ended.
CLIENT = """
import asyncio, sys, time
async def ask():
    begun = time.monotonic()
    try:
        async with asyncio.timeout(20):
            reader, writer = await asyncio.open_connection("10.9.0.100", 8080)
            writer.write(b"GET / HTTP/1.1\\r\\nHost: a\\r\\nConnection: close\\r\\n\\r\\n")
            answer = await reader.read()
            writer.close()
        head, _, body = answer.partition(b"\\r\\n\\r\\n")
        words = head.split()
        result = "good " + body.decode() if len(words) > 1 and words[1] == b"200" else \\
            "bad " + (words[1].decode() if len(words) > 1 else "empty")
    except (OSError, asyncio.TimeoutError) as error:
        result = "bad " + type(error).__name__
    print("done", begun, time.monotonic(), result, flush=True)
async def main():
    at = time.monotonic()
    tasks = set()
    while True:
        task = asyncio.create_task(ask())
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        at += 0.01
        await asyncio.sleep(max(0, at - time.monotonic()))
asyncio.run(main())
"""


class Controller:
    """A host with a server and the daemon."""

    def __init__(self, segment, number, priority):
        scope = segment.scope
        self.scope, self.name = scope, f"node{number}"
        self.host = scope.namespace(self.name)
        self.host.link(segment.switch, "eth0", f"port-{self.name}")
        segment.switch.ip("link", "set", f"port-{self.name}", "master", "br0")
        self.host.ip("addr", "add", f"10.9.0.{number}/24", "dev", "eth0")
        self.folder = scope.path(self.name)
        os.makedirs(self.folder)
        self.host.start([sys.executable, "-c", SERVER], name=f"server-{self.name}")
        self.write("haproxy.cfg", HAPROXY.format(folder=self.folder, extra=""))
        self.write("keepalived.conf", KEEPALIVED.format(priority=priority, address=ADDRESS))
        self.control = os.path.join(self.folder, "control.sock")
        self.write("nines.yaml", f"haproxy: haproxy.cfg\nkeepalived: keepalived.conf\n"
                                 f"control: {self.control}\nstop:\n  drain: 2s\n")
        self.daemon = None

    def write(self, name, text):
        path = os.path.join(self.folder, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    def start(self, **options):
        self.daemon = self.host.start(
            [NINES, "run", "-c", os.path.join(self.folder, "nines.yaml")],
            name=f"nines-{self.name}-{len(self.scope.processes)}", **options)
        self.scope.wait_until(lambda: "all planes are at work" in self.daemon.log() or
                              not self.daemon.alive(), what=f"{self.name} to start")
        assert self.daemon.alive(), self.daemon.log()
        return self

    def status(self):
        result = subprocess.run([NINES, "status", "--json", "--control", self.control],
                                capture_output=True, text=True, timeout=10, check=False)
        return json.loads(result.stdout) if result.stdout else None

    def plane(self, name):
        return next(each for each in self.status()["planes"] if each["name"] == name)

    def kill(self, name, number=signal.SIGKILL, but=0):
        """Signals that plane, waiting for one other than process `but`; its process id."""
        def there():
            return self.plane(name)["state"] == "serving" and self.plane(name)["pid"] not in (0, but)
        self.scope.wait_until(there, what=f"a {name} plane")
        pid = self.plane(name)["pid"]
        assert pid > 1
        os.kill(pid, number)
        return pid

    def has_route(self):
        return "10.90.0.0/16 via 10.9.0.254" in self.host.ip("-4", "route", "show")

    def has_address(self):
        return f"inet {ADDRESS}/" in self.host.ip("-4", "addr", "show", "dev", "eth0")

    def says(self, text):
        return self.daemon.log().count(text)


class Segment:
    """Controllers on a switch, and a client."""

    def __init__(self, scope, priorities=(254, 253)):
        if os.geteuid() != 0:
            raise Skip("namespaces with raw sockets need root's rights")
        self.scope = scope
        self.switch = scope.namespace("switch")
        self.switch.ip("link", "add", "br0", "type", "bridge")
        self.switch.ip("link", "set", "br0", "up")
        self.nodes = [Controller(self, number + 1, priority)
                      for number, priority in enumerate(priorities)]
        self.client_host = scope.namespace("client")
        self.client_host.link(self.switch, "eth0", "port-client")
        self.switch.ip("link", "set", "port-client", "master", "br0")
        self.client_host.ip("addr", "add", "10.9.0.200/24", "dev", "eth0")
        self.client = None

    def start(self):
        """All daemons, the first one master; then the client, once all is well."""
        self.nodes[0].start()
        self.scope.wait_until(self.nodes[0].has_address, what="the first to be master")
        for node in self.nodes[1:]:
            node.start()
        self.client = self.client_host.start([sys.executable, "-c", CLIENT], name="client")
        self.scope.wait_until(lambda: len(self.done()) > 20, what="the client's first answers")
        return self

    def done(self):
        """(begun, ended, good, detail) of all requests that have ended."""
        text = self.client.log()
        rows = []
        for line in text[:text.rfind("\n") + 1].splitlines():
            if match := re.match(r"done (\S+) (\S+) (good|bad) (.*)", line):
                rows.append((float(match[1]), float(match[2]), match[3] == "good", match[4]))
        return rows

    def wait_for_answers_after(self, instant, count=30, by=None):
        def enough():
            return sum(1 for begun, _, good, who in self.done()
                       if begun > instant and good and by in (None, who)) >= count
        self.scope.wait_until(enough, 20, f"answers after the fault (by {by})")

    def failed_after(self, instant):
        return [row for row in self.done() if row[0] > instant and not row[2]]

    def in_flight_failed(self, instant):
        return [row for row in self.done() if row[0] <= instant < row[1] and not row[2]]

    def slowest_after(self, instant):
        return max(ended - begun for begun, ended, _, _ in self.done() if ended > instant)

    def holders(self):
        return [node.name for node in self.nodes if node.has_address()]


@test
def a_killed_proxy_refuses_nobody_and_keeps_the_address(scope):
    segment = Segment(scope).start()
    node = segment.nodes[0]
    node.kill("proxy")
    at = time.monotonic()
    segment.wait_for_answers_after(at + 0.5)
    assert not segment.failed_after(at), segment.failed_after(at)[:5]
    print(f"   # in flight lost: {len(segment.in_flight_failed(at))}, "
          f"slowest {segment.slowest_after(at) * 1000:.0f} ms")
    assert segment.slowest_after(at) < 1
    assert segment.holders() == ["node1"]
    assert node.plane("proxy")["restarts"] == 1 and node.plane("proxy")["fit"]


@test
def a_stopped_proxy_is_replaced(scope):
    segment = Segment(scope).start()
    stopped = segment.nodes[0].kill("proxy", signal.SIGSTOP)
    at = time.monotonic()
    segment.wait_for_answers_after(at + 1.5)
    assert segment.nodes[0].plane("proxy")["pid"] != stopped
    assert segment.slowest_after(at) < 3, segment.slowest_after(at)
    assert segment.holders() == ["node1"]


@test
def a_proxy_that_dies_again_and_again_loses_the_address(scope):
    segment = Segment(scope).start()
    first, second = segment.nodes
    killed = 0
    for _ in range(3):
        killed = first.kill("proxy", but=killed)
    at = time.monotonic()
    scope.wait_until(second.has_address, what="the address on the second")
    segment.wait_for_answers_after(at, by="node2")
    assert segment.holders() == ["node2"]
    assert first.status()["instances"][0]["state"] == "FAULT"
    # Healthy again after ten seconds, it stands again and takes nothing away (nopreempt).
    scope.wait_until(lambda: first.plane("proxy")["fit"], 20, "the proxy to be trusted again")
    scope.wait_until(lambda: first.status()["instances"][0]["state"] == "BACKUP",
                     what="the first as backup")
    assert segment.holders() == ["node2"]


@test
def a_killed_owner_goes_on_as_the_master_it_was(scope):
    segment = Segment(scope).start()
    node = segment.nodes[0]
    killed = node.kill("owner")
    at = time.monotonic()
    scope.wait_until(lambda: node.plane("owner")["pid"] not in (0, killed), what="another owner")
    segment.wait_for_answers_after(at + 4, count=5)  # longer than any backup waits
    assert not segment.failed_after(at), segment.failed_after(at)[:5]
    assert not segment.in_flight_failed(at)
    print(f"   # slowest {segment.slowest_after(at) * 1000:.0f} ms")
    assert segment.slowest_after(at) < 0.5
    assert segment.holders() == ["node1"] and segment.nodes[1].says("entering MASTER") == 0
    assert node.has_route() and not segment.nodes[1].has_route()


@test
def a_stopped_owner_is_replaced_before_its_addresses_expire(scope):
    segment = Segment(scope).start()
    node = segment.nodes[0]
    stopped = node.kill("owner", signal.SIGSTOP)
    at = time.monotonic()
    scope.wait_until(lambda: node.plane("owner")["pid"] not in (0, stopped), what="another owner")
    segment.wait_for_answers_after(at + 4, count=5)
    assert not segment.failed_after(at), segment.failed_after(at)[:5]
    assert segment.holders() == ["node1"] and segment.nodes[1].says("entering MASTER") == 0


@test
def an_owner_that_is_followed_late_takes_nothing_from_who_took_over(scope):
    segment = Segment(scope).start()
    first, second = segment.nodes
    stopped = first.kill("owner", signal.SIGSTOP)
    first.daemon.signal(signal.SIGSTOP)
    scope.wait_until(second.has_address, what="the address on the second")
    at = time.monotonic()
    os.kill(stopped, signal.SIGKILL)
    first.daemon.signal(signal.SIGCONT)  # and forks one to go on as the master that it knows of
    scope.wait_until(lambda: first.plane("owner")["pid"] not in (0, stopped), what="another owner")
    segment.wait_for_answers_after(at, count=100, by="node2")
    assert not segment.failed_after(at), segment.failed_after(at)[:5]
    assert segment.holders() == ["node2"]
    assert first.says("entering MASTER") == 1 and second.says("entering MASTER") == 1
    scope.wait_until(lambda: not first.has_route(), what="the route to go with its address")


@test
def an_owner_that_cannot_stay_leaves_no_address_behind(scope):
    segment = Segment(scope).start()
    first, second = segment.nodes
    assert first.has_route()
    killed = 0
    for _ in range(3):
        killed = first.kill("owner", but=killed)
    at = time.monotonic()
    scope.wait_until(lambda: not first.has_address(), 2, "the supervisor to remove the address")
    scope.wait_until(lambda: not first.has_route(), 2, "the supervisor to remove the route")
    assert first.says("is not back in time: its addresses are removed") == 1
    scope.wait_until(second.has_address, what="the address on the second")
    segment.wait_for_answers_after(at, by="node2")
    assert segment.holders() == ["node2"]


@test
def planes_end_with_their_supervisor_and_the_address_moves(scope):
    segment = Segment(scope).start()
    first, second = segment.nodes
    pids = [first.plane(name)["pid"] for name in ("proxy", "owner")]
    first.daemon.signal(signal.SIGKILL)
    at = time.monotonic()
    scope.wait_until(lambda: not any(os.path.exists(f"/proc/{pid}/exe") for pid in pids), 4,
                     "the planes to end")
    scope.wait_until(second.has_address, 4, "the address on the second")
    segment.wait_for_answers_after(at, by="node2")
    assert segment.holders() == ["node2"]


@test
def a_killed_daemon_leaves_no_address_on_two_hosts(scope):
    segment = Segment(scope).start()
    first, second = segment.nodes
    pids = [first.daemon.pid] + [first.plane(name)["pid"] for name in ("proxy", "owner")]
    for number in (signal.SIGSTOP, signal.SIGKILL):
        for pid in pids:
            os.kill(pid, number)
    deadline = time.monotonic() + 6
    while not second.has_address():
        assert time.monotonic() < deadline, "nobody took the address over"
        assert len(segment.holders()) <= 1
    assert segment.holders() == ["node2"]
    # Its successor on the host begins as anybody does, beside whoever is master.
    first.start()
    assert segment.holders() == ["node2"]


@test
def a_stop_lets_answers_end_and_hands_the_address_over(scope):
    segment = Segment(scope).start()
    first, second = segment.nodes
    slow = segment.client_host.start(
        ["curl", "-sS", "--max-time", "10", f"http://{ADDRESS}:8080/slow"], name="slow")
    scope.wait_until(lambda: slow.alive(), what="the slow request")
    time.sleep(0.2)  # it is under way: half of what it takes would do as well
    raw = segment.client_host.start(
        [sys.executable, "-c",
         "import socket\n"
         f"s = socket.create_connection(('{ADDRESS}', 8081))\n"
         "print('open', flush=True)\n"
         "try: print('end', s.recv(1) or 'closed', flush=True)\n"
         "except OSError as error: print('end', error, flush=True)\n"], name="raw")
    scope.wait_until(lambda: "open" in raw.log(), what="the session that never ends")
    first.daemon.signal(signal.SIGTERM)
    at = time.monotonic()
    assert first.daemon.wait(timeout=15) == 0
    assert slow.wait(timeout=5) == 0 and slow.log().strip() == "node1"
    scope.wait_until(lambda: "end" in raw.log(), 5, "the session on the lost address to end")
    scope.wait_until(second.has_address, 4, "the address on the second")
    segment.wait_for_answers_after(time.monotonic(), by="node2")
    assert segment.holders() == ["node2"]
    print(f"   # failed: {len(segment.failed_after(at))}, "
          f"slowest {segment.slowest_after(at) * 1000:.0f} ms")
    assert not os.path.exists(first.control)


@test
def a_reload_changes_all_or_nothing(scope):
    segment = Segment(scope).start()
    node = segment.nodes[0]
    at = time.monotonic()
    before = [node.plane(name)["pid"] for name in ("proxy", "owner")]
    good = HAPROXY.format(folder=node.folder, extra="maxconn 777")
    node.write("haproxy.cfg", good)
    node.write("keepalived.conf", KEEPALIVED.format(priority=200, address=ADDRESS))
    node.daemon.signal(signal.SIGHUP)
    scope.wait_until(lambda: node.status()["instances"][0]["priority"] == 200, what="the reload")
    scope.wait_until(lambda: node.says("reloaded: the new configuration runs") == 1,
                     what="the proxy's reload")
    # One of the two is bad: neither changes.
    node.write("haproxy.cfg", good + "listen broken\n    no-such-keyword\n")
    node.write("keepalived.conf", KEEPALIVED.format(priority=100, address=ADDRESS))
    node.daemon.signal(signal.SIGHUP)
    scope.wait_until(lambda: node.says("not reloaded, what runs stays") == 1, what="the refusal")
    assert "no-such-keyword" in node.daemon.log()
    node.write("haproxy.cfg", good)
    node.write("keepalived.conf", "vrrp_instance x {\n    priority many\n}\n")
    node.daemon.signal(signal.SIGHUP)
    scope.wait_until(lambda: node.says("not reloaded, what runs stays") == 2, what="the refusal")
    node.write("nines.yaml", "haproxy: haproxy.cfg\nhaproxi: x\n")
    node.daemon.signal(signal.SIGHUP)
    scope.wait_until(lambda: node.says("not reloaded, what runs stays") == 3, what="the refusal")
    assert node.status()["instances"][0]["priority"] == 200
    assert [node.plane(name)["pid"] for name in ("proxy", "owner")] == before
    segment.wait_for_answers_after(at + 0.5)
    assert not segment.failed_after(at) and segment.holders() == ["node1"]


@test
def each_plane_has_the_rights_it_needs(scope):
    segment = Segment(scope)
    node = segment.nodes[0]
    node.write("haproxy.cfg",
               HAPROXY.format(folder=node.folder, extra="user nobody\n    group nogroup"))
    node.start()

    def facts(name):
        with open(f"/proc/{node.plane(name)['pid']}/status", encoding="utf-8") as file:
            return dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)
    proxy, owner = facts("proxy"), facts("owner")
    assert proxy["Name"] == "nines-proxy" and owner["Name"] == "nines-owner"
    assert int(proxy["CapEff"], 16) == 0 and proxy["Uid"].split()[0] != "0"
    assert proxy["NoNewPrivs"] == "1" and owner["NoNewPrivs"] == "1"
    # CAP_DAC_READ_SEARCH, NET_ADMIN, NET_RAW, IPC_LOCK, SYS_NICE, BPF, and no way to others.
    allowed = sum(1 << number for number in (2, 12, 13, 14, 23, 39))
    assert int(owner["CapPrm"], 16) & ~allowed == 0 and int(owner["CapBnd"], 16) == 0


@test
def the_service_manager_is_told(scope):
    segment = Segment(scope)
    node = segment.nodes[0]
    path = scope.path("notify.sock")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told:
        told.bind(path)
        told.settimeout(20)

        def hear(word):
            while True:
                lines = told.recv(4096).decode().splitlines()
                if word in lines:
                    return lines
        node.start(env=dict(os.environ, NOTIFY_SOCKET=path))
        assert f"MAINPID={node.status()['pid']}" in hear("READY=1")
        node.daemon.signal(signal.SIGHUP)
        assert any(line.startswith("MONOTONIC_USEC=") for line in hear("RELOADING=1"))
        hear("READY=1")
        node.daemon.signal(signal.SIGTERM)
        hear("STOPPING=1")
        assert node.daemon.wait(timeout=15) == 0


@test
def bad_input_starts_nothing(scope):
    def run(text, name="nines.yaml"):
        path = scope.write(name, text)
        return subprocess.run([NINES, "run", "-c", path], capture_output=True, text=True,
                              timeout=20, check=False)
    result = run("haproxy: a.cfg\nkeepalivd: b\n")
    assert result.returncode == 1 and "nines.yaml:2:1: error: unknown key" in result.stderr
    assert "did you mean 'keepalived'?" in result.stderr
    result = run("haproxy: a.cfg\nhaproxy: b.cfg\n")
    assert result.returncode == 1 and "duplicate" in result.stderr
    result = run("haproxy: /nowhere/haproxy.cfg\n")
    assert result.returncode == 1 and "/nowhere/haproxy.cfg" in result.stderr
    assert subprocess.run([NINES, "run", "--no-such"], capture_output=True,
                          check=False).returncode == 2
    none = subprocess.run([NINES, "status", "--control", scope.path("none.sock")],
                          capture_output=True, text=True, check=False)
    assert none.returncode == 3 and "no daemon answers" in none.stderr


@test
def two_daemons_do_not_share_a_control_socket(scope):
    segment = Segment(scope)
    node = segment.nodes[0].start()
    second = node.host.start([NINES, "run", "-c", os.path.join(node.folder, "nines.yaml")],
                             name="second")
    assert second.wait() == 1
    assert "another daemon runs already" in second.log()
    assert node.status()["stage"] == "running"


main()
