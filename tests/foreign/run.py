"""Runs a foreign suite in a child process, within a time limit, and says what came of it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass, field
from pathlib import Path

from tests.foreign.suites import Plan

_ROOT = Path(__file__).resolve().parents[2]

#: Seconds given to the child to show its stacks and end, once its limit has passed.
_GRACE = 5.0


@dataclass(frozen=True)
class Outcome:
    """What came of a suite."""

    run: int = 0
    skipped: int = 0
    #: Names of the tests that failed.
    failed: list[str] = field(default_factory=list)
    #: How often the selector in question waited; 0 would mean that the suite has not met it.
    waits: int = 0
    seconds: float = 0.0
    #: Why there was nothing to run; empty if there was.
    missing: str = ""
    #: What the child said, to be shown when something failed.
    output: str = ""

    @property
    def ok(self) -> bool:
        """Whether tests ran, and all of them passed."""
        return self.run > 0 and not self.failed

    def __str__(self) -> str:
        if self.missing:
            return self.missing
        counts = f"{self.run} run, {len(self.failed)} failed, {self.skipped} skipped"
        return f"{counts}, {self.waits} waits, {self.seconds:.1f} s"


def run(plan: Plan, *, limit: float) -> Outcome:
    """Run `plan` for at most `limit` seconds. A hang is a failure, with every thread's stack."""
    with tempfile.TemporaryDirectory() as folder:
        outcome = Path(folder) / "outcome.json"
        # Some of the suites leave files where they run, so they run in a folder that goes away.
        child = subprocess.Popen(
            [sys.executable, "-m", "tests.foreign.child",
             json.dumps(asdict(plan)), str(outcome), str(limit)],
            cwd=folder,
            env=_environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )  # fmt: skip
        output = _wait(child, limit + _GRACE)
        if not outcome.exists():
            return Outcome(failed=["the run did not come to its end"], output=output)
        return Outcome(**json.loads(outcome.read_text()), output=output)


def _environment() -> dict[str, str]:
    # Measuring coverage in there would take several times as long, and measure their tests.
    environment = {
        name: value
        for name, value in os.environ.items()
        if name != "REACTOR_BACKEND" and not name.startswith("COVERAGE_")
    }
    environment["PYTHONPATH"] = str(_ROOT)
    return environment


def _wait(child: subprocess.Popen[str], limit: float) -> str:
    try:
        return child.communicate(timeout=limit)[0]
    except subprocess.TimeoutExpired:
        # It has a session of its own, and so have the children it left behind.
        os.killpg(child.pid, signal.SIGKILL)
        return child.communicate()[0]
