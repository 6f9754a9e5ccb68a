"""A blocking NATS client of raw bytes, for tests that must not trust our own codec.

It connects, sends what it is told to send, and cuts what comes back into *frames*: one server
operation each, a message with its payload. It knows nothing else of the protocol and shares no code
with the broker, so that a mistake in the broker's codec cannot hide behind the same mistake here.

Nothing here sleeps. "Everything has arrived" is an event: a PONG that answers our own PING, or the
end of the stream. Every wait has a deadline, after which `DeadlineError` shows what had come until
then.

Used by tests/wire, tests/clients and tests/broker.
"""

from __future__ import annotations

import contextlib
import json
import socket
import struct
import time
from types import TracebackType
from typing import Any

DEADLINE = 10.0
"""Seconds a test waits for an answer: far above any answer's time, far below a test runner's
limit.
"""

_RECEIVE_SIZE = 65536


class DeadlineError(AssertionError):
    """The server did not answer in time; the message shows what it had sent."""


class RawClient:
    """One connection. Not thread-safe; use it in a `with` block so that its socket is closed.

    The server speaks first in this protocol: entering reads its INFO line into `greeting`.
    """

    def __init__(self, port: int, *, host: str = "127.0.0.1", deadline: float = DEADLINE) -> None:
        self._deadline = deadline
        self._buffer = bytearray()
        self._socket = socket.create_connection((host, port), timeout=deadline)
        # Without this the kernel may join two writes, and a test of splits would test nothing.
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.ended = False
        """Whether the server has closed or reset the connection."""
        try:
            self.greeting = self.read_frame() or b""
        except BaseException:
            self._socket.close()
            raise

    def __enter__(self) -> RawClient:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def info(self) -> dict[str, Any]:
        """The greeting's JSON."""
        fields: dict[str, Any] = json.loads(self.greeting[len(b"INFO ") :])
        return fields

    def send(self, data: bytes) -> None:
        """Send all of `data`. A connection that the server has already closed swallows it."""
        # A server may refuse the first half of what we send and close: what it said then is still
        # ours to read.
        with contextlib.suppress(ConnectionError):
            self._socket.sendall(data)

    def send_eof(self) -> None:
        """Say that we shall send no more; the server then closes, after all that it had to say."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)

    def read_frame(self) -> bytes | None:
        """The next frame, or None at the end of the stream.

        What an ending stream leaves without its line end is returned as it is, as the last frame.

        Raises:
            DeadlineError: no whole frame came in time.
        """
        end = time.monotonic() + self._deadline
        while (length := _frame_length(self._buffer)) is None:
            if not self._receive(end):
                length = len(self._buffer)
                break
        frame = bytes(self._buffer[:length])
        del self._buffer[:length]
        return frame or None

    def read_frames(self, count: int) -> list[bytes]:
        """The next `count` frames; fewer only where the stream ends first."""
        frames: list[bytes] = []
        while len(frames) < count and (frame := self.read_frame()) is not None:
            frames.append(frame)
        return frames

    def read_to_pong(self, pongs: int = 1) -> list[bytes]:
        """Frames up to and including the last of `pongs` PONGs, or up to the stream's end."""
        frames: list[bytes] = []
        while pongs > 0 and (frame := self.read_frame()) is not None:
            frames.append(frame)
            pongs -= frame == b"PONG\r\n"
        return frames

    def read_to_end(self) -> list[bytes]:
        """All frames until the server closes."""
        frames: list[bytes] = []
        while (frame := self.read_frame()) is not None:
            frames.append(frame)
        return frames

    def ask(self, data: bytes) -> list[bytes]:
        """Send `data` and a PING; the frames that came before its PONG.

        `data` must hold no PING of its own.
        """
        self.send(data + b"PING\r\n")
        frames = self.read_to_pong()
        return frames[:-1] if frames[-1:] == [b"PONG\r\n"] else frames

    def reset(self) -> None:
        """End the connection by a reset, as a crash of the machine's network stack would."""
        linger_for_no_time = struct.pack("ii", 1, 0)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger_for_no_time)
        self._socket.close()

    def close(self) -> None:
        """Close the socket; harmless when repeated."""
        self._socket.close()

    def _receive(self, end: float) -> bool:
        """Wait for bytes until `end`; False at the end of the stream."""
        if self.ended:
            return False
        left = end - time.monotonic()
        try:
            if left <= 0:
                raise TimeoutError
            self._socket.settimeout(left)
            data = self._socket.recv(_RECEIVE_SIZE)
        except ConnectionResetError:
            # A server that closes with input unread resets the connection: the same end, only
            # ruder.
            data = b""
        except TimeoutError:
            raise DeadlineError(
                f"no whole frame within {self._deadline} s; unfinished: {bytes(self._buffer)!r}"
            ) from None
        self._buffer += data
        self.ended = not data
        return bool(data)


def _frame_length(buffer: bytearray) -> int | None:
    """The length of the first whole frame in `buffer`, or None while it is not whole."""
    line_end = buffer.find(b"\n")
    if line_end < 0:
        return None
    length = line_end + 1
    words = bytes(buffer[:line_end]).split()
    if words and words[0] in (b"MSG", b"HMSG"):
        length += int(words[-1]) + len(b"\r\n")
    return length if length <= len(buffer) else None
