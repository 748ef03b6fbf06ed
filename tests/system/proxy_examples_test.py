#!/usr/bin/python3
"""Published OpenStack configurations, run as their operators would: all of the file's lines in
force, on the addresses that it names, before something that answers in each server's place."""
# timeout: 300

import json
import os
import re
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from proxy_lib import as_haproxy, children, status_of, wait_until  # noqa: E402
from nines_test import NINES, ROOT, Skip, main, test  # noqa: E402

EXAMPLE = os.path.join(ROOT, "examples/openstack/haproxy.cfg")
PUBLISHED = os.path.join(ROOT, "src/proxy/testdata/config/reference.cfg")
ADDRESSES = os.path.join(ROOT, "src/vrrp/testdata/config/reference.conf")
WITH_MISTAKES = os.path.join(ROOT, "src/proxy/testdata/config/reference-as-published.cfg")
RUNTIME_SOCKET = "/var/lib/kolla/haproxy/haproxy.sock"

# Every server of the configuration in one process: HTTP, a MySQL greeting and OK, and the log.
STAND_IN = r'''
import re, socket, sys, threading
config = open(sys.argv[1], encoding="utf-8").read()
GREETING = (b"\x0a5.5.5-10.11.0-stand-in\0" + b"\1\0\0\0" + b"12345678\0" + b"\xff\xf7" + b"\x21" +
            b"\2\0" + b"\x0f\x80" + b"\x15" + b"\0" * 10 + b"123456789012\0" +
            b"mysql_native_password\0")
OK = b"\0\0\0\2\0\0\0"
def packet(number, payload):
    return len(payload).to_bytes(3, "little") + bytes([number]) + payload
def serve(connection, port):
    with connection:
        if port == 3306:
            connection.sendall(packet(0, GREETING))
            if connection.recv(4096):
                connection.sendall(packet(2, OK))
                connection.recv(4096)
            return
        kept = b""
        while part := connection.recv(65536):
            kept += part
            while b"\r\n\r\n" in kept:
                kept = kept.split(b"\r\n\r\n", 1)[1]
                body = f"{connection.getsockname()[0]}:{port}".encode()
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" %
                                   (len(body), body))
def accept(listener):
    while True:
        connection, _ = listener.accept()
        port = listener.getsockname()[1]
        threading.Thread(target=serve, args=(connection, port), daemon=True).start()
for host, port in set(re.findall(r"^\s*server \S+ (\S+):(\d+)", config, re.M)):
    threading.Thread(target=accept, args=(socket.create_server((host, int(port)), backlog=128),),
                     daemon=True).start()
log = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
log.bind(("100.2.30.41", 5140))
print("ready", flush=True)
while True:
    print("log", log.recv(65536).decode(), flush=True)
'''

GET = "import sys, urllib.request as u; print(u.urlopen(sys.argv[1], timeout=10).read().decode())"


def ask(host, command):
    return host.run(["sh", "-c",
                     f"echo '{command}' | socat -t5 stdio UNIX-CONNECT:{RUNTIME_SOCKET}"])


