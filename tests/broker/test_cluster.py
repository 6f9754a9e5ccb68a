"""Nodes of one cluster in virtual time: meeting, telling, losing and finding each other."""

from __future__ import annotations

import json
from typing import Any

import pytest

from broker.errors import Closed
from broker.interest import Key
from broker.permissions import Rules
from tests.support.virtual_cluster import Node, RawPeer, VirtualCluster

PROTOCOL_1 = b'CONNECT {"verbose":false,"protocol":1}\r\nPING\r\n'


def infos(wire: bytes) -> list[dict[str, Any]]:
    lines = [line for line in wire.split(b"\r\n") if line.startswith(b"INFO ")]
    return [json.loads(line[5:]) for line in lines]


# --- a mesh


@pytest.mark.parametrize("count", [2, 3, 5])
def test_nodes_that_know_one_of_them_find_all_the_others(count: int) -> None:
    cluster = VirtualCluster(count)
    cluster.form()
    assert cluster.is_whole()


def test_a_chain_of_configurations_becomes_a_mesh() -> None:
    cluster = VirtualCluster(5, routes=lambda number: [number - 1] if number else [])
    cluster.form()
    assert cluster.is_whole()


def test_nodes_that_all_dial_each_other_keep_one_route_each() -> None:
    cluster = VirtualCluster(4, routes=lambda number: list(range(4)))
    cluster.run(30.0)
    assert cluster.is_whole()
    for node in cluster.nodes:
        assert node.server.cluster is not None
        assert 3 == len(node.server.cluster.connections())


def test_a_node_that_comes_later_is_found() -> None:
    cluster = VirtualCluster(3)
    cluster["A"].kill()
    cluster.form()
    assert not cluster["B"].routes()
    cluster["A"].start()
    cluster.run(10.0)
    assert cluster.is_whole()


# --- messages


def test_every_node_hears_what_is_published_at_any_once() -> None:
    cluster = VirtualCluster(3)
    cluster.form()
    clients = [node.client() for node in cluster.nodes]
    for client in clients:
        client.send(b"SUB x.* 1\r\nSUB x.> 2\r\n")
    cluster.run(1.0)
    for number, client in enumerate(clients):
        client.send(b"PUB x.%d 1\r\n%d\r\n" % (number, number))
    cluster.run(1.0)
    for client in clients:
        lines = sorted(line for line in client.take().split(b"\r\n") if line.startswith(b"MSG"))
        expected = [b"MSG x.%d %d 1" % (number, sid) for number in range(3) for sid in (1, 2)]
        assert expected == lines


def test_interest_of_before_and_after_the_meeting_is_known_everywhere() -> None:
    cluster = VirtualCluster(3)
    early = cluster["B"].client()
    early.send(b"SUB early 1\r\nSUB work q 2\r\n")
    cluster.form()
    late = cluster["C"].client()
    late.send(b"SUB late 1\r\nSUB work q 2\r\nSUB work q 3\r\n")
    cluster.run(1.0)
    for node in cluster.nodes:
        for other in cluster.nodes:
            if other is not node:
                assert other.wanted() == node.heard(other)


def test_a_request_is_answered_across_nodes_and_unheard_where_nobody_is() -> None:
    cluster = VirtualCluster(2)
    cluster.form()
    hello = b'CONNECT {"verbose":false,"headers":true,"no_responders":true}\r\n'
    asker, server = cluster["A"].client(hello), cluster["B"].client()
    server.send(b"SUB svc 1\r\n")
    asker.send(b"SUB inbox.* 9\r\n")
    cluster.run(1.0)
    asker.send(b"PUB svc inbox.1 0\r\n\r\nPUB nobody inbox.2 0\r\n\r\n")
    cluster.run(1.0)
    assert b"MSG svc 1 inbox.1 0\r\n\r\n" == server.take()
    server.send(b"PUB inbox.1 2\r\nok\r\n")
    cluster.run(1.0)
    heard = asker.take()
    assert b"MSG inbox.1 9 2\r\nok\r\n" in heard
    assert 1 == heard.count(b"NATS/1.0 503")


def test_what_a_client_wanted_ends_everywhere_when_it_goes() -> None:
    cluster = VirtualCluster(2)
    cluster.form()
    before = cluster["A"].heard(cluster["B"])  # what the node itself listens to
    client = cluster["B"].client()
    client.send(b"SUB a 1\r\n")
    cluster.run(1.0)
    wanted = cluster["A"].heard(cluster["B"])
    assert {Key("$G", b"", b"a", b"")} == wanted.keys() - before.keys()
    client.socket.close()
    cluster.run(1.0)
    assert before == cluster["A"].heard(cluster["B"])


