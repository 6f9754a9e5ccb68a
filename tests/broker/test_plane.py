"""What the data plane delivers and which verdicts it returns; flows are laid by hand."""

from __future__ import annotations

import pytest

from broker import errors
from broker.ops import Ping, Publish, Subscribe
from broker.plane import Verdict
from tests.support.planes import ZONE, Bench, output


def test_a_publish_with_a_flow_goes_to_all_its_deliveries() -> None:
    bench = Bench()
    source, near, far = bench.link(), bench.link(), bench.link()
    bench.lay(b"a.*", (near, b"1"), (far, b"22"), (far, b"3"))
    assert Verdict.DRAINED is bench.plane.feed(source, b"PUB a.b 5\r\nhello\r\n")
    assert b"MSG a.b 1 5\r\nhello\r\n" == output(near)
    assert b"MSG a.b 22 5\r\nhello\r\nMSG a.b 3 5\r\nhello\r\n" == output(far)
    assert b"" == output(source)


def test_reply_and_the_digits_of_the_size_reach_the_receiver_as_they_were_written() -> None:
    bench = Bench()
    link = bench.link()
    bench.lay(b"a", (link, b"1"))
    bench.plane.feed(link, b"PUB a r.1 0003\r\nxyz\r\n")
    assert b"MSG a 1 r.1 0003\r\nxyz\r\n" == output(link)


def test_no_payload_is_a_payload() -> None:
    bench = Bench()
    link = bench.link()
    bench.lay(b"a", (link, b"1"))
    bench.plane.feed(link, b"PUB a 0\r\n\r\n")
    assert b"MSG a 1 0\r\n\r\n" == output(link)


def test_a_message_with_headers_is_cut_for_those_who_want_none() -> None:
    bench = Bench()
    source, full, bare = bench.link(), bench.link(headers=True), bench.link(headers=False)
    bench.lay(b"a", (full, b"1"), (bare, b"2"), pick=[(bare, b"3")])
    bench.plane.feed(source, b"HPUB a r 12 013\r\nNATS/1.0\r\n\r\nx\r\n")
    assert b"HMSG a 1 r 12 013\r\nNATS/1.0\r\n\r\nx\r\n" == output(full)
    assert b"MSG a 2 r 1\r\nx\r\nMSG a 3 r 1\r\nx\r\n" == output(bare)
    assert (1, 13) == (full.out_msgs, full.out_bytes)
    assert (2, 2) == (bare.out_msgs, bare.out_bytes)


def test_an_hpub_of_no_headers_is_delivered_without() -> None:
    bench = Bench()
    link = bench.link()
    bench.lay(b"a", (link, b"1"))
    bench.plane.feed(link, b"HPUB a 0 1\r\nx\r\n")
    assert b"MSG a 1 1\r\nx\r\n" == output(link)


@pytest.mark.parametrize(
    "line", [b"PUB a 1\r\nx\r\n", b"HPUB a 0 1\r\nx\r\n", b"HPUB a 1 1\r\nx\r\n"]
)
def test_echo_false_spares_only_the_publishing_connection(line: bytes) -> None:
    bench = Bench()
    source, other = bench.link(echo=False), bench.link(echo=False)
    bench.lay(b"a", (source, b"1"), (other, b"2"), pick=[(source, b"3"), (other, b"4")])
    bench.plane.feed(source, line)
    assert b"" == output(source)
    assert 2 == output(other).count(b"MSG a ")


def test_one_member_of_a_queue_group_gets_each_message_and_all_get_some() -> None:
    bench = Bench()
    links = [bench.link() for _ in range(3)]
    bench.lay(b"a", pick=[(link, b"1") for link in links])
    bench.plane.feed(links[0], b"PUB a 1\r\nx\r\n" * 90)
    assert 90 == sum(link.out_msgs for link in links)
    assert all(link.out_msgs > 10 for link in links)


def test_a_pick_walks_on_when_a_member_does_not_take_the_message() -> None:
    bench = Bench(max_pending=30)
    source, deaf, able = bench.link(echo=False), bench.link(), bench.link()
    bench.plane.close(deaf)
    bench.lay(b"a", pick=[(source, b"1"), (deaf, b"2"), (able, b"3")])
    for _ in range(20):
        bench.plane.feed(source, b"PUB a 1\r\nx\r\n")
        assert b"MSG a 3 1\r\nx\r\n" == output(able)


