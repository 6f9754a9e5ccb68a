"""What is computed from the rounds of a measurement."""

from __future__ import annotations

import pytest

from bench.record import Measurement, find, reference_among


def measurement(subject: str, *figures: float, point: int | None = 10) -> Measurement:
    return Measurement(
        part="echo",
        panel="1 KiB messages",
        point=point,
        axis="connections",
        subject=subject,
        unit="echoes per server CPU second",
        higher_is_better=True,
        figures=figures,
    )


def test_the_figure_that_counts_is_the_median_so_one_bad_round_decides_nothing() -> None:
    assert 100.0 == measurement("ours", 99, 100, 101, 3, 102).median


def test_the_spread_is_half_the_interquartile_range_as_a_share_of_the_median() -> None:
    assert 0.1 == pytest.approx(measurement("ours", 80, 90, 100, 110, 120).spread)


def test_a_single_round_has_no_spread() -> None:
    assert 0.0 == measurement("ours", 80).spread


def test_a_ratio_is_one_of_medians() -> None:
    assert 1.5 == measurement("ours", 149, 150, 900).ratio_to(measurement("other", 100, 100, 1))


def test_a_measurement_is_found_by_subject_and_point() -> None:
    here, there = measurement("ours", 1, point=10), measurement("ours", 1, point=100)
    assert there is find([here, there], "ours", "1 KiB messages", 100)
    assert None is find([here, there], "other", "1 KiB messages", 100)


def test_the_reference_is_the_one_wished_for_or_else_one_that_was_measured() -> None:
    measured = [measurement("ours", 1), measurement("asyncio", 1)]
    assert "ours" == reference_among(measured, "ours")
    assert "asyncio" == reference_among(measured, "uvloop")
