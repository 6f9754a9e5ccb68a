"""What is written to other servers: the lines that `broker.dialects` reads.

The idea: a message's framing follows the kind of the link that it goes to, and one line serves all
of a peer's subscriptions: plain ones by being there, queue groups by being named. The payload and
the text of its sizes are shared with everybody else who gets the message; only the few words before
the subject are a peer's own.

Neighbours: the data plane writes messages, sessions and the interest table write interest. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence

from broker.codec import CRLF
from broker.ops import Interest, Publish
from broker.scope import Kind

__all__ = ["interest_line", "message_line"]


def message_line(
    kind: Kind, account: bytes, origin: bytes, publish: Publish, queues: Sequence[bytes]
) -> bytes:
    """The line of `publish` for a peer of this kind; payload and CRLF follow it.

    `queues` are the groups of which the peer must serve one member each.  `origin` is the leaf
    cluster through which the message came (empty: none, or the peer does not want to know); a route
    is told it by an LMSG.  O(length of the line).
    """
    header = publish.header_text if publish.header_size else b""
    if kind is not Kind.ROUTE:
        words = [b"HMSG" if header else b"LMSG"]
    elif origin:
        words = [b"LMSG", origin, account]
        header = header or b"0"
    else:
        words = [b"HMSG" if header else b"RMSG", account]
    words.append(publish.subject)
    if queues:
        words += (b"+", publish.reply, *queues) if publish.reply else (b"|", *queues)
    elif publish.reply:
        words.append(publish.reply)
    if header:
        words.append(header)
    words.append(publish.size_text)
    return b" ".join(words) + CRLF


def interest_line(kind: Kind, interest: Interest, *, origins: bool = True) -> bytes:
    """The line that tells a peer of this kind of an interest, or (weight 0) of its end.

    A route that does not take `origins` is told of a leaf cluster's interest as of our own.
    """
    sign = b"+" if interest.weight else b"-"
    if kind is not Kind.ROUTE:
        words = [b"LS" + sign]
    elif interest.origin and origins:
        words = [b"LS" + sign, interest.origin, interest.account]
    else:
        words = [b"RS" + sign, interest.account]
    words.append(interest.subject)
    if interest.queue:
        words.append(interest.queue)
        if interest.weight:
            words.append(b"%d" % interest.weight)
    return b" ".join(words) + CRLF
