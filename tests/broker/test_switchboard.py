"""What the switchboard decides, one decision a test; `test_twin` tries them in all mixtures."""

from __future__ import annotations

import pytest

from broker.blocks import AccountBlock, Export, Import, MappingBlock, Target
from broker.errors import INVALID_SUBJECT
from broker.flow import FlowTable
from broker.permissions import Permissions, Responses, Rules
from broker.plane import Link
from tests.support.switch import Switch


def sids(switch: Switch, link: Link) -> list[bytes]:
    return [message.sid for message in switch.heard(link)]


def bodies(switch: Switch, link: Link) -> list[bytes]:
    return [message.body for message in switch.heard(link)]


def test_the_second_message_of_a_subject_does_not_reach_the_switchboard() -> None:
    switch = Switch()
    link = switch.connect()
    switch.say(link, b"SUB a 1", b"PUB a 1", b"x", b"PUB a 1", b"y", b"PUB a 1", b"z")
    assert bodies(switch, link) == [b"x", b"y", b"z"]
    assert switch.misses == 1


def test_ever_new_reply_subjects_share_one_flow() -> None:
    switch = Switch()
    link = switch.connect()
    switch.say(link, b"SUB _INBOX.c1.* 1")
    for number in range(50):
        switch.say(link, b"PUB _INBOX.c1.r%d 1" % number, b"x")
    assert len(switch.heard(link)) == 50
    assert switch.misses == 1
    assert [flow.pattern for _, flow in switch.plane.flows] == [b"_INBOX.c1.*"]


def test_a_subscription_evicts_what_it_concerns_and_leaves_the_rest() -> None:
    switch = Switch()
    link = switch.connect()
    switch.say(link, b"SUB a.x 1", b"SUB b.x 2", b"PUB a.x 0", b"", b"PUB b.x 0", b"")
    assert len(switch.plane.flows) == 2
    switch.say(link, b"SUB a.* 3")
    assert [flow.pattern for _, flow in switch.plane.flows] == [b"b.x"]
    switch.say(link, b"UNSUB 2")
    assert len(switch.plane.flows) == 0


def test_each_matching_subscription_of_a_link_is_a_copy_in_the_real_servers_order() -> None:
    switch = Switch()
    link = switch.connect()
    switch.say(link, b"SUB * 1", b"SUB a 2", b"SUB > 3", b"SUB a 4", b"PUB a 0", b"")
    assert sids(switch, link) == [b"3", b"2", b"4", b"1"]


def test_a_sid_in_use_is_ignored_even_with_a_wrong_subject() -> None:
    switch = Switch()
    link = switch.connect()
    assert switch.board.subscribe(link, b"a", b"", b"1") is None
    assert switch.board.subscribe(link, b"b", b"", b"1") is None
    assert switch.board.subscribe(link, b"a..b", b"", b"1") is None
    assert [entry.filter for entry in switch.board.subscriptions(link)] == [b"a"]
    switch.say(link, b"PUB b 0", b"", b"PUB a 0", b"")
    assert sids(switch, link) == [b"1"]


@pytest.mark.parametrize("subject", [b"a..b", b".a", b"a.", b">.a"])
def test_a_wrong_subject_is_reported_and_leaves_no_trace(subject: bytes) -> None:
    switch = Switch()
    link = switch.connect()
    assert switch.board.subscribe(link, subject, b"", b"1") is INVALID_SUBJECT
    assert (switch.board.count(link), len(switch.board)) == (0, 0)
    assert switch.board.stats().links == 0
    switch.say(link, b"SUB a 1", b"PUB a 0", b"")
    assert sids(switch, link) == [b"1"]


