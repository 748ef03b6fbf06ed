#!/usr/bin/python3
"""The lab against the real kernel: it comes up, its faults bite, and nothing of it stays, whatever
ends it. The incumbents balance and hold the address here, so that what is tested is the lab alone."""
# timeout: 180

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from nines_test import NINES, Skip, main, test, wait_until  # noqa: E402

HAPROXY = "/usr/sbin/haproxy"
# A lab gives its hosts others of these; the machine's own must stay as they are.
TEXTS = ("/etc/hosts", "/etc/hostname", "/etc/resolv.conf", "/etc/passwd", "/etc/group")
FOLDERS = ("/var/lib/haproxy", "/var/lib/kolla", "/run/haproxy", "/run/.overlay")


def nines(*arguments, check=True):
    result = subprocess.run([NINES, "lab", *arguments], stdin=subprocess.DEVNULL,
                            capture_output=True, text=True, timeout=60)
    if check and result.returncode != 0:
        raise AssertionError(f"nines lab {' '.join(arguments)}: {result.returncode}: "
                             f"{result.stdout}{result.stderr}")
    return result


@contextlib.contextmanager
def lab(scope, *arguments):
    """A lab with a name of its own; down at the end. Yields the name."""
    if os.geteuid() != 0:
        raise Skip("a lab needs root's rights")
    name = f"test-{os.getpid()}"
    if "--engine" not in arguments:
        arguments = ("--balancer", HAPROXY, *arguments)
    nines("up", "--name", name, *arguments)
    try:
        yield name
    finally:
        nines("down", "--name", name, check=False)


def status(name):
    return json.loads(nines("status", "--json", "--name", name).stdout)


def service(name, host, wanted):
    hosts = {each["name"]: each for each in status(name)["hosts"]}
    return next(each for each in hosts[host]["services"] if each["name"] == wanted)


def host(name, wanted):
    return next(each for each in status(name)["hosts"] if each["name"] == wanted)


def holders(name):
    return [each["name"] for each in status(name)["hosts"] if each["owns_virtual_address"]]


def next_holder(name, before):
    """Who has the address once `before` has not. Backups wait for 4 ms more or less than each other
    (RFC 3768, Skew_Time), which is nothing on a busy machine: it may be any of them."""
    def moved():
        found = holders(name)
        return found[0] if len(found) == 1 and found[0] != before else None
    return wait_until(moved, what=f"another than {before} has the address")


def part(name, where, role):
    return next(each for each in host(name, where)["engine"] if each["role"] == role)


def forward(name, proxy):
    each = next(each for each in status(name)["forwards"] if each["name"] == proxy)
    host, port = each["local"].rsplit(":", 1)
    return host, int(port)


def reaches(name, host, address):
    # `bash` opens the connection itself: no tool needs to be there.
    return nines("exec", "--name", name, host, "--", "timeout", "0.5", "bash", "-c",
                 f"exec 3<>/dev/tcp/{address}", check=False).returncode == 0


def namespaces_of(process):
    with contextlib.suppress(OSError):
        folder = f"/proc/{process}/ns"
        return {os.readlink(f"{folder}/{kind}") for kind in os.listdir(folder)}
    return set()


def footprint(name):
    """What a lab that is up occupies and nobody else does: its namespaces, also those that only a
    descriptor of the keeper's holds, and the ids of its processes."""
    found = status(name)
    keeper = found["keeper_pid"]
    taken = namespaces_of(keeper)
    for host in found["hosts"]:
        for number in host["namespaces"].values():
            taken.add(os.readlink(f"/proc/{keeper}/fd/{number}"))
    taken -= namespaces_of("self")
    assert len(taken) >= 2 + 3 * len(found["hosts"]), taken
    # The janitor lives on the machine, and is the keeper's parent.
    with open(f"/proc/{keeper}/stat", encoding="utf-8") as file:
        janitor = int(file.read().rsplit(")", 1)[1].split()[1])
    return {"namespaces": taken, "janitor": janitor}


def is_living(process):
    """The dead that wait for their parent do not count."""
    with contextlib.suppress(OSError):
        with open(f"/proc/{process}/stat", encoding="utf-8", errors="replace") as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    return False


def world():
    """What others on this machine do not change under our feet."""
    with open("/proc/self/mountinfo", encoding="utf-8") as file:
        mounts = sorted(file.read().splitlines())
    texts = {}
    for path in TEXTS:
        with contextlib.suppress(OSError), open(path, "rb") as file:
            texts[path] = file.read()
    return {"mounts": mounts, "texts": texts,
            "interfaces": sorted(each for _, each in socket.if_nameindex()),
            "folders": {path: os.path.isdir(path) for path in FOLDERS}}


