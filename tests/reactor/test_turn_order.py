"""The order within a turn, as `reactor.loop` promises it and as the documentation draws it."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from reactor import READ, Reactor
from reactor.clock import ManualClock
from reactor.sources import Flusher
from reactor.trace import Instrument


@pytest.fixture
def reactor(backend: str) -> Iterator[Reactor]:
    with Reactor(backend=backend, clock=ManualClock()) as it:
        yield it


@pytest.fixture
def ready(reactor: Reactor) -> Iterator[socket.socket]:
    """A socket that is readable."""
    ours, peer = socket.socketpair()
    peer.send(b"x")
    yield ours
    ours.close()
    peer.close()


def test_a_turn_has_the_promised_order(reactor: Reactor, ready: socket.socket) -> None:
    order: list[str] = []

    class Phases(Instrument):
        def before_wait(self, timeout: float | None) -> None:
            order.append("wait")

    def handler(mask: int) -> None:
        order.append("handle")
        reactor.on_closing(order.append, "closing")
        reactor.flush_later(Flusher(lambda: order.append("flush after")))
        reactor.call_soon(order.append, "next turn")

    reactor.set_instrument(Phases())
    reactor.call_from_signal(order.append, "signal")
    reactor.call_soon(order.append, "deferred")
    reactor.call_later(0, order.append, "timer")
    reactor.register(ready, READ, handler)
    reactor.flush_later(Flusher(lambda: order.append("flush before")))
    reactor.run_once(0)
    assert order == [
        "flush before",
        "wait",
        "handle",
        "timer",
        "deferred",
        "signal",
        "closing",
        "flush after",
    ]


def test_deferred_calls_run_in_their_order(reactor: Reactor) -> None:
    order: list[int] = []
    for number in range(5):
        reactor.call_soon(order.append, number)
    reactor.run_once(0)
    assert order == [0, 1, 2, 3, 4]


def test_timers_of_one_deadline_run_in_the_order_of_their_making(reactor: Reactor) -> None:
    order: list[int] = []
    for number in range(5):
        reactor.call_at(0, order.append, number)
    reactor.run_once(0)
    assert order == [0, 1, 2, 3, 4]


def test_what_a_callback_defers_runs_in_the_next_turn(reactor: Reactor) -> None:
    order: list[str] = []
    reactor.call_soon(lambda: reactor.call_soon(order.append, "second"))
    reactor.run_once(0)
    assert order == []
    reactor.run_once(0)
    assert order == ["second"]


def test_a_handle_registered_in_a_turn_is_reported_in_the_next(
    reactor: Reactor, ready: socket.socket
) -> None:
    seen: list[int] = []
    reactor.call_soon(reactor.register, ready, READ, seen.append)
    reactor.run_once(0)
    assert seen == []
    reactor.run_once(0)
    assert seen == [READ]


def test_a_cancelled_call_is_not_made_although_it_was_collected(reactor: Reactor) -> None:
    order: list[str] = []
    reactor.call_soon(lambda: (doomed.cancel(), order.append("first")))
    doomed = reactor.call_soon(order.append, "doomed")
    reactor.run_once(0)
    assert order == ["first"]


def test_a_timer_cancelled_by_an_earlier_timer_of_the_same_turn_does_not_fire(
    reactor: Reactor,
) -> None:
    order: list[str] = []
    reactor.call_at(0, lambda: doomed.cancel())
    doomed = reactor.call_at(0, order.append, "doomed")
    reactor.run_once(0)
    assert order == []


def test_a_flusher_runs_once_a_turn_however_often_it_is_asked_for(reactor: Reactor) -> None:
    flushed: list[str] = []
    flusher = Flusher(lambda: flushed.append("x"))
    reactor.call_soon(reactor.flush_later, flusher)
    reactor.call_soon(reactor.flush_later, flusher)
    reactor.run_once(0)
    assert flushed == ["x"]


def test_a_flusher_may_make_others_dirty_in_the_same_flush(reactor: Reactor) -> None:
    flushed: list[str] = []
    inner = Flusher(lambda: flushed.append("inner"))
    outer = Flusher(lambda: reactor.flush_later(inner))
    reactor.call_soon(reactor.flush_later, outer)
    reactor.run_once(0)
    assert flushed == ["inner"]


def test_closing_callbacks_may_close_further_things_in_the_same_turn(reactor: Reactor) -> None:
    order: list[str] = []
    reactor.call_soon(
        reactor.on_closing, lambda: (order.append("outer"), reactor.on_closing(order.append, "in"))
    )
    reactor.run_once(0)
    assert order == ["outer", "in"]


def test_a_turn_says_how_much_it_called(reactor: Reactor, ready: socket.socket) -> None:
    reactor.register(ready, READ, lambda mask: None)
    reactor.call_soon(lambda: None)
    assert reactor.run_once(0) == 2


def test_the_time_is_read_once_a_turn(backend: str) -> None:
    clock = ManualClock(1)
    with Reactor(backend=backend, clock=clock) as reactor:
        times: list[float] = []
        reactor.call_soon(lambda: (clock.advance(5), times.append(reactor.now())))
        reactor.call_soon(lambda: times.append(reactor.now()))
        reactor.run_once(0)
        assert times == [1, 1]
        reactor.call_soon(lambda: times.append(reactor.now()))
        reactor.run_once(0)
        assert times == [1, 1, 6]
