"""The bars that this project sets itself, each measured, with its ratio and whether it is reached.

A bar compares ours with one other at one point: the ratio of two medians of interleaved rounds.
"Ours" is our best backend that works here, or the one named with `--backend`. Bars on time are
reached from below, bars on work from above. A bar whose other, or whose ours, is not here cannot be
measured, and counts as not reached. So that the machine's noise decides nothing, `±` is shown: how
far the ratio would move if both medians were off by their spreads.

Status 0 if all bars are reached.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from rich.table import Table

from bench import echo, micro_parts, output, ring
from bench.machine import describe
from bench.peers import OURS, PEERS, best_of_ours
from bench.record import Measurement, find

#: The part whose bar compares ours with itself: few handles with many.
FLAT = "flat"


@dataclass(frozen=True)
class Bar:
    """One bar: the ratio of `subject` to `other` at a point, and what it should at least be.

    Where less is better, at most. `point` is that of the part, `size` a message's.
    """

    part: str
    panel: str
    point: int | None
    subject: str
    other: str
    bar: float
    higher_is_better: bool
    size: int = 0

    @property
    def text(self) -> str:
        """What it is about, in words."""
        where = "" if self.point is None else f", {self.point:,}"
        return f"{self.part}: {self.panel}{where}"


@dataclass(frozen=True)
class Verdict:
    """A bar that was measured; `ratio` is None where it could not be."""

    bar: Bar
    ours: float | None = None
    other: float | None = None
    ratio: float | None = None
    uncertainty: float = 0.0

    @property
    def reached(self) -> bool:
        """Whether it is reached."""
        if self.ratio is None:
            return False
        return (
            self.ratio >= self.bar.bar if self.bar.higher_is_better else self.ratio <= self.bar.bar
        )


def bars(ours: str) -> list[Bar]:
    """Return all bars, for our backend `ours`."""
    return [*_ring_bars(ours), *_echo_bars(ours), *_small_bars(ours)]


def _ring_bars(ours: str) -> Iterator[Bar]:
    for pairs in (1000, 9000):
        for other, bar in (("uvloop", 0.8), ("bare-epoll", 1.0), (ring.LIBEVENT, 1.8)):
            yield Bar("ring", "100 active", pairs, ours, other, bar, False)


def _echo_bars(ours: str) -> Iterator[Bar]:
    def bar(size: int, connections: int, subject: str, other: str, at_least: float) -> Bar:
        panel = f"{echo.size_text(size)} messages"
        return Bar("echo", panel, connections, subject, other, at_least, True, size)

    yield bar(1024, 1, ours, "uvloop", 1.1)
    for connections in (10, 100, 1000):
        yield bar(1024, connections, ours, "uvloop", 1.2)
        yield bar(1024, connections, ours, "raw-c", 0.8)
    yield bar(1024, 100, OURS + "aio", "uvloop", 1.0)
    for size in (10 * 1024, 100 * 1024):
        for connections in (10, 100, 1000):
            yield bar(size, connections, ours, "uvloop", 1.0)
            yield bar(size, connections, ours, "asyncio-buffered", 1.0)


def _small_bars(ours: str) -> Iterator[Bar]:
    timers, *_ = micro_parts.WORKS["timers"]
    yield Bar("timers", timers.panel, None, ours, "uvloop", 0.5, False)
    for work in micro_parts.WORKS["deferred"]:
        yield Bar("deferred", work.panel, None, ours, "uvloop", 0.7, False)
    idle = micro_parts.WORKS["idle"][-1]
    yield Bar("idle", idle.panel, idle.point, ours, FLAT, 1.15, False)


def judge(bar: Bar, measured: Sequence[Measurement]) -> Verdict:
    """Compare a bar's two medians."""
    ours = find(measured, bar.subject, bar.panel, bar.point)
    if bar.other == FLAT:
        other = find(measured, bar.subject, bar.panel, micro_parts.IDLE_HANDLES[0])
    else:
        other = find(measured, bar.other, bar.panel, bar.point)
    if ours is None or other is None:
        return Verdict(bar, _median(ours), _median(other))
    ratio = ours.ratio_to(other)
    return Verdict(bar, ours.median, other.median, ratio, ratio * (ours.spread + other.spread))


