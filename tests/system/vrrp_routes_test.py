#!/usr/bin/python3
"""Routes and rules that come and go with the address: Nines and the real keepalived are taken
through the same, each on a host of its own, and both hosts' tables are compared."""
# timeout: 200

import os
import re
import signal
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from nines_test import NINES, Skip, main, test  # noqa: E402

KEEPALIVED = "/usr/sbin/keepalived"
ADDRESS = "10.9.0.100"

CONFIG = """
global_defs {{
    router_id here
}}
vrrp_instance internal {{
    state BACKUP
    interface eth0
    virtual_router_id 51
    priority {priority}
    advert_int 0.1
    version 3
    virtual_ipaddress {{
        {address} dev eth0
    }}
    virtual_ipaddress_excluded {{
        fd00:9::100/64 dev eth1
    }}
    virtual_routes {{
        {routes}
    }}
    virtual_rules {{
        {rules}
    }}
}}
"""
ROUTES = [
    "0.0.0.0/0 via 10.9.0.254 dev eth0",
    "10.20.0.0/16 via 10.9.0.254 dev eth0 src 10.9.0.100 table 100",
    "10.21.0.0/16 dev eth1 scope link no_track protocol static",
    "10.22.0.0/16 via 10.9.1.254",
    "default via 10.9.1.254 dev eth1 metric 50 onlink",
    "10.23.0.0/16 via 10.9.0.254 dev eth0 mtu 1400 advmss 1300 hoplimit 20 tos 0x10",
    "blackhole 10.24.0.0/16 no_track",
    "unreachable 10.25.0.0/16 table 1000 no_track",
    "::/0 via fd00:9::fe dev eth1",
    "fd00:20::/64 via fd00:9::fe dev eth1 metric 5 src fd00:9::100",
]
RULES = [
    "from 10.9.0.100/32 table 100 priority 100",
    "not to 10.26.0.0/16 iif eth1 fwmark 5/255 tos 0x10 table 1000 priority 101 no_track",
    "from fd00:9::100 prohibit priority 102",
]
OWN = "10.22.0.0/16 via 10.9.0.253 dev eth0 proto static"  # the host's, to one of our places


class Side:
    def __init__(self, scope, program):
        self.scope, self.program = scope, program
        self.host = scope.namespace(f"{program}-{len(scope.processes)}")
        self.neighbour = scope.namespace(f"neighbour-{len(scope.processes)}")
        for number in range(2):
            self.host.link(self.neighbour, f"eth{number}", f"eth{number}")
            self.host.ip("addr", "add", f"10.9.{number}.1/24", "dev", f"eth{number}")
            self.neighbour.ip("addr", "add", f"10.9.{number}.2/24", "dev", f"eth{number}")
        self.host.ip("route", "add", *OWN.split())
        self.before = self.tables()
        self.path = scope.path(f"{program}-{len(scope.processes)}.conf")

    def tables(self):
        """Every route and rule but the kernel's own, order of no meaning aside. That a neighbour
        router is not there, which "linkdown" says, has nothing to do with us."""
        lines = []
        for family in ("-4", "-6"):
            lines += self.host.ip(family, "route", "show", "table", "all").splitlines()
            lines += self.host.ip(family, "rule", "show").splitlines()
        lines = [re.sub(r" (linkdown|pref medium) *| +$", " ", line).strip() for line in lines]
        return sorted(line for line in lines if "proto kernel" not in line and "table local" not in
                      line and not line.startswith("multicast"))

    def configure(self, routes=None, rules=None, priority=100):
        with open(self.path, "w", encoding="utf-8") as file:
            file.write(CONFIG.format(address=ADDRESS, priority=priority,
                                     routes="\n        ".join(ROUTES if routes is None else routes),
                                     rules="\n        ".join(RULES if rules is None else rules)))

    def run(self, host, program):
        words = [NINES, "vrrp", "-f", self.path]
        if program == "keepalived":
            pids = f"{self.path}-{len(self.scope.processes)}"
            words = [KEEPALIVED, "-n", "-l", "-D", "-f", self.path, "-p", pids + ".pid",
                     "-r", pids + ".vrrp.pid"]
        return host.start(words, name=f"{program}-{len(self.scope.processes)}")

    def start(self, **options):
        self.configure(**options)
        self.process = self.run(self.host, self.program)
        return self

    def holds(self):
        return f"inet {ADDRESS}/" in self.host.ip("-4", "addr", "show", "dev", "eth0")

    def wait_for(self, condition, what):
        self.scope.wait_until(condition, 10, f"{self.program}: {what}; {self.tables()}")

    def master(self, count=len(ROUTES) + len(RULES)):
        """The tables once everything is there."""
        self.wait_for(self.holds, "the address")
        self.wait_for(lambda: len(set(self.tables()) - set(self.before)) == count, "its routes")
        return self.tables()

    def back(self):
        self.wait_for(lambda: self.tables() == self.before, "all routes gone")


