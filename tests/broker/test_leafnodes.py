"""Leaves and hubs in virtual time: finding each other, losing each other, rings, clusters above.

What two whole servers say to each other is in tests/cluster; here are time, and many servers.
"""

from __future__ import annotations

import json
import re
from itertools import pairwise
from random import Random
from typing import Any

import pytest

from broker.auth import make_authenticator
from broker.blocks import AccountBlock, RemoteBlock, UserBlock
from broker.config import Options
from broker.identity import Answer, Authenticator, Credentials, Identity
from tests.support.virtual_broker import VirtualClient, VirtualSocket
from tests.support.virtual_tree import TreeNode, VirtualTree

_SIDS = re.compile(rb"H?MSG [^ ]+ ([^ ]+) ")


def heard(client: VirtualClient) -> list[bytes]:
    """The sids under which it got messages."""
    return sorted(_SIDS.findall(client.take()))


def send(tree: VirtualTree, node: TreeNode, line: bytes) -> None:
    """Somebody at this server publishes, and all that follows from it happens."""
    client = node.client(b'CONNECT {"verbose":false,"echo":false}\r\n' + line)
    tree.run(0.1)
    client.socket.close()
    tree.run(0.1)


# --- finding each other


def test_a_leaf_finds_its_hub_and_both_say_so() -> None:
    tree = VirtualTree()
    tree.node("HUB")
    tree.node("LEAF", "HUB")
    tree.run()
    assert (["LEAF"], ["HUB"]) == (tree["HUB"].joined(), tree["LEAF"].joined())
    below, above = tree["HUB"].links()[0], tree["LEAF"].links()[0]
    assert (False, True) == (below.spoke, above.spoke)
    assert ("$G", "$G") == (below.account, above.remote_account)


def test_a_leaf_that_was_there_first_finds_its_hub_within_two_seconds() -> None:
    tree = VirtualTree()
    tree.node("HUB").kill()
    tree.node("LEAF", "HUB")
    tree.run(20.0)
    assert [] == tree["LEAF"].joined()
    tree["HUB"].start()
    tree.run(2.0)
    assert ["HUB"] == tree["LEAF"].joined()


def test_a_hub_that_is_gone_is_tried_every_second_for_ever() -> None:
    tree = VirtualTree()
    tree.node("HUB").kill()
    tree.node("LEAF", "HUB")
    tree.run(60.0)
    times = [time for time, _, _ in tree.dialled]
    waits = [after - before for before, after in pairwise(times)]
    assert 50 < len(waits)
    assert all(1.0 <= wait <= 1.2 for wait in waits)


def test_the_wait_is_that_of_the_configuration() -> None:
    tree = VirtualTree()
    tree.node("HUB").kill()
    tree.node("LEAF", "HUB", leaf={"reconnect": 7.0})
    tree.run(30.0)
    assert 5 == len(tree.dialled)


def test_a_disabled_remote_is_not_dialled() -> None:
    tree = VirtualTree()
    tree.node("HUB")
    tree.node("LEAF", "HUB", remote={"disabled": True})
    tree.run(10.0)
    assert [] == tree.dialled


def test_after_a_cut_both_forget_and_find_each_other_again() -> None:
    tree = VirtualTree()
    hub, leaf = tree.node("HUB"), tree.node("LEAF", "HUB")
    tree.run()
    client = leaf.client()
    client.send(b"SUB news.* 1\r\n")
    tree.cut("HUB", "LEAF")
    tree.run(5.0)
    assert ([], []) == (hub.joined(), leaf.joined())
    assert 0 == len(hub.server.switchboard)
    tree.heal("HUB", "LEAF")
    tree.run(2.0)
    send(tree, hub, b"PUB news.a 0\r\n\r\n")
    assert [b"1"] == heard(client)


