#!/usr/bin/python3
"""Nines and the real keepalived on one segment, each as master and as backup: who holds the address,
when it moves, and what a client sees announced. Hosts are namespaces behind a bridge; an observer on
the bridge hears every advert and every gratuitous ARP."""
# timeout: 300

import datetime
import json
import os
import signal
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from nines_test import NINES, Skip, main, test  # noqa: E402

KEEPALIVED = "/usr/sbin/keepalived"
ADDRESS = "10.9.0.100"

OBSERVER = """
import socket, time
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
s.bind(("br0", 0))
print("ready", flush=True)
while True:
    frame = s.recv(2048)
    at = time.monotonic()
    if frame[12:14] == b"\\x08\\x06" and frame[28:32] == frame[38:42]:
        print("arp", at, frame[6:12].hex(), socket.inet_ntoa(frame[28:32]), flush=True)
    elif frame[12:14] == b"\\x08\\x00" and frame[23] == 112:
        print("advert", at, socket.inet_ntoa(frame[26:30]), frame[36], flush=True)
"""

CONFIG = """
global_defs {{
    router_id {host}
}}
vrrp_instance internal {{
    state BACKUP
    {extra}
    interface eth0
    virtual_router_id 51
    priority {priority}
    advert_int {interval}
    version {version}
    virtual_ipaddress {{
        {address} dev eth0
    }}
}}
"""


class Segment:
    """Two hosts and a bridge between them, with the observer on it."""

    def __init__(self, scope):
        if os.geteuid() != 0:
            raise Skip("namespaces with raw sockets need root's rights")
        self.scope = scope
        self.switch = scope.namespace("switch")
        self.switch.ip("link", "add", "br0", "type", "bridge")
        self.switch.ip("link", "set", "br0", "up")
        self.hosts = []
        for number in (1, 2):
            host = scope.namespace(f"host{number}")
            host.link(self.switch, "eth0", f"port{number}")
            self.switch.ip("link", "set", f"port{number}", "master", "br0")
            host.ip("addr", "add", f"10.9.0.{number}/24", "dev", "eth0")
            self.hosts.append(host)
        self.observer = self.switch.start([sys.executable, "-c", OBSERVER], name="observer")
        scope.wait_until(lambda: "ready" in self.observer.log(), what="the observer")

    def start(self, number, program, priority, version=2, interval="1", extra=""):
        """A daemon on host `number`; `program` is "nines" or "keepalived"."""
        host = self.hosts[number - 1]
        name = f"{program}{number}-{len(self.scope.processes)}"
        config = self.scope.write(name + ".conf", CONFIG.format(
            host=f"host{number}", priority=priority, version=version, interval=interval,
            address=ADDRESS, extra=extra))
        if program == "nines":
            return host.start([NINES, "vrrp", "-f", config], name=name)
        return host.start([KEEPALIVED, "-n", "-l", "-D", "-f", config, "-p",
                           self.scope.path(name + ".pid"), "-r",
                           self.scope.path(name + ".vrrp.pid")], name=name)

    def holds(self, number):
        return f"inet {ADDRESS}/" in self.hosts[number - 1].ip("-4", "addr", "show", "dev", "eth0")

    def wait_for_holder(self, number, timeout=10):
        self.scope.wait_until(lambda: self.holds(number), timeout, f"the address on host {number}")
        return time.monotonic()

    def hardware(self, number):
        link = json.loads(self.hosts[number - 1].ip("-j", "link", "show", "dev", "eth0"))[0]
        return link["address"].replace(":", "")

    def heard(self, kind):
        """What the observer heard: (instant, its words)."""
        text = self.observer.log()
        lines = [line.split() for line in text[:text.rfind("\n") + 1].splitlines()]
        return [(float(words[1]), words[2:]) for words in lines if words[0] == kind]

    def announced(self, number, since):
        """Instants at which host `number` announced the address."""
        hardware = self.hardware(number)
        return [at for at, words in self.heard("arp")
                if at >= since and words == [hardware, ADDRESS]]

    def watch_addresses(self):
        """From now on moves() knows when each host got and lost the address."""
        self.monitors = [host.start(["ip", "-ts", "-o", "monitor", "address"], name=f"monitor{i}")
                         for i, host in enumerate(self.hosts, 1)]
        # A change of another address shows that a monitor listens.
        for host, monitor in zip(self.hosts, self.monitors):
            def heard(host=host, monitor=monitor):
                host.ip("addr", "replace", "10.9.1.1/32", "dev", "eth0")
                host.ip("addr", "del", "10.9.1.1/32", "dev", "eth0")
                return "10.9.1.1" in monitor.log()
            self.scope.wait_until(heard, what="the monitor")

    def moves(self, number):
        """Wall times of ("got" or "lost") of the address by host `number`; renewals are "got"."""
        found = []
        for line in self.monitors[number - 1].log().splitlines():
            if f" {ADDRESS}/" in line and line.startswith("["):
                at = datetime.datetime.fromisoformat(line[1:line.index("]")]).timestamp()
                found.append(("lost" if "Deleted" in line else "got", at))
        return found

    def last_advert(self, number, before=None):
        return max(at for at, words in self.heard("advert")
                   if words[0] == f"10.9.0.{number}" and (before is None or at <= before))

    def kill(self, process):
        """The whole daemon at once, keepalived's parent first so that it restarts nothing."""
        process.signal_group(signal.SIGSTOP)
        process.signal_group(signal.SIGKILL)
        process.wait()
        return time.monotonic()


