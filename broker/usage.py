"""What this process costs: resident memory, and its share of a core.

Neighbours: `broker.monitorpages` shows it. Loop thread only.
"""

from __future__ import annotations

import os
import time

__all__ = ["CpuMeter", "cpu_seconds", "resident_bytes"]


def resident_bytes() -> int:
    """The memory this process occupies, or 0 where the system has no ``/proc``."""
    try:
        with open("/proc/self/statm", "rb") as statm:
            pages = int(statm.read().split()[1])
    except OSError:
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


def cpu_seconds() -> float:
    """Processor time that this process has used, on all cores, in and out of the kernel."""
    return time.process_time()


class CpuMeter:
    """Per cent of one core that this process used since it was last asked."""

    def __init__(self) -> None:
        self._wall = time.monotonic()
        self._used = time.process_time()
        self._percent = 0.0

    def percent(self) -> float:
        """The share, over at least a second: asked sooner again, the answer is the last one."""
        wall, used = time.monotonic(), time.process_time()
        if wall - self._wall >= 1.0:
            self._percent = round(100 * (used - self._used) / (wall - self._wall), 1)
            self._wall, self._used = wall, used
        return self._percent
