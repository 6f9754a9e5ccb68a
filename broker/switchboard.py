"""The control plane: who has subscribed to what, and hence where a message goes.

The idea: the data plane forwards by its flow table and thinks of nothing.  Whatever it cannot
settle by a flow comes here.  `resolve` turns a subject into a flow and installs it, so that the
next message does not come; a changed subscription evicts the flows that it concerns, so that the
next message does come.  Nothing else keeps the two in step.

What is decided here, as nats-server 2.15.1 decides it (asked with raw bytes):
* All matching subscriptions of one queue group, even under different filters, are one pick.  Every
  plain subscription is a delivery of its own, also several of one link.
* A `sid` in use is not given a second meaning: the SUB is ignored, even if its subject is wrong.
* `UNSUB sid max` counts from the beginning of the subscription, and only what was really
  delivered: neither what echo:false held back nor a 503.
* A request that was delivered to nobody is answered by a 503 if its publisher asked for that and
  holds a plain subscription to the reply subject.  If it holds several, the first in the trie's
  order gets it.

Invariants, which the tests check against a broker that keeps a plain list:
* A subscription is in its link's table if and only if it is in its account's trie.
* Every installed flow equals what resolving any of its subjects would give now, and asks if and
  only if one of its deliveries has a limit.

A *zone* is a small integer that stands for an account together with the publish permissions of a
link; flows are kept by zone.  There is one account so far, with one zone.  A link may change its
zone only while it has no subscriptions.

Neighbours: session calls for every SUB, UNSUB, parked publish and end of a link; below are the
trie, and the data plane with its flows.  No sockets, no reactor, no clock.  Not thread-safe.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from broker import codec
from broker.errors import INVALID_SUBJECT, WireError
from broker.flow import Delivery, Flow
from broker.ops import Publish
from broker.permissions import Permissions
from broker.plane import DataPlane, Link
from broker.trie import Trie

__all__ = ["DEFAULT_ZONE", "Subscription", "Switchboard", "SwitchboardStats"]

DEFAULT_ZONE = 0


class Subscription(Delivery[Link]):
    """A delivery with what policy and monitoring know about it; `queue` is empty for a plain
    one."""

    __slots__ = ("filter", "queue")

    def __init__(self, link: Link, sid: bytes, filter: bytes, queue: bytes) -> None:
        super().__init__(link, sid)
        self.filter = filter
        self.queue = queue


@dataclass(frozen=True)
class SwitchboardStats:
    """What the switchboard holds and has done since it was made."""

    subscriptions: int
    links: int  # with at least one subscription
    inserted: int
    removed: int
    resolved: int
    published: int  # publishes that the data plane could not settle
    unheard: int  # 503 answers


@dataclass(frozen=True)
class _Account:
    """Those who can hear one another, and the zones in which they publish."""

    trie: Trie[Subscription]
    zones: tuple[int, ...]


class Switchboard:
    """Subscriptions of all links, and the flows that follow from them.

    One per data plane.  Not thread-safe.
    """

    def __init__(self, plane: DataPlane) -> None:
        self._plane = plane
        self._flows = plane.flows
        self._accounts = {DEFAULT_ZONE: _Account(Trie(), (DEFAULT_ZONE,))}  # by zone
        self._links: dict[int, dict[bytes, Subscription]] = {}  # by link id, then sid
        self._inserted = self._removed = 0
        self._resolved = self._published = self._unheard = 0

    # --- subscriptions

    def subscribe(self, link: Link, subject: bytes, queue: bytes, sid: bytes) -> WireError | None:
        """Add a subscription, of the group `queue` unless that is empty; returns what is wrong.

        A `sid` that the link uses already is ignored, and that is no error.  O(tokens), plus what
        evicting flows costs.
        """
        subscriptions = self._links.get(link.id, {})
        if sid in subscriptions:
            return None
        subscription = Subscription(link, sid, subject, queue)
        try:
            self._accounts[link.zone].trie.insert(subject, subscription)
        except ValueError:
            return INVALID_SUBJECT
        subscriptions[sid] = subscription
        self._links[link.id] = subscriptions
        self._inserted += 1
        self._evict(subscription)
        return None

    def unsubscribe(self, link: Link, sid: bytes, max: int = 0) -> None:
        """End a subscription once it has delivered `max` messages in all, or now if it has.

        An unknown `sid` is ignored; a later `max` replaces an earlier one.  Cost as `subscribe`.
        """
        subscription = self._links.get(link.id, {}).get(sid)
        if subscription is None:
            return
        if max <= subscription.msgs:
            self._remove(subscription)
            return
        first_limit = not subscription.limit
        subscription.limit = max
        if first_limit:
            self._evict(subscription)  # its flows must ask from now on

    def drop(self, link: Link) -> None:
        """End all subscriptions of a link that closes or starts anew.  O(its subscriptions)."""
        for subscription in list(self._links.get(link.id, {}).values()):
            self._remove(subscription)

    def _remove(self, subscription: Subscription) -> None:
        link = subscription.link
        subscriptions = self._links[link.id]
        del subscriptions[subscription.sid]
        if not subscriptions:
            del self._links[link.id]
        self._accounts[link.zone].trie.remove(subscription.filter, subscription)
        self._removed += 1
        self._evict(subscription)

    def _evict(self, subscription: Subscription) -> None:
        for zone in self._accounts[subscription.link.zone].zones:
            self._flows.evict(zone, subscription.filter)

    # --- messages

    def resolve(self, zone: int, subject: bytes) -> Flow[Link]:
        """The flow for what is published to `subject` in `zone`; installed where it can be kept.

        O(visited nodes of the trie + matching subscriptions).
        """
        self._resolved += 1
        resolution = self._accounts[zone].trie.resolve(subject)
        plain: list[Delivery[Link]] = []
        groups: dict[bytes, list[Delivery[Link]]] = {}
        ask = False
        for subscription in resolution.values:
            ask = ask or subscription.limit > 0
            if subscription.queue:
                groups.setdefault(subscription.queue, []).append(subscription)
            else:
                plain.append(subscription)
        flow = Flow(resolution.pattern, tuple(plain), tuple(map(tuple, groups.values())), ask)
        self._flows.install(zone, flow)
        return flow

    def enter(self, link: Link, account: str, permissions: Permissions) -> int:
        """The zone in which `link` publishes from now on; there is one account so far.  O(1)."""
        return DEFAULT_ZONE

    def leave(self, link: Link) -> None:
        """The link publishes no more.  Idempotent, O(1)."""

    def judge(self, link: Link, publish: Publish, now: float) -> Publish | WireError:
        """What is to be forwarded for a publish, or why it must not be.  O(1)."""
        return publish

    def forward(self, link: Link, publish: Publish, now: float) -> None:
        """Deliver a publish of `link` that the data plane could not settle.

        O(deliveries), and O(resolve) where there is no flow.
        """
        self._published += 1
        flow = self._flow(link.zone, publish.subject)
        delivered = self._plane.deliver(link, publish, flow)
        if flow.ask:
            self._settle_limits(flow)
        if not delivered and publish.reply and link.no_responders:
            self._answer_unheard(link, publish)

    def _flow(self, zone: int, subject: bytes) -> Flow[Link]:
        return self._flows.lookup(zone, subject) or self.resolve(zone, subject)

    def _settle_limits(self, flow: Flow[Link]) -> None:
        for delivery in flow.deliveries():
            if 0 < delivery.limit <= delivery.msgs:
                self._remove(self._links[delivery.link.id][delivery.sid])

    def _answer_unheard(self, link: Link, publish: Publish) -> None:
        for delivery in self._flow(link.zone, publish.reply).plain:
            if delivery.link is link:
                answer = codec.no_responders(publish.subject, publish.reply, delivery.sid)
                self._plane.send(link, answer)
                self._unheard += 1
                return

    # --- insight

    def __len__(self) -> int:
        """How many subscriptions there are, of all links."""
        return self._inserted - self._removed

    def count(self, link: Link) -> int:
        """How many subscriptions `link` has.  O(1)."""
        return len(self._links.get(link.id, ()))

    def subscriptions(self, link: Link) -> Iterator[Subscription]:
        """The subscriptions of `link`, oldest first.  Do not change any while iterating."""
        return iter(self._links.get(link.id, {}).values())

    def stats(self) -> SwitchboardStats:
        """A record of the present state.  O(1)."""
        return SwitchboardStats(
            subscriptions=len(self),
            links=len(self._links),
            inserted=self._inserted,
            removed=self._removed,
            resolved=self._resolved,
            published=self._published,
            unheard=self._unheard,
        )
