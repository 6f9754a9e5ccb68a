"""The reactor: what a program asks of it, around the turn that does the work.

Asking (`register`, `call_later`, `call_soon` ...), running and stopping, closing, living through a
fork, being embedded in another loop, and telling what it holds. What happens in a turn, and in
which order, is in `reactor.turn`.

Thread-safety: `call_threadsafe`, `call_from_signal` and `stop` may be called from any thread;
everything else belongs to the thread that runs the loop.

Floor 2: stands on `reactor.turn` and floor 1, and is used by everything of floor 3.
"""

from __future__ import annotations

import logging
import os
import threading
import time
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from reactor.clock import Clock, MonotonicClock
from reactor.demux import Demultiplexer, open_demultiplexer
from reactor.errors import (
    LimitError,
    ReactorClosedError,
    ReentryError,
)
from reactor.events import READ
from reactor.handles import Forked, Handle, Handler, HasFileno
from reactor.interrupt import Interruptible
from reactor.sources import GO, Call, Source, new_call
from reactor.timers import Timer
from reactor.trace import SourceRecord, creation_site
from reactor.turn import Turn

_log = logging.getLogger("reactor")

_NEVER: Final = float("inf")

R = TypeVar("R", bound="Reactor")


@dataclass(frozen=True)
class ReactorStats:
    """Counters of one reactor since it was made, and what it holds now."""

    backend: str
    turns: int
    #: Sources called: handlers, timers, deferred calls, signals.
    calls: int
    handles: int
    timers: int
    deferred: int
    #: What was collected but not called, being closed, paused or cancelled by then.
    stale: int
    #: Exceptions handed to `on_error`.
    errors: int


