"""What the process costs, measured with clocks by hand."""

from __future__ import annotations

import pytest

from broker.usage import CpuMeter, resident_bytes


def test_the_share_of_a_core_is_measured_over_at_least_a_second(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    wall, used = [100.0], [5.0]
    monkeypatch.setattr("broker.usage.time.monotonic", lambda: wall[0])
    monkeypatch.setattr("broker.usage.time.process_time", lambda: used[0])
    meter = CpuMeter()
    wall[0], used[0] = 100.5, 5.5
    assert 0.0 == meter.percent()
    wall[0], used[0] = 102.0, 5.5
    assert 25.0 == meter.percent()
    wall[0], used[0] = 102.5, 6.0
    assert 25.0 == meter.percent()


def test_memory_is_zero_where_the_system_does_not_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*args: object) -> None:
        raise FileNotFoundError

    monkeypatch.setattr("builtins.open", missing)
    assert 0 == resident_bytes()
