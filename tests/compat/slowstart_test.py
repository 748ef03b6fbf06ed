#!/usr/bin/python3
"""The real HAProxy as oracle for "slowstart": both programs on the same configuration, each with
two servers of its own, one of which goes away and comes back. How many of the new sessions it gets
is counted by who greets."""
# timeout: 120

import os
import shutil
import socket
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from nines_test import NINES, Skip, main, test, wait_until  # noqa: E402

HAPROXY = os.environ.get("HAPROXY", "haproxy")
RAMP = 8
CONFIG = """
global
  stats socket {folder}/control level admin
  nbthread 1
defaults
  timeout connect 5s
  timeout client 30s
  timeout server 30s
listen api
  mode tcp
  balance {balance}
  bind 127.0.0.1:{port}
  server a 127.0.0.1:{a} check inter 100 rise 1 fall 1 slowstart {ramp}s
  server b 127.0.0.1:{b} check inter 100 rise 1 fall 1 slowstart {ramp}s
"""


class Server:
    """Greets each connection with its name and closes it; away() closes the door."""

    def __init__(self, scope, name, port):
        self.name, self.port = name.encode(), port
        self.listener, self.thread = None, None
        scope.on_end(self.away)
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
            try:
                connection.sendall(self.name)
            except OSError:
                pass  # a check has heard enough
            connection.close()

    def away(self):
        if self.listener is None:
            return
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join()
        self.listener = None


class Side:
    def __init__(self, scope, who, balance):
        self.folder = scope.path(who)
        os.mkdir(self.folder)
        self.port, a, b = scope.free_ports(3)
        self.servers = {"a": Server(scope, "a", a), "b": Server(scope, "b", b)}
        config = CONFIG.format(folder=self.folder, port=self.port, a=a, b=b, balance=balance,
                               ramp=RAMP)
        command = [HAPROXY] if who == "haproxy" else [NINES, "proxy"]
        scope.start([*command, "-db", "-f", scope.write(who + ".cfg", config)], name=who)
        scope.wait_for_port(self.port)
        self.who = who

    def status(self, server):
        with socket.socket(socket.AF_UNIX) as control:
            control.connect(os.path.join(self.folder, "control"))
            control.sendall(b"show stat\n")
            rows = control.makefile().read().splitlines()
        columns = rows[0].lstrip("# ").split(",")
        row = next(each.split(",") for each in rows[1:] if each.startswith(f"api,{server},"))
        return row[columns.index("status")]

    def wait_for(self, server, status):
        wait_until(lambda: self.status(server).startswith(status), what=f"{self.who}: {status}")

    def share(self, server, count=60):
        """Of so many new sessions, one after the other, the part that this server got."""
        found = 0
        for _ in range(count):
            with socket.create_connection(("127.0.0.1", self.port), timeout=10) as session:
                found += session.recv(10) == server.encode()
        return found / count


@test
def a_server_that_returns_gets_its_share_little_by_little(scope):
    if shutil.which(HAPROXY) is None:
        raise Skip("haproxy is not installed")
    sides = [Side(scope, who, "roundrobin") for who in ("haproxy", "nines")]
    for side in sides:
        assert abs(side.share("b") - 0.5) < 0.1, "no server is slow at the start"
        side.servers["b"].away()
        side.wait_for("b", "DOWN")
        assert side.share("b") == 0
    for side in sides:
        side.servers["b"].back()
        side.wait_for("b", "UP")
        up = time.monotonic()
        first = side.share("b")
        took = time.monotonic() - up
        print(f"   # {side.who}: {first:.2f} of the first sessions, in {took:.2f} s")
        # Its part is p/(1+p) of all, with p the part of the ramp that has passed.
        part = min(1, (took + 1.5) / RAMP)
        assert 0 < first <= part / (1 + part) + 0.1, (side.who, first, took)
        wait_until(lambda since=up: time.monotonic() - since > RAMP + 1.5, timeout=RAMP + 5,
                   what="the end of the ramp")
        last = side.share("b")
        print(f"   # {side.who}: {last:.2f} of those after it")
        assert abs(last - 0.5) < 0.1, (side.who, last)


main()
