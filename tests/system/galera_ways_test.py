#!/usr/bin/python3
"""Clusters that are not three processes: servers that only the operator's own commands start, as of
a container, two members with a real arbitrator (garbd), and members that wait for each other."""
# timeout: 400

import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))
sys.path.insert(0, HERE)
from nines_test import Skip, main, test, wait_until  # noqa: E402
from galera_lib import MARIADBD, Cluster, new_cluster  # noqa: E402

GARBD = "/usr/bin/garbd"

# What a container's entry point does: it finds out by itself where its server begins.
_SERVE = """#!/bin/sh -e
echo "$1" >> {folder}/orders
if [ "$1" = stop ]; then exec kill "$(cat {folder}/pid)"; fi
position=$({server} --wsrep-recover --disable-log-error 2>&1 |
  sed -n 's/.*Recovered position: *//p' | tail -1)
[ "$1" = bootstrap ] && new=--wsrep-new-cluster
setsid {server} ${{position:+--wsrep_start_position=$position}} $new >/dev/null 2>&1 </dev/null &
"""


class ClusterOfCommands(Cluster):
    def nines_yaml(self, member):
        server = f"{MARIADBD} --defaults-file={member.folder}/my.cnf"
        path = self.scope.write(f"serve-{member.name}",
                                _SERVE.format(folder=member.folder, server=server), mode=0o755)
        process = f"    process: [{server.replace(' ', ', ')}]\n"
        text = super().nines_yaml(member)
        assert process in text, text
        return text.replace(
            process, f"    recover: [{server.replace(' ', ', ')}]\n    command:\n" + "".join(
                f"      {verb}: [{path}, {verb}]\n" for verb in ("start", "bootstrap", "stop")))


def orders(member):
    with open(f"{member.folder}/orders", encoding="utf-8") as file:
        return file.read().split()


@test
def the_operators_commands_start_and_stop_the_servers(scope):
    cluster = new_cluster(scope, kind=ClusterOfCommands)
    cluster.start_all()
    one, two, three = cluster.members
    writers = cluster.write(cluster.members)
    # Another view than node03's: whether they are at one position or not, nobody reforms it.
    three.kill()
    wait_until(lambda: one.status("wsrep_cluster_size") == "2", 30, "a view without node03")
    two.kill()
    one.kill()
    kept = [row for writer in writers for row in writer.stop()]
    said = two.must("recover")
    assert "all members are in the primary component" in said, said
    assert cluster.missing(kept) == [], said
    begun = [member for member in cluster.members if orders(member) == ["bootstrap"]]
    joined = [member for member in cluster.members if orders(member) == ["start"]]
    assert len(begun) == 1 and len(joined) == 2, [orders(member) for member in cluster.members]

    said = two.must("restart", "--last", one.name)
    assert "all members are synced" in said, said
    assert all(orders(member)[1:] == ["stop", "start"] for member in cluster.members), said
    assert cluster.missing(kept) == [], said


@test
def an_arbitrator_votes_and_is_never_counted_as_data(scope):
    if not os.path.exists(GARBD):
        raise Skip(f"tools/deps lab-real has not been run: there is no {GARBD}")
    cluster = new_cluster(scope, count=2, settings="  arbitrators: [127.0.0.3]\n")
    cluster.start_all()
    one, two = cluster.members
    # It has to be as quick as the members: they drop who agrees to a new view too late.
    cluster.host.start(
        [GARBD, "--group", "test", "--address", "gcomm://127.0.0.1:4567,127.0.0.2:4567",
         "--options", "gmcast.listen_addr=tcp://127.0.0.3:4567;evs.keepalive_period=PT0.25S;"
         "evs.inactive_check_period=PT0.2S;evs.suspect_timeout=PT1S;evs.inactive_timeout=PT3S;"
         "evs.install_timeout=PT3S"], name="garbd")
    wait_until(lambda: one.status("wsrep_cluster_size") == "3", 30, "the arbitrator is there")
    said = one.must("status")
    assert "2 of 2 members synced" in said and "(2 with data, 1 arbitrator)" in said, said
    assert "arbitrators: 1 of 1 seen; they vote and hold no data" in said, said

    # With its vote the other member goes on, and takes the one that died back.
    writers = cluster.write([one])
    two.kill()
    count = len(writers[0].acknowledged)
    wait_until(lambda: one.state() == "Primary Synced" and
               one.status("wsrep_cluster_size") == "2", 30, "two votes of three are a majority")
    said = one.must("recover")
    assert "starting node02" in said and "bootstrapping" not in said, said
    kept = writers[0].stop()
    assert len(kept) >= count and cluster.missing(kept) == [], said
    assert "arbitrators: 1 of 1 seen" in one.must("status")


@test
def members_that_wait_for_each_other_in_vain_are_ended(scope):
    cluster = new_cluster(scope)
    cluster.start_all()
    one, two, three = cluster.members
    writers = cluster.write([one])
    kept = [row for writer in writers for row in writer.stop()]
    wait_until(lambda: len({m.status("wsrep_last_committed") for m in cluster.members}) == 1, 20,
               "all are at one position")
    for member in cluster.members:
        member.kill()
    # Its server will find nobody: the view that all know is never whole.
    with open(f"{three.folder}/my.cnf", encoding="utf-8") as file:
        settings = file.read()
    three.set("wsrep_cluster_address=gcomm://127.0.0.9",
              'wsrep_provider_options="gmcast.listen_addr=tcp://127.0.0.3:14567"')
    recovery = cluster.host.start(two.nines_command("recover"), name="recover")
    wait_until(lambda: "no primary component came by itself" in recovery.log(), 100,
               "the members reform nothing")
    with open(f"{three.folder}/my.cnf", "w", encoding="utf-8") as file:
        file.write(settings)
    assert recovery.wait(60) == 0, recovery.log()
    said = recovery.log()
    assert "bootstrapping" in said and "all members are in the primary component" in said, said
    assert cluster.missing(kept) == [], said


main()
