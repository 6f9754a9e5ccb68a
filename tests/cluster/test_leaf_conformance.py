"""A leaf under a hub, in all pairings of ours and nats-server: the same is seen in all of them.

Two accounts are joined by two links, as each link belongs to one account. The pairing of two real
servers is among them, as proof that the cases expect what nats-server does.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.support.leafworld import (
    OURS,
    REAL,
    Node,
    joined,
    messages,
    publish,
    received,
    subscribe,
)
from tests.support.raw_client import RawClient

PAIRINGS = [(REAL, OURS), (OURS, REAL), (OURS, OURS), (REAL, REAL)]

HUB = """
server_name: HUB
accounts {
  A { users: [{user: a, password: a}] }
  B { users: [{user: b, password: b}] }
}
leafnodes {
  listen: "127.0.0.1:-1"
  authorization {
    users: [ {user: la, password: pa, account: A}, {user: lb, password: pb, account: B} ]
  }
}
"""

LEAF = """
server_name: LEAF
accounts {
  A { users: [{user: a, password: a}] }
  B { users: [{user: b, password: b}] }
}
leafnodes {
  reconnect: "100ms"
  remotes: [
    { url: "nats-leaf://la:pa@127.0.0.1:PORT", account: A }
    { url: "nats-leaf://lb:pb@127.0.0.1:PORT", account: B }
  ]
}
"""

_subjects = itertools.count()


class World:
    """A hub and a leaf. Clients of either are made for one test and closed after it."""

    def __init__(self, hub: Node, leaf: Node) -> None:
        self.hub = hub
        self.leaf = leaf
        self.clients = ExitStack()

    def client(self, node: Node, account: str = "a") -> RawClient:
        """A client of one of the two."""
        made = node.client(user=account, **{"pass": account})
        return self.clients.enter_context(made)

    def pair(self, account: str = "a") -> tuple[RawClient, RawClient]:
        """A client of the hub and one of the leaf, with the link between them up."""
        above, below = self.client(self.hub, account), self.client(self.leaf, account)
        joined(above, below)
        joined(below, above)
        return above, below


@pytest.fixture(scope="module", params=PAIRINGS, ids="-under-".join)
def servers(request: pytest.FixtureRequest) -> Iterator[tuple[Node, Node]]:
    leaf_make, hub_make = request.param
    with (
        Node(hub_make, HUB) as hub,
        Node(leaf_make, LEAF.replace("PORT", str(hub.leaf_port))) as leaf,
    ):
        yield hub, leaf


@pytest.fixture
def world(servers: tuple[Node, Node]) -> Iterator[World]:
    world = World(*servers)
    with world.clients:
        yield world


@pytest.fixture
def subject() -> str:
    """A subject that no other test uses."""
    return f"s{next(_subjects)}"


@pytest.fixture(params=["down", "up"])
def ends(world: World, request: pytest.FixtureRequest) -> tuple[RawClient, RawClient]:
    """A client that publishes and one at the other end that subscribes, in both directions."""
    above, below = world.pair()
    return (above, below) if request.param == "down" else (below, above)


Ends = tuple[RawClient, RawClient]


def test_a_message_arrives_whole(ends: Ends, subject: str) -> None:
    here, there = ends
    subscribe(there, f"{subject}.*", "7")
    joined(here, there)
    publish(here, f"{subject}.a", "hello")
    publish(here, f"{subject}.b", "", "answer.to")
    expected = [
        f"MSG {subject}.a 7 5\r\nhello\r\n".encode(),
        f"MSG {subject}.b 7 answer.to 0\r\n\r\n".encode(),
    ]
    assert expected == messages(there, 2)


def test_headers_arrive(ends: Ends, subject: str) -> None:
    here, there = ends
    subscribe(there, subject)
    joined(here, there)
    here.ask(f"HPUB {subject} r 20 22\r\nNATS/1.0\r\nA: bcd\r\n\r\nhi\r\n".encode())
    expected = f"HMSG {subject} 1 r 20 22\r\nNATS/1.0\r\nA: bcd\r\n\r\nhi\r\n".encode()
    assert [expected] == messages(there, 1)


@pytest.mark.parametrize("filter", ["{}.a.b", "{}.*.b", "{}.a.*", "{}.>", "{}.*.*"])
def test_wildcards_reach_across(ends: Ends, subject: str, filter: str) -> None:
    here, there = ends
    subscribe(there, filter.format(subject))
    joined(here, there)
    publish(here, f"{subject}.a.b", "x")
    assert [f"MSG {subject}.a.b 1 1\r\nx\r\n".encode()] == received(here, there)


def test_what_nobody_wants_does_not_arrive(ends: Ends, subject: str) -> None:
    here, there = ends
    subscribe(there, f"{subject}.a")
    joined(here, there)
    publish(here, f"{subject}.b")
    publish(here, subject)
    assert [] == received(here, there)


def test_each_subscription_gets_a_copy(ends: Ends, subject: str) -> None:
    here, there = ends
    for sid, filter in (("1", subject), ("2", subject), ("3", ">")):
        subscribe(there, filter, sid)
    joined(here, there)
    publish(here, subject, "x")
    heard = received(here, there)
    copies = Counter(frame.split()[2] for frame in heard if subject.encode() in frame)
    assert Counter([b"1", b"2", b"3"]) == copies


def test_the_publisher_gets_its_own_once(ends: Ends, subject: str) -> None:
    here, there = ends
    subscribe(here, subject)
    subscribe(there, subject)
    joined(here, there)
    joined(there, here)
    own = publish(here, subject, "x")
    assert [f"MSG {subject} 1 1\r\nx\r\n".encode()] == received(here, there)
    assert [f"MSG {subject} 1 1\r\nx\r\n".encode()] == own + received(there, here)


def test_a_large_payload_arrives(ends: Ends, subject: str) -> None:
    here, there = ends
    subscribe(there, subject)
    joined(here, there)
    payload = "0123456789" * 100_000
    publish(here, subject, payload)
    assert [f"MSG {subject} 1 1000000\r\n{payload}\r\n".encode()] == messages(there, 1)


def test_every_message_arrives_once_and_in_order(world: World, subject: str) -> None:
    above, below = world.pair()
    for client in (above, below):
        subscribe(client, f"{subject}.>")
    joined(above, below)
    joined(below, above)
    count = 1000
    for name, client in (("above", above), ("below", below)):
        lines = (f"PUB {subject}.{name}.{n} 1\r\nx\r\n" for n in range(count))
        client.send("".join(lines).encode())
    for client in (above, below):
        # Its own as well: each hears 2,000.
        heard = [frame.split()[1].decode() for frame in messages(client, 2 * count)]
        for name in ("above", "below"):
            ours = [one for one in heard if one.startswith(f"{subject}.{name}.")]
            assert [f"{subject}.{name}.{n}" for n in range(count)] == ours
    assert ([], []) == (received(above, below), received(below, above))


# --- the end of interest


def test_after_unsub_nothing_more_arrives(ends: Ends, subject: str) -> None:
    here, there = ends
    subscribe(there, subject)
    joined(here, there)
    there.ask(b"UNSUB 1\r\n")
    joined(here, there)
    assert [] == publish(here, subject, "x")
    assert [] == received(here, there)


def test_a_limit_holds_across(ends: Ends, subject: str) -> None:
    here, there = ends
    subscribe(there, subject)
    there.ask(b"UNSUB 1 2\r\n")
    joined(here, there)
    for _ in range(5):
        publish(here, subject, "x")
    assert 2 == len(received(here, there))


def test_interest_ends_with_its_client(ends: Ends, world: World, subject: str) -> None:
    here, there = ends
    server = world.leaf if there.info["server_name"] == "LEAF" else world.hub
    other = world.client(server)
    subscribe(other, subject)
    joined(here, there)
    subscribe(here, "inbox", "in")
    other.close()
    # While it is wanted there is no 503.
    end = 500
    while not publish(here, subject, "x", "inbox") and end:
        end -= 1
    assert end


# --- queue groups


def shares(frames: list[bytes]) -> Counter[bytes]:
    return Counter(frame.split()[2] for frame in frames)


def test_one_member_of_a_group_at_the_other_end_gets_each_message(ends: Ends, subject: str) -> None:
    here, there = ends
    subscribe(there, subject, "1", "g")
    subscribe(there, subject, "2", "g")
    joined(here, there)
    for n in range(100):
        publish(here, subject, str(n))
    found = shares(received(here, there))
    assert 100 == found.total()
    assert {b"1", b"2"} == set(found)


def test_members_at_this_end_go_first(ends: Ends, subject: str) -> None:
    here, there = ends
    subscribe(here, subject, "near", "g")
    subscribe(there, subject, "far", "g")
    joined(here, there)
    joined(there, here)
    own = [frame for n in range(50) for frame in publish(here, subject, str(n))]
    assert [] == received(here, there)
    assert Counter({b"near": 50}) == shares(own + received(there, here))


def test_two_groups_and_a_plain_one_get_one_each(ends: Ends, subject: str) -> None:
    here, there = ends
    for sid, group in (("1", "g"), ("2", "g"), ("3", "h"), ("4", "")):
        subscribe(there, f"{subject}.*", sid, group)
    joined(here, there)
    for n in range(30):
        publish(here, f"{subject}.{n}")
    found = shares(received(here, there))
    assert (30, 30, 30) == (found[b"1"] + found[b"2"], found[b"3"], found[b"4"])


def test_a_group_that_has_a_member_here_is_not_served_there(ends: Ends, subject: str) -> None:
    here, there = ends
    subscribe(here, subject, "near", "g")
    subscribe(there, subject, "far", "g")
    subscribe(there, subject, "plain")
    joined(here, there)
    publish(here, subject, "x")
    assert Counter({b"plain": 1}) == shares(received(here, there))


def test_groups_with_headers_and_replies(ends: Ends, subject: str) -> None:
    here, there = ends
    subscribe(there, subject, "1", "g")
    subscribe(there, subject, "2", "h")
    joined(here, there)
    here.ask(f"HPUB {subject} r 20 22\r\nNATS/1.0\r\nA: bcd\r\n\r\nhi\r\n".encode())
    tail = " r 20 22\r\nNATS/1.0\r\nA: bcd\r\n\r\nhi\r\n"
    expected = [f"HMSG {subject} {sid}{tail}".encode() for sid in (1, 2)]
    assert expected == sorted(received(here, there))


# --- requests


def test_a_request_is_answered_from_the_other_end(ends: Ends, subject: str) -> None:
    here, there = ends
    subscribe(here, f"inbox.{subject}.*", "in")
    subscribe(there, subject, "1", "workers")
    joined(here, there)
    joined(there, here)
    assert [] == publish(here, subject, "?", f"inbox.{subject}.1")
    assert [f"MSG {subject} 1 inbox.{subject}.1 1\r\n?\r\n".encode()] == messages(there, 1)
    publish(there, f"inbox.{subject}.1", "!")
    assert [f"MSG inbox.{subject}.1 in 1\r\n!\r\n".encode()] == messages(here, 1)


def test_without_responders_at_either_end_that_is_said(ends: Ends, subject: str) -> None:
    here, _ = ends
    subscribe(here, f"inbox.{subject}", "in")
    answer = publish(here, subject, "?", f"inbox.{subject}")
    assert 1 == len(answer)
    assert answer[0].startswith(f"HMSG inbox.{subject} in ".encode())
    assert b"NATS/1.0 503" in answer[0]


def test_accounts_do_not_hear_each_other(world: World, subject: str) -> None:
    above_a, below_a = world.pair("a")
    above_b, below_b = world.pair("b")
    for client in (above_a, below_a, above_b, below_b):
        subscribe(client, f"{subject}.>")
    for here, there in ((above_a, below_a), (below_b, above_b)):
        joined(here, there)
    publish(above_a, f"{subject}.a", "x")
    publish(below_b, f"{subject}.b", "y")
    assert [f"MSG {subject}.a 1 1\r\nx\r\n".encode()] == received(above_a, below_a)
    assert [f"MSG {subject}.b 1 1\r\ny\r\n".encode()] == received(below_b, above_b)


def test_a_storm_of_subscriptions_leaves_what_is_left(ends: Ends, subject: str) -> None:
    here, there = ends
    count = 500
    there.ask("".join(f"SUB {subject}.{n} s{n}\r\n" for n in range(count)).encode())
    there.ask("".join(f"UNSUB s{n}\r\n" for n in range(count) if n % 10).encode())
    joined(here, there)
    here.ask("".join(f"PUB {subject}.{n} 0\r\n\r\n" for n in range(count)).encode())
    heard = [frame.split()[1].decode() for frame in received(here, there)]
    assert [f"{subject}.{n}" for n in range(0, count, 10)] == heard
