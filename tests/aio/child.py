"""The child process: runs foreign asyncio tests on our loop, and notes what becomes of each.

Started by `conformance`, as ``python -m tests.aio.child OUTCOMES LIMIT SOURCE NAME...``. The file
`OUTCOMES` gets a line of JSON when a test begins and one when it ends, so that whoever started this
process knows which test it hung or died in.

Whatever a test asks asyncio for, it gets our loop: by class, by policy, by `new_event_loop`.
"""

from __future__ import annotations

import asyncio
import faulthandler
import importlib
import importlib.util
import json
import sys
import unittest
from asyncio import events, unix_events
from pathlib import Path
from typing import Any

from reactor.aio import ReactorEventLoop

#: What CPython's tests may use of those things that its runner asks for: not the network.
_RESOURCES = ("cpu", "subprocess", "walltime")


class Loop(ReactorEventLoop):
    """Ours, made as asyncio's is: with a selector, which it has no use for."""

    made = 0

    def __init__(self, selector: Any = None) -> None:
        super().__init__()
        Loop.made += 1
        if selector is not None:
            selector.close()


class Outcomes(unittest.TestResult):
    """Writes down every beginning and every end as it happens."""

    def __init__(self, path: str, limit: float) -> None:
        super().__init__()
        self._lines = Path(path).open("a", encoding="utf-8")  # noqa: SIM115 - open to the end
        self._limit = limit

    def startTest(self, test: unittest.TestCase) -> None:  # noqa: N802 - unittest's name
        """Note it, and set the time limit."""
        super().startTest(test)
        faulthandler.dump_traceback_later(self._limit, exit=True)
        self._note(test, "began")

    def stopTest(self, test: unittest.TestCase) -> None:  # noqa: N802 - unittest's name
        """Note that it ended; what it came to was noted before."""
        super().stopTest(test)
        self._note(test, "ended", str(Loop.made))

    def addSkip(self, test: unittest.TestCase, reason: str) -> None:  # noqa: N802
        """Note why it skipped itself."""
        super().addSkip(test, reason)
        self._note(test, "skipped", reason)

    def addError(self, test: unittest.TestCase, err: Any) -> None:  # noqa: N802
        """Note the traceback."""
        super().addError(test, err)
        self._note(test, "failed", self.errors[-1][1])

    def addFailure(self, test: unittest.TestCase, err: Any) -> None:  # noqa: N802
        """Note the traceback."""
        super().addFailure(test, err)
        self._note(test, "failed", self.failures[-1][1])

    def addSubTest(self, test: unittest.TestCase, subtest: Any, err: Any) -> None:  # noqa: N802
        """Note the traceback of a part."""
        super().addSubTest(test, subtest, err)
        if err is not None:
            self._note(test, "failed", str((self.errors + self.failures)[-1][1]))

    def _note(self, test: unittest.TestCase, what: str, why: str = "") -> None:
        self._lines.write(json.dumps([test.id(), what, why]) + "\n")
        self._lines.flush()


def main(argv: list[str]) -> int:
    """Run the named tests or modules; with ``--list`` first, print their names instead."""
    if argv[0] == "--list":
        source, names = argv[1], argv[2:]
        print(*(test.id() for test in _tests(_collect(source, names))), sep="\n")
        return 0
    path, limit, source, *names = argv
    _replace_loops()
    outcomes = Outcomes(path, float(limit))
    _collect(source, names).run(outcomes)
    faulthandler.cancel_dump_traceback_later()
    return 0


def _replace_loops() -> None:
    module: Any
    for module in (asyncio, unix_events):
        for name in ("SelectorEventLoop", "EventLoop", "_UnixSelectorEventLoop"):
            if hasattr(module, name):
                setattr(module, name, Loop)
    policies: Any = unix_events
    for name in ("_UnixDefaultEventLoopPolicy", "_DefaultEventLoopPolicy"):
        if hasattr(policies, name):
            getattr(policies, name)._loop_factory = Loop
    events.new_event_loop()  # the policy is made now, of the patched class
    asyncio.set_event_loop(None)


def _collect(source: str, names: list[str]) -> unittest.TestSuite:
    if source:
        _load_uvloop_tests(Path(source) / "tests")
    else:
        support: Any = importlib.import_module("test.support")
        support.use_resources = dict.fromkeys(_RESOURCES)
    return unittest.defaultTestLoader.loadTestsFromNames(names)


def _load_uvloop_tests(folder: Path) -> None:
    """Load uvloop's tests, which call their package `tests` as we do ours, under another name."""
    base: Any = importlib.import_module("uvloop._testbase")
    base.AIOTestCase.new_loop = lambda self: Loop()
    spec = importlib.util.spec_from_file_location(
        "uvloop_tests", folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    assert spec is not None and spec.loader is not None, f"{folder} is not a package"
    module = sys.modules["uvloop_tests"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)


def _tests(suite: unittest.TestSuite) -> list[unittest.TestCase]:
    found: list[unittest.TestCase] = []
    for test in suite:
        found += _tests(test) if isinstance(test, unittest.TestSuite) else [test]
    return found


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
