"""One example, running in a process of its own, with a deadline."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path
from types import TracebackType

_ROOT = Path(__file__).resolve().parents[2]

#: Seconds after which a program is killed, whatever it does: none takes more than one or two.
LIMIT = 30.0


class Program:
    """``python -m examples.NAME ARGUMENTS``, with warnings as errors; killed at the block's end.

    `said` collects what was read so far. One thread uses it; a timer kills the process when its
    time is up, which ends whatever was waiting for it.
    """

    def __init__(self, name: str, *arguments: str, **environment: str) -> None:
        self.said: list[str] = []
        self._process = subprocess.Popen(
            [sys.executable, "-W", "error", "-m", f"examples.{name}", *arguments],
            cwd=_ROOT,
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert self._process.stdout is not None
        self._output = self._process.stdout
        self._deadline = threading.Timer(LIMIT, self._process.kill)
        self._deadline.start()

    def __enter__(self) -> Program:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._deadline.cancel()
        self._process.wait()
        self._output.close()

    def line(self) -> str:
        """Return the next line that it says."""
        line = self._output.readline().rstrip("\n")
        self.said.append(line)
        return line

    def port(self) -> int:
        """Return the port that it says it listens on."""
        found = re.search(r"listening on 127\.0\.0\.1 port (\d+)", self.line())
        assert found, "\n".join([*self.said, self.rest()])
        return int(found[1])

    def rest(self) -> str:
        """Return all that it still says until it ends."""
        rest = self._output.read()
        self._process.wait()
        return rest

    def interrupt(self) -> str:
        """Press Ctrl-C; return what it still says. It must end well."""
        self._process.send_signal(signal.SIGINT)
        rest = self.rest()
        assert 0 == self._process.returncode, rest
        return rest

    def finish(self) -> list[str]:
        """Wait for its end, which must be a good one, and return all its lines."""
        rest = self.rest()
        assert 0 == self._process.returncode, rest
        return [*self.said, *rest.splitlines()]
