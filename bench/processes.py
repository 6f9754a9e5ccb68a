"""The two processes of an echo measurement: a server of its own, and the load on another core."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO

from bench import native
from bench.machine import cores, pinned

#: Seconds within which a server has to say where it listens, or to end.
PATIENCE = 20.0


class MeasuringError(Exception):
    """A server or the load did not do what it should; the text says which and what it said."""


@dataclass(frozen=True)
class Server:
    """A running server: where it listens, what it is, and its version if it told one."""

    name: str
    port: int
    pid: int
    version: str | None
    #: What it wrote to its standard error. A file, as a pipe that nobody reads would stop it.
    complaints: IO[str]


@dataclass(frozen=True)
class Load:
    """What the load saw in its window: times in seconds, latencies in microseconds."""

    messages: int
    seconds: float
    server_cpu: float
    server_queued: float
    load_cpu: float
    load_queued: float
    p50: float
    p90: float
    p99: float
    max: float

    @property
    def per_cpu_second(self) -> float:
        """Echoes for each second of the server's CPU time: the figure that counts."""
        return self.messages / max(self.server_cpu, 1e-6)

    @property
    def per_second(self) -> float:
        """Echoes for each second on the wall: as much the load's figure as the server's."""
        return self.messages / self.seconds

    @property
    def load_busy(self) -> float:
        """The share of time in which the load ran, or would have if it had had the core."""
        return (self.load_cpu + self.load_queued) / self.seconds

    @property
    def server_busy(self) -> float:
        """The same of the server."""
        return (self.server_cpu + self.server_queued) / self.seconds

    @property
    def load_was_the_bottleneck(self) -> bool:
        """Whether the load never waited for the server, and the server did for the load."""
        return self.load_busy > 0.95 and self.server_busy < 0.95


@contextmanager
def serving(name: str) -> Iterator[Server]:
    """Run the server `name` for the length of a block. Raises `MeasuringError`."""
    core, _ = cores()
    command = [sys.executable, "-m", "bench.servers", name]
    with tempfile.TemporaryFile("w+") as complaints:
        with pinned(core):
            process = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=complaints, text=True
            )
        try:
            assert process.stdout is not None
            words = process.stdout.readline().split()
            if words[:1] != ["listening"]:
                process.wait(PATIENCE)
                raise MeasuringError(f"it did not start: {_end_of(complaints)}")
            version = words[2] if len(words) > 2 else None
            yield Server(name, int(words[1]), process.pid, version, complaints)
        finally:
            process.kill()
            process.communicate(timeout=PATIENCE)


def load(server: Server, size: int, connections: int, seconds: float, warmup: float) -> Load:
    """Put one load on a server. Raises `MeasuringError`, and `native.NotBuiltError`."""
    _, core = cores()
    numbers = (server.port, connections, size, seconds, warmup, server.pid)
    command = [str(native.build("echo_load")), *map(str, numbers)]
    with pinned(core):
        result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        said = result.stderr.strip() or f"the load hung (status {result.returncode})"
        raise MeasuringError(f"{said}; {_end_of(server.complaints)}")
    return Load(**json.loads(result.stdout))


def _end_of(complaints: IO[str]) -> str:
    """Return the last line of what a server wrote to its standard error."""
    complaints.seek(0)
    lines = complaints.read().split("\n")
    return next((line for line in reversed(lines) if line.strip()), "the server said nothing")
