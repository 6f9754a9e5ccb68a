"""A message may arrive in any pieces: however the bytes are split over reads, the answers are the
same.

The pieces are really read one by one: after each, another connection asks for a PONG, and a server
that has answered it has read what came before. (So our single-threaded broker has; for the real
server it is merely likely.)
"""

from __future__ import annotations

import dataclasses

import pytest

from tests.wire.case import PLAIN, SIGNATURE, Case, joined, talk
from tests.wire.cases import ALL
from tests.wire.cells import Brokers, Cell, RealServers
from tests.wire.harness import expected, play

CONVERSATION = (
    b'CONNECT {"verbose":true,"pedantic":false,"headers":true}\r\n'
    b"SUB a.* 1\r\nSUB\tb q  22\nPUB a.b re.ply 4\r\n\r\nPU\r\n"
    b"HPUB b 16 19\r\nNATS/1.0\r\nA:\r\n\r\nxyz\r\nPUB a.c 0\r\n\r\n"
    b"UNSUB 1 3\r\nPING\r\npong\r\nPUB a..b 1\r\n\n\r\nUNSUB 22\r\n"
)
"""Every verb, both line ends, header and payload, line ends within a payload."""

ANSWER = (
    b"+OK\r\n+OK\r\n+OK\r\n+OK\r\nMSG a.b 1 re.ply 4\r\n\r\nPU\r\n"
    b"+OK\r\nHMSG b 22 16 19\r\nNATS/1.0\r\nA:\r\n\r\nxyz\r\n+OK\r\nMSG a.c 1 0\r\n\r\n"
    b"+OK\r\nPONG\r\n+OK\r\n+OK\r\n"
)

_SHORT = 300
"""Scripts of more bytes than this are not played byte by byte: they are about size, and would take
long.
"""

SHORT_CASES = tuple(
    case
    for case in ALL
    if len(case.script) == 1
    and 1 < len(joined(case.script[0][1])) <= _SHORT
    and SIGNATURE.encode() not in joined(case.script[0][1])  # it has its bytes when it is sent only
)


def _in_bytes(case: Case) -> Case:
    """The same case, each byte in a write of its own."""
    ((letter, sent),) = case.script
    pieces = [bytes([byte]) for byte in joined(sent)]
    return dataclasses.replace(case, script=((letter, pieces),))


@pytest.mark.parametrize("position", range(1, len(CONVERSATION)))
def test_a_conversation_may_be_split_anywhere(position: int, cell: Cell, brokers: Brokers) -> None:
    pieces = [CONVERSATION[:position], CONVERSATION[position:]]
    case = talk(f"split at {position}", pieces, ANSWER)

    assert expected(case) == play(case, brokers.port(cell, PLAIN.settings))


def test_a_conversation_may_come_byte_by_byte(cell: Cell, brokers: Brokers) -> None:
    case = _in_bytes(talk("byte by byte", CONVERSATION, ANSWER))

    assert expected(case) == play(case, brokers.port(cell, PLAIN.settings))


def test_the_real_server_takes_the_conversation_in_any_pieces(real_servers: RealServers) -> None:
    port = real_servers.port(PLAIN.settings)
    whole = talk("whole", CONVERSATION, ANSWER)
    by_bytes = _in_bytes(whole)

    assert expected(whole) == play(whole, port)
    assert expected(by_bytes) == play(by_bytes, port)


@pytest.mark.parametrize("case", SHORT_CASES, ids=lambda case: case.name)
def test_every_short_case_may_come_byte_by_byte(
    case: Case, any_cell: Cell, brokers: Brokers
) -> None:
    port = brokers.port(any_cell, case.server.settings)

    assert expected(case) == play(_in_bytes(case), port)
