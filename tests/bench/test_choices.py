"""A cluster's choices keep what they promise, and a promise that is broken is told."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from bench import choices
from bench.choices_clients import BrokenPromiseError, promise


def test_all_promises_are_kept_and_every_figure_is_recorded(tmp_path: Path) -> None:
    record = tmp_path / "choices.json"
    assert 0 == choices.main(["--quick", "--json", str(record)])
    saved = json.loads(record.read_text())
    assert [] == saved["broken"]
    assert set(choices.choices(True)) == set(saved["figures"])
    assert all(saved["figures"].values())


def test_a_broken_promise_is_told_and_costs_the_others_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def broken() -> list[choices.Row]:
        promise(False, "the moon fell down")
        raise AssertionError("not reached")

    monkeypatch.setattr(
        choices,
        "choices",
        lambda _quick: {"breaks": broken, "holds": lambda: choices.placement(100)},
    )
    assert 1 == choices.main(["--quick"])
    printed = capsys.readouterr()
    assert "promise broken: breaks: the moon fell down" in printed.err
    assert "100 keys over 8 workers" in printed.out


def test_a_key_that_has_two_places_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[bytes] = []

    def fickle(subject: bytes, _workers: int) -> bytes:
        calls.append(subject)
        return b"%d" % (len(calls) % 7)

    monkeypatch.setattr(choices, "worker_of", fickle)
    with pytest.raises(BrokenPromiseError, match="two places"):
        asyncio.run(choices.placement(100))
