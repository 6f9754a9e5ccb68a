"""Ctrl-C, without a handler cut in half.

Python's own reaction to SIGINT raises `KeyboardInterrupt` at whatever bytecode the main thread has
reached: in the middle of a handler, or between two steps of the loop's own bookkeeping. While a
loop runs in the main thread, the first Ctrl-C is instead noted, and asks the loop to stop at its
turn's end. A second Ctrl-C, which says that the handler does not end, is raised at once.

A program that installed a SIGINT handler of its own keeps it.

Floor 1: used by the loop only.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from types import FrameType

from reactor.wakeup import Wakeup


class Interruptible:
    """A block in which Ctrl-C calls `stop`, once, and is noted in `interrupted`.

    `wakeup` is given the signals for that time, so that a signal always ends the loop's sleep. In
    any other thread than the main one this does nothing, as signals arrive in that one only.
    """

    __slots__ = ("_installed", "_stop", "_wakeup", "interrupted")

    def __init__(self, wakeup: Wakeup, stop: Callable[[], None]) -> None:
        self._wakeup = wakeup
        self._stop = stop
        self._installed = False
        self.interrupted = False

    def __enter__(self) -> Interruptible:
        """Take SIGINT over, unless the program has a handler of its own."""
        if threading.current_thread() is threading.main_thread():
            self._wakeup.adopt_signals()
            if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
                signal.signal(signal.SIGINT, self._note)
            self._installed = True
        return self

    def __exit__(self, *exc_info: object) -> None:
        """Give everything back."""
        if self._installed:
            if signal.getsignal(signal.SIGINT) == self._note:
                signal.signal(signal.SIGINT, signal.default_int_handler)
            self._wakeup.release_signals()

    def _note(self, signum: int, frame: FrameType | None) -> None:
        if self.interrupted:
            signal.default_int_handler(signum, frame)
        self.interrupted = True
        self._stop()
