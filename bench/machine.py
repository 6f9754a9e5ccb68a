"""What a measurement was made on: recorded beside every result, as a figure alone means nothing."""

from __future__ import annotations

import json
import os
import platform
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import Any


def describe() -> dict[str, Any]:
    """Return kernel, processor, interpreter, limits and load, as plain data."""
    return {
        "when": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "kernel": platform.release(),
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "hypervisor": _hypervisor(),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "libc": " ".join(platform.libc_ver()),
        "compiler": _compiler(),
        "commit": _commit(),
        "descriptor_limit": resource.getrlimit(resource.RLIMIT_NOFILE)[1],
        "load_average": os.getloadavg()[0],
    }


def raise_descriptor_limit(wanted: int) -> int:
    """Ask for `wanted` descriptors and return how many there are, which may be fewer."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    granted = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, granted), hard))
    return max(soft, granted)


def cores() -> tuple[int | None, int | None]:
    """Return one core for what is measured and one for its load; None twice if there is but one."""
    mine = sorted(os.sched_getaffinity(0))
    return (mine[-1], mine[0]) if len(mine) > 1 else (None, None)


@contextmanager
def pinned(core: int | None) -> Iterator[None]:
    """Run a block, and whatever is started in it, on one core. None: wherever there is room."""
    before = os.sched_getaffinity(0)
    if core is not None:
        os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def save(path: Path, benchmark: str, results: list[dict[str, Any]]) -> None:
    """Write the results of a benchmark with the machine that they were measured on, as JSON."""
    record = {"benchmark": benchmark, "machine": describe(), "results": results}
    path.write_text(json.dumps(record, indent=1) + "\n")


def _processor() -> str:
    return _cpu_info("model name") or platform.processor() or platform.machine()


def _hypervisor() -> bool:
    return "hypervisor" in _cpu_info("flags").split()


def _cpu_info(key: str) -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith(key):
            return line.partition(":")[2].strip()
    return ""


def _compiler() -> str:
    return _first_line(os.environ.get("CC", "cc"), "--version")


def _commit() -> str:
    return _first_line("git", "-C", str(Path(__file__).parent), "rev-parse", "--short", "HEAD")


def _first_line(*command: str) -> str:
    try:
        result = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        print(f"bench: {command[0]}: {error}", file=sys.stderr)
        return ""
    return result.stdout.partition("\n")[0]
