"""Interleaving: who is measured when, and what becomes of one that fails."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from bench.rounds import open_all, rounds_of


class BrokenError(Exception):
    """What a subject of these tests fails with."""


def test_every_subject_is_measured_once_in_each_round_and_the_order_turns() -> None:
    order: list[str] = []
    rounds_of({"a": "a", "b": "b", "c": "c"}, order.append, 3, BrokenError)
    assert "abc bca cab" == " ".join("".join(order[at : at + 3]) for at in (0, 3, 6))


def test_a_subject_that_fails_is_left_out_with_all_its_figures(
    capsys: pytest.CaptureFixture[str],
) -> None:
    asked: list[str] = []

    def one_round(name: str) -> int:
        asked.append(name)
        if name == "bad" and asked.count("bad") == 2:
            raise BrokenError("it fell over")
        return len(name)

    figures = rounds_of({"good": "good", "bad": "bad"}, one_round, 4, BrokenError)
    assert {"good": [4, 4, 4, 4]} == figures
    assert 2 == asked.count("bad")
    assert "left out bad: it fell over" in capsys.readouterr().err


def test_a_subject_that_cannot_be_opened_is_left_out_and_the_others_are_closed() -> None:
    closed: list[str] = []

    @contextmanager
    def opened(name: str) -> Iterator[str]:
        if name == "bad":
            raise BrokenError("it does not start")
        yield name
        closed.append(name)

    with open_all(["a", "bad", "b"], opened, BrokenError) as subjects:
        assert {"a": "a", "b": "b"} == subjects
    assert ["b", "a"] == closed