class Reactor(Turn):
    """A reactor. See `reactor.turn` for what a turn does.

    `backend` names a demultiplexer (default: `REACTOR_BACKEND`, else the best that works here);
    `demultiplexer` and `clock` replace them altogether, for tests. `debug` records where timers and
    deferred calls were made and refuses calls from the wrong thread; it costs about a microsecond
    for each.

    Costs: `register`, `call_soon` and cancelling are O(1), `call_later` is O(log n), a turn is
    O(called) plus one wait.
    """

    def __init__(
        self,
        *,
        backend: str | None = None,
        demultiplexer: Demultiplexer | None = None,
        clock: Clock | None = None,
        debug: bool = False,
    ) -> None:
        super().__init__(
            demultiplexer or open_demultiplexer(backend), clock or MonotonicClock(), debug
        )
        #: Whether the last `run` was ended by Ctrl-C.
        self.interrupted = False
        self._watch_wakeup()
        _reactors.add(self)

    def __enter__(self: R) -> R:
        """Return this reactor; it is closed at the end of the block."""
        return self

    def __exit__(self, *exc_info: object) -> None:
        """Close."""
        self.close()

    # --- what to call ---------------------------------------------------------------------------

    def register(
        self,
        fileobj: int | HasFileno,
        interest: int,
        handler: Handler,
        *,
        once: bool = False,
        owned: bool = False,
        name: str = "",
    ) -> Handle:
        """Call `handler(ready)` whenever `fileobj` is ready for any of `interest`.

        `interest` combines READ, WRITE and HANGUP; `once` pauses the handle before each call, until
        `resume`; `owned` has the reactor close `fileobj` after the handle; `name` appears in logs.

        Raises `RegistrationError` if it is closed or registered already, `DescriptorLimitError` if
        this backend cannot watch so large a number. Cost: O(1), one or two system calls.
        """
        self._check()
        if owned and not isinstance(fileobj, int) and not hasattr(fileobj, "close"):
            raise TypeError(f"{fileobj!r} has no close(), so it cannot be owned; pass owned=False")
        handle = Handle(self._handles, fileobj, handler, once=once, owned=owned, name=name)
        self._handles.add(handle, interest)
        if self._hosted and self.demultiplexer.always_ready:
            self._tell_host()  # nothing else would: what is always ready never becomes so
        return handle

    def call_later(self, delay: float, callback: Callable[..., object], *args: Any) -> Timer:
        """Call `callback(*args)` once, `delay` seconds from now, never earlier. O(log n).

        A delay of 0, or less, means the next turn. Raises `LimitError` if it is not finite.
        """
        deadline = self.clock.now() + delay
        if self._careful or not -_NEVER < deadline < _NEVER:
            return self._set(deadline, 0.0, callback, args)
        # What `_set` would do, without its two calls: a timeout for every message is common.
        timer = Timer()
        timer.deadline = deadline
        timer.callback = callback
        timer.args = args
        timer.armed = GO
        timer.fired = 0
        timer.queue = timer.site = None
        self._timers.fresh.append(timer)
        return timer

    def call_at(self, deadline: float, callback: Callable[..., object], *args: Any) -> Timer:
        """Call `callback(*args)` once the reactor's clock has reached `deadline`. O(log n)."""
        return self._set(deadline, 0.0, callback, args)

    def call_every(
        self,
        period: float,
        callback: Callable[..., object],
        *args: Any,
        first: float | None = None,
    ) -> Timer:
        """Call `callback(*args)` every `period` seconds, first after `first` (default: one period).

        Without drift, and without a burst after a pause: periods that passed entirely are skipped
        and counted in `Timer.missed`. O(log n) for each call.
        """
        if not period > 0:
            raise LimitError(f"a period must be more than 0 s, not {period!r}; see call_soon")
        delay = period if first is None else first
        return self._set(self.clock.now() + delay, period, callback, args)

    def call_soon(self, callback: Callable[..., object], *args: Any) -> Call:
        """Call `callback(*args)` in the next turn, in the order of these calls. O(1)."""
        call = Call()  # `new_call`, without calling it
        call.callback = callback
        call.args = args
        call.armed = GO
        call.fired = 0
        call.site = None
        if self._careful:
            self._check_call(call)
        self._deferred.append(call)
        return call

    def call_threadsafe(self, callback: Callable[..., object], *args: Any) -> Call:
        """Like `call_soon`, from any thread or from a signal handler, and wakes the loop.

        The wakeup descriptor is written only if the loop sleeps. Raises `ReactorClosedError` if the
        reactor is closed: what could never run is not accepted.
        """
        call = new_call(callback, args)
        if self.debug:
            call.site = creation_site()
        with self._lock:
            if self.closed:
                raise ReactorClosedError("this reactor is closed and will not call anything again")
            self._deferred.append(call)
            self._rouse()
        return call

    def call_from_signal(self, callback: Callable[..., object], *args: Any) -> None:
        """Call `callback(*args)` in the signals phase of a turn; for a Python signal handler."""
        self._signals.append(new_call(callback, args))

    # --- turning --------------------------------------------------------------------------------

    def run(self) -> None:
        """Turn until `stop` or Ctrl-C, then return.

        It does not return because there is nothing left to wait for. In the main thread Ctrl-C ends
        it at a turn's end, with no handler cut short, and `interrupted` is True afterwards. A
        second Ctrl-C, while a handler does not return, raises KeyboardInterrupt at once.
        """
        with Interruptible(self.wakeup, self.stop) as interrupt:
            try:
                while not self._stopping:
                    self.run_once()
                    if self._deferred:
                        self._run_short()
            finally:
                self._stopping = False
                self.interrupted = interrupt.interrupted

    def run_until(self, predicate: Callable[[], bool], timeout: float | None = None) -> bool:
        """Turn until `predicate()` is true, and return True; or False at `timeout` or `stop`.

        As it is a step of a program and not its end, Ctrl-C raises KeyboardInterrupt, at the turn's
        end.
        """
        expired: list[bool] = []
        timer = None if timeout is None else self.call_later(timeout, expired.append, True)
        with Interruptible(self.wakeup, self.stop) as interrupt:
            try:
                while not (satisfied := predicate()) and not expired and not self._stopping:
                    self.run_once()
            finally:
                if timer is not None:
                    timer.cancel()
        if interrupt.interrupted or not (satisfied or expired):
            self._stopping = False
        if interrupt.interrupted:
            raise KeyboardInterrupt
        return satisfied

    def stop(self) -> None:
        """Make `run` return at the end of its turn. From any thread.

        If the loop does not run, the next `run` returns at once: a stop is never lost.
        """
        with self._lock:
            self._stopping = True
            self._rouse()

    # --- ending ---------------------------------------------------------------------------------

    def close(self, timeout: float = 0.0) -> None:
        """Close everything: handles, their owned descriptors, timers, the demultiplexer.

        Whoever holds a handle with an `on_shutdown` (a stream, a listener) is asked to end it; with
        a `timeout` in seconds the loop turns that long for them to write out what they owe. Then
        whatever is left is closed. Each stream's `on_close` has been called when this returns.
        Idempotent. From within a handler, it raises `ReentryError`: call `stop` there, and close
        after `run`.
        """
        if self.closed:
            return
        if self._running:
            raise ReentryError("close() within a turn; call stop(), and close() after run()")
        if not self._forked:
            self._shut_down(timeout)
        with self._lock:
            self.closed = self._careful = True
        _reactors.discard(self)
        self.demultiplexer.close()
        self.wakeup.close()

    def after_fork(self) -> None:
        """Make this reactor usable in the child of a fork, with all its handles and timers.

        The kernel's set and the wakeup pipe are shared with the parent after a fork: until this is
        called, the child's use of them raises `ForkError`.
        """
        self.demultiplexer.rebuild()
        self._handles.demultiplexer = self.demultiplexer
        self._forked = False
        self._careful = self.debug or self._hosted or self.closed
        if self._thread != threading.get_ident():
            self._running = False  # the thread that was in a turn stayed with the parent
        self._wakeup_handle.close()
        self.wakeup.reopen()
        self._watch_wakeup()

    # --- being embedded -------------------------------------------------------------------------

    def fileno(self) -> int:
        """Return a descriptor that is readable when `run_once(0)` has something to do.

        Another loop watches it, and calls `run_once(0)` then and at `next_deadline()`. From this
        call on, work that is added between turns makes the descriptor readable, too.
        Raises `UnsupportedError` if the backend has none (`select` and `poll`).
        """
        fd = self.demultiplexer.fileno()
        self._hosted = self._careful = True
        return fd

    def next_deadline(self) -> float | None:
        """Return when the next turn is due, on the reactor's clock: at once if work is waiting."""
        if self._ready or self._deferred or self._signals or self._closing or self._dirty:
            return self.clock.now()
        if self.demultiplexer.always_ready:
            return self.clock.now()
        return self._timers.next_deadline()

    # --- insight --------------------------------------------------------------------------------

    def stats(self) -> ReactorStats:
        """Return counters and sizes as a frozen record. O(timers set since the last wait).

        Within a handler, calls of the phase that it is part of are not counted yet.
        """
        return ReactorStats(
            backend=self.demultiplexer.features.name,
            turns=self._turns,
            calls=self._calls,
            handles=len(self._handles) - 1,  # not counting our own wakeup
            timers=len(self._timers),
            deferred=len(self._deferred),
            stale=self._stale,
            errors=self._errors,
        )

    def dump(self) -> list[SourceRecord]:
        """Return a record of everything this reactor may call: `print(*r.dump(), sep="\\n")`.

        O(n log n). Timers and deferred calls know where they were made in debug mode only.
        """
        now = self.clock.now()
        handles = [_record("handle", handle, now) for handle in self._handles]
        timers = [_record("timer", timer, now) for timer in self._timers.waiting()]
        calls = [_record("deferred", call, now) for call in list(self._deferred)]
        return handles + timers + calls

    # --- bookkeeping ----------------------------------------------------------------------------

    def _set(
        self,
        deadline: float,
        period: float,
        callback: Callable[..., object],
        args: tuple[Any, ...],
    ) -> Timer:
        if self.closed or self._forked or self.debug:
            self._check()
        timer = self._timers.add(deadline, callback, args, period)
        if self.debug:
            timer.site = creation_site()
        if self._hosted:
            self._tell_host()
        return timer

    def _check_call(self, call: Call) -> None:
        if self.debug:
            self._check()
            call.site = creation_site()
        if self._hosted:
            self._tell_host()

    def _rouse(self) -> None:
        """Wake the loop if it sleeps. With the lock held, so that only the first one writes."""
        if self._asleep:
            self._asleep = False
            self.wakeup.notify()
        elif self._hosted:
            self._tell_host()

    def _watch_wakeup(self) -> None:
        self._wakeup_handle = self.register(self.wakeup, READ, self._on_wakeup, name="wakeup")

    def _on_wakeup(self, ready: int) -> None:
        if not self.wakeup.drain():
            _log.warning("somebody closed the reactor's wakeup pipe; it was made anew")
            self._wakeup_handle.close()
            self.wakeup.reopen()
            self._watch_wakeup()

    def _shut_down(self, timeout: float) -> None:
        if self._deferred or self._signals:
            self.run_once(0)  # what was accepted is not dropped
        if timeout > 0:
            self._end_handles(force=False)
            deadline = time.monotonic() + timeout
            # The last handle is our own, the wakeup.
            while len(self._handles) > 1 and (left := deadline - time.monotonic()) > 0:
                self.run_once(left)
        self._end_handles(force=True)
        while self._closing or self._dirty:
            self._call_all(self._closing)
            self._call_all(self._dirty)

    def _end_handles(self, *, force: bool) -> None:
        for handle in self._handles:
            if handle.on_shutdown is not None:
                handle.on_shutdown(force)
            if force:
                handle.close()


def _record(kind: str, source: Source, now: float) -> SourceRecord:
    return SourceRecord(
        kind=kind,
        description=source.describe(),
        site=source.site,
        fired=source.fired,
        idle=None if source.last_fired is None else now - source.last_fired,
        due_in=source.deadline - now if isinstance(source, Timer) else None,
    )


_reactors: weakref.WeakSet[Reactor] = weakref.WeakSet()


def _mark_forked() -> None:
    for reactor in _reactors:
        reactor._forked = reactor._careful = True
        reactor._handles.demultiplexer = Forked()
        reactor._asleep = False  # the child must not write to the parent's pipe
        reactor._lock = threading.RLock()  # its owner may be a thread that stayed with the parent


os.register_at_fork(after_in_child=_mark_forked)
