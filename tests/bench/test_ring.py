"""The ring passes every byte on, and says how many and in how many turns."""

from __future__ import annotations

import pytest

from bench.ring import beyond, main, measure, methods, ring_of, run_once


@pytest.mark.parametrize("method", sorted(methods(timers=False)))
@pytest.mark.parametrize(("active", "writes"), [(1, 10), (5, 10), (10, 25)])
def test_every_byte_is_read_once(method: str, active: int, writes: int) -> None:
    with ring_of(10) as ring:
        run = run_once(methods(timers=False)[method], ring, active, writes)
    assert active + writes == run.events
    assert 0 < run.passes <= run.events
    assert 0 < run.loop < run.total


def test_one_active_descriptor_is_one_event_a_turn() -> None:
    with ring_of(10) as ring:
        run = run_once(methods(timers=False)["epoll"], ring, active=1, writes=10)
    assert run.passes >= run.events


def test_all_methods_are_measured_on_one_ring_with_and_without_timers() -> None:
    for timers in (False, True):
        cells = measure(methods(timers), pairs=5, active=2, writes=5, runs=2, timers=timers)
        assert list(methods(timers)) == [cell.method for cell in cells]
        assert {7} == {cell.events for cell in cells}


def test_select_is_left_out_where_it_cannot_follow() -> None:
    assert not beyond("select", 400)
    assert beyond("select", 600)
    assert not beyond("epoll", 9000)
    assert not beyond("asyncio", 9000)


def test_an_unknown_method_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert 2 == main(["-m", "kqueue"])
    assert "kqueue" in capsys.readouterr().err


def test_the_methods_can_be_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert 0 == main(["-l"])
    assert set(methods(timers=False)) == set(capsys.readouterr().out.split())
