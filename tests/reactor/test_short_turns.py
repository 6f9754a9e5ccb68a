"""Short turns: a chain of deferred calls goes on without asking the kernel, for a little while."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator

import pytest

from reactor import READ, Reactor
from reactor.budgets import SHORT_TURNS
from reactor.clock import ManualClock
from reactor.sources import Flusher, Source
from reactor.trace import Instrument

MOST, SECONDS = SHORT_TURNS


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(100.0)


@pytest.fixture
def reactor(backend: str, clock: ManualClock) -> Iterator[Reactor]:
    with Reactor(backend=backend, clock=clock) as it:
        yield it


@pytest.fixture
def ready() -> Iterator[socket.socket]:
    """A socket that is readable."""
    ours, peer = socket.socketpair()
    peer.send(b"x")
    yield ours
    ours.close()
    peer.close()


def chain(reactor: Reactor, links: int, link: Callable[[], object] = lambda: None) -> list[int]:
    """Defer a call that defers the next, and the last of which stops; return who was called."""
    called: list[int] = []

    def one() -> None:
        called.append(len(called))
        link()
        reactor.call_soon(one) if len(called) < links else reactor.stop()

    reactor.call_soon(one)
    return called


def waits(reactor: Reactor) -> int:
    return reactor.demultiplexer.stats().waits


def test_a_chain_asks_the_kernel_once_in_many_turns(reactor: Reactor) -> None:
    before = waits(reactor)
    called = chain(reactor, 10 * (MOST + 1))
    reactor.run()
    assert list(range(10 * (MOST + 1))) == called
    assert 10 == waits(reactor) - before


def test_a_chain_keeps_a_ready_handle_waiting_for_no_more_than_so_many_turns(
    reactor: Reactor, ready: socket.socket
) -> None:
    called = chain(reactor, 1000)
    served: list[int] = []

    def handler(_ready: int) -> None:
        served.append(len(called))
        ready.recv(1)

    reactor.call_soon(reactor.register, ready, READ, handler)
    reactor.run()
    [after] = served
    assert after <= MOST + 1
    assert 1000 == len(called)


def test_a_chain_of_long_calls_asks_the_kernel_when_the_time_is_up(
    reactor: Reactor, clock: ManualClock
) -> None:
    before = waits(reactor)
    chain(reactor, 12, lambda: clock.advance(SECONDS * 0.4))
    reactor.run()
    # One call of a whole turn and two of short ones, before the time is up.
    assert 12 / 3 == waits(reactor) - before


def test_the_time_is_read_in_each_short_turn(reactor: Reactor, clock: ManualClock) -> None:
    times: list[float] = []

    def note() -> None:
        times.append(reactor.now())
        clock.advance(1e-6)

    chain(reactor, 5, note)
    reactor.run()
    assert times == sorted(set(times))


def test_a_timer_that_is_due_waits_for_the_end_of_short_turns(
    reactor: Reactor, clock: ManualClock
) -> None:
    due: list[int] = []
    called = chain(reactor, 100, lambda: clock.advance(SECONDS / 10))
    reactor.call_later(SECONDS / 5, lambda: due.append(len(called)))
    reactor.run()
    [after] = due
    assert 2 < after <= 12


def test_calls_keep_their_order_across_short_turns(reactor: Reactor) -> None:
    order: list[str] = []

    def first() -> None:
        order.append("first")
        reactor.call_soon(order.append, "third")
        reactor.call_soon(reactor.call_soon, reactor.stop)

    reactor.call_soon(first)
    reactor.call_soon(order.append, "second")
    reactor.run()
    assert ["first", "second", "third"] == order


def test_an_error_in_a_short_turn_is_reported_and_costs_the_others_nothing(
    reactor: Reactor,
) -> None:
    errors: list[str] = []
    order: list[str] = []
    reactor.on_error = lambda context: errors.append(repr(context.error))

    def fail() -> None:
        raise ValueError("short")

    def defer() -> None:
        for callback in (fail, lambda: order.append("after"), reactor.stop):
            reactor.call_soon(callback)

    reactor.call_soon(defer)
    reactor.run()
    assert ["ValueError('short')"] == errors
    assert ["after"] == order


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
def test_who_leaves_a_short_turn_leaves_the_rest_for_the_next_turn(
    reactor: Reactor, kind: type[BaseException]
) -> None:
    order: list[str] = []

    def leave() -> None:
        reactor.call_soon(order.append, "last")
        raise kind

    def defer() -> None:
        reactor.call_soon(leave)
        reactor.call_soon(order.append, "kept")
        reactor.call_soon(order.append, "kept, too").cancel()

    reactor.call_soon(defer)
    with pytest.raises(kind):
        reactor.run()
    assert [] == order
    reactor.run_once(None)
    assert ["kept"] == order[:1]
    reactor.run_once(0)
    assert ["kept", "last"] == order


def test_stop_ends_short_turns_and_what_is_deferred_stays(reactor: Reactor) -> None:
    order: list[str] = []

    def end() -> None:
        reactor.stop()
        reactor.call_soon(order.append, "later")

    reactor.call_soon(reactor.call_soon, end)
    reactor.run()
    assert [] == order
    reactor.run_once(0)
    assert ["later"] == order


def test_a_short_turn_closes_and_flushes_as_a_whole_one_does(reactor: Reactor) -> None:
    order: list[str] = []

    def work() -> None:
        reactor.on_closing(order.append, "closed")
        reactor.flush_later(Flusher(lambda: order.append("flushed")))
        reactor.call_soon(order.append, "next")
        reactor.call_soon(reactor.stop)

    reactor.call_soon(reactor.call_soon, work)
    reactor.run()
    assert ["closed", "flushed", "next"] == order


def test_an_instrument_is_told_of_every_call_of_a_chain(reactor: Reactor) -> None:
    class Counter(Instrument):
        calls = turns = 0

        def after_call(self, source: Source, ready: int) -> None:
            self.calls += 1

        def after_turn(self, turn: int, calls: int) -> None:
            self.turns += 1

    counter = Counter()
    reactor.set_instrument(counter)
    chain(reactor, 50)
    reactor.run()
    assert (50, 50) == (counter.calls, counter.turns)


def test_a_call_is_counted_once_wherever_it_is_called(reactor: Reactor) -> None:
    before = reactor.stats()
    called = chain(reactor, 100, lambda: reactor.call_soon(print).cancel())
    reactor.run()
    after = reactor.stats()
    assert 100 == len(called) == after.calls - before.calls
    # The last one's is still waiting.
    assert 99 == after.stale - before.stale
    assert 1 == after.deferred


def test_run_once_is_one_turn_and_asks_the_kernel_once(reactor: Reactor) -> None:
    called = chain(reactor, 3)
    before = waits(reactor)
    for number in (1, 2, 3):
        assert 1 == reactor.run_once(0)
        assert list(range(number)) == called
    assert 3 == waits(reactor) - before
