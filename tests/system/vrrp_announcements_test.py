#!/usr/bin/python3
"""Gaps between announcements: what a neighbour hears of a promotion, from Nines and from the real
keepalived with the same configuration."""
# timeout: 120

import os
import signal
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from nines_test import NINES, Skip, main, test  # noqa: E402

KEEPALIVED = "/usr/sbin/keepalived"
GAP = 0.06       # seconds, of the configuration
SLACK = 0.015    # by which a busy neighbour may hear two closer together than they left
FOUR = ["10.9.0.100", "10.9.0.101", "10.9.0.102"]
SIX = ["fd00:9::100", "fd00:9::101"]
ROUND = 3

# Prints (interface, kind, instant, address).
OBSERVER = """
import socket, sys, threading, time
def say(*words):
    sys.stdout.write(" ".join(map(str, words)) + "\\n")  # whole lines, whichever thread it is
    sys.stdout.flush()
def listen(name):
    s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
    s.bind((name, 0))
    say("ready")
    while True:
        frame = s.recv(4096)
        at = time.monotonic()
        if frame[12:14] == b"\\x08\\x06" and frame[28:32] == frame[38:42]:
            say(name, "arp", at, socket.inet_ntoa(frame[28:32]))
        elif frame[12:14] == b"\\x86\\xdd" and frame[20] == 58 and frame[54] == 136:
            say(name, "na", at, socket.inet_ntop(socket.AF_INET6, frame[62:78]))
threads = [threading.Thread(target=listen, args=(name,)) for name in ("eth0", "eth1")]
for thread in threads: thread.start()
"""

CONFIG = """
global_defs {{
    router_id here
    {global_defs}
    vrrp_garp_master_repeat {round}
    vrrp_garp_master_delay 0
}}
{garp_group}
vrrp_instance one {{
    interface eth0
    virtual_router_id 51
    advert_int 0.1
    version 3
    virtual_ipaddress {{
        {four}
    }}
    virtual_ipaddress_excluded {{
        10.9.1.100 dev eth1
        {six}
    }}
}}
"""


class Side:
    def __init__(self, scope, program):
        if os.geteuid() != 0:
            raise Skip("namespaces with raw sockets need root's rights")
        self.scope, self.program = scope, program
        self.host = scope.namespace(f"{program}-{len(scope.processes)}")
        neighbour = scope.namespace(f"neighbour-{len(scope.processes)}")
        for number in range(2):
            self.host.link(neighbour, f"eth{number}", f"eth{number}")
            self.host.ip("addr", "add", f"10.9.{number}.1/24", "dev", f"eth{number}")
        self.observer = neighbour.start([sys.executable, "-c", OBSERVER], name="observer")
        scope.wait_until(lambda: self.observer.log().count("ready") == 2, what="the observer")

    def start(self, global_defs="", garp_group=""):
        path = self.scope.write(f"{self.program}-{len(self.scope.processes)}.conf", CONFIG.format(
            global_defs=global_defs, garp_group=garp_group, round=ROUND,
            four="\n        ".join(FOUR), six="\n        ".join(SIX)))
        words = [NINES, "vrrp", "-f", path]
        if self.program == "keepalived":
            words = [KEEPALIVED, "-n", "-l", "-f", path, "-p", path + ".pid", "-r", path + ".vrrp"]
        self.process = self.host.start(words, name=self.program)
        return self

    def heard(self):
        """(interface, kind, instant, address) of our addresses."""
        text = self.observer.log()
        rows = [line.split() for line in text[:text.rfind("\n") + 1].splitlines()]
        ours = set(FOUR + SIX + ["10.9.1.100"])
        return [(row[0], row[1], float(row[2]), row[3]) for row in rows
                if len(row) == 4 and row[3] in ours]

    def all_heard(self):
        wanted = ROUND * (len(FOUR) + len(SIX) + 1)
        self.scope.wait_until(lambda: len(self.heard()) >= wanted, 15,
                              f"{wanted} announcements of {self.program}")
        return self.heard()


def gaps(rows, *channel):
    at = [row[2] for row in rows if (row[0], row[1]) in channel]
    return [b - a for a, b in zip(at, at[1:])]


@test
def gaps_are_kept_on_each_interface_by_itself(scope):
    for program in ("keepalived", "nines"):
        side = Side(scope, program).start(
            f"vrrp_garp_interval {GAP}\n    vrrp_gna_interval {GAP}")
        # keepalived forgets most of the repeats that have to wait; ours all leave.
        if program == "nines":
            side.all_heard()
        told = set(FOUR + SIX + ["10.9.1.100"])
        scope.wait_until(lambda side=side: {row[3] for row in side.heard()} == told, 15,
                         f"all addresses of {program}")
        rows = side.heard()
        for channel in (("eth0", "arp"), ("eth0", "na"), ("eth1", "arp")):
            assert min(gaps(rows, channel)) > GAP - SLACK, (program, channel, rows)
        # The other interface does not wait for this one.
        first = [min(row[2] for row in rows if row[0] == name) for name in ("eth0", "eth1")]
        assert abs(first[0] - first[1]) < GAP, (program, rows)
    # Round by round.
    order = [row[3] for row in rows if row[:2] == ("eth0", "arp")]
    assert order == FOUR * ROUND, order


@test
def without_an_interval_a_round_leaves_at_once(scope):
    for program in ("keepalived", "nines"):
        rows = Side(scope, program).start().all_heard()
        assert rows[-1][2] - rows[0][2] < GAP, (program, rows)


@test
def interfaces_of_a_group_wait_for_one_another(scope):
    rows = Side(scope, "nines").start(garp_group=f"""
garp_group {{
    garp_interval {GAP}
    interfaces {{
        eth0
        eth1
    }}
}}""").all_heard()
    assert min(gaps(rows, ("eth0", "arp"), ("eth1", "arp"))) > GAP - SLACK, rows
    neighbours = [row[2] for row in rows if row[1] == "na"]
    assert max(neighbours) - min(neighbours) < GAP, rows


@test
def nothing_is_said_once_the_address_is_lost(scope):
    side = Side(scope, "nines").start("vrrp_garp_interval 0.5")
    scope.wait_until(lambda: any(row[1] == "arp" for row in side.heard()), what="the first one")
    side.process.signal(signal.SIGTERM)
    side.process.signal(signal.SIGTERM)
    assert side.process.wait() == 0
    before = len(side.heard())
    beats = side.host.start(["sh", "-c", "sleep 1.2; echo done"], name="a-second")
    scope.wait_until(lambda: "done" in beats.log(), what="a second")
    assert before < 9 and len(side.heard()) == before, side.heard()


if __name__ == "__main__":
    main()
