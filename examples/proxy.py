"""A TCP proxy: every peer is connected on to one and the same server.

    python -m examples.proxy HOST PORT [LISTEN_PORT]

Two streams stand back to back. What comes out of one goes into the other; when one cannot get rid
of what it has (`on_pause`), the other stops reading; when one's peer has finished, so has what is
said to the other's. Nothing is copied further than that, and memory is bounded by the water marks.
"""

from __future__ import annotations

import sys
from contextlib import suppress

from reactor import CloseReason, Reactor, Stream, StreamHandler, connect, listen


class Side(StreamHandler):
    """One of the two; `other` is the stream at its back, once there is one."""

    def __init__(self) -> None:
        self.other: Stream | None = None

    def on_data(self, stream: Stream, data: bytes) -> None:
        """Pass it on."""
        if self.other is not None:
            self.other.write(data)

    def on_eof(self, stream: Stream) -> None:
        """Pass it on, too: the other direction may go on for long."""
        if self.other is not None:
            self.other.write_eof()

    def on_pause(self, stream: Stream) -> None:
        """This side is full, so let nothing come from the other."""
        if self.other is not None:
            self.other.pause_reading()

    def on_resume(self, stream: Stream) -> None:
        """There is room again."""
        if self.other is not None:
            self.other.resume_reading()

    def on_close(self, stream: Stream, reason: CloseReason) -> None:
        """One side is gone: so is the other, after what it still has to write."""
        if self.other is not None:
            self.other.close()


class Front(Side):
    """The side of the peer that came to us."""

    def __init__(self, reactor: Reactor, server: tuple[str, int]) -> None:
        super().__init__()
        self.reactor = reactor
        self.server = server

    def on_open(self, stream: Stream) -> None:
        """Read nothing until there is somebody to pass it on to."""
        stream.pause_reading()
        connect(self.reactor, self.server, Back(stream, self), on_error=lambda _: stream.abort())


class Back(Side):
    """The side of the server."""

    def __init__(self, front: Stream, front_side: Front) -> None:
        super().__init__()
        self.other = front
        self.front_side = front_side

    def on_open(self, stream: Stream) -> None:
        """Both are there: let it flow, unless the peer has left meanwhile."""
        self.front_side.other = stream
        if self.other is None or self.other.closed:
            stream.close()
        else:
            self.other.resume_reading()


def main(host: str, port: int, listen_port: int = 0) -> None:
    """Serve until Ctrl-C."""
    with Reactor() as reactor, suppress(KeyboardInterrupt):
        address = ("127.0.0.1", listen_port)
        listener = listen(reactor, address, lambda: Front(reactor, (host, port)))
        print(f"listening on 127.0.0.1 port {listener.port}", flush=True)
        reactor.run()


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
