"""Every error text of the wire and every reason for a close, in one place.

The idea: a peer's mistake is *data* here, not control flow.  `WireError` is one row of a table: the
text a client sees between single quotes (or nothing: many mistakes close the connection without a
word), whether the connection survives, and the reason that the monitoring page shows for a
connection closed by it.  The session and the data plane only ever point at rows of this table, so
that the texts, which clients compare byte for byte, are written once.

`ProtocolError` is the exception with which the parser carries such a row upwards.  It is always the
*peer's* error, never the program's.

Source: the texts and names are those that nats-server 2.15 sends and lists under
`/connz?state=closed`, as observed on its wire.  Beware of inventing new texts: a client library
that does not know a text may take it for fatal and give up for good where it would have
reconnected.

Neighbours: codec, plane, session, switchboard and auth raise or return these; server and monitor
read `Closed`. Everybody may import this module; it imports nothing of ours.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

__all__ = [
    "ACCOUNT_CONNECTIONS_EXCEEDED",
    "ACCOUNT_EXPIRED",
    "AUTHENTICATION_TIMEOUT",
    "AUTHORIZATION_VIOLATION",
    "BAD_ARGUMENTS",
    "BAD_CLIENT_PROTOCOL",
    "CONNECTIONS_EXCEEDED",
    "CONTROL_LINE_EXCEEDED",
    "INVALID_PUBLISH_SUBJECT",
    "INVALID_SUBJECT",
    "NO_RESPONDERS_NEEDS_HEADERS",
    "PAYLOAD_EXCEEDED",
    "PEER_ERROR",
    "STALE_CONNECTION",
    "SUBSCRIPTIONS_EXCEEDED",
    "UNKNOWN_OPERATION",
    "USER_EXPIRED",
    "USER_REVOKED",
    "Closed",
    "ProtocolError",
    "WireError",
    "complaint",
    "publish_violation",
    "reply_violation",
    "subscription_ended",
    "subscription_violation",
    "too_many_tokens",
]


class Closed(Enum):
    """Why a connection ended; the value is the reason shown by `/connz?state=closed`."""

    CLIENT_CLOSED = "Client Closed"
    AUTHENTICATION_TIMEOUT = "Authentication Timeout"
    AUTHENTICATION_FAILURE = "Authentication Failure"
    TLS_HANDSHAKE = "TLS Handshake Failure"
    SLOW_CONSUMER_PENDING = "Slow Consumer (Pending Bytes)"
    SLOW_CONSUMER_DEADLINE = "Slow Consumer (Write Deadline)"
    WRITE_ERROR = "Write Error"
    READ_ERROR = "Read Error"
    PARSE_ERROR = "Parse Error"
    STALE_CONNECTION = "Stale Connection"
    PROTOCOL_VIOLATION = "Protocol Violation"
    BAD_CLIENT_PROTOCOL = "Bad Client Protocol Version"
    MAX_CONNECTIONS = "Maximum Connections Exceeded"
    MAX_ACCOUNT_CONNECTIONS = "Maximum Account Connections Exceeded"
    MAX_PAYLOAD = "Maximum Message Payload Exceeded"
    MAX_CONTROL_LINE = "Maximum Control Line Exceeded"
    MAX_SUBSCRIPTIONS = "Maximum Subscriptions Exceeded"
    SERVER_SHUTDOWN = "Server Shutdown"
    AUTHENTICATION_EXPIRED = "Authentication Expired"
    REVOCATION = "Credentials Revoked"
    NO_RESPONDERS_NEEDS_HEADERS = "No Responders Requires Headers"
    KICKED = "Kicked"
    DUPLICATE_ROUTE = "Duplicate Route"
    CLUSTER_NAME_CONFLICT = "Cluster Name Conflict"
    DUPLICATE_SERVER_NAME = "Duplicate Server Name"
    WRONG_PORT = "Incorrect Port"
    CLUSTER_NAMES_IDENTICAL = "Cluster Names Identical"
    DUPLICATE_REMOTE_LEAFNODE_CONNECTION = "Duplicate Remote LeafNode Connection"


@dataclass(frozen=True)
class WireError:
    """One row of the table of errors.

    `text` goes between the quotes of `-ERR '...'`; None means that the peer is told nothing.
    `closed` is the reason for the close that follows, or None where the connection survives.
    Immutable, hence safe anywhere.
    """

    text: bytes | None
    closed: Closed | None

    @property
    def fatal(self) -> bool:
        """Whether the connection ends with this error."""
        return self.closed is not None


UNKNOWN_OPERATION = WireError(b"Unknown Protocol Operation", Closed.PROTOCOL_VIOLATION)
AUTHORIZATION_VIOLATION = WireError(b"Authorization Violation", Closed.AUTHENTICATION_FAILURE)
AUTHENTICATION_TIMEOUT = WireError(b"Authentication Timeout", Closed.AUTHENTICATION_TIMEOUT)
USER_EXPIRED = WireError(b"User Authentication Expired", Closed.AUTHENTICATION_EXPIRED)
ACCOUNT_EXPIRED = WireError(b"Account Authentication Expired", Closed.AUTHENTICATION_EXPIRED)
USER_REVOKED = WireError(b"User Authentication Revoked", Closed.REVOCATION)
PAYLOAD_EXCEEDED = WireError(b"Maximum Payload Violation", Closed.MAX_PAYLOAD)
CONTROL_LINE_EXCEEDED = WireError(b"maximum control line exceeded", Closed.MAX_CONTROL_LINE)
CONNECTIONS_EXCEEDED = WireError(b"maximum connections exceeded", Closed.MAX_CONNECTIONS)
ACCOUNT_CONNECTIONS_EXCEEDED = WireError(
    b"maximum account active connections exceeded", Closed.MAX_ACCOUNT_CONNECTIONS
)
BAD_CLIENT_PROTOCOL = WireError(b"invalid client protocol", Closed.BAD_CLIENT_PROTOCOL)
NO_RESPONDERS_NEEDS_HEADERS = WireError(
    b"no responders requires headers support", Closed.NO_RESPONDERS_NEEDS_HEADERS
)
STALE_CONNECTION = WireError(b"Stale Connection", Closed.STALE_CONNECTION)
INVALID_SUBJECT = WireError(b"Invalid Subject", None)
INVALID_PUBLISH_SUBJECT = WireError(b"Invalid Publish Subject", None)
SUBSCRIPTIONS_EXCEEDED = WireError(b"maximum subscriptions exceeded", None)
# Wrong argument counts, bad sizes, bad JSON and headers that were not agreed upon: no word, just
# the close.
BAD_ARGUMENTS = WireError(None, Closed.PROTOCOL_VIOLATION)
# The peer reported an error of ours; there is nothing to answer.
PEER_ERROR = WireError(None, Closed.PARSE_ERROR)


# The escapes of Go's strconv.Quote; also keeps a subject from ending the line it is quoted in.
_ESCAPES = {
    ord(char): "\\" + code for char, code in zip('\a\b\f\n\r\t\v\\"', 'abfnrtv\\"', strict=True)
}


def _quoted(text: bytes) -> bytes:
    """`text` in double quotes as Go's `%q` writes it, which is what nats-server uses."""
    return b'"' + "".join(map(_escaped, text.decode("utf-8", "surrogateescape"))).encode() + b'"'


