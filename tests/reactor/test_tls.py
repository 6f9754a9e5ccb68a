"""TLS sessions alone: bytes in, bytes out, in memory."""

from __future__ import annotations

import ssl

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reactor import CloseKind
from reactor.tls import TlsSession, close_reason
from tests.support.certificates import CLIENT, HOST, SERVERS


@pytest.fixture(params=list(SERVERS))
def version(request: pytest.FixtureRequest) -> str:
    """A version of the protocol."""
    name: str = request.param
    return name


def sessions(version: str = "TLSv1.3") -> tuple[TlsSession, TlsSession]:
    """Return a client and a server that have shaken hands."""
    client = TlsSession(CLIENT, server_side=False, server_hostname=HOST)
    server = TlsSession(SERVERS[version], server_side=True)
    while not (client.handshake() and server.handshake()):
        server.feed(client.output())
        server.handshake()
        client.feed(server.output())
    client.feed(server.output())  # session tickets
    assert b"" == client.read()
    return client, server


@settings(deadline=None, max_examples=30)
@given(
    st.lists(st.integers(1, 40_000), min_size=1, max_size=5),
    st.lists(st.integers(1, 5_000), min_size=1, max_size=5),
    st.integers(16_384, 70_000),
)
def test_plaintext_survives_however_the_ciphertext_was_cut(
    writes: list[int], cuts: list[int], limit: int
) -> None:
    client, server = sessions()
    written, got = bytearray(), bytearray()
    for number, size in enumerate(writes):
        part = bytes([number]) * size
        written += part
        assert size == client.write(part)
    wire, turn = client.output(), 0
    while wire:
        cut = cuts[turn % len(cuts)]
        server.feed(wire[:cut])
        wire, turn = wire[cut:], turn + 1
        while data := server.read(limit):
            assert len(data) <= limit
            got += data
        assert not server.pending
    assert written == got


def test_pending_tells_of_what_was_not_read_out(version: str) -> None:
    client, server = sessions(version)
    client.write(b"x" * 100_000)
    server.feed(client.output())
    assert (20_000, True) == (len(server.read(20_000)), server.pending)
    rest = 0
    while server.pending:
        rest += len(server.read())
    assert 80_000 == rest


def test_ending_keeps_what_arrived_before_and_reading_goes_on(version: str) -> None:
    client, server = sessions(version)
    client.write(b"a" * 40_000)
    server.feed(client.output())
    server.end()
    server.end()
    client.write(b"b" * 10_000)
    server.feed(client.output())
    got = bytearray()
    while data := server.read():
        got += data
    assert b"a" * 40_000 + b"b" * 10_000 == bytes(got)
    client.feed(server.output())
    assert (b"", True, False) == (client.read(), client.ended, server.ended)
    client.end()
    server.feed(client.output())
    assert (b"", True) == (server.read(), server.ended)


def test_what_follows_a_close_notify_is_no_plaintext_and_not_pending(version: str) -> None:
    client, server = sessions(version)
    client.write(b"data")
    client.end()
    server.feed(client.output() + b"junk")
    assert (b"data", False, True) == (server.read(), server.pending, server.ended)


def test_what_came_before_an_error_is_read_before_it(version: str) -> None:
    client, server = sessions(version)
    client.write(b"good")
    good = client.output()
    client.write(b"bad, soon")
    bad = bytearray(client.output())
    bad[-1] ^= 1
    server.feed(good + bytes(bad))
    assert (b"good", True) == (server.read(), server.pending)
    with pytest.raises(ssl.SSLError) as caught:
        server.read()
    reason = close_reason(caught.value)
    assert (CloseKind.TLS, caught.value) == (reason.kind, reason.error)
    assert "decryption failed or bad record mac" == reason.detail


def test_the_version_is_known_after_the_handshake(version: str) -> None:
    assert [version] * 2 == [session.version() for session in sessions(version)]
    assert "" == TlsSession(SERVERS[version], server_side=True).version()


def test_a_client_that_checks_names_needs_one() -> None:
    with pytest.raises(ValueError, match="server_hostname"):
        TlsSession(CLIENT, server_side=False)
