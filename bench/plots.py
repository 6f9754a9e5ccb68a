"""Charts of measurements, one figure for each part: PNG, SVG, or SVG that lives in a page.

Where a part has an axis (connections, pairs, handles) each subject is a line over it, one panel for
each kind of work, both axes logarithmic; where it has none, a bar. A subject has the same colour in
every chart; ours are thick and solid, others thin and dashed.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.output import ranked
from bench.peers import OURS
from bench.record import Measurement

COLOURS = {
    OURS + "epoll_c": "#0b8f5f",
    OURS + "io_uring": "#7a5c00",
    OURS + "epoll": "#2fb67c",
    OURS + "poll": "#b8860b",
    OURS + "select": "#b03a2e",
    OURS + "aio": "#006d8f",
    "raw-c": "#808080",
    "libevent": "#9c6b4e",
    "libev": "#c49a6c",
    "libuv": "#8c6bb1",
    "bare-epoll": "#5f7d8c",
    "selectors": "#93a8ac",
    "asyncio": "#5b6ee1",
    "asyncio-buffered": "#93a0ee",
    "uvloop": "#e0457b",
    "rloop": "#d2691e",
    "zuvloop": "#c71585",
    "gevent": "#6b8e23",
    "twisted": "#4682b4",
    "tornado": "#20a0b0",
    "trio": "#a0522d",
    "node": "#3c873a",
}

#: Stands for "the colour of the text" until the chart is in a page, which may be light or dark.
INK = "#13579b"


def draw(measured: Sequence[Measurement], path: Path) -> None:
    """Save a chart as `path`; of several parts, one each, the part's name added to the file's."""
    parts = list(dict.fromkeys(one.part for one in measured))
    for part in parts:
        figure = _figure([one for one in measured if one.part == part], ink="black")
        target = path if len(parts) == 1 else path.with_stem(f"{path.stem}-{part}")
        figure.savefig(target, dpi=130, facecolor="white")


def inline_svg(measured: Sequence[Measurement]) -> str:
    """Return the chart of one part as SVG for a page, with the page's text colour."""
    import matplotlib

    text = io.StringIO()
    # Fixed, so that the same figures give the same file.
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "bench"}):
        _figure(measured, ink=INK).savefig(text, format="svg", transparent=True)
    svg = text.getvalue()
    return svg[svg.index("<svg") :].replace(INK, "currentColor")


def _figure(measured: Sequence[Measurement], ink: str) -> Any:
    import matplotlib
    from matplotlib.figure import Figure

    inked = ("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color")
    settings: dict[Any, Any] = dict.fromkeys(inked, ink) | {"font.size": 9}
    with matplotlib.rc_context(settings):
        panels = list(dict.fromkeys(one.panel for one in measured))
        lines = any(one.point is not None for one in measured)
        columns = min(len(panels), 2 if lines and len(panels) == 4 else 3)
        rows = -(-len(panels) // columns)
        figure = Figure(figsize=(5.0 * columns + 1.6, 4.0 * rows), layout="constrained")
        for index, panel in enumerate(panels):
            axis = figure.add_subplot(rows, columns, index + 1)
            here = [one for one in measured if one.panel == panel]
            (_lines if lines else _bars)(axis, here)
            axis.set_title(panel)
            axis.grid(visible=True, which="major", alpha=0.25)
        if lines:
            handles, labels = figure.axes[0].get_legend_handles_labels()
            figure.legend(handles, labels, loc="outside right upper", frameon=False)
        better = "higher" if measured[0].higher_is_better else "lower"
        figure.suptitle(f"{measured[0].part}: {measured[0].unit}, medians ({better} is better)")
    return figure


def _lines(axis: Any, measured: Sequence[Measurement]) -> None:
    for subject in dict.fromkeys(one.subject for one in measured):
        line = [one for one in measured if one.subject == subject]
        ours = subject.startswith(OURS)
        axis.plot(
            [one.point for one in line],
            [one.median for one in line],
            "-" if ours else "--",
            marker="o",
            markersize=4 if ours else 3,
            linewidth=2.2 if ours else 1.2,
            color=COLOURS.get(subject),
            label=subject,
        )
    axis.set_xscale("log")
    axis.set_yscale("log")
    axis.set_xlabel(measured[0].axis)


def _bars(axis: Any, measured: Sequence[Measurement]) -> None:
    best_on_top = ranked(measured)[::-1]
    bars = axis.barh(
        [one.subject for one in best_on_top],
        [one.median for one in best_on_top],
        xerr=[one.median * one.spread for one in best_on_top],
        color=[COLOURS.get(one.subject) for one in best_on_top],
    )
    axis.bar_label(bars, [f" {one.median:,.0f}" for one in best_on_top], fontsize=8)
    axis.margins(x=0.15)
