"""Listeners inside the broker, and what they emit."""

from __future__ import annotations

import pytest

from broker.blocks import AccountBlock, Export, Import
from broker.forwarding import EMIT_BUDGET
from broker.taps import Message
from tests.support.switch import Switch


def test_a_tap_hears_what_fits_its_filter_in_its_account() -> None:
    switch = Switch()
    here, there = switch.connect("A"), switch.connect("B")
    heard: list[Message] = []
    switch.board.tap("A", b"a.*", heard.append)
    switch.say(
        here, b"PUB a.x r 1", b"x", b"PUB b 1", b"y", b"HPUB a.y 12 13", b"NATS/1.0\r\n\r\nz"
    )
    switch.say(there, b"PUB a.x 1", b"w")
    assert [
        Message(b"a.x", b"r", b"", b"x", here, "A"),
        Message(b"a.y", b"", b"NATS/1.0\r\n\r\n", b"z", here, "A"),
    ] == heard


def test_a_tap_in_every_account_hears_those_of_later_accounts_too() -> None:
    switch = Switch()
    heard: list[Message] = []
    tap = switch.board.tap(None, b"a", heard.append)
    for account in ("$G", "A"):
        switch.say(switch.connect(account), b"PUB a 0", b"")
    assert ["$G", "A"] == [message.account for message in heard]
    switch.board.untap(tap)
    switch.board.untap(tap)
    switch.say(switch.connect(), b"PUB a 0", b"")
    assert 2 == len(heard)


def test_a_tap_hears_what_had_a_flow_before_it_came_and_none_after_it_went() -> None:
    switch = Switch()
    link = switch.connect()
    switch.say(link, b"SUB a 1", b"PUB a 0", b"", b"PUB a 0", b"")
    heard: list[Message] = []
    tap = switch.board.tap("$G", b"a", heard.append)
    switch.say(link, b"PUB a 0", b"")
    switch.board.untap(tap)
    misses = switch.misses
    switch.say(link, *[b"PUB a 0", b""] * 3)
    assert (1, misses + 1) == (len(heard), switch.misses)
    assert 6 == len(switch.heard(link))


def test_a_tap_counts_as_somebody_who_heard_it() -> None:
    switch = Switch()
    link = switch.connect(no_responders=True)
    switch.board.tap("$G", b"svc", lambda message: None)
    switch.say(link, b"SUB r 1", b"PUB svc r 0", b"")
    assert [] == switch.heard(link)


def test_a_tap_may_answer() -> None:
    switch = Switch()
    link = switch.connect()
    board = switch.board

    def answer(asked: Message) -> None:
        board.emit(asked.account, asked.reply, b"yes", b"", b"NATS/1.0\r\n\r\n")

    board.tap("$G", b"svc", answer)
    switch.say(link, b"SUB r 1", b"PUB svc r 0", b"")
    (message,) = switch.heard(link)
    assert (b"r", b"NATS/1.0\r\n\r\n", b"yes") == (message.subject, message.head, message.body)


def test_what_is_emitted_is_delivered_and_counted() -> None:
    switch = Switch()
    link = switch.connect("A")
    switch.say(link, b"SUB a 1", b"SUB > 2")
    assert 2 == switch.board.emit("A", b"a", b"x", b"r")
    assert 0 == switch.board.emit("B", b"a", b"x")
    assert [(b"a", b"r", b"x")] * 2 == [
        (message.subject, message.reply, message.body) for message in switch.heard(link)
    ]


def test_taps_are_not_called_from_within_each_other() -> None:
    switch = Switch()
    trail: list[str] = []

    def first(message: Message) -> None:
        trail.append("first begins")
        assert 0 == switch.board.emit("$G", b"b", b"")
        trail.append("first ends")

    switch.board.tap("$G", b"a", first)
    switch.board.tap("$G", b"b", lambda message: trail.append("second"))
    assert 1 == switch.board.emit("$G", b"a", b"")
    assert ["first begins", "first ends", "second"] == trail


