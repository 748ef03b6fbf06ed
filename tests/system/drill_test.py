#!/usr/bin/python3
"""The drills, run whole: with our own balancer, for what it promises, and with the incumbent in its
place, where the outcome is known, so that the measuring itself is tested."""
# timeout: 600

import json
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from nines_test import FULL, NINES, Skip, main, test  # noqa: E402

HAPROXY = "/usr/sbin/haproxy"


def nines(*arguments):
    return subprocess.run([NINES, *arguments], stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, timeout=300)


def lab(scope, *arguments):
    """A lab for the length of the test; its name."""
    if os.geteuid() != 0:
        raise Skip("a lab needs root's rights")
    name = f"drill-{os.getpid()}"
    scope.on_end(nines, "lab", "down", "--name", name)
    made = nines("lab", "up", "--name", name, *arguments)
    assert made.returncode == 0, made.stderr
    return name


def drill(name, *scenarios):
    result = nines("drill", "--json", "--name", name, *scenarios)
    assert result.returncode in (0, 1), result.stderr
    report = json.loads(result.stdout)
    assert report["held"] == (result.returncode == 0)
    return {phase["phase"]: phase for phase in report["phases"]}


def service(phase, proxy):
    return next(each for each in phase["services"] if each["proxy"] == proxy)


def failed(phase):
    return sum(each["failed"] for each in phase["services"])


def all_held(phases):
    for phase in phases.values():
        assert phase["held"], f"{phase['phase']}: {phase['broken']}"


@test
def our_balancer_loses_no_request_and_no_session_when_services_die(scope):
    phases = drill(lab(scope), "service-killed", "database-killed")
    all_held(phases)
    for name in ("service-killed", "database-killed"):
        assert failed(phases[name]) == 0, phases[name]
        # inter 2000 fall 5 would be ten seconds; traffic is evidence, and checks follow at once.
        assert phases[name]["decided_ms"] < 2000, phases[name]["decided_ms"]
    assert phases["database-killed"]["answered_by"] == "node02"
    assert phases["database-returns"]["answered_by"] == "node01"


@test
def our_balancer_reloads_without_losing_a_request(scope):
    name = lab(scope)
    phases = drill(name, "reload", "bad-reload")
    all_held(phases)
    assert all(failed(phase) == 0 for phase in phases.values()), phases
    assert phases["bad-reload"]["same_process"]


@test
def our_balancer_passes_over_what_no_longer_answers(scope):
    phases = drill(lab(scope), "service-stopped", "host-cut")
    all_held(phases)
    # The incumbent needs 18 s to see the cut, and never sees the stop: its clients wait for each
    # request meanwhile. Ours wait once.
    assert phases["host-cut"]["decided_ms"] < 6000, phases["host-cut"]["decided_ms"]
    for name in ("service-stopped", "host-cut"):
        for each in phases[name]["services"]:
            assert each["unfinished"] == 0, each
            assert each["slowest_ms"] < 4000, each


@test
def a_killed_service_costs_no_request(scope):
    phases = drill(lab(scope, "--balancer", HAPROXY), "service-killed")
    all_held(phases)
    killed, returns = phases["service-killed"], phases["service-returns"]
    # HAProxy: five checks of 2 s; the first refused connection is seen at once.
    assert 6000 < killed["decided_ms"] < 12000, killed["decided_ms"]
    assert killed["detected_ms"] <= killed["decided_ms"] <= killed["acted_ms"] + 0.001
    assert 1500 < returns["decided_ms"] < 6000, returns["decided_ms"]
    keystone = service(killed, "keystone_internal")
    # A session each 5 ms for as long as it was watched, as far as this machine kept the pace.
    assert keystone["requests"] > killed["length_ms"] / 5 * 0.5, keystone
    assert len(killed["services"]) == 15


@test
def reloads_good_and_bad_cost_no_request(scope):
    name = lab(scope, "--balancer", HAPROXY)
    phases = drill(name, "reload", "bad-reload")
    all_held(phases)
    assert phases["bad-reload"]["same_process"]
    status = json.loads(nines("lab", "status", "--json", "--name", name).stdout)
    with open(status["configuration"], encoding="utf-8") as file:
        assert "no-such-keyword" not in file.read()


@test
def the_database_moves_to_its_backup_and_back(scope):
    phases = drill(lab(scope, "--balancer", HAPROXY), "database-killed")
    all_held(phases)
    assert phases["database-killed"]["answered_by"] == "node02"
    assert phases["database-returns"]["answered_by"] == "node01"


@test
def a_stopped_service_and_a_cut_host_are_measured(scope):
    if not FULL:
        raise Skip("half a minute of an incumbent's timeouts; only with --full")
    phases = drill(lab(scope, "--balancer", HAPROXY), "service-stopped", "host-cut")
    all_held(phases)
    assert service(phases["service-stopped"], "keystone_internal")["slow"] > 0
    assert phases["host-cut"]["decided_ms"] > 10000


@test
def an_interrupted_drill_mends_what_it_broke(scope):
    name = lab(scope, "--balancer", HAPROXY)
    process = scope.start([NINES, "drill", "--name", name, "service-killed"])

    def keystone():
        status = json.loads(nines("lab", "status", "--json", "--name", name).stdout)
        node02 = next(host for host in status["hosts"] if host["name"] == "node02")
        return next(each for each in node02["services"] if each["name"] == "keystone")["state"]
    scope.wait_until(lambda: keystone() == "ended", what="keystone to be killed")
    process.signal(2)
    assert process.wait() == 1
    assert keystone() == "running"


@test
def usage_and_absence_are_told_by_status(scope):
    assert nines("drill", "no-such-drill").returncode == 2
    assert nines("drill", "--no-such-flag").returncode == 2
    assert nines("drill", "--name", f"none-{os.getpid()}", "reload").returncode == 3
    listed = nines("drill", "--list")
    assert listed.returncode == 0 and "host-cut" in listed.stdout


main()
