#!/usr/bin/python3
"""The real keepalived as oracle for the files that it writes on signals: keepalived.json and
keepalived.stats. Both run the same configuration in like networks; what they write is compared to
the byte, times and running counters aside. Files go to a folder of each (TMPDIR)."""
# timeout: 240

import json
import os
import re
import signal
import stat
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from nines_test import NINES, Skip, main, test  # noqa: E402

KEEPALIVED = "/usr/sbin/keepalived"
STATS, STATS_CLEAR, JSON = signal.SIGUSR2, signal.SIGRTMAX - 1, signal.SIGRTMIN + 2
INIT, BACKUP, MASTER, FAULT = range(4)

GLOBAL = """
global_defs {
    router_id here
    script_user root
    enable_script_security
}
"""

EVERYTHING = GLOBAL + """
vrrp_script directory {
    script "/usr/bin/test -d /"
    interval 2
    weight 5
}
vrrp_script good {
    script /usr/bin/true
    interval 2
}
vrrp_instance one {
    state MASTER
    interface eth0
    virtual_router_id 51
    priority 100
    advert_int 1
    authentication {
        auth_type PASS
        auth_pass se/ret12
    }
    virtual_ipaddress {
        10.9.0.100
        10.9.0.101/24 brd + dev eth0 label eth0:vip
        10.9.5.102/24 brd 10.9.5.255 dev eth1 scope link
        10.9.6.103/32 dev eth1 scope host
        10.9.7.104/32 scope site no_track
        10.9.8.105/24 label eth0:x noprefixroute no_track
    }
    virtual_ipaddress_excluded {
        10.9.9.1/32 dev eth1
        fd00::5/64 dev eth0
        fd00::7/64 dev eth1 home noprefixroute -nodad no_track
        fd00::8
        fd00::9 preferred_lft forever
    }
    virtual_routes {
        0.0.0.0/0 via 10.9.0.2 dev eth0
        default via 10.9.0.3 dev eth0 metric 50 no_track
        src 10.9.0.100 to 10.20.0.0/16 tos 0x10 via 10.9.0.2 dev eth0 table 100 onlink mtu 1400 advmss 1300 hoplimit 20
        10.21.0.0/16 dev eth1 scope link no_track protocol static
        10.22.0.0/16 via 10.9.1.2
        blackhole 10.23.0.0/16
        prohibit 10.24.0.0/16 table 1000 no_track
        10.25.0.1 via 10.9.1.2 dev eth1 preference 9
        ::/0 via fd00::9 dev eth0 no_track
        fd01::/64 via fd00::9 dev eth0 metric 5 table main
    }
    virtual_rules {
        from 10.9.0.100/32 table 100 priority 100
        from 10.9.0.101 to 10.26.0.0/16 iif eth1 oif eth0 fwmark 5/255 tos 0x10 table 100
        from all lookup 1000 no_track
        from fd00::5 table 100
        to 10.27.0.0/16 unreachable priority 5
        not from 10.9.0.103 prohibit preference 6 no_track
        fwmark 0x9 table default order 7
    }
    track_script {
        directory
        good
    }
    track_interface {
        eth1
        eth0
    }
    notify_master "/usr/bin/test 'two words' done"
    notify_backup /usr/bin/true
    notify_fault "true  a   b"
    notify_stop /usr/bin/true
    notify_deleted /usr/bin/true
    notify_master_rx_lower_pri /usr/bin/true
    notify /usr/bin/true
}
vrrp_instance two {
    interface eth1
    virtual_router_id 52
    version 3
    priority 90
    advert_int 0.5
    nopreempt
    garp_master_delay 7
    garp_master_refresh 60
    garp_master_refresh_repeat 2
    garp_master_repeat 3
    garp_lower_prio_delay 4
    garp_lower_prio_repeat 6
    lower_prio_no_advert
    dont_track_primary
    virtual_ipaddress {
        10.9.1.100
    }
}
vrrp_instance six {
    state MASTER
    interface eth1
    virtual_router_id 52
    virtual_ipaddress {
        fe80::100/64
        fd00:6::100
    }
}
vrrp_instance three {
    state BACKUP
    interface eth2
    virtual_router_id 53
    priority 250
    advert_int 3
    preempt_delay 2
    notify_master /nonexistent/script
    virtual_ipaddress {
        10.9.2.100
    }
}
"""

