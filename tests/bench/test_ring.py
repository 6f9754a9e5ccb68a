"""The ring's machinery: that all bytes are read, over every loop that is here."""

from __future__ import annotations

import pytest

pytest.importorskip("rich", reason="the benchmarks have an extra of their own: [bench]")

from bench import ring
from bench.peers import PEERS


@pytest.mark.parametrize("timers", [False, True])
@pytest.mark.parametrize("name", ring.methods())
def test_as_many_bytes_are_read_as_were_written_at_first_and_passed_on(
    name: str, timers: bool
) -> None:
    if (reason := PEERS[name].missing()) is not None:
        pytest.skip(f"an optional peer: {reason}")
    cells = ring.measure([name], pairs=20, active=4, writes=30, runs=2, timers=timers)
    assert [34] == [cell.events for cell in cells]
    assert [2] == [cell.runs for cell in cells]


def test_a_byte_that_is_alone_takes_a_pass_for_each_neighbour() -> None:
    (cell,) = ring.measure(["reactor-epoll"], pairs=10, active=1, writes=10, runs=2, timers=False)
    assert 11 == cell.passes


def test_bytes_that_are_active_together_are_read_in_one_pass() -> None:
    (cell,) = ring.measure(["reactor-epoll"], pairs=10, active=5, writes=0, runs=2, timers=False)
    assert 1 == cell.passes
    assert 5 == cell.events


def test_the_ring_is_left_out_where_a_backend_cannot_watch_so_many() -> None:
    assert [] == ring.measure(
        ["reactor-select"], pairs=600, active=1, writes=1, runs=1, timers=False
    )


def test_all_methods_are_measured_on_one_ring_in_turns() -> None:
    names = ["reactor-epoll", "bare-epoll", "asyncio"]
    cells = ring.measure(names, pairs=5, active=2, writes=5, runs=2, timers=False)
    assert names == [cell.method for cell in cells]
    assert {7} == {cell.events for cell in cells}


def test_an_unknown_method_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert 2 == ring.main(["-m", "kqueue"])
    assert "kqueue" in capsys.readouterr().err


def test_the_methods_can_be_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert 0 == ring.main(["-l"])
    assert ring.methods() == capsys.readouterr().out.split()


def test_a_backend_of_ours_may_be_called_by_its_own_name(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert 0 == ring.main(["-m", "poll", "-n", "5", "--runs", "2"])
    assert "reactor-poll" in capsys.readouterr().out


def test_a_cell_keeps_the_first_run_apart_from_the_steady_ones() -> None:
    (cell,) = ring.measure(["reactor-poll"], pairs=10, active=1, writes=10, runs=4, timers=False)
    assert 3 == len(cell.steady)
    assert (min(cell.steady), cell.median) == (cell.best, sorted(cell.steady)[1])
    assert ("ring", "1 active", 10) == (
        (measured := ring.as_measurement(cell)).part,
        measured.panel,
        measured.point,
    )