def run_published(scope, config):
    if os.geteuid() != 0:
        raise Skip("the configuration's user, chroot and ports need root's rights")
    host = scope.namespace("node01")
    for last in (40, 41, 42, 43):
        host.ip("addr", "add", f"100.2.30.{last}/32", "dev", "lo")
    host.run(["mount", "-t", "tmpfs", "tmpfs", "/var/lib"])
    host.run(["mkdir", "-p", "/var/lib/haproxy", "/var/lib/kolla/haproxy"])
    servers = host.start(["/usr/bin/python3", scope.write("stand_in.py", STAND_IN), config],
                         name="servers")
    wait_until(lambda: "ready" in servers.log() or not servers.alive())
    assert servers.alive(), servers.log()

    # "daemon" stands in the file: the call returns once it serves.
    pid_file = scope.path("haproxy.pid")
    host.run([as_haproxy(scope), "-p", pid_file, "-f", config])
    with open(pid_file, encoding="ascii") as file:
        master = int(file.read())
    plane, = children(master)
    status = status_of(plane)
    assert status["Uid"].split()[0] != "0" and status["NoNewPrivs"] == "1", status["Uid"]
    assert int(status["CapEff"], 16) == 0

    with open(config, encoding="utf-8") as file:
        text = file.read()
    servers_named = len(re.findall(r"^\s*server ", text, re.M))

    def up():
        rows = [line.split(",") for line in ask(host, "show stat").stdout.splitlines()[1:] if line]
        states = [row[17] for row in rows if row[1] not in ("FRONTEND", "BACKEND")]
        return len(states) == servers_named and all(state == "UP" for state in states)
    wait_until(up, timeout=15, what=f"{servers_named} servers up")

    binds = re.findall(r"^\s*bind (100\.2\.30\.40):(\d+)", text, re.M)
    assert len(binds) == 15, binds
    for address, port in binds:
        if port == "3306":
            continue
        answer = host.run(["/usr/bin/python3", "-c", GET, f"http://{address}:{port}/"]).stdout
        assert re.match(r"100\.2\.30\.4[123]:\d+$", answer.strip()), answer
    greeting = host.run(["sh", "-c", "echo | socat -t1 stdio TCP:100.2.30.40:3306 | "
                         "tr -cd '[:print:]'"]).stdout
    assert "stand-in" in greeting, greeting

    user, password = re.search(r"stats auth (\S+?):(\S+)", text).groups()
    page = host.run(["curl", "-sS", "-u", f"{user}:{password}", "http://100.2.30.41:1984/;csv"])
    assert page.stdout.startswith("# pxname,svname,"), page.stdout[:200]
    refused = host.run(["curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}",
                        "http://100.2.30.41:1984/"])
    assert refused.stdout == "401", refused.stdout

    wait_until(lambda: '"GET / HTTP/1.1"' in servers.log(), what="a line of the log")
    assert re.search(r"log <142>\w{3} [ \d]\d \d\d:\d\d:\d\d haproxy\[\d+\]: .* keystone_internal ",
                     servers.log()), servers.log()[-500:]

    host.run(["kill", "-TERM", str(master)])
    wait_until(lambda: not os.path.exists(f"/proc/{plane}/exe"))
    wait_until(lambda: host.run(["test", "-e", RUNTIME_SOCKET], check=False).returncode == 1)


@test
def the_example_of_openstack_runs_whole(scope):
    run_published(scope, EXAMPLE)


@test
def the_published_configuration_runs_as_it_is(scope):
    run_published(scope, PUBLISHED)


@test
def the_published_pair_runs_as_one_daemon(scope):
    if os.geteuid() != 0:
        raise Skip("the configuration's user, chroot and ports need root's rights")
    host = scope.namespace("node01")
    switch = scope.namespace("switch")
    host.link(switch, "enp8s0f0", "port")
    host.ip("addr", "add", "172.23.59.41/24", "dev", "enp8s0f0")
    for last in (40, 41, 42, 43):
        host.ip("addr", "add", f"100.2.30.{last}/32", "dev", "lo")
    host.run(["mount", "-t", "tmpfs", "tmpfs", "/var/lib"])
    host.run(["mkdir", "-p", "/var/lib/haproxy", "/var/lib/kolla/haproxy"])
    servers = host.start(["/usr/bin/python3", scope.write("stand_in.py", STAND_IN), PUBLISHED],
                         name="servers")
    wait_until(lambda: "ready" in servers.log() or not servers.alive())
    control = scope.path("control.sock")
    config = scope.write("nines.yaml", f"haproxy: {PUBLISHED}\nkeepalived: {ADDRESSES}\n"
                                       f"control: {control}\n")
    # Its check script is not on this machine: it is left out and said so, as keepalived does.
    daemon = host.start([NINES, "run", "-c", config], name="daemon")

    def status():
        told = host.run([NINES, "status", "--json", "--control", control], check=False)
        return json.loads(told.stdout) if told.stdout else {"instances": []}
    wait_until(lambda: [each["state"] for each in status()["instances"]] == ["MASTER"] or
               not daemon.alive(), timeout=15, what="the address")
    assert daemon.alive(), daemon.log()
    assert "inet 172.23.59.10/32" in host.ip("-4", "addr", "show", "dev", "enp8s0f0")
    answer = host.run(["/usr/bin/python3", "-c", GET, "http://100.2.30.40:5000/"]).stdout
    assert re.match(r"100\.2\.30\.4[123]:5000$", answer.strip()), answer
    daemon.signal(15)
    assert daemon.wait(timeout=15) == 0
    assert "172.23.59.10" not in host.ip("-4", "addr", "show", "dev", "enp8s0f0")


@test
def mistakes_of_the_published_text_are_told_and_nothing_starts(scope):
    told = scope.run([as_haproxy(scope), "-c", "-f", WITH_MISTAKES], check=False)
    assert told.returncode == 1
    for line in (6, 131, 133, 134):
        assert f"reference-as-published.cfg:{line}:" in told.stderr, (line, told.stderr)


if __name__ == "__main__":
    main()
