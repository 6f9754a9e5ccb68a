"""Last wills: what a client wants said when it can no longer say it itself.

The idea: a client that may hear who comes and goes (`broker.presence`) may also leave a message, as
the member `will` of its CONNECT: ``{"subject": …, "payload": …, "headers": {…}}``. If its
connection ends in any way but that it closes it, the broker publishes the message in its name.
With ``"always": true`` it does so at each end: a process that was killed is taken for one that has
closed, because its kernel closes for it. A later CONNECT may bring another will, or none (`{}`).

A will is read twice, at the CONNECT and at the end, so that nobody keeps what will hardly ever be
needed. At the CONNECT a mistake ends the connection with an -ERR that says what it is, and a
subject that the client may not publish to is refused as it would be in a PUB; at the end, what it
may do then decides.

Invariants: nothing is published that the client could not have published by itself: as to size,
subject, permissions and mappings. Where presence is off, `will` means nothing, as to nats-server.

Ours alone; MQTT has the same thing by this name.

Neighbours: the session asks `refusal`, the server calls `publish`. Pure but for the switchboard
that they are given; O(size of the will). Loop thread only.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from broker import reserved
from broker.errors import Closed, WireError
from broker.identity import Identity
from broker.ops import Publish
from broker.subject import is_valid_publish
from broker.switchboard import Switchboard

__all__ = ["Will", "publish", "read_will", "refusal"]

_MEMBERS = ("subject", "payload", "headers", "always")
_FIELD_NAME = re.compile(r"[!#-9;-~]+")  # printable ASCII but the colon; and no quote, see below


@dataclass(frozen=True)
class Will:
    """The message, and whether it is for every end of the connection."""

    message: Publish
    always: bool = False


def read_will(given: object, max_payload: int) -> Will:
    """The will that a CONNECT's JSON describes. Raises ValueError, in words without quotes."""
    if not isinstance(given, Mapping):
        raise ValueError("give a map of subject and payload")
    unknown = [name for name in given if name not in _MEMBERS]
    if unknown:
        raise ValueError(f"unknown member; there are {', '.join(_MEMBERS)}")
    subject = _text(given, "subject").encode()
    if not is_valid_publish(subject) or re.search(rb"[\s\0]", subject):
        raise ValueError("subject is missing, or nothing that one can publish to")
    headers = b"".join(_header_lines(given.get("headers")))
    if headers:
        headers = b"NATS/1.0\r\n" + headers + b"\r\n"
    body = headers + _text(given, "payload").encode()
    if len(body) > max_payload:
        raise ValueError(f"{len(body)} bytes are more than max_payload, {max_payload}")
    always = given.get("always")
    if not isinstance(always, bool | None):
        raise ValueError("always must be true or false")
    return Will(Publish(subject, b"", body, header_size=len(headers)), bool(always))


def _text(given: Mapping[str, object], name: str) -> str:
    value = given.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise ValueError(f"{name} must be a text")
    try:
        value.encode()
    except UnicodeEncodeError:  # half of a surrogate pair, which JSON can say
        raise ValueError(f"{name} is not Unicode") from None
    return value


def _header_lines(given: object) -> Iterator[bytes]:
    if given is None:
        return
    if not isinstance(given, Mapping):
        raise ValueError("headers must be a map of texts")
    for name, values in given.items():
        for value in values if isinstance(values, list) else [values]:
            if not isinstance(value, str) or not _FIELD_NAME.fullmatch(name):
                raise ValueError("headers must be a map of texts")
            if "\r" in value or "\n" in value:
                raise ValueError("a header must be one line")
            yield f"{name}: ".encode() + _text({"headers": value}, "headers").encode() + b"\r\n"


def refusal(
    board: Switchboard, identity: Identity, given: object, max_payload: int
) -> WireError | None:
    """What is wrong with the will in a CONNECT, if anything."""
    if not _is_heeded(board, identity, given):
        return None
    try:
        will = read_will(given, max_payload)
    except ValueError as problem:
        return WireError(f"Invalid Will: {problem}".encode(), Closed.PROTOCOL_VIOLATION)
    try:
        judged = _judged(board, identity, will)
    except ValueError:  # permissions that are no filters, which keep the client out in any case
        return None
    return judged if isinstance(judged, WireError) else None


def publish(
    board: Switchboard, identity: Identity | None, given: object, max_payload: int, reason: str
) -> str:
    """Publish the will of a client whose connection has ended; returns a complaint for the log."""
    if identity is None or not _is_heeded(board, identity, given):
        return ""
    try:
        will = read_will(given, max_payload)
    except ValueError as problem:  # a reload has lowered the limit
        return f"Will not published: {problem}"
    if reason == Closed.CLIENT_CLOSED.value and not will.always:
        return ""
    message = _judged(board, identity, will)
    if isinstance(message, WireError):
        return f"Will not published: {(message.text or b'').decode('utf-8', 'backslashreplace')}"
    size = message.header_size
    headers, payload = message.payload[:size], message.payload[size:]
    board.emit(identity.account, message.subject, payload, headers=headers)
    return ""


def _is_heeded(board: Switchboard, identity: Identity, given: object) -> bool:
    account = board.account(identity.account)
    return given not in (None, {}) and account is not None and account.presence


def _judged(board: Switchboard, identity: Identity, will: Will) -> Publish | WireError:
    judged = board.judge_absent(identity.account, identity.permissions, will.message)
    if isinstance(judged, WireError):
        return judged
    return reserved.refusal(judged) or judged
