#!/usr/bin/python3
"""The house's rules that a compiler does not know: who may include whom, which files may touch the
world, and how every file begins. The tables at the top are the architecture; change them on
purpose and say why beside the entry."""

import argparse
import fnmatch
import os
import re
import sys

# Subject -> the other subjects that its files may include. What is not here must not exist.
MAY_INCLUDE = {
    "base": set(),
    "text": {"base"},
    "http": {"base"},  # pure: a codec knows of no socket
    "io": {"base", "text"},
    "sim": {"base", "io"},
    "node": {"base", "text", "io"},  # knows planes, not what they do
    "proxy": {"base", "text", "io", "http", "node"},
    "address": {"base", "io"},  # wherever the right to own comes from
    "vrrp": {"base", "text", "io", "address", "node"},
    "cluster": {"base", "text", "io", "address"},  # what is leased: addresses
    "galera": {"base", "text", "io"},  # a member's own server and files; who asks whom is apps/'s
    "lab": {"base", "text", "io", "http", "address"},  # a host that dies forgets its sessions
}

# What a subject's tests, fuzzers and benchmarks may include besides.
TESTS_MAY_INCLUDE = {
    "proxy": {"sim"},
    "cluster": {"sim"},
    "lab": {"sim"},
}

# Subjects that are the edge itself: the ports to the world, and the simulated world.
EDGE_SUBJECTS = {"io", "sim"}

