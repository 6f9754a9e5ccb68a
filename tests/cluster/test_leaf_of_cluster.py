"""Leaves below a cluster of ours and nats-server: a tree with a mesh in the middle.

``N1`` and ``N2`` are nodes of one cluster, of different make; ``L1`` is a leaf of the first, ``L2``
of the second. Whatever is published anywhere reaches everybody once.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.support.leafworld import OURS, REAL, Node, joined, messages, publish, received, subscribe
from tests.support.raw_client import RawClient

#: Makes of L1, N1, N2, L2.
WORLDS = [(REAL, OURS, REAL, OURS), (OURS, OURS, REAL, REAL), (REAL, OURS, OURS, OURS)]

NODE = """
server_name: {name}
cluster {{ name: C, listen: "127.0.0.1:-1", routes: [{routes}] }}
leafnodes {{ listen: "127.0.0.1:-1" }}
"""

LEAF = """
server_name: {name}
leafnodes {{ reconnect: "100ms", remotes: [ {{ url: "nats-leaf://127.0.0.1:{port}" }} ] }}
"""

_ROUTES = re.compile(r"Listening for route connections on .*:(\d+)")
_subjects = itertools.count()


@pytest.fixture(scope="module", params=WORLDS, ids="-".join)
def world(request: pytest.FixtureRequest) -> Iterator[dict[str, Node]]:
    makes = dict(zip(("L1", "N1", "N2", "L2"), request.param, strict=True))
    with ExitStack() as stack:
        nodes: dict[str, Node] = {}

        def start(name: str, text: str) -> None:
            nodes[name] = stack.enter_context(Node(makes[name], text))

        start("N1", NODE.format(name="N1", routes=""))
        found = _ROUTES.search(nodes["N1"].logged("Listening for route connections on"))
        assert found is not None
        start("N2", NODE.format(name="N2", routes=f'"nats-route://127.0.0.1:{found[1]}"'))
        for leaf, node in (("L1", "N1"), ("L2", "N2")):
            start(leaf, LEAF.format(name=leaf, port=nodes[node].leaf_port))
        yield nodes


@pytest.fixture
def clients(world: dict[str, Node]) -> Iterator[dict[str, RawClient]]:
    """One client of each server."""
    with ExitStack() as stack:
        yield {name: stack.enter_context(node.client()) for name, node in world.items()}


@pytest.fixture
def subject() -> str:
    return f"s{next(_subjects)}"


def all_joined(clients: dict[str, RawClient]) -> None:
    for one, other in itertools.permutations(clients.values(), 2):
        joined(one, other)


def test_everybody_hears_everything_once(clients: dict[str, RawClient], subject: str) -> None:
    for client in clients.values():
        subscribe(client, f"{subject}.*")
    all_joined(clients)
    for name, client in clients.items():
        expected = [f"MSG {subject}.{name} 1 1\r\nx\r\n".encode()]
        assert expected == publish(client, f"{subject}.{name}", "x")
        for other in clients.values():
            assert other is client or expected == received(client, other)


@pytest.mark.parametrize("members", [["L2"], ["L1", "L2"], ["N2", "L1"], ["L1", "N1", "N2", "L2"]])
def test_a_group_over_all_of_them_gets_each_message_once(
    clients: dict[str, RawClient], subject: str, members: list[str]
) -> None:
    for name in members:
        subscribe(clients[name], subject, "1", "g")
    all_joined(clients)
    for client in clients.values():
        frames = [frame for _ in range(20) for frame in publish(client, subject)]
        for other in clients.values():
            if other is not client:
                frames += received(client, other)
        assert 20 == len(frames)


def test_a_request_crosses_both(clients: dict[str, RawClient], subject: str) -> None:
    asker, worker = clients["L1"], clients["L2"]
    subscribe(asker, f"inbox.{subject}", "in")
    subscribe(worker, subject, "w", "workers")
    all_joined(clients)
    assert [] == publish(asker, subject, "?", f"inbox.{subject}")
    assert [f"MSG {subject} w inbox.{subject} 1\r\n?\r\n".encode()] == messages(worker, 1)
    publish(worker, f"inbox.{subject}", "!")
    assert [f"MSG inbox.{subject} in 1\r\n!\r\n".encode()] == messages(asker, 1)


def test_nobody_there_is_said_at_once(clients: dict[str, RawClient], subject: str) -> None:
    subscribe(clients["L1"], f"inbox.{subject}", "in")
    answer = publish(clients["L1"], subject, "?", f"inbox.{subject}")
    assert b"503" in b"".join(answer)
