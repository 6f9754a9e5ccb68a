"""What another server wants, as a subscription among the others.

The idea: interest that a peer tells us of is a `Subscription` of the peer's link, in the trie of
its account. So it is found with the clients' ones, flows carry deliveries to it, a change evicts
what it concerns, and the monitor lists it; no second way is needed. It differs in two numbers: how
many members stand behind it, and on behalf of which cluster of leaf nodes it is.

Its delivery's `sid` is what the line of a message must say: the account's name on a route, nothing
on a leaf link.

Neighbours: the switchboard makes them (`learn`), forwarding puts them into flows, the interest
table counts them for further peers. One thread.
"""

from __future__ import annotations

from broker.accounts import Account, Subscription
from broker.link import Link
from broker.ops import Interest
from broker.permissions import PublishGate
from broker.scope import Kind

__all__ = ["MAX_WEIGHT", "RemoteSubscription", "key_of"]

#: For how many members one peer may stand in a choice, at most: each is an entry of a flow.
MAX_WEIGHT = 1024


class RemoteSubscription(Subscription):
    """Interest of a peer. `weight` is the size of its queue group, 1 of plain interest; `origin`
    is the leaf cluster that it is of, empty if it is of the peer's own clients. `gate` says what
    may be given to the peer (None: anything).
    """

    __slots__ = ("gate", "origin", "weight")

    def __init__(
        self,
        link: Link,
        interest: Interest,
        account: Account,
        gate: PublishGate | None = None,
    ) -> None:
        name = account.name.encode() if link.kind is Kind.ROUTE else b""
        super().__init__(link, name, interest.subject, interest.queue, account)
        self.origin = interest.origin or link.origin
        self.weight = min(interest.weight, MAX_WEIGHT)
        self.gate = gate

    @property
    def is_spare(self) -> bool:
        """Whether members of a queue group that are here, or on a route, go before it."""
        return bool(self.origin) or self.link.kind is not Kind.ROUTE

    @property
    def key(self) -> bytes:
        """By what its link knows it."""
        return key_of(self.account.name, self.origin, self.filter, self.queue)


def key_of(account: str, origin: bytes, filter: bytes, queue: bytes) -> bytes:
    """What tells two interests of one link apart. No part can hold a blank."""
    return b" ".join((account.encode(), origin, filter, queue))