INSTANCE = """
vrrp_instance {name} {{
    interface eth0
    virtual_router_id {router}
    priority {priority}
    advert_int 1
    authentication {{
        auth_type PASS
        auth_pass {password}
    }}
    virtual_ipaddress {{
        {address}
    }}
}}
"""


def instances(priority, password="secret", last="10.9.0.203"):
    """Three virtual routers on eth0: password of the first, address of the third as wanted."""
    return GLOBAL + "".join(
        INSTANCE.format(name=name, router=router, priority=priority, password=word, address=address)
        for name, router, word, address in (("first", 61, password, "10.9.0.201"),
                                            ("second", 62, "same", "10.9.0.202"),
                                            ("third", 63, "same", last)))


class Side:
    """One of the two programs on a host of its own, and a neighbour behind each of its interfaces;
    nobody listens to eth2."""

    def __init__(self, scope, program):
        self.scope, self.program = scope, program
        self.folder = scope.path(program)
        os.mkdir(self.folder)
        self.host = scope.namespace(program)
        self.neighbour = scope.namespace(program + "-neighbour")
        for number in range(3):
            self.host.link(self.neighbour, f"eth{number}", f"eth{number}")
            self.host.ip("addr", "add", f"10.9.{number}.1/24", "dev", f"eth{number}")
            self.neighbour.ip("addr", "add", f"10.9.{number}.2/24", "dev", f"eth{number}")
        self.neighbour.ip("link", "set", "eth2", "down")

    def run(self, host, program, config, folder):
        name = f"{program}-{len(self.scope.processes)}"
        path = self.scope.write(name + ".conf", config)
        words = [NINES, "vrrp", "-f", path]
        if program == "keepalived":
            words = [KEEPALIVED, "-n", "-l", "-f", path, "-p", self.scope.path(name + ".pid"),
                     "-r", self.scope.path(name + ".vrrp.pid")]
        return host.start(words, name=name, env=dict(os.environ, TMPDIR=folder))

    def start(self, config):
        self.process = self.run(self.host, self.program, config, self.folder)
        # Before that a signal ends it or is lost.
        ready = {"nines": "VRRP runs", "keepalived": "Startup complete"}[self.program]
        self.scope.wait_until(lambda: ready in self.process.log(), what=f"{self.program} at work")

    def start_rival(self, config):
        return self.run(self.neighbour, "keepalived", config, self.scope.path(""))

    def ask(self, number, name):
        """The file that the program writes on the signal."""
        path = os.path.join(self.folder, name)
        if os.path.lexists(path):
            os.unlink(path)
        self.process.signal(number)
        found = []

        def whole():
            if os.path.exists(path):
                with open(path, encoding="utf-8") as file:
                    found[:] = [file.read()]
            if not found or not found[0].endswith("\n"):
                return False
            return name.endswith(".stats") or found[0].endswith("]\n")
        self.scope.wait_until(whole, what=f"{name} of {self.program}")
        return found[0]

    def json_when(self, states, **counted):
        """keepalived.json as text, once its instances have these states and a counter is up."""
        text = []

        def reached():
            text[:] = [self.ask(JSON, "keepalived.json")]
            read = json.loads(text[0])
            return ([one["data"]["state"] for one in read] == states and
                    all(sum(one["stats"][key] for one in read) >= least
                        for key, least in counted.items()))
        self.scope.wait_until(reached, 30, f"states {states} of {self.program}")
        return text[0]


def hosts(scope):
    if os.geteuid() != 0:
        raise Skip("namespaces with raw sockets need root's rights")
    return [Side(scope, "keepalived"), Side(scope, "nines")]


def sides(scope, config):
    both = hosts(scope)
    for side in both:
        side.start(config)
    return both


def without_time(text):
    """When a state was entered, and what grows with time."""
    text = re.sub(r'("last_transition":)\d{10}\.\d{6}', r"\1TIME", text)
    text = re.sub(r'("advert_(?:rcvd|sent)":)\d+', r"\1N", text)
    return re.sub(r"((?:Received|Sent): )\d+", r"\1N", text)


