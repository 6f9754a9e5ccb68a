"""The operations of the protocol, as plain records.

The idea: what was read from the wire, and nothing about what it means.  The codec produces
operations, the data plane hands on those it cannot settle by itself, the session gives them
meaning.  All text stays `bytes`, as a subject may hold any byte but blanks; absent parts are `b""`.

Neighbours: codec makes them, plane carries them, session and switchboard read them.  No imports of
ours. Records are frozen: an operation may be parked and looked at later.  (`Publish` alone is not
frozen, only slotted: it is made for every message that takes the slow way, and freezing triples the
cost of making it.)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

__all__ = [
    "Connect",
    "Err",
    "Info",
    "Interest",
    "Ok",
    "Op",
    "Ping",
    "Pong",
    "Publish",
    "Routing",
    "Subscribe",
    "Unsubscribe",
]


@dataclass(frozen=True)
class Connect:
    """`CONNECT {json}`; the JSON is unparsed, as judging it is the session's business."""

    json: bytes


@dataclass(frozen=True)
class Info:
    """`INFO {json}`; a client has no reason to send one, but may."""

    json: bytes


@dataclass(frozen=True)
class Ping:
    """`PING`, to be answered by PONG."""


@dataclass(frozen=True)
class Pong:
    """`PONG`, the answer to a PING of ours."""


@dataclass(frozen=True)
class Ok:
    """`+OK`; carries nothing and needs no answer."""


@dataclass(frozen=True)
class Err:
    """`-ERR 'text'` from the peer; `text` as received, quotes included."""

    text: bytes


@dataclass(frozen=True)
class Subscribe:
    """`SUB subject [queue] sid`; `queue` is empty for a plain subscription."""

    subject: bytes
    queue: bytes
    sid: bytes


@dataclass(frozen=True)
class Unsubscribe:
    """`UNSUB sid [max]`; `max` is 0 for "now", as is a number that cannot be read."""

    sid: bytes
    max: int


@dataclass(frozen=True)
class Interest:
    """What a peer's side wants (`RS+`, `LS+`), or no longer wants: then `weight` is 0.

    `queue` is empty for plain interest, whose weight is 1; of a queue group `weight` is how many
    members it has there. `origin` is the leaf cluster on whose behalf, `account` is empty where the
    link has only one.
    """

    origin: bytes
    account: bytes
    subject: bytes
    queue: bytes
    weight: int


class Routing(NamedTuple):
    """What a peer says of a message besides: its account, the leaf cluster through which it came,
    and the queue groups of which we must serve one member each, and no others.
    """

    account: bytes
    origin: bytes
    queues: tuple[bytes, ...]


class Publish:
    """`PUB subject [reply] size` or `HPUB subject [reply] header-size size`, with its payload.

    `payload` is the header block followed by the body, without the final CRLF.  `header_size` is 0
    without headers (also for `HPUB ... 0 n`, which is delivered as a message without headers).
    `size_text` and `header_text` are the numbers as the publisher wrote them: subscribers get the
    same digits, leading zeros included.  `routing` is there if it came from another server (`RMSG`,
    `LMSG`, or their `HMSG`).  Treat it as immutable.
    """

    __slots__ = (
        "header_size",
        "header_text",
        "payload",
        "reply",
        "routing",
        "size_text",
        "subject",
    )

    def __init__(
        self,
        subject: bytes,
        reply: bytes,
        payload: bytes,
        *,
        size_text: bytes = b"",
        header_size: int = 0,
        header_text: bytes = b"",
        routing: Routing | None = None,
    ) -> None:
        self.subject = subject
        self.reply = reply
        self.payload = payload
        self.routing = routing
        self.size_text = size_text or b"%d" % len(payload)
        self.header_size = header_size
        self.header_text = header_text or (b"%d" % header_size if header_size else b"")

    def _key(self) -> tuple[object, ...]:
        return tuple(getattr(self, name) for name in self.__slots__)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Publish):
            return NotImplemented
        return self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def __repr__(self) -> str:
        reply = f" reply {self.reply!r}" if self.reply else ""
        return f"<Publish {self.subject!r}{reply} {len(self.payload)} bytes>"


Op = Connect | Info | Ping | Pong | Ok | Err | Subscribe | Unsubscribe | Interest | Publish