def _median(measured: Measurement | None) -> float | None:
    return None if measured is None else measured.median


def measure(wanted: Sequence[Bar], rounds: int) -> list[Measurement]:
    """Measure what these bars compare, and nothing else; all who meet at one point in turns."""
    measured: list[Measurement] = []
    for part, group in groupby(wanted, key=lambda bar: bar.part):
        members = list(group)
        if part == "ring":
            pairs = sorted({bar.point for bar in members if bar.point})
            measured += ring.for_suite(pairs, (100,), 4 * rounds + 1, _subjects(members))
        elif part == "echo":
            measured += _measure_echo(members, rounds)
        else:
            panels = {bar.panel for bar in members}
            works = [work for work in micro_parts.WORKS[part] if work.panel in panels]
            measured += micro_parts.measure(part, 2 * rounds + 1, _subjects(members), works)
    return measured


def _measure_echo(members: Sequence[Bar], rounds: int) -> list[Measurement]:
    measured: list[Measurement] = []
    points = list(dict.fromkeys((bar.size, bar.point or 1) for bar in members))
    for size, connections in output.progress(points, "echo"):
        here = [bar for bar in members if (bar.size, bar.point) == (size, connections)]
        plan = echo.Plan(_subjects(here), (size,), (connections,), rounds=rounds, seconds=0.5)
        measured += echo.measure(plan)
    return measured


def _subjects(members: Iterable[Bar]) -> tuple[str, ...]:
    names = dict.fromkeys(name for bar in members for name in (bar.subject, bar.other))
    return tuple(name for name in names if name != FLAT)


def show(verdicts: Sequence[Verdict]) -> None:
    """Print a line for each bar."""
    table = Table(title="the bars: ratios of medians of interleaved rounds")
    for column in ("bar", "ours", "other"):
        table.add_column(column, no_wrap=True)
    for column in ("ours", "other", "ratio", "±", "wanted"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("reached")
    for verdict in verdicts:
        bar = verdict.bar
        sign = "≥" if bar.higher_is_better else "≤"
        state = "yes" if verdict.reached else "no" if verdict.ratio is not None else "absent"
        table.add_row(
            bar.text,
            bar.subject,
            "10 handles" if bar.other == FLAT else bar.other,
            *(
                "" if value is None else output.figure_text(value)
                for value in (verdict.ours, verdict.other)
            ),
            "" if verdict.ratio is None else f"{verdict.ratio:.2f}",
            f"{verdict.uncertainty:.2f}",
            f"{sign} {bar.bar}",
            f"[{'green' if verdict.reached else 'red'}]{state}",
        )
    output.print_table(table)
    print(f"{sum(verdict.reached for verdict in verdicts)} of {len(verdicts)} bars are reached")


def _as_dict(verdict: Verdict) -> dict[str, Any]:
    return asdict(verdict) | {"reached": verdict.reached}


def main(arguments: list[str]) -> int:
    """Parse the command line, measure, and judge."""
    parser = argparse.ArgumentParser("python -m bench bars", description=__doc__.split("\n")[0])
    parser.add_argument("--backend", help="ours is this one (default: the best that works here)")
    parser.add_argument("--part", action="append", help="only bars of this part; may be repeated")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", type=Path, help="save verdicts and figures there")
    options = parser.parse_args(arguments)
    ours = OURS + options.backend if options.backend else best_of_ours()
    if ours not in PEERS:
        parser.error(f"--backend {options.backend}: no such backend of ours")
    wanted = [bar for bar in bars(ours) if not options.part or bar.part in options.part]
    measured = measure(wanted, options.rounds)
    verdicts = [judge(bar, measured) for bar in wanted]
    show(verdicts)
    if options.json:
        record = {
            "benchmark": "bars",
            "machine": describe(),
            "verdicts": [_as_dict(verdict) for verdict in verdicts],
            "results": [one.as_dict() for one in measured],
        }
        options.json.write_text(json.dumps(record, indent=1) + "\n")
    return 0 if all(verdict.reached for verdict in verdicts) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
