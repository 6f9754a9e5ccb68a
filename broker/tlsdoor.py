"""How a connection begins when there is TLS: who speaks first, and what.

The idea: NATS began as a plain protocol, so TLS came to it as an *upgrade*: the server says INFO in
plain, and from then on both speak TLS. That leaks INFO and makes every proxy in between understand
NATS, so newer clients may also begin with the handshake; and one port may have to serve both sorts,
or even clients without any TLS. That makes five ways, told apart by the options once, and a
`Beginning` that walks one connection through its way and then hands it over, and is forgotten.

* ``PLAIN``: INFO, and no TLS ever.
* ``UPGRADE``: INFO in plain, then the handshake. Whoever says anything else is cut off.
* ``FIRST``: the handshake, then INFO.
* ``FIRST_OR``: whoever says something within the fallback's delay has begun a handshake, as a
  client that knows no better waits for INFO; to that one, ``UPGRADE``.
* ``EITHER``: INFO in plain; the first byte of the answer tells a handshake from a CONNECT.

Invariants: the client is greeted exactly once; it is *welcomed* (its time to say CONNECT begins)
once the handshake, if there is one, is done; not a byte of input is lost between the two handlers.
Beyond ``connection_rate_limit`` handshakes in a second a client is turned away instead, but for
``FIRST``, where there is no plain to say so in.

Neighbours: `broker.connection` is what it hands over to. Certificates are `broker.tlscontext`'s,
the handshake is the stream's. Loop thread only.
"""

from __future__ import annotations

import logging
import ssl
from enum import Enum, auto

from broker.blocks import TlsBlock
from broker.config import Options
from broker.errors import Closed, WireError
from broker.tlscontext import ServerContext, described, key_digest
from broker.transport import Client
from reactor import CloseKind, CloseReason, Reactor, Stream, StreamHandler, Timer
from reactor.sources import Call
from reactor.stream import SocketLike
from reactor.tls import TlsSession

__all__ = ["Beginning", "Way", "way"]

#: What those hear who come in too large a crowd. A handshake costs more than all that follows.
THROTTLED = WireError(
    b"Connection throttling is active. Please try again later.", Closed.MAX_CONNECTIONS
)

#: The first byte of a TLS handshake: the type of its record (RFC 8446, section 5.1).
_HANDSHAKE = 0x16


class Way(Enum):
    """Who speaks first; the module's text explains each."""

    PLAIN = auto()
    UPGRADE = auto()
    FIRST = auto()
    FIRST_OR = auto()
    EITHER = auto()


def way(options: Options) -> Way:
    """How clients of a server with these options begin."""
    block = options.tls
    if block is None:
        return Way.PLAIN
    if block.first:
        return Way.FIRST if block.fallback is None else Way.FIRST_OR
    return Way.EITHER if options.allow_non_tls else Way.UPGRADE


class Beginning(StreamHandler):
    """The handler of one stream from accept until TLS is settled."""

    __slots__ = (
        "_block",
        "_client",
        "_context",
        "_greeted",
        "_reactor",
        "_shaking",
        "_timer",
        "_way",
    )

    def __init__(
        self,
        reactor: Reactor,
        client: Client,
        way: Way,
        block: TlsBlock,
        context: ssl.SSLContext,
    ) -> None:
        self._reactor = reactor
        self._client = client
        self._way = way
        self._block = block
        self._context = context
        self._greeted = False
        self._shaking = way is Way.FIRST
        self._timer: Timer | Call | None = None

    def open(self, sock: SocketLike, *, high_water: int) -> Stream:
        """Make the stream. Raises what `Stream` raises."""
        session = None
        if self._shaking:
            session = TlsSession(
                self._context, server_side=True, handshake_timeout=self._block.timeout
            )
        return Stream(self._reactor, sock, self, high_water=high_water, tls=session)

    # --- as the stream's handler ----------------------------------------------------------------

    def on_open(self, stream: Stream) -> None:
        """Speak, or wait for the client to speak, as the way has it."""
        if self._way is Way.FIRST:
            self.on_secure(stream)
        elif self._way is Way.FIRST_OR:
            delay = self._block.fallback or 0.0
            self._timer = self._reactor.call_later(delay, self._fall_back, stream)
        elif self._greet():
            if self._way is Way.UPGRADE:
                self._shake_soon(stream)
            else:
                self._client.welcome()  # it may never choose, and must not stay for ever

    def on_data(self, stream: Stream, data: bytes) -> None:
        """The client has spoken first, or has chosen."""
        if self._way is Way.EITHER and data[0] != _HANDSHAKE:
            self._hand_over(stream)
            self._client.on_data(stream, data)
        else:
            self._stop_waiting()
            self._shake(stream, data)

    def on_eof(self, stream: Stream) -> None:
        """The client has left before anything was settled."""
        self._stop_waiting()
        if self._greeted and self._way is not Way.EITHER:
            self._client.shun("TLS handshake error: the peer ended the connection before it")
        self._client.on_eof(stream)

    def on_secure(self, stream: Stream) -> None:
        """The handshake is done: see that the certificate will do, and hand over."""
        self._shaking = False
        tls = stream.tls
        assert tls is not None
        pins = self._block.pinned_certs
        if pins and key_digest(tls.object) not in pins:
            self._client.shun("certificate not pinned")
            stream.abort()
            return
        self._client.log(logging.DEBUG, "TLS handshake complete")
        version, cipher = described(tls.object)
        self._client.log(logging.DEBUG, f"TLS version {version}, cipher suite {cipher}")
        if self._greeted or self._greet():
            self._hand_over(stream)

    def on_close(self, stream: Stream, reason: CloseReason) -> None:
        """It was over before it began."""
        self._stop_waiting()
        if self._shaking:
            self._client.shun(_problem(reason))
        self._client.on_close(stream, reason)

    # --- steps ----------------------------------------------------------------------------------

    def _fall_back(self, stream: Stream) -> None:
        self._timer = None
        if not stream.closed and self._greet():
            self._shake_soon(stream)

    def _greet(self) -> bool:
        self._greeted = True
        return self._client.greet()

    def _shake_soon(self, stream: Stream) -> None:
        """Begin the handshake in the next turn, when INFO is out.

        Who answers it with anything else is cut off, and must have seen INFO all the same.
        """
        self._timer = self._reactor.call_soon(self._shake, stream)

    def _shake(self, stream: Stream, received: bytes = b"") -> None:
        self._timer = None
        if stream.closed:
            return
        context = self._context
        if isinstance(context, ServerContext) and not context.allows(self._reactor.now()):
            self._client.refuse(THROTTLED)
            return
        # What was said in plain must be in the stream before it goes over to TLS.
        self._client.push()
        self._client.log(logging.DEBUG, "Starting TLS client connection handshake")
        self._shaking = True
        stream.start_tls(
            self._context,
            server_side=True,
            handshake_timeout=self._block.timeout,
            received=received,
        )

    def _hand_over(self, stream: Stream) -> None:
        stream.handler = self._client
        if self._way is not Way.EITHER:
            self._client.welcome()

    def _stop_waiting(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _problem(reason: CloseReason) -> str:
    if reason.kind is CloseKind.TIMEOUT:
        return "TLS handshake timeout"
    return f"TLS handshake error: {reason.detail or reason.kind.value}"
