"""Our broker answers every case as the real server did when it was recorded, in every cell of the
matrix.
"""

from __future__ import annotations

import pytest

from tests.wire.case import Case
from tests.wire.cases import ALL
from tests.wire.cells import Brokers, Cell
from tests.wire.harness import expected, play


@pytest.mark.parametrize("case", ALL, ids=lambda case: case.name)
def test_our_broker_answers_as_recorded(case: Case, cell: Cell, brokers: Brokers) -> None:
    port = brokers.port(cell, case.server.settings)

    assert expected(case) == play(case, port)
