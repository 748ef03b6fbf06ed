#!/usr/bin/python3
"""What `nines galera` says of a real Galera cluster, and does for one, while its servers are killed
and stopped."""
# timeout: 280

import json
import os
import shutil
import signal
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))
sys.path.insert(0, HERE)
from nines_test import main, test, wait_until  # noqa: E402
from galera_lib import new_cluster  # noqa: E402


def states(member):
    """What `status --json` says: exit code, {name: state}, and all of it."""
    done = member.nines("status", "--json")
    told = json.loads(done.stdout)
    return done.returncode, {m["name"]: m["state"] for m in told["members"]}, told


def evidence(member):
    done = member.nines("evidence")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "nines galera evidence 1" and lines[-1] == "end", done.stdout
    return dict(line.split(": ", 1) for line in lines[1:-1])


@test
def status_and_evidence_tell_the_truth_in_each_state(scope):
    cluster = new_cluster(scope)
    cluster.start_all()
    one, two, three = cluster.members

    code, seen, told = states(one)
    assert code == 0 and set(seen.values()) == {"synced"}, told
    uuid = told["uuid"]
    facts = evidence(one)
    assert facts["server"] == "primary" and facts["status"].startswith(uuid), facts

    one.sql("SET GLOBAL wsrep_desync=ON")
    code, seen, told = states(two)
    assert code == 1 and seen["node01"] == "desynced", told
    one.sql("SET GLOBAL wsrep_desync=OFF")
    wait_until(lambda: states(one)[0] == 0, what="node01 is synced again")

    three.kill()
    code, seen, told = states(one)
    assert code == 1 and seen["node03"] == "lost", told
    one.sql("INSERT INTO test.commits VALUES (1, 'node01')", timeout=30)
    seqno = states(one)[2]["members"][0]["seqno"]
    facts = evidence(three)
    assert facts["server"] == "down" and facts["grastate"] == f"{uuid}:-1 unsafe", facts
    # grastate.dat says nothing of how far it came, the storage engine does.
    history, recovered = facts["recovered"].split(":")
    assert history == uuid and 0 < int(recovered) < seqno, (facts, seqno)

    two.process.signal(signal.SIGSTOP)
    wait_until(lambda: one.state().startswith("non-Primary"), 20, "node01 has no majority")
    code, seen, told = states(one)
    assert seen["node02"] == "lost" and not told["primary"], told
    assert evidence(one)["server"] == "non-primary"
    stopped = evidence(two)
    assert stopped["server"] == "starting" and "recovered" not in stopped, stopped

    # node01 runs without a majority and has more than node03, which is down; what node02 is
    # nobody knows as long as its process hangs.
    done = one.nines("recover", "--dry-run")
    assert done.returncode == 0 and "wait: node02's server is starting" in done.stdout, done
    two.kill()
    done = three.nines("recover", "--dry-run")
    assert done.returncode == 0 and "promote node01: " in done.stdout, done
    assert "2. start node02, and wait until it is synced\n  3. start node03" in done.stdout, done
    one.kill()
    done = three.nines("recover", "--dry-run")
    assert done.returncode == 0 and "bootstrap node01: " in done.stdout, done
    one.set_away(True)
    done = three.nines("recover", "--dry-run")
    assert done.returncode == 1 and "REFUSED: node01 cannot be asked" in done.stdout, done
    assert "no route to host" in done.stdout, done
    done = three.nines("recover", "--dry-run", "--without", "node01")
    assert done.returncode == 0 and "bootstrap node02: " in done.stdout, done
    told = scope.write("evidence", one.nines("evidence").stdout)
    done = three.nines("recover", "--dry-run", "--evidence", told)
    assert done.returncode == 0 and "bootstrap node01: " in done.stdout, done

    # A file that a power cut left damaged is told, and so is the position all the same.
    with open(f"{three.data}/grastate.dat", "wb") as file:
        file.write(b"\0" * 512)
    facts = evidence(three)
    assert "grastate.dat:1" in facts["grastate-fault"] and "recovered" in facts, facts


@test
def a_look_that_finds_changes_tells_them(scope):
    cluster = new_cluster(scope, count=1)
    one, = cluster.members
    one.start("--wsrep-new-cluster")
    one.wait_synced()
    watch = cluster.host.start(one.nines_command("status", "--watch"), name="watch")
    wait_until(lambda: "node01 synced: primary component of 1" in watch.log(), what="its state")
    one.kill()
    wait_until(lambda: "node01 synced > lost: " in watch.log(), what="the change")


def recover(member, *arguments):
    done = member.nines("recover", *arguments, timeout=120)
    return done.returncode, done.stdout + done.stderr