def test_a_tap_that_feeds_itself_is_cut_off() -> None:
    switch = Switch()
    link = switch.connect()
    heard: list[Message] = []

    def echo(message: Message) -> None:
        heard.append(message)
        switch.board.emit("$G", b"a", b"")

    switch.board.tap("$G", b"a", echo)
    switch.say(link, b"PUB a 0", b"")
    assert EMIT_BUDGET + 1 == len(heard)
    switch.say(link, b"PUB a 0", b"")  # and it still works
    assert 2 * (EMIT_BUDGET + 1) == len(heard)


def test_what_is_emitted_crosses_into_other_accounts() -> None:
    exporter = AccountBlock("A", exports=(Export(b"s", service=False),))
    importer = AccountBlock("B", imports=(Import("A", b"s", service=False),))
    switch = Switch(blocks=[exporter, importer])
    link = switch.connect("B")
    switch.say(link, b"SUB s 1")
    assert 1 == switch.board.emit("A", b"s", b"x")
    assert [b"x"] == [message.body for message in switch.heard(link)]


def test_a_tap_keeps_its_account_and_survives_a_new_configuration() -> None:
    switch = Switch()
    heard: list[Message] = []
    tap = switch.board.tap("A", b"a", heard.append)
    switch.board.configure([])
    switch.disconnect(switch.connect("A"))
    switch.say(switch.connect("A"), b"PUB a 0", b"")
    assert 1 == len(heard)
    switch.board.untap(tap)


def test_a_filter_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="is no filter"):
        Switch().board.tap("$G", b"a..b", lambda message: None)


def test_a_tap_in_every_account_hears_what_is_below_sys_whatever_its_filter_begins_with() -> None:
    switch = Switch()
    link = switch.connect("A")
    wide: list[Message] = []
    narrow: list[Message] = []
    switch.board.tap(None, b">", wide.append)
    switch.board.tap(None, b"$SYS.*", narrow.append)
    switch.say(link, b"PUB $SYS.a 0", b"", b"PUB b 0", b"")
    assert [b"$SYS.a", b"b"] == [message.subject for message in wide]
    assert [b"$SYS.a"] == [message.subject for message in narrow]


def test_a_subject_below_sys_is_found_anew_each_time_even_where_a_flow_would_fit() -> None:
    switch = Switch()
    link = switch.connect()
    switch.say(link, b"SUB *.* 1", b"PUB a.b 0", b"", b"PUB $SYS.b 0", b"")
    assert [b"*.*"] == [flow.pattern for _, flow in switch.plane.flows]
    heard: list[Message] = []
    tap = switch.board.tap(None, b"$SYS.b", heard.append)
    switch.say(link, b"PUB a.b 0", b"", b"PUB $SYS.b 0", b"")
    switch.board.untap(tap)
    switch.say(link, b"PUB $SYS.b 0", b"")
    assert (5, [b"$SYS.b"]) == (len(switch.heard(link)), [one.subject for one in heard])


def test_whether_anybody_would_hear_counts_clients_and_not_taps() -> None:
    switch = Switch()
    board = switch.board
    assert not board.heard("nowhere", b"a")
    board.tap("A", b"a", lambda message: None)
    assert not board.heard("A", b"a")
    link = switch.connect("A")
    switch.say(link, b"SUB b 1")
    assert (False, True) == (board.heard("A", b"a"), board.heard("A", b"b"))


def test_whoever_imports_a_stream_counts_as_somebody_who_would_hear() -> None:
    exporter = AccountBlock("A", exports=(Export(b"a.>", service=False),))
    importer = AccountBlock("B", imports=(Import("A", b"a.>", service=False),))
    switch = Switch(blocks=(exporter, importer))
    assert (True, False) == (switch.board.heard("A", b"a.x"), switch.board.heard("A", b"b"))
