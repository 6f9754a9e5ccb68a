"""What may happen to a cluster's clients while nodes die, and what may not: a judge of records.

Pure functions over what `bench.failover` has noted. Times are in seconds from the start of the run;
a client is *at* a node from the moment it was connected there until it noticed that it is no more.

A message must arrive if nothing excuses it: its publisher and its subscriber were at nodes that
lived through it, the subscriber for `SETTLE` before, without a fault on either node or on the link
between them. A fault counts from `MARGIN` before its beginning until it was mended and `SETTLE` had
passed, the time in which nodes find each other again. Nothing may arrive twice at all, nor in
another order than published, as long as publisher and subscriber stayed where they were.

A request may fail only while somebody's node is dying: within `DYING` of a fault's beginning.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from random import Random

#: Nothing that was published so shortly before a fault is missed.
MARGIN = 0.3

#: What nodes may take to find each other again, and a subscription to be known everywhere.
SETTLE = 4.0

#: What a node may take to notice that another one does not answer: three PINGs, one a second.
DYING = 4.5

#: Seconds within which every client must be back.
BACK = 2.0

#: What may go wrong: a node dies (and is started again), hangs (and goes on), is stopped in good
#: order (and is started again); or a link is cut (and healed): nothing passes, nothing ends.
KINDS = ("kill", "freeze", "stop", "cut")

#: Seconds of calm before the first fault and between two, and how long one lasts.
CALM = (5.0, 7.0)
LASTS = (3.0, 6.0)


@dataclass(frozen=True)
class Fault:
    """`nodes` has the one node that breaks, or the two whose link does."""

    kind: str
    nodes: frozenset[int]
    begin: float
    end: float

    def __str__(self) -> str:
        whom = " and ".join(f"n{node}" for node in sorted(self.nodes))
        what = f"cut between {whom}" if self.kind == "cut" else f"{self.kind} {whom}"
        return f"{what}, {self.begin:.1f} to {self.end:.1f} s"

    def concerns(self, one: int, other: int) -> bool:
        """Whether it stands between these two, which may be one node."""
        if self.kind == "cut":
            return self.nodes == {one, other}
        return bool(self.nodes & {one, other})


@dataclass
class Stay:
    """A client at a node. `end` is when it noticed that it was no more, or (`willingly`) left."""

    node: int
    begin: float
    end: float = float("inf")
    willingly: bool = False


@dataclass
class Client:
    """A client's name and where it was."""

    name: str
    stays: list[Stay] = field(default_factory=list)

    def stay(self, at: float) -> Stay | None:
        """Where it was at that time."""
        for stay in reversed(self.stays):
            if stay.begin <= at:
                return stay if at < stay.end else None
        return None


@dataclass
class Publisher(Client):
    """`sent[n]` is when number n was published."""

    sent: list[float] = field(default_factory=list)


@dataclass
class Subscriber(Client):
    """What came: `(publisher, number, when)`, in the order in which it came."""

    heard: list[tuple[str, int, float]] = field(default_factory=list)


@dataclass
class Requester(Client):
    """`(when asked, when answered, or None)`."""

    asked: list[tuple[float, float | None]] = field(default_factory=list)


def schedule(seed: int, nodes: int, seconds: float) -> list[Fault]:
    """Return the faults of a run: one at a time, each kind once in every four."""
    rng = Random(seed)
    faults: list[Fault] = []
    kinds: list[str] = []
    begin = rng.uniform(*CALM)
    while True:
        end = begin + rng.uniform(*LASTS)
        if end + CALM[1] > seconds:
            return faults
        if not kinds:
            kinds = rng.sample(KINDS, len(KINDS))
        kind = kinds.pop()
        chosen = frozenset(rng.sample(range(nodes), 2 if kind == "cut" else 1))
        faults.append(Fault(kind, chosen, begin, end))
        begin = end + rng.uniform(*CALM)


def violations(
    publishers: Sequence[Publisher],
    subscribers: Sequence[Subscriber],
    requesters: Sequence[Requester],
    faults: Sequence[Fault],
    end: float,
) -> list[str]:
    """Return everything that may not have happened until `end`, in words."""
    clients = (*publishers, *subscribers, *requesters)
    return [
        *lost(publishers, subscribers, faults, end),
        *doubled(subscribers),
        *reordered(publishers, subscribers),
        *unanswered(requesters, faults),
        *late(clients, faults, end),
    ]


