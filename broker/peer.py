"""A connection to another server as policy sees it: what routes and leaf links have in common.

The idea: as for a client (`broker.session`), the data plane parses and forwards by itself and stops
at what needs judgement. The operations are few: interest comes and goes, a message misses its flow,
INFO and CONNECT introduce the other side, PING asks whether we are there. What those mean on one
kind of link is a subclass's business; driving the plane, liveness and the end are the same.

How to drive one is as for `Session`: `open` once, `receive` for each read and `resume` while that
returns True, `on_ping_timer` and `on_auth_timer` when their time has come, `on_overflow`, and
`on_closed` when the stream is gone.

Another server's mistake costs its own connection and no more. It is told why where the protocol has
words for it, and our log says what it was.

Invariants: after the end nothing is parsed and nothing learned; what was learned ends with the
session; `wire.close` is called at most once, and not if the stream ended first.

Neighbours: above, `broker.peerconn`; below, plane and switchboard; `broker.route` and the leaf
sessions are the kinds. No sockets, no clock: time is an argument, in seconds. One thread.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Protocol

from broker import codec, errors, ops
from broker.config import Options
from broker.errors import Closed, WireError
from broker.liveness import Liveness
from broker.plane import DataPlane, Verdict
from broker.scope import Kind
from broker.switchboard import DEFAULT_ZONE, Switchboard

__all__ = ["FIRST_PING", "LONGEST_PING", "PeerSession", "PeerWire"]

#: Operations settled per receive or resume, as for clients.
OPERATION_BUDGET = 64

#: Seconds until the first PING, which measures the round trip.
FIRST_PING = 1.0

#: Seconds between two PINGs at most: a server that is gone must be noticed sooner than a client.
LONGEST_PING = 30.0


class PeerWire(Protocol):
    """What a session of a peer wants of whoever owns the stream."""

    def close(self, reason: Closed) -> None:
        """Close after what is queued."""

    def set_ping_timer(self, delay: float) -> None:
        """Call `on_ping_timer` in so many seconds, and not when it was asked for before."""

    def complain(self, text: str) -> None:
        """Log what the other side did wrong."""

    def note(self, text: str) -> None:
        """Log what only somebody who debugs wants to know."""


class PeerSession(ABC):
    """One other server, by one link.

    `solicited`: it was we who dialled. Until `ready`, which a subclass calls, nothing but the
    handshake is taken. Not thread-safe.
    """

    kind: ClassVar[Kind]

    def __init__(
        self,
        link_id: int,
        *,
        plane: DataPlane,
        switchboard: Switchboard,
        limits: Options,
        wire: PeerWire,
        solicited: bool,
    ) -> None:
        # Who comes to us must say CONNECT before anything else.
        self.link = plane.open(link_id, DEFAULT_ZONE, locked=not solicited, kind=self.kind)
        self.solicited = solicited
        self.closed: Closed | None = None
        self.is_ready = False
        self.waiting = False  # for somebody's answer; nothing is parsed meanwhile
        self._plane = plane
        self._switchboard = switchboard
        self._limits = limits
        self._wire = wire
        self._liveness = Liveness()
        self._connected = solicited  # or has said CONNECT
        self._messages = 0
        self._held: list[bytes] = []
        self._unlock(locked=not solicited)

    @property
    def rtt(self) -> float:
        """The last round trip in seconds, 0 if unmeasured."""
        return self._liveness.rtt

    @property
    def last_activity(self) -> float:
        """The time of the last operation that counts as activity."""
        return self._liveness.last_activity

    # --- what a kind of link says and means

    @abstractmethod
    def _begin(self, now: float) -> None:
        """Say what we say first."""

    @abstractmethod
    def _connect(self, op: ops.Connect, now: float) -> None:
        """The other side says who it is."""

    @abstractmethod
    def _info(self, op: ops.Info, now: float) -> None:
        """The other side, or somebody it tells of, is introduced."""

    @abstractmethod
    def _learn(self, op: ops.Interest, now: float) -> None:
        """The other side wants something, or no longer."""

    @abstractmethod
    def _departed(self) -> None:
        """It is over; what the switchboard knows of the link is gone already."""

    def _err(self, op: ops.Err, now: float) -> None:
        """The other side complains of us; that ends it."""
        text = op.text.decode("utf-8", "backslashreplace")
        self._wire.complain(f"{self.kind.name.capitalize()} Error {text}")
        self._report(errors.PEER_ERROR)

    # --- what the owner of the stream calls

    def open(self, now: float) -> None:
        """The stream is there.  Call once, first."""
        self._liveness.begin(now)
        self._begin(now)

    def receive(self, data: bytes, now: float) -> bool:
        """Takes what was read; True: there is more to do, call `resume` in the next turn."""
        if self.waiting or self._held:
            self._held.append(data)
            return not self.waiting
        return self._drive(self._plane.feed(self.link, data), now)

    def resume(self, now: float) -> bool:
        """Goes on where `receive` or `resume` stopped; returns as `receive` does."""
        if self.waiting:
            return False
        more = self._drive(self._plane.resume(self.link), now)
        if more or not self._held:
            return more
        held, self._held = b"".join(self._held), []
        return self.receive(held, now)

    def on_ping_timer(self, now: float) -> None:
        """Sends a PING, or ends a link on which too many are unanswered."""
        if self.closed is not None:
            return
        if self._liveness.pings_out >= self._limits.ping_max:
            self._report(errors.STALE_CONNECTION)
            return
        self._liveness.sent_ping(now)
        self._say(codec.PING)
        self._wire.set_ping_timer(min(self._limits.ping_interval, LONGEST_PING))

    def on_auth_timer(self) -> None:
        """Ends the link of a stranger that has not introduced itself."""
        if not self.is_ready:
            self._report(errors.AUTHENTICATION_TIMEOUT)

    def on_overflow(self) -> None:
        """Ends the link of a server that reads too slowly."""
        self.close(Closed.SLOW_CONSUMER_PENDING)

    def on_closed(self, reason: Closed = Closed.CLIENT_CLOSED) -> None:
        """Cleans up after the stream ended; `reason` holds unless the session ended it itself."""
        if self.closed is None:
            self.closed = reason
            self._switchboard.peering.leave(self.link)
            self._plane.close(self.link)
            self._departed()

    def close(self, reason: Closed) -> None:
        """Ends the session from our side, after what is queued.  Idempotent."""
        if self.closed is None:
            self.on_closed(reason)
            self._wire.close(reason)

    def refuse(self, error: WireError) -> None:
        """Tells the other side why it is not served."""
        self._report(error)

    # --- for the kinds

    def _say(self, line: bytes) -> None:
        self._plane.send(self.link, line)

    def _unlock(self, *, locked: bool = False, headers: bool = True) -> None:
        """Take any operation from now on, not only CONNECT."""
        self.link.configure(
            zone=self.link.zone,
            locked=locked,
            verbose=False,
            pedantic=False,
            echo=False,
            headers=headers,
        )

    def _ready(self) -> None:
        """The other side is known and welcome."""
        self.is_ready = True
        self._wire.set_ping_timer(min(FIRST_PING, self._limits.ping_interval))

    def _report(self, error: WireError, why: str = "") -> None:
        """Tells the other side what was wrong, if there are words for it, and the log `why`; ends
        the session if it is fatal.
        """
        if self.closed is not None:
            return
        if why or error.text:
            self._wire.complain(why or (error.text or b"").decode())
        self._say(codec.err_line(error))
        if error.closed is not None:
            self.close(error.closed)

    # --- verdicts

    def _drive(self, verdict: Verdict, now: float) -> bool:
        plane, link = self._plane, self.link
        left = OPERATION_BUDGET
        while verdict is Verdict.MISS or verdict is Verdict.CONTROL:
            if verdict is Verdict.MISS:
                self._publish(plane.parked(link), now)
            else:
                op = plane.control(link)
                _MEANING[type(op)](self, op, now)
                if self.waiting:
                    return False
            left -= 1
            verdict = plane.resume(link) if left else Verdict.YIELD
        if link.in_msgs != self._messages:
            self._messages = link.in_msgs
            self._liveness.last_activity = now
        if verdict is Verdict.BROKEN:
            failure = plane.error(link)
            self._report(failure.error, str(failure))
        return verdict is Verdict.YIELD

    def _publish(self, publish: ops.Publish, now: float) -> None:
        """A message came that misses its flow."""
        self._switchboard.peering.arrive(self.link, publish, now)

    def _interest(self, op: ops.Interest, now: float) -> None:
        self._liveness.last_activity = now
        if self.is_ready:
            self._learn(op, now)
        else:
            self._report(errors.BAD_ARGUMENTS, "interest before the other server said who it is")

    def _ping(self, _op: ops.Ping, now: float) -> None:
        self._liveness.last_activity = now
        self._say(codec.PONG)

    def _pong(self, _op: ops.Pong, now: float) -> None:
        self._liveness.received_pong(now)


_MEANING: Mapping[type[ops.Op], Callable[[PeerSession, Any, float], None]] = {
    ops.Connect: lambda session, op, now: session._connect(op, now),
    ops.Info: lambda session, op, now: session._info(op, now),
    ops.Err: lambda session, op, now: session._err(op, now),
    ops.Interest: PeerSession._interest,
    ops.Ping: PeerSession._ping,
    ops.Pong: PeerSession._pong,
    ops.Ok: lambda session, op, now: None,  # tolerated, and means nothing
}
