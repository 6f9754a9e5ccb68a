"""Streams that go on in TLS in mid-stream: `start_tls`, on both sides."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import pytest

from reactor import Reactor, ReactorError
from reactor.stream import Stream
from reactor.testing import VirtualReactor, make_reactor, memory_socketpair
from tests.support.certificates import CLIENT, HOST, SERVERS, client_session
from tests.support.streams import Recorder, tcp_pair, wait_for


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


def test_both_sides_upgrade_and_bytes_beyond_the_upgrade_point_are_tls(
    reactor: Reactor, version: str
) -> None:
    def server_line(line: bytes) -> None:
        lines.append(line)
        serving.write(b"+go ahead\n")
        serving.start_tls(SERVERS[version], server_side=True)
        serving.write(b"secret from the server")

    def client_line(line: bytes) -> None:
        lines.append(line)
        asking.start_tls(CLIENT, server_side=False, server_hostname=HOST)
        asking.write(b"secret from the client")

    lines: list[bytes] = []
    client = Recorder(open=lambda s: s.read_until(b"\n", client_line))
    server = Recorder(open=lambda s: s.read_until(b"\n", server_line))
    one, other = tcp_pair()
    asking, serving = Stream(reactor, one, client), Stream(reactor, other, server)
    asking.write(b"starttls\n")
    wait_for(reactor, lambda: client.data and server.data)
    assert [b"starttls\n", b"+go ahead\n"] == lines
    assert (b"secret from the server", b"secret from the client") == (
        bytes(client.data),
        bytes(server.data),
    )
    assert ["open", "secure", "data"] == client.events == server.events


@pytest.mark.parametrize("taken_by", ["read_until", "on_data"])
def test_a_client_hello_that_came_along_with_the_request_is_used(
    virtual: VirtualReactor, taken_by: str
) -> None:
    def upgrade(received: bytes) -> None:
        surplus = received.partition(b"\n")[2]
        server.then.clear()
        stream.start_tls(SERVERS["TLSv1.3"], server_side=True, received=surplus)

    ours, theirs = memory_socketpair(virtual.demultiplexer)
    server = Recorder()
    stream = Stream(virtual, ours, server)
    if taken_by == "read_until":
        server.then["open"] = lambda s: s.read_until(b"\n", upgrade)
    else:
        server.then["data"] = lambda s: upgrade(bytes(server.data))
    peer = client_session()
    peer.handshake()
    theirs.send(b"starttls\n" + peer.output())
    virtual.settle()
    peer.feed(theirs.recv(65536))
    assert peer.handshake()
    peer.write(b"secret")
    theirs.send(peer.output())
    virtual.settle()
    assert "secure" in server.events
    assert bytes(server.data).endswith(b"secret")


def test_an_upgrade_is_refused_where_it_makes_no_sense(virtual: VirtualReactor) -> None:
    ours, _theirs = memory_socketpair(virtual.demultiplexer)
    stream = Stream(virtual, ours, Recorder())
    upgrade = partial(stream.start_tls, SERVERS["TLSv1.3"], server_side=True)
    with pytest.raises(ReactorError, match="opening"):
        upgrade()
    virtual.settle()
    upgrade()
    with pytest.raises(ReactorError, match="TLS"):
        upgrade()
    stream.abort()
    with pytest.raises(ReactorError, match="closed"):
        upgrade()
