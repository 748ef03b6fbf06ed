#!/usr/bin/python3
"""Real services from Debian's packages behind the balancer: nginx, uWSGI, MariaDB, WebSocket."""
# timeout: 600

import base64
import gzip
import hashlib
import http.client
import json
import os
import shutil
import signal
import socket
import struct
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from proxy_lib import Load, Nines, defaults, server_column, start_nginx, wait_until  # noqa: E402
from nines_test import Skip, main, test  # noqa: E402

LARGE = 50 << 20  # bytes of a large body
WEBSOCKET_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, section 1.3


# ---- nginx -------------------------------------------------------------------------------------

def random_file(path, size):
    """A file that repeats one random MiB; its SHA-256."""
    digest, block = hashlib.sha256(), os.urandom(1 << 20)
    with open(path, "wb") as file:
        for _ in range(size >> 20):
            file.write(block)
            digest.update(block)
    os.chmod(path, 0o644)
    return digest.hexdigest()


def digest_of(answer):
    digest = hashlib.sha256()
    while part := answer.read(1 << 18):
        digest.update(part)
    return digest.hexdigest()


@test
def nginx_serves_large_files_on_a_kept_connection(scope):
    front, back = scope.free_ports(2)
    start_nginx(scope, [back], "location / { }")
    expected = random_file(scope.path("nginx/large"), LARGE)
    scope.write("nginx/small", "small\n")
    Nines(scope, defaults(scope) + f"listen web\n bind 127.0.0.1:{front}\n"
                                   f" server a 127.0.0.1:{back}\n", port=front)
    connection = http.client.HTTPConnection("127.0.0.1", front, timeout=30)
    for path in ("/large", "/small", "/large"):
        connection.request("GET", path)
        before = connection.sock
        answer = connection.getresponse()
        assert answer.status == 200
        if path == "/large":
            assert digest_of(answer) == expected
        else:
            assert answer.read() == b"small\n"
        assert connection.sock is before, "the connection was not kept"
    # A part of it, and one that is not there.
    connection.request("GET", "/large", headers={"Range": "bytes=1000-1999"})
    answer = connection.getresponse()
    assert answer.status == 206 and len(answer.read()) == 1000
    connection.request("HEAD", "/large")
    answer = connection.getresponse()
    assert int(answer.getheader("Content-Length")) == LARGE and answer.read() == b""
    connection.request("GET", "/none")
    answer = connection.getresponse()
    assert answer.status == 404
    answer.read()
    connection.close()


@test
def nginx_compresses_in_chunks(scope):
    front, back = scope.free_ports(2)
    start_nginx(scope, [back], "gzip on; gzip_types text/plain; default_type text/plain;"
                               "location / { }")
    text = "".join(f"line {i} {i * i}\n" for i in range(300_000))
    scope.write("nginx/text", text)
    Nines(scope, defaults(scope) + f"listen web\n bind 127.0.0.1:{front}\n"
                                   f" server a 127.0.0.1:{back}\n", port=front)
    connection = http.client.HTTPConnection("127.0.0.1", front, timeout=30)
    for _ in range(3):
        connection.request("GET", "/text", headers={"Accept-Encoding": "gzip"})
        answer = connection.getresponse()
        assert answer.getheader("Transfer-Encoding") == "chunked", answer.getheaders()
        assert gzip.decompress(answer.read()).decode() == text
    connection.close()


@test
def a_server_killed_under_load_costs_no_request(scope):
    front, *backs = scope.free_ports(4)
    servers = {back: start_nginx(scope, [back], 'location / { return 200 "$server_port"; }',
                                 name=f"nginx-{back}") for back in backs}
    lines = "\n".join(f" server s{back} 127.0.0.1:{back} check inter 300 rise 2 fall 2"
                      for back in backs)
    balancer = Nines(scope, defaults(scope) + f"listen web\n bind 127.0.0.1:{front}\n{lines}\n",
                     port=front)
    with Load(front, keep_alive=4, close=4) as load:
        for back in backs[:2]:
            load.wait_for(200)
            servers[back].signal_group(signal.SIGKILL)
            wait_until(lambda: server_column(balancer.socket, "web", f"s{back}",
                                             "status").startswith("DOWN"))
            load.wait_for(200)
            servers[back].wait()
            servers[back] = start_nginx(scope, [back],
                                        'location / { return 200 "$server_port"; }',
                                        name=f"nginx-{back}")
            wait_until(lambda: server_column(balancer.socket, "web", f"s{back}",
                                             "status").startswith("UP"))
    load.check(at_least=800)
    print(f"   # {load.good} good, {load.stale} kept connections closed, "
          f"slowest {load.slowest * 1000:.0f} ms")
    assert load.slowest < 3, load.slowest


