"""Connecting and listening with TLS: the same streams, worn from the first byte."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from reactor import Reactor
from reactor.connector import (
    connect,
)
from reactor.errors import LimitError
from reactor.listener import listen
from tests.support.network import ANY, DEADLINE, Caller, Echo


@pytest.fixture
def reactor(backend: str) -> Iterator[Reactor]:
    with Reactor(backend=backend) as reactor:
        yield reactor


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def contexts(authority: trustme.CA, name: str) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(server)
    client = ssl.create_default_context()
    authority.configure_trust(client)
    return server, client


def test_tls_is_worn_from_the_first_byte(reactor: Reactor, authority: trustme.CA) -> None:
    server_side, client_side = contexts(authority, "127.0.0.1")
    server = listen(reactor, ANY, Echo, tls=server_side)
    caller = Caller()
    connect(reactor, server.addresses[0], caller, tls=client_side)
    assert reactor.run_until(lambda: bool(caller.streams), DEADLINE)
    caller.streams[0].write(b"secret")
    assert reactor.run_until(lambda: caller.data == b"secret", DEADLINE)
    assert caller.streams[0].stats().tls.startswith("TLSv1.")


def test_a_certificate_of_another_name_ends_the_stream_before_it_opens(
    reactor: Reactor, authority: trustme.CA
) -> None:
    server_side, client_side = contexts(authority, "other.example")
    server = listen(reactor, ANY, Echo, tls=server_side)
    caller = Caller()
    connect(reactor, server.addresses[0], caller, tls=client_side, on_error=caller.errors.append)
    assert reactor.run_until(lambda: bool(caller.reasons), DEADLINE)
    assert (caller.streams, caller.errors) == ([], [])
    assert "certificate" in str(caller.reasons[0])


def test_a_name_for_the_certificate_may_be_given(reactor: Reactor, authority: trustme.CA) -> None:
    server_side, client_side = contexts(authority, "other.example")
    server = listen(reactor, ANY, Echo, tls=server_side)
    caller = Caller()
    connect(
        reactor,
        server.addresses[0],
        caller,
        tls=client_side,
        server_hostname="other.example",
        on_error=caller.errors.append,
    )
    assert reactor.run_until(lambda: bool(caller.streams), DEADLINE)


def test_a_path_needs_a_name_for_the_certificate(
    reactor: Reactor, authority: trustme.CA, tmp_path: Path
) -> None:
    _, client_side = contexts(authority, "127.0.0.1")
    with pytest.raises(LimitError, match="server_hostname"):
        connect(reactor, str(tmp_path / "door"), Caller(), tls=client_side)
    assert reactor.stats().handles == 0
