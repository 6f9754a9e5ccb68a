"""The trie against the linear rules, and the promise of its patterns."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker import trie as module
from broker.subject import collides, is_literal, is_valid_filter, matches
from broker.trie import MAX_PATTERN, Trie, join_patterns

TOKENS = [b"a", b"b", b"c", b"a*", b"*", b">"]


def join(tokens: list[bytes]) -> bytes:
    return b".".join(tokens)


published = st.lists(st.sampled_from([*TOKENS, b""]), min_size=1, max_size=5).map(join)
filters = st.lists(st.sampled_from(TOKENS), min_size=1, max_size=5).map(join)
filters = filters.filter(is_valid_filter)
entries = st.lists(st.tuples(filters, st.integers(0, 3)), max_size=12)


def filled(pairs: list[tuple[bytes, int]]) -> Trie[tuple[bytes, int]]:
    trie: Trie[tuple[bytes, int]] = Trie()
    for filter, number in pairs:
        trie.insert(filter, (filter, number))
    return trie


@pytest.mark.parametrize("filter", [b"", b"a..b", b".a", b"a.", b">.a"])
def test_what_is_no_filter_is_refused_with_its_name_and_the_mend(filter: bytes) -> None:
    trie: Trie[int] = Trie()
    with pytest.raises(ValueError, match="is no filter: give every token") as caught:
        trie.insert(filter, 1)
    assert repr(filter) in str(caught.value)
    assert len(trie) == 0


def test_a_value_stands_once_under_a_filter() -> None:
    trie: Trie[int] = Trie()
    assert trie.insert(b"a.>", 1)
    assert not trie.insert(b"a.>", 1)
    assert trie.insert(b"a.*", 1)
    assert trie.resolve(b"a.b").values == [1, 1]
    assert len(trie) == 2


@pytest.mark.parametrize("filter", [b"b", b"a", b"a.*", b"a.>", b"a.b.c", b"*.b", b">"])
def test_removing_what_is_not_there_changes_nothing(filter: bytes) -> None:
    trie: Trie[int] = Trie()
    trie.insert(b"a.b", 1)
    assert not trie.remove(filter, 1)
    assert not trie.remove(b"a.b", 2)
    assert trie.resolve(b"a.b").values == [1]


def test_values_come_in_the_order_of_the_real_server() -> None:
    trie: Trie[str] = Trie()
    for filter in ("a.a", "a.*", "a.>", "*.a", "*.*", "*.>", ">"):
        trie.insert(filter.encode(), filter)
    expected = [">", "*.>", "*.a", "*.*", "a.>", "a.a", "a.*"]
    assert expected == trie.resolve(b"a.a").values


@pytest.mark.parametrize(
    ("filters", "subject", "expected"),
    [
        ([], b"a.b.c", b"*.*.*"),
        ([b">"], b"a.b", b"*.*"),
        ([b"_INBOX.c1.*"], b"_INBOX.c1.r7", b"_INBOX.c1.*"),
        ([b"_INBOX.c1.*"], b"_INBOX.c2.r7", b"_INBOX.c2.*"),
        ([b"*.teacher.heartbeat"], b"s1.teacher.heartbeat", b"*.teacher.heartbeat"),
        ([b"*.teacher.heartbeat"], b"s1.student.heartbeat", b"*.student.*"),
        ([b"*.x", b"s1.x"], b"s2.x", b"s2.x"),
        ([b"a.*"], b"a.*", b""),
        ([b"a.*"], b"a..b", b""),
    ],
)
def test_a_position_that_nobody_looked_at_becomes_a_star(
    filters: list[bytes], subject: bytes, expected: bytes
) -> None:
    trie: Trie[bytes] = Trie()
    for filter in filters:
        trie.insert(filter, filter)
    assert expected == trie.resolve(subject).pattern


@given(entries, published)
def test_the_trie_finds_what_the_linear_rule_finds(
    pairs: list[tuple[bytes, int]], subject: bytes
) -> None:
    expected = sorted(pair for pair in set(pairs) if matches(pair[0], subject))
    assert expected == sorted(filled(pairs).resolve(subject).values)


@given(entries, published, st.data())
def test_every_subject_that_fits_a_pattern_has_the_same_answer(
    pairs: list[tuple[bytes, int]], subject: bytes, data: st.DataObject
) -> None:
    trie = filled(pairs)
    resolution = trie.resolve(subject)
    pattern = resolution.pattern
    if not pattern:
        assert b"" in subject.split(b".") or not is_literal(subject)
        return
    assert matches(pattern, subject)
    # Also a lone wildcard is only a token where it was published.
    others = st.sampled_from([*TOKENS, b"new"])
    tokens = [data.draw(others) if token == b"*" else token for token in pattern.split(b".")]
    assert resolution.values == trie.resolve(join(tokens)).values


@given(entries, filters)
def test_the_trie_finds_the_collisions_that_the_linear_rule_finds(
    pairs: list[tuple[bytes, int]], filter: bytes
) -> None:
    expected = sorted(pair for pair in set(pairs) if collides(pair[0], filter))
    assert expected == sorted(filled(pairs).colliding(filter))


@given(entries, entries, published)
def test_what_was_removed_leaves_no_trace(
    kept: list[tuple[bytes, int]], gone: list[tuple[bytes, int]], subject: bytes
) -> None:
    trie = filled(kept + gone)
    for pair in set(gone) - set(kept):
        assert trie.remove(pair[0], pair)
    fresh = filled(kept)
    assert len(set(kept)) == len(trie)
    assert sorted(fresh.resolve(subject).values) == sorted(trie.resolve(subject).values)
    # The pattern shows whether an empty node was left behind.
    assert fresh.resolve(subject).pattern == trie.resolve(subject).pattern


def nodes(trie: Trie[tuple[bytes, int]]) -> list[object]:
    """Every node below the root."""
    found: list[object] = []
    stack = list(trie._root.children())
    while stack:
        node = stack.pop()
        found.append(node)
        stack += node.children()
    return found


@given(entries, entries)
def test_there_is_a_node_only_where_filters_part_or_end(
    kept: list[tuple[bytes, int]], gone: list[tuple[bytes, int]]
) -> None:
    trie = filled(kept + gone)
    for pair in set(gone) - set(kept):
        trie.remove(pair[0], pair)
    # Each of n filters adds at most an end and a place where it parts from the others.
    assert len(nodes(trie)) <= 2 * len({filter for filter, _ in kept})
    assert len(nodes(filled(kept))) == len(nodes(trie))


@given(entries, published)
def test_a_subject_too_long_for_a_pattern_is_resolved_all_the_same(
    pairs: list[tuple[bytes, int]], subject: bytes
) -> None:
    expected = filled(pairs).resolve(subject).values
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "MAX_PATTERN", 0)
        resolution = filled(pairs).resolve(subject)
    assert (expected, b"") == (resolution.values, resolution.pattern)


@pytest.mark.parametrize(("count", "kept"), [(MAX_PATTERN, True), (MAX_PATTERN + 1, False)])
def test_a_subject_of_very_many_tokens_gets_no_pattern(count: int, kept: bool) -> None:
    trie: Trie[int] = Trie()
    subject = b".".join([b"a"] * count)
    trie.insert(subject, 1)
    assert ([1], subject if kept else b"") == (
        trie.resolve(subject).values,
        trie.resolve(subject).pattern,
    )


@pytest.mark.parametrize(
    "filter", [b"a" + b".a" * 2000, b"*" + b".*" * 2000, b"a.*." * 1000 + b">"]
)
def test_a_filter_may_be_as_deep_as_a_control_line_is_long(filter: bytes) -> None:
    trie: Trie[int] = Trie()
    trie.insert(filter, 1)
    subject = filter.replace(b"*", b"a").replace(b">", b"z")
    assert trie.resolve(subject).values == [1]
    assert trie.colliding(filter) == [1]
    assert trie.colliding(b">") == [1]
    assert trie.remove(filter, 1)
    assert trie.resolve(subject).values == []


@pytest.mark.parametrize(
    ("patterns", "expected"),
    [
        ([b"*.*"], b"*.*"),
        ([b"a.*", b"*.b"], b"a.b"),
        ([b"a.*", b"a.*"], b"a.*"),
        ([b"*.*", b"", b"a.*"], b""),
        ([b"", b"a"], b""),
    ],
)
def test_patterns_join_to_what_all_of_them_vouch_for(
    patterns: list[bytes], expected: bytes
) -> None:
    assert expected == join_patterns(patterns)


@given(entries, entries, published, published)
def test_a_joined_pattern_answers_for_both_tries(
    one: list[tuple[bytes, int]], two: list[tuple[bytes, int]], subject: bytes, other: bytes
) -> None:
    tries = [filled(one), filled(two)]
    found = [trie.resolve(subject) for trie in tries]
    pattern = join_patterns([resolution.pattern for resolution in found])
    if pattern and is_literal(other) and matches(pattern, other):
        assert [r.values for r in found] == [trie.resolve(other).values for trie in tries]
