"""The flow table: answers that were given before, to be found without thinking.

The idea: a *flow* is a pattern with the deliveries of every message whose subject fits it.  The
switchboard makes flows by resolving a subject; the data plane looks subjects up in the table and
follows what it finds.  This is how a network switch works (see the "megaflow cache" of Open
vSwitch).

A pattern has the form of a filter without `>`, but stands for *published* subjects: those with the
same number of tokens, none empty, that equal the pattern wherever it has no star.

Invariants, which the tests check:
* A flow is a cache entry.  Dropping any flow at any time changes speed and nothing else; a table
  of capacity 0 serves exactly like a large one.
* Every flow in the table is right.  Patterns may overlap, and then agree on the deliveries; hence
  there are no priorities, and the first flow found will do.
* A changed subscription evicts the flows whose pattern collides with its filter, and no other.

How a subject is found: *tuple-space search* (Srinivasan, Suri, Varghese: "Packet classification
using tuple space search", 1999).  Flows with stars are grouped by token count and by the positions
of the stars, their *mask*; within one mask a hash of the remaining tokens decides.  There are few
masks in practice, one for each shape of subject.  Flows without stars are looked up by the subject
itself, which is tried first, as it need not even cut the subject into tokens.

How flows are evicted: the patterns of a zone also stand in a trie, which is asked for all patterns
that collide with a filter.  Keyed removal from the masks would serve most filters as well, but one
with a star where a mask has none would have to scan that mask, and one with `>` nearly all: with
thousands of flows a stall of milliseconds for each SUB of a newcomer's inbox.

Neighbours: switchboard installs and evicts, plane looks up.  A link is opaque here; `L` stands for
its type.  No thread-safety: one owner, one thread.
"""

from __future__ import annotations

import random
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Generic, TypeVar

from broker.subject import SEPARATOR, STAR, TAIL, has_empty_token
from broker.trie import Trie

__all__ = [
    "DEFAULT_CAPACITY",
    "MAX_MASKS",
    "Delivery",
    "Flow",
    "FlowTable",
    "FlowTableStats",
    "Pick",
]

L = TypeVar("L")

# About 1.2 kB each with three tokens and one delivery, so 20 MB when full.  Busy brokers have
# hundreds of flows: the bound is for those who publish to ever new subjects next to literal
# subscriptions.
DEFAULT_CAPACITY = 16384

# Masks of one token count are tried one after the other, about 0.06 us each, so their number is
# bounded too.  Nobody's subjects have so many shapes, unless to do harm.
MAX_MASKS = 32


class Delivery(Generic[L]):
    """One subscription as the data plane sees it: where to send a copy, and under which name.

    `msgs` counts the messages delivered since the subscription began, which `UNSUB sid max` and
    monitoring need.  Whoever delivers adds one for each message that the link took, and for none
    that it did not.  `limit` is that `max`, 0 for none; a flow with a limited delivery asks, so
    the data plane need not look at it.  Compared by identity.
    """

    __slots__ = ("limit", "link", "msgs", "sid")

    def __init__(self, link: L, sid: bytes) -> None:
        self.link = link
        self.sid = sid
        self.msgs = 0
        self.limit = 0


class Pick(tuple[Delivery[L], ...]):
    """A queue group: one member gets the message.  Immutable.

    The tuple holds those to choose among; a member on another server stands in it as often as its
    group is large there.  `spare` is walked, in order, only if none of them takes the message.
    """

    queue: bytes
    spare: tuple[Delivery[L], ...]

    @classmethod
    def of(
        cls, queue: bytes, members: Iterable[Delivery[L]], spare: Iterable[Delivery[L]] = ()
    ) -> Pick[L]:
        """The group `queue` with these members."""
        pick = cls(members)
        pick.queue = queue
        pick.spare = tuple(spare)
        return pick


