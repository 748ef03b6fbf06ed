#!/usr/bin/python3
"""The lint is only worth something if it fails: each rule is broken once, in a temporary copy of
the tree, and the problem must be told at its place."""

import os
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
from nines_test import ROOT, main, test

IDEA = "// A file that opens with its idea.\n#pragma once\n"


def problems_with(scope, planted):
    """Problems of a copy of the tree with the files {path: content} planted into it."""
    copy = scope.path("tree")
    for folder in ("src", "tools"):
        shutil.copytree(os.path.join(ROOT, folder), os.path.join(copy, folder))
    for path, content in planted.items():
        full = os.path.join(copy, path)
        os.makedirs(os.path.dirname(full), exist_ok=True)
        with open(full, "w", encoding="utf-8") as file:
            file.write(content)
    done = subprocess.run([os.path.join(copy, "tools/lint_rules.py"), "--root", copy],
                          capture_output=True, text=True)
    shutil.rmtree(copy)
    assert not done.stderr, done.stderr
    return done.returncode, [line for line in done.stdout.splitlines()
                             if line.split(":")[0] in planted or
                             any(path.startswith(line.split(":")[0] + "/") for path in planted)]


def expect(scope, planted, path, message):
    status, problems = problems_with(scope, planted)
    assert status == 1, "the lint passed"
    assert any(p.startswith(f"{path}:") and message in p for p in problems), \
        f"wanted '{message}' at {path}, got {problems}"


def expect_none(scope, planted):
    _, problems = problems_with(scope, planted)
    problems = [p for p in problems if "README.md" not in p]
    assert not problems, problems


@test
def a_well_behaved_file_passes(scope):
    expect_none(scope, {
        "src/http/planted.h": IDEA + '#include <string>\n#include "base/result.h"\n',
        "src/proxy/planted_driver.cc": '// A driver: it may.\n#include <unistd.h>\n'
                                       '#include "io/loop.h"\n',
        "src/proxy/planted_test.cc": '// A test stands at the edge.\n#include <thread>\n'
                                     '#include "sim/planted.h"\n',
        "src/sim/planted.h": IDEA + '#include "io/loop.h"\n',
    })


@test
def a_sort_that_clang_warns_of(scope):
    expect(scope, {"src/base/planted.h": IDEA + "inline void f() { std::stable_sort(a, b); }\n"},
           "src/base/planted.h", "uses std::stable_sort: clang warns")
    expect_none(scope, {"src/base/planted.h": IDEA + "// Not std::stable_sort: it is deprecated.\n"})


@test
def a_lower_subject_includes_a_higher_one(scope):
    expect(scope, {"src/base/planted.h": IDEA + '#include "text/planted.h"\n',
                   "src/text/planted.h": IDEA},
           "src/base/planted.h", "base/ may include nothing but itself")


@test
def the_codec_includes_the_loop(scope):
    expect(scope, {"src/http/planted.cc": '// A codec that reads.\n#include "io/loop.h"\n'},
           "src/http/planted.cc", 'includes "io/loop.h": http/ may include base')


@test
def a_machine_includes_the_loop(scope):
    expect(scope, {"src/proxy/planted.cc": '// A machine that reads.\n#include "io/loop.h"\n'},
           "src/proxy/planted.cc", 'is a machine and includes "io/loop.h"')


@test
def a_machine_includes_a_driver(scope):
    expect(scope, {"src/proxy/planted.cc": "// A machine that leans on its driver.\n"
                                           '#include "proxy/planted_driver.h"\n',
                   "src/proxy/planted_driver.h": IDEA},
           "src/proxy/planted.cc", 'is a machine and includes the driver')


@test
def production_code_includes_the_simulation(scope):
    expect(scope, {"src/proxy/planted_driver.cc": '// A driver in a dream.\n'
                                                  '#include "sim/planted.h"\n',
                   "src/sim/planted.h": IDEA},
           "src/proxy/planted_driver.cc", "proxy/ may include base, http, io, node, text")


@test
def a_machine_includes_system_calls(scope):
    for header in ("sys/socket.h", "sys/epoll.h", "unistd.h", "thread", "mutex", "ctime"):
        expect(scope, {"src/http/planted.cc": f"// A machine that acts.\n#include <{header}>\n"},
               "src/http/planted.cc", f"is a machine and includes <{header}>")


