"""How the nodes of `bench.failover` reach one another, so that any two can be parted.

Two ways, with one face. **Namespaces**: each node lives in a network namespace of its own (`ip
netns`), with a virtual cable to each of the others and one to this program; a cable is cut by
taking it down. That is what happens to machines, and the kernel does it; but it takes the rights to
make namespaces. **Proxies**: all nodes are on this host, each dials the others through a proxy in
this program, and a proxy that is cut passes nothing on and ends nothing.

Either way nothing passes between the two and nothing ends, as when a cable is pulled; and no
connection can go round, as nodes have no other way to each other.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import os
import shutil
import subprocess
from collections.abc import Sequence
from itertools import combinations
from typing import Protocol

LOOPBACK = "127.0.0.1"

#: Addresses that belong to nobody but benchmarks (RFC 2544); four of them for each cable.
_ADDRESSES = ipaddress.ip_network("198.18.0.0/15")
_OF_A_CABLE = 4

Pair = frozenset[int]


class Network(Protocol):
    """What lies between the nodes, which are told by their numbers."""

    #: What it is called.
    name: str
    #: The address that nodes listen on.
    listen: str

    async def open(self, ports: Sequence[int]) -> None:
        """Make everything ready for nodes that listen for routes on these ports."""
        ...

    async def close(self) -> None:
        """Take everything away; all nodes have ended. Idempotent."""
        ...

    def address(self, number: int) -> str:
        """Return where this program reaches a node."""
        ...

    def command(self, number: int, command: Sequence[str]) -> list[str]:
        """Return the command that starts a node where it belongs."""
        ...

    def route(self, number: int, other: int) -> str:
        """Return `host:port` where a node dials an earlier one."""
        ...

    def cut(self, pair: Pair) -> None:
        """Let nothing pass between two nodes."""
        ...

    def heal(self, pair: Pair) -> None:
        """Let everything pass again."""
        ...


def networks() -> dict[str, type[Namespaces] | type[Proxies]]:
    """Return what can be had here by name, the better first."""
    found: dict[str, type[Namespaces] | type[Proxies]] = {}
    if Namespaces.permitted():
        found[Namespaces.name] = Namespaces
    found[Proxies.name] = Proxies
    return found


# --- namespaces -----------------------------------------------------------------------------------


class Namespaces:
    """A network namespace for each node, and a cable between any two."""

    name = "namespaces"
    listen = "0.0.0.0"

    def __init__(self, nodes: int) -> None:
        # Names and addresses follow from the process, so that two runs do not meet.
        process = os.getpid()
        self._spaces = [f"failover-{process}-{number}" for number in range(nodes)]
        self._pairs = [frozenset(pair) for pair in combinations(range(nodes), 2)]
        self._ends = {pair: f"to{max(pair)}" for pair in self._pairs}  # in the earlier's namespace
        self._ours = [f"fo{process}n{number}" for number in range(nodes)]
        cables = nodes + len(self._pairs)
        self._first = process * cables * _OF_A_CABLE % _ADDRESSES.num_addresses
        self._ports: Sequence[int] = ()

    @staticmethod
    def permitted() -> bool:
        """Say whether namespaces can be made here."""
        if shutil.which("ip") is None:
            return False
        probe = f"failover-{os.getpid()}-probe"
        try:
            _ip("netns", "add", probe)
            _ip("netns", "delete", probe)
        except subprocess.CalledProcessError:
            return False
        return True

    async def open(self, ports: Sequence[int]) -> None:
        """Make the namespaces and lay the cables. Raises CalledProcessError."""
        self._ports = ports
        for number, space in enumerate(self._spaces):
            _ip("netns", "add", space)
            _ip("-n", space, "link", "set", "lo", "up")
            end = self._ours[number]
            _ip("link", "add", end, "type", "veth", "peer", "name", "home", "netns", space)
            _ip("address", "add", self._interface(number, 1), "dev", end)
            _ip("link", "set", end, "up")
            self._connect(space, "home", self._interface(number, 2))
        for pair in self._pairs:
            low, high = min(pair), max(pair)
            here, there = self._ends[pair], f"to{low}"
            spaces = self._spaces[low], self._spaces[high]
            peer = ("peer", "name", there, "netns", spaces[1])
            _ip("-n", spaces[0], "link", "add", here, "type", "veth", *peer)
            self._connect(spaces[0], here, self._interface(self._cable(pair), 1))
            self._connect(spaces[1], there, self._interface(self._cable(pair), 2))

    async def close(self) -> None:
        """Delete the namespaces, and with them the cables."""
        for space in self._spaces:
            with contextlib.suppress(subprocess.CalledProcessError):
                _ip("netns", "delete", space)

    def address(self, number: int) -> str:
        """Return the node's end of its cable to us."""
        return self._host(number, 2)

    def command(self, number: int, command: Sequence[str]) -> list[str]:
        """Return the command within the node's namespace; `ip` becomes the program."""
        return ["ip", "netns", "exec", self._spaces[number], *command]

    def route(self, number: int, other: int) -> str:
        """Return the earlier node's end of the cable between them."""
        return f"{self._host(self._cable(frozenset((number, other))), 1)}:{self._ports[other]}"

    def cut(self, pair: Pair) -> None:
        """Take the cable down."""
        _ip("-n", self._spaces[min(pair)], "link", "set", self._ends[pair], "down")

    def heal(self, pair: Pair) -> None:
        """Take it up."""
        _ip("-n", self._spaces[min(pair)], "link", "set", self._ends[pair], "up")

    def _cable(self, pair: Pair) -> int:
        return len(self._spaces) + self._pairs.index(pair)

    def _host(self, cable: int, end: int) -> str:
        return str(_ADDRESSES[self._first + cable * _OF_A_CABLE + end])

    def _interface(self, cable: int, end: int) -> str:
        return f"{self._host(cable, end)}/30"

    @staticmethod
    def _connect(space: str, interface: str, address: str) -> None:
        _ip("-n", space, "address", "add", address, "dev", interface)
        _ip("-n", space, "link", "set", interface, "up")


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


