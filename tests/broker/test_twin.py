"""Switchboard, flow table and data plane against a broker that keeps a plain list.

Random subscriptions, unsubscriptions, publishes, requests, closed links and links that change their
permissions or their account, with a flow table that works as it should, one that is far too small,
one that keeps nothing, and one that forgets at random: nobody gets a wrong message, a missing one
or a second one, and after every step each flow in the table is what the plain list says.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.blocks import AccountBlock, Export, Import, MappingBlock, Target
from broker.flow import Flow, FlowTable
from broker.permissions import FREE, Permissions, Rules
from broker.plane import Link
from tests.support.naive_broker import NaiveBroker, NaiveSubscription, fits
from tests.support.switch import Switch

TABLES: dict[str, Callable[[], FlowTable[Link]]] = {
    "normal": FlowTable,
    "small": lambda: FlowTable(capacity=2),
    "capacity 0": lambda: FlowTable(capacity=0),
    "random eviction": lambda: FlowTable(evict_chance=0.4, rng=Random(7)),
}

# Who may do what in which account.  A and B hear something of one another, and A renames.
ROLES: list[tuple[str, Permissions]] = [
    ("$G", FREE),
    ("A", FREE),
    ("A", Permissions(Rules((b"a", b"a.*", b"b.>")), Rules(None, (b"a.b", b"c.*", b"b.>")))),
    ("A", Permissions(Rules(None, (b"*.a", b"c")), Rules((b"a", b"a.>", b"*.b", b"c.*.>")))),
    ("B", FREE),
    ("B", Permissions(Rules((b">",), (b"a.a",)), Rules((b">",), (b"s.a.b", b"*.a")))),
]
KINDRED = [1, 2, 2, 3, 3, 4, 4]  # those of A and B, who are to meet often
STREAMS = [("A", b"a.*", "B", b"s"), ("B", b"b.>", "A", b"a")]
MAPPINGS = {b"c.c": b"a.c", b"b": b"a"}
BLOCKS = (
    AccountBlock(
        "A",
        exports=(Export(b">", service=False),),
        imports=(Import("B", b"b.>", service=False, prefix=b"a"),),
        mappings=tuple(MappingBlock(k, (Target(v),)) for k, v in MAPPINGS.items()),
    ),
    AccountBlock(
        "B",
        exports=(Export(b">", service=False),),
        imports=(Import("A", b"a.*", service=False, prefix=b"s"),),
    ),
)

# One link for each mixture of the two flags that routing cares about.
FLAGS = [(echo, no_responders) for echo in (True, False) for no_responders in (True, False)]

# Few tokens, so that subjects meet; some that only look like wildcards, some that are out of
# place.
TOKENS = [b"a", b"a", b"b", b"c", b"*", b"*", b">", b"a*", b">b"]
DEEP = b"a." * 60
SPECIAL = [b"", b"a..b", b".a", b"a.", DEEP + b"a", DEEP + b"*", DEEP + b">", DEEP + b"b.c"]


def join(tokens: list[bytes]) -> bytes:
    return b".".join(tokens)


shapes = st.lists(st.sampled_from(TOKENS), min_size=1, max_size=4).map(join)
subjects = st.one_of(shapes, shapes, shapes, st.sampled_from(SPECIAL[1:]))
links = st.integers(0, len(FLAGS) - 1)
sids = st.sampled_from([b"1", b"2", b"3", b"4", b"5"])
queues = st.sampled_from([b"", b"", b"p", b"q"])
replies = st.one_of(st.just(b""), subjects)

subscribe = st.tuples(st.just("subscribe"), links, subjects, queues, sids)
unsubscribe = st.tuples(st.just("unsubscribe"), links, sids, st.integers(0, 3))
publish = st.tuples(st.just("publish"), links, subjects, replies)
close = st.tuples(st.just("close"), links)
become = st.tuples(st.just("become"), links, st.sampled_from([0, *KINDRED]))
steps = st.lists(
    st.one_of(
        subscribe, subscribe, subscribe, publish, publish, publish, unsubscribe, close, become
    ),
    min_size=15,
    max_size=50,
)


class Twins:
    """The two brokers, which are told the same and must do the same."""

    def __init__(self, table: FlowTable[Link]) -> None:
        self.switch = Switch(table, blocks=BLOCKS)
        self.links = [self._connect(number) for number in range(len(FLAGS))]
        self.naive = NaiveBroker({number for number, flags in enumerate(FLAGS) if not flags[0]})
        self.naive.streams = STREAMS

    def _connect(self, number: int) -> Link:
        echo, no_responders = FLAGS[number]
        return self.switch.connect(echo=echo, no_responders=no_responders)

    def subscribe(self, link: int, filter: bytes, queue: bytes, sid: bytes) -> None:
        self.switch.say(self.links[link], join_words(b"SUB", filter, queue, sid))
        self.naive.subscribe(link, filter, queue, sid)

    def unsubscribe(self, link: int, sid: bytes, max: int) -> None:
        self.switch.say(self.links[link], b"UNSUB %b %d" % (sid, max))
        self.naive.unsubscribe(link, sid, max)

    def close(self, link: int) -> None:
        self.switch.disconnect(self.links[link])
        self.links[link] = self._connect(link)
        self.naive.drop(link)
        self.naive.account.pop(link, None)
        self.naive.permissions.pop(link, None)

    def become(self, link: int, role: int) -> None:
        """The link starts anew as somebody else, as by a second CONNECT."""
        account, permissions = ROLES[role]
        self.switch.board.drop(self.links[link])
        self.links[link].zone = self.switch.board.enter(self.links[link], account, permissions)
        self.naive.drop(link)
        self.naive.account[link] = account
        self.naive.permissions[link] = permissions

    def publish(self, link: int, subject: bytes, reply: bytes) -> None:
        self.switch.refused.clear()
        self.switch.say(self.links[link], join_words(b"PUB", subject, reply, b"4"), b"body")
        if self.naive.account.get(link) == "A":
            subject = MAPPINGS.get(subject, subject)
        allowed = self.naive.may_publish(link, subject)
        assert allowed == (not self.switch.refused)
        messages = [
            (number, message)
            for number, receiver in enumerate(self.links)
            for message in self.switch.heard(receiver)
        ]
        takers = []
        for number, message in messages:
            if not message.head:
                taker = self.naive.find(number, message.sid)
                assert taker is not None
                name = self.naive.name_for(link, taker, subject)
                assert (name, reply, b"body") == (message.subject, message.reply, message.body)
                takers.append(taker)
        if not allowed:
            assert messages == []
            return
        expected = self.naive.publish(link, subject, reply)
        plain = [taker for taker in takers if not taker.queue]
        assert Counter(expected.plain) == Counter(plain)
        picked = {(taker.account, taker.queue): taker for taker in takers if taker.queue}
        assert len(takers) == len(plain) + len(picked)  # one of each group, not two
        assert expected.groups.keys() == picked.keys()
        assert all(taker in expected.groups[queue] for queue, taker in picked.items())
        answers = [(number, message) for number, message in messages if message.head]
        wanted = expected.unheard if reply and FLAGS[link][1] else []
        assert bool(wanted) == len(answers)
        for number, answer in answers:
            assert self.naive.find(number, answer.sid) in wanted
            assert (reply, b"", b"") == (answer.subject, answer.reply, answer.body)
            assert b"NATS/1.0 503\r\nNats-Subject: %b\r\n\r\n" % subject == answer.head
        for taker in takers:
            self.naive.took(taker)

    def check(self) -> None:
        """Both hold the same subscriptions, and every flow says what the plain list says."""
        held = {
            (number, entry.sid, entry.filter, entry.queue, entry.msgs)
            for number, link in enumerate(self.links)
            for entry in self.switch.board.subscriptions(link)
        }
        listed = {(sub.link, sub.sid, sub.filter, sub.queue, sub.msgs) for sub in self.naive.all}
        assert listed == held
        assert len(self.naive.all) == len(self.switch.board)
        for zone, flow in self.switch.plane.flows:
            for token in (b"a", b"b", b"c", b"new", b"*", b">"):
                self.check_flow(zone, flow, flow.pattern.split(b"."), token)

    def check_flow(self, zone: int, flow: Flow[Link], pattern: list[bytes], token: bytes) -> None:
        subject = join([token if part == b"*" else part for part in pattern])
        place = self.switch.board._accounts.zone(zone)
        assert place.gate is None or place.gate.look(subject)[0]
        account = place.account.name
        matching = [s for s in self.naive.all if s.account == account and s.matches(subject)]
        groups = {sub.queue for sub in matching if sub.queue}
        expected = [names([s for s in matching if s.queue == q]) for q in groups]
        found = [{(self.links.index(m.link), m.sid) for m in pick} for pick in flow.picks]
        assert sorted(map(sorted, expected)) == sorted(map(sorted, found))
        plain = [(self.links.index(delivery.link), delivery.sid) for delivery in flow.plain]
        assert Counter(names([s for s in matching if not s.queue])) == Counter(plain)
        crosses = any(one[0] == account and fits(one[1], subject) for one in STREAMS)
        renames = account == "A" and subject in MAPPINGS
        assert (any(sub.limit for sub in matching) or crosses or renames) == flow.ask


def names(subscriptions: list[NaiveSubscription]) -> set[tuple[int, bytes]]:
    return {(sub.link, sub.sid) for sub in subscriptions}


def join_words(*words: bytes) -> bytes:
    return b" ".join(word for word in words if word)


@pytest.mark.parametrize("table", TABLES)
@settings(max_examples=150, deadline=None)
@given(script=steps)
def test_nobody_gets_a_wrong_message_a_missing_one_or_a_second_one(
    table: str, script: list[tuple[str, ...]]
) -> None:
    twins = Twins(TABLES[table]())
    for verb, *arguments in script:
        getattr(twins, verb)(*arguments)
        twins.check()


@pytest.mark.parametrize("table", TABLES)
def test_a_long_life_with_many_subscriptions_ends_as_it_should(table: str) -> None:
    # Longer than what hypothesis would try, and with far more subscriptions at a time.
    rng = Random(table)
    twins = Twins(TABLES[table]())
    words = [b"a", b"b", b"c", b"*", b">"]
    vague = [b"a", b"*", b"*", b"*", b">"]  # so that in the second half patterns are wide
    for turn in range(4000):
        link = rng.randrange(len(FLAGS))
        subject = join(rng.choices(words, k=rng.randint(1, 4)))
        sid = b"%d" % rng.randrange(12)
        choice = rng.random()
        if choice < (0.3 if turn < 2000 else 0.05):
            subject = join(rng.choices(words if turn < 2000 else vague, k=rng.randint(1, 3)))
            twins.subscribe(link, subject, rng.choice([b"", b"", b"q"]), sid)
        elif choice < 0.45:
            twins.unsubscribe(link, sid, rng.randrange(8))
        elif choice < 0.9:
            twins.publish(link, subject, rng.choice([b"", b"a.r", b"b"]))
        elif choice < 0.99:
            twins.become(link, rng.choice(KINDRED))
        else:
            twins.close(link)
            twins.become(link, rng.choice(KINDRED))
        if turn == 2000:
            for number in range(len(FLAGS)):
                twins.close(number)
        if turn % 10 == 0:
            twins.check()
    twins.check()


def test_the_normal_table_is_really_used() -> None:
    twins = Twins(FlowTable())
    twins.subscribe(0, b"a.*.c", b"", b"1")
    for token in (b"a", b"b", b"*", b">", b"b"):
        twins.publish(1, b"a." + token + b".c", b"")
    assert twins.switch.misses == 1
