#!/usr/bin/python3
"""Peers that write a message in pieces under Nagle's algorithm hold each next piece back until the
one before is acknowledged. A delayed acknowledgement of ours would cost such a peer 40 ms a message:
plain WSGI servers write head and body apart, and so do simple clients."""

import os
import socket
import statistics
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from nines_test import NINES, main, test  # noqa: E402

ROUNDS = 15
DELAYED_ACK = 0.040  # seconds, the kernel's TCP_DELACK_MIN


def serve_in_pieces(listener):
    """Answers each request with a head and, apart from it, a body."""
    def talk(peer):
        with peer, peer.makefile("rb") as lines:
            while line := lines.readline():
                length = 0
                while (line := lines.readline().strip()):
                    if line.lower().startswith(b"content-length:"):
                        length = int(line.split(b":")[1])
                lines.read(length)
                peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")
                peer.sendall(b"hello")

    def accept():
        while True:
            try:
                peer, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=talk, args=(peer,), daemon=True).start()
    threading.Thread(target=accept, daemon=True).start()


def start(scope):
    listener = socket.create_server(("127.0.0.1", 0))
    scope.on_end(listener.close)
    serve_in_pieces(listener)
    port = scope.free_port()
    config = scope.write("proxy.cfg", f"""
global
    nbthread 1
defaults
    mode http
    timeout connect 5s
    timeout client 5s
    timeout server 5s
listen web
    bind 127.0.0.1:{port}
    server a 127.0.0.1:{listener.getsockname()[1]}
""")
    scope.start([NINES, "proxy", "-db", "-f", config])
    scope.wait_for_port(port)
    return port


def exchange(peer, *pieces):
    """Seconds from the first piece to the end of the answer."""
    began = time.monotonic()
    for piece in pieces:
        peer.sendall(piece)
    answer = b""
    while not answer.endswith(b"hello"):
        more = peer.recv(4096)
        assert more, answer
        answer += more
    return time.monotonic() - began


@test
def a_server_that_answers_in_pieces_is_not_held_up(scope):
    port = start(scope)
    request = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
    with socket.create_connection(("127.0.0.1", port)) as peer:
        kept = [exchange(peer, request) for _ in range(ROUNDS)]
    fresh = []
    for _ in range(ROUNDS):
        with socket.create_connection(("127.0.0.1", port)) as peer:
            fresh.append(exchange(peer, request.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")))
    for times in (kept, fresh):
        assert statistics.median(times) < DELAYED_ACK / 2, times


@test
def a_client_that_asks_in_pieces_is_not_held_up(scope):
    port = start(scope)
    head = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\n"
    with socket.create_connection(("127.0.0.1", port)) as peer:
        times = [exchange(peer, head, b"da", b"ta") for _ in range(ROUNDS)]
    assert statistics.median(times) < DELAYED_ACK / 2, times


main()
