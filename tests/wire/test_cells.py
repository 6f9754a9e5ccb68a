"""The matrix is what it says: the flow tables of its cells do behave in their different ways."""

from __future__ import annotations

from tests.support.raw_client import RawClient
from tests.support.servers import Settings
from tests.wire.case import QUIET
from tests.wire.cells import Cell, our_broker

_SUBJECTS = 100


def _flows_after_many_messages(cell: Cell) -> int:
    """How many flows a broker keeps when messages went to so many subjects, each subscribed to."""
    numbers = range(_SUBJECTS)
    with our_broker(cell, Settings()) as broker, RawClient(broker.port) as client:
        client.ask(QUIET + b"".join(b"SUB t.%d %d\r\n" % (n, n) for n in numbers))
        messages = client.ask(b"".join(b"PUB t.%d 0\r\n\r\n" % n for n in numbers))
        assert len(messages) == _SUBJECTS
        return broker.stats().flows


def test_a_normal_flow_table_keeps_every_flow(backend: str) -> None:
    assert _flows_after_many_messages(Cell(backend, "normal")) == _SUBJECTS


def test_a_flow_table_without_room_keeps_no_flow(backend: str) -> None:
    assert _flows_after_many_messages(Cell(backend, "none")) == 0


def test_a_flow_table_that_forgets_at_random_has_forgotten_some(backend: str) -> None:
    assert _flows_after_many_messages(Cell(backend, "random")) < _SUBJECTS
