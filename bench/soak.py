"""A soak: one broker, mixed load with churn for minutes, and the question whether anything grows.

The broker's process tells what it holds (`bench.soak_server`); the load (`bench.soak_load`) has
clients that stay, clients that come and go all the time, services, and subscribers that never read.
Caches and rings are small here, so that they are full after a short while and growth is growth.

Two verdicts. While the load goes on, after a warm-up of a quarter of the time, no figure may be
larger at the end than at the beginning, but for the little that `ALLOWED` says; compared are
medians of the first and the last third, as churn makes every figure swing. And when everybody has
left, what is counted in `AT_REST` must be exactly what it was before anybody came.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.table import Table

from bench.hostile import Worker, working
from bench.machine import save
from bench.output import figure_text, print_table

#: What the broker is told. Small bounds are reached soon; short intervals make timers work.
SETTINGS: dict[str, Any] = {
    "flow_capacity": 64,
    "closed_ring": 200,
    "max_payload": 64 * 1024,
    "max_pending": 512 * 1024,
    "write_deadline": 2.0,
    "ping_interval": 1.0,
    "first_ping": 0.1,
}

#: The share of the time that does not count.
WARM_UP = 0.25

#: How many samples a run has, at least this far apart in seconds.
SAMPLES = 240
CLOSEST = 0.25

#: Seconds that the broker has to come to rest: a timer may wait for a minute to log a count.
REST = 70.0

Sample = Mapping[str, int]


@dataclass(frozen=True)
class Allowance:
    """By how much a figure may be larger at the end: so many, or such a share of the first."""

    number: float
    share: float

    def of(self, first: float) -> float:
        """Return the largest growth that is none."""
        return max(self.number, self.share * first)


#: What must not grow. Memory in bytes: the allocator's arenas come and go by 256 KiB.
ALLOWED = {
    "memory": Allowance(1.5 * 1024 * 1024, 0.03),
    "objects": Allowance(1500, 0.03),
    "descriptors": Allowance(4, 0.15),
    "handles": Allowance(4, 0.15),
    "timers": Allowance(4, 0.15),
    "deferred": Allowance(4, 0),
    "links": Allowance(4, 0.15),
    "subscriptions": Allowance(12, 0.15),
    "flows": Allowance(0, 0.02),
    "errors": Allowance(0, 0),
}

#: What must be as before the load when it has gone.
AT_REST = ("descriptors", "handles", "timers", "links", "subscriptions")


@dataclass(frozen=True)
class Growth:
    """One figure over the run: medians of the first and the last third after the warm-up."""

    figure: str
    first: float
    last: float
    allowed: float

    @property
    def good(self) -> bool:
        """Whether it has not grown."""
        return self.last - self.first <= self.allowed


def growth(samples: Sequence[Sample]) -> list[Growth]:
    """Return how each figure went. Raises ValueError if there are too few samples to tell."""
    steady = samples[int(len(samples) * WARM_UP) :]
    third = len(steady) // 3
    if third < 3:
        raise ValueError(f"{len(samples)} samples do not show a trend; let it run longer")
    found = []
    for figure, allowance in ALLOWED.items():
        first, last = (
            statistics.median(sample[figure] for sample in part)
            for part in (steady[:third], steady[-third:])
        )
        found.append(Growth(figure, first, last, allowance.of(first)))
    return found


def left_behind(before: Sample, after: Sample) -> list[str]:
    """Return what is not as it was before the load, in words."""
    return [
        f"{after[figure] - before[figure]:+d} {figure} when all had left"
        for figure in AT_REST
        if after[figure] != before[figure]
    ]


def misdeeds(deeds: Mapping[str, int], staying: int) -> list[str]:
    """Return what the well-behaved clients complain of, in words."""
    found = []
    if deeds.get("answered", 0) != deeds["asked"]:
        found.append(f"{deeds['asked'] - deeds.get('answered', 0)} requests without an answer")
    expected = deeds["published"] * staying
    if deeds.get("heard", 0) != expected:
        found.append(f"{expected - deeds.get('heard', 0)} of {expected} deliveries missing")
    if deeds.get("lost"):
        found.append(f"{deeds['lost']} well-behaved clients were cut off")
    return found


def figures(server: Worker) -> dict[str, int]:
    """Ask the broker what it holds."""
    server.tell("figures")
    answer: dict[str, int] = json.loads(server.answer())
    return answer


def soak(seconds: float) -> tuple[list[Sample], list[str], dict[str, int]]:
    """Let it run. Returns the samples, what was wrong when it ended, and the load's counts."""
    from bench.soak_load import STAYING

    period = max(CLOSEST, seconds / SAMPLES)
    with working("bench.soak_server", json.dumps(SETTINGS)) as server:
        port = server.answer()
        before = figures(server)
        with working("bench.soak_load", port) as load:
            load.answer()
            samples = sampled(server, seconds, period)
            load.tell("end")
            deeds: dict[str, int] = json.loads(load.answer())
        after = at_rest(server, before)
    return samples, left_behind(before, after) + misdeeds(deeds, STAYING), deeds


