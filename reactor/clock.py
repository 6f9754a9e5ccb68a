"""Time, as something that is handed in.

A reactor never asks the operating system for the time: it asks its clock. A program gives it the
monotonic clock, a test gives it a `ManualClock` and turns the hands itself, so tests never sleep.
Wall-clock time does not appear anywhere: it jumps, and a delay must not.

Floor 1: imports nothing of ours; anyone may import it.
"""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """Anything that tells a time in seconds that never runs backwards."""

    def now(self) -> float:
        """Return the time in seconds since some fixed moment."""
        ...


class MonotonicClock:
    """The machine's monotonic clock (`CLOCK_MONOTONIC`).

    It stands still while the machine is suspended: a ten-second timer set before an hour's suspend
    fires after ten seconds of wakefulness. Thread-safe; one call costs about 40 ns.
    """

    __slots__ = ("now",)

    def __init__(self) -> None:
        # The C function itself, so that asking for the time does not pass through a Python frame.
        self.now = time.monotonic


class ManualClock:
    """A clock that moves only when it is told to; for tests and simulations.

    Not thread-safe: the test that owns it turns it.
    """

    __slots__ = ("_now",)

    def __init__(self, start: float = 0.0) -> None:
        self._now = start

    def now(self) -> float:
        """Return the time that was last set, in seconds."""
        return self._now

    def advance(self, seconds: float) -> None:
        """Move forward by `seconds`; ValueError if that is negative: it is monotonic."""
        if seconds < 0:
            raise ValueError(f"a monotonic clock cannot go back: advance({seconds!r})")
        self._now += seconds

    def set(self, now: float) -> None:
        """Move forward to exactly `now`; ValueError if that lies in the past."""
        if now < self._now:
            raise ValueError(f"a monotonic clock cannot go back: set({now!r}) at {self._now!r}")
        self._now = now
