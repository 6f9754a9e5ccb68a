"""Water marks, the send queue and the receive buffer, against their simplest descriptions."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reactor.budgets import JOIN_LIMIT, READ_SIZE
from reactor.buffers import ABOVE, BELOW, Edge, ReceiveBuffer, SendQueue, WaterMarks
from reactor.errors import LimitError

SMALL = st.binary(max_size=300)
LARGE = st.integers(JOIN_LIMIT - 2, JOIN_LIMIT * 3).map(lambda size: bytes([size % 251]) * size)


# --- water marks --------------------------------------------------------------------------------


def test_marks_speak_on_the_edges_only_and_with_a_gap_between_them() -> None:
    marks = WaterMarks(100, 25)
    sizes = [0, 100, 101, 500, 101, 100, 26, 25, 0, 25, 100, 101]
    told = [marks.update(size) for size in sizes]
    assert [None, None, ABOVE, None, None, None, None, BELOW, None, None, None, ABOVE] == told


@given(st.integers(1, 50), st.lists(st.integers(0, 120)))
def test_edges_alternate_and_each_is_true_when_it_is_told(high: int, sizes: list[int]) -> None:
    marks = WaterMarks(high)
    edges: list[Edge] = []
    for size in sizes:
        edge = marks.update(size)
        if edge is ABOVE:
            assert size > high
        elif edge is BELOW:
            assert size <= high // 4
        if edge is not None:
            edges.append(edge)
        assert marks.above == bool(edges and edges[-1] is ABOVE)
    assert [ABOVE, BELOW] * (len(edges) // 2) + [ABOVE] * (len(edges) % 2) == edges


def test_the_low_mark_is_a_quarter_of_the_high_one_by_default() -> None:
    assert 16 == WaterMarks(64).low


def test_a_high_mark_of_zero_is_exceeded_by_the_first_byte() -> None:
    marks = WaterMarks(0)
    assert [ABOVE, BELOW] == [marks.update(1), marks.update(0)]


@pytest.mark.parametrize(("high", "low"), [(10, 10), (10, 11), (-1, None), (10, -1)])
def test_marks_without_a_gap_are_refused(high: int, low: int | None) -> None:
    with pytest.raises(LimitError, match="low"):
        WaterMarks(high, low)


# --- send queue ---------------------------------------------------------------------------------


def test_small_writes_are_joined_into_one_buffer() -> None:
    queue = SendQueue()
    for part in (b"a", b"bc", b"", b"def"):
        queue.append(part)
    assert b"abcdef" == queue.peek()


def test_a_large_write_is_sent_from_where_it_is() -> None:
    queue = SendQueue()
    large = b"x" * (JOIN_LIMIT + 1)
    queue.append(b"head")
    queue.append(large)
    queue.append(b"tail")
    head, middle, tail = queue.peek_many(10)
    assert (b"head", b"tail") == (head, tail)
    assert middle is large


def test_after_a_partial_send_of_a_large_write_only_the_offset_moves() -> None:
    queue = SendQueue()
    large = bytes(range(256)) * 100
    queue.append(large)
    for sent in (1, 1000, 7):
        queue.advance(sent)
        rest = queue.peek()
        assert isinstance(rest, memoryview)
        assert rest.obj is large
    assert large[1008:] == queue.peek()


def test_what_may_change_after_it_was_handed_over_is_copied() -> None:
    queue = SendQueue()
    changing = bytearray(b"before" * JOIN_LIMIT)
    queue.append(changing)
    queue.append(memoryview(changing)[:6])
    changing[:] = b"after"  # neither changed in the queue, nor locked by it
    queue.advance(6 * JOIN_LIMIT - 6)
    assert b"before" * 2 == b"".join(queue.peek_many(2))


def test_a_view_of_items_wider_than_a_byte_counts_in_bytes() -> None:
    queue = SendQueue()
    queue.append(memoryview(b"12345678").cast("I"))
    assert (8, b"12345678") == (len(queue), queue.peek())


def test_text_is_refused_with_advice() -> None:
    queue = SendQueue()
    with pytest.raises(TypeError, match=r"encode"):
        queue.append("text")  # type: ignore[arg-type]  # the mistake that is tested
    assert 0 == len(queue)


def test_advancing_over_more_than_there_is_is_refused() -> None:
    queue = SendQueue()
    queue.append(b"abc")
    with pytest.raises(LimitError, match="3 bytes"):
        queue.advance(4)
    assert b"abc" == queue.peek()


def test_a_long_backlog_of_small_writes_is_kept_in_large_blocks() -> None:
    queue = SendQueue()
    for _ in range(READ_SIZE // 16 * 3):
        queue.append(b"x" * 16)
    assert [READ_SIZE] * 3 == [len(block) for block in queue.peek_many(10)]


def test_bytes_can_be_advanced_over_without_having_been_looked_at() -> None:
    queue = SendQueue()
    queue.append(b"x" * 20_000)
    queue.append(b"ab")
    queue.append(b"cd")
    queue.advance(20_001)
    assert (3, b"bcd") == (len(queue), queue.peek())


def test_places_of_what_was_sent_are_given_up_while_more_waits() -> None:
    queue = SendQueue()
    large = [bytes([number]) * (JOIN_LIMIT + 1) for number in range(200)]
    queue.extend(large)
    for number in range(199):
        assert large[number] is queue.peek()
        queue.advance(JOIN_LIMIT + 1)
    assert large[199] is queue.peek()
    assert len(queue._blocks) < 100


def test_a_cleared_queue_is_empty_and_usable() -> None:
    queue = SendQueue()
    queue.append(b"x" * 20_000)
    queue.append(b"y")
    queue.clear()
    assert (0, b"") == (len(queue), queue.peek())
    queue.append(b"z")
    assert b"z" == queue.peek()


@given(
    st.lists(
        st.one_of(
            SMALL,
            LARGE,
            st.integers(1, 40_000),  # the kernel takes so many bytes of one buffer
            st.tuples(st.integers(1, 5), st.integers(1, 40_000)),  # or of a gathering send
        ),
        max_size=40,
    )
)
def test_every_byte_leaves_once_and_in_order(
    steps: list[bytes | int | tuple[int, int]],
) -> None:
    queue = SendQueue()
    written, sent = bytearray(), bytearray()
    for step in steps:
        if isinstance(step, bytes):
            queue.append(step)
            written += step
        else:
            limit, most = step if isinstance(step, tuple) else (1, step)
            offered = b"".join(queue.peek_many(limit)) if limit > 1 else bytes(queue.peek())
            taken = offered[:most]
            queue.advance(len(taken))
            sent += taken
        assert len(written) - len(sent) == len(queue)
    while len(queue):
        block = bytes(queue.peek())
        assert block
        queue.advance(len(block))
        sent += block
    assert written == sent


# --- receive buffer -----------------------------------------------------------------------------


@given(st.binary(max_size=200), st.binary(min_size=1, max_size=4), st.data())
def test_a_separator_is_found_however_the_bytes_were_cut(
    text: bytes, separator: bytes, data: st.DataObject
) -> None:
    whole = text.replace(b"\0", b"\r") + separator
    buffer = ReceiveBuffer()
    expected = whole.find(separator) + len(separator)
    fed = 0
    while fed < len(whole):
        size = data.draw(st.integers(1, len(whole) - fed))
        buffer.feed(whole[fed : fed + size])
        fed += size
        found = buffer.find(separator, 1000)
        assert (expected if fed >= expected else -1) == found
    assert whole[:expected] == buffer.take(expected)
    assert whole[expected:] == buffer.take(1000)


def test_a_separator_that_ends_beyond_the_limit_is_not_found() -> None:
    buffer = ReceiveBuffer()
    buffer.feed(b"12345\r\n")
    assert (-1, 7) == (buffer.find(b"\r\n", 6), buffer.find(b"\r\n", 7))


def test_another_separator_is_looked_for_from_the_beginning() -> None:
    buffer = ReceiveBuffer()
    buffer.feed(b"a,b")
    assert (-1, 2) == (buffer.find(b";", 10), buffer.find(b",", 10))


def test_what_was_looked_at_moves_with_what_was_taken() -> None:
    buffer = ReceiveBuffer()
    buffer.feed(b"0123456789")
    assert -1 == buffer.find(b"\n", 100)
    assert b"01234" == buffer.take(5)
    buffer.feed(b"\nrest")
    assert 6 == buffer.find(b"\n", 100)


def test_no_byte_is_looked_at_again_for_a_separator_when_they_come_one_by_one() -> None:
    buffer = ReceiveBuffer()
    for _ in range(10_000):
        buffer.feed(b"x")
        buffer.find(b"\r\n", 1 << 20)
    # All but the last byte, which may be the separator's first, are done with.
    assert 9_999 == buffer._looked


def test_small_writes_can_be_taken_at_once_and_given_back() -> None:
    queue = SendQueue()
    assert queue.take_small() == b""
    queue.append(b"one ")
    queue.append(b"two")
    assert queue.take_small() == b"one two"
    assert queue.size == 0
    queue.put_back(b"one two", 4)
    queue.append(b" three")
    assert queue.size == 9
    assert queue.take_small() == b"", "what waits is no longer small writes only"
    assert b"".join(queue.peek_many(9)) == b"two three"


def test_a_large_write_is_not_taken_as_a_small_one() -> None:
    queue = SendQueue()
    queue.append(b"small")
    queue.append(b"x" * (JOIN_LIMIT + 1))
    assert queue.take_small() == b""
    assert queue.size == JOIN_LIMIT + 6