# --- losing and finding


def test_a_cut_between_two_of_three_is_healed() -> None:
    cluster = VirtualCluster(3)
    cluster.form()
    cluster.cut("B", "C")
    cluster.run(0.5)
    assert {"A"} == cluster["B"].routes() == cluster["C"].routes()
    cluster.heal("B", "C")
    cluster.run(5.0)
    assert cluster.is_whole()


def test_a_node_that_died_comes_back_with_its_interest() -> None:
    cluster = VirtualCluster(3)
    cluster.form()
    publisher = cluster["A"].client()
    cluster["C"].kill()
    cluster.run(2.0)
    assert {"B"} == cluster["A"].routes()
    cluster["C"].start()
    client = cluster["C"].client()
    client.send(b"SUB a 1\r\n")
    cluster.run(10.0)
    assert cluster.is_whole()
    publisher.send(b"PUB a 0\r\n\r\n")
    cluster.run(1.0)
    assert b"MSG a 1 0\r\n\r\n" == client.take()


def test_a_peer_that_falls_silent_is_given_up() -> None:
    cluster = VirtualCluster(1)
    peer = RawPeer(cluster["A"])
    peer.introduce()
    assert {"peer"} == cluster["A"].routes()
    cluster.run(120.0)
    assert peer.take().endswith(b"-ERR 'Stale Connection'\r\n")
    assert set() == cluster["A"].routes()


# --- what clients are told


def test_clients_learn_of_nodes_that_come_and_go() -> None:
    cluster = VirtualCluster(2)
    client = cluster["A"].client(PROTOCOL_1)
    client.take()
    cluster.form()
    told = infos(client.take())[-1]
    assert ["10.0.0.1:4222", "10.0.0.2:4222"] == told["connect_urls"]
    assert "C" == told["cluster"]
    cluster["B"].kill()
    cluster.run(1.0)
    assert ["10.0.0.1:4222"] == infos(client.take())[-1]["connect_urls"]


def test_clients_that_do_not_ask_are_told_nothing() -> None:
    cluster = VirtualCluster(2)
    client = cluster["A"].client()
    cluster.form()
    assert [] == infos(client.take())


def test_with_no_advertise_nobody_learns_of_others() -> None:
    cluster = VirtualCluster(2, block={"no_advertise": True})
    client = cluster["A"].client(PROTOCOL_1)
    cluster.form()
    assert [[]] == [info.get("connect_urls", []) for info in infos(client.take())]


def test_a_lame_duck_is_taken_off_the_list() -> None:
    cluster = VirtualCluster(2)
    cluster.form()
    client = cluster["A"].client(PROTOCOL_1)
    client.take()
    staying = cluster["B"].client()
    cluster["B"].server.lame_duck(lambda: None)
    cluster.run(1.0)
    assert ["10.0.0.1:4222"] == infos(client.take())[-1]["connect_urls"]
    assert {"B"} == cluster["A"].routes()
    assert not staying.ended


# --- strangers


def answer(node: Node, *lines: bytes) -> bytes:
    peer = RawPeer(node)
    peer.take()
    return peer.ask(b"".join(line + b"\r\n" for line in lines))


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([b"RMSG $G a 0", b""], b"-ERR 'Authorization Violation'\r\n"),
        ([b'INFO {"server_id":"X"}'], b"-ERR 'Authorization Violation'\r\n"),
        (
            [b'CONNECT {"lang":"python","cluster":"C"}'],
            b"-ERR 'attempted to connect to route port'\r\n",
        ),
        (
            [b'CONNECT {"name":"X","cluster":"XX"}'],
            b'-ERR \'Rejecting connection, cluster name "XX" does not match "C"\'\r\n',
        ),
        ([b'CONNECT {"name":1}'], b""),
        ([b'CONNECT {"name":"X","cluster":"C"}', b"INFO {"], b""),
        ([b'CONNECT {"name":"X","cluster":"C"}', b'INFO {"server_name":"x"}'], b""),
        ([b'CONNECT {"name":"X","cluster":"C"}', b"RS+ $G a"], b""),
        (
            [b'CONNECT {"name":"X","cluster":"C"}', b"PUB a 0", b""],
            b"-ERR 'Unknown Protocol Operation'\r\n",
        ),
        ([b'CONNECT {"name":"X","cluster":"C"}', b"-ERR 'no'"], b""),
    ],
)
def test_a_stranger_is_sent_away_alone(lines: list[bytes], expected: bytes) -> None:
    cluster = VirtualCluster(2)
    cluster.form()
    peer = RawPeer(cluster["A"])
    peer.take()
    assert expected == peer.ask(b"".join(line + b"\r\n" for line in lines))
    assert peer.ended
    assert cluster.is_whole()


