"""The run as a picture: how many agreed, and how late the latest was; faults are shaded."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib
from matplotlib.figure import Figure

from examples.classroom.faults import Fault
from examples.classroom.measure import Sample
from examples.classroom.nodes import letter
from examples.classroom.teacher import PATIENCE


def draw(samples: Sequence[Sample], faults: Sequence[Fault], file: Path) -> None:
    """Write the picture; the format follows the file's name. Raises what writing raises."""
    figure = Figure(figsize=(9, 5), layout="constrained")
    people, lateness = figure.subplots(2, 1, sharex=True)
    at = [sample.at for sample in samples]
    people.plot(at, [sample.present for sample in samples], color="0.6", label="present")
    people.plot(at, [sample.roster for sample in samples], "--", label="on the roster")
    people.plot(at, [sample.agree for sample in samples], label="agree with the teacher")
    people.set_ylabel("students")
    people.set_ylim(bottom=0)
    people.legend(loc="lower right")
    lateness.plot(at, [sample.worst for sample in samples], label="the latest student")
    lateness.axhline(PATIENCE, color="tab:red", linestyle=":", label="what is allowed")
    lateness.set_ylabel("heartbeats late")
    lateness.set_xlabel("seconds")
    lateness.legend(loc="upper right")
    for axis in (people, lateness):
        axis.grid(visible=True, alpha=0.25)
        for fault in faults:
            colour = "tab:red" if fault.kind == "kill" else "tab:blue"
            axis.axvspan(fault.begin, fault.end, color=colour, alpha=0.12)
    for fault in faults:
        where = (fault.begin, 1.01)
        name = f" {fault.kind} {letter(fault.node)}"
        people.annotate(name, where, xycoords=("data", "axes fraction"), fontsize=8)
    # Text stays text, and the same run gives the same file.
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "classroom"}):
        figure.savefig(file)
