"""A display for Tk: the one that is there, or a virtual one of our own."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator

import pytest

#: Seconds that the virtual display may take to end.
_LIMIT = 10.0


@pytest.fixture(scope="module")
def display() -> Iterator[str]:
    """What DISPLAY should be; skips where Tk cannot be had, and says why."""
    pytest.importorskip("tkinter", reason="this Python was built without Tk")
    if os.environ.get("DISPLAY"):
        yield os.environ["DISPLAY"]
        return
    server = shutil.which("Xvfb")
    if server is None:
        pytest.skip("Tk needs a display: DISPLAY is not set, and Xvfb is not installed")
    reading, writing = os.pipe()
    # It finds a free display number by itself, and says which once it is ready.
    process = subprocess.Popen(
        [server, "-displayfd", str(writing), "-nolisten", "tcp", "-screen", "0", "640x480x8"],
        pass_fds=[writing],
        stderr=subprocess.DEVNULL,
    )
    os.close(writing)
    try:
        with open(reading, encoding="ascii") as answer:
            number = answer.readline().strip()
        if not number:
            pytest.skip(f"Tk needs a display, and {server} did not start")
        yield f":{number}"
    finally:
        process.terminate()
        process.wait(_LIMIT)
