"""What rules for publishing and subscribing mean, one decision a test."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.permissions import PublishGate, Rules, SubscribeGate
from broker.subject import matches

filters = st.lists(st.sampled_from([b"a", b"b", b"*"]), min_size=1, max_size=3).map(b".".join)
tails = st.one_of(filters, filters.map(lambda one: one + b".>"), st.just(b">"))
rules = st.builds(
    Rules, st.one_of(st.none(), st.lists(tails, max_size=3).map(tuple)), st.lists(tails).map(tuple)
)
subjects = st.lists(st.sampled_from([b"a", b"b", b"c"]), min_size=1, max_size=3).map(b".".join)


@pytest.mark.parametrize(
    ("given", "subject", "allowed"),
    [
        (Rules(), b"a", True),
        (Rules(()), b"a", False),
        (Rules((b"a.*",)), b"a.b", True),
        (Rules((b"a.*",)), b"a.b.c", False),
        (Rules((b"a.>",)), b"a..b", False),  # an empty token is in no list
        (Rules(None, (b"a",)), b"a", False),
        (Rules(None, (b"a.>",)), b"a..b", True),
        (Rules((b"a",), (b">",)), b"a", False),
    ],
)
def test_a_subject_may_be_published_to_if_it_is_allowed_and_not_denied(
    given: Rules, subject: bytes, allowed: bool
) -> None:
    assert allowed == PublishGate(given).look(subject)[0]


@given(rules, subjects, subjects)
def test_the_answer_holds_for_every_subject_of_the_pattern(
    given: Rules, subject: bytes, other: bytes
) -> None:
    gate = PublishGate(given)
    allowed, pattern = gate.look(subject)
    assert matches(pattern, subject)
    if matches(pattern, other):
        assert allowed == gate.look(other)[0]


@pytest.mark.parametrize(
    ("given", "subject", "queue", "allowed"),
    [
        (Rules(), b">", b"", True),
        (Rules(()), b"a", b"", False),
        (Rules((b"s.*",)), b"s.a", b"", True),
        (Rules((b"s.*",)), b"s.*", b"", True),
        (Rules((b"s.*",)), b"s.>", b"", False),  # nats-server lets this in, and hears s.a.b by it
        (Rules((b"*",)), b">", b"", False),  # and this
        (Rules((b"s.>",)), b"s.*.b", b"", True),
        (Rules((b"s.a", b"s.b")), b"s.*", b"", False),
        (Rules((b"s.>",)), b"s..a", b"", False),
        (Rules((b"q.> g",)), b"q.a", b"", False),
        (Rules((b"q.> g",)), b"q.a", b"g", True),
        (Rules((b"q.> g",)), b"q.a", b"h", False),
        (Rules((b"q.> g.*",)), b"q.a", b"g.1", True),
        (Rules((b"q.>", b"q.> g")), b"q.a", b"", True),
        (Rules((b"q.>", b"q.> g")), b"q.a", b"h", False),
        (Rules((b"q.>",)), b"q.a", b"h", True),
        (Rules(None, (b"s.*",)), b"s.a", b"", False),
        (Rules(None, (b"s.*",)), b"s.>", b"", False),
        (Rules(None, (b"s.*",)), b">", b"", True),
        (Rules(None, (b"s.*",)), b"*.a", b"", True),
        (Rules(None, (b"s.x bad",)), b"s.x", b"", True),
        (Rules(None, (b"s.x bad",)), b"s.x", b"bad", False),
        (Rules(None, (b"s.x bad",)), b"s.x", b"good", True),
        (Rules(None, (b"s.x", b"s.x bad")), b"s.x", b"good", False),
    ],
)
def test_a_subscription_may_be_if_one_entry_covers_it_and_none_denies_it(
    given: Rules, subject: bytes, queue: bytes, allowed: bool
) -> None:
    assert allowed == SubscribeGate(given).may(subject, queue)


@pytest.mark.parametrize(
    ("filter", "queue", "expected"),
    [
        (b">", b"", (b"s.*", b"t")),
        (b"*.a", b"", (b"s.*",)),
        (b"u.*", b"", ()),
        (b"q.*", b"", ()),
        (b"q.*", b"bad", (b"q.x",)),
    ],
)
def test_withheld_is_what_is_denied_and_could_be_met(
    filter: bytes, queue: bytes, expected: tuple[bytes, ...]
) -> None:
    gate = SubscribeGate(Rules(None, (b"s.*", b"t", b"q.x bad")))
    assert expected == gate.withheld(filter, queue)


@given(rules, tails, subjects)
def test_who_may_subscribe_hears_nothing_that_is_not_allowed(
    given: Rules, filter: bytes, subject: bytes
) -> None:
    gate = SubscribeGate(given)
    if not gate.may(filter, b"") or not matches(filter, subject):
        return
    if any(matches(withheld, subject) for withheld in gate.withheld(filter, b"")):
        return
    assert PublishGate(given).look(subject)[0]  # the same rules, the same meaning


@pytest.mark.parametrize("entry", [b"a..b", b">.a", b"", b"a. q"])
def test_an_entry_that_is_no_filter_is_refused(entry: bytes) -> None:
    with pytest.raises(ValueError, match="is no permission: give a filter"):
        SubscribeGate(Rules((entry,)))
    if b" " not in entry:
        with pytest.raises(ValueError, match="is no filter"):
            PublishGate(Rules((entry,)))
