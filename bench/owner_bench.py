#!/usr/bin/python3
"""CPU time and memory of the owner plane at rest, on three controllers that hold an address by lease.

A lab of the machine's own (nines lab up --engine lease) is left alone, and each owner's time is read from /proc
before and after, threads and all. Who holds the address renews it and moves the guard; the others vote. With
several programs their labs stand side by side and are measured in the same seconds, so that what else runs on the
machine troubles all of them alike. With --floor so is a program that does nothing but send and echo as many
datagrams, in the hosts of the first lab: what renewals cost at the least on this machine."""

import argparse
import datetime
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), ".."))
FLOOR_PORT = 7499  # in the lab's hosts nobody else has it


def processes():
    """pid -> (parent, name) of all."""
    found = {}
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            with open(f"/proc/{entry}/stat") as file:
                text = file.read()
        except OSError:
            continue
        name = text[text.index("(") + 1:text.rindex(")")]
        found[int(entry)] = (int(text[text.rindex(")") + 2:].split()[1]), name)
    return found


def descends(pid, ancestor, all_of_them):
    while pid in all_of_them:
        if pid == ancestor:
            return True
        pid = all_of_them[pid][0]
    return False


def cpu_seconds(pid):
    """Of all threads; counted by the scheduler in nanoseconds."""
    total = 0
    for thread in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{thread}/schedstat") as file:
            total += int(file.read().split()[0])
    return total / 1e9


def wakings(pid):
    """Of all threads."""
    return sum(int(status_values(f"{pid}/task/{thread}")["voluntary_ctxt_switches"])
               for thread in os.listdir(f"/proc/{pid}/task"))


def status_values(pid):
    values = {}
    with open(f"/proc/{pid}/status") as file:
        for line in file:
            key, _, value = line.partition(":")
            values[key] = value.split()[0] if value.split() else ""
    return values


class Lab:
    def __init__(self, label, program, name):
        self.label, self.program, self.name = label, program, name
        self.floor = {}  # pid -> process
        subprocess.run([program, "lab", "up", "--name", name, "--engine", "lease", "--quiet"], check=True)
        status = json.loads(subprocess.run([program, "lab", "status", "--name", name, "--json"],
                                           check=True, capture_output=True, text=True).stdout)
        self.hosts = len([host for host in status["hosts"] if host["name"].startswith("node")])
        everybody = processes()
        self.owners = sorted(pid for pid, (_, process) in everybody.items()
                             if process == "nines-owner" and descends(pid, status["keeper_pid"], everybody))
        if len(self.owners) != self.hosts:
            self.down()
            sys.exit(f"owner_bench: {len(self.owners)} owner processes of {self.hosts} hosts")

    def holder(self):
        """The owner in whose network namespace the address is."""
        for pid in self.owners:
            shown = subprocess.run(["nsenter", "-t", str(pid), "-n", "ip", "-o", "-4", "address"],
                                   check=True, capture_output=True, text=True).stdout
            if " 100.2.30.40/" in shown:
                return pid
        return 0

    def start_floor(self, program):
        """One that asks, beside the holder, and an echo at each of the others."""
        holder = self.holder()
        addresses = {}
        for pid in self.owners:
            shown = subprocess.run(["nsenter", "-t", str(pid), "-n", "ip", "-j", "-4", "address", "show", "eth0"],
                                   check=True, capture_output=True, text=True).stdout
            addresses[pid] = json.loads(shown)[0]["addr_info"][0]["local"]
        for pid in self.owners:
            peers = [addresses[other] for other in self.owners if other != pid] if pid == holder else []
            process = subprocess.Popen(["nsenter", "-t", str(pid), "-n", program, str(FLOOR_PORT), *peers])
            self.floor[process.pid] = (process, "asks" if pid == holder else "echoes")

    def read(self):
        return {pid: (cpu_seconds(pid), wakings(pid)) for pid in [*self.owners, *self.floor]}

    def down(self):
        for process, _ in self.floor.values():
            process.kill()
            process.wait()
        subprocess.run([self.program, "lab", "down", "--name", self.name], check=False, capture_output=True)