def test_an_unknown_sid_is_ignored() -> None:
    switch = Switch()
    link = switch.connect()
    switch.say(link, b"UNSUB 1", b"SUB a 1", b"UNSUB 2", b"UNSUB 2 5", b"PUB a 0", b"")
    assert sids(switch, link) == [b"1"]


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([b"UNSUB 1 2", b"1", b"2", b"3"], [b"1", b"2"]),
        ([b"1", b"UNSUB 1 3", b"2", b"3", b"4"], [b"1", b"2", b"3"]),
        ([b"1", b"2", b"UNSUB 1 1", b"3"], [b"1", b"2"]),
        ([b"1", b"UNSUB 1 1", b"2"], [b"1"]),
        ([b"UNSUB 1 3", b"1", b"2", b"UNSUB 1 5", b"3", b"4", b"5", b"6"], list(b"12345")),
        ([b"UNSUB 1 3", b"1", b"2", b"UNSUB 1 1", b"3"], [b"1", b"2"]),
        ([b"UNSUB 1 5", b"1", b"UNSUB 1", b"2"], [b"1"]),
        ([b"UNSUB 1 0", b"1"], []),
    ],
)
@pytest.mark.parametrize("queue", [b"", b"q "])
def test_a_limit_counts_deliveries_from_the_beginning(
    queue: bytes, lines: list[bytes], expected: list[bytes | int]
) -> None:
    switch = Switch()
    link = switch.connect()
    switch.say(link, b"SUB a " + queue + b"1")
    for line in lines:
        switch.say(link, *([line] if line.startswith(b"UNSUB") else [b"PUB a 1", line]))
    wanted = [body if isinstance(body, bytes) else bytes([body]) for body in expected]
    assert wanted == bodies(switch, link)


def test_a_limit_that_is_reached_frees_the_sid_and_the_flow() -> None:
    switch = Switch()
    link = switch.connect()
    switch.say(link, b"SUB a 1", b"SUB a 2", b"UNSUB 1 1", b"PUB a 0", b"")
    assert [entry.sid for entry in switch.board.subscriptions(link)] == [b"2"]
    misses = switch.misses
    switch.say(link, *[b"PUB a 0", b""] * 5)
    assert switch.misses == misses + 1  # one to resolve; then the flow need not ask any more
    switch.say(link, b"SUB a 1", b"PUB a 0", b"")
    assert sids(switch, link) == [b"1", b"2"] + [b"2"] * 5 + [b"2", b"1"]


def test_what_echo_false_holds_back_does_not_count() -> None:
    switch = Switch()
    quiet, other = switch.connect(echo=False), switch.connect()
    switch.say(quiet, b"SUB a 1", b"UNSUB 1 1", b"PUB a 0", b"", b"PUB a 0", b"")
    assert sids(switch, quiet) == []
    switch.say(other, b"PUB a 0", b"", b"PUB a 0", b"")
    assert sids(switch, quiet) == [b"1"]


def test_a_group_is_one_pick_whatever_its_members_filters() -> None:
    switch = Switch()
    link = switch.connect()
    switch.say(link, b"SUB a.* q 1", b"SUB a.x q 2", b"SUB > q 3", b"SUB a.> p 4", b"SUB a.x 5")
    picked = set()
    for _ in range(60):
        switch.say(link, b"PUB a.x 0", b"")
        plain, *others = sids(switch, link)
        assert plain == b"5"
        assert len(others) == 2
        assert b"4" in others
        picked.update(others)
    assert {b"1", b"2", b"3", b"4"} == picked


def test_a_pick_passes_over_a_publisher_without_echo() -> None:
    switch = Switch()
    quiet, other = switch.connect(echo=False), switch.connect()
    switch.say(quiet, b"SUB a q 1")
    switch.say(quiet, b"PUB a 0", b"")
    assert sids(switch, quiet) == []
    switch.say(other, b"SUB a q 2")
    switch.say(quiet, *[b"PUB a 0", b""] * 20)
    assert (sids(switch, quiet), sids(switch, other)) == ([], [b"2"] * 20)


def test_a_link_that_goes_takes_its_subscriptions_along_and_nobody_elses() -> None:
    switch = Switch()
    gone, stays = switch.connect(), switch.connect()
    switch.say(gone, b"SUB a 1", b"SUB > 2", b"SUB a q 3")
    switch.say(stays, b"SUB a 1", b"PUB a 0", b"")
    assert sids(switch, gone) == [b"2", b"1", b"3"]
    switch.disconnect(gone)
    switch.board.drop(gone)  # once more does no harm
    switch.say(stays, b"PUB a 0", b"")
    assert (sids(switch, gone), sids(switch, stays)) == ([], [b"1", b"1"])
    assert (len(switch.board), switch.board.count(gone), switch.board.count(stays)) == (1, 0, 1)


def request(switch: Switch, link: Link, reply: bytes = b"r.x") -> list[bytes]:
    switch.say(link, b"PUB nobody %b 0" % reply, b"")
    return [message.sid + message.head for message in switch.heard(link)]


