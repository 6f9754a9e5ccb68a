"""Signals, with handlers that run on the loop like any other.

The idea: a signal handler proper may run between any two bytecodes, so it may do almost nothing.
Ours notes the signal's number, posts one call to the loop and wakes it; what the program wants to
do about it is called in the signals phase of a turn, where it may use all of the reactor.

**The special problem of a signal between the check and the wait.** A Python-level handler runs only
when the interpreter next looks, and a loop that is about to sleep does not look. So the
interpreter's C handler is given the loop's wakeup pipe (`signal.set_wakeup_fd`): its byte ends the
wait. The bytes are a boolean and are thrown away; which signals came is in the set of noted
numbers. So a burst that overflows the pipe loses nothing. Signals of one number that come before
the loop gets to them are one call, as with the kernel's own pending set: a handler learns *that* it
happened, not how often.

Invariants: while a signal has a watch, its disposition is ours; when its last watch is closed, what
was there before is back, unless somebody replaced ours in the meantime, who then keeps theirs. The
same holds for the wakeup descriptor and the last watch of all. A process has one wakeup descriptor,
so one reactor at a time has watches.

Neighbours: `reactor.wakeup` lends the pipe; `reactor.loop` has the phase; `reactor.interrupt` looks
after Ctrl-C for a program that has no watch for SIGINT. Floor 3. Main thread only, because Python
installs and runs signal handlers in no other. The reactor itself may run in any thread: then make
the watches before it starts there, and close them after it has stopped.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import TYPE_CHECKING, Any, Final

from reactor.errors import LimitError, ReactorError, WrongThreadError
from reactor.trace import ErrorContext, Site, creation_site

if TYPE_CHECKING:
    from reactor.loop import Reactor

#: These say that the instruction just executed cannot go on. A handler on the loop would return to
#: it, and meet it again, for ever.
_SYNCHRONOUS: Final = frozenset({signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL})


class SignalWatch:
    """One handler for one signal. Made by `on_signal`; main thread only.

    It stands in for the loop's source where an exception of its handler is reported.
    """

    __slots__ = ("_handler", "_hub", "armed", "fired", "last_fired", "signum", "site")

    def __init__(self, hub: _Hub, signum: int, handler: Callable[[int], object]) -> None:
        self._hub = hub
        self._handler = handler
        self.signum = signum
        self.armed = 1
        #: How often the handler was called.
        self.fired = 0
        self.last_fired: float | None = None
        self.site: Site | None = creation_site()

    @property
    def closed(self) -> bool:
        """Whether it is closed. It never comes back."""
        return not self.armed

    def close(self) -> None:
        """Stop watching: the handler is not called again, even for a signal that has come already.

        The last watch of a signal restores what the signal did before. Idempotent; legal within
        any handler that runs in the main thread, `WrongThreadError` elsewhere.
        """
        if self.armed:
            _check_thread()
            self.armed = 0
            self._hub.remove(self)

    def fire(self, ready: int) -> None:
        """Call the handler; the loop's, not yours."""
        self._handler(self.signum)

    def describe(self) -> str:
        """Return what this is, for a log line."""
        return f"watch for {_name(self.signum)}"


def on_signal(reactor: Reactor, signum: int, handler: Callable[[int], object]) -> SignalWatch:
    """Call `handler(signum)` on the loop, in the signals phase of a turn, when the signal comes.

    A signal may have several watches; they are called in the order in which they were made. Several
    signals of one number before the loop gets to them are one call. Closing the watch, or the
    reactor, restores what the signal did before. What the handler raises goes to `on_error`.

    Main thread only: raises `WrongThreadError` elsewhere. Raises `LimitError` for a signal that
    does not exist or cannot be watched, and `ReactorError` while another reactor watches signals.
    Costs a few system calls; each signal costs one write. A reactor that has watches is to be
    closed in the main thread.
    """
    global _hub
    _check_thread()
    _check_signal(signum)
    if _hub is not None and _hub.reactor is not reactor:
        if _hub.in_use:
            raise ReactorError(
                "another reactor watches signals, and a process can wake only one by them;"
                " close its watches first, or watch all signals on one reactor"
            )
        _hub.close()
    hub = _hub or _Hub(reactor)
    try:
        watch = hub.add(signum, handler)
    except BaseException:
        if not hub.watches:
            hub.close()
        raise
    _hub = hub
    return watch


