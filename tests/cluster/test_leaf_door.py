"""What a hub says, byte by byte, to whoever knocks at its door for leaves: ours as nats-server's.

The leaf is a few lines of raw protocol here, so that it can do what no leaf would.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from broker.nkeys import encode
from broker.seeds import sign
from tests.broker.test_seeds import PUBLIC, SEED
from tests.support.leafworld import OURS, REAL, Node, messages, publish, subscribe
from tests.support.raw_client import RawClient

HUB = f"""
server_name: HUB
accounts {{
  A {{ users: [
    {{user: a, password: a}}
    {{user: limited, password: p, permissions: {{
      publish: {{ allow: ["up.>"], deny: ["up.secret"] }}
      subscribe: {{ allow: ["down.>", "_INBOX.>"], deny: ["down.secret"] }}
    }}}}
    {{user: clients, password: p, allowed_connection_types: [STANDARD]}}
    {{nkey: {PUBLIC}}}
  ] }}
}}
leafnodes {{ listen: "127.0.0.1:-1" }}
"""


@pytest.fixture(scope="module", params=[OURS, REAL])
def hub(request: pytest.FixtureRequest) -> Iterator[Node]:
    with Node(request.param, HUB) as node:
        yield node


class Leaf(RawClient):
    """A leaf in raw lines. ``told`` are the lines that came with the answer to its CONNECT."""

    def __init__(self, hub: Node, **connect: Any) -> None:
        super().__init__(hub.leaf_port)
        fields = {"name": "L", "cluster": "L", "headers": True, "remote_account": "X", **connect}
        self.told = self.ask(b"CONNECT " + json.dumps(fields).encode() + b"\r\n")

    def __enter__(self) -> Leaf:
        return self

    @property
    def connected(self) -> dict[str, Any]:
        """The INFO that came after CONNECT."""
        found = [line for line in self.told if line.startswith(b"INFO ")]
        answer: dict[str, Any] = json.loads(found[0][5:])
        return answer


def leaf(hub: Node, user: str = "a", password: str = "a", **connect: Any) -> Leaf:
    return Leaf(hub, user=user, **{"pass": password}, **connect)


def test_the_greeting_has_what_a_leaf_looks_at(hub: Node) -> None:
    with RawClient(hub.leaf_port) as stranger:
        info = stranger.info
    assert ("HUB", True, True, True) == (
        info["server_name"],
        info["headers"],
        info["auth_required"],
        info["info_on_connect"],
    )
    assert info["client_id"] > 0
    assert [f"127.0.0.1:{hub.leaf_port}"] == info["leafnode_urls"]
    assert f"127.0.0.1:{hub.leaf_port}" == info["ip"]
    assert info["nonce"]
    assert "cluster" not in info


def test_the_answer_to_connect_tells_the_account_and_what_is_wanted(hub: Node) -> None:
    with hub.client(user="a", **{"pass": "a"}) as client:
        subscribe(client, "plain.*", "1")
        subscribe(client, "plain.*", "2")
        subscribe(client, "grouped", "3", "g")
        subscribe(client, "grouped", "4", "g")
        with leaf(hub) as link:
            assert link.connected["connect_info"] is True
            assert "A" == link.connected["remote_account"]
            assert not {"import", "export"} & set(link.connected)
            wanted = [line for line in link.told if line.startswith(b"LS+ ")]
            ours = [line for line in wanted if b"$SYS" not in line and b"$LDS" not in line]
            assert [b"LS+ grouped g 2\r\n", b"LS+ plain.*\r\n"] == sorted(ours)
            assert 1 == len([line for line in wanted if line.startswith(b"LS+ $LDS.")])
            client.ask(b"UNSUB 1\r\nUNSUB 3\r\n")
            assert [b"LS+ grouped g 1\r\n"] == link.ask(b"")
            client.ask(b"UNSUB 2\r\nUNSUB 4\r\n")
            assert [b"LS- plain.*\r\n", b"LS- grouped g\r\n"] == link.ask(b"")


def test_messages_go_both_ways(hub: Node) -> None:
    with hub.client(user="a", **{"pass": "a"}) as client, leaf(hub) as link:
        subscribe(client, "up.*")
        link.ask(b"LS+ down\r\nLS+ q g 2\r\nLMSG up.1 2\r\nhi\r\nLMSG up.2 back 2\r\nho\r\n")
        link.ask(b"HMSG up.3 12 14\r\nNATS/1.0\r\n\r\nhu\r\n")
        assert [
            b"MSG up.1 1 2\r\nhi\r\n",
            b"MSG up.2 1 back 2\r\nho\r\n",
            b"HMSG up.3 1 12 14\r\nNATS/1.0\r\n\r\nhu\r\n",
        ] == messages(client, 3)
        publish(client, "down", "x")
        publish(client, "down", "y", "back")
        publish(client, "q", "z")
        publish(client, "q", "w", "back")
        lines = [line for line in link.ask(b"") if not line.startswith(b"LS")]
        assert [
            b"LMSG down 1\r\n",
            b"x\r\n",
            b"LMSG down back 1\r\n",
            b"y\r\n",
            b"LMSG q | g 1\r\n",
            b"z\r\n",
            b"LMSG q + back g 1\r\n",
            b"w\r\n",
        ] == lines


def test_a_message_serves_only_the_groups_that_it_names(hub: Node) -> None:
    with hub.client(user="a", **{"pass": "a"}) as client, leaf(hub) as link:
        for sid, group in (("g", "g"), ("h", "h"), ("plain", "")):
            subscribe(client, "job", sid, group)
        link.ask(b"LMSG job 0\r\n\r\nLMSG job | g 0\r\n\r\nLMSG job + r h g 0\r\n\r\n")
        told = sorted(frame.split()[2] for frame in messages(client, 6))
        assert [b"g", b"g", b"h", b"plain", b"plain", b"plain"] == told


def test_what_came_from_a_cluster_does_not_go_back_to_it(hub: Node) -> None:
    with (
        leaf(hub, name="L1", cluster="C") as one,
        leaf(hub, name="L2", cluster="C") as two,
        leaf(hub, name="L3", cluster="D") as three,
    ):
        one.ask(b"")
        for link in (one, two, three):
            link.ask(b"LS+ echo\r\n")
        assert 1 == two.ask(b"").count(b"LS+ echo\r\n")  # of the third
        one.ask(b"LMSG echo 1\r\nx\r\n")
        assert b"LMSG echo 1\r\n" in three.ask(b"")
        assert b"LMSG echo 1\r\n" not in two.ask(b"")
        assert b"LMSG echo 1\r\n" not in one.ask(b"")


# --- who may come in


def refusals(link: Leaf) -> list[bytes]:
    return [line for line in link.told + link.read_to_end() if line.startswith(b"-ERR")]


@pytest.mark.parametrize(
    "connect",
    [
        {"user": "a", "pass": "wrong"},
        {"user": "nobody", "pass": "a"},
        {"user": "clients", "pass": "p"},
        {},
        {"nkey": PUBLIC, "sig": "AAAA"},
        {"nkey": encode("U", bytes(32)), "sig": "AAAA"},
    ],
)
def test_who_does_not_prove_who_it_is_stays_outside(hub: Node, connect: dict[str, str]) -> None:
    with Leaf(hub, **connect) as link:
        assert [b"-ERR 'Authorization Violation'\r\n"] == refusals(link)
        assert link.ended


def test_the_owner_of_a_key_comes_in(hub: Node) -> None:
    with RawClient(hub.leaf_port) as link:
        signed = sign(SEED, link.info["nonce"])
        fields = {"name": "K", "cluster": "K", "nkey": signed.key, "sig": signed.text}
        told = link.ask(b"CONNECT " + json.dumps(fields).encode() + b"\r\n")
        assert any(b'"connect_info":true' in line for line in told)


@pytest.mark.parametrize(
    ("connect", "problem"),
    [
        ({"lang": "python3"}, b"attempted to connect to leaf node port"),
        ({"cluster": "a b"}, b"cluster name cannot contain spaces"),
        ({"gateway": "G"}, b'Rejecting connection from gateway "G" on the leafnode port'),
    ],
)
def test_who_came_to_the_wrong_door_is_told(
    hub: Node, connect: dict[str, str], problem: bytes
) -> None:
    with leaf(hub, **connect) as link:
        assert [b"-ERR '" + problem + b"'\r\n"] == refusals(link)


def test_nothing_is_taken_before_connect(hub: Node) -> None:
    with RawClient(hub.leaf_port) as stranger:
        stranger.send(b"LS+ foo\r\n")
        assert [b"-ERR 'Authorization Violation'\r\n"] == stranger.read_to_end()


def test_the_same_server_again_replaces_its_former_self(hub: Node) -> None:
    with leaf(hub, name="TWICE") as old, leaf(hub, name="TWICE") as new:
        assert [b"-ERR 'Duplicate Remote LeafNode Connection'\r\n"] == [
            line for line in old.read_to_end() if line.startswith(b"-ERR")
        ]
        assert new.connected["connect_info"] is True


# --- what may pass


def limited(hub: Node, **connect: Any) -> Leaf:
    return leaf(hub, "limited", "p", **connect)


def test_a_leaf_is_told_what_may_pass(hub: Node) -> None:
    with limited(hub) as link:
        assert {"allow": ["up.>"], "deny": ["up.secret"]} == link.connected["export"]
        assert {
            "allow": ["down.>", "_INBOX.>"],
            "deny": ["down.secret"],
        } == link.connected["import"]


@pytest.mark.parametrize("subject", ["down.x", "up.secret", "other"])
def test_a_leaf_that_publishes_what_it_may_not_is_cut_off(hub: Node, subject: str) -> None:
    with limited(hub) as link:
        link.send(f"LMSG {subject} 1\r\nx\r\n".encode())
        said = f"-ERR 'Permissions Violation for Publish to \"{subject}\"'\r\n".encode()
        assert said in link.read_to_end()


@pytest.mark.parametrize("subject", ["up.x", "down.secret", "other"])
def test_a_leaf_that_wants_what_it_may_not_is_cut_off(hub: Node, subject: str) -> None:
    with limited(hub) as link:
        link.send(f"LS+ {subject}\r\n".encode())
        said = f"-ERR 'Permissions Violation for Subscription to \"{subject}\"'\r\n".encode()
        assert said in link.read_to_end()


def test_of_a_wide_interest_a_leaf_gets_what_it_may(hub: Node) -> None:
    with hub.client(user="a", **{"pass": "a"}) as client, limited(hub) as link:
        link.ask(b"LS+ >\r\n")
        for subject in ("other", "down.secret", "up.a", "down.a", "_INBOX.b"):
            publish(client, subject)
        lines = [line for line in link.ask(b"") if line.startswith(b"LMSG")]
        assert [b"LMSG down.a 0\r\n", b"LMSG _INBOX.b 0\r\n"] == lines


def test_a_leaf_is_told_only_of_interest_that_it_can_serve(hub: Node) -> None:
    with hub.client(user="a", **{"pass": "a"}) as client, limited(hub) as link:
        for number, subject in enumerate(("up.x", "up.secret", "other", "up.*", "down.x")):
            subscribe(client, subject, str(number))
        told = [line for line in link.ask(b"") if line.startswith(b"LS+")]
        assert [b"LS+ up.x\r\n", b"LS+ up.*\r\n"] == told


def test_what_a_leaf_denies_itself_is_not_sent_to_it(hub: Node) -> None:
    with hub.client(user="a", **{"pass": "a"}) as client, leaf(hub, deny_pub=["no.>"]) as link:
        link.ask(b"LS+ >\r\n")
        publish(client, "no.a")
        publish(client, "yes.a")
        lines = [line for line in link.ask(b"") if line.startswith(b"LMSG")]
        assert [b"LMSG yes.a 0\r\n"] == lines


# --- loops


def test_who_says_our_own_loop_subject_is_cut_off(hub: Node) -> None:
    with leaf(hub) as link:
        own = next(line for line in link.told if line.startswith(b"LS+ $LDS."))
        link.send(own)
        said = (
            b'-ERR \'Loop detected for leafnode account="A". '
            b"Delaying attempt to reconnect for 30s'\r\n"
        )
        assert said in link.read_to_end()


def test_the_loop_subjects_of_leaves_are_passed_on(hub: Node) -> None:
    with leaf(hub, name="L1", cluster="L1") as one, leaf(hub, name="L2", cluster="L2") as two:
        one.ask(b"LS+ $LDS.of.one\r\n")
        assert b"LS+ $LDS.of.one\r\n" in two.ask(b"")


def test_an_isolated_leaf_hears_nothing_of_other_leaves(hub: Node) -> None:
    with (
        leaf(hub, name="L1", cluster="L1") as one,
        leaf(hub, name="L2", cluster="L2", isolate=True) as two,
        hub.client(user="a", **{"pass": "a"}) as client,
    ):
        one.ask(b"LS+ from.leaf\r\n")
        subscribe(client, "from.client")
        told = two.ask(b"")
        assert b"LS+ from.client\r\n" in told
        assert b"LS+ from.leaf\r\n" not in told
