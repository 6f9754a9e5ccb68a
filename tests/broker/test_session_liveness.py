"""When a session sends a PING and when it gives up; as nats-server 2.15.1 does it."""

from __future__ import annotations

from typing import Any

import pytest

from broker.errors import Closed
from broker.liveness import RTT_INTERVAL
from tests.support.house import QUIET, House, enter

TIMES: dict[str, Any] = {"ping_interval": 10.0, "ping_max": 2, "first_ping": 2.0}


def test_the_first_ping_comes_soon_after_connect_and_the_others_at_the_interval() -> None:
    client = enter(**TIMES)
    client.send(QUIET, 0.0)
    client.send(QUIET, 1.0)
    client.session.on_ping_timer(2.2)
    assert [10.0, pytest.approx(2.2), 10.0] == client.delays


def test_a_short_interval_brings_the_first_ping_forward() -> None:
    client = enter(QUIET, ping_interval=1.0)
    assert [1.0, pytest.approx(1.1)] == client.delays


def test_a_silent_client_is_stale_when_too_many_pings_are_unanswered() -> None:
    client = enter(QUIET, **TIMES)
    heard = []
    for now in (10.0, 20.0, 30.0):
        client.session.on_ping_timer(now)
        heard.append(client.hear())
    assert [b"PING\r\n", b"PING\r\n", b"-ERR 'Stale Connection'\r\n"] == heard
    assert [Closed.STALE_CONNECTION] == client.closes
    delays = len(client.delays)
    client.session.on_ping_timer(40.0)
    assert (delays, b"") == (len(client.delays), client.hear())


def test_the_first_ping_is_sent_even_to_a_busy_client_as_it_measures_the_round_trip() -> None:
    client = enter(QUIET, **TIMES)
    client.send(b"PUB a 1\r\nx\r\n", 1.9)
    client.session.on_ping_timer(2.0)
    assert b"PING\r\n" == client.hear()
    client.send(b"PONG\r\n", 2.25)
    assert 0.25 == client.session.rtt


@pytest.mark.parametrize(
    ("data", "spared"),
    [
        (b"PUB a 1\r\nx\r\n", True),
        (b"SUB a 1\r\n", True),
        (b"UNSUB 1\r\n", True),
        (b"PING\r\n", True),
        (b"PONG\r\n", False),
        (b"+OK\r\n", False),
        (b"INFO {}\r\n", False),
        (b"PUB a 5\r\nx", False),
    ],
)
def test_what_counts_as_activity(data: bytes, spared: bool) -> None:
    client = enter(QUIET, **TIMES)
    client.session.on_ping_timer(2.0)
    client.say(data, 7.0)
    client.session.on_ping_timer(12.0)
    assert (b"" if spared else b"PING\r\n") == client.hear()


def test_deliveries_are_no_activity_of_their_receiver() -> None:
    house = House(**TIMES)
    publisher, receiver = house.enter(QUIET), house.enter(QUIET)
    receiver.send(b"SUB a 1\r\n")
    receiver.session.on_ping_timer(2.0)
    publisher.send(b"PUB a 1\r\nx\r\n", 11.0)
    receiver.hear()
    receiver.session.on_ping_timer(12.0)
    assert b"PING\r\n" == receiver.hear()


def test_activity_does_not_excuse_pings_that_were_not_answered_but_a_pong_does() -> None:
    client = enter(QUIET, **TIMES)
    client.session.on_ping_timer(2.0)
    client.send(b"PUB a 1\r\nx\r\n", 9.0)
    client.session.on_ping_timer(12.0)
    client.session.on_ping_timer(22.0)
    assert b"PING\r\nPING\r\n" == client.hear()
    client.send(b"PONG\r\n", 23.0)
    client.session.on_ping_timer(32.0)
    assert b"PING\r\n" == client.hear()
    assert [] == client.closes


def test_a_pong_nobody_asked_for_is_no_measurement() -> None:
    client = enter(QUIET, **TIMES)
    client.send(b"PONG\r\n", 5.0)
    assert 0.0 == client.session.rtt


def test_the_round_trip_of_a_busy_client_is_measured_anew_once_an_hour() -> None:
    client = enter(QUIET, **TIMES)
    client.session.on_ping_timer(2.0)
    later = 2.0 + RTT_INTERVAL
    client.send(b"PONG\r\nPUB a 1\r\nx\r\n", later)
    client.session.on_ping_timer(later)
    assert b"PING\r\n" == client.hear()
    client.session.on_ping_timer(later + 1)
    assert b"PING\r\n" == client.hear()


def test_the_last_activity_is_the_last_message_or_change_of_subscriptions() -> None:
    client = enter(QUIET)
    for now, data in ((1.0, b"SUB a 1\r\n"), (2.0, b"PUB a 1\r\nx\r\n"), (3.0, b"PONG\r\n")):
        client.send(data, now)
    assert 2.0 == client.session.last_activity
