"""A client's connection: where a stream, a session and a link meet.

The idea: the stream moves bytes, the session knows what they mean, the link counts and queues; none
of them knows the other two. This class introduces them to one another and adds what only floor 6
has: time, timers, log lines, and the record that the monitor shows.

What happens to input: `on_data` hands it to the session. If the session has more to do than one
turn's budget allows, the stream is paused and the session goes on next turn, so that one busy
publisher cannot keep the others waiting, and nothing is read that cannot be worked on yet.

What happens to output: sessions and deliveries queue it at the link; `push` moves it to the stream,
once a turn, called by the server's flusher.

How it begins: greeted with INFO at once, or by whatever order TLS wants (`broker.tlsdoor`), or
after an upgrade from HTTP (an `Entrance`). What it then writes to is a `Transport`; it never asks
which.

When it pauses: while the session has more to do than a turn allows, while somebody is asked who the
client is, and while it owes for what it sent (`broker.ingress`); each has a bit.

How it ends: by the peer (`on_eof`, `on_close`) or by the session (`close`). Either way the session
ends at once, with its subscriptions; the stream may live a little longer to send what is owed. A
slow consumer gets no such time: what it has not taken is the problem.

Neighbours: `broker.server` makes and owns connections, and is their `Owner`. Loop thread only.
"""

from __future__ import annotations

import logging
import random
import weakref
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from broker.codec import err_line
from broker.errors import CONNECTIONS_EXCEEDED, Closed, WireError
from broker.identity import Answer, Credentials, Identity
from broker.ingress import Toll
from broker.labels import credentials, explained, label, record, undelivered
from broker.link import Link
from broker.logs import TRACE, logger
from broker.owner import Owner
from broker.session import Session
from broker.snapshots import ConnectionInfo
from broker.tlsdoor import Beginning, Way, way
from broker.transport import Client, Entrance, Transport
from broker.wiretap import Wiretap
from reactor import CloseKind, CloseReason, Stream, Timer
from reactor.stream import SocketLike

__all__ = ["SLOW", "Connection"]

#: The ends of those who did not take what they were sent.
SLOW = frozenset({Closed.SLOW_CONSUMER_PENDING, Closed.SLOW_CONSUMER_DEADLINE})

#: The ends of those who were not let in.
_UNKNOWN = frozenset({Closed.AUTHENTICATION_FAILURE, Closed.AUTHENTICATION_TIMEOUT})

#: The reason shown for a connection that was closed because of a mistake of ours.
INTERNAL_ERROR = "Internal Error"

#: What the end of a stream means to a client's connection, where the session did not end first.
_ENDS = {
    CloseKind.LOCAL: Closed.CLIENT_CLOSED,
    CloseKind.EOF: Closed.CLIENT_CLOSED,
    CloseKind.SHUTDOWN: Closed.SERVER_SHUTDOWN,
}

# Reasons not to read, as bits of `_paused`.
_BUSY: Final = 1  # the session has not worked off what it has
_ASKING: Final = 2  # somebody is being asked, or a refusal is held back
_OWING: Final = 4  # the client has sent more than it may