@test
def a_killed_keepalived_is_followed_by_nines(scope):
    segment = Segment(scope)
    master = segment.start(1, "keepalived", 200)
    segment.wait_for_holder(1)
    segment.start(2, "nines", 100)
    scope.wait_until(lambda: len(segment.heard("advert")) > 2, what="adverts of keepalived")
    assert not segment.holds(2)
    # keepalived leaves its address behind: the host goes, not only the process.
    segment.switch.ip("link", "set", "port1", "down")
    killed = segment.kill(master)
    last = segment.last_advert(1)
    scope.wait_until(lambda: segment.announced(2, killed), what="an announcement by nines")
    assert segment.holds(2)
    waited = segment.announced(2, killed)[0] - last
    assert 3.1 < waited < 4.0, waited  # 3 s and a skew of 0.61 s
    scope.wait_until(lambda: len(segment.announced(2, killed)) >= 5, what="five announcements")


@test
def nines_hands_over_to_keepalived_at_once(scope):
    segment = Segment(scope)
    master = segment.start(1, "nines", 200)
    segment.wait_for_holder(1)
    segment.start(2, "keepalived", 100)
    time_to_hear = segment.last_advert(1)
    scope.wait_until(lambda: segment.last_advert(1) > time_to_hear + 1.5, what="two adverts")
    stopped = time.monotonic()
    master.signal(signal.SIGTERM)
    taken = segment.wait_for_holder(2)
    assert taken - stopped < 1.2, taken - stopped
    assert not segment.holds(1)
    assert master.wait() == 0
    assert any(words == ["10.9.0.1", "0"] for _, words in segment.heard("advert"))


def moves_within(scope, segment, leaving, staying):
    """Ends the master on host 1 as planned. Seconds that it served on, and until host 2 served."""
    segment.watch_addresses()
    before = segment.last_advert(1)
    scope.wait_until(lambda: segment.last_advert(1) > before + 1.5, what="two adverts")
    stopped = time.time()
    leaving.signal(signal.SIGTERM)
    segment.wait_for_holder(2)
    assert leaving.wait() == 0
    assert staying.alive()
    scope.wait_until(lambda: segment.moves(2) and segment.moves(1)[-1][0] == "lost", what="moves")
    lost = segment.moves(1)[-1][1]
    return lost - stopped, segment.moves(2)[0][1] - lost


