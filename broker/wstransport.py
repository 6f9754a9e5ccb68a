"""A WebSocket that looks like a stream: NATS inside binary frames, both ways.

The idea: the protocol's bytes travel in frames that are cut anywhere (RFC 6455), so a frame means
nothing, and a transport only has to put headers before what leaves and take them off what comes.
Reading them is wsproto's `FrameProtocol`, strict about every rule; writing a header is five lines,
and done here, because what leaves is a list of chunks that should not be joined just to be copied
into a frame. Outwards a frame holds at most `FRAME` bytes and is a message of its own; messages of
`COMPRESS` bytes and more are compressed where that was agreed.

How it pauses: wsproto holds what a read brought (64 KiB at most), and frames are taken out of it
one by one, so a pause in the middle of a read holds for the rest of it. After `FRAMES` of them the
rest waits in the broker's run queue.

How it ends: with a close frame whose code says why, by `CODES`, and nats-server's name for the
reason as its text; the peer's close is answered with its own code. A violation of the framing is
1002, and ends the connection as a protocol violation does.

Neighbours: `broker.wsdoor` makes one after the upgrade; `broker.connection` writes to it as to a
stream; `broker.deflate` compresses. Loop thread only.
"""

from __future__ import annotations

import logging
import ssl
import struct
from collections.abc import Iterable, Iterator
from typing import Any

from wsproto.frame_protocol import CloseReason as Code
from wsproto.frame_protocol import Frame, FrameProtocol, Opcode, ParseFailed

from broker.deflate import Inflater, deflate
from broker.errors import Closed
from broker.runqueue import RunQueue
from broker.transport import Client
from reactor import CloseReason, Reactor, Stream, StreamHandler
from reactor.errors import ReactorError
from reactor.stream import StreamStats
from reactor.tls import TlsSession

__all__ = ["CODES", "WebsocketTransport"]

#: Bytes of payload that go out in one frame.
FRAME = 64 * 1024

#: Frames that are taken in at once; a read may hold ten thousand, of two bytes each.
FRAMES = 4

#: Bytes from which on compressing a message may be worth it.
COMPRESS = 64

_FINAL = 0x80
_COMPRESSED = 0x40

#: Close codes by reason, as nats-server has them; `_OTHERS` for the rest.
CODES = {
    Closed.CLIENT_CLOSED: Code.NORMAL_CLOSURE,
    Closed.WRITE_ERROR: Code.GOING_AWAY,
    Closed.READ_ERROR: Code.GOING_AWAY,
    Closed.STALE_CONNECTION: Code.GOING_AWAY,
    Closed.SERVER_SHUTDOWN: Code.GOING_AWAY,
    Closed.PARSE_ERROR: Code.PROTOCOL_ERROR,
    Closed.PROTOCOL_VIOLATION: Code.PROTOCOL_ERROR,
    Closed.BAD_CLIENT_PROTOCOL: Code.PROTOCOL_ERROR,
    Closed.AUTHENTICATION_TIMEOUT: Code.POLICY_VIOLATION,
    Closed.AUTHENTICATION_FAILURE: Code.POLICY_VIOLATION,
    Closed.AUTHENTICATION_EXPIRED: Code.POLICY_VIOLATION,
    Closed.SLOW_CONSUMER_PENDING: Code.POLICY_VIOLATION,
    Closed.SLOW_CONSUMER_DEADLINE: Code.POLICY_VIOLATION,
    Closed.MAX_CONNECTIONS: Code.POLICY_VIOLATION,
    Closed.MAX_ACCOUNT_CONNECTIONS: Code.POLICY_VIOLATION,
    Closed.MAX_CONTROL_LINE: Code.POLICY_VIOLATION,
    Closed.MAX_SUBSCRIPTIONS: Code.POLICY_VIOLATION,
    Closed.MAX_PAYLOAD: Code.MESSAGE_TOO_BIG,
}
_OTHERS = Code.INTERNAL_ERROR


