"""The program as a process of its own, for tests of its log lines, files and exit statuses.

Used by tests/broker/test_main*.py.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

DEADLINE = 20.0
ROOT = Path(__file__).resolve().parents[2]


class Program:
    """``python -m broker`` with its log so far."""

    def __init__(self, *flags: str, environ: dict[str, str] | None = None) -> None:
        command = [sys.executable, "-W", "error", "-m", "broker", "-a", "127.0.0.1", *flags]
        self.process = subprocess.Popen(
            command,
            cwd=ROOT,
            env={**os.environ, **(environ or {})},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.lines: list[str] = []

    def read_until(self, pattern: str) -> re.Match[str]:
        """The first line from here on that has the pattern; the program's end fails the test."""
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.lines.append(line.rstrip("\n"))
            if found := re.search(pattern, line):
                return found
        raise AssertionError(f"it ended without a line that has {pattern!r}: {self.lines}")

    def port(self) -> int:
        return int(self.read_until(r"Listening for client connections on 127\.0\.0\.1:(\d+)")[1])

    def end(self, number: signal.Signals) -> tuple[int, list[str]]:
        """Send a signal; the exit status, and the texts of the lines that followed."""
        self.process.send_signal(number)
        _, rest = self.process.communicate(timeout=DEADLINE)
        return self.process.returncode, [line.partition("] ")[2][27:] for line in rest.splitlines()]


@contextlib.contextmanager
def running(*flags: str, environ: dict[str, str] | None = None) -> Iterator[Program]:
    program = Program(*flags, environ=environ)
    try:
        yield program
    finally:
        program.process.kill()
        program.process.communicate(timeout=DEADLINE)


def run(*flags: str) -> subprocess.CompletedProcess[str]:
    """The program to its end, which these flags bring about."""
    return subprocess.run(
        [sys.executable, "-W", "error", "-m", "broker", *flags],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=DEADLINE,
    )


def wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < end, "it did not come about in time"
        os.sched_yield()
