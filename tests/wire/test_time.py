"""The cases that are about time or about room: timeouts, pings, a subscriber that does not read, a
connection's end.

Each runs against our broker over every demultiplexer and against the real server, with the same
assertions. The times are as short as both servers allow; what is waited for is an answer, never a
number of seconds.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator

import pytest

from tests.support.raw_client import DEADLINE, RawClient
from tests.support.servers import RealServer, Settings
from tests.wire.case import QUIET
from tests.wire.cells import REAL, Cell, our_broker

Start = Callable[[Settings], int]
"""Starts a server with these settings and returns its port."""


@pytest.fixture
def start(request: pytest.FixtureRequest) -> Iterator[Start]:
    """A starter of servers, over the parameter that tests.wire.conftest gives."""
    kind: str = request.param
    with contextlib.ExitStack() as stack:

        def start(settings: Settings) -> int:
            if kind == REAL:
                real = RealServer(settings)
                stack.enter_context(real)
                return real.port
            return stack.enter_context(our_broker(Cell(kind, "normal"), settings)).port

        yield start


def test_a_client_that_does_not_log_in_is_told_that_its_time_is_over(start: Start) -> None:
    port = start(Settings(user="ann", password="secret", auth_timeout=0.1))

    with RawClient(port) as client:
        assert [b"-ERR 'Authentication Timeout'\r\n"] == client.read_to_end()


def test_half_a_connect_does_not_stop_the_clock(start: Start) -> None:
    port = start(Settings(user="ann", password="secret", auth_timeout=0.1))

    with RawClient(port) as client:
        client.send(b'CONNECT {"user":"ann",')
        assert [b"-ERR 'Authentication Timeout'\r\n"] == client.read_to_end()


def test_a_client_that_logged_in_outlives_the_timeout(start: Start) -> None:
    port = start(Settings(user="ann", password="secret", auth_timeout=0.1))

    with RawClient(port) as late, RawClient(port) as client:
        client.ask(b'CONNECT {"verbose":false,"user":"ann","pass":"secret"}\r\n')
        late.read_to_end()

        assert [] == client.ask(b"")


def test_a_silent_client_gets_two_pings_and_is_then_stale(start: Start) -> None:
    port = start(Settings(token="s3cr3t", ping_interval=0.2, ping_max=2))

    with RawClient(port) as client:
        client.send(b'CONNECT {"verbose":false,"auth_token":"s3cr3t"}\r\nPING\r\n')

        assert [
            b"PONG\r\n",
            b"PING\r\n",
            b"PING\r\n",
            b"-ERR 'Stale Connection'\r\n",
        ] == client.read_to_end()


def test_a_client_that_never_spoke_is_stale_as_well(start: Start) -> None:
    port = start(Settings(ping_interval=0.2, ping_max=1))

    with RawClient(port) as client:
        assert [b"PING\r\n", b"-ERR 'Stale Connection'\r\n"] == client.read_to_end()


def test_a_client_that_answers_its_pings_stays(start: Start) -> None:
    port = start(Settings(ping_interval=0.1, ping_max=1))

    with RawClient(port) as client:
        client.send(QUIET + b"PING\r\n")
        client.read_to_pong()
        for _ in range(4):
            assert b"PING\r\n" == client.read_frame()
            client.send(b"PONG\r\n")

        assert not client.ended


def test_a_subscriber_that_does_not_read_is_closed_without_a_word(start: Start) -> None:
    port = start(Settings(max_payload=60_000, max_pending=100_000))
    message = b"PUB a 50000\r\n" + b"x" * 50_000 + b"\r\n"

    with RawClient(port) as slow, RawClient(port) as publisher:
        slow.ask(QUIET + b"SUB a 1\r\n")
        sent = _publish_until_unheard(publisher, message)
        heard = slow.read_to_end()

        assert {b"MSG a 1 r 50000\r\n" + b"x" * 50_000 + b"\r\n"} >= set(heard[:-1])
        assert not any(frame.startswith(b"-ERR") for frame in heard)
        assert len(heard) < sent


def test_a_connection_that_ends_makes_room_for_another(start: Start) -> None:
    port = start(Settings(max_connections=2))

    with RawClient(port) as first, RawClient(port) as second:
        first.ask(QUIET)
        second.ask(QUIET)
        second.send_eof()
        second.read_to_end()
        with _admitted(port) as third:
            assert [] == third.ask(QUIET)


def test_a_client_that_resets_its_connection_is_forgotten(start: Start) -> None:
    port = start(Settings())

    with RawClient(port) as requester:
        requester.ask(
            b'CONNECT {"verbose":false,"headers":true,"no_responders":true}\r\nSUB r 1\r\n'
        )
        with RawClient(port) as responder:
            responder.ask(QUIET + b"SUB svc 1\r\n")
            responder.reset()

        # The reset may take a moment to be noticed: until then the request is heard, by nobody.
        assert (
            b"HMSG r 1 35 35\r\nNATS/1.0 503\r\nNats-Subject: svc\r\n\r\n\r\n"
            in _asked_until_answered(requester, b"PUB svc r 0\r\n\r\n")
        )


def _publish_until_unheard(publisher: RawClient, message: bytes) -> int:
    """Publish until the message finds no subscriber any more; how many were sent.

    A subscriber that has gone shows as the 503 that the publisher's request then gets.
    """
    publisher.ask(b'CONNECT {"verbose":false,"headers":true,"no_responders":true}\r\nSUB r 1\r\n')
    request = message.replace(b"PUB a ", b"PUB a r ")
    end = time.monotonic() + DEADLINE
    sent = 0
    while not publisher.ask(request * 10):
        sent += 10
        assert time.monotonic() < end, f"the subscriber was still there after {sent} messages"
    return sent + 10


def _asked_until_answered(client: RawClient, request: bytes) -> list[bytes]:
    """Send `request` until something comes back before the PONG."""
    end = time.monotonic() + DEADLINE
    while not (frames := client.ask(request)):
        assert time.monotonic() < end, f"nothing answered {request!r}"
    return frames


def _admitted(port: int) -> RawClient:
    """A connection that is let in: the real server forgets one that ended a moment after closing
    it.
    """
    end = time.monotonic() + DEADLINE
    while True:
        client = RawClient(port)
        client.send(b"PING\r\n")
        if client.read_frame() == b"PONG\r\n":
            return client
        client.close()
        assert time.monotonic() < end, "no room was made"
