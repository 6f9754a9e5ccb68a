"""The connection of a leaf link: what a `PeerConnection` has, and TLS after the first word.

The idea: INFO goes in plain and tells whether TLS comes next, as for clients. So at the door a link
begins as a client's does (`broker.tlsdoor`), and who comes is asked who it is as a client is, which
may take a thread; the side that dialled goes over to TLS when its session says so.

Neighbours: `broker.leafnodes` makes them. Loop thread only.
"""

from __future__ import annotations

import logging
import ssl
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from broker.blocks import RemoteTls, TlsBlock
from broker.errors import Closed, WireError
from broker.handshake import ConnectOptions
from broker.identity import Answer, Credentials, Identity
from broker.leafaccepted import AcceptedLeaf
from broker.leafdialled import DialledLeaf
from broker.peerconn import PeerConnection
from broker.tlscontext import ServerContext, key_digest, names
from broker.tlsdoor import Beginning, Way
from broker.transport import Client
from reactor import CloseReason, Stream, Timer
from reactor.stream import SocketLike
from reactor.tls import TlsSession

if TYPE_CHECKING:
    from broker.server import Server

__all__ = ["AcceptedConnection", "DialledConnection"]

KIND, TAG = "Leafnode", "lid"


class AcceptedConnection(PeerConnection, Client):
    """A server that came to our door. ``tls`` is the door's, ``patience`` for how many seconds a
    stranger may not say who it is.
    """

    __slots__ = ("_asking", "_beginning", "_expiry_timer", "_patience", "ending")

    session: AcceptedLeaf

    def __init__(
        self,
        owner: Server,
        cid: int,
        sock: SocketLike,
        address: tuple[Any, ...],
        make_session: Callable[[AcceptedConnection], AcceptedLeaf],
        *,
        gone: Callable[[PeerConnection], object],
        patience: float,
        tls: tuple[TlsBlock, ServerContext] | None,
    ) -> None:
        self.ending = None
        self._asking = False
        self._expiry_timer: Timer | None = None
        self._patience = patience
        self._beginning: Beginning | None = None
        if tls is not None:
            block, context = tls
            self._beginning = Beginning(owner.reactor, self, _way(block), block, context)
        super().__init__(
            owner,
            cid,
            sock,
            address,
            lambda _: make_session(self),
            kind=KIND,
            tag=TAG,
            gone=gone,
        )

    def _attach(self, sock: SocketLike, tls: TlsSession | None) -> Stream:
        if self._beginning is None:
            return super()._attach(sock, tls)
        return self._beginning.open(sock, high_water=self.owner.options.max_pending)

    # --- beginning, as for a client -------------------------------------------------------------

    def on_open(self, stream: Stream) -> None:
        """Say who we are; without TLS."""
        self.greet()
        self.welcome()

    def greet(self) -> bool:
        """Say INFO."""
        super().on_open(self.stream)
        return not self.ended

    def welcome(self) -> None:
        """From now on the other side has so much time to say who it is."""
        if not self.ended:
            self._auth_timer = self.owner.reactor.call_later(self._patience, self._on_auth_timer)

    def refuse(self, error: WireError) -> None:
        """Turn it away, though it was greeted already."""
        self.session.refuse(error)

    def shun(self, problem: str) -> None:
        """The TLS handshake has failed."""
        if not self.ended:
            self.complain(problem)
            self._depart(Closed.TLS_HANDSHAKE)

    # --- as the wire of its session -------------------------------------------------------------

    def credentials(self) -> Credentials:
        """All that is known of the other side without its CONNECT."""
        tls, owner = self.stream.tls, self.owner
        return Credentials(
            connect=ConnectOptions(),
            ip=self.ip,
            kind="LEAFNODE",
            names=names(tls.object) if tls is not None and tls.secure else (),
            wall=owner.wall(owner.reactor.now()),
        )

    def authenticated(self, identity: Identity) -> None:
        """Of leaves nobody is told."""

    def consult(self, question: Callable[[], Answer], then: Callable[[Answer], object]) -> bool:
        """Ask in a thread, and read nothing meanwhile; False if too many wait for an answer."""
        if not self.owner.workers.consult(question, partial(self._answered, then)):
            self.log(logging.WARNING, "too many wait to log in; refused")
            return False
        self._wait()
        return True

    def delay(self, seconds: float, callback: Callable[[], object]) -> None:
        """Read nothing for so long, then call it."""
        self._wait()
        self.owner.reactor.call_later(seconds, self._answered, lambda _answer: callback(), None)

    def _wait(self) -> None:
        self._asking = True
        self.stream.pause_reading()

    def _answered(self, then: Callable[[Any], object], answer: Any) -> None:
        if self.ended:
            return
        self._asking = False
        self.owner.before_input()
        try:
            then(answer)
        except Exception:
            self.fail()
        self._go_on()

    def _go_on(self) -> None:
        if not self._asking:
            super()._go_on()

    def set_expiry_timer(self, delay: float | None) -> None:
        """Have the session told in so many seconds that its credentials have expired."""
        if delay is not None:
            self._expiry_timer = self.owner.reactor.call_later(delay, self._on_expiry_timer)

    def _on_expiry_timer(self) -> None:
        self.owner.before_input()
        self.session.on_expiry_timer()

    def _finish(self, reason: Closed) -> None:
        if self._expiry_timer is not None:
            self._expiry_timer.cancel()
        super()._finish(reason)