def test_a_hub_that_falls_silent_is_given_up() -> None:
    tree = VirtualTree()
    hub = tree.node("HUB")
    sockets: list[Any] = []
    hub.door = lambda port: lambda sock, address: sockets.append(sock)  # type: ignore[method-assign]
    leaf = tree.node("LEAF", "HUB", ping_max=2)
    tree.run(0.1)
    by_hand = VirtualSocket(tree.reactor, sockets[0])
    told = {"server_name": "H", "client_id": 1, "leafnode_urls": ["h:1"], "info_on_connect": True}
    by_hand.send(f"INFO {json.dumps(told)}\r\n".encode())
    tree.run(0.1)
    assert by_hand.take().startswith(b"CONNECT ")
    by_hand.send(f"INFO {json.dumps({**told, 'connect_info': True})}\r\n".encode())
    tree.run(1.5)
    assert by_hand.take().endswith(b"PING\r\n")
    assert ["H"] == leaf.joined()
    tree.run(70.0)
    assert by_hand.take().endswith(b"PING\r\n-ERR 'Stale Connection'\r\n")
    assert 1 < len(tree.dialled)


def test_a_greeting_that_does_not_come_is_not_waited_for() -> None:
    tree = VirtualTree()
    hub = tree.node("HUB")
    hub.server.leafnodes = None
    hub.settings = {}
    silent: list[Any] = []
    hub.door = lambda port: lambda sock, address: silent.append(sock)  # type: ignore[method-assign]
    tree.node("LEAF", "HUB", leaf={"reconnect": 1.0})
    tree.run(10.0)
    assert 4 <= len(silent) <= 6


def test_hubs_are_tried_in_turn() -> None:
    tree = VirtualTree()
    tree.node("ONE").kill()
    tree.node("TWO").kill()
    urls = tuple(f"nats-leaf://{tree.host(name)}:7422" for name in ("ONE", "TWO"))
    leaf = tree.node("LEAF", "ONE")
    leaf.kill()
    block = leaf.settings["leafnodes"]
    remote = RemoteBlock(urls, no_randomize=True)
    leaf.settings["leafnodes"] = type(block)(port=None, remotes=(remote,))
    tree.dialled.clear()
    leaf.start()
    tree.run(3.5)
    hosts = [address[0] for _, _, address in tree.dialled]
    assert ["10.0.0.1", "10.0.0.2", "10.0.0.1", "10.0.0.2"] == hosts
    tree["TWO"].start()
    tree.run(3.0)
    assert ["TWO"] == leaf.joined()


def test_addresses_that_the_hub_tells_of_are_tried_too() -> None:
    tree = VirtualTree()
    tree.node("HUB", leaf={"advertise": "10.0.0.77:7422"})
    tree.node("LEAF", "HUB")
    tree.run()
    tree["HUB"].kill()
    tree.dialled.clear()
    tree.run(5.0)
    hosts = {address[0] for _, _, address in tree.dialled}
    assert {"10.0.0.1", "10.0.0.77"} == hosts


def test_they_are_ignored_if_the_configuration_says_so() -> None:
    tree = VirtualTree()
    tree.node("HUB", leaf={"advertise": "10.0.0.77:7422"})
    tree.node("LEAF", "HUB", remote={"ignore_discovered": True})
    tree.run()
    tree["HUB"].kill()
    tree.run(5.0)
    assert {"10.0.0.1"} == {address[0] for _, _, address in tree.dialled}


# --- who may stay


class _Expiring:
    """Lets in everybody for ten seconds."""

    required = True
    wants_nonce = False
    has_guest = False

    def slow(self, credentials: Credentials) -> bool:
        return False

    def authenticate(self, credentials: Credentials) -> Answer:
        return Identity(expires=credentials.wall + 10.0)


def expiring(options: Options) -> Authenticator:
    return _Expiring()


def test_a_leaf_whose_credentials_expire_is_shown_out() -> None:
    tree = VirtualTree()
    hub = tree.node("HUB", authenticator=expiring)
    stranger = hub.knock()
    stranger.ask(b'CONNECT {"name":"L"}\r\n')
    assert ["L"] == hub.joined()
    tree.run(11.0)
    assert b"-ERR 'User Authentication Expired'\r\n" in stranger.take()
    assert [] == hub.joined()


