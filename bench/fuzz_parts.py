"""What the fronts of `bench.fuzz` are made of: the promise, and ways to see that it is kept."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Protocol

from bench.fuzz_mutate import cuts
from broker.plane import DataPlane, PythonPlane


class BrokenPromiseError(Exception):
    """The front did something with this input that it must never do."""


@dataclass(frozen=True)
class Front:
    """One thing that reads what strangers write."""

    corpus: Sequence[bytes]
    words: Sequence[bytes]
    read: Callable[[bytes, Random], object]


def raises_only(read: Callable[[bytes], object], *expected: type[Exception]) -> Callable[..., None]:
    """Return a front's function for what is read whole and may raise these and nothing else."""

    def run(data: bytes, rng: Random) -> None:
        try:
            read(data)
        except expected:
            pass

    return run


def same(hear: Callable[[Sequence[bytes]], object]) -> Callable[[bytes, Random], None]:
    """Return a front's function for a stream: cut anywhere, the same must come of it."""

    def run(data: bytes, rng: Random) -> None:
        pieces = cuts(data, rng)
        whole, cut = hear([data]), hear(pieces)
        if whole != cut:
            raise BrokenPromiseError(f"whole: {whole!r}; cut into {pieces!r}: {cut!r}")

    return run


class Ear(logging.Handler):
    """Keeps the broker's log lines to itself, and notes the exceptions among them.

    A broker survives an exception of its own, at the cost of a connection, and says so in its log.
    """

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.met: list[str] = []
        self._log = logging.getLogger("broker")

    def __enter__(self) -> Ear:
        """Listen, until the end of the block."""
        self._log.addHandler(self)
        self._log.propagate = False
        return self

    def __exit__(self, *exc_info: object) -> None:
        """Let others hear again."""
        self._log.removeHandler(self)
        self._log.propagate = True

    def emit(self, record: logging.LogRecord) -> None:
        """Note an exception."""
        if record.exc_info is not None:
            self.met.append(f"{record.getMessage()}: {record.exc_info[1]!r}")

    def check(self) -> None:
        """Raise BrokenPromiseError if there was an exception since last asked."""
        met, self.met = self.met, []
        if met:
            raise BrokenPromiseError("; ".join(met))


class Converses(Protocol):
    """Something that serves one stream after another."""

    def converse(self, pieces: Sequence[bytes]) -> object:
        """Return what comes of a stream that arrives in these pieces."""


def lazily(make: Callable[[], Converses]) -> Callable[[Sequence[bytes]], object]:
    """Return the `converse` of what is made when it is first wanted."""
    made: list[Converses] = []

    def converse(pieces: Sequence[bytes]) -> object:
        if not made:
            made.append(make())
        return made[0].converse(pieces)

    return converse


def repeat_picks(plane: DataPlane) -> None:
    """See that the same members of queue groups are picked in the next conversation as in this."""
    assert isinstance(plane, PythonPlane)
    plane._random = Random(1).random


def drained(sock: object) -> bytes:
    """Return all that can be read now."""
    heard = bytearray()
    try:
        while data := sock.recv(65536):  # type: ignore[attr-defined]  # any kind of socket
            heard += data
    except OSError:
        pass
    return bytes(heard)
