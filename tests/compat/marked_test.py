#!/usr/bin/python3
"""The real HAProxy as oracle for what becomes of sessions when a server's health changes:
"on-marked-down shutdown-sessions" and "on-marked-up shutdown-backup-sessions", both programs on the
same configuration, with servers of their own that are taken away and come back."""
# timeout: 120

import os
import re
import shutil
import socket
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from nines_test import NINES, main, test, wait_until  # noqa: E402

HAPROXY = os.environ.get("HAPROXY", "haproxy")
CONFIG = """
global
  log 127.0.0.1:{log} local0
  stats socket {folder}/control level admin
  nbthread 1
defaults
  log global
  timeout connect 5s
  timeout client 30s
  timeout server 30s
  retries 0
{more}
"""
TCP = """
listen db
  mode tcp
  option tcplog
  bind 127.0.0.1:{port}
  server a 127.0.0.1:{a} check inter 100 rise 1 fall 1 {active}
  server b 127.0.0.1:{b} check inter 100 rise 1 fall 1 backup {backup}
"""
HTTP = """
listen api
  mode http
  option httplog
  bind 127.0.0.1:{port}
  server a 127.0.0.1:{a} check inter 100 rise 1 fall 1 on-marked-down shutdown-sessions
"""
DOWN = "on-marked-down shutdown-sessions"
UP = "on-marked-up shutdown-backup-sessions"


class Server:
    """Greets each connection with its name and reads for ever; away() closes the door alone."""

    def __init__(self, scope, name, port, greets=True):
        self.name, self.port, self.greets = name.encode(), port, greets
        self.kept, self.listener, self.thread = [], None, None
        scope.on_end(self.end)
        self.back()

    def back(self):
        self.listener = socket.create_server(("127.0.0.1", self.port))
        self.thread = threading.Thread(target=self.serve, args=(self.listener,), daemon=True)
        self.thread.start()

    def serve(self, listener):
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            self.kept.append(connection)
            if self.greets:
                connection.sendall(self.name)

    def away(self):
        if self.listener is None:
            return
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join()
        self.listener = None

    def end(self):
        self.away()
        for each in self.kept:
            each.close()


class Side:
    """One program with its servers, its log and its clients."""

    def __init__(self, scope, who, text, greets=True, **words):
        self.folder = scope.path(who)
        os.mkdir(self.folder)
        self.port, a, b = scope.free_ports(3)
        self.log = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        scope.on_end(self.log.close)
        self.log.bind(("127.0.0.1", 0))
        self.log.settimeout(10)
        self.servers = {"a": Server(scope, "a", a, greets), "b": Server(scope, "b", b, greets)}
        config = CONFIG.replace("{more}", text).format(
            log=self.log.getsockname()[1], folder=self.folder, port=self.port, a=a, b=b, **words)
        command = [HAPROXY] if who == "haproxy" else [NINES, "proxy"]
        scope.start([*command, "-db", "-f", scope.write(who + ".cfg", config)], name=who)
        scope.wait_for_port(self.port)
        self.scope = scope
        for name in self.servers:
            wait_until(lambda each=name: self.status(each).startswith(("UP", "no row")),
                       what=f"{who}: {name} UP")

    def status(self, server):
        rows = [line.split(",") for line in self.command("show stat").splitlines()]
        return next((row[17] for row in rows if len(row) > 17 and row[1] == server), "no row")

    def connect(self, expected=b""):
        """A session of a client: connected, and greeted as expected."""
        client = socket.create_connection(("127.0.0.1", self.port), timeout=10)
        self.scope.on_end(client.close)
        if expected:
            assert client.recv(10) == expected
        return client

    def command(self, text):
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(f"{self.folder}/control")
            connection.sendall(text.encode() + b"\n")
            answer = b""
            while part := connection.recv(65536):
                answer += part
        return answer.decode()

    def termination(self, frontend):
        """Server and flags of the next session of this frontend that the program ended."""
        while True:
            line = self.log.recv(65536).decode()
            found = re.search(rf" {frontend} {frontend}/(\w+) .* ([DUK])(\S)(?:--)? \d+/\d+/", line)
            if found:
                return found.group(1), found.group(2) + found.group(3)