# ---- uWSGI -------------------------------------------------------------------------------------

APPLICATION = '''
import hashlib, json, os

def body_of(environ):
    """What keystone's and glance's servers get: a length, or chunks through uwsgi's own door."""
    if environ.get("HTTP_TRANSFER_ENCODING") == "chunked":
        import uwsgi
        while part := uwsgi.chunked_read():
            yield part
        return
    left = int(environ.get("CONTENT_LENGTH") or 0)
    while left > 0:
        part = environ["wsgi.input"].read(min(left, 1 << 18))
        if not part:
            return
        left -= len(part)
        yield part

def application(environ, start_response):
    digest, size = hashlib.sha256(), 0
    for part in body_of(environ):
        digest.update(part)
        size += len(part)
    answer = json.dumps({"method": environ["REQUEST_METHOD"], "path": environ["PATH_INFO"],
                         "query": environ["QUERY_STRING"], "size": size,
                         "sha256": digest.hexdigest(), "pid": os.getpid(),
                         "forwarded": environ.get("HTTP_X_FORWARDED_FOR"),
                         "token": environ.get("HTTP_X_AUTH_TOKEN")}).encode()
    status = "300 Multiple Choices" if environ["PATH_INFO"] == "/" else "200 OK"
    start_response(status, [("Content-Type", "application/json"),
                            ("Content-Length", str(len(answer)))])
    return [answer]
'''


def start_uwsgi(scope, port, name="uwsgi"):
    """As OpenStack's services are deployed: the client's connection ends with each answer."""
    application = scope.write("application.py", APPLICATION)
    ini = scope.write(f"{name}.ini", f"""[uwsgi]
plugins=python3
master=true
lazy-apps=true
enable-threads=true
processes=2
buffer-size=65535
http-socket=127.0.0.1:{port}
die-on-term=true
add-header=Connection: close
http-chunked-input=true
wsgi-file={application}
""")
    program = shutil.which("uwsgi-core") or shutil.which("uwsgi")
    process = scope.start([program, "--ini", ini], name=name)
    wait_until(lambda: scope.http(port, "/v3").status == 200 or not process.alive(),
               what="uwsgi")
    assert process.alive(), process.log()
    return process


@test
def uwsgi_takes_large_uploads(scope):
    front, back = scope.free_ports(2)
    start_uwsgi(scope, back)
    Nines(scope, defaults(scope) + f"listen api\n bind 127.0.0.1:{front}\n option forwardfor\n"
                                   f" option httpchk GET /healthcheck\n"
                                   f" server a 127.0.0.1:{back} check inter 500\n", port=front)
    expected = random_file(scope.path("large"), LARGE)
    for chunked in (False, True):
        connection = http.client.HTTPConnection("127.0.0.1", front, timeout=60)
        with open(scope.path("large"), "rb") as file:
            if chunked:
                pieces = iter(lambda: file.read(100_001), b"")
                connection.request("PUT", "/v2/images/1/file?a=b%20c", body=pieces,
                                   headers={"X-Auth-Token": "t"}, encode_chunked=True)
            else:
                connection.request("PUT", "/v2/images/1/file?a=b%20c", body=file,
                                   headers={"Content-Length": str(LARGE), "X-Auth-Token": "t"})
            answer = connection.getresponse()
        told = json.loads(answer.read())
        assert answer.status == 200
        assert told["size"] == LARGE and told["sha256"] == expected, told
        assert told["method"] == "PUT" and told["token"] == "t", told
        assert told["forwarded"] == "127.0.0.1", told
        assert told["path"] == "/v2/images/1/file" and told["query"] == "a=b%20c", told
        connection.close()


