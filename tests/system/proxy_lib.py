"""What the proxy's system tests share: the program under its incumbent's name, real servers, load
that counts every failure, and looks into the processes."""

import contextlib
import http.client
import os
import re
import socket
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from nines_test import NINES, wait_until  # noqa: E402,F401

DEFAULTS = """
global
  stats socket {socket} mode 600 level admin
  stats timeout 30s
defaults
  mode http
  timeout connect 2s
  timeout client 20s
  timeout server 20s
  timeout queue 10s
  option redispatch
"""


def as_haproxy(scope):
    """A link named haproxy to the program."""
    link = scope.path("haproxy")
    if not os.path.lexists(link):
        os.symlink(os.path.realpath(NINES), link)
    return link


def defaults(scope):
    return DEFAULTS.format(socket=scope.path("stats.sock"))


def ask(path, command):
    """One command to a runtime socket; its answer."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(10)
        connection.connect(path)
        connection.sendall(command.encode() + b"\n")
        answer = b""
        while part := connection.recv(65536):
            answer += part
        return answer.decode()


def info(path):
    return dict(line.split(": ", 1) for line in ask(path, "show info").splitlines()
                if ": " in line)


def server_column(path, proxy, server, column):
    lines = ask(path, "show stat").splitlines()
    names = lines[0].lstrip("# ").split(",")
    for line in lines[1:]:
        row = dict(zip(names, line.split(",")))
        if row.get("pxname") == proxy and row.get("svname") == server:
            return row[column]
    raise AssertionError(f"no {proxy}/{server} in show stat")


def start_nginx(scope, ports, locations, name="nginx", prefix=None):
    """nginx that answers as `locations` say on each port; $server_port tells them apart."""
    folder = scope.path(name)
    os.makedirs(folder, exist_ok=True)
    os.chmod(folder, 0o777)
    listens = "\n".join(f"server {{ listen 127.0.0.1:{port} backlog=4096; {locations} }}"
                        for port in ports)
    paths = " ".join(f"{kind}_temp_path {folder}/{kind};"
                     for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    config = scope.write(f"{name}.conf", f"""
worker_processes 1; daemon off; pid {folder}/pid; error_log {folder}/error.log;
events {{ worker_connections 8192; }}
http {{ access_log off; keepalive_requests 100000000; keepalive_timeout 600s; {paths}
client_max_body_size 0; root {folder}; {listens} }}
""")
    process = scope.start((prefix or []) + ["/usr/sbin/nginx", "-e", f"{folder}/error.log",
                                            "-c", config], name=name)
    for port in ports:
        scope.wait_for_port(port)
    return process


class Nines:
    """A running balancer in the foreground."""

    def __init__(self, scope, config, flags=("-W", "-db"), port=None, prefix=None, **options):
        self.scope = scope
        self.config = scope.write("haproxy.cfg", config) if "\n" in config else config
        self.socket = scope.path("stats.sock")
        self.process = scope.start((prefix or []) + [as_haproxy(scope), *flags, "-f", self.config],
                                   name="haproxy", **options)
        self.pid = self.process.pid
        if port is not None:
            wait_until(lambda: self.ready(port) or not self.process.alive(), what="a balancer")
            assert self.process.alive(), self.process.log()

    def ready(self, port):
        """Serving, and not only listening: the runtime socket is answered by the plane."""
        with socket.create_connection(("127.0.0.1", port), timeout=1):
            return len(children(self.pid)) == 1 and "Pid: " in ask(self.socket, "show info")

    def plane(self):
        """The process that carries the traffic."""
        found = children(self.pid)
        assert len(found) == 1, found
        return found[0]

    def reload(self, config=None, number=12):
        """SIGUSR2; returns when the new configuration runs."""
        if config is not None:
            self.scope.write("haproxy.cfg", config)
        before = self.count("the new configuration runs")
        self.process.signal(number)
        wait_until(lambda: self.count("the new configuration runs") > before, what="the reload")

    def count(self, text):
        return self.process.log().count(text)


def children(pid):
    found = []
    with contextlib.suppress(OSError):
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/children", encoding="ascii") as file:
                found += [int(child) for child in file.read().split()]
    return found


def status_of(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def is_sanitized(pid):
    """Built with a sanitizer, which needs descriptors for its own checks and keeps freed memory."""
    with open(f"/proc/{pid}/maps", encoding="utf-8") as file:
        return "san.so" in file.read()


def resident_kib(pid):
    return int(re.match(r"\s*(\d+)", status_of(pid)["VmRSS"]).group(1))


class Load:
    """GETs from threads until stopped. A connection that was kept and is closed before the first
    byte of an answer is tried again on a new one, as every client must (RFC 9112, section 9.3.1);
    such are counted apart, in `stale`."""

    def __init__(self, port, keep_alive=2, close=2, host="127.0.0.1", path="/", pause=0.001):
        self.port, self.host, self.path, self.pause = port, host, path, pause
        self.good = 0
        self.stale = 0
        self.failures = []
        self.bodies = {}
        self.slowest = 0.0
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(kept,), daemon=True)
                         for kept in [True] * keep_alive + [False] * close]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        self._stop.set()
        for thread in self._threads:
            thread.join(timeout=30)
        assert not any(thread.is_alive() for thread in self._threads), "a request hangs"

    def wait_for(self, more, timeout=20):
        """Until that many further requests have been answered."""
        until = self.good + more
        wait_until(lambda: self.good >= until or self.failures, timeout, f"{more} more requests")

    def check(self, at_least=1):
        assert not self.failures, f"{len(self.failures)} failed of {self.good}: {self.failures[:5]}"
        assert self.good >= at_least, f"only {self.good} requests"

    def _run(self, kept):
        connection = None
        while not self._stop.is_set():
            fresh = connection is None
            if fresh:
                connection = http.client.HTTPConnection(self.host, self.port, timeout=15)
            begun = time.monotonic()
            try:
                connection.request("GET", self.path,
                                   headers={} if kept else {"Connection": "close"})
                answer = connection.getresponse()
                body = answer.read()
                if answer.status != 200:
                    raise AssertionError(f"status {answer.status}")
                with self._lock:
                    self.good += 1
                    self.bodies[body] = self.bodies.get(body, 0) + 1
                    self.slowest = max(self.slowest, time.monotonic() - begun)
                if not kept or answer.will_close:
                    connection.close()
                    connection = None
            except (http.client.RemoteDisconnected, ConnectionError) as error:
                connection.close()
                connection = None
                with self._lock:
                    if fresh:
                        self.failures.append(f"{time.monotonic():.3f} {error!r}")
                    else:
                        self.stale += 1
            except Exception as error:  # whatever it is, a request has failed
                connection.close()
                connection = None
                with self._lock:
                    self.failures.append(f"{time.monotonic():.3f} {error!r}")
            self._stop.wait(self.pause)
