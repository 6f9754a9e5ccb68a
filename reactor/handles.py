"""Handles: descriptors with a handler, and the table that finds them again.

The kernel reuses descriptor numbers at once, so a number is no name: an event that was collected
for a descriptor that has been closed since must not reach whoever has its number now. What a
demultiplexer gives back is therefore never a number but the token that was registered with it, and
our token is the `Handle` itself, one object for each registration. A closed handle's `armed` is 0
for ever, and the new owner of its number is another object. (docs/decisions/0004 compares this with
the slot and generation that a kernel's 64-bit field needs.)

Lifetime, in one sentence: after `Handle.close` returns, no call of its handler begins.

Ownership: a *borrowed* descriptor (the default) stays its owner's to close, after the handle was
closed. An *owned* one is closed by the reactor at the end of the turn, when the kernel has
forgotten it and nobody in this turn can confuse it with a new one of the same number.

Floor 1: the loop owns one table. Not thread-safe.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import struct
import termios
from collections.abc import Callable, Iterator
from typing import Final, Protocol

from reactor.budgets import HANGUP_PATIENCE
from reactor.errors import ForkError, ReactorClosedError, RegistrationError
from reactor.events import HANGUP, READ, WRITE, names
from reactor.trace import Site, creation_site

_log = logging.getLogger("reactor")

_ALL: Final = READ | WRITE | HANGUP


class HasFileno(Protocol):
    """A socket, a file, a pipe: anything with a descriptor."""

    def fileno(self) -> int:
        """Return the descriptor's number, or -1 (or raise ValueError) once it is closed."""
        ...


Handler = Callable[[int], object]


class Handle:
    """A watched descriptor. Made by `Reactor.register`; all its methods are O(1).

    Every method may be called from within any handler, its own included, and takes effect at once:
    an event that is already collected is not delivered to a handle that was paused or closed since.
    Loop thread only.
    """

    __slots__ = (
        "_hangup_turn",
        "_hangups",
        "_identity",
        "_interest",
        "_once",
        "_paused",
        "_table",
        "_unread",
        "armed",
        "fd",
        "fileobj",
        "fire",
        "fired",
        "handler",
        "last_fired",
        "name",
        "on_shutdown",
        "over",
        "owned",
        "received",
        "site",
    )

    def __init__(
        self,
        table: HandleTable,
        fileobj: int | HasFileno,
        handler: Handler,
        *,
        once: bool,
        owned: bool,
        name: str,
    ) -> None:
        self._table: HandleTable | None = table
        self._interest = 0
        self._paused = False
        self._once = once
        self._hangups = 0
        self._hangup_turn = 0
        self._unread = -1
        self._identity: tuple[int, int] | None = None
        self.fileobj = fileobj
        self.fd = fileobj if isinstance(fileobj, int) else fileobj.fileno()
        self.handler = handler
        #: What the loop calls: the handler itself, so that an event costs no frame of ours.
        self.fire: Handler = self._fire_once if once else handler
        self.owned = owned
        self.name = name
        self.armed = 0
        self.fired = 0
        self.last_fired: float | None = None
        self.site: Site | None = None
        #: What a backend that receives for streams has received: bytes, and then the end (EOFError)
        #: or the failure.
        self.received: bytes | None = None
        self.over: OSError | EOFError | None = None
        #: Called instead of `close` when the reactor closes: with False to ask for a graceful end,
        #: with True when time is up.
        self.on_shutdown: Callable[[bool], object] | None = None

    @property
    def interest(self) -> int:
        """What it is watched for when it is not paused."""
        return self._interest

    @property
    def paused(self) -> bool:
        """Whether it is paused."""
        return self._paused

    @property
    def closed(self) -> bool:
        """Whether it is closed. It never comes back."""
        return self._table is None

    def modify(self, interest: int) -> None:
        """Watch for `interest` from now on (0: for nothing). A paused handle stays paused.

        Raises `ReactorClosedError` if the handle is closed.
        """
        if interest == self._interest and self._hangups == 0:
            return
        self._interest = interest
        if not self._paused:
            self._arm(interest)

    def pause(self) -> None:
        """Do not call the handler until `resume`. Idempotent; events that last are not lost."""
        if not self._paused:
            self._paused = True
            self._arm(0)

    def resume(self) -> None:
        """Undo `pause`, or arm a one-shot handle again. Idempotent."""
        if self._paused:
            self._paused = False
            self._arm(self._interest)

    def close(self) -> None:
        """Stop watching, for good. Idempotent. An owned descriptor is closed at the turn's end."""
        table, self._table = self._table, None
        if table is not None:
            self.armed = 0
            table.remove(self)

    def describe(self) -> str:
        """Return what this is, for a log line."""
        state = "closed" if self.closed else "paused" if self._paused else names(self._interest)
        label = f" {self.name!r}" if self.name else ""
        return f"handle{label} of descriptor {self.fd} ({state})"

    def _arm(self, interest: int) -> None:
        if self._table is None:
            raise ReactorClosedError(f"{self.describe()} cannot be changed any more; register anew")
        self._table.demultiplexer.modify(self.fd, interest, self)
        self.armed = interest | HANGUP if interest else 0
        self._hangups = 0

    def _fire_once(self, ready: int) -> None:
        self.pause()
        self.handler(ready)


