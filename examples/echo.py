"""An echo server: whatever a peer sends, it gets back.

    python -m examples.echo [PORT]
    nc 127.0.0.1 PORT

A slow reader cannot fill our memory: while more than the high-water mark waits to be written to
a peer, nothing is read from it.
"""

from __future__ import annotations

import sys
from contextlib import suppress

from reactor import CloseReason, Reactor, Stream, StreamHandler, listen


class Echo(StreamHandler):
    """One peer. `on_eof` is inherited: it closes, after all that is queued was written."""

    def on_data(self, stream: Stream, data: bytes) -> None:
        """Send it back."""
        stream.write(data)

    def on_pause(self, stream: Stream) -> None:
        """It does not read what we write: read no more from it."""
        stream.pause_reading()

    def on_resume(self, stream: Stream) -> None:
        """It has caught up."""
        stream.resume_reading()

    def on_close(self, stream: Stream, reason: CloseReason) -> None:
        """Say how it went."""
        print(f"{stream.peer}: {reason}", flush=True)


def main(port: int = 0) -> None:
    """Serve until Ctrl-C."""
    with Reactor() as reactor, suppress(KeyboardInterrupt):
        listener = listen(reactor, ("127.0.0.1", port), Echo)
        print(f"listening on 127.0.0.1 port {listener.port}", flush=True)
        reactor.run()


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
