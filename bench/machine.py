"""What a measurement was made on: recorded beside every result, as a figure alone means nothing."""

from __future__ import annotations

import json
import os
import platform
import resource
from pathlib import Path
from typing import Any


def describe() -> dict[str, Any]:
    """Return kernel, processor, interpreter and limits, as plain data."""
    return {
        "kernel": platform.release(),
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "descriptor_limit": resource.getrlimit(resource.RLIMIT_NOFILE)[1],
    }


def raise_descriptor_limit(wanted: int) -> int:
    """Ask for `wanted` descriptors and return how many there are, which may be fewer."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    granted = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, granted), hard))
    return max(soft, granted)


def save(path: Path, benchmark: str, results: list[dict[str, Any]]) -> None:
    """Write the results of a benchmark with the machine that they were measured on, as JSON."""
    record = {"benchmark": benchmark, "machine": describe(), "results": results}
    path.write_text(json.dumps(record, indent=1) + "\n")


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
