"""Streams and services between accounts: what the transcripts of the wire suite do not say."""

from __future__ import annotations

import json
from random import Random

import pytest

from broker.blocks import AccountBlock, Export, Import
from broker.crossing import MAX_AWAITED, Awaited, ReplyHome, with_header
from broker.ops import Publish
from broker.permissions import Permissions, Responses
from broker.plane import Link
from tests.support.switch import Switch

EXPORTER = AccountBlock(
    "A",
    exports=(
        Export(b"s.>", service=False),
        Export(b"req", service=True, threshold=10.0),
        Export(b"many", service=True, response="stream", threshold=10.0),
        Export(b"own", service=True, accounts=("C",)),
    ),
)


def importing(*imports: Import, name: str = "B") -> AccountBlock:
    return AccountBlock(name, imports=imports)


STREAM = importing(Import("A", b"s.>", service=False))
SERVICES = importing(
    Import("A", b"req", service=True, to=b"my.req"), Import("A", b"many", service=True, share=True)
)


def house(*blocks: AccountBlock) -> tuple[Switch, Link, Link]:
    """A switch with a link in A, and one in B."""
    switch = Switch(blocks=blocks)
    return switch, switch.connect("A"), switch.connect("B", no_responders=True)


def bodies(switch: Switch, link: Link) -> list[bytes]:
    return [message.body for message in switch.heard(link)]


def ask(switch: Switch, server: Link, client: Link, subject: bytes = b"my.req") -> bytes:
    """A request, and the reply subject that the server hears."""
    switch.say(client, b"PUB %b in.1 1" % subject, b"x")
    return switch.heard(server)[-1].reply


def test_each_side_of_a_stream_picks_from_its_own_group() -> None:
    # nats-server takes groups of one name on both sides for one.
    switch, ann, bob = house(EXPORTER, STREAM)
    switch.say(ann, b"SUB s.x g 1")
    switch.say(bob, b"SUB s.x g 1")
    switch.say(ann, *[b"PUB s.x 1", b"x"] * 5)
    assert (5, 5) == (len(bodies(switch, ann)), len(bodies(switch, bob)))


def test_a_limit_counts_what_comes_by_a_stream() -> None:
    # With nats-server it does not.
    switch, ann, bob = house(EXPORTER, STREAM)
    switch.say(bob, b"SUB s.> 1", b"UNSUB 1 2")
    switch.say(ann, b"PUB s.1 1", b"1", b"PUB s.2 1", b"2", b"PUB s.3 1", b"3")
    assert [b"1", b"2"] == bodies(switch, bob)
    assert 0 == switch.board.count(bob)


def test_a_publisher_without_echo_does_not_hear_itself_through_an_import() -> None:
    loop = AccountBlock(
        "A",
        exports=(Export(b"s", service=False),),
        imports=(Import("A", b"s", service=False, to=b"t"),),
    )
    switch = Switch(blocks=[loop])
    quiet, other = switch.connect("A", echo=False), switch.connect("A")
    switch.say(quiet, b"SUB t 1")
    switch.say(other, b"SUB t 1")
    switch.say(quiet, b"PUB s 1", b"x")
    assert ([], [b"x"]) == (bodies(switch, quiet), bodies(switch, other))


def test_only_subjects_that_cross_ask() -> None:
    switch, ann, bob = house(EXPORTER, STREAM, importing(name="C"))
    switch.say(ann, b"SUB > 1")
    switch.say(ann, *[b"PUB other 1", b"x"] * 5)
    assert 1 == switch.misses
    switch.say(ann, *[b"PUB s.x 1", b"x"] * 5)
    assert 6 == switch.misses
    switch.say(bob, *[b"PUB s.x 1", b"x"] * 5)
    assert 6 == switch.misses  # what came over has made the importer's flow


