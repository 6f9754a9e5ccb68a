"""Lines about clients: each kind is named, none comes a million times, and all are counted."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterator

import pytest

from broker.complaints import LONGEST, MOST, SHORTEST, Complaints
from reactor.testing import VirtualReactor, make_reactor
from tests.support.virtual_broker import VirtualBroker


@pytest.fixture
def reactor() -> Iterator[VirtualReactor]:
    with make_reactor() as made:
        yield made


class Lines:
    """What was logged."""

    def __init__(self, caplog: pytest.LogCaptureFixture) -> None:
        self._caplog = caplog

    def all(self) -> list[str]:
        return [record.getMessage() for record in self._caplog.records]


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Lines:
    caplog.set_level(logging.INFO, "broker")
    return Lines(caplog)


def complain(complaints: Complaints, number: int, text: str = "over 4096 bytes") -> None:
    complaints.say(logging.ERROR, lambda: f"client {number}", text)


def test_what_happens_now_and_then_is_logged_each_time(
    reactor: VirtualReactor, lines: Lines
) -> None:
    complaints = Complaints(reactor)
    for number in range(5):
        complain(complaints, number)
        reactor.run_for(SHORTEST)
    assert [f"client {number} - over 4096 bytes" for number in range(5)] == lines.all()
    assert 0 == reactor.stats().timers


def test_what_follows_closely_is_counted_and_told_with_the_last(
    reactor: VirtualReactor, lines: Lines
) -> None:
    complaints = Complaints(reactor)
    for number in range(1236):
        complain(complaints, number)
    assert ["client 0 - over 4096 bytes"] == lines.all()
    reactor.run_for(SHORTEST)
    assert "client 1235 - over 4096 bytes (and 1,234 more like it within 1 s)" == lines.all()[1]
    assert 0 == reactor.stats().timers


def test_a_line_that_was_held_alone_is_told_as_it_is(reactor: VirtualReactor, lines: Lines) -> None:
    complaints = Complaints(reactor)
    complain(complaints, 1)
    complain(complaints, 2)
    reactor.run_for(SHORTEST)
    assert ["client 1 - over 4096 bytes", "client 2 - over 4096 bytes"] == lines.all()


def test_as_long_as_it_goes_on_the_pauses_grow_up_to_a_minute(
    reactor: VirtualReactor, lines: Lines
) -> None:
    complaints = Complaints(reactor)
    told = []
    for number in range(800):
        before = len(lines.all())
        complain(complaints, number)
        reactor.run_for(0.5)
        told += [number / 2] * (len(lines.all()) - before)
    gaps = [b - a for a, b in itertools.pairwise(told)]
    assert gaps == sorted(gaps)
    assert LONGEST == gaps[-1]
    reactor.run_for(LONGEST)
    counted = sum(
        int(line.split("and ")[1].split()[0]) + 1 for line in lines.all() if "and" in line
    )
    assert 800 == counted + sum("and" not in line for line in lines.all())


def test_when_it_was_quiet_it_begins_anew(reactor: VirtualReactor, lines: Lines) -> None:
    complaints = Complaints(reactor)
    for number in range(3):
        complain(complaints, number)
        complain(complaints, number)
        reactor.run_for(10 * LONGEST)
    assert 6 == len(lines.all())


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("maximum payload exceeded: 5", "maximum control line exceeded: 5"),
        ('Publish Violation - Subject "a"', 'Subscription Violation - Subject "a"'),
    ],
)
def test_kinds_are_told_apart(reactor: VirtualReactor, lines: Lines, one: str, other: str) -> None:
    complaints = Complaints(reactor)
    for text in (one, other):
        complain(complaints, 1, text)
    assert [f"client 1 - {one}", f"client 1 - {other}"] == lines.all()


def test_numbers_and_names_make_no_kind_of_their_own(reactor: VirtualReactor, lines: Lines) -> None:
    complaints = Complaints(reactor)
    for number in range(10):
        complain(complaints, number, f"over {number} bytes")
        complain(complaints, number, f'Publish Violation - Subject "{number}"')
    assert 2 == len(lines.all())


def test_the_number_of_kinds_is_bounded_and_no_count_is_lost(
    reactor: VirtualReactor, lines: Lines
) -> None:
    complaints = Complaints(reactor)
    for number in range(MOST + 1):
        for _ in range(2):
            complain(complaints, number, "x" * (number + 1))
    complaints.settle()
    assert 2 * (MOST + 1) == len(lines.all())
    assert 0 == reactor.stats().timers


def test_a_broker_that_closes_tells_what_it_has_counted(lines: Lines) -> None:
    broker = VirtualBroker(max_control_line=64)
    for _ in range(5):
        broker.connect().send(b"PUB " + b"x" * 100)
    broker.server.close()
    broker.reactor.settle()
    told = [line.partition(" - cid")[2].partition("- ")[2] for line in lines.all()]
    limit = "maximum control line exceeded: over 64 bytes"
    assert [limit, f"{limit} (and 3 more like it within 1 s)"] == [t for t in told if "max" in t]