UNHEARD = b"NATS/1.0 503\r\nNats-Subject: nobody\r\n\r\n"


def test_a_request_that_nobody_hears_is_answered_to_the_requesters_reply_subscription() -> None:
    switch = Switch()
    link = switch.connect(no_responders=True)
    switch.say(link, b"SUB r.* 7", b"PUB nobody r.x 3", b"abc")
    (message,) = switch.heard(link)
    assert (b"r.x", b"7", b"", UNHEARD, b"") == (
        message.subject,
        message.sid,
        message.reply,
        message.head,
        message.body,
    )
    assert switch.board.stats().unheard == 1


def test_of_several_reply_subscriptions_the_first_in_the_tries_order_is_answered() -> None:
    switch = Switch()
    link = switch.connect(no_responders=True)
    switch.say(link, b"SUB r.* 5", b"SUB r.x 7", b"SUB r.> 6")
    assert request(switch, link) == [b"6" + UNHEARD]


def test_the_answer_does_not_count_towards_a_limit() -> None:
    switch = Switch()
    link = switch.connect(no_responders=True)
    switch.say(link, b"SUB r.x 7", b"UNSUB 7 1")
    assert request(switch, link) + request(switch, link) == [b"7" + UNHEARD] * 2
    assert [entry.msgs for entry in switch.board.subscriptions(link)] == [0]


@pytest.mark.parametrize(
    ("lines", "reply"),
    [
        ([b"SUB r.x q 7"], b"r.x"),  # a queue subscription does not count
        ([b"SUB other 7"], b"r.x"),
        ([b"SUB r.*.x 7"], b"r..x"),
        ([], b"r.x"),
    ],
)
def test_without_a_plain_subscription_to_the_reply_there_is_no_answer(
    lines: list[bytes], reply: bytes
) -> None:
    switch = Switch()
    link, other = switch.connect(no_responders=True), switch.connect(no_responders=True)
    switch.say(link, *lines)
    switch.say(other, b"SUB r.> 9")
    assert request(switch, link, reply) == []
    assert sids(switch, other) == []


def test_without_no_responders_there_is_no_answer() -> None:
    switch = Switch()
    link = switch.connect()
    switch.say(link, b"SUB r.x 7")
    assert request(switch, link) == []


def test_a_requester_that_only_echo_false_keeps_from_hearing_itself_is_answered() -> None:
    switch = Switch()
    link, other = switch.connect(echo=False, no_responders=True), switch.connect()
    switch.say(link, b"SUB r.x 7", b"SUB nobody 8", b"SUB nobody q 9")
    assert request(switch, link) == [b"7" + UNHEARD]
    switch.say(other, b"SUB nobody q 1")
    assert request(switch, link) == []
    assert sids(switch, other) == [b"1"]


def test_subscriptions_are_listed_with_what_monitoring_shows() -> None:
    switch = Switch()
    link = switch.connect()
    switch.say(link, b"SUB a 1", b"SUB b q 2", b"UNSUB 2 7", b"PUB a 0", b"", b"PUB b 0", b"")
    listed = [
        (entry.filter, entry.queue, entry.sid, entry.msgs, entry.limit)
        for entry in switch.board.subscriptions(link)
    ]
    assert listed == [(b"a", b"", b"1", 1, 0), (b"b", b"q", b"2", 1, 7)]


def test_stats_are_a_record_of_what_happened() -> None:
    switch = Switch()
    link = switch.connect()
    switch.say(link, b"SUB a 1", b"SUB b 2", b"UNSUB 1", *[b"PUB b 0", b""] * 3)
    stats = switch.board.stats()
    assert (stats.subscriptions, stats.links, stats.inserted, stats.removed) == (1, 1, 2, 1)
    assert (stats.resolved, stats.published) == (1, 1)


def test_a_table_that_keeps_nothing_changes_speed_only() -> None:
    switch = Switch(FlowTable(capacity=0))
    link = switch.connect()
    switch.say(link, b"SUB a.* 1", *[b"PUB a.x 0", b""] * 3)
    assert sids(switch, link) == [b"1"] * 3
    assert switch.misses == 3


