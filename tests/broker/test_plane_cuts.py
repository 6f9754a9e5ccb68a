"""The fast path and the parser agree, however a stream is cut."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.plane import Verdict
from tests.support.planes import Bench, output

SAMPLE = (
    b"PUB a 1\r\nx\r\npub b r 5\nhello\r\nPUB\t c 0 \r\n\r\nHPUB a 12 14\r\nNATS/1.0\r\n\r\nhi\r\n"
    b"PING\r\nPUB unknown 3\r\nabc\r\nPUB a  0002\r\n\r\n\r\nSUB x 1\r\nPUB c r 1\r\nz\r\n"
)


def run(chunks: list[bytes], work_budget: int = 4096) -> tuple[list[object], bytes, bytes, int]:
    """The operations and parked publishes, both receivers' output, and the bytes counted."""
    bench = Bench(work_budget=work_budget)
    source, one, two = bench.link(), bench.link(headers=False), bench.link()
    bench.lay(b"a", (one, b"1"), (two, b"2"))
    bench.lay(b"b", pick=[(two, b"9")])
    bench.lay(b"c")
    seen: list[object] = []
    for chunk in chunks:
        verdict = bench.plane.feed(source, chunk)
        while verdict is not Verdict.DRAINED:
            if verdict is Verdict.BROKEN:
                seen.append(bench.plane.error(source).error)
                return seen, output(one), output(two), source.in_bytes
            if verdict is not Verdict.YIELD:
                seen.append(source.control or source.parked)
            verdict = bench.plane.resume(source)
    return seen, output(one), output(two), source.in_bytes


@pytest.mark.parametrize("ending", [b"", b"PUB a 1\r\nxy\r\nPUB a 1\r\nx\r\n"])
def test_a_stream_means_the_same_however_it_is_cut(ending: bytes) -> None:
    sample = SAMPLE + ending
    whole = run([sample])
    assert whole == run([sample[i : i + 1] for i in range(len(sample))])
    for cut in range(1, len(sample)):
        assert whole == run([sample[:cut], sample[cut:]]), f"cut at {cut}"


@given(st.lists(st.integers(0, len(SAMPLE)), max_size=10), st.integers(1, 6))
def test_a_stream_means_the_same_cut_at_random_and_on_any_budget(
    places: list[int], budget: int
) -> None:
    edges = [0, *sorted(places), len(SAMPLE)]
    chunks = [SAMPLE[a:b] for a, b in itertools.pairwise(edges)]
    assert run([SAMPLE]) == run(chunks, work_budget=budget)


@pytest.mark.parametrize(
    "second",
    [
        b"PUB a 1\r\ny\r\n",
        b"PUB a 2\r\nyy\r\n",
        b"PUB a r 1\r\ny\r\n",
        b"PUB b 1\r\ny\r\n",
        b"PUB a 1\r\nyy",
        b"PUB a 1\r\n",
        b"PUB a 1\r\n\r\n",
        b"PUB none 1\r\ny\r\n",
        b"\nPUB a 1\r\ny\r\n",
        b"\r\n",
    ],
)
def test_a_line_that_repeats_the_one_before_or_nearly_means_what_it_means_alone(
    second: bytes,
) -> None:
    first = b"PUB a 1\r\nx\r\n"
    assert run([first, second]) == run([first + second])
    assert run([first, first, second, second]) == run([first + first + second + second])