def test_a_stranger_that_says_nothing_is_sent_away_in_time() -> None:
    cluster = VirtualCluster(1)
    peer = RawPeer(cluster["A"])
    peer.take()
    cluster.run(3.0)
    assert b"-ERR 'Authentication Timeout'\r\n" == peer.take()
    assert peer.ended


def test_a_server_may_come_once_and_under_a_name_of_its_own() -> None:
    cluster = VirtualCluster(1)
    node = cluster["A"]
    first = RawPeer(node)
    first.introduce("ONE", "one")
    again, namesake, itself = RawPeer(node), RawPeer(node), RawPeer(node)
    again.introduce("ONE", "one")
    namesake.introduce("TWO", "A")
    itself.introduce(node.server.server_id, "A")
    assert [False, True, True, True] == [one.ended for one in (first, again, namesake, itself)]
    assert {"one"} == node.routes()


def test_a_node_that_is_told_to_dial_itself_gives_that_up() -> None:
    cluster = VirtualCluster(2, routes=lambda number: [0])
    cluster.run(60.0)
    assert cluster.is_whole()
    assert cluster["A"].server.cluster is not None
    assert [] == cluster["A"].server.cluster._targets


def test_bad_interest_costs_the_peer_its_connection_only_where_it_is_fatal() -> None:
    cluster = VirtualCluster(1)
    peer = RawPeer(cluster["A"])
    peer.introduce()
    assert b"-ERR 'Invalid Subscription'\r\n" == peer.ask(b"RS+ $G a..b\r\n")
    assert {"peer"} == cluster["A"].routes()


# --- gossip


def test_a_peer_is_told_of_a_newcomer_and_where_it_is() -> None:
    cluster = VirtualCluster(1)
    old, new = RawPeer(cluster["A"]), RawPeer(cluster["A"], "10.0.0.50")
    old.introduce("OLD", "old")
    old.take()
    new.introduce("NEW", "new", nonce="secret")
    (told,) = infos(old.take())
    assert ("NEW", "nats-route://10.0.0.50:1/", 1) == (
        told["server_id"],
        told["ip"],
        told["gossip_mode"],
    )
    assert "nonce" not in told


@pytest.mark.parametrize(
    "info",
    [
        {"server_id": "X", "ip": "nats-route://10.0.0.7:99999/"},
        {"server_id": "X", "ip": "nats-route://10.0.0.7:0/"},
        {"server_id": "X", "ip": "nats-route://[10.0.0.7/"},
        {"server_id": "X", "ip": "no url"},
        {"server_id": "X", "ip": "nats-route://10.0.0.7:none/"},
        {"server_id": "X", "ip": ""},
        {"server_id": "", "ip": "nats-route://10.0.0.7:1/"},
    ],
)
def test_gossip_that_makes_no_sense_is_ignored(info: dict[str, str]) -> None:
    cluster = VirtualCluster(1)
    peer = RawPeer(cluster["A"])
    peer.introduce()
    peer.send(b"INFO " + json.dumps(info).encode() + b"\r\n")
    cluster.run(5.0)
    assert {"peer"} == cluster["A"].routes()


def test_a_node_known_by_hearsay_that_is_gone_is_not_dialled_for_ever() -> None:
    cluster = VirtualCluster(1)
    peer = RawPeer(cluster["A"])
    peer.introduce()
    peer.send(b'INFO {"server_id":"X","host":"h","port":1,"ip":"nats-route://10.0.0.7:1/"}\r\n')
    assert cluster["A"].server.cluster is not None
    cluster.run(1800.0)
    assert 1 == len(cluster["A"].server.cluster._targets)
    cluster.run(1900.0)
    assert [] == cluster["A"].server.cluster._targets


# --- names, passwords, permissions


def test_of_two_names_the_configured_one_wins() -> None:
    cluster = VirtualCluster(1, block={"name": ""})
    node = cluster["A"]
    client = node.client(PROTOCOL_1)
    client.take()
    RawPeer(node).introduce()
    assert node.server.cluster is not None
    assert ("C", False) == (node.server.cluster.roster.cluster, node.server.cluster.roster.dynamic)
    assert "C" == infos(client.take())[-1]["cluster"]


def test_nodes_without_a_name_agree_on_one() -> None:
    cluster = VirtualCluster(3, block={"name": ""})
    cluster.run(30.0)
    assert cluster.is_whole()
    names = {node.server.cluster.roster.cluster for node in cluster.nodes if node.server.cluster}
    assert 1 == len(names)


