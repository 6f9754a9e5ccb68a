"""Counting bytecodes: every message passes through the handler once, and again the same way."""

from __future__ import annotations

import sys

import pytest

from bench.opcodes import Tally, count, main


def test_every_message_is_counted_once(backend: str) -> None:
    tally = count(backend, 7, 1024)
    assert 7 == tally.calls["bench.servers.ours.on_data"]
    assert tally.opcodes["reactor.stream._output.write"] > 7


def test_a_count_is_the_same_each_time(backend: str) -> None:
    assert count(backend, 5, 10_240).opcodes == count(backend, 5, 10_240).opcodes


def test_whoever_was_tracing_goes_on() -> None:
    before = sys.gettrace()
    with pytest.raises(ValueError, match="inside"), Tally().watching():
        raise ValueError("inside")
    assert before is sys.gettrace()


def test_the_table_has_a_total(capsys: pytest.CaptureFixture[str]) -> None:
    assert 0 == main(["-c", "3", "-s", "100"])
    assert "all" in capsys.readouterr().out
