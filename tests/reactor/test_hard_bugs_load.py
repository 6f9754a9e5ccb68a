"""The hard bugs of reactors that need load to show themselves: many peers, much data, full queues.

Each by its number in docs/special-problems.md; see `test_hard_bugs_core.py` and
`test_hard_bugs_io.py` for the others.
"""

from __future__ import annotations

import itertools
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reactor import CloseKind, Listener, Reactor, Stream, StreamHandler, listen
from reactor.budgets import ACCEPT_BUDGET, READ_BUDGET, READ_SIZE, WRITE_BUDGET
from reactor.errors import LimitError
from reactor.events import READ
from reactor.tls import TlsSession
from tests.support.certificates import client_session, server_context
from tests.support.fake_sockets import Bottomless
from tests.support.streams import PATIENCE, Recorder, wait_for

ROOT = Path(__file__).resolve().parents[2]

Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def pair() -> Iterator[Pair]:
    """Two connected sockets: ours, for a stream, and the peer's, which never waits long."""
    ours, peer = socket.socketpair()
    peer.settimeout(PATIENCE)
    yield ours, peer
    ours.close()
    peer.close()


# --- 7: out of descriptors -----------------------------------------------------------------------

#: Two guests wait in the backlog of a process that can open nothing any more. One peer came before.
FULL_HOUSE = """
import json, os, resource, socket, sys
import logging
from reactor import Reactor, StreamHandler, listen

class Echo(StreamHandler):
    def on_data(self, stream, data):
        stream.write(data)

log = logging.getLogger("reactor")
log.propagate = False
lines = []
log.addHandler(type("Lines", (logging.Handler,), {"emit": lambda _, line: lines.append(line)})())

soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (64, hard))
with Reactor(backend=sys.argv[1]) as reactor:
    listener = listen(reactor, ("127.0.0.1", 0), Echo)
    early = socket.create_connection(listener.addresses[0], 20)
    assert reactor.run_until(lambda: listener.stats().accepted == 1, 20)
    late = [socket.create_connection(listener.addresses[0], 20) for _ in range(2)]
    fillers = []
    try:
        while True:
            fillers.append(os.dup(0))
    except OSError:
        pass
    early.send(b"still there?")
    early.setblocking(False)
    heard = []
    def hear():
        try:
            heard.append(early.recv(100).decode())
        except BlockingIOError:
            pass
        return heard
    served = reactor.run_until(hear, 20)
    quiet = [reactor.run_once(0) for _ in range(50)]
    shed, accepted = listener.stats().shed, listener.stats().accepted
    for filler in fillers:
        os.close(filler)
    again = socket.create_connection(listener.addresses[0], 20)
    recovered = reactor.run_until(lambda: listener.stats().accepted == accepted + 1, 20)
    print(json.dumps(dict(served=served, heard=heard, calls=sum(quiet), shed=shed,
                          recovered=recovered, lines=len(lines))))
    for sock in [early, again, *late]:
        sock.close()
"""


def test_07_a_process_without_descriptors_neither_spins_nor_forgets_whom_it_serves(
    backend: str,
) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", FULL_HOUSE, backend],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stderr == ""
    result = json.loads(done.stdout)
    assert result["served"]
    assert result["heard"] == ["still there?"]
    assert result["calls"] <= 2, "the loop must sleep while nobody new can be served"
    assert result["shed"] == 2, "those who wait are told, by being turned away"
    assert result["lines"] == 1, "one line for the incident, not one for each peer"
    assert result["recovered"]


# --- 8: fairness ---------------------------------------------------------------------------------


class Flooded(StreamHandler):
    """Its peer has always more to say: whatever is read is filled up again, from within `on_data`.

    It counts what is delivered in each turn.
    """

    def __init__(self, peer: socket.socket) -> None:
        self._peer = peer
        self.delivered = 0
        peer.setblocking(False)
        self.fill()

    def fill(self) -> None:
        try:
            while self._peer.send(bytes(READ_SIZE)):
                pass
        except BlockingIOError:
            pass

    def on_data(self, stream: Stream, data: bytes) -> None:
        self.delivered += len(data)
        self.fill()


def test_08_a_peer_that_floods_us_does_not_keep_a_quiet_one_waiting(
    reactor: Reactor, pair: Pair
) -> None:
    loud, its_peer = socket.socketpair()
    for end in (loud, its_peer):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2 * READ_BUDGET)
    flooded, quiet = Flooded(its_peer), Recorder()
    Stream(reactor, loud, flooded)
    Stream(reactor, pair[0], quiet)
    reactor.run_once(0)
    for number in range(1, 11):
        before = flooded.delivered
        pair[1].send(b"x")
        reactor.run_once(0)
        assert len(quiet.data) == number, "heard in the same turn"
        assert READ_SIZE <= flooded.delivered - before < READ_BUDGET + READ_SIZE
    its_peer.close()