class Watcher(Protocol):
    """What the table needs of a demultiplexer."""

    def register(self, fd: int, interest: int, token: object, /) -> None:
        """See `Demultiplexer.register`."""
        ...

    def modify(self, fd: int, interest: int, token: object, /) -> None:
        """See `Demultiplexer.modify`."""
        ...

    def unregister(self, fd: int, /) -> None:
        """See `Demultiplexer.unregister`."""
        ...


class HandleTable:
    """All handles of one reactor, by their descriptors. All operations are O(1)."""

    __slots__ = ("_by_fd", "_defer_close", "demultiplexer")

    def __init__(
        self, demultiplexer: Watcher, defer_close: Callable[[Callable[[], object]], None]
    ) -> None:
        self.demultiplexer = demultiplexer
        self._defer_close = defer_close
        self._by_fd: dict[int, Handle] = {}

    def __len__(self) -> int:
        """Return the number of handles."""
        return len(self._by_fd)

    def __iter__(self) -> Iterator[Handle]:
        """Return the handles that there are now; they may be closed meanwhile."""
        return iter(list(self._by_fd.values()))

    def add(self, handle: Handle, interest: int) -> None:
        """Watch `handle`."""
        if interest & ~_ALL or interest < 0:
            raise RegistrationError(
                f"interest {interest!r} has bits that are no event; combine READ, WRITE and HANGUP"
            )
        fd = handle.fd
        if fd < 0:
            raise RegistrationError(f"{handle.fileobj!r} is closed; register it before it is")
        if fd in self._by_fd:
            self._evict(self._by_fd[fd], handle)
        self.demultiplexer.register(fd, interest, handle)
        if isinstance(handle.fileobj, int):
            handle._identity = _identity(fd)
        handle._interest = interest
        handle.armed = interest | HANGUP if interest else 0
        handle.site = creation_site()
        self._by_fd[fd] = handle

    def remove(self, handle: Handle) -> None:
        """Take a handle out, and close its descriptor at the turn's end if it is owned."""
        if self._by_fd.get(handle.fd) is handle:
            del self._by_fd[handle.fd]
            self.demultiplexer.unregister(handle.fd)
        if handle.owned:
            fileobj = handle.fileobj
            if isinstance(fileobj, int):
                self._defer_close(lambda: os.close(fileobj))
            else:
                self._defer_close(fileobj.close)  # type: ignore[attr-defined]  # checked in register

    def note_hangup(self, handle: Handle, turn: int) -> None:
        """Count a hang-up that was reported; pause a handle that does nothing about it.

        A hang-up is level-triggered and never goes away, so a handler that ignores it would keep
        the loop spinning for ever. Reading what is left counts as doing something, and a turn
        without a hang-up shows that something was done.
        """
        if turn != handle._hangup_turn + 1:
            handle._hangups = 0
        handle._hangup_turn = turn
        handle._hangups += 1
        if handle._hangups % HANGUP_PATIENCE:
            return
        unread, before = _unread_bytes(handle), handle._unread
        handle._unread = unread
        if unread != before:
            return
        _log.warning(
            "%s was hung up %d times and its handler changed nothing (made at %s): it is paused;"
            " close it, or change its interest, when HANGUP is reported",
            handle.describe(),
            handle._hangups,
            handle.site,
        )
        handle.pause()

    def _evict(self, old: Handle, new: Handle) -> None:
        """Make room for the new owner of a number whose old owner closed it behind our back."""
        if not _is_gone(old):
            raise RegistrationError(
                f"descriptor {old.fd} is already registered as {old.describe()}, made at"
                f" {old.site}; modify that handle, or close it first"
            )
        _log.warning(
            "%s, made at %s, was closed without Handle.close(); its number now belongs to %r",
            old.describe(),
            old.site,
            new.name or new.fileobj,
        )
        old.owned = False
        old.close()


class Forked:
    """Stands in for the demultiplexer in a forked child, which must not touch the parent's set."""

    def register(self, fd: int, interest: int, token: object) -> None:
        """Refuse."""
        raise _forked(fd)

    def modify(self, fd: int, interest: int, token: object) -> None:
        """Refuse."""
        raise _forked(fd)

    def unregister(self, fd: int) -> None:
        """Nothing to do: the child's set is made anew, or never used."""


def _forked(fd: int) -> ForkError:
    return ForkError(
        f"the process was forked: call Reactor.after_fork() in the child before descriptor {fd} is"
        " registered or changed"
    )


def _is_gone(handle: Handle) -> bool:
    """Say whether the descriptor that `handle` was made for has been closed."""
    if isinstance(handle.fileobj, int):
        return handle._identity != _identity(handle.fd)
    try:
        return handle.fileobj.fileno() != handle.fd
    except (OSError, ValueError):
        return True


def _identity(fd: int) -> tuple[int, int] | None:
    """Return what tells one open file from another under the same number."""
    with contextlib.suppress(OSError):
        status = os.fstat(fd)
        return status.st_dev, status.st_ino
    return None


def _unread_bytes(handle: Handle) -> int:
    """Return how many bytes wait to be read; 0 where that cannot be told."""
    ask = getattr(handle.fileobj, "unread", None)  # a socket in memory, which the kernel knows not
    if ask is not None:
        return int(ask())
    try:
        return int(struct.unpack("i", fcntl.ioctl(handle.fd, termios.FIONREAD, b"\0\0\0\0"))[0])
    except OSError:
        return 0