# Files that act on the world, by subject: a name or a pattern, with a suffix where only that file of
# the two is meant. Every other file is a machine, a codec or plain data: no io/, no clock, no
# thread, no system call, and no driver.
DRIVERS = {
    "*": {
        "*_driver": "the form that a driver's name has everywhere",
        "*_test": "tests stand at the edge",
        "*_bench": "so do benchmarks",
    },
    "base": {
        "check.cc": "writes its last words to stderr and aborts",
    },
    "proxy": {
        "session": "moves a connection's bytes in the loop's own buffers: no effect for each chunk",
        "worker": "owns a thread's loop and its sessions",
        "http_session": "a session that speaks HTTP",
        "tcp_session": "a session that relays",
        "server_connection": "a stream to a server, in use or pooled",
        "log_sender": "sends a worker's log lines",
        "plane": "owns the control thread and the workers' threads",
        "plane_main": "the plane's process: gives up its rights, obeys its channel",
        "proxy_master": "holds the listening sockets and the plane behind them",
        "predecessor": "takes listening sockets over from another process",
        "credential_files": "opens the files that hold passwords",
        "master_config": "reads the configuration's files, looks users up",
        "master": "the process: command line, signals, going to the background",
    },
    "node": {
        "plane_channel": "passes messages and descriptors between supervisor and planes",
        "plane_process": "forks a plane, watches and kills it",
        "plane_requests": "numbers what is asked over a channel, with replies in memory files",
        "service_manager": "tells the service manager how we are",
    },
    "address": {
        "bpf_calls": "loads programs into the kernel and attaches them",
        "lease_ends": "shares the ends of leases with the kernel",
        "opening_thread": "opens leases by nftables while a loop goes on",
        "opening_writer": "opens leases by nftables",
        "session_pairs": "sessions for tests",
        "session_watch": "sessions as the kernel notes them",
        "stand_ins": "takes connections to dead hosts to living ones",
        "guard": "writes the guard's rules into the kernel, and hears who touches them",
        "interface_addresses": "puts addresses on interfaces and announces them",
        "routing": "puts routes and rules into the host's tables",
        "nft_socket": "sends nftables transactions to the kernel",
        "refusals": "has the kernel refuse connections to dead hosts",
        "neighbors": "asks the kernel whom it has not heard of yet",
        "peer_nudge": "sends a packet to each peer of a session that ended unsaid",
        "session_killer": "destroys sockets of an address that was lost",
        "session_table": "asks the kernel for the sockets of an address",
        "sock_diag": "speaks to the kernel about sockets",
    },
    "vrrp": {
        "vrrp_socket": "the raw sockets that adverts come and go by",
        "script_runner": "runs check and notify scripts",
        "config_files": "reads keepalived.conf and asks the host for what it names",
        "owned": "says addresses as address/ has them",
        "owner_service": "what an owner plane runs on its loop",
        "owner_main": "the owner plane's process: gives up its rights, obeys its channel",
        "owner_plane": "the supervisor's side of it; cleans up after a dead one",
        "vrrp_service": "all instances on a loop, with the links, addresses and scripts they need",
        "vrrp_daemon": "the process: signals, pid files, the loop",
    },
    "cluster": {
        "lease_store": "keeps promises in tmpfs and the rest on disk",
        "session_driver": "runs both sides of sessions on a loop",
        "session_worker": "has a thread that looks at the kernel's sockets and nudges clients",
        "cut_off": "has a thread that refuses and destroys connections",
        "echo_probe": "asks hosts' kernels whether they are there",
        "lease_driver": "runs a lease machine on a loop, with a thread for its disk",
        "peer_sockets": "sends and hears controllers' datagrams",
        "verdict_sockets": "tells listeners, and listens",
        "healing": "connects to services of a host that came back",
        "key_file": "reads and writes the file of the cluster's key",
        "address_holder": "puts leased addresses on interfaces and through the kernel's gate",
    },
    "galera": {
        "server_client": "speaks to a server through libmariadb",
        "child": "runs a process and reads its output",
        "monitor": "asks all servers on a loop",
        "claim": "keeps a member's claim in a file",
        "member_step": "starts, stops and tells this host's server",
        "peers": "runs nines on the members' hosts",
        "local_member": "looks at this host's processes and files",
    },
    "lab": {
        "lab_host": "makes namespaces",
        "host_engine": "starts and signals the programs under test",
        "host_processes": "reads the process table",
        "echo": "answers datagrams at the virtual address",
        "lab_child": "starts the lab's processes and moves them into their hosts",
        "lab_keeper": "is process 1 of a lab: makes it, obeys its commands, takes it down",
        "lab_control": "starts, finds and commands a lab for the command line",
        "real_service_run": "becomes a real service, and waits for it",
        "stand_in": "listens and answers as a real service does",
        "balancer_probe": "waits for a balancer from the client's side",
        "forwarder": "relays between the machine and the lab",
        "address_probe": "asks at the virtual address who is there",
        "balancer_looker": "asks runtime sockets and follows logs",
        "drill_lab": "commands a lab for a drill",
        "packet_swallow": "commands the packet filter of a lab's host",
        "drill_load": "is the clients of a drill",
        "drill_peers": "reads recorders and logs, and asks hosts that have returned",
        "cloud_load": "is the client of a drill on an OpenStack",
        "cloud_drill": "breaks a controller of an OpenStack and counts what is left",
        "http_call": "speaks with an API",
        "drill_rounds": "brings labs up and down and starts a process for each run",
        "drill_run": "breaks, watches and mends in a lab that is up",
        "held_conditions": "roughens a lab's lines and keeps the processors busy",
        "line_relay": "carries frames between packet sockets",
        "log_sink": "writes the balancers' log lines to a file with their instants",
        "ownership_recorder": "watches the hosts' addresses and the switch's ARP",
        "peer_rules_recorder": "reads what the hosts' kernels refuse",
        "peer_clients": "connects from one controller to another",
    },
}

FORBIDDEN_HEADERS = {
    "sys/socket.h", "sys/epoll.h", "unistd.h", "thread", "mutex", "shared_mutex",
    "condition_variable", "ctime", "time.h", "fcntl.h", "poll.h", "fstream", "filesystem",
}
FORBIDDEN_CODE = re.compile(
    r"\b(system_clock|steady_clock|high_resolution_clock|clock_gettime|gettimeofday"
    r"|random_device|getrandom)\b")

# What compiles here and not everywhere that we build: a pattern, and what to take instead.
UNWELCOME_CODE = [
    (re.compile(r"\b(?:std::|ranges::)stable_sort\b"),
     "clang warns of what libstdc++ does in it: sort_stably of base/stable_sort.h"),
]

COLUMNS_MAX = 100

# Words that promise work instead of doing it. Split, so that this file passes its own rule.
UNWELCOME_WORDS = [
    re.compile(r"\bfor" r" now\b", re.IGNORECASE),
    re.compile(r"\b(TO" r"DO|FIX" r"ME|XX" r"X|HA" r"CK)\b"),
    re.compile(r"\bst" r"ub\b", re.IGNORECASE),
]

SKIPPED_FOLDERS = {".git", ".cache", "__pycache__", "node_modules", "testdata", "vendor"}
SOURCES = (".h", ".cc")
TEXTS = (".h", ".cc", ".py", ".sh", ".md", ".cmake", ".txt", ".json", ".yaml", ".js", ".css",
         ".html", ".cfg")
