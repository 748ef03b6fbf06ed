#!/usr/bin/python3
"""Sync groups: two hosts on two segments, Nines on one and the real keepalived on the other, each as
master and as backup. A group has both addresses or none; who is told what is compared."""
# timeout: 240

import os
import signal
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from nines_test import NINES, Skip, main, test  # noqa: E402

KEEPALIVED = "/usr/sbin/keepalived"
PAIRS = (("keepalived", "nines"), ("nines", "keepalived"), ("nines", "nines"))

CONFIG = """
global_defs {{
    script_user root
    enable_script_security
}}
vrrp_script healthy {{
    script "/usr/bin/test -e {folder}/healthy"
    interval 1
}}
vrrp_sync_group pair {{
    group {{
        inside
        outside
    }}
    track_script {{
        healthy
    }}
    notify "{folder}/notify.sh"
    notify_master "{folder}/notify.sh group master"
    notify_backup "{folder}/notify.sh group backup"
    notify_fault "{folder}/notify.sh group fault"
    notify_stop "{folder}/notify.sh group stop"
}}
"""
INSTANCE = """
vrrp_instance {name} {{
    state BACKUP
    interface eth{segment}
    virtual_router_id {router}
    priority {priority}
    advert_int 0.2
    version 3
    {extra}
    notify "{folder}/notify.sh"
    virtual_ipaddress {{
        10.9.{segment}.100
    }}
}}
"""


class Host:
    def __init__(self, segments, number):
        self.scope, self.segments, self.number = segments.scope, segments, number
        self.host = self.scope.namespace(f"host{number}-{len(self.scope.processes)}")
        for segment in (0, 1):
            port = f"port{number}-{segment}"
            self.host.link(segments.switch, f"eth{segment}", port)
            segments.switch.ip("link", "set", port, "master", f"br{segment}")
            self.host.ip("addr", "add", f"10.9.{segment}.{number}/24", "dev", f"eth{segment}")
        self.process = None

    def start(self, program, priority, extra=""):
        self.program = program
        self.folder = self.scope.path(f"{program}-{len(self.scope.processes)}")
        os.mkdir(self.folder)
        os.chmod(self.folder, 0o755)
        self.set_healthy(True)
        self.told_path = os.path.join(self.folder, "told")
        script = os.path.join(self.folder, "notify.sh")
        with open(script, "w", encoding="utf-8") as file:
            file.write(f"#!/bin/sh\necho \"$@\" >>{self.told_path}\n")
        os.chmod(script, 0o755)
        text = CONFIG.format(folder=self.folder)
        for segment, name in enumerate(("inside", "outside")):
            text += INSTANCE.format(name=name, segment=segment, router=51 + segment, extra=extra,
                                    priority=priority, folder=self.folder)
        path = os.path.join(self.folder, "keepalived.conf")
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        words = [NINES, "vrrp", "-f", path]
        if program == "keepalived":
            words = [KEEPALIVED, "-n", "-l", "-D", "-f", path, "-p", path + ".pid",
                     "-r", path + ".vrrp.pid"]
        self.process = self.host.start(words, name=f"{program}-{self.number}")
        return self

    def set_healthy(self, healthy):
        path = os.path.join(self.folder, "healthy")
        if not healthy:
            return os.unlink(path)
        with open(path, "w", encoding="utf-8"):
            return None

    def holds(self):
        """Which of the two addresses."""
        shown = self.host.ip("-4", "addr", "show")
        return [f"inet 10.9.{segment}.100/" in shown for segment in (0, 1)]

    def cut(self, segment, state="down"):
        self.segments.switch.ip("link", "set", f"port{self.number}-{segment}", state)

    def told(self):
        if not os.path.exists(self.told_path):
            return []
        with open(self.told_path, encoding="utf-8") as file:
            return sorted(file.read().splitlines())

    def wait_for(self, both, timeout=12):
        self.scope.wait_until(lambda: self.holds() == [both, both], timeout,
                              f"{self.program} on host {self.number} to hold {both}")


class Segments:
    def __init__(self, scope):
        if os.geteuid() != 0:
            raise Skip("namespaces with raw sockets need root's rights")
        self.scope = scope
        self.switch = scope.namespace(f"switch-{len(scope.processes)}")
        for segment in (0, 1):
            self.switch.ip("link", "add", f"br{segment}", "type", "bridge")
            self.switch.ip("link", "set", f"br{segment}", "up")
        self.hosts = [Host(self, 1), Host(self, 2)]


@test
def a_group_moves_as_one_when_one_of_its_links_fails(scope):
    for first, second in PAIRS:
        one, other = Segments(scope).hosts
        one.start(first, 200)
        one.wait_for(True)
        other.start(second, 100)
        for segment in (0, 1):
            one.cut(segment)
            other.wait_for(True)
            one.wait_for(False)
            one.cut(segment, "up")
            one.wait_for(True)
            other.wait_for(False)


@test
def a_group_moves_as_one_when_its_script_fails_and_when_it_ends(scope):
    for first, second in PAIRS:
        one, other = Segments(scope).hosts
        one.start(first, 200)
        one.wait_for(True)
        other.start(second, 100)
        one.set_healthy(False)
        other.wait_for(True)
        one.wait_for(False)
        one.set_healthy(True)
        one.wait_for(True)
        other.wait_for(False)
        one.process.signal(signal.SIGTERM)
        other.wait_for(True)
        assert one.process.wait() == 0
        assert one.holds() == [False, False]


@test
def a_master_cut_off_on_one_segment_alone_keeps_both(scope):
    """The cut is in the network, and no link fails: the backup, which hears nobody on one segment, waits
    for the other one."""
    one, other = Segments(scope).hosts
    one.start("nines", 200)
    one.wait_for(True)
    other.start("nines", 100)
    # Nothing of VRRP from the first host passes on the second segment.
    one.host.run(["nft", "add table ip cut; add chain ip cut out { type filter hook output priority 0 ; };"
                  " add rule ip cut out oifname eth1 ip protocol 112 drop"])
    waited = []

    def counted():
        waited[:] = [line for line in other.process.log().splitlines() if "MASTER" in line]
        return len(other.told()) >= 3  # backup, of both and of the group
    scope.wait_until(counted, what="the second host's beginning")
    # Longer than it waits: 0.6 s and a skew.
    beats = one.host.start(["sh", "-c", "sleep 2; echo done"], name="two-seconds")
    scope.wait_until(lambda: "done" in beats.log(), what="two seconds")
    assert one.holds() == [True, True] and other.holds() == [False, False] and not waited
    one.process.signal(signal.SIGTERM)
    other.wait_for(True)


@test
def whoever_asks_is_told_what_keepalived_tells(scope):
    told = []
    for program in ("keepalived", "nines"):
        host = Segments(scope).hosts[0]
        host.start(program, 100)

        def counts(least, host=host):
            scope.wait_until(lambda: len(host.told()) >= least, 10,
                             f"{least} words of {host.program}: {host.told()}")
        counts(8)  # backup and master
        host.wait_for(True)
        host.cut(1)
        counts(12)
        host.cut(1, "up")
        counts(20)
        host.process.signal(signal.SIGTERM)
        host.process.wait()
        counts(24)
        told.append(host.told())
    assert told[0] == told[1], set(told[0]) ^ set(told[1])
    assert told[1].count("GROUP pair MASTER 0") == 2, told[1]
    assert told[1].count("group fault") == 1 and told[1].count("group stop") == 1


if __name__ == "__main__":
    main()
