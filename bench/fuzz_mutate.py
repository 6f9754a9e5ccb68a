"""Seeded mutation: the same seed and number give the same input, on every machine.

So an input that broke something is named by two numbers, and nothing else need be kept.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from random import Random

#: Most mutations of one input.
MOST = 6

#: Numbers at which programs count wrongly.
NUMBERS = (b"0", b"-1", b"1", b"00", b"127", b"255", b"4096", b"65536", b"4294967296", b"9" * 40)


def source(seed: int, front: str, number: int) -> Random:
    """Return the random numbers that belong to one input of one front."""
    return Random(f"{seed}/{front}/{number}")


def mutated(corpus: Sequence[bytes], words: Sequence[bytes], rng: Random) -> bytes:
    """Return some text of the corpus after one to `MOST` mutations."""
    data = rng.choice(corpus)
    for _ in range(rng.randint(1, MOST)):
        data = rng.choice(MUTATIONS)(data, corpus, words, rng)
    return data


def cuts(data: bytes, rng: Random) -> list[bytes]:
    """Return the bytes in pieces, cut at up to eight places."""
    places = sorted(rng.randrange(len(data) + 1) for _ in range(rng.randint(1, 8)))
    edges = [0, *places, len(data)]
    return [data[a:b] for a, b in itertools.pairwise(edges)]


Mutation = Callable[[bytes, Sequence[bytes], Sequence[bytes], Random], bytes]


def _span(data: bytes, rng: Random, longest: int = 64) -> tuple[int, int]:
    start = rng.randrange(len(data) + 1)
    return start, min(len(data), start + rng.randint(0, longest))


def _flip(data: bytes, _corpus: Sequence[bytes], _words: Sequence[bytes], rng: Random) -> bytes:
    if not data:
        return data
    at = rng.randrange(len(data))
    return data[:at] + bytes([data[at] ^ (1 << rng.randrange(8))]) + data[at + 1 :]


def _noise(data: bytes, _corpus: Sequence[bytes], _words: Sequence[bytes], rng: Random) -> bytes:
    start, end = _span(data, rng, 4)
    return data[:start] + rng.randbytes(rng.randint(0, 8)) + data[end:]


def _cut_out(data: bytes, _corpus: Sequence[bytes], _words: Sequence[bytes], rng: Random) -> bytes:
    start, end = _span(data, rng)
    return data[:start] + data[end:]


def _repeat(data: bytes, _corpus: Sequence[bytes], _words: Sequence[bytes], rng: Random) -> bytes:
    start, end = _span(data, rng)
    return data[:end] + data[start:end] * rng.randint(1, 4) + data[end:]


def _insert(data: bytes, _corpus: Sequence[bytes], words: Sequence[bytes], rng: Random) -> bytes:
    at = rng.randrange(len(data) + 1)
    return data[:at] + rng.choice(words) + data[at:]


def _splice(data: bytes, corpus: Sequence[bytes], _words: Sequence[bytes], rng: Random) -> bytes:
    other = rng.choice(corpus)
    return data[: rng.randrange(len(data) + 1)] + other[rng.randrange(len(other) + 1) :]


def _number(data: bytes, _corpus: Sequence[bytes], _words: Sequence[bytes], rng: Random) -> bytes:
    digits = [at for at, byte in enumerate(data) if 48 <= byte <= 57]
    if not digits:
        return data
    at = rng.choice(digits)
    return data[:at] + rng.choice(NUMBERS) + data[at + 1 :]


def _truncate(data: bytes, _corpus: Sequence[bytes], _words: Sequence[bytes], rng: Random) -> bytes:
    return data[: rng.randrange(len(data) + 1)]


MUTATIONS: tuple[Mutation, ...] = (
    _flip, _noise, _cut_out, _repeat, _insert, _splice, _number, _truncate,
)  # fmt: skip
