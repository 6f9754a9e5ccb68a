"""A connection to another server: where a stream, a peer's session and its link meet.

The idea: the same as `broker.connection` for clients, and much less: nobody logs in by a question
that takes long, nothing is charged. It stands among the server's streams under the number of its
link, so that what is queued for it leaves with everybody else's output, a slow peer is noticed like
a slow client, and closing the broker closes it too.

TLS, if there is any, comes before the first word, in both directions.

`hold` (seconds) is for tests: what arrives is handed on so much later, in order.

Neighbours: `broker.cluster` and the leaf nodes make them; `broker.server` flushes and closes them.
Loop thread only.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from broker.errors import Closed
from broker.link import Link
from broker.logs import TRACE, logger
from broker.peer import PeerSession
from broker.wiretap import Wiretap
from reactor import CloseKind, CloseReason, Stream, StreamHandler, Timer
from reactor.stream import SocketLike
from reactor.tls import TlsSession

if TYPE_CHECKING:
    from broker.server import Server

__all__ = ["PeerConnection"]

_ENDS = {
    CloseKind.LOCAL: Closed.CLIENT_CLOSED,
    CloseKind.EOF: Closed.CLIENT_CLOSED,
    CloseKind.SHUTDOWN: Closed.SERVER_SHUTDOWN,
}


class PeerConnection(StreamHandler):
    """One other server. A `PeerWire` to its session, and what the server's `_streams` hold.

    ``make_session`` makes the session, given the connection. ``label`` is its kind's tag in log
    lines (``rid``, ``lid``); ``kind`` the kind's name (``Router``). ``patience`` is how long a
    stranger may take to introduce itself, None where it was we who dialled. ``gone`` is called when
    the session is over. ``pins`` are the only certificates that will do, if there are any.

    Making one registers the socket; raises what `Stream` raises, and leaves nothing behind then.
    """

    __slots__ = (
        "_auth_timer",
        "_gone",
        "_held",
        "_ping_timer",
        "_pins",
        "_tag",
        "_taps",
        "cid",
        "ended",
        "hold",
        "ip",
        "kind",
        "owner",
        "port",
        "reason",
        "session",
        "started",
        "stream",
    )

    def __init__(
        self,
        owner: Server,
        cid: int,
        sock: SocketLike,
        address: tuple[Any, ...],
        make_session: Callable[[PeerConnection], PeerSession],
        *,
        kind: str,
        tag: str,
        gone: Callable[[PeerConnection], object],
        tls: TlsSession | None = None,
        pins: frozenset[str] = frozenset(),
        patience: float | None = None,
    ) -> None:
        self.cid = cid
        self.ip, self.port = str(address[0]), int(address[1])
        self.started = owner.reactor.now()
        self.kind = kind
        self.owner = owner
        self.ended = False
        self.reason: Closed | None = None
        self.hold = 0.0
        self._tag = tag
        self._gone = gone
        self._pins = pins
        self._held: deque[bytes | None] = deque()
        self._ping_timer: Timer | None = None
        self._auth_timer: Timer | None = None
        self._taps: tuple[Wiretap, Wiretap] | None = None
        if logger.isEnabledFor(TRACE):
            limit = owner.options.max_traced
            self._taps = Wiretap("<<-", self._trace, limit), Wiretap("->>", self._trace, limit)
        self.session = make_session(self)
        try:
            self.stream = Stream(
                owner.reactor, sock, self, high_water=owner.options.max_pending, tls=tls
            )
        except BaseException:
            owner.plane.close(self.session.link)
            raise
        if patience is not None:
            self._auth_timer = owner.reactor.call_later(patience, self._on_auth_timer)

    @property
    def link(self) -> Link:
        """As the data plane sees it."""
        return self.session.link

    # --- as a stream's handler ------------------------------------------------------------------

    def on_open(self, stream: Stream) -> None:
        """Say what is said first; with TLS the handshake is done."""
        self.log(logging.DEBUG, f"{self.kind} connection created")
        if self._pins and stream.tls is not None:
            from broker.tlscontext import key_digest  # ssl is slow to import

            if key_digest(stream.tls.object) not in self._pins:
                self.log(logging.ERROR, "certificate not pinned")
                stream.abort()
                return
        self.owner.before_input()
        self.session.open(self.owner.reactor.now())

    def on_data(self, stream: Stream, data: bytes) -> None:
        """Hand it to the session, at once or later."""
        if self.hold or self._held:
            self._held.append(data)
            self.owner.reactor.call_later(self.hold, self._let_through)
        else:
            self._take(data)

    def _let_through(self) -> None:
        data = self._held.popleft()
        if self.ended:
            return
        if data is None:
            self._leave()
        else:
            self._take(data)

    def _take(self, data: bytes) -> None:
        owner = self.owner
        owner.before_input()
        if self._taps is not None:
            self._taps[0].feed(data)
        try:
            if self.session.receive(data, owner.reactor.now()):
                self.stream.pause_reading()
                owner.reactor.call_soon(self._go_on)
        except Exception:
            self.fail()

    def _go_on(self) -> None:
        if self.ended:
            return
        owner = self.owner
        owner.before_input()
        try:
            if self.session.resume(owner.reactor.now()):
                owner.reactor.call_soon(self._go_on)
            else:
                self.stream.resume_reading()
        except Exception:
            self.fail()

    def on_eof(self, stream: Stream) -> None:
        """The other side has left."""
        if self._held:
            self._held.append(None)
            self.owner.reactor.call_later(self.hold, self._let_through)
        else:
            self._leave()

    def _leave(self) -> None:
        self.push()
        self._depart(Closed.CLIENT_CLOSED)
        self.stream.close()

    def on_close(self, stream: Stream, reason: CloseReason) -> None:
        """The last call of all."""
        if not self.ended and reason.detail:
            self.log(logging.DEBUG, f"{reason.kind.value}: {reason.detail}")
        self._depart(_ENDS.get(reason.kind, Closed.READ_ERROR))
        self.owner.gone(self)

    # --- as a session's wire --------------------------------------------------------------------

    def close(self, reason: Closed) -> None:
        """End the connection after what is queued, unless that is the trouble."""
        if reason in (Closed.SLOW_CONSUMER_PENDING, Closed.SLOW_CONSUMER_DEADLINE):
            self.log(logging.INFO, reason.value)
            self.link.take_output()
            self.stream.abort()
        else:
            self.push()
            self.stream.close()
        self._finish(reason)

    def complain(self, text: str) -> None:
        """Log what the other side did wrong."""
        self.log(logging.ERROR, text)

    def note(self, text: str) -> None:
        """Log a detail."""
        self.log(logging.DEBUG, text)

    def set_ping_timer(self, delay: float) -> None:
        """Set the one timer there is, in place of the one there was."""
        if self._ping_timer is not None:
            self._ping_timer.cancel()
        self._ping_timer = self.owner.reactor.call_later(delay, self._on_ping_timer)

    def _on_ping_timer(self) -> None:
        self.owner.before_input()
        self.log(logging.DEBUG, f"{self.kind} Ping Timer")
        self.session.on_ping_timer(self.owner.reactor.now())

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
        self.session.on_overflow()

    def fail(self) -> None:
        """Handle an exception, our mistake, met while serving this peer: it costs no other."""
        logger.exception("%s - internal error, closing this connection", self.label())
        self.stream.abort()
        self._depart(Closed.PARSE_ERROR)

    # --- ending ---------------------------------------------------------------------------------

    def _depart(self, reason: Closed) -> None:
        """End the session because the stream ended. Idempotent."""
        if not self.ended:
            self.session.on_closed(reason)
            self._finish(reason)

    def _finish(self, reason: Closed) -> None:
        self.ended = True
        self.reason = reason
        for timer in (self._ping_timer, self._auth_timer):
            if timer is not None:
                timer.cancel()
        self.log(logging.INFO, f"{self.kind} connection closed: {reason.value}")
        self._gone(self)

    # --- log lines ------------------------------------------------------------------------------

    def log(self, level: int, text: str) -> None:
        """Log a line about this connection, with its label in front."""
        if logger.isEnabledFor(level):
            logger.log(level, "%s - %s", self.label(), text)

    def label(self) -> str:
        """Who this is, as nats-server's log lines begin."""
        host = f"[{self.ip}]" if ":" in self.ip else self.ip
        return f"{host}:{self.port} - {self._tag}:{self.cid}"

    def _trace(self, text: str) -> None:
        logger.log(TRACE, "%s - %s", self.label(), text)
