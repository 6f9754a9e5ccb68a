"""Accounts and zones: who shares one, when they end, and what they count."""

from __future__ import annotations

import pytest

from broker.accounts import Accounts, effective
from broker.blocks import AccountBlock, MappingBlock, Target
from broker.errors import ACCOUNT_CONNECTIONS_EXCEEDED, publish_violation
from broker.permissions import FREE, Permissions, Responses, Rules
from tests.support.switch import Switch

SOME = Permissions(publish=Rules((b"a", b"b")))


def numbers(switch: Switch) -> list[int]:
    return sorted(
        zone.number for account in switch.board.accounts() for zone in account.zones.values()
    )


def test_who_may_publish_the_same_shares_a_zone_and_its_flows() -> None:
    switch = Switch()
    one, two = switch.connect("A", SOME), switch.connect("A", Permissions(Rules((b"a", b"b"))))
    assert one.zone == two.zone != switch.connect("A").zone
    switch.say(one, b"SUB a 1", b"PUB a 0", b"")
    switch.say(two, b"PUB a 0", b"")
    assert switch.misses == 1


def test_what_one_may_subscribe_to_makes_no_zone() -> None:
    switch = Switch()
    one, two = switch.connect(), switch.connect("$G", Permissions(subscribe=Rules((b"a",))))
    assert 0 == one.zone == two.zone


def test_a_zone_ends_with_its_last_link_and_so_do_its_flows() -> None:
    switch = Switch()
    one, two = switch.connect("$G", SOME), switch.connect("$G", SOME)
    switch.say(one, b"PUB a 0", b"")
    switch.disconnect(two)
    assert [0, 1] == numbers(switch)
    assert 1 == len(switch.plane.flows)
    switch.disconnect(one)
    assert [0] == numbers(switch)
    assert 0 == len(switch.plane.flows)


def test_ever_new_rules_and_accounts_do_not_grow_the_table() -> None:
    switch = Switch(blocks=[AccountBlock("A")])
    for number in range(100):
        rules = Permissions(Rules((b"a.%d" % number,)))
        links = [switch.connect("A", rules), switch.connect(f"X{number}", rules)]
        for link in links:
            switch.say(link, b"SUB > 1", b"PUB a.%d 0" % number, b"")
            switch.disconnect(link)
    assert [0, 1] == numbers(switch)
    assert ["$G", "A"] == [account.name for account in switch.board.accounts()]


def test_a_link_that_becomes_somebody_else_leaves_its_subscriptions_behind() -> None:
    switch = Switch()
    link, other = switch.connect("A"), switch.connect("A")
    switch.say(link, b"SUB a 1")
    link.zone = switch.board.enter(link, "B", FREE)
    switch.say(other, b"PUB a 0", b"")
    assert [] == switch.heard(link)
    assert 0 == len(switch.board)


def test_a_link_that_stays_in_its_account_keeps_them_under_its_new_rules() -> None:
    switch = Switch()
    link, other = switch.connect(), switch.connect()
    switch.say(link, b"SUB > 1")
    switch.say(other, b"PUB a 1", b"1")
    link.zone = switch.board.enter(link, "$G", Permissions(subscribe=Rules(None, (b"a",))))
    switch.say(other, b"PUB a 1", b"2", b"PUB b 1", b"3")
    assert [b"1", b"3"] == [message.body for message in switch.heard(link)]


def test_a_moved_link_loses_what_it_may_no_longer_have() -> None:
    switch = Switch()
    link, other = switch.connect("A"), switch.connect("A")
    switch.say(link, b"SUB a 1", b"SUB b 2", b"SUB c q 3")
    lost = switch.board.move(link, "A", Permissions(Rules(()), Rules((b"b",))))
    assert [b"1", b"3"] == [subscription.sid for subscription in lost]
    switch.say(other, b"PUB a 0", b"", b"PUB b 0", b"", b"PUB c 0", b"")
    assert [b"2"] == [message.sid for message in switch.heard(link)]
    switch.say(link, b"PUB a 0", b"")
    assert [publish_violation(b"a").text] == switch.refused
    assert [b"2"] == [one.sid for one in switch.board.move(link, "B", FREE)]


