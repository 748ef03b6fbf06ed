#!/usr/bin/python3
"""What test scripts share: tests that clean up after themselves whatever happens, processes tracked
by id, free ports, hosts as namespaces, and waiting for conditions instead of for time.

    from nines_test import test, main

    @test
    def a_server_answers(scope):
        port = scope.free_port()
        scope.start([NINES, "proxy", "-f", scope.write("a.cfg", CONFIG.format(port=port))])
        scope.wait_for_port(port)
        assert scope.http(port, "/").status == 200

    main()

Everything that a test takes from its scope is gone when the test ends. This process adopts orphans
(PR_SET_CHILD_SUBREAPER), so that daemons which fork away are found and ended as well; children die
with this process even when it is killed (PR_SET_PDEATHSIG)."""

import contextlib
import ctypes
import http.client
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
# Whole: a namespace's programs begin in another directory.
NINES = os.path.abspath(os.environ.get("NINES", os.path.join(ROOT, "build", "nines")))
FULL = os.environ.get("NINES_FULL", "0") == "1"

WAIT_SECONDS = 10.0      # for a condition, unless told otherwise
POLL_SECONDS = 0.01      # between two looks at a condition
STOP_SECONDS = 5.0       # from SIGTERM to SIGKILL

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_libc = ctypes.CDLL(None, use_errno=True)
_tests = []


class Skip(Exception):
    """Raise with a reason to leave a test out."""


def test(function):
    """Registers a test: a function that takes a Scope and raises when something is wrong."""
    _tests.append(function)
    return function


def main():
    """Runs the tests named on the command line, or all, in order; ends the process."""
    _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda number, _: sys.exit(128 + number))
    sys.stdout.reconfigure(line_buffering=True)
    unknown = set(sys.argv[1:]) - {t.__name__ for t in _tests}
    if unknown:
        sys.exit(f"no test is named {', '.join(sorted(unknown))}; those here: "
                 + ", ".join(t.__name__ for t in _tests))
    chosen = [t for t in _tests if not sys.argv[1:] or t.__name__ in sys.argv[1:]]
    failed = 0
    for function in chosen:
        name = function.__name__
        try:
            with Scope(name) as scope:
                function(scope)
            print(f"ok {name}")
        except Skip as reason:
            print(f"skip {name} {reason}")
        except Exception as error:  # any at all: the next test still runs
            failed += 1
            traceback.print_exc()
            what = " ".join(str(error).split()) or type(error).__name__
            print(f"not ok {name} {what[:300]}")
    sys.exit(1 if failed else 0)


def wait_until(condition, timeout=WAIT_SECONDS, what=None):
    """Returns the first true value of condition(); OSError counts as "not yet"."""
    deadline = time.monotonic() + timeout
    while True:
        try:
            if value := condition():
                return value
        except OSError:
            pass
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout} s: {what or condition.__name__}")
        time.sleep(POLL_SECONDS)


class Response:
    """An HTTP answer as it came: status, headers (list of pairs) and body."""

    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    def header(self, name):
        return next((v for k, v in self.headers if k.lower() == name.lower()), None)