def test_a_subject_that_may_not_be_published_to_never_gets_a_flow() -> None:
    switch = Switch()
    link = switch.connect("$G", Permissions(Rules((b"a.>",), (b"a.no",))))
    switch.say(link, *[b"PUB a.no 0", b""] * 3, *[b"PUB b 0", b""] * 3, *[b"PUB a.yes 0", b""] * 3)
    assert [(link.zone, b"a.yes")] == [(zone, flow.pattern) for zone, flow in switch.plane.flows]
    assert 6 == len(switch.refused)
    assert 7 == switch.misses


def test_rules_cost_the_flow_no_more_than_the_tokens_they_name() -> None:
    switch = Switch()
    link = switch.connect("$G", Permissions(Rules((b"a.>",), (b"b.no",))))
    switch.say(link, *[b"PUB a.%d.%d.x 0\r\n" % (number, number) for number in range(20)])
    assert [b"a.*.*.*"] == [flow.pattern for _, flow in switch.plane.flows]


def test_what_is_withheld_has_a_flow_of_its_own() -> None:
    switch = Switch()
    link = switch.connect("$G", Permissions(subscribe=Rules(None, (b"a.no",))))
    other = switch.connect()
    switch.say(link, b"SUB > 1")
    switch.say(other, b"PUB a.x 1", b"1", b"PUB a.no 1", b"2", b"PUB a.x 1", b"3")
    assert [b"1", b"3"] == bodies(switch, link)
    assert {b"a.x", b"a.no"} == {flow.pattern for _, flow in switch.plane.flows}


def test_an_answer_that_was_granted_leaves_no_flow_behind() -> None:
    switch = Switch()
    server = switch.connect("$G", Permissions(responses=Responses(1, 60.0)))
    client = switch.connect()
    switch.say(server, b"SUB svc 1")
    switch.say(client, b"SUB r 1", b"PUB svc r 0", b"")
    switch.say(server, b"PUB r 1", b"1", b"PUB r 1", b"2")
    assert [b"1"] == bodies(switch, client)
    assert [b'Permissions Violation for Publish to "r"'] == switch.refused


def test_a_503_finds_a_reply_that_its_requester_may_not_publish_to() -> None:
    switch = Switch()
    link = switch.connect("$G", Permissions(Rules((b"nobody",))), no_responders=True)
    switch.say(link, b"SUB r.* 7")
    assert [b"7" + UNHEARD] == request(switch, link)


def test_a_mapped_subject_is_chosen_anew_for_each_message() -> None:
    half = MappingBlock(b"a.*", (Target(b"b.$1", 50),))
    switch = Switch(blocks=[AccountBlock("A", mappings=(half,))])
    link = switch.connect("A")
    switch.say(link, b"SUB > 1", *[b"PUB a.x 0", b""] * 40)
    subjects = [message.subject for message in switch.heard(link)]
    assert {b"a.x", b"b.x"} == set(subjects)
    assert 40 == len(subjects)


def test_global_mappings_are_those_of_the_default_account() -> None:
    switch = Switch(mappings=[MappingBlock(b"a", (Target(b"b"),))])
    link, other = switch.connect(), switch.connect("A")
    for one in (link, other):
        switch.say(one, b"SUB > 1", b"PUB a 0", b"")
    assert [b"b"] == [message.subject for message in switch.heard(link)]
    assert [b"a"] == [message.subject for message in switch.heard(other)]


def test_an_explanation_says_where_a_message_goes_and_why() -> None:
    exporter = AccountBlock(
        "A",
        exports=(Export(b"b", service=False),),
        mappings=(MappingBlock(b"a", (Target(b"b"),)),),
    )
    importer = AccountBlock("B", imports=(Import("A", b"b", service=False, prefix=b"from"),))
    switch = Switch(blocks=[exporter, importer])
    link = switch.connect("A", Permissions(subscribe=Rules(None, (b"b",))))
    other = switch.connect("A")
    switch.say(link, b"SUB > 1")
    switch.say(other, b"SUB b 2", b"SUB b q 3")
    found = switch.board.explain("A", b"a")
    assert found is not None
    assert (b"a", b"b", b"b", True) == (found.published, found.subject, found.pattern, found.asks)
    assert [b"2"] == [one.sid for one in found.plain]
    assert [[b"3"]] == [[one.sid for one in pick] for pick in found.picks]
    assert [b"1"] == [one.sid for one in found.withheld]
    assert ("account B imports this stream as from.b",) == found.crossings
    assert switch.board.explain("X", b"a") is None
    assert 0 == len(switch.plane.flows)
