"""The contract that every demultiplexer keeps.

A demultiplexer waits on many descriptors at once and says which are ready. It is the only part of
the reactor that knows the kernel's interface, and it knows nothing else: no handlers, no timers.
One backend is one file beside this one; `reactor.demux` holds the ordered table of them.

The contract, which one suite (`tests/reactor/test_demux.py`) checks on every backend:

* **Level-triggered.** What is ready is reported at every wait until it is dealt with.
* **Tokens, not descriptors.** A caller gives each descriptor a token, any object, and gets tokens
  back. Descriptor numbers are reused by the kernel; tokens are not, so that an old event cannot
  reach the new owner of a number.
* **Errors wake whoever listens.** A descriptor that is hung up or in error reports every bit, so a
  handler that only reads hears of it through READ, as it would from `select`.
* **Complete.** `wait` returns everything that is ready at that moment, however much it is.
* **Never early.** A timeout is rounded up to what the kernel can express, never down.
* **Forgiving about the dead.** A descriptor that was closed without being unregistered costs nobody
  else anything: its entry is dropped and counted, and unregistering it later is not an error.

None of this is thread-safe: a demultiplexer belongs to the thread that waits on it.

Floor 1: imports `reactor.errors` and `reactor.sources` only.
"""

from __future__ import annotations

import abc
import os
from dataclasses import dataclass
from typing import Any, Protocol

from reactor.errors import RegistrationError, UnsupportedError
from reactor.sources import Source


class Lane(Source, Protocol):
    """The fast lane: a backend that moves the bytes of plain streams in bulk.

    It receives during the wait, and it sends what a turn has written in one call. A stream that has
    only small, plain things to say uses it; for everything else it falls back to its own calls, so
    a lane may refuse anything. It is a source like a flusher: the loop fires it at the turn's end.
    """

    def receive(self, fd: int, /) -> None:
        """Receive for `fd` in each wait from now on, as long as READ is watched for.

        What comes is put into its token before that is returned as ready: bytes are added to
        `token.received`; the end of the stream, or its failure, becomes `token.over`. A wait
        that has received may leave some of what is ready to the next, which then does not sleep.
        """
        ...

    #: Riders in the order of their pushes, and what each of them has pushed, to be sent when the
    #: lane is flushed. A rider appends its first push of a turn itself, if `JOIN_LIMIT` allows it:
    #: a call for each message is what the lane is there to spare.
    riders: list[Rider]
    chunks: list[bytes]

    def push(self, rider: Rider, data: bytes, /) -> bool:
        """Take `data` to be sent when the lane is flushed, or refuse (False).

        Whoever finds the lane not `armed` then asks for the flush. What the kernel does not take
        comes back by `rider._on_unsent`.
        """
        ...

    def cancel(self, rider: Rider, /) -> None:
        """Forget what `rider` has pushed: its descriptor is about to be closed."""
        ...


class Rider(Protocol):
    """A stream, as a lane sees it."""

    #: Its descriptor.
    _fd: int
    #: Bytes that it has pushed in this turn.
    _pushed: int

    def _on_unsent(self, data: bytes, sent: int, /) -> None:
        """Of `data`, the kernel has taken only `sent` bytes."""
        ...


@dataclass(frozen=True)
class Features:
    """What a backend can do, so that one program can teach, compare or choose among all of them."""

    #: The name that `REACTOR_BACKEND` and `backend=` take.
    name: str
    #: The cost of one wait: ``"O(registered)"`` or ``"O(ready)"``.
    cost: str
    #: Regular files can be registered (they are always ready, on every system).
    files: bool
    #: The finest timeout that the kernel is given, in seconds.
    timeout_resolution: float
    #: The first descriptor number that cannot be watched, or None where there is no such limit.
    descriptor_limit: int | None
    #: `fileno` names a descriptor that another loop can watch.
    pollable: bool
    #: HANGUP can be asked for on its own and then reports a peer that has finished sending.
    early_close: bool


