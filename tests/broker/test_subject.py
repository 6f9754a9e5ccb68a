"""The rules of subjects, as the real server answered them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker import subject as rules

TOKENS = [b"a", b"b", b"a*", b">b", b"*", b">", b""]


def join(tokens: list[bytes]) -> bytes:
    return b".".join(tokens)


published = st.lists(st.sampled_from(TOKENS), min_size=1, max_size=5).map(join)
filters = published.filter(rules.is_valid_filter)


@pytest.mark.parametrize(
    "text", [b"a", b"a.b", b"*", b">", b"a.*", b"*.>", b"a*.b", b"a.>b", b"\xe8"]
)
def test_these_may_be_subscribed_to(text: bytes) -> None:
    assert rules.is_valid_filter(text)


@pytest.mark.parametrize("text", [b"", b".", b"a..b", b".a", b"a.", b">.a", b"a.>.b", b"a.>."])
def test_these_may_not_be_subscribed_to(text: bytes) -> None:
    assert not rules.is_valid_filter(text)


@pytest.mark.parametrize("text", [b"a", b"a.b", b"a*.b", b"a.>b"])
def test_a_pedantic_client_may_publish_to_these(text: bytes) -> None:
    assert rules.is_valid_publish(text)


@pytest.mark.parametrize("text", [b"", b"a..b", b".a", b"a.", b"*", b">", b"a.*", b"a.>", b"*.a"])
def test_a_pedantic_client_may_not_publish_to_these(text: bytes) -> None:
    assert not rules.is_valid_publish(text)


@pytest.mark.parametrize(
    ("filter", "subject", "expected"),
    [
        (b"a.b", b"a.b", True),
        (b"a.b", b"a.b.c", False),
        (b"a.b.c", b"a.b", False),
        (b"a.*", b"a.b", True),
        (b"a.*", b"a", False),
        (b"a.*", b"a.b.c", False),
        (b"a.>", b"a.b.c", True),
        (b"a.>", b"a", False),
        (b">", b"a", True),
        (b"a*.b", b"ax.b", False),
        (b"a*.b", b"a*.b", True),
        # A wildcard in a published subject is a token that looks like one.
        (b"a.*", b"a.*", True),
        (b"a.>", b"a.*", True),
        (b"a.x", b"a.*", False),
        (b"a.*", b"a.>", True),
        (b"a.*.b", b"a.>.b", True),
        (b"a.x", b"a.>", False),
        # A published subject with an empty token reaches nobody.
        (b">", b"a..b", False),
        (b"*.>", b".a", False),
        (b"a.>", b"a.", False),
        (b"a.*.b", b"a..b", False),
    ],
)
def test_a_filter_matches_as_the_real_server_does(
    filter: bytes, subject: bytes, expected: bool
) -> None:
    assert expected == rules.matches(filter, subject)


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        (b"a.b", b"a.b", True),
        (b"a.b", b"a.c", False),
        (b"a.*", b"*.b", True),
        (b"a.*", b"*.b.c", False),
        (b"a.>", b"a", False),
        (b"a.>", b"*.*", True),
        (b">", b"a", True),
        (b"a.>", b"b.>", False),
        (b"*.b.>", b"a.*.c", True),
        (b"a*.b", b"*.b", True),
        (b"a*.b", b"ax.b", False),
    ],
)
def test_filters_collide_if_some_subject_matches_both(a: bytes, b: bytes, expected: bool) -> None:
    assert expected == rules.collides(a, b)
    assert expected == rules.collides(b, a)


@given(filters, filters, published)
def test_a_subject_that_matches_two_filters_proves_their_collision(
    a: bytes, b: bytes, subject: bytes
) -> None:
    both = rules.matches(a, subject) and rules.matches(b, subject)
    assert rules.collides(a, b) or not both


@given(filters, filters)
def test_every_collision_has_a_subject_that_proves_it(a: bytes, b: bytes) -> None:
    # The longer filter, with the other's tokens where its own are stars, is that subject.
    pairs = list(zip(a.split(b"."), b.split(b"."), strict=False))
    longer = max(a, b, key=lambda text: text.count(b".")).split(b".")
    common = [y if x in (b"*", b">") else x for x, y in pairs] + longer[len(pairs) :]
    witness = join([b"w" if token in (b"*", b">") else token for token in common])
    proved = rules.matches(a, witness) and rules.matches(b, witness)
    assert proved == rules.collides(a, b)


@given(filters.filter(rules.is_literal), published)
def test_a_literal_filter_matches_itself_and_nothing_else(filter: bytes, subject: bytes) -> None:
    assert rules.matches(filter, filter)
    assert (filter == subject) == rules.matches(filter, subject)


@given(published)
def test_a_pedantic_publish_is_a_filter_without_wildcards(subject: bytes) -> None:
    expected = rules.is_valid_filter(subject) and rules.is_literal(subject)
    assert expected == rules.is_valid_publish(subject)


@pytest.mark.parametrize(
    ("wide", "narrow", "expected"),
    [
        (b"a", b"a", True),
        (b"*", b"a", True),
        (b"a", b"*", False),
        (b"*", b"*", True),
        (b"*", b">", False),
        (b">", b"*", True),
        (b">", b">", True),
        (b"a.>", b"a.*.b", True),
        (b"a.*", b"a.>", False),
        (b"a.>", b"a", False),
        (b"a.*", b"a", False),
        (b"a", b"a.*", False),
        (b"*.*.>", b"a.>", False),
    ],
)
def test_one_filter_covers_another_if_it_matches_all_that_the_other_does(
    wide: bytes, narrow: bytes, expected: bool
) -> None:
    assert expected == rules.covers(wide, narrow)


@given(filters, filters, published)
def test_what_a_covered_filter_matches_the_covering_one_matches_too(
    wide: bytes, narrow: bytes, subject: bytes
) -> None:
    if rules.covers(wide, narrow) and rules.matches(narrow, subject):
        assert rules.matches(wide, subject)
