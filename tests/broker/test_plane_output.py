"""What the data plane queues for each link, how much of it, and what it counts."""

from __future__ import annotations

import pytest

from broker.flow import FlowTable
from broker.plane import PlaneStats, Verdict, choose_plane
from tests.support.planes import ZONE, Bench, output


def test_output_is_in_the_order_in_which_it_was_made() -> None:
    bench = Bench()
    link = bench.link()
    bench.lay(b"a", (link, b"1"))
    bench.plane.send(link, b"+OK\r\n")
    bench.plane.feed(link, b"PUB a 1\r\nx\r\n")
    bench.plane.send(link, b"PONG\r\n")
    assert b"+OK\r\nMSG a 1 1\r\nx\r\nPONG\r\n" == output(link)


def test_dirty_links_are_told_once_until_taken() -> None:
    bench = Bench()
    source, other = bench.link(), bench.link()
    bench.lay(b"a", (other, b"1"))
    bench.plane.feed(source, b"PUB a 1\r\nx\r\nPUB a 1\r\nx\r\n")
    bench.plane.send(source, b"PONG\r\n")
    assert [other, source] == bench.plane.take_dirty()
    assert [] == bench.plane.take_dirty()
    output(other)
    bench.plane.feed(source, b"PUB a 1\r\nx\r\n")
    assert [other] == bench.plane.take_dirty()


def test_sending_nothing_makes_no_link_dirty() -> None:
    bench = Bench()
    bench.plane.send(bench.link(), b"")
    assert [] == bench.plane.take_dirty()


def test_small_output_is_joined_and_a_large_payload_is_shared_by_its_receivers() -> None:
    bench = Bench()
    one, two = bench.link(), bench.link()
    bench.lay(b"a", (one, b"1"), (two, b"2"))
    bench.plane.feed(one, b"PUB a 1\r\nx\r\nPUB a 1\r\ny\r\n")
    assert [b"MSG a 1 1\r\nx\r\nMSG a 1 1\r\ny\r\n"] == one.take_output()
    output(two)
    payload = b"x" * 100_000
    bench.plane.feed(one, b"PUB a 100000\r\n" + payload + b"\r\n")
    first, second = one.take_output(), two.take_output()
    assert b"MSG a 1 100000\r\n" + payload + b"\r\n" == b"".join(first)
    assert first[-1] is second[-1]


def test_what_is_queued_is_known_to_the_byte() -> None:
    bench = Bench()
    link = bench.link()
    bench.lay(b"a", (link, b"1"))
    bench.plane.feed(link, b"PUB a 1\r\nx\r\nHPUB a 1 1\r\nx\r\n")
    bench.plane.send(link, b"PONG\r\n")
    assert link.queued == len(output(link))
    assert 0 == link.queued


@pytest.mark.parametrize("line", [b"PUB a 1\r\nx\r\n", b"HPUB a 1 1\r\nx\r\n"])
def test_a_link_over_its_limit_becomes_deaf_and_is_reported_once(line: bytes) -> None:
    bench = Bench(max_pending=20)
    source, slow = bench.link(), bench.link()
    bench.lay(b"a", (slow, b"1"))
    bench.plane.feed(source, line * 4)
    assert slow.overflowed and slow.deaf
    assert [slow] == bench.plane.take_overflowed()
    assert [] == bench.plane.take_overflowed()
    assert (1, 3) == (slow.out_msgs, slow.dropped)
    assert slow.queued == len(output(slow)) <= 20
    bench.plane.send(slow, b"PING\r\n")
    assert b"" == output(slow)


def test_the_backlog_of_the_stream_counts_towards_the_limit() -> None:
    bench = Bench(max_pending=20)
    link = bench.link()
    bench.lay(b"a", (link, b"1"))
    link.backlog = 8
    assert 8 == link.backlog
    bench.plane.feed(link, b"PUB a 1\r\nx\r\n")  # 14 bytes
    assert link.overflowed
    relieved = bench.link()
    bench.lay(b"b", (relieved, b"1"))
    relieved.backlog = 8
    relieved.backlog = 6
    bench.plane.feed(link, b"PUB b 1\r\nx\r\n")
    assert not relieved.overflowed
    assert b"MSG b 1 1\r\nx\r\n" == output(relieved)


def test_output_of_our_own_overflows_a_link_too() -> None:
    bench = Bench(max_pending=5)
    link = bench.link()
    bench.plane.send(link, b"PONG\r\n")
    assert [link] == bench.plane.take_overflowed()


def test_counters_count_payloads_and_survive_their_link() -> None:
    bench = Bench()
    one, two = bench.link(), bench.link()
    flow = bench.lay(b"a", (two, b"1"), (two, b"2"))
    bench.plane.feed(one, b"PUB a 3\r\nxyz\r\nHPUB a 1 2\r\nxy\r\nPUB b 1\r\nx\r\n")
    assert (3, 6) == (one.in_msgs, one.in_bytes)
    assert (4, 10) == (two.out_msgs, two.out_bytes)
    assert [2, 2] == [delivery.msgs for delivery in flow.plain]
    bench.plane.close(two)
    expected = PlaneStats(
        links=1, in_msgs=3, in_bytes=6, out_msgs=4, out_bytes=10, misses=1, dropped=0
    )
    assert expected == bench.plane.stats()


def test_a_closed_link_keeps_no_input_in_memory() -> None:
    bench = Bench()
    link = bench.link()
    assert Verdict.DRAINED is bench.plane.feed(link, b"PUB a 100000\r\n" + b"x" * 50_000)
    assert 50_000 == link.parser.held
    bench.plane.close(link)
    assert 0 == link.parser.held


def test_the_chosen_plane_has_the_limits_it_was_given() -> None:
    plane = choose_plane(FlowTable(0), max_payload=1, max_control_line=10, max_pending=100)
    link = plane.open(1, ZONE)
    assert Verdict.BROKEN is plane.feed(link, b"PUB a 2\r\n")
    assert 0 == plane.flows.stats().capacity