class DialledConnection(PeerConnection):
    """A server that we dialled. ``host`` is what its certificate must be for; ``context`` is what
    we go over to TLS with, if it comes to that.
    """

    __slots__ = ("_block", "_context", "_host")

    session: DialledLeaf

    def __init__(
        self,
        owner: Server,
        cid: int,
        sock: SocketLike,
        address: tuple[Any, ...],
        make_session: Callable[[DialledConnection], DialledLeaf],
        *,
        gone: Callable[[PeerConnection], object],
        block: RemoteTls,
        context: Callable[[], ssl.SSLContext],
        host: str,
    ) -> None:
        self._block = block
        self._context = context
        self._host = host
        super().__init__(
            owner,
            cid,
            sock,
            address,
            lambda _: make_session(self),
            kind=KIND,
            tag=TAG,
            gone=gone,
            tls=self._session() if block.first else None,
        )

    def _session(self) -> TlsSession:
        return TlsSession(
            self._context(),
            server_side=False,
            server_hostname=self._host,
            handshake_timeout=self._block.timeout,
        )

    def on_open(self, stream: Stream) -> None:
        """Wait for the other side to speak."""
        if stream.tls is None or self._is_pinned(stream):
            super().on_open(stream)

    def secure(self) -> None:
        """Go over to TLS, and tell the session when that is done."""
        self.push()
        self.log(logging.DEBUG, "Starting TLS leafnode client handshake")
        self.stream.start_tls(
            self._context(),
            server_side=False,
            server_hostname=self._host,
            handshake_timeout=self._block.timeout,
        )

    def on_secure(self, stream: Stream) -> None:
        """TLS has begun."""
        self.log(logging.DEBUG, "TLS handshake complete")
        if self._is_pinned(stream):
            self.owner.before_input()
            self.session.on_secure()

    def on_close(self, stream: Stream, reason: CloseReason) -> None:
        """The last call of all."""
        if not self.ended and stream.tls is not None and not stream.tls.secure:
            self.complain(f"TLS leafnode handshake error: {reason.detail or reason.kind.value}")
            self._depart(Closed.TLS_HANDSHAKE)
        super().on_close(stream, reason)

    def _is_pinned(self, stream: Stream) -> bool:
        pins = self._block.pinned_certs
        if not pins or key_digest(cast(TlsSession, stream.tls).object) in pins:
            return True
        self.complain("certificate not pinned")
        self._depart(Closed.TLS_HANDSHAKE)
        stream.abort()
        return False


def _way(block: TlsBlock) -> Way:
    if not block.first:
        return Way.UPGRADE
    return Way.FIRST if block.fallback is None else Way.FIRST_OR
