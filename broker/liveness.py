"""Whether a silent client is still there: when to send it a PING, and when to give up.

The idea: a handful of numbers and two questions.  Activity spares a client a PING, and is a
message, SUB, UNSUB or PING received; PONG, +OK and half a message are not, and deliveries do not
count either.  The round trip is measured on the way: by a PING that we sent, and before there was
one, by how long the client took from our greeting to its first PING.

Source: found by asking nats-server 2.15; it measures the round trip anew by a PING every hour, also
on a busy connection.

Neighbours: a session has one.  Reads no clock: time is an argument, in seconds.  One thread.
"""

from __future__ import annotations

__all__ = ["RTT_INTERVAL", "Liveness"]

# The round trip is measured anew by a PING this often, also on a busy connection; seconds.
RTT_INTERVAL = 3600.0


class Liveness:
    """What is known of one client's being there.  Every method is O(1).

    `rtt` is the last round trip in seconds, 0 if unmeasured; `last_activity` the time of the last
    operation that counts as one; `pings_out` how many PINGs it has not answered.
    """

    __slots__ = ("_opened", "_ping_sent", "last_activity", "pings_out", "rtt")

    def __init__(self) -> None:
        self.last_activity = self._opened = self.rtt = 0.0
        self.pings_out = 0
        self._ping_sent: float | None = None

    def begin(self, now: float) -> None:
        """The client is greeted."""
        self.last_activity = self._opened = now

    def wants_ping(self, now: float, interval: float) -> bool:
        """Whether a PING is due: it was silent for `interval`, or the round trip is unknown."""
        if self._ping_sent is None or now - self._ping_sent > RTT_INTERVAL:
            return True
        return now - self.last_activity >= interval

    def sent_ping(self, now: float) -> None:
        """A PING was sent."""
        self.pings_out += 1
        self._ping_sent = now

    def received_ping(self, now: float) -> None:
        """A PING came; the first one tells the round trip until a PONG tells better."""
        self.last_activity = now
        if not self.rtt:
            self.rtt = now - self._opened

    def received_pong(self, now: float) -> None:
        """A PONG came: whatever we had sent is answered."""
        self.pings_out = 0
        if self._ping_sent is not None:
            self.rtt = now - self._ping_sent