def test_a_pick_of_none_that_can_delivers_to_none() -> None:
    bench = Bench()
    source = bench.link(echo=False)
    flow = bench.lay(b"a", pick=[(source, b"1")])
    assert 0 == bench.plane.deliver(source, Publish(b"a", b"", b"x"), flow)
    assert 0 == bench.plane.deliver(source, Publish(b"a", b"", b"x", header_size=1), flow)
    assert 1 == bench.plane.deliver(None, Publish(b"a", b"", b"x"), flow)


# --- verdicts


def test_an_operation_for_python_stops_the_parser_until_it_is_resumed() -> None:
    bench = Bench()
    link = bench.link()
    bench.lay(b"a", (link, b"1"))
    data = b"PUB a 1\r\nx\r\nSUB b 2\r\nPUB a 1\r\ny\r\nPING\r\n"
    assert Verdict.CONTROL is bench.plane.feed(link, data)
    assert Subscribe(b"b", b"", b"2") == bench.plane.control(link)
    assert b"MSG a 1 1\r\nx\r\n" == output(link)
    assert Verdict.CONTROL is bench.plane.resume(link)
    assert Ping() == bench.plane.control(link)
    assert b"MSG a 1 1\r\ny\r\n" == output(link)
    assert Verdict.DRAINED is bench.plane.resume(link)


@pytest.mark.parametrize("cut", [None, 9])
@pytest.mark.parametrize(
    "line",
    [
        b"PUB unknown 1\r\nx\r\n",
        b"PUB asking 1\r\nx\r\n",
        b"PUB _GR_.x 1\r\nx\r\n",
        b"PUB $GR.x 1\r\nx\r\n",
        b"PUB $NRG.x 1\r\nx\r\n",
        b"PUB known $JS.ACK.x 1\r\nx\r\n",
        b"PUB known _R_.x 1\r\nx\r\n",
        b"PUB known _GR_.x 1\r\nx\r\n",
        b"PUB known $GR.x 1\r\nx\r\n",
        b"PUB empty reply 1\r\nx\r\n",
        b"PUB own reply 1\r\nx\r\n",
        b"HPUB own reply 1 1\r\nx\r\n",
    ],
)
def test_a_publish_that_needs_thought_is_parked_and_delivered_to_none(
    line: bytes, cut: int | None
) -> None:
    bench = Bench()
    link = bench.link(echo=False, no_responders=True)
    other = bench.link()
    for pattern in (b"known", b"_GR_.x", b"$GR.x", b"$NRG.x"):
        bench.lay(pattern, (other, b"1"))
    bench.lay(b"asking", (other, b"1"), ask=True)
    bench.lay(b"empty")
    bench.lay(b"own", (link, b"1"))
    if cut is None:
        assert Verdict.MISS is bench.plane.feed(link, line)
    else:
        assert Verdict.DRAINED is bench.plane.feed(link, line[:cut])
        assert Verdict.MISS is bench.plane.feed(link, line[cut:])
    parked = bench.plane.parked(link)
    assert (line.split()[1], b"x") == (parked.subject, parked.payload)
    assert b"" == output(link) + output(other)
    assert (1, 1) == (link.in_msgs, link.in_bytes)
    assert 1 == bench.plane.stats().misses
    assert Verdict.DRAINED is bench.plane.resume(link)


@pytest.mark.parametrize("mode", [{"verbose": True}, {"pedantic": True}])
def test_verbose_and_pedantic_links_ask_for_each_publish(mode: dict[str, bool]) -> None:
    bench = Bench()
    link = bench.link(**mode)
    bench.lay(b"a", (link, b"1"))
    assert Verdict.MISS is bench.plane.feed(link, b"PUB a r 0002\r\nxy\r\n")
    assert Publish(b"a", b"r", b"xy", size_text=b"0002") == bench.plane.parked(link)


def test_a_request_that_somebody_took_or_that_asks_for_no_answer_is_not_parked() -> None:
    bench = Bench()
    asking, plain = bench.link(no_responders=True), bench.link()
    bench.lay(b"a", (plain, b"1"))
    bench.lay(b"empty")
    assert Verdict.DRAINED is bench.plane.feed(asking, b"PUB a r 1\r\nx\r\n")
    assert Verdict.DRAINED is bench.plane.feed(asking, b"PUB empty 1\r\nx\r\n")
    assert Verdict.DRAINED is bench.plane.feed(plain, b"PUB empty r 1\r\nx\r\n")


