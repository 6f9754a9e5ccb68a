"""permessage-deflate with a bound: compressed WebSocket messages that cannot become bombs.

The idea: wsproto's extension inflates whatever comes, and a megabyte of input can become a gigabyte
of zeros. This one stops at a limit and has the connection closed with 1009. It also fixes what we
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
from wsproto.frame_protocol import CloseReason, FrameDecoder, FrameProtocol

__all__ = ["ACCEPTED", "Inflater", "deflate"]

#: What we answer to an offer of compression.
ACCEPTED = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"

#: What every compressed message ends with, and what is not sent for that reason.
_TAIL = b"\x00\x00\xff\xff"

_RAW = -zlib.MAX_WBITS


def deflate(data: bytes) -> bytes:
    """One message, compressed by itself."""
    compressor = zlib.compressobj(1, zlib.DEFLATED, _RAW)
    return (compressor.compress(data) + compressor.flush(zlib.Z_SYNC_FLUSH)).removesuffix(_TAIL)


class Inflater(PerMessageDeflate):
    """The receiving half. A message that inflates to more than ``limit`` bytes ends the connection.

    Its members are called by wsproto's decoder, in the order: header, payload in parts, complete.
    """

    def __init__(self, limit: int) -> None:
        super().__init__(client_no_context_takeover=True, server_no_context_takeover=True)
        self._enabled = True
        self._limit = limit
        self._left = limit

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
        """Inflate what is left of the message, if this was its last frame."""
        if not fin or not self._inbound_is_compressible:
            return None
        if not self._inbound_compressed:
            self._inbound_compressed = None
            return None
        rest = self._inflate(_TAIL)
        self._decompressor = None
        self._inbound_compressed = None
        self._left = self._limit
        return rest

    def _inflate(self, data: bytes) -> bytes | CloseReason:
        decompressor = self._decompressor
        assert decompressor is not None, "the header comes first, and makes it"
        try:
            # One byte more than is allowed tells that there was more.
            inflated = decompressor.decompress(data, self._left + 1)
        except zlib.error:
            return CloseReason.INVALID_FRAME_PAYLOAD_DATA
        self._left -= len(inflated)
        return inflated if self._left >= 0 else CloseReason.MESSAGE_TOO_BIG