def users_of(taken):
    return [entry for entry in os.listdir("/proc")
            if entry.isdigit() and is_living(entry) and namespaces_of(entry) & taken]


def assert_nothing_left(before, taken, name):
    wait_until(lambda: not users_of(taken["namespaces"]), what="the lab's processes to end")
    wait_until(lambda: not is_living(taken["janitor"]), what="the janitor to end")
    assert not os.path.exists(f"/run/nines-lab/{name}")
    after = world()
    for key, value in before.items():
        assert after[key] == value, f"{key} differ"


@test
def a_lab_comes_up_and_leaves_nothing(scope):
    before = world()
    with lab(scope) as name:
        taken = footprint(name)
        found = status(name)
        assert [each["name"] for each in found["hosts"]] == ["node01", "node02", "node03", "client"]
        for host in found["hosts"]:
            for each in host["services"]:
                assert each["state"] == "running", each
        # Not even while it is up does the machine see its mounts and interfaces.
        during = world()
        assert during["mounts"] == before["mounts"]
        assert during["interfaces"] == before["interfaces"]
        assert nines("exec", "--name", name, "node02", "hostname").stdout == "node02\n"
        assert "100.2.30.41 node01" in nines("exec", "--name", name, "client", "cat",
                                             "/etc/hosts").stdout
        assert nines("exec", "--name", name, "client", "--", "sh", "-c", "exit 7",
                     check=False).returncode == 7
    assert_nothing_left(before, taken, name)


@test
def killing_the_keeper_ends_everything(scope):
    before = world()
    with lab(scope) as name:
        taken = footprint(name)
        os.kill(status(name)["keeper_pid"], signal.SIGKILL)
        assert_nothing_left(before, taken, name)
        assert nines("status", "--name", name, check=False).returncode == 3


@test
def what_a_dead_lab_left_is_swept_up(scope):
    before = world()
    if os.geteuid() != 0:
        raise Skip("a lab needs root's rights")
    name = f"test-{os.getpid()}"
    os.makedirs(f"/run/nines-lab/{name}/node01")
    with lab(scope) as same_name:
        assert name == same_name
        taken = footprint(name)
        assert nines("up", "--name", name, check=False).returncode == 1  # it is up already
    assert_nothing_left(before, taken, name)
    assert nines("down", "--name", name, check=False).returncode == 3


@test
def two_labs_live_side_by_side(scope):
    with lab(scope) as name:
        other = f"{name}-other"
        nines("up", "--name", other, "--hosts", "1", "--balancer", HAPROXY)
        try:
            assert forward(name, "stats") != forward(other, "stats")
            assert len(status(other)["hosts"]) == 2
        finally:
            nines("down", "--name", other)
        assert status(name)["hosts"][0]["link"] == "up"


@test
def a_balancer_that_does_not_start_leaves_nothing_and_says_why(scope):
    before = world()
    config = scope.write("bad.cfg", "listen a\n  bind 100.2.30.40:5000\n  no such words\n")
    name = f"test-{os.getpid()}"
    result = nines("up", "--name", name, "--balancer", HAPROXY, "--config", config, check=False)
    assert result.returncode == 1
    assert "balancer" in result.stderr and "haproxy.cfg:3" in result.stderr, result.stderr
    assert nines("status", "--name", name, check=False).returncode == 3
    assert not os.path.exists(f"/run/nines-lab/{name}")
    assert world() == before


@test
def a_balancer_under_tmp_is_found_although_hosts_have_another(scope):
    if os.geteuid() != 0:
        raise Skip("a lab needs root's rights")
    program = scope.path("balancer")
    shutil.copy(HAPROXY, program)
    name = f"test-{os.getpid()}"
    nines("up", "--name", name, "--hosts", "1", "--balancer", program)
    try:
        assert service(name, "node01", "balancer")["state"] == "running"
    finally:
        nines("down", "--name", name)


