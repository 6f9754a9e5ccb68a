"""The limits of a link: changed while it lives, one by one, or for those to come."""

from __future__ import annotations

from typing import Any

import pytest

from broker import errors
from broker.plane import Verdict
from tests.support.planes import ZONE, Bench, output

TOO_LONG = b"SUB " + b"x" * 40 + b" 1\r\n"


def test_a_links_payload_limit_holds_from_the_next_publish_on() -> None:
    bench = Bench()
    link, other = bench.link(), bench.link()
    bench.lay(b"a", (other, b"1"))
    assert Verdict.DRAINED is bench.plane.feed(link, b"PUB a 2\r\nxx\r\n")
    bench.plane.set_limits(link, max_payload=1)
    assert Verdict.BROKEN is bench.plane.feed(link, b"PUB a 2\r\nxx\r\n")
    assert errors.PAYLOAD_EXCEEDED == bench.plane.error(link).error
    assert Verdict.DRAINED is bench.plane.feed(other, b"PUB a 2\r\nxx\r\n")


def test_a_payload_whose_line_was_accepted_still_comes_in() -> None:
    bench = Bench()
    link = bench.link()
    bench.lay(b"a", (link, b"1"))
    bench.plane.feed(link, b"PUB a 2\r\nx")
    bench.plane.set_limits(link, max_payload=1)
    assert Verdict.DRAINED is bench.plane.feed(link, b"x\r\n")
    assert b"MSG a 1 2\r\nxx\r\n" == output(link)


def test_a_larger_payload_is_let_in_once_the_limit_was_raised() -> None:
    bench = Bench(max_payload=1)
    link = bench.link()
    bench.lay(b"a", (link, b"1"))
    bench.plane.set_limits(link, max_payload=2)
    assert Verdict.DRAINED is bench.plane.feed(link, b"PUB a 2\r\nxx\r\n")
    assert b"MSG a 1 2\r\nxx\r\n" == output(link)


def test_a_links_limit_on_lines_holds_from_the_next_line_on() -> None:
    bench = Bench()
    link = bench.link()
    assert Verdict.CONTROL is bench.plane.feed(link, TOO_LONG)
    bench.plane.set_limits(link, max_control_line=30)
    assert Verdict.DRAINED is bench.plane.resume(link)
    assert Verdict.BROKEN is bench.plane.feed(link, TOO_LONG)
    assert errors.CONTROL_LINE_EXCEEDED == bench.plane.error(link).error


def test_a_lower_bound_of_the_queue_counts_the_backlog_and_cuts_nothing() -> None:
    bench = Bench()
    link = bench.link()
    link.backlog = 8
    bench.plane.send(link, b"PONG\r\n")
    bench.plane.set_limits(link, max_pending=20)
    bench.plane.send(link, b"PONG\r\n")
    assert [] == bench.plane.take_overflowed()
    bench.plane.set_limits(link, max_pending=10)
    assert not link.overflowed
    assert 12 == link.queued
    bench.plane.send(link, b"PONG\r\n")
    assert [link] == bench.plane.take_overflowed()
    assert b"PONG\r\nPONG\r\n" == output(link)


def test_a_raised_bound_of_the_queue_outlives_the_next_backlog() -> None:
    bench = Bench(max_pending=5)
    link = bench.link()
    bench.plane.set_limits(link, max_pending=20)
    link.backlog = 14
    bench.plane.send(link, b"PONG\r\n")
    assert [] == bench.plane.take_overflowed()


def test_without_a_link_the_limits_are_those_of_links_opened_from_now_on() -> None:
    bench = Bench()
    before = bench.link()
    bench.plane.set_limits(None, max_payload=1, max_control_line=30, max_pending=5)
    large, long, slow = bench.link(), bench.link(), bench.link()
    assert Verdict.MISS is bench.plane.feed(before, b"PUB a 2\r\nxx\r\n")
    assert Verdict.BROKEN is bench.plane.feed(large, b"PUB a 2\r\nxx\r\n")
    assert Verdict.BROKEN is bench.plane.feed(long, TOO_LONG)
    bench.plane.send(before, b"PONG\r\n")
    bench.plane.send(slow, b"PONG\r\n")
    assert [slow] == bench.plane.take_overflowed()


@pytest.mark.parametrize("of_a_link", [True, False])
def test_what_is_not_given_stays_as_it_is(of_a_link: bool) -> None:
    bench = Bench(max_payload=3, max_control_line=40, max_pending=50)
    link = bench.link() if of_a_link else None
    bench.plane.set_limits(link)
    link = link or bench.link()
    parser = link.parser
    limits = (parser.max_payload, parser.max_control_line, link.max_pending, link.room)
    assert (3, 40, 50, 50) == limits


@pytest.mark.parametrize("name", ["max_payload", "max_control_line", "max_pending"])
@pytest.mark.parametrize("value", [0, -1])
def test_a_limit_below_one_is_refused_and_changes_nothing(name: str, value: int) -> None:
    bench = Bench(max_payload=3, max_control_line=40, max_pending=50)
    link = bench.link()
    limits: dict[str, Any] = {"max_payload": 9, "max_control_line": 9, "max_pending": 9}
    with pytest.raises(ValueError, match=f"{name}: {value} is not usable; give a number of bytes"):
        bench.plane.set_limits(link, **limits | {name: value})
    parser = link.parser
    assert (3, 40, 50) == (parser.max_payload, parser.max_control_line, link.max_pending)


def test_the_limits_of_a_closed_link_matter_no_more() -> None:
    bench = Bench()
    link = bench.plane.open(1, ZONE)
    bench.plane.close(link)
    bench.plane.set_limits(link, max_payload=1, max_control_line=1, max_pending=1)
    assert Verdict.CLOSED is bench.plane.feed(link, TOO_LONG)
    bench.plane.send(link, b"PONG\r\n")
    assert [] == bench.plane.take_overflowed()
