#!/usr/bin/python3
"""`nines run` watching a real Galera cluster: states with their reasons and history in `nines status`
and `nines galera history`, metrics, one kept connection to each server."""
# timeout: 120

import json
import os
import re
import signal
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))
sys.path.insert(0, HERE)
from nines_test import NINES, main, test, wait_until  # noqa: E402
from galera_lib import new_cluster  # noqa: E402


class Daemon:
    """`nines run` on a member's host, with the database alone."""

    def __init__(self, scope, member):
        self.member, self.control = member, scope.path("control.sock")
        self.metrics = scope.path("nines.prom")
        with open(member.config, encoding="utf-8") as file:
            text = file.read()
        with open(member.config, "w", encoding="utf-8") as file:
            file.write(f"control: {self.control}\n{text}  metrics: {self.metrics}\n")
        self.process = member.cluster.host.start([NINES, "run", "-c", member.config], name="run")
        wait_until(lambda: "looks" in self.status().get("galera", {}), what="a first look")

    def status(self):
        done = self.ask("status", "--json", "--control", self.control)
        return json.loads(done.stdout) if done.returncode in (0, 1) else {}

    def state(self, name):
        members = self.status()["galera"]["members"]
        return next(each["state"] for each in members if each["name"] == name)

    def ask(self, *arguments):
        return subprocess.run([*self.member.cluster.host.enter, "--", NINES, *arguments],
                              capture_output=True, text=True, timeout=30, check=False)

    def galera(self, *arguments):
        return self.ask("galera", *arguments, "-c", self.member.config)


@test
def a_daemon_watches_the_cluster_and_tells_it(scope):
    cluster = new_cluster(scope, count=2)
    one, two = cluster.members
    one.start("--wsrep-new-cluster")
    one.wait_synced()
    daemon = Daemon(scope, one)
    assert daemon.state("node01") == "synced" and daemon.state("node02") == "lost"
    told = daemon.ask("status", "--control", daemon.control)
    assert told.returncode == 0, told  # the daemon is well, whatever the database is
    assert "manager serving" in told.stdout and "1 of 2 members synced" in told.stdout, told.stdout
    assert re.search(r"node02 +lost +- .*Can't connect", told.stdout), told.stdout

    # Looks go on and take no further connection.
    looks = daemon.status()["galera"]["looks"]
    before = int(one.status("Connections"))
    wait_until(lambda: daemon.status()["galera"]["looks"] >= looks + 4, 20, "four looks")
    assert int(one.status("Connections")) - before == 1, "only the test's own"

    two.start()
    wait_until(lambda: daemon.state("node02") == "synced", 40, "node02 is seen to come")
    page = daemon.galera("metrics").stdout
    assert 'nines_galera_member_state{member="node02",state="synced"} 1\n' in page, page
    assert "nines_galera_members_synced 2\n" in page, page
    with open(daemon.metrics, encoding="utf-8") as file:
        assert "nines_galera_looks_total" in file.read()

    two.kill()
    wait_until(lambda: daemon.state("node02") == "lost", 20, "node02 is seen to go")
    changes = json.loads(daemon.galera("history", "--json").stdout)
    seen = [each["state"] for each in changes if each["member"] == "node02"]
    assert seen[0] == "lost" and seen[-2:] == ["synced", "lost"], changes
    assert [each["at"] for each in changes] == sorted(each["at"] for each in changes), changes
    assert "node02: synced > lost: " in daemon.process.log(), daemon.process.log()

    # A claim of a recovery is a state of its own, while its server is down.
    one.kill()
    assert one.nines("member", "claim", "--run", "by-hand").returncode == 0
    wait_until(lambda: daemon.state("node01") == "recovering", 20, "the claim is seen")

    # A manager that dies is replaced; nothing else of the daemon is.
    manager = next(p for p in daemon.status()["planes"] if p["name"] == "manager")
    os.kill(manager["pid"], signal.SIGKILL)
    wait_until(lambda: "looks" in daemon.status()["galera"]
               and next(p for p in daemon.status()["planes"])["restarts"] == 1,
               20, "another manager looks")
    daemon.process.signal(signal.SIGTERM)
    assert daemon.process.wait() == 0
    done = daemon.galera("history")
    assert done.returncode == 3 and "no daemon answers" in done.stderr, done


@test
def bad_credentials_stop_no_daemon(scope):
    cluster = new_cluster(scope, count=1)
    one, = cluster.members
    os.chmod(cluster.credentials, 0o644)
    control = scope.path("control.sock")
    with open(one.config, "a", encoding="utf-8") as file:
        file.write(f"control: {control}\n")
    run = cluster.host.start([NINES, "run", "-c", one.config], name="run")
    wait_until(lambda: os.path.exists(control), what="the daemon runs")
    done = subprocess.run([*cluster.host.enter, "--", NINES, "status", "--control", control],
                          capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0 and "galera: not watched: " in done.stdout, done
    # Mended and reloaded, it is watched.
    os.chmod(cluster.credentials, 0o600)
    with open(one.config, "a", encoding="utf-8") as file:
        file.write("stop: {drain: 1s}\n")
    run.signal(signal.SIGHUP)

    def is_watched():
        told = subprocess.run([*cluster.host.enter, "--", NINES, "status", "--control", control],
                              capture_output=True, text=True, timeout=30, check=False)
        return "0 of 1 members synced" in told.stdout
    wait_until(is_watched, 20, "it is watched after the reload")
    run.signal(signal.SIGTERM)
    assert run.wait() == 0


main()
