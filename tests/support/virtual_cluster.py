"""A whole cluster in virtual time: real servers and routes on one clock, sockets in memory.

`VirtualCluster` is nodes and the network between them: links have a latency, can be cut and healed,
and nodes can be stopped and started again. Whatever is random comes from one seed, so a schedule
that breaks something can be played again.

Used by tests/broker and tests/cluster.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from random import Random
from typing import Any

from broker.blocks import ClusterBlock
from broker.config import Options
from broker.interest import Key
from broker.server import Server
from reactor import Reactor, Timer
from reactor.testing import MemorySocket, VirtualReactor, make_reactor, memory_socketpair
from tests.support.virtual_broker import QUIET, VirtualClient, VirtualSocket, newest

PORT = 6222

_made: list[VirtualCluster] = []


def close_all() -> None:
    """Close the reactors of all virtual clusters made so far; each holds a few real descriptors."""
    while _made:
        _made.pop().reactor.close()


class Node:
    """One server of a virtual cluster, by its number; `server` is another after a restart."""

    def __init__(self, cluster: VirtualCluster, number: int, settings: dict[str, Any]) -> None:
        self.name = "ABCDEFGH"[number]
        self.host = f"10.0.0.{number + 1}"
        self.cluster = cluster
        self.block: ClusterBlock = settings.pop("cluster")
        self.settings = settings
        self.up = False
        self.start()

    def start(self) -> None:
        """A new server with the same settings, that dials whom it is told to."""
        virtual = self.cluster
        options = Options(
            host=self.host, server_name=self.name, cluster=self.block, **self.settings
        )
        self.server = Server(virtual.reactor, options)
        assert self.server.cluster is not None
        self.server.port = 4222
        # Of the real ones, which are random, depends who waits for whom.
        self.server.server_id = f"N{virtual.rng.random():.16f}"
        self.server.cluster.roster.server_id = self.server.server_id
        self.server.info = self.server.make_info()
        self.server.cluster.rng = virtual.rng
        self.server.cluster.dial = lambda *arguments: virtual.dial(self, *arguments)
        self.server.cluster.solicit()
        self.up = True

    def kill(self) -> None:
        """Gone at once: the others read the end of its connections, and it says nothing."""
        self.up = False
        assert self.server.cluster is not None
        self.server.cluster.close()
        for connection in [*self.server._streams.values()]:
            connection.stream.abort()

    def client(self, hello: bytes = QUIET) -> VirtualClient:
        """A client of this node that has said ``hello``."""
        ours, theirs = memory_socketpair(self.cluster.reactor.demultiplexer, capacity=1 << 20)
        self.server.admit(ours, ("127.0.0.1", 5000))
        connection = newest(self.server)
        self.cluster.reactor.settle()
        client = VirtualClient(self.cluster.reactor, ours, theirs, connection)
        client.take()
        client.send(hello)
        return client

    def routes(self) -> set[str]:
        """The names of the nodes to which there is a route."""
        assert self.server.cluster is not None
        routes = self.server.cluster.roster.routes.values()
        return {one.remote.server_name for one in routes if one.remote is not None}

    def wanted(self) -> dict[Key, int]:
        """What this node tells the others that it wants."""
        assert self.server.cluster is not None
        counts = self.server.cluster.roster.interest.counts()
        return {key: count if key.queue else 1 for key, count in counts.items()}

    def heard(self, other: Node) -> dict[Key, int]:
        """What the others' node has told this one."""
        assert self.server.cluster is not None
        session = self.server.cluster.roster.routes[other.server.server_id]
        found: dict[Key, int] = {}
        for one in self.server.switchboard.subscriptions(session.link):
            origin = getattr(one, "origin", b"")
            weight = getattr(one, "weight", 0)
            found[Key(one.account.name, origin, one.filter, one.queue)] = weight if one.queue else 1
        return found


