#!/usr/bin/python3
"""tools/deps must be safe to run at any time: with a made-up dpkg-query and apt-get in front of the
real ones, it may call apt only for what is missing, and must say clearly what it cannot do."""

import os
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
from nines_test import ROOT, main, test


def run(scope, arguments, missing=(), tools=("bash", "cat")):
    """tools/deps where only `missing` is not installed; apt-get, and sudo if it is among the tools,
    write down their arguments and do nothing."""
    folder = scope.path("bin")
    os.makedirs(folder, exist_ok=True)

    def write(name, text):
        path = scope.write(f"bin/{name}", text, 0o755)
        assert os.access(path, os.X_OK)
    write("dpkg-query", "#!/bin/bash\n# Says that all is installed but for some.\n"
          f"case ' {' '.join(missing)} ' in *\" ${{!#}} \"*) exit 1;; esac\necho -n installed\n")
    for name in ("apt-get", "sudo"):
        if name == "apt-get" or name in tools:
            write(name, f"#!/bin/bash\n# Writes down its call.\necho {name} \"$@\" >>"
                        f"{scope.path('calls')}\n")
    for name in tools:
        if not os.path.exists(os.path.join(folder, name)):
            os.symlink(f"/usr/bin/{name}", os.path.join(folder, name))
    # A copy, for the repository may lie where nobody is not let in.
    deps = shutil.copy(os.path.join(ROOT, "tools", "deps"), scope.path("deps"))
    done = subprocess.run([*as_nobody(), deps, *arguments], capture_output=True, text=True,
                          env={"PATH": folder}, stdin=subprocess.DEVNULL)
    calls = ""
    if os.path.exists(scope.path("calls")):
        with open(scope.path("calls"), encoding="utf-8") as file:
            calls = file.read()
    return done, calls


def as_nobody():
    """The paths through sudo are those of a user; as root the test becomes nobody."""
    if os.geteuid() != 0:
        return []
    return ["/usr/bin/setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]


def writable(scope):
    os.chmod(scope.folder, 0o777)  # nobody writes the list of calls here


@test
def nothing_missing_calls_nothing(scope):
    writable(scope)
    done, calls = run(scope, [], tools=("bash", "cat", "sudo"))
    assert done.returncode == 0 and "are installed" in done.stdout, done
    assert calls == "", calls


@test
def a_user_goes_through_sudo_with_the_groups(scope):
    writable(scope)
    done, calls = run(scope, ["build"], missing=["libmnl-dev"], tools=("bash", "cat", "sudo"))
    assert done.returncode == 0, done
    assert calls == f"sudo -- {scope.path('deps')} build\n", calls


@test
def without_root_and_sudo_the_error_names_what_is_missing(scope):
    writable(scope)
    done, calls = run(scope, ["test"], missing=["wrk", "socat"])
    assert done.returncode == 1 and calls == "", (done, calls)
    assert "cannot install socat wrk" in done.stderr and "sudo" in done.stderr, done.stderr


@test
def only_the_groups_asked_for_are_looked_at(scope):
    writable(scope)
    done, calls = run(scope, ["build"], missing=["wrk", "keystone"])
    assert done.returncode == 0 and calls == "", (done, calls)


@test
def an_unknown_group_is_refused(scope):
    writable(scope)
    done, _ = run(scope, ["everything"])
    assert done.returncode == 1 and "unknown group 'everything'" in done.stderr, done


main()
