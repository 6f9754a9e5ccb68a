"""A client's connection: where a stream, a session and a link meet.

The idea: the stream moves bytes, the session knows what they mean, the link counts and queues; none
of them knows the other two. This class introduces them to one another and adds what only floor 6
has: time, timers, log lines, and the record that the monitor shows.

What happens to input: `on_data` hands it to the session. If the session has more to do than one
turn's budget allows, the stream is paused and the session goes on next turn, so that one busy
publisher cannot keep the others waiting, and nothing is read that cannot be worked on yet.

What happens to output: sessions and deliveries queue it at the link; `push` moves it to the stream,
once a turn, called by the server's flusher. Nobody else writes to the stream.

How it ends: by the peer (`on_eof`, `on_close`) or by the session (`close`). Either way the session
ends at once, with its subscriptions; the stream may live a little longer to send what is owed. A
slow consumer gets no such time: what it has not taken is the problem.

Timers: one per connection for PING, set anew each time it fires. With 10,000 of them a firing costs
less than 8 us, its turn of the loop included, and each fires once in two minutes: less than a
millisecond a second for all. A wheel that groups them would save a part of that and cost a page.

Neighbours: `broker.server` makes and owns connections, and is their `Owner`. Loop thread only.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable
from typing import Any, Protocol

from broker.auth import accused, label_of
from broker.config import Options
from broker.doorman import Doorman
from broker.errors import CONNECTIONS_EXCEEDED, Closed
from broker.handshake import ConnectOptions, ServerInfo
from broker.identity import Answer, Authenticator, Credentials, Identity
from broker.link import Link
from broker.logs import TRACE, logger
from broker.plane import DataPlane
from broker.session import Session
from broker.snapshots import ConnectionInfo, SubscriptionInfo
from broker.switchboard import Subscription, Switchboard
from broker.wiretap import Wiretap
from broker.workers import Workers
from reactor import CloseKind, CloseReason, Reactor, Stream, StreamHandler, Timer
from reactor.stream import SocketLike

__all__ = ["SLOW", "Connection", "Owner"]

#: The ends of those who did not take what they were sent.
SLOW = frozenset({Closed.SLOW_CONSUMER_PENDING, Closed.SLOW_CONSUMER_DEADLINE})

#: The reason shown for a connection that was closed because of a mistake of ours.
INTERNAL_ERROR = "Internal Error"

#: What the end of a stream means to a client's connection, where the session did not end first.
_ENDS = {
    CloseKind.LOCAL: Closed.CLIENT_CLOSED,
    CloseKind.EOF: Closed.CLIENT_CLOSED,
    CloseKind.SHUTDOWN: Closed.SERVER_SHUTDOWN,
}


class Owner(Protocol):
    """What a connection needs of the server."""

    reactor: Reactor
    options: Options
    plane: DataPlane
    switchboard: Switchboard
    authenticator: Authenticator
    info: ServerInfo
    doorman: Doorman
    workers: Workers

    def before_input(self) -> None:
        """Something is about to happen that may cause output."""

    def ended(self, connection: Connection, reason: str, record: ConnectionInfo) -> None:
        """The session is over."""

    def gone(self, connection: Connection) -> None:
        """The stream is over, too."""

    def wall(self, moment: float) -> float:
        """The wall-clock time of a moment on the reactor's clock."""


