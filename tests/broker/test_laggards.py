"""Those who do not take what they are sent: their backlogs, and the write deadline."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from tests.support.virtual_broker import QUIET, VirtualBroker, VirtualClient

SUBSCRIBE = QUIET + b"SUB a 1\r\n"


def a_broker(**settings: Any) -> VirtualBroker:
    known: dict[str, Any] = {
        "max_payload": 1000,
        "max_pending": 10_000,
        "write_deadline": 10.0,
        # So that no PING moves a byte in these tests.
        "first_ping": 3600.0,
        "ping_interval": 3600.0,
    }
    return VirtualBroker(**(known | settings))


def publish(publisher: VirtualClient, messages: int) -> None:
    publisher.send(b"PUB a 1000\r\n%s\r\n" % (b"x" * 1000) * messages)


def test_bytes_that_the_kernel_takes_between_two_turns_are_not_counted_twice() -> None:
    broker = a_broker()
    reader = broker.connect(SUBSCRIBE, capacity=4000)
    publisher = broker.connect()
    received = 0
    for _ in range(20):
        publish(publisher, 8)  # 8 of the 10 kB that may wait
        received += reader.take().count(b"MSG")
    assert (160, []) == (received, broker.reasons())


def test_bytes_that_still_wait_are_counted_with_what_comes_on_top() -> None:
    broker = a_broker()
    broker.connect(SUBSCRIBE, capacity=1000)
    publisher = broker.connect()
    publish(publisher, 8)
    assert [] == broker.reasons()
    publish(publisher, 3)
    assert ["Slow Consumer (Pending Bytes)"] == broker.reasons()


def test_whoever_takes_nothing_for_the_write_deadline_is_closed(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "broker")
    broker = a_broker()
    broker.connect(SUBSCRIBE, capacity=1000)
    publish(broker.connect(), 3)
    broker.reactor.run_for(9.9)
    assert [] == broker.reasons()
    broker.reactor.run_for(1.5)
    assert ["Slow Consumer (Write Deadline)"] == broker.reasons()
    assert 1 == broker.server.stats().slow_consumers
    (line,) = [record.getMessage() for record in caplog.records]
    assert "Slow Consumer Detected: WriteDeadline of 10s exceeded with 2048 total bytes." in line


def test_whoever_takes_a_little_now_and_then_is_not_cut_off() -> None:
    broker = a_broker()
    slow = broker.connect(SUBSCRIBE, capacity=1000)
    publish(broker.connect(), 5)
    for _ in range(15):
        broker.reactor.run_for(8.0)
        slow.socket.recv(100)
    assert [] == broker.reasons()


def test_the_clock_of_the_deadline_starts_anew_with_every_byte_taken() -> None:
    broker = a_broker()
    slow = broker.connect(SUBSCRIBE, capacity=1000)
    publish(broker.connect(), 3)
    broker.reactor.run_for(9.0)
    slow.socket.recv(1)
    broker.reactor.run_for(9.0)
    assert [] == broker.reasons()
    broker.reactor.run_for(5.0)
    assert ["Slow Consumer (Write Deadline)"] == broker.reasons()


def test_nobody_is_watched_while_everybody_keeps_up() -> None:
    broker = a_broker()
    reader = broker.connect(SUBSCRIBE)
    publisher = broker.connect()
    timers = broker.reactor.stats().timers
    for _ in range(10):
        publish(publisher, 5)
        reader.take()
        assert timers == broker.reactor.stats().timers


@pytest.mark.parametrize("leave", [False, True])
def test_watching_ends_with_the_last_laggard(leave: bool) -> None:
    broker = a_broker()
    slow = broker.connect(SUBSCRIBE, capacity=1000)
    publisher = broker.connect()
    before = broker.reactor.stats().timers
    publish(publisher, 3)
    assert before + 1 == broker.reactor.stats().timers
    slow.take()
    if leave:
        slow.socket.close()
    broker.reactor.run_for(2.0)
    # With the connection goes its PING timer.
    assert before - leave == broker.reactor.stats().timers
