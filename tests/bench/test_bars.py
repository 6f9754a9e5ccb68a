"""How bars are judged."""

from __future__ import annotations

import pytest

pytest.importorskip("rich", reason="the benchmarks have an extra of their own: [bench]")

from bench import bars, micro_parts, ring
from bench.peers import PEERS
from bench.record import Measurement

UP = bars.Bar("echo", "1 KiB messages", 10, "reactor-epoll", "uvloop", 1.2, True, 1024)
DOWN = bars.Bar("ring", "100 active", 1000, "reactor-epoll", "uvloop", 0.8, False)


def measured(bar: bars.Bar, subject: str, *figures: float, point: int | None = None) -> Measurement:
    where = bar.point if point is None else point
    return Measurement(bar.part, bar.panel, where, "", subject, "", bar.higher_is_better, figures)


@pytest.mark.parametrize(
    ("bar", "ours", "other", "ratio", "reached"),
    [
        (UP, 120, 100, 1.2, True),
        (UP, 119, 100, 1.19, False),
        (DOWN, 80, 100, 0.8, True),
        (DOWN, 81, 100, 0.81, False),
    ],
)
def test_a_bar_on_work_is_reached_from_above_and_one_on_time_from_below(
    bar: bars.Bar, ours: float, other: float, ratio: float, reached: bool
) -> None:
    figures = [measured(bar, "reactor-epoll", ours), measured(bar, "uvloop", other)]
    verdict = bars.judge(bar, figures)
    assert (ratio, reached) == (verdict.ratio, verdict.reached)


def test_a_bar_whose_other_is_not_here_is_not_reached() -> None:
    verdict = bars.judge(UP, [measured(UP, "reactor-epoll", 120)])
    assert (120, None, None, False) == (
        verdict.ours,
        verdict.other,
        verdict.ratio,
        verdict.reached,
    )


def test_a_bar_that_asks_for_constancy_compares_many_handles_with_few() -> None:
    (flat,) = (bar for bar in bars.bars("reactor-epoll") if bar.other == bars.FLAT)
    few = micro_parts.IDLE_HANDLES[0]
    figures = [
        measured(flat, "reactor-epoll", 2.2),
        measured(flat, "reactor-epoll", 2.0, point=few),
    ]
    assert 1.1 == pytest.approx(bars.judge(flat, figures).ratio)


def test_every_bar_names_a_part_and_subjects_that_can_be_measured() -> None:
    able = {*PEERS, *ring.methods(), bars.FLAT}
    for bar in bars.bars("reactor-epoll"):
        assert bar.part in {"ring", "echo", *micro_parts.WORKS}
        assert {bar.subject, bar.other} <= able
        if bar.part in micro_parts.WORKS:
            assert bar.panel in {work.panel for work in micro_parts.WORKS[bar.part]}