def is_open(client):
    """Whether a session still stands: nothing to be read, and no end."""
    client.setblocking(False)
    try:
        return client.recv(1, socket.MSG_PEEK) != b""
    except BlockingIOError:
        return True
    except ConnectionError:
        return False
    finally:
        client.settimeout(10)


def both(scope, text, **words):
    assert shutil.which(HAPROXY), f"{HAPROXY} is missing: tools/deps test installs it"
    return {who: Side(scope, who, text, **words) for who in ("haproxy", "nines")}


@test
def sessions_end_when_their_server_is_marked_down(scope):
    seen = {}
    for who, side in both(scope, TCP, active=DOWN, backup="").items():
        client = side.connect(b"a")
        side.servers["a"].away()
        wait_until(lambda s=side: s.status("a") == "DOWN", what=f"{who}: a DOWN")
        wait_until(lambda c=client: not is_open(c), what=f"{who}: the session's end")
        seen[who] = side.termination("db")
        side.connect(b"b")
    assert seen["nines"] == seen["haproxy"] == ("a", "D-"), seen


@test
def without_the_word_they_stay(scope):
    for who, side in both(scope, TCP, active="", backup="").items():
        client = side.connect(b"a")
        side.servers["a"].away()
        wait_until(lambda s=side: s.status("a") == "DOWN", what=f"{who}: a DOWN")
        later = side.connect(b"b")
        side.servers["a"].back()
        wait_until(lambda s=side: s.status("a").startswith("UP"), what=f"{who}: a UP")
        side.connect(b"a")
        assert is_open(client) and is_open(later), who


@test
def sessions_on_backups_end_when_the_active_server_is_marked_up(scope):
    seen = {}
    for who, side in both(scope, TCP, active=UP, backup="").items():
        side.servers["a"].away()
        wait_until(lambda s=side: s.status("a") == "DOWN", what=f"{who}: a DOWN")
        client = side.connect(b"b")
        side.servers["a"].back()
        wait_until(lambda s=side: s.status("a").startswith("UP"), what=f"{who}: a UP")
        wait_until(lambda c=client: not is_open(c), what=f"{who}: the session's end")
        seen[who] = side.termination("db")
        side.connect(b"a")
    assert seen["nines"] == seen["haproxy"] == ("b", "U-"), seen


@test
def a_backup_that_comes_up_ends_nobodys_sessions(scope):
    for who, side in both(scope, TCP, active="", backup=UP).items():
        side.servers["a"].away()
        wait_until(lambda s=side: s.status("a") == "DOWN", what=f"{who}: a DOWN")
        client = side.connect(b"b")
        side.servers["b"].away()
        wait_until(lambda s=side: s.status("b") == "DOWN", what=f"{who}: b DOWN")
        side.servers["b"].back()
        wait_until(lambda s=side: s.status("b").startswith("UP"), what=f"{who}: b UP")
        side.connect(b"b")
        assert is_open(client), who


@test
def sessions_end_at_the_operators_word(scope):
    seen = {}
    for who, side in both(scope, TCP, active="", backup="").items():
        client = side.connect(b"a")
        side.command("shutdown sessions server db/a")
        wait_until(lambda c=client: not is_open(c), what=f"{who}: the session's end")
        seen[who] = side.termination("db")
    assert seen["nines"] == seen["haproxy"], seen


@test
def a_request_that_waits_on_a_server_marked_down_is_told(scope):
    """A POST, which is not sent again. What is idempotent has nobody else to go to here."""
    seen = {}
    for who, side in both(scope, HTTP, greets=False).items():
        client = side.connect()
        client.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi")
        wait_until(lambda s=side: any(True for each in s.servers["a"].kept
                                      if _has_bytes(each)), what=f"{who}: the request")
        side.servers["a"].away()
        wait_until(lambda s=side: s.status("a") == "DOWN", what=f"{who}: a DOWN")
        answer = client.recv(65536)
        seen[who] = (answer.split(b"\r\n")[0], side.termination("api"))
    assert seen["nines"] == seen["haproxy"], seen


def _has_bytes(connection):
    try:
        return connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) != b""
    except (BlockingIOError, ConnectionError):
        return False


main()
