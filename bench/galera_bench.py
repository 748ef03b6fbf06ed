#!/usr/bin/python3
"""How long a Galera cluster takes from power-on to three synced: nines recover, and by hand."""

import argparse
import os
import re
import statistics
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "tests", "lib"))
sys.path.insert(0, os.path.join(HERE, "..", "tests", "system"))
from nines_test import Scope, wait_until  # noqa: E402
from galera_lib import MARIADBD, new_cluster  # noqa: E402


def all_synced(cluster):
    for member in cluster.members:
        member.wait_synced(90)


def by_nines(cluster):
    """What it says, each line with its time."""
    done = cluster.members[0].nines("recover", timeout=180)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def positions(cluster):
    """{member: (history, seqno)} as the storage engines tell it, all asked at once."""
    asked = [(member, subprocess.Popen(
        [*cluster.host.enter, "--", MARIADBD, f"--defaults-file={member.folder}/my.cnf",
         "--wsrep-recover", "--disable-log-error"],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True))
             for member in cluster.members]
    told = {}
    for member, process in asked:
        history, seqno = re.findall(r"Recovered position: (\S+):(\d+)",
                                    process.communicate()[0])[-1]
        told[member] = (history, int(seqno))
    return told


def by_hand(cluster, are_told=True):
    """The runbook by somebody who makes no mistake and needs no time to read, think and type: every
    position, the newest is marked safe and begins, the others one after another once the one before
    is synced. Each is told where it begins, as Debian's unit does."""
    found = positions(cluster)
    where = {member: [f"--wsrep_start_position={history}:{seqno}"] if are_told else []
             for member, (history, seqno) in found.items()}
    newest = max(cluster.members, key=lambda member: found[member][1])
    path = f"{newest.data}/grastate.dat"
    with open(path, encoding="utf-8") as file:
        text = file.read()
    with open(path, "w", encoding="utf-8") as file:
        file.write(re.sub(r"safe_to_bootstrap:.*", "safe_to_bootstrap: 1", text))
    newest.start("--wsrep-new-cluster", *where[newest])
    newest.wait_synced(90)
    for member in cluster.members:
        if member is not newest:
            member.start(*where[member])
            member.wait_synced(90)


def by_hand_plainly(cluster):
    """The same with servers that are started without a position: a new history begins, and the
    others take everything."""
    by_hand(cluster, are_told=False)


WAYS = [("nines", by_nines), ("by hand", by_hand), ("by hand, plainly", by_hand_plainly)]


def go_down(cluster, is_staggered):
    """Under load, and what was acknowledged."""
    writers = cluster.write(cluster.members)
    if is_staggered:
        one, two, three = cluster.members
        three.kill()
        wait_until(lambda: one.status("wsrep_cluster_size") == "2", 30, "node03 is out")
        two.kill()
        wait_until(lambda: one.state() != "Primary Synced", 30, "node01 has no majority")
    for member in cluster.members:
        member.kill()
    return [row for writer in writers for row in writer.stop()]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--first", type=int, default=1, help="the number of the first run")
    parser.add_argument("--story", action="store_true", help="show what nines says, with its times")
    parser.add_argument("--out", help="a file for the rows (tab-separated)")
    options = parser.parse_args()
    rows = ["outage\tway\trun\tseconds\tlost"]
    taken = {}
    with Scope("galera-bench") as scope:
        cluster = new_cluster(scope)
        cluster.start_all()
        for run in range(options.first, options.first + options.runs):
            for outage in ("at once", "staggered"):
                for name, way in WAYS[run % 3:] + WAYS[:run % 3]:
                    kept = go_down(cluster, outage == "staggered")
                    begun = time.monotonic()
                    said = way(cluster)
                    all_synced(cluster)
                    took = time.monotonic() - begun
                    lost = len(cluster.missing(kept))
                    taken.setdefault((outage, name), []).append(took)
                    rows.append(f"{outage}\t{name}\t{run}\t{took:.2f}\t{lost}")
                    print(rows[-1], flush=True)
                    if options.story and said:
                        print(said, flush=True)
    for (outage, name), seconds in taken.items():
        print(f"{outage}, {name}: median {statistics.median(seconds):.1f} s "
              f"({min(seconds):.1f} to {max(seconds):.1f})")
    if options.out:
        with open(options.out, "w", encoding="utf-8") as file:
            file.write("\n".join(rows) + "\n")


main()