INCLUDE = re.compile(r'^\s*#\s*include\s*(?:"([^"]+)"|<([^>]+)>)', re.MULTILINE)


class Lint:
    def __init__(self, root):
        self.root = root
        self.problems = []
        self.files = sorted(self.walk())
        self.sources = [path for path in self.files if path.endswith(SOURCES)]
        self.texts = {path: self.read(path) for path in self.files}
        self.graph = {}

    def walk(self):
        for folder, folders, names in os.walk(self.root):
            relative = os.path.relpath(folder, self.root)
            folders[:] = [name for name in folders if name not in SKIPPED_FOLDERS and not (
                relative == "." and (name == "build" or name.startswith("build-")))]
            for name in names:
                path = os.path.normpath(os.path.join(relative, name))
                full = os.path.join(folder, name)
                if os.path.islink(full) or not os.path.isfile(full):
                    continue
                # A file named by no suffix counts when it is a script.
                if name.endswith(TEXTS) or self.is_script(full):
                    yield path

    @staticmethod
    def is_script(full):
        with open(full, "rb") as file:
            return file.read(2) == b"#!"

    def read(self, path):
        with open(os.path.join(self.root, path), encoding="utf-8") as file:
            try:
                return file.read()
            except UnicodeDecodeError:
                self.problem(path, 1, "is not UTF-8")
                return ""

    def problem(self, path, line, what):
        self.problems.append((path, line, what))

    def run(self):
        self.check_folders()
        for path in self.files:
            self.check_opening(path)
            self.check_words(path)
        for path in self.sources:
            self.check_columns(path)
            self.check_code(path)
            self.check_includes(path)
            self.check_machine(path)
        self.check_cycles()
        return self.problems

    # -- folders ----------------------------------------------------------------------------------

    def check_folders(self):
        source = os.path.join(self.root, "src")
        if not os.path.isdir(source):
            return
        for name in sorted(os.listdir(source)):
            folder = f"src/{name}"
            if not os.path.isdir(os.path.join(source, name)):
                if name.endswith(SOURCES):
                    self.problem(folder, 1, "lies in no subject's folder")
                continue
            if name not in MAY_INCLUDE:
                self.problem(folder, 1, "is an unknown subject: add it to MAY_INCLUDE in "
                                        "tools/lint_rules.py, with what it may include")
            if not os.path.isfile(os.path.join(source, name, "README.md")):
                self.problem(folder, 1, "has no README.md (purpose, invariants, what is absent)")

    # -- the text of files ------------------------------------------------------------------------

    def check_opening(self, path):
        """Prose in a comment at the very top: three words at least, and no licence header."""
        lines = self.texts[path].splitlines()
        if path.endswith(SOURCES):
            opening = lines[0] if lines else ""
            if not (opening.startswith("// ") and len(opening.split()) >= 4):
                self.problem(path, 1, "does not open with its idea: a // comment in the first line")
        elif path.endswith((".py", ".sh")) or (lines and lines[0].startswith("#!")):
            if lines and lines[0].startswith("#!"):
                lines = lines[1:]
            opening = lines[0] if lines else ""
            if not (opening.startswith(("# ", '"""')) and len(opening.split()) >= 4):
                self.problem(path, 1, "does not open with its idea: a comment right after #!")

    def check_words(self, path):
        for number, line in enumerate(self.texts[path].splitlines(), 1):
            for word in UNWELCOME_WORDS:
                if found := word.search(line):
                    self.problem(path, number, f"says '{found.group(0)}': do it, or let an error "
                                               "or a README say that it is not there")

    def check_columns(self, path):
        for number, line in enumerate(self.texts[path].splitlines(), 1):
            if len(line) > COLUMNS_MAX:
                self.problem(path, number, f"is {len(line)} columns wide, over {COLUMNS_MAX}")

    def check_code(self, path):
        for number, line in enumerate(strip_comments(self.texts[path]).splitlines(), 1):
            for pattern, instead in UNWELCOME_CODE:
                if found := pattern.search(line):
                    self.problem(path, number, f"uses {found.group(0)}: {instead}")

    # -- includes ---------------------------------------------------------------------------------

    @staticmethod
    def subject_of(path):
        parts = path.split("/")
        return parts[1] if parts[0] == "src" and len(parts) > 2 else None

    @staticmethod
    def stem(path):
        return os.path.splitext(os.path.basename(path))[0]

    def is_test(self, path):
        return self.stem(path).endswith(("_test", "_fuzz", "_bench"))

    @staticmethod
    def is_internal(target):
        return "/internal/" in target or target.endswith("_internal.h")

    def includes_of(self, path):
        text = self.texts[path]
        for match in INCLUDE.finditer(text):
            yield text.count("\n", 0, match.start()) + 1, match.group(1), match.group(2)

    def check_includes(self, path):
        subject = self.subject_of(path)
        edges = self.graph.setdefault(path, [])
        for line, quoted, _ in self.includes_of(path):
            if quoted is None:
                continue
            target = f"src/{quoted}"
            if not os.path.isfile(os.path.join(self.root, target)):
                # Programs, tests and benchmarks may have headers of their own.
                beside = os.path.normpath(os.path.join(self.root, path, "..", quoted))
                at_root = os.path.join(self.root, quoted)
                if subject is None and (os.path.isfile(beside) or os.path.isfile(at_root)):
                    continue
                self.problem(path, line, f'includes "{quoted}": no such file under src/ (paths '
                                         "start there)")
                continue
            edges.append(target)
            other = self.subject_of(target)
            if subject is None or other == subject:
                continue
            if self.is_internal(target):
                self.problem(path, line, f'includes "{quoted}", an internal header of {other}/')
            allowed = set(MAY_INCLUDE.get(subject, set()))
            if self.is_test(path):
                allowed |= TESTS_MAY_INCLUDE.get(subject, set())
            if subject in MAY_INCLUDE and other not in allowed:
                may = ", ".join(sorted(allowed)) or "nothing but itself"
                self.problem(path, line, f'includes "{quoted}": {subject}/ may include {may}')

    def is_driver(self, path):
        subject = self.subject_of(path)
        names = (self.stem(path), os.path.basename(path))
        patterns = list(DRIVERS["*"]) + list(DRIVERS.get(subject, {}))
        return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns for name in names)

    def check_machine(self, path):
        subject = self.subject_of(path)
        if subject is None or subject in EDGE_SUBJECTS or self.is_driver(path):
            return
        advice = "only a driver may (DRIVERS in tools/lint_rules.py)"
        for line, quoted, system in self.includes_of(path):
            if quoted is not None and quoted.split("/")[0] in EDGE_SUBJECTS:
                self.problem(path, line, f'is a machine and includes "{quoted}": {advice}')
            elif quoted is not None and self.is_driver(f"src/{quoted}"):
                self.problem(path, line, f'is a machine and includes the driver "{quoted}": '
                                         "drivers include machines, never the other way round")
            if system in FORBIDDEN_HEADERS:
                self.problem(path, line, f"is a machine and includes <{system}>: {advice}")
        # `time.h` of ours is base/time.h; comments may speak of clocks.
        for number, line in enumerate(strip_comments(self.texts[path]).splitlines(), 1):
            if found := FORBIDDEN_CODE.search(line):
                self.problem(path, number, f"is a machine and uses {found.group(0)}: {advice}")

    def check_cycles(self):
        """Depth first; each cycle is told once, at the file where it was entered."""
        done, on_path = set(), []

        def visit(path):
            if path in on_path:
                cycle = on_path[on_path.index(path):] + [path]
                self.problem(path, 1, "includes itself: " + " -> ".join(cycle))
                return
            if path in done:
                return
            on_path.append(path)
            for target in self.graph.get(path, []):
                visit(target)
            on_path.pop()
            done.add(path)

        for path in sorted(self.graph):
            visit(path)


def strip_comments(text):
    """Comments and strings blanked, lines kept."""
    def blank(match):
        return "\n" * match.group(0).count("\n")
    return re.sub(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"', blank, text, flags=re.DOTALL)


def main():
    parser = argparse.ArgumentParser(description="Checks the rules of the house; see the tables "
                                                 "at the top of this file.")
    parser.add_argument("--root", default=os.path.join(os.path.dirname(__file__), ".."),
                        help="the tree to check (default: this repository)")
    root = os.path.abspath(parser.parse_args().root)
    lint = Lint(root)
    problems = lint.run()
    for path, line, what in sorted(problems):
        print(f"{path}:{line}: {what}")
    print(f"rules: {len(lint.files)} files, {len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
