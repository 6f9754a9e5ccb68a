"""What a connection writes to: a stream, or something that looks like one.

The idea: a client comes by TCP, by TLS or through a WebSocket, and `broker.connection` does not
want to know. What it needs of the way its bytes take stands here as `Transport`, nine members that
a `reactor.Stream` has by nature (TLS included, which a stream wears) and a WebSocket imitates. And
because a socket is not the only thing that a client can arrive with, `Entrance` says what the
connection is given instead: something that makes its transport, and knows what came with it.

Neighbours: `broker.connection` uses both, `broker.wstransport` and `broker.wsdoor` provide them.
Loop thread only.
"""

from __future__ import annotations

import ssl
from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import ClassVar, Protocol

from broker.errors import Closed, WireError
from broker.handshake import ConnectOptions, ServerInfo
from reactor import CloseReason, StreamHandler
from reactor.stream import StreamStats
from reactor.tls import TlsSession

__all__ = ["Client", "Entrance", "Transport"]


class Transport(Protocol):
    """The members of a stream that a connection uses; they mean what `Stream` says they mean."""

    @property
    def pending(self) -> int:
        """Bytes that were written and that the kernel has not taken yet."""

    @property
    def closed(self) -> bool:
        """Whether it is closing or closed."""

    @property
    def tls(self) -> TlsSession | None:
        """The TLS session that the bytes go through, if they do."""

    def stats(self) -> StreamStats:
        """Counters and state."""

    def writelines(self, chunks: Iterable[bytes]) -> None:
        """Queue all of these; they leave at the turn's end."""

    def pause_reading(self) -> None:
        """Deliver nothing until `resume_reading`."""

    def resume_reading(self) -> None:
        """Undo that."""

    def close(self) -> None:
        """Close after what is queued."""

    def abort(self, reason: CloseReason | None = None) -> None:
        """Close now."""

    def start_tls(self, context: ssl.SSLContext, *, server_side: bool) -> None:
        """Go on in TLS from here; for streams that are plain."""


class Client(StreamHandler):
    """A connection, as those see it who bring its bytes; beyond a stream's handler, that is."""

    __slots__ = ()

    #: Why our side is ending the connection; a WebSocket tells its peer.
    ending: Closed | None

    @abstractmethod
    def greet(self) -> bool:
        """Say INFO; or turn the client away, and return False."""

    @abstractmethod
    def welcome(self) -> None:
        """The client's time to say CONNECT begins."""

    @abstractmethod
    def refuse(self, error: WireError) -> None:
        """Turn the client away with this error."""

    @abstractmethod
    def shun(self, problem: str) -> None:
        """The TLS handshake has failed; the stream is closed, or closes now."""

    @abstractmethod
    def push(self) -> None:
        """Hand what was said to the transport."""

    @abstractmethod
    def log(self, level: int, text: str) -> None:
        """Log a line about this client."""


class Entrance(ABC):
    """A way in which is not a plain socket: the client has said something before NATS begins."""

    __slots__ = ()

    #: The kind of connection, by nats-server's names for `allowed_connection_types`.
    kind: ClassVar[str]

    @property
    @abstractmethod
    def tls(self) -> TlsSession | None:
        """The TLS session it came through, if any."""

    @property
    @abstractmethod
    def defaults(self) -> ConnectOptions:
        """What came beforehand, in cookies, and holds where CONNECT does not say otherwise."""

    @abstractmethod
    def info(self, info: ServerInfo) -> ServerInfo:
        """The server's INFO as clients who come this way should read it."""

    @abstractmethod
    def attach(self, client: Client) -> Transport:
        """Make the transport, which calls ``client`` from now on, ``on_open`` in a later turn."""

    @abstractmethod
    def close(self) -> None:
        """The client cannot be served."""
