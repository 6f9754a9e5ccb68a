"""permessage-deflate with a bound: compressed WebSocket messages that cannot become bombs.

The idea: wsproto's extension inflates whatever comes, and a megabyte of input can become a gigabyte
of zeros. This one stops at a limit and has the connection closed with 1009, and does not get there
in one go: even a megabyte takes milliseconds, in which others would wait. It also fixes what we
agree to: neither side keeps its window between messages, so that an idle connection needs no memory
for it (32 KiB of window, 256 KiB of hash table), as nats-server agrees to it (RFC 7692, section
7.1.1).

Outwards, `deflate` compresses one message; zlib's fastest level, since most of what we send is
small and the loop waits for it.

Neighbours: `broker.wstransport`. One `Inflater` for each connection; `deflate` is pure.
"""

from __future__ import annotations

import zlib

from wsproto.extensions import PerMessageDeflate
from wsproto.frame_protocol import (
    CloseReason,
    FrameDecoder,
    FrameProtocol,
    Opcode,
    ParseFailed,
    RsvBits,
)

__all__ = ["ACCEPTED", "Inflater", "deflate"]

#: What we answer to an offer of compression.
ACCEPTED = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"

#: What every compressed message ends with, and what is not sent for that reason.
_TAIL = b"\x00\x00\xff\xff"

#: Bytes that are inflated at once.
STEP = 32 * 1024

_RAW = -zlib.MAX_WBITS


def deflate(data: bytes) -> bytes:
    """One message, compressed by itself."""
    compressor = zlib.compressobj(1, zlib.DEFLATED, _RAW)
    return (compressor.compress(data) + compressor.flush(zlib.Z_SYNC_FLUSH)).removesuffix(_TAIL)


class Inflater(PerMessageDeflate):
    """The receiving half. A message that inflates to more than ``limit`` bytes ends the connection.

    Its members are called by wsproto's decoder, in the order: header, payload in parts, complete.
    Of a binary message each part is inflated for `STEP` bytes only. While it is ``pending``, `more`
    gives what follows, before anything else is asked of the decoder. Of text all is inflated at
    once, for wsproto looks at whether it is UTF-8.
    """

    def __init__(self, limit: int) -> None:
        super().__init__(client_no_context_takeover=True, server_no_context_takeover=True)
        self._enabled = True
        self._limit = limit
        self._left = limit
        self._step = STEP
        self._full = False  # the last step was a whole one, so there may be more of it
        self._complete = False  # all of the message is here, but for its tail
        self._last = False  # and its tail

    @property
    def pending(self) -> bool:
        """Whether `more` has something."""
        return self._full or self._complete

    def more(self) -> bytes:
        """Inflate on. Raises `ParseFailed` as the decoder does."""
        result = self._go_on()
        if isinstance(result, CloseReason):
            raise ParseFailed("error in extension", result)
        return result

    def frame_inbound_header(
        self,
        proto: FrameDecoder | FrameProtocol,
        opcode: Opcode,
        rsv: RsvBits,
        payload_length: int,
    ) -> CloseReason | RsvBits:
        """Begin a frame."""
        if opcode is Opcode.BINARY:
            self._step = STEP
        elif opcode is Opcode.TEXT:
            self._step = self._limit + 1
        return super().frame_inbound_header(proto, opcode, rsv, payload_length)

    def frame_inbound_payload_data(
        self, proto: FrameDecoder | FrameProtocol, data: bytes
    ) -> bytes | CloseReason:
        """Inflate a part of a message."""
        if not self._inbound_compressed or not self._inbound_is_compressible:
            return data
        return self._inflate(data)

    def frame_inbound_complete(
        self, proto: FrameDecoder | FrameProtocol, fin: bool
    ) -> bytes | CloseReason | None:
        """Inflate what is left of the message, if this was its last frame and little is left."""
        if not fin or not self._inbound_is_compressible:
            return None
        self._complete = bool(self._inbound_compressed)
        self._inbound_compressed = None
        return None if self._full or not self._complete else self._go_on()

    def _go_on(self) -> bytes | CloseReason:
        assert self._decompressor is not None, "nothing is pending without"
        data = self._decompressor.unconsumed_tail
        if self._complete:
            self._complete, self._last = False, True
            data += _TAIL
        inflated = self._inflate(data)
        if self._last and not self._full:
            self._last = False
            self._decompressor = None
            self._left = self._limit
        return inflated

    def _inflate(self, data: bytes) -> bytes | CloseReason:
        decompressor = self._decompressor
        assert decompressor is not None, "the header comes first, and makes it"
        # One byte more than is allowed tells that there was more.
        most = min(self._step, self._left + 1)
        try:
            inflated = decompressor.decompress(data, most)
        except zlib.error:
            return CloseReason.INVALID_FRAME_PAYLOAD_DATA
        self._full = len(inflated) == most
        self._left -= len(inflated)
        return inflated if self._left >= 0 else CloseReason.MESSAGE_TOO_BIG
