#!/usr/bin/python3
"""The lab with real services: MariaDB with Galera, RabbitMQ, memcached and keystone, behind the
engine. Tokens are asked for through the address before, during and after each failure."""
# timeout: 600

import json
import os
import re
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from nines_test import NINES, Skip, main, test, wait_until  # noqa: E402

PROGRAMS = ("/usr/sbin/mariadbd", "/usr/lib/galera/libgalera_smm.so",
            "/usr/lib/rabbitmq/bin/rabbitmq-server", "/usr/bin/memcached",
            "/usr/bin/keystone-manage", "/usr/bin/uwsgi_python311", "/usr/bin/rsync")
AUTH = {"auth": {"identity": {"methods": ["password"], "password": {"user": {
    "name": "admin", "domain": {"name": "Default"}, "password": "lab-admin"}}},
    "scope": {"project": {"name": "admin", "domain": {"name": "Default"}}}}}
TOKENS = "http://100.2.30.40:5000/v3/auth/tokens"


class Lab:
    """One with real services, down at the end whatever happens."""

    def __init__(self, scope):
        missing = [each for each in PROGRAMS if not os.path.exists(each)]
        if os.geteuid() != 0:
            raise Skip("a lab needs root's rights")
        if missing:
            raise Skip(f"tools/deps lab-real has not been run: there is no {missing[0]}")
        self.name = f"real-{os.getpid()}"
        self.published = None
        scope.on_end(lambda: self.do("down", check=False))
        begun = time.monotonic()
        said = self.do("up", "--services", "real")
        assert "12 real ones are ready" in said, said
        print(f"   # up after {time.monotonic() - begun:.1f} s")

    def do(self, verb, *arguments, check=True):
        done = subprocess.run([NINES, "lab", verb, "--name", self.name, *arguments],
                              stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=300)
        assert not check or done.returncode == 0, (verb, arguments, done.stdout, done.stderr)
        return done.stdout

    def status(self):
        return json.loads(self.do("status", "--json"))

    def host(self, name):
        return next(each for each in self.status()["hosts"] if each["name"] == name)

    def holder(self):
        return next(each for each in self.status()["hosts"] if each["owns_virtual_address"])

    def run(self, host, *command):
        return self.do("exec", host, *command, check=False)

    def token(self, patience=30):
        """The status of one request for a token through the address, and how long it took."""
        said = self.run("client", "curl", "-s", "-o", "/dev/null", "-m", str(patience),
                        "-w", "%{http_code} %{time_total}", "-H", "Content-Type: application/json",
                        "-d", json.dumps(AUTH), TOKENS).split()
        return int(said[0]), float(said[1])

    def database(self, host, statement):
        """As root on the host itself; its words and its complaints."""
        return self.run(host, "sh", "-c", "mariadb --no-defaults -u root -N "
                        f"--socket=/run/nines-lab/mariadb/socket -e \"{statement}\" 2>&1")

    def refuses(self, address):
        return self.run("client", "sh", "-c", f"curl -s -m 5 http://{address}/; echo $?") == "7\n"

    def servers(self, proxy):
        """Status and check of each server, as the engine with the address sees it."""
        said = subprocess.run(["socat", self.holder()["runtime_socket"], "stdio"],
                              input="show stat\n", capture_output=True, text=True, timeout=10)
        lines = said.stdout.splitlines()
        names = lines[0].lstrip("# ").split(",")
        rows = [dict(zip(names, line.split(","))) for line in lines[1:]]
        return {row["svname"]: (row["status"], row["check_status"]) for row in rows
                if row.get("pxname") == proxy and row["svname"].startswith("node")}

    def configure(self, **changes):
        """The configuration as published, but for these sections' changes: (what, by what) pairs."""
        path = self.status()["configuration"]
        if self.published is None:
            with open(path, encoding="utf-8") as file:
                self.published = file.read()
        text = self.published
        for section, pairs in changes.items():
            begin = text.index(f"\nlisten {section}\n") + 1
            end = text.find("\nlisten ", begin)
            end = len(text) if end < 0 else end
            body = text[begin:end]
            for what, by in pairs:
                assert what in body, (section, what)
                body = body.replace(what, by)
            text = text[:begin] + body + text[end:]
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        self.do("reload")

    def drill(self, *names):
        """The rows of these drills. Whether they held is a question of a quiet machine's."""
        done = subprocess.run([NINES, "drill", "--name", self.name, "--json", *names],
                              stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=200)
        assert done.returncode in (0, 1) and done.stdout, (done.stdout, done.stderr)
        return {row["phase"]: row for row in json.loads(done.stdout)["phases"]}

    def tokens_are_issued(self, what, patience, count=5):
        """Each of a few requests is answered; the slowest."""
        slowest = 0.0
        for _ in range(count):
            status, seconds = self.token()
            assert status == 201, (what, status, seconds)
            slowest = max(slowest, seconds)
        print(f"   # {what}: slowest token {slowest * 1000:.0f} ms")
        assert slowest < patience, (what, slowest)


