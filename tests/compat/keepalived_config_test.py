#!/usr/bin/python3
"""The real keepalived as oracle for configurations: both test each one, both must end alike.

Runs "keepalived -t -f FILE" and "$NINES vrrp -t -f FILE" on each case of keepalived_cases.txt, in a
network namespace whose interfaces are eth0 and eth1, and compares the exit status. Cases that
differ on purpose are listed there with the reason, and are held to differing.
"""
import os
import re
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
NINES = os.environ.get("NINES", os.path.join(HERE, "..", "..", "build", "nines"))
KEEPALIVED = os.environ.get("KEEPALIVED", "keepalived")
INSIDE = "NINES_TEST_INSIDE"
TIMEOUT_SECONDS = 20
# What "@INSTANCE" stands for in a case.
INSTANCE = """vrrp_instance A {
  interface eth0
  virtual_router_id 3
  virtual_ipaddress {
    10.0.0.1
  }
"""


def read_cases(path):
    cases, current = [], None
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            head = re.match(r"=== (\d+)(?: (\d+))? (.*)\n", line)
            if head:
                keepalived = int(head.group(1))
                current = (keepalived, int(head.group(2) or keepalived), head.group(3), [])
                cases.append(current)
            elif current is not None:
                current[3].append(INSTANCE if line == "@INSTANCE\n" else line)
    return [(one, two, name, "".join(body)) for one, two, name, body in cases]


def run(command):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          errors="replace", timeout=TIMEOUT_SECONDS, check=False)
    return done.returncode, done.stdout


def main():
    if INSIDE not in os.environ:
        os.environ[INSIDE] = "1"
        os.execvp("unshare", ["unshare", "--net", sys.executable, os.path.abspath(__file__)])
    subprocess.run(["ip", "link", "add", "eth0", "type", "veth", "peer", "name", "eth1"],
                   check=True)
    failed = 0
    with tempfile.TemporaryDirectory(prefix="nines-keepalived-") as folder:
        path = os.path.join(folder, "keepalived.conf")
        for keepalived, nines, title, body in read_cases(
                os.path.join(HERE, "keepalived_cases.txt")):
            name = re.sub(r"\W+", "_", title.split(":")[0]).strip("_")
            with open(path, "w", encoding="utf-8") as out:
                out.write(body)
            theirs, their_text = run([KEEPALIVED, "-t", "-f", path])
            ours, our_text = run([NINES, "vrrp", "-t", "-f", path])
            if (theirs, ours) == (keepalived, nines):
                print(f"ok {name}")
                continue
            failed += 1
            for line in f"--- keepalived\n{their_text}--- nines\n{our_text}".splitlines():
                print("  " + line)
            print(f"not ok {name} expected {keepalived} and {nines}, "
                  f"keepalived ended with {theirs}, nines with {ours}")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
