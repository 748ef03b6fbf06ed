#!/usr/bin/python3
"""Twelve shapes of outage of a real Galera cluster under load. Each ends with the right member in
front, or is refused with the reason until the operator's word; no acknowledged commit is lost.
Takes minutes: with NINES_FULL=1; galera_test.py has the short form."""
# timeout: 900

import os
import re
import shutil
import signal
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))
sys.path.insert(0, HERE)
from nines_test import FULL, Skip, main, test, wait_until  # noqa: E402
from galera_lib import new_cluster  # noqa: E402


class Outage:
    """A cluster that has just gone down under load, what was acknowledged before, and the way
    back."""

    def __init__(self, cluster):
        self.cluster = cluster
        self.members = cluster.members
        self.writers = cluster.write(cluster.members)
        self.said = ""

    def end_load(self, writers=None):
        for writer in writers or list(self.writers):
            self.cluster.kept += writer.stop()
            self.writers.remove(writer)

    def kill_all(self):
        for pid in [member.pid() for member in self.members]:
            if pid is not None:
                os.kill(pid, signal.SIGKILL)
        for member in self.members:
            member.kill()
        self.end_load()

    def kill_in_order(self, *order):
        """One after another, each once the others have noticed, commits going on as long as any
        are taken."""
        for index, number in enumerate(order):
            if index == 2:
                wait_until(lambda n=number: self.members[n - 1].state() != "Primary Synced", 30,
                           "the last one has no majority")
            elif index == 1:
                left = [self.members[n - 1] for n in order[1:]]
                wait_until(lambda m=left: all(each.status("wsrep_cluster_size") == "2"
                                              and each.state() == "Primary Synced" for each in m),
                           30, "two are left")
                # The writers' connections may have died of the change; others take their place.
                self.end_load()
                self.writers = self.cluster.write(left)
            self.members[number - 1].kill()
        self.end_load()

    def positions(self):
        """{member: seqno} as the storage engines tell it; -1 where none does."""
        found = {}
        for member in self.members:
            # The threads of a server that was killed a moment ago may hold its files still.
            for _ in range(3):
                told = re.search(r"^recovered: \S+:(\d+)$", member.nines("evidence").stdout, re.M)
                if told:
                    break
            found[member.name] = int(told.group(1)) if told else -1
        return found

    def recover(self, number, *arguments):
        done = self.members[number - 1].nines("recover", *arguments, timeout=180)
        self.said = done.stdout + done.stderr
        return done.returncode

    def must_refuse(self, number, reason, *arguments):
        assert self.recover(number, *arguments) == 1 and reason in self.said, self.said
        assert all(m.pid() is None for m in self.members) or "REFUSED" in self.said, self.said

    def must_recover(self, number, *arguments):
        """And the one in front has what nobody has more of."""
        positions = self.positions()
        assert self.recover(number, *arguments) == 0, self.said
        self.must_have_begun_with_the_newest(positions)

    def must_have_begun_with_the_newest(self, positions, said=None):
        said = said or self.said
        begun = re.search(r"bootstrapping (\S+) at \S+:(\d+)", said)
        if begun is None:
            assert "all members agree on the last view" in said and \
                len(set(positions.values())) == 1, (positions, said)
        else:
            assert positions[begun.group(1)] == max(positions.values()), (positions, said)


def all_at_once(outage):
    outage.kill_all()
    outage.must_recover(2)


def staggered_3_2_1(outage):
    outage.kill_in_order(3, 2, 1)
    outage.must_recover(3)


def staggered_1_3_2(outage):
    outage.kill_in_order(1, 3, 2)
    outage.must_recover(1)


def staggered_2_1_3(outage):
    outage.kill_in_order(2, 1, 3)
    outage.must_recover(2)


def one_disk_lost(outage):
    # What a member acknowledges others have received, and not yet written: of the last moment it may
    # be on the lost disk alone. Nobody commits there any more, and what was is on another disk.
    one, _, three = outage.members
    outage.end_load([writer for writer in outage.writers if writer.member is three])
    last = int(three.status("wsrep_last_committed"))
    wait_until(lambda: int(one.status("wsrep_last_committed")) >= last, 20, "what node03 has")
    outage.kill_all()
    shutil.rmtree(three.data)
    os.mkdir(three.data)
    three.own()
    outage.must_refuse(1, "node03 has no database")
    outage.must_recover(1, "--without", "node03")


def one_grastate_corrupt(outage):
    outage.kill_in_order(1, 2, 3)
    positions = outage.positions()
    newest = max(positions, key=positions.get)
    member = next(m for m in outage.members if m.name == newest)
    with open(f"{member.data}/grastate.dat", "wb") as file:
        file.write(b"\0" * 512)
    # Others have all of it, or the word of the only one that has it is not enough.
    others = max(seqno for name, seqno in positions.items() if name != newest)
    words = []
    if others < positions[newest]:
        outage.must_refuse(1, f"{newest} says that it is ahead")
        words = ["--trust", newest]
    outage.must_recover(1, *words)


