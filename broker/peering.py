"""What the switchboard knows of other servers: what they want, what they send, what they are told.

The idea: three things connect two servers. What the other side *wants* becomes subscriptions of its
link (`learn`); what it *sends* is delivered in a zone whose scope says how far it may go on
(`arrive`); and what is wanted here is counted for it (`tell`). Everything else of routing is the
same for a server as for a client, and stands elsewhere.

Invariants: an account that exists only because a peer wants something in it goes when that ends;
`plane.arrivals` names zones that exist, and no others.

Neighbours: the switchboard owns one; sessions of peers call it. One thread.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol

from broker.accounts import Account, Accounts, Subscription, Zone
from broker.errors import INVALID_SUBJECT, WireError
from broker.forwarding import Forwarding
from broker.interest import InterestMap, InterestTable, Key
from broker.link import Link
from broker.ops import Interest, Publish
from broker.permissions import PublishGate
from broker.plane import DataPlane
from broker.remotes import RemoteSubscription, key_of
from broker.scope import ONE_HOP, Kind, Scope
from broker.subject import TAIL

__all__ = ["Peering"]


class Board(Protocol):
    """What peering asks of the switchboard."""

    interest: InterestTable | None

    def place(self, link: Link) -> Zone:
        """The zone in which `link` publishes."""

    def held(self, link: Link, key: bytes) -> Subscription | None:
        """What `link` has by that key."""

    def subscriptions(self, link: Link) -> Iterator[Subscription]:
        """All that `link` has."""

    def leave(self, link: Link) -> None:
        """A link is gone."""

    def begin(self, subscription: Subscription) -> None:
        """Go on with a subscription that is in its account's trie."""

    def end(self, subscription: Subscription) -> None:
        """End one."""

    def release(self, zones: Iterable[int]) -> None:
        """Forget zones that are no more."""


class Peering:
    """One switchboard's dealings with other servers.  Not thread-safe."""

    def __init__(
        self, board: Board, plane: DataPlane, accounts: Accounts, forwarding: Forwarding
    ) -> None:
        self._board = board
        self._arrivals = plane.arrivals
        self._accounts = accounts
        self._forwarding = forwarding
        self._gates: dict[int, PublishGate] = {}  # by link id

    # --- what they are told

    def tell(self, interest: InterestMap) -> None:
        """Keep this map of what is wanted here from now on; it is filled with what there is.
        O(subscriptions).
        """
        if self._board.interest is None:
            self._board.interest = InterestTable()
        there = (one for account in self._accounts for one in account.trie.colliding(TAIL))
        self._board.interest.add(interest, there)
        self.declare()

    def declare(self) -> None:
        """What accounts share with each other has changed, so other things may be wanted for them.
        O(crossings).
        """
        if self._board.interest is not None:
            self._board.interest.declare(
                {
                    Key(account.name, b"", crossing.wants, b"")
                    for account in self._accounts
                    for crossing in account.crossings.colliding(TAIL)
                    if crossing.wants
                }
            )

    def untell(self, interest: InterestMap) -> None:
        """Keep a map no longer.  Idempotent."""
        if self._board.interest is not None:
            self._board.interest.remove(interest)

    # --- what they want

    def learn(self, link: Link, interest: Interest) -> WireError | None:
        """A peer's side wants something, as many times as the weight says (0: no longer).

        On a route that is in the account which the interest names, made if there is none yet.
        Returns what is wrong.  Cost as of a subscription.
        """
        account = self._home(link, interest)
        origin = interest.origin or link.origin
        key = key_of(account.name, origin, interest.subject, interest.queue)
        held = self._board.held(link, key)
        if held is not None:
            if isinstance(held, RemoteSubscription) and held.weight == interest.weight:
                return None
            self._board.end(held)
        error = None
        if interest.weight:
            subscription = RemoteSubscription(link, interest, account, self._gates.get(link.id))
            try:
                account.trie.insert(interest.subject, subscription)
            except ValueError:
                error = INVALID_SUBJECT
            else:
                self._board.begin(subscription)
        self._tidy(account)
        return error

    def restrict(self, link: Link, gate: PublishGate | None) -> None:
        """Give a peer only what `gate` lets through, whatever it will want from now on."""
        if gate is not None:
            self._gates[link.id] = gate

    def _home(self, link: Link, interest: Interest) -> Account:
        if link.kind is Kind.ROUTE:
            return self._accounts.account(interest.account.decode("utf-8", "surrogateescape"))
        return self._board.place(link).account

    def leave(self, link: Link) -> None:
        """A peer is gone: end what it wanted, and count it out.  Idempotent."""
        wanted = list(self._board.subscriptions(link))
        for one in wanted:  # of several accounts, and what others are told depends on it at once
            self._board.end(one)
        self._board.leave(link)
        self._gates.pop(link.id, None)
        for account in {one.account: None for one in wanted}:
            self._tidy(account)

    def _tidy(self, account: Account) -> None:
        self._board.release(self._accounts.tidy(account))

    # --- what they send

    def arrive(self, link: Link, publish: Publish, now: float) -> None:
        """Deliver what a peer has sent and the data plane could not settle.

        What is for an account that there is not goes to nobody.  O(deliveries), and O(resolve)
        where there is no flow.
        """
        zone: Zone | None = self._board.place(link)
        if link.kind is Kind.ROUTE and publish.routing is not None:
            zone = self._arrival(publish.routing.account, publish.routing.origin)
        if zone is not None:
            self._forwarding.arrive(link, zone, publish, now)

    def _arrival(self, name: bytes, origin: bytes) -> Zone | None:
        account = self._accounts.find(name.decode("utf-8", "surrogateescape"))
        if account is None:
            return None
        zone = self._accounts.scoped(account, Scope(routes=False, avoid=origin, hubs=False))
        self._arrivals[name, origin] = zone.number
        return zone

    def forget(self, zone: int) -> None:
        """A zone is no more.  O(accounts that sent anything)."""
        for key in [key for key, number in self._arrivals.items() if number == zone]:
            del self._arrivals[key]

    def near(self, account: Account) -> Zone:
        """The zone of what this server delivers by itself, as all that may want it do.  O(1)."""
        if self._board.interest is None:
            return account.inner
        return self._accounts.scoped(account, ONE_HOP)