@test
def tokens_are_issued_through_failures(scope):
    lab = Lab(scope)
    assert lab.status()["services"] == "real"
    lab.tokens_are_issued("all is well", 5)
    nodes = lab.run("client", "curl", "-s", "-u", "guest:guest",
                    "http://100.2.30.40:15672/api/nodes")
    assert re.findall(r'"running":(\w+)', nodes) == ["true"] * 3, nodes
    # The reference's check of the database, "option mysql-check user haproxy post-41".
    wait_until(lambda: set(lab.servers("mariadb").values()) == {("UP", "L7OK")}, what="mysql-check")
    # Through the balancer: one writer, on the first controller.
    writer = lab.run("client", "mariadb", "--no-defaults", "-h", "100.2.30.40", "-u", "lab", "-N",
                     "-e", "SELECT @@hostname")
    assert writer.strip() == "node01", writer

    lab.do("kill", "node02", "keystone")
    # A POST that reaches a process in its last moments may have been carried out and is not sent
    # again: that one is lost. Whoever asks when it is dead is served by the others.
    wait_until(lambda: lab.refuses("100.2.30.42:5000"), what="its port closed")
    lab.tokens_are_issued("keystone on node02 killed", 5)
    lab.do("start", "node02", "keystone")

    lab.do("kill", "node01", "mariadb")
    lab.tokens_are_issued("the active database killed", 20)
    wait_until(lambda: "2" in lab.database("node02", "SHOW STATUS LIKE 'wsrep_cluster_size'"),
               timeout=30, what="two members")
    lab.do("start", "node01", "mariadb")
    assert "\t3" in lab.database("node01", "SHOW STATUS LIKE 'wsrep_cluster_size'")
    lab.tokens_are_issued("it is back", 20)

    lab.do("kill", "node03", "memcached")
    lab.tokens_are_issued("a cache killed", 20)
    lab.do("start", "node03", "memcached")

    victim = lab.holder()["name"]
    lab.do("crash", victim)
    status, seconds = lab.token(60)
    print(f"   # {victim}, which had the address, crashed: {status} after {seconds:.1f} s")
    wait_until(lambda: lab.token()[0] == 201, timeout=60, what="a token after the crash")
    lab.do("boot", victim)
    lab.tokens_are_issued("it has booted", 20)

    drills_count_tokens_and_transactions(lab)
    keystone_is_asked_for_tokens(lab)
    survivor_is_judged(lab)


def drills_count_tokens_and_transactions(lab):
    rows = lab.drill("service-black-holed", "database-killed")
    for name, row in rows.items():
        loads = {each["proxy"]: each for each in row["services"]}
        tokens, writes = loads["tokens"], loads["transactions"]
        print(f"   # {name}: {tokens['requests']} tokens, slowest {tokens['slowest_ms']:.0f} ms; "
              f"{writes['requests']} transactions, slowest {writes['slowest_ms']:.0f} ms")
        assert tokens["requests"] > 0 and writes["requests"] > 0, row
        audit = row["tokens_valid_before"]
        assert audit["asked"] > 0 and audit["valid"] == audit["asked"], (name, audit)
        for each in row["broken"]:
            print(f"   #   {each}")
    hole = next(each for each in rows["service-black-holed"]["services"]
                if each["proxy"] == "tokens")
    # One that was under way may be lost, and is told so; nobody waits for "timeout server".
    assert hole["unfinished"] == 0 and hole["slowest_ms"] < 20000, hole


def keystone_is_asked_for_tokens(lab):
    """The check that asks for a token, and what a keystone that stands still costs with it."""
    # A busy machine's keystone is slow: what is measured is that nobody waits for 60 s.
    lab.configure(keystone_internal=[
        ("    bind ", "    option keystone-check credentials /run/nines-lab/keystone.credentials"
                      " repeat-tokens\n    timeout check 5s\n    bind ")])
    wait_until(lambda: set(lab.servers("keystone_internal").values()) == {("UP", "L7OK")},
               timeout=30, what="keystone-check")
    lab.do("pause", "node02", "keystone")
    lab.tokens_are_issued("keystone on node02 stands still", 5, count=6)
    wait_until(lambda: lab.servers("keystone_internal")["node02"] == ("DOWN", "L7TOUT"),
               timeout=60, what="it to be DOWN")
    lab.do("resume", "node02", "keystone")
    wait_until(lambda: lab.servers("keystone_internal")["node02"] == ("UP", "L7OK"), timeout=60,
               what="it to be UP")


def survivor_is_judged(lab):
    """Two of three databases dead: the third has no majority and refuses. A login still works, so
    that the reference's check calls it well; one that asks the node itself does not."""
    shallow = "option mysql-check user haproxy post-41"
    lab.configure()
    wait_until(lambda: lab.servers("mariadb")["node01"] == ("UP", "L7OK"), timeout=30,
               what="mysql-check again")
    for host in ("node02", "node03"):
        lab.do("kill", host, "mariadb")
    wait_until(lambda: "non-Primary" in lab.database("node01",
                                                     "SHOW STATUS LIKE 'wsrep_cluster_status'"),
               timeout=30, what="non-Primary")
    refused = lab.run("client", "sh", "-c", "mariadb --no-defaults -h 100.2.30.40 -u lab -e "
                                            "'SELECT * FROM keystone.user' 2>&1")
    assert "WSREP has not yet prepared node" in refused, (refused, lab.servers("mariadb"))
    assert lab.servers("mariadb")["node01"] == ("UP", "L7OK"), lab.servers("mariadb")
    check = "option {}-check credentials /run/nines-lab/{}.credentials"
    lab.configure(mariadb=[(shallow, check.format("galera", "galera"))],
                  keystone_internal=[("    bind ", "    " + check.format("keystone", "keystone") +
                                      "\n    timeout check 3s\n    bind ")])
    wait_until(lambda: lab.servers("mariadb")["node01"] == ("DOWN", "L7STS"), timeout=30,
               what="the survivor to be DOWN")
    # Without a database no keystone issues tokens: clients are told at once.
    wait_until(lambda: {state for state, _ in lab.servers("keystone_internal").values()} == {"DOWN"},
               timeout=120, what="every keystone DOWN")
    status, seconds = lab.token(15)
    assert status == 503 and seconds < 2, (status, seconds)
    print(f"   # no database: {status or 'no answer'} after {seconds:.1f} s")


main()