@test
def a_planned_end_serves_until_the_successor_speaks(scope):
    for successor in ("keepalived", "nines"):
        segment = Segment(scope)
        leaving = segment.start(1, "nines", 3)
        segment.wait_for_holder(1)
        staying = segment.start(2, successor, 2)
        served, gap = moves_within(scope, segment, leaving, staying)
        # The successor's skew is 254/256 s: no time without the address. keepalived takes it in the
        # moment of its advert, nines a claim of 2 ms after it.
        assert 0.9 < served < 1.1, (successor, served)
        assert -0.05 < gap < 0.05, (successor, gap)


@test
def a_client_that_waits_hears_of_a_planned_end(scope):
    segment = Segment(scope)
    first = segment.start(1, "nines", 254)
    segment.wait_for_holder(1)
    segment.start(2, "nines", 253)
    # It accepts and never answers; the other host has no such server.
    segment.hosts[0].start([sys.executable, "-c",
                            "import socket, time\n"
                            f"s = socket.create_server(('0.0.0.0', 8080))\n"
                            "kept = []\n"
                            "while True: kept.append(s.accept())\n"], name="server")
    client_host = scope.namespace("client")
    client_host.link(segment.switch, "eth0", "port-client")
    segment.switch.ip("link", "set", "port-client", "master", "br0")
    client_host.ip("addr", "add", "10.9.0.200/24", "dev", "eth0")
    client = client_host.start(
        [sys.executable, "-c",
         "import socket, time\n"
         "while True:\n"
         "    try: s = socket.create_connection(('" + ADDRESS + "', 8080), 5); break\n"
         "    except OSError: time.sleep(0.05)\n"
         "s.settimeout(30); s.sendall(b'question'); print('waits', flush=True)\n"
         "try: print('heard', s.recv(1), flush=True)\n"
         "except OSError as error: print('heard', type(error).__name__, flush=True)\n"],
        name="client")
    scope.wait_until(lambda: "waits" in client.log(), what="the client's question")
    first.signal(signal.SIGTERM)
    begun = time.monotonic()
    scope.wait_until(lambda: "heard" in client.log(), 5, "the client to hear of it")
    print(f"   # after {(time.monotonic() - begun) * 1000:.0f} ms")
    assert "heard ConnectionResetError" in client.log(), client.log()
    assert first.wait(timeout=5) == 0
    segment.wait_for_holder(2)


@test
def a_second_signal_ends_at_once(scope):
    segment = Segment(scope)
    leaving = segment.start(1, "nines", 3)
    segment.wait_for_holder(1)
    begun = time.monotonic()
    leaving.signal(signal.SIGTERM)
    scope.wait_until(lambda: segment.heard("advert")[-1][1] == ["10.9.0.1", "0"], what="priority 0")
    assert segment.holds(1)
    leaving.signal(signal.SIGTERM)
    assert leaving.wait() == 0
    assert time.monotonic() - begun < 1.0
    assert not segment.holds(1)


@test
def the_address_of_a_killed_nines_expires(scope):
    segment = Segment(scope)
    master = segment.start(1, "nines", 200)
    segment.wait_for_holder(1)
    segment.start(2, "keepalived", 100)
    before = segment.last_advert(1)
    scope.wait_until(lambda: segment.last_advert(1) > before + 1.5, what="two adverts")
    killed = segment.kill(master)
    both = False
    deadline = killed + 8
    while time.monotonic() < deadline and not (segment.holds(2) and not segment.holds(1)):
        both = both or (segment.holds(1) and segment.holds(2))
    assert segment.holds(2) and not segment.holds(1)
    assert time.monotonic() - killed < 4.5, time.monotonic() - killed
    assert not both, "two hosts held the address"


@test
def nines_comes_back_and_leaves_the_address_where_it_is(scope):
    segment = Segment(scope)
    options = {"version": 3, "interval": "0.1", "extra": "nopreempt"}
    segment.start(1, "keepalived", 100, **options)
    segment.wait_for_holder(1)
    segment.start(2, "nines", 200, **options)
    before = segment.last_advert(1)
    scope.wait_until(lambda: segment.last_advert(1) > before + 1.5, what="fifteen adverts")
    assert segment.holds(1) and not segment.holds(2)
    assert not any(words[0] == "10.9.0.2" for _, words in segment.heard("advert"))


