"""What the switchboard decides, one decision a test; `test_twin` tries them in all mixtures."""

from __future__ import annotations

import pytest

from broker.errors import INVALID_SUBJECT
from broker.flow import FlowTable
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
