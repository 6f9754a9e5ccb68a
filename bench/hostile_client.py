"""A small NATS client on our reactor, for load processes that play many of them."""

from __future__ import annotations

import socket

from reactor import CloseReason, Reactor, Stream, StreamHandler

HELLO = b'CONNECT {"verbose":false,"pedantic":false,"headers":true,"no_responders":true}\r\n'


class Client(StreamHandler):
    """A client that answers PINGs; `line` is called with every line that it hears."""

    def __init__(self) -> None:
        self._rest = b""

    def join(self, reactor: Reactor, port: int) -> Client:
        """Connect and say who we are."""
        sock = socket.create_connection(("127.0.0.1", port))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setblocking(False)
        self.stream = Stream(reactor, sock, self)
        self.say(HELLO + self.greeting())
        return self

    def greeting(self) -> bytes:
        """What follows CONNECT."""
        return b""

    def say(self, data: bytes) -> None:
        """Send whole lines; nothing once the connection is over."""
        if not self.stream.closed:
            self.stream.write(data)

    def on_data(self, stream: Stream, data: bytes) -> None:
        """Cut into lines. No payload of ours has a CRLF in it, so each is a line as well."""
        *lines, self._rest = (self._rest + data).split(b"\r\n")
        for line in lines:
            if line == b"PING":
                self.say(b"PONG\r\n")
            else:
                self.line(line)

    def on_close(self, stream: Stream, reason: CloseReason) -> None:
        """The connection is over."""
        self.left(reason)

    def line(self, line: bytes) -> None:
        """One line was heard."""

    def left(self, reason: CloseReason) -> None:
        """The connection is over, whoever ended it."""


def say(text: str) -> None:
    """Answer the parent process."""
    print(text, flush=True)
