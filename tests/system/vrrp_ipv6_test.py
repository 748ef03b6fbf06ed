#!/usr/bin/python3
"""VRRP over IPv6: Nines and the real keepalived on one segment, each as master and as backup, each
following the other; an observer on the bridge hears every advert and every neighbour
advertisement to its bytes."""
# timeout: 240

import json
import os
import signal
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from nines_test import NINES, Skip, main, test  # noqa: E402

KEEPALIVED = "/usr/sbin/keepalived"
LOCAL, GLOBAL = "fe80::100", "fd00:9::100"
BACKUP, MASTER = 1, 2

# Prints (instant, kind, sender's hardware address, the frame behind the Ethernet header).
OBSERVER = """
import socket, time
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
s.bind(("br0", 0))
print("ready", flush=True)
while True:
    frame = s.recv(4096)
    if frame[12:14] != b"\\x86\\xdd":
        continue
    kind = "advert" if frame[20] == 112 else "" if frame[20] != 58 else \\
        "neighbour" if frame[54] == 136 else ""
    if kind:
        print(kind, time.monotonic(), frame[6:12].hex(), frame[14:].hex(), flush=True)
"""

CONFIG = """
global_defs {{
    router_id host{number}
}}
vrrp_instance outside {{
    state BACKUP
    interface eth0
    virtual_router_id 51
    priority {priority}
    advert_int 0.1
    {extra}
    virtual_ipaddress {{
        {addresses}
    }}
}}
"""
# A raw packet of protocol 112 to the group, with any hop limit, from host 2.
SEND = """
import socket, struct, sys
message, hops = bytes.fromhex(sys.argv[1]), int(sys.argv[2])
s = socket.socket(socket.AF_INET6, socket.SOCK_RAW, 112)
s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, hops)
s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, socket.if_nametoindex("eth0"))
s.sendto(message, ("ff02::12", 0, 0, socket.if_nametoindex("eth0")))
"""


class Segment:
    def __init__(self, scope):
        if os.geteuid() != 0:
            raise Skip("namespaces with raw sockets need root's rights")
        self.scope = scope
        self.switch = scope.namespace("switch")
        self.switch.ip("link", "add", "br0", "type", "bridge", "mcast_snooping", "0")
        self.switch.ip("link", "set", "br0", "up")
        self.hosts = {}
        for number in (1, 2):
            host = self.hosts[number] = scope.namespace(f"host{number}")
            host.link(self.switch, "eth0", f"port{number}")
            self.switch.ip("link", "set", f"port{number}", "master", "br0")
        self.observer = self.switch.start([sys.executable, "-c", OBSERVER], name="observer")
        scope.wait_until(lambda: "ready" in self.observer.log(), what="the observer")
        # Until then nothing leaves a host, though keepalived is master all the same.
        for host in self.hosts.values():
            scope.wait_until(lambda host=host: self.is_settled(host), what="link-local addresses")

    @staticmethod
    def is_settled(host):
        shown = host.ip("-6", "addr", "show", "dev", "eth0")
        return "fe80::" in shown and "tentative" not in shown

    def start(self, number, program, priority, extra="", addresses=(LOCAL, f"{GLOBAL}/64")):
        name = f"{program}{number}-{len(self.scope.processes)}"
        config = self.scope.write(name + ".conf", CONFIG.format(
            number=number, priority=priority, extra=extra, addresses="\n        ".join(addresses)))
        folder = self.scope.path(name)
        os.mkdir(folder)
        words = [NINES, "vrrp", "-f", config]
        if program == "keepalived":
            words = [KEEPALIVED, "-n", "-l", "-D", "-f", config, "-p", folder + "/pid",
                     "-r", folder + "/vrrp.pid"]
        process = self.hosts[number].start(words, name=name, env=dict(os.environ, TMPDIR=folder))
        process.folder = folder
        return process

    def holds(self, number):
        shown = self.hosts[number].ip("-6", "addr", "show", "dev", "eth0")
        there = [f"inet6 {address}/" in shown for address in (LOCAL, GLOBAL)]
        return all(there) if any(there) else False

    def wait_for_holder(self, number, timeout=10):
        self.scope.wait_until(lambda: self.holds(number), timeout, f"the address on host {number}")

    def own(self, number):
        """The link-local address that adverts leave from, and the hardware's."""
        link = json.loads(self.hosts[number].ip("-j", "addr", "show", "dev", "eth0"))[0]
        local = next(each["local"] for each in link["addr_info"]
                     if each["scope"] == "link" and each["local"] != LOCAL)
        return local, link["address"].replace(":", "")

    def heard(self, kind, number):
        """What the observer heard from host `number`: the frames' bytes."""
        text = self.observer.log()
        lines = [line.split() for line in text[:text.rfind("\n") + 1].splitlines()]
        hardware = self.own(number)[1]
        return [bytes.fromhex(line[3]) for line in lines if line[0] == kind and line[2] == hardware]

    def json(self, process):
        path = os.path.join(process.folder, "keepalived.json")
        if os.path.exists(path):
            os.unlink(path)
        process.signal(signal.SIGRTMIN + 2)
        found = []

        def whole():
            with open(path, encoding="utf-8") as file:
                found[:] = [file.read()]
            return found[0].endswith("]\n")
        self.scope.wait_until(whole, what="keepalived.json")
        return json.loads(found[0])[0]