def test_a_stranger_has_two_seconds() -> None:
    tree = VirtualTree()
    stranger = tree.node("HUB").knock()
    tree.run(1.9)
    assert not stranger.ended or not stranger.take()
    tree.run(0.2)
    assert b"-ERR 'Authentication Timeout'\r\n" in stranger.take()


def test_refusals_are_held_back_more_and_more() -> None:
    tree = VirtualTree()
    hub = tree.node("HUB", user="ann", password="p")
    waited = []
    for _ in range(12):
        stranger = hub.knock("10.9.9.9")
        stranger.take()
        stranger.send(b'CONNECT {"user":"ann","pass":"wrong"}\r\n')
        before = tree.reactor.now()
        while b"-ERR 'Authorization Violation'" not in stranger.take():
            tree.run(0.05)
        waited.append(tree.reactor.now() - before)
    assert 0.0 == waited[0]
    assert 0.05 < waited[-1]


def test_what_comes_while_a_refusal_is_held_back_means_nothing() -> None:
    tree = VirtualTree()
    hub = tree.node("HUB", user="ann", password="p")
    for _ in range(12):
        stranger = hub.knock("10.9.9.9")
        stranger.send(b'CONNECT {"user":"ann","pass":"wrong"}\r\nLS+ foo\r\nPING\r\n')
    tree.run(60.0)
    assert b"PONG" not in stranger.take()
    assert 0 == len(hub.server.switchboard)


def test_leaves_do_not_take_the_places_of_clients() -> None:
    tree = VirtualTree()
    account = AccountBlock("A", users=(UserBlock("ann", "p"),), max_connections=1)
    hub = tree.node("HUB", accounts=(account,))
    stranger = hub.knock()
    stranger.send(b'CONNECT {"name":"L","user":"ann","pass":"p"}\r\n')
    hello = b'CONNECT {"verbose":false,"user":"ann","pass":"p"}\r\nPING\r\n'
    assert b"PONG" in hub.client(hello).take()
    assert b"maximum account active connections" in hub.client(hello).take()
    assert ["L"] == hub.joined()
    info = next(one for one in hub.server.accounts() if one.name == "A")
    assert 1 == info.connections


def test_what_only_a_broker_says_to_its_own_clients_is_not_taken_and_costs_no_link() -> None:
    tree = VirtualTree()
    account = AccountBlock("A", users=(UserBlock("ann", "p"),), presence=True)
    hub = tree.node("HUB", accounts=(account,))
    client = hub.client(b'CONNECT {"verbose":false,"user":"ann","pass":"p"}\r\nSUB $EVENT.> 1\r\n')
    stranger = hub.knock()
    stranger.ask(b'CONNECT {"name":"L","user":"ann","pass":"p"}\r\n')
    client.take()
    assert b"PONG\r\n" in stranger.ask(b"LMSG $EVENT.CONNECT 2\r\n{}\r\nPING\r\n")
    assert b"" == client.take()


# --- rings


def test_a_ring_of_three_is_found_and_left_alone_for_half_a_minute() -> None:
    tree = VirtualTree()
    tree.node("A").kill()
    tree.node("B", "A")
    tree.node("C", "B")
    a = tree["A"]
    block = a.settings["leafnodes"]
    remote = RemoteBlock((f"nats-leaf://{tree.host('C')}:7422",))
    a.settings["leafnodes"] = type(block)(port=block.port, remotes=(remote,))
    a.start()
    tree.run(60.0)
    per_node = {
        name: [time for time, caller, _ in tree.dialled if caller == name] for name in "ABC"
    }
    assert any(
        after - before >= 30.0 for times in per_node.values() for before, after in pairwise(times)
    )
    # What is left of the ring carries every message once, or not at all.
    client = tree["B"].client()
    client.send(b"SUB once 1\r\n")
    tree.run(0.5)
    send(tree, tree["A"], b"PUB once 0\r\n\r\n")
    assert heard(client) in ([], [b"1"])


# --- above the leaf is a cluster


