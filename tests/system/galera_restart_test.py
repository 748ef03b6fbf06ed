#!/usr/bin/python3
"""`nines galera restart` on a real cluster under load: one member after another, each once all are
synced, and what a crash of nines in the middle leaves to be gone on with."""
# timeout: 200

import os
import signal
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))
sys.path.insert(0, HERE)
from nines_test import main, test, wait_until  # noqa: E402
from galera_lib import new_cluster  # noqa: E402


def restart(member, *arguments):
    done = member.nines("restart", *arguments, timeout=120)
    return done.returncode, done.stdout + done.stderr


@test
def members_are_restarted_one_after_another(scope):
    cluster = new_cluster(scope)
    cluster.start_all()
    one, two, three = cluster.members
    before = [member.pid() for member in cluster.members]
    uuid = one.status("wsrep_cluster_state_uuid")
    writers = cluster.write([one])

    # Clients of node01 notice nothing of the others' restart; node01 itself is the last.
    code, said = restart(two, "--last", "node01", "--only", "node02", "--only", "node03")
    assert code == 0 and "all members are synced" in said, said
    assert said.index("stopping node02") < said.index("node02 is synced") \
        < said.index("stopping node03") < said.index("node03 is synced"), said
    count = len(writers[0].acknowledged)
    wait_until(lambda: len(writers[0].acknowledged) > count + 20, what="commits go on")
    kept = writers[0].stop()
    after = [member.pid() for member in cluster.members]
    assert after[0] == before[0] and after[1] != before[1] and after[2] != before[2], after
    assert cluster.missing(kept) == [], said
    assert one.status("wsrep_cluster_state_uuid") == uuid

    # Not while one is not synced.
    one.sql("SET GLOBAL wsrep_desync=ON")
    code, said = restart(two, "--only", "node02")
    assert code == 1 and "REFUSED: node01 is a donor, or desynced" in said, said
    assert two.pid() == after[1], said
    one.sql("SET GLOBAL wsrep_desync=OFF")
    one.wait_synced()
    code, said = restart(two, "--only", "node09")
    assert code == 3 and "no member is named node09" in said, said

    # nines dies while node03 is down: recover goes on with it, another restart does not.
    run = cluster.host.start(two.nines_command("restart", "--only", "node03"), name="restart")
    wait_until(lambda: "stopping node03" in run.log(), 20, "it has begun")
    run.signal(signal.SIGKILL)
    run.wait()
    code, said = restart(two)
    assert code == 1 and "nines galera recover goes on with it" in said, said
    done = two.nines("recover", timeout=120)
    assert done.returncode == 0 and "going on with the recovery" in done.stdout, done
    for member in cluster.members:
        member.wait_synced()
    assert cluster.missing(kept) == []

    # One that does not come back is the last that is touched.
    three.set("no_such_setting=1")
    code, said = restart(one, "--only", "node03", "--only", "node02", "--last", "node02")
    assert code == 1 and "REFUSED: node03 does not stay up" in said, said
    assert "stopping node02" not in said, said
    assert one.state() == two.state() == "Primary Synced"


main()
