"""One message that the data plane could not settle: may it be published, and who gets it?

The idea: `judge` first, `forward` then; between the two the session acknowledges. Judging applies
the account's mappings and asks the rules for publishing, and where they refuse, the grants of
whoever may answer requests. Forwarding delivers by the flow of the publisher's zone, like the data
plane would, and then does what made the flow ask: it grants answers, ends subscriptions whose limit
is reached, lets the message over into other accounts, and tells taps.

`work_out` is the other half: what becomes of a subject in a zone, before there is a message. What
decides is asked in several tries (subscriptions, rules for publishing, what is withheld from a
subscriber, crossings), and the flow's pattern is what all their answers have in common.

Invariants: taps are called last, when nothing is half done, and never from within each other; what
they emit waits its turn in a queue, and what a tap emits for ever is cut off at `EMIT_BUDGET` per
message from outside, counted in `lost`.

Source: a refused publish gets no +OK, the -ERR names the mapped subject, and a 503 the subject of
whoever asked: all as with nats-server.

Neighbours: the switchboard owns one and resolves for it; crossings ask it to carry on. One thread.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, replace
from random import Random
from typing import Protocol

from broker import codec
from broker.accounts import Account, Subscription, Zone
from broker.crossing import Crossing, Passage, renamed
from broker.errors import WireError, publish_violation
from broker.flow import Delivery, Flow, Pick
from broker.link import Link
from broker.msgtrace import Journey, Tracer, Trail
from broker.ops import Publish
from broker.permissions import PublishGate
from broker.plane import DataPlane
from broker.remotes import RemoteSubscription
from broker.replies import Replies
from broker.reserved import SYSTEM
from broker.scope import Kind
from broker.taps import Message, Tap
from broker.trie import join_patterns

__all__ = ["EMIT_BUDGET", "Board", "Forwarding", "Outcome", "work_out"]

EMIT_BUDGET = 1024


@dataclass(frozen=True)
class Outcome:
    """What a subject comes to: the flow, whom it leaves out, and what it meets besides."""

    flow: Flow[Link]
    withheld: list[Subscription]
    crossings: list[Crossing]


def work_out(zone: Zone, subject: bytes) -> Outcome:
    """What is published to `subject` in `zone` comes to, by all tries that have a say.

    The flow has no pattern where it must not be kept.  O(visited nodes + subscriptions).
    """
    account = zone.account
    found = account.trie.resolve(subject)
    patterns = {found.pattern}
    plain: list[Delivery[Link]] = []
    peers: dict[Link, Delivery[Link]] = {}  # however much it wants, a peer gets one line
    groups: dict[bytes, list[Delivery[Link]]] = {}
    spares: dict[bytes, list[Delivery[Link]]] = {}
    left_out: list[Subscription] = []
    ask = False
    for one in found.values:
        if one.link.deaf:
            continue  # it is gone, or about to go
        remote = one if isinstance(one, RemoteSubscription) else None
        if remote and not zone.scope.admits(remote.link.kind, remote.origin):
            continue
        if remote and remote.gate is not None:
            given, pattern = remote.gate.look(subject)
            patterns.add(pattern)
            if not given:
                left_out.append(one)
                continue
        if one.withheld is not None:
            withheld = one.withheld.resolve(subject)
            patterns.add(withheld.pattern)
            if withheld.values:
                left_out.append(one)
                continue
        ask = ask or one.limit > 0 or one.responses is not None
        if one.queue:
            # A member above or below, even another server of the cluster's, is the last choice.
            chosen = spares if remote and remote.is_spare else groups
            members = chosen.setdefault(one.queue, [])
            members += [remote] * remote.weight if remote else [one]
        elif remote:
            peers.setdefault(one.link, one)
        else:
            plain.append(one)
    crossings: list[Crossing] = []
    for met in account.met(subject):
        patterns.add(met.pattern)
        crossings += met.values
    if subject.startswith(SYSTEM):
        patterns.add(b"")  # no flow is ever looked up for it
    if zone.gate is not None:
        allowed, pattern = zone.gate.look(subject)
        patterns.add(pattern if allowed else b"")  # who has no flow is judged each time
    picks = tuple(
        Pick.of(queue, groups.get(queue, ()), spares.get(queue, ()))
        for queue in dict.fromkeys((*groups, *spares))
    )
    asks = ask or bool(crossings)
    pattern = join_patterns(list(patterns))
    meshed = any(isinstance(one, RemoteSubscription) for one in found.values)
    flow = Flow(pattern, tuple(plain), picks, asks, tuple(peers.values()), meshed)
    return Outcome(flow, left_out, crossings)


class Near(Protocol):
    """What forwarding asks of the switchboard's dealings with other servers."""

    def near(self, account: Account) -> Zone:
        """The zone of what is delivered by this server alone, as others do the same."""


