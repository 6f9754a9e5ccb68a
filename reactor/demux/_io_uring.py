"""`io_uring`: the fifth demultiplexer, which is told what to do instead of asked what is ready.

The C (`_epoll_ext/uring.h`) keeps one request in flight for each descriptor, and hands them to the
kernel together with the wait. This file turns its answers into tokens. The contract is the others',
so nothing of the ring shows, least of all that a stream's bytes are taken by the kernel.

Three special problems, each with a test:

* **A request in flight holds its file.** Close a descriptor without unregistering it, and its file
  lives on: the peer sees no end, and a port stays taken, until it is unregistered. `unregister`
  waits for the kernel to let go, so whoever closes after it finds things as ever.
* **Bytes that were found by the way.** A flush and an `unregister` may collect answers, too. What
  they bring is given to its token at once, so that nobody who then reads the socket by himself gets
  later bytes before earlier ones; the event for it is returned by the next wait.
* **A ring shows what was done, not what is ready.** A host that sleeps on it would not be woken for
  what becomes ready while nothing is in flight. So a host is shown an epoll set of the same
  interests, from the first `fileno` on, and bytes are left in their sockets from then on.

Floor 1: beside the other backends; only `reactor.demux` opens it. A user of `_epoll_ext`.
"""

from __future__ import annotations

import os
from typing import Any, Final

from _epoll_ext import ffi, lib
from reactor.demux._base import Demultiplexer, DemuxStats, Features
from reactor.demux._epoll import EpollDemultiplexer
from reactor.demux._lane import INTERRUPTED, PLAIN, Lane, hand_over, wait_long
from reactor.errors import RegistrationError

# Found once: an attribute of a C library is looked up by name at each use.
_ur_wait: Final = lib.ur_wait
_UNSENT: Final = lib.UR_UNSENT
_GREW: Final = lib.UR_GREW
_ARENA: Final = lib.UR_BUFFERS * lib.UR_BUFFER

Batch = list[tuple[Any, int]]


