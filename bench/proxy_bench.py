#!/usr/bin/python3
"""CPU time and memory of the proxy for each request, beside HAProxy.

The time of the proxy's processes (user and system, from /proc) is divided by the requests that wrk
counted, in alternating rounds on one machine. It holds still where throughput and latency follow
whatever else runs there.

The proxy has CPU 0 for itself, the load and the servers share CPU 1; both proxies have one thread
and the same configuration but for the ports."""

import argparse
import contextlib
import ctypes
import datetime
import json
import os
import platform
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), ".."))
TICK = os.sysconf("SC_CLK_TCK")
PROXY_CPU, LOAD_CPU = "0", "1"
CONNECTIONS = 64         # of wrk, at once
WARM_UP_SECONDS = 1
IDLE_CONNECTIONS = 1000  # for the memory of one
NAMES = ("haproxy", "nines")

CONFIG = """
global
  maxconn 4000
  nbthread 1
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
  timeout http-request 10s
  option redispatch
listen web
  bind 127.0.0.1:{web}
  option forwardfor
  server a 127.0.0.1:{a} check inter 2000
  server b 127.0.0.1:{b} check inter 2000
listen reusing
  bind 127.0.0.1:{reusing}
  http-reuse always
  option forwardfor
  server a 127.0.0.1:{a} check inter 2000
  server b 127.0.0.1:{b} check inter 2000
listen logged
  bind 127.0.0.1:{logged}
  option forwardfor
  option httplog
  log 127.0.0.1:{sink} local0
  server a 127.0.0.1:{a} check inter 2000
  server b 127.0.0.1:{b} check inter 2000
listen stream
  bind 127.0.0.1:{stream}
  mode tcp
  server a 127.0.0.1:{a} check inter 2000
  server b 127.0.0.1:{b} check inter 2000
"""

NGINX = """
worker_processes 1; daemon off; pid {folder}/nginx.pid; error_log {folder}/nginx.log;
events {{ worker_connections 8192; }}
http {{ access_log off; keepalive_requests 100000000; keepalive_timeout 600s; sendfile on;
open_file_cache max=10 inactive=600s; open_file_cache_valid 600s; root {folder};
client_body_temp_path {folder}/1; proxy_temp_path {folder}/2; fastcgi_temp_path {folder}/3;
uwsgi_temp_path {folder}/4; scgi_temp_path {folder}/5;
server {{ listen 127.0.0.1:{a} backlog=4096; listen 127.0.0.1:{b} backlog=4096;
location = / {{ return 200 "{small}"; }} location = /16k {{ }} }} }}
"""

# name: (what it is, listener, path, headers)
MODES = {
    "keep-alive": ("kept connections, 110 B", "web", "/", []),
    "keep-alive-16k": ("kept connections, 16 KiB", "web", "/16k", []),
    "close": ("clients a connection each, 110 B", "web", "/", ["Connection: close"]),
    # HAProxy's default opens a connection for the first request of each client; this does not.
    "close-reuse": ("the same, http-reuse always", "reusing", "/", ["Connection: close"]),
    "tcp": ("both sides a connection each, 110 B", "stream", "/",
            ["Connection: close"]),
    "httplog": ("kept connections, 110 B, logged", "logged", "/", []),
}


def options():
    parser = argparse.ArgumentParser(prog="tools/bench proxy", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="rounds of each mode (default 5)")
    parser.add_argument("--seconds", type=int, default=4, help="length of a round (default 4)")
    parser.add_argument("--modes", default=",".join(MODES), help="which, by commas: %(default)s")
    parser.add_argument("--json", action="store_true", help="the summary as JSON")
    parser.add_argument("--results", metavar="FILE",
                        help="where the raw rows go (default bench/results/DATE-proxy.tsv)")
    chosen = parser.parse_args()
    chosen.modes = chosen.modes.split(",")
    for mode in chosen.modes:
        if mode not in MODES:
            parser.error(f"no mode '{mode}': {', '.join(MODES)}")
    if chosen.rounds < 1 or chosen.seconds < 1:
        parser.error("--rounds and --seconds start at 1")
    return chosen


def die_with_parent():
    ctypes.CDLL(None).prctl(1, signal.SIGKILL, 0, 0, 0)  # PR_SET_PDEATHSIG


def start(cpu, arguments, log):
    with open(log, "ab") as output:
        return subprocess.Popen(["taskset", "-c", cpu, *arguments], stdin=subprocess.DEVNULL,
                                stdout=output, stderr=output, preexec_fn=die_with_parent)


def stop(process):
    process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(timeout=5)
    process.kill()
    process.wait()


def free_ports(count):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [opened.getsockname()[1] for opened in sockets]
    for opened in sockets:
        opened.close()
    return ports


def wait_for_port(port):
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        time.sleep(0.02)
    raise SystemExit(f"tools/bench: nothing listens on port {port}")


def tree(pid):
    """The process and all below it."""
    found = [pid]
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/children", encoding="ascii") as file:
            for child in file.read().split():
                found += tree(int(child))
    return found


