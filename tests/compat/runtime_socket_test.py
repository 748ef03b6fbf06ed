#!/usr/bin/python3
"""The real HAProxy as oracle for the runtime socket and the statistics page: both run the same
configuration, both are asked the same, and the answers that tools rely on must be alike: columns,
field names with their numbers and types, refusals, errors, and what a change of state looks like."""

import base64
import csv
import os
import re
import shutil
import socket
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from nines_test import NINES, main, test  # noqa: E402

HAPROXY = os.environ.get("HAPROXY", "haproxy")
LEVELS = ("user", "operator", "admin")

CONFIG = """
global
  stats socket {folder}/user.sock level user
  stats socket {folder}/operator.sock level operator
  stats socket {folder}/admin.sock level admin
  stats timeout 10s
  maxconn 400
  nbthread 2
  node oracle
defaults
  mode http
  timeout client 5s
  timeout server 5s
  timeout connect 1s
listen stats
  bind 127.0.0.1:{stats}
  stats enable
  stats uri /page
  stats refresh 15s
  stats realm A\\ Realm
  stats auth reader:secret
frontend web
  bind 127.0.0.1:{web}
  maxconn 100
  default_backend pool
backend pool
  balance roundrobin
  server one 127.0.0.1:{closed} weight 4
  server two 127.0.0.1:{closed} maxconn 20
  server three 127.0.0.1:{closed} backup disabled
backend relay
  mode tcp
  balance leastconn
  server only 127.0.0.1:{closed} check inter 200 rise 2 fall 3
"""

# Fields of HAProxy's that Nines leaves out: it measures no such thing, or there is none to tell.
INFO_LEFT_OUT = {"Release_date", "BytesOutRate"}
# Columns of HAProxy's that Nines leaves empty for the same reason.
STAT_LEFT_OUT = re.compile(r"(qtime|ctime|rtime|ttime)_max$|h1_")

# Refused below the level, whatever the arguments: (command, least level).
BY_LEVEL = [
    ("show info", "user"), ("show stat", "user"), ("show servers state", "user"),
    ("show servers conn", "user"), ("show backend", "user"), ("show table", "user"),
    ("show version", "user"), ("show cli level", "user"), ("show cli sockets", "user"),
    ("get weight pool/one", "user"), ("set timeout cli 10", "user"),
    ("show sess", "operator"), ("show errors", "operator"), ("clear counters", "operator"),
    ("clear counters all", "admin"), ("enable server pool/one", "admin"),
    ("set server pool/one state ready", "admin"), ("set server", "admin"),
    ("set weight pool/one 4", "admin"), ("enable health pool/one", "admin"),
    ("disable agent pool/one", "admin"), ("set maxconn frontend web 100", "admin"),
    ("enable frontend web", "admin"), ("shutdown session 0x1", "admin"),
    ("shutdown sessions server pool/one", "admin"), ("shutdown frontend none", "admin"),
]

# Answered with the same bytes by both, at the admin level.
SAME_ANSWER = [
    "disable server", "disable server pool", "disable server none/one", "disable server pool/none",
    "enable server pool/none", "set server", "set server none/one state ready",
    "set server pool/none state ready", "set server pool/one state",
    "set server pool/one state wrong", "set server pool/one health wrong",
    "set server pool/one weight", "set server pool/one weight 257",
    "set server pool/one weight -1", "set server pool/one weight -1%", "set weight",
    "set weight pool/one", "get weight", "get weight none/one", "get weight pool/one",
    "enable health pool/one", "enable frontend", "enable frontend none", "enable frontend pool",
    "enable frontend web", "set maxconn frontend", "set maxconn frontend none 1",
    "set maxconn frontend web", "set maxconn frontend web -1", "shutdown frontend none",
    "shutdown session", "shutdown session wrong", "shutdown session 0x1234",
    "shutdown sessions server", "shutdown sessions server pool/none", "set timeout",
    "set timeout cli", "show errors none", "show servers state none", "show stat none 4 -1",
    "show stat -1 8 -1", "show stat -1 8 -1 typed", "show stat -1 8 -1 json", "show table",
    "show table pool", "show backend", "show sess 0x1", "show cli level", "quit",
    "user;show cli level;operator", "show cli level;show cli level", "prompt;show cli level",
]


