"""How much one user may send: a limit that slows down and never refuses.

The idea is debt. What was read is served, whatever the limit says, because it is here already and
throwing it away would lose what was accepted. But it is charged to an account that is paid back at
the limit's rate, and whoever owes more than the burst allows is not read from until the debt is
down to that. Meanwhile the kernel's buffer fills, and TCP itself holds the sender up: nothing is
lost, nothing queues here, and nobody else waits.

Over any ``t`` seconds a user gets ``(burst + t) * rate`` through, and at most one read more for
each of its connections. Bytes and messages are two debts; the longer pause counts. All connections
of one user share one meter, so opening more of them gains nothing.

Invariants: a debt is never negative, so a quiet hour saves up one burst and no more; a pause is
never longer than what was charged takes to pay back.

Neighbours: `broker.connection` charges and pauses, `broker.server` owns the `Meters`. No clock and
no timer in here. Loop thread only; all is O(1).
"""

from __future__ import annotations

from broker.blocks import IngressLimit
from broker.identity import Identity

__all__ = ["Meter", "Meters", "Toll"]

#: Seconds between two log lines about the same user.
QUIET = 60.0

#: Meters kept of users who are not connected.
AWAY = 1024


class _Debt:
    """What was sent and not yet paid back at ``rate`` units a second; a rate of 0 is no limit."""

    __slots__ = ("_owed", "_rate", "_since")

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._owed = 0.0
        self._since = 0.0

    def charge(self, amount: int, burst: float, now: float) -> float:
        """Seconds until no more is owed than ``burst`` seconds' worth."""
        rate = self._rate
        if not rate:
            return 0.0
        if now > self._since:
            self._owed = max(0.0, self._owed - (now - self._since) * rate)
            self._since = now
        self._owed += amount
        return max(0.0, self._owed / rate - burst)


class Meter:
    """One user's debts."""

    __slots__ = ("_bytes", "_messages", "_silent_until", "limit", "users")

    def __init__(self, limit: IngressLimit) -> None:
        self.limit = limit
        self._bytes = _Debt(limit.bytes)
        self._messages = _Debt(limit.messages)
        self._silent_until = float("-inf")
        #: How many connections charge to it.
        self.users = 0

    def charge(self, size: int, messages: int, now: float) -> float:
        """Note what was read at ``now``; return for how many seconds not to read on, usually 0."""
        burst = self.limit.burst
        return max(
            self._bytes.charge(size, burst, now), self._messages.charge(messages, burst, now)
        )

    def tells(self, now: float) -> bool:
        """Whether a pause at ``now`` is worth a log line: one a minute and user is enough."""
        if now < self._silent_until:
            return False
        self._silent_until = now + QUIET
        return True

    def __str__(self) -> str:
        """The limit, for people."""
        limit = self.limit
        parts = [
            f"{rate:g} {unit}"
            for rate, unit in ((limit.bytes, "bytes"), (limit.messages, "messages"))
            if rate
        ]
        return " and ".join(parts) + " a second"


class Meters:
    """The meters of all users. ``default`` is for users without a limit of their own.

    A user who leaves keeps its meter, or leaving and coming back would pay every debt. Of those who
    are away the last `AWAY` are kept.
    """

    def __init__(self, default: IngressLimit | None = None) -> None:
        self._default = default
        self._here: dict[tuple[str, str], Meter] = {}
        self._away: dict[tuple[str, str], Meter] = {}

    def __len__(self) -> int:
        return len(self._here) + len(self._away)

    def of(self, identity: Identity) -> Meter | None:
        """The meter of this user, to be given back with `leave`; None if nothing limits it."""
        limit = identity.ingress or self._default
        if limit is None or not (limit.bytes or limit.messages):
            return None
        key = (identity.account, identity.user)
        meter = self._here.get(key) or self._away.pop(key, None)
        if meter is None or meter.limit != limit:
            meter = Meter(limit)
        self._here[key] = meter
        meter.users += 1
        return meter

    def leave(self, identity: Identity, meter: Meter) -> None:
        """A connection charges to its meter no more."""
        meter.users -= 1
        key = (identity.account, identity.user)
        if not meter.users and self._here.get(key) is meter:
            self._away[key] = self._here.pop(key)
            if len(self._away) > AWAY:
                del self._away[next(iter(self._away))]


class Toll:
    """What one connection is charged: its user's meter, and how much was charged already.

    ``messages`` is everywhere the number that the connection has sent so far.
    """

    __slots__ = ("_charged", "_identity", "_meter", "_meters")

    def __init__(self, meters: Meters, identity: Identity, messages: int) -> None:
        self._meters = meters
        self._identity = identity
        self._meter = meters.of(identity)
        self._charged = messages

    @property
    def limited(self) -> bool:
        """Whether there is anything to charge for."""
        return self._meter is not None

    def charge(self, size: int, messages: int, now: float) -> tuple[float, str]:
        """Charge for a read; return for how long to pause, and what to log about that."""
        meter = self._meter
        if meter is None:
            return 0.0, ""
        pause = meter.charge(size, messages - self._charged, now)
        self._charged = messages
        tells = pause > 0 and meter.tells(now)
        return pause, f"Ingress limit of {meter} exceeded, reading slows down" if tells else ""

    def leave(self) -> None:
        """The connection ends, or becomes another user's. Idempotent."""
        if self._meter is not None:
            self._meters.leave(self._identity, self._meter)
            self._meter = None
