"""The table of traffic_test.py: what is configured, what the servers answer, what the client does.

A client's script and a server's are lists of steps; bytes are sent as they are. A server's steps
are found by the target of the request, or by (server, target); it reads the request's body first
unless BODY or Take is among them. What is expected is what HAProxy does; `differ` names the parts in which
Nines differs on purpose, with the reason (docs/user/differences-from-haproxy.md)."""

from dataclasses import dataclass, field
from typing import Any, Callable

# ---- Steps ------------------------------------------------------------------------------------

BODY = "read the request's body now"
CLOSE = "close the connection"
SHUT = "send FIN, go on reading"
RESET = "close with a reset"
HOLD = "read until the peer ends"
REST = "read until the peer ends, and note it"
END = "read until the peer ends, and note how"
GONE = "read until the peer is gone, one way or the other"
OPEN = "connect, send nothing"


@dataclass(frozen=True)
class Answer:
    """The client reads one response. head_only: it answers HEAD."""
    head_only: bool = False
    body: bool = True   # compare the body to the letter


@dataclass(frozen=True)
class Take:
    """Reads so many bytes."""
    size: int


@dataclass(frozen=True)
class Client:
    """The next steps are this client's: a connection of its own."""
    number: int


@dataclass(frozen=True)
class Wait:
    what: str
    condition: Callable[[Any], bool]


def served(count):
    return Wait(f"{count} requests at the servers", lambda side: side.requests_seen() >= count)


def logged(count):
    return Wait(f"{count} log lines", lambda side: len(side.collect_log()) >= count)


def queued(count):
    return Wait(f"{count} in the queue",
                lambda side: int(side.statistics()["app/BACKEND"]["qcur"]) == count)


def mark(name):
    """Tells the other side's scripts that this point was reached."""
    return Wait(f"mark {name}", lambda side: side.marks.add(name) is None)


def marked(name):
    return Wait(f"reaching {name}", lambda side: name in side.marks)


# ---- Messages ---------------------------------------------------------------------------------

def response(body=b"hello", status="200 OK", fields=b"", version="1.1"):
    return (f"HTTP/{version} {status}\r\n".encode() + fields +
            b"Content-Length: %d\r\n\r\n" % len(body) + body)


def request(target="/", method="GET", fields="", body=b"", version="1.1"):
    if body:
        fields += f"Content-Length: {len(body)}\r\n"
    return f"{method} {target} HTTP/{version}\r\nHost: x\r\n{fields}\r\n".encode() + body


OK = response()
LAST = "Connection: close\r\n"
KEY = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
ACCEPT = b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
UPGRADE = request(fields="Connection: Upgrade\r\nUpgrade: websocket\r\n" + KEY)
GET = request(fields=LAST)  # alone on its connection


@dataclass
class Case:
    name: str
    client: list
    answers: dict = field(default_factory=dict)
    raw: list | None = None      # steps of a server that is no HTTP server, on each connection
    log_option: str = "option httplog"
    defaults: str = ""
    front: str = ""
    back: str = ""
    servers: str = "server a 127.0.0.1:{a}"
    more: str = ""               # further sections
    to: str = "port"
    which_server: bool = False   # compare which server got a request
    differ: dict = field(default_factory=dict)

    @property
    def http(self):
        return "mode tcp" not in self.defaults


# Why Nines differs.
EARLY = "the server has decided: the session ends with its answer"
HOP = "fields for one hop end here"
STRICT = "every tolerance is a way to smuggle a request"
CODING = "RFC 9112, section 6.1: 501"
REPLAY = "what is idempotent and unanswered goes out again"
ORDER = "the same shares in another order"
GONE_CLIENT = "no work for a client that has gone"
SLOW_CLIENT = "it is the client that is late, and it is told so in its own time"
DEFERRED = "the kernel hands over connections with their first bytes; this one had none"
STATUS_401 = "the status that was sent"
PAGE = "the page's length is known beforehand"


def differ(why, *parts):
    return {part: why for part in parts}


# What differs when a request that HAProxy lets through is refused.
REFUSED = ("client", "server", "log", "stats hrsp_2xx", "stats hrsp_4xx", "stats lbtot",
           "stats req_tot", "stats stot", "stats ereq")
TCP = dict(log_option="option tcplog", defaults="mode tcp")
TWO = "server a 127.0.0.1:{a}\nserver b 127.0.0.1:{b}"

