#!/usr/bin/python3
# HAProxy and nines side by side, the same traffic through both.
# timeout: 240
"""The real HAProxy as oracle for traffic: the same configuration, the same bytes, side by side.

Each case of traffic_cases.py starts both programs on a configuration of its own, with scripted
servers behind them, plays the client's script to both at once, and compares what was seen:

    client   answers as the client saw them, and how the connection ended
    server   requests as the servers saw them
    log      log lines, to the letter but for times, ports and process ids
    stats    the statistics' columns after it

A case that differs on purpose says where and why, and is held to differing. Without NINES_FULL the
same cases run; there is no long form. Names of cases as arguments run those alone; -v shows what
was seen."""

import concurrent.futures
import contextlib
import csv
import io
import os
import random
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))
sys.path.insert(0, HERE)

import traffic_cases as cases                                             # noqa: E402
from nines_test import NINES, wait_until                                  # noqa: E402

HAPROXY = os.environ.get("HAPROXY", "haproxy")
AT_ONCE = 4                 # cases that run side by side: most of their time is waiting
DEADLINE = 30.0             # seconds for anything that is waited for, on a busy machine too
PORTS = (20000, 32000)      # below the kernel's own range, so that no client socket takes one
# A loopback address of this run's own: what else runs on this machine neither takes its ports nor
# happens to talk to its servers. Clients come from 127.0.0.1 all the same.
HOST = f"127.{64 + (os.getpid() >> 16) % 128}.{(os.getpid() >> 8) % 256}.{os.getpid() % 256}"

# What is compared of "show stat". Levels and rates are not: they depend on when one looks.
COUNTERS = ("stot", "bin", "bout", "dreq", "dresp", "ereq", "econ", "eresp", "wretr", "wredis",
            "hrsp_1xx", "hrsp_2xx", "hrsp_3xx", "hrsp_4xx", "hrsp_5xx", "hrsp_other", "req_tot",
            "cli_abrt", "srv_abrt", "conn_tot", "intercepted", "lbtot", "scur", "qcur")

# HAProxy counts an HTTP message's bytes as its own representation has them, Nines as they were on
# the wire: not compared, but Nines is held to what the client received.
HTTP_BYTES = ("bin", "bout")

CONFIG = """
global
  log 127.0.0.1:{log} local0
  stats socket {folder}/control level admin
  nbthread 1
  maxconn 200
defaults
  log global
  mode http
{log_option}
  timeout connect 10s
  timeout client 15s
  timeout server 15s
{defaults}
frontend web
  bind 127.0.0.1:{port}
  default_backend app
{front}
backend app
{back}
{servers}
{more}
"""


# ---- Ports ------------------------------------------------------------------------------------

_given = set()
_given_lock = threading.Lock()


def take_port():
    """A port of HOST that is free now, and never given twice by this process."""
    with _given_lock:
        while True:
            port = random.randrange(*PORTS)
            if port in _given:
                continue
            with socket.socket() as probe, contextlib.suppress(OSError):
                probe.bind((HOST, port))
                _given.add(port)
                return port


def listening(port):
    address = int.from_bytes(socket.inet_aton(HOST), sys.byteorder)
    wanted = f"{address:08X}:{port:04X} 00000000:0000 0A"
    with open("/proc/net/tcp", encoding="ascii") as table:
        return any(wanted in line for line in table)


# ---- Messages ---------------------------------------------------------------------------------