def sampled(server: Worker, seconds: float, period: float) -> list[Sample]:
    """Return what the broker held, again and again for so many seconds."""
    begin = time.monotonic()
    samples: list[Sample] = []
    while (now := time.monotonic() - begin) < seconds:
        samples.append(figures(server) | {"milliseconds": round(now * 1000)})
        time.sleep(period)
    return samples


def at_rest(server: Worker, before: Sample) -> Sample:
    """Return what the broker holds as soon as that is what it held before, or time is up."""
    deadline = time.monotonic() + REST
    while left_behind(before, after := figures(server)) and time.monotonic() < deadline:
        time.sleep(CLOSEST)
    return after


def show(found: Sequence[Growth], wrong: Sequence[str], samples: Sequence[Sample]) -> None:
    """Print the verdict."""
    last = samples[-1]
    done = f"{last['connections']:,} connections, {last['messages in']:,} messages in"
    slow = f"{last['slow consumers']:,} slow consumers cut off"
    table = Table(title="soak: does anything grow?", caption=f"{done}, {slow}")
    table.add_column("figure")
    for column in ("at first", "at last", "allowed", "verdict"):
        table.add_column(column, justify="right")
    for one in found:
        cells = (figure_text(one.first), figure_text(one.last), f"+{figure_text(one.allowed)}")
        table.add_row(one.figure, *cells, "good" if one.good else "GROWS")
    print_table(table)
    for complaint in wrong:
        print(f"soak: {complaint}")
    print("soak:", "nothing grows" if good(found, wrong) else "NOT GOOD")


def good(found: Sequence[Growth], wrong: Sequence[str]) -> bool:
    """Whether nothing grew and nothing else was wrong."""
    return not wrong and all(one.good for one in found)


def draw(samples: Sequence[Sample], path: Path) -> None:
    """Save every figure over time. Raises ImportError without matplotlib."""
    from matplotlib.figure import Figure

    page = Figure(figsize=(12, 7), layout="constrained")
    seconds = [sample["milliseconds"] / 1000 for sample in samples]
    for number, figure in enumerate(ALLOWED):
        axis = page.add_subplot(2, (len(ALLOWED) + 1) // 2, number + 1)
        axis.plot(seconds, [sample[figure] for sample in samples], linewidth=1)
        axis.axvspan(0, seconds[-1] * WARM_UP, alpha=0.1)
        axis.set_title(figure)
        axis.set_xlabel("seconds")
        axis.set_ylim(bottom=0)
    page.savefig(path, dpi=110)


def main(arguments: list[str]) -> int:
    """Parse the command line, soak, show; status 1 if anything grew or was lost."""
    parser = argparse.ArgumentParser(
        "python -m bench soak",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--minutes", type=float, default=10.0, help="how long (10)")
    parser.add_argument("--quick", action="store_true", help="20 seconds")
    parser.add_argument("--json", type=Path, help="save all samples there")
    parser.add_argument("--plot", type=Path, help="save a chart there (.png or .svg)")
    options = parser.parse_args(arguments)
    samples, wrong, deeds = soak(20.0 if options.quick else options.minutes * 60)
    found = growth(samples)
    show(found, wrong, samples)
    if options.json:
        save(options.json, "soak", [*map(dict, samples), {"deeds": deeds, "wrong": wrong}])
    if options.plot:
        draw(samples, options.plot)
    return 0 if good(found, wrong) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