def one_view_missing(outage):
    outage.kill_all()
    os.unlink(f"{outage.members[1].data}/gvwstate.dat")
    outage.must_recover(1)
    assert "bootstrapping" in outage.said, outage.said


def crash_in_the_middle_of_the_recovery(outage):
    outage.kill_in_order(2, 3, 1)
    positions = outage.positions()
    one = outage.members[0]
    first = outage.cluster.host.start(one.nines_command("recover"), name="recovery")
    wait_until(lambda: "a primary component is there" in first.log(), 60, "it has begun")
    for member in outage.members:
        member.kill()
    first.signal(signal.SIGKILL)
    first.wait()
    outage.must_have_begun_with_the_newest(positions, first.log())
    assert outage.recover(1) == 0, outage.said


def one_unreachable(outage):
    outage.kill_in_order(3, 1, 2)
    two = outage.members[1]
    two.set_away(True)
    outage.must_refuse(3, "node02 cannot be asked")
    assert "nines galera recover --without node02" in outage.said, outage.said
    two.set_away(False)
    outage.must_recover(3)


def an_attempt_at_a_second_primary(outage):
    """One host is cut off from the others, which are at work, and is told to bring it all back."""
    one, two, three = outage.members
    one.kill()
    outage.end_load()
    uuid = two.status("wsrep_cluster_state_uuid")
    two.set_away(True)
    three.set_away(True)
    assert outage.recover(1) == 1, outage.said
    assert "node02, node03 cannot be asked: each may be ahead" in outage.said, outage.said
    run = ["--run", "by-hand"]
    assert two.nines("member", "claim", *run).returncode == 0
    for action in ("bootstrap", "promote"):
        done = two.nines("member", action, *run, "--at", f"{uuid}:1")
        assert done.returncode == 1 and "its server " in done.stderr, done
    assert two.nines("member", "release", *run).returncode == 0
    two.set_away(False)
    three.set_away(False)
    assert outage.recover(1) == 0, outage.said
    assert "bootstrapping" not in outage.said, outage.said


def power_cut_during_a_state_transfer(outage):
    outage.end_load()
    one, _, three = outage.members
    three.kill()
    shutil.rmtree(three.data)
    os.mkdir(three.data)
    three.own()
    one.wait_synced()
    outage.writers = outage.cluster.write([one])
    three.start()
    wait_until(lambda: os.path.exists(f"{three.data}/ibdata1"), 40, "files arrive at node03")
    outage.kill_all()
    # node03 has some of the files, and is never in front; with --without it is filled anew.
    code = outage.recover(1)
    if code != 0:
        assert "node03" in outage.said, outage.said
        assert outage.recover(1, "--without", "node03") == 0, outage.said
    assert "bootstrapping node03" not in outage.said, outage.said


def nines_killed_in_each_step(outage):
    outage.kill_in_order(1, 2, 3)
    positions = outage.positions()
    two = outage.members[1]
    steps = ["is the most advanced", "bootstrapping ", "a primary component is there", "starting ",
             "starting "]
    said = ""
    for step in steps:
        run = outage.cluster.host.start(two.nines_command("recover"), name="recovery")
        wait_until(lambda r=run, s=step: s in r.log() or not r.alive(), 60, f"'{step}'")
        run.signal(signal.SIGKILL)
        run.wait()
        said += run.log()
    code = outage.recover(2)
    said += outage.said
    assert code == 0 and "going on with the recovery" in said, said
    begun = set(re.findall(r"bootstrapping (\S+) at", said))
    assert len(begun) == 1, said
    outage.must_have_begun_with_the_newest(positions, said)


SHAPES = (all_at_once, staggered_3_2_1, staggered_1_3_2, staggered_2_1_3, one_disk_lost,
          one_grastate_corrupt, one_view_missing, crash_in_the_middle_of_the_recovery,
          one_unreachable, an_attempt_at_a_second_primary, power_cut_during_a_state_transfer,
          nines_killed_in_each_step)


@test
def twelve_shapes_of_outage_lose_no_acknowledged_commit(scope):
    if not FULL:
        raise Skip("takes some minutes: NINES_FULL=1")
    cluster = new_cluster(scope)
    cluster.kept = []
    cluster.start_all()
    only = os.environ.get("NINES_SHAPES", "").split()  # names, for whoever looks into one
    for shape in SHAPES:
        if only and shape.__name__ not in only:
            continue
        begun = time.monotonic()
        outage = Outage(cluster)
        try:
            shape(outage)
            for member in cluster.members:
                member.wait_synced()
            lost = cluster.missing(cluster.kept)
            assert lost == [], f"{len(lost)} lost, the first {lost[:5]}\n{outage.said}"
        except Exception:
            print(f"  in {shape.__name__}; nines said:\n{outage.said}")
            raise
        print(f"  {shape.__name__}: {len(cluster.kept)} acknowledged commits are all there, "
              f"{time.monotonic() - begun:.0f} s")
    assert len(SHAPES) == 12


main()
