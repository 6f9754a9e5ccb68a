"""Our broker, saying how long its turns take: `python -m bench.hostile_turns` for `-m broker`.

What the others feel depends on what else the machine does; how long a turn keeps the processor does
not. A line is written whenever a turn was longer than all before it.
"""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Sequence

from broker import __main__ as program
from reactor import Reactor

_LINE = "Longest turn: {:.2f} ms of processor time"
_FOUND = re.compile(r"Longest turn: ([\d.]+) ms")


def longest(lines: Sequence[str]) -> float:
    """Return what the last of such lines says, in milliseconds; 0 without one."""
    found = [match[1] for line in lines if (match := _FOUND.search(line))]
    return float(found[-1]) if found else 0.0


def is_ours(line: str) -> bool:
    """Whether a line of the log is one of these."""
    return _FOUND.search(line) is not None


class Timed(Reactor):
    """A reactor that times its turns."""

    _longest = 0.0

    def run_once(self, timeout: float | None = None) -> int:
        """As a reactor does."""
        begin = time.thread_time()
        count = super().run_once(timeout)
        took = time.thread_time() - begin
        if took > self._longest:
            self._longest = took
            print(_LINE.format(took * 1000), file=sys.stderr, flush=True)
        return count


if __name__ == "__main__":
    vars(program)["Reactor"] = Timed  # what the program makes its loop of
    sys.exit(program.main())
