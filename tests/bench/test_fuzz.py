"""The fuzz target: it repeats, and finds what it is for."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

import pytest

pytest.importorskip("rich", reason="the benchmarks have an extra of their own: [bench]")

from bench import fuzz
from bench.fuzz_fronts import FRONTS
from bench.fuzz_mutate import MUTATIONS, cuts, mutated, source
from bench.fuzz_parts import BrokenPromiseError, Front, raises_only, same
from bench.fuzz_search import search

CORPUS = (b"PUB a.b 5\r\nhello\r\n", b"SUB a 1\r\n")
WORDS = (b"PING\r\n",)


def inputs(seed: int, count: int) -> list[bytes]:
    return [mutated(CORPUS, WORDS, source(seed, "x", number)) for number in range(count)]


def test_a_seed_repeats_its_inputs_and_another_has_others() -> None:
    assert inputs(1, 50) == inputs(1, 50)
    assert inputs(1, 50) != inputs(2, 50)


def test_inputs_differ_from_one_another() -> None:
    assert len(set(inputs(1, 200))) > 150


@pytest.mark.parametrize("mutation", MUTATIONS)
def test_every_mutation_copes_with_nothing_at_all(mutation: object) -> None:
    for number in range(20):
        assert isinstance(mutation(b"", CORPUS, WORDS, Random(number)), bytes)  # type: ignore[operator]  # object is for pytest's ids


def test_pieces_are_the_whole() -> None:
    for number in range(100):
        assert CORPUS[0] == b"".join(cuts(CORPUS[0], Random(number)))


def test_what_depends_on_how_it_was_cut_is_found() -> None:
    def hear(pieces: Sequence[bytes]) -> int:
        return len(pieces)

    with pytest.raises(BrokenPromiseError, match="cut into"):
        same(hear)(b"hello", Random(1))


def test_a_front_that_is_read_whole_may_raise_what_it_says_and_nothing_else() -> None:
    raises_only(int, ValueError)(b"x", Random(1))
    with pytest.raises(ZeroDivisionError):
        raises_only(lambda data: 1 // len(data), ValueError)(b"", Random(1))


@pytest.mark.parametrize("name", FRONTS)
def test_hypothesis_finds_nothing_wrong_with_any_front(name: str) -> None:
    search(FRONTS[name], seed=1, examples=60)


def test_hypothesis_finds_the_smallest_input_that_fails() -> None:
    def crash(data: bytes, rng: Random) -> None:
        if b"NG" in data:
            raise BrokenPromiseError(repr(data))

    with pytest.raises(BrokenPromiseError, match=r"^b'PING\\r\\n'"):
        search(Front(CORPUS, WORDS, crash), seed=1, examples=500)


def test_a_crash_is_reported_with_the_number_that_repeats_it() -> None:
    def crash(data: bytes, rng: Random) -> None:
        if b"SUB" in data:
            raise KeyError(data)

    front = Front(CORPUS, WORDS, crash)
    report = fuzz.fuzz("x", front, seed=1, inputs=1000)
    assert not report.good
    assert fuzz.ENOUGH == len(report.failures)
    for failure in report.failures:
        assert failure == fuzz.attempt("x", front, 1, failure.number)


def test_an_input_that_never_ends_is_broken_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fuzz, "LONGEST", 0.01)

    def hang(data: bytes, rng: Random) -> None:
        while True:
            rng.random()

    failure = fuzz.attempt("x", Front(CORPUS, WORDS, hang), 1, 0)
    assert failure is not None
    assert failure.error.startswith("HangError")


def test_growth_is_no_success() -> None:
    grown = fuzz.Report("x", 10, 1.0, fuzz.GROWTH + 1, ())
    assert (False, True) == (grown.good, fuzz.Report("x", 10, 1.0, fuzz.GROWTH, ()).good)


@pytest.mark.parametrize("name", FRONTS)
def test_a_hundred_inputs_break_no_front(name: str) -> None:
    assert () == fuzz.fuzz(name, FRONTS[name], seed=99, inputs=100).failures