def test_a_broken_link_stays_broken_and_what_came_before_is_delivered() -> None:
    bench = Bench()
    link = bench.link()
    bench.lay(b"a", (link, b"1"))
    assert Verdict.BROKEN is bench.plane.feed(link, b"PUB a 1\r\nx\r\nPUB a 1\r\nxy\r\n")
    assert errors.UNKNOWN_OPERATION is bench.plane.error(link).error
    assert b"MSG a 1 1\r\nx\r\n" == output(link)
    assert Verdict.BROKEN is bench.plane.feed(link, b"PING\r\n")
    assert b"" == output(link)


@pytest.mark.parametrize("line", [b"PUB a 11\r\n", b"PUB a 11\r\n0123456789a\r\n"])
def test_a_payload_over_the_limit_is_refused_at_its_line(line: bytes) -> None:
    bench = Bench(max_payload=10)
    link = bench.link()
    assert Verdict.BROKEN is bench.plane.feed(link, line)
    assert errors.PAYLOAD_EXCEEDED is bench.plane.error(link).error


def test_the_limit_on_lines_holds_on_the_fast_path_too() -> None:
    bench = Bench(max_control_line=20)
    link = bench.link()
    bench.lay(b"a" * 18, (link, b"1"))
    message = b"MSG %b 1 1\r\nx\r\n" % (b"a" * 18)
    assert Verdict.DRAINED is bench.plane.feed(link, b"PUB %b 1\r\nx\r\n" % (b"a" * 18))
    assert message == output(link)
    assert Verdict.BROKEN is bench.plane.feed(link, b"PUB %b 1\r\nx\r\n" % (b"a" * 19))
    assert errors.CONTROL_LINE_EXCEEDED is bench.plane.error(link).error


def test_a_closed_link_takes_neither_input_nor_deliveries_but_keeps_its_output() -> None:
    bench = Bench()
    source, closing = bench.link(), bench.link()
    flow = bench.lay(b"a", (closing, b"1"))
    bench.plane.send(closing, b"-ERR 'bye'\r\n")
    bench.plane.close(closing)
    bench.plane.close(closing)
    assert Verdict.CLOSED is bench.plane.feed(closing, b"PING\r\n")
    assert Verdict.CLOSED is bench.plane.resume(closing)
    bench.plane.send(closing, b"PONG\r\n")
    assert 0 == bench.plane.deliver(source, Publish(b"a", b"", b"x"), flow)
    assert b"-ERR 'bye'\r\n" == output(closing)
    assert 1 == closing.dropped


def test_the_budget_is_work_and_nothing_is_lost_by_yielding() -> None:
    bench = Bench(work_budget=10)
    link = bench.link()
    bench.lay(b"a", *[(link, b"%d" % sid) for sid in range(4)])
    assert Verdict.YIELD is bench.plane.feed(link, b"PUB a 1\r\nx\r\n" * 5)
    # Two messages, each worth one and its four deliveries.
    assert 8 == link.out_msgs
    assert Verdict.YIELD is bench.plane.resume(link)
    assert Verdict.DRAINED is bench.plane.resume(link)
    assert 20 == link.out_msgs == output(link).count(b"MSG a ")


def test_more_may_be_fed_while_the_link_yields() -> None:
    bench = Bench(work_budget=2)
    link = bench.link()
    bench.lay(b"a", (link, b"1"))
    verdict = bench.plane.feed(link, b"PUB a 1\r\nx\r\nPUB a 1\r\n")
    assert Verdict.YIELD is verdict
    verdict = bench.plane.feed(link, b"y\r\nPUB a 1\r\nz\r\n")
    while verdict is Verdict.YIELD:
        verdict = bench.plane.resume(link)
    assert b"MSG a 1 1\r\nx\r\nMSG a 1 1\r\ny\r\nMSG a 1 1\r\nz\r\n" == output(link)


def test_asking_for_what_no_verdict_promised_is_an_error_of_the_program() -> None:
    bench = Bench()
    link = bench.link()
    for question in (bench.plane.control, bench.plane.parked, bench.plane.error):
        with pytest.raises(RuntimeError, match="only after the verdict"):
            question(link)


def test_a_locked_link_may_only_say_connect() -> None:
    bench = Bench()
    link = bench.plane.open(1, ZONE, locked=True)
    assert Verdict.BROKEN is bench.plane.feed(link, b"PUB a 1\r\nx\r\n")
    assert errors.AUTHORIZATION_VIOLATION is bench.plane.error(link).error
