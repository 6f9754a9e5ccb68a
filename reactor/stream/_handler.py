"""What a stream calls, and what it is made of: the handler, the socket's face, the records.

`StreamHandler` is the class that a program writes; the other files of this package call it.

Floor 3: imports floor 1 only. Anyone uses these names, from `reactor.stream`.
"""

from __future__ import annotations

import errno
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from reactor.errors import CloseKind, CloseReason

if TYPE_CHECKING:
    from reactor.stream import Stream


class StreamHandler:
    """Subclass it, and override what you need. Every method does nothing by default but `on_eof`.

    All are called in the loop's thread, never from within a call that you make: `write` does not
    call `on_pause`, nor `close` `on_close`. After `Stream.close` or `abort` only `on_close`
    follows.

    A handler that raises loses its connection, for nobody can know which of the data it has dealt
    with: the exception goes to the reactor's `on_error`, and the stream ends with it as its reason.
    """

    __slots__ = ()

    def on_open(self, stream: Stream) -> None:
        """The stream is connected, and the TLS handshake, if it was made with TLS, is done."""

    def on_data(self, stream: Stream, data: bytes) -> None:
        """These bytes have arrived: at least one, at most 256 KiB (`READ_MOST`)."""

    def on_eof(self, stream: Stream) -> None:
        """The peer will send no more; all it sent was delivered. Closes the stream by default.

        Override it to keep the other direction: the stream can be written to until `close`, or
        until `write_eof`, which ends it then.
        """
        stream.close()

    def on_pause(self, stream: Stream) -> None:
        """More than `high_water` bytes of output are waiting: please stop producing."""

    def on_resume(self, stream: Stream) -> None:
        """The output has fallen to `low_water` or less: please go on."""

    def on_secure(self, stream: Stream) -> None:
        """The handshake asked for by `start_tls` is done."""

    def on_close(self, stream: Stream, reason: CloseReason) -> None:
        """It is over. Exactly once for each stream, whatever happened, and the last call of all."""


class SocketLike(Protocol):
    """What a stream needs of a socket: a non-blocking `socket.socket`, or one in memory."""

    def fileno(self) -> int:
        """Return the descriptor, or what stands for it with this reactor's demultiplexer."""
        ...

    def recv(self, size: int, /) -> bytes:
        """Return what is there, b"" at the end; BlockingIOError if there is nothing yet."""
        ...

    def send(self, data: bytes | memoryview, /) -> int:
        """Take what fits and return how much; BlockingIOError if nothing fits."""
        ...

    def shutdown(self, how: int, /) -> None:
        """End one direction."""
        ...

    def close(self) -> None:
        """Release the descriptor."""
        ...

    def getpeername(self) -> Any:
        """Return the other side's address."""
        ...


@dataclass(frozen=True)
class StreamStats:
    """Counters of one stream since it was made, and its state now. Bytes are those on the wire."""

    bytes_in: int
    bytes_out: int
    #: Bytes written and not yet taken by the kernel.
    pending: int
    #: Bytes that were accepted by `write` and dropped because the connection ended.
    dropped: int
    #: Calls of `write` after the write side had ended.
    refused_writes: int
    #: Whether input is being read; not while paused, throttled or after its end.
    reading: bool
    #: Whether the output is above its high mark.
    above_high_water: bool
    #: The TLS version, such as ``"TLSv1.3"``; empty without TLS.
    tls: str


_RESET_ERRORS = frozenset(
    {errno.ECONNRESET, errno.EPIPE, errno.ECONNABORTED, errno.ESHUTDOWN, errno.ENOTCONN}
)


def reason_for(error: OSError) -> CloseReason:
    """Return the reason for which a connection ends when its socket fails with `error`."""
    # Its traceback tells of our own frames only, and would keep the stream alive with the reason.
    error = error.with_traceback(None)
    if error.errno in _RESET_ERRORS:
        return CloseReason(CloseKind.RESET, error)
    if error.errno == errno.ETIMEDOUT:
        return CloseReason(CloseKind.TIMEOUT, error)
    return CloseReason(CloseKind.ERROR, error)


def address_text(address: Any) -> str:
    """Return a socket's address for people: ``127.0.0.1:80``, ``[::1]:80``, a path, ``unix``."""
    if isinstance(address, tuple):
        host, port = address[:2]
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    if isinstance(address, bytes):
        return address.decode(errors="backslashreplace").replace("\0", "@")
    return str(address) or "unix"
