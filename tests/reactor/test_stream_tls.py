"""TLS worn by a stream, over every demultiplexer: from the start, and in mid-stream."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from contextlib import suppress

import pytest

from reactor import CloseKind, Reactor
from reactor.stream import Stream
from reactor.testing import MemorySocket, VirtualReactor, make_reactor, memory_socketpair
from reactor.tls import TlsSession
from tests.support.certificates import CLIENT, HOST, SERVERS, client_context, client_session
from tests.support.streams import Recorder, tcp_pair, unix_pair, wait_for


@pytest.fixture(params=list(SERVERS))
def version(request: pytest.FixtureRequest) -> str:
    """A version of the protocol."""
    name: str = request.param
    return name


@pytest.fixture
def reactor(backend: str) -> Iterator[Reactor]:
    """A real reactor, in which no handler may raise."""
    errors: list[object] = []
    with Reactor(backend=backend) as reactor:
        reactor.on_error = errors.append
        yield reactor
    assert [] == errors


@pytest.fixture
def virtual() -> Iterator[VirtualReactor]:
    """A reactor in virtual time."""
    reactor = make_reactor()
    with reactor:
        yield reactor


class Reluctant:
    """An `ssl.SSLObject` that fails to write as long as it has an error to raise."""

    def __init__(self, real: ssl.SSLObject, error: ssl.SSLError | None) -> None:
        self.real = real
        self.error = error

    def write(self, data: bytes) -> int:
        if self.error is not None:
            raise self.error
        return self.real.write(data)

    def __getattr__(self, name: str) -> object:
        return getattr(self.real, name)


# --- worn by a stream ---------------------------------------------------------------------------


def tls_pair(
    reactor: Reactor,
    client: Recorder,
    server: Recorder,
    version: str = "TLSv1.3",
    sockets: tuple[socket.socket, socket.socket] | None = None,
) -> tuple[Stream, Stream]:
    """Return two streams that speak TLS to one another."""
    one, other = sockets or tcp_pair()
    session = TlsSession(SERVERS[version], server_side=True)
    return (
        Stream(reactor, one, client, tls=client_session()),
        Stream(reactor, other, server, tls=session),
    )


def shaken_hands(
    virtual: VirtualReactor, version: str
) -> tuple[TlsSession, Recorder, MemorySocket]:
    """Return a client by hand, the server stream's handler, and the client's socket."""
    ours, theirs = memory_socketpair(virtual.demultiplexer)
    server = Recorder()
    tls = TlsSession(SERVERS[version], server_side=True)
    server.stream = Stream(virtual, ours, server, tls=tls)
    peer = client_session()
    while not (peer.handshake() and tls.secure):
        if ciphertext := peer.output():
            theirs.send(ciphertext)
        virtual.settle()
        with suppress(BlockingIOError):
            peer.feed(theirs.recv(65536))
    with suppress(BlockingIOError):
        peer.feed(theirs.recv(65536))  # session tickets
    return peer, server, theirs


def test_client_and_server_talk_and_part_with_close_notify(reactor: Reactor, version: str) -> None:
    client = Recorder(open=lambda s: s.write(b"question"), data=lambda s: s.close())
    server = Recorder(data=lambda s: s.write(b"answer"))
    streams = tls_pair(reactor, client, server, version)
    wait_for(reactor, lambda: client.closed and server.closed)
    assert (["open", "data", "close"], b"answer") == (client.events, bytes(client.data))
    assert (["open", "data", "eof", "close"], b"question") == (server.events, bytes(server.data))
    assert (CloseKind.LOCAL, CloseKind.EOF) == (client.kind, server.kind)
    assert [version] * 2 == [stream.stats().tls for stream in streams]


@pytest.mark.parametrize("buffer_size", [None, 1])
def test_a_bulk_transfer_both_ways_arrives_whole(
    reactor: Reactor, version: str, buffer_size: int | None
) -> None:
    def start(stream: Stream) -> None:
        for at in range(0, len(bulk), 33_333):
            stream.write(bulk[at : at + 33_333])

    bulk = bytes(range(256)) * 2000
    client, server = Recorder(open=start), Recorder(open=start)
    streams = tls_pair(reactor, client, server, version, unix_pair(buffer_size))
    wait_for(reactor, lambda: len(client.data) == len(server.data) == len(bulk))
    assert bulk == bytes(client.data) == bytes(server.data)
    assert [0, 0] == [stream.pending for stream in streams]


def test_written_before_the_handshake_it_is_sent_after_it_even_if_closed(
    reactor: Reactor, version: str
) -> None:
    client, server = Recorder(), Recorder()
    stream, _ = tls_pair(reactor, client, server, version)
    stream.write(b"eager")
    stream.close()
    wait_for(reactor, lambda: client.closed and server.closed)
    assert (["close"], CloseKind.LOCAL) == (client.events, client.kind)
    assert (b"eager", CloseKind.EOF) == (bytes(server.data), server.kind)


def test_plaintext_inside_the_session_is_delivered_when_the_descriptor_is_silent(
    reactor: Reactor, version: str
) -> None:
    # Everything arrives in one read; the handler pauses after each piece, and no event comes again.
    client, server = Recorder(), Recorder()
    sender, receiver = tls_pair(reactor, client, server, version, unix_pair())
    wait_for(reactor, lambda: client.events and server.events)

    def pause_a_little(stream: Stream) -> None:
        stream.pause_reading()
        reactor.call_soon(stream.resume_reading)

    got: list[bytes] = []

    def one_byte(data: bytes) -> None:
        got.append(data)
        if len(got) < 100:
            receiver.read_exactly(1, one_byte)
            pause_a_little(receiver)

    receiver.read_exactly(1, one_byte)
    sender.write(b"y" * 100)
    wait_for(reactor, lambda: len(got) == 100)
    server.then["data"] = pause_a_little
    sender.write(b"z" * 200_000)
    wait_for(reactor, lambda: len(server.data) == 200_000)


def test_half_close_by_close_notify_leaves_the_other_direction(
    reactor: Reactor, version: str
) -> None:
    client = Recorder()
    server = Recorder(eof=lambda s: s.write(b"late answer" * 5000))
    asking, answering = tls_pair(reactor, client, server, version)
    asking.write(b"question")
    asking.write_eof()
    wait_for(reactor, lambda: len(client.data) == 55_000)
    assert ["open", "data", "eof"] == server.events
    assert not asking.closed
    answering.write_eof()
    wait_for(reactor, lambda: client.closed and server.closed)
    assert (CloseKind.EOF, CloseKind.EOF) == (client.kind, server.kind)


def test_a_half_close_while_reading_is_paused_loses_nothing(reactor: Reactor, version: str) -> None:
    client, server = Recorder(), Recorder()
    one, other = tls_pair(reactor, client, server, version, unix_pair())
    wait_for(reactor, lambda: client.events and server.events)
    server.then["data"] = lambda s: s.pause_reading()
    one.write(b"x" * 150_000)
    wait_for(reactor, lambda: server.data)
    other.write_eof()
    wait_for(reactor, lambda: client.closed)
    assert len(server.data) < 150_000
    server.then.clear()
    other.resume_reading()
    wait_for(reactor, lambda: server.closed)
    assert 150_000 == len(server.data)


def test_truncation_is_noticed_and_what_arrived_is_delivered(
    reactor: Reactor, version: str
) -> None:
    client, server = Recorder(), Recorder()
    one, _ = tls_pair(reactor, client, server, version)
    wait_for(reactor, lambda: client.events and server.events)
    one.write(b"all that I got to say")
    reactor.run_once(0)
    one.abort()
    wait_for(reactor, lambda: server.closed)
    assert (b"all that I got to say", CloseKind.TLS) == (bytes(server.data), server.kind)
    assert server.reason is not None and "close_notify" in server.reason.detail
    assert "eof" not in server.events


def test_a_record_that_was_tampered_with_ends_the_stream_after_what_came_before(
    virtual: VirtualReactor, version: str
) -> None:
    peer, server, theirs = shaken_hands(virtual, version)
    peer.write(b"good")
    good = peer.output()
    peer.write(b"bad, soon")
    bad = bytearray(peer.output())
    bad[-1] ^= 1
    theirs.send(good + bytes(bad))
    virtual.settle()
    assert (b"good", CloseKind.TLS) == (bytes(server.data), server.kind)
    assert "bad record mac" in str(server.reason)
    peer.feed(theirs.recv(1000))
    with pytest.raises(ssl.SSLError, match=r"(?i)bad.record.mac"):  # the alert that it was sent
        peer.read()


def test_output_that_must_wait_for_input_is_sent_after_it(virtual: VirtualReactor) -> None:
    # As in a renegotiation, which Python's own ssl cannot be made to begin.
    peer, server, theirs = shaken_hands(virtual, "TLSv1.2")
    stream = server.stream
    assert stream is not None and stream.tls is not None
    reluctant = Reluctant(stream.tls.object, ssl.SSLWantReadError())
    stream.tls.object = reluctant  # type: ignore[assignment]  # it stands in for one
    stream.write(b"patience")
    virtual.settle()
    assert 8 == stream.pending
    reluctant.error = None
    peer.write(b"go on")
    theirs.send(peer.output())
    virtual.settle()
    peer.feed(theirs.recv(1000))
    assert b"patience" == peer.read()


def test_a_failure_to_encrypt_ends_the_stream(virtual: VirtualReactor) -> None:
    _peer, server, _theirs = shaken_hands(virtual, "TLSv1.3")
    stream = server.stream
    assert stream is not None and stream.tls is not None
    error = ssl.SSLError(1, "no more")
    stream.tls.object = Reluctant(stream.tls.object, error)  # type: ignore[assignment]  # as above
    stream.write(b"for nobody")
    virtual.settle()
    assert (CloseKind.TLS, 10) == (server.kind, stream.stats().dropped)
    assert "TLS failed" in str(server.reason) and "no more" in str(server.reason)


def test_a_certificate_that_nobody_vouches_for_ends_both_sides(
    reactor: Reactor, version: str
) -> None:
    one, other = tcp_pair()
    client, server = Recorder(), Recorder()
    session = TlsSession(client_context(trusting=False), server_side=False, server_hostname=HOST)
    Stream(reactor, one, client, tls=session)
    Stream(reactor, other, server, tls=TlsSession(SERVERS[version], server_side=True))
    wait_for(reactor, lambda: client.closed and server.closed)
    assert client.reason is not None and server.reason is not None
    assert CloseKind.TLS == client.kind == server.kind
    assert "certificate verify failed: unable to get local issuer certificate" in str(client.reason)
    # The alert reached it. In TLS 1.3 the server's handshake was over by then.
    assert "tlsv1 alert unknown ca" == server.reason.detail
    assert ["close"] == client.events


def test_a_certificate_for_another_name_is_refused(reactor: Reactor) -> None:
    one, other = tcp_pair()
    client = Recorder()
    session = TlsSession(CLIENT, server_side=False, server_hostname="elsewhere.example")
    Stream(reactor, one, client, tls=session)
    Stream(reactor, other, Recorder(), tls=TlsSession(SERVERS["TLSv1.3"], server_side=True))
    wait_for(reactor, lambda: client.closed)
    assert client.reason is not None and "Hostname mismatch" in client.reason.detail


def test_a_peer_that_does_not_speak_tls_is_told_so(reactor: Reactor) -> None:
    ours, theirs = tcp_pair()
    server = Recorder()
    Stream(reactor, ours, server, tls=TlsSession(SERVERS["TLSv1.3"], server_side=True))
    with theirs:
        theirs.send(b"GET / HTTP/1.1\r\n\r\n")
        wait_for(reactor, lambda: server.closed)
    assert server.reason is not None
    assert (CloseKind.TLS, "http request") == (server.kind, server.reason.detail)
    assert ["close"] == server.events


def test_a_handshake_that_takes_too_long_is_given_up(virtual: VirtualReactor) -> None:
    ours, _theirs = memory_socketpair(virtual.demultiplexer)
    server = Recorder()
    session = TlsSession(SERVERS["TLSv1.3"], server_side=True, handshake_timeout=3)
    Stream(virtual, ours, server, tls=session)
    virtual.run_for(2.9)
    assert not server.closed
    virtual.run_for(0.2)
    assert CloseKind.TIMEOUT == server.kind
    assert server.reason is not None and "TLS handshake" in server.reason.detail


def test_a_handshake_in_time_is_not_given_up_later(virtual: VirtualReactor) -> None:
    one, other = memory_socketpair(virtual.demultiplexer)
    client, server = Recorder(), Recorder()
    Stream(virtual, one, client, tls=client_session())
    Stream(virtual, other, server, tls=TlsSession(SERVERS["TLSv1.3"], server_side=True))
    virtual.run_for(100)
    assert (["open"], ["open"]) == (client.events, server.events)


def test_a_peer_that_leaves_during_the_handshake_is_a_tls_failure(reactor: Reactor) -> None:
    ours, theirs = tcp_pair()
    client = Recorder()
    Stream(reactor, ours, client, tls=client_session())
    reactor.run_once(0)
    theirs.close()
    wait_for(reactor, lambda: client.closed)
    assert CloseKind.TLS == client.kind
    assert client.reason is not None and "during the TLS handshake" in client.reason.detail


def test_pausing_does_not_hold_up_the_handshake(reactor: Reactor, version: str) -> None:
    client, server = Recorder(), Recorder()
    one, other = tls_pair(reactor, client, server, version)
    other.pause_reading()
    one.write(b"data")
    wait_for(reactor, lambda: server.events and not one.pending)
    for _ in range(5):
        reactor.run_once(0)
    assert ["open"] == server.events
    other.resume_reading()
    wait_for(reactor, lambda: server.data)
    assert b"data" == bytes(server.data)


@pytest.mark.parametrize("how", ["close", "abort"])
@pytest.mark.parametrize("when", ["open", "data", "eof", "close"])
def test_a_tls_stream_can_be_ended_from_within_every_callback(
    reactor: Reactor, how: str, when: str
) -> None:
    client = Recorder(open=lambda s: s.write(b"hi"), data=lambda s: s.close())
    server = Recorder(data=lambda s: s.write(b"ho"))
    server.then[when] = lambda s: getattr(s, how)()
    tls_pair(reactor, client, server)
    if when in ("eof", "close"):
        server.then.setdefault("data", lambda s: s.write(b"ho"))
    wait_for(reactor, lambda: client.closed and server.closed)
    assert 1 == server.events.count("close")
    if when != "close":
        assert [when, "close"] == server.events[-2:]


# --- against Python's own blocking TLS ----------------------------------------------------------


def test_a_foreign_client_and_its_close_notify_are_understood(
    reactor: Reactor, version: str
) -> None:
    from reactor.threads import ThreadPool

    ours, theirs = tcp_pair()
    theirs.setblocking(True)
    server = Recorder(data=lambda s: s.write(bytes(server.data).upper()))
    Stream(reactor, ours, server, tls=TlsSession(SERVERS[version], server_side=True))

    def talk() -> bytes:
        theirs.settimeout(10)
        with CLIENT.wrap_socket(theirs, server_hostname=HOST) as wrapped:
            wrapped.sendall(b"hello")
            answer = wrapped.recv(100)
            wrapped.unwrap().close()
            return answer

    pool = ThreadPool(reactor, 1)
    answers: list[bytes] = []
    pool.submit(talk, then=lambda future: answers.append(future.result()))
    wait_for(reactor, lambda: server.closed and answers)
    pool.close()
    assert ([b"HELLO"], CloseKind.EOF) == (answers, server.kind)