class Reader:
    """Reads whole messages off a socket, whatever the segments were."""

    def __init__(self, connection):
        self.connection, self.held, self.ended, self.received = connection, b"", None, 0

    def more(self):
        if self.ended:
            return False
        try:
            part = self.connection.recv(65536)
        except ConnectionResetError:
            self.ended = "reset"
            return False
        if not part:
            self.ended = "end"
            return False
        self.held += part
        self.received += len(part)
        return True

    def until(self, mark):
        while mark not in self.held:
            if not self.more():
                return None
        at = self.held.index(mark) + len(mark)
        taken, self.held = self.held[:at], self.held[at:]
        return taken

    def count(self, size):
        while len(self.held) < size and self.more():
            pass
        taken, self.held = self.held[:size], self.held[size:]
        return taken

    def rest(self):
        while self.more():
            pass
        taken, self.held = self.held, b""
        return taken

    def head(self):
        """(start line, [(name, value)]), or None when the peer ended before its last line."""
        text = self.until(b"\r\n\r\n")
        if text is None:
            return None
        start, *fields = text.decode("latin-1").rstrip("\r\n").split("\r\n")
        pairs = [tuple(field.split(":", 1)) for field in fields if ":" in field]
        return start, [(name.strip().lower(), value.strip()) for name, value in pairs]

    def chunked(self):
        body = b""
        while True:
            line = self.until(b"\r\n")
            if line is None:
                return body + b"<cut>"
            size = int(line.split(b";")[0], 16)
            if size == 0:
                while (line := self.until(b"\r\n")) not in (b"\r\n", None):
                    pass
                return body
            data = self.count(size)
            body += data
            if len(data) < size:
                return body + b"<cut>"
            self.until(b"\r\n")

    def body(self, fields, without_length):
        value = {name: value for name, value in fields}
        if "chunked" in value.get("transfer-encoding", ""):
            return self.chunked()
        if "content-length" in value:
            size = int(value["content-length"])
            body = self.count(size)
            return body if len(body) == size else body + b"<cut>"
        return self.rest() if without_length else b""


def shown(body):
    text = body.decode("latin-1")
    return text if len(text) < 400 else f"{text[:40]}...({len(text)} bytes)"


# ---- The servers ------------------------------------------------------------------------------

class Server:
    """Answers what the case tells for the target asked for; notes what it saw."""

    def __init__(self, side, name, answers, raw):
        self.side, self.name, self.answers, self.raw = side, name, answers, raw
        self.port = take_port()
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind((HOST, self.port))
        self.listener.listen(64)
        threading.Thread(target=self.accept, daemon=True).start()

    def close(self):
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()

    def accept(self):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.listener.accept()
                connection.settimeout(DEADLINE)
                threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        with connection, contextlib.suppress(OSError):
            reader = Reader(connection)
            if self.raw is not None:
                with self.side.busy():
                    play(self.side, connection, reader, self.raw, self.name)
                return
            while head := reader.head():
                if head[0] == "OPTIONS / HTTP/1.0" and not head[1]:
                    # Nines asks a server that is slow on a loaded machine whether it is there.
                    connection.sendall(cases.OK)
                    continue
                with self.side.busy():
                    if not self.serve_one(connection, reader, *head):
                        return

    def serve_one(self, connection, reader, line, fields):
        target = line.split(" ")[1]
        steps = self.answers.get((self.name, target)) or self.answers.get(target)
        if steps is None:
            steps = [cases.OK]
        if callable(steps):
            steps = steps(self.side)
        body = b"<unread>"
        if not any(step is cases.BODY or isinstance(step, cases.Take) for step in steps):
            body = reader.body(fields, False)
        self.side.saw(self.name, line, fields, body)
        return play(self.side, connection, reader, steps, self.name, fields)


def play(side, connection, reader, steps, name, fields=()):
    """A server's steps for one request; False when the connection is over."""
    for step in steps:
        if isinstance(step, bytes):
            connection.sendall(step.replace(b"{name}", name.encode()))
        elif step is cases.BODY:
            side.note(f"{name} body {shown(reader.body(fields, False))}")
        elif step is cases.CLOSE:
            return False
        elif step is cases.SHUT:
            connection.shutdown(socket.SHUT_WR)
        elif step is cases.RESET:
            reset(connection)
            return False
        elif step is cases.HOLD:
            reader.rest()
            return False
        elif isinstance(step, cases.Take):
            side.note(f"{name} took {shown(reader.count(step.size))}")
        elif isinstance(step, cases.Wait):
            side.wait_for(step)
        elif step is cases.REST:
            side.note(f"{name} took {shown(reader.rest())} then {reader.ended}")
        else:
            raise AssertionError(f"no such step: {step}")
    return True


def reset(connection):
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


# ---- One program under one case ---------------------------------------------------------------

