"""Several brokers in this process, as one cluster, with links that a test can cut: for tests.

    with Broker.cluster(3) as nodes:
        nc = await nats.connect(servers=nodes.urls)
        nodes.cut(0, 1)
        nodes.heal(0, 1)
        nodes[2].stop()

The idea: these are whole brokers, each with a loop and a thread of its own, that find each other by
TCP like any others; a real nats-server could join them. What is added is only in the routes
between them: one that is *cut* ends, and no new one is let in until it is *healed*; one with a
*delay* hands on what it gets so much later, in order.

Invariants: a node keeps its ports when it is stopped and started; inside the `with` block nodes are
connected, unless they were cut or stopped.

Neighbours: `broker.embedded` makes one in `Broker.cluster`; `broker.cluster` does what is asked
here. Thread-safe as `Broker` is.
"""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Any

from broker.blocks import ClusterBlock
from broker.cluster import Cluster
from broker.server import Server

if TYPE_CHECKING:
    from broker.embedded import Broker

__all__ = ["Mesh"]


class Mesh:
    """What `Broker.cluster` returns: ``count`` brokers, numbered from 0 and named ``n0``, ``n1``…

    ``settings`` are those of every `Broker`.
    """

    def __init__(self, make: type[Broker], count: int, name: str, settings: dict[str, Any]) -> None:
        if count < 1:
            raise ValueError(f"a cluster of {count} nodes: give at least 1")
        for taken in ("port", "http_port", "server_name", "cluster"):
            if settings.get(taken):
                raise TypeError(f"{taken} cannot be the same for all nodes; leave it out")
        self._make = make
        self._name = name
        self._settings = settings
        self._count = count
        self._changed = threading.Event()
        self._cut: set[frozenset[int]] = set()
        self.nodes: tuple[Broker, ...] = ()

    def __enter__(self) -> Mesh:
        """Start all nodes, and wait until they are connected. Raises like `start`."""
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop them all, whatever happened in the block."""
        self.stop()

    def __len__(self) -> int:
        return len(self.nodes)

    def __getitem__(self, number: int) -> Broker:
        return self.nodes[number]

    def __iter__(self) -> Iterator[Broker]:
        return iter(self.nodes)

    @property
    def urls(self) -> list[str]:
        """What to give to a client: of each node that runs."""
        return [node.url for node in self.nodes if node.running]

    def start(self) -> None:
        """Start all nodes, and wait until they are connected.

        Raises what `Broker.start` raises, and leaves nothing running then.
        """
        try:
            for number in range(self._count):
                self.nodes = (*self.nodes, self._new(number))
            self.wait()
        except BaseException:
            self.stop()
            raise

    def _new(self, number: int) -> Broker:
        routes = tuple(f"nats-route://127.0.0.1:{node.cluster_port}" for node in self.nodes)
        block = ClusterBlock(self._name, "127.0.0.1", 0, routes)
        settings: dict[str, Any] = {"port": 0, "server_name": f"n{number}", **self._settings}
        node = self._make(cluster=block, **settings)
        node.on_start = self._watch
        node.start()
        # Where it is now it will be again.
        block = dataclasses.replace(block, port=node.cluster_port)
        node.options = node.options.replace(port=node.port, cluster=block)
        return node

    def _watch(self, server: Server) -> None:
        _cluster(server).on_change = self._changed.set

    def stop(self) -> None:
        """Stop all nodes. Idempotent."""
        for node in self.nodes:
            node.stop()

    def wait(self, timeout: float = 10.0) -> None:
        """Return when every node that runs is connected to all others from which it is not cut.

        Raises TimeoutError if that takes longer than ``timeout`` seconds.
        """
        until = time.monotonic() + timeout
        while True:
            self._changed.clear()  # what changes from here on is not missed
            if self._is_whole():
                return
            if not self._changed.wait(max(0.0, until - time.monotonic())):
                raise TimeoutError(f"the nodes were not connected within {timeout} s")

    def _is_whole(self) -> bool:
        running = [number for number, node in enumerate(self.nodes) if node.running]
        for one in running:
            wanted = {
                f"n{other}"
                for other in running
                if other != one and frozenset((one, other)) not in self._cut
            }
            if {route.remote_name for route in self.nodes[one].routes()} != wanted:
                return False
        return True

    # --- faults

    def cut(self, one: int, other: int) -> None:
        """End the route between two nodes, and let none come until `heal`."""
        self._cut.add(frozenset((one, other)))
        for here, there in ((one, other), (other, one)):
            self.nodes[here].on_loop(_Fault("cut", there))

    def heal(self, one: int, other: int) -> None:
        """Let two nodes connect again, and wait until they have."""
        self._cut.discard(frozenset((one, other)))
        for here, there in ((one, other), (other, one)):
            self.nodes[here].on_loop(_Fault("heal", there))
        self.wait()

    def delay(self, one: int, other: int, seconds: float) -> None:
        """Have what these two nodes send each other arrive so much later; 0 undoes it."""
        for here, there in ((one, other), (other, one)):
            self.nodes[here].on_loop(_Fault("delay", there, seconds))


@dataclasses.dataclass(frozen=True)
class _Fault:
    """Something to be done to the link to a node, by its number."""

    what: str
    number: int
    seconds: float = 0.0

    def __call__(self, server: Server) -> None:
        cluster, name = _cluster(server), f"n{self.number}"
        if self.what == "cut":
            cluster.cut(name)
        elif self.what == "heal":
            cluster.heal(name)
        else:
            cluster.delay(name, self.seconds)


def _cluster(server: Server) -> Cluster:
    assert server.cluster is not None  # each node of ours was made with a block
    return server.cluster
