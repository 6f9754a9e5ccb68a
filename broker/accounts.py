"""Accounts: separate spaces of subjects, and the zones in which their clients publish.

The idea: an *account* is a trie of subscriptions of its own; nothing published in one account is
heard in another unless both agreed on it (see `broker.crossing`). Within an account clients differ
by what they may publish, and a flow must not be found by a client that may not use it; so flows are
kept by *zone*, a small number that stands for an account together with rules for publishing. Ten
thousand clients with the same rules share one zone, and its flows.

Each account has an *inner* zone without rules: for its unrestricted clients, for what comes over
from other accounts, and for what the broker itself has to say. Zone 0 is the inner zone of `$G`.

What other servers send us has zones of its own: their *scope* says how far it may go on from here.

Invariants: a zone with rules lives as long as a link is in it, and is forgotten with its flows
afterwards, because rules may come from tokens in ever new variety. So is an account that no
configuration names, when nobody is in it. Numbers are used again.

Neighbours: the switchboard enters and leaves, resolves and counts; crossing ties accounts together.
No thread-safety: one thread.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from heapq import heappop, heappush
from typing import TYPE_CHECKING

from broker.blocks import DEFAULT_ACCOUNT, AccountBlock, MappingBlock
from broker.flow import Delivery
from broker.link import Link
from broker.permissions import Permissions, PublishGate, Responses, Rules, SubscribeGate
from broker.reserved import EVENTS, SYSTEM
from broker.scope import EVERYWHERE, Kind, Scope
from broker.snapshots import AccountInfo
from broker.taps import Tap
from broker.transform import Mapper
from broker.trie import Resolution, Trie

if TYPE_CHECKING:
    from broker.crossing import Crossing, ReplyHome

__all__ = ["Account", "Accounts", "Member", "Subscription", "Zone", "effective"]

_ANYTHING = Rules()
_Counters = tuple[int, int, int, int]


class Subscription(Delivery[Link]):
    """A delivery with what policy and monitoring know about it; `queue` is empty for a plain one.

    `withheld` holds the filters of what it matches and may not be given (None: nothing);
    `responses` is what its client may do with a request that it gets.
    """

    __slots__ = ("account", "filter", "queue", "responses", "withheld")

    def __init__(
        self, link: Link, sid: bytes, filter: bytes, queue: bytes, account: Account
    ) -> None:
        super().__init__(link, sid)
        self.filter = filter
        self.queue = queue
        self.account = account
        self.withheld: Trie[bytes] | None = None
        self.responses: Responses | None = None

    @property
    def key(self) -> bytes:
        """By what its link knows it."""
        return self.sid

    def judge_by(self, member: Member) -> bool:
        """Take over what `member` may; whether its flows have to be made anew."""
        before = self.withheld, self.responses
        self.responses = member.permissions.responses
        self.withheld = None
        if member.gate is not None:
            filters = member.gate.withheld(self.filter, self.queue)
            if filters:
                self.withheld = Trie()
                for filter in filters:
                    self.withheld.insert(filter, filter)
        return before != (self.withheld, self.responses)


class Zone:
    """An account with rules for publishing; `gate` is None where everything may be published.
    `scope` is how far it goes.
    """

    __slots__ = ("account", "gate", "links", "number", "rules", "scope")

    def __init__(
        self,
        number: int,
        account: Account,
        rules: Rules,
        gate: PublishGate | None,
        scope: Scope = EVERYWHERE,
    ) -> None:
        self.number = number
        self.account = account
        self.rules = rules
        self.gate = gate
        self.scope = scope
        self.links = 0

    @property
    def key(self) -> tuple[Rules, Scope]:
        """What tells it from other zones of its account."""
        return self.rules, self.scope


class Member:
    """A link in an account, with what it may do there."""

    __slots__ = ("base", "gate", "link", "permissions", "zone")

    def __init__(
        self, link: Link, zone: Zone, permissions: Permissions, gate: SubscribeGate | None
    ) -> None:
        self.link = link
        self.zone = zone
        self.permissions = permissions
        self.gate = gate
        self.base = _counters(link)  # what it did before it came

    def may(self, subject: bytes, queue: bytes) -> bool:
        """Whether it may have such a subscription."""
        return self.gate is None or self.gate.may(subject, queue)


def _counters(link: Link) -> _Counters:
    return link.in_msgs, link.in_bytes, link.out_msgs, link.out_bytes


def effective(permissions: Permissions) -> Permissions:
    """The same, where who may answer and has no list of what it may publish may only answer."""
    publish = permissions.publish
    if permissions.responses is None or publish.allow is not None:
        return permissions
    return Permissions(Rules((), publish.deny), permissions.subscribe, permissions.responses)


class Everywhere:
    """The crossings that stand in every account.

    Those below `SYSTEM` are kept apart: as no flow holds for a subject below it, they have no say
    about any other, and the patterns of flows stay as wide as if they were not there.
    """

    def __init__(self) -> None:
        self._system: Trie[Crossing] = Trie()
        self._others: Trie[Crossing] = Trie()

    def about(self, subject: bytes) -> tuple[Trie[Crossing], ...]:
        """Those that have a say about `subject`.  O(1)."""
        return (self._others, self._system) if subject.startswith(SYSTEM) else (self._others,)

    def home(self, filter: bytes) -> Trie[Crossing]:
        """Where a crossing under `filter` stands.  O(1)."""
        return self._system if filter.startswith(SYSTEM) else self._others


class Account:
    """One space of subjects.  `block` is None for an account that no configuration names; `gone`
    is true when it was forgotten, and its zone may be somebody else's.
    """

    def __init__(self, name: str, inner: int, everywhere: Everywhere) -> None:
        self.name = name
        self.block: AccountBlock | None = None
        self.gone = False
        self.trie: Trie[Subscription] = Trie()
        self.leaving = 0  # how many of these are of links that are gone
        self.inner = Zone(inner, self, _ANYTHING, None)
        self.zones: dict[tuple[Rules, Scope], Zone] = {self.inner.key: self.inner}
        self.mapper = Mapper()
        # What makes a message more than a matter of this account's links; see `broker.crossing`.
        self.crossings: Trie[Crossing] = Trie()
        #: The filters of mappings and imported services, which a leaf or a hub may use, too.
        self.crossed: tuple[bytes, ...] = ()
        self.everywhere = everywhere
        self.home: ReplyHome | None = None
        self.taps: dict[Tap, None] = {}  # in the order of arrival
        self.members: dict[int, Member] = {}  # by link id
        self._entered = self._slow = 0
        self._peers = 0  # members that are other servers
        self._past: _Counters = (0, 0, 0, 0)

    def is_idle(self) -> bool:
        """Whether nobody would miss it."""
        return not (self.block or self.members or self.trie or self.taps)

    def is_full(self) -> bool:
        """Whether its block allows no more clients."""
        most = self.block.max_connections if self.block else 0
        return 0 < most <= len(self.members) - self._peers

    @property
    def presence(self) -> bool:
        """Whether its clients hear who comes and goes, and may leave a last will."""
        return self.block is not None and self.block.presence

    @property
    def slow_consumer_notices(self) -> bool:
        """Whether its clients hear who was too slow."""
        return self.block is not None and self.block.slow_consumer_notices

    @property
    def trace_destination(self) -> bytes:
        """Where messages with a `traceparent` header are reported; empty: nowhere."""
        return self.block.trace_destination if self.block is not None else b""

    @property
    def trace_sampling(self) -> int:
        """Of how many such messages in a hundred."""
        return self.block.trace_sampling if self.block is not None else 100

    def keeps(self, subject: bytes) -> bool:
        """Whether only the broker itself may publish to `subject` here.  O(1)."""
        return subject.startswith(EVENTS) and (self.presence or self.slow_consumer_notices)

    def surplus(self) -> list[int]:
        """The ids of the links beyond what its block allows, the newest.  O(links)."""
        most = self.block.max_connections if self.block else 0
        return sorted(self.members)[most:] if most else []

    def meeting(self, subject: bytes) -> list[Crossing]:
        """What a message to `subject` meets here beside subscriptions.  O(visited nodes)."""
        return [one for met in self.met(subject) for one in met.values]

    def met(self, subject: bytes) -> list[Resolution[Crossing]]:
        """The same, by the tries that have a say about `subject`."""
        tries = self.crossings, *self.everywhere.about(subject)
        return [trie.resolve(subject) for trie in tries if trie]

    def join(self, member: Member) -> None:
        """Count a link in.  O(1)."""
        if member.link.id not in self.members:
            self._entered += member.link.kind is Kind.CLIENT
            self._peers += member.link.kind is not Kind.CLIENT
        self.members[member.link.id] = member

    def part(self, member: Member) -> None:
        """Count a link out, and keep what it did.  O(1)."""
        if self.members.get(member.link.id) is member:  # else it is here anew already
            del self.members[member.link.id]
            self._peers -= member.link.kind is not Kind.CLIENT
        self._past = _sum(self._past, _done(member))
        self._slow += member.link.overflowed

    def info(self) -> AccountInfo:
        """The account in numbers.  O(links)."""
        totals = self._past
        for member in self.members.values():
            totals = _sum(totals, _done(member))
        block = self.block
        return AccountInfo(
            self.name,
            len(self.members) - self._peers,
            self._entered,
            len(self.trie) - self.leaving,
            *totals,
            self._slow,
            block.exports if block else (),
            block.imports if block else (),
            block.mappings if block else (),
            block.title if block else "",
            self._peers,
        )


def _sum(a: _Counters, b: _Counters) -> _Counters:
    return a[0] + b[0], a[1] + b[1], a[2] + b[2], a[3] + b[3]


def _done(member: Member) -> _Counters:
    now, base = _counters(member.link), member.base
    return now[0] - base[0], now[1] - base[1], now[2] - base[2], now[3] - base[3]


class Accounts:
    """All accounts and their zones."""

    def __init__(
        self, blocks: Sequence[AccountBlock] = (), mappings: Sequence[MappingBlock] = ()
    ) -> None:
        """`mappings` are those of `$G`.  Raises ValueError for a mapping that makes no sense."""
        self._free: list[int] = []
        self._zones: dict[int, Zone] = {}
        self._accounts: dict[str, Account] = {}
        self.everywhere = Everywhere()
        self.account(DEFAULT_ACCOUNT)
        self.configure(blocks, mappings)

    def __iter__(self) -> Iterator[Account]:
        return iter(self._accounts.values())

    def configure(
        self, blocks: Sequence[AccountBlock], mappings: Sequence[MappingBlock] = ()
    ) -> None:
        """Take over a new configuration; whoever is connected stays in the account of its name.

        What accounts share has to be linked up and all flows be dropped afterwards.  Raises
        ValueError as the constructor does, and changes nothing then.
        """
        given = {block.name: block for block in blocks}
        mappers = {block.name: Mapper(block.mappings) for block in blocks}
        default = given.get(DEFAULT_ACCOUNT)
        mappers[DEFAULT_ACCOUNT] = Mapper((*mappings, *(default.mappings if default else ())))
        for name in mappers:
            self.account(name)
        for account in self:
            account.block = given.get(account.name)
            account.mapper = mappers.get(account.name) or Mapper()
        for account in list(self):
            self.tidy(account)

    def find(self, name: str) -> Account | None:
        """The account of that name, if there is one."""
        return self._accounts.get(name)

    def account(self, name: str) -> Account:
        """The account of that name; made if there is none."""
        account = self._accounts.get(name)
        if account is None:
            number = self._number()
            account = self._accounts[name] = Account(name, number, self.everywhere)
            self._zones[number] = account.inner
        return account

    def zone(self, number: int) -> Zone:
        """The zone of that number."""
        return self._zones[number]

    def enter(
        self, link: Link, account: str, permissions: Permissions, scope: Scope = EVERYWHERE
    ) -> Member:
        """A link comes in: finds or makes its zone.  O(entries of the rules) for a new zone.

        Raises ValueError for permissions that hold no filters; nothing has changed then.
        """
        permissions = effective(permissions)
        publish, subscribe = permissions.publish, permissions.subscribe
        gate = None if subscribe == _ANYTHING else SubscribeGate(subscribe)
        zone = self._zone_of(account, publish, scope)
        zone.links += 1
        member = Member(link, zone, permissions, gate)
        zone.account.join(member)
        return member

    def scoped(self, account: Account, scope: Scope) -> Zone:
        """The zone of what goes so far and has no rules; made if there is none, and kept for as
        long as the account.
        """
        return self._zone_of(account.name, _ANYTHING, scope)

    def _zone_of(self, name: str, rules: Rules, scope: Scope) -> Zone:
        known = self._accounts.get(name)
        zone = known.zones.get((rules, scope)) if known else None
        if zone is None:
            gate = None if rules == _ANYTHING else PublishGate(rules)
            account = self.account(name)
            if gate is None and scope == EVERYWHERE:
                return account.inner
            zone = Zone(self._number(), account, rules, gate, scope)
            account.zones[zone.key] = self._zones[zone.number] = zone
        return zone

    def leave(self, member: Member) -> list[int]:
        """A link goes out; returns the zones that went with it."""
        zone = member.zone
        account = zone.account
        account.part(member)
        zone.links -= 1
        gone = []
        if not zone.links and zone is not account.inner:
            del account.zones[zone.key]
            gone.append(zone.number)
        return self._release(gone) + self.tidy(account)

    def tidy(self, account: Account) -> list[int]:
        """Forget an account that nobody would miss; returns the zones that went with it."""
        if account.name == DEFAULT_ACCOUNT or not account.is_idle():
            return []
        if self._accounts.get(account.name) is not account:
            return []
        del self._accounts[account.name]
        account.gone = True
        return self._release([zone.number for zone in account.zones.values()])

    def _release(self, numbers: list[int]) -> list[int]:
        for number in numbers:
            del self._zones[number]
            heappush(self._free, number)
        return numbers

    def _number(self) -> int:
        return heappop(self._free) if self._free else len(self._zones)