def cluster_with_leaves() -> VirtualTree:
    """Two nodes of one cluster, a leaf below each."""
    tree = VirtualTree()
    tree.node("N1", cluster="C")
    tree.node("N2", cluster="C", routes=("N1",))
    tree.node("L1", "N1")
    tree.node("L2", "N2")
    tree.run(5.0)
    return tree


def test_leaves_below_different_nodes_of_a_cluster_hear_each_other_once() -> None:
    tree = cluster_with_leaves()
    clients = {name: node.client() for name, node in tree.nodes.items()}
    for client in clients.values():
        client.send(b"SUB all.* 1\r\n")
    tree.run(1.0)
    for name, node in tree.nodes.items():
        send(tree, node, f"PUB all.{name} 0\r\n\r\n".encode())
        for client in clients.values():
            assert [b"1"] == heard(client)


@pytest.mark.parametrize("publisher", ["N1", "N2", "L1", "L2"])
@pytest.mark.parametrize("members", [["L2"], ["L1", "L2"], ["N2", "L1"], ["N1", "N2", "L1", "L2"]])
def test_a_queue_group_over_all_of_them_gets_one(publisher: str, members: list[str]) -> None:
    tree = cluster_with_leaves()
    clients = [tree[name].client() for name in members]
    for client in clients:
        client.send(b"SUB work g 1\r\n")
    tree.run(1.0)
    for _ in range(20):
        send(tree, tree[publisher], b"PUB work 0\r\n\r\n")
    assert 20 == sum(len(heard(client)) for client in clients)


def test_two_leaves_of_one_cluster_of_leaves_get_no_echo() -> None:
    """Both are nodes of one cluster, each a leaf of the same hub: no message comes twice."""
    tree = VirtualTree()
    tree.node("HUB")
    tree.node("L1", "HUB", cluster="BELOW")
    tree.node("L2", "HUB", cluster="BELOW", routes=("L1",))
    tree.run(5.0)
    clients = {name: node.client() for name, node in tree.nodes.items()}
    for client in clients.values():
        client.send(b"SUB all.* 1\r\n")
    tree.run(1.0)
    for name, node in tree.nodes.items():
        send(tree, node, f"PUB all.{name} 0\r\n\r\n".encode())
        assert [[b"1"]] * 3 == [heard(client) for client in clients.values()]


def test_a_leaf_with_the_name_of_the_hubs_cluster_is_turned_away() -> None:
    tree = VirtualTree()
    tree.node("HUB", cluster="C")
    tree.node("LEAF", "HUB", cluster="C")
    tree.run(60.0)
    assert [] == tree["LEAF"].joined()
    assert 3 >= len([1 for _, caller, address in tree.dialled if address[1] == 7422])


# --- insight


def test_a_link_is_shown_and_so_is_what_it_wants() -> None:
    tree = VirtualTree()
    hub = tree.node("HUB")
    tree.node("LEAF", "HUB").client().send(b"SUB foo.* 1\r\nSUB bar g 2\r\n")
    tree.run()
    info = next(iter(hub.server.leafs()))
    assert ("LEAF", "$G", False, False) == (
        info.name,
        info.account,
        info.is_spoke,
        info.is_isolated,
    )
    assert {"foo.*", "bar"} <= set(info.subscriptions)
    assert 1 == hub.server.stats().leafnodes


def test_what_is_told_first_is_told_once() -> None:
    tree = VirtualTree()
    hub = tree.node("HUB")
    client = hub.client()
    client.send(b"SUB a 1\r\nSUB a 2\r\nSUB b g 3\r\nSUB b g 4\r\nSUB b g 5\r\n")
    stranger = hub.knock()
    stranger.take()
    lines = stranger.ask(b'CONNECT {"name":"L"}\r\n').split(b"\r\n")
    assert json.loads(lines[0][5:])["connect_info"] is True
    told = sorted(line for line in lines[1:] if b"$LDS" not in line and line)
    assert [b"LS+ a", b"LS+ b g 3"] == told