class WebsocketTransport(StreamHandler):
    """One WebSocket, on ``stream``, for ``client``; ``inflater`` if compression was agreed on.

    A `Transport` to its client and the handler of its stream. ``early`` is what the client had sent
    behind its request. Begins with the client's ``on_open``, in the next turn.
    """

    __slots__ = (
        "_client",
        "_farewell",
        "_frames",
        "_incoming",
        "_inflater",
        "_paused",
        "_run_queue",
        "_said_close",
        "_stream",
    )

    def __init__(
        self,
        reactor: Reactor,
        stream: Stream,
        client: Client,
        *,
        run_queue: RunQueue,
        inflater: Inflater | None = None,
        early: bytes = b"",
    ) -> None:
        self._run_queue = run_queue
        self._stream = stream
        self._client = client
        self._inflater = inflater
        self._frames = FrameProtocol(client=False, extensions=[inflater] if inflater else [])
        self._incoming: Iterator[Frame] = iter(())
        self._paused = True  # until the client is greeted
        #: What to close with, if not with why the client is ending.
        self._farewell: tuple[int, str | None] | None = None
        self._said_close = False
        if early:
            self._take_in(early)
        stream.handler = self
        stream.pause_reading()
        reactor.call_soon(self._begin)

    def _begin(self) -> None:
        if not self._stream.closed:
            self._client.on_open(self._stream)
            self.resume_reading()

    # --- as the stream's handler ----------------------------------------------------------------

    def on_data(self, stream: Stream, data: bytes) -> None:
        """Bytes of frames have come."""
        self._take_in(data)
        self._deliver()

    def on_eof(self, stream: Stream) -> None:
        """The peer is gone without a close frame."""
        self._client.on_eof(stream)

    def on_close(self, stream: Stream, reason: CloseReason) -> None:
        """It is over."""
        self._client.on_close(stream, reason)
        del self._client  # so that neither keeps the other

    # --- as the client's transport --------------------------------------------------------------

    @property
    def pending(self) -> int:
        """Bytes that the kernel has not taken yet, headers included."""
        return self._stream.pending

    @property
    def closed(self) -> bool:
        """Whether the stream is closing or closed."""
        return self._stream.closed

    @property
    def tls(self) -> TlsSession | None:
        """The stream's TLS."""
        return self._stream.tls

    def stats(self) -> StreamStats:
        """The stream's counters."""
        return self._stream.stats()

    def start_tls(self, context: ssl.SSLContext, *, server_side: bool) -> None:
        """Always refused: TLS is below HTTP, and has begun before it or never will."""
        raise ReactorError("a WebSocket cannot start TLS: its listener has it, or has it not")

    def pause_reading(self) -> None:
        """Deliver nothing until `resume_reading`."""
        self._paused = True
        self._stream.pause_reading()

    def resume_reading(self) -> None:
        """Go on with what has come already, in a later turn, then with what comes."""
        if self._paused:
            self._paused = False
            self._run_queue.add(self._deliver)

    def writelines(self, chunks: Iterable[bytes]) -> None:
        """Send these bytes in as few frames as may be."""
        listed = list(chunks)
        size = sum(map(len, listed))
        if size <= FRAME and not (self._inflater and size >= COMPRESS):
            if size:
                self._stream.writelines([_header(Opcode.BINARY, size), *listed])
            return
        joined = b"".join(listed)
        for start in range(0, size, FRAME):
            self._send(joined[start : start + FRAME])

    def _send(self, data: bytes) -> None:
        if self._inflater and len(data) >= COMPRESS:
            small = deflate(data)
            self._stream.writelines([_header(Opcode.BINARY, len(small), _COMPRESSED), small])
        else:
            self._stream.writelines([_header(Opcode.BINARY, len(data)), data])

    def close(self) -> None:
        """Say why, and close after what is queued."""
        reason = self._client.ending or Closed.CLIENT_CLOSED
        self._say_close(*(self._farewell or (CODES.get(reason, _OTHERS), reason.value)))
        self._stream.close()

    def abort(self, reason: CloseReason | None = None) -> None:
        """Close now, without a word."""
        self._stream.abort(reason)

    # --- frames ---------------------------------------------------------------------------------

    def _take_in(self, data: bytes) -> None:
        self._frames.receive_bytes(data)
        self._incoming = self._frames.received_frames()

    def _deliver(self) -> None:
        """Deal with the frames that have come, until the client says stop or the turn is over."""
        left = FRAMES
        try:
            while not (self._paused or self._stream.closed):
                left -= 1
                if left < 0:
                    self._stream.pause_reading()
                    self._run_queue.add(self._deliver)
                    return
                if self._inflater is not None and self._inflater.pending:
                    self._hear(self._inflater.more())
                    continue
                frame = next(self._incoming, None)
                if frame is None:
                    self._stream.resume_reading()
                    return
                self._receive(frame)
        except ParseFailed as error:
            self._violated(error)

    def _receive(self, frame: Frame) -> None:
        payload: Any = frame.payload
        if frame.opcode is Opcode.PING:
            # Who takes no answers gets none: a later one will do (RFC 6455, section 5.5.3).
            if self._stream.pending <= FRAME:
                self._stream.writelines([_header(Opcode.PONG, len(payload)), bytes(payload)])
        elif frame.opcode is Opcode.CLOSE:
            self._farewell = payload
            self._client.on_eof(self._stream)
        elif frame.opcode is not Opcode.PONG:
            # Which of the two it is means nothing to NATS, whose bytes they are.
            self._hear(payload.encode() if isinstance(payload, str) else payload)

    def _hear(self, data: bytes) -> None:
        if data:
            self._client.on_data(self._stream, data)

    def _violated(self, error: ParseFailed) -> None:
        self._client.log(logging.ERROR, f"WebSocket error: {error}")
        self._farewell = error.code, str(error)
        self._client.on_eof(self._stream)

    def _say_close(self, code: int, text: str | None) -> None:
        if self._said_close:
            return
        self._said_close = True
        payload = b""
        if code != Code.NO_STATUS_RCVD:
            payload = struct.pack("!H", code) + (text or "").encode()[:123]
        self._stream.writelines([_header(Opcode.CLOSE, len(payload)), payload])


def _header(opcode: Opcode, size: int, flags: int = 0) -> bytes:
    """The header of a final, unmasked frame (RFC 6455, section 5.2)."""
    first = _FINAL | flags | opcode
    if size < 126:
        return bytes((first, size))
    if size < 1 << 16:
        return struct.pack("!BBH", first, 126, size)
    return struct.pack("!BBQ", first, 127, size)
