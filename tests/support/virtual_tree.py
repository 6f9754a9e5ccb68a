"""Leaves, hubs and clusters in virtual time: real servers on one clock, sockets in memory.

A `VirtualTree` is a set of servers by name. Each has a host of its own and two doors, for routes
and for leaves, at the usual ports; what it dials is found by host and port. Links have a latency,
can be cut and healed, and servers can be stopped and started again. Whatever is random comes from
one seed.

Used by tests/broker.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

from broker.auth import make_authenticator
from broker.blocks import ClusterBlock, LeafBlock, RemoteBlock
from broker.config import Options
from broker.identity import Authenticator
from broker.leaf import LeafSession
from broker.leafnodes import Leafnodes
from broker.server import Server
from reactor import Reactor, Timer
from reactor.testing import MemorySocket, VirtualReactor, make_reactor, memory_socketpair
from tests.support.virtual_broker import QUIET, VirtualClient, VirtualSocket, newest

LEAF_PORT, ROUTE_PORT = 7422, 6222

_made: list[VirtualTree] = []


def close_all() -> None:
    """Close the reactors of all virtual trees made so far; each holds a few real descriptors."""
    while _made:
        _made.pop().reactor.close()


class TreeNode:
    """One server; `server` is another after a restart."""

    def __init__(
        self,
        tree: VirtualTree,
        name: str,
        settings: dict[str, Any],
        authenticator: Callable[[Options], Authenticator],
    ) -> None:
        self.tree = tree
        self.name = name
        self.host = f"10.0.0.{len(tree.nodes) + 1}"
        self.settings = settings
        self.up = False
        self._authenticator = authenticator
        tree.nodes[name] = self
        self.start()

    def start(self) -> None:
        """A new server with the same settings, that dials whom it is told to."""
        calm: dict[str, Any] = {"first_ping": 120.0, "server_name": self.name, "host": self.host}
        options = Options(**(calm | self.settings))
        server = self.server = Server(self.tree.reactor, options, self._authenticator)
        server.port = 4222
        self.up = True
        if server.cluster is not None:
            server.cluster.dial = self._dial
            server.cluster.solicit()
        server.info = server.make_info()
        if options.leafnodes is not None:
            rng = Random(self.tree.rng.random())
            leafnodes = Leafnodes(server, options.leafnodes, dial=self._dial, rng=rng)
            leafnodes.port = LEAF_PORT
            server.leafnodes = leafnodes
            leafnodes.solicit()

    def _dial(self, *arguments: Any) -> Any:
        return self.tree.dial(self, *arguments)

    def kill(self) -> None:
        """Gone at once: the others read the end of its connections, and it says nothing."""
        self.up = False
        for peers in (self.server.cluster, self.server.leafnodes):
            if peers is not None:
                peers.close()
        for connection in [*self.server._streams.values()]:
            connection.stream.abort()

    def door(self, port: int) -> Callable[[Any, Any], object] | None:
        """What takes those who come to this port."""
        server = self.server
        leafnodes = server.leafnodes
        if port == LEAF_PORT and leafnodes is not None and leafnodes.block.port is not None:
            return leafnodes.admit
        if port == ROUTE_PORT and server.cluster is not None:
            return server.cluster.admit
        return None

    def client(self, hello: bytes = QUIET) -> VirtualClient:
        """A client that has said ``hello``."""
        reactor = self.tree.reactor
        ours, theirs = memory_socketpair(reactor.demultiplexer, capacity=1 << 20)
        self.server.admit(ours, ("127.0.0.1", 5000))
        connection = newest(self.server)
        reactor.settle()
        client = VirtualClient(reactor, ours, theirs, connection)
        client.take()
        client.send(hello)
        return client

    def knock(self, address: str = "10.0.0.99") -> VirtualSocket:
        """Somebody by hand at the door for leaves."""
        reactor = self.tree.reactor
        ours, theirs = memory_socketpair(reactor.demultiplexer, capacity=1 << 20)
        door = self.door(LEAF_PORT)
        assert door is not None
        door(ours, (address, 40000))
        reactor.settle()
        return VirtualSocket(reactor, theirs)

    def links(self) -> list[LeafSession]:
        """The leaf links that are up."""
        return [] if self.server.leafnodes is None else [*self.server.leafnodes._ready]

    def joined(self) -> list[str]:
        """The names of the servers at the other ends of those."""
        return sorted(link.remote_name for link in self.links())


class _Attempt:
    def __init__(self, timer: Timer) -> None:
        self._timer = timer

    def cancel(self) -> None:
        self._timer.cancel()


class VirtualTree:
    """Servers, made one by one; see `node`, `leaf` and `run`."""

    def __init__(self, *, latency: float = 0.001, seed: int = 0) -> None:
        self.rng = Random(seed)
        self.reactor: VirtualReactor = make_reactor(rng=Random(seed))
        self.latency = latency
        self.nodes: dict[str, TreeNode] = {}
        self.dialled: list[tuple[float, str, tuple[str, int]]] = []
        self._cut: set[frozenset[str]] = set()
        self._wires: list[tuple[frozenset[str], MemorySocket, MemorySocket]] = []
        _made.append(self)

    def node(
        self,
        name: str,
        *hubs: str,
        cluster: str = "",
        routes: tuple[str, ...] = (),
        remote: dict[str, Any] | None = None,
        login: str = "",
        authenticator: Callable[[Options], Authenticator] = make_authenticator,
        door: bool = True,
        leaf: dict[str, Any] | None = None,
        **settings: Any,
    ) -> TreeNode:
        """A server that is a leaf of each of `hubs` and has a door for leaves, and is a node of
        `cluster` with `routes` if it is in one. ``remote`` and ``leaf`` are settings of the blocks,
        ``login`` stands before the host.
        """
        remotes = tuple(
            RemoteBlock((f"nats-leaf://{login}{self.host(hub)}:{LEAF_PORT}",), **(remote or {}))
            for hub in hubs
        )
        if door or remotes:
            port = LEAF_PORT if door else None
            settings["leafnodes"] = LeafBlock(port=port, remotes=remotes, **(leaf or {}))
        if cluster:
            urls = tuple(f"nats-route://{self.host(other)}:{ROUTE_PORT}" for other in routes)
            settings["cluster"] = ClusterBlock(
                name=cluster, host=f"10.0.0.{len(self.nodes) + 1}", port=ROUTE_PORT, routes=urls
            )
        return TreeNode(self, name, settings, authenticator)

    def host(self, name: str) -> str:
        """Where a server is, or will be that is made next."""
        if name in self.nodes:
            return self.nodes[name].host
        return f"10.0.0.{len(self.nodes) + 2}"

    def __getitem__(self, name: str) -> TreeNode:
        return self.nodes[name]

    def run(self, seconds: float = 3.0) -> None:
        """Let so much time pass; the default is enough for all to find each other."""
        self.reactor.run_for(seconds)

    # --- the network

    def dial(
        self,
        caller: TreeNode,
        reactor: Reactor,
        address: tuple[str, int],
        on_socket: Callable[[Any], object],
        on_error: Callable[[OSError], object],
    ) -> _Attempt:
        """What takes the place of a connector."""
        self.dialled.append((round(reactor.now(), 3), caller.name, address))

        def arrive() -> None:
            if not caller.up:
                return
            node = next((one for one in self.nodes.values() if one.host == address[0]), None)
            door = node.door(address[1]) if node is not None and node.up else None
            pair = frozenset((caller.name, node.name)) if node is not None else frozenset()
            if door is None or pair in self._cut:
                on_error(ConnectionRefusedError(111, "Connection refused"))
                return
            ours, theirs = memory_socketpair(
                self.reactor.demultiplexer, capacity=1 << 20, latency=self.latency
            )
            self._wires.append((pair, ours, theirs))
            door(theirs, (caller.host, 40000))
            on_socket(ours)

        return _Attempt(reactor.call_later(self.latency, arrive))

    def cut(self, one: str, other: str) -> None:
        """Break every connection between two servers, and let no new one come."""
        pair = frozenset((one, other))
        self._cut.add(pair)
        for wire in [wire for wire in self._wires if wire[0] == pair]:
            self._wires.remove(wire)
            for sock in wire[1:]:
                if sock.fileno() >= 0:
                    sock.fail_recv(ConnectionResetError(104, "Connection reset by peer"))

    def heal(self, one: str, other: str) -> None:
        """Let connections come again."""
        self._cut.discard(frozenset((one, other)))
