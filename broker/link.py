"""A link is a connection as the data plane sees it; a verdict is what it tells of one.

The idea: no socket and no policy, only what parsing, framing and counting need.  The C plane will
have a link of its own with the same attributes.

Output waits in `out` as a list of chunks: "MSG subject ", sid, rest, and again.  The first and the
last are shared by all who receive a message, so a fan-out to 10,000 copies nothing, and a slow
consumer costs three pointers a message.

Invariants: `queued` is the size of `out`; a link with output is in the plane's dirty list; a deaf
link gets no more output.

Neighbours: plane makes and changes links, session configures them, server takes their output and
tells them the backlog, switchboard and monitor read them.  One thread.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from broker.codec import Parser
from broker.errors import ProtocolError
from broker.ops import Op, Publish
from broker.scope import Kind

__all__ = ["Link", "PlaneStats", "Verdict"]

# Average chunk size from which output is handed on piece by piece, because joining would copy
# shared payloads.
JOIN_BELOW = 4096


class Verdict(Enum):
    """Why the plane stopped parsing; `broker.plane` says what follows from each."""

    DRAINED = "drained"
    YIELD = "yield"
    CONTROL = "control"
    MISS = "miss"
    CLOSED = "closed"
    BROKEN = "broken"


class Link:
    """A connection as the data plane sees it.

    `queued` is what waits in `out`, in bytes; `backlog` (bytes) is what the stream still holds;
    `in_bytes` and `out_bytes` count payloads with their headers but without lines, as nats-server's
    /connz does.  `deaf` is true when nothing may be queued any more: overflowed or closed.  Set the
    flags by `configure` only, as others are derived from them.  `kind` says who is at the other
    end; `origin` is the cluster of a leaf node that is.  `origins` is whether a route takes the
    origin of what it is sent.
    """

    __slots__ = (
        "_backlog",
        "careful",
        "control",
        "deaf",
        "dropped",
        "echo",
        "failure",
        "headers",
        "id",
        "in_bytes",
        "in_msgs",
        "kind",
        "max_pending",
        "no_responders",
        "origin",
        "origins",
        "out",
        "out_bytes",
        "out_msgs",
        "overflowed",
        "parked",
        "parser",
        "pedantic",
        "queued",
        "room",
        "verbose",
        "zone",
    )

    def __init__(
        self,
        link_id: int,
        zone: int,
        parser: Parser,
        max_pending: int,
        kind: Kind = Kind.CLIENT,
    ) -> None:
        self.id = link_id
        self.kind = kind
        self.origin = b""
        self.origins = False
        self.zone = zone
        self.parser = parser
        self.max_pending = max_pending
        self.room = max_pending
        self._backlog = 0
        self.out: list[bytes] = []
        self.queued = 0
        self.in_msgs = self.in_bytes = self.out_msgs = self.out_bytes = self.dropped = 0
        self.deaf = self.overflowed = False
        self.control: Op | None = None
        self.parked: Publish | None = None
        self.failure: ProtocolError | None = None
        self.echo = self.verbose = self.pedantic = self.careful = True
        self.headers = self.no_responders = False

    def configure(
        self,
        *,
        zone: int,
        locked: bool = False,
        verbose: bool = True,
        pedantic: bool = True,
        echo: bool = True,
        headers: bool = False,
        no_responders: bool = False,
    ) -> None:
        """Sets what CONNECT decided; the defaults are those of a client that has not said CONNECT.
        O(1).
        """
        self.zone = zone
        self.verbose = verbose
        self.pedantic = pedantic
        self.echo = echo
        self.headers = self.parser.headers = headers
        self.no_responders = no_responders
        self.parser.locked = locked
        # Also where the dialect has no PUB.
        self.careful = verbose or pedantic or locked or self.kind is not Kind.CLIENT

    @property
    def backlog(self) -> int:
        """Bytes taken from this link that the kernel has not taken yet; set by the owner of the
        socket.
        """
        return self._backlog

    @backlog.setter
    def backlog(self, size: int) -> None:
        self._backlog = size
        self.room = self.max_pending - size

    def take_output(self) -> list[bytes]:
        """The queued output, ready for the socket, and empties the queue.  O(bytes) to join small
        chunks.
        """
        out, queued = self.out, self.queued
        self.out = []
        self.queued = 0
        if len(out) > 1 and queued < JOIN_BELOW * len(out):
            return [b"".join(out)]
        return out


@dataclass(frozen=True)
class PlaneStats:
    """Totals since the plane was made; messages and bytes of payload, as in `Link`."""

    links: int
    in_msgs: int
    in_bytes: int
    out_msgs: int
    out_bytes: int
    misses: int
    dropped: int
