"""Who blocks the loop? A thread that looks at it, and an instrument that times each handler.

The idea: a handler that takes long stops every other one, and nothing in the loop can say so while
it happens, for the loop itself is what is stopped. So somebody outside looks on. When one turn has
lasted longer than a threshold, the watchdog takes the loop's *stack*, which names the very line
that blocks, and reports it, while it is blocking and once for each such turn. `SlowHandlerWarnings`
is its quiet companion: it runs in the loop's thread, and names each slow handler after the fact,
with the exact time that it took.

Both are instruments (see `reactor.trace`), and a reactor takes one; `Instruments` makes one of
several. None of this costs a loop anything that does not use it.

Invariants: one turn is reported at most once; time asleep in the demultiplexer never counts, nor
does the time between two turns of an embedded reactor.

Floor 3: imports the loop and `reactor.trace`.
"""

from __future__ import annotations

import logging
import sys
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from types import FrameType

from reactor.errors import LimitError
from reactor.loop import Reactor
from reactor.sources import Source
from reactor.trace import Instrument, Site

_log = logging.getLogger("reactor")

#: How often the watchdog looks within one threshold; a report comes at most 1/LOOKS too late.
LOOKS = 4


@dataclass(frozen=True)
class BlockedLoop:
    """What a watchdog has seen."""

    #: How long the turn had lasted when its stack was taken.
    seconds: float
    #: What was being called, and where that was made; empty and None between two calls.
    source: str
    site: Site | None
    #: The stack of the loop's thread, outermost call first.
    stack: traceback.StackSummary

    def __str__(self) -> str:
        made = f", made at {self.site}" if self.site else ""
        return (
            f"the loop has been blocked for {self.seconds:.3f} s by"
            f" {self.source or 'something between two calls'}{made}:\n"
            + "".join(self.stack.format())
        )


@dataclass(frozen=True)
class SlowCall:
    """A call that took long."""

    seconds: float
    source: str
    site: Site | None

    def __str__(self) -> str:
        made = f", made at {self.site}" if self.site else ""
        return f"{self.source} took {self.seconds:.3f} s{made}; meanwhile nothing else was served"


class Instruments(Instrument):
    """Several instruments as one: each is told, in this order."""

    def __init__(self, *instruments: Instrument) -> None:
        self._instruments = instruments

    def before_wait(self, timeout: float | None) -> None:
        """Pass it on."""
        for instrument in self._instruments:
            instrument.before_wait(timeout)

    def after_wait(self, ready: int) -> None:
        """Pass it on."""
        for instrument in self._instruments:
            instrument.after_wait(ready)

    def before_call(self, source: Source, ready: int) -> None:
        """Pass it on."""
        for instrument in self._instruments:
            instrument.before_call(source, ready)

    def after_call(self, source: Source, ready: int) -> None:
        """Pass it on."""
        for instrument in self._instruments:
            instrument.after_call(source, ready)

    def after_turn(self, turn: int, calls: int) -> None:
        """Pass it on."""
        for instrument in self._instruments:
            instrument.after_turn(turn, calls)


