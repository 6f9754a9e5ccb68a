"""The child process: runs one foreign suite, and writes what came of it as JSON.

Started by `run`, as ``python -m tests.foreign.child PLAN OUTCOME LIMIT``: the plan as JSON, the
file for the outcome, and the seconds after which it shows all its threads' stacks and ends.
"""

from __future__ import annotations

import faulthandler
import importlib
import json
import selectors
import sys
import time
import unittest
from pathlib import Path
from typing import Any

from reactor.selector import Selector
from tests.foreign.suites import MissingSuiteError, Plan, collect

#: What CPython's tests may use of those things that its runner asks for: not the network.
_RESOURCES = ("cpu", "subprocess", "walltime")


def main(argv: list[str]) -> int:
    """Run the plan; exit status 0 if the outcome was written, whatever it is."""
    plan = Plan(**json.loads(argv[0]))
    faulthandler.dump_traceback_later(float(argv[2]), exit=True)
    _no_network()
    counting = _counting_selector(plan.backend)
    # What this process is for.
    selectors.DefaultSelector = counting  # type: ignore[misc]
    began = time.monotonic()
    try:
        suite = collect(plan, counting)
    except MissingSuiteError as error:
        outcome: dict[str, object] = {"missing": str(error)}
    else:
        result = unittest.TextTestRunner(verbosity=0, buffer=False).run(suite)
        outcome = {
            "run": result.testsRun,
            "skipped": len(result.skipped),
            "failed": sorted(_failed(result)),
        }
    outcome["seconds"] = time.monotonic() - began
    outcome["waits"] = counting.waits
    Path(argv[1]).write_text(json.dumps(outcome))
    return 0


def _failed(result: unittest.TestResult) -> set[str]:
    """Return the names; a test that failed and then failed to clean up has but one."""
    failed = {str(test) for test, _ in result.failures + result.errors}
    return failed | {f"unexpected success: {test}" for test in result.unexpectedSuccesses}


class _Ours(Selector):
    """Ours over one backend, made without arguments, as a `DefaultSelector` is."""

    backend = ""

    def __init__(self) -> None:
        super().__init__(self.backend)


def _counting_selector(backend: str) -> Any:
    """Return a class that counts its waits: the evidence that the suite has used it."""
    base: type[selectors.BaseSelector] = selectors.DefaultSelector if backend == "own" else _Ours

    def select(self: Any, timeout: float | None = None) -> Any:
        counting.waits += 1
        return base.select(self, timeout)

    counting: Any = type("OurSelector", (base,), {"backend": backend, "waits": 0, "select": select})
    return counting


def _no_network() -> None:
    """Have CPython's tests skip what would leave this machine."""
    try:
        support: Any = importlib.import_module("test.support")
    except ImportError:
        return  # then there are none of them to skip
    support.use_resources = dict.fromkeys(_RESOURCES)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
