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

Permissions are settled here as well, and not for each message: a flow exists only where its zone
may publish, and leaves out whom the message must not reach.

Invariants, which the tests check against a broker that keeps a plain list:
* A subscription is in its link's table if and only if it is in its account's trie, but for those of
  links that are gone, which leave the trie a little later (see `broker.leaving`).
* Every installed flow equals what resolving any of its subjects would give now, and asks if and
  only if one of its deliveries has a limit or may answer, or the subject meets a crossing.
* A subject that a zone may not publish to has no flow in it.  One below `$SYS.` has none either,
  even where the pattern of one would fit: it is never looked up.

A *zone* is a small integer that stands for an account together with the publish permissions of a
link; see `broker.accounts`.  A link that enters another account leaves its subscriptions behind.

Neighbours: session calls for every SUB, UNSUB, parked publish and end of a link; `forwarding` takes
a publish from there, and `peering` speaks for other servers; below are the accounts' tries, and the
data plane with its flows.  No sockets, no reactor, no clock.  Not thread-safe.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from random import Random, SystemRandom

from broker.accounts import Account, Accounts, Member, Subscription, Zone, effective
from broker.blocks import AccountBlock, MappingBlock
from broker.crossing import Overhear, link_up
from broker.errors import (
    ACCOUNT_CONNECTIONS_EXCEEDED,
    INVALID_SUBJECT,
    WireError,
    subscription_violation,
)
from broker.flow import Flow
from broker.forwarding import Forwarding, work_out
from broker.interest import InterestTable, weight
from broker.leaving import Leaving
from broker.msgtrace import Journey, Start, Tracer
from broker.ops import Publish
from broker.peering import Peering
from broker.permissions import Permissions, PublishGate, Rules
from broker.plane import DataPlane, Link
from broker.reserved import SYSTEM
from broker.scope import EVERYWHERE, Scope
from broker.taps import Message, Tap

__all__ = ["DEFAULT_ZONE", "Explanation", "Subscription", "Switchboard", "SwitchboardStats"]

DEFAULT_ZONE = 0


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
class Explanation:
    """Why a message goes where it goes: what `Switchboard.explain` found.

    `subject` is what a mapping made of `published` this time (they are equal without one).
    `withheld` are those whose filter matches and who may not be given it; `crossings` say in words
    what it meets besides; `asks` whether it takes the way through Python; `peers` are the servers
    that it is routed to, one subscription of each.
    """

    account: str
    published: bytes
    subject: bytes
    pattern: bytes
    plain: tuple[Subscription, ...]
    picks: tuple[tuple[Subscription, ...], ...]
    peers: tuple[Subscription, ...]
    withheld: tuple[Subscription, ...]
    crossings: tuple[str, ...]
    asks: bool


