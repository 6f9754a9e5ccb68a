"""What other servers must be told that we want, counted.

The idea: another server need not know our subscriptions, only whether a subject is wanted here at
all, and of a queue group how many members it has, because that is its share. So subscriptions are
counted by what they have in common (`Key`), and a peer is told of differences: of plain interest
when the first one comes and the last one goes, of a queue group whenever its size changes.

Not every peer is to hear of everything: a route must not be told what another route told us (one
hop), and a leaf node not what it wants itself. What one kind of listener may hear of is an
`InterestMap`: all routes share one, each leaf link has its own, of one account.

Invariants: the counts of a map are those of the subscriptions that there are and that it wants; no
count is 0; whoever was sent everything in a map, and then everything that it tells, knows it.

Neighbours: the switchboard reports each subscription that begins or ends, if it has a table at all
(a broker that stands alone has none); sessions of peers write what they are told. One thread.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from broker.accounts import Account, Subscription
from broker.ops import Interest
from broker.remotes import RemoteSubscription

__all__ = ["InterestMap", "InterestTable", "Key"]


class Key(NamedTuple):
    """What subscriptions have in common; `origin` is empty unless the map tells origins."""

    account: str
    origin: bytes
    filter: bytes
    queue: bytes


class InterestMap:
    """The interest that some peers hear of.

    `account` is the one it is about, None for all; `wants` says which subscriptions count; with
    `origins` those of different leaf clusters are told apart. `tell` is called with each change.
    O(1) for each subscription.
    """

    def __init__(
        self,
        account: Account | None,
        wants: Callable[[Subscription], bool],
        tell: Callable[[Interest], object],
        *,
        origins: bool = False,
    ) -> None:
        self.account = account
        self._wants = wants
        self._tell = tell
        self._origins = origins
        self._counts: dict[Key, int] = {}

    def __len__(self) -> int:
        return len(self._counts)

    def __iter__(self) -> Iterator[Interest]:
        """All of it, as a peer is told that has just come. O(interest)."""
        for key, count in self._counts.items():
            yield self._interest(key, count)

    def counts(self) -> dict[Key, int]:
        """A copy of all counts, for whoever compares two maps. O(interest)."""
        return dict(self._counts)

    def change(self, subscription: Subscription, by: int) -> None:
        """Members were added, or (`by` is negative) are gone."""
        home = subscription.account
        if self.account in (None, home) and self._wants(subscription):
            origin = _origin(subscription) if self._origins else b""
            self._count(Key(home.name, origin, subscription.filter, subscription.queue), by)

    def declare(self, key: Key, by: int) -> None:
        """The same for what is no subscription but wanted all the same."""
        if self.account is None or self.account.name == key.account:
            self._count(key, by)

    def _count(self, key: Key, by: int) -> None:
        before = self._counts.get(key, 0)
        after = before + by
        if after:
            self._counts[key] = after
        else:
            self._counts.pop(key, None)
        if key.queue or not before or not after:
            self._tell(self._interest(key, after))

    def _interest(self, key: Key, count: int) -> Interest:
        weight = count if key.queue else min(count, 1)
        account = b"" if self.account is not None else key.account.encode()
        return Interest(key.origin, account, key.filter, key.queue, weight)


class InterestTable:
    """All maps of one switchboard."""

    def __init__(self) -> None:
        self._maps: list[InterestMap] = []
        self._declared: set[Key] = set()

    def add(self, new: InterestMap, there: Iterator[Subscription]) -> None:
        """Keep a further map from now on; `there` are the subscriptions that there are already."""
        for subscription in there:
            new.change(subscription, weight(subscription))
        for key in self._declared:
            new.declare(key, 1)
        self._maps.append(new)

    def remove(self, old: InterestMap) -> None:
        """Keep it no longer. Idempotent."""
        if old in self._maps:
            self._maps.remove(old)

    def declare(self, wanted: set[Key]) -> None:
        """What is wanted besides subscriptions, all of it.  O(what has changed x maps)."""
        gone, come = self._declared - wanted, wanted - self._declared
        self._declared = wanted
        for one in self._maps:
            for key in come:
                one.declare(key, 1)
            for key in gone:
                one.declare(key, -1)

    def change(self, subscription: Subscription, by: int) -> None:
        """A subscription came (`by` is its weight), went (negative), or is worth more or less."""
        for one in self._maps:
            one.change(subscription, by)


def weight(subscription: Subscription) -> int:
    """For how many members a subscription stands."""
    return subscription.weight if isinstance(subscription, RemoteSubscription) else 1


def _origin(subscription: Subscription) -> bytes:
    if isinstance(subscription, RemoteSubscription):
        return subscription.origin
    return subscription.link.origin
