"""The dialects of servers among themselves: two more tables of verbs for the parser there is.

The idea: a route and a leaf link say the same three things, *we want this*, *we want it no longer*
and *here is a message*, and differ in what they leave out. A route carries all accounts, so each
line names one; a leaf link belongs to one account. On a route the lines that begin with ``L`` speak
for a cluster of leaf nodes, and name it first:

    RS+ <account> <subject> [<queue> <weight>]      LS+ <origin> <account> <subject> [...]
    RS- <account> <subject> [<queue>]               LS- <origin> <account> <subject> [<queue>]
    RMSG <account> <subject> [<reply>] <size>
    RMSG <account> <subject> | <queue>... <size>
    RMSG <account> <subject> + <reply> <queue>... <size>
    HMSG, LMSG <origin>: as RMSG, with the size of the headers before that of all

and on a leaf link ``LS+ <subject> ...``, ``LMSG <subject> ...``, ``HMSG <subject> ...``. A message
lists the queue groups of which the receiver must serve one member each; those it does not list must
get nothing, because a member somewhere else has it.

A line may be sixteen times as long as a client's: it may list many groups.

Source: ``server/route.go`` and ``server/leafnode.go`` of nats-server, and its wire.

Neighbours: `broker.codec` has the parser and the grammar, `broker.framing` writes what is read
here. Pure.
"""

from __future__ import annotations

from collections.abc import Callable

from broker import ops
from broker.codec import COMMON_VERBS, Dialect, Head, Parser, Verb, read_size, split, wrong
from broker.errors import PAYLOAD_EXCEEDED

__all__ = ["LEAF_DIALECT", "LINE_FACTOR", "ROUTE_DIALECT"]

#: How many times longer than a client's a line may be.
LINE_FACTOR = 16

_WITH_REPLY, _WITHOUT = b"+", b"|"

_Build = Callable[[Parser, bytes], ops.Op | Head]


def _message(lead: int, sizes: int) -> _Build:
    """Reads a message's line: ``lead`` words before the subject (origin, account), and one size or
    two.
    """

    def build(parser: Parser, arguments: bytes) -> Head:
        words = split(arguments)
        if len(words) < lead + 1 + sizes:
            raise wrong("a message needs a subject and its sizes", arguments)
        size = read_size(words[-1], arguments)
        header_size = read_size(words[-2], arguments) if sizes == 2 else 0
        if header_size > size:
            raise wrong("headers larger than the message", arguments)
        if size > parser.max_payload:
            raise wrong(f"payload over {parser.max_payload} bytes", arguments, PAYLOAD_EXCEEDED)
        reply, queues = _reply_and_queues(words[lead + 1 : -sizes], arguments)
        return Head(
            words[lead],
            reply,
            size,
            words[-1],
            header_size,
            words[-2] if header_size else b"",
            ops.Routing(words[lead - 1] if lead else b"", words[0] if lead == 2 else b"", queues),
        )

    return build


def _reply_and_queues(words: list[bytes], arguments: bytes) -> tuple[bytes, tuple[bytes, ...]]:
    if len(words) < 2:
        return (words[0] if words else b""), ()
    if words[0] == _WITHOUT:
        return b"", tuple(words[1:])
    if words[0] == _WITH_REPLY:
        return words[1], tuple(words[2:])
    raise wrong("queue groups follow a | or a + and the reply", arguments)


def _interest(lead: int) -> _Build:
    """Reads the line of a subject that is wanted, after ``lead`` words (origin, account)."""

    def build(_parser: Parser, arguments: bytes) -> ops.Op:
        words = split(arguments)
        if len(words) not in (lead + 1, lead + 3):
            raise wrong("interest is a subject, or one with a queue and a weight", arguments)
        queue, weight = b"", 1
        if len(words) == lead + 3:
            queue, weight = words[-2], read_size(words[-1], arguments)
        return ops.Interest(*_names(words, lead), words[lead], queue, weight)

    return build


def _no_interest(lead: int) -> _Build:
    """Reads the line of one that is wanted no longer."""

    def build(_parser: Parser, arguments: bytes) -> ops.Op:
        words = split(arguments)
        if len(words) not in (lead + 1, lead + 2):
            raise wrong("the end of interest is a subject, or one with a queue", arguments)
        queue = words[-1] if len(words) == lead + 2 else b""
        return ops.Interest(*_names(words, lead), words[lead], queue, 0)

    return build


def _names(words: list[bytes], lead: int) -> tuple[bytes, bytes]:
    """Origin and account, as far as the line has them."""
    return (words[0] if lead == 2 else b""), (words[lead - 1] if lead else b"")


ROUTE_DIALECT = Dialect(
    (
        Verb(b"RMSG", True, _message(1, 1)),
        Verb(b"HMSG", True, _message(1, 2)),
        Verb(b"LMSG", True, _message(2, 2)),
        Verb(b"RS+", True, _interest(1)),
        Verb(b"RS-", True, _no_interest(1)),
        Verb(b"LS+", True, _interest(2)),
        Verb(b"LS-", True, _no_interest(2)),
        *COMMON_VERBS,
    )
)

LEAF_DIALECT = Dialect(
    (
        Verb(b"LMSG", True, _message(0, 1)),
        Verb(b"HMSG", True, _message(0, 2)),
        Verb(b"LS+", True, _interest(0)),
        Verb(b"LS-", True, _no_interest(0)),
        *COMMON_VERBS,
    )
)
