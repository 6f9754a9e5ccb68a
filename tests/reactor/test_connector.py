"""Connecting: races between addresses, clear errors, and no socket left behind."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from reactor import Reactor
from reactor.connector import (
    ConnectError,
    Connector,
    ConnectTimeoutError,
    connect,
    interleave,
)
from reactor.errors import LimitError, RegistrationError
from reactor.listener import Listener, listen
from reactor.resolver import Answer, Endpoint, Lookup
from reactor.trace import ErrorContext
from tests.support.network import ANY, DEADLINE, Caller, Echo

#: Longer than any test, for what must not be waited for.
NEVER = 1000.0


@pytest.fixture
def reactor(backend: str) -> Iterator[Reactor]:
    with Reactor(backend=backend) as reactor:
        yield reactor


class Names:
    """A resolver with one answer for every name; None is no answer at all."""

    def __init__(self, *addresses: Any, error: OSError | None = None, silent: bool = False) -> None:
        self.endpoints = [_endpoint(address) for address in addresses]
        self.error = error
        self.silent = silent

    def __call__(self, reactor: Reactor, host: str, port: int, callback: Answer, /) -> Lookup:
        def answer(endpoints: Sequence[Endpoint], error: OSError | None) -> None:
            if not lookup.cancelled:
                callback(endpoints, error)

        lookup = self.lookup = Lookup(host, port, callback)
        if not self.silent:
            reactor.call_soon(answer, self.endpoints, self.error)
        return lookup


def _endpoint(address: Any) -> Endpoint:
    family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
    return Endpoint(family, address)


@pytest.fixture
def black_hole() -> Iterator[Any]:
    """An address that never answers: its backlog is full, so the kernel drops what arrives."""
    with socket.socket() as hole:
        hole.bind(ANY)
        hole.listen(0)
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(hole.getsockname())
        yield hole.getsockname()
        for filler in fillers:
            filler.close()


def closed_port() -> Any:
    with socket.socket() as sock:
        sock.bind(ANY)
        return sock.getsockname()


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


# One address.


def test_a_connection_becomes_a_stream_that_says_when_it_is_open(reactor: Reactor) -> None:
    server = listen(reactor, ANY, Echo)
    caller = Caller()
    connector = connect(reactor, server.addresses[0], caller, on_error=caller.errors.append)
    assert not connector.done
    assert reactor.run_until(lambda: bool(caller.streams), DEADLINE)
    assert connector.done
    caller.streams[0].write(b"hello")
    assert reactor.run_until(lambda: caller.data == b"hello", DEADLINE)
    assert caller.errors == []


def test_the_socket_itself_may_be_had_and_does_not_wait_to_send(reactor: Reactor) -> None:
    server = listen(reactor, ANY, Echo)
    sockets: list[socket.socket] = []
    Connector(reactor, server.addresses[0], sockets.append)
    assert reactor.run_until(lambda: bool(sockets), DEADLINE)
    with sockets[0] as sock:
        assert sock.getblocking() is False
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert not sock.get_inheritable()


def test_nobody_at_the_address_is_an_error_that_names_it(reactor: Reactor) -> None:
    caller = Caller()
    host, port = closed_port()
    connect(reactor, (host, port), caller, on_error=caller.errors.append)
    assert caller.errors == []
    assert reactor.run_until(lambda: bool(caller.errors), DEADLINE)
    (error,) = caller.errors
    assert isinstance(error, ConnectError)
    assert str(error) == f"cannot connect to {host}:{port}: Connection refused"
    assert error.errno == errno.ECONNREFUSED
    assert caller.streams == []
    assert reactor.stats().handles == 0


def test_an_error_that_nobody_asked_for_goes_to_the_reactor(reactor: Reactor) -> None:
    reported: list[ErrorContext] = []
    reactor.on_error = reported.append
    connect(reactor, closed_port(), Caller())
    assert reactor.run_until(lambda: bool(reported), DEADLINE)
    assert isinstance(reported[0].error, ConnectError)


def test_a_connection_to_itself_is_nobody_at_the_address(reactor: Reactor) -> None:
    # Bound to the very port that it connects to, a socket is connected to itself for certain,
    # which otherwise happens by chance.
    address = closed_port()
    caller = Caller()
    connect(reactor, address, caller, source=address, on_error=caller.errors.append)
    assert reactor.run_until(lambda: bool(caller.errors), DEADLINE)
    assert caller.errors[0].errno == errno.ECONNREFUSED


def test_what_on_socket_raises_is_reported_and_the_socket_closed(reactor: Reactor) -> None:
    server = listen(reactor, ANY, Echo)
    reported: list[ErrorContext] = []
    reactor.on_error = reported.append
    sockets: list[socket.socket] = []

    def on_socket(sock: socket.socket) -> None:
        sockets.append(sock)
        raise ValueError("not today")

    Connector(reactor, server.addresses[0], on_socket)
    assert reactor.run_until(lambda: bool(reported), DEADLINE)
    assert str(reported[0].error) == "not today"
    assert sockets[0].fileno() == -1


# Several addresses.


def test_a_refused_address_is_followed_by_the_next_one_at_once(reactor: Reactor) -> None:
    server = listen(reactor, ANY, Echo)
    caller = Caller()
    names = Names(closed_port(), closed_port(), server.addresses[0])
    connector = connect(reactor, ("app", 80), caller, resolver=names, attempt_delay=NEVER)
    assert reactor.run_until(lambda: bool(caller.streams), DEADLINE)
    assert (3, 2, 0) == (
        connector.stats().attempted,
        connector.stats().failed,
        connector.stats().racing,
    )


def test_an_address_that_does_not_answer_is_raced_by_the_next_one_and_then_closed(
    reactor: Reactor, black_hole: Any
) -> None:
    server = listen(reactor, ANY, Echo)
    caller = Caller()
    before = descriptors()
    names = Names(black_hole, server.addresses[0])
    begun = reactor.clock.now()
    connector = connect(reactor, ("app", 80), caller, resolver=names, attempt_delay=0.05)
    assert reactor.run_until(lambda: connector.stats().racing == 1, DEADLINE)
    assert reactor.run_until(lambda: bool(caller.streams), DEADLINE)
    assert reactor.clock.now() - begun >= 0.05
    assert (2, 0, 0) == (
        connector.stats().attempted,
        connector.stats().failed,
        connector.stats().racing,
    )
    # The caller's socket and, if it was accepted yet, the server's.
    assert descriptors() <= before + 2


def test_a_slow_address_may_still_win_when_a_later_one_fails(reactor: Reactor) -> None:
    # The first has its answer waiting while the second is tried and refused.
    server = listen(reactor, ANY, Echo)
    server.pause()
    caller = Caller()
    names = Names(server.addresses[0], closed_port())
    connect(reactor, ("app", 80), caller, resolver=names, attempt_delay=1e-9)
    assert reactor.run_until(lambda: bool(caller.streams), DEADLINE)
    assert caller.errors == []


def test_all_that_failed_are_named_with_their_reasons(reactor: Reactor) -> None:
    caller = Caller()
    (_, first), (_, second) = ports = [closed_port(), closed_port()]
    connect(
        reactor,
        ("app", 80),
        caller,
        resolver=Names(*ports, ("::1", 80, 0, 0)),
        source=("127.0.0.1", 0),
        on_error=caller.errors.append,
    )
    assert reactor.run_until(lambda: bool(caller.errors), DEADLINE)
    (error,) = caller.errors
    assert isinstance(error, ConnectError)
    assert f"127.0.0.1:{first}: Connection refused" in str(error)
    assert f"127.0.0.1:{second}: Connection refused" in str(error)
    assert "[::1]:80: not reachable from 127.0.0.1:0, of another family" in str(error)
    assert str(error).startswith("cannot connect to app:80: ")
    assert len(error.attempts) == 3


def test_families_are_tried_in_turn_beginning_with_the_preferred_one() -> None:
    six = [Endpoint(socket.AF_INET6, f"six{number}") for number in range(3)]
    four = [Endpoint(socket.AF_INET, f"four{number}") for number in range(2)]
    expected = [six[0], four[0], six[1], four[1], six[2]]
    assert interleave([*six, *four]) == expected
    assert interleave(four) == four
    assert interleave([]) == []


# Names.


def test_a_name_that_is_not_known_is_an_error_that_names_it(reactor: Reactor) -> None:
    caller = Caller()
    names = Names(error=socket.gaierror(socket.EAI_NONAME, "cannot look up 'app': not known"))
    connect(reactor, ("app", 80), caller, resolver=names, on_error=caller.errors.append)
    assert reactor.run_until(lambda: bool(caller.errors), DEADLINE)
    assert str(caller.errors[0]) == "cannot connect to app:80: cannot look up 'app': not known"


def test_a_name_without_an_address_is_an_error(reactor: Reactor) -> None:
    caller = Caller()
    connect(reactor, ("app", 80), caller, resolver=Names(), on_error=caller.errors.append)
    assert reactor.run_until(lambda: bool(caller.errors), DEADLINE)
    assert str(caller.errors[0]) == "cannot connect to app:80: it has no address"
    assert caller.errors[0].errno is None


def test_localhost_is_found_by_name(reactor: Reactor) -> None:
    server = listen(reactor, ANY, Echo)
    caller = Caller()
    connect(reactor, ("localhost", server.port), caller, on_error=caller.errors.append)
    assert reactor.run_until(lambda: bool(caller.streams), DEADLINE)


# Time and cancelling.


def test_time_is_up_for_all_addresses_together(reactor: Reactor, black_hole: Any) -> None:
    caller = Caller()
    refused = closed_port()
    connect(
        reactor,
        ("app", 80),
        caller,
        resolver=Names(refused, black_hole, black_hole),
        timeout=0.05,
        attempt_delay=NEVER,
        on_error=caller.errors.append,
    )
    assert reactor.run_until(lambda: bool(caller.errors), DEADLINE)
    (error,) = caller.errors
    assert isinstance(error, ConnectTimeoutError)
    assert isinstance(error, TimeoutError)
    assert str(error) == (
        "cannot connect to app:80 within 0.05 s:"
        f" 127.0.0.1:{refused[1]}: Connection refused;"
        f" 127.0.0.1:{black_hole[1]}: no answer;"
        f" 127.0.0.1:{black_hole[1]}: not tried yet"
    )
    assert reactor.stats().handles == 0
    assert reactor.next_deadline() is None


def test_time_is_up_for_the_name_server_too(reactor: Reactor) -> None:
    caller = Caller()
    connect(
        reactor,
        ("app", 80),
        caller,
        resolver=Names(silent=True),
        timeout=0.02,
        on_error=caller.errors.append,
    )
    assert reactor.run_until(lambda: bool(caller.errors), DEADLINE)
    expected = "cannot connect to app:80 within 0.02 s: the name was not looked up in time"
    assert str(caller.errors[0]) == expected


def test_a_cancelled_connector_calls_nobody_and_leaves_nothing(
    reactor: Reactor, black_hole: Any
) -> None:
    caller = Caller()
    reactor.run_once(0)
    before = descriptors()
    server = listen(reactor, ANY, Echo)
    racer = connect(reactor, black_hole, caller, on_error=caller.errors.append)
    silent = Names(silent=True)
    others = [
        connect(reactor, ("app", 80), caller, resolver=silent),
        connect(reactor, ("app", 80), caller, resolver=Names(server.addresses[0])),
        connect(reactor, "/nowhere/door", caller, on_error=caller.errors.append),
    ]
    assert [connector.cancel() for connector in others] == [True, True, True]
    assert reactor.run_until(lambda: racer.stats().racing == 1, DEADLINE)
    assert racer.cancel()
    assert not racer.cancel()
    server.close()
    reactor.run_once(0)
    assert (caller.streams, caller.errors) == ([], [])
    assert all(connector.done for connector in (racer, *others))
    assert silent.lookup.cancelled
    assert reactor.next_deadline() is None
    assert descriptors() == before


def test_cancelling_after_the_end_does_not_touch_the_stream(reactor: Reactor) -> None:
    server = listen(reactor, ANY, Echo)
    caller = Caller()
    connector = connect(reactor, server.addresses[0], caller)
    assert reactor.run_until(lambda: bool(caller.streams), DEADLINE)
    assert not connector.cancel()
    assert not caller.streams[0].closed


def test_closing_the_reactor_cancels_and_closes(backend: str, black_hole: Any) -> None:
    caller = Caller()
    before = descriptors()
    with Reactor(backend=backend) as reactor:
        connector = connect(reactor, black_hole, caller, on_error=caller.errors.append)
        assert reactor.run_until(lambda: connector.stats().racing == 1, DEADLINE)
    assert connector.done
    assert (caller.streams, caller.errors) == ([], [])
    assert descriptors() == before


@pytest.mark.parametrize("limit", [{"timeout": 0}, {"timeout": -1.0}, {"attempt_delay": 0}])
def test_limits_that_make_no_sense_are_refused(limit: Any) -> None:
    with Reactor() as reactor, pytest.raises(LimitError, match="more than 0 s"):
        connect(reactor, ("127.0.0.1", 80), Caller(), **limit)


# Where from, and where to.


def test_a_source_address_is_what_the_other_side_sees(reactor: Reactor) -> None:
    peers: list[Any] = []

    def on_accept(sock: socket.socket, peer: Any) -> None:
        peers.append(peer)
        sock.close()

    server = Listener(reactor, ANY, on_accept)
    connect(reactor, server.addresses[0], Caller(), source=("127.0.0.2", 0))
    assert reactor.run_until(lambda: bool(peers), DEADLINE)
    assert peers[0][0] == "127.0.0.2"


def test_a_path_may_be_connected_to_from_a_path(reactor: Reactor, tmp_path: Path) -> None:
    peers: list[Any] = []

    def on_accept(sock: socket.socket, peer: Any) -> None:
        peers.append(peer)
        sock.close()

    door, source = str(tmp_path / "door"), str(tmp_path / "source")
    Listener(reactor, door, on_accept)
    connect(reactor, door, Caller(), source=source)
    assert reactor.run_until(lambda: bool(peers), DEADLINE)
    assert peers == [source]


def test_a_socket_that_the_reactor_cannot_watch_is_a_failed_attempt(
    reactor: Reactor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: Any, **options: Any) -> Any:
        raise RegistrationError("descriptor 1024 is too large for select")

    caller = Caller()
    before = descriptors()
    with monkeypatch.context() as patch:
        patch.setattr(reactor, "register", refuse)
        connect(reactor, ("127.0.0.1", 80), caller, on_error=caller.errors.append)
        assert reactor.run_until(lambda: bool(caller.errors), DEADLINE)
    expected = "cannot connect to 127.0.0.1:80: descriptor 1024 is too large for select"
    assert str(caller.errors[0]) == expected
    assert descriptors() == before


def test_a_source_that_is_no_literal_address_is_refused(reactor: Reactor) -> None:
    with pytest.raises(LimitError, match="'localhost' is not a literal address"):
        connect(reactor, ("127.0.0.1", 80), Caller(), source=("localhost", 0))


def test_a_port_that_does_not_exist_is_refused(reactor: Reactor) -> None:
    with pytest.raises(LimitError, match="port 70000"):
        connect(reactor, ("127.0.0.1", 70_000), Caller())


def test_a_path_is_connected_to_like_an_address(reactor: Reactor, tmp_path: Path) -> None:
    path = str(tmp_path / "door")
    listen(reactor, path, Echo)
    caller = Caller()
    connect(reactor, path, caller, on_error=caller.errors.append)
    assert reactor.run_until(lambda: bool(caller.streams), DEADLINE)
    caller.streams[0].write(b"hello")
    assert reactor.run_until(lambda: caller.data == b"hello", DEADLINE)


def test_a_path_that_leads_nowhere_says_so(reactor: Reactor, tmp_path: Path) -> None:
    path = str(tmp_path / "nowhere")
    caller = Caller()
    connect(reactor, path, caller, on_error=caller.errors.append)
    assert reactor.run_until(lambda: bool(caller.errors), DEADLINE)
    assert str(caller.errors[0]) == f"cannot connect to unix:{path}: No such file or directory"


def test_a_path_whose_backlog_is_full_says_so(reactor: Reactor, tmp_path: Path) -> None:
    path = str(tmp_path / "door")
    caller = Caller()
    with socket.socket(socket.AF_UNIX) as door, socket.socket(socket.AF_UNIX) as filler:
        door.bind(path)
        door.listen(0)
        filler.connect(path)
        connect(reactor, path, caller, on_error=caller.errors.append)
        assert reactor.run_until(lambda: bool(caller.errors), DEADLINE)
    assert str(caller.errors[0]) == f"cannot connect to unix:{path}: its backlog is full"