@test
def each_preempts_the_other_with_a_higher_priority(scope):
    for low, high in (("keepalived", "nines"), ("nines", "keepalived")):
        segment = Segment(scope)
        options = {"version": 3, "interval": "0.1"}
        segment.start(1, low, 100, **options)
        segment.wait_for_holder(1)
        segment.start(2, high, 200, **options)
        segment.wait_for_holder(2)
        scope.wait_until(lambda: not segment.holds(1), what=f"{low} to step down")


@test
def a_password_counts_both_ways(scope):
    segment = Segment(scope)
    right = "authentication {\n auth_type PASS\n auth_pass s3cretlongpass\n }"
    first = segment.start(1, "keepalived", 200, extra=right)
    segment.wait_for_holder(1)
    second = segment.start(2, "nines", 100, extra=right)
    before = segment.last_advert(1)
    scope.wait_until(lambda: segment.last_advert(1) > before + 4.2, what="four adverts")
    assert not segment.holds(2), "the right password was not accepted by nines"
    # Stopped gracefully, keepalived is followed at once; then it comes back as a backup.
    first.signal(signal.SIGTERM)
    segment.wait_for_holder(2)
    first.wait()
    segment.start(1, "keepalived", 50, extra=right)
    before = segment.last_advert(2)
    scope.wait_until(lambda: segment.last_advert(2) > before + 4.2, what="four adverts")
    assert not segment.holds(1), "keepalived did not accept our password"
    second.signal(signal.SIGTERM)
    segment.wait_for_holder(1)


@test
def a_wrong_password_is_ignored(scope):
    segment = Segment(scope)
    auth = "authentication {{\n auth_type PASS\n auth_pass {}\n }}"
    segment.start(1, "keepalived", 200, extra=auth.format("one"))
    segment.wait_for_holder(1)
    nines = segment.start(2, "nines", 100, extra=auth.format("other"))
    segment.wait_for_holder(2)  # as if it were alone
    assert "wrong password" in nines.log()


@test
def a_healed_cut_leaves_one_master_that_announces_again(scope):
    segment = Segment(scope)
    options = {"version": 3, "interval": "0.1"}
    segment.start(1, "nines", 200, **options)
    segment.start(2, "nines", 100, **options)
    segment.wait_for_holder(1)
    # The port is taken out of the bridge: the host keeps its carrier and cannot know.
    segment.switch.ip("link", "set", "port1", "nomaster")
    segment.wait_for_holder(2)
    assert segment.holds(1)
    healed = time.monotonic()
    segment.switch.ip("link", "set", "port1", "master", "br0")
    scope.wait_until(lambda: not segment.holds(2), what="the lower priority to step down")
    assert segment.holds(1)
    scope.wait_until(lambda: segment.announced(1, healed), 2, "an announcement by the winner")


@test
def an_address_deleted_by_hand_is_taken_again(scope):
    segment = Segment(scope)
    segment.start(1, "nines", 200, version=3, interval="0.1")
    segment.wait_for_holder(1)
    deleted = time.monotonic()
    segment.hosts[0].ip("addr", "del", f"{ADDRESS}/32", "dev", "eth0")
    segment.wait_for_holder(1, 1)
    scope.wait_until(lambda: segment.announced(1, deleted), 1, "an announcement")


@test
def a_stopped_master_does_not_come_back_as_one(scope):
    segment = Segment(scope)
    options = {"version": 3, "interval": "0.1", "extra": "nopreempt"}
    master = segment.start(1, "nines", 200, **options)
    segment.wait_for_holder(1)
    segment.start(2, "keepalived", 100, **options)
    before = segment.last_advert(1)
    scope.wait_until(lambda: segment.last_advert(1) > before + 0.5, what="five adverts")
    master.signal_group(signal.SIGSTOP)
    segment.wait_for_holder(2)
    # The kernel takes the address away although nobody of ours runs: 2 s, and what it is late.
    scope.wait_until(lambda: not segment.holds(1), 3, "the address to expire")
    master.signal_group(signal.SIGCONT)
    before = segment.last_advert(2)
    scope.wait_until(lambda: segment.last_advert(2) > before + 1, what="ten adverts")
    assert segment.holds(2) and not segment.holds(1)


