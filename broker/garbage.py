"""When Python's garbage collector may stop the program.

The idea: Python frees by counting references; the collector is for cycles. Connections that end
leave none (`tests/broker/test_cycles.py`), so there is little for it to find, what an exception or
a page in JSON has left; but its looks are stops. One at everything takes 50 ms with a hundred
thousand subscriptions, and Python has one whenever the number of objects has grown by a quarter,
just when somebody subscribes to much. One at what is new takes up to 8 ms where as much goes as
comes, since then Python counts little as new.

So it looks at everything or not at all: when there are `FEW` objects more than there were, and not
before `SELDOM` has passed; at once if they are `MANY`. What was there before the first client, the
modules above all, is never looked at.

Invariants: it takes at most one part in `RARITY` of the time, as far as the last stop tells; a
process that does nothing collects nothing; `close` puts everything back.

Neighbours: `broker.__main__` alone, since the collector belongs to the process: a broker inside
another program leaves it as it is. Loop thread only.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable

from reactor import Reactor

__all__ = ["Garbage"]

#: Seconds between two looks whether a collection is due.
LOOK = 1.0

#: The time between two collections, in lengths of the last one.
RARITY = 200

#: Seconds between two collections at least, unless very much is new.
SELDOM = 60.0

#: Objects that are worth a collection, and so many that it should not wait: some 100 MB.
FEW = 7_000
MANY = 1_000_000


class Garbage:
    """Takes the collector over from Python, until `close`."""

    def __init__(
        self, reactor: Reactor, stopwatch: Callable[[], float] = time.perf_counter
    ) -> None:
        self._now = reactor.now
        self._stopwatch = stopwatch
        self._was_enabled = gc.isenabled()
        gc.freeze()
        gc.disable()
        self._last = reactor.now()
        self._took = 0.0
        self._timer = reactor.call_every(LOOK, self.look)

    def look(self) -> bool:
        """Collect if that is due; whether it was. O(objects made since the start) if so."""
        new = gc.get_count()[0]  # made, less those that were freed
        wait = RARITY * self._took
        if new < MANY:
            wait = max(wait, SELDOM)
        if new < FEW or self._now() < self._last + wait:
            return False
        begin = self._stopwatch()
        gc.collect()
        self._last, self._took = self._now(), self._stopwatch() - begin
        return True

    def close(self) -> None:
        """Leave the collector as it was."""
        self._timer.cancel()
        gc.unfreeze()
        if self._was_enabled:
            gc.enable()
