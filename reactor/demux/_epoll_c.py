"""`epoll` with its work of a turn done in C: the fourth demultiplexer, and the fastest.

The C (`_epoll_ext/epoll.h`) applies what was changed since the last wait, waits, and receives for
streams, all in one call. This file turns its results into tokens. The contract is the same, so a
program can tell only by its speed, and by timeouts that are in nanoseconds. What the C does for
streams beyond the contract, receiving and sending in bulk, is in `_lane`.

Where the time goes: a call into C costs about 0.15 us, reading one event from an array as much
again, but reading many of them as one list next to nothing. Hence two ways through `wait`, one for
a single event and one for many.

Floor 1: beside the other backends; only `reactor.demux` opens it. The only user of `_epoll_ext`.
"""

from __future__ import annotations

import errno
import os
import select
import time
from typing import Any, Final

from _epoll_ext import ffi, lib
from reactor.budgets import MAX_WAIT
from reactor.demux._base import Demultiplexer, Features, check_open
from reactor.demux._lane import Lane
from reactor.errors import RegistrationError
from reactor.events import READ, WRITE

#: Bytes that one wait can receive. What does not fit is received by its stream.
_ARENA: Final = 1024 * 1024

_SHIFT: Final = lib.RX_SHIFT
_READY: Final = (1 << _SHIFT) - 1
_PLAIN: Final = lib.RX_PLAIN
_GREW: Final = lib.RX_GREW


