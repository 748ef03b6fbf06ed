#!/usr/bin/python3
"""Checks that prove something: a real Galera node asked for its own state, a keystone asked for a
token. Each beside the shallow check that notices nothing."""
# timeout: 300

import http.server
import json
import os
import shutil
import signal
import socketserver
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from proxy_lib import Nines, defaults, server_column, wait_until  # noqa: E402
from nines_test import NINES, Skip, main, test  # noqa: E402

PROVIDER = "/usr/lib/galera/libgalera_smm.so"
PASSWORD = "never-to-be-seen"


class GaleraNode:
    """A cluster of one, with its own files, as the user mysql."""

    def __init__(self, scope):
        if os.geteuid() != 0:
            raise Skip("a database under its own user needs root's rights")
        self.scope = scope
        self.port, self.group, self.transfer = scope.free_ports(3)
        self.folder = scope.path("mariadb")
        os.mkdir(self.folder)
        shutil.chown(self.folder, "mysql", "mysql")
        self.socket = f"{self.folder}/socket"
        scope.run(["mariadb-install-db", "--no-defaults", "--user=mysql",
                   f"--datadir={self.folder}/data", "--auth-root-authentication-method=normal",
                   "--skip-test-db", "--innodb-log-file-size=8M"], timeout=120)
        self.process = scope.start(
            ["/usr/sbin/mariadbd", "--no-defaults", "--user=mysql",
             f"--datadir={self.folder}/data", f"--socket={self.socket}",
             f"--pid-file={self.folder}/pid", f"--tmpdir={self.folder}", f"--port={self.port}",
             "--bind-address=127.0.0.1", "--skip-name-resolve", "--innodb-buffer-pool-size=16M",
             "--innodb-log-file-size=8M", "--binlog_format=ROW", "--innodb_autoinc_lock_mode=2",
             "--wsrep_on=ON", f"--wsrep_provider={PROVIDER}", "--wsrep_cluster_name=test",
             "--wsrep_cluster_address=gcomm://", "--wsrep_node_address=127.0.0.1",
             "--wsrep_provider_options=gcache.size=8M;"
             f"gmcast.listen_addr=tcp://127.0.0.1:{self.group};"
             f"ist.recv_addr=127.0.0.1:{self.transfer}",
             "--wsrep-new-cluster"], name="mariadbd")
        wait_until(lambda: "Synced" in self.as_root(
            "SHOW STATUS LIKE 'wsrep_local_state_comment'", check=False), timeout=60)
        self.as_root("CREATE USER haproxy@'%';"
                     f"CREATE USER nines@'%' IDENTIFIED BY '{PASSWORD}'")

    def as_root(self, statements, check=True):
        return self.scope.run(["mariadb", "--no-defaults", f"--socket={self.socket}", "--user=root",
                               "-N", "-e", statements], check=check).stdout


def credentials(scope, mode=0o600, **lines):
    return scope.write("check.credentials", "".join(f"{k} = {v}\n" for k, v in lines.items()),
                       mode)


def status(balancer, proxy):
    return server_column(balancer.socket, proxy, "a", "status")


def becomes(balancer, proxy, word):
    wait_until(lambda: status(balancer, proxy).startswith(word), what=f"{proxy} {word}")


@test
def a_galera_node_is_judged_by_what_it_says_of_itself(scope):
    node = GaleraNode(scope)
    strict, lenient, shallow = scope.free_ports(3)
    path = credentials(scope, user="nines", password=PASSWORD)
    balancer = Nines(scope, defaults(scope) + f"""
defaults
  mode tcp
  timeout connect 1s
  timeout client 5s
  timeout server 5s
  timeout check 2s
  default-server check inter 200 rise 2 fall 2
listen strict
  bind 127.0.0.1:{strict}
  option galera-check credentials {path}
  server a 127.0.0.1:{node.port}
listen lenient
  bind 127.0.0.1:{lenient}
  option galera-check credentials {path} available-when-donor
  server a 127.0.0.1:{node.port}
listen shallow
  bind 127.0.0.1:{shallow}
  option mysql-check user haproxy post-41
  server a 127.0.0.1:{node.port}
""", port=strict)

    def checked(proxy):
        return server_column(balancer.socket, proxy, "a", "check_status")
    wait_until(lambda: all(checked(proxy) == "L7OK" for proxy in ("strict", "lenient", "shallow")))

    # Every login is whole and every session ends politely.
    def aborted():
        return node.as_root("SHOW GLOBAL STATUS LIKE 'Aborted_c%'")

    def connections():
        return int(node.as_root("SHOW GLOBAL STATUS LIKE 'Connections'").split()[1])
    before, made = aborted(), connections()
    wait_until(lambda: connections() > made + 20)
    assert aborted() == before, (aborted(), before)

    # A donor, as while it feeds a joining node.
    node.as_root("SET GLOBAL wsrep_desync=ON")
    becomes(balancer, "strict", "DOWN")
    assert status(balancer, "lenient").startswith("UP")
    node.as_root("SET GLOBAL wsrep_desync=OFF")
    becomes(balancer, "strict", "UP")

    # Out of the cluster: it refuses every statement, and its login works as before.
    node.as_root("SET GLOBAL wsrep_cluster_address=''")
    becomes(balancer, "strict", "DOWN")
    becomes(balancer, "lenient", "DOWN")
    refused = scope.run(["mariadb", "--no-defaults", "--host=127.0.0.1", f"--port={shallow}",
                         "--user=haproxy", "-e", "SELECT * FROM mysql.user"], check=False)
    assert "WSREP has not yet prepared node" in refused.stderr, refused
    assert status(balancer, "shallow").startswith("UP"), "a login says nothing of a cluster"
    node.as_root("SET GLOBAL wsrep_cluster_address='gcomm://'")
    becomes(balancer, "strict", "UP")

    # A stopped process: its kernel accepts, nobody greets.
    node.process.signal(signal.SIGSTOP)
    becomes(balancer, "strict", "DOWN")
    node.process.signal(signal.SIGCONT)
    becomes(balancer, "strict", "UP")

    node.as_root("SET PASSWORD FOR nines@'%' = PASSWORD('changed')")
    becomes(balancer, "strict", "DOWN")
    assert checked("strict") == "L7STS"
    credentials(scope, user="nines", password="changed")
    balancer.reload()
    becomes(balancer, "strict", "UP")
    assert PASSWORD not in balancer.process.log()