def same(theirs, ours):
    theirs, ours = (without_time(text).replace(',"', ',\n"').splitlines()
                    for text in (theirs, ours))
    differing = [pair for pair in zip(theirs, ours) if pair[0] != pair[1]]
    assert theirs == ours, f"keepalived's and ours: {differing[:5]}, {len(theirs)} {len(ours)}"


@test
def every_key_and_value_is_keepaliveds(scope):
    theirs, ours = (side.json_when([MASTER, MASTER, MASTER, FAULT]) for side in sides(scope, EVERYTHING))
    same(theirs, ours)
    # That the comparison is about something.
    first = json.loads(ours)[0]["data"]
    assert len(first["vroutes"]) == 10 and len(first["vrules"]) == 7
    assert len(first["vips"]) == 6 and len(first["evips"]) == 5 and len(first["track_script"]) == 2
    assert first["auth_data"] == "se/ret12" and first["effective_priority"] == 105


@test
def a_backup_tells_of_its_master_and_remembers_it(scope):
    both = sides(scope, instances(100))
    rivals = [side.start_rival(instances(150)) for side in both]
    theirs, ours = (side.json_when([BACKUP] * 3, advert_rcvd=6) for side in both)
    same(theirs, ours)
    assert json.loads(ours)[0]["data"]["master_priority"] == 150
    for rival in rivals:
        rival.signal(signal.SIGTERM)
        assert rival.wait() == 0
    theirs, ours = (side.json_when([MASTER] * 3) for side in both)
    same(theirs, ours)
    assert json.loads(ours)[0]["stats"]["pri_zero_rcvd"] == 1
    same(*(side.ask(STATS, "keepalived.stats") for side in both))


@test
def packets_that_do_not_count_are_counted_alike(scope):
    both = hosts(scope)
    rivals = [side.start_rival(instances(150, password="other", last="10.9.0.204"))
              for side in both]
    # The rivals speak first: two masters who refuse each other's adverts hold back their own, so
    # that of two who begin together one may be heard once and never again.
    for rival in rivals:
        scope.wait_until(lambda log=rival.log: log().count("Entering MASTER STATE") == 3,
                         what="the rival as master of all three")
    for side in both:
        side.start(instances(100))
    for side in both:
        read = json.loads(side.json_when([MASTER, BACKUP, MASTER], auth_failure=2, addr_list_err=2))
        # keepalived has adverts with other addresses among those received as well.
        counted = [{key for key, value in one["stats"].items() if value} for one in read]
        assert counted[0] == {"advert_sent", "become_master", "auth_failure"}, counted
        assert counted[1] == {"advert_rcvd"}, counted
        assert counted[2] - {"advert_rcvd"} == {"advert_sent", "become_master", "addr_list_err"}, (
            counted)


@test
def clearing_writes_the_counters_and_then_begins_at_zero(scope):
    both = sides(scope, instances(100))
    for side in both:
        side.json_when([MASTER] * 3, advert_sent=6)
    before = [side.ask(STATS_CLEAR, "keepalived.stats") for side in both]
    same(*before)
    after = [side.ask(STATS, "keepalived.stats") for side in both]
    same(*after)
    assert before[1].count("Became master: 1\n") == 3, before[1]
    assert after[1].count("Became master: 0\n") == 3, after[1]


@test
def a_planted_link_is_not_followed(scope):
    nines = sides(scope, instances(100))[1]
    nines.json_when([MASTER] * 3)
    path = os.path.join(nines.folder, "keepalived.json")
    victim = scope.write("victim", "precious")
    os.unlink(path)
    os.symlink(victim, path)
    nines.process.signal(JSON)
    scope.wait_until(lambda: not os.path.islink(path), what="the file in the link's place")
    with open(victim, encoding="utf-8") as file:
        assert file.read() == "precious"
    found = os.stat(path)
    assert stat.S_IMODE(found.st_mode) == 0o600, oct(found.st_mode)
    assert len(json.loads(open(path, encoding="utf-8").read())) == 3
    assert sorted(os.listdir(nines.folder)) == ["keepalived.json"]


if __name__ == "__main__":
    main()
