"""The example: an echo server for asyncio on our loop."""

from __future__ import annotations

import socket

from tests.examples.program import LIMIT, Program


def test_the_asyncio_echo_server_sends_back_what_it_gets() -> None:
    with (
        Program("aio_echo") as echo,
        socket.create_connection(("127.0.0.1", echo.port()), timeout=LIMIT) as peer,
    ):
        peer.sendall(b"hello")
        assert b"hello" == peer.recv(100)
        peer.shutdown(socket.SHUT_WR)
        assert b"" == peer.recv(1)

        assert "" == echo.interrupt()