class Switchboard:
    """Subscriptions of all links, and the flows that follow from them.

    `describe` says what a service may know about a client of another account; whoever knows
    clients sets it.  `peering` is for sessions of other servers.  One switchboard per data plane.
    Not thread-safe.
    """

    def __init__(
        self, plane: DataPlane, accounts: Accounts | None = None, rng: Random | None = None
    ) -> None:
        """`rng` chooses among the targets of mappings and makes reply subjects that nobody should
        guess; without one it is the system's.
        """
        self._plane = plane
        self._flows = plane.flows
        self._accounts = accounts or Accounts()
        self._members: dict[int, Member] = {}  # by link id
        self._links: dict[int, dict[bytes, Subscription]] = {}  # by link id, then sid
        self._forwarding = Forwarding(self, plane, rng or SystemRandom())
        self._leaving = Leaving(self._withdraw, self._tidy)
        self._inserted = self._removed = self._resolved = 0
        self.interest: InterestTable | None = None  # a broker that stands alone has none
        self.peering = Peering(self, plane, self._accounts, self._forwarding)
        self.describe: Callable[[Link, bool], Mapping[str, object]] = lambda link, share: {}
        self.complaints = self._link_up()

    def defer_by(self, later: Callable[[Callable[[], None]], object]) -> None:
        """From now on spread over several turns what takes long; `later` calls in a later one."""
        self._leaving.defer = later

    # --- links

    def enter(
        self,
        link: Link,
        account: str,
        permissions: Permissions,
        scope: Scope = EVERYWHERE,
    ) -> int:
        """A link comes into an account, or changes what it may; returns its zone, for `configure`.

        The account is made if there is none of that name.  Subscriptions that the link has stay if
        it stays in the account.  `scope` is how far its messages go.  O(entries of the rules +
        subscriptions of the link).

        Raises ValueError for permissions that are no filters.
        """
        member = self._accounts.enter(link, account, permissions, scope)
        before = self._members.get(link.id)
        home = before.zone.account if before else self._accounts.zone(DEFAULT_ZONE).account
        if member.zone.account is not home:
            self.drop(link)
        if before is not None:
            self.release(self._accounts.leave(before))
        self._members[link.id] = member
        self._forwarding.replies.forget(link)
        for subscription in self.subscriptions(link):
            if subscription.judge_by(member):
                self._evict(subscription.account, subscription.filter)
        return member.zone.number

    def refusal(self, link: Link, account: str) -> WireError | None:
        """What keeps `link` out of an account: that it has as many links as it may.  O(1)."""
        place = self._accounts.find(account)
        if place is None or link.id in place.members or not place.is_full():
            return None
        return ACCOUNT_CONNECTIONS_EXCEEDED

    def leave(self, link: Link) -> None:
        """A link is gone: end what it has, and count it out.  Idempotent.

        O(1), and in later turns O(its subscriptions), with `defer_by`.
        """
        left = self._links.pop(link.id, {})
        self._removed += len(left)
        self._leaving.take(left)
        member = self._members.pop(link.id, None)
        if member is not None:
            self._forwarding.replies.forget(link)
            self.release(self._accounts.leave(member))
            link.zone = DEFAULT_ZONE  # its own may be somebody else's soon

    def move(self, link: Link, account: str, permissions: Permissions) -> list[Subscription]:
        """As `enter`, for a link that goes on: its zone changes at once.

        Returns the subscriptions that were ended because they may no longer be.
        """
        had = list(self.subscriptions(link))
        link.zone = self.enter(link, account, permissions)
        member = self._members[link.id]
        for subscription in list(self.subscriptions(link)):
            if not member.may(subscription.filter, subscription.queue):
                self.end(subscription)
        kept = self._links.get(link.id, {})
        return [one for one in had if kept.get(one.sid) is not one]

    def release(self, zones: Iterable[int]) -> None:
        """Forget zones that are no more."""
        for zone in zones:
            self._flows.clear_zone(zone)
            self.peering.forget(zone)

    # --- subscriptions

    def subscribe(self, link: Link, subject: bytes, queue: bytes, sid: bytes) -> WireError | None:
        """Add a subscription, of the group `queue` unless that is empty; returns what is wrong.

        A `sid` that the link uses already is ignored, and that is no error.  O(tokens), plus what
        evicting flows costs.
        """
        member = self._members.get(link.id)
        if member is not None and not member.may(subject, queue):
            return subscription_violation(subject, queue)
        if self._leaving:
            self._leaving.clear(1)
        subscriptions = self._links.get(link.id, {})
        if sid in subscriptions:
            return None
        account = self.place(link).account
        subscription = Subscription(link, sid, subject, queue, account)
        try:
            account.trie.insert(subject, subscription)
        except ValueError:
            return INVALID_SUBJECT
        if member is not None:
            subscription.judge_by(member)
        self.begin(subscription)
        return None

    def begin(self, subscription: Subscription) -> None:
        """Go on with a subscription that is in its account's trie.  Cost as `subscribe`."""
        self._links.setdefault(subscription.link.id, {})[subscription.key] = subscription
        self._inserted += 1
        self._evict(subscription.account, subscription.filter)
        if self.interest is not None:
            self.interest.change(subscription, weight(subscription))

    def unsubscribe(self, link: Link, sid: bytes, max: int = 0) -> None:
        """End a subscription once it has delivered `max` messages in all, or now if it has.

        An unknown `sid` is ignored; a later `max` replaces an earlier one.  Cost as `subscribe`.
        """
        subscription = self._links.get(link.id, {}).get(sid)
        if subscription is None:
            return
        if max <= subscription.msgs:
            self.end(subscription)
            return
        first_limit = not subscription.limit
        subscription.limit = max
        if first_limit:  # its flows must ask from now on
            self._evict(subscription.account, subscription.filter)

    def drop(self, link: Link, most: int | None = None) -> bool:
        """End all subscriptions of a link that starts anew, or so many; whether none is left.

        O(`most`).
        """
        for subscription in list(islice(self.subscriptions(link), most)):
            self.end(subscription)
        return link.id not in self._links

    def end(self, subscription: Subscription) -> None:
        """End one subscription.  Cost as `subscribe`."""
        link = subscription.link
        subscriptions = self._links[link.id]
        del subscriptions[subscription.key]
        if not subscriptions:
            del self._links[link.id]
        self._removed += 1
        self._withdraw(subscription)

    def _withdraw(self, subscription: Subscription) -> None:
        subscription.account.trie.remove(subscription.filter, subscription)
        self._evict(subscription.account, subscription.filter)
        if self.interest is not None:
            self.interest.change(subscription, -weight(subscription))

    def _tidy(self, account: Account) -> None:
        self.release(self._accounts.tidy(account))

    def _evict(self, account: Account, filter: bytes) -> None:
        for zone in account.zones.values():
            self._flows.evict(zone.number, filter)

    # --- messages

    def place(self, link: Link) -> Zone:
        """The zone in which `link` publishes.  O(1)."""
        return self._accounts.zone(link.zone)

    def flow(self, zone: Zone, subject: bytes) -> Flow[Link]:
        """The flow for `subject`, kept or made."""
        if subject.startswith(SYSTEM):
            return self.resolve(zone.number, subject)
        return self._flows.lookup(zone.number, subject) or self.resolve(zone.number, subject)

    def resolve(self, zone: int, subject: bytes) -> Flow[Link]:
        """The flow for what is published to `subject` in `zone`; installed where it can be kept.

        O(visited nodes of the tries + matching subscriptions).
        """
        self._resolved += 1
        flow = work_out(self._accounts.zone(zone), subject).flow
        self._flows.install(zone, flow)
        return flow

    @property
    def tracer(self) -> Tracer:
        """Who begins to trace messages that ask for it."""
        return self._forwarding.tracer

    def trace(self, link: Link, publish: Publish) -> Start | None:
        """What becomes of a publish with headers, if they ask to be traced; call it before `judge`.

        O(headers), and O(1) for headers that do not.
        """
        return self._forwarding.tracer.begin(self.place(link), link, publish)

    def give_up(self, journey: Journey, error: WireError) -> None:
        """Report a traced publish that was refused."""
        journey.refused(error)
        self._forwarding.report(journey)

    def judge(
        self, link: Link, publish: Publish, now: float, journey: Journey | None = None
    ) -> Publish | WireError:
        """What a publish of `link` becomes by mappings, or why it is refused.

        O(mappings + visited nodes of the rules).  An answer that only `allow_responses` permits is
        used up by this, so judge once, and forward what you get.
        """
        return self._forwarding.judge(link, publish, now, journey)

    def judge_absent(
        self, account: str, permissions: Permissions, publish: Publish
    ) -> Publish | WireError:
        """The same for somebody with these permissions who has no link, or no more.

        O(entries of the rules).  `allow_responses` permits nothing here.
        """
        rules = effective(permissions).publish
        gate = None if rules == Rules() else PublishGate(rules)
        return self._forwarding.judge_absent(self._accounts.account(account), gate, publish)

    def forward(
        self, link: Link, publish: Publish, now: float, journey: Journey | None = None
    ) -> None:
        """Deliver a publish of `link` that the data plane could not settle and `judge` let pass.

        O(deliveries), and O(resolve) where there is no flow.
        """
        self._forwarding.forward(link, publish, now, journey)

    # --- inside the broker

    def tap(
        self,
        account: str | None,
        filter: bytes,
        callback: Callable[[Message], None],
        *,
        across: bool = False,
    ) -> Tap:
        """Call `callback` for each message to `filter` in `account`, or (None) in every account.

        `across`: for what clients of other servers publish in that account, too. See
        `broker.taps`.  Raises ValueError if `filter` is no filter, or to be heard across in all
        accounts.
        """
        if across and account is None:
            raise ValueError("other servers are told what one account wants; name it")
        tap = Tap(account, filter, callback, across)
        if account is None:
            self._accounts.everywhere.home(filter).insert(filter, Overhear(tap))
        else:
            place = self._accounts.account(account)
            place.crossings.insert(filter, Overhear(tap))
            place.taps[tap] = None
        self._evict_for(tap)
        if across:
            self.peering.declare()
        return tap

    def untap(self, tap: Tap) -> None:
        """Call `tap` no more.  Idempotent."""
        if tap.account is None:
            self._accounts.everywhere.home(tap.filter).remove(tap.filter, Overhear(tap))
        else:
            place = self._accounts.find(tap.account)
            if place is None or tap not in place.taps:
                return
            place.crossings.remove(tap.filter, Overhear(tap))
            del place.taps[tap]
            self._tidy(place)
            if tap.across:
                self.peering.declare()
        self._evict_for(tap)

    def _evict_for(self, tap: Tap) -> None:
        for account in self._accounts:
            if tap.account in (None, account.name):
                self._evict(account, tap.filter)

    def emit(
        self,
        account: str,
        subject: bytes,
        payload: bytes,
        reply: bytes = b"",
        headers: bytes = b"",
    ) -> int:
        """Publish a message of our own in `account`; returns how many took it.

        `headers` is a whole block, from `NATS/1.0` to the empty line.  From within a tap the
        message waits until the tap has returned, and 0 is returned.
        """
        place = self._accounts.find(account)
        if place is None:
            return 0
        publish = Publish(subject, reply, headers + payload, header_size=len(headers))
        return self._forwarding.emit(place, publish)

    def heard(self, account: str, subject: bytes) -> bool:
        """Whether a client would get what is published to `subject` in `account`, or one of another
        account that imports it might.  No tap counts.

        O(1) where nobody has subscribed to anything and nothing crosses, else as `resolve`.
        """
        place = self._accounts.find(account)
        if place is None or not (place.trie or len(place.crossings) > len(place.taps)):
            return False
        found = work_out(place.inner, subject)
        over = (one for one in found.crossings if not isinstance(one, Overhear))
        return bool(found.flow.plain or found.flow.beyond or next(over, None))

    def details(self, link: Link | None, share: bool) -> Mapping[str, object]:
        """What a service may know about who asks; see `describe`."""
        return {} if link is None else self.describe(link, share)

    # --- configuration

    def configure(
        self, accounts: Sequence[AccountBlock], mappings: Sequence[MappingBlock] = ()
    ) -> None:
        """Take over other accounts and mappings; who is connected stays where it is until moved.

        Drops all flows.  Raises ValueError for a mapping that makes no sense, and changes nothing
        then; imports that do not hold are listed in `complaints`.
        """
        self._accounts.configure(accounts, mappings)
        self.complaints = self._link_up()
        self.peering.declare()
        self._flows.clear()

    def _link_up(self) -> tuple[str, ...]:
        return tuple(link_up({account.name: account for account in self._accounts}))

    # --- insight

    def __len__(self) -> int:
        """How many subscriptions there are, of all links."""
        return self._inserted - self._removed

    def account(self, name: str) -> Account | None:
        """The account of that name, if there is one."""
        return self._accounts.find(name)

    def accounts(self) -> Iterator[Account]:
        """All accounts, `$G` first.  Do not enter or leave while iterating."""
        return iter(self._accounts)

    def zones(self) -> dict[int, str]:
        """The account of every zone, by number, as the flow table's entries name it."""
        return {
            zone.number: account.name
            for account in self._accounts
            for zone in account.zones.values()
        }

    def account_of(self, link: Link) -> Account:
        """The account in which `link` is.  O(1)."""
        return self.place(link).account

    def explain(self, account: str, subject: bytes) -> Explanation | None:
        """Where an unrestricted client's message to `subject` would go; None: no such account.

        Changes nothing, and installs no flow.  O(resolve).
        """
        place = self._accounts.find(account)
        if place is None:
            return None
        mapped = place.mapper.map(subject, self._forwarding.rng)
        found = work_out(place.inner, mapped)
        flow = found.flow
        known = {id(one): one for one in place.trie.resolve(mapped).values}
        return Explanation(
            account,
            subject,
            mapped,
            flow.pattern,
            tuple(known[id(one)] for one in flow.plain),
            tuple(tuple(known[id(one)] for one in (*pick, *pick.spare)) for pick in flow.picks),
            tuple(known[id(one)] for one in flow.peers),
            tuple(found.withheld),
            tuple(map(str, found.crossings)),
            flow.ask,
        )

    def held(self, link: Link, key: bytes) -> Subscription | None:
        """What `link` has by that key, which is the sid of a client's.  O(1)."""
        return self._links.get(link.id, {}).get(key)

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
            published=self._forwarding.published,
            unheard=self._forwarding.unheard,
        )
