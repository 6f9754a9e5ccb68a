"""What a case of the wire suite is: a script of raw bytes, and the raw bytes that answer it.

The idea: a case is data. It says what each connection sends, in order, and all that each connection
then receives. The answers were recorded from nats-server 2.15.1, so that the suite needs no second
server; the differential test holds the recording against the real one again.

Conventions, which keep the data short:

* A connection is a letter. It is opened when its first step comes; the INFO that greets it is
  checked apart (`Server.greeting`), and is not part of the case.
* The word PING in a script is an operation that gets its PONG: a step that says PING is over when
  the PONGs are there. Every step but the last must say PING, so that the order between connections
  is certain. `Case` checks it.
* The letters in `closed` are the connections that the server closes, in their last step.
* Where the protocol leaves something open (an order, a choice), the case names a `Freedom`, and
  why.

Neighbours: tests.wire.harness plays cases, tests.wire.cases lists them.
"""

from __future__ import annotations

import dataclasses
import enum
import json
from collections.abc import Mapping, Sequence

from tests.support.servers import Settings


class Freedom(enum.Enum):
    """What a server may choose where the protocol does not say; see `tests.wire.harness.settle`."""

    ORDER = "messages that follow one another come in any order"
    PICK = "the messages come to any of the connections and subscriptions, each to one"


@dataclasses.dataclass(frozen=True)
class Server:
    """A server to play against: its settings, and the INFO it greets with, as `harness.plain_info`
    writes it.
    """

    name: str
    settings: Settings
    greeting: bytes


PLAIN = Server(
    "plain",
    Settings(max_payload=1000),
    b'INFO {"headers": true, "max_payload": 1000, "proto": 1}\r\n',
)
DEFAULTS = Server(
    "defaults",
    Settings(),
    b'INFO {"headers": true, "max_payload": 1048576, "proto": 1}\r\n',
)
PASSWORD = Server(
    "password",
    Settings(user="ann", password="secret", auth_timeout=60),
    b'INFO {"auth_required": true, "headers": true, "max_payload": 1048576, "proto": 1}\r\n',
)
TOKEN = Server(
    "token",
    Settings(token="s3cr3t", auth_timeout=60),
    b'INFO {"auth_required": true, "headers": true, "max_payload": 1048576, "proto": 1}\r\n',
)
TIGHT = Server(
    "tight",
    Settings(max_subscriptions=2, max_control_line=64),
    b'INFO {"headers": true, "max_payload": 1048576, "proto": 1}\r\n',
)

CROWDED = Server(
    "crowded",
    Settings(max_connections=2),
    b'INFO {"headers": true, "max_payload": 1048576, "proto": 1}\r\n',
)

QUIET = b'CONNECT {"verbose":false}\r\n'
"""The CONNECT of most cases: no +OK, no second INFO. (What it leaves out keeps its default:
pedantic, echo.)
"""

MODERN = (
    b'CONNECT {"verbose":false,"pedantic":false,"protocol":1,"headers":true,'
    b'"no_responders":true}\r\n'
)
"""The CONNECT of today's clients."""

HEADERS = b'CONNECT {"verbose":false,"pedantic":false,"headers":true}\r\n'
"""Headers, and nothing else that MODERN brings: no second INFO."""

CONNECTED = (
    b'INFO {"connect_info": true, "headers": true, "max_payload": 1000, "proto": 1,'
    b' "remote_account": "$G"}\r\n'
)
"""The second INFO, which follows the first PONG to a client of `protocol` 1; from `PLAIN`."""

VIOLATION = b"-ERR 'Authorization Violation'\r\n"

SIGNATURE = "<signature>"
"""Stands in a script for the signature of the connection's nonce by `tests.support.jwts.USER`."""

Step = tuple[str, bytes | Sequence[bytes]]
"""A connection's letter, and what it sends: at once, or in several writes, each read before the
next is sent.
"""


@dataclasses.dataclass(frozen=True)
class Case:
    """One conversation. Immutable.

    Raises:
        ValueError: the script breaks a convention above.
    """

    name: str
    script: tuple[Step, ...]
    replies: Mapping[str, bytes]
    closed: str = ""
    server: Server = PLAIN
    freedom: Freedom | None = None
    reason: str = ""

    def __post_init__(self) -> None:
        if bool(self.freedom) != bool(self.reason):
            raise ValueError(f"{self.name}: a freedom needs a reason, and a reason a freedom")
        for letter, sent in self.script[:-1]:
            if b"PING" not in joined(sent).upper() and letter not in self.closed:
                raise ValueError(f"{self.name}: a step of {letter} has no PING, so nothing ends it")
        if unheard := set(self.replies) ^ {letter for letter, _ in self.script}:
            raise ValueError(f"{self.name}: {sorted(unheard)} only speak, or only hear")


def login(**fields: object) -> bytes:
    """A CONNECT with these fields, quiet unless they say otherwise, and a PING. Underscores at the
    end of a name are left out.
    """
    said: dict[str, object] = {"verbose": False}
    said |= {name.rstrip("_"): value for name, value in fields.items()}
    text = json.dumps(said, separators=(",", ":"), ensure_ascii=False)
    return b"CONNECT " + text.encode() + b"\r\nPING\r\n"


def connected(account: str, *, max_payload: int = 1048576) -> bytes:
    """The second INFO of a server that asks who is there."""
    fields: dict[str, object] = {"auth_required": True, "connect_info": True, "headers": True}
    fields |= {"max_payload": max_payload, "proto": 1, "remote_account": account}
    return b"INFO " + json.dumps(fields).encode() + b"\r\n"


def joined(sent: bytes | Sequence[bytes]) -> bytes:
    """All bytes of a step."""
    return sent if isinstance(sent, bytes) else b"".join(sent)


def talk(
    name: str,
    sent: bytes | Sequence[bytes],
    reply: bytes,
    *,
    server: Server = PLAIN,
    freedom: Freedom | None = None,
    reason: str = "",
) -> Case:
    """One connection that the server keeps open."""
    return Case(name, (("a", sent),), {"a": reply}, server=server, freedom=freedom, reason=reason)


def fatal(
    name: str, sent: bytes | Sequence[bytes], reply: bytes, *, server: Server = PLAIN
) -> Case:
    """One connection that the server closes after `reply`."""
    return Case(name, (("a", sent),), {"a": reply}, closed="a", server=server)


def several(
    name: str,
    *script: Step,
    closed: str = "",
    server: Server = PLAIN,
    freedom: Freedom | None = None,
    reason: str = "",
    **replies: bytes,
) -> Case:
    """Several connections; `replies` are keyword arguments named by their letters."""
    return Case(name, script, replies, closed, server, freedom, reason)
