"""Other servers at the switchboard: what they want, what they send, and how far it goes."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from broker.accounts import Subscription
from broker.blocks import AccountBlock, Export, Import
from broker.errors import INVALID_SUBJECT
from broker.flow import FlowTable
from broker.interest import InterestMap
from broker.ops import Interest
from broker.remotes import MAX_WEIGHT
from broker.scope import Kind, Scope
from tests.support.switch import Switch

ROUTE, LEAF = Kind.ROUTE, Kind.LEAF


def ours(subscription: Subscription) -> bool:
    return subscription.link.kind is not ROUTE


# --- what goes out


def test_one_line_serves_all_that_a_peer_wants() -> None:
    switch = Switch()
    route, client = switch.peer(), switch.connect()
    switch.say(route, b"RS+ $G a.*", b"RS+ $G a.>", b"RS+ $G > q1 1", b"RS+ $G a.b q2 2")
    switch.say(client, b"PUB a.b 2", b"hi")
    assert b"RMSG $G a.b | q1 q2 2\r\nhi\r\n" == switch.told(route)
    switch.say(client, b"PUB a.b r 2", b"hi", b"PUB a.c r 2", b"hi", b"PUB b r 2", b"hi")
    lines = [b"RMSG $G a.b + r q1 q2 2", b"RMSG $G a.c + r q1 2", b"RMSG $G b + r q1 2"]
    assert b"".join(line + b"\r\nhi\r\n" for line in lines) == switch.told(route)


def test_headers_go_along_unless_the_peer_has_none() -> None:
    switch = Switch()
    route, bare, client = switch.peer(), switch.peer(), switch.connect()
    bare.configure(zone=0, verbose=False, pedantic=False, echo=False, headers=False)
    switch.say(route, b"RS+ $G a")
    switch.say(bare, b"RS+ $G a")
    switch.say(client, b"HPUB a 12 14", b"NATS/1.0\r\n\r\nhi")
    assert b"HMSG $G a 12 14\r\nNATS/1.0\r\n\r\nhi\r\n" == switch.told(route)
    assert b"RMSG $G a 2\r\nhi\r\n" == switch.told(bare)


def test_interest_that_ended_gets_nothing() -> None:
    switch = Switch()
    route, client = switch.peer(), switch.connect()
    switch.say(route, b"RS+ $G a", b"RS+ $G a q 1")
    switch.say(client, b"PUB a 0", b"")
    switch.told(route)
    switch.say(route, b"RS- $G a", b"RS- $G a q", b"RS- $G never")
    switch.say(client, b"PUB a 0", b"")
    assert b"" == switch.told(route)


def test_the_share_of_a_queue_group_is_its_weight() -> None:
    switch = Switch()
    route, client, member = switch.peer(), switch.connect(), switch.connect()
    switch.say(route, b"RS+ $G w q 1", b"RS+ $G w q 3")
    switch.say(member, b"SUB w q 1")
    switch.say(client, *[b"PUB w 0", b""] * 400)
    here, there = len(switch.heard(member)), switch.told(route).count(b"RMSG")
    assert 400 == here + there
    assert 60 < here < 140


def test_a_weight_that_would_blow_up_flows_is_cut() -> None:
    switch = Switch()
    route = switch.peer()
    switch.say(route, b"RS+ $G w q 999999999")
    explained = switch.board.explain("$G", b"w")
    assert explained is not None
    assert [MAX_WEIGHT] == [len(pick) for pick in explained.picks]


def test_a_request_that_only_another_server_serves_is_not_unheard() -> None:
    switch = Switch()
    route, client = switch.peer(), switch.connect(no_responders=True)
    switch.say(route, b"RS+ $G svc", b"RS+ $G work q 1")
    switch.say(client, b"SUB i.* 1", b"PUB svc i.1 0", b"", b"PUB work i.2 0", b"")
    assert b"RMSG $G svc i.1 0\r\n\r\nRMSG $G work + i.2 q 0\r\n\r\n" == switch.told(route)
    assert [] == switch.heard(client)


def test_accounts_do_not_hear_each_other_across_servers() -> None:
    switch = Switch(blocks=[AccountBlock("A"), AccountBlock("B")])
    route, a, b = switch.peer(), switch.connect("A"), switch.connect("B")
    switch.say(route, b"RS+ A x")
    switch.say(b, b"PUB x 0", b"")
    assert b"" == switch.told(route)
    switch.say(a, b"SUB x 1", b"PUB x 0", b"")
    assert b"RMSG A x 0\r\n\r\n" == switch.told(route)
    switch.say(b, b"SUB x 1")
    switch.heard(a)
    switch.say(route, b"RMSG A x 0", b"", b"RMSG B x 1", b"b")
    assert [b""] == [message.body for message in switch.heard(a)]
    assert [b"b"] == [message.body for message in switch.heard(b)]


# --- what comes in


def test_what_comes_by_a_route_goes_to_no_other() -> None:
    switch = Switch()
    one, other, client = switch.peer(), switch.peer(), switch.connect()
    switch.say(one, b"RS+ $G a", b"RS+ $G a q 1")
    switch.say(other, b"RS+ $G a", b"RS+ $G a q 1")
    switch.say(client, b"SUB a 1")
    switch.say(one, b"RMSG $G a 2", b"hi", b"RMSG $G a | q 2", b"ho")
    assert (b"", b"") == (switch.told(one), switch.told(other))
    assert [b"hi", b"ho"] == [message.body for message in switch.heard(client)]


def test_only_the_groups_that_a_message_names_are_served() -> None:
    switch = Switch()
    route, client = switch.peer(), switch.connect()
    switch.say(client, b"SUB a q1 1", b"SUB a q2 2", b"SUB a 3")
    switch.say(route, b"RMSG $G a 0", b"", b"RMSG $G a | q2 0", b"", b"RMSG $G a + r q1 q2 0", b"")
    heard = [(message.sid, message.reply) for message in switch.heard(client)]
    assert [
        (b"3", b""),
        (b"3", b""),
        (b"2", b""),
        (b"3", b"r"),
        (b"1", b"r"),
        (b"2", b"r"),
    ] == heard


def test_a_message_for_an_account_that_is_not_here_goes_to_nobody() -> None:
    switch = Switch()
    route = switch.peer()
    switch.say(route, b"RMSG nowhere a 0", b"", b"RMSG \xff a 0", b"")
    assert ["$G"] == [account.name for account in switch.board.accounts()]


def test_what_comes_by_routes_finds_its_flow_the_second_time() -> None:
    switch = Switch()
    route, client = switch.peer(), switch.connect()
    switch.say(client, b"SUB a.* 1")
    switch.say(route, b"RMSG $G a.b 0", b"", b"RMSG $G a.c 0", b"")
    assert 1 == switch.misses
    assert 2 == len(switch.heard(client))


def test_limits_hold_for_what_comes_by_routes() -> None:
    switch = Switch()
    route, client = switch.peer(), switch.connect()
    switch.say(client, b"SUB a 1", b"UNSUB 1 2")
    switch.say(route, *[b"RMSG $G a 0", b""] * 3)
    assert 2 == len(switch.heard(client))


# --- leaf nodes: the rules that routing keeps for them


def test_a_leaf_node_gets_no_echo_of_its_own_cluster() -> None:
    switch = Switch()
    leaf = switch.peer(LEAF, b"LC", Scope(avoid=b"LC"))
    twin = switch.peer(LEAF, b"LC", Scope(avoid=b"LC"))
    other = switch.peer(LEAF, b"other", Scope(avoid=b"other"))
    route = switch.peer()
    for link in (leaf, twin, other):
        switch.say(link, b"LS+ a")
    switch.say(route, b"LS+ LC $G a", b"LS+ third $G a")
    switch.say(leaf, b"LMSG a 2", b"hi")
    assert [b"", b"", b"LMSG a 2\r\nhi\r\n"] == list(map(switch.told, (leaf, twin, other)))
    assert b"LMSG LC $G a 0 2\r\nhi\r\n" == switch.told(route)
    switch.say(route, b"LMSG other $G a 0 2", b"ho")
    assert [b"LMSG a 2\r\nho\r\n"] * 2 + [b""] == list(map(switch.told, (leaf, twin, other)))


def test_members_below_a_leaf_node_are_the_last_choice() -> None:
    switch = Switch()
    leaf, client, member = switch.peer(LEAF, b"LC"), switch.connect(), switch.connect()
    switch.say(leaf, b"LS+ w q 9")
    switch.say(member, b"SUB w q 1")
    switch.say(client, *[b"PUB w 0", b""] * 20)
    assert (20, b"") == (len(switch.heard(member)), switch.told(leaf))
    switch.say(member, b"UNSUB 1")
    switch.say(client, b"PUB w 0", b"")
    assert b"LMSG w | q 0\r\n\r\n" == switch.told(leaf)


# --- what peers are told


def told_of(switch: Switch, **options: bool) -> tuple[InterestMap, list[Interest]]:
    lines: list[Interest] = []
    interest = InterestMap(None, ours, lines.append, **options)
    switch.board.peering.tell(interest)
    return interest, lines


def test_plain_interest_is_told_once_and_a_group_at_each_change() -> None:
    switch = Switch()
    _, lines = told_of(switch)
    one, two = switch.connect(), switch.connect()
    switch.say(one, b"SUB a 1", b"SUB b q 2")
    switch.say(two, b"SUB a 1", b"SUB b q 2", b"UNSUB 1")
    switch.disconnect(one)
    switch.disconnect(two)
    assert [
        (b"a", b"", 1),
        (b"b", b"q", 1),
        (b"b", b"q", 2),
        (b"b", b"q", 1),
        (b"a", b"", 0),
        (b"b", b"q", 0),
    ] == [(line.subject, line.queue, line.weight) for line in lines]


def test_a_map_that_comes_late_has_what_there_is_already() -> None:
    switch = Switch(blocks=[AccountBlock("A")])
    one, two, route = switch.connect("A"), switch.connect("A"), switch.peer()
    switch.say(one, b"SUB a.> 1", b"SUB w q 2")
    switch.say(two, b"SUB w q 1")
    switch.say(route, b"RS+ A by.route")
    interest, _ = told_of(switch)
    assert {
        Interest(b"", b"A", b"a.>", b"", 1),
        Interest(b"", b"A", b"w", b"q", 2),
    } == set(interest)
    assert 2 == len(interest)


def test_a_map_that_is_kept_no_longer_hears_nothing() -> None:
    switch = Switch()
    interest, lines = told_of(switch)
    switch.board.peering.untell(interest)
    switch.board.peering.untell(interest)
    switch.say(switch.connect(), b"SUB a 1")
    assert [] == lines


def test_interest_of_a_leaf_is_told_with_its_cluster_and_its_weight() -> None:
    switch = Switch()
    _, lines = told_of(switch, origins=True)
    leaf = switch.peer(LEAF, b"LC")
    switch.say(leaf, b"LS+ w q 3", b"LS+ w q 3", b"LS+ w q 5")
    switch.board.peering.leave(leaf)
    assert {b"LC"} == {line.origin for line in lines}
    assert [3, 0, 5, 0] == [line.weight for line in lines]


# --- accounts and ends


def test_an_account_that_a_peer_made_goes_with_its_interest() -> None:
    switch = Switch()
    route, client = switch.peer(), switch.connect()
    switch.say(route, b"RS+ X a", b"RMSG X a 0", b"")
    assert ["$G", "X"] == [account.name for account in switch.board.accounts()]
    switch.say(route, b"RS- X a")
    assert ["$G"] == [account.name for account in switch.board.accounts()]
    assert {} == switch.plane.arrivals
    # Its zone is another's now, and what came for it must not be heard there.
    other = switch.connect("Y")
    switch.say(other, b"SUB a 1")
    switch.say(route, b"RMSG X a 0", b"")
    assert [] == switch.heard(other) + switch.heard(client)


def test_whatever_a_peer_wanted_ends_with_it() -> None:
    switch = Switch()
    route, client = switch.peer(), switch.connect()
    switch.say(route, b"RS+ $G a", b"RS+ X b q 2")
    switch.say(client, b"PUB a 0", b"")
    switch.board.peering.leave(route)
    switch.board.peering.leave(route)
    assert 0 == len(switch.board)
    assert ["$G"] == [account.name for account in switch.board.accounts()]


def test_a_peer_leaves_all_its_accounts_at_once_though_clients_may_take_their_time() -> None:
    switch = Switch()
    later: list[Callable[[], None]] = []
    switch.board.defer_by(later.append)
    route = switch.peer()
    switch.say(route, *[b"RS+ X%d a.%d" % (number % 3, number) for number in range(300)])
    switch.board.peering.leave(route)
    assert [] == later
    assert ["$G"] == [account.name for account in switch.board.accounts()]


@pytest.mark.parametrize("subject", [b"a..b", b".a", b"a.>.b"])
def test_interest_in_what_is_no_subject_is_an_error(subject: bytes) -> None:
    switch = Switch()
    switch.say(switch.peer(), b"RS+ X " + subject)
    assert [INVALID_SUBJECT.text] == switch.refused
    assert ["$G"] == [account.name for account in switch.board.accounts()]


# --- crossings


SHARED = [
    AccountBlock("X", exports=(Export(b"out.>", False), Export(b"svc", True))),
    AccountBlock("B", imports=(Import("X", b"out.>", False), Import("X", b"svc", True))),
]


def test_a_stream_that_arrives_is_handed_out_here_and_nowhere_else() -> None:
    switch = Switch(blocks=SHARED)
    told_of(switch)
    one, other, client = switch.peer(), switch.peer(), switch.connect("B")
    switch.say(other, b"RS+ B out.>")
    switch.say(client, b"SUB out.* 1")
    switch.say(one, b"RMSG X out.a 0", b"")
    assert 1 == len(switch.heard(client))
    assert b"" == switch.told(other)


def test_a_service_is_asked_where_the_request_was_published() -> None:
    switch = Switch(blocks=SHARED)
    told_of(switch)
    route, server, asker = switch.peer(), switch.connect("X"), switch.connect("B")
    switch.say(server, b"SUB svc 1")
    switch.say(route, b"RMSG B svc r 0", b"")
    assert [] == switch.heard(server)
    switch.say(asker, b"PUB svc r 0", b"")
    assert 1 == len(switch.heard(server))


def test_what_accounts_share_is_wanted_of_other_servers() -> None:
    switch = Switch(blocks=SHARED)
    interest, lines = told_of(switch)
    wanted = {(one.account, one.subject) for one in interest}
    assert (b"X", b"out.>") in wanted
    homes = {account for account, subject in wanted if subject.startswith(b"_R_.")}
    assert {b"X", b"B"} == homes
    switch.board.configure([AccountBlock("X"), AccountBlock("B")])
    assert [] == list(interest)
    assert {0} == {line.weight for line in lines[-3:]}


def test_an_answer_from_another_server_goes_home() -> None:
    switch = Switch(blocks=SHARED)
    told_of(switch)
    route, asker = switch.peer(), switch.connect("B")
    switch.say(route, b"RS+ X svc")
    switch.say(asker, b"SUB inbox 1", b"PUB svc inbox 0", b"")
    reply = switch.told(route).split(b" ")[3]
    switch.say(route, b"RMSG X %s 2" % reply, b"ok")
    assert [(b"inbox", b"ok")] == [(one.subject, one.body) for one in switch.heard(asker)]
    other = Switch(blocks=SHARED)
    assert not reply.startswith(next(iter(prefixes(other))))


def prefixes(switch: Switch) -> set[bytes]:
    interest, _ = told_of(switch)
    return {one.subject[:-1] for one in interest if one.subject.startswith(b"_R_.")}


# --- whatever the flow table does


@pytest.mark.parametrize("flows", [lambda: FlowTable(0), lambda: FlowTable(64, 0.5)])
def test_a_flow_table_that_forgets_changes_nothing(flows: object) -> None:
    assert callable(flows)
    switch = Switch(flows())
    route, client, member = switch.peer(), switch.connect(), switch.connect()
    switch.say(route, b"RS+ $G a.*", b"RS+ $G w q 1")
    switch.say(member, b"SUB a.b 1")
    switch.say(client, *[b"PUB a.b 0", b"", b"PUB w 0", b""] * 10)
    switch.say(route, *[b"RMSG $G a.b 0", b""] * 10)
    assert 20 == switch.told(route).count(b"RMSG")
    assert 20 == len(switch.heard(member))