class Board(Protocol):
    """What forwarding asks of the switchboard."""

    @property
    def peering(self) -> Near:
        """Its dealings with other servers."""

    def place(self, link: Link) -> Zone:
        """The zone in which `link` publishes."""

    def flow(self, zone: Zone, subject: bytes) -> Flow[Link]:
        """The flow for `subject`, kept or made."""

    def end(self, subscription: Subscription) -> None:
        """The subscription has had all that it wanted."""

    def details(self, link: Link | None, share: bool) -> Mapping[str, object]:
        """See `Carrier.details`."""


class Forwarding:
    """The way of single messages through one switchboard.  A `Carrier` for crossings."""

    def __init__(self, board: Board, plane: DataPlane, rng: Random) -> None:
        self.rng = rng
        self.replies = Replies()
        self.tracer = Tracer(rng)
        self.published = self.unheard = self.lost = 0
        self._board = board
        self._plane = plane
        self._now = 0.0
        self._calls: deque[tuple[Tap, Message]] = deque()
        self._emits: deque[tuple[Account, Publish]] = deque()
        self._busy = False

    # --- from clients

    def judge(
        self, link: Link, publish: Publish, now: float, journey: Journey | None = None
    ) -> Publish | WireError:
        """The message as it may be forwarded, or what is wrong with it."""
        zone = self._board.place(link)
        published = publish.subject
        publish = self._mapped(zone.account, publish)
        subject = publish.subject
        if journey is not None and subject != published:
            journey.mapped(subject)
        allowed = zone.gate is None or zone.gate.look(subject)[0]
        if zone.account.keeps(subject) or not (allowed or self.replies.use(link, subject, now)):
            return publish_violation(subject)
        return publish

    def judge_absent(
        self, account: Account, gate: PublishGate | None, publish: Publish
    ) -> Publish | WireError:
        """The same for somebody who is not there to answer requests."""
        publish = self._mapped(account, publish)
        subject = publish.subject
        if account.keeps(subject) or not (gate is None or gate.look(subject)[0]):
            return publish_violation(subject)
        return publish

    def _mapped(self, account: Account, publish: Publish) -> Publish:
        if not account.mapper:
            return publish
        subject = account.mapper.map(publish.subject, self.rng)
        return publish if subject == publish.subject else renamed(publish, subject)

    def forward(
        self, link: Link, publish: Publish, now: float, journey: Journey | None = None
    ) -> None:
        """Deliver what was judged, or only tell what would happen, and report it."""
        self.published += 1
        self._now = now
        zone = self._board.place(link)
        flow = self._board.flow(zone, publish.subject)
        if flow.ask or journey is not None:
            account, trace = zone.account, Trail(journey) if journey else None
            passage = Passage(publish, link, account, account, now, trace=trace)
            delivered = self._deliver(flow, passage)
        else:
            delivered = self._plane.deliver(link, publish, flow)
        if not delivered and publish.reply and link.no_responders:
            self._answer_unheard(link, zone.account, publish)
        if journey is not None:
            self.report(journey)
        if self._calls:
            self.settle()

    def arrive(self, link: Link, zone: Zone, publish: Publish, now: float) -> None:
        """Deliver what another server sent, which has judged it and answers for it."""
        self.published += 1
        self._now = now
        flow = self._board.flow(zone, publish.subject)
        if flow.ask:
            self._deliver(flow, Passage(publish, link, zone.account, zone.account, now))
        else:
            self._plane.deliver(link, publish, flow)
        if self._calls:
            self.settle()

    def _answer_unheard(self, link: Link, account: Account, publish: Publish) -> None:
        for delivery in self._board.flow(account.inner, publish.reply).plain:
            if delivery.link is link:
                answer = codec.no_responders(publish.subject, publish.reply, delivery.sid)
                self._plane.send(link, answer)
                self.unheard += 1
                return

    # --- from ourselves

    def report(self, journey: Journey) -> None:
        """Publish what became of a message."""
        self.emit(journey.account, journey.report())

    def emit(self, account: Account, publish: Publish) -> int:
        """Publish within `account` without a link; from within a tap it waits, and counts 0."""
        if self._busy:
            self._emits.append((account, publish))
            return 0
        taken = self.carry_on(Passage(publish, None, account, account, self._now))
        self.settle()
        return taken

    def settle(self) -> None:
        """Call the taps that heard something, and send what they emit."""
        if self._busy or not self._calls:
            return
        self._busy = True
        left = EMIT_BUDGET
        try:
            while self._calls or self._emits:
                while self._calls:
                    tap, message = self._calls.popleft()
                    tap.callback(message)
                if self._emits:
                    account, publish = self._emits.popleft()
                    left -= 1
                    if left < 0:
                        self.lost += 1
                        continue
                    self.carry_on(Passage(publish, None, account, account, self._now))
        finally:
            self._busy = False

    # --- for crossings

    def carry_on(self, passage: Passage) -> int:
        """See `Carrier.carry_on`."""
        if _is_closed_to(passage):
            return 0
        flow = self._board.flow(passage.account.inner, passage.publish.subject)
        return self._deliver(flow, passage)

    def hand_out(self, passage: Passage) -> int:
        """See `Carrier.hand_out`."""
        account = passage.account
        if _is_closed_to(passage):
            return 0
        near = self._board.peering.near(account)
        return self._follow(self._board.flow(near, passage.publish.subject), passage)

    def overhear(self, tap: Tap, message: Message) -> None:
        """See `Carrier.overhear`."""
        self._calls.append((tap, message))

    def details(self, link: Link | None, share: bool) -> Mapping[str, object]:
        """See `Carrier.details`."""
        return self._board.details(link, share)

    # --- delivery

    def _deliver(self, flow: Flow[Link], passage: Passage) -> int:
        taken = self._follow(flow, passage)
        if flow.ask:
            routed = passage.link is not None and passage.link.kind is Kind.ROUTE
            for crossing in passage.account.meeting(passage.publish.subject):
                if crossing.once and routed:
                    continue  # it was met where the message was published
                taken += crossing.meet(passage, self)
        return taken

    def _follow(self, flow: Flow[Link], passage: Passage) -> int:
        """Deliver by a flow, and do what limits and permissions to answer ask for."""
        if passage.trace is not None:
            return self._follow_and_tell(flow, passage, passage.trace)
        if not flow.ask:
            return self._plane.deliver(passage.link, passage.publish, flow)
        reply = passage.publish.reply
        answerers = _answerers(flow) if reply else []
        taken = self._plane.deliver(passage.link, passage.publish, flow)
        for subscription, before in answerers:
            if subscription.msgs > before and subscription.responses is not None:
                self.replies.grant(subscription.link, reply, subscription.responses, passage.now)
        for delivery in flow.deliveries():
            if 0 < delivery.limit <= delivery.msgs:
                self._board.end(_ours(delivery))
        return taken

    def _follow_and_tell(self, flow: Flow[Link], passage: Passage, trace: Trail) -> int:
        account, source = passage.account, passage.link
        trace.withhold(work_out(account.inner, passage.publish.subject).withheld)
        if trace.journey.only:
            return trace.pretend(flow, source)
        before = {delivery: delivery.msgs for delivery in flow.deliveries()}
        taken = self._follow(flow, replace(passage, trace=None))
        trace.record(flow, before, source)
        return taken


def _is_closed_to(passage: Passage) -> bool:
    """Whether the account is no more, or what came over would pass for the broker's own word."""
    account = passage.account
    foreign = account is not passage.origin
    return account.gone or (foreign and account.keeps(passage.publish.subject))


def _answerers(flow: Flow[Link]) -> list[tuple[Subscription, int]]:
    """Who would get permission to answer, with the count of messages by which to see who took."""
    ours = map(_ours, flow.deliveries())
    return [(one, one.msgs) for one in ours if one.responses is not None]


def _ours(delivery: Delivery[Link]) -> Subscription:
    if not isinstance(delivery, Subscription):
        raise TypeError("a flow holds a delivery that the switchboard did not make")
    return delivery
