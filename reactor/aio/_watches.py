"""Descriptors watched by `add_reader` and `add_writer`, on handles of the reactor.

asyncio watches a descriptor for two callbacks, one for each side; a reactor has one handle for
both. A `Watch` is the pair: it changes the handle's interest as callbacks come and go, and calls
them when the reactor says so, directly and not through the loop's queue, as asyncio does.

Beyond the four methods, asyncio's own code looks at `loop._selector`, to print whether a transport
is being polled. `SelectorView` gives it that look, and nothing else.

Floor 4: used by `reactor.aio._loop` only. Loop thread only.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable

from reactor.events import READ, WRITE
from reactor.handles import Handle, HasFileno
from reactor.loop import Reactor

FileLike = int | HasFileno


class Watch:
    """The reader and the writer of one descriptor."""

    __slots__ = ("_handle", "fileobj", "reader", "writer")

    def __init__(self, reactor: Reactor, fileobj: FileLike, interest: int) -> None:
        self.fileobj = fileobj
        self.reader: asyncio.Handle | None = None
        self.writer: asyncio.Handle | None = None
        self._handle: Handle = reactor.register(fileobj, interest, self._on_ready, name="asyncio")

    @property
    def stale(self) -> bool:
        """Whether the reactor dropped it, because its descriptor was closed and used again."""
        return self._handle.closed

    def set_reader(self, callback: asyncio.Handle | None) -> bool:
        """Replace the reader, None for nobody; return whether there was one."""
        before, self.reader = self.reader, callback
        return self._changed(before)

    def set_writer(self, callback: asyncio.Handle | None) -> bool:
        """Replace the writer, None for nobody; return whether there was one."""
        before, self.writer = self.writer, callback
        return self._changed(before)

    def interest(self) -> int:
        """Return what it is watched for."""
        return (READ if self.reader is not None else 0) | (WRITE if self.writer is not None else 0)

    def close(self) -> None:
        """Stop watching."""
        self._handle.close()

    def _changed(self, before: asyncio.Handle | None) -> bool:
        if before is not None:
            before.cancel()
        if not self._handle.closed:
            interest = self.interest()
            if interest:
                self._handle.modify(interest)
            else:
                self._handle.close()
        return before is not None

    def _on_ready(self, ready: int) -> None:
        reader = self.reader
        if ready & READ and reader is not None:
            reader._run()
        # Asked for only now: the reader may have removed the writer.
        writer = self.writer
        if ready & WRITE and writer is not None:
            writer._run()


class SelectorView:
    """What of a selector's face asyncio looks at, for the watches of one loop."""

    __slots__ = ("_close", "_watches")

    def __init__(self, watches: dict[int, Watch], close: Callable[[], None]) -> None:
        self._watches = watches
        self._close = close

    def get_key(self, fileobj: FileLike) -> selectors.SelectorKey:
        """Return what `fileobj` is watched for; KeyError if it is not."""
        fd = fileobj if isinstance(fileobj, int) else fileobj.fileno()
        watch = self._watches[fd]
        # READ and WRITE have the values of EVENT_READ and EVENT_WRITE.
        return selectors.SelectorKey(
            watch.fileobj, fd, watch.interest(), (watch.reader, watch.writer)
        )

    def get_map(self) -> dict[int, selectors.SelectorKey]:
        """Return all of them, by descriptor. O(n)."""
        return {fd: self.get_key(fd) for fd in self._watches}

    def close(self) -> None:
        """Close the reactor, if the loop made it."""
        self._close()