class _Hub:
    """All signal watches of the process, and what was there before them."""

    def __init__(self, reactor: Reactor) -> None:
        self.reactor = reactor
        self.watches: dict[int, list[SignalWatch]] = {}
        self._previous: dict[int, Any] = {}
        self._pending: set[int] = set()
        self._open = True
        self._process = os.getpid()
        # A parked handle on a descriptor of our own, which never reports anything, so that the
        # reactor tells us when it is closed, and `dump` shows that signals are watched.
        parked = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        self._handle = reactor.register(parked, 0, _never, owned=True, name="signals")
        self._handle.on_shutdown = self._shut_down
        reactor.wakeup.adopt_signals()

    @property
    def in_use(self) -> bool:
        """Whether the reactor is open, and this process not a child that inherited its memory."""
        return not self.reactor.closed and self._process == os.getpid()

    def add(self, signum: int, handler: Callable[[int], object]) -> SignalWatch:
        """Add a watch; the first of its signal replaces the signal's disposition."""
        if signum not in self.watches:
            self._previous[signum] = signal.signal(signum, self._note)
            self.watches[signum] = []
        watch = SignalWatch(self, signum, handler)
        self.watches[signum].append(watch)
        return watch

    def remove(self, watch: SignalWatch) -> None:
        """Take a watch out; the last of its signal restores the signal's disposition."""
        others = self.watches[watch.signum]
        others.remove(watch)
        if not others:
            self._restore(watch.signum)
        if not self.watches:
            self.close()

    def close(self) -> None:
        """Give everything back. Idempotent."""
        global _hub
        if not self._open:
            return
        self._open = False
        for watch in [watch for watches in self.watches.values() for watch in watches]:
            watch.armed = 0
        for signum in list(self.watches):
            self._restore(signum)
        self.reactor.wakeup.release_signals()
        self._handle.close()
        if _hub is self:
            _hub = None

    def _restore(self, signum: int) -> None:
        del self.watches[signum]
        previous = self._previous.pop(signum)
        # Bound methods are made anew each time, so they are compared by value.
        if signal.getsignal(signum) == self._note:
            # None says that the handler was not installed by Python, which cannot put it back.
            signal.signal(signum, signal.SIG_DFL if previous is None else previous)

    def _note(self, signum: int, frame: FrameType | None) -> None:
        """Be the signal handler: note, post, wake."""
        if signum not in self._pending and not self.reactor.closed:
            self._pending.add(signum)
            self.reactor.call_from_signal(self._deliver, signum)
            # The C handler has written already, but a reactor in another thread may have read that
            # before the call above was there to be found.
            self.reactor.wakeup.notify()

    def _deliver(self, signum: int) -> None:
        # Before the handlers run: a signal that comes meanwhile is news, and gets a call of its
        # own.
        self._pending.discard(signum)
        now = self.reactor.now()
        for watch in list(self.watches.get(signum, ())):
            if not watch.armed:
                continue
            watch.fired += 1
            watch.last_fired = now
            try:
                watch.fire(watch.armed)
            except Exception as error:
                # Reported and not raised: the other watches of this signal are still to be called.
                self.reactor.report(ErrorContext(error, watch, watch.armed))

    def _shut_down(self, _force: bool) -> None:
        # Better to refuse than to leave the interpreter with a pipe that is about to be closed.
        _check_thread()
        self.close()


_hub: _Hub | None = None


def _never(_ready: int) -> None:
    """Be the handler of a handle that watches for nothing."""


def _check_thread() -> None:
    if threading.current_thread() is not threading.main_thread():
        raise WrongThreadError(
            "signals can be watched, and watches closed, in the main thread only, because Python"
            " handles signals in no other; do it there, for a reactor that may run in any thread"
        )


def _check_signal(signum: int) -> None:
    if signum not in signal.valid_signals():
        raise LimitError(f"there is no signal {signum!r}; see signal.valid_signals()")
    if signum in (signal.SIGKILL, signal.SIGSTOP):
        raise LimitError(f"{_name(signum)} cannot be watched; the kernel does not let any program")
    if signum in _SYNCHRONOUS:
        raise LimitError(
            f"{_name(signum)} says that the program itself is broken, and would come again at once"
            " after a handler; see the module faulthandler"
        )


def _name(signum: int) -> str:
    try:
        return signal.Signals(signum).name
    except ValueError:
        return f"signal {signum}"
