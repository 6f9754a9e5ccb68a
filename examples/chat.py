"""A chat room: each line that somebody writes is told to everybody else.

    python -m examples.chat [PORT]
    nc 127.0.0.1 PORT                 (twice, and write something)

One peer that does not read is not everybody's problem: it is thrown out when it has fallen
behind by more than the limit.
"""

from __future__ import annotations

import sys
from contextlib import suppress

from reactor import CloseKind, CloseReason, Reactor, Stream, StreamHandler, listen

#: Bytes that a peer may be behind.
LIMIT = 256 * 1024


class Room:
    """Who is here."""

    def __init__(self) -> None:
        self.members: set[Stream] = set()

    def tell(self, text: str, but: Stream) -> None:
        """Tell everybody, but one."""
        line = text.encode() + b"\n"
        for member in self.members - {but}:
            member.write(line)
            if member.pending > LIMIT:
                member.abort(CloseReason(CloseKind.OVERFLOW, detail="too far behind"))


class Member(StreamHandler):
    """One peer in the room."""

    def __init__(self, room: Room) -> None:
        self.room = room

    def on_open(self, stream: Stream) -> None:
        """Let it in."""
        self.room.members.add(stream)
        self.room.tell(f"{stream.peer} is here", but=stream)
        stream.write(b"welcome\n")
        self.read_line(stream)

    def read_line(self, stream: Stream) -> None:
        """Wait for a line, then for the next one."""

        def on_line(line: bytes) -> None:
            text = line.decode(errors="replace").rstrip()
            self.room.tell(f"{stream.peer}: {text}", but=stream)
            self.read_line(stream)

        stream.read_until(b"\n", on_line, limit=4096)

    def on_close(self, stream: Stream, reason: CloseReason) -> None:
        """It has left; why, is for those who stay."""
        self.room.members.discard(stream)
        self.room.tell(f"{stream.peer} has left: {reason}", but=stream)


def main(port: int = 0) -> None:
    """Serve until Ctrl-C."""
    room = Room()
    with Reactor() as reactor, suppress(KeyboardInterrupt):
        listener = listen(reactor, ("127.0.0.1", port), lambda: Member(room))
        print(f"listening on 127.0.0.1 port {listener.port}", flush=True)
        reactor.run()


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