class Side:
    """A proxy with its configuration, servers, clients and log, and all that was seen of it."""

    def __init__(self, case, program, command, folder):
        self.case, self.program, self.folder = case, program, folder
        os.mkdir(folder)
        self.lock = threading.Lock()
        self.seen_client, self.seen_server, self.marks = [], [], set()
        self.servers_busy = 0
        self.log_lines = []
        self.log_socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.log_socket.bind((HOST, 0))
        self.log_socket.setblocking(False)
        self.port = take_port()
        self.servers = [Server(self, name, case.answers, case.raw) for name in ("a", "b", "c")]
        # Bound and not listening: refuses, and nobody else can take it.
        self.refusing = socket.socket()
        self.refusing.bind((HOST, take_port()))
        self.values = {"port": self.port, "port2": take_port(), "folder": folder,
                       "log": self.log_socket.getsockname()[1],
                       "refused": self.refusing.getsockname()[1],
                       **{server.name: server.port for server in self.servers}}
        path = os.path.join(folder, "proxy.cfg")
        parts = {name: getattr(case, name) for name in ("log_option", "defaults", "front", "back",
                                                        "servers", "more")}
        text = CONFIG
        for name, part in parts.items():
            text = text.replace("{" + name + "}", "\n".join("  " + line.strip()
                                if not re.match(r"(frontend|backend|listen) ", line.strip())
                                else line.strip() for line in part.splitlines()))
        with open(path, "w", encoding="utf-8") as out:
            for name, value in self.values.items():
                text = text.replace("127.0.0.1:{" + name + "}", f"{HOST}:{value}")
                text = text.replace("{" + name + "}", str(value))
            out.write(text)
        # Dies with us whatever happens. Not by preexec_fn, which may hang in a process of threads.
        with open(os.path.join(folder, "output"), "wb") as output:
            self.process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", "--", *command, "-db", "-f", path],
                stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True)

    def output(self):
        with open(os.path.join(self.folder, "output"), encoding="utf-8", errors="replace") as text:
            return text.read()

    def alive(self):
        return self.process.poll() is None

    def wait_until_ready(self):
        wait_until(lambda: listening(self.port) or not self.alive(), DEADLINE,
                   f"{self.program} listens")
        if not self.alive():
            raise AssertionError(f"{self.program} did not start: {self.output()}")
        wait_until(lambda: self.ask("show info"), DEADLINE, f"{self.program} answers on its socket")

    def stop(self):
        for server in self.servers:
            server.close()
        self.refusing.close()
        self.log_socket.close()
        if not self.alive():
            self.crashed = (f"{self.program} ended with {self.process.returncode}: "
                            f"{self.output()[-4000:]}")
            return
        os.killpg(self.process.pid, signal.SIGKILL)  # a session and group of its own
        self.process.wait()

    crashed = None
    received = 0            # bytes by the clients, all there were if each read to the end
    all_received = True

    # what servers and clients report

    @contextlib.contextmanager
    def busy(self):
        """A server is in the middle of its steps, and may yet have something to note."""
        with self.lock:
            self.servers_busy += 1
        try:
            yield
        finally:
            with self.lock:
                self.servers_busy -= 1

    def saw(self, name, line, fields, body):
        fields = sorted(f"{n}: {self.anonymous(v)}" for n, v in fields)
        with self.lock:
            self.seen_server.append(f"{name if self.case.which_server else ''}> {line} | "
                                    f"{' | '.join(fields)} | {shown(body)}")

    def note(self, text):
        with self.lock:
            self.seen_server.append(text)

    def anonymous(self, text):
        for name, port in self.values.items():
            if isinstance(port, int):
                text = text.replace(f"{HOST}:{port}", f"HOST:<{name}>")
        return text

    # conditions

    def ask(self, command):
        with socket.socket(socket.AF_UNIX) as control:
            control.settimeout(DEADLINE)
            control.connect(os.path.join(self.folder, "control"))
            control.sendall(command.encode() + b"\n")
            return Reader(control).rest().decode("latin-1")

    def statistics(self):
        text = self.ask("show stat").lstrip("# ")
        rows = csv.DictReader(io.StringIO(text))
        return {f"{row['pxname']}/{row['svname']}": row for row in rows if row.get("svname")}

    def collect_log(self):
        with contextlib.suppress(BlockingIOError):
            while True:
                self.log_lines.append(self.log_socket.recv(65536).decode("latin-1"))
        return self.log_lines

    def wait_for(self, wait):
        wait_until(lambda: wait.condition(self), DEADLINE, f"{self.program}: {wait.what}")

    def requests_seen(self):
        with self.lock:
            return len(self.seen_server)

    # the client

    def play_client(self):
        clients = {}
        current = 0
        for step in self.case.client:
            if isinstance(step, cases.Client):
                current = step.number
                continue
            if isinstance(step, cases.Wait):
                self.wait_for(step)
                continue
            if current not in clients:
                target = self.values[self.case.to]
                connection = socket.create_connection((HOST, target), timeout=DEADLINE)
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                clients[current] = (connection, Reader(connection))
            self.play_client_step(step, current, *clients[current])
        for connection, reader in clients.values():
            connection.close()
            self.received += reader.received
            self.all_received = self.all_received and reader.ended == "end"

    def play_client_step(self, step, number, connection, reader):
        def saw(text):
            self.seen_client.append(f"{number}: {self.anonymous(text)}")
        if isinstance(step, bytes):
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                connection.sendall(step)
        elif isinstance(step, cases.Answer):
            head = reader.head()
            if head is None:
                saw(f"no answer: {shown(reader.rest())} then {reader.ended}")
                return
            line, fields = head
            status = line.split(" ")[1]
            body = b""
            if not (step.head_only or status in ("204", "304") or status.startswith("1")):
                body = reader.body(fields, True)
            fields = sorted(f"{n}: {self.normal_value(n, v)}" for n, v in fields)
            text = shown(body) if step.body else f"({'some' if body else 'no'} bytes)"
            saw(f"{line} | {' | '.join(fields)} | {text}")
        elif step is cases.END:
            rest = reader.rest()
            saw(f"{shown(rest)} then {reader.ended}")
        elif step is cases.GONE:  # an end or a reset: which of the two is a matter of timing
            rest = reader.rest()
            saw(f"{shown(rest)} then gone")
        elif isinstance(step, cases.Take):
            saw(f"took {shown(reader.count(step.size)).lower()}")
        elif step is cases.OPEN:
            pass
        elif step is cases.SHUT:
            connection.shutdown(socket.SHUT_WR)
        elif step is cases.CLOSE:
            connection.close()
        elif step is cases.RESET:
            reset(connection)
        else:
            raise AssertionError(f"no such step: {step}")

    def normal_value(self, name, value):
        return "..." if name in ("date", "last-modified") else value

    # what is compared

    def idle(self):
        return all(int(row["scur"] or 0) == 0 for row in self.statistics().values())

    def seen(self):
        rows = self.statistics()
        stats = []
        for name, row in sorted(rows.items()):
            for column in COUNTERS:
                if self.case.http and column in HTTP_BYTES:
                    continue
                if row[column] not in ("", "0"):
                    stats.append(f"{name} {column}={row[column]}")
        if self.program == "nines" and self.case.http and self.all_received:
            counted = int(rows["web/FRONTEND"]["bout"])
            if self.case.to == "port" and counted != self.received:
                stats.append(f"web/FRONTEND bout={counted} instead of {self.received}")
        self.collect_log()
        return {"client": self.seen_client, "server": self.server_seen(),
                "log": [self.normal_log(line) for line in self.log_lines], "stats": stats}

    def server_seen(self):
        with self.lock:
            return list(self.seen_server)

    def normal_log(self, line):
        line = re.sub(r"^(<\d+>)\w+ +\d+ [\d:]+ ", r"\1TIME ", line)
        line = re.sub(r"haproxy\[\d+\]", "haproxy[PID]", line)
        line = re.sub(r"\[\d+/\w+/\d+:[\d:.]+\]", "[DATE]", line)
        if self.case.http:
            line = re.sub(r"(/-?\d+ -?\d+) \d+ - - ", r"\1 BYTES - - ", line)
            line = re.sub(r"(/\d+) \d+ (?=\S\S \d+/)", r"\1 BYTES ", line)
        line = self.anonymous(line)
        line = re.sub(r"127\.0\.0\.1:\d+", "CLIENT:PORT", line)
        # Times are times; that a step was not reached (-1) is compared.
        def timers(match):
            return " " + "/".join("-1" if t == "-1" else "T" for t in match[1].split("/")) + " "
        line = re.sub(r" ((?:-?\d+/){2,4}\+?\d+) ", timers, line, count=1)
        return line[:960]  # HAProxy cuts at 1024, of which ports and ids are a part


