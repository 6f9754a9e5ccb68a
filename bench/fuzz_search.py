"""Inputs that hypothesis makes up for the fronts of `bench.fuzz`, and makes small when they fail.

Mutation (`bench.fuzz_mutate`) is fast and stays near to what is valid. This is slow, goes further
from it, and answers with the shortest input that still fails.
"""

from __future__ import annotations

from random import Random

from hypothesis import HealthCheck, given, settings
from hypothesis import seed as seeded
from hypothesis import strategies as st

from bench.fuzz_parts import Front


def inputs(front: Front) -> st.SearchStrategy[bytes]:
    """Texts of the corpus, words and noise in any order, and pieces of all of these."""
    whole = st.sampled_from([*front.corpus, *front.words])
    piece = st.tuples(whole, st.integers(0, 200), st.integers(0, 200)).map(
        lambda cut: cut[0][cut[1] : cut[1] + cut[2]]
    )
    return st.lists(whole | piece | st.binary(max_size=6), max_size=8).map(b"".join)


def search(front: Front, seed: int, examples: int) -> None:
    """Try so many inputs. Raises what the front raises for the smallest that fails."""

    @seeded(seed)
    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(inputs(front), st.integers(0, 1 << 16))
    def attempt(data: bytes, number: int) -> None:
        front.read(data, Random(number))

    attempt()
