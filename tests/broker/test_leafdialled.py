"""The handshake of a leaf link that we dialled; the other side is played by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from broker.nkeys import signature, verify
from tests.broker.test_seeds import PUBLIC, SEED, credentials
from tests.support.virtual_broker import VirtualSocket
from tests.support.virtual_tree import TreeNode, VirtualTree

INFO = {
    "server_id": "ID",
    "server_name": "HUB",
    "headers": True,
    "client_id": 7,
    "nonce": "abc",
    "info_on_connect": True,
    "leafnode_urls": ["10.0.0.1:7422"],
}


class Hub:
    """A hub in a few lines. ``leaf`` is the server that dials it."""

    def __init__(self, *, login: str = "", **remote: Any) -> None:
        self.tree = VirtualTree()
        node = self.tree.node("HUB")
        self._sockets: list[Any] = []
        take = self._sockets.append
        node.door = lambda port: lambda sock, address: take(sock)  # type: ignore[method-assign]
        self.leaf: TreeNode = self.tree.node("LEAF", "HUB", remote=remote, login=login, door=False)
        self.tree.run(0.1)

    @property
    def link(self) -> VirtualSocket:
        """The connection that was dialled last."""
        return VirtualSocket(self.tree.reactor, self._sockets[-1])

    @property
    def dialled(self) -> int:
        return len(self._sockets)

    def say(self, **fields: Any) -> bytes:
        """Say INFO, and return what comes of it."""
        self.link.send(f"INFO {json.dumps({**INFO, **fields})}\r\n".encode())
        self.tree.run(0.1)
        return self.link.take()

    def connect(self, **fields: Any) -> dict[str, Any]:
        """Greet, and return what CONNECT says."""
        line = self.say(**fields)
        assert line.startswith(b"CONNECT ")
        told: dict[str, Any] = json.loads(line[8:])
        return told

    def admit(self, **fields: Any) -> list[bytes]:
        """Let it in, and return what it wants."""
        return self.say(connect_info=True, remote_account="X", **fields).split(b"\r\n")[:-1]


def test_it_waits_for_the_greeting_and_says_who_it_is() -> None:
    hub = Hub()
    assert b"" == hub.link.take()
    told = hub.connect()
    assert {
        "name": "LEAF",
        "cluster": "LEAF",
        "headers": True,
        "compress_mode": "not supported",
        "remote_account": "$G",
        "protocol": 1,
        "version": "2.15.1",
        "server_id": hub.leaf.server.server_id,
    } == told
    assert [] == hub.leaf.joined()


def test_when_it_is_let_in_it_says_what_it_wants() -> None:
    hub = Hub()
    hub.leaf.client().send(b"SUB foo 1\r\n")
    hub.connect()
    wanted = hub.admit()
    assert b"LS+ foo" in wanted
    assert ["HUB"] == hub.leaf.joined()
    link = hub.leaf.links()[0]
    assert ("X", True) == (link.remote_account, link.spoke)


def test_a_hub_that_tells_nothing_more_is_joined_at_once() -> None:
    hub = Hub()
    lines = hub.say(info_on_connect=False).split(b"\r\n")
    assert lines[0].startswith(b"CONNECT ")
    assert lines[1].startswith(b"LS+ $LDS.")


def test_user_and_password_are_those_of_the_url() -> None:
    told = Hub(login="ann:s%40cret@").connect()
    assert ("ann", "s@cret") == (told["user"], told["pass"])
    assert "auth_token" not in told


def test_a_user_alone_may_be_a_token() -> None:
    told = Hub(login="t0ken@").connect()
    assert ("t0ken", "t0ken") == (told["user"], told["auth_token"])


def test_a_seed_signs_the_nonce() -> None:
    told = Hub(nkey=SEED).connect(nonce="something")
    given = signature(told["sig"])
    assert PUBLIC == told["nkey"]
    assert given is not None
    assert verify(PUBLIC, given, b"something")
    assert SEED not in str(told)


def test_credentials_are_read_when_they_are_needed(tmp_path: Path) -> None:
    path = tmp_path / "a.creds"
    hub = Hub(credentials=str(path))
    assert b"" == hub.say()
    assert hub.link.ended
    path.write_text(credentials("a.b.c", SEED))
    hub.tree.run(1.2)
    told = hub.connect(nonce="something")
    given = signature(told["sig"])
    assert "a.b.c" == told["jwt"]
    assert "nkey" not in told
    assert given is not None
    assert verify(PUBLIC, given, b"something")


def test_what_it_denies_and_asks_for_is_told() -> None:
    told = Hub(
        deny_imports=(b"a", b"b.>"), deny_exports=(b"c",), request_isolation=True, hub=True
    ).connect()
    assert ["a", "b.>"] == told["deny_pub"]
    assert (True, True) == (told["isolate"], told["is_hub"])


@pytest.mark.parametrize("greeting", [{"client_id": 0}, {"leafnode_urls": []}])
def test_what_is_no_door_for_leaves_is_left(greeting: dict[str, Any]) -> None:
    hub = Hub()
    assert b"" == hub.say(**greeting)
    assert hub.link.ended
    hub.tree.run(2.0)
    assert 2 == hub.dialled


def test_a_cluster_with_blanks_is_left() -> None:
    hub = Hub()
    assert b"-ERR 'cluster name cannot contain spaces'\r\n" == hub.say(cluster="a b")


def test_a_hub_that_does_not_answer_is_left_after_two_seconds() -> None:
    hub = Hub()
    hub.connect()
    hub.tree.run(1.8)
    assert b"" == hub.link.take()
    hub.tree.run(0.3)
    assert b"-ERR 'Stale Leaf Node Connection - Closing'\r\n" == hub.link.take()


def test_what_may_pass_is_kept_to() -> None:
    hub = Hub()
    client = hub.leaf.client()
    client.send(b"SUB down.a 1\r\nSUB other 2\r\nSUB down.no 3\r\n")
    hub.connect()
    rules: dict[str, Any] = {
        "import": {"allow": ["down.>"], "deny": ["down.no"]},
        "export": {"allow": ["up.>"]},
    }
    wanted = [line for line in hub.admit(**rules) if b"$LDS" not in line]
    assert [b"LS+ down.a"] == wanted
    hub.link.send(b"LS+ >\r\nLMSG down.a 1\r\nx\r\nLMSG down.no 1\r\ny\r\nLMSG other 1\r\nz\r\n")
    hub.tree.run(0.1)
    assert b"MSG down.a 1 1\r\nx\r\n" == client.take()
    client.send(b"PUB up.a 0\r\n\r\nPUB other 0\r\n\r\n")
    hub.tree.run(0.1)
    client.take()
    assert [b"LMSG up.a 0"] == [
        line for line in hub.link.take().split(b"\r\n") if line.startswith(b"LMSG")
    ]
    assert ["HUB"] == hub.leaf.joined()


def test_it_begins_anew_when_what_may_pass_has_changed() -> None:
    hub = Hub()
    hub.connect()
    hub.admit(**{"import": {"allow": ["a"]}})
    hub.say(**{"import": {"allow": ["a"]}})
    assert ["HUB"] == hub.leaf.joined()
    hub.say(**{"import": {"allow": ["b"]}})
    assert [] == hub.leaf.joined()
    hub.tree.run(2.0)
    assert 2 == hub.dialled


@pytest.mark.parametrize(
    "line", [b"INFO {\r\n", b"CONNECT {}\r\n", b"LS+ early\r\n", b"PUB a 0\r\n"]
)
def test_what_a_hub_would_not_say_ends_it(line: bytes) -> None:
    hub = Hub()
    hub.link.send(line)
    hub.tree.run(0.1)
    assert [] == hub.leaf.joined()
    hub.link.take()
    assert hub.link.ended


@pytest.mark.parametrize(
    ("complaint", "wait"),
    [
        ('Loop detected for leafnode account="$G"', 30.0),
        ("remote leafnode has same cluster name", 30.0),
        ("Authorization Violation", 1.0),
    ],
)
def test_a_hub_that_we_harm_is_left_alone_for_longer(complaint: str, wait: float) -> None:
    hub = Hub()
    hub.connect()
    hub.link.send(f"-ERR '{complaint}'\r\n".encode())
    hub.tree.run(0.01)
    hub.link.socket.close()
    hub.tree.run(wait - 0.5)
    assert 1 == hub.dialled
    hub.tree.run(1.5)
    assert 2 == hub.dialled
