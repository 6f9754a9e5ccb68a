"""How the ring's figures are shown: a table with first and best runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from rich.table import Table

from bench.output import print_table
from bench.peers import best_of_ours


@dataclass(frozen=True)
class Cell:
    """One method at one point of the sweep. Times are microseconds per event."""

    method: str
    pairs: int
    active: int
    timers: bool
    runs: int
    events: int
    #: Loop passes in one run (median); 0 for a loop that turns by itself.
    passes: int
    #: The first run, when caches and allocator are cold.
    first: float
    #: The fastest, and the median, of the later runs.
    best: float
    median: float
    #: The median with registration included.
    total: float
    #: Every later run.
    steady: tuple[float, ...] = ()


def show(cells: Sequence[Cell]) -> None:
    """Print a table, with each method's ratio to our best backend there."""
    table = Table(title="the ring: microseconds per event", caption=_caption(cells))
    for column in ("n", "a", "method", "first", "best", "median", "total", "passes", "/ ours"):
        side: Literal["left", "right"] = "left" if column == "method" else "right"
        table.add_column(column, justify=side, no_wrap=True)
    point: tuple[int, int] | None = None
    for cell in cells:
        here = (cell.pairs, cell.active)
        if point not in (None, here):
            table.add_section()
        point = here
        table.add_row(
            str(cell.pairs),
            str(cell.active),
            cell.method,
            *(f"{value:.2f}" for value in (cell.first, cell.best, cell.median, cell.total)),
            str(cell.passes or ""),
            _ratio(cell, cells),
        )
    print_table(table)


def _ratio(cell: Cell, cells: Sequence[Cell]) -> str:
    for other in cells:
        same_point = (other.pairs, other.active) == (cell.pairs, cell.active)
        if same_point and other.method == best_of_ours():
            return f"{cell.median / other.median:.2f}"
    return ""


def _caption(cells: Sequence[Cell]) -> str:
    timers = "with" if any(cell.timers for cell in cells) else "without"
    return f"{max((cell.runs for cell in cells), default=0)} runs in turns, {timers} timers"
