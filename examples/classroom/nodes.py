"""Brokers as child processes, so that they can die.

A node has its ports for life: whoever restarts is found where it was. Several are one cluster, each
told of all others, so it does not matter which of them is down while another starts.
"""

from __future__ import annotations

import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path

from examples.classroom.client import Seed
from reactor import Process, Reactor, Stream, StreamHandler, spawn

HOST = "127.0.0.1"

#: What a broker logs once it serves.
READY = b"Server is ready"


class Node(StreamHandler):
    """One broker. `state` is dead, starting, up or frozen; `on_change` is called at each change."""

    def __init__(
        self, reactor: Reactor, name: str, configuration: Path, port: int, websocket_port: int
    ) -> None:
        self._reactor = reactor
        self.name = name
        self.seed: Seed = (HOST, port)
        self.websocket_port = websocket_port
        self._configuration = configuration
        self._process: Process | None = None
        self._said = b""
        self.state = "dead"
        self.on_change: Callable[[], object] = lambda: None

    def start(self) -> None:
        """Start it, if it is dead. It is up once it says so."""
        if self._process is None:
            self._said = b""
            self._become("starting")
            command = [sys.executable, "-m", "broker", "-c", str(self._configuration)]
            self._process = spawn(self._reactor, command, stderr=self, on_exit=self._on_exit)

    def kill(self) -> None:
        """End it as a power cut would."""
        if self._process is not None:
            self._process.kill()

    def freeze(self) -> None:
        """Stop it without a word: its connections stay open, and nothing is answered."""
        if self._process is not None and self.state == "up":
            self._process.send_signal(signal.SIGSTOP)
            self._become("frozen")

    def thaw(self) -> None:
        """Let it go on where it stood."""
        if self._process is not None and self.state == "frozen":
            self._process.send_signal(signal.SIGCONT)
            self._become("up")

    def on_data(self, stream: Stream, data: bytes) -> None:
        """Its log: wait for the line that says it serves; keep the last lines for whoever asks."""
        self._said = (self._said + data)[-2000:]
        if self.state == "starting" and READY in self._said:
            self._become("up")

    @property
    def said(self) -> str:
        """The end of its log."""
        return self._said.decode(errors="replace")

    def _on_exit(self, _process: Process) -> None:
        self._process = None
        self._become("dead")

    def _become(self, state: str) -> None:
        self.state = state
        self.on_change()


def make_nodes(reactor: Reactor, count: int, folder: Path, *, websocket: bool) -> list[Node]:
    """Nodes that are not started yet, with their configurations in `folder`."""
    ports = free_ports(3 * count)
    names = [f"node-{letter(number)}" for number in range(count)]
    routes = [f"nats://{HOST}:{port}" for port in ports[count : 2 * count]]
    nodes = []
    for number, name in enumerate(names):
        port, route_port, websocket_port = ports[number::count]
        lines = [f'listen: "{HOST}:{port}"', f"server_name: {name}"]
        if count > 1:
            others = ", ".join(f'"{one}"' for one in routes if one != routes[number])
            listen = f'listen: "{HOST}:{route_port}"'
            lines.append(f"cluster {{ name: classroom, {listen}, routes: [{others}] }}")
        if websocket:
            lines.append(f'websocket {{ listen: "{HOST}:{websocket_port}", no_tls: true }}')
        configuration = folder / f"{name}.conf"
        configuration.write_text("\n".join(lines) + "\n")
        nodes.append(Node(reactor, name, configuration, port, websocket_port))
    return nodes


def letter(number: int) -> str:
    """How people call a node."""
    return chr(ord("a") + number)


def free_ports(count: int) -> list[int]:
    """Ports that nobody uses now. All are held until the last was found, so that they differ."""
    held = [socket.create_server((HOST, 0)) for _ in range(count)]
    ports = [sock.getsockname()[1] for sock in held]
    for sock in held:
        sock.close()
    return ports
