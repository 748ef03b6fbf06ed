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


def compare_command_lines(folder):
    """Through a link named keepalived: the version's place, signals' numbers, unknown options."""
    link = os.path.join(folder, "keepalived")
    os.symlink(os.path.abspath(NINES), link)
    checks = {
        "the_version_is_the_second_word_on_standard_error":
            lambda program: subprocess.run([program, "-v"], stderr=subprocess.PIPE, text=True,
                                           stdout=subprocess.DEVNULL, check=False,
                                           timeout=TIMEOUT_SECONDS).stderr.split()[1],
        "signals_have_the_same_numbers":
            lambda program: [run([program, "--signum=" + name])[1].strip()
                             for name in ("STOP", "RELOAD", "DATA", "STATS", "STATS_CLEAR",
                                          "JSON")],
        "an_unknown_option_ends_alike": lambda program: run([program, "--bogus"])[0],
    }
    failed = 0
    for name, ask in checks.items():
        theirs, ours = ask(KEEPALIVED), ask(link)
        if theirs == ours:
            print(f"ok {name}")
        else:
            failed += 1
            print(f"not ok {name} keepalived: {theirs}, nines: {ours}")
    return failed


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
        failed += compare_command_lines(folder)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