def lost(
    publishers: Iterable[Publisher],
    subscribers: Sequence[Subscriber],
    faults: Sequence[Fault],
    end: float,
) -> Iterator[str]:
    """Tell of messages that must have arrived and did not."""
    there = {one.name: {(who, number) for who, number, _ in one.heard} for one in subscribers}
    for publisher in publishers:
        for number, at in enumerate(publisher.sent):
            if at > end - MARGIN:
                continue
            for subscriber in subscribers:
                if (publisher.name, number) in there[subscriber.name]:
                    continue
                if must_arrive(publisher, subscriber, at, faults):
                    yield (f"lost: {publisher.name}'s {number} of {at:.2f} s for {subscriber.name}")


def must_arrive(publisher: Client, subscriber: Client, at: float, faults: Iterable[Fault]) -> bool:
    """Whether nothing excuses the loss of a message that was published at that time."""
    source, target = publisher.stay(at), subscriber.stay(at)
    if source is None or target is None:
        return False
    if source.begin > at - MARGIN or source.end < at + MARGIN:
        return False
    if target.begin > at - SETTLE or target.end < at + MARGIN:
        return False
    return not any(
        fault.concerns(source.node, target.node) and fault.begin - MARGIN < at < fault.end + SETTLE
        for fault in faults
    )


def doubled(subscribers: Iterable[Subscriber]) -> Iterator[str]:
    """Tell of messages that arrived twice."""
    for subscriber in subscribers:
        seen: set[tuple[str, int]] = set()
        for who, number, at in subscriber.heard:
            if (who, number) in seen:
                yield f"doubled: {who}'s {number} for {subscriber.name} at {at:.2f} s"
            seen.add((who, number))


def reordered(publishers: Iterable[Publisher], subscribers: Iterable[Subscriber]) -> Iterator[str]:
    """Tell of messages that arrived after later ones of the same stays."""
    known = {publisher.name: publisher for publisher in publishers}
    for subscriber in subscribers:
        last: dict[tuple[str, int, int], int] = {}
        for who, number, at in subscriber.heard:
            source, target = known[who].stay(known[who].sent[number]), subscriber.stay(at)
            if source is None or target is None:
                continue
            stays = (who, id(source), id(target))
            if number < last.get(stays, -1):
                yield f"reordered: {who}'s {number} for {subscriber.name} at {at:.2f} s"
            last[stays] = max(number, last.get(stays, -1))


def unanswered(requesters: Iterable[Requester], faults: Sequence[Fault]) -> Iterator[str]:
    """Tell of requests that failed although nobody's node was dying."""
    for requester in requesters:
        for asked, answered in requester.asked:
            stay = requester.stay(asked)
            if answered is not None or stay is None or stay.end < asked + DYING:
                continue
            if not any(-MARGIN < asked - fault.begin < DYING for fault in faults):
                yield f"unanswered: {requester.name} at n{stay.node}, {asked:.2f} s"


def returns(
    clients: Iterable[Client], faults: Iterable[Fault], end: float
) -> Iterator[tuple[Fault, Client, float]]:
    """Yield for each client whose node a fault took how long it was without one."""
    for fault in faults:
        for client in clients:
            stay = client.stay(fault.begin)
            if fault.kind == "cut" or stay is None or stay.node not in fault.nodes:
                continue
            after = client.stays.index(stay) + 1
            back = client.stays[after].begin if after < len(client.stays) else end
            yield fault, client, back - fault.begin


def late(clients: Sequence[Client], faults: Sequence[Fault], end: float) -> Iterator[str]:
    """Tell of clients that were not back in time, and of those that moved without a reason."""
    for fault, client, took in returns(clients, faults, end):
        if took > BACK:
            yield f"late: {client.name} was back after {took:.2f} s ({fault})"
    for client in clients:
        for stay, following in pairwise(client.stays):
            if not stay.willingly and not any(
                stay.node in fault.nodes and fault.begin - 0.1 <= stay.end <= fault.end + SETTLE
                for fault in faults
                if fault.kind != "cut"
            ):
                yield (f"moved: {client.name}, n{stay.node} to n{following.node}, {stay.end:.2f} s")
