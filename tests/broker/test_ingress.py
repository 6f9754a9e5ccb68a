"""How much a user may send: debts that are charged and paid back, and reading that pauses."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.blocks import IngressLimit
from broker.errors import Closed
from broker.identity import Identity
from broker.ingress import AWAY, Meter, Meters, Toll
from tests.support.virtual_broker import VirtualBroker, VirtualClient

ANN = Identity(user="ann", ingress=IngressLimit(bytes=1000, burst=1.0))


def test_within_the_burst_nobody_pauses() -> None:
    meter = Meter(IngressLimit(bytes=1000, burst=2.0))
    assert [0.0, 0.0] == [meter.charge(1000, 5, 0.0), meter.charge(1000, 5, 0.0)]


def test_beyond_the_burst_the_pause_is_what_paying_back_takes() -> None:
    meter = Meter(IngressLimit(bytes=1000, burst=1.0))
    assert 1.5 == meter.charge(2500, 0, 0.0)
    assert 1.0 == meter.charge(500, 0, 1.0)


def test_a_quiet_hour_saves_up_one_burst_and_no_more() -> None:
    meter = Meter(IngressLimit(bytes=1000, burst=1.0))
    meter.charge(1000, 0, 0.0)
    assert 1.0 == meter.charge(2000, 0, 3600.0)


def test_messages_are_a_debt_of_their_own_and_the_longer_pause_counts() -> None:
    meter = Meter(IngressLimit(bytes=1000, messages=10, burst=1.0))
    assert 4.0 == meter.charge(2000, 50, 0.0)


@given(
    st.lists(st.tuples(st.floats(0, 10), st.integers(0, 5000)), min_size=1),
    st.floats(1, 1e4),
    st.floats(0, 5),
)
def test_whoever_pauses_as_told_keeps_to_the_rate(
    reads: list[tuple[float, int]], rate: float, burst: float
) -> None:
    meter = Meter(IngressLimit(bytes=rate, burst=burst))
    now, total = 0.0, 0
    for idle, size in reads:
        now += idle
        # What has come before this read was paid for, but for the burst.
        assert total <= (burst + now) * rate * 1.000001 + 1e-6
        now += meter.charge(size, 0, now)
        total += size


def test_all_connections_of_one_user_share_one_meter() -> None:
    meters = Meters()
    one, two = meters.of(ANN), meters.of(ANN)
    assert one is two
    assert one is not meters.of(Identity(user="ann", account="B", ingress=ANN.ingress))


def test_without_a_limit_there_is_no_meter() -> None:
    assert None is Meters().of(Identity(user="bob"))
    assert None is Meters(IngressLimit()).of(Identity(user="bob"))


def test_the_default_is_for_users_without_a_limit_of_their_own() -> None:
    meters = Meters(IngressLimit(bytes=7))
    bob, ann = meters.of(Identity(user="bob")), meters.of(ANN)
    assert bob is not None
    assert ann is not None
    assert [7, 1000] == [bob.limit.bytes, ann.limit.bytes]


def test_leaving_and_coming_back_pays_no_debt() -> None:
    meters = Meters()
    toll = Toll(meters, ANN, 0)
    toll.charge(5000, 0, 0.0)
    toll.leave()
    toll.leave()
    pause, _ = Toll(meters, ANN, 0).charge(0, 0, 1.0)
    assert 3.0 == pause


def test_a_new_limit_begins_a_new_meter() -> None:
    meters = Meters()
    old = meters.of(ANN)
    new = meters.of(Identity(user="ann", ingress=IngressLimit(bytes=1)))
    assert old is not new
    assert old is not None
    meters.leave(ANN, old)
    assert new is meters.of(Identity(user="ann", ingress=IngressLimit(bytes=1)))


def test_the_meters_of_those_who_left_are_bounded() -> None:
    meters = Meters(IngressLimit(bytes=1))
    for number in range(AWAY + 10):
        Toll(meters, Identity(user=str(number)), 0).leave()
    assert len(meters) == AWAY


def test_the_log_is_told_once_a_minute() -> None:
    toll = Toll(Meters(), ANN, 0)
    texts = [toll.charge(10_000, 0, now)[1] for now in (0.0, 1.0, 59.0, 61.0)]
    told = "Ingress limit of 1000 bytes a second exceeded, reading slows down"
    assert [told, "", "", told] == texts


# ------------------------------------------------------------------------------- in a connection


def limited(broker: VirtualBroker, **limits: Any) -> VirtualClient:
    """A client who was let in with such a limit."""
    client = broker.connect()
    limit = IngressLimit(**limits)
    client.connection.authenticated(Identity(user="ann", ingress=limit))
    return client


def test_a_client_beyond_its_limit_is_read_later_and_nothing_is_lost(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    broker = VirtualBroker(first_ping=60.0)
    hearer = broker.connect(b'CONNECT {"verbose":false}\r\nSUB a 1\r\n')
    client = limited(broker, messages=10, burst=1.0)
    sent = b"PUB a 1\r\nx\r\n" * 30
    client.send(sent)
    assert 30 == hearer.take().count(b"MSG")  # what was read is served
    client.send(b"PUB a 1\r\ny\r\n")
    assert b"" == hearer.take()
    assert b"PONG\r\n" == hearer.ask(b"PING\r\n")  # nobody else waits
    broker.reactor.run_for(1.9)
    assert b"" == hearer.take()
    broker.reactor.run_for(0.2)
    assert b"MSG a 1 1\r\ny\r\n" == hearer.take()
    assert 1 == caplog.text.count("Ingress limit of 10 messages a second exceeded")


def test_a_pause_is_no_reason_to_call_a_client_stale() -> None:
    broker = VirtualBroker(ping_interval=1.0, ping_max=1)
    client = limited(broker, bytes=10, burst=1.0)
    client.send(b"PUB a 100\r\n%s\r\n" % (b"x" * 100))
    broker.reactor.run_for(8.0)
    assert [] == broker.reasons()
    assert not client.ended


def test_a_client_that_leaves_while_it_owes_leaves_no_timer_behind() -> None:
    broker = VirtualBroker()
    client = limited(broker, bytes=1, burst=1.0)
    client.send(b"PUB a 100\r\n%s\r\n" % (b"x" * 100))
    client.connection.session.close(Closed.KICKED)
    broker.reactor.settle()
    assert client.ended
    assert None is broker.reactor.next_deadline()


def test_becoming_another_user_changes_the_meter() -> None:
    broker = VirtualBroker()
    client = limited(broker, bytes=10, burst=1.0)
    client.connection.authenticated(Identity(user="bob"))
    client.send(b"PUB a 100\r\n%s\r\n" % (b"x" * 100))
    assert b"PONG\r\n" == client.ask(b"PING\r\n")