class SlowHandlerWarnings(Instrument):
    """Reports every call that takes `threshold` seconds or longer, after it has returned.

    `report` is called in the loop's thread with a `SlowCall`; the default logs a warning. `clock`
    is for tests. Costs about 2 us for each call of the loop while it is set.
    """

    def __init__(
        self,
        threshold: float = 0.1,
        report: Callable[[SlowCall], object] | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._threshold = _positive(threshold)
        self._report = report or _log_warning
        self._clock = clock
        self._name = ""
        self._began = 0.0

    def before_call(self, source: Source, ready: int) -> None:
        """Note the time."""
        # Asked before the call: afterwards a one-shot timer has let go of its callback.
        self._name = _describe(source)
        self._began = self._clock()

    def after_call(self, source: Source, ready: int) -> None:
        """Report it if it took long."""
        seconds = self._clock() - self._began
        if seconds >= self._threshold:
            self._report(SlowCall(seconds, self._name, source.site))


class Watchdog(Instrument):
    """Reports a turn that lasts longer than `threshold` seconds, while it lasts, with the stack.

        with Watchdog(reactor, 0.5):
            reactor.run()

    `on_blocked` is called in the watchdog's own thread with a `BlockedLoop`; the default logs a
    warning. Entering the block sets the reactor's instrument and starts the thread; leaving it
    undoes both. To use it together with other instruments, give them as `also`.

    Costs about a microsecond for each turn and for each call, and a thread that wakes up four times
    within each threshold.
    """

    def __init__(
        self,
        reactor: Reactor,
        threshold: float = 0.5,
        on_blocked: Callable[[BlockedLoop], object] | None = None,
        *,
        also: Instrument | None = None,
    ) -> None:
        self._reactor = reactor
        self._threshold = _positive(threshold)
        self._on_blocked = on_blocked or _log_warning
        self._instrument = self if also is None else Instruments(self, also)
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None
        # The loop's thread writes this, ours reads it: one assignment of one tuple, so that a time
        # and a thread of different turns are never seen together. None: asleep, or between turns.
        self._turn: tuple[float, int] | None = None
        self._source: Source | None = None

    def start(self) -> None:
        """Begin to watch. Loop thread, or before the loop runs."""
        if self._thread is not None:
            raise RuntimeError("this watchdog is watching already; stop it first")
        self._ended.clear()
        self._reactor.set_instrument(self._instrument)
        self._thread = threading.Thread(target=self._watch, name="reactor-watchdog", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop watching, and wait for the watchdog's thread. Idempotent. Not from `on_blocked`."""
        thread, self._thread = self._thread, None
        if thread is not None:
            self._reactor.set_instrument(None)
            self._ended.set()
            thread.join()

    def __enter__(self) -> Watchdog:
        """Start."""
        self.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        """Stop."""
        self.stop()

    # --- the loop's thread ----------------------------------------------------------------------

    def before_wait(self, timeout: float | None) -> None:
        """Asleep: the time does not count."""
        self._turn = None

    def after_wait(self, ready: int) -> None:
        """Awake: from here on it counts."""
        self._turn = (time.monotonic(), threading.get_ident())

    def before_call(self, source: Source, ready: int) -> None:
        """Note who is called."""
        self._source = source

    def after_call(self, source: Source, ready: int) -> None:
        """Note that nobody is."""
        self._source = None

    def after_turn(self, turn: int, calls: int) -> None:
        """Between turns: the time does not count."""
        self._turn = None

    # --- the watchdog's thread ------------------------------------------------------------------

    def _watch(self) -> None:
        reported = None
        while not self._ended.wait(self._threshold / LOOKS):
            turn = self._turn
            if turn is None or turn is reported:
                continue
            began, thread = turn
            seconds = time.monotonic() - began
            if seconds >= self._threshold:
                reported = turn
                self._look_at(thread, seconds)

    def _look_at(self, thread: int, seconds: float) -> None:
        frame = sys._current_frames().get(thread)
        # A turn that an exception has ended has no `after_turn`: see whether it still goes on.
        if frame is None or not _is_turning(frame):
            return
        source = self._source
        stack = traceback.StackSummary.extract(traceback.walk_stack(frame))
        stack.reverse()
        name = "" if source is None else _describe(source)
        blocked = BlockedLoop(seconds, name, None if source is None else source.site, stack)
        try:
            self._on_blocked(blocked)
        except Exception:
            _log.exception("on_blocked failed")


def _is_turning(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code is Reactor.run_once.__code__:
            return True
        frame = frame.f_back
    return False


def _describe(source: Source) -> str:
    """Say what a source is, and for a handle also whom it calls."""
    handler = getattr(source, "handler", None)
    if handler is None:
        return source.describe()
    return f"{getattr(handler, '__qualname__', repr(handler))}, {source.describe()}"


def _positive(threshold: float) -> float:
    if not threshold > 0:
        raise LimitError(f"a threshold must be more than 0 s, not {threshold!r}")
    return threshold


def _log_warning(seen: BlockedLoop | SlowCall) -> None:
    _log.warning("%s", seen)