@dataclass(frozen=True, slots=True)
class Flow(Generic[L]):
    """What to do with a message whose subject fits `pattern`.  Immutable.

    `plain`: each of these gets a copy.  `picks`: one member of each, by walking it from a random
    start until a member accepts.  `peers`: each of these servers gets one line, whatever else it
    gets.  `ask`: the message goes to the switchboard, which delivers it.  An empty pattern means
    that the flow serves the one message it was made for and is not kept.
    """

    pattern: bytes
    plain: tuple[Delivery[L], ...]
    picks: tuple[Pick[L], ...]
    ask: bool
    peers: tuple[Delivery[L], ...] = ()
    #: Whether other servers have a part in it: among `peers`, or as members of a pick.
    meshed: bool = False
    #: Whether there is more to it than `plain`, which is all that the hot path wants to know.
    beyond: bool = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "beyond", bool(self.picks or self.peers))

    def deliveries(self) -> Iterator[Delivery[L]]:
        """Every delivery that the flow may make, members of all picks included."""
        yield from self.plain
        for pick in self.picks:
            yield from pick
            yield from pick.spare
        yield from self.peers


@dataclass(frozen=True)
class FlowTableStats:
    """What the table holds and has done.  Look-ups that hit are not counted, to keep them fast."""

    flows: int
    capacity: int
    masks: int
    installed: int
    evicted: int  # because a subscription changed
    displaced: int  # for want of room, or by chance


class _Mask(Generic[L]):
    """The flows that have their stars at the same positions."""

    __slots__ = ("flows", "key", "positions")

    def __init__(self, positions: tuple[int, ...]) -> None:
        self.positions = positions
        self.key: Callable[[list[bytes]], Hashable] = (
            itemgetter(*positions) if positions else lambda tokens: ()
        )
        self.flows: dict[Hashable, Flow[L]] = {}


class _Space(Generic[L]):
    """The flows of one zone.  The table above keeps count and order."""

    __slots__ = ("_literal", "_masks", "patterns")

    def __init__(self) -> None:
        self._literal: dict[bytes, Flow[L]] = {}
        self._masks: dict[int, list[_Mask[L]]] = {}  # by token count
        self.patterns: Trie[bytes] = Trie()  # each under itself: what does a filter collide with?

    def __len__(self) -> int:
        return len(self.patterns)

    def mask_count(self) -> int:
        return sum(map(len, self._masks.values()))

    def find(self, subject: bytes) -> Flow[L] | None:
        flow = self._literal.get(subject)
        if flow is not None or not self._masks:
            return flow
        masks = self._masks.get(subject.count(SEPARATOR) + 1)
        if masks is None:
            return None
        tokens = subject.split(SEPARATOR)
        for mask in masks:
            flow = mask.flows.get(mask.key(tokens))
            if flow is not None:
                # `a..b` has the shape of `a.*.b`, but a subject with an empty token fits nothing.
                return None if has_empty_token(subject) else flow
        return None

    def add(self, flow: Flow[L]) -> None:
        self.patterns.insert(flow.pattern, flow.pattern)
        tokens = flow.pattern.split(SEPARATOR)
        if STAR not in tokens:
            self._literal[flow.pattern] = flow
            return
        mask = self._mask(tokens)
        if mask is None:
            mask = _Mask(_positions(tokens))
            self._masks.setdefault(len(tokens), []).append(mask)
        mask.flows[mask.key(tokens)] = flow

    def discard(self, pattern: bytes) -> None:
        self.patterns.remove(pattern, pattern)
        tokens = pattern.split(SEPARATOR)
        mask = self._mask(tokens)
        if mask is None:
            del self._literal[pattern]
            return
        del mask.flows[mask.key(tokens)]
        if not mask.flows:
            masks = self._masks[len(tokens)]
            masks.remove(mask)
            if not masks:
                del self._masks[len(tokens)]

    def crowded_out(self, pattern: bytes) -> list[bytes]:
        """The patterns that must go before `pattern` may bring a mask of its own."""
        tokens = pattern.split(SEPARATOR)
        masks = self._masks.get(len(tokens), [])
        if len(masks) < MAX_MASKS or STAR not in tokens or self._mask(tokens):
            return []
        return [flow.pattern for flow in masks[0].flows.values()]

    def _mask(self, tokens: list[bytes]) -> _Mask[L] | None:
        positions = _positions(tokens)
        for mask in self._masks.get(len(tokens), ()):
            if mask.positions == positions:
                return mask
        return None


def _positions(tokens: list[bytes]) -> tuple[int, ...]:
    return tuple(position for position, token in enumerate(tokens) if token != STAR)