def build_floor(folder):
    program = os.path.join(folder, "renewal_floor")
    subprocess.run(["c++", "-std=c++20", "-O2", "-o", program, os.path.join(ROOT, "bench/renewal_floor.cc")],
                   check=True)
    return program


def measure(labs, seconds):
    holders = {lab.label: lab.holder() for lab in labs}
    before = {lab.label: lab.read() for lab in labs}
    begun = time.monotonic()
    time.sleep(seconds)
    took = time.monotonic() - begun
    rows = []
    for lab in labs:
        after = lab.read()
        for pid in after:
            values = status_values(pid)
            role = "holder" if pid == holders[lab.label] else "voter"
            label = lab.label
            if pid in lab.floor:
                label, role = "floor", lab.floor[pid][1]
            rows.append({"program": label, "role": role,
                         "seconds": round(took, 1),
                         "cpu_ms_per_s": round(1000 * (after[pid][0] - before[lab.label][pid][0]) / took, 2),
                         "wakes_per_s": round((after[pid][1] - before[lab.label][pid][1]) / took, 1),
                         "rss_mib": round(int(values["VmRSS"]) / 1024, 1)})
        if holders[lab.label] == 0 or lab.holder() != holders[lab.label]:
            print(f"the address of {lab.label} moved meanwhile: nothing was at rest, the round is left out")
            return []
    return rows


def main():
    parser = argparse.ArgumentParser(prog="tools/bench owner", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60, help="of each round (60)")
    parser.add_argument("--rounds", type=int, default=3, help="one after the other (3)")
    parser.add_argument("--beside", metavar="PROGRAM", help="another build of nines, in a lab beside")
    parser.add_argument("--floor", action="store_true", help="and what datagrams alone cost")
    parser.add_argument("--name", default="owner-bench", help="of the lab (owner-bench)")
    parser.add_argument("--rows", metavar="FILE", help="keep each round's figures there")
    arguments = parser.parse_args()
    if os.geteuid() != 0:
        sys.exit("owner_bench: labs need root")
    programs = [("nines", os.environ.get("NINES", os.path.join(ROOT, "build/nines")))]
    if arguments.beside:
        programs.insert(0, ("beside", arguments.beside))
    load = os.getloadavg()[0]
    labs, rows = [], []
    folder = tempfile.mkdtemp(prefix="nines-floor-")
    try:
        for label, program in programs:
            labs.append(Lab(label, program, arguments.name + ("-b" if label == "beside" else "")))
        if arguments.floor:
            labs[0].start_floor(build_floor(folder))
        time.sleep(5)  # what goes on after a start: announcements, reports
        for number in range(1, arguments.rounds + 1):
            for row in measure(labs, arguments.seconds):
                rows.append({"round": number, **row})
                print(json.dumps(rows[-1]))
    finally:
        for lab in labs:
            lab.down()
        shutil.rmtree(folder)
    if not rows:
        sys.exit("owner_bench: no round was at rest")
    print("| program | role | CPU, ms a second | wakes a second | resident, MiB |\n|---|---|---:|---:|---:|")
    for label, role in dict.fromkeys((row["program"], row["role"]) for row in rows):
        chosen = [row for row in rows if row["program"] == label and row["role"] == role]
        cells = []
        for key in ("cpu_ms_per_s", "wakes_per_s", "rss_mib"):
            values = [row[key] for row in chosen]
            cells.append(f"{statistics.median(values):.1f} ({min(values)} to {max(values)})")
        print(f"| {label} | {role} | " + " | ".join(cells) + " |")
    if arguments.rows:
        about = {"kernel": platform.release(), "processors": os.cpu_count(), "load at the start": round(load, 2),
                 "date": datetime.date.today().isoformat()}
        with open(arguments.rows, "w") as file:
            file.write('{"about": ' + json.dumps(about) + ',\n "rows": [\n  '
                       + ",\n  ".join(json.dumps(row) for row in rows) + "\n ]}\n")


main()