def sides(scope):
    if os.geteuid() != 0:
        raise Skip("namespaces with raw sockets need root's rights")
    return [Side(scope, "keepalived"), Side(scope, "nines")]


@test
def a_masters_tables_are_keepaliveds_and_nothing_stays_behind(scope):
    both = sides(scope)
    tables = [side.start().master() for side in both]
    assert tables[0] == tables[1], set(tables[0]) ^ set(tables[1])
    for side in both:
        assert OWN in side.tables(), side.tables()
        side.process.signal(signal.SIGTERM)
        side.back()
        assert side.process.wait() == 0


@test
def a_better_rival_takes_them_and_gives_them_back(scope):
    for side in sides(scope):
        before = side.start().master()
        side.configure(priority=200, routes=[], rules=[])
        rival = side.run(side.neighbour, "keepalived")
        side.back()
        rival.signal(signal.SIGTERM)
        rival.wait()
        assert side.master() == before


@test
def what_is_deleted_by_hand_comes_back_unless_it_is_not_tracked(scope):
    for side in sides(scope):
        before = side.start().master()
        side.host.ip("route", "del", "10.20.0.0/16", "table", "100")
        side.wait_for(lambda: side.tables() == before, "a route's return")
        side.host.ip("-6", "route", "del", "fd00:20::/64")
        side.wait_for(lambda: side.tables() == before, "an IPv6 route's return")
        side.host.ip("rule", "del", "priority", "100")
        side.wait_for(lambda: side.tables() == before, "a rule's return")
        if side.program == "keepalived":
            continue  # where each of these was a promotion of its own, which brings all of them
        side.host.ip("route", "del", "10.21.0.0/16")
        side.host.ip("rule", "del", "priority", "101")
        # One that is looked after shows when they would have been back.
        side.host.ip("route", "del", "default", "via", "10.9.0.254")
        side.wait_for(lambda: len(side.tables()) == len(before) - 2, "the default route's return")
        assert "entering BACKUP" not in side.process.log().split("entering MASTER", 1)[1]


@test
def a_link_that_went_and_came_has_its_routes_again(scope):
    side = sides(scope)[1]
    side.start(routes=[ROUTES[0], ROUTES[3], ROUTES[4]])
    before = side.master(3 + len(RULES))
    side.host.ip("link", "set", "eth1", "down")
    side.wait_for(lambda: len(side.tables()) == len(before) - 2, "the kernel to remove its routes")
    side.host.ip("link", "set", "eth1", "up")
    side.wait_for(lambda: side.tables() == before, "their return")


@test
def a_reload_adds_what_is_new_and_removes_what_is_not_there_any_more(scope):
    for side in sides(scope):
        before = side.start().master()
        more = ["10.30.0.0/16 via 10.9.0.254 dev eth0"]
        rules = ["from 10.9.0.100/32 table 100 priority 90"]
        side.configure(routes=ROUTES[1:] + more, rules=RULES[1:] + rules)
        side.process.signal(signal.SIGHUP)
        changed = {line for line in before if not line.startswith(("default via 10.9.0.254", "100:"))}
        changed |= {"10.30.0.0/16 via 10.9.0.254 dev eth0 proto keepalived",
                    "90:\tfrom 10.9.0.100 lookup 100 proto keepalived"}
        side.wait_for(lambda: set(side.tables()) == changed, f"{sorted(changed)}")
        assert side.holds()


@test
def what_a_killed_daemon_left_goes_when_the_next_one_starts(scope):
    side = sides(scope)[1]
    side.start().master()
    # A better router, so that the next one stays a backup.
    side.configure(priority=200, routes=[], rules=[])
    side.process.signal_group(signal.SIGKILL)
    side.process.wait()
    side.run(side.neighbour, "keepalived")
    side.scope.wait_until(
        lambda: ADDRESS in side.neighbour.ip("-4", "addr", "show", "dev", "eth0"), what="the rival")
    assert side.tables() != side.before
    side.start()
    side.back()
    assert not side.holds()


if __name__ == "__main__":
    main()