class IoUringDemultiplexer(Demultiplexer):
    """`io_uring(7)` driven from C: a wait costs O(changed + ready), in one system call."""

    features = Features(
        name="io_uring",
        cost="O(ready)",
        files=True,
        timeout_resolution=1e-9,
        descriptor_limit=None,
        pollable=True,
        early_close=True,
    )

    def __init__(self) -> None:
        super().__init__()
        error = ffi.new("int *")
        self._set = lib.ur_open(error)
        if not self._set:
            raise OSError(-error[0], f"the kernel gave no ring: {os.strerror(-error[0])}")
        self._results = lib.ur_look(self._set)
        self._arena = ffi.buffer(self._results.arena, _ARENA)  # slices of it are `bytes`
        self._look()
        self._slots: dict[int, int] = {}  # descriptor to slot
        self._owners: list[Any] = []  # slot to token
        self._early: Batch = []  # what was found since the last wait
        self._complete = False  # whether that is all that a wait would find
        self._shown: EpollDemultiplexer | None = None  # what a host sees
        self.lane = Lane(self._receive_for, self._flush)

    def register(self, fd: int, interest: int, token: Any) -> None:
        self._claim(fd)
        slot = lib.ur_add(self._set, fd, interest)
        if slot < 0:
            raise RegistrationError(
                f"io_uring cannot watch descriptor {fd}: {os.strerror(-slot)}; register an open one"
            )
        self._complete = False
        self._slots[fd] = slot
        if slot == len(self._owners):
            self._owners.append(token)
        else:
            self._owners[slot] = token
        self._tokens[fd] = token
        if self._shown is not None:
            self._shown.register(fd, interest, None)

    def modify(self, fd: int, interest: int, token: Any) -> None:
        self._known(fd)
        slot = self._slots[fd]
        self._tokens[fd] = self._owners[slot] = token
        lib.ur_modify(self._set, slot, interest)
        self._complete = False
        if self._shown is not None:
            try:
                self._shown.modify(fd, interest, None)
            except RegistrationError:
                pass  # closed behind our back: nobody needs to be shown that it is never ready

    def unregister(self, fd: int) -> None:
        if fd not in self._tokens:
            return
        token = self._tokens.pop(fd)
        slot = self._slots.pop(fd)
        found = lib.ur_remove(self._set, slot)
        if found > 0:
            self._keep(found)
        self._owners[slot] = None
        if self._early:
            self._early = [event for event in self._early if event[0] is not token]
        if self._shown is not None:
            self._shown.unregister(fd)

    def wait(self, timeout: float | None) -> Batch:
        self._waits += 1
        if self._early:
            ready, self._early = self._early, []
            if not self._complete and (count := _ur_wait(self._set, 0)) > 0:
                ready += self._take(count)
        else:
            if timeout is None:
                while (count := _ur_wait(self._set, -1)) == INTERRUPTED:
                    pass  # a signal's Python handler has run between the two calls
            else:
                count = wait_long(_ur_wait, self._set, timeout)
            if count == 0:
                if self._shown is not None:
                    self._shown.wait(0)  # what woke the host was a ghost, perhaps: it goes
                return []
            ready = self._take(count)
        self._events += len(ready)
        return ready

    def fileno(self) -> int:
        if self._shown is None:
            lib.ur_receive_nothing(self._set)
            self._shown = EpollDemultiplexer()
            for fd, slot in self._slots.items():
                try:
                    self._shown.register(fd, lib.ur_interest(self._set, slot), None)
                except RegistrationError:
                    pass  # as in modify
        return self._shown.fileno()

    @property
    def always_ready(self) -> bool:
        return bool(self._early) or (self._shown is not None and self._shown.always_ready)

    def rebuild(self) -> None:
        lib.ur_renew(self._set)
        if self._shown is not None:
            self._shown.rebuild()

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
        self._early.clear()
        if self._shown is not None:
            self._shown.close()
        for view in self._views:
            view.release()
        del self._arena
        lib.ur_close(self._set)

    def _count(self) -> None:
        self._vanished = self._results.vanished
        self._rebuilds = self._results.renewals

    def _flush(self, messages: Any, data: bytes, count: int) -> int:
        """Send, collect what is ready, and return whether something was not taken."""
        collect = self._shown is None
        found = lib.ur_send(self._set, messages, data, count, collect)
        unsent = found & _UNSENT
        found -= unsent
        if found:
            self._keep(found)
            self._complete = collect
        return unsent

    def _receive_for(self, fd: int) -> None:
        slot = self._slots.get(fd)
        if slot is not None:
            lib.ur_receive(self._set, slot)

    def _look(self) -> None:
        """Find the arrays of results again, which have grown."""
        results, room = self._results, self._results.room
        self._views = (
            memoryview(ffi.buffer(results.slots, 4 * room)).cast("i"),
            memoryview(ffi.buffer(results.ready, room)),
            memoryview(ffi.buffer(results.sizes, 4 * room)).cast("i"),
            memoryview(ffi.buffer(results.places, 4 * room)).cast("I"),
        )

    def _keep(self, found: int) -> None:
        ready = self._take(found)
        if self._shown is None:
            self._early += ready
            self._complete = False
        # A host is shown what is ready, and the next wait finds it again: nothing was received.

    def _take(self, count: int) -> Batch:
        """Turn what the C has found into events, and give streams what was received for them."""
        if count < 0:
            raise OSError(-count, f"io_uring failed: {os.strerror(-count)}")
        if count >= _GREW:
            count -= _GREW
            self._look()
        slots, ready, sizes, places = self._views
        if count == 1:
            token = self._owners[slots[0]]
            if self._results.received:
                hand_over(token, sizes[0], self._arena, places[0])
            return [(token, ready[0])]
        tokens = list(map(self._owners.__getitem__, slots[:count].tolist()))
        if self._results.received:
            arena = self._arena
            received = zip(tokens, sizes[:count].tolist(), places[:count].tolist(), strict=True)
            for token, size, place in received:
                if size > 0 and token.received is None:
                    token.received = arena[place : place + size]
                elif size != PLAIN:
                    hand_over(token, size, arena, place)
        return list(zip(tokens, ready[:count].tolist(), strict=True))