class Connection(Client):
    """One client. It is a `StreamHandler` to its transport, a `Wire` to its session, a `Row` to the
    monitor.

    ``source`` is a socket, or an `Entrance` for a client that came another way. Making one
    registers the socket; raises what `Stream` raises, and then leaves nothing behind.
    """

    __slots__ = (
        "__weakref__",
        "_auth_timer",
        "_early",
        "_expiry_timer",
        "_is_new",
        "_owing_timer",
        "_paused",
        "_ping_timer",
        "_refused",
        "_taps",
        "_toll",
        "cid",
        "ended",
        "ending",
        "entrance",
        "ip",
        "kind",
        "owner",
        "port",
        "session",
        "started",
        "stream",
    )

    stream: Transport

    def __init__(
        self,
        owner: Owner,
        cid: int,
        source: SocketLike | Entrance,
        address: Any,
        *,
        refused: bool = False,
    ) -> None:
        self.cid = cid
        self.ip, self.port = address[0], address[1]
        self.started = owner.reactor.now()
        self.ended = False
        self.ending = None
        self.owner = owner
        self._refused = refused
        self.entrance = source if isinstance(source, Entrance) else None
        self.kind = "STANDARD" if self.entrance is None else self.entrance.kind
        self._ping_timer: Timer | None = None
        self._auth_timer: Timer | None = None
        self._expiry_timer: Timer | None = None
        self._owing_timer: Timer | None = None
        self._paused = 0
        self._is_new = True  # it has said nothing yet
        self._early = b""  # its first words, while others are served
        self._toll: Toll | None = None
        self._taps: tuple[Wiretap, Wiretap] | None = None
        self.session = Session(
            cid,
            self.ip,
            plane=owner.plane,
            switchboard=owner.switchboard,
            authenticator=owner.authenticator,
            info=owner.info if self.entrance is None else self.entrance.info(owner.info),
            limits=owner.options,
            wire=weakref.proxy(self),  # so that neither keeps the other
            jitter=random.random(),
            doorman=owner.doorman,
        )
        try:
            self.stream = self._attach(source)
        except BaseException:
            owner.plane.close(self.session.link)
            raise
        if logger.isEnabledFor(TRACE):
            limit = owner.options.max_traced
            self._taps = Wiretap("<<-", self._trace, limit), Wiretap("->>", self._trace, limit)

    def _attach(self, source: SocketLike | Entrance) -> Transport:
        if isinstance(source, Entrance):
            return source.attach(self)
        owner = self.owner
        options = owner.options
        block, context = options.tls, owner.tls
        begins = way(options)
        if begins is Way.PLAIN or block is None or context is None:
            return Stream(owner.reactor, source, self, high_water=options.max_pending)
        beginning = Beginning(owner.reactor, self, begins, block, context)
        return beginning.open(source, high_water=options.max_pending)

    @property
    def busy(self) -> bool:
        """Whether it is not read from, as it has still to be served or asked about."""
        known = self.session.identity is not None
        return bool(self._early) or (known and not self.stream.stats().reading)

    @property
    def link(self) -> Link:
        """As the data plane sees it."""
        return self.session.link

    @property
    def account(self) -> str:
        """The name of its account; empty before it has logged in."""
        identity = self.session.identity
        return "" if identity is None else identity.account

    # --- beginning ------------------------------------------------------------------------------

    def on_open(self, stream: Stream) -> None:
        """Greet the client, or turn it away."""
        if self.greet():
            self.welcome()

    def greet(self) -> bool:
        """Say INFO; or turn the client away, because there are too many, and return False."""
        self.log(logging.DEBUG, "Client connection created")
        owner = self.owner
        owner.before_input()
        if self._refused:
            self.session.refuse(CONNECTIONS_EXCEEDED)
        else:
            self.session.open(owner.reactor.now())
        return not self.ended

    def welcome(self) -> None:
        """From now on the client has ``auth_timeout`` to say who it is, if it must."""
        owner = self.owner
        if owner.authenticator.required and not self.ended:
            self._auth_timer = owner.reactor.call_later(
                owner.options.auth_timeout, self._on_auth_timer
            )

    def refuse(self, error: WireError) -> None:
        """Turn a client away that was greeted already."""
        self.owner.plane.send(self.link, err_line(error))
        self.session.close(error.closed or Closed.CLIENT_CLOSED)

    def shun(self, problem: str) -> None:
        """The TLS handshake has failed."""
        if not self.ended:
            self.log(logging.ERROR, problem)
            self._depart(Closed.TLS_HANDSHAKE)

    # --- as a stream's handler ------------------------------------------------------------------

    def on_data(self, stream: Stream, data: bytes) -> None:
        """Hand it to the session; go on later if it has more to do than this turn allows."""
        if self._is_new:
            self._is_new = False
            if not self.owner.run_queue.claim():
                self._early = data
                self._pause(_BUSY)
                self.owner.run_queue.add(self._hear_early)
                return
        self._hear(data)

    def _hear_early(self) -> None:
        if self._early:
            data, self._early = self._early, b""
            self._paused &= ~_BUSY
            self._hear(data)
            if not self._paused:
                self.stream.resume_reading()

    def _hear(self, data: bytes) -> None:
        owner = self.owner
        owner.before_input()
        if self._taps is not None:
            self._taps[0].feed(data)
        if owner.topics is not None:
            owner.topics.feed(data, owner.reactor.now())
        try:
            if self.session.receive(data, owner.reactor.now()):
                self._pause(_BUSY)
                owner.run_queue.add(self._go_on)
        except Exception:
            self.fail()
        if self._toll is not None and not self.ended:
            self._charge(self._toll, len(data))

    def _go_on(self) -> None:
        if self.ended or self._paused & _ASKING:
            return
        owner = self.owner
        owner.before_input()
        try:
            if self.session.resume(owner.reactor.now()):
                self._pause(_BUSY)
                owner.run_queue.add(self._go_on)
            else:
                self._resume(_BUSY)
        except Exception:
            self.fail()
        if self._toll is not None and not self.ended:
            self._charge(self._toll, 0)  # its bytes were charged when they came

    def _pause(self, why: int) -> None:
        self._paused |= why
        self.stream.pause_reading()

    def _resume(self, why: int) -> None:
        self._paused &= ~why
        if not self._paused:
            self.stream.resume_reading()

    def _charge(self, toll: Toll, size: int) -> None:
        reactor = self.owner.reactor
        pause, text = toll.charge(size, self.link.in_msgs, reactor.now())
        if pause:
            self._pause(_OWING)
            if self._owing_timer is not None:
                self._owing_timer.cancel()  # what it waited for is in the sum
            self._owing_timer = reactor.call_later(pause, self._resume, _OWING)
        if text:
            self.log(logging.INFO, text)

    def on_eof(self, stream: Stream) -> None:
        """The client has left; what it asked for before is still sent."""
        if self.owner.run_queue.claim():
            self._leave()
        else:
            self.owner.run_queue.add(self._leave)

    def _leave(self) -> None:
        if not self.stream.closed:
            self.push()
            self._depart(Closed.CLIENT_CLOSED)
            self.stream.close()

    def on_close(self, stream: Stream, reason: CloseReason) -> None:
        """The last call of all."""
        self._hear_early()
        self._depart(_ENDS.get(reason.kind, Closed.READ_ERROR))
        self.owner.gone(self)

    # --- as a session's wire --------------------------------------------------------------------

    def close(self, reason: Closed) -> None:
        """End it as the session wants: after what is queued, unless that is the trouble."""
        self.ending = reason
        if (line := explained(self, reason)) is not None:
            self.log(*line)
        ending = self._ending(reason.value)
        if reason in _UNKNOWN:
            self.owner.observer.auth_failed(ending)
        if reason in SLOW:
            messages = undelivered(self, b"".join(self.link.take_output()))
            self.stream.abort()
            self.session.on_closed(reason)
            self.owner.observer.slow(ending, messages, ending.pending_bytes)
        else:
            self.push()
            self.stream.close()
            self.session.on_closed(reason)
        self._finish(ending)

    def complain(self, text: str) -> None:
        """Log what the client did wrong."""
        self.log(logging.ERROR, text)

    def credentials(self) -> Credentials:
        """All that is known about the client without its CONNECT, whose defaults are within."""
        return credentials(self)

    def authenticated(self, identity: Identity) -> None:
        """The client was let in; again after each further CONNECT that is accepted."""
        self._leave_toll()
        toll = Toll(self.owner.ingress, identity, self.link.in_msgs)
        self._toll = toll if toll.limited else None
        self.owner.observer.connected(self.info())

    def _leave_toll(self) -> None:
        if self._toll is not None:
            self._toll.leave()

    def consult(self, question: Callable[[], Answer], then: Callable[[Answer], object]) -> bool:
        """Ask in a thread, and read nothing meanwhile; then call ``then`` and go on. False if too
        many are waiting for an answer.
        """
        if not self.owner.workers.consult(question, partial(self._answered, then)):
            self.log(logging.WARNING, "too many clients wait to log in; refused")
            return False
        self._pause(_ASKING)
        return True

    def delay(self, seconds: float, callback: Callable[[], object]) -> None:
        """Read nothing for so long, then call it and go on."""
        self._pause(_ASKING)
        self.owner.reactor.call_later(seconds, self._answered, lambda _answer: callback(), None)

    def _answered(self, then: Callable[[Any], object], answer: Any) -> None:
        if self.ended:
            return
        self._paused &= ~_ASKING
        self.owner.before_input()
        try:
            then(answer)
        except Exception:
            self.fail()
        self._go_on()

    def set_ping_timer(self, delay: float) -> None:
        """Set the one timer there is, in place of the one there was."""
        if self._ping_timer is not None:
            self._ping_timer.cancel()
        self._ping_timer = self.owner.reactor.call_later(delay, self._on_ping_timer)

    def set_expiry_timer(self, delay: float | None) -> None:
        """Have the session told in ``delay`` seconds that its identity has expired; None: never."""
        if self._expiry_timer is not None:
            self._expiry_timer.cancel()
            self._expiry_timer = None
        if delay is not None:
            self._expiry_timer = self.owner.reactor.call_later(delay, self._on_expiry_timer)

    def _on_expiry_timer(self) -> None:
        self.owner.before_input()
        self.session.on_expiry_timer()

    def _on_ping_timer(self) -> None:
        self.owner.before_input()
        self.log(logging.DEBUG, "Client Ping Timer")
        if self._paused & _OWING:
            # Its PONG is not read, and that is our doing.
            self.set_ping_timer(self.owner.options.ping_interval)
            return
        try:
            self.session.on_ping_timer(self.owner.reactor.now())
        except Exception:
            self.fail()

    def _on_auth_timer(self) -> None:
        self.owner.before_input()
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
        switchboard, link = self.owner.switchboard, self.link
        listed = switchboard.subscriptions(link) if subscriptions else ()
        return record(self, switchboard.count(link), listed)

    # --- ending ---------------------------------------------------------------------------------

    def _depart(self, reason: Closed) -> None:
        """End the session because the stream ended. Idempotent."""
        if self.ended:
            return
        ending = self._ending(reason.value)
        self.session.on_closed(reason)
        self._finish(ending)

    def _ending(self, reason: str) -> ConnectionInfo:
        """The last record, taken while there still is something to tell of."""
        owner = self.owner
        stop = owner.wall(owner.reactor.now())
        return record(self, owner.switchboard.count(self.link), stop=stop, reason=reason)

    def _finish(self, ending: ConnectionInfo) -> None:
        """The last words of all; the session has ended, so nothing is delivered here any more."""
        self.ended = True
        for timer in (self._ping_timer, self._auth_timer, self._expiry_timer, self._owing_timer):
            if timer is not None:
                timer.cancel()
        self._leave_toll()
        self.log(logging.DEBUG, f"Client connection closed: {ending.reason}")
        self.owner.ended(self, ending)

    def fail(self) -> None:
        """Handle an exception, our mistake, met while serving this client: it costs no other."""
        logger.exception("%s - internal error, closing this connection", self.label())
        self.stream.abort()
        if not self.ended:
            ending = self._ending(INTERNAL_ERROR)
            self.session.on_closed(Closed.PARSE_ERROR)
            self._finish(ending)

    # --- log lines ------------------------------------------------------------------------------

    def log(self, level: int, text: str) -> None:
        """Log a line about this connection, with its label in front; one of its kind in a while."""
        if level > logging.DEBUG:
            self.owner.complaints.say(level, self.label, text)
        elif logger.isEnabledFor(level):
            logger.log(level, "%s - %s", self.label(), text)

    def label(self) -> str:
        """Who this is, as nats-server's log lines begin."""
        return label(self)

    def _trace(self, text: str) -> None:
        logger.log(TRACE, "%s - %s", self.label(), text)