def cpu_seconds(pids):
    """User and system time of all threads, those that have ended too."""
    user = system = 0
    for pid in pids:
        with open(f"/proc/{pid}/stat", encoding="ascii") as file:
            fields = file.read().rsplit(")", 1)[1].split()
        user += int(fields[11])
        system += int(fields[12])
    return user / TICK, system / TICK


def memory_kib(pids, kind):
    total = 0
    for pid in pids:
        with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
            total += int(re.search(rf"^{kind}: *(\d+)", file.read(), re.M).group(1))
    return total


def wrk(seconds, port, path, headers):
    command = ["taskset", "-c", LOAD_CPU, "wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s",
               "--latency"]
    for header in headers:
        command += ["-H", header]
    text = subprocess.run(command + [f"http://127.0.0.1:{port}{path}"], capture_output=True,
                          text=True, check=True, preexec_fn=die_with_parent).stdout
    requests = int(re.search(r"(\d+) requests in", text).group(1))
    errors = " ".join(re.findall(r"Socket errors: .*|Non-2xx.*", text))
    return requests, errors or "none", re.search(r"99% +(\S+)", text).group(1)


class Setup:
    """nginx, a log sink and both proxies, for the length of a `with`."""

    def __init__(self, folder, nines):
        self.folder, self.nines = folder, nines
        self.stack = contextlib.ExitStack()

    def __enter__(self):
        a, b = free_ports(2)
        # Bound and never read: the sender's whole path is paid for, and the kernel drops the rest.
        sink = self.stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        sink.bind(("127.0.0.1", 0))
        with open(f"{self.folder}/16k", "wb") as file:
            file.write(b"0123456789abcdef" * 1024)
        os.chmod(self.folder, 0o755)
        self.write("nginx.conf", NGINX.format(folder=self.folder, a=a, b=b, small="0123456789" * 11))
        self.start(LOAD_CPU, ["nginx", "-e", f"{self.folder}/nginx.log", "-c",
                              f"{self.folder}/nginx.conf"])
        wait_for_port(a)
        wait_for_port(b)
        self.proxies, self.ports = {}, {}
        for name in NAMES:
            listeners = ("web", "reusing", "logged", "stream")
            self.ports[name] = dict(zip(listeners, free_ports(len(listeners))))
            self.write(f"{name}.cfg", CONFIG.format(a=a, b=b, sink=sink.getsockname()[1],
                                                    **self.ports[name]))
            self.start_proxy(name)
        return self

    def start_proxy(self, name):
        program = ["haproxy"] if name == "haproxy" else [self.nines, "proxy"]
        self.proxies[name] = self.start(PROXY_CPU, [*program, "-db", "-f",
                                                    f"{self.folder}/{name}.cfg"])
        for port in self.ports[name].values():
            wait_for_port(port)
        time.sleep(0.5)  # the first checks

    def start(self, cpu, arguments):
        process = start(cpu, arguments, f"{self.folder}/{os.path.basename(arguments[0])}.out")
        self.stack.callback(stop, process)
        return process

    def write(self, name, text):
        with open(f"{self.folder}/{name}", "w", encoding="utf-8") as file:
            file.write(text)

    def __exit__(self, *_):
        self.stack.close()

    def pids(self, name):
        return tree(self.proxies[name].pid)


def measure(setup, name, mode, seconds):
    _, listener, path, headers = MODES[mode]
    port = setup.ports[name][listener]
    wrk(WARM_UP_SECONDS, port, path, headers)
    pids = setup.pids(name)
    before = cpu_seconds(pids)
    requests, errors, p99 = wrk(seconds, port, path, headers)
    after = cpu_seconds(pids)
    user, system = ((after[i] - before[i]) * 1e6 / requests for i in (0, 1))
    return {"mode": mode, "proxy": name, "requests": requests, "seconds": seconds,
            "user_us": round(user, 3), "system_us": round(system, 3),
            "cpu_us": round(user + system, 3), "p99": p99, "errors": errors,
            "load1": round(os.getloadavg()[0], 2)}


def measure_memory(setup, name):
    """Of a fresh process: KiB with nothing to do, and bytes for each idle kept connection."""
    stop(setup.proxies[name])
    setup.start_proxy(name)
    port = setup.ports[name]["web"]
    request = b"GET / HTTP/1.1\r\nHost: bench\r\n\r\n"

    def ask():
        connection = socket.create_connection(("127.0.0.1", port), timeout=10)
        connection.sendall(request)
        connection.recv(65536)
        return connection
    ask().close()
    time.sleep(0.2)
    pids = setup.pids(name)
    rss, pss = memory_kib(pids, "Rss"), memory_kib(pids, "Pss")
    private = memory_kib(pids, "Private_Dirty")
    idle = [ask() for _ in range(IDLE_CONNECTIONS)]
    time.sleep(0.2)
    grown = memory_kib(pids, "Private_Dirty") - private
    for connection in idle:
        connection.close()
    return {"processes": len(pids), "rss_kib": rss, "pss_kib": pss,
            "bytes_per_idle_connection": round(grown * 1024 / IDLE_CONNECTIONS)}