@test
def outages_end_with_the_right_member_and_lose_no_acknowledged_commit(scope):
    cluster = new_cluster(scope)
    cluster.start_all()
    one, two, three = cluster.members
    kept = []

    # All at once, under load. What one member committed last the others may only have received.
    writers = cluster.write(cluster.members)
    for pid in [member.pid() for member in cluster.members]:
        os.kill(pid, signal.SIGKILL)
    for member in cluster.members:
        member.kill()
    kept += [row for writer in writers for row in writer.stop()]
    positions = {m.name: int(evidence(m)["recovered"].rsplit(":", 1)[1]) for m in cluster.members}
    code, said = recover(two)
    assert code == 0 and "all members are in the primary component" in said, said
    if len(set(positions.values())) == 1:
        assert "all members agree on the last view" in said, said
    else:
        newest = [name for name in positions if positions[name] == max(positions.values())]
        assert any(f"bootstrapping {name} at" in said for name in newest), (positions, said)
    assert cluster.missing(kept) == [], (positions, said)
    uuid = states(one)[2]["uuid"]
    assert uuid.strip("0-"), "the component that reformed has no history"

    # A primary component lives: nobody begins another, by whatever way.
    run = ["--run", "by-hand"]
    done = three.nines("member", "bootstrap", *run, "--at", f"{uuid}:1")
    assert done.returncode == 1 and "no recovery has claimed it" in done.stderr, done
    assert three.nines("member", "claim", *run).returncode == 0
    for action in ("bootstrap", "promote", "stop", "start"):
        done = three.nines("member", action, *run, "--at", f"{uuid}:1")
        assert done.returncode == 1 and "its server " in done.stderr, done
    code, said = recover(one)
    assert code == 0, said
    two.kill()
    code, said = recover(one)
    assert code == 1 and "by-hand has it in its hands" in said, said
    assert three.nines("member", "release", *run).returncode == 0

    # One after the other, under load, and one host cut off; nines is killed once it has begun.
    # node02 is down already, so that node01 has no majority once node03 is dead.
    writers = cluster.write([one, three])
    three.kill()
    wait_until(lambda: one.state() != "Primary Synced", 20, "node01 has no majority")
    one.kill()
    kept += [row for writer in writers for row in writer.stop()]
    one.set_away(True)
    code, said = recover(two)
    assert code == 1 and "REFUSED: node01 cannot be asked" in said, said
    assert "nines galera recover --without node01" in said, said
    one.set_away(False)
    first = cluster.host.start(three.nines_command("recover"), name="first-recovery")
    wait_until(lambda: "bootstrapping" in first.log(), 20, "it begins")
    first.signal(signal.SIGKILL)
    first.wait()
    assert "bootstrapping node02" not in first.log(), first.log()
    code, said = recover(three)
    assert code == 0 and "going on with the recovery" in said, said
    assert cluster.missing(kept) == [], said

    # A disk is lost: it may only not be mounted, until somebody says otherwise.
    for member in cluster.members:
        member.kill()
    shutil.rmtree(three.data)
    os.mkdir(three.data)
    three.own()
    code, said = recover(one)
    assert code == 1 and "node03 has no database" in said, said
    code, said = recover(one, "--without", "node03")
    assert code == 0 and "starting node03" in said, said
    assert cluster.missing(kept) == [], said
    assert states(two)[0] == 0


@test
def the_survivor_of_three_is_promoted_by_a_word_that_is_true(scope):
    cluster = new_cluster(scope)
    cluster.start_all()
    one, two, three = cluster.members
    words = ("--without", "node02", "--without", "node03")

    # Cut off from the others, which are a primary component and take writes; their hosts cannot be
    # asked. A word that they are off is not true, and their servers say so.
    one.sql("SET GLOBAL wsrep_provider_options='gmcast.isolate=1'")
    wait_until(lambda: one.state().startswith("non-Primary"), 20, "node01 has no majority")
    two.set_away(True)
    three.set_away(True)
    code, said = recover(one)
    assert code == 1 and "REFUSED: node02, node03 cannot be asked" in said, said
    assert "nines galera recover --without node02 --without node03" in said, said
    code, said = recover(one, *words)
    assert code == 1 and "REFUSED: nobody can go on without node02 while a server answers" in said
    assert one.state().startswith("non-Primary") and two.state() == "Primary Synced"
    one.sql("SET GLOBAL wsrep_provider_options='gmcast.isolate=0'")
    one.wait_synced()

    # Dead, one after the other, under load: now it is true.
    writers = cluster.write([one])
    two.kill()
    wait_until(lambda: one.state() == "Primary Synced" and one.status("wsrep_cluster_size") == "2",
               20, "two are left")
    three.kill()
    wait_until(lambda: one.state().startswith("non-Primary"), 20, "node01 has no majority")
    kept = [row for writer in writers for row in writer.stop()]
    code, said = recover(one, *words)
    assert "promoting node01 at " in said and "a primary component is there" in said, said
    assert "node02 is not in the component" in said and code == 1, said
    assert one.state() == "Primary Synced", said
    one.sql("INSERT INTO test.commits VALUES (1, 'after')")

    # They come back behind it, and take what they have not.
    two.set_away(False)
    three.set_away(False)
    code, said = recover(one)
    assert code == 0 and "promoting" not in said and "bootstrapping" not in said, said
    assert cluster.missing([*kept, 1]) == [], said


main()
