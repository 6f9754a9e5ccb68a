"""Nothing a client hears depends on how its bytes are cut, nor on the flow table."""

from __future__ import annotations

import itertools
from random import Random
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from broker.errors import Closed
from broker.flow import FlowTable
from tests.support.house import House

SAMPLE = (
    b'CONNECT {"verbose":false,"pedantic":false,"headers":true,"no_responders":true,'
    b'"protocol":1}\r\nPING\r\nSUB a.* 1\r\nSUB a.b q 2\r\nPUB a.b 5\r\nhello\r\nUNSUB 1 2\r\n'
    b"PUB a.c r 1\r\nx\r\nPUB a.c 1\r\ny\r\nSUB r 3\r\nPUB none r 0\r\n\r\nHPUB a.b 3 4\r\nhhhb\r\n"
    b"SUB a..b 4\r\nPUB a _R_.x 1\r\nz\r\nUNSUB 2\r\nPUB a.b 1\r\nx\r\nPING\r\nX"
)


def hear_all(chunks: list[bytes], flows: FlowTable[Any] | None = None) -> bytes:
    client = House(flows).enter()
    for chunk in chunks:
        client.send(chunk)
    assert [Closed.PROTOCOL_VIOLATION] == client.closes
    return client.hear()


def test_a_conversation_is_the_same_however_it_is_cut() -> None:
    whole = hear_all([SAMPLE])
    assert whole.endswith(b"PONG\r\n-ERR 'Unknown Protocol Operation'\r\n")
    assert whole == hear_all([SAMPLE[i : i + 1] for i in range(len(SAMPLE))])
    for cut in range(1, len(SAMPLE)):
        assert whole == hear_all([SAMPLE[:cut], SAMPLE[cut:]]), f"cut at {cut}"


@given(
    st.lists(st.integers(0, len(SAMPLE)), max_size=10),
    st.integers(0, 3),
    st.sampled_from([0.0, 0.5]),
)
def test_a_conversation_is_the_same_with_any_cuts_and_any_flow_table(
    places: list[int], capacity: int, chance: float
) -> None:
    edges = [0, *sorted(places), len(SAMPLE)]
    chunks = [SAMPLE[a:b] for a, b in itertools.pairwise(edges)]
    assert hear_all([SAMPLE]) == hear_all(chunks, FlowTable(capacity, chance, Random(1)))