def summarize(rows, modes):
    summary = {}
    for mode in modes:
        of = {name: [row for row in rows if row["mode"] == mode and row["proxy"] == name]
              for name in NAMES}
        entry = {name: {key: round(statistics.median(row[key] for row in of[name]), 2)
                        for key in ("cpu_us", "user_us", "system_us")} for name in NAMES}
        entry["ratio"] = round(entry["nines"]["cpu_us"] / entry["haproxy"]["cpu_us"], 3)
        by_round = [n["cpu_us"] / h["cpu_us"] for n, h in zip(of["nines"], of["haproxy"])]
        entry["ratio_min"], entry["ratio_max"] = round(min(by_round), 3), round(max(by_round), 3)
        entry["what"] = MODES[mode][0]
        summary[mode] = entry
    return summary


def machine(nines):
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        model = re.search(r"model name\s*: (.*)", file.read())
    first = lambda command: subprocess.run(  # noqa: E731
        command, capture_output=True, text=True, check=False)
    commit = first(["git", "-C", ROOT, "rev-parse", "--short", "HEAD"]).stdout.strip()
    nginx = first(["nginx", "-v"]).stderr.strip()
    return {"cpu": model.group(1) if model else platform.machine(), "cpus": os.cpu_count(),
            "kernel": platform.release(),
            "nines": f"{first([nines, 'version']).stdout.strip()} ({commit or 'no commit'})",
            "haproxy": first(["haproxy", "-v"]).stdout.split("\n")[0],
            "nginx": nginx.split("/")[-1], "load": os.getloadavg()[0]}


def print_table(report):
    print(f"\n{'CPU microseconds per request (medians)':<52}{'haproxy':>9}{'nines':>9}"
          f"{'ratio':>8}   range")
    for mode, entry in report["modes"].items():
        print(f"  {mode + ': ' + entry['what']:<50}{entry['haproxy']['cpu_us']:9.2f}"
              f"{entry['nines']['cpu_us']:9.2f}{entry['ratio']:8.2f}"
              f"   {entry['ratio_min']:.2f}-{entry['ratio_max']:.2f}")
    memory = report["memory"]
    print("Memory")
    for key, what in (("processes", "processes"), ("rss_kib", "idle, resident, KiB"),
                      ("pss_kib", "idle, shared pages split, KiB"),
                      ("bytes_per_idle_connection", "an idle kept connection, bytes")):
        print(f"  {what:<50}{memory['haproxy'][key]:9}{memory['nines'][key]:9}")
    about = report["machine"]
    print(f"{about['cpus']} x {about['cpu']}, kernel {about['kernel']}, load {about['load']:.2f}\n"
          f"{about['nines']}; {about['haproxy']}; nginx {about['nginx']}\n"
          f"raw rows: {report['rows']}")


def write_rows(path, rows):
    os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        file.write("\t".join(rows[0]) + "\n")
        for row in rows:
            file.write("\t".join(str(value) for value in row.values()) + "\n")


def main():
    chosen = options()
    nines = os.path.realpath(os.environ.get("NINES", os.path.join(ROOT, "build", "nines")))
    for program in (nines, "haproxy", "nginx", "wrk", "taskset"):
        if shutil.which(program) is None:
            raise SystemExit(f"tools/bench: no {program} (tools/build, tools/deps test)")
    if os.cpu_count() < 2:
        raise SystemExit("tools/bench: needs two CPUs, one for the proxy and one for the load")
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda number, _: sys.exit(128 + number))
    about = machine(nines)
    rows = []
    folder = tempfile.mkdtemp(prefix="nines-bench-")
    try:
        with Setup(folder, nines) as setup:
            for turn in range(chosen.rounds):
                for mode in chosen.modes:
                    for name in (NAMES if turn % 2 == 0 else NAMES[::-1]):
                        row = {"round": turn + 1, **measure(setup, name, mode, chosen.seconds)}
                        rows.append(row)
                        print(f"round {row['round']} {mode:15} {name:8} {row['cpu_us']:8.2f} us "
                              f"(user {row['user_us']:.2f}, system {row['system_us']:.2f}), "
                              f"{row['requests'] // row['seconds']}/s, p99 {row['p99']}, "
                              f"errors: {row['errors']}", file=sys.stderr, flush=True)
            memory = {name: measure_memory(setup, name) for name in NAMES}
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    path = chosen.results or os.path.join(ROOT, "bench", "results",
                                          f"{datetime.date.today()}-proxy.tsv")
    write_rows(path, rows)
    report = {"modes": summarize(rows, chosen.modes), "memory": memory, "machine": about,
              "rounds": chosen.rounds, "seconds": chosen.seconds,
              "rows": os.path.relpath(path, ROOT)}
    if chosen.json:
        print(json.dumps(report, indent=2))
    else:
        print_table(report)


if __name__ == "__main__":
    main()
