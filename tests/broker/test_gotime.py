"""Times and spans, compared with what Go prints."""

from __future__ import annotations

import pytest

from broker.gotime import duration, nanoseconds, timestamp, uptime


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0.0, "0s"),
        (0.000_000_042, "42ns"),
        (0.000_258, "258µs"),
        (0.000_308_5, "308.5µs"),
        (0.301_298_865, "301.298865ms"),
        (1.0, "1s"),
        (1.5, "1.5s"),
        (60.0, "1m0s"),
        (62.25, "1m2.25s"),
        (3600.0, "1h0m0s"),
        (90_061.0, "25h1m1s"),
    ],
)
def test_durations_are_written_as_go_prints_them(seconds: float, expected: str) -> None:
    assert expected == duration(seconds)


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0.0, "0s"),
        (-0.5, "0s"),
        (2.9, "2s"),
        (60.0, "1m0s"),
        (3599.0, "59m59s"),
        (3600.0, "1h0m0s"),
        (86_400.0, "1d0h0m0s"),
        (365 * 86_400.0 + 3 * 86_400 + 4 * 3600 + 62, "1y3d4h1m2s"),
    ],
)
def test_uptimes_are_whole_seconds_with_every_smaller_unit(seconds: float, expected: str) -> None:
    assert expected == uptime(seconds)


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0.0, "1970-01-01T00:00:00Z"),
        (1_700_000_000.5, "2023-11-14T22:13:20.5Z"),
        (1_700_000_000.000_025, "2023-11-14T22:13:20.000025Z"),
        (1_700_000_010.0, "2023-11-14T22:13:30Z"),
    ],
)
def test_timestamps_are_rfc_3339_in_utc_without_trailing_zeros(
    seconds: float, expected: str
) -> None:
    assert expected == timestamp(seconds)


def test_spans_are_marshalled_as_nanoseconds() -> None:
    assert 120_000_000_000 == nanoseconds(120.0)
