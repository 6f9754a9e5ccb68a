"""gevent: a greenlet for each peer, which looks as if it blocked."""

from __future__ import annotations

import socket
from contextlib import suppress
from importlib import import_module

from bench.servers import BACKLOG, HOST, tell

READ_SIZE = 64 * 1024


def serve(name: str, port: int) -> None:
    """Serve until killed."""
    server = import_module("gevent.server").StreamServer((HOST, port), echo, backlog=BACKLOG)
    server.start()
    tell(server.server_port)
    server.serve_forever()


def echo(sock: socket.socket, _address: object) -> None:
    """Serve one peer."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with suppress(OSError):
        while data := sock.recv(READ_SIZE):
            sock.sendall(data)
