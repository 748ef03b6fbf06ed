#!/usr/bin/python3
"""Three daemons that bring a real Galera cluster back by themselves: after all servers were killed, with
the conducting nines killed in the middle, and not when a member that may be ahead cannot be asked or
when somebody stopped all servers in good order."""
# timeout: 600

import json
import os
import signal
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))
sys.path.insert(0, HERE)
from nines_test import NINES, main, test, wait_until  # noqa: E402
from galera_lib import new_cluster  # noqa: E402

BEGINS = "a recovery begins by itself"


class Daemon:
    """`nines run` on one member's host, with the database alone."""

    def __init__(self, scope, member):
        self.member, self.control = member, scope.path(f"{member.name}.control")
        with open(member.config, encoding="utf-8") as file:
            text = file.read()
        with open(member.config, "w", encoding="utf-8") as file:
            file.write(f"control: {self.control}\n{text}")
        self.lives = []
        self.start()

    def start(self):
        self.process = self.member.cluster.host.start(
            [NINES, "run", "-c", self.member.config],
            name=f"run-{self.member.name}-{len(self.lives)}")
        self.lives.append(self.process)
        wait_until(lambda: "looks" in self.galera(), 20, "a first look")

    def kill(self):
        """All of it at once, as a crash would: its planes and its recovery end with it."""
        self.process.signal(signal.SIGKILL)
        self.process.wait()

    def status(self, *arguments):
        return subprocess.run([*self.member.cluster.host.enter, "--", NINES, "status", "--control",
                               self.control, *arguments], capture_output=True, text=True,
                              timeout=30, check=False).stdout

    def galera(self):
        try:
            return json.loads(self.status("--json")).get("galera", {})
        except json.JSONDecodeError:
            return {}

    def begun(self):
        return sum(life.log().count(BEGINS) for life in self.lives)


def daemons_of(scope, cluster):
    return [Daemon(scope, member) for member in cluster.members]


def all_synced(cluster):
    return all(member.state() == "Primary Synced" for member in cluster.members)


def wait_until_recovered(cluster, daemons, timeout):
    """All are back, and the recovery that brought them back has seen that: while it is under way
    it starts what somebody stops."""
    wait_until(lambda: all_synced(cluster) and
               all(d.galera().get("recovery_step") == "watching" for d in daemons), timeout,
               "all are back")


def kill_all(cluster):
    """One after another, so that they come to differ; what was acknowledged."""
    writers = cluster.write(cluster.members)
    for member in reversed(cluster.members):
        member.kill()
        time.sleep(0.3)
    return [row for writer in writers for row in writer.stop()]


@test
def all_servers_are_killed_and_nobody_is_there(scope):
    cluster = new_cluster(scope, settings="  recovery: automatic\n")
    cluster.start_all()
    daemons = daemons_of(scope, cluster)
    acknowledged = kill_all(cluster)
    begun = time.monotonic()
    wait_until(lambda: any(d.begun() for d in daemons), 60, "somebody begins")
    first = time.monotonic() - begun
    # Whoever looks sees it on every host, and of every member.
    wait_until(lambda: all(any(m["state"] == "recovering" for m in d.galera().get("members", []))
                           for d in daemons), 20, "the recovery is seen from all hosts")
    shown = daemons[2].galera()["members"][0]
    wait_until_recovered(cluster, daemons, 120)
    print(f"begun after {first:.1f} s, all back after {time.monotonic() - begun:.1f} s, "
          f"{len(acknowledged)} acknowledged commits; seen from node03: {shown}")
    assert sum(d.begun() for d in daemons) == 1, [d.begun() for d in daemons]
    assert cluster.missing(acknowledged) == []

    # Again, and the nines that conducts is killed while it does, whole.
    acknowledged += kill_all(cluster)
    counts = [d.begun() for d in daemons]
    wait_until(lambda: any(d.begun() > n for d, n in zip(daemons, counts)), 60, "somebody begins")
    conductor = next(d for d, n in zip(daemons, counts) if d.begun() > n)
    left = f"{conductor.member.folder}/state/galera.recovery"

    def record():
        try:
            with open(left, encoding="utf-8") as file:
                return file.read()
        except FileNotFoundError:
            return ""
    wait_until(lambda: "acted: yes" in record(), 60, "something was ordered")
    conductor.kill()
    assert "automatic: yes" in record(), record()
    time.sleep(5)
    conductor.start()
    wait_until_recovered(cluster, daemons, 120)
    wait_until(lambda: not os.path.exists(left), 30, "its record is gone")
    # The one after the crash, and nobody else.
    assert sum(d.begun() for d in daemons) == sum(counts) + 2, [d.begun() for d in daemons]
    assert cluster.missing(acknowledged) == []


@test
def who_may_be_ahead_is_waited_for_and_who_stopped_all_is_obeyed(scope):
    cluster = new_cluster(scope, settings="  recovery: automatic\n")
    cluster.start_all()
    daemons = daemons_of(scope, cluster)
    acknowledged = kill_all(cluster)
    last = cluster.members[0]  # the last that was killed: it is ahead
    last.set_away(True)
    daemons[0].process.signal(signal.SIGTERM)  # its host is gone with its nines
    daemons[0].process.wait()
    wait_until(lambda: "REFUSED: node01 cannot be asked" in daemons[1].status(), 90,
               "the refusal is shown")
    shown = daemons[1].status()
    assert "go on all the same: nines galera recover --without node01" in shown, shown
    print(shown)
    assert all(member.pid() is None for member in cluster.members)
    # The host is back: nobody has to say anything.
    last.set_away(False)
    daemons[0].start()
    wait_until_recovered(cluster, daemons, 200)
    assert cluster.missing(acknowledged) == []

    for member in reversed(cluster.members):
        os.kill(member.pid(), signal.SIGTERM)
        wait_until(lambda m=member: m.pid() is None, 30, "it stopped in good order")
    wait_until(lambda: any("stopped in good order" in d.status() for d in daemons), 120,
               "it says that somebody wants it so")
    time.sleep(3)
    assert all(member.pid() is None for member in cluster.members)


main()
