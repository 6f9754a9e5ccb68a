"""One turn of a reactor: wait, collect, call. This is the pattern; the rest is comfort.

The order that is promised (`tests/reactor/test_turn_order.py` holds it, docs/turn.md draws it):

    flush     what was written between turns
    wait      until a handle is ready, a timer is due, or somebody wakes the loop
    collect   ready handles, in the kernel's order
              due timers, by deadline, first-in first-out among equals
              deferred calls, first-in first-out
              signals
    call      all that was collected, one after the other
    close     what was closed in this turn, and the callbacks that tell of it
    flush     what was written in this turn

Everything is collected before anything is called. So what a handler adds, runs in the next turn: a
timer of no delay cannot starve the handles, nor can deferred calls that defer further calls. And
what a handler closes, pauses or cancels is not called any more, although it had been collected.

Handlers run in one thread, one at a time, and are never interrupted by one another. One that raises
is reported to `on_error`, and the loop goes on; KeyboardInterrupt and SystemExit leave the turn,
and what was collected and not yet called is kept for the next one.

Floor 2: uses everything of floor 1; `reactor.loop` makes a `Reactor` of it.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from threading import get_ident

from reactor.budgets import SHORT_TURNS
from reactor.clock import Clock
from reactor.demux import Demultiplexer
from reactor.errors import ForkError, ReactorClosedError, ReentryError, WrongThreadError
from reactor.events import HANGUP, names
from reactor.handles import Handle, HandleTable
from reactor.sources import GO, Call, Source, new_call
from reactor.timers import TimerQueue
from reactor.trace import ErrorContext, Instrument, Traced
from reactor.wakeup import Wakeup

_log = logging.getLogger("reactor")

Batch = list[tuple[Source, int]]


class Turn:
    """What a reactor waits for and calls, and the one method that does it: `run_once`."""

    def __init__(self, demultiplexer: Demultiplexer, clock: Clock, debug: bool) -> None:
        self.clock = clock
        self.demultiplexer = demultiplexer
        self.debug = debug
        self.closed = False
        #: Called with every exception that a handler lets out. The default logs it.
        self.on_error: Callable[[ErrorContext], object] = _log_error

        self._handles = HandleTable(demultiplexer, self.on_closing)
        self._timers = TimerQueue()
        self._deferred: deque[Call] = deque()
        self._signals: deque[Call] = deque()
        self._ready: Batch = []
        self._closing: Batch = []
        self._dirty: Batch = []

        self._now = clock.now()
        self._stopping = False
        self._running = False
        self._thread: int | None = None
        self._forked = False
        self._instrument: Instrument | None = None

        self._lock = threading.RLock()
        self._asleep = False
        self.wakeup = Wakeup()
        self._hosted = False
        # Whether calls and timers need more than to be noted: any of debug, hosted, closed, forked.
        self._careful = debug

        self._turns = 0
        self._calls = 0
        self._stale = 0
        self._errors = 0
        # For `explain_last_wakeup`: the last timeout, its events, due timers and waiting calls.
        self._waited: float | None = None
        self._found: Batch = []
        self._due = 0
        self._called = 0
        # Deferred calls of this turn, which are called straight from their queue.
        self._collected = 0

    def now(self) -> float:
        """Return this turn's time: read once, after the wait. Costs an attribute, not a call."""
        return self._now

    def run_once(self, timeout: float | None = None) -> int:
        """Do one turn, waiting at most `timeout` seconds, and return how many sources were called.

        Raises `ReentryError` if this reactor is in a turn already, in whatever thread.
        """
        if self._running:
            raise ReentryError("this reactor is in a turn already; handlers must return to it")
        if self.closed or self._forked:
            self._check()
        self._running = True
        self._thread = get_ident()
        before = self._calls
        try:
            if self._dirty:
                self._call_all(self._dirty)
            self._gather(timeout)
            if self._ready:
                self._call_all(self._ready)
            if self._collected:
                self._call_deferred(1, 0.0)
            if self._closing:
                self._call_all(self._closing)
            if self._dirty:
                self._call_all(self._dirty)
        except BaseException:
            self._keep_collected()
            raise
        finally:
            self._running = False
        self._turns += 1
        if self._instrument is not None:
            self._instrument.after_turn(self._turns, self._calls - before)
        return self._calls - before

    def _run_short(self) -> None:
        """Do turns of deferred calls alone, while there are any: after `run_once`, within limits.

        What a deferred call defers runs in the next turn, and asking the kernel in each of those
        would be nearly all that they cost. See `SHORT_TURNS` for how long it is left out.
        """
        most, seconds = SHORT_TURNS
        until = self._now + seconds
        now = self.clock.now()
        if now > until or self._stopping or self._signals or self._instrument is not None:
            return
        self._now = now
        self._running = True
        try:
            self._collected = len(self._deferred)
            self._call_deferred(most, until)
            if self._closing:
                self._call_all(self._closing)
            if self._dirty:
                self._call_all(self._dirty)
        except BaseException:
            self._keep_collected()
            raise
        finally:
            self._running = False

    def _gather(self, timeout: float | None) -> None:
        """Wait, and put what is to be called into `_ready`, behind what an earlier turn left."""
        ready, timers, instrument = self._ready, self._timers, self._instrument
        deadline = timers.next_deadline() if timers.heap or timers.fresh else None
        if ready or self._deferred or self._signals:
            timeout = 0  # there is work already, perhaps left over from a turn that was cut short
        elif deadline is not None:
            left = max(deadline - self.clock.now(), 0)
            timeout = left if timeout is None else min(left, timeout)
        self._waited = timeout
        if instrument is not None:
            instrument.before_wait(timeout)
        if timeout != 0:
            # First say that we sleep, then look for a reason not to. Whoever adds work does it in
            # the opposite order, first add, then look whether we sleep: so one of the two notices,
            # and no lock is needed.
            self._asleep = True
            if self._deferred or self._signals or self._closing or self._stopping:
                timeout = 0
        try:
            self._found = events = self.demultiplexer.wait(timeout)
        finally:
            self._asleep = False
        self._now = now = self.clock.now()
        ready += events
        self._due = self._called = 0
        if deadline is not None and deadline <= now:
            due = timers.due(now)
            ready += [(timer, GO) for timer in due]
            self._due = len(due)
        if self._deferred or self._signals:
            # Other threads may defer more meanwhile: as many as there are now.
            self._collected = len(self._deferred)
            self._called = self._collected + len(self._signals)
            if self._signals or instrument is not None:
                self._keep_collected()
                self._take(self._signals, len(self._signals))
        if instrument is not None:
            instrument.after_wait(len(events))
            self._wrap(ready, instrument)

    def _keep_collected(self) -> None:
        """Put the deferred calls of this turn into the batch, in front of all that is to come."""
        count, self._collected = self._collected, 0
        self._take(self._deferred, count)

    def _take(self, queue: deque[Call], count: int) -> None:
        self._ready += [(queue.popleft(), GO) for _ in range(count)]

    def _call_deferred(self, turns: int, until: float) -> None:
        """Call the deferred calls of this turn straight from their queue.

        As `_call_all` would, which needs a batch of them: making it would be a third of the cost.
        Go on with those that were deferred meanwhile, for up to `turns` turns, while the clock has
        not passed `until` and there is nothing else to do.
        """
        deferred = self._deferred
        take = deferred.popleft
        count = left = self._collected
        called = 0
        try:
            while True:
                for left in range(count - 1, -1, -1):  # noqa: B007 - it is used when a call leaves
                    call = take()
                    if not call.armed:
                        self._stale += 1
                        called -= 1
                        continue
                    call.armed = 0
                    call.fired = 1
                    try:
                        call.callback(*call.args)  # what `call.fire` would do
                    except Exception as error:
                        self.report(ErrorContext(error, call, GO))
                called += count
                turns -= 1
                if turns <= 0 or not deferred or self._closing or self._dirty:
                    break
                self._now = now = self.clock.now()
                if now > until or self._stopping or self._signals:
                    break
                count = left = len(deferred)
        except BaseException:
            called += count - left
            raise
        finally:
            self._calls += called
            self._collected = left

    def _call_all(self, batch: Batch) -> None:
        """Call the sources of a batch. All but most deferred calls are called from here.

        What is added to the batch meanwhile is called as well; so are closing callbacks that close
        further things. If one leaves the loop, the rest stays in the batch.
        """
        now = self._now
        rest = iter(batch)
        stale = 0
        try:
            for source, ready in rest:
                ready &= source.armed
                if ready < GO:  # an event of a handle, or nothing any more
                    if not ready:
                        stale += 1
                        continue
                    source.fired += 1
                    source.last_fired = now
                    if ready & HANGUP:
                        self._note_hangup(source)
                try:
                    fire = source.fire
                    fire(ready)
                except Exception as error:
                    self.report(ErrorContext(error, source, ready))
        except BaseException:
            left = list(rest)
            self._calls += len(batch) - len(left) - stale
            self._stale += stale
            batch[:] = left
            raise
        self._calls += len(batch) - stale
        if stale:
            self._stale += stale
        batch.clear()

    def _note_hangup(self, source: Source) -> None:
        handle = source.source if isinstance(source, Traced) else source
        assert isinstance(handle, Handle), "nothing else is ever hung up"
        self._handles.note_hangup(handle, self._turns)

    def flush_later(self, flusher: Source) -> None:
        """Have `flusher` fired at this turn's end, or before the next wait, once. O(1).

        For I/O only: whatever a program hears of it is to be deferred by `call_soon`.
        """
        if not flusher.armed:
            flusher.armed = GO
            self._dirty.append((flusher, GO))
            if self._hosted:
                self._tell_host()

    def on_closing(self, callback: Callable[..., object], *args: object) -> None:
        """Call `callback(*args)` in this turn's closing phase, after all handlers. O(1)."""
        self._closing.append((new_call(callback, args), GO))
        if self._hosted:
            self._tell_host()

    # --- insight --------------------------------------------------------------------------------

    def set_instrument(self, instrument: Instrument | None) -> None:
        """Have `instrument` told of every phase and call from the next turn on; None to end it."""
        self._instrument = instrument

    def explain_last_wakeup(self) -> str:
        """Say in words why the last wait ended."""
        reasons = [
            f"{names(mask)} on {source.describe()}, made at {source.site}"
            for source, mask in self._found
        ]
        if self._due:
            reasons.append(f"{self._due} timer(s) due")
        if self._called:
            reasons.append(f"{self._called} deferred call(s)")
        limit = "without limit" if self._waited is None else f"at most {self._waited:.6f} s"
        return f"turn {self._turns} waited {limit}: {'; '.join(reasons) or 'nothing happened'}"

    # --- bookkeeping ----------------------------------------------------------------------------

    def report(self, context: ErrorContext) -> None:
        """Hand an error to `on_error`, and make sure that it is not lost if that fails too.

        For floor 3, where one event serves several handlers and each must be isolated.
        """
        self._errors += 1
        try:
            self.on_error(context)
        except Exception:
            _log.exception("on_error failed")
            _log_error(context)

    def _check(self) -> None:
        if self.closed:
            raise ReactorClosedError("this reactor is closed; make a new one")
        if self._forked:
            raise ForkError(
                "the process was forked: call after_fork() in the child before this reactor is used"
            )
        if self.debug and self._running and self._thread != get_ident():
            raise WrongThreadError(
                "this reactor is running in another thread; use call_threadsafe() to reach it"
            )

    def _tell_host(self) -> None:
        if not self._running:
            self.wakeup.notify()

    def _wrap(self, batch: Batch, instrument: Instrument) -> None:
        batch[:] = [
            (source if isinstance(source, Traced) else Traced(source, instrument), ready)
            for source, ready in batch
        ]


def _log_error(context: ErrorContext) -> None:
    _log.error("%s", context, exc_info=context.error)
