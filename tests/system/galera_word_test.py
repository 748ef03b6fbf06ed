#!/usr/bin/python3
"""The balancer's galera-check answered by what the manager plane hears, with real Galera servers: what
it saves in logins, how fast a member that is of no use leaves beside a check that asks by itself, and
what happens when the manager is stuck."""
# timeout: 240

import json
import os
import signal
import subprocess
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))
sys.path.insert(0, HERE)
from nines_test import NINES, main, test, wait_until  # noqa: E402
from galera_lib import new_cluster  # noqa: E402
from proxy_lib import server_column  # noqa: E402

# The kit's own intervals for a database.
SERVER = "check inter 2000 rise 2 fall 3"


class Balancer:
    """`nines run` with a balancer before all members; with `galera` a manager plane as well."""

    def __init__(self, scope, cluster, name, port, galera):
        self.cluster, self.name = cluster, name
        self.control = scope.path(f"{name}.control")
        self.socket = scope.path(f"{name}.stats")
        servers = "".join(f"  server {m.name} {m.address}:3306 {SERVER}\n" for m in cluster.members)
        haproxy = scope.write(f"{name}.cfg", f"""global
  stats socket {self.socket} level admin
defaults
  mode tcp
  timeout connect 2s
  timeout client 10s
  timeout server 10s
  timeout check 2s
listen mariadb
  bind 127.0.0.100:{port}
  option galera-check credentials {cluster.credentials}
{servers}""")
        text = f"control: {self.control}\nhaproxy: {haproxy}\n"
        if galera:
            with open(cluster.members[0].config, encoding="utf-8") as file:
                text += file.read()
        config = scope.write(f"{name}.yaml", text)
        self.process = cluster.host.start([NINES, "run", "-c", config], name=name)
        wait_until(lambda: all(self.status(m.name).startswith("UP") for m in cluster.members),
                   20, "all are up")

    def status(self, server):
        return server_column(self.socket, "mariadb", server, "status")

    def answered_by(self):
        told = self.nines_status("--json")
        return {each["server"].split("/")[1]: each["answered_by"]
                for each in json.loads(told.stdout).get("galera_checks", [])}

    def nines_status(self, *arguments):
        return subprocess.run([*self.cluster.host.enter, "--", NINES, "status", "--control",
                               self.control, *arguments], capture_output=True, text=True,
                              timeout=30, check=False)


def seconds_to_down(balancers, member, timeout=30):
    """How long each takes from now until it sends nobody to that member."""
    begun, took = time.monotonic(), {}
    while len(took) < len(balancers):
        for each in balancers:
            if each.name not in took and each.status(member).startswith("DOWN"):
                took[each.name] = time.monotonic() - begun
        assert time.monotonic() - begun < timeout, took
        time.sleep(0.02)
    return took


def all_up(balancers, cluster):
    wait_until(lambda: all(b.status(m.name).startswith("UP")
                           for b in balancers for m in cluster.members), 40, "all are up again")


@test
def the_managers_word_saves_logins_and_is_faster(scope):
    cluster = new_cluster(scope)
    cluster.start_all()
    told = Balancer(scope, cluster, "told", 3306, galera=True)
    wait_until(lambda: set(told.answered_by().values()) == {"manager"}, 20, "words answer")
    assert "galera-check by what the manager hears: mariadb/node01, mariadb/node02, mariadb/node03" \
        in told.nines_status().stdout, told.nines_status().stdout

    # Logins: at most the proof that each server owes once in 30 s, where a check of its own has six.
    one = cluster.members[1]

    def connections():
        return int(one.status("Connections"))
    before = connections()
    time.sleep(12)
    with_words = connections() - before - 1  # the question's own
    asked = Balancer(scope, cluster, "asked", 3307, galera=False)
    assert set(asked.answered_by().values()) == {"own"}, asked.answered_by()
    before = connections()
    time.sleep(12)
    both = connections() - before - 1
    print(f"logins in 12 s: {with_words} with the manager's word, {both - with_words} without")
    assert with_words <= 1 and both - with_words >= 5, (with_words, both)
    balancers = [told, asked]

    # Not in the primary component: it lives, listens and refuses all statements.
    node = cluster.members[2]
    for _ in range(3):
        # It leaves while the statement is still being carried out.
        leaving = threading.Thread(target=node.sql, args=("SET GLOBAL wsrep_cluster_address=''",))
        leaving.start()
        took = seconds_to_down(balancers, "node03")
        leaving.join()
        print(f"left the cluster: DOWN after {took['told']:.2f} s by the manager's word, "
              f"{took['asked']:.2f} s by a check of its own")
        assert took["told"] < 3.0, took
        node.sql("SET GLOBAL wsrep_cluster_address='gcomm://127.0.0.1,127.0.0.2,127.0.0.3'")
        all_up(balancers, cluster)
    assert ", as the manager heard " in told.process.log(), told.process.log()

    # Stopped: its kernel accepts, nobody greets. Whoever is in doubt asks himself.
    stopped = cluster.members[1]
    os.kill(stopped.pid(), signal.SIGSTOP)
    try:
        took = seconds_to_down(balancers, "node02")
    finally:
        os.kill(stopped.pid(), signal.SIGCONT)
    print(f"SIGSTOP: DOWN after {took['told']:.2f} s, {took['asked']:.2f} s by a check of its own")
    assert took["told"] < took["asked"] + 1.5, took
    stopped.wait_synced()
    all_up(balancers, cluster)


@test
def a_manager_that_is_stuck_is_not_believed_and_holds_nobody_up(scope):
    cluster = new_cluster(scope, count=2)
    cluster.start_all()
    told = Balancer(scope, cluster, "told", 3306, galera=True)
    wait_until(lambda: set(told.answered_by().values()) == {"manager"}, 20, "words answer")
    manager = next(plane["pid"] for plane in json.loads(told.nines_status("--json").stdout)["planes"]
                   if plane["name"] == "manager")
    os.kill(manager, signal.SIGSTOP)
    worst = 0
    for _ in range(3):
        begun = time.monotonic()
        shown = told.nines_status()
        worst = max(worst, time.monotonic() - begun)
        if "the manager does not answer" in shown.stdout:
            break
        time.sleep(0.2)
    print(f"nines status took {worst:.2f} s with a stuck manager")
    assert "the manager does not answer" in shown.stdout, shown.stdout
    assert worst < 1.0, worst
    wait_until(lambda: "own" in told.answered_by().values(), 10, "it asks by itself")
    assert all(told.status(m.name).startswith("UP") for m in cluster.members)
    # The stuck one is killed, another begins, and words answer again.
    wait_until(lambda: set(told.answered_by().values()) == {"manager"}, 30, "words answer again")
    told.process.signal(signal.SIGTERM)
    assert told.process.wait() == 0


main()
