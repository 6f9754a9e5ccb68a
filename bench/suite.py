"""The reactor's suite: every part in turn. A quick run ends within two minutes."""

from __future__ import annotations

from dataclasses import replace

from bench import echo, micro_main, micro_parts, ring
from bench.record import Measurement


def measure(quick: bool, rounds: int | None) -> list[Measurement]:
    """Measure everything; `rounds` replaces the number that each part would take by itself."""
    pairs, active, runs = ring.QUICK if quick else ring.SUITE
    measured = ring.for_suite(pairs, active, rounds or runs)
    for part in micro_parts.WORKS:
        measured += micro_parts.measure(part, rounds or micro_main.ROUNDS[quick])
    plan = echo.QUICK if quick else echo.Plan()
    return measured + echo.measure(replace(plan, rounds=rounds or plan.rounds))
