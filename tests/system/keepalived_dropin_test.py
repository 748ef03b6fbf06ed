#!/usr/bin/python3
"""Nines under the name keepalived, as neutron's L3 agent starts, watches, reloads and ends it: the
command line, both pid files, signals, and what is left when everything is killed."""
# timeout: 180

import contextlib
import os
import pwd
import signal
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from nines_test import NINES, Skip, main, test  # noqa: E402

UUID = "7bc0c2f5-0b1c-4c4e-9d4f-0a3f2a1f6c11"
PASSWORD = "geheim77"
ADDRESS, EXCLUDED, LATER = "169.254.0.1", "10.20.0.1", "10.20.0.2"
# The external network's port, its gateways, a router's own route, a subnet on the same network.
EXTERNAL = "198.51.100.7/24 dev qg-port no_track"
GATEWAYS = ["0.0.0.0/0 via 198.51.100.1 dev qg-port no_track",
            "::/0 via fe80::1 dev qg-port no_track",
            "10.30.0.0/24 via 10.20.0.9 no_track",
            "203.0.113.0/24 dev qg-port scope link no_track"]
END_MAX = 5  # seconds that neutron waits before it kills

CONFIG = """
global_defs {{
    notification_email_from neutron@openstack.local
    router_id neutron
}}
vrrp_instance VR_1 {{
    state BACKUP
    interface {interface}
    virtual_router_id 1
    priority 50
    garp_master_delay 60
    nopreempt
    advert_int 1
    authentication {{
        auth_type PASS
        auth_pass {password}
    }}
    track_interface {{
        {interface}
    }}
    virtual_ipaddress {{
        {address}/24 dev {interface}
    }}
    virtual_ipaddress_excluded {{
        {excluded}/24 dev {interface} no_track
        {more}
    }}
    {routes}
}}
"""


class Router:
    """A router's namespace with the agent's folder of files."""

    def __init__(self, scope):
        if os.geteuid() != 0:
            raise Skip("VRRP's raw sockets need root's rights")
        self.scope = scope
        self.host = scope.namespace("router")
        self.switch = scope.namespace("switch")
        self.host.link(self.switch, "ha-port", "port")
        self.host.ip("addr", "add", "169.254.192.1/18", "dev", "ha-port")
        self.program = scope.path("keepalived")
        os.symlink(NINES, self.program)
        os.mkdir(scope.path(UUID))
        self.configure()
        self.pid_files = [scope.path(f"{UUID}.pid.keepalived"),
                          scope.path(f"{UUID}.pid.keepalived-vrrp")]
        scope.on_end(self.kill)

    def configure(self, interface="ha-port", more="", password=PASSWORD, routes=()):
        lines = "\n        ".join(routes)
        self.config = self.scope.write(f"{UUID}/keepalived.conf", CONFIG.format(
            interface=interface, address=ADDRESS, excluded=EXCLUDED, more=more, password=password,
            routes=f"virtual_routes {{\n        {lines}\n    }}" if routes else ""))

    def arguments(self, *more):
        return [self.program, "-P", "-f", self.config, "-p", self.pid_files[0],
                "-r", self.pid_files[1], *more]

    def start(self, check=True):
        """To the end of the command: its pipes must be free then, as the agent waits for them."""
        return self.host.run(self.arguments("-D"), check=check, timeout=20)

    def pids(self):
        """As they stand in the pid files; a file that is missing is an error."""
        found = []
        for path in self.pid_files:
            with open(path, encoding="ascii") as file:
                found.append(int(file.read()))
        return found

    def alive(self):
        """How the agent looks: the process of the id has the router's UUID in its command line."""
        for pid in self.pids():
            with open(f"/proc/{pid}/cmdline", encoding="ascii") as file:
                if UUID not in file.read():
                    return False
        return True

    def signal(self, number):
        for pid in set(self.pids()):
            os.kill(pid, number)

    def wait_for_end(self, pid, timeout):
        """Orphans are ours to reap."""
        def ended():
            return os.waitpid(pid, os.WNOHANG)[0] == pid
        self.scope.wait_until(ended, timeout, f"the end of process {pid}")

    def kill(self):
        with contextlib.suppress(OSError, ValueError):
            for pid in set(self.pids()):
                if self.program in open(f"/proc/{pid}/cmdline", encoding="ascii").read():
                    os.kill(pid, signal.SIGKILL)

    def holds(self, address):
        return f"inet {address}/" in self.host.ip("-4", "addr", "show")

    def routes(self):
        """Those that are ours: of the protocol that keepalived gives them."""
        return sorted(line.strip() for family in ("-4", "-6") for line in
                      self.host.ip(family, "route", "show", "proto", "keepalived").splitlines())

    def wait_for(self, address, there=True, timeout=15):
        self.scope.wait_until(lambda: self.holds(address) == there, timeout,
                              f"{address} {'there' if there else 'gone'}")


@test
def the_version_is_where_the_agent_looks_for_it(scope):
    router = Router(scope)
    said = router.host.run([router.program, "--version"]).stderr.split()
    version = [int(part) for part in said[1].lstrip("v").split(".")]
    assert said[0] == "Keepalived" and version >= [2, 0, 3], said


@test
def an_agent_starts_reloads_and_ends_it(scope):
    router = Router(scope)
    done = router.start()
    assert router.alive(), "when the command ends both processes must be there"
    assert PASSWORD not in done.stderr + done.stdout, done.stderr
    pid = router.pids()[0]
    router.wait_for(ADDRESS)
    router.wait_for(EXCLUDED)

    router.configure(more=f"{LATER}/24 dev ha-port no_track")
    router.signal(signal.SIGHUP)
    router.wait_for(LATER)
    assert router.alive() and router.pids()[0] == pid

    router.configure()
    router.signal(signal.SIGHUP)
    router.wait_for(LATER, there=False)
    assert router.alive() and router.holds(ADDRESS) and router.pids()[0] == pid

    router.signal(signal.SIGTERM)
    router.wait_for_end(pid, END_MAX)
    assert not any(os.path.exists(path) for path in router.pid_files)
    assert not router.holds(ADDRESS) and not router.holds(EXCLUDED)


