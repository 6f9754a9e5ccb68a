"""The flow table: found, bounded, evicted exactly, and never confused by odd subjects."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.flow import MAX_MASKS, Delivery, Flow, FlowTable, Pick
from broker.subject import collides, is_valid_filter, matches

TOKENS = [b"a", b"b", b"c", b"a*", b"*"]


def join(tokens: list[bytes]) -> bytes:
    return b".".join(tokens)


patterns = st.lists(st.sampled_from(TOKENS), min_size=1, max_size=4).map(join)
filters = st.lists(st.sampled_from([*TOKENS, b">"]), min_size=1, max_size=5).map(join)
filters = filters.filter(is_valid_filter)
subjects = st.lists(st.sampled_from([*TOKENS, b">", b""]), min_size=1, max_size=4).map(join)


def flow(pattern: bytes) -> Flow[str]:
    return Flow(pattern, (), (), False)


def table_of(*patterns: bytes, zone: int = 0) -> FlowTable[str]:
    table: FlowTable[str] = FlowTable()
    for pattern in patterns:
        table.install(zone, flow(pattern))
    return table


def kept(table: FlowTable[str]) -> list[bytes]:
    return [entry.pattern for _, entry in table]


def test_a_flow_is_found_by_every_subject_that_fits_its_pattern_in_its_zone() -> None:
    table = table_of(b"_INBOX.c1.*")
    expected = flow(b"_INBOX.c1.*")
    assert expected == table.lookup(0, b"_INBOX.c1.r1")
    assert expected == table.lookup(0, b"_INBOX.c1.r2")
    assert table.lookup(0, b"_INBOX.c2.r1") is None
    assert table.lookup(0, b"_INBOX.c1") is None
    assert table.lookup(1, b"_INBOX.c1.r1") is None


@pytest.mark.parametrize("subject", [b"a..b", b".x.b", b"a.x.", b"..", b"a..", b".", b""])
def test_a_subject_with_an_empty_token_fits_no_pattern(subject: bytes) -> None:
    table = table_of(b"a.*.b", b"*.*.*", b"*.x.b", b"a.x.*", b"*.*", b"*")
    assert table.lookup(0, subject) is None


def test_a_flow_without_a_pattern_is_not_kept() -> None:
    assert len(table_of(b"")) == 0


def test_a_new_flow_replaces_the_one_with_the_same_pattern() -> None:
    table = table_of(b"a.*", b"a")
    delivery = Delivery("link", b"1")
    newer = Flow(b"a.*", (delivery,), (), True)
    table.install(0, newer)
    assert newer is table.lookup(0, b"a.b")
    assert len(table) == 2


def test_a_table_of_capacity_0_keeps_nothing() -> None:
    table: FlowTable[str] = FlowTable(capacity=0)
    table.install(0, flow(b"a"))
    assert table.lookup(0, b"a") is None
    assert table.evict(0, b">") == 0
    assert len(table) == 0


def test_the_oldest_flow_of_all_zones_goes_when_there_is_no_room() -> None:
    table: FlowTable[str] = FlowTable(capacity=2)
    table.install(0, flow(b"a.*"))
    table.install(1, flow(b"b"))
    table.install(1, flow(b"c"))
    assert kept(table) == [b"b", b"c"]
    assert table.lookup(0, b"a.b") is None
    assert table.stats().displaced == 1


def test_the_number_of_masks_is_bounded_and_the_oldest_mask_goes_whole() -> None:
    table: FlowTable[str] = FlowTable()
    shapes = [
        join([b"x" if number & 1 << bit else b"*" for bit in range(6)])
        for number in range(MAX_MASKS + 1)
    ]
    for shape in shapes[:MAX_MASKS]:
        table.install(0, flow(shape))
    table.install(0, flow(b"x.x.x.x.x.x"))  # a literal flow needs no mask
    assert len(table) == MAX_MASKS + 1
    table.install(0, flow(shapes[MAX_MASKS]))
    assert [*shapes[1:MAX_MASKS], b"x.x.x.x.x.x", shapes[MAX_MASKS]] == kept(table)
    assert table.stats().masks == MAX_MASKS


def test_with_an_evict_chance_of_1_every_lookup_drops_a_flow_first() -> None:
    table: FlowTable[str] = FlowTable(evict_chance=1.0, rng=random.Random(1))
    table.install(0, flow(b"a"))
    table.install(0, flow(b"b.*"))
    table.lookup(0, b"zz")
    assert len(table) == 1
    table.lookup(0, b"zz")
    assert len(table) == 0
    assert table.lookup(0, b"a") is None


def test_clear_drops_everything() -> None:
    table = table_of(b"a", b"*.b")
    table.clear()
    assert kept(table) == []
    assert table.lookup(0, b"a") is None
    assert table.lookup(0, b"a.b") is None


@pytest.mark.parametrize(
    ("capacity", "chance", "message"),
    [(-1, 0.0, "capacity -1: give 0"), (1, 1.5, "evict_chance of 1.5: give a number from 0 to 1")],
)
def test_a_wrong_size_or_chance_names_itself_and_the_mend(
    capacity: int, chance: float, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        FlowTable[str](capacity, chance)


def test_stats_tell_evicted_flows_from_displaced_ones() -> None:
    table = table_of(b"a", b"a.*", b"b.*", b"c.*.d")
    assert table.evict(0, b"a") == 1
    assert table.evict(0, b"*.x") == 2
    table.clear()
    stats = table.stats()
    assert (
        stats.flows,
        stats.masks,
        stats.installed,
        stats.evicted,
        stats.displaced,
    ) == (0, 0, 4, 3, 1)


@given(st.lists(patterns, max_size=15, unique=True), filters, st.sampled_from([0, 1]))
def test_eviction_drops_the_colliding_flows_of_the_zone_and_no_other(
    shapes: list[bytes], filter: bytes, zone: int
) -> None:
    table = table_of(*shapes, zone=zone)
    for shape in shapes:
        table.install(1 - zone, flow(shape))
    remaining = [shape for shape in shapes if not collides(shape, filter)]
    expected = [(zone, shape) for shape in remaining] + [(1 - zone, shape) for shape in shapes]
    assert len(shapes) - len(remaining) == table.evict(zone, filter)
    assert expected == [(number, entry.pattern) for number, entry in table]


@given(st.lists(patterns, max_size=15, unique=True), filters, subjects)
def test_a_subject_is_found_if_and_only_if_it_fits_a_pattern_still_there(
    shapes: list[bytes], filter: bytes, subject: bytes
) -> None:
    table = table_of(*shapes)
    table.evict(0, filter)
    fitting = [shape for shape in kept(table) if matches(shape, subject)]
    found = table.lookup(0, subject)
    assert bool(fitting) == (found is not None)
    assert found is None or found.pattern in fitting


def test_evicting_the_last_flow_of_a_zone_leaves_nothing_behind() -> None:
    table = table_of(b"a.*", b"*.*", b"a")
    assert table.evict(0, b">") == 3
    assert (table.stats().flows, table.stats().masks) == (0, 0)
    table.install(0, flow(b"a.*"))
    assert flow(b"a.*") == table.lookup(0, b"a.b")


def test_a_flow_lists_its_deliveries_with_all_members_of_its_picks() -> None:
    one, two, three = (Delivery("link", sid) for sid in (b"1", b"2", b"3"))
    assert [one, two, three] == list(
        Flow(b"a", (one,), (Pick.of(b"q", (two, three)),), False).deliveries()
    )


def test_a_zone_that_nobody_uses_any_more_is_cleared_and_no_other() -> None:
    table = table_of(b"a", b"a.*", b"*.b.*")
    table.install(1, flow(b"a"))
    table.install(1, flow(b"a.*"))
    assert 3 == table.clear_zone(0)
    assert [(1, b"a"), (1, b"a.*")] == [(zone, entry.pattern) for zone, entry in table]
    assert table.lookup(0, b"a") is None
    assert flow(b"a") == table.lookup(1, b"a")
    assert 0 == table.clear_zone(0)
    assert (2, 3) == (table.stats().flows, table.stats().evicted)