# --- proxies --------------------------------------------------------------------------------------


class Proxies:
    """A proxy for each pair of nodes, which all live on this host."""

    name = "proxies"
    listen = LOOPBACK

    def __init__(self, nodes: int) -> None:
        self._links = {frozenset(pair): Link() for pair in combinations(range(nodes), 2)}

    async def open(self, ports: Sequence[int]) -> None:
        """Have the proxies listen. Raises OSError."""
        for pair, link in self._links.items():
            await link.start(ports[min(pair)])

    async def close(self) -> None:
        """End the proxies and all that goes through them."""
        for link in self._links.values():
            await link.close()

    def address(self, number: int) -> str:
        """Return this host."""
        return LOOPBACK

    def command(self, number: int, command: Sequence[str]) -> list[str]:
        """Return the command as it is."""
        return list(command)

    def route(self, number: int, other: int) -> str:
        """Return the proxy between them."""
        return f"{LOOPBACK}:{self._links[frozenset((number, other))].port}"

    def cut(self, pair: Pair) -> None:
        """Let nothing pass the proxy."""
        self._links[pair].cut()

    def heal(self, pair: Pair) -> None:
        """Let everything pass, what waited first."""
        self._links[pair].heal()


class Link:
    """A proxy. Whoever dials its `port` reaches the target, unless it is cut."""

    def __init__(self) -> None:
        self.port = 0
        self._target = 0
        self._open = asyncio.Event()
        self._open.set()
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self, target: int) -> None:
        """Listen, on behalf of the port `target` of this host."""
        self._target = target
        self._server = await asyncio.start_server(self._accept, LOOPBACK, 0)
        self.port = self._server.sockets[0].getsockname()[1]

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
            far_reader, far_writer = await asyncio.open_connection(LOOPBACK, self._target)
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