@test
def uwsgi_closes_its_side_and_clients_keep_theirs(scope):
    front, *backs = scope.free_ports(3)
    servers = [start_uwsgi(scope, back, name=f"uwsgi-{back}") for back in backs]
    lines = "\n".join(f" server s{back} 127.0.0.1:{back} check inter 300 rise 2 fall 2"
                      for back in backs)
    balancer = Nines(scope, defaults(scope) + f"listen api\n bind 127.0.0.1:{front}\n"
                                              f" option httpchk\n{lines}\n", port=front)
    connection = http.client.HTTPConnection("127.0.0.1", front, timeout=10)
    connection.request("GET", "/")
    held = connection.sock
    seen = set()
    for turn in range(20):
        if turn:
            connection.request("GET", "/")
        answer = connection.getresponse()
        assert answer.status == 300
        assert answer.getheader("Connection") != "close", answer.getheaders()
        seen.add(json.loads(answer.read())["pid"])
        assert connection.sock is held, "the connection was not kept"
    assert len(seen) >= 2, seen
    connection.close()
    with Load(front, keep_alive=2, close=2, path="/v3") as load:
        load.wait_for(50)
        servers[0].signal_group(signal.SIGKILL)
        wait_until(lambda: server_column(balancer.socket, "api", f"s{backs[0]}",
                                         "status").startswith("DOWN"))
        load.wait_for(50)
    load.check(at_least=100)


# ---- MariaDB -----------------------------------------------------------------------------------

class Database:
    """One mariadbd with its own files, as the user mysql."""

    def __init__(self, scope):
        if os.geteuid() != 0:
            raise Skip("a database under its own user needs root's rights")
        self.scope = scope
        self.port = scope.free_port()
        self.folder = scope.path("mariadb")
        os.mkdir(self.folder)
        shutil.chown(self.folder, "mysql", "mysql")
        self.socket = f"{self.folder}/socket"
        scope.run(["mariadb-install-db", "--no-defaults", "--user=mysql",
                   f"--datadir={self.folder}/data", "--auth-root-authentication-method=normal",
                   "--skip-test-db", "--innodb-log-file-size=8M"], timeout=120)
        self.start()
        self.as_root("CREATE USER haproxy@127.0.0.1; CREATE DATABASE cloud;"
                     "CREATE USER nova@127.0.0.1 IDENTIFIED BY 'secret';"
                     "GRANT ALL ON cloud.* TO nova@127.0.0.1;")

    def start(self):
        self.process = self.scope.start(
            ["/usr/sbin/mariadbd", "--no-defaults", "--user=mysql",
             f"--datadir={self.folder}/data", f"--socket={self.socket}",
             f"--pid-file={self.folder}/pid", f"--tmpdir={self.folder}", f"--port={self.port}",
             "--bind-address=127.0.0.1", "--skip-name-resolve", "--innodb-buffer-pool-size=16M",
             "--innodb-log-file-size=8M"], name="mariadbd")
        self.scope.wait_for_port(self.port, timeout=60)

    def as_root(self, statements):
        return self.scope.run(["mariadb", "--no-defaults", f"--socket={self.socket}", "--user=root",
                               "-N", "-e", statements]).stdout

    def query(self, port, statement, check=True):
        """As a service would, through the balancer."""
        return self.scope.run(["mariadb", "--no-defaults", "--host=127.0.0.1", f"--port={port}",
                               "--user=nova", "--password=secret", "--connect-timeout=5", "-N",
                               "-e", statement, "cloud"], check=check)