def _escaped(char: str) -> str:
    code = ord(char)
    if code in _ESCAPES:
        return _ESCAPES[code]
    if char.isprintable():
        return char
    if 0xDC80 <= code <= 0xDCFF:  # a byte that is no UTF-8, as surrogateescape holds it
        return f"\\x{code - 0xDC00:02x}"
    if code < 0x80:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def publish_violation(subject: bytes) -> WireError:
    """The refusal of a publish to `subject`; the connection survives.  O(len(subject))."""
    return WireError(b"Permissions Violation for Publish to " + _quoted(subject), None)


def reply_violation(reply: bytes) -> WireError:
    """The refusal of a publish because of its reply subject; the connection survives.
    O(len(reply)).
    """
    return WireError(b"Permissions Violation for Publish with Reply of " + _quoted(reply), None)


def subscription_violation(subject: bytes, queue: bytes = b"") -> WireError:
    """The refusal of a subscription; the connection survives.  O(len(subject))."""
    text = b"Permissions Violation for Subscription to " + _quoted(subject)
    if queue:
        text += b" using queue " + _quoted(queue)
    return WireError(text, None)


def subscription_ended(subject: bytes, sid: bytes) -> WireError:
    """The end of a subscription that was allowed until permissions changed; the connection
    survives.  O(len(subject)).
    """
    text = b"Permissions Violation for Subscription to " + _quoted(subject)
    return WireError(text + b" (sid " + _quoted(sid) + b")", None)


def too_many_tokens(subject: bytes) -> WireError:
    """The refusal of a subscription whose subject has more tokens than the server allows; the
    connection survives.  O(len(subject)).
    """
    text = b"Permissions Violation for Subscription to " + _quoted(subject) + b", too many tokens"
    return WireError(text, None)


# What the wire says -> what nats-server's log says of the same thing.
_COMPLAINTS = {
    b"Permissions Violation for Publish to ": "Publish Violation - Subject ",
    b"Permissions Violation for Publish with Reply of ": "Publish Violation - Reply ",
    b"Permissions Violation for Subscription to ": "Subscription Violation - Subject ",
}


def complaint(error: WireError, sid: bytes = b"") -> str:
    """The line for the log about a violation of permissions or limits that the connection survives;
    empty for other errors.  ``sid`` is of the subscription that was refused.  O(len(text)).
    """
    text = error.text or b""
    if error is SUBSCRIPTIONS_EXCEEDED:
        return text.decode()
    for said, logged in _COMPLAINTS.items():
        if text.startswith(said):
            rest = text[len(said) :].decode("utf-8", "backslashreplace")
            if rest.endswith(", too many tokens"):
                logged = "Subscription Violation Too Many Tokens - Subject "
                rest = rest.removesuffix(", too many tokens")
            rest = rest.replace('" using queue "', '", Queue: "', 1)
            return logged + rest + (f", SID {sid.decode('utf-8', 'replace')}" if sid else "")
    return ""


class ProtocolError(Exception):
    """The peer broke the protocol; `error` is the row of the table that says how to answer.

    `detail` is for our own log: what was wrong and where, never sent to the peer.
    """

    def __init__(self, error: WireError, detail: str = "") -> None:
        super().__init__(detail or (error.text or b"closed without a word").decode("latin-1"))
        self.error = error
        self.detail = detail
