"""Bytes on their way out, bytes on their way in, and the marks that keep both bounded.

Three small classes, each one idea:

* `WaterMarks` turns a size that goes up and down into two rare events. It speaks only when the size
  rises above the high mark or falls back to the low one; the gap between the two is what keeps a
  producer from being stopped and started for every message.
* `SendQueue` holds what the kernel has not taken yet. Many small writes become one large one (a
  system call costs more than the copy), large writes are kept as they are (the copy would cost more
  than the system call), and a partial send moves an offset, never the bytes.
* `ReceiveBuffer` holds what a reader is not ready for, and finds a separator without looking at any
  byte twice, however the bytes were cut up on their way.

Invariants: `len(queue)` is the number of bytes appended and not yet advanced over; bytes leave in
the order in which they came; nothing leaves without `advance` or `take`.

None of these is thread-safe: each belongs to one stream, in its loop's thread. Nothing here does
any input or output.

Floor 1: imports `reactor.budgets` and `reactor.errors` only. Used by streams and datagrams.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from typing import Final

from reactor.budgets import JOIN_LIMIT, READ_SIZE
from reactor.errors import LimitError

#: Joined small writes are sealed into a block of about this size: as much as one send usually
#: takes.
_BLOCK_SIZE: Final = READ_SIZE

#: Used-up places at the front of the list of blocks that are not worth closing up.
_FEW: Final = 64


class Edge(enum.Enum):
    """Which mark was just crossed."""

    ABOVE = "rose above the high mark"
    BELOW = "fell to the low mark"


ABOVE: Final = Edge.ABOVE
BELOW: Final = Edge.BELOW


class WaterMarks:
    """A high and a low mark for the size of something, with memory of which was crossed last.

    The size is *above* from the moment it exceeds `high` until it is at most `low`. `low` defaults
    to a quarter of `high`. Raises `LimitError` unless ``0 <= low < high``, or both are 0 (which
    means: above whenever there is anything at all).
    """

    __slots__ = ("above", "high", "low")

    def __init__(self, high: int, low: int | None = None) -> None:
        low = high // 4 if low is None else low
        if not (0 <= low < high or low == high == 0):
            raise LimitError(
                f"water marks need 0 <= low < high (or both 0), not low={low}, high={high}:"
                " without a gap the producer would be stopped and started for every byte"
            )
        self.high = high
        self.low = low
        self.above = False

    def update(self, size: int) -> Edge | None:
        """Note the new size; return the edge if this crossed one, else None. O(1)."""
        if self.above:
            if size <= self.low:
                self.above = False
                return BELOW
        elif size > self.high:
            self.above = True
            return ABOVE
        return None


class SendQueue:
    """Bytes in order, on their way to the kernel.

    Writes of up to `JOIN_LIMIT` bytes are gathered and joined, at the latest when they are asked
    for; larger ones stand on their own and are not copied if they are `bytes`. A `bytearray` or a
    `memoryview` may change after it was handed over, so it is copied once, at `append`.

    `size` is the number of bytes that wait, the same as ``len(queue)`` and cheaper to ask for; it
    is not for setting. All operations are O(1), amortised, beyond the one copy named above.
    """

    __slots__ = ("_blocks", "_first", "_small", "_small_size", "size")

    def __init__(self) -> None:
        # Blocks from index `_first` on are ready to send; `_small` comes after the last of them.
        self._blocks: list[bytes | memoryview] = []
        self._first = 0
        self._small: list[bytes] = []
        self._small_size = 0
        self.size = 0

    def __len__(self) -> int:
        """Return the number of bytes that wait."""
        return self.size

    def append(self, data: bytes | bytearray | memoryview) -> int:
        """Add `data` at the end and return the new size. TypeError if it is not bytes-like."""
        if type(data) is not bytes:
            data = _as_bytes(data)
        size = len(data)
        self.size += size
        if size > JOIN_LIMIT:
            if self._small:
                self._seal()
            self._blocks.append(data)
        elif size:
            self._small.append(data)
            self._small_size += size
            if self._small_size >= _BLOCK_SIZE:
                self._seal()
        return self.size

    def take_small(self) -> bytes:
        """Remove and return everything that waits, joined, if that is small writes only; else b"".

        The usual turn of a usual stream: what was written is small and goes out at once. What the
        kernel does not take of it is given back by `put_back`.
        """
        small = self._small
        if self._blocks or not small:
            return b""
        data = small[0] if len(small) == 1 else b"".join(small)
        small.clear()
        self._small_size = self.size = 0
        return data

    def put_back(self, data: bytes, sent: int) -> None:
        """Give back what was taken to be sent, less the `sent` bytes that the kernel did take.

        It goes in front of what was added since.
        """
        self._blocks.insert(self._first, memoryview(data)[sent:])
        self.size += len(data) - sent

    def extend(self, chunks: Iterable[bytes | bytearray | memoryview]) -> None:
        """Add each of `chunks`, in order. On a TypeError those before the bad one are added."""
        append = self.append
        for chunk in chunks:
            append(chunk)

    def peek(self) -> bytes | memoryview:
        """Return what to send next, as one buffer; empty if there is nothing."""
        if self._small and self._first == len(self._blocks):
            self._seal()
        return self._blocks[self._first] if self._blocks else b""

    def peek_many(self, limit: int) -> list[bytes | memoryview]:
        """Return up to `limit` buffers to send next, in order, for a gathering send."""
        if self._small and len(self._blocks) - self._first < limit:
            self._seal()
        return self._blocks[self._first : self._first + limit]

    def advance(self, count: int) -> None:
        """Note that the kernel has taken `count` bytes. Raises LimitError if there are fewer."""
        if not 0 <= count <= self.size:
            raise LimitError(f"cannot advance by {count}: {self.size} bytes are queued")
        self.size -= count
        if not self.size:
            self.clear()
            return
        blocks, first = self._blocks, self._first
        while count:
            if first == len(blocks):
                # The caller counts bytes that it never saw through `peek`; join them now.
                self._seal()
            head = blocks[first]
            size = len(head)
            if count < size:
                blocks[first] = memoryview(head)[count:]
                break
            count -= size
            blocks[first] = b""
            first += 1
        self._first = first
        if first > _FEW and first * 2 > len(blocks):
            del blocks[:first]
            self._first = 0

    def clear(self) -> None:
        """Drop everything. The caller accounts for the loss."""
        self._blocks.clear()
        self._small.clear()
        self._first = self._small_size = self.size = 0

    def _seal(self) -> None:
        small = self._small
        self._blocks.append(small[0] if len(small) == 1 else b"".join(small))
        small.clear()
        self._small_size = 0


class ReceiveBuffer:
    """Bytes that have arrived and that nobody has taken yet.

    `find` remembers how far it has looked, so the cost of finding a separator is linear in the
    bytes fed, even if they come one by one. Taking from the front is O(bytes taken), amortised:
    CPython's `bytearray` moves its start and copies only when it has shrunk to half.
    """

    __slots__ = ("_data", "_looked", "_separator")

    def __init__(self) -> None:
        self._data = bytearray()
        self._separator = b""
        # No separator begins before this index.
        self._looked = 0

    def __len__(self) -> int:
        """Return the number of bytes that wait."""
        return len(self._data)

    def feed(self, data: bytes) -> None:
        """Add `data` at the end."""
        self._data += data

    def find(self, separator: bytes, limit: int) -> int:
        """Return the length of what reaches through the first `separator`, or -1.

        Only the first `limit` bytes are looked at. A -1 while ``len(buffer) >= limit`` therefore
        means that what is looked for is longer than allowed, and not just unfinished.
        """
        if separator != self._separator:
            self._separator = separator
            self._looked = 0
        index = self._data.find(separator, self._looked, limit)
        if index >= 0:
            return index + len(separator)
        # The last bytes may be the beginning of a separator that is not complete yet.
        end = min(len(self._data), limit)
        self._looked = max(self._looked, end - len(separator) + 1)
        return -1

    def take(self, count: int) -> bytes:
        """Remove and return the first `count` bytes, or all if there are fewer."""
        taken = bytes(self._data[:count])
        del self._data[:count]
        self._looked = max(0, self._looked - count)
        return taken


def _as_bytes(data: bytes | bytearray | memoryview) -> bytes:
    if isinstance(data, (bytes, bytearray, memoryview)):
        return bytes(data)
    raise TypeError(
        f"a stream carries bytes, not {type(data).__name__}"
        + ("; encode it first, for example text.encode()" if isinstance(data, str) else "")
    )