@test
def mariadb_is_checked_and_served(scope):
    database = Database(scope)
    user_form, bare_form = scope.free_ports(2)
    balancer = Nines(scope, defaults(scope) + f"""
listen with_user
  bind 127.0.0.1:{user_form}
  mode tcp
  option mysql-check user haproxy post-41
  server a 127.0.0.1:{database.port} check inter 300 rise 2 fall 2
listen bare
  bind 127.0.0.1:{bare_form}
  mode tcp
  option mysql-check
  server a 127.0.0.1:{database.port} check inter 300 rise 2 fall 2
""", port=user_form)

    def status(proxy):
        return server_column(balancer.socket, proxy, "a", "status")

    def both(word):
        return all(status(proxy).startswith(word) for proxy in ("with_user", "bare"))
    database.query(user_form, "CREATE TABLE t (id INT PRIMARY KEY, v LONGTEXT)")
    database.query(bare_form, "INSERT INTO t VALUES (1, REPEAT('x', 5000000))")
    assert database.query(user_form, "SELECT LENGTH(v) FROM t").stdout.strip() == "5000000"
    assert len(database.query(bare_form, "SELECT v FROM t").stdout.strip()) == 5000000
    # Many checks, each ended politely: nothing is held against the balancer's host.
    time.sleep(1.5)
    assert both("UP"), (status("with_user"), status("bare"))
    assert database.as_root(
        "SHOW GLOBAL STATUS LIKE 'Access_denied_errors'").split()[1] == "0"

    database.process.signal_group(signal.SIGKILL)
    database.process.wait()
    wait_until(lambda: both("DOWN"))
    failed = database.query(user_form, "SELECT 1", check=False)
    assert failed.returncode != 0
    database.start()
    wait_until(lambda: both("UP"))
    assert database.query(user_form, "SELECT COUNT(*) FROM t").stdout.strip() == "1"

    # The check logs in: without its user the server is down, whatever its port says.
    database.as_root("DROP USER haproxy@127.0.0.1")
    wait_until(lambda: status("with_user").startswith("DOWN"))
    assert status("bare").startswith("UP")
    database.as_root("CREATE USER haproxy@127.0.0.1")
    wait_until(lambda: both("UP"))


@test
def a_stopped_mariadb_is_found_out(scope):
    database = Database(scope)
    front = scope.free_port()
    balancer = Nines(scope, defaults(scope) + f"""
listen db
  bind 127.0.0.1:{front}
  mode tcp
  timeout check 500ms
  option mysql-check user haproxy post-41
  server a 127.0.0.1:{database.port} check inter 300 rise 2 fall 2
""", port=front)
    # Its kernel accepts on, so that only an answer proves that it lives.
    database.process.signal(signal.SIGSTOP)
    wait_until(lambda: server_column(balancer.socket, "db", "a", "status").startswith("DOWN"))
    database.process.signal(signal.SIGCONT)
    wait_until(lambda: server_column(balancer.socket, "db", "a", "status").startswith("UP"))
    assert database.query(front, "SELECT 1").stdout.strip() == "1"


# ---- WebSocket ---------------------------------------------------------------------------------

def receive_exactly(connection, size):
    received = bytearray()
    while len(received) < size:
        part = connection.recv(min(1 << 16, size - len(received)))
        if not part:
            raise ConnectionError("ended in the middle of a frame")
        received += part
    return bytes(received)


