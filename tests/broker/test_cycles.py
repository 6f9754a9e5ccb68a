"""Whoever leaves is freed at once: what a connection was made of is never left to the collector."""

from __future__ import annotations

import gc
import socket
import ssl
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from broker.blocks import WebsocketBlock
from broker.config import Options
from broker.server import Server
from reactor import Reactor
from tests.support import raw_websocket as raw
from tests.support import tls_files

HELLO = b"CONNECT {}\r\nSUB a 1\r\nPUB a 2\r\nhi\r\nPING\r\n"


@contextmanager
def serving(backend: str | None = None, **settings: Any) -> Iterator[tuple[Reactor, Server]]:
    with Reactor(backend=backend) as reactor:
        server = Server(reactor, Options(host="127.0.0.1", **settings))
        server.start()
        yield reactor, server


def left_behind(reactor: Reactor, visit: Callable[[], object]) -> Counter[str]:
    """What only the collector frees after a visit, by type; the first visit does not count."""

    def come_and_go() -> None:
        visit()
        for _ in range(20):
            reactor.run_once(0.001)

    come_and_go()
    gc.collect()
    gc.disable()
    before = gc.get_debug()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        come_and_go()
        gc.collect()
        return Counter(f"{type(one).__module__}.{type(one).__name__}" for one in gc.garbage)
    finally:
        gc.set_debug(before)
        gc.garbage.clear()
        gc.enable()


def talk(reactor: Reactor, sock: socket.socket, *lines: bytes) -> bytes:
    """Say something and hear all that comes of it."""
    heard = b""
    sock.setblocking(False)
    for line in lines:
        sock.send(line)
        for _ in range(20):
            reactor.run_once(0.001)
            try:
                heard += sock.recv(1 << 16)
            except (BlockingIOError, ssl.SSLWantReadError):
                pass
    return heard


def reset(sock: socket.socket) -> None:
    """Close it so that the other side's read fails."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    sock.close()


@pytest.mark.parametrize("end", [socket.socket.close, reset])
@pytest.mark.parametrize("backend", ["epoll", None])
def test_a_client_leaves_nothing(backend: str | None, end: Callable[[socket.socket], None]) -> None:
    with serving(backend) as (reactor, server):

        def visit() -> None:
            sock = socket.create_connection(("127.0.0.1", server.port))
            assert b"PONG" in talk(reactor, sock, HELLO)
            end(sock)

        assert {} == left_behind(reactor, visit)


def test_who_is_turned_away_leaves_nothing() -> None:
    with serving() as (reactor, server):

        def visit() -> None:
            with socket.create_connection(("127.0.0.1", server.port)) as sock:
                assert b"-ERR" in talk(reactor, sock, b"NONSENSE\r\n")

        assert {} == left_behind(reactor, visit)


def test_a_websocket_leaves_nothing() -> None:
    block = WebsocketBlock(port=-1, no_tls=True, compression=True)
    with serving(websocket=block) as (reactor, server):
        port = server.websocket_port
        assert port is not None
        request = raw.request(Sec_WebSocket_Extensions="permessage-deflate")

        def visit() -> None:
            with socket.create_connection(("127.0.0.1", port)) as sock:
                hello = raw.frame(raw.deflated(HELLO), compressed=True)
                assert b"PONG" in talk(reactor, sock, request, hello)

        assert {} == left_behind(reactor, visit)


def test_a_visitor_of_the_monitor_leaves_nothing() -> None:
    # Of a page in JSON, the standard library's encoder leaves some functions of its own.
    with serving(http_port=-1) as (reactor, server):
        port = server.http_port
        assert port is not None

        def visit() -> None:
            with socket.create_connection(("127.0.0.1", port)) as sock:
                assert b" 200 " in talk(reactor, sock, b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n")

        assert {} == left_behind(reactor, visit)


def test_a_client_in_tls_leaves_nothing(tmp_path: Path) -> None:
    context = tls_files.client_context()
    with serving(tls=tls_files.block(tmp_path)) as (reactor, server):

        def talk_in_tls() -> None:
            with socket.create_connection(("127.0.0.1", server.port)) as plain:
                assert plain.recv(4096).startswith(b"INFO")
                with context.wrap_socket(plain, server_hostname="localhost") as sock:
                    sock.sendall(HELLO)
                    while b"PONG" not in sock.recv(4096):
                        pass

        def visit() -> None:
            with ThreadPoolExecutor(1) as pool:
                done = pool.submit(talk_in_tls)
                assert reactor.run_until(done.done, timeout=20)
                done.result()

        assert {} == left_behind(reactor, visit)


# --- and who goes wrong


def test_who_does_not_know_the_password_leaves_nothing() -> None:
    with serving(user="ann", password="secret") as (reactor, server):

        def visit() -> None:
            with socket.create_connection(("127.0.0.1", server.port)) as sock:
                assert b"-ERR" in talk(reactor, sock, b'CONNECT {"user":"ann","pass":"x"}\r\n')

        assert {} == left_behind(reactor, visit)


def test_what_is_no_tls_leaves_nothing(tmp_path: Path) -> None:
    with serving(tls=tls_files.block(tmp_path)) as (reactor, server):

        def visit() -> None:
            with socket.create_connection(("127.0.0.1", server.port)) as sock:
                assert b"INFO" in talk(reactor, sock, b"\x16\x03\x01\x00\x05hello")

        assert {} == left_behind(reactor, visit)


def test_what_is_no_upgrade_leaves_nothing() -> None:
    with serving(websocket=WebsocketBlock(port=-1, no_tls=True)) as (reactor, server):
        port = server.websocket_port
        assert port is not None

        def visit() -> None:
            with socket.create_connection(("127.0.0.1", port)) as sock:
                assert b" 400 " in talk(reactor, sock, b"NONSENSE\r\n\r\n")
            with socket.create_connection(("127.0.0.1", port)) as sock:
                assert talk(reactor, sock, raw.request(), b"\x82\x02no")  # it has no mask

        assert {} == left_behind(reactor, visit)


def test_what_is_no_request_leaves_nothing() -> None:
    with serving(http_port=-1) as (reactor, server):
        port = server.http_port
        assert port is not None

        def visit() -> None:
            with socket.create_connection(("127.0.0.1", port)) as sock:
                assert b" 400 " in talk(reactor, sock, b"NONSENSE\r\n\r\n")

        assert {} == left_behind(reactor, visit)


def test_a_line_without_end_leaves_nothing() -> None:
    with serving() as (reactor, server):

        def visit() -> None:
            sock = socket.create_connection(("127.0.0.1", server.port))
            assert b"-ERR" in talk(reactor, sock, b"PUB " + b"x" * 10_000)
            reset(sock)

        assert {} == left_behind(reactor, visit)
