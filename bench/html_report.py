"""One page with everything: machine, tables, charts. One file, without anything from elsewhere.

It follows the reader's choice of light or dark, and can be read without scripts.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path

from bench.machine import describe
from bench.output import case_text, figure_text, ranked
from bench.peers import OURS, PEERS
from bench.plots import inline_svg
from bench.record import Measurement, cases, find, reference_among

#: What each part measures, for a reader who has not read its module.
EXPLAINED = {
    "ring": "libevent's ring: a byte is handed on from socket pair to socket pair; what one event"
    " costs, registration excluded. The first run is shown beside the steady ones.",
    "echo": "Every connection sends a message, waits for its echo and sends the next. The load is a"
    " C program on another core; where it was busy all the time while the server was not, it was"
    " the bottleneck. Counted is work per second of the server's CPU time.",
    "timers": "Setting, cancelling and calling timers; the turns of the loop are part of it.",
    "deferred": "Calls deferred to the next turn: one that defers the next, and a thousand at once."
    " Some loops do not look at their descriptors in every such turn; ours does.",
    "wakeups": "Median time from a call in another thread to its callback in a loop that slept.",
    "idle": "What a turn costs that finds nothing ready, by the number of handles watched.",
}

STYLE = """
:root { color-scheme: light dark; --ink: #1c1e21; --paper: #ffffff; --line: #d8dbe0;
  --ours: #e6f6ee; --dim: #666c75; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e6ea; --paper: #16181c; --line: #383c43;
  --ours: #15382a; --dim: #9aa1ab; } }
body { color: var(--ink); background: var(--paper); font: 15px/1.5 system-ui, sans-serif;
  max-width: 70rem; margin: 2rem auto; padding: 0 1rem; }
h1, h2 { line-height: 1.2; } h2 { margin-top: 3rem; }
.scroll { overflow-x: auto; } svg { max-width: 100%; height: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; margin: 1rem 0; }
th, td { padding: .15rem .7rem; text-align: right; white-space: nowrap; }
th { border-bottom: 2px solid var(--line); } td.name, th.name { text-align: left; }
tr.first td { border-top: 1px solid var(--line); } tr.ours { background: var(--ours); }
.dim { color: var(--dim); } dt { font-weight: 600; } dl { display: grid;
  grid-template-columns: max-content 1fr; gap: .1rem 1rem; } dd { margin: 0; }
"""


def write(measured: Sequence[Measurement], path: Path, wished_reference: str) -> None:
    """Write the report."""
    parts = dict.fromkeys(one.part for one in measured)
    sections = "\n".join(
        _section([one for one in measured if one.part == part], wished_reference) for part in parts
    )
    path.write_text(
        "<!DOCTYPE html>\n"
        '<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Benchmarks</title><style>{STYLE}</style></head><body>\n"
        f"<h1>Benchmarks</h1>\n{_machine()}\n{_subjects(measured)}\n{sections}\n</body></html>\n"
    )


def _machine() -> str:
    rows = "".join(
        f"<dt>{escape(key.replace('_', ' '))}</dt><dd>{escape(str(value))}</dd>"
        for key, value in describe().items()
    )
    return f"<dl>{rows}</dl>"


def _subjects(measured: Sequence[Measurement]) -> str:
    versions = {one.subject: one.version for one in measured}
    rows = "".join(
        f"<dt>{escape(name)}</dt><dd>{escape(PEERS[name].what)}"
        f" <span class=dim>{escape(version or '')}</span></dd>"
        for name, version in versions.items()
    )
    return f"<h2>Who is measured</h2><dl>{rows}</dl>"


def _section(measured: Sequence[Measurement], wished_reference: str) -> str:
    part = measured[0].part
    return (
        f"<h2>{escape(part)}</h2><p>{escape(EXPLAINED.get(part, ''))}</p>"
        f'<div class="scroll">{inline_svg(measured)}</div>'
        f'<div class="scroll">{_table(measured, wished_reference)}</div>'
    )


def _table(measured: Sequence[Measurement], wished_reference: str) -> str:
    reference = reference_among(measured, wished_reference)
    extras = list(dict.fromkeys(key for one in measured for key in one.extra))
    head = "".join(
        f"<th>{escape(name)}</th>"
        for name in (measured[0].unit, "&plusmn;", f"/ {reference}", *extras)
    ).replace("&amp;plusmn;", "&plusmn;")
    rows = []
    for panel, point in cases(measured):
        base = find(measured, reference, panel, point)
        for number, one in enumerate(ranked(x for x in measured if x.case == (panel, point))):
            ratio = f"{one.ratio_to(base):.2f}" if base is not None and base.median else ""
            cells = [figure_text(one.median), f"{one.spread:.0%}", ratio]
            cells += [figure_text(one.extra[key]) if key in one.extra else "" for key in extras]
            kinds = " ".join(("first",) * (number == 0) + ("ours",) * one.subject.startswith(OURS))
            rows.append(
                f'<tr class="{kinds}"><td class="name">{case_text(one) if number == 0 else ""}</td>'
                f'<td class="name">{escape(one.subject)}</td>'
                + "".join(f"<td>{cell}</td>" for cell in cells)
                + "</tr>"
            )
    return (
        f'<table><thead><tr><th class="name">case</th><th class="name">subject</th>{head}</tr>'
        f"</thead><tbody>{''.join(rows)}</tbody></table>"
    )
