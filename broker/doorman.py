"""How long a client that fails to log in has to wait for its answer.

The idea: guessing passwords is only worth while if it is fast. Everybody fails now and then, and a
test suite does so on purpose, so the first failures of a minute are answered at once; after that,
each of the same address is held back twice as long as the one before, up to a bound. Only the
refusal waits: whoever has the right password is never delayed, and nobody else is either.

Invariants: an address that goes wrong less often than it is forgiven pays nothing; the table never
holds more than ``ADDRESSES``, the one that failed longest ago goes first. Addresses of this machine
itself are never held back: behind one may stand a proxy with everybody's clients.

Neighbours: the session asks when it refuses somebody, and the connection whether to log it.
Reads no clock: time is an argument, in seconds, from whatever start. Not thread-safe.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

__all__ = ["ADDRESSES", "FREE_FAILURES", "LONGEST", "PERIOD", "Doorman"]

FREE_FAILURES = 10
"""Failures of one address within `PERIOD` that cost nothing."""

PERIOD = 60.0
"""Seconds after which an address starts anew."""

SHORTEST = 0.1
"""The first delay, in seconds; each further one is twice as long."""

LONGEST = 2.0
"""The longest delay, in seconds. The authentication timeout does not run meanwhile."""

ADDRESSES = 4096
"""How many addresses are remembered."""


@dataclass
class _Visitor:
    since: float
    failures: int = 0
    logged: int = 0


class Doorman:
    """Counts failures by address. All methods are O(1)."""

    def __init__(self) -> None:
        self._visitors: OrderedDict[str, _Visitor] = OrderedDict()

    def __len__(self) -> int:
        """How many addresses it remembers."""
        return len(self._visitors)

    def failed(self, ip: str, now: float) -> float:
        """Note a failure; for how many seconds to hold the answer back."""
        if _is_local(ip):
            return 0.0
        visitor = self._visitors.get(ip)
        if visitor is None or now - visitor.since >= PERIOD:
            visitor = self._visitors[ip] = _Visitor(now)
        visitor.failures += 1
        self._visitors.move_to_end(ip)
        if len(self._visitors) > ADDRESSES:
            self._visitors.popitem(last=False)
        beyond = visitor.failures - FREE_FAILURES
        # No float holds 2 to the power of a determined attacker.
        return 0.0 if beyond <= 0 else min(LONGEST, SHORTEST * 2.0 ** min(beyond - 1, 16))

    def quiet(self, ip: str, now: float) -> bool:
        """Whether a failure that was just noted need not be logged: its address has had its lines
        for this minute.
        """
        visitor = self._visitors.get(ip)
        if visitor is None or now - visitor.since >= PERIOD:
            return False
        visitor.logged += 1
        return visitor.logged > FREE_FAILURES + 1

    def failures(self, ip: str) -> int:
        """How often an address has failed since its minute began; 0 for one that is not known."""
        visitor = self._visitors.get(ip)
        return 0 if visitor is None else visitor.failures


def _is_local(ip: str) -> bool:
    return ip == "::1" or ip.startswith(("127.", "::ffff:127."))