class Connection(StreamHandler):
    """One client. It is a `StreamHandler` to its stream, a `Wire` to its session, a `Row` to the
    monitor.

    Making one registers the socket; raises what `Stream` raises, and then leaves nothing behind.
    """

    __slots__ = (
        "_auth_timer",
        "_expiry_timer",
        "_owner",
        "_ping_timer",
        "_refused",
        "_taps",
        "cid",
        "ended",
        "ip",
        "port",
        "session",
        "started",
        "stream",
    )

    def __init__(
        self, owner: Owner, cid: int, sock: SocketLike, address: Any, *, refused: bool = False
    ) -> None:
        self.cid = cid
        self.ip, self.port = address[0], address[1]
        self.started = owner.reactor.now()
        self.ended = False
        self._owner = owner
        self._refused = refused
        self._ping_timer: Timer | None = None
        self._auth_timer: Timer | None = None
        self._expiry_timer: Timer | None = None
        self._taps: tuple[Wiretap, Wiretap] | None = None
        self.session = Session(
            cid,
            self.ip,
            plane=owner.plane,
            switchboard=owner.switchboard,
            authenticator=owner.authenticator,
            info=owner.info,
            limits=owner.options,
            wire=self,
            jitter=random.random(),
            doorman=owner.doorman,
        )
        try:
            self.stream = Stream(owner.reactor, sock, self, high_water=owner.options.max_pending)
        except BaseException:
            owner.plane.close(self.session.link)
            raise
        if logger.isEnabledFor(TRACE):
            limit = owner.options.max_traced
            self._taps = Wiretap("<<-", self._trace, limit), Wiretap("->>", self._trace, limit)

    @property
    def link(self) -> Link:
        """The connection as the data plane sees it."""
        return self.session.link

    # --- as a stream's handler ------------------------------------------------------------------

    def on_open(self, stream: Stream) -> None:
        """Greet the client, or turn it away."""
        self.log(logging.DEBUG, "Client connection created")
        owner = self._owner
        owner.before_input()
        if self._refused:
            self.session.refuse(CONNECTIONS_EXCEEDED)
            return
        if owner.authenticator.required:
            self._auth_timer = owner.reactor.call_later(
                owner.options.auth_timeout, self._on_auth_timer
            )
        self.session.open(owner.reactor.now())

    def on_data(self, stream: Stream, data: bytes) -> None:
        """Hand it to the session; go on next turn if it has more to do than this turn allows."""
        owner = self._owner
        owner.before_input()
        if self._taps is not None:
            self._taps[0].feed(data)
        try:
            if self.session.receive(data, owner.reactor.now()):
                stream.pause_reading()
                owner.reactor.call_soon(self._go_on)
        except Exception:
            self.fail()

    def _go_on(self) -> None:
        if self.ended:
            return
        owner = self._owner
        owner.before_input()
        try:
            if self.session.resume(owner.reactor.now()):
                owner.reactor.call_soon(self._go_on)
            elif not self.session.waiting:
                self.stream.resume_reading()
        except Exception:
            self.fail()

    def on_eof(self, stream: Stream) -> None:
        """The client has left; what it asked for before is still sent."""
        self.push()
        self._depart(Closed.CLIENT_CLOSED)
        stream.close()

    def on_close(self, stream: Stream, reason: CloseReason) -> None:
        """The last call of all."""
        self._depart(_ENDS.get(reason.kind, Closed.READ_ERROR))
        self._owner.gone(self)

    # --- as a session's wire --------------------------------------------------------------------

    def close(self, reason: Closed) -> None:
        """End the connection, as the session wants it: after what is queued, unless that is the
        trouble.
        """
        self._explain(reason)
        if reason in SLOW:
            self.stream.abort()
        else:
            self.push()
            self.stream.close()
        self._finish(reason.value, subscriptions=self._owner.switchboard.count(self.link))

    def set_ping_timer(self, delay: float) -> None:
        """Set the one timer there is, in place of the one there was."""
        if self._ping_timer is not None:
            self._ping_timer.cancel()
        self._ping_timer = self._owner.reactor.call_later(delay, self._on_ping_timer)

    def set_expiry_timer(self, delay: float | None) -> None:
        """Set the one timer there is, or none, in place of the one there was."""
        if self._expiry_timer is not None:
            self._expiry_timer.cancel()
            self._expiry_timer = None
        if delay is not None:
            self._expiry_timer = self._owner.reactor.call_later(delay, self._on_expiry_timer)

    def _on_expiry_timer(self) -> None:
        self._owner.before_input()
        self.session.on_expiry_timer()

    def credentials(self) -> Credentials:
        """What is known of the client besides its CONNECT."""
        wall = self._owner.wall(self._owner.reactor.now())
        return Credentials(ConnectOptions(), ip=self.ip, wall=wall)

    def consult(self, question: Callable[[], Answer], then: Callable[[Answer], None]) -> bool:
        """Ask in a thread; nothing is read until the answer is there."""

        def answered(answer: Answer) -> None:
            self._owner.before_input()
            then(answer)
            self._go_on()

        if not self._owner.workers.consult(question, answered):
            logger.warning("%s - too many clients wait to log in; refused", self.label())
            return False
        self.stream.pause_reading()
        return True

    def delay(self, seconds: float, callback: Callable[[], None]) -> None:
        """Call back later; nothing is read until then."""

        def come_back() -> None:
            self._owner.before_input()
            callback()
            self._go_on()

        self.stream.pause_reading()
        self._owner.reactor.call_later(seconds, come_back)

    def authenticated(self, identity: Identity) -> None:
        """The client was let in."""

    def complain(self, text: str) -> None:
        """Log a violation that the connection survives."""
        self.log(logging.ERROR, text)

    def _on_ping_timer(self) -> None:
        self._owner.before_input()
        self.log(logging.DEBUG, "Client Ping Timer")
        try:
            self.session.on_ping_timer(self._owner.reactor.now())
        except Exception:
            self.fail()

    def _on_auth_timer(self) -> None:
        self._owner.before_input()
        self.session.on_auth_timer()

    # --- what the server calls ------------------------------------------------------------------

    def push(self) -> None:
        """Move what the link has queued to the stream, which sends it at the turn's end."""
        chunks = self.session.link.take_output()
        if not chunks:
            return
        if self._taps is not None:
            for chunk in chunks:
                self._taps[1].feed(chunk)
        self.stream.writelines(chunks)

    def overflow(self) -> None:
        """The link has more to send than it may have waiting."""
        try:
            self.session.on_overflow()
        except Exception:
            self.fail()

    def info(self, *, subscriptions: bool = False) -> ConnectionInfo:
        """A record of the present state. O(1), or O(subscriptions) with their list."""
        listed = self._owner.switchboard.subscriptions(self.link) if subscriptions else ()
        count = self._owner.switchboard.count(self.link)
        return self._record(count, tuple(map(_subscription, listed)))

    def _record(
        self, count: int, listed: tuple[SubscriptionInfo, ...] = (), **ending: Any
    ) -> ConnectionInfo:
        session, link, wall = self.session, self.link, self._owner.wall
        return ConnectionInfo(
            cid=self.cid,
            ip=self.ip,
            port=self.port,
            start=wall(self.started),
            last_activity=wall(max(self.started, session.last_activity)),
            rtt=session.rtt,
            pending_bytes=link.queued + self.stream.pending,
            in_msgs=link.in_msgs,
            out_msgs=link.out_msgs,
            in_bytes=link.in_bytes,
            out_bytes=link.out_bytes,
            subscriptions=count,
            name=session.options.name,
            lang=session.options.lang,
            version=session.options.version,
            user=self._user(),
            subscription_list=listed,
            **ending,
        )

    def _user(self) -> str:
        identity = self.session.identity
        return "" if identity is None else identity.shown

    # --- ending ---------------------------------------------------------------------------------

    def _depart(self, reason: Closed) -> None:
        """End the session because the stream ended. Idempotent."""
        if self.ended:
            return
        count = self._owner.switchboard.count(self.link)
        self.session.on_closed(reason)
        self._finish(reason.value, subscriptions=count)

    def _finish(self, reason: str, *, subscriptions: int) -> None:
        self.ended = True
        for timer in (self._ping_timer, self._auth_timer, self._expiry_timer):
            if timer is not None:
                timer.cancel()
        self.log(logging.DEBUG, f"Client connection closed: {reason}")
        stop = self._owner.wall(self._owner.reactor.now())
        record = self._record(subscriptions, stop=stop, reason=reason)
        self._owner.ended(self, reason, record)

    def fail(self) -> None:
        """Handle an exception, our mistake, met while serving this client: it costs no other."""
        logger.exception("%s - internal error, closing this connection", self.label())
        self.stream.abort()
        if not self.ended:
            self.session.on_closed(Closed.PARSE_ERROR)
            self._finish(INTERNAL_ERROR, subscriptions=0)

    # --- log lines ------------------------------------------------------------------------------

    def log(self, level: int, text: str) -> None:
        """Log a line about this connection, with its label in front."""
        if logger.isEnabledFor(level):
            logger.log(level, "%s - %s", self.label(), text)

    def label(self) -> str:
        """Who this is, as nats-server's log lines begin: address, cid, client, account and user."""
        options, identity = self.session.options, self.session.identity
        host = f"[{self.ip}]" if ":" in self.ip else self.ip
        parts = [f"{host}:{self.port}", f"cid:{self.cid}"]
        version = options.version and f"v{options.version}"
        client = ":".join(filter(None, (version, options.lang, options.name)))
        if client:
            parts.append(f'"{client}"')
        who = label_of(options, identity)
        if who:
            parts.append(f'"{who}"')
        return " - ".join(parts)

    def _trace(self, text: str) -> None:
        logger.log(TRACE, "%s - %s", self.label(), text)

    def _explain(self, reason: Closed) -> None:
        """What nats-server logs about an end before the line that every end has."""
        failure = self.link.failure
        options = self._owner.options
        if reason is Closed.AUTHENTICATION_FAILURE:
            self._explain_refusal()
        elif reason is Closed.STALE_CONNECTION:
            self.log(logging.DEBUG, "Stale Client Connection - Closing")
        elif reason is Closed.SLOW_CONSUMER_PENDING:
            limit = f"MaxPending of {options.max_pending} Exceeded"
            self.log(logging.INFO, f"Slow Consumer Detected: {limit}")
        elif reason is Closed.SLOW_CONSUMER_DEADLINE:
            limit = f"WriteDeadline of {options.write_deadline:g}s exceeded"
            waiting = f"with {self.stream.pending} total bytes"
            self.log(logging.INFO, f"Slow Consumer Detected: {limit} {waiting}.")
        elif failure is not None:
            self.log(logging.ERROR, str(failure))
        elif reason is not Closed.SERVER_SHUTDOWN:
            self.log(logging.ERROR, reason.value)

    def _explain_refusal(self) -> None:
        owner, wall = self._owner, self._owner.wall(self._owner.reactor.now())
        if owner.doorman.quiet(self.ip, wall):
            return
        who = accused(self.session.options)
        self.log(logging.ERROR, "authentication error" + (f" - {who}" if who else ""))


def _subscription(subscription: Subscription) -> SubscriptionInfo:
    return SubscriptionInfo(
        subject=subscription.filter.decode("utf-8", "replace"),
        sid=subscription.sid.decode("utf-8", "replace"),
        queue=subscription.queue.decode("utf-8", "replace"),
        messages=subscription.msgs,
        max=subscription.limit,
    )
