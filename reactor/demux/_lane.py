"""The fast lane of the C path: small writes of all streams, sent in one call at the turn's end.

Sending a kilobyte costs the kernel two microseconds and Python, which prepares the call, takes the
interpreter's lock back and looks at the result, half as much again. So the bytes are copied into an
arena, one memory copy each, and C sends them all.

A stream has at most one entry, its write of this turn; writing again directly after makes it
longer.
Everything else (larger writes, a second write after another stream's, anything while the kernel is
full) a stream queues itself, to be sent by its own flusher, which is behind the lane's in the same
phase: so the order of its bytes is kept.

Floor 1: made by `_epoll_c`; streams use it through the `Lane` protocol.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from _epoll_ext import ffi, lib
from reactor.demux._base import Rider
from reactor.trace import Site

#: Bytes and entries of one flush. What does not fit is refused, and its stream sends it itself.
_ROOM: Final = 256 * 1024
_ENTRIES: Final = 2048

#: Larger writes are not copied: their stream sends them from where they are.
_LARGEST: Final = 8 * 1024


class Lane:
    """See `reactor.demux._base.Lane`. All operations are O(1) but `cancel` and the flush: O(n)."""

    __slots__ = (
        "_arena",
        "_entries",
        "_fds",
        "_pointers",
        "_riders",
        "_sent",
        "_sizes",
        "_used",
        "armed",
        "fired",
        "last_fired",
        "receive",
        "site",
    )

    def __init__(self, receive: Callable[[int], None]) -> None:
        self.receive = receive
        arena, fds = ffi.new("char[]", _ROOM), ffi.new("int32_t[]", _ENTRIES)
        sizes, sent = ffi.new("int32_t[]", _ENTRIES), ffi.new("int32_t[]", _ENTRIES)
        self._pointers = (arena, fds, sizes, sent)
        self._arena = memoryview(ffi.buffer(arena))
        self._fds = memoryview(ffi.buffer(fds)).cast("i")
        self._sizes = memoryview(ffi.buffer(sizes)).cast("i")
        self._sent = memoryview(ffi.buffer(sent)).cast("i")
        self._riders: list[Rider] = []
        self._used = 0
        self.armed = 0
        self.fired = 0
        self.last_fired: float | None = None
        self.site: Site | None = None

    def push(self, rider: Rider, fd: int, data: bytes) -> bool:
        """Take `data`, or refuse."""
        riders = self._riders
        size = len(data)
        begin = self._used
        end = begin + size
        if size > _LARGEST or end > _ROOM:
            return False
        count = len(riders)
        if rider._pushed:
            if riders[-1] is not rider:
                return False
            self._sizes[count - 1] += size
        elif count == _ENTRIES:
            return False
        else:
            self._fds[count] = fd
            self._sizes[count] = size
            riders.append(rider)
        self._arena[begin:end] = data
        self._used = end
        rider._pushed += size
        return True

    def cancel(self, rider: Rider) -> None:
        """Forget what `rider` has pushed: its descriptor is about to be closed."""
        index = self._riders.index(rider)
        self._fds[index] = -1
        rider._pushed = 0

    def fire(self, ready: int) -> None:
        """Send everything; the loop's, not yours."""
        self.armed = 0
        # Emptied first: whatever interrupts us, nothing may be sent twice.
        riders, self._riders = self._riders, []
        self._used = 0
        unfinished = lib.rx_send(*self._pointers, len(riders))
        for rider in riders:
            rider._pushed = 0
        if unfinished:
            self._return_unsent(riders)

    def describe(self) -> str:
        """Return what this is, for a log line."""
        return "the streams' fast lane"

    def _return_unsent(self, riders: list[Rider]) -> None:
        # First copied, then told: a rider may push again, into the same arena.
        unsent = []
        begin = 0
        arrays = zip(riders, self._sizes, self._sent)  # noqa: B905 - these are longer than used
        for rider, size, sent in arrays:
            if sent < size:
                unsent.append((rider, bytes(self._arena[begin : begin + size]), max(sent, 0)))
            begin += size
        for rider, data, sent in unsent:
            rider._on_unsent(data, sent)
