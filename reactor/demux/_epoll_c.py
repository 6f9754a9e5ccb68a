"""`epoll` with its work of a turn done in C: the fourth demultiplexer, and the fastest.

The C (`_epoll_ext/epoll.h`) applies what was changed since the last wait, waits, and receives for
streams, all in one call. This file turns its results into tokens. The contract is the same, so a
program can tell only by its speed, and by timeouts that are in nanoseconds. What the C does for
streams beyond the contract, receiving and sending in bulk, is in `_lane`.

Where the time goes: a call into C costs about 0.15 us, and so does reading one number of an array;
reading many of them as one list costs next to nothing.

Floor 1: beside the other backends; only `reactor.demux` opens it. A user of `_epoll_ext`.
"""

from __future__ import annotations

import errno
import os
import select
from typing import Any, Final

from _epoll_ext import ffi, lib
from reactor.demux._base import Demultiplexer, DemuxStats, Features, check_open
from reactor.demux._lane import INTERRUPTED, PLAIN, Lane, hand_over, wait_long
from reactor.errors import RegistrationError
from reactor.events import READ, WRITE

#: Bytes that one wait can receive. What does not fit is received by its stream.
_ARENA: Final = 1024 * 1024

# Found once: an attribute of a C library is looked up by name at each use.
_rx_wait: Final = lib.rx_wait
_RECEIVED: Final = lib.RX_RECEIVED
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
        # Slices of it are `bytes`, in one step.
        self._arena = ffi.buffer(self._results.arena, _ARENA)
        self._look()
        self._slots: dict[int, int] = {}  # descriptor to slot
        self._owners: list[Any] = []  # slot to token
        self._always: dict[int, int] = {}  # what the kernel refuses: descriptor to interest
        self._outer: select.epoll | None = None
        self._outer_shows = 0
        self._gone = 0  # descriptors that had been closed when they were unregistered
        self.lane = Lane(self._receive_into, lib.rx_send)

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
                self._gone += 1

    def wait(self, timeout: float | None) -> list[tuple[Any, int]]:
        self._waits += 1
        if timeout == 0 or self._always:
            count = _rx_wait(self._set, 0)
        elif timeout is None:
            while (count := _rx_wait(self._set, -1)) == INTERRUPTED:
                pass  # a signal's Python handler has run between the two calls
        else:
            count = wait_long(_rx_wait, self._set, timeout)
        if count >= _GREW:
            count -= _GREW
            self._look()
        ready: list[tuple[Any, int]]
        if count <= 0:
            ready = []
        elif count == 1:
            ready = [(self._owners[self._slots_view[0]], self._ready_view[0])]
        elif count < _RECEIVED:
            tokens = map(self._owners.__getitem__, self._slots_view[:count].tolist())
            ready = list(zip(tokens, self._ready_view[:count].tolist(), strict=True))
        else:
            ready = self._received(count - _RECEIVED)
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

    def stats(self) -> DemuxStats:
        if not self.closed:
            self._count()
        return super().stats()

    def close(self) -> None:
        if self.closed:
            return
        self._count()
        self.closed = True
        self._tokens.clear()
        self._always.clear()
        if self._outer is not None:
            self._outer.close()
        for view in (self._slots_view, self._ready_view, self._sizes_view):
            view.release()
        del self._arena
        lib.rx_close(self._set)

    def _count(self) -> None:
        self._rebuilds = self._results.renewals
        self._vanished = self._gone + self._results.vanished

    def _receive_into(self, fd: int) -> None:
        slot = self._slots.get(fd)
        if slot is not None:
            lib.rx_receive(self._set, slot, 1)

    def _look(self) -> None:
        """Find the arrays of results again, which have grown."""
        results, room = self._results, self._results.room
        self._slots_view = memoryview(ffi.buffer(results.slots, 4 * room)).cast("i")
        self._ready_view = memoryview(ffi.buffer(results.ready, room))
        self._sizes_view = memoryview(ffi.buffer(results.sizes, 4 * room)).cast("i")

    def _check_open(self, fd: int, slot: int) -> None:
        try:
            check_open(fd)
        except RegistrationError:
            lib.rx_remove(self._set, slot)
            raise

    def _received(self, count: int) -> list[tuple[Any, int]]:
        """Return the events of a wait that received, and hand what came to its tokens."""
        arena = self._arena
        if count == 1:
            token = self._owners[self._slots_view[0]]
            size = self._sizes_view[0]
            if size > 0 and token.received is None:
                token.received = arena[:size]
            else:
                hand_over(token, size, arena, 0)
            return [(token, self._ready_view[0])]
        tokens = list(map(self._owners.__getitem__, self._slots_view[:count].tolist()))
        begin = 0
        for token, size in zip(tokens, self._sizes_view[:count].tolist(), strict=True):
            if size > 0 and token.received is None:
                end = begin + size
                token.received = arena[begin:end]
                begin = end
            elif size != PLAIN:
                hand_over(token, size, arena, begin)
                begin += max(size, 0)
        return list(zip(tokens, self._ready_view[:count].tolist(), strict=True))

    def _show_outer(self) -> None:
        # A host watches an open file, as epoll does, and would lose sight of ours when the set is
        # made anew. So it is shown another set around ours, which stays.
        assert self._outer is not None
        self._outer_shows = self._results.renewals
        self._outer.register(lib.rx_fileno(self._set), select.EPOLLIN)