def masked(data, key):
    """RFC 6455, section 5.3, on whole words."""
    size = len(data)
    mask = (key * (size // 4 + 1))[:size]
    return (int.from_bytes(data, "big") ^ int.from_bytes(mask, "big")).to_bytes(size, "big")


def send_frame(connection, opcode, payload, mask):
    head = bytes([0x80 | opcode])
    flag = 0x80 if mask else 0
    if len(payload) < 126:
        head += bytes([flag | len(payload)])
    elif len(payload) < 1 << 16:
        head += bytes([flag | 126]) + struct.pack(">H", len(payload))
    else:
        head += bytes([flag | 127]) + struct.pack(">Q", len(payload))
    if mask:
        key = os.urandom(4)
        head += key
        payload = masked(payload, key)
    connection.sendall(head + payload)


def receive_frame(connection):
    first, second = receive_exactly(connection, 2)
    size = second & 0x7F
    if size == 126:
        size = struct.unpack(">H", receive_exactly(connection, 2))[0]
    elif size == 127:
        size = struct.unpack(">Q", receive_exactly(connection, 8))[0]
    key = receive_exactly(connection, 4) if second & 0x80 else None
    payload = receive_exactly(connection, size)
    return first & 0x0F, masked(payload, key) if key else payload


def accept_key(key):
    return base64.b64encode(hashlib.sha1((key + WEBSOCKET_GUID).encode()).digest()).decode()


def start_websocket_echo(scope):
    """A WebSocket server as noVNC's: it greets at once, then echoes; its port."""
    listener = socket.create_server(("127.0.0.1", 0))
    scope.on_end(listener.close)

    def serve(connection):
        with connection:
            request = b""
            while b"\r\n\r\n" not in request:
                part = connection.recv(4096)
                if not part:
                    return
                request += part
            fields = dict(line.split(": ", 1) for line in request.decode().split("\r\n")[1:]
                          if ": " in line)
            fields = {name.lower(): value for name, value in fields.items()}
            if fields.get("upgrade", "").lower() != "websocket":
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nnovnc")
                return
            answer = ("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                      "Connection: Upgrade\r\nSec-WebSocket-Protocol: binary\r\n"
                      f"Sec-WebSocket-Accept: {accept_key(fields['sec-websocket-key'])}\r\n\r\n")
            greeting = b"RFB 003.008\n"
            connection.sendall(answer.encode() + bytes([0x82, len(greeting)]) + greeting)
            while True:
                opcode, payload = receive_frame(connection)
                send_frame(connection, opcode, payload, mask=False)
                if opcode == 8:
                    return

    def serve_safely(connection):
        try:
            serve(connection)
        except OSError:
            pass

    def accept():
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=serve_safely, args=(connection,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    return listener.getsockname()[1]


def open_websocket(port):
    connection = socket.create_connection(("127.0.0.1", port), timeout=20)
    key = base64.b64encode(os.urandom(16)).decode()
    connection.sendall((f"GET /websockify?token=1 HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
                        "Upgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n"
                        "Origin: http://127.0.0.1\r\nSec-WebSocket-Protocol: binary\r\n"
                        f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n").encode())
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += receive_exactly(connection, 1)
    lines = head.decode().split("\r\n")
    assert lines[0].startswith("HTTP/1.1 101"), lines
    fields = {line.split(": ", 1)[0].lower(): line.split(": ", 1)[1] for line in lines[1:] if line}
    assert fields["sec-websocket-accept"] == accept_key(key), fields
    assert fields["upgrade"].lower() == "websocket", fields
    assert "upgrade" in fields["connection"].lower(), fields
    opcode, greeting = receive_frame(connection)
    assert opcode == 2 and greeting == b"RFB 003.008\n", (opcode, greeting)
    return connection


def console_proxy(scope, front, back):
    return defaults(scope).replace("timeout client 20s", "timeout client 1s").replace(
        "timeout server 20s", "timeout server 1s") + f"""
listen nova_novncproxy
  bind 127.0.0.1:{front}
  option forwardfor
  timeout tunnel 1h
  balance source
  server node01 127.0.0.1:{back} check inter 500
"""


@test
def a_console_works_through_a_websocket(scope):
    front, back = scope.free_port(), start_websocket_echo(scope)
    Nines(scope, console_proxy(scope, front, back), port=front)
    assert scope.http(front, "/vnc.html").body == b"novnc"
    connection = open_websocket(front)
    payload = os.urandom(10 << 20)
    sender = threading.Thread(target=send_frame, args=(connection, 2, payload, True))
    sender.start()
    opcode, echoed = receive_frame(connection)
    sender.join()
    assert opcode == 2 and echoed == payload
    # Silent for longer than "timeout client" and "timeout server": the tunnel's own holds.
    time.sleep(1.6)
    send_frame(connection, 1, b"key press", mask=True)
    assert receive_frame(connection) == (1, b"key press")
    send_frame(connection, 8, struct.pack(">H", 1000), mask=True)
    assert receive_frame(connection)[0] == 8
    assert connection.recv(1) == b""


@test
def a_console_outlives_reloads(scope):
    front, back = scope.free_port(), start_websocket_echo(scope)
    text = console_proxy(scope, front, back)
    balancer = Nines(scope, text, port=front)
    connection = open_websocket(front)
    for turn in range(3):
        balancer.reload(text + f"  server node0{turn + 2} 127.0.0.1:{back} backup\n")
        message = f"turn {turn}".encode()
        send_frame(connection, 1, message, mask=True)
        assert receive_frame(connection) == (1, message)
    connection.close()


if __name__ == "__main__":
    main()