@test
def each_follows_the_other_when_it_dies_or_leaves(scope):
    for first, second in (("keepalived", "nines"), ("nines", "keepalived"), ("nines", "nines")):
        segment = Segment(scope)
        master = segment.start(1, first, 200)
        segment.wait_for_holder(1)
        segment.start(2, second, 100)
        begun = len(segment.heard("advert", 1))
        scope.wait_until(lambda: len(segment.heard("advert", 1)) > begun + 10, what="ten adverts")
        assert not segment.holds(2) and not segment.heard("advert", 2), (first, second)
        # A planned end.
        master.signal(signal.SIGTERM)
        segment.wait_for_holder(2)
        assert master.wait() == 0
        assert not segment.holds(1), (first, second)
        assert any(frame[42] == 0 for frame in segment.heard("advert", 1)), (first, second)
        # It comes back and preempts.
        again = segment.start(1, first, 200)
        segment.wait_for_holder(1)
        scope.wait_until(lambda: not segment.holds(2), what=f"{second} to step down")
        # Its host dies.
        segment.switch.ip("link", "set", "port1", "down")
        again.signal_group(signal.SIGKILL)
        segment.wait_for_holder(2)


@test
def adverts_are_keepaliveds_to_the_byte(scope):
    segment = Segment(scope)
    frames = []
    for program in ("keepalived", "nines"):
        count = len(segment.heard("advert", 1))
        process = segment.start(1, program, 200)
        segment.wait_for_holder(1)
        scope.wait_until(lambda: len(segment.heard("advert", 1)) > count + 3, what="adverts")
        # The flow label is the kernel's.
        frames.append([frame[0:1] + frame[4:] for frame in segment.heard("advert", 1)[count:]][-1])
        process.signal(signal.SIGTERM)
        process.wait()
        scope.wait_until(lambda: not segment.holds(1), what="the end")
    assert frames[0] == frames[1], [frame.hex() for frame in frames]
    assert frames[1][4] == 255, "the hop limit"


@test
def the_segment_is_told_as_keepalived_tells_it(scope):
    for forwarding in "01":
        told = []
        for program in ("keepalived", "nines"):
            segment = Segment(scope)
            # The same hardware address: the same bytes.
            segment.hosts[1].ip("link", "set", "eth0", "down")
            segment.hosts[1].ip("link", "set", "eth0", "address", "02:00:00:00:00:01")
            segment.hosts[1].ip("link", "set", "eth0", "up")
            scope.wait_until(lambda segment=segment: segment.is_settled(segment.hosts[1]),
                             what="link-local addresses")
            segment.hosts[1].run(["sysctl", "-qw", f"net.ipv6.conf.eth0.forwarding={forwarding}"])
            segment.start(1, program, 200)
            segment.wait_for_holder(1)

            def of_ours(segment=segment):
                # The kernel itself tells of its own addresses.
                return [frame for frame in segment.heard("neighbour", 1) if frame[8:24] == frame[48:64]
                        and frame[48:64].hex().endswith("0100")]
            scope.wait_until(lambda: len(of_ours()) >= 10, what=f"announcements of {program}")
            told.append(set(of_ours()))
        assert told[0] == told[1] and len(told[0]) == 2, told
        flags = {frame[44] for frame in told[1]}
        assert flags == {0xa0 if forwarding == "1" else 0x20}, flags


