#!/usr/bin/python3
"""The drills, run whole: with our own engine, for what it promises, and with the incumbents in its
place, where the outcome is known, so that the measuring itself is tested. What is asserted here
holds on a busy machine: who, whether and how many; of times the order of magnitude."""
# timeout: 900

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


def in_flight(phase):
    return sum(each["failed_in_flight"] for each in phase["services"])


def reasons(phase):
    found = {}
    for each in phase["services"]:
        for reason, count in each["reasons"].items():
            found[reason] = found.get(reason, 0) + count
    return found


def moved(phase):
    return phase["holder_before"] != phase["holder_after"]


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
def the_address_outlives_its_host_and_stays_when_that_returns(scope):
    phases = drill(lab(scope), "nodes-die")
    all_held(phases)
    first, second = phases["node01-dies"], phases["second-dies"]
    assert first["holder_before"] == "node01" and first["holder_after"] != "node01", first
    assert second["holder_before"] == first["holder_after"] and moved(second), second
    for phase in (first, second):
        # Three adverts of a second and a skew.
        assert 2000 < phase["outage_ms"] < 6000, phase["outage_ms"]
        assert phase["ownership"]["before"] == [phase["holder_before"]], phase["ownership"]
        assert phase["ownership"]["after"] == [phase["holder_after"]], phase["ownership"]
        assert phase["ownership"]["nobody"]["longest_ms"] > 1500, phase["ownership"]
        assert phase["sessions_broken"] > 0, phase
    returns = phases["node01-returns"]
    assert not moved(returns) and "node01" in returns["spread"], returns
    # What the published configuration brings with it, as it says itself: told, and no failure.
    assert any("two writers" in each for each in returns["hazards"]), returns
    assert returns["new_sessions_at"] == ["node01"], returns
    assert returns["lasting_sessions_at"] == [second["holder_after"]], returns
    assert phases["second-returns"]["spread"] == ["node01", "node02", "node03"], phases


@test
def a_part_of_our_engine_dies_and_nobody_is_refused(scope):
    phases = drill(lab(scope), "proxy-killed", "owner-killed")
    proxy, owner = phases["proxy-killed"], phases["owner-killed"]
    assert not moved(proxy) and "refused" not in reasons(proxy), proxy
    assert failed(proxy) == 0, reasons(proxy)
    assert not moved(owner) and failed(owner) == 0 and in_flight(owner) == 0, owner
    for phase in (proxy, owner):
        # A tenth of a second is promised; a machine that is busy forgets about us for longer.
        assert phase["outage_ms"] < 1000, phase["outage_ms"]


@test
def no_address_outlives_our_engine(scope):
    phases = drill(lab(scope, "--priorities", "254,253,252"), "daemon-killed", "switchover")
    killed = phases["daemon-killed"]
    assert moved(killed) and killed["outage_ms"] < 6000, killed
    assert killed["ownership"]["overlap"]["longest_ms"] < 50, killed["ownership"]
    for name in ("switchover", "switch-back"):
        phase = phases[name]
        # Those alone that are under way when the address leaves, seconds after the fault.
        assert moved(phase) and failed(phase) + in_flight(phase) <= 5, reasons(phase)
        assert phase["outage_ms"] < 1000, phase["outage_ms"]
    for name in ("started-again", "all-started"):
        assert not moved(phases[name]), phases[name]


@test
def a_holder_that_was_cut_off_does_not_take_its_clients_back(scope):
    phases = drill(lab(scope), "holder-cut", "holder-alone")
    all_held(phases)
    # With its link up it goes on as master beside its successor; once they hear each other again
    # one gives way, and at no time is the client left alone.
    alone, rejoined = phases["holder-alone"], phases["holder-rejoined"]
    assert moved(alone), alone
    assert alone["ownership"]["cut_off_after"] == [alone["holder_before"]], alone["ownership"]
    assert len(rejoined["ownership"]["after"]) == 1, rejoined["ownership"]
    assert rejoined["outage_ms"] < 1500, rejoined
    cut, healed = phases["holder-cut"], phases["holder-healed"]
    assert moved(cut), cut
    assert cut["ownership"]["after"] == [cut["holder_after"]], cut["ownership"]
    assert healed["outage_ms"] < 1500, healed


@test
def two_incumbents_that_hold_the_address_are_seen(scope):
    name = lab(scope, "--engine", "incumbent")
    phases = drill(name, "daemon-killed")
    killed = phases["daemon-killed"]
    # keepalived's two processes killed at once leave the address where it was.
    assert not killed["held"] and len(killed["ownership"]["after"]) == 2, killed["ownership"]
    assert killed["ownership"]["overlap"]["longest_ms"] > 1000, killed["ownership"]
    assert any("two hosts" in each for each in killed["broken"]), killed["broken"]
    assert reasons(killed).get("refused", 0) > 0, reasons(killed)
    # And the lab is well again, for whoever comes next.
    status = json.loads(nines("lab", "status", "--json", "--name", name).stdout)
    assert sum(each["owns_virtual_address"] for each in status["hosts"]) == 1, status["hosts"]
    for host in status["hosts"]:
        assert {each["state"] for each in host["services"]} == {"running"}, host


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
def an_interrupted_drill_brings_its_dead_hosts_back(scope):
    name = lab(scope)
    process = scope.start([NINES, "drill", "--name", name, "both-die"])

    def hosts():
        status = json.loads(nines("lab", "status", "--json", "--name", name).stdout)
        return {each["name"]: each for each in status["hosts"]}
    scope.wait_until(lambda: hosts()["node02"]["power"] == "off", timeout=60, what="node02 to die")
    process.signal(2)
    assert process.wait(60) == 1
    for host in hosts().values():
        assert host["power"] == "on" and host["link"] == "up", host
        assert {each["state"] for each in host["services"]} == {"running"}, host


@test
def usage_and_absence_are_told_by_status(scope):
    assert nines("drill", "no-such-drill").returncode == 2
    assert nines("drill", "--no-such-flag").returncode == 2
    assert nines("drill", "--name", f"none-{os.getpid()}", "reload").returncode == 3
    static = nines("drill", "--name", lab(scope, "--hosts", "1", "--balancer", HAPROXY), "nodes-die")
    assert static.returncode == 1 and "without --balancer" in static.stderr, static.stderr
    listed = nines("drill", "--list")
    assert listed.returncode == 0 and "holder-cut" in listed.stdout


main()