class Pair:
    """HAProxy and Nines with the same configuration, each with ports and sockets of its own."""

    def __init__(self, scope):
        assert shutil.which(HAPROXY), f"{HAPROXY} is missing: tools/deps test installs it"
        self.scope = scope
        self.folders, self.ports = {}, {}
        for who, command in (("haproxy", [HAPROXY]), ("nines", [NINES, "proxy"])):
            folder = scope.path(who)
            os.mkdir(folder)
            closed, stats, web = scope.free_ports(3)
            path = scope.write(who + ".cfg", CONFIG.format(
                folder=folder, closed=closed, stats=stats, web=web))
            scope.start(command + ["-db", "-f", path], name=who)
            self.folders[who], self.ports[who] = folder, stats
            scope.wait_for_port(stats)
            scope.wait_until(lambda f=folder: os.path.exists(f + "/admin.sock"), what="the sockets")

    def ask(self, who, command, level="admin"):
        """As `echo COMMAND | socat PATH stdio` does: a line, our FIN, and all that comes back."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(10)
            connection.connect(f"{self.folders[who]}/{level}.sock")
            connection.sendall(command.encode() + b"\n")
            connection.shutdown(socket.SHUT_WR)
            received = b""
            while part := connection.recv(65536):
                received += part
            return received.decode()

    def both(self, command, level="admin"):
        return self.ask("haproxy", command, level), self.ask("nines", command, level)

    def page(self, who, path, method="GET", password="secret"):
        token = base64.b64encode(f"reader:{password}".encode()).decode()
        return self.scope.http(self.ports[who], path, method,
                               headers={"Authorization": f"Basic {token}"})

    def server(self, who, name):
        """The CSV row of a server as a dictionary."""
        rows = csv.DictReader(self.ask(who, "show stat").lstrip("# ").splitlines())
        return next(row for row in rows if row["svname"] == name)

    def wait_for_checks(self):
        """Until both have found that nobody listens where the checked server should be."""
        for who in ("haproxy", "nines"):
            self.scope.wait_until(lambda who=who: self.server(who, "only")["status"] == "DOWN",
                                  what=f"{who} to see the server down")

    def state(self, who, name):
        """The line of a server in "show servers state" as a dictionary."""
        lines = self.ask(who, "show servers state").splitlines()
        names = lines[1].lstrip("# ").split()
        rows = [dict(zip(names, line.split())) for line in lines[2:] if line]
        return next(row for row in rows if row["srv_name"] == name)


def same(what, theirs, ours):
    assert theirs == ours, f"{what}: haproxy {theirs!r}, nines {ours!r}"


def fields(text):
    """{"F.2.0.pxname" or "Pid": (number, tag, type)} of typed lines, in order."""
    found = {}
    for line in text.splitlines():
        match = re.match(r"(?:([FBS])\.(\d+)\.(\d+)\.)?(\d+)\.([^:]+)\.1:(\w+):(\w+):", line)
        if match:
            kind, proxy, server, number, name, tag, value_type = match.groups()
            key = f"{kind}.{proxy}.{server}.{name}" if kind else name
            found[key] = (number, tag, value_type)
    return found


def compare_fields(theirs, ours, left_out):
    for key, ours_of_it in ours.items():
        same(key, theirs.get(key, "absent"), ours_of_it)
    missing = [key for key in theirs if key not in ours and not left_out(key)]
    assert not missing, f"nines lacks {missing}"


@test
def csv_columns_are_the_same(scope):
    theirs, ours = Pair(scope).both("show stat")
    same("header", theirs.splitlines()[0], ours.splitlines()[0])
    def names(text):
        return [line.split(",")[:2] for line in text.splitlines()[1:]]
    same("rows", names(theirs), names(ours))


@test
def typed_statistics_have_the_same_numbers_tags_and_types(scope):
    pair = Pair(scope)
    pair.wait_for_checks()
    theirs, ours = pair.both("show stat typed")
    compare_fields(fields(theirs), fields(ours), lambda key: STAT_LEFT_OUT.search(key))


@test
def show_info_has_the_same_fields_in_the_same_order(scope):
    pair = Pair(scope)
    def names(text):
        return [line.split(":")[0] for line in text.splitlines() if line]
    theirs, ours = map(names, pair.both("show info"))
    same("fields", [name for name in theirs if name not in INFO_LEFT_OUT],
         [name for name in ours if name not in INFO_LEFT_OUT])
    theirs, ours = pair.both("show info typed")
    compare_fields(fields(theirs), fields(ours), lambda key: key in INFO_LEFT_OUT)


@test
def levels_refuse_the_same(scope):
    pair = Pair(scope)
    for command, least in BY_LEVEL:
        for level in LEVELS:
            refused = LEVELS.index(level) < LEVELS.index(least)
            for who, answer in zip(("haproxy", "nines"), pair.both(command, level)):
                assert (answer == "Permission denied\n\n") == refused, \
                    f"{who}: '{command}' at {level}: {answer[:200]!r}"


@test
def answers_are_the_same(scope):
    pair = Pair(scope)
    for command in SAME_ANSWER:
        theirs, ours = pair.both(command)
        same(command, theirs, ours)


@test
def changes_of_state_look_the_same(scope):
    pair = Pair(scope)
    steps = [
        ("set server pool/one state drain", "one"), ("set server pool/one state maint", "one"),
        ("set server pool/one state ready", "one"), ("disable server pool/two", "two"),
        ("enable server pool/two", "two"), ("set server pool/one weight 50%", "one"),
        ("set weight pool/one 0", "one"), ("set server pool/one weight 100%", "one"),
        ("enable server pool/three", "three"), ("get weight pool/one", "one"),
    ]
    for command, name in steps:
        same(command, *pair.both(command))
        for column in ("status", "weight", "act", "bck", "uweight"):
            # The control thread and the workers may need a moment.
            def alike(column=column):
                return (pair.server("haproxy", name)[column] ==
                        pair.server("nines", name)[column])
            scope.wait_until(alike, what=f"{name}'s {column} after '{command}'")
        for column in ("srv_op_state", "srv_admin_state", "srv_uweight", "srv_iweight"):
            same(f"{column} after '{command}'", pair.state("haproxy", name)[column],
                 pair.state("nines", name)[column])


@test
def a_server_that_refuses_looks_the_same(scope):
    pair = Pair(scope)
    pair.wait_for_checks()
    theirs, ours = pair.server("haproxy", "only"), pair.server("nines", "only")
    for column in ("status", "check_status", "last_chk", "check_desc", "check_rise", "check_fall",
                   "check_health", "chkdown", "mode", "act", "bck", "type"):
        same(column, theirs[column], ours[column])
    for column in ("srv_op_state", "srv_check_status", "srv_check_result", "srv_check_state"):
        same(column, pair.state("haproxy", "only")[column], pair.state("nines", "only")[column])


@test
def frontend_is_paused_and_resumed(scope):
    pair = Pair(scope)
    for command in ("disable frontend web", "disable frontend web", "enable frontend web",
                    "enable frontend web"):
        same(command, *pair.both(command))
        def status(who):
            rows = csv.DictReader(pair.ask(who, "show stat").lstrip("# ").splitlines())
            return next(r["status"] for r in rows if r["pxname"] == "web")
        same(f"status after '{command}'", status("haproxy"), status("nines"))


@test
def the_page_answers_the_same(scope):
    pair = Pair(scope)
    for path in ("/page", "/page;csv", "/page;csv;norefresh", "/pageant", "/page;json"):
        theirs, ours = pair.page("haproxy", path), pair.page("nines", path)
        same(path + " status", theirs.status, ours.status)
        for name in ("refresh", "cache-control"):
            same(f"{path} {name}", theirs.header(name), ours.header(name))
        same(path + " type", theirs.header("content-type"),
             (ours.header("content-type") or "").split(";")[0])
    theirs, ours = (pair.page(who, "/page;csv").body.decode() for who in ("haproxy", "nines"))
    same("header of the CSV", theirs.splitlines()[0], ours.splitlines()[0])
    for who in ("haproxy", "nines"):
        refused = pair.page(who, "/page", password="wrong")
        same(f"{who} refusal", (401, 'Basic realm="A Realm"'),
             (refused.status, refused.header("www-authenticate")))
        head = pair.page(who, "/page", method="HEAD")
        same(f"{who} HEAD", (200, b""), (head.status, head.body))
        post = pair.page(who, "/page", method="POST")
        same(f"{who} POST", (303, "/page;st=DENY"), (post.status, post.header("location")))


main()
