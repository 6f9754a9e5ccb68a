"""Run asyncio's own tests against our loop: ``python -m tests.aio.conformance [MODULE...]``.

CPython's `test_asyncio`, or with ``--uvloop FOLDER`` the part of uvloop's tests that is meant for
any asyncio loop (a copy of its repository: its wheel has none). Every module runs in a process of
its own, in a folder that goes away. A test that takes too long ends its process, with every
thread's stack; it is noted as hung, and a new process goes on with the tests behind it.

What fails is compared with `known.KNOWN`: the tests that cannot pass, each with its reason. The
exit status is 0 if nothing else fails.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from tests.aio.known import reason_for

_ROOT = Path(__file__).resolve().parents[2]

#: CPython's modules that have to do with a loop on Unix.
MODULES = (
    "test_base_events", "test_buffered_proto", "test_context", "test_eager_task_factory",
    "test_events", "test_free_threading", "test_futures", "test_futures2", "test_locks",
    "test_pep492", "test_protocols", "test_queues", "test_runners", "test_selector_events",
    "test_sendfile", "test_server", "test_sock_lowlevel", "test_ssl", "test_sslproto",
    "test_staggered", "test_streams", "test_subprocess", "test_taskgroups", "test_tasks",
    "test_threads", "test_timeouts", "test_transports", "test_unix_events", "test_waitfor",
)  # fmt: skip

#: uvloop's modules whose tests exist twice, for its own loop and for asyncio's.
UVLOOP_MODULES = (
    "test_aiohttp", "test_base", "test_context", "test_dns", "test_executors", "test_pipes",
    "test_process", "test_regr1", "test_signals", "test_sockets", "test_tcp", "test_udp",
    "test_unix",
)  # fmt: skip


@dataclass
class Report:
    """What came of one module."""

    module: str
    passed: int = 0
    skipped: dict[str, str] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    missing: str = ""
    #: How many loops of ours the tests made; 0 would mean that they have not met them.
    loops: int = 0

    def __str__(self) -> str:
        if self.missing:
            return f"{self.module}: not here: {self.missing}"
        return (
            f"{self.module}: {self.passed} passed, {len(self.skipped)} skipped,"
            f" {len(self.failed)} failed, {self.loops} loops of ours"
        )

    def surprises(self) -> dict[str, str]:
        """Return the failures that nobody expects, with their tracebacks."""
        return {name: why for name, why in self.failed.items() if not reason_for(name)}


def run_module(module: str, *, limit: float = 30.0, source: str = "") -> Report:
    """Run all tests of one module, each within `limit` seconds."""
    prefix = "uvloop_tests" if source else "test.test_asyncio"
    report = Report(module)
    names, report.missing = _list(f"{prefix}.{module}", source)
    if source:
        names = [name for name in names if "AIO" in name]
    began: set[str] = set()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "outcomes"
        whole = [] if source else [f"{prefix}.{module}"]
        left = names
        while left:
            path.write_text("")
            said = _run(folder, [str(path), str(limit), source, *(whole or left)], limit, len(left))
            whole = []
            ended = _read(path.read_text().splitlines(), report, began, said)
            left = [name for name in left if name not in ended]
            if not ended:
                report.failed.update(dict.fromkeys(left, f"it never began\n{said}"))
                break
    return report


def _list(module: str, source: str) -> tuple[list[str], str]:
    command = [sys.executable, "-m", "tests.aio.child", "--list", source, module]
    done = subprocess.run(
        command, env=_environment(), cwd=_ROOT, capture_output=True, text=True, timeout=60
    )
    if done.returncode or "_FailedTest" in done.stdout:
        return [], (done.stderr.strip() or done.stdout.strip()).splitlines()[-1]
    return done.stdout.split(), ""


def _run(folder: str, arguments: list[str], limit: float, count: int) -> str:
    child = subprocess.Popen(
        [sys.executable, "-m", "tests.aio.child", *arguments],
        cwd=folder,
        env=_environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    try:
        return child.communicate(timeout=limit * 2 + count)[0][-4000:]
    except subprocess.TimeoutExpired:
        return "the process had to be killed"
    finally:
        # It has a session of its own, and so have the children it left behind.
        try:
            os.killpg(child.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        child.wait()


def _read(lines: list[str], report: Report, began: set[str], said: str) -> set[str]:
    """Add what the lines tell to `report`; return the names of the tests that are over."""
    ended: set[str] = set()
    running = ""
    loops = 0
    trouble: set[str] = set()
    for line in lines:
        name, what, why = json.loads(line)
        if what == "began":
            running = name
            began.add(name)
        elif what == "ended":
            running = ""
            ended.add(name)
            loops = int(why)
            report.passed += name not in trouble
        else:
            trouble.add(name)
            ended.add(name)
            (report.skipped if what == "skipped" else report.failed)[name] = why
    report.loops += loops
    if running:
        ended.add(running)
        report.failed[running] = f"it hung, or ended the process\n{said}"
    return ended


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(_ROOT)}


def main() -> int:
    """Run; exit status 0 if there was no surprise."""
    arguments = _parse()
    modules = arguments.modules or (UVLOOP_MODULES if arguments.uvloop else MODULES)
    surprises = 0
    with ThreadPoolExecutor(arguments.jobs) as pool:
        reports = pool.map(
            lambda module: run_module(module, limit=arguments.limit, source=arguments.uvloop),
            modules,
        )
        for report in reports:
            surprises += _show(report, verbose=arguments.verbose)
    return 1 if surprises else 0


def _show(report: Report, *, verbose: bool) -> int:
    print(report, flush=True)
    surprises = report.surprises()
    for name, why in report.failed.items():
        known = reason_for(name)
        last = known or why.strip().splitlines()[-1]
        print(f"    {'known' if known else 'FAILED'} {name}: {last}", flush=True)
        if verbose and not known:
            print(why)
    if verbose:
        for name, why in report.skipped.items():
            print(f"    skipped {name}: {why}")
    return len(surprises)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.aio.conformance", description=__doc__)
    parser.add_argument("modules", nargs="*", help="such as test_events (default: all)")
    parser.add_argument("--uvloop", default="", metavar="FOLDER", help="run uvloop's tests")
    parser.add_argument("--limit", type=float, default=30.0, help="seconds for each test")
    parser.add_argument("--jobs", type=int, default=1, help="modules at a time")
    parser.add_argument("--verbose", action="store_true", help="show tracebacks and skips")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
