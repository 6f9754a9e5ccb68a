"""How any part shows what it measured: progress, a table, and the files that were asked for."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from rich.console import Console
from rich.progress import track
from rich.table import Table
from rich.text import Text

from bench.machine import save
from bench.peers import OURS
from bench.record import Measurement, cases, find, reference_among

T = TypeVar("T")

#: Whom ratios are taken to, unless another is named.
REFERENCE = "uvloop"

#: Which of the further figures a table has room for; the JSON and the report have them all.
SHOWN = ("per second", "p50 us", "p99 us", "max us", "load busy %", "passes")

#: Who was said to be left out.
_told: set[str] = set()

#: Columns of a table that goes to a file.
WIDTH = 140


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that all parts have."""
    parser.add_argument("--quick", action="store_true", help="fewer points and shorter rounds")
    parser.add_argument("--rounds", type=int, help="how often each subject is measured")
    add_file_options(parser)


def add_file_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that say what to save, and to whom ratios are taken."""
    parser.add_argument("--reference", default=REFERENCE, help="whom ratios are taken to")
    parser.add_argument("--json", type=Path, help="save the figures there")
    parser.add_argument("--plot", type=Path, help="save a chart there (.png or .svg)")
    parser.add_argument("--html", type=Path, help="save a report there, whole in one file")


def finish(measured: Sequence[Measurement], options: argparse.Namespace) -> None:
    """Show, and save what was asked for."""
    for part in dict.fromkeys(one.part for one in measured):
        show([one for one in measured if one.part == part], options.reference)
    save_files(measured, options)


def save_files(measured: Sequence[Measurement], options: argparse.Namespace) -> None:
    """Save what was asked for: figures, charts, a report."""
    if options.json:
        save(options.json, name_of(measured), [one.as_dict() for one in measured])
    if options.plot:
        from bench.plots import draw  # matplotlib is slow to import, and may not be there

        draw(measured, options.plot)
    if options.html:
        from bench.html_report import write

        write(measured, options.html, options.reference)


def name_of(measured: Sequence[Measurement]) -> str:
    """Return what to call a set of measurements: its part, or `suite` for several."""
    parts = list(dict.fromkeys(one.part for one in measured))
    return parts[0] if len(parts) == 1 else "suite"


def progress(jobs: Sequence[T], what: str) -> Iterator[T]:
    """Go through the jobs with a bar on the terminal."""
    return iter(track(jobs, description=what, console=Console(stderr=True)))


def tell_absent(absent: dict[str, str]) -> None:
    """Say who is left out, and what to do about it; once, however many parts ask."""
    console = Console(stderr=True, highlight=False)
    for name, remedy in absent.items():
        if name in _told:
            continue
        _told.add(name)
        console.print(f"left out: {name} ({remedy})", style="dim", markup=False)


def figure_text(value: float) -> str:
    """Return a figure with as many digits as it deserves."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def show(measured: Sequence[Measurement], wished_reference: str) -> None:
    """Print one part: its cases in sections, best first, each with its ratio to the reference."""
    if not measured:
        return
    reference = reference_among(measured, wished_reference)
    extras = [key for key in SHOWN if any(key in one.extra for one in measured)]
    better = "higher" if measured[0].higher_is_better else "lower"
    table = Table(
        title=f"{measured[0].part}: {measured[0].unit} ({better} is better)",
        caption=f"medians of {max(len(one.figures) for one in measured)} rounds in turns",
    )
    table.add_column("case", no_wrap=True)
    table.add_column("subject", no_wrap=True)
    for column in ("median", "±", f"/ {reference}", *extras):
        table.add_column(column, justify="right", no_wrap=True)
    for panel, point in cases(measured):
        rows = ranked(one for one in measured if one.case == (panel, point))
        base = find(measured, reference, panel, point)
        for number, one in enumerate(rows):
            where = case_text(one) if number == 0 else ""
            ratio = f"{one.ratio_to(base):.2f}" if base is not None and base.median else ""
            table.add_row(
                where,
                Text(one.subject, style="bold" if one.subject.startswith(OURS) else ""),
                figure_text(one.median),
                f"{one.spread:.0%}",
                ratio,
                *(figure_text(one.extra[key]) if key in one.extra else "" for key in extras),
            )
        table.add_section()
    print_table(table)


def print_table(table: Table) -> None:
    """Print a table as wide as the terminal, or as a file deserves."""
    Console(width=None if sys.stdout.isatty() else WIDTH).print(table)


def ranked(measured: Iterable[Measurement]) -> list[Measurement]:
    """Return the measurements of one case, best first."""
    return sorted(measured, key=lambda one: -one.median if one.higher_is_better else one.median)


def case_text(one: Measurement) -> str:
    """Return the point of a measurement in words."""
    return one.panel if one.point is None else f"{one.panel}, {one.point:,} {one.axis}"
