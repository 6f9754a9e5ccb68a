"""Top subjects: what is found in bytes, how it fades, and what is lost when there are too many."""

from __future__ import annotations

import random

import pytest

from broker.topics import HALF_LIFE, IDLE, KEPT, READS_PER_SECOND, Topics, topicsz
from tests.broker.test_varz import STATS


def make(now: float = 0.0) -> Topics:
    return Topics(now, lambda: None, random.Random(7))


def counted(*reads: bytes) -> list[str]:
    topics = make()
    for read in reads:
        topics.feed(read, 0.0)
    return sorted(topic.subject for topic in topics.top(100, 1.0))


@pytest.mark.parametrize(
    ("read", "expected"),
    [
        (b"PUB a 2\r\nhi\r\n", ["a"]),
        (b"pub a.b reply 2\r\nhi\r\nPub\tc 0\r\n\r\n", ["a.b", "c"]),
        (b"HPUB h reply 12 14\r\nNATS/1.0\r\n\r\nhi\r\n", ["h"]),
        (b"SUB x 1\r\nPUB a 2\r\nhi\r\nPING\r\n", ["a"]),
        (b"PUB a 9\r\nPUB b 1\r\n\r\nPUB c 0\r\n\r\n", ["a", "c"]),
        (b"rest of a payload\r\nPUB b 1\r\nx\r\n", ["b"]),
        (b"PUB a", []),
        (b"PUB a x\r\n", []),
        (b"PUB a b c 1 2 3\r\n", []),
        (b"PUB a 9999999999\r\n", []),
        (b"XPUB a 1\r\nx\r\n", []),
        (b"PUB " + b"x" * 10_000, []),
        (b"PUB \xff 1\r\nx\r\n", ["\ufffd"]),
    ],
)
def test_publishes_are_found_and_nothing_else(read: bytes, expected: list[str]) -> None:
    assert expected == counted(read)


def test_a_steady_rate_is_told_right() -> None:
    topics = make()
    now = 0.0
    for step in range(100):
        now = step / 10
        topics.feed(b"PUB a 100\r\n" + b"x" * 100 + b"\r\nPUB b 0\r\n\r\n" * 3, now)
    busiest = topics.top(5, now)
    assert ["b", "a"] == [topic.subject for topic in busiest]
    assert 30.0 == pytest.approx(busiest[0].msgs, rel=0.1)
    assert 10.0 == pytest.approx(busiest[1].msgs, rel=0.1)
    assert 1000.0 == pytest.approx(busiest[1].bytes, rel=0.1)


def test_what_is_over_fades() -> None:
    topics = make()
    topics.feed(b"PUB a 0\r\n\r\n" * 100, 0.0)
    (before,) = topics.top(1, 10 * HALF_LIFE)
    (after,) = topics.top(1, 11 * HALF_LIFE)
    assert 0.5 == pytest.approx(after.msgs / before.msgs, rel=0.01)


def test_under_load_a_part_of_the_reads_stands_for_all() -> None:
    topics = make()
    now, reads = 0.0, 20 * READS_PER_SECOND
    for step in range(10 * reads):
        now = step / reads
        topics.feed(b"PUB a 0\r\n\r\n", now)
    assert 20 == pytest.approx(topics.stride, rel=0.1)
    (topic,) = topics.top(1, now)
    assert reads == pytest.approx(topic.msgs, rel=0.1)


def test_a_long_read_is_looked_at_in_part_and_counted_whole() -> None:
    topics = make()
    for step in range(50):
        topics.feed(b"PUB a 0\r\n\r\n" * 10_000, step / 10)
    (topic,) = topics.top(1, 5.0)
    assert 100_000 == pytest.approx(topic.msgs, rel=0.1)


def test_memory_is_bounded_and_the_busy_stay() -> None:
    topics = make()
    number = 0
    for _ in range(300):
        read = bytearray()
        for _ in range(100):
            number += 1
            read += b"PUB _INBOX.%d 0\r\n\r\n" % number + b"PUB busy 0\r\n\r\n"
        topics.feed(bytes(read), 0.0)
        assert len(topics) <= 2 * KEPT
    busiest = topics.top(1, 1.0)[0]
    assert "busy" == busiest.subject
    # Too low by at most the sum of all by KEPT.
    unit = HALF_LIFE / 0.693147 * (1 - 0.5 ** (1 / HALF_LIFE)) / 0.5 ** (1 / HALF_LIFE)
    assert 30_000 - 60_000 / KEPT <= busiest.msgs * unit <= 30_001


def test_when_nobody_has_asked_for_a_while_the_tap_ends_itself() -> None:
    stopped: list[float] = []
    now = 0.0
    topics = Topics(0.0, lambda: stopped.append(now))
    for now in (1.0, IDLE - 1):
        topics.feed(b"PING\r\n", now)
    topics.top(1, IDLE - 1)
    for now in (IDLE + 10, 2 * IDLE + 10):
        topics.feed(b"PING\r\n", now)
    assert [2 * IDLE + 10] == stopped


def test_before_any_time_has_passed_there_is_no_rate() -> None:
    topics = make(5.0)
    topics.feed(b"PUB a 0\r\n\r\n", 5.0)
    assert [] == topics.top(10, 5.0)


def test_the_page_says_that_it_estimates() -> None:
    topics = make()
    for step in range(11):
        topics.feed(b"PUB a 2\r\nhi\r\n", step / 10)
    page = topicsz(topics, 10, 1.0, STATS)
    assert (True, 1, HALF_LIFE) == (page["estimated"], page["sampled"], page["half_life"])
    (row,) = page["topics"]
    assert "a" == row["subject"]
    assert 2 * row["msgs_per_second"] == pytest.approx(row["bytes_per_second"], rel=0.01)