CASES = [
    # ---- Answers of every shape
    Case("get", [GET, Answer(), END]),
    Case("keep_alive", [request("/1"), Answer(), request("/2"), Answer(), CLOSE]),
    Case("http10", [request(version="1.0"), Answer(), END]),
    Case("http10_keep_alive",
         [request(version="1.0", fields="Connection: keep-alive\r\n"), Answer(),
          request(version="1.0"), Answer(), END]),
    Case("head", [request("/1", "HEAD"), Answer(head_only=True), GET, Answer(), END],
         {"/1": [b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"]}),
    Case("no_content", [request("/204"), Answer(), request(fields=LAST), Answer(), END],
         {"/204": [b"HTTP/1.1 204 No Content\r\nX: 1\r\n\r\n"]}),
    Case("not_modified", [request("/304"), Answer(), request(fields=LAST), Answer(), END],
         {"/304": [b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\nETag: \"x\"\r\n\r\n"]}),
    Case("not_modified_with_a_body", [request("/304"), Answer(), GET, Answer(), END],
         {"/304": [b"HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\n\r\nhello", CLOSE]}),
    Case("chunked_answer", [GET, Answer(), END],
         {"/": [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                b"5\r\nhello\r\n", b"6;x=y\r\n world\r\n", b"0\r\n\r\n"]}),
    Case("chunked_answer_with_trailer", [GET, Answer(), END],
         {"/": [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                b"5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n"]}),
    Case("chunked_answer_to_http10", [request(version="1.0"), Answer(), END],
         {"/": [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                b"5\r\nhello\r\n0\r\n\r\n"]},
         differ={"client": "an old client knows no chunks"}),
    Case("answer_until_close", [request(), Answer(), END],
         {"/": [b"HTTP/1.1 200 OK\r\nX: y\r\n\r\nhello", CLOSE]}),
    Case("answer_of_http10", [request(), Answer(), END],
         {"/": [b"HTTP/1.0 200 OK\r\nX: y\r\n\r\nhello", CLOSE]},
         differ={"client": "answers have our own version"}),
    Case("answer_of_http10_with_length", [request("/1"), Answer(), GET, Answer(), END],
         {"/1": [response(version="1.0"), CLOSE]},
         differ={"client": "answers have our own version"}),
    Case("answer_then_close", [request("/1"), Answer(), GET, Answer(), END],
         {"/1": [response(fields=b"Connection: close\r\n"), CLOSE]}),
    Case("answer_in_pieces", [GET, Answer(), END],
         {"/": [b"HT", b"TP/1.1 200", b" OK\r\nContent-", b"Length: 5\r", b"\n\r", b"\nhel",
                b"lo"]}),
    Case("answer_with_garbage_behind", [request("/1"), Answer(), GET, Answer(), END],
         {"/1": [OK + b"garbage", CLOSE]}),
    Case("interim_answer", [GET, Answer(), Answer(), END],
         {"/": [b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + OK]}),
    Case("interim_answer_to_http10", [request(version="1.0"), Answer(), END],
         {"/": [b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + OK]},
         differ={"client": "an old client knows no interim answers"}),
    Case("large_answer", [GET, Answer(), END], {"/": [response(b"x" * 3_000_000)]}),
    Case("status_of_each_class", [request("/2"), Answer(), request("/3"), Answer(),
                                  request("/4"), Answer(), request("/5", fields=LAST), Answer(),
                                  END],
         {"/2": [response(status="201 Created")],
          "/3": [response(status="302 Found", fields=b"Location: /\r\n")],
          "/4": [response(status="404 Not Found")],
          "/5": [response(status="503 Service Unavailable")]}),

    # ---- Requests of every shape
    Case("post", [request(method="POST", body=b"data", fields=LAST), Answer(), END]),
    Case("post_in_pieces", [b"POST / HTTP/1.1\r\nHo", b"st: x\r\nContent-Length: 8\r\n",
                            b"Connection: close\r\n\r\nda", b"ta", b"data", Answer(), END]),
    Case("large_post", [request(method="POST", body=b"x" * 2_000_000, fields=LAST), Answer(), END]),
    Case("chunked_post", [b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
                          b"Connection: close\r\n\r\n4\r\ndata\r\n", b"3;a=b\r\nabc\r\n",
                          b"0\r\n\r\n", Answer(), END]),
    Case("put_then_get", [request("/1", method="PUT", body=b"data"), Answer(), GET, Answer(), END]),
    Case("pipelined", [request("/1") + request("/2") + request("/3", fields=LAST),
                       Answer(), Answer(), Answer(), END],
         {"/1": [response(b"one")], "/2": [response(b"two")], "/3": [response(b"three")]}),
    Case("pipelined_posts", [request("/1", "POST", body=b"a") + request("/2", "POST", body=b"bb") +
                             request("/3", fields=LAST), Answer(), Answer(), Answer(), END]),
    Case("leading_empty_lines", [b"\r\n\r\n" + GET, Answer(), END]),
    Case("expect_continue", [request(method="POST", fields="Content-Length: 4\r\n"
                                     "Expect: 100-continue\r\n" + LAST), Answer(), b"data",
                             Answer(), END],
         {"/": [b"HTTP/1.1 100 Continue\r\n\r\n", BODY, OK]}),
    Case("expect_refused", [request(method="POST", fields="Content-Length: 4\r\n"
                                    "Expect: 100-continue\r\n" + LAST), Answer(), CLOSE],
         {"/": [response(b"no", "417 Expectation Failed", b"Connection: close\r\n"), BODY]},
         differ={"log": EARLY, "stats cli_abrt": EARLY}),
    Case("early_answer_to_a_post", [request(method="POST", fields="Content-Length: 8\r\n"),
                                    Answer(), CLOSE],
         {"/": [response(b"no", "413 Too Large", b"Connection: close\r\n"), BODY]},
         differ=differ(EARLY, "client", "log", "stats cli_abrt")),
    Case("options_star", [request("*", "OPTIONS", LAST), Answer(), END], {"*": [OK]}),
    Case("absolute_target", [b"GET http://x/y HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
                             Answer(), END], {"/y": [OK], "http://x/y": [OK]}),
    Case("unknown_method", [request(method="PURGE", fields=LAST), Answer(), END]),
    Case("hop_by_hop", [request(fields="Keep-Alive: 3\r\nProxy-Connection: x\r\nX-Mine: 1\r\n"
                                "Connection: close, X-Mine\r\nTE: trailers\r\n"), Answer(), END],
         {"/": [response(fields=b"Keep-Alive: timeout=5\r\nConnection: keep-alive, X-It\r\n"
                         b"X-It: 1\r\n")]},
         differ={"client": HOP, "server": HOP}),
    Case("quotes_in_the_request_line", [request("/a\"b", fields=LAST), Answer(), END]),
    Case("long_request_line", [request("/" + "x" * 1500, fields=LAST), Answer(), END]),

    # ---- Bad requests and bad answers
    Case("bad_request", [b"GET / HTTP/1.1 x\r\nHost: x\r\n\r\n", Answer(), END]),
    Case("bad_request_line", [b"\x01\x02\x03\r\n\r\n", Answer(), END]),
    Case("no_host", [b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n", Answer(), END],
         differ=differ(STRICT, *REFUSED)),
    Case("two_lengths", [b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n"
                         b"Content-Length: 2\r\n\r\nab", Answer(), END]),
    Case("bad_chunk", [b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
                       Answer(), END], {"/": [BODY, OK]}),
    Case("bad_chunk_later", [b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n",
                             served(1), b"zz\r\n", Answer(), END], {"/": [BODY, OK]}),
    Case("head_too_large", [b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 20000 + b"\r\n\r\n",
                            Answer(), GONE]),
    Case("bad_answer", [request(), Answer(), CLOSE], {"/": [b"hello\r\n\r\n", CLOSE]}),
    Case("bad_chunk_in_answer", [request(), Take(45), mark("read"), GONE],
         {"/": [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", marked("read"),
                b"zz\r\n", HOLD]}),
    Case("answer_cut", [request(), Answer(), GONE],
         {"/": [b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello", CLOSE]}),
    Case("answer_cut_by_reset", [request(), Take(40), mark("read"), GONE],
         {"/": [b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello", marked("read"), RESET]}),
    Case("answer_head_cut", [request(method="POST", body=b"x", fields=LAST), Answer(), END],
         {"/": [b"HTTP/1.1 200 OK\r\nCont", CLOSE]}),
    Case("no_answer_to_a_post", [request(method="POST", body=b"x"), Answer(), CLOSE],
         {"/": [CLOSE]}),
    Case("reset_instead_of_an_answer", [request("/", "POST", LAST, b"x"), Answer(), END],
         {"/": [RESET]},
         differ={"stats eresp": "one failure counts once"}),

    # ---- No server
    Case("connect_refused", [GET, Answer(), END], defaults="retries 0",
         servers="server a 127.0.0.1:{refused}"),
    Case("connect_refused_retried", [GET, Answer(), END],
         defaults="retries 1\ntimeout connect 100ms", servers="server a 127.0.0.1:{refused}"),
    Case("connect_refused_keep_alive", [request("/1"), Answer(), request("/2"), Answer(), CLOSE],
         defaults="retries 0", servers="server a 127.0.0.1:{refused}"),
    Case("no_server_in_service", [GET, Answer(), END],
         servers="server a 127.0.0.1:{a} disabled"),
    Case("no_servers_at_all", [GET, Answer(), END], servers=""),
    Case("redispatch", [GET, Answer(), END], back="option redispatch 1\nbalance first",
         defaults="timeout connect 100ms", which_server=True,
         servers="server z 127.0.0.1:{refused}\nserver b 127.0.0.1:{b}"),
    Case("backup", [GET, Answer(), END], which_server=True,
         servers="server a 127.0.0.1:{a} disabled\nserver b 127.0.0.1:{b} backup"),

    # ---- Balancing
    Case("round_robin", [request("/1"), Answer(), request("/2"), Answer(), request("/3"), Answer(),
                         CLOSE], servers=TWO, which_server=True,
         back="balance roundrobin\noption http-server-close"),
    Case("queue", [request("/slow", fields=LAST), served(1), Client(2), GET, queued(1),
                   mark("go"), Answer(), END, Client(0), Answer(), END],
         {"/slow": [marked("go"), OK]}, servers="server a 127.0.0.1:{a} maxconn 1"),
    Case("queue_timeout", [request("/slow", fields=LAST), served(1), Client(2), GET, Answer(), END,
                           mark("go"), Client(0), Answer(), END],
         {"/slow": [marked("go"), OK]}, servers="server a 127.0.0.1:{a} maxconn 1",
         back="timeout queue 200ms"),
    Case("client_gone_from_queue", [request("/slow", fields=LAST), served(1), Client(2), GET,
                                    queued(1), RESET, logged(1), mark("go"), Client(0), Answer(),
                                    END],
         {"/slow": [marked("go"), OK]}, servers="server a 127.0.0.1:{a} maxconn 1",
         back="timeout queue 400ms",
         differ=differ(GONE_CLIENT, "log", "stats econ", "stats hrsp_5xx", "stats hrsp_other")),
    Case("source_stays", [GET, Answer(), END, Client(1), GET, Answer(), END, Client(2), GET,
                          Answer(), END], servers="server a 127.0.0.1:{a}", which_server=True,
         back="balance source"),

    # ---- Time
    Case("slow_request", [b"GET / HTTP/1.1\r\n", Answer(), END],
         front="timeout http-request 200ms"),
    Case("silent_client", [OPEN, Answer(), END], front="timeout http-request 200ms"),
    Case("silent_client_not_logged", [OPEN, Answer(), END],
         front="timeout http-request 200ms\noption dontlognull"),
    Case("silent_client_by_client_timeout", [OPEN, Answer(), END], front="timeout client 200ms"),
    Case("idle_keep_alive_ends", [request(), Answer(), END],
         front="timeout http-keep-alive 200ms"),
    Case("idle_keep_alive_ends_by_client_timeout", [request(), Answer(), END],
         front="timeout client 200ms"),
    Case("slow_second_request", [request(), Answer(), b"GET /", Answer(), END],
         front="timeout http-request 200ms"),
    Case("slow_body", [request(method="POST", fields="Content-Length: 8\r\n"), b"data",
                       Answer(), END],
         {"/": [Take(4), HOLD]}, front="timeout client 200ms", back="timeout server 400ms",
         differ=differ(SLOW_CLIENT, "client", "log", "stats cli_abrt", "stats eresp",
                       "stats hrsp_4xx", "stats hrsp_5xx")),
    Case("slow_server", [GET, Answer(), END], {"/": [HOLD]}, back="timeout server 200ms"),
    Case("slow_answer", [request(), Answer(), GONE],
         {"/": [b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello", HOLD]},
         back="timeout server 200ms"),
    Case("slow_reader", [request(), served(1), logged(1), CLOSE],
         {"/": [response(b"x" * 30_000_000)]}, front="timeout client 200ms"),

    # ---- Clients that leave
    Case("client_leaves_at_once", [OPEN, CLOSE]),
    Case("client_leaves_at_once_not_logged", [OPEN, CLOSE], front="option dontlognull"),
    Case("client_resets_at_once", [OPEN, RESET],
         differ=differ(DEFERRED, "log", "stats conn_tot", "stats ereq", "stats hrsp_4xx",
                       "stats req_tot", "stats stot")),
    Case("client_leaves_in_the_head", [b"GET / HT", CLOSE]),
    Case("client_leaves_between_requests", [request(), Answer(), CLOSE]),
    Case("client_leaves_in_the_second_head", [request(), Answer(), b"GET /", CLOSE]),
    Case("client_leaves_in_the_body",
         [request(method="POST", fields="Content-Length: 8\r\n"), b"data", served(2), CLOSE],
         {"/": [Take(4), HOLD]}),
    Case("client_resets_in_the_body",
         [request(method="POST", fields="Content-Length: 8\r\n"), b"data", served(2), RESET],
         {"/": [Take(4), HOLD]}),
    Case("client_resets_while_waiting", [request(), served(1), RESET], {"/": [HOLD]},
         back="timeout server 400ms",
         differ=differ(GONE_CLIENT, "log", "stats eresp", "stats hrsp_5xx", "stats hrsp_other")),
    Case("client_half_closes_and_gets_its_answer", [request(), served(1), SHUT, mark("shut"),
                                                    Answer(), END], {"/": [marked("shut"), OK]}),
    Case("client_half_closes_at_once", [GET, SHUT, Answer(), END]),
    Case("client_resets_in_the_answer", [request(), Take(45), RESET, mark("gone")],
         {"/": [b"HTTP/1.1 200 OK\r\nContent-Length: 10000000\r\n\r\nhello", marked("gone"),
                b"x" * 3000000, HOLD]}),

    # ---- Tunnels
    Case("websocket", [UPGRADE, Answer(),
                       b"ping", Take(4), CLOSE],
         {"/": [b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n"
                b"Upgrade: websocket\r\n" + ACCEPT + b"\r\n", Take(4), b"pong", REST]}),
    Case("websocket_ended_by_the_server",
         [UPGRADE, Answer(), Take(4), END],
         {"/": [b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n"
                b"Upgrade: websocket\r\n" + ACCEPT + b"\r\nbye!", CLOSE]}),
    Case("websocket_silent", [UPGRADE,
                              Answer(), END],
         {"/": [b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n"
                b"Upgrade: websocket\r\n" + ACCEPT + b"\r\n", HOLD]}, back="timeout tunnel 200ms"),
    Case("upgrade_refused", [UPGRADE,
                             Answer(), GET, Answer(), END],
         {"/": [response(b"no", "200 OK")]}),
    Case("connect", [b"CONNECT x:1 HTTP/1.1\r\nHost: x:1\r\n\r\n", Answer(head_only=True), b"ping",
                     Take(4), CLOSE],
         {"x:1": [b"HTTP/1.1 200 OK\r\n\r\n", Take(4), b"pong", REST]}),

    # ---- Options
    Case("server_close", [request("/1"), Answer(), request("/2"), Answer(), CLOSE],
         front="option http-server-close"),
    Case("close", [request("/1"), Answer(), END], front="option httpclose"),
    Case("close_of_the_backend", [request("/1"), Answer(), CLOSE], back="option httpclose"),
    Case("forward_for", [GET, Answer(), END], front="option forwardfor"),
    Case("forward_for_appends", [request(fields="X-Forwarded-For: 10.0.0.1\r\n" + LAST), Answer(),
                                 END], front="option forwardfor"),
    Case("forward_for_if_none", [request(fields="X-Forwarded-For: 10.0.0.1\r\n" + LAST), Answer(),
                                 END], front="option forwardfor if-none"),
    Case("forward_for_except", [GET, Answer(), END],
         front="option forwardfor except 127.0.0.0/8"),
    Case("forward_for_header", [GET, Answer(), END], back="option forwardfor header X-Client"),
    Case("forward_for_both_sides", [GET, Answer(), END],
         front="option forwardfor header X-Front", back="option forwardfor header X-Back"),
    Case("headers_set", [request(fields="X-A: 1\r\nX-A: 2\r\nX-B: 3\r\nX-C: 4\r\n" + LAST),
                         Answer(), END],
         front="http-request set-header X-A new\nhttp-request add-header X-B %[src]\n"
               "http-request del-header X-C\nhttp-request set-header X-D \"a b %f %b\"",
         back="http-request set-header X-Forwarded-Proto https if { ssl_fc }\n"
              "http-request set-header X-Forwarded-Proto http if !{ ssl_fc }\n"
              "http-request add-header X-A back"),
    Case("monitor_uri", [request("/alive"), Answer(), request("/alive", fields=LAST), Answer(),
                         END], front="monitor-uri /alive"),
    Case("stats_refused", [request("/stats"), Answer(body=False), CLOSE],
         front="stats enable\nstats uri /stats\nstats auth me:secret\nstats realm A\\ realm",
         differ={"log": STATUS_401}),
    Case("stats_wrong_password", [request("/stats", fields="Authorization: Basic bWU6bm8=\r\n"),
                                  Answer(), CLOSE],
         front="stats enable\nstats uri /stats\nstats auth me:secret",
         differ={"log": STATUS_401}),
    Case("stats_shown", [request("/stats;csv", fields="Authorization: Basic bWU6c2VjcmV0\r\n" +
                                 LAST), Answer(body=False), END],
         front="stats enable\nstats uri /stats\nstats auth me:secret",
         differ={"client": PAGE}),
    Case("stats_html", [request("/stats", fields=LAST), Answer(body=False), END],
         front="stats enable\nstats uri /stats\nstats refresh 10s",
         differ={"client": PAGE}),
    Case("dontlog_normal", [request("/1"), Answer(), request("/2", fields=LAST), Answer(), END],
         {"/2": [response(status="500 Oops")]}, front="option dontlog-normal"),
    Case("dontlog_normal_but_redispatched", [GET, Answer(), END], front="option dontlog-normal",
         back="option redispatch 1\nbalance first", defaults="timeout connect 100ms",
         servers="server z 127.0.0.1:{refused}\nserver b 127.0.0.1:{b}"),
    Case("tcp_dontlog_normal", [b"ping", Take(4), CLOSE], raw=[Take(4), b"pong", REST],
         front="option dontlog-normal", **TCP),
    Case("tcp_dontlog_normal_but_redispatched", [b"ping", Take(4), CLOSE],
         raw=[Take(4), b"pong", REST], front="option dontlog-normal", log_option="option tcplog",
         defaults="mode tcp\ntimeout connect 100ms", back="option redispatch 1\nbalance first",
         servers="server z 127.0.0.1:{refused}\nserver b 127.0.0.1:{b}"),
    Case("default_log", [GET, Answer(), END], log_option=""),
    Case("tcplog_of_http", [GET, Answer(), END], log_option="option tcplog"),
    Case("use_backend", [GET, Answer(), END], front="use_backend other if !{ ssl_fc }",
         more="backend other\nserver c 127.0.0.1:{c}", which_server=True),
    Case("listen", [GET, Answer(), END], to="port2", which_server=True,
         more="listen both\nbind 127.0.0.1:{port2}\nserver c 127.0.0.1:{c}"),

    # ---- TCP
    Case("tcp", [b"ping", Take(4), CLOSE], raw=[Take(4), b"pong", REST], **TCP),
    Case("tcp_server_first", [Take(5), b"ping", SHUT, END], raw=[b"hello", Take(4), REST], **TCP),
    Case("tcp_server_ends", [b"ping", END], raw=[Take(4), b"pong", CLOSE], **TCP),
    Case("tcp_half_close", [b"ping", SHUT, END], raw=[REST, b"pong", CLOSE], **TCP),
    Case("tcp_refused", [END], log_option="option tcplog", defaults="mode tcp\nretries 0",
         servers="server a 127.0.0.1:{refused}"),
    Case("tcp_no_server", [END], servers="server a 127.0.0.1:{a} disabled", **TCP),
    Case("tcp_client_resets", [b"ping", Take(4), RESET], raw=[Take(4), b"pong", HOLD], **TCP),
    Case("tcp_server_resets", [b"ping", Take(4), mark("read"), GONE],
         raw=[Take(4), b"pong", marked("read"), RESET], **TCP),
    Case("tcp_silent_client", [b"ping", Take(4), END], raw=[Take(4), b"pong", HOLD],
         front="timeout client 200ms", **TCP),
    Case("tcp_silent_server", [b"ping", Take(4), END], raw=[Take(4), b"pong", HOLD],
         back="timeout server 200ms", **TCP),
    Case("tcp_tunnel_timeout", [b"ping", Take(4), END], raw=[Take(4), b"pong", HOLD],
         back="timeout tunnel 200ms", **TCP),
    Case("tcp_default_log", [b"ping", Take(4), CLOSE], raw=[Take(4), b"pong", REST],
         log_option="", defaults="mode tcp"),
    Case("tcp_says_nothing", [Take(2), CLOSE], raw=[b"hi", REST], **TCP),
    Case("tcp_says_nothing_not_logged", [Take(2), CLOSE], raw=[b"hi", REST],
         front="option dontlognull", **TCP),
    Case("tcp_queue", [b"one!", served(1), Client(2), b"two!", queued(1), Client(0), CLOSE,
                       Client(2), served(3), CLOSE], raw=[Take(4), REST],
         servers="server a 127.0.0.1:{a} maxconn 1", **TCP),
    Case("tcp_queue_timeout", [b"one!", served(1), Client(2), END, Client(0), CLOSE],
         raw=[Take(4), REST], back="timeout queue 200ms",
         servers="server a 127.0.0.1:{a} maxconn 1", **TCP),
    Case("tcp_redispatch", [b"ping", Take(4), CLOSE], raw=[Take(4), b"pong", REST],
         log_option="option tcplog", defaults="mode tcp\ntimeout connect 100ms",
         back="option redispatch 1\nbalance first", which_server=True,
         servers="server z 127.0.0.1:{refused}\nserver b 127.0.0.1:{b}"),
    Case("tcp_large", [b"x" * 1_000_000, SHUT, END], raw=[REST, b"y" * 1_000_000, CLOSE], **TCP),

    # ---- More of requests and answers, at the edges
    Case("no_answer_to_a_get", [GET, Answer(), END], {"/": [CLOSE]},
         defaults="timeout connect 100ms\nretries 1",
         differ=differ(REPLAY, "server", "log", "stats wretr", "stats stot")),
    Case("no_answer_to_a_get_with_another_server", [GET, Answer(), END],
         {("a", "/"): [CLOSE], ("b", "/"): [OK]}, servers=TWO, which_server=True,
         back="option redispatch\nbalance first",
         differ=differ(REPLAY, "client", "server", "log", "stats eresp", "stats hrsp_2xx",
                       "stats hrsp_5xx", "stats lbtot", "stats wredis", "stats req_tot",
                       "stats stot")),
    Case("post_after_get_on_a_kept_connection",
         [request("/1"), Answer(), request("/2", "POST", LAST, b"x"), Answer(), END]),
    Case("refused_head", [request(method="HEAD", fields=LAST), Answer(head_only=True), END],
         defaults="retries 0", servers="server a 127.0.0.1:{refused}"),
    Case("refused_post", [request(method="POST", body=b"data", fields=LAST), Answer(), END],
         defaults="retries 0", servers="server a 127.0.0.1:{refused}"),
    Case("post_of_nothing", [request(method="POST", fields="Content-Length: 0\r\n" + LAST),
                             Answer(), END]),
    Case("answer_head_too_large", [GET, Answer(), END],
         {"/": [b"HTTP/1.1 200 OK\r\nX: " + b"y" * 20000 + b"\r\n\r\n", HOLD]}),
    Case("large_head", [request(fields=f"X: {'y' * 8000}\r\n" + LAST), Answer(), END],
         {"/": [response(fields=b"Y: " + b"z" * 8000 + b"\r\n")]}),
    Case("many_fields", [request(fields="X: y\r\n" * 90 + LAST), Answer(), END]),
    Case("too_many_fields", [request(fields="X: y\r\n" * 110 + LAST), Answer(), END]),
    Case("length_and_chunks", [b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n"
                               b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", Answer(), END],
         differ=differ(STRICT, *REFUSED)),
    Case("unknown_coding", [b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n"
                            b"Connection: close\r\n\r\n0\r\n\r\n", Answer(), END],
         differ=differ(CODING, "client", "log", "stats hrsp_4xx", "stats hrsp_5xx")),
    Case("old_version", [b"GET /\r\n\r\n", Answer(), END]),
    Case("new_version", [b"GET / HTTP/2.0\r\nHost: x\r\n\r\n", Answer(), CLOSE],
         differ=differ(STRICT, *REFUSED)),
    Case("lines_without_cr", [b"GET / HTTP/1.1\nHost: x\nConnection: close\n\n", Answer(), END],
         differ=differ(STRICT, *REFUSED)),
    Case("folded_field", [request(fields="X: a\r\n b\r\n" + LAST), Answer(), END],
         differ=differ(STRICT, *REFUSED)),
    Case("space_before_colon", [request(fields="X : a\r\n"), Answer(), END]),
    Case("two_hosts", [b"GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\nConnection: close\r\n\r\n",
                       Answer(), END]),
    Case("signed_length", [request(method="POST", fields="Content-Length: +4\r\n"), Answer(), END]),
    Case("nul_in_a_field", [b"GET / HTTP/1.1\r\nHost: x\r\nX: a\0b\r\n\r\n", Answer(), CLOSE],
         differ=differ(STRICT, *REFUSED)),
    Case("connect_refused_by_the_server", [b"CONNECT x:1 HTTP/1.1\r\nHost: x:1\r\n\r\n", Answer(),
                                           GET, Answer(), END],
         {"x:1": [response(b"no", "403 Forbidden")]}),
    Case("expect_answered_at_once", [request(method="POST", fields="Content-Length: 4\r\n"
                                             "Expect: 100-continue\r\n" + LAST), b"data",
                                     Answer(), END]),
    Case("trailer_in_a_request", [b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
                                  b"Connection: close\r\n\r\n1\r\na\r\n0\r\nX-T: 1\r\n\r\n",
                                  Answer(), END]),
    Case("pipelined_behind_chunks", [b"POST /1 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked"
                                     b"\r\n\r\n1\r\na\r\n0\r\n\r\n" + GET, Answer(), Answer(),
                                     END]),
    Case("pipelined_behind_a_large_answer", [request("/1") + GET, Answer(), Answer(), END],
         {"/1": [response(b"x" * 1_000_000)]}),
    Case("pipelined_behind_a_page", [request("/alive") * 3 + GET, Answer(), Answer(), Answer(),
                                     Answer(), END], front="monitor-uri /alive"),
    Case("monitor_head", [request("/alive", "HEAD", LAST), Answer(head_only=True), END],
         front="monitor-uri /alive"),
    Case("half_close_behind_pipelined_requests",
         [request("/1") + request("/2"), Answer(), served(2), SHUT, mark("shut"), Answer(), END],
         {"/2": [marked("shut"), OK]}),
    Case("half_close_in_a_large_post", [request("/", "POST", LAST, b"x" * 300_000), SHUT,
                                        Answer(), END]),
    Case("half_close_before_a_large_answer", [request(), SHUT, Answer(), END],
         {"/": [response(b"x" * 2_000_000)]}),
    Case("http10_with_close_option", [request(version="1.0", fields="Connection: keep-alive\r\n"),
                                      Answer(), END], front="option httpclose"),
    Case("http10_server_close", [request("/1", version="1.0", fields="Connection: keep-alive\r\n"),
                                 Answer(), request("/2", version="1.0"), Answer(), END],
         back="option http-server-close"),
    Case("weights", [step for i in range(6) for step in (request(f"/{i}"), Answer())] +
         [CLOSE], servers="server a 127.0.0.1:{a} weight 2\nserver b 127.0.0.1:{b} weight 1",
         which_server=True, back="balance roundrobin\noption http-server-close",
         differ=differ(ORDER, "server", "log")),
    Case("frontend_maxconn", [request("/1"), Answer(), Client(2), GET, Client(0), CLOSE, Client(2),
                              Answer(), END], front="maxconn 1"),
    Case("two_servers_and_a_queue",
         [request("/slow1", fields=LAST), served(1), Client(2), request("/slow2", fields=LAST),
          served(2), Client(3), GET, queued(1), mark("1"), Answer(), END, Client(0), Answer(),
          END, Client(2), mark("2"), Answer(), END],
         {"/slow1": [marked("1"), OK], "/slow2": [marked("2"), OK]},
         servers="server a 127.0.0.1:{a} maxconn 1\nserver b 127.0.0.1:{b} maxconn 1"),
    Case("kept_connection_and_a_queue",
         [request("/1"), Answer(), request("/slow"), served(2), Client(2), GET, queued(1),
          mark("go"), Answer(), END, Client(0), Answer(), CLOSE],
         {"/slow": [marked("go"), OK]}, servers="server a 127.0.0.1:{a} maxconn 1"),
    Case("tcp_client_fin_timeout", [b"ping", SHUT, END], raw=[REST, HOLD],
         front="timeout client-fin 200ms", **TCP),
    Case("tcp_server_fin_timeout", [END], raw=[SHUT, HOLD], back="timeout server-fin 200ms",
         **TCP),
    Case("tcp_http_answer_from_the_server", [GET, Answer(), CLOSE], raw=[Take(4), OK, REST],
         **TCP),
]