def test_interest_of_a_wrong_shape_is_refused_and_the_link_lives() -> None:
    tree = VirtualTree()
    hub = tree.node("HUB")
    stranger = hub.knock()
    stranger.ask(b'CONNECT {"name":"L"}\r\n')
    assert b"-ERR 'Invalid Subscription'\r\n" in stranger.ask(b"LS+ a..b\r\n")
    assert b"PONG\r\n" in stranger.ask(b"PING\r\n")


def test_an_error_of_the_other_side_does_not_end_the_link() -> None:
    tree = VirtualTree()
    stranger = tree.node("HUB").knock()
    stranger.ask(b'CONNECT {"name":"L"}\r\n')
    assert b"PONG\r\n" in stranger.ask(b"-ERR 'Some complaint'\r\nPING\r\n")


def test_a_second_connect_ends_it() -> None:
    tree = VirtualTree()
    stranger = tree.node("HUB").knock()
    stranger.ask(b'CONNECT {"name":"L"}\r\n')
    stranger.ask(b'CONNECT {"name":"L"}\r\n')
    assert stranger.ended


# --- at random


class Schedule:
    """Subscribers and publishers at random servers of a random tree."""

    def __init__(self, seed: int) -> None:
        rng = self.rng = Random(seed)
        tree = self.tree = VirtualTree(seed=seed)
        self.edges: list[tuple[str, str]] = []
        tree.node("S0")
        for number in range(1, rng.randint(2, 6)):
            hub = f"S{rng.randrange(number)}"
            tree.node(f"S{number}", hub)
            self.edges.append((f"S{number}", hub))
        tree.run(5.0)
        self.subscribers: list[tuple[VirtualClient, bytes, bytes]] = []

    def subscribe(self) -> None:
        """Some more subscribers, some of them in groups."""
        for _ in range(self.rng.randint(2, 8)):
            node = self.rng.choice([*self.tree.nodes.values()])
            subject = self.rng.choice([b"a.b", b"a.*", b"a.>", b">", b"c"])
            group = self.rng.choice([b"", b"", b"g", b"h"])
            client = node.client()
            client.send(b"SUB " + subject + b" " + group + b" 1\r\n")
            self.subscribers.append((client, subject, group))

    def unsubscribe(self) -> None:
        """Some go."""
        self.rng.shuffle(self.subscribers)
        for _ in range(min(3, len(self.subscribers) - 1)):
            self.subscribers.pop()[0].socket.close()

    def check(self) -> None:
        """Each message reaches every plain subscriber once, and of each group one member."""
        for client, _, _ in self.subscribers:
            client.take()
        for subject in (b"a.b", b"c"):
            node = self.rng.choice([*self.tree.nodes.values()])
            send(self.tree, node, b"PUB " + subject + b" 0\r\n\r\n")
            groups: dict[bytes, int] = {}
            for client, filter, group in self.subscribers:
                count = len(heard(client))
                matches = filter in (b">", subject) or (subject == b"a.b" and filter[:2] == b"a.")
                if group and matches:
                    groups[group] = groups.get(group, 0) + count
                else:
                    assert int(matches) == count, (node.name, subject, filter)
            assert set(groups.values()) <= {1}, (node.name, subject, groups)

    def disturb(self) -> None:
        """Cut links and kill servers, then heal it all."""
        for leaf, hub in self.rng.sample(self.edges, self.rng.randint(1, len(self.edges))):
            self.tree.cut(leaf, hub)
            self.tree.run(self.rng.random() * 3)
            self.tree.heal(leaf, hub)
        self.tree.run(5.0)


@pytest.mark.parametrize("seed", range(40))
def test_every_message_is_counted_once_whatever_happens(seed: int) -> None:
    schedule = Schedule(seed)
    for _ in range(3):
        schedule.subscribe()
        schedule.tree.run(1.0)
        schedule.check()
        schedule.disturb()
        schedule.check()
        schedule.unsubscribe()
        schedule.tree.run(1.0)
        schedule.check()


def test_the_default_authenticator_is_used_where_none_is_given() -> None:
    tree = VirtualTree()
    hub = tree.node("HUB", authenticator=make_authenticator)
    stranger = hub.knock()
    assert b'"connect_info":true' in stranger.ask(b'CONNECT {"name":"L"}\r\n')