class FlowTable(Generic[L]):
    """All flows of all zones, bounded: the oldest goes when there is no room.

    `capacity` is a number of flows; 0 keeps none.  `evict_chance` is the chance, at each look-up,
    that some flow is dropped first; tests use it to show that nothing depends on the table.  Not
    thread-safe.
    """

    def __init__(
        self,
        capacity: int = DEFAULT_CAPACITY,
        evict_chance: float = 0.0,
        rng: random.Random | None = None,
    ) -> None:
        if capacity < 0:
            raise ValueError(f"a flow table of capacity {capacity}: give 0 (keep none) or more")
        if not 0.0 <= evict_chance <= 1.0:
            raise ValueError(f"an evict_chance of {evict_chance}: give a number from 0 to 1")
        self.capacity = capacity
        self._evict_chance = evict_chance
        self._rng = rng or random.Random()
        self._spaces: dict[int, _Space[L]] = {}
        # Oldest first.  A plain dict would do, but finds its first key in O(keys removed before
        # it).
        self._order: OrderedDict[tuple[int, bytes], Flow[L]] = OrderedDict()
        self._installed = self._evicted = self._displaced = 0

    def __len__(self) -> int:
        """How many flows there are, in all zones."""
        return len(self._order)

    def __iter__(self) -> Iterator[tuple[int, Flow[L]]]:
        """Zone and flow of every entry, oldest first.  The table must not change meanwhile."""
        return ((zone, flow) for (zone, _), flow in self._order.items())

    def lookup(self, zone: int, subject: bytes) -> Flow[L] | None:
        """The flow for a message published to `subject`, or None: ask the switchboard.

        O(1) where the subject has a flow of its own, else O(tokens x masks of that token count).
        """
        if self._evict_chance and self._order and self._rng.random() < self._evict_chance:
            self._displace(*self._rng.choice(list(self._order)))
        space = self._spaces.get(zone)
        return None if space is None else space.find(subject)

    def install(self, zone: int, flow: Flow[L]) -> None:
        """Keep `flow`, in place of one with the same pattern.  O(tokens + masks)."""
        if not flow.pattern or not self.capacity:
            return
        key = zone, flow.pattern
        if key in self._order:
            self._displace(*key)
        elif len(self._order) >= self.capacity:
            self._displace(*next(iter(self._order)))
        space = self._spaces.get(zone)
        if space is None:
            space = self._spaces[zone] = _Space()
        for pattern in space.crowded_out(flow.pattern):
            self._displace(zone, pattern)  # leaves other masks, hence the space
        space.add(flow)
        self._order[key] = flow
        self._installed += 1

    def evict(self, zone: int, filter: bytes) -> int:
        """Drop the flows of `zone` that a subscription to the valid `filter` concerns; how many.

        O(tokens + flows dropped) where the filter is literal; stars and `>` cost the branches of
        the trie of patterns that they open.
        """
        space = self._spaces.get(zone)
        if space is None:
            return 0
        doomed = space.patterns.colliding(filter)
        for pattern in doomed:
            self._drop(zone, pattern)
        self._evicted += len(doomed)
        return len(doomed)

    def clear_zone(self, zone: int) -> int:
        """Drop all flows of `zone`, which nobody uses any more; how many.  O(flows of the zone)."""
        space = self._spaces.pop(zone, None)
        if space is None:
            return 0
        doomed = space.patterns.colliding(TAIL)
        for pattern in doomed:
            del self._order[zone, pattern]
        self._evicted += len(doomed)
        return len(doomed)

    def clear(self) -> None:
        """Drop everything."""
        self._displaced += len(self._order)
        self._order.clear()
        self._spaces.clear()

    def stats(self) -> FlowTableStats:
        """A record of the present state.  O(zones x token counts)."""
        return FlowTableStats(
            flows=len(self._order),
            capacity=self.capacity,
            masks=sum(space.mask_count() for space in self._spaces.values()),
            installed=self._installed,
            evicted=self._evicted,
            displaced=self._displaced,
        )

    def _displace(self, zone: int, pattern: bytes) -> None:
        self._drop(zone, pattern)
        self._displaced += 1

    def _drop(self, zone: int, pattern: bytes) -> None:
        del self._order[zone, pattern]
        space = self._spaces[zone]
        space.discard(pattern)
        if not len(space):
            del self._spaces[zone]