class Process:
    """A child in a session of its own, its output in a file."""

    def __init__(self, arguments, log_path, **options):
        self.arguments = arguments
        self.log_path = log_path
        with open(log_path, "ab") as log:
            self.popen = subprocess.Popen(
                arguments, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
                start_new_session=True, preexec_fn=_die_with_parent, **options)
        self.pid = self.popen.pid

    def alive(self):
        return self.popen.poll() is None

    def signal(self, number):
        """To the process alone; nothing when it has ended."""
        self.popen.send_signal(number)

    def signal_group(self, number):
        if self.alive():  # not reaped yet, so that the id is still ours
            os.killpg(self.pid, number)

    def wait(self, timeout=WAIT_SECONDS):
        """The exit status; negative for a signal."""
        return self.popen.wait(timeout)

    def stop(self):
        """SIGTERM to the group, SIGKILL when it does not end."""
        if self.alive():
            self.signal_group(signal.SIGTERM)
            self.signal_group(signal.SIGCONT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.popen.wait(STOP_SECONDS)
        if self.alive():
            self.signal_group(signal.SIGKILL)
        return self.popen.wait()

    def log(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as file:
            return file.read()


class Namespace:
    """A host of its own: network, mounts and UTS name. It has no name in the file system and lives
    by a process that holds it, so that nothing is left even when everything is killed."""

    def __init__(self, scope, name):
        self.scope, self.name = scope, name
        unshare = ["unshare", "--net", "--mount", "--uts"]
        self.enter = ["nsenter", "--net", "--mount", "--uts", "--preserve-credentials"]
        if os.geteuid() != 0:
            unshare[1:1] = ["--user", "--map-root-user"]
            self.enter[1:1] = ["--user"]
        self.holder = scope.start(
            unshare + ["sh", "-c", f"hostname {name} && ip link set lo up && echo ready && "
                                   "exec sleep infinity"], name=f"namespace-{name}")
        self.enter += ["--target", str(self.holder.pid)]
        scope.wait_until(lambda: "ready" in self.holder.log() or not self.holder.alive(),
                         what=f"namespace {name}")
        if not self.holder.alive():
            raise AssertionError(f"no namespace: {self.holder.log()}")

    def start(self, arguments, **options):
        return self.scope.start(self.enter + ["--"] + arguments, **options)

    def run(self, arguments, **options):
        return self.scope.run(self.enter + ["--"] + arguments, **options)

    def ip(self, *arguments):
        """`ip ARGUMENTS` inside; its output."""
        return self.run(["ip", *arguments]).stdout

    def link(self, other, device, other_device):
        """A veth pair, one end here and one in `other`; both up."""
        self.ip("link", "add", device, "type", "veth", "peer", "name", other_device,
                "netns", str(other.holder.pid))
        self.ip("link", "set", device, "up")
        other.ip("link", "set", other_device, "up")


class Scope:
    """All that one test holds. Leaving it ends the processes, newest first, then every orphan that
    came to us, then removes the files."""

    def __init__(self, name):
        self.name = name
        self.folder = None
        self.processes = []
        self.stack = contextlib.ExitStack()

    def __enter__(self):
        self.folder = tempfile.mkdtemp(prefix=f"nines-{self.name[:40]}-")
        os.chmod(self.folder, 0o755)  # daemons that drop their privileges read their files here
        return self

    def __exit__(self, kind, error, trace):
        if kind is not None and not issubclass(kind, Skip):
            for process in self.processes:
                print(f"   # {' '.join(map(str, process.arguments))} said:")
                for line in process.log().splitlines()[-20:]:
                    print(f"   #   {line}")
        try:
            self.stack.close()
        finally:
            for process in reversed(self.processes):
                process.stop()
            _end_descendants()
            shutil.rmtree(self.folder, ignore_errors=True)

    def on_end(self, function, *arguments):
        """Called when the scope ends, before the processes are."""
        self.stack.callback(function, *arguments)

    def path(self, name):
        return os.path.join(self.folder, name)

    def write(self, name, text, mode=0o644):
        path = self.path(name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(path, mode)
        return path

    def start(self, arguments, name=None, **options):
        """Starts a process; options are Popen's (cwd, env, pass_fds...)."""
        name = name or os.path.basename(str(arguments[0]))
        log = self.path(f"{name}-{len(self.processes)}.log")
        process = Process([str(a) for a in arguments], log, **options)
        self.processes.append(process)
        return process

    def run(self, arguments, check=True, timeout=60, **options):
        """Runs a command to its end; stdout and stderr as text. Not for what starts daemons: they
        would hold its pipes."""
        done = subprocess.run([str(a) for a in arguments], stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=timeout,
                              preexec_fn=_die_with_parent, **options)
        if check and done.returncode != 0:
            raise AssertionError(f"{' '.join(map(str, arguments))} ended with {done.returncode}: "
                                 f"{done.stderr or done.stdout}")
        return done

    def free_ports(self, count):
        """TCP ports of 127.0.0.1 that nobody used a moment ago, all different."""
        sockets = []
        try:
            for _ in range(count):
                sockets.append(socket.socket(socket.AF_INET, socket.SOCK_STREAM))
                sockets[-1].bind(("127.0.0.1", 0))
            return [s.getsockname()[1] for s in sockets]
        finally:
            for opened in sockets:
                opened.close()

    def free_port(self):
        return self.free_ports(1)[0]

    def namespace(self, name):
        return Namespace(self, name)

    wait_until = staticmethod(wait_until)

    def wait_for_port(self, port, host="127.0.0.1", timeout=WAIT_SECONDS):
        def connects():
            socket.create_connection((host, port), timeout=1).close()
            return True
        wait_until(connects, timeout, f"a listener on {host}:{port}")

    def http(self, port, path="/", method="GET", host="127.0.0.1", body=None, headers=None,
             timeout=WAIT_SECONDS):
        connection = http.client.HTTPConnection(host, port, timeout=timeout)
        try:
            connection.request(method, path, body=body, headers=headers or {})
            answer = connection.getresponse()
            return Response(answer.status, answer.getheaders(), answer.read())
        finally:
            connection.close()

    def exchange(self, port, payload, host="127.0.0.1", timeout=WAIT_SECONDS):
        """Sends bytes as they are and returns all that comes until the peer closes."""
        with socket.create_connection((host, port), timeout=timeout) as connection:
            connection.sendall(payload)
            received = b""
            while part := connection.recv(65536):
                received += part
            return received


def _die_with_parent():
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def _children():
    """Ids of our own children, adopted ones too; not reaped, so that none can be recycled."""
    found = []
    for task in os.listdir("/proc/self/task"):
        with contextlib.suppress(OSError), open(f"/proc/self/task/{task}/children") as file:
            found += [int(pid) for pid in file.read().split()]
    return found


def _end_descendants():
    """Ends children until no new ones are adopted: a killed parent hands its own over to us."""
    deadline = time.monotonic() + STOP_SECONDS
    while (children := _children()) and time.monotonic() < deadline:
        for pid in children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for pid in children:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, 0)


def normalized(text, *patterns):
    """`text` with every match of the patterns replaced by their given word: what differs by nature
    (times, ports, ids) is taken out before two outputs are compared. patterns: (regex, word)."""
    for expression, word in patterns:
        text = re.sub(expression, word, text)
    return text
