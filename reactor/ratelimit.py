"""A token bucket: how many bytes may pass now, and when more may.

A `TokenBucket` holds at most `burst` tokens and gains `rate` of them a second; a byte costs one. So
over any span of `t` seconds at most ``burst + rate * t`` bytes pass, and a quiet spell saves up no
more than one burst. A bucket knows no stream and no timer: it is handed the time and it answers;
the stream that wears it stops reading (or writing) until tokens are back. One bucket may be shared
by many streams of one reactor, which then have the rate between them.

A `Throttle` is one direction of one stream wearing a bucket: it asks for tokens, and when there are
none it sets a timer to call back when there are.

The idea is the classical one of traffic shaping (Turner 1986; RFC 2697 describes a relative).

Floor 3: imports the loop and floor 1. Used by `reactor.stream`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

from reactor.errors import LimitError
from reactor.loop import Reactor
from reactor.timers import Timer

#: A stream that ran out of tokens waits until it may move this many seconds' worth of bytes, not
#: until a single one is back: below it a fast limit would fire a timer for every few bytes.
_TICK: Final = 0.01

#: Tokens that floating point may have lost on the way.
_ROUNDING: Final = 1e-6


class TokenBucket:
    """`rate` bytes per second, with bursts of up to `burst` bytes. Begins full.

    `quantum` is the number of bytes worth waiting for (10 ms worth, at least 1, at most `burst`);
    `promised` is how many those who wait have coming to them.
    Raises `LimitError` for a rate that is not positive and finite, or a burst below 1. Not
    thread-safe; all operations are O(1).
    """

    __slots__ = ("_level", "_updated", "burst", "promised", "quantum", "rate")

    def __init__(self, rate: float, burst: int) -> None:
        if not (0 < rate < math.inf and burst >= 1):
            raise LimitError(
                "a token bucket needs a positive, finite rate (bytes per second) and a burst of"
                f" at least 1 byte, not rate={rate!r}, burst={burst!r}"
            )
        self.rate = rate
        self.burst = burst
        self.quantum = max(1, min(burst, int(rate * _TICK)))
        self.promised = 0
        self._level = float(burst)
        self._updated = -math.inf

    def take(self, wanted: int, now: float) -> int:
        """Take up to `wanted` tokens at time `now` (seconds); return how many were granted."""
        granted = min(wanted, self.available(now))
        self._level -= granted
        return granted

    def available(self, now: float) -> int:
        """Return how many tokens there are at time `now`."""
        self._refill(now)
        # Waiting for exactly one token must find it, whatever rounding did to the sum.
        return int(self._level + _ROUNDING)

    def put_back(self, count: int) -> None:
        """Return tokens that were granted and not used."""
        self._level = min(self.burst, self._level + count)

    def delay(self, wanted: int, now: float) -> float:
        """Return the seconds until `wanted` tokens have come, if nobody takes any meanwhile."""
        self._refill(now)
        return max(0.0, wanted - self._level) / self.rate

    def _refill(self, now: float) -> None:
        # Never backwards: streams of one turn may share a bucket and bring slightly older times.
        if now > self._updated:
            if self._updated > -math.inf:
                self._level = min(self.burst, self._level + (now - self._updated) * self.rate)
            self._updated = now


class Throttle:
    """One direction of one stream, held to a bucket's rate. Loop thread only; all is O(log n).

    `resume` is called when tokens are back, after `allow` has returned 0. Streams that share a
    bucket take turns: whoever waits is promised a quantum, and what is promised to others is not
    handed out. (Otherwise the one whose timer comes first would have it all, for ever.)
    """

    __slots__ = ("_bucket", "_entitled", "_reactor", "_resume", "_timer")

    def __init__(self, reactor: Reactor, bucket: TokenBucket, resume: Callable[[], object]) -> None:
        self._reactor = reactor
        self._bucket = bucket
        self._resume = resume
        self._timer: Timer | None = None
        # It has waited for a quantum, and may have that whoever else is waiting.
        self._entitled = False

    def allow(self, wanted: int) -> int:
        """Return how many of `wanted` bytes may pass now; after a 0, `resume` will be called."""
        if self._timer is not None:
            return 0
        bucket, now = self._bucket, self._reactor.now()
        free = bucket.available(now) - bucket.promised
        if self._entitled:
            self._entitled = False
            free = max(free, bucket.quantum)
        granted = bucket.take(min(wanted, max(free, 0)), now)
        if not granted:
            delay = bucket.delay(bucket.quantum + bucket.promised, now)
            bucket.promised += bucket.quantum
            self._timer = self._reactor.call_at(now + delay, self._on_timer)
        return granted

    def put_back(self, count: int) -> None:
        """Return what was allowed and did not pass."""
        self._bucket.put_back(count)

    def cancel(self) -> None:
        """Do not call `resume` any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._stop_waiting()

    def _on_timer(self) -> None:
        self._stop_waiting()
        self._entitled = True
        self._resume()

    def _stop_waiting(self) -> None:
        self._timer = None
        self._bucket.promised -= self._bucket.quantum