class Keystone(http.server.BaseHTTPRequestHandler):
    """Answers its root whatever happens, and a token while `answer` says so."""
    answer, tokens, bodies = 201, 0, []
    protocol_version = "HTTP/1.1"

    def reply(self, status, *fields):
        self.send_response(status)
        for name, value in fields:
            self.send_header(name, value)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def do_OPTIONS(self):
        self.reply(300)

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        Keystone.bodies.append((self.path, json.loads(body)))
        Keystone.tokens += 1
        self.reply(Keystone.answer, ("X-Subject-Token", "gAAAA"))

    def log_message(self, *_):
        pass


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True


@test
def a_keystone_must_issue_a_token(scope):
    deep, shallow = scope.free_ports(2)
    server = Server(("127.0.0.1", 0), Keystone)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    scope.on_end(server.shutdown)
    port = server.server_address[1]
    path = credentials(scope, user="nines", password=PASSWORD, project="service")
    balancer = Nines(scope, defaults(scope).replace("global", "global\n  nbthread 4") + f"""
listen deep
  bind 127.0.0.1:{deep}
  option keystone-check credentials {path}
  timeout check 500ms
  server a 127.0.0.1:{port} check inter 200 rise 2 fall 2
listen shallow
  bind 127.0.0.1:{shallow}
  option httpchk
  server a 127.0.0.1:{port} check inter 200 rise 2 fall 2
""", port=deep)
    wait_until(lambda: Keystone.tokens >= 3)
    asked, body = Keystone.bodies[0]
    assert asked == "/v3/auth/tokens"
    user = body["auth"]["identity"]["password"]["user"]
    assert user == {"name": "nines", "domain": {"name": "Default"}, "password": PASSWORD}, user
    assert body["auth"]["scope"]["project"]["name"] == "service"

    # Four workers share one check: five intervals hold five tokens, not twenty.
    before, begun = Keystone.tokens, time.monotonic()
    wait_until(lambda: Keystone.tokens >= before + 5)
    assert time.monotonic() - begun > 0.7, "more than one check in an interval"
    assert server_column(balancer.socket, "deep", "a", "check_status") == "L7OK"

    for answer, code in ((500, "500"), (401, "401"), (300, "300")):
        Keystone.answer = answer
        becomes(balancer, "deep", "DOWN")
        wait_until(lambda code=code: server_column(balancer.socket, "deep", "a",
                                                   "check_code") == code)
        assert status(balancer, "shallow").startswith("UP")
        Keystone.answer = 201
        becomes(balancer, "deep", "UP")
    assert PASSWORD not in balancer.process.log()


@test
def a_file_of_credentials_is_held_to_its_rules(scope):
    config = scope.write("check.cfg", f"""
listen db
  bind 127.0.0.1:1
  mode tcp
  timeout connect 1s
  timeout client 1s
  timeout server 1s
  option galera-check credentials {scope.path("check.credentials")}
  server a 127.0.0.1:2 check
""")

    def check():
        done = scope.run([NINES, "check", config], check=False)
        assert PASSWORD not in done.stdout + done.stderr
        return done
    missing = check()
    assert missing.returncode == 1 and "No such file" in missing.stderr, missing.stderr
    assert f"{config}:8:" in missing.stderr, missing.stderr
    credentials(scope, 0o644, user="nines", password=PASSWORD)
    opened = check()
    assert opened.returncode == 1 and "open to everybody (mode 0644)" in opened.stderr, opened
    path = credentials(scope, 0o640, user="nines", password=PASSWORD)
    assert check().returncode == 0, check()
    dumped = scope.run([NINES, "check", "--dump", config]).stdout
    assert f"check galera credentials '{path}'" in dumped and PASSWORD not in dumped, dumped
    scope.write("check.credentials", f"user = nines\n{PASSWORD}\n", 0o600)
    assert "line 2: is not of the form KEY = VALUE" in check().stderr
    # The incumbent has no such checks, and says so.
    other = scope.run(["/usr/sbin/haproxy", "-c", "-f", config], check=False)
    assert other.returncode == 1 and "galera-check" in other.stderr, other


main()