class RawPeer(VirtualSocket):
    """Another server, played by hand, that has dialled a node."""

    def __init__(self, node: Node, address: str = "10.0.0.99") -> None:
        ours, theirs = memory_socketpair(node.cluster.reactor.demultiplexer, capacity=1 << 20)
        super().__init__(node.cluster.reactor, theirs)
        assert node.server.cluster is not None
        node.server.cluster.admit(ours, (address, 40000))
        self.reactor.settle()

    def introduce(self, server_id: str = "PEER", name: str = "peer", **more: Any) -> bytes:
        """Say CONNECT and INFO, and return what comes of it."""
        connect = {"name": server_id, "cluster": "C", "headers": True}
        known = {
            "server_id": server_id,
            "server_name": name,
            "host": "h",
            "port": 1,
            "cluster": "C",
        }
        info = json.dumps(known | {"proto": 1, "headers": True} | more)
        return self.ask(f"CONNECT {json.dumps(connect)}\r\nINFO {info}\r\n".encode())


class _Attempt:
    def __init__(self, timer: Timer) -> None:
        self._timer = timer

    def cancel(self) -> None:
        self._timer.cancel()


class VirtualCluster:
    """``count`` nodes, of which each dials those that ``routes`` says (by default all but the first
    dial the first). ``block`` and ``settings`` are for every node.
    """

    def __init__(
        self,
        count: int = 3,
        *,
        routes: Callable[[int], list[int]] = lambda number: [0] if number else [],
        latency: float = 0.001,
        seed: int = 0,
        block: dict[str, Any] | None = None,
        **settings: Any,
    ) -> None:
        self.reactor: VirtualReactor = make_reactor(rng=Random(seed))
        self.rng = Random(seed)
        self.latency = latency
        self.nodes: list[Node] = []
        self._cut: set[frozenset[str]] = set()
        self._wires: list[tuple[frozenset[str], MemorySocket, MemorySocket]] = []
        _made.append(self)
        for number in range(count):
            urls = tuple(f"nats-route://10.0.0.{other + 1}:{PORT}" for other in routes(number))
            given: dict[str, Any] = {"name": "C", "port": PORT, "routes": urls}
            host = f"10.0.0.{number + 1}"
            cluster = ClusterBlock(**(given | {"host": host} | (block or {})))
            calm = {"first_ping": 120.0} | settings  # clients' PINGs are not what is looked at
            self.nodes.append(Node(self, number, {"cluster": cluster, **calm}))

    def __getitem__(self, name: str) -> Node:
        return next(node for node in self.nodes if node.name == name)

    def run(self, seconds: float) -> None:
        """Let so much time pass."""
        self.reactor.run_for(seconds)

    def form(self) -> None:
        """Let pass what a mesh needs to be whole."""
        self.run(5.0)

    def is_whole(self) -> bool:
        """Whether each node that is up is connected to each other."""
        up = {node.name for node in self.nodes if node.up}
        return all(node.routes() == up - {node.name} for node in self.nodes if node.up)

    # --- the network

    def dial(
        self,
        caller: Node,
        reactor: Reactor,
        address: tuple[str, int],
        on_socket: Callable[[Any], object],
        on_error: Callable[[OSError], object],
    ) -> _Attempt:
        """What a node's cluster does in place of a connector."""

        def arrive() -> None:
            node = next((one for one in self.nodes if (one.host, PORT) == address), None)
            if not caller.up:
                return
            pair = frozenset((caller.name, node.name)) if node is not None else frozenset()
            if node is None or not node.up or pair in self._cut:
                on_error(ConnectionRefusedError(111, "Connection refused"))
                return
            ours, theirs = memory_socketpair(
                self.reactor.demultiplexer, capacity=1 << 20, latency=self.latency
            )
            self._wires.append((pair, ours, theirs))
            assert node.server.cluster is not None
            node.server.cluster.admit(theirs, (caller.host, 40000))
            on_socket(ours)

        return _Attempt(reactor.call_later(self.latency, arrive))

    def cut(self, one: str, other: str) -> None:
        """Break every connection between two nodes, and let no new one come."""
        pair = frozenset((one, other))
        self._cut.add(pair)
        self._break(pair)

    def _break(self, pair: frozenset[str]) -> None:
        for wire in [wire for wire in self._wires if wire[0] == pair]:
            self._wires.remove(wire)
            for sock in wire[1:]:
                if sock.fileno() >= 0:
                    sock.fail_recv(ConnectionResetError(104, "Connection reset by peer"))

    def heal(self, one: str, other: str) -> None:
        """Let connections come again."""
        self._cut.discard(frozenset((one, other)))
