#!/usr/bin/python3
"""The real HAProxy as oracle for configurations: both are asked, both must answer alike.

Runs "haproxy -c -f FILE" and "$NINES check FILE" on each case of config_cases.txt and compares
acceptance (exit status 0). Cases that differ on purpose are listed there with the reason, and are
held to differing.
"""
import os
import re
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
NINES = os.environ.get("NINES", os.path.join(HERE, "..", "..", "build", "nines"))
HAPROXY = os.environ.get("HAPROXY", "haproxy")
# kind: (HAProxy accepts, nines accepts)
VERDICTS = {
    "accept": (True, True),
    "refuse": (False, False),
    "differ": (True, False),
    "lenient": (False, True),
}
TIMEOUT_SECONDS = 20


def read_cases(path):
    cases, current = [], None
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            head = re.match(r"=== (\w+) (.*)\n", line)
            if head:
                current = (head.group(1), head.group(2), [])
                cases.append(current)
            elif current is not None:
                current[2].append(line)
    return [(kind, name, "".join(body)) for kind, name, body in cases]


def run(command):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          errors="replace", timeout=TIMEOUT_SECONDS, check=False)
    return done.returncode, done.stdout


def compare(path, kind):
    """What is wrong, or nothing."""
    haproxy_status, haproxy_text = run([HAPROXY, "-c", "-f", path])
    nines_status, nines_text = run([NINES, "check", path])
    if nines_status not in (0, 1):
        return f"nines check ended with {nines_status}", nines_text
    if (haproxy_status == 0, nines_status == 0) != VERDICTS[kind]:
        return (f"expected {kind}, haproxy ended with {haproxy_status}, nines with {nines_status}",
                f"--- haproxy\n{haproxy_text}--- nines\n{nines_text}")
    return None


def main():
    failed = 0
    with tempfile.TemporaryDirectory(prefix="nines-config-") as folder:
        path = os.path.join(folder, "case.cfg")
        for kind, title, body in read_cases(os.path.join(HERE, "config_cases.txt")):
            name = kind + "_" + re.sub(r"\W+", "_", title.split(":")[0]).strip("_")
            with open(path, "w", encoding="utf-8") as out:
                out.write(body)
            wrong = compare(path, kind)
            if wrong is None:
                print(f"ok {name}")
                continue
            failed += 1
            print("".join("  " + line for line in wrong[1].splitlines(keepends=True)))
            print(f"not ok {name} {wrong[0]}")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
