#!/usr/bin/python3
"""Drills in rounds: two engines in turns, what is kept of it, and what is left when it is broken off."""
# timeout: 300

import json
import os
import signal
import subprocess
import sys
import xml.dom.minidom

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from nines_test import NINES, Skip, main, test  # noqa: E402

LABS = "/run/nines-lab"
INCUMBENTS = ("/usr/sbin/keepalived", "/usr/sbin/haproxy")


def nines(*arguments):
    return subprocess.run([NINES, *arguments], stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, timeout=240)


def need(*programs):
    if os.geteuid() != 0:
        raise Skip("a lab needs root's rights")
    for program in programs:
        if not os.path.exists(program):
            raise Skip(f"{program} is not installed")


def labs_of(process):
    if not os.path.isdir(LABS):
        return []
    return [name for name in os.listdir(LABS) if name.startswith(f"drill-{process.pid}-")]


def take_down(process):
    for name in labs_of(process):
        nines("lab", "down", "--name", name)


@test
def engines_take_turns_and_every_row_is_kept(scope):
    need(*INCUMBENTS)
    rows = scope.path("rows.json")
    story, picture = scope.path("story.json"), scope.path("picture.svg")
    drill = scope.start([NINES, "drill", "--incumbent", "--runs", "2", "--rows", rows,
                         "--story", story, "--svg", picture, "reload"])
    scope.on_end(take_down, drill)
    assert drill.wait(200) == 0, drill.log()
    assert labs_of(drill) == []
    with open(rows, encoding="utf-8") as file:
        kept = json.load(file)
    turns = [(row["engine"], row["run"]) for row in kept["rows"]]
    ours, theirs = "nines", "keepalived+HAProxy"
    assert turns == [(ours, 1), (theirs, 1), (theirs, 2), (ours, 2)], turns
    assert all(row["phase"] == "reload" and row["longest_gap_ms"] > 0 for row in kept["rows"])
    assert kept["about"]["priorities"] == "3,2,1"

    table = nines("drill", "--from", rows)
    assert table.returncode == 0, table.stderr
    assert table.stdout in drill.log()
    assert "2 of 2 held" in table.stdout and "ratio" in table.stdout
    assert nines("drill", "--from", rows, "--markdown").stdout.startswith("| drill |")

    with open(story, encoding="utf-8") as file:
        told = json.load(file)["stories"]
    assert [each["title"] for each in told] == [f"reload, {ours}", f"reload, {theirs}"]
    for each in told:
        assert each["faults"][0]["at_ms"] == 1000 and sum(each["requests"]["good"]) > 100, each
        # From its begin to its end one host has the address.
        held = [(one["begin_ms"], one["end_ms"]) for one in each["holdings"]]
        assert held == [(0, each["length_ms"])], each["holdings"]
    drawn = xml.dom.minidom.parse(picture)
    assert drawn.documentElement.tagName == "svg"
    again = scope.path("again.svg")
    assert nines("drill", "--from", story, "--svg", again).returncode == 0
    with open(again, encoding="utf-8") as one, open(picture, encoding="utf-8") as other:
        assert len(one.read()) > 1000 and other.read().count("<title>") > 20


@test
def interrupted_rounds_leave_no_lab(scope):
    need(*INCUMBENTS)
    drill = scope.start([NINES, "drill", "--incumbent", "--runs", "5", "service-killed"])
    scope.on_end(take_down, drill)
    lab = f"drill-{drill.pid}-nines"

    def broken():
        status = nines("lab", "status", "--name", lab, "--json")
        return status.returncode == 0 and any(
            service["state"] == "ended" for host in json.loads(status.stdout)["hosts"]
            for service in host["services"])
    scope.wait_until(broken, 90, "a service that was killed")
    drill.signal(signal.SIGTERM)
    assert drill.wait(60) == 1, drill.log()
    assert "interrupted" in drill.log()
    assert labs_of(drill) == []


@test
def runs_in_a_lab_that_is_up_leave_it_up(scope):
    need()
    name = f"rounds-{os.getpid()}"
    scope.on_end(nines, "lab", "down", "--name", name)
    made = nines("lab", "up", "--name", name)
    assert made.returncode == 0, made.stderr
    done = nines("drill", "--name", name, "--runs", "2", "reload", "--json")
    assert done.returncode == 0, done.stderr
    assert [row["run"] for row in json.loads(done.stdout)["rows"]] == [1, 2]
    assert nines("lab", "status", "--name", name).returncode == 0


@test
def mistakes_are_told(scope):
    for arguments, status, words in (
            (["--runs", "0"], 2, "--runs"),
            (["--incumbent", "--name", "x"], 2, "--incumbent"),
            (["--priorities", "3,2,1"], 2, "--priorities"),
            (["--engines", "nines,pacemaker"], 2, "pacemaker"),
            (["--engines", "nines,nines"], 2, "once"),
            (["--engines", "nines", "--incumbent"], 2, "--incumbent"),
            (["--incumbent", "--priorities", "3,3,1"], 2, "no two the same"),
            (["--name", "no-such-lab", "--runs", "2"], 3, "no-such-lab"),
            (["--from", scope.path("none")], 2, "none"),
            (["--from", scope.write("rows", '{"rows": []}'), "--svg", scope.path("x")], 2,
             "stories"),
            (["--from", scope.write("bad", '{"rows": [{"engine": 1}]}')], 2, "row 1")):
        done = nines("drill", *arguments, "reload")
        assert done.returncode == status, (arguments, done.returncode, done.stderr)
        assert words in done.stderr + done.stdout, (arguments, done.stderr)


main()