class EpollCDemultiplexer(Demultiplexer):
    """`epoll(7)` driven from C: a wait costs O(ready), changes of interest are applied with it."""

    features = Features(
        name="epoll_c",
        cost="O(ready)",
        files=True,
        timeout_resolution=1e-9 if lib.rx_is_precise() else 1e-3,
        descriptor_limit=None,
        pollable=True,
        early_close=True,
    )

    def __init__(self) -> None:
        super().__init__()
        self._set = lib.rx_open(_ARENA)
        if not self._set:
            raise OSError(ffi.errno, "the kernel gave no epoll set")
        self._results = lib.rx_look(self._set)
        self._arena = memoryview(ffi.buffer(self._results.arena, _ARENA))
        self._look()
        self._slots: dict[int, int] = {}  # descriptor to slot
        self._owners: list[Any] = []  # slot to token
        self._always: dict[int, int] = {}  # what the kernel refuses: descriptor to interest
        self._outer: select.epoll | None = None
        self._outer_shows = 0
        self.lane = Lane(self._receive_into)

    def register(self, fd: int, interest: int, token: Any) -> None:
        self._claim(fd)
        slot = lib.rx_add(self._set, fd, interest)
        if slot == -errno.EPERM:
            self._always[fd] = interest
        elif slot < 0:
            raise RegistrationError(
                f"epoll cannot watch descriptor {fd}: {os.strerror(-slot)}; register an open one"
            )
        else:
            if not interest:
                self._check_open(fd, slot)
            self._slots[fd] = slot
            if slot == len(self._owners):
                self._owners.append(token)
            else:
                self._owners[slot] = token
        self._tokens[fd] = token

    def modify(self, fd: int, interest: int, token: Any) -> None:
        self._known(fd)
        self._tokens[fd] = token
        slot = self._slots.get(fd)
        if slot is None:
            self._always[fd] = interest
        else:
            self._owners[slot] = token
            lib.rx_modify(self._set, slot, interest)

    def unregister(self, fd: int) -> None:
        if self._tokens.pop(fd, None) is None:
            return
        self._always.pop(fd, None)
        slot = self._slots.pop(fd, None)
        if slot is not None:
            self._owners[slot] = None
            if lib.rx_remove(self._set, slot) < 0:
                self._vanished += 1

    def wait(self, timeout: float | None) -> list[tuple[Any, int]]:
        self._waits += 1
        if timeout == 0 or self._always:
            count = lib.rx_wait(self._set, 0)
        else:
            count = self._wait_long(timeout)
        if count >= _GREW:
            count -= _GREW
            self._look()
        if count == 1:
            ready = self._one()
        elif count > 0:
            ready = self._many(count)
        else:
            ready = []
        if self._always:
            ready += [
                (self._tokens[fd], mask & (READ | WRITE))
                for fd, mask in self._always.items()
                if mask
            ]
        self._events += len(ready)
        if self._outer is not None and self._results.renewals != self._outer_shows:
            self._show_outer()
        return ready

    def fileno(self) -> int:
        if self._outer is None:
            self._outer = select.epoll(flags=select.EPOLL_CLOEXEC)
            self._show_outer()
        return self._outer.fileno()

    @property
    def always_ready(self) -> bool:
        return any(self._always.values())

    def rebuild(self) -> None:
        if self._outer is not None:
            fresh = select.epoll(flags=select.EPOLL_CLOEXEC)
            os.dup2(fresh.fileno(), self._outer.fileno(), inheritable=False)
            fresh.close()
        lib.rx_renew(self._set)
        if self._outer is not None:
            self._show_outer()

    def close(self) -> None:
        if self.closed:
            return
        self.closed = True
        self._tokens.clear()
        self._always.clear()
        if self._outer is not None:
            self._outer.close()
        self._events_view.release()
        self._sizes_view.release()
        self._arena.release()
        lib.rx_close(self._set)

    def _receive_into(self, fd: int) -> None:
        slot = self._slots.get(fd)
        if slot is not None:
            lib.rx_receive(self._set, slot, 1)

    def _look(self) -> None:
        """Find the arrays of results again, which have grown."""
        results = self._results
        size = 4 * results.room
        self._events_view = memoryview(ffi.buffer(results.events, size)).cast("I")
        self._sizes_view = memoryview(ffi.buffer(results.sizes, size)).cast("i")

    def _check_open(self, fd: int, slot: int) -> None:
        try:
            check_open(fd)
        except RegistrationError:
            lib.rx_remove(self._set, slot)
            raise

    def _wait_long(self, timeout: float | None) -> int:
        if timeout is None:
            while (count := lib.rx_wait(self._set, -1)) == -errno.EINTR:
                pass  # a signal's Python handler has run between the two calls
            return count
        # Nanoseconds, rounded up: a wait must never end before its time.
        left = -int(-min(max(timeout, 0.0), MAX_WAIT) * 1e9 // 1)
        deadline = time.monotonic_ns() + left
        while (count := lib.rx_wait(self._set, left)) == -errno.EINTR:
            left = max(deadline - time.monotonic_ns(), 0)
        return count

    def _one(self) -> list[tuple[Any, int]]:
        event = self._events_view[0]
        token = self._owners[event >> _SHIFT]
        if self._results.received:
            self._hand_over(token, self._sizes_view[0], 0)
        return [(token, event & _READY)]

    def _many(self, count: int) -> list[tuple[Any, int]]:
        owners = self._owners
        events = self._events_view[:count].tolist()
        ready = [(owners[event >> _SHIFT], event & _READY) for event in events]
        if self._results.received:
            sizes = self._sizes_view[:count].tolist()
            arena = self._arena
            offset = 0
            for (token, _), size in zip(ready, sizes, strict=True):
                if size > 0 and token.received is None:
                    token.received = bytes(arena[offset : offset + size])
                    offset += size
                elif size != _PLAIN:
                    offset += self._hand_over(token, size, offset)
        return ready

    def _hand_over(self, token: Any, size: int, offset: int) -> int:
        """Give a stream what was received for it; return how much of the arena that was."""
        if size > 0:
            data = bytes(self._arena[offset : offset + size])
            token.received = data if token.received is None else token.received + data
            return size
        if size == 0:
            token.over = EOFError()
        elif size != _PLAIN:
            token.over = OSError(_PLAIN - size, os.strerror(_PLAIN - size))
        return 0

    def _show_outer(self) -> None:
        # A host watches an open file, as epoll does, and would lose sight of ours when the set is
        # made anew. So it is shown another set around ours, which stays.
        assert self._outer is not None
        self._outer_shows = self._results.renewals
        self._outer.register(lib.rx_fileno(self._set), select.EPOLLIN)
