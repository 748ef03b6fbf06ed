#!/usr/bin/python3
"""What `nines galera` says of a real Galera cluster, and does for one, while its servers are killed
and stopped."""
# timeout: 120

import json
import os
import signal
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))
sys.path.insert(0, HERE)
from nines_test import Skip, main, test, wait_until  # noqa: E402
from galera_lib import Cluster  # noqa: E402

PROGRAMS = ("/usr/sbin/mariadbd", "/usr/lib/galera/libgalera_smm.so", "/usr/bin/rsync")


def new_cluster(scope, **options):
    missing = [each for each in PROGRAMS if not os.path.exists(each)]
    if missing:
        raise Skip(f"tools/deps lab-real has not been run: there is no {missing[0]}")
    if os.geteuid() != 0:
        raise Skip("servers run as another user, which takes root")
    return Cluster(scope, **options)


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
    assert facts["recovered"] == f"{uuid}:{seqno - 1}", (facts, seqno)

    two.process.signal(signal.SIGSTOP)
    wait_until(lambda: states(one)[1]["node01"] == "non-primary", 20, "node01 has no majority")
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


main()
