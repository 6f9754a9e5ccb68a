"""Listeners inside the broker: the system service, tests, whoever embeds the broker.

The idea: a *tap* is a subscription whose receiver is a function instead of a link. Where a tap
listens, messages take the way through Python, so that a broker without taps pays nothing for them,
and a flow never has to know of one.

Invariants: a tap that took a message counts as somebody who heard it (no 503); it is called after
the clients have been served, and what it emits is sent after it has returned.

Neighbours: the switchboard finds taps, forwarding calls them. No thread-safety: one thread.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from broker.link import Link

__all__ = ["Message", "Tap"]


@dataclass(frozen=True)
class Message:
    """One message as a tap sees it.

    `headers` is the block as it came, empty without headers; `payload` is what follows it. `link`
    is the publisher, None where that is the broker itself; `account` is the one in which the tap
    heard it.
    """

    subject: bytes
    reply: bytes
    headers: bytes
    payload: bytes
    link: Link | None
    account: str


@dataclass(frozen=True, eq=False)
class Tap:
    """What `Switchboard.tap` returns and `untap` takes.  Compared by identity.

    `account` is None for a tap in every account. `callback` must not raise; it may call anything
    of the switchboard. `across`: other servers of the cluster send it what is published there.
    """

    account: str | None
    filter: bytes
    callback: Callable[[Message], None]
    across: bool = False
