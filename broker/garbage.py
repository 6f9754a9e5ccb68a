"""When Python's garbage collector may stop the program.

The idea: Python frees by counting references; the collector is for cycles, which here are left by
connections that ended, 27 objects each. It keeps three generations, and a look at the third one is
a look at everything: with a hundred thousand subscriptions a stop of 50 ms, which comes whenever
the number of objects has grown by a quarter, and so just when somebody subscribes to much.

The two young generations stay as they are. The third is looked at when there is reason to (as many
collections of the second as Python itself would wait for) and not before `RARITY` times the length
of the last stop has passed; where very much is new, the next may take longer than the last, and is
put off further, up to `LONGEST` seconds. What was there before the first client, the modules above
all, is never looked at.

Invariants: full collections take at most one part in `RARITY` of the time, as far as the last one
tells; a process that does nothing collects nothing; `close` puts everything back.

Neighbours: `broker.__main__` alone, since the collector belongs to the process: a broker inside
another program leaves it as it is. Loop thread only.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable

from reactor import Reactor

__all__ = ["Garbage"]

#: Seconds between two looks whether a full collection is due.
LOOK = 1.0

#: The time between two full collections, in lengths of the last one.
RARITY = 200

#: Seconds that what is new may put off a full collection.
LONGEST = 10.0

#: Seconds that one object costs in a full collection.
OBJECT = 1e-7

#: More collections of the second generation than there will ever be.
_NEVER = 1 << 30


class Garbage:
    """Takes the collector's third generation over from Python, until `close`."""

    def __init__(
        self, reactor: Reactor, stopwatch: Callable[[], float] = time.perf_counter
    ) -> None:
        self._now = reactor.now
        self._stopwatch = stopwatch
        self._before = gc.get_threshold()
        first, second, self._enough = self._before
        self._new = OBJECT * first * second  # of what a collection of the second hands on
        gc.freeze()
        gc.set_threshold(first, second, _NEVER)
        self._last = reactor.now()
        self._took = 0.0
        self._timer = reactor.call_every(LOOK, self.look)

    def look(self) -> bool:
        """Collect if that is due; whether it was. O(objects made since the start) if so."""
        new = gc.get_count()[2]
        wait = RARITY * max(self._took, min(LONGEST / RARITY, new * self._new))
        if new <= self._enough or self._now() < self._last + wait:
            return False
        begin = self._stopwatch()
        gc.collect()
        self._last, self._took = self._now(), self._stopwatch() - begin
        return True

    def close(self) -> None:
        """Leave the collector as it was."""
        self._timer.cancel()
        gc.set_threshold(*self._before)
        gc.unfreeze()