def test_an_answer_that_comes_too_late_goes_nowhere() -> None:
    switch, ann, bob = house(EXPORTER, SERVICES)
    switch.say(ann, b"SUB req 1")
    switch.say(bob, b"SUB in.* 1")
    reply = ask(switch, ann, bob)
    switch.now = 10.0
    switch.say(ann, b"PUB %b 1" % reply, b"x")
    assert [] == bodies(switch, bob)


def test_answers_in_a_stream_are_waited_for_from_the_last_one_on() -> None:
    switch, ann, bob = house(EXPORTER, SERVICES)
    switch.say(ann, b"SUB many 1")
    switch.say(bob, b"SUB in.* 1")
    reply = ask(switch, ann, bob, b"many")
    for now in (9.0, 18.0, 27.0, 37.0, 38.0):
        switch.now = now
        switch.say(ann, b"PUB %b 2" % reply, b"%02d" % now)
    assert [b"09", b"18", b"27"] == bodies(switch, bob)


def test_an_answer_for_an_account_that_is_gone_reaches_nobody_else() -> None:
    switch, ann, bob = house(EXPORTER, SERVICES)
    switch.say(ann, b"SUB req 1")
    switch.say(bob, b"SUB in.* 1")
    reply = ask(switch, ann, bob)
    number = bob.zone
    switch.disconnect(bob)
    switch.board.configure([EXPORTER, importing(Import("A", b"req", service=True), name="C")])
    heir = switch.connect("D")
    switch.say(heir, b"SUB in.* 1")
    assert number in (heir.zone, switch.connect("C").zone)
    switch.say(ann, b"PUB %b 1" % reply, b"x")
    assert [] == bodies(switch, heir)


def test_a_request_that_nobody_took_leaves_nothing_to_wait_for() -> None:
    switch, _, bob = house(EXPORTER, SERVICES)
    switch.say(bob, b"SUB in.* 1", b"PUB my.req in.1 1", b"x")
    (answer,) = switch.heard(bob)
    assert b"NATS/1.0 503\r\nNats-Subject: my.req\r\n\r\n" == answer.head
    account = switch.board.account("A")
    assert account is not None
    assert account.home is not None
    assert 0 == len(account.home)


def test_a_service_that_may_only_answer_is_granted_the_way_home() -> None:
    switch, _, bob = house(EXPORTER, SERVICES)
    server = switch.connect("A", Permissions(responses=Responses(1, 60.0)))
    switch.say(server, b"SUB req 1")
    switch.say(bob, b"SUB in.* 1")
    reply = ask(switch, server, bob)
    switch.say(server, b"PUB %b 1" % reply, b"y", b"PUB in.1 1", b"z")
    assert [b"y"] == bodies(switch, bob)
    assert [b'Permissions Violation for Publish to "in.1"'] == switch.refused


def test_a_service_is_told_who_asks_as_far_as_the_import_shares_it() -> None:
    switch, ann, bob = house(EXPORTER, SERVICES)
    switch.board.describe = lambda link, share: {"id": link.id} if share else {"rtt": 7}
    switch.say(ann, b"SUB req 1", b"SUB many 2")
    switch.say(bob, b"PUB my.req 1", b"x", b"PUB many 1", b"x")
    infos = [
        json.loads(message.head.split(b"Nats-Request-Info: ")[1]) for message in switch.heard(ann)
    ]
    assert [{"acc": "B", "rtt": 7}, {"acc": "B", "id": bob.id}] == infos


@pytest.mark.parametrize(
    ("payload", "size", "expected"),
    [
        (b"x", 0, b"NATS/1.0\r\nK: v\r\n\r\nx"),
        (b"NATS/1.0\r\nA: b\r\n\r\nx", 18, b"NATS/1.0\r\nA: b\r\nK: v\r\n\r\nx"),
        (b"NATS/1.0\r\nk: forged\r\n\r\nx", 23, b"NATS/1.0\r\nK: v\r\n\r\nx"),
        (b"NATS/1.0x", 8, b"NATS/1.0x"),
    ],
)
def test_a_header_line_is_added_once(payload: bytes, size: int, expected: bytes) -> None:
    before = Publish(b"a", b"r", payload, header_size=size)
    after = with_header(before, b"b", b"q", b"K: v\r\n")
    assert (b"b", b"q", expected) == (after.subject, after.reply, after.payload)
    assert expected[after.header_size :] == b"x" or after.header_size == size


