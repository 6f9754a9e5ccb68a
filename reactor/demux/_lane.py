"""The fast lane of the C paths: small writes of all streams, sent in one call at the turn's end.

Sending a kilobyte costs the kernel two microseconds and Python, which prepares the call, takes the
interpreter's lock back and looks at the result, half as much again. So what streams write is only
noted here, is joined at the turn's end, one memory copy each, and C sends it all.

A stream's writes follow one another here: writing again directly after is one `send` with what was
written before. Everything else (larger writes, a second write after another stream's, anything
while the kernel is full) a stream queues itself, to be sent by its own flusher, which is behind the
lane's in the same phase: so the order of its bytes is kept.

Floor 1: made by `_epoll_c` and `_io_uring`; streams use it through the `Lane` protocol. What these
two also share stands at the end: a wait that goes on when it was interrupted, and how what C has
received is given to a stream.
"""

from __future__ import annotations

import errno
import os
import time
from array import array
from collections.abc import Callable
from itertools import groupby
from operator import itemgetter
from typing import Any, Final

from _epoll_ext import ffi, lib
from reactor.budgets import JOIN_LIMIT, MAX_WAIT
from reactor.demux._base import Rider
from reactor.trace import Site

#: Messages that are joined and sent by one call into C. More would not stay in the processor's
#: cache between being joined and being sent.
_MESSAGES: Final = 128

#: What a wait in C answers when a signal ended it.
INTERRUPTED: Final = -errno.EINTR

#: In the results of a wait: nothing was received for this event. 0 is the end of the stream; below
#: this it is a failure, `PLAIN - errno`.
PLAIN: Final = lib.RX_PLAIN

#: Sends `count` messages: `(messages, their bytes end to end, count)`. Returns whether the kernel
#: left something of one.
Send = Callable[[Any, bytes, int], int]


class Lane:
    """See `reactor.demux._base.Lane`. Operations are O(1) but `cancel` and the flush: O(writes).

    `receive` is the demultiplexer's; `send` is C's.
    """

    __slots__ = (
        "_arrays",
        "_fds",
        "_messages",
        "_repeated",
        "_send",
        "_sent",
        "_sizes",
        "armed",
        "chunks",
        "receive",
        "riders",
    )

    fired: int = 0
    last_fired: float | None = None
    site: Site | None = None

    def __init__(self, receive: Callable[[int], None], send: Send) -> None:
        self.receive = receive
        self._send = send
        fds, sizes, sent = (ffi.new("int32_t[]", _MESSAGES) for _ in range(3))
        self._arrays = (fds, sizes, sent)  # C has pointers to them
        self._messages = ffi.new("rx_messages *", {"fds": fds, "sizes": sizes, "sent": sent})
        self._fds = memoryview(ffi.buffer(fds)).cast("i")
        self._sizes = memoryview(ffi.buffer(sizes)).cast("i")
        self._sent = memoryview(ffi.buffer(sent)).cast("i")
        self.riders: list[Rider] = []
        self.chunks: list[bytes] = []
        self._repeated = False
        self.armed = 0

    def push(self, rider: Rider, data: bytes) -> bool:
        """Take `data`, or refuse."""
        size = len(data)
        if not 0 < size <= JOIN_LIMIT:
            return False
        riders = self.riders
        if rider._pushed:
            if riders[-1] is not rider:
                return False
            self._repeated = True
        riders.append(rider)
        self.chunks.append(data)
        rider._pushed += size
        return True

    def cancel(self, rider: Rider) -> None:
        """Forget what `rider` has pushed: its descriptor is about to be closed."""
        kept = [pair for pair in zip(self.riders, self.chunks, strict=True) if pair[0] is not rider]
        self.riders = [pair[0] for pair in kept]
        self.chunks = [pair[1] for pair in kept]
        rider._pushed = 0

    def fire(self, ready: int) -> None:
        """Send everything; the loop's, not yours."""
        self.armed = 0
        # Emptied first: whatever interrupts us, nothing may be sent twice.
        riders, self.riders = self.riders, []
        chunks, self.chunks = self.chunks, []
        for rider in riders:
            rider._pushed = 0
        if self._repeated:
            self._repeated = False
            riders, chunks = _merged(riders, chunks)
        if len(riders) > 1:
            for begin in range(0, len(riders), _MESSAGES):
                end = begin + _MESSAGES
                self._send_many(riders[begin:end], chunks[begin:end])
        elif riders:
            data = chunks[0]
            self._fds[0] = riders[0]._fd
            self._sizes[0] = len(data)
            if self._send(self._messages, data, 1):
                self._return_unsent(riders, chunks)

    def describe(self) -> str:
        """Return what this is, for a log line."""
        return "the streams' fast lane"

    def _send_many(self, riders: list[Rider], chunks: list[bytes]) -> None:
        count = len(riders)
        self._fds[:count] = array("i", [rider._fd for rider in riders])
        self._sizes[:count] = array("i", map(len, chunks))
        if self._send(self._messages, b"".join(chunks), count):
            self._return_unsent(riders, chunks)

    def _return_unsent(self, riders: list[Rider], chunks: list[bytes]) -> None:
        results = self._sent[: len(riders)].tolist()
        for rider, data, sent in zip(riders, chunks, results, strict=True):
            if sent < len(data):
                rider._on_unsent(data, max(sent, 0))


def _merged(riders: list[Rider], chunks: list[bytes]) -> tuple[list[Rider], list[bytes]]:
    """Make what one rider has written one chunk."""
    runs = [
        (rider, b"".join(chunk for _, chunk in run))
        for rider, run in groupby(zip(riders, chunks, strict=True), key=itemgetter(0))
    ]
    return [rider for rider, _ in runs], [chunk for _, chunk in runs]


def wait_long(wait: Callable[[Any, int], int], ring: Any, timeout: float) -> int:
    """Call `wait(ring, nanoseconds)` until it ends otherwise than by a signal; its last answer."""
    if timeout <= 0:
        return wait(ring, 0)
    # Nanoseconds, rounded up: a wait must never end before its time.
    left = -int(-min(timeout, MAX_WAIT) * 1e9 // 1)
    deadline = time.monotonic_ns() + left
    while (count := wait(ring, left)) == INTERRUPTED:
        left = max(deadline - time.monotonic_ns(), 0)
    return count


def hand_over(token: Any, size: int, arena: Any, place: int) -> None:
    """Give a token what C has received for it: `size` bytes at `place`, or an end by that code."""
    if size > 0:
        data = arena[place : place + size]
        token.received = data if token.received is None else token.received + data
    elif size != PLAIN and token.over is None:  # a failure is told once, and then comes the end
        token.over = OSError(PLAIN - size, os.strerror(PLAIN - size)) if size else EOFError()
