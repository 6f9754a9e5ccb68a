"""The garbage collector's stops: rare, and never for nothing."""

from __future__ import annotations

import gc
import itertools
from collections.abc import Iterator
from contextlib import closing

import pytest

from broker.garbage import LONGEST, LOOK, RARITY, Garbage
from reactor.testing import VirtualReactor, make_reactor


class Cycle:
    """What only the collector frees; `freed` counts."""

    freed = 0

    def __init__(self) -> None:
        self.self = self

    def __del__(self) -> None:
        Cycle.freed += 1


@pytest.fixture
def reactor() -> Iterator[VirtualReactor]:
    with make_reactor() as made:
        yield made


def age(collections: int) -> None:
    """Let the second generation be collected so often, as much allocating does."""
    for _ in range(collections):
        gc.collect(1)


def test_a_full_collection_comes_when_there_is_reason_to_and_not_before(
    reactor: VirtualReactor,
) -> None:
    enough = gc.get_threshold()[2]
    with closing(Garbage(reactor)) as garbage:
        gc.collect()
        reactor.run_for(LONGEST)
        assert not garbage.look()
        age(enough + 1)
        assert garbage.look()
        assert not garbage.look()


def test_two_full_collections_are_far_apart_if_one_takes_long(reactor: VirtualReactor) -> None:
    enough = gc.get_threshold()[2]
    with closing(Garbage(reactor, itertools.count(0, 0.5).__next__)) as garbage:
        reactor.run_for(LONGEST)
        age(enough + 1)
        assert garbage.look()
        age(enough + 1)
        reactor.run_for(0.5 * RARITY - LOOK)
        assert gc.get_count()[2] > enough
        reactor.run_for(2 * LOOK)
        assert gc.get_count()[2] <= enough


def test_where_very_much_is_new_a_collection_is_put_off_but_not_for_ever(
    reactor: VirtualReactor,
) -> None:
    with closing(Garbage(reactor)):
        age(100)
        reactor.run_for(LONGEST - LOOK)
        assert gc.get_count()[2] >= 100
        reactor.run_for(2 * LOOK)
        assert gc.get_count()[2] < 100


def test_the_timer_looks_and_old_cycles_are_freed(reactor: VirtualReactor) -> None:
    gc.collect()
    before = Cycle.freed
    with closing(Garbage(reactor)):
        old = Cycle()
        age(20)
        del old
        assert before == Cycle.freed
        reactor.run_for(LONGEST + LOOK)
    assert before + 1 == Cycle.freed


def test_afterwards_the_collector_is_as_it_was(reactor: VirtualReactor) -> None:
    before = gc.get_threshold()
    with closing(Garbage(reactor)):
        assert before != gc.get_threshold()
        assert gc.get_freeze_count() > 0
    assert (before, 0) == (gc.get_threshold(), gc.get_freeze_count())