def run_case(case, folder):
    """What was seen of each program: [(program, seen)], or raises."""
    sides = []
    try:
        sides.append(Side(case, "haproxy", [HAPROXY], os.path.join(folder, "haproxy")))
        sides.append(Side(case, "nines", [NINES, "proxy"], os.path.join(folder, "nines")))
        for side in sides:
            side.wait_until_ready()
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            for done in [pool.submit(side.play_client) for side in sides]:
                done.result()
        for side in sides:
            wait_until(side.idle, DEADLINE, f"{side.program} has no sessions any more")
            wait_until(lambda: side.servers_busy == 0, DEADLINE, "the servers are done")
        oracle = len(sides[0].collect_log())
        with contextlib.suppress(AssertionError):
            wait_until(lambda: len(sides[1].collect_log()) >= oracle, 1.0, "as many log lines")
        return [(side.program, side.seen()) for side in sides]
    finally:
        for side in sides:
            side.stop()
        crashed = [side.crashed for side in sides if side.crashed]
        if crashed:
            raise AssertionError(" ".join(crashed))


def split_stats(lines):
    return dict(line.split("=", 1) for line in lines)


def differences(seen_haproxy, seen_nines):
    """{"client": text, "server": text, "log": text, "stats COLUMN": text} of what differs."""
    found = {}
    for part in ("client", "server", "log"):
        if seen_haproxy[part] != seen_nines[part]:
            found[part] = "".join(f"\n      haproxy {x}" for x in seen_haproxy[part]) + \
                          "".join(f"\n      nines   {x}" for x in seen_nines[part])
    theirs, ours = split_stats(seen_haproxy["stats"]), split_stats(seen_nines["stats"])
    for key in sorted(set(theirs) | set(ours)):
        if theirs.get(key, "0") != ours.get(key, "0"):
            part = f"stats {key.split(' ')[1]}"
            found[part] = found.get(part, "") + \
                f"\n      {key}: haproxy {theirs.get(key, '0')}, nines {ours.get(key, '0')}"
    return found