@dataclass(frozen=True)
class DemuxStats:
    """Counters of one demultiplexer since it was opened."""

    backend: str
    registered: int
    waits: int
    events: int
    #: Descriptors that were closed while registered, and dropped.
    vanished: int
    #: Times the kernel's set was built anew because it reported descriptors we no longer own.
    rebuilds: int


class Demultiplexer(abc.ABC):
    """Waits on many descriptors. See the module's text for the contract.

    Costs: `register`, `modify` and `unregister` are O(1); `wait` is what `features.cost` says.
    """

    features: Features

    def __init__(self) -> None:
        self._tokens: dict[int, Any] = {}
        self._waits = 0
        self._events = 0
        self._vanished = 0
        self._rebuilds = 0
        self.closed = False

    @abc.abstractmethod
    def register(self, fd: int, interest: int, token: Any) -> None:
        """Begin to watch `fd` for `interest`; 0 keeps a place without watching.

        Raises `RegistrationError` if the descriptor is invalid or already registered,
        `DescriptorLimitError` if its number is too large for this backend.
        """

    @abc.abstractmethod
    def modify(self, fd: int, interest: int, token: Any) -> None:
        """Change what `fd` is watched for, and its token.

        Raises `RegistrationError` if it was not registered.
        """

    @abc.abstractmethod
    def unregister(self, fd: int) -> None:
        """Stop watching `fd`. Not an error if it is closed already or was never registered."""

    @abc.abstractmethod
    def wait(self, timeout: float | None) -> list[tuple[Any, int]]:
        """Wait until something is ready, at most `timeout` seconds (None: for ever; 0: only look).

        Returns `(token, ready)` for all that is ready, in the kernel's order. An interrupted wait
        is continued with what is left of the timeout (PEP 475).
        """

    @abc.abstractmethod
    def close(self) -> None:
        """Give back what the kernel holds for us. Closing twice is harmless."""

    def fileno(self) -> int:
        """Return a descriptor that is readable whenever `wait(0)` would return something.

        Raises `UnsupportedError` where `features.pollable` is false.
        """
        raise UnsupportedError(
            f"the {self.features.name} backend keeps nothing in the kernel, so it has no descriptor"
            " that another loop could watch; use backend='epoll' to embed this reactor"
        )

    #: What this backend does for streams beyond the contract, if anything.
    lane: Lane | None = None

    @property
    def always_ready(self) -> bool:
        """Whether something is ready that `fileno` does not show, such as a regular file."""
        return False

    def rebuild(self) -> None:  # noqa: B027 - most backends have nothing to rebuild
        """Make what the kernel holds for us anew: after a fork, where it is shared with the parent.

        Nothing to do for a backend that keeps nothing in the kernel. Cost O(registered).
        """

    def stats(self) -> DemuxStats:
        """Return the counters as a frozen record. Cost O(1)."""
        return DemuxStats(
            backend=self.features.name,
            registered=len(self._tokens),
            waits=self._waits,
            events=self._events,
            vanished=self._vanished,
            rebuilds=self._rebuilds,
        )

    def _claim(self, fd: int) -> None:
        """Refuse a registration that would replace another one."""
        if fd in self._tokens:
            raise RegistrationError(
                f"descriptor {fd} is already registered; modify it, or unregister it first"
            )

    def _known(self, fd: int) -> None:
        """Refuse to modify what was never registered."""
        if fd not in self._tokens:
            raise RegistrationError(f"descriptor {fd} is not registered; register it first")


def check_open(fd: int) -> None:
    """Raise `RegistrationError` unless `fd` is an open descriptor. One system call."""
    try:
        os.fstat(fd)
    except OSError as error:
        raise RegistrationError(
            f"descriptor {fd} is not open ({error.strerror}); register it before it is closed"
        ) from None


def is_open(fd: int) -> bool:
    """Say whether `fd` is an open descriptor. One system call."""
    try:
        os.fstat(fd)
    except OSError:
        return False
    return True
