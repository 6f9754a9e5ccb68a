"""How the ring's figures are shown: progress while it runs, a table, a chart."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

from rich.console import Console
from rich.progress import track
from rich.table import Table

T = TypeVar("T")

#: The same colour for the same method in every chart; ours are solid, peers dashed.
COLOURS = {
    "epoll": "#1b7f5c",
    "poll": "#b8860b",
    "select": "#b03a2e",
    "asyncio": "#5b6ee1",
    "bare-epoll": "#7f8c8d",
}
PEERS = ("asyncio", "bare-epoll")


@dataclass(frozen=True)
class Cell:
    """One method at one point of the sweep. Times are microseconds per event."""

    method: str
    pairs: int
    active: int
    timers: bool
    runs: int
    events: int
    #: Loop passes in one run (median).
    passes: int
    #: The first run, when caches and allocator are cold.
    first: float
    #: The fastest, and the median, of the later runs.
    best: float
    median: float
    #: The median with registration included.
    total: float


def progress(jobs: Sequence[T]) -> Iterator[T]:
    """Go through the jobs with a bar on the terminal."""
    return iter(track(jobs, description="ring", console=Console(stderr=True)))


def show(cells: Sequence[Cell]) -> None:
    """Print a table, with each method's ratio to our epoll at the same point."""
    table = Table(title="the ring: microseconds per event", caption=_caption(cells))
    for column in ("n", "a", "method", "first", "best", "median", "total", "passes", "/ epoll"):
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
            str(cell.passes),
            _ratio(cell, cells),
        )
    Console().print(table)


def draw(cells: Sequence[Cell], path: Path) -> None:
    """Save a chart: one panel for each number of active descriptors, both axes logarithmic."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    panels = sorted({cell.active for cell in cells})
    axes: Any  # an array of them; its stubs do not say of what
    figure, axes = pyplot.subplots(
        1, len(panels), figsize=(4.2 * len(panels), 4.0), sharey=True, squeeze=False
    )
    for axis, active in zip(axes[0], panels, strict=True):
        for method in dict.fromkeys(cell.method for cell in cells):
            line = [c for c in cells if (c.method, c.active) == (method, active)]
            axis.plot(
                [cell.pairs for cell in line],
                [cell.median for cell in line],
                "--" if method in PEERS else "-",
                marker="o",
                markersize=3,
                color=COLOURS.get(method),
                label=method,
            )
        axis.set_xscale("log")
        axis.set_yscale("log")
        axis.set_title(f"{active} active")
        axis.set_xlabel("descriptor pairs watched")
        axis.grid(visible=True, which="both", alpha=0.25)
    axes[0][0].set_ylabel("microseconds per event (median)")
    axes[0][0].legend()
    figure.tight_layout()
    figure.savefig(path, dpi=130)
    pyplot.close(figure)


def _ratio(cell: Cell, cells: Sequence[Cell]) -> str:
    for other in cells:
        same_point = (other.pairs, other.active) == (cell.pairs, cell.active)
        if same_point and other.method == "epoll":
            return f"{cell.median / other.median:.2f}"
    return ""


def _caption(cells: Sequence[Cell]) -> str:
    timers = "with" if any(cell.timers for cell in cells) else "without"
    return f"{max((cell.runs for cell in cells), default=0)} runs in turns, {timers} timers"
