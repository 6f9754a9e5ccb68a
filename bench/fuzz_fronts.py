"""What `bench.fuzz` attacks: one `Front` a row, in `FRONTS`.

To add one: a corpus of valid texts, the words that mean something in them, and what to do with an
input. That function raises `BrokenPromiseError`, or anything else, where the front breaks a
promise; what the front is expected to raise it catches. A text that is read whole needs no more
than `raises_only`, as that of a configuration shows.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from random import Random

from bench.fuzz_parts import (
    BrokenPromiseError,
    Ear,
    Front,
    drained,
    lazily,
    raises_only,
    repeat_picks,
    same,
)
from bench.fuzz_websocket import CONVERSATIONS, FRAMES, Upgraded
from broker.codec import CLIENT_DIALECT, Parser
from broker.conf import ConfError, parse
from broker.config import Options, OptionsError
from broker.confread import reading
from broker.errors import ProtocolError
from broker.flow import Delivery, Flow, Pick
from broker.monitorpages import Page
from broker.plane import Link, PythonPlane, Verdict
from broker.server import Server
from broker.visitors import Visitors
from reactor.testing import VirtualReactor, make_reactor, memory_socketpair

#: Small limits, so that inputs of some hundred bytes reach them.
MAX_PAYLOAD = 64
MAX_CONTROL_LINE = 128


# ---------------------------------------------------------------------------------------- protocol

TRANSCRIPTS = (
    b'CONNECT {"verbose":false,"pedantic":false,"headers":true,"no_responders":true}\r\nPING\r\n',
    b"SUB a.* 1\r\nSUB a.b q 2\r\nPUB a.b 5\r\nhello\r\nUNSUB 1 2\r\nPUB a.b r 0\r\n\r\nPING\r\n",
    b"HPUB a.b 18 20\r\nNATS/1.0\r\nA: b\r\n\r\nhi\r\nHPUB a.b r 12 12\r\nNATS/1.0\r\n\r\n\r\n",
    b"sub > 9\r\npub a 1\r\nx\r\nPUB\ta.b\t2\r\nhi\r\nunsub 9\r\nPONG\r\n+OK\r\n-ERR 'no'\r\n",
    b'INFO {"server_id":"x"}\r\nCONNECT {"echo":false}\r\nSUB a 1\r\nPUB a 1\r\nx\r\n',
    b"SUB a..b 4\r\nPUB a _R_.x 1\r\nz\r\nPUB $JS.ACK.1 3\r\nabc\r\nUNSUB 2\r\nPUB a.b 1\r\nx\r\n",
    b"PUB a.b 2\r\nhi\r\n" * 8,
)
VERBS = (
    b"PUB ", b"HPUB ", b"SUB ", b"UNSUB ", b"CONNECT {}", b"INFO ", b"PING\r\n", b"PONG\r\n",
    b"+OK", b"-ERR", b"\r\n", b"\n", b"\r", b" ", b"\t", b"a.b", b"*", b">", b".", b"\0",
    b'{"verbose":true}', b'{"pedantic":true}', b"NATS/1.0\r\n", b"x" * 70, b"y" * 130,
)  # fmt: skip


def operations(pieces: Sequence[bytes]) -> list[object]:
    """Return what the codec makes of a stream. Raises BrokenPromiseError if it hoards bytes."""
    parser = Parser(CLIENT_DIALECT, max_payload=MAX_PAYLOAD, max_control_line=MAX_CONTROL_LINE)
    parser.headers = True
    made: list[object] = []
    try:
        for piece in pieces:
            parser.feed(piece)
            while (operation := parser.next()) is not None:
                made.append(operation)
            if parser.held > MAX_CONTROL_LINE + MAX_PAYLOAD:
                raise BrokenPromiseError(f"the parser holds {parser.held} bytes")
    except ProtocolError as error:
        made.append(error.error)
    return made


def forwarded(pieces: Sequence[bytes]) -> list[object]:
    """Return what the data plane decides on a stream, and what it sends to whom."""
    plane = PythonPlane(
        max_payload=MAX_PAYLOAD, max_control_line=MAX_CONTROL_LINE, rng=Random(1), work_budget=4
    )
    links = [plane.open(number, 0) for number in range(2)]
    for link in links:
        link.configure(zone=0, verbose=False, pedantic=False, headers=True)
    one, other = (Delivery(link, b"%d" % number) for number, link in enumerate(links))
    plane.flows.install(0, Flow(b"a.*", (one, other), (), False))
    plane.flows.install(0, Flow(b"a", (), (Pick.of(b"q", (other,)),), False))
    plane.flows.install(0, Flow(b"ask", (other,), (), True))
    stops: list[object] = []
    for piece in pieces:
        verdict = plane.feed(links[0], piece)
        while verdict not in (Verdict.DRAINED, Verdict.BROKEN):
            if verdict is not Verdict.YIELD:
                stops.append(_stop(plane, links[0], verdict))
            verdict = plane.resume(links[0])
        if verdict is Verdict.BROKEN:
            stops.append(plane.error(links[0]).error)
            break
    counted = plane.stats()
    return [stops, counted, *(b"".join(link.take_output()) for link in links)]


def _stop(plane: PythonPlane, link: Link, verdict: Verdict) -> object:
    return plane.control(link) if verdict is Verdict.CONTROL else plane.parked(link)


class House:
    """A whole broker in virtual time that serves one conversation after another.

    It must be as empty after each as it was before.
    """

    def __init__(self) -> None:
        self._reactor: VirtualReactor = make_reactor()
        limits = Options(max_payload=MAX_PAYLOAD, max_control_line=MAX_CONTROL_LINE, closed_ring=8)
        self._server = Server(self._reactor, limits)
        self._ear = Ear()

    def converse(self, pieces: Sequence[bytes]) -> bytes:
        """Return what a client hears who says this, but for the INFO, which counts clients."""
        with self._ear:
            return self._converse(pieces)

    def _converse(self, pieces: Sequence[bytes]) -> bytes:
        before = self._held()
        repeat_picks(self._server.plane)
        ours, theirs = memory_socketpair(self._reactor.demultiplexer, capacity=1 << 20)
        self._server.admit(ours, ("127.0.0.1", 1))
        self._reactor.settle()
        for piece in pieces:
            try:
                theirs.send(piece)
            except OSError:
                break  # the broker has hung up
            self._reactor.settle()
        heard = drained(theirs)
        theirs.close()
        self._reactor.settle()
        self._ear.check()
        if self._held() != before:
            raise BrokenPromiseError(f"left behind: {before} became {self._held()}")
        if self._reactor.stats().errors:
            raise BrokenPromiseError("an exception reached the reactor")
        lines = heard.split(b"\r\n")
        return b"\r\n".join(line for line in lines if not line.startswith(b"INFO "))

    def _held(self) -> tuple[int, ...]:
        self._server.complaints.settle()  # what it still has to log is no client's
        held, served = self._reactor.stats(), self._server.stats()
        return held.handles, held.timers, served.connections, served.subscriptions


# -------------------------------------------------------------------------------------------- http

REQUESTS = (
    b"GET /varz HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /connz?subs=1&limit=5&state=all HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    b"POST /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhelloGET / HTTP/1.0\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    b"HEAD /varz HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nX: y\r\n\r\n",
)
HEADERS = (
    b"GET ", b"HTTP/1.1", b"HTTP/1.0", b"HTTP/9.9", b"\r\n", b"\r\n\r\n", b"\n", b" ", b"\0",
    b"Host: x\r\n", b"Content-Length: 3\r\n", b"Transfer-Encoding: chunked\r\n", b"?a=%zz&b",
    b"Upgrade: websocket\r\nConnection: Upgrade\r\n", b"//", b"%00", b"X: " + b"y" * 200,
)  # fmt: skip


_DATE = re.compile(rb"Date: [^\r]*\r\n")
_REFUSAL = re.compile(rb"(HTTP/1\.1 [45]\d\d ).*", re.DOTALL)


class Desk:
    """The HTTP front of the monitor, in virtual time."""

    def __init__(self) -> None:
        self._reactor: VirtualReactor = make_reactor()
        self._visitors = Visitors(self._reactor, _echo, lambda: 0.0)

    def converse(self, pieces: Sequence[bytes]) -> bytes:
        """Return what a visitor hears who says this.

        Without the dates, and of a refusal, which is the last answer, only the status: h11 explains
        a line that came whole better than one that came in pieces.
        """
        ours, theirs = memory_socketpair(self._reactor.demultiplexer, capacity=1 << 20)
        stream = self._visitors.admit(ours).stream
        self._reactor.settle()
        for piece in pieces:
            try:
                theirs.send(piece)
            except OSError:
                break
            self._reactor.settle()
        heard = drained(theirs)
        theirs.close()
        self._reactor.settle()
        if not stream.closed or self._reactor.stats().handles or self._reactor.stats().errors:
            raise BrokenPromiseError("a visitor who left is still there, or an exception was met")
        return _REFUSAL.sub(rb"\1", _DATE.sub(b"", heard))


def _echo(target: str) -> Page:
    """The making of pages is not the front, so each is the same."""
    return Page(200, "text/plain", target[:100])


# ------------------------------------------------------------------------------------ configuration

CONFIGURATIONS = (
    b'port: 4222\nhost: "127.0.0.1"\nmax_payload: 1MB\nping_interval: "2m" # a minute\n',
    b'authorization { users = [ {user: a, password: $PASS}, {user: b, pass: "c d"} ] }\n',
    b'accounts { A { users: [{user: a, password: b}], exports: [{stream: "a.>"}] }\n'
    b' B: { imports: [{stream: {account: A, subject: "a.b"}, prefix: p}] } }\n',
    b'PASS = secret\ndefault = {publish: {allow: ["a.*", \'b\'], deny: >}, subscribe: "x q"}\n'
    b"authorization: { user: u, password: $PASS, timeout: 1.5, default_permissions: $default }\n",
    b'mappings = { "a.*": [{destination: "b.{{wildcard(1)}}", weight: 50%}] }\n',
    b'websocket { port: 80, no_tls: true, compression: on, allowed_origins: ["http://a"] }\n',
    b'include "other.conf"; lame_duck_duration: 30s\n// the rest\nserver_name=a-b_c\n',
    b'pid_file: (\n/tmp/x\n)\nlogtime: false\nmax_connections: 0x\nwrite_deadline: "10s"\n',
)
CONFIGURED = (
    b"{", b"}", b"[", b"]", b"(", b")", b",", b":", b"=", b"\"", b"'", b"#", b"//", b"\n", b"\\x",
    b"$PASS", b"$", b"include x", b"true", b"-1", b"1e9", b"10gb", b"\xff", b"\xef\xbb\xbf", b"a.>",
    b"tls {", b"users", b"permissions", b"allow_responses", b"jwt", b"trusted", b"cluster {}",
)  # fmt: skip


def configured(data: bytes) -> object:
    """Read a configuration, up to the options that it makes. Touches no file."""
    root = parse(data.decode("utf-8-sig"), "fuzz.conf", _included, {"PASS": "word"})
    fields = {name: value for name, value in reading(root).fields.items() if value is not None}
    return Options(**fields)


def _included(name: str, including: str) -> str:
    if "other" not in name:
        raise FileNotFoundError(2, "No such file or directory", name)
    return "debug: true"


#: The fronts. A house and a desk serve many inputs, as a broker does; whatever they keep, grows.
FRONTS: dict[str, Front] = {
    "codec": Front(TRANSCRIPTS, VERBS, same(operations)),
    "plane": Front(TRANSCRIPTS, VERBS, same(forwarded)),
    "broker": Front(TRANSCRIPTS, VERBS, same(lazily(House))),
    "http": Front(REQUESTS, HEADERS, same(lazily(Desk))),
    "websocket": Front(CONVERSATIONS, FRAMES, same(lazily(Upgraded))),
    "configuration": Front(
        CONFIGURATIONS,
        CONFIGURED,
        raises_only(configured, ConfError, OptionsError, UnicodeDecodeError),
    ),
}