def test_ways_home_are_bounded_and_the_oldest_goes() -> None:
    home, rng = ReplyHome(), Random(1)
    account = Switch().board.account("$G")
    assert account is not None
    export = Export(b"req", service=True)
    made = [home.expect(Awaited(account, b"r", export, 0.0), 0.0, rng) for _ in range(3)]
    assert len(set(made)) == 3
    for _ in range(MAX_AWAITED):
        home.expect(Awaited(account, b"r", export, 0.0), 1.0, rng)
    assert MAX_AWAITED == len(home)
    home.expect(Awaited(account, b"r", export, 0.0), 1000.0, rng)
    assert 1 == len(home)


@pytest.mark.parametrize(
    ("wanted", "what"),
    [
        (Import("X", b"s.a", service=False), "stream import of 's.a' from 'X': there is no such"),
        (Import("A", b"t", service=False), "stream import not authorized"),
        (Import("A", b">", service=False), "stream import not authorized"),
        (Import("A", b"s.a", service=True), "service import not authorized"),
        (Import("A", b"own", service=True), "service import not authorized"),
        (Import("A", b"s.>", service=False, to=b"x"), "invalid subject"),
    ],
)
def test_an_import_that_does_not_hold_is_a_complaint_and_no_error(
    wanted: Import, what: str
) -> None:
    switch = Switch(blocks=[EXPORTER, importing(wanted)])
    (complaint,) = switch.board.complaints
    assert complaint.startswith("account 'B': ")
    assert what in complaint


EXPORTS = (
    Export(b"a.>", False),
    Export(b"a.b", False, accounts=("C",)),
    Export(b"t.>", False, token=True),
    Export(b"p.*", False, position=2),
)


@pytest.mark.parametrize(
    ("wanted", "holds"),
    [
        (Import("A", b"a.x", False), True),
        # The export of the very subject counts, and not a wider one beside it.
        (Import("A", b"a.b", False), False),
        (Import("A", b"t.x", False), False),
        (Import("A", b"t.x", False, activated=True), True),
        (Import("A", b"p.B", False), True),
        (Import("A", b"p.C", False), False),
        (Import("A", b"p.*", False), False),
        (Import("A", b"a.x", True), False),
    ],
)
def test_an_import_holds_if_its_export_is_open_to_it(wanted: Import, holds: bool) -> None:
    switch = Switch(
        blocks=(AccountBlock("A", exports=EXPORTS), AccountBlock("B", imports=(wanted,)))
    )
    assert holds == (switch.board.complaints == ())


def test_imports_that_form_a_cycle_are_refused() -> None:
    def one(name: str, other: str) -> AccountBlock:
        return AccountBlock(
            name,
            exports=(Export(b"req", service=True),),
            imports=(Import(other, b"req", service=True),),
        )

    switch = Switch(blocks=[one("A", "B"), one("B", "A")])
    assert all("import forms a cycle" in complaint for complaint in switch.board.complaints)
    assert 2 == len(switch.board.complaints)


def test_a_complaint_goes_when_the_other_account_comes() -> None:
    switch = Switch(blocks=[STREAM])
    assert 1 == len(switch.board.complaints)
    switch.board.configure([STREAM, EXPORTER])
    assert not switch.board.complaints
    ann, bob = switch.connect("A"), switch.connect("B")
    switch.say(bob, b"SUB s.x 1")
    switch.say(ann, b"PUB s.x 1", b"x")
    assert [b"x"] == bodies(switch, bob)
    switch.board.configure([EXPORTER])
    switch.say(ann, b"PUB s.x 1", b"y")
    assert [] == bodies(switch, bob)