@test
def services_answer_through_the_front_door(scope):
    with lab(scope) as name:
        host, port = forward(name, "keystone_internal")
        with socket.create_connection((host, port), timeout=5) as client:
            # Two requests at once, the first with a chunked body.
            client.sendall(b"POST /v3/auth/tokens HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked"
                           b"\r\n\r\n2\r\n{}\r\n0\r\n\r\n"
                           b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            text = b"".join(iter(lambda: client.recv(65536), b"")).decode().lower()
        assert "201 created" in text and "x-subject-token" in text, text
        assert "300 multiple choices" in text and "x-lab-node: node0" in text, text
        host, port = forward(name, "stats")
        with socket.create_connection((host, port), timeout=5) as client:
            client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            assert b" 401 " in client.recv(65536)
        with open(status(name)["log"], encoding="utf-8") as log:
            assert "keystone_internal/node0" in log.read()
        with socket.socket(socket.AF_UNIX) as runtime:
            runtime.connect(status(name)["runtime_socket"])
            runtime.sendall(b"show info\n")
            assert b"Maxconn: 4000" in b"".join(iter(lambda: runtime.recv(65536), b""))


@test
def a_websocket_is_echoed(scope):
    with lab(scope) as name:
        with socket.create_connection(forward(name, "nova_novncproxy"), timeout=5) as client:
            client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n"
                           b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                           b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
            head = b""
            while b"\r\n\r\n" not in head:
                head += client.recv(4096)
            assert b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in head, head
            client.sendall(b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58")
            frame = b""
            while len(frame) < 7:
                frame += client.recv(4096)
            assert frame == b"\x81\x05Hello", frame


@test
def cut_and_heal_a_host(scope):
    with lab(scope) as name:
        assert reaches(name, "client", "100.2.30.43/5000")
        nines("cut", "--name", name, "node03")
        assert not reaches(name, "client", "100.2.30.43/5000")
        assert reaches(name, "client", "100.2.30.42/5000")
        assert [each["link"] for each in status(name)["hosts"]] == ["up", "up", "cut", "up"]
        nines("heal", "--name", name, "node03")
        wait_until(lambda: reaches(name, "client", "100.2.30.43/5000"), what="node03 is back")


@test
def an_isolated_host_has_its_link_and_nobody_to_talk_to(scope):
    with lab(scope) as name:
        nines("isolate", "--name", name, "node03")
        assert not reaches(name, "client", "100.2.30.43/5000")
        assert [each["link"] for each in status(name)["hosts"]] == ["up", "up", "isolated", "up"]
        link = nines("exec", "--name", name, "node03", "ip", "-o", "link", "show", "eth0").stdout
        assert "LOWER_UP" in link, link
        nines("heal", "--name", name, "node03")
        wait_until(lambda: reaches(name, "client", "100.2.30.43/5000"), what="node03 is back")


def frames(name, host):
    """Received and sent so far by the host's interface."""
    said = nines("exec", "--name", name, host, "cat", "/proc/net/dev").stdout
    fields = re.search(r"eth0:(.*)", said).group(1).split()
    return int(fields[1]), int(fields[9])


@test
def a_link_may_work_in_one_direction_only(scope):
    with lab(scope) as name:
        for verb, link, hears in (("mute", "mute", True), ("deafen", "deaf", False)):
            nines(verb, "--name", name, "node03")
            assert [each["link"] for each in status(name)["hosts"]] == ["up", "up", link, "up"]
            before, _ = frames(name, "node03")
            assert not reaches(name, "client", "100.2.30.43/5000")
            after, _ = frames(name, "node03")
            assert (after > before) == hears, (verb, before, after)
            assert reaches(name, "client", "100.2.30.42/5000")
            nines("heal", "--name", name, "node03")
            assert status(name)["hosts"][2]["link"] == "up"
            wait_until(lambda: reaches(name, "client", "100.2.30.43/5000"), what="node03 is back")


@test
def a_line_may_be_slow_and_lose_frames(scope):
    with lab(scope) as name:
        def seconds(tries):
            """The least that a request to node03 takes; each must be answered."""
            taken = []
            for _ in range(tries):
                begun = time.monotonic()
                assert reaches(name, "client", "100.2.30.43/5000")
                taken.append(time.monotonic() - begun)
            return min(taken)
        nines("line", "--name", name, "node03", "--delay", "50")
        # There and back once, at the least.
        assert seconds(3) >= 0.1
        assert status(name)["hosts"][2]["delay_ms"] == 50
        # Lines are the host's own.
        nines("line", "--name", name, "node02", "--loss", "30")
        assert [each["loss_percent"] for each in status(name)["hosts"]] == [0, 30, 0, 0]
        wait_until(lambda: reaches(name, "client", "100.2.30.42/5000"), what="an answer in spite")
        # A cut is one with a relay in the line as well.
        nines("cut", "--name", name, "node03")
        assert not reaches(name, "client", "100.2.30.43/5000")
        nines("heal", "--name", name, "node03")
        wait_until(lambda: reaches(name, "client", "100.2.30.43/5000"), what="node03 is back")
        for host in ("node02", "node03"):
            nines("line", "--name", name, host)
        assert all(each["loss_percent"] == each["delay_ms"] == 0 for each in status(name)["hosts"])
        wait_until(lambda: reaches(name, "client", "100.2.30.43/5000"), what="smooth again")
        for bad in (["--loss", "101"], ["--delay", "-1"], ["--delay", "1001"]):
            refused = nines("line", "--name", name, "node03", *bad, check=False)
            assert refused.returncode == 2, (bad, refused.stderr)


@test
def kill_and_start_a_service(scope):
    with lab(scope) as name:
        nines("kill", "--name", name, "node02", "keystone")
        wait_until(lambda: service(name, "node02", "keystone")["state"] == "ended",
                   what="keystone to end")
        assert service(name, "node02", "keystone")["detail"] == "killed by signal 9"
        assert not reaches(name, "client", "100.2.30.42/5000")
        assert nines("kill", "--name", name, "node02", "keystone", check=False).returncode == 1
        # Either of a service's names will do.
        nines("start", "--name", name, "node02", "keystone_internal")
        assert reaches(name, "client", "100.2.30.42/5000")


@test
def pause_and_resume_a_service(scope):
    with lab(scope) as name:
        def greeting():
            result = nines("exec", "--name", name, "client", "--", "timeout", "0.5", "bash", "-c",
                           "exec 3<>/dev/tcp/100.2.30.42/3306; head -c 1 <&3", check=False)
            return result.returncode == 0 and result.stdout != ""
        assert greeting()
        nines("pause", "--name", name, "node02", "mariadb")
        wait_until(lambda: service(name, "node02", "mariadb")["state"] == "paused", what="paused")
        assert not greeting()  # its kernel still accepts
        nines("resume", "--name", name, "node02", "mariadb")
        assert greeting()


@test
def a_services_packets_vanish_and_not_the_balancers(scope):
    with lab(scope) as name:
        holder = holders(name)[0]
        own = f"{host(name, holder)['address']}/5000"
        nines("swallow", "--name", name, holder, "keystone")
        assert not reaches(name, "client", own)
        assert not reaches(name, holder, own)  # its balancer has lost it too
        assert reaches(name, "client", "100.2.30.40/5000"), "the balancer beside it listens there"
        nines("deliver", "--name", name, holder, "keystone")
        assert reaches(name, "client", own)


@test
def a_host_dies_like_by_a_power_cut_and_boots_without_its_past(scope):
    before = world()
    with lab(scope, "--engine", "incumbent", "--priorities", "254,253,252") as name:
        taken = footprint(name)
        assert holders(name) == ["node01"]
        nines("crash", "--name", name, "node01")
        dead = host(name, "node01")
        assert dead["power"] == "off" and dead["link"] == "cut", dead
        assert {each["state"] for each in dead["services"]} == {"ended"}, dead
        assert {each["state"] for each in dead["engine"]} == {"ended"}, dead
        # Nothing said goodbye: the others wait for three adverts in vain.
        second = next_holder(name, "node01")
        for refused in (("crash", "node01"), ("start", "node01", "keystone"),
                        ("kill", "node01", "owner"), ("heal", "node01")):
            result = nines(refused[0], "--name", name, *refused[1:], check=False)
            assert result.returncode == 1 and "node01 is off" in result.stderr, result.stderr
        nines("boot", "--name", name, "node01")
        booted = host(name, "node01")
        assert booted["power"] == "on" and booted["link"] == "up", booted
        assert {each["state"] for each in booted["services"]} == {"running"}, booted
        assert holders(name) == [second]
        assert reaches(name, "client", "100.2.30.41/5000")
        assert nines("boot", "--name", name, "node01", check=False).returncode == 1
    assert_nothing_left(before, taken, name)


# Asks when its connection stands and it is told to; prints how long it waited for the end.
ASKER = """
import socket, sys, time
s = socket.create_connection(("100.2.30.40", 3306))
s.recv(1)
print("connected", flush=True)
sys.stdin.readline()
s.sendall(b"?")
begun = time.monotonic()
s.settimeout(30)
try:
    while s.recv(4096): pass
except TimeoutError: raise
except OSError: pass
print(time.monotonic() - begun, flush=True)
"""


@test
def services_on_the_survivors_hear_at_once_of_a_holder_that_died(scope):
    with lab(scope, "--engine", "nines") as name:
        before = holders(name)[0]
        others = [each for each in ("node01", "node02", "node03") if each != before]
        def follows_a_master(each):
            supervisor = next(part["pid"] for part in host(name, each)["engine"]
                              if part["role"] == "supervisor")
            # Wherever this program is: a host may have another directory there.
            said = nines("exec", "--name", name, each, "--", f"/proc/{supervisor}/exe", "status",
                         "--json")
            return '"master": "100.2.30.4' in said.stdout
        for each in others:
            wait_until(lambda each=each: follows_a_master(each), what=f"{each} to follow a master")
        askers = [subprocess.Popen([NINES, "lab", "exec", "--name", name, each, "--",
                                    sys.executable, "-c", ASKER],
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
                  for each in others]
        for asker in askers:
            scope.on_end(asker.kill)
            assert asker.stdout.readline() == "connected\n"
        nines("crash", "--name", name, before)
        begun = time.monotonic()
        for asker in askers:
            asker.stdin.write("\n")
            asker.stdin.flush()
        next_holder(name, before)
        moved = time.monotonic() - begun
        waited = [float(asker.communicate(timeout=30)[0]) for asker in askers]
        # TCP asks again 3.0 s and then 6.2 s after the question, whenever the address has moved.
        assert max(waited) < moved + 1, (waited, moved)


@test
def an_engines_processes_are_known_by_their_parts(scope):
    with lab(scope, "--engine", "incumbent") as name:
        for role in ("supervisor", "owner", "proxy"):
            nines("pause", "--name", name, "node02", role)
            wait_until(lambda: part(name, "node02", role)["state"] == "paused", what=role)
            nines("resume", "--name", name, "node02", role)
            wait_until(lambda: part(name, "node02", role)["state"] == "running", what=role)
        # keepalived's parent begins its VRRP child anew.
        first = part(name, "node02", "owner")["pid"]
        nines("kill", "--name", name, "node02", "owner")
        wait_until(lambda: part(name, "node02", "owner")["pid"] not in (0, first), what="another")
        nines("kill", "--name", name, "node02", "engine")
        assert {each["pid"] for each in host(name, "node02")["engine"]} == {0}
        nines("start", "--name", name, "node02", "engine")
        assert 0 not in {each["pid"] for each in host(name, "node02")["engine"]}
        nines("stop", "--name", name, "node01", "engine")
        found = {each["name"]: each for each in host(name, "node01")["services"]}
        assert found["keepalived"]["detail"] == "exit status 0", found["keepalived"]
        nines("drop-address", "--name", name, next_holder(name, "node01"))
        assert nines("drop-address", "--name", name, "node01", check=False).returncode == 1


@test
def our_engine_holds_the_address_and_gives_it_away(scope):
    with lab(scope, "--engine", "nines", "--priorities", "254,253,252") as name:
        assert holders(name) == ["node01"]
        nines("stop", "--name", name, "node01", "engine")
        second = next_holder(name, "node01")
        nines("start", "--name", name, "node01", "engine")
        assert holders(name) == [second]
        assert reaches(name, "client", "100.2.30.40/5000")


@test
def wishes_that_cannot_be_had_are_told_with_what_can(scope):
    for arguments, words in ((("--priorities", "3,2"), "one for each of the 3 controllers"),
                             (("--priorities", "3,2,255"), "1 to 254"),
                             (("--engine", "corosync"), "nines, lease, passive or incumbent"),
                             (("--balancer", HAPROXY, "--priorities", "3,2,1"), "--balancer")):
        result = nines("up", "--name", f"test-{os.getpid()}", *arguments, check=False)
        assert result.returncode == 2 and words in result.stderr, result.stderr


@test
def mistakes_are_told_with_what_would_do(scope):
    with lab(scope) as name:
        for arguments, words in (
                (("cut", "node07"), "there are: node01 node02 node03 client"),
                (("kill", "node01", "keyston"), "keystone"),
                (("exec", "nowhere", "true"), "client")):
            result = nines(arguments[0], "--name", name, *arguments[1:], check=False)
            assert result.returncode == 1 and words in result.stderr, result.stderr
    assert nines("no-such-command", check=False).returncode == 2


main()
