"""The watchdog and the slow-handler warnings."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable

import pytest

from reactor import READ, Reactor
from reactor.errors import LimitError
from reactor.sources import Source
from reactor.testing import VirtualReactor, make_reactor, memory_socketpair
from reactor.trace import Instrument
from reactor.watchdog import BlockedLoop, Instruments, SlowCall, SlowHandlerWarnings, Watchdog

#: Seconds until a test that waits for another thread gives up.
LIMIT = 30.0

#: The watchdog's threshold here, in seconds: what blocks, blocks until the report has come. Long,
#: so that a busy machine that lets a quick turn stand still for a moment is not reported.
THRESHOLD = 0.2


class Reports:
    """Collects reports, and lets a blocking handler wait for the next one."""

    def __init__(self) -> None:
        self.seen: list[BlockedLoop] = []
        self._came = threading.Semaphore(0)

    def __call__(self, blocked: BlockedLoop) -> None:
        self.seen.append(blocked)
        self._came.release()

    def block_until_reported(self) -> None:
        assert self._came.acquire(timeout=LIMIT), "no report came"


def test_a_blocked_loop_is_reported_while_it_is_blocked_with_the_line_that_blocks() -> None:
    reports = Reports()
    with Reactor() as reactor, Watchdog(reactor, THRESHOLD, reports):
        call = reactor.call_soon(reports.block_until_reported)
        reactor.run_once()

    [blocked] = reports.seen
    assert blocked.seconds >= THRESHOLD
    assert call.describe() == blocked.source
    functions = [frame.name for frame in blocked.stack]
    assert functions.index("run_once") < functions.index("block_until_reported")
    assert "block_until_reported" in str(blocked)


def test_each_blocked_turn_is_reported_once() -> None:
    reports = Reports()

    def block_on() -> None:
        reports.block_until_reported()
        # Many looks of the watchdog later ...
        assert not threading.Event().wait(THRESHOLD * 2)

    with Reactor() as reactor, Watchdog(reactor, THRESHOLD, reports):
        for _ in range(2):
            reactor.call_soon(block_on)
            reactor.run_once()

    assert 2 == len(reports.seen)


def test_sleeping_in_the_demultiplexer_is_not_blocking() -> None:
    reports = Reports()
    with Reactor() as reactor, Watchdog(reactor, THRESHOLD, reports):
        reactor.run_once(THRESHOLD * 2)

    assert [] == reports.seen


def test_the_time_between_the_turns_of_an_embedded_reactor_is_not_blocking() -> None:
    reports = Reports()
    with Reactor() as reactor, Watchdog(reactor, THRESHOLD, reports):
        reactor.run_once(0)
        assert not threading.Event().wait(THRESHOLD * 2)

    assert [] == reports.seen


def test_a_turn_that_an_exception_has_ended_is_not_taken_for_a_blocked_one() -> None:
    reports = Reports()

    def leave() -> None:
        raise KeyboardInterrupt

    with Reactor() as reactor, Watchdog(reactor, THRESHOLD, reports):
        reactor.call_soon(leave)
        with pytest.raises(KeyboardInterrupt):
            reactor.run_once()
        assert not threading.Event().wait(THRESHOLD * 2)

    assert [] == reports.seen


def test_a_report_that_fails_is_logged_and_the_watch_goes_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    reports = Reports()

    def fail(blocked: BlockedLoop) -> None:
        reports(blocked)
        raise ZeroDivisionError

    with Reactor() as reactor, Watchdog(reactor, THRESHOLD, fail):
        for _ in range(2):
            reactor.call_soon(reports.block_until_reported)
            reactor.run_once()

    assert 2 == len(reports.seen)
    assert "on_blocked failed" in caplog.text


def test_by_default_a_warning_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    logged = threading.Event()

    class Noticer(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            logged.set()

    noticer = Noticer()
    logging.getLogger("reactor").addHandler(noticer)
    try:
        with Reactor() as reactor, Watchdog(reactor, THRESHOLD):
            reactor.call_soon(logged.wait, LIMIT)
            reactor.run_once()
    finally:
        logging.getLogger("reactor").removeHandler(noticer)

    assert "the loop has been blocked for" in caplog.text


def test_a_watchdog_is_started_once_and_leaves_nothing_behind() -> None:
    with Reactor() as reactor:
        watchdog = Watchdog(reactor, THRESHOLD)
        with watchdog:
            with pytest.raises(RuntimeError, match="already"):
                watchdog.start()
            assert "reactor-watchdog" in {thread.name for thread in threading.enumerate()}
        watchdog.stop()

        assert "reactor-watchdog" not in {thread.name for thread in threading.enumerate()}


@pytest.mark.parametrize("threshold", [0, -1, float("nan")])
def test_a_threshold_that_is_no_time_is_refused(threshold: float) -> None:
    with Reactor() as reactor, pytest.raises(LimitError, match="threshold"):
        Watchdog(reactor, threshold)
    with pytest.raises(LimitError, match="threshold"):
        SlowHandlerWarnings(threshold)


# --- slow-handler warnings, in virtual time -----------------------------------------------------


@pytest.fixture
def reactor() -> VirtualReactor:
    return make_reactor(debug=True)


def slow(reactor: VirtualReactor, report: Callable[[SlowCall], object]) -> SlowHandlerWarnings:
    return SlowHandlerWarnings(0.1, report, clock=reactor.clock.now)


def test_a_slow_handler_is_named_with_its_time_and_where_it_was_made(
    reactor: VirtualReactor,
) -> None:
    calls: list[SlowCall] = []
    reactor.set_instrument(slow(reactor, calls.append))
    ours, theirs = memory_socketpair(reactor.demultiplexer)

    def dawdle(ready: int) -> None:
        ours.recv(10)
        reactor.clock.advance(0.25)

    reactor.register(ours, READ, dawdle, name="dawdler")
    theirs.send(b"x")
    reactor.settle()

    [call] = calls
    assert 0.25 == call.seconds
    assert "dawdle" in call.source
    assert "'dawdler'" in call.source
    assert call.site is not None
    assert os.path.basename(__file__) == os.path.basename(call.site.file)
    assert "took 0.250 s" in str(call)


def test_quick_handlers_are_not_reported(reactor: VirtualReactor) -> None:
    calls: list[SlowCall] = []
    reactor.set_instrument(slow(reactor, calls.append))
    reactor.call_soon(reactor.clock.advance, 0.0625)

    reactor.settle()

    assert [] == calls


def test_a_slow_handler_that_raises_is_reported_too(reactor: VirtualReactor) -> None:
    calls: list[SlowCall] = []
    reactor.set_instrument(slow(reactor, calls.append))
    reactor.on_error = lambda context: None

    def dawdle_and_fail() -> None:
        reactor.clock.advance(0.5)
        raise ZeroDivisionError

    reactor.call_soon(dawdle_and_fail)
    reactor.settle()

    assert [0.5] == [call.seconds for call in calls]


def test_slow_handlers_are_logged_by_default(
    reactor: VirtualReactor, caplog: pytest.LogCaptureFixture
) -> None:
    reactor.set_instrument(SlowHandlerWarnings(clock=reactor.clock.now))
    reactor.call_soon(reactor.clock.advance, 1.0)

    reactor.settle()

    assert "took 1.000 s" in caplog.text


def test_several_instruments_are_told_in_their_order(reactor: VirtualReactor) -> None:
    told: list[str] = []

    class Teller(Instrument):
        def __init__(self, name: str) -> None:
            self.name = name

        def before_wait(self, timeout: float | None) -> None:
            told.append(f"{self.name} before_wait")

        def after_wait(self, ready: int) -> None:
            told.append(f"{self.name} after_wait")

        def before_call(self, source: Source, ready: int) -> None:
            told.append(f"{self.name} before_call")

        def after_call(self, source: Source, ready: int) -> None:
            told.append(f"{self.name} after_call")

        def after_turn(self, turn: int, calls: int) -> None:
            told.append(f"{self.name} after_turn")

    reactor.set_instrument(Instruments(Teller("a"), Teller("b")))
    reactor.call_soon(lambda: None)
    reactor.run_once(0)

    phases = ["before_wait", "after_wait", "before_call", "after_call", "after_turn"]
    assert [f"{name} {phase}" for phase in phases for name in "ab"] == told
