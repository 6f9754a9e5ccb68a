"""Interleaved rounds: every subject once in each round, so that a noisy minute hits all alike.

The order within a round is turned by one from round to round: whoever follows a heavy neighbour
follows another one next time.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import TypeVar

Subject = TypeVar("Subject")
Figure = TypeVar("Figure")


def rounds_of(
    subjects: Mapping[str, Subject],
    one_round: Callable[[Subject], Figure],
    rounds: int,
    failure: type[Exception],
) -> dict[str, list[Figure]]:
    """Measure every subject `rounds` times, in turns.

    A subject that raises `failure` is told about and left out, of what it did before as well:
    figures of a thing that breaks mean nothing.
    """
    figures: dict[str, list[Figure]] = {name: [] for name in subjects}
    for number in range(rounds):
        for name in _turned(list(figures), number):
            try:
                figures[name].append(one_round(subjects[name]))
            except failure as error:
                print(f"bench: left out {name}: {error}", file=sys.stderr)
                del figures[name]
    return figures


@contextmanager
def open_all(
    names: Sequence[str],
    opened: Callable[[str], AbstractContextManager[Subject]],
    failure: type[Exception],
) -> Iterator[dict[str, Subject]]:
    """Open every subject for the length of a block; one that raises `failure` is left out."""
    with ExitStack() as stack:
        subjects: dict[str, Subject] = {}
        for name in names:
            try:
                subjects[name] = stack.enter_context(opened(name))
            except failure as error:
                print(f"bench: left out {name}: {error}", file=sys.stderr)
        yield subjects


def _turned(names: list[str], by: int) -> list[str]:
    by %= max(len(names), 1)
    return names[by:] + names[:by]
