#!/usr/bin/python3
"""Drills about what controllers' own programs notice of another controller's death, in their short
form. What is asserted holds on a busy machine: which rules stood, in which order, and that none
outlived its reason; of times the order of magnitude."""
# timeout: 180

import json
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from nines_test import NINES, Skip, main, test  # noqa: E402

# A verdict asks for a second of silence, and on a host that distrusts its clock for more.
VERDICT = 1000


def nines(*arguments):
    return subprocess.run([NINES, *arguments], stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, timeout=160)


def lab(scope, *arguments):
    if os.geteuid() != 0:
        raise Skip("a lab needs root's rights")
    name = f"peers-{os.getpid()}"
    scope.on_end(nines, "lab", "down", "--name", name)
    made = nines("lab", "up", "--name", name, *arguments)
    assert made.returncode == 0, made.stderr
    return name


def peers(phase):
    """What a phase says of rules and of the clients that noticed."""
    found = phase["peers"]
    assert found["rules"]["complete"], "the recorder watched throughout"
    assert found["rules"]["outlived"] == 0, phase
    assert found["clients"]["refused_there"] == 0, phase
    return found


@test
def a_dead_controllers_clients_are_told_and_the_rules_go_when_it_returns(scope):
    name = lab(scope, "--engine", "lease")
    result = nines("drill", "--json", "--name", name, "peer-dies")
    assert result.returncode in (0, 1), result.stderr
    dies, returns = json.loads(result.stdout)["phases"]
    found = peers(dies)
    assert {(each["host"], each["against"]) for each in found["rules"]["standing"]} == \
        {("node01", "node03"), ("node02", "node03")}, found
    print(f"   # doubted {found['doubted_ms']:.0f} ms, verdict {found['verdict_last_ms']:.0f} ms, "
          f"rules {found['rules']['all_ms']:.0f} ms, told {found['clients']['told_ms']:.0f} ms")
    assert found["doubted_ms"] < found["verdict_first_ms"], "a doubt comes first"
    assert found["verdict_first_ms"] >= VERDICT, "a verdict asks for a second of silence"
    assert found["rules"]["first_ms"] >= VERDICT
    assert found["clients"]["told_ms"] is not None, "connections that stood are ended"
    assert found["clients"]["refused_ms"] is not None, "new ones are refused"
    assert found["clients"]["refusal_took_ms"] < 300, "at once, and not when a SYN is said again"
    assert found["rules"]["verdicts_most"] == 1
    found = peers(returns)
    assert found["rules"]["begun"] == 0
    assert found["rules"]["gone_after_ms"] < 1000, found
    back = found["services_back_ms"]
    assert len(back) == 15 and all(back.values()), back
    print(f"   # rules gone {found['rules']['gone_after_ms']:.0f} ms after it was reached, "
          f"services back after {min(back.values()):.0f} to {max(back.values()):.0f} ms")


@test
def where_nobody_is_called_dead_clients_wait(scope):
    name = lab(scope)
    result = nines("drill", "--json", "--name", name, "peer-frozen")
    assert result.returncode in (0, 1), result.stderr
    frozen, thawed = json.loads(result.stdout)["phases"]
    found = peers(frozen)
    assert found["rules"]["standing"] == [] and found["verdict_first_ms"] is None, found
    assert found["clients"]["refused_ms"] is None and found["clients"]["waited_ms"] > 2500, found
    assert peers(thawed)["clients"]["connected_ms"] is not None
    refused = nines("drill", "--name", name, "majority-dies")
    assert refused.returncode == 1 and "needs 5 controllers; this lab has 3" in refused.stderr, \
        refused.stderr


main()