def test_an_account_counts_what_its_links_did_there() -> None:
    switch = Switch()
    link, other = switch.connect("A"), switch.connect("A")
    switch.say(other, b"SUB a 1")
    switch.say(link, b"PUB a 3", b"abc", b"PUB a 2", b"de")
    switch.disconnect(link)
    account = switch.board.account("A")
    assert account is not None
    info = account.info()
    assert (1, 2, 1) == (info.connections, info.total_connections, info.subscriptions)
    assert (2, 5, 2, 5) == (info.in_msgs, info.in_bytes, info.out_msgs, info.out_bytes)
    other.zone = switch.board.enter(other, "B", FREE)
    assert switch.board.account("A") is None  # nobody is there, and nobody configured it
    there = switch.board.account_of(other).info()
    assert (1, 0, 0) == (there.connections, there.out_msgs, there.subscriptions)


def test_who_enters_its_own_account_again_is_one_connection() -> None:
    switch = Switch()
    link = switch.connect("A")
    link.zone = switch.board.enter(link, "A", SOME)
    info = switch.board.account_of(link).info()
    assert (1, 1) == (info.connections, info.total_connections)


def test_who_may_answer_may_publish_nothing_else_unless_a_list_says_so() -> None:
    assert Rules(()) == effective(Permissions(responses=Responses())).publish
    listed = Permissions(Rules((b"a",)), responses=Responses())
    assert listed == effective(listed)
    assert FREE == effective(FREE)


def test_permissions_that_are_no_filters_leave_no_trace() -> None:
    switch = Switch()
    link = switch.plane.open(9, 0)
    for wrong in (Permissions(Rules((b"a..b",))), Permissions(subscribe=Rules((b"a..b",)))):
        with pytest.raises(ValueError, match="give"):
            switch.board.enter(link, "$G", wrong)
    assert [0] == numbers(switch)


def test_a_mapping_that_makes_no_sense_changes_nothing() -> None:
    accounts = Accounts([AccountBlock("A")])
    wrong = AccountBlock("B", mappings=(MappingBlock(b"a", (Target(b"$1"),)),))
    with pytest.raises(ValueError, match="wildcard index out of range"):
        accounts.configure([wrong])
    assert ["$G", "A"] == [account.name for account in accounts]


def test_a_new_configuration_holds_at_once_and_keeps_who_is_there() -> None:
    switch = Switch(blocks=[AccountBlock("A")])
    link = switch.connect("A")
    switch.say(link, b"SUB > 1", b"PUB a 0", b"")
    mapped = AccountBlock("A", mappings=(MappingBlock(b"a", (Target(b"b"),)),))
    switch.board.configure([mapped])
    switch.say(link, b"PUB a 0", b"")
    switch.board.configure([])
    switch.say(link, b"PUB a 0", b"")
    assert [b"a", b"b", b"a"] == [message.subject for message in switch.heard(link)]
    switch.disconnect(link)
    assert ["$G"] == [account.name for account in switch.board.accounts()]


def test_an_account_that_nobody_is_in_goes_with_its_block() -> None:
    switch = Switch(blocks=[AccountBlock("A"), AccountBlock("B")])
    switch.board.configure([AccountBlock("B")])
    assert ["$G", "B"] == [account.name for account in switch.board.accounts()]
    assert [0, 2] == numbers(switch)


def test_an_account_that_is_full_lets_nobody_in_but_who_is_there() -> None:
    switch = Switch(blocks=[AccountBlock("A", max_connections=2)])
    one, two = switch.connect("A"), switch.connect("A")
    other = switch.connect()
    assert ACCOUNT_CONNECTIONS_EXCEEDED is switch.board.refusal(other, "A")
    assert switch.board.refusal(two, "A") is None
    assert switch.board.refusal(other, "B") is None
    switch.disconnect(one)
    assert switch.board.refusal(other, "A") is None


def test_zones_are_told_by_account() -> None:
    switch = Switch(blocks=[AccountBlock("A")])
    limited = switch.connect("$G", SOME)
    assert {0: "$G", 1: "A", limited.zone: "$G"} == switch.board.zones()