@test
def a_deprecated_address_is_one_as_in_keepalived(scope):
    segment = Segment(scope)
    addresses = (LOCAL, f"{GLOBAL}/64", "fd00:9::1", "fd00:9::2 preferred_lft forever",
                 "fd00:9::3/64 preferred_lft 0")
    shown = []
    for program in ("keepalived", "nines"):
        process = segment.start(1, program, 200, addresses=addresses)
        segment.wait_for_holder(1)
        scope.wait_until(lambda: "fd00:9::3" in segment.hosts[1].ip("-6", "addr", "show"),
                         what="the last address")
        lines = segment.hosts[1].ip("-6", "-o", "addr", "show", "dev", "eth0").splitlines()
        shown.append({words[3]: ("deprecated" in words) for words in map(str.split, lines)})
        data = segment.json(process)["data"]
        shown.append((data["vips"], data["version"], data["state"]))
        process.signal(signal.SIGTERM)
        process.wait()
    assert shown[0] == shown[2] and shown[1] == shown[3], shown
    assert shown[2]["fd00:9::1/128"] and not shown[2]["fd00:9::2/128"], shown


@test
def what_is_no_advert_of_ours_moves_nothing(scope):
    segment = Segment(scope)
    backup = segment.start(1, "nines", 100)
    segment.wait_for_holder(1)
    good = bytes(segment.heard("advert", 1)[-1][40:])

    def send(message, hops=255):
        segment.hosts[2].run([sys.executable, "-c", SEND, message.hex(), str(hops)])
    send(good)                                  # a checksum for another sender
    send(good, hops=64)                         # routed
    send(good[:10])                             # cut
    send(b"\x21" + good[1:])                    # version 2
    scope.wait_until(lambda: "malformed" in backup.log(), what="a complaint")
    before = len(segment.heard("advert", 1))
    scope.wait_until(lambda: len(segment.heard("advert", 1)) > before + 5, what="five adverts")
    assert segment.holds(1)
    assert segment.json(backup)["stats"]["ip_ttl_err"] == 1
    assert segment.json(backup)["stats"]["packet_len_err"] == 1
    assert segment.json(backup)["data"]["state"] == MASTER


@test
def both_families_with_one_router_id_are_two_routers(scope):
    segment = Segment(scope)
    for number in (1, 2):
        segment.hosts[number].ip("addr", "add", f"10.9.0.{number}/24", "dev", "eth0")
    inside = """
}}
vrrp_instance inside {{
    interface eth0
    virtual_router_id 51
    priority {priority}
    advert_int 1
    virtual_ipaddress {{
        10.9.0.100
    }}
"""

    def both(number, program, outside, own):
        name = f"{program}{number}-both"
        text = CONFIG.format(number=number, priority=outside, extra="", addresses=LOCAL + "\n" +
                             GLOBAL + "/64")
        text = text.rstrip().rstrip("}") + inside.format(priority=own).replace("}}", "}").replace(
            "{{", "{") + "}\n"
        path = scope.write(name + ".conf", text)
        words = [NINES, "vrrp", "-f", path]
        if program == "keepalived":
            words = [KEEPALIVED, "-n", "-l", "-f", path, "-p", path + ".pid", "-r", path + ".vrrp"]
        return segment.hosts[number].start(words, name=name)

    def holds4(number):
        return "10.9.0.100/" in segment.hosts[number].ip("-4", "addr", "show", "dev", "eth0")
    both(1, "nines", 200, 100)
    both(2, "keepalived", 100, 200)
    scope.wait_until(lambda: segment.holds(1) and holds4(2), 15, "each to hold one")
    scope.wait_until(lambda: not segment.holds(2) and not holds4(1), 15, "neither to hold both")


@test
def unicast_peers_hear_one_another(scope):
    segment = Segment(scope)
    for number in (1, 2):
        segment.hosts[number].ip("addr", "add", f"fd00:8::{number}/64", "dev", "eth0", "nodad")

    def peers(own, other):
        return f"unicast_src_ip fd00:8::{own}\n    unicast_peer {{\n        fd00:8::{other}\n    }}"
    master = segment.start(1, "nines", 200, extra=peers(1, 2))
    segment.wait_for_holder(1)
    backup = segment.start(2, "keepalived", 100, extra=peers(2, 1))
    scope.wait_until(lambda: "Startup complete" in backup.log(), what="keepalived at work")
    scope.wait_until(lambda: segment.json(backup)["stats"]["advert_rcvd"] > 10, what="ten adverts")
    assert not segment.holds(2) and not segment.heard("advert", 1)
    master.signal(signal.SIGTERM)
    segment.wait_for_holder(2)


if __name__ == "__main__":
    main()