@test
def a_machine_reads_a_clock(scope):
    for clock in ("std::chrono::steady_clock", "std::chrono::system_clock"):
        expect(scope, {"src/http/planted.cc": "// A machine that looks at the clock.\n"
                                              f"auto at = {clock}::now();\n"},
               "src/http/planted.cc", "is a machine and uses")


@test
def a_comment_may_speak_of_clocks(scope):
    expect_none(scope, {"src/http/planted.cc": "// Knows no steady_clock and is told the time.\n"
                                               'const char* k = "steady_clock";\n'})


@test
def one_subject_includes_the_internals_of_another(scope):
    for internal in ("http/internal/planted.h", "http/planted_internal.h"):
        expect(scope, {"src/proxy/planted.h": IDEA + f'#include "{internal}"\n',
                       f"src/{internal}": IDEA},
               "src/proxy/planted.h", "an internal header of http/")


@test
def a_subject_includes_its_own_internals(scope):
    expect_none(scope, {"src/http/planted.h": IDEA + '#include "http/internal/planted.h"\n',
                        "src/http/internal/planted.h": IDEA})


@test
def two_files_include_each_other(scope):
    expect(scope, {"src/base/planted_a.h": IDEA + '#include "base/planted_b.h"\n',
                   "src/base/planted_b.h": IDEA + '#include "base/planted_a.h"\n'},
           "src/base/planted_a.h", "includes itself")


@test
def an_include_path_does_not_start_at_src(scope):
    expect(scope, {"src/base/planted.h": IDEA + '#include "result.h"\n'},
           "src/base/planted.h", "no such file under src/")


@test
def an_unknown_subject_appears(scope):
    expect(scope, {"src/planted/a.h": IDEA, "src/planted/README.md": "# Planted\n"},
           "src/planted", "add it to MAY_INCLUDE")


@test
def a_subject_has_no_readme(scope):
    expect(scope, {"src/planted/a.h": IDEA}, "src/planted", "has no README.md")


@test
def a_file_opens_without_its_idea(scope):
    for path, content in {
            "src/base/planted.h": "#pragma once\n// Too late to say it here.\n",
            "src/base/planted.cc": "\n// An empty line is no opening either.\n",
            "tools/planted.py": "#!/usr/bin/python3\nimport os\n",
            "tools/planted.sh": "#!/bin/bash\nset -e\n",
            "tools/planted": "#!/bin/bash\nset -e\n"}.items():
        expect(scope, {path: content}, path, "does not open with its idea")


@test
def a_line_is_too_long(scope):
    expect(scope, {"src/base/planted.h": IDEA + "// " + "x" * 98 + "\n"},
           "src/base/planted.h", "is 101 columns wide")


@test
def columns_are_characters_and_not_bytes(scope):
    expect_none(scope, {"src/base/planted.h": IDEA + "// " + "\u00e9" * 97 + "\n"})


@test
def a_file_promises_instead_of_doing(scope):
    # Split, so that this file passes the rule itself.
    for word in ("TO" "DO", "FIX" "ME", "XX" "X", "HA" "CK", "for" " now", "a st" "ub"):
        expect(scope, {"src/base/planted.h": IDEA + f"// {word} here\n"},
               "src/base/planted.h", "do it, or let an error")


@test
def code_out_of_format_fails(scope):
    copy = scope.path("tree")
    os.makedirs(copy)
    for name in ("tools", ".clang-format"):
        source, target = os.path.join(ROOT, name), os.path.join(copy, name)
        shutil.copytree(source, target) if os.path.isdir(source) else shutil.copy(source, target)
    os.makedirs(os.path.join(copy, "src/base"))
    with open(os.path.join(copy, "src/base/README.md"), "w", encoding="utf-8") as file:
        file.write("# Base\n")
    planted = os.path.join(copy, "src/base/planted.h")

    def lint(content):
        with open(planted, "w", encoding="utf-8") as file:
            file.write(content)
        return subprocess.run([os.path.join(copy, "tools/lint")], capture_output=True, text=True)

    good, bad = lint(IDEA + "int f();\n"), lint(IDEA + "int  f( ) ;\n")
    assert good.returncode == 0 and good.stdout.endswith("lint: good\n"), good.stdout + good.stderr
    assert bad.returncode == 1 and "src/base/planted.h:3" in bad.stdout, bad.stdout + bad.stderr


main()
