"""The table of foreign suites: what each is called, what it needs, and how its tests are collected.

A suite is a function from a `Plan` to a `unittest.TestSuite`. It runs in the child process, where
`selectors.DefaultSelector` was replaced by ours before: that is all that asyncio needs, and
everything that is built on it. Only Twisted, which has event loops of its own, is given a reactor
(`examples/twisted_reactor.py`).

No code of these suites is kept here. CPython's comes with the interpreter (some distributions
package it apart), Tornado's and Twisted's with their wheels, uvloop's with its repository.
"""

from __future__ import annotations

import importlib
import importlib.util
import logging
import selectors
import sys
import unittest
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

#: The parts of test_asyncio that say most about a selector for the time they take.
ASYNCIO_CORE = (
    "test_buffered_proto",
    "test_events",
    "test_selector_events",
    "test_sendfile",
    "test_server",
    "test_sock_lowlevel",
    "test_streams",
    "test_subprocess",
    "test_unix_events",
)

#: A part of the part, for the backends that most programs will not run on.
ASYNCIO_BRIEF = ("test_buffered_proto", "test_server", "test_sock_lowlevel", "test_streams")

_TORNADO = ("asyncio_test", "ioloop_test", "iostream_test", "process_test", "tcpclient_test",
            "tcpserver_test")  # fmt: skip
_UVLOOP = ("base", "context", "executors", "pipes", "process", "signals", "sockets", "tcp", "udp",
           "unix")  # fmt: skip
_TWISTED = ("base", "core", "endpoints", "fdset", "process", "sigchld", "stdio", "tcp", "threads",
            "time", "tls", "udp", "unix")  # fmt: skip


@dataclass(frozen=True)
class Plan:
    """What the child is asked to run."""

    suite: str
    #: A backend of ours, or ``own`` for the suite's own loop, to compare with.
    backend: str
    #: A folder with the suite's tests, for a suite that is not installed.
    source: str = ""


class MissingSuiteError(Exception):
    """The suite's tests, or what they need, are not here; the text says how to get them."""


def collect(plan: Plan, selector: type[selectors.BaseSelector]) -> unittest.TestSuite:
    """Return the tests of a plan; `MissingSuiteError` if they are not here."""
    return SUITES[plan.suite](plan, selector)


def _selectors(plan: Plan, selector: type[selectors.BaseSelector]) -> unittest.TestSuite:
    theirs = _import("test.test_selectors")
    bases: tuple[type, ...] = (theirs.BaseSelectorTestCase, unittest.TestCase)
    if plan.backend != "select":
        # These register more descriptors than select(2) can name.
        bases = (theirs.ScalableSelectorMixIn, *bases)
    case = type("OurSelectorTestCase", bases, {"SELECTOR": selector})
    return unittest.defaultTestLoader.loadTestsFromTestCase(case)


def _asyncio(plan: Plan, selector: type[selectors.BaseSelector]) -> unittest.TestSuite:
    del plan, selector
    package = _import("test.test_asyncio")
    folder = str(Path(str(package.__file__)).parent)
    return unittest.defaultTestLoader.discover(folder, top_level_dir=_library())


def _modules(*names: str) -> Callable[[Plan, Any], unittest.TestSuite]:
    def collect(plan: Plan, selector: object) -> unittest.TestSuite:
        del plan, selector
        modules = [_import(name) for name in names]
        return unittest.TestSuite(map(unittest.defaultTestLoader.loadTestsFromModule, modules))

    return collect


def _tornado(plan: Plan, selector: type[selectors.BaseSelector]) -> unittest.TestSuite:
    # As Tornado's own runner does: its tests fail on lines of this log, at any level.
    logging.getLogger("tornado.access").setLevel(logging.CRITICAL)
    return _modules(*(f"tornado.test.{name}" for name in _TORNADO))(plan, selector)


def _uvloop(plan: Plan, selector: object) -> unittest.TestSuite:
    del selector
    _import("uvloop._testbase")
    folder = Path(plan.source) / "tests"
    if not plan.source or not (folder / "test_tcp.py").exists():
        raise MissingSuiteError(
            "uvloop's wheel has no tests: give a copy of its repository with --source FOLDER"
        )
    # Its package is called `tests`, as ours is; so it is loaded under another name.
    _load_package("uvloop_tests", folder)
    suite = _modules(*(f"uvloop_tests.test_{name}" for name in _UVLOOP))(plan, None)
    # Each test exists twice, for uvloop's own loop and for asyncio's: only the latter is ours.
    return unittest.TestSuite(test for test in _flat(suite) if "AIO" in type(test).__name__)


def _twisted(plan: Plan, selector: Any) -> unittest.TestSuite:
    builder = _import("twisted.internet.test.reactormixins").ReactorBuilder
    name = "twisted.internet.epollreactor.EPollReactor"
    if plan.backend != "own":
        _make_twisted_reactor(plan.backend, selector)
        name = f"{__name__}.EPollReactor"
    builder._reactors = [name]
    builder.timeout = 10
    return _modules(*(f"twisted.internet.test.test_{name}" for name in _TWISTED))(plan, None)


def _make_twisted_reactor(backend: str, counter: Any) -> None:
    """Make the class that Twisted's tests find by its name in this module.

    It must be *called* EPollReactor: by that name Twisted's suite knows the reactors for which
    a descriptor that was closed without being removed is not an error to look for.
    """
    from examples.twisted_reactor import DemultiplexerReactor

    def make(self: DemultiplexerReactor) -> None:
        DemultiplexerReactor.__init__(self, backend)

    def iterate(self: DemultiplexerReactor, timeout: float | None) -> None:
        counter.waits += 1
        DemultiplexerReactor.doIteration(self, timeout)

    body = {"__init__": make, "doIteration": iterate, "__module__": __name__}
    globals()["EPollReactor"] = type("EPollReactor", (DemultiplexerReactor,), body)


SUITES: dict[str, Callable[[Plan, type[selectors.BaseSelector]], unittest.TestSuite]] = {
    "selectors": _selectors,
    "asyncio": _asyncio,
    "asyncio-core": _modules(*(f"test.test_asyncio.{name}" for name in ASYNCIO_CORE)),
    "asyncio-brief": _modules(*(f"test.test_asyncio.{name}" for name in ASYNCIO_BRIEF)),
    "tornado": _tornado,
    "uvloop": _uvloop,
    "twisted": _twisted,
}


def _import(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        missing = (error.name or name).partition(".")[0]
        how = (
            "this Python comes without its test suite; a Python built from source has it, and"
            " Debian packages it as libpython3-testsuite"
            if missing == "test"
            else f"install it: pip install {missing}"
        )
        raise MissingSuiteError(f"{name} cannot be imported ({error}); {how}") from error


def _load_package(name: str, folder: Path) -> None:
    spec = importlib.util.spec_from_file_location(
        name, folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    if spec is None or spec.loader is None:
        raise MissingSuiteError(f"{folder} is not a package")
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)


def _library() -> str:
    return str(Path(str(unittest.__file__)).parents[1])


def _flat(suite: unittest.TestSuite) -> Iterator[unittest.TestCase]:
    for test in suite:
        if isinstance(test, unittest.TestSuite):
            yield from _flat(test)
        else:
            yield test
