#!/usr/bin/python3
"""The helper module keeps its promises: what a test started is gone when the test ends, daemons that
fork away too, and conditions are waited for with a deadline."""

import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
from nines_test import Scope, main, test, wait_until

LIB = os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib")


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


@test
def a_process_ends_with_its_scope(scope):
    with Scope("inner") as inner:
        process = inner.start(["sleep", "1000"])
        folder = inner.folder
        assert process.alive()
    assert not alive(process.pid) and not os.path.exists(folder)


@test
def a_stopped_process_ends_with_its_scope(scope):
    with Scope("inner") as inner:
        process = inner.start(["sleep", "1000"])
        process.signal(19)  # SIGSTOP
    assert not alive(process.pid)


@test
def a_daemon_that_forked_away_ends_with_its_scope(scope):
    with Scope("inner") as inner:
        pid_file = inner.path("pid")
        starter = inner.start(["sh", "-c", f"setsid sleep 1000 & echo $! > {pid_file}"])
        starter.wait()
        wait_until(lambda: os.path.getsize(pid_file) > 0)
        with open(pid_file, encoding="utf-8") as file:
            daemon = int(file.read())
        assert alive(daemon)
    assert not alive(daemon)


@test
def children_die_with_a_killed_script(scope):
    script = scope.write("script.py", "# Starts a child and waits to be killed.\n"
                         f"import sys; sys.path.insert(0, {LIB!r})\n"
                         "from nines_test import Scope\nimport time\n"
                         "with Scope('inner') as s:\n"
                         "    print(s.start(['sleep', '1000']).pid, flush=True)\n"
                         "    time.sleep(1000)\n")
    process = scope.start(["/usr/bin/python3", script], name="script")
    child = int(wait_until(lambda: process.log().strip(), what="the child's id"))
    process.signal(9)
    process.wait()
    wait_until(lambda: not alive(child), what="the child's end")


@test
def a_condition_that_never_comes_is_an_error(scope):
    try:
        wait_until(lambda: False, timeout=0.05, what="pigs that fly")
    except AssertionError as error:
        assert "pigs that fly" in str(error)
    else:
        raise AssertionError("it returned")


@test
def ports_are_free_and_different(scope):
    ports = scope.free_ports(20)
    assert len(set(ports)) == 20
    server = scope.start(["/usr/bin/python3", "-m", "http.server", "--bind", "127.0.0.1",
                          str(ports[0])], cwd=scope.folder)
    scope.wait_for_port(ports[0])
    assert scope.http(ports[0]).status == 200
    assert b"200 OK" in scope.exchange(ports[0], b"HEAD / HTTP/1.0\r\n\r\n")
    assert server.alive()


@test
def two_hosts_reach_each_other(scope):
    left, right = scope.namespace("left"), scope.namespace("right")
    left.link(right, "eth0", "eth0")
    left.ip("addr", "add", "198.51.100.1/24", "dev", "eth0")
    right.ip("addr", "add", "198.51.100.2/24", "dev", "eth0")
    right.start(["/usr/bin/python3", "-m", "http.server", "8000"], cwd=scope.folder)
    answer = wait_until(lambda: left.run(["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}",
                                          "http://198.51.100.2:8000/"], check=False).stdout == "200",
                        what="an answer from the other host")
    assert answer and left.run(["hostname"]).stdout.strip() == "left"


@test
def lines_follow_the_protocol(scope):
    script = scope.write("script.py", "# One test of each outcome.\n"
                         f"import sys; sys.path.insert(0, {LIB!r})\n"
                         "from nines_test import Skip, main, test\n"
                         "@test\ndef good(scope): pass\n"
                         "@test\ndef bad(scope): assert False, 'a\\nreason'\n"
                         "@test\ndef left_out(scope): raise Skip('no such hardware')\n"
                         "main()\n")
    done = subprocess.run(["/usr/bin/python3", script], capture_output=True, text=True)
    assert done.stdout == "ok good\nnot ok bad a reason\nskip left_out no such hardware\n", done
    assert done.returncode == 1


main()
