"""Ctrl-C, without a handler cut in half.

Python's own reaction to SIGINT raises `KeyboardInterrupt` at whatever bytecode the main thread has
reached: in the middle of a handler, or between two steps of the loop's own bookkeeping. While a
loop runs in the main thread, the first Ctrl-C is instead noted, and asks the loop to stop at its
turn's end; `KeyboardInterrupt` is raised then, from `run()`. A second Ctrl-C, which says that the
handler does not end, is raised at once.

A program that installed a SIGINT handler of its own keeps it.

Floor 1: used by the loop only.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from reactor.wakeup import Wakeup


@contextmanager
def interruptible(wakeup: Wakeup, stop: Callable[[], None]) -> Iterator[None]:
    """Within this block, Ctrl-C calls `stop`; KeyboardInterrupt is raised at the block's end.

    `wakeup` is given the signals for that time, so that a signal always ends the loop's sleep. In
    any other thread than the main one this does nothing, as signals arrive in that one only.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    interrupted = False

    def note(signum: int, frame: FrameType | None) -> None:
        nonlocal interrupted
        if interrupted:
            signal.default_int_handler(signum, frame)
        interrupted = True
        stop()

    ours = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    wakeup.adopt_signals()
    try:
        if ours:
            signal.signal(signal.SIGINT, note)
        yield
    finally:
        if ours and signal.getsignal(signal.SIGINT) is note:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        wakeup.release_signals()
    if interrupted:
        raise KeyboardInterrupt