def test_08_a_peer_that_takes_everything_does_not_keep_the_loop_to_itself(
    reactor: Reactor, pair: Pair
) -> None:
    sock = Bottomless(pair[0])
    stream = Stream(reactor, sock, Recorder(), high_water=8 * WRITE_BUDGET)
    reactor.run_once(0)
    block = bytes(WRITE_BUDGET // 4)
    # From within a turn: what is written between turns is flushed before the next one's wait.
    reactor.call_soon(stream.writelines, [block] * 12)
    taken: list[int] = []
    while not taken or stream.pending:
        before = sock.taken
        reactor.run_once(PATIENCE)
        taken.append(sock.taken - before)
    assert taken == [WRITE_BUDGET] * 3


# --- 30: bursts of connections -------------------------------------------------------------------


def test_30_a_burst_of_connections_is_accepted_in_growing_steps_up_to_a_bound(
    reactor: Reactor,
) -> None:
    guests: list[socket.socket] = []
    listener = Listener(reactor, ("127.0.0.1", 0), lambda sock, _: guests.append(sock), backlog=256)
    clients = [socket.create_connection(listener.addresses[0], PATIENCE) for _ in range(200)]
    accepted = []
    while len(guests) < len(clients):
        before = len(guests)
        reactor.run_once(PATIENCE)
        accepted.append(len(guests) - before)
    low, high = ACCEPT_BUDGET
    assert (low, high) == (1, 2)
    assert accepted == [1, *[2] * 99, 1]
    for _ in range(10):
        clients.append(socket.create_connection(listener.addresses[0], PATIENCE))
        reactor.run_once(PATIENCE)
    assert listener.stats().budget <= 2, "a quiet door costs one accept at a time again"
    for sock in guests + clients:
        sock.close()


def test_30_while_a_burst_is_accepted_those_inside_are_served(reactor: Reactor, pair: Pair) -> None:
    inside = Recorder()
    Stream(reactor, pair[0], inside)
    listener = listen(reactor, ("127.0.0.1", 0), Recorder, backlog=256)
    clients = [socket.create_connection(listener.addresses[0], PATIENCE) for _ in range(100)]
    reactor.run_once(0)
    for number in range(1, 6):
        pair[1].send(b"x")
        reactor.run_once(0)
        assert len(inside.data) == number
    wait_for(reactor, lambda: listener.stats().accepted == len(clients))
    for sock in clients:
        sock.close()


# --- 31: bytes inside the TLS layer --------------------------------------------------------------


class Sipping(Recorder):
    """Stops reading after every piece, and goes on in the next turn."""

    def __init__(self, reactor: Reactor) -> None:
        super().__init__()
        self.reactor = reactor

    def on_data(self, stream: Stream, data: bytes) -> None:
        super().on_data(stream, data)
        stream.pause_reading()
        self.reactor.call_soon(stream.resume_reading)


def test_31_plaintext_that_waits_inside_tls_is_delivered_though_the_socket_is_silent(
    reactor: Reactor, pair: Pair
) -> None:
    """One read of the socket brings forty records; no event will tell of the last thirty-nine."""
    ours, peer = pair
    handler = Recorder()
    stream = Stream(reactor, ours, handler, tls=TlsSession(server_context(), server_side=True))
    client = client_session()
    peer.setblocking(False)
    while not (client.handshake() and handler.events):
        peer.sendall(client.output())
        reactor.run_once(0)
        try:
            client.feed(peer.recv(READ_SIZE))
        except BlockingIOError:
            pass
    records = [bytes([number]) * 1000 for number in range(40)]
    received: list[bytes] = []

    def ask() -> None:
        stream.resume_reading()
        stream.read_exactly(len(records[0]), answer)

    def answer(record: bytes) -> None:
        received.append(record)
        stream.pause_reading()  # what follows is not wanted before the next question
        reactor.call_soon(ask)

    reactor.call_soon(ask)
    reactor.run_once(0)
    for record in records:
        client.write(record)
    peer.sendall(client.output())
    wait_for(reactor, lambda: len(received) == len(records))
    assert received == records
    stream.abort()
    reactor.run_once(0)


def test_31_an_end_that_waits_behind_such_plaintext_comes_after_it(
    reactor: Reactor, pair: Pair
) -> None:
    ours, peer = pair
    answers, questions = Sipping(reactor), Recorder()
    server = Stream(reactor, ours, answers, tls=TlsSession(server_context(), server_side=True))
    session = client_session()
    client = Stream(reactor, peer, questions, tls=session)
    wait_for(reactor, lambda: questions.events)
    client.write(bytes(3 * READ_SIZE))
    client.write_eof()
    wait_for(reactor, lambda: "eof" in answers.events)
    assert len(answers.data) == 3 * READ_SIZE
    server.close()
    wait_for(reactor, lambda: answers.closed)
    assert answers.kind is CloseKind.EOF


# --- 32: back pressure ---------------------------------------------------------------------------


class Relay(Recorder):
    """Passes on what it reads, and reads no more while its way out is full."""

    def __init__(self) -> None:
        super().__init__()
        self.out: Stream
        self.highest = 0

    def on_data(self, stream: Stream, data: bytes) -> None:
        self.out.write(data)
        self.highest = max(self.highest, self.out.pending)

    def on_eof(self, stream: Stream) -> None:
        self.out.close()


class Outlet(Recorder):
    """The relay's way out, which tells its way in when to pause and when to go on."""

    def __init__(self) -> None:
        super().__init__()
        self.source: Stream

    def on_pause(self, stream: Stream) -> None:
        super().on_pause(stream)
        self.source.pause_reading()

    def on_resume(self, stream: Stream) -> None:
        super().on_resume(stream)
        self.source.resume_reading()


#: `backend` is the name of a backend, the same for all examples of one test.
RELAYS = settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@RELAYS
@given(
    high=st.integers(1, 100_000),
    low_part=st.floats(0, 0.99),
    gulps=st.lists(st.integers(1, 60_000), min_size=1, max_size=5),
    writes=st.lists(st.integers(1, 90_000), min_size=1, max_size=12),
)
def test_32_a_relay_between_two_speeds_neither_stops_nor_hoards_nor_loses(
    backend: str, high: int, low_part: float, gulps: list[int], writes: list[int]
) -> None:
    source, relay_in = socket.socketpair()
    relay_out, sink = socket.socketpair()
    with sink, Reactor(backend=backend) as reactor:
        relay, outlet = Relay(), Outlet()
        outlet.source = Stream(reactor, relay_in, relay)
        relay.out = Stream(
            reactor, relay_out, outlet, high_water=high, low_water=int(high * low_part)
        )
        feeder = Stream(reactor, source, Recorder())
        sent = b"".join(bytes([number]) * size for number, size in enumerate(writes))
        for number, size in enumerate(writes):
            feeder.write(bytes([number]) * size)
        feeder.close()
        received = bytearray()
        sizes = itertools.cycle(gulps)

        def drink(_ready: int) -> None:
            gulp = sink.recv(next(sizes))
            received.extend(gulp)
            if not gulp:
                drain.close()

        drain = reactor.register(sink, READ, drink)
        wait_for(reactor, lambda: drain.closed)
        assert received == sent
        # A pause is told in the next turn; until it acts, that turn's read may come on top.
        assert relay.highest <= high + 2 * READ_BUDGET
        pressure = [word for word in outlet.events if word in ("pause", "resume")]
        assert pressure == ["pause", "resume"] * (len(pressure) // 2) + ["pause"] * (
            len(pressure) % 2
        )


def test_32_small_writes_around_the_high_mark_do_not_make_the_producer_stop_and_go(
    reactor: Reactor, pair: Pair
) -> None:
    ours, peer = pair
    for end in pair:
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)
    handler = Recorder()
    stream = Stream(reactor, ours, handler, high_water=50_000, low_water=10_000)
    reactor.run_once(0)
    stream.write(bytes(100_000))
    wait_for(reactor, lambda: "pause" in handler.events)
    while stream.pending > 10_000:
        assert handler.events == ["open", "pause"], "told once, whatever happens between the marks"
        if stream.pending < 50_000:
            stream.write(b"x")
        peer.recv(4_000)
        reactor.run_once(0)
    wait_for(reactor, lambda: "resume" in handler.events)
    assert handler.events == ["open", "pause", "resume"]
    stream.abort()


def test_32_marks_without_a_gap_between_them_are_refused(reactor: Reactor, pair: Pair) -> None:
    with pytest.raises(LimitError, match="gap"):
        Stream(reactor, pair[0], Recorder(), high_water=1000, low_water=1000)