@test
def a_router_with_a_gateway_has_its_routes_while_it_is_master(scope):
    router = Router(scope)
    router.host.link(router.switch, "qg-port", "qg-far")
    router.configure(more=EXTERNAL, routes=GATEWAYS)
    done = router.start()
    assert " dev qg-port" not in done.stderr, done.stderr  # nothing to say of these
    pid = router.pids()[0]
    expected = sorted(["default via 198.51.100.1 dev qg-port", "10.30.0.0/24 via 10.20.0.9 dev "
                       "ha-port", "203.0.113.0/24 dev qg-port scope link",
                       "default via fe80::1 dev qg-port metric 1024 pref medium"])
    scope.wait_until(lambda: router.routes() == expected, 15, f"routes, not {router.routes()}")

    # The gateway is taken away from the router, as the agent does it: all in one reload.
    router.configure(routes=[GATEWAYS[2]])
    router.signal(signal.SIGHUP)
    scope.wait_until(lambda: router.routes() == [expected[0]], what="the extra route alone")
    router.wait_for("198.51.100.7", there=False)
    router.configure(more=EXTERNAL, routes=GATEWAYS)
    router.signal(signal.SIGHUP)
    scope.wait_until(lambda: router.routes() == expected, what="the gateway again")
    assert router.alive() and router.holds(ADDRESS) and router.pids()[0] == pid

    router.signal(signal.SIGTERM)
    router.wait_for_end(pid, END_MAX)
    assert router.routes() == [], router.routes()


@test
def killed_it_leaves_the_address_as_keepalived_does_and_starts_again(scope):
    router = Router(scope)
    router.start()
    router.wait_for(ADDRESS)
    router.wait_for(EXCLUDED)
    monitor = router.host.start(["ip", "monitor", "address"], name="monitor")
    time.sleep(3)  # in which three adverts go out
    assert monitor.log() == "", monitor.log()
    assert "forever" in router.host.ip("-4", "addr", "show", "dev", "ha-port")
    pid = router.pids()[0]
    router.signal(signal.SIGKILL)
    # The agent's monitor takes each renewal of an address for news, so here it has no lifetime.
    assert router.holds(ADDRESS) and router.holds(EXCLUDED)
    # The pid files are stale, and their process is not even waited for yet.
    assert router.pids()[0] == pid
    router.start()
    assert router.alive() and router.pids()[0] != pid
    os.waitpid(pid, 0)
    router.wait_for(ADDRESS)


@test
def a_start_that_fails_is_told_by_its_status(scope):
    router = Router(scope)
    router.configure(interface="nowhere0")
    failed = router.start(check=False)
    assert failed.returncode != 0 and "nowhere0" in failed.stderr, failed.stderr
    assert not any(os.path.exists(path) for path in router.pid_files)

    # What fails only once it is in the background.
    router.configure()
    good, router.pid_files[1] = router.pid_files[1], scope.path("no-such-folder/pid")
    failed = router.start(check=False)
    assert failed.returncode != 0 and "no-such-folder" in failed.stderr, failed.stderr
    assert not os.path.exists(router.pid_files[0])
    router.pid_files[1] = good

    router.start()
    before = router.pids()
    second = router.start(check=False)
    assert second.returncode != 0 and f"process {before[0]}" in second.stderr, second.stderr
    assert router.pids() == before and router.alive()


@test
def a_pid_file_of_another_kind_of_process_hinders_nobody(scope):
    router = Router(scope)
    for path in router.pid_files:
        scope.write(os.path.basename(path), f"{os.getpid()}\n")
    router.start()
    assert os.getpid() not in router.pids() and router.alive()


@test
def a_reload_of_a_bad_file_tells_no_password(scope):
    router = Router(scope)
    # Too long, which is a warning with the line quoted.
    router.configure(password=PASSWORD + "-and-more")
    daemon = router.host.start(router.arguments("-D", "-n", "-l"), name="foreground")
    router.wait_for(ADDRESS)
    assert "auth_pass" in daemon.log(), daemon.log()
    router.configure(password=PASSWORD + "-and-more", more="bogus")
    daemon.signal(signal.SIGHUP)
    scope.wait_until(lambda: "the old one stays" in daemon.log(), what="the reload")
    assert router.holds(ADDRESS) and daemon.alive()
    assert PASSWORD not in daemon.log(), daemon.log()


@test
def script_security_leaves_out_what_no_user_is_there_for(scope):
    router = Router(scope)
    try:
        pwd.getpwnam("keepalived_script")
        raise Skip("this host has the user keepalived_script")
    except KeyError:
        pass
    ran = scope.path("ran")
    with open(router.config, encoding="utf-8") as file:
        instance = file.read().replace("advert_int 1", "advert_int 1\n track_script { touch }")
    scope.write(f"{UUID}/keepalived.conf", "global_defs {\n enable_script_security\n}\n"
                f'vrrp_script touch {{\n script "/usr/bin/touch {ran}"\n interval 1\n}}\n' + instance)
    daemon = router.host.start(router.arguments("-n", "-l"), name="foreground")
    # As in keepalived the instance runs without it.
    router.wait_for(ADDRESS)
    assert "cannot find the user 'keepalived_script'" in daemon.log(), daemon.log()
    assert not os.path.exists(ran)


if __name__ == "__main__":
    main()
