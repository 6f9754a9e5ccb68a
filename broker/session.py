"""A connection as policy sees it: what its operations mean, and when it must end.

The idea: a table of verbs on top of the data plane.  The plane parses and forwards by itself and
stops at what needs judgement; `Session` settles that and lets it go on.  The session owns the
handshake, the permissions that the protocol itself reserves, limits, and liveness.  It knows no
reactor, socket or clock: time comes as an argument, and the few things it wants done come to its
owner through `Wire`.

How to drive one (the server does):

    session = Session(link_id, ..., wire)  makes the link
    session.open(now)                      INFO is queued, the ping timer set
    more = session.receive(data, now)      for every read; while it returns True there is more
    more = session.resume(now)             to do: do not read on, call this in the next turn
    session.on_ping_timer(now)             when the timer set through the wire fires
    session.on_auth_timer()                once, `auth_timeout` seconds after open
    session.on_overflow()                  for a link from plane.take_overflowed()
    session.on_closed()                    when the stream is gone for whatever reason; idempotent

All output goes to the link's queue through the plane; the server takes it from there, also after
`Wire.close`, so that a last -ERR arrives.

Invariants: after the end (`closed`) nothing is parsed and nothing subscribed; `wire.close` is
called at most once and not at all if the stream ended first; a subscription never outlives its
session.

Source: the order of checks is nats-server 2.15's, found by asking one.  Activity, which spares a
client a PING, is a message, SUB, UNSUB or PING received; PONG, +OK and half a message are not.
Deliveries do not count either.

Neighbours: above, server; below, switchboard, plane, auth, handshake.  One thread.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from broker import codec, errors, ops
from broker.auth import Authenticator
from broker.config import Options
from broker.errors import Closed, ProtocolError, WireError
from broker.handshake import ConnectOptions, ServerInfo, check_info, parse_connect
from broker.identity import Identity
from broker.plane import DataPlane, Verdict
from broker.subject import is_valid_publish
from broker.switchboard import Switchboard

__all__ = ["Session", "Wire"]

# The round trip is measured anew by a PING this often, also on a busy connection; seconds.
RTT_INTERVAL = 3600.0

# Operations settled per receive or resume.  A read can hold thousands, each a publish with a wide
# fan-out, and others want their turn; another turn of the loop costs less than a microsecond for
# each of so many.
OPERATION_BUDGET = 64

# Prefixes that are nobody's to publish to, or to name as a reply; the bare prefix is free where it
# says so.
_RESERVED_SUBJECTS = ((b"_GR_.", True), (b"$GR.", True), (b"$NRG.", False))
_RESERVED_REPLIES = ((b"$JS.ACK.", True), (b"_R_.", False), (b"_GR_.", True), (b"$GR.", True))
_RESERVED_QUEUE = b"_sys_"

_UNASKED = ConnectOptions()


class Wire(Protocol):
    """What a session asks of the owner of its socket."""

    def close(self, reason: Closed) -> None:
        """Send what the link has queued, then close; call `on_closed` later, if at all."""

    def set_ping_timer(self, delay: float) -> None:
        """Call `on_ping_timer` in `delay` seconds, instead of whenever was asked for before."""


def _is_reserved(subject: bytes, table: tuple[tuple[bytes, bool], ...]) -> bool:
    return any(
        subject.startswith(prefix) and not (bare_is_free and subject == prefix)
        for prefix, bare_is_free in table
    )


class Session:
    """One client.

    `options` is what it asked for, `identity` who it is (None before it proved that);
    `rtt` is the last round trip in seconds, 0 if unmeasured; `last_activity` the time of the last
    operation that counts as one.  Not thread-safe.
    """

    __slots__ = (
        "_authenticator",
        "_client_ip",
        "_connected",
        "_greeted",
        "_jitter",
        "_judged",
        "_limits",
        "_messages",
        "_opened",
        "_ping_sent",
        "_pings_out",
        "_plane",
        "_server",
        "_switchboard",
        "_wire",
        "closed",
        "identity",
        "last_activity",
        "link",
        "options",
        "rtt",
    )

    def __init__(
        self,
        link_id: int,
        client_ip: str,
        *,
        plane: DataPlane,
        switchboard: Switchboard,
        authenticator: Authenticator,
        info: ServerInfo,
        limits: Options,
        wire: Wire,
        jitter: float = 0.0,
    ) -> None:
        """`jitter`, from 0 to 1, spreads the first PINGs of clients that came together."""
        self.link = plane.open(link_id, 0, locked=authenticator.required)
        self.options = _UNASKED
        self.identity: Identity | None = None
        self.closed: Closed | None = None
        self.rtt = 0.0
        self._opened = 0.0
        self.last_activity = 0.0
        self._client_ip = client_ip
        self._plane = plane
        self._switchboard = switchboard
        self._authenticator = authenticator
        self._server = info
        self._limits = limits
        self._wire = wire
        self._jitter = jitter
        self._connected = False
        self._greeted = False
        self._judged = False
        self._messages = 0
        self._pings_out = 0
        self._ping_sent: float | None = None

    # --- what the server calls

    def open(self, now: float) -> None:
        """Greets the client.  Call once, first."""
        self.last_activity = self._opened = now
        self.send_info()
        self._wire.set_ping_timer(self._limits.ping_interval)

    def refuse(self, error: WireError) -> None:
        """Greets the client and turns it away at once, e.g. because there are too many."""
        self.send_info()
        self._report(error)

    def send_info(self, account: str = "") -> None:
        """Queues an INFO; with `account` it is the one that follows the first PING.  O(1)."""
        info = self._server.json(self.link.id, self._client_ip, account)
        self._plane.send(self.link, codec.info_line(info))

    def receive(self, data: bytes, now: float) -> bool:
        """Takes what was read; True: there is more to do, call `resume` in the next turn."""
        return self._drive(self._plane.feed(self.link, data), now)

    def resume(self, now: float) -> bool:
        """Goes on where `receive` or `resume` stopped; returns as `receive` does."""
        return self._drive(self._plane.resume(self.link), now)

    def on_ping_timer(self, now: float) -> None:
        """Sends a PING to a client that was silent; ends one that left too many unanswered."""
        if self.closed is not None:
            return
        if self._wants_ping(now):
            if self._pings_out >= self._limits.ping_max:
                self._report(errors.STALE_CONNECTION)
                return
            self._pings_out += 1
            self._ping_sent = now
            self._plane.send(self.link, codec.PING)
        self._wire.set_ping_timer(self._limits.ping_interval)

    def on_auth_timer(self) -> None:
        """Ends the connection of a client that has not proved who it is."""
        if self._authenticator.required and self.identity is None:
            self._report(errors.AUTHENTICATION_TIMEOUT)

    def on_overflow(self) -> None:
        """Ends the connection of a client that reads too slowly."""
        self.close(Closed.SLOW_CONSUMER_PENDING)

    def on_closed(self, reason: Closed = Closed.CLIENT_CLOSED) -> None:
        """Cleans up after the stream ended; `reason` holds unless the session ended it itself."""
        if self.closed is None:
            self.closed = reason
            self._switchboard.leave(self.link)
            self._plane.close(self.link)

    def close(self, reason: Closed) -> None:
        """Ends the session from our side, after what is queued.  Idempotent."""
        if self.closed is None:
            self._wire.close(reason)  # first, while it can still see what there was to close
            self.on_closed(reason)

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
            # Only between settling one and asking for the next is it safe to leave.
            left -= 1
            verdict = plane.resume(link) if left else Verdict.YIELD
        return self._conclude(verdict, now)

    def _conclude(self, verdict: Verdict, now: float) -> bool:
        if self.link.in_msgs != self._messages:
            self._messages = self.link.in_msgs
            self.last_activity = now
        unfinished = self._plane.unfinished(self.link)
        if unfinished is not None:
            self._judge_subject(unfinished)
        if verdict is Verdict.BROKEN:
            self._report(self._plane.error(self.link).error)
        return verdict is Verdict.YIELD

    def _report(self, error: WireError) -> None:
        """Tells the client what was wrong, if it is to be told; ends the session if fatal."""
        self._plane.send(self.link, codec.err_line(error))
        if error.closed is not None:
            self.close(error.closed)

    def _acknowledge(self) -> None:
        if self.link.verbose:
            self._plane.send(self.link, codec.OK)

    # --- the meaning of each verb

    def _publish(self, publish: ops.Publish, now: float) -> None:
        self._judge_subject(publish.subject)
        self._judged = False
        judged = self._switchboard.judge(self.link, publish, now)
        if isinstance(judged, WireError):
            self._report(judged)
        elif _is_reserved(judged.subject, _RESERVED_SUBJECTS):
            self._report(errors.publish_violation(judged.subject))
        elif _is_reserved(judged.reply, _RESERVED_REPLIES):
            self._report(errors.reply_violation(judged.reply))
        else:
            self._acknowledge()
            self._switchboard.forward(self.link, judged, now)

    def _judge_subject(self, subject: bytes) -> None:
        """Complains to a pedantic client, once per publish, as soon as its line has come.

        The message is delivered all the same.
        """
        if self.link.pedantic and not self._judged:
            self._judged = True
            if not is_valid_publish(subject):
                self._report(errors.INVALID_PUBLISH_SUBJECT)

    def _subscribe(self, op: ops.Subscribe, now: float) -> None:
        self.last_activity = now
        error = self._refuse_subscription(op) or self._switchboard.subscribe(
            self.link, op.subject, op.queue, op.sid
        )
        if error is None:
            self._acknowledge()
        else:
            self._report(error)

    def _refuse_subscription(self, op: ops.Subscribe) -> WireError | None:
        if op.queue == _RESERVED_QUEUE:
            return errors.subscription_violation(op.subject, op.queue)
        most = self._limits.max_subscriptions
        if most and self._switchboard.count(self.link) >= most:
            return errors.SUBSCRIPTIONS_EXCEEDED
        return None

    def _unsubscribe(self, op: ops.Unsubscribe, now: float) -> None:
        self.last_activity = now
        self._switchboard.unsubscribe(self.link, op.sid, op.max)
        self._acknowledge()

    def _connect(self, op: ops.Connect, now: float) -> None:
        try:
            options = parse_connect(op.json, self.options)
        except ProtocolError as failure:
            self._report(failure.error)
            return
        self.options = options
        self.identity = None
        identity = self._authenticator.authenticate(options)
        error = _judge(options, identity)
        if error is not None or identity is None:
            self._report(error or errors.AUTHORIZATION_VIOLATION)
            return
        if self._connected:
            # Whoever says CONNECT again starts anew; what was subscribed before the first one
            # stays.
            self._switchboard.drop(self.link)
        self._admit(options, identity)

    def _admit(self, options: ConnectOptions, identity: Identity) -> None:
        self.identity = identity
        self.link.configure(
            zone=self._switchboard.enter(self.link, identity.account, identity.permissions),
            verbose=options.verbose,
            pedantic=options.pedantic,
            echo=options.echo,
            headers=options.headers,
            no_responders=options.no_responders,
        )
        self._acknowledge()
        if not self._connected:
            self._connected = True
            delay = min(self._limits.first_ping, self._limits.ping_interval)
            self._wire.set_ping_timer(delay * (1 + self._jitter / 5))

    def _ping(self, _op: ops.Ping, now: float) -> None:
        self.last_activity = now
        if not self.rtt:
            self.rtt = now - self._opened  # until a PONG tells better, as nats-server does
        self._plane.send(self.link, codec.PONG)
        if self._connected and not self._greeted:
            self._greeted = True
            if self.options.protocol >= 1 and self.identity is not None:
                self.send_info(self.identity.account)

    def _pong(self, _op: ops.Pong, now: float) -> None:
        self._pings_out = 0
        if self._ping_sent is not None:
            self.rtt = now - self._ping_sent

    def _info(self, op: ops.Info, _now: float) -> None:
        try:
            check_info(op.json)
        except ProtocolError as failure:
            self._report(failure.error)

    def _ok(self, _op: ops.Ok, _now: float) -> None:
        """Tolerated, and means nothing."""

    def _err(self, _op: ops.Err, _now: float) -> None:
        self._report(errors.PEER_ERROR)

    def _wants_ping(self, now: float) -> bool:
        if self._ping_sent is None or now - self._ping_sent > RTT_INTERVAL:
            return True
        return now - self.last_activity >= self._limits.ping_interval


def _judge(options: ConnectOptions, identity: Identity | None) -> WireError | None:
    """What is wrong with a CONNECT, in nats-server's order."""
    if identity is None or options.account or options.new_account:
        return errors.AUTHORIZATION_VIOLATION
    if options.protocol not in (0, 1):
        return errors.BAD_CLIENT_PROTOCOL
    if options.no_responders and not options.headers:
        return errors.NO_RESPONDERS_NEEDS_HEADERS
    return None


_MEANING: Mapping[type[ops.Op], Callable[[Session, Any, float], None]] = {
    ops.Connect: Session._connect,
    ops.Subscribe: Session._subscribe,
    ops.Unsubscribe: Session._unsubscribe,
    ops.Ping: Session._ping,
    ops.Pong: Session._pong,
    ops.Info: Session._info,
    ops.Ok: Session._ok,
    ops.Err: Session._err,
}
