"""Insight: stats, dump, explain_last_wakeup, instruments."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from reactor import READ, WRITE, Reactor
from reactor.clock import ManualClock
from reactor.sources import Source
from reactor.trace import Instrument

Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(1000)


@pytest.fixture
def reactor(clock: ManualClock) -> Iterator[Reactor]:
    with Reactor(clock=clock, debug=True) as it:
        yield it


def _callback(*_args: object) -> None:
    """Does nothing, by a name that a dump shows."""


def test_a_dump_lists_everything_with_its_site_and_its_history(
    reactor: Reactor, clock: ManualClock, pair: Pair
) -> None:
    reactor.register(pair[0], WRITE, _callback, name="out")
    reactor.call_later(30, _callback)
    reactor.run_once(0)
    clock.advance(2)
    reactor.call_soon(_callback)
    records = {record.kind: record for record in reactor.dump()}
    handle, timer, deferred = (records[kind] for kind in ("handle", "timer", "deferred"))
    assert "'out'" in handle.description
    assert (handle.fired, handle.idle) == (1, 2)
    assert (timer.fired, timer.idle, timer.due_in) == (0, None, 28)
    assert deferred.description == "call of _callback"
    for record in (handle, timer, deferred):
        assert record.site is not None
        assert record.site.file == __file__
        assert "test_a_dump_lists" in str(record)


def test_without_debug_only_handles_know_their_site(pair: Pair) -> None:
    with Reactor() as reactor:
        reactor.register(pair[0], READ, _callback)
        reactor.call_later(1, _callback)
        sites = {record.kind: record.site is not None for record in reactor.dump()}
        assert sites == {"handle": True, "timer": False}


def test_the_last_wakeup_is_explained(reactor: Reactor, clock: ManualClock, pair: Pair) -> None:
    handle = reactor.register(pair[0], WRITE, _callback, name="out")
    reactor.call_later(0, _callback)
    reactor.call_soon(_callback)
    reactor.run_once(0)
    text = reactor.explain_last_wakeup()
    for part in ("WRITE on handle 'out'", __file__, "1 timer(s) due", "1 deferred call(s)"):
        assert part in text
    handle.close()
    assert "(closed)" in reactor.explain_last_wakeup()
    reactor.run_once(0)
    assert reactor.explain_last_wakeup() == "turn 2 waited at most 0.000000 s: nothing happened"


def test_stats_count_what_happened(reactor: Reactor, pair: Pair) -> None:
    reactor.on_error = _callback
    reactor.register(pair[0], WRITE, _callback)
    reactor.call_later(9, _callback)
    reactor.call_soon([].pop)
    reactor.run_once(0)
    stats = reactor.stats()
    assert (stats.turns, stats.calls, stats.handles, stats.timers, stats.errors) == (1, 2, 1, 1, 1)


class Recorder(Instrument):
    """Writes down every phase."""

    def __init__(self) -> None:
        self.seen: list[object] = []

    def before_wait(self, timeout: float | None) -> None:
        self.seen.append(("wait", timeout))

    def after_wait(self, ready: int) -> None:
        self.seen.append(("ready", ready))

    def before_call(self, source: Source, ready: int) -> None:
        self.seen.append(("call", source.describe()))

    def after_call(self, source: Source, ready: int) -> None:
        self.seen.append(("called", source.fired))

    def after_turn(self, turn: int, calls: int) -> None:
        self.seen.append(("turn", turn, calls))


def test_an_instrument_is_told_of_every_phase(reactor: Reactor) -> None:
    recorder = Recorder()
    reactor.set_instrument(recorder)
    reactor.call_soon(_callback)
    reactor.run_once(0)
    assert recorder.seen == [
        ("wait", 0),
        ("ready", 0),
        ("call", "call of _callback"),
        ("called", 1),
        ("turn", 1, 1),
    ]
    reactor.set_instrument(None)
    reactor.run_once(0)
    assert len(recorder.seen) == 5


def test_an_instrumented_source_can_still_be_cancelled_and_reported(reactor: Reactor) -> None:
    contexts: list[object] = []
    called: list[str] = []
    reactor.set_instrument(Recorder())
    reactor.on_error = contexts.append
    reactor.call_soon([].pop)
    reactor.call_soon(lambda: doomed.cancel())
    doomed = reactor.call_soon(called.append, "doomed")
    reactor.run_once(0)
    assert called == []
    assert "pop from empty list" in str(contexts[0])
    assert __file__ in str(contexts[0])


def test_the_default_instrument_does_nothing(reactor: Reactor) -> None:
    reactor.set_instrument(Instrument())
    reactor.call_soon(_callback)
    assert reactor.run_once(0) == 1
