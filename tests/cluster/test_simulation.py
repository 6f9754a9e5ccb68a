"""Thousands of schedules of what can go wrong between nodes, on one clock in memory, by seed.

What always holds: nobody hears a message twice, and what one publisher publishes is heard in order.
What holds when all is well again: every node is connected to every other, each knows exactly what
the others want, and every message is heard once by everybody who wants it.

A seed that fails fails again: `run(seed)` is all there is. The check plays 300 schedules;
``SIMULATION_BATCHES=200 python -m pytest tests/cluster/test_simulation.py`` plays 3,000.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from random import Random

import pytest

from tests.support.virtual_broker import VirtualClient
from tests.support.virtual_cluster import Node, VirtualCluster, close_all

#: Each of these plays many schedules, so that a failure names a range that is soon searched.
BATCHES = int(os.environ.get("SIMULATION_BATCHES", "20"))
PER_BATCH = 15

MESSAGE = re.compile(rb"MSG news\.(\d+) (\d+) (\d+)\r\n(\d+)\r\n")


class Reader:
    """A client that listens to all news, and what it has heard of each publisher."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.client: VirtualClient = node.client()
        self.client.send(b"SUB news.* 1\r\n")
        self.heard: dict[int, list[int]] = {}

    def listen(self) -> None:
        """Take what has come; it must be newer than all before."""
        for subject, _, _, number in MESSAGE.findall(self.client.take()):
            before = self.heard.setdefault(int(subject), [])
            assert not before or before[-1] < int(number), "twice, or out of order"
            before.append(int(number))


class Story:
    """One schedule."""

    def __init__(self, seed: int) -> None:
        self.rng = rng = Random(seed)
        count = rng.randint(2, 5)
        shapes: list[Callable[[int], list[int]]] = [
            lambda number: [0] if number else [],
            lambda number: [number - 1] if number else [],
            lambda number: [other for other in range(count) if other != number],
        ]
        latency = rng.choice([0.0005, 0.01, 0.2])
        self.cluster = VirtualCluster(count, routes=rng.choice(shapes), latency=latency, seed=seed)
        self.readers: list[Reader] = []
        self.published = 0

    def play(self) -> None:
        """What goes wrong, then what must hold."""
        acts = [self.cut, self.heal, self.kill, self.start, self.come, self.go, self.publish]
        for _ in range(self.rng.randint(5, 30)):
            self.rng.choice(acts)()
            self.cluster.run(self.rng.choice([0.0, 0.001, 0.1, 1.5, 7.0]))
            for reader in self.readers:
                reader.listen()
        self.mend()
        self.check()

    def node(self) -> Node | None:
        up = [node for node in self.cluster.nodes if node.up]
        return self.rng.choice(up) if up else None

    def pair(self) -> tuple[str, str]:
        one, other = self.rng.sample(self.cluster.nodes, 2)
        return one.name, other.name

    def cut(self) -> None:
        self.cluster.cut(*self.pair())

    def heal(self) -> None:
        self.cluster.heal(*self.pair())

    def kill(self) -> None:
        if node := self.node():
            node.kill()
            self.readers = [reader for reader in self.readers if reader.node is not node]

    def start(self) -> None:
        for node in self.cluster.nodes:
            if not node.up:
                node.start()
                return

    def come(self) -> None:
        if node := self.node():
            self.readers.append(Reader(node))

    def go(self) -> None:
        if self.readers:
            reader = self.readers.pop(self.rng.randrange(len(self.readers)))
            reader.client.socket.close()

    def publish(self) -> None:
        if node := self.node():
            client = node.client()
            publisher = self.published = self.published + 1
            for number in range(self.rng.randint(1, 20)):
                text = b"%d" % number
                client.send(b"PUB news.%d %d\r\n%s\r\n" % (publisher, len(text), text))

    def mend(self) -> None:
        for node in self.cluster.nodes:
            if not node.up:
                node.start()
            for other in self.cluster.nodes:
                self.cluster.heal(node.name, other.name)
        self.cluster.run(60.0)
        for reader in self.readers:
            reader.listen()
            reader.heard.clear()

    def check(self) -> None:
        nodes = self.cluster.nodes
        assert self.cluster.is_whole(), [node.routes() for node in nodes]
        for node in nodes:
            for other in nodes:
                if other is not node:
                    assert other.wanted() == node.heard(other)
        self.readers += map(Reader, nodes)
        self.cluster.run(5.0)
        for number, node in enumerate(nodes):
            node.client().send(b"PUB news.%d 1\r\n7\r\n" % number)
        self.cluster.run(5.0)
        for reader in self.readers:
            reader.listen()
            assert {number: [7] for number in range(len(nodes))} == reader.heard


def run(seed: int) -> None:
    """Play one schedule."""
    try:
        Story(seed).play()
    except BaseException as error:
        error.args = (f"seed {seed}", *error.args)
        raise
    finally:
        close_all()


@pytest.mark.parametrize("batch", range(BATCHES))
def test_whatever_happens_nothing_is_doubled_and_all_is_well_in_the_end(batch: int) -> None:
    for seed in range(batch * PER_BATCH, (batch + 1) * PER_BATCH):
        run(seed)
