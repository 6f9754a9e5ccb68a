"""The garbage collector's stops: rare, and never for nothing."""

from __future__ import annotations

import gc
import itertools
from collections.abc import Iterator
from contextlib import closing

import pytest

from broker import garbage as module
from broker.garbage import FEW, LOOK, RARITY, SELDOM, Garbage
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


def objects(count: int) -> list[list[None]]:
    """Objects that the collector looks at."""
    return [[] for _ in range(count)]


def test_a_collection_comes_when_there_is_reason_to_and_not_before(reactor: VirtualReactor) -> None:
    with closing(Garbage(reactor)) as garbage:
        gc.collect()
        reactor.run_for(SELDOM)
        assert not garbage.look()
        kept = objects(FEW)
        assert garbage.look()
        assert not garbage.look()
        assert FEW == len(kept)


def test_what_is_freed_by_itself_is_no_reason(reactor: VirtualReactor) -> None:
    with closing(Garbage(reactor)) as garbage:
        gc.collect()
        reactor.run_for(SELDOM)
        for _ in range(10):
            objects(FEW // 2)
        assert not garbage.look()


def test_however_much_is_new_a_collection_waits_for_its_time(reactor: VirtualReactor) -> None:
    with closing(Garbage(reactor)):
        kept = objects(10 * FEW)
        reactor.run_for(SELDOM - LOOK)
        assert gc.get_count()[0] >= len(kept)
        reactor.run_for(2 * LOOK)
        assert gc.get_count()[0] < len(kept)


def test_very_many_do_not_wait(reactor: VirtualReactor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MANY", 10 * FEW)
    with closing(Garbage(reactor)):
        kept = objects(10 * FEW)
        reactor.run_for(2 * LOOK)
        assert gc.get_count()[0] < len(kept)


def test_two_collections_are_far_apart_if_one_takes_long(reactor: VirtualReactor) -> None:
    with closing(Garbage(reactor, itertools.count(0, 0.5).__next__)) as garbage:
        reactor.run_for(SELDOM)
        first = objects(FEW)
        assert garbage.look()
        second = objects(FEW)
        reactor.run_for(0.5 * RARITY - LOOK)
        assert gc.get_count()[0] >= FEW
        reactor.run_for(2 * LOOK)
        assert gc.get_count()[0] < FEW
        assert len(first) == len(second)


def test_the_timer_looks_and_cycles_are_freed(reactor: VirtualReactor) -> None:
    gc.collect()
    before = Cycle.freed
    with closing(Garbage(reactor)):
        Cycle()
        kept = objects(FEW)
        assert before == Cycle.freed
        reactor.run_for(SELDOM + LOOK)
        assert before + 1 == Cycle.freed
        assert FEW == len(kept)


def test_afterwards_the_collector_is_as_it_was(reactor: VirtualReactor) -> None:
    assert gc.isenabled()
    with closing(Garbage(reactor)):
        assert not gc.isenabled()
        assert gc.get_freeze_count() > 0
    assert (True, 0) == (gc.isenabled(), gc.get_freeze_count())