SERVER = """
import socket
s = socket.create_server(("0.0.0.0", 7777))
print("ready", flush=True)
c, _ = s.accept()
print("accepted", flush=True)
try:
    c.recv(1)
    print("ended", flush=True)
except OSError as error:
    print("broken", error.errno, flush=True)
"""
CLIENT = """
import socket, time
c = socket.create_connection(("10.9.0.100", 7777))
time.sleep(100)
"""


@test
def sessions_end_with_the_address(scope):
    segment = Segment(scope)
    options = {"version": 3, "interval": "0.1"}
    segment.start(1, "nines", 100, **options)
    segment.wait_for_holder(1)
    server = segment.hosts[0].start([sys.executable, "-c", SERVER], name="server")
    scope.wait_until(lambda: "ready" in server.log(), what="the server")
    segment.hosts[1].start([sys.executable, "-c", CLIENT], name="client")
    scope.wait_until(lambda: "accepted" in server.log(), what="the session")
    segment.start(2, "keepalived", 200, **options)
    segment.wait_for_holder(2)
    scope.wait_until(lambda: "broken" in server.log(), 2, "the session's end")


@test
def a_reload_keeps_the_address(scope):
    segment = Segment(scope)
    master = segment.start(1, "nines", 100, version=3, interval="0.1")
    segment.wait_for_holder(1)
    path = next(word for word in master.arguments if word.endswith(".conf"))
    with open(path, encoding="utf-8") as file:
        text = file.read()
    with open(path, "w", encoding="utf-8") as file:
        file.write(text.replace("priority 100", "priority 150"))
    master.signal(signal.SIGHUP)
    scope.wait_until(lambda: segment.heard("advert")[-1][1] == ["10.9.0.1", "150"], what="150")
    with open(path, "w", encoding="utf-8") as file:
        file.write(text.replace("priority 100", "priority many"))
    before = segment.last_advert(1)
    master.signal(signal.SIGHUP)
    scope.wait_until(lambda: segment.last_advert(1) > before + 0.5, what="five adverts")
    assert segment.heard("advert")[-1][1] == ["10.9.0.1", "150"]
    assert segment.holds(1)
    assert not any(words[1] == "0" for _, words in segment.heard("advert"))


@test
def scripts_decide_and_are_told(scope):
    segment = Segment(scope)
    flag = scope.write("healthy", "")
    told = scope.path("told")
    check = scope.write("check.sh", f"#!/bin/sh\ntest -e {flag}\n", 0o755)
    notify = scope.write("notify.sh", f'#!/bin/sh\necho "$@" >>{told}\n', 0o755)
    config = scope.write("scripts.conf", f"""
global_defs {{
    script_user root
}}
vrrp_script check {{
    script "{check}"
    interval 1
    fall 1
    rise 1
}}
vrrp_instance internal {{
    state BACKUP
    interface eth0
    virtual_router_id 51
    priority 100
    advert_int 0.1
    version 3
    notify "{notify}"
    virtual_ipaddress {{
        {ADDRESS} dev eth0
    }}
    track_script {{
        check
    }}
}}
""")
    process = segment.hosts[0].start([NINES, "vrrp", "-f", config], name="nines-scripts")
    segment.wait_for_holder(1)
    os.unlink(flag)
    scope.wait_until(lambda: not segment.holds(1), 5, "the fault")
    scope.write("healthy", "")
    segment.wait_for_holder(1, 5)
    process.signal(signal.SIGTERM)
    assert process.wait() == 0
    assert not segment.holds(1)

    def states():
        with open(told, encoding="utf-8") as file:
            return sorted(line.split()[2] for line in file)
    expected = sorted(["BACKUP", "MASTER", "FAULT", "BACKUP", "MASTER", "STOP"])
    scope.wait_until(lambda: states() == expected, what="every state told")
    with open(told, encoding="utf-8") as file:
        assert all(line.split()[:2] == ["INSTANCE", "internal"] for line in file)


main()