def test_nodes_without_a_name_do_not_wait_to_agree() -> None:
    cluster = VirtualCluster(
        3, routes=lambda number: [0, 1, 2], block={"name": ""}, first_ping=120.0
    )
    cluster.run(1.5)
    assert cluster.is_whole()


def test_nodes_of_different_clusters_do_not_dial_each_other_without_rest() -> None:
    cluster = VirtualCluster(2)
    peer = cluster["B"]
    cluster.nodes.remove(peer)
    assert peer.server.cluster is not None
    peer.server.cluster.roster.cluster = "other"
    peer.server.cluster.roster.dynamic = False
    cluster.run(20.0)
    assert set() == cluster["A"].routes() == peer.routes()
    assert peer.server._cids <= 20


def test_who_has_not_the_password_does_not_come_in() -> None:
    cluster = VirtualCluster(1, block={"user": "u", "password": "pw"})
    node = cluster["A"]
    for login in ("", '"user":"u"', '"user":"u","pass":"x"', '"user":"x","pass":"pw"'):
        assert b"-ERR 'Authorization Violation'\r\n" == answer(
            node, b"CONNECT {" + login.encode() + b"}"
        )
    connect = b'CONNECT {"user":"u","pass":"pw","cluster":"C"}'
    told = answer(node, connect, b'INFO {"server_id":"X","server_name":"x"}')
    assert told.startswith(b"RS+ $SYS $SYS.REQ."), "what is wanted here"
    assert b"-ERR" not in told
    assert {"x"} == node.routes()


def test_permissions_say_what_may_come_and_go() -> None:
    rules = {"imports": Rules((b"in.>",)), "exports": Rules((b"out.>",))}
    cluster = VirtualCluster(1, block=rules)
    peer, client = RawPeer(cluster["A"]), cluster["A"].client()
    peer.introduce()
    peer.take()
    client.send(b"SUB in.a 1\r\nSUB other 2\r\n")
    assert b"RS+ $G in.a\r\n" == peer.take()
    peer.send(b"RS+ $G out.a\r\nRS+ $G secret\r\n")
    client.send(b"PUB out.a 0\r\n\r\nPUB secret 0\r\n\r\n")
    assert b"RMSG $G out.a 0\r\n\r\n" == peer.take()


# --- ends


def test_closing_a_node_closes_its_routes_after_what_they_are_owed() -> None:
    cluster = VirtualCluster(2)
    cluster.form()
    client = cluster["A"].client()
    client.send(b"SUB a 1\r\n")
    cluster.run(1.0)
    closed: list[bool] = []
    cluster["B"].client().send(b"PUB a 1\r\nx\r\n")
    cluster["B"].server.close(lambda: closed.append(True))
    cluster.run(5.0)
    assert [True] == closed
    assert b"MSG a 1 1\r\nx\r\n" == client.take()
    assert set() == cluster["A"].routes()


def test_a_peer_that_does_not_read_is_cut_off() -> None:
    cluster = VirtualCluster(1, max_pending=100_000, max_payload=10_000)
    peer, client = RawPeer(cluster["A"]), cluster["A"].client()
    peer.introduce()
    peer.send(b"RS+ $G a\r\n")
    assert cluster["A"].server.cluster is not None
    (connection,) = cluster["A"].server.cluster.connections()
    for _ in range(200):
        client.send(b"PUB a 10000\r\n%s\r\n" % (b"x" * 10_000))
    assert Closed.SLOW_CONSUMER_PENDING is connection.reason
    assert not client.ended


def test_tests_can_cut_hold_up_and_heal_a_link() -> None:
    cluster = VirtualCluster(2)
    cluster.form()
    one, other = cluster["A"].server.cluster, cluster["B"].server.cluster
    assert one is not None
    assert other is not None
    one.cut("B")
    cluster.run(5.0)
    assert set() == cluster["A"].routes()
    one.heal("B")
    cluster.run(3.0)
    assert cluster.is_whole()
    other.delay("A", 2.0)
    client, publisher = cluster["B"].client(), cluster["A"].client()
    client.send(b"SUB a 1\r\n")
    cluster.run(1.0)
    publisher.send(b"PUB a 1\r\n1\r\nPUB a 1\r\n2\r\n")
    cluster.run(1.9)
    assert b"" == client.take()
    cluster.run(0.2)
    assert b"MSG a 1 1\r\n1\r\nMSG a 1 1\r\n2\r\n" == client.take()