def judge(case, verbose, folder):
    """(passed, what to print)"""
    begun = time.monotonic()
    try:
        (_, theirs), (_, ours) = run_case(case, folder)
    except Exception as error:  # any at all: the next case still runs
        what = str(error) or type(error).__name__
        return False, f"   # {what}\nnot ok {case.name} {' '.join(what.split())[:200]}\n"
    found = differences(theirs, ours)
    text = f"   # {case.name} took {time.monotonic() - begun:.1f} s\n" if verbose else ""
    if verbose:
        for program, seen in (("haproxy", theirs), ("nines", ours)):
            for part, lines in seen.items():
                text += "".join(f"   # {program} {part} {line}\n" for line in lines)
    wrong = [part for part in found if part not in case.differ]
    stale = [part for part in case.differ if part not in found]
    for part in wrong:
        text += f"   # {part}:{found[part]}\n"
    if stale:
        text += f"   # no longer differs: {', '.join(stale)}\n"
    if wrong or stale:
        return False, text + f"not ok {case.name} {', '.join(wrong + stale)}\n"
    return True, text + f"ok {case.name}\n"


def main():
    verbose = "-v" in sys.argv
    names = [name for name in sys.argv[1:] if name != "-v"]
    chosen = [case for case in cases.CASES if not names or case.name in names]
    assert len({case.name for case in cases.CASES}) == len(cases.CASES), "two cases, one name"
    for program in (HAPROXY, NINES):
        if not shutil.which(program):
            print(f"not ok programs there is no {program}")
            sys.exit(1)
    failed = 0
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="nines-traffic-") as folder:
        os.chmod(folder, 0o755)

        def ended(number, _):  # at once: the programs die with us
            shutil.rmtree(folder, ignore_errors=True)
            os._exit(128 + number)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, ended)
        with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
            def one(case):
                os.mkdir(os.path.join(folder, case.name))
                return judge(case, verbose, os.path.join(folder, case.name))
            for passed, text in pool.map(one, chosen):
                failed += not passed
                sys.stdout.write(text)
                sys.stdout.flush()
    print(f"   # {len(chosen)} cases in {time.monotonic() - begun:.1f} s")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
