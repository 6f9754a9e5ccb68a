"""What every part of the suite hands over: one measurement of one subject at one point.

All parts speak of the same things, so one table, one chart and one report serve them all. A
measurement keeps the figure of every round. What is compared is the median, and what is shown with
it is the spread: half the distance between the quartiles, as a share of the median. Where two
medians are closer than their spreads, nothing has been shown.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Measurement:
    """The rounds of one subject at one point. `figures` are in `unit`."""

    part: str
    #: What is measured, for a table's row and a chart's title: "1 KiB messages".
    panel: str
    #: Where on that chart: 100, and what it counts: "connections". None where there is no axis.
    point: int | None
    axis: str
    subject: str
    unit: str
    higher_is_better: bool
    figures: tuple[float, ...]
    #: Further medians, by name: latency percentiles, CPU shares, loop passes.
    extra: dict[str, float] = field(default_factory=dict)
    version: str | None = None

    @property
    def case(self) -> tuple[str, int | None]:
        """What it shares with those it can be compared to."""
        return self.panel, self.point

    @property
    def median(self) -> float:
        """The figure that counts."""
        return statistics.median(self.figures)

    @property
    def spread(self) -> float:
        """Half the interquartile range, as a share of the median; 0 for a single round."""
        if len(self.figures) < 2 or not self.median:
            return 0.0
        low, _, high = statistics.quantiles(self.figures, n=4, method="inclusive")
        return (high - low) / 2 / self.median

    def ratio_to(self, other: Measurement) -> float:
        """Return this median divided by the other's. Raises ZeroDivisionError if that is 0."""
        return self.median / other.median

    def as_dict(self) -> dict[str, Any]:
        """Return everything as plain data, the derived figures included."""
        return asdict(self) | {"median": self.median, "spread": self.spread}


def find(
    measurements: Iterable[Measurement], subject: str, panel: str, point: int | None = None
) -> Measurement | None:
    """Return the measurement of `subject` at one point, or None."""
    for one in measurements:
        if one.subject == subject and one.case == (panel, point):
            return one
    return None


def cases(measurements: Iterable[Measurement]) -> Iterator[tuple[str, int | None]]:
    """Return every point that was measured, once, in order."""
    return iter(dict.fromkeys(one.case for one in measurements))


def reference_among(measurements: Sequence[Measurement], wished: str) -> str:
    """Return whom ratios are taken to: `wished` if it was measured, else the first that was."""
    subjects = [one.subject for one in measurements]
    for name in (wished, "uvloop", "asyncio"):
        if name in subjects:
            return name
    return subjects[0] if subjects else wished
