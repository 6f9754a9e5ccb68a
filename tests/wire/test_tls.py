"""TLS and WebSocket at their beginnings, byte by byte: ours does what the real nats-server does.

Both are started with the same certificate and asked the same; what differs by nature (names,
ports, dates) is taken out before comparing.
"""

from __future__ import annotations

import contextlib
import json
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from broker import Broker
from broker.blocks import WebsocketBlock
from tests.support import raw_websocket as raw
from tests.support import tls_files
from tests.support.servers import ServerProcess, real_server_path

_DEADLINE = 10.0
_INFO_FIELDS = ("auth_required", "tls_required", "tls_verify", "tls_available", "max_payload")


def _talk(port: int, *said: bytes) -> bytes:
    """All that a server says, at first and then to a client that says these things."""
    with socket.create_connection(("127.0.0.1", port), _DEADLINE) as client:
        heard = client.recv(65536)
        with contextlib.suppress(ConnectionResetError, BrokenPipeError):
            for text in said:
                client.sendall(text)
            while piece := client.recv(65536):
                heard += piece
        return heard


def _info(port: int) -> dict[str, Any]:
    with socket.create_connection(("127.0.0.1", port), _DEADLINE) as client:
        line = client.makefile("rb").readline()
    found = json.loads(line.removeprefix(b"INFO "))
    return {name: found[name] for name in _INFO_FIELDS if name in found}


@contextlib.contextmanager
def _real(configuration: str, folder: Path) -> Iterator[tuple[int, int]]:
    """The real server with this configuration: its port and its port for WebSockets."""
    file = folder / "server.conf"
    file.write_text(configuration)
    with ServerProcess([str(real_server_path()), "-c", str(file)]) as server:
        found = re.search(r"websocket clients on wss?://[^ ]*:(\d+)", "\n".join(server.log))
        yield server.port, int(found[1]) if found else 0


def _tls(folder: Path, extra: str = "") -> tuple[str, Any]:
    """The same TLS as configuration of the real server and as a block of ours."""
    block = tls_files.block(folder, verify="verify" in extra, timeout=0.5)
    names = f'cert_file: "{block.cert_file}", key_file: "{block.key_file}"'
    authority = f', ca_file: "{block.ca_file}"' if block.ca_file else ""
    return f"tls {{ {names}{authority}, timeout: 0.5 {extra} }}", block


@pytest.mark.parametrize("extra", ["", ", verify: true"])
def test_info_says_the_same_of_tls(extra: str, tmp_path: Path) -> None:
    configuration, block = _tls(tmp_path, extra)
    with _real(configuration, tmp_path) as (port, _):
        expected = _info(port)
    with Broker(port=0, tls=block) as broker:
        assert expected == _info(broker.port)


def test_info_says_the_same_where_tls_is_optional(tmp_path: Path) -> None:
    configuration, block = _tls(tmp_path)
    with _real(f"{configuration}\nallow_non_tls: true", tmp_path) as (port, _):
        expected = _info(port)
    with Broker(port=0, tls=block, allow_non_tls=True) as broker:
        assert expected == _info(broker.port)


@pytest.mark.parametrize(
    "said", [(), (b'CONNECT {"verbose":false}\r\nPING\r\n',)], ids=["silence", "plain"]
)
def test_who_does_not_shake_hands_hears_nothing_after_info(
    said: tuple[bytes, ...], tmp_path: Path
) -> None:
    configuration, block = _tls(tmp_path)
    with _real(configuration, tmp_path) as (port, _):
        expected = _lines(_talk(port, *said))
    with Broker(port=0, tls=block) as broker:
        assert expected == _lines(_talk(broker.port, *said))


def _lines(heard: bytes) -> list[bytes]:
    """The first word of each NATS line; TLS's own alert is left out."""
    return [line.split()[0] for line in heard.split(b"\r\n") if line[:1].isalpha()]


_REQUESTS = {
    "right": raw.request(),
    "post": raw.request("POST"),
    "no upgrade": raw.request(without="Upgrade"),
    "no connection": raw.request(without="Connection"),
    "no key": raw.request(without="Sec-WebSocket-Key"),
    "short key": raw.request(Sec_WebSocket_Key="c2hvcnQ="),
    "no version": raw.request(without="Sec-WebSocket-Version"),
    "old version": raw.request(Sec_WebSocket_Version="8"),
    "compression": raw.request(Sec_WebSocket_Extensions="permessage-deflate"),
    "compression, spelled": raw.request(Sec_WebSocket_Extensions="x, Permessage-Deflate; y=1"),
    "wrong origin": raw.request(Origin="https://evil.example"),
    "no origin at all": raw.request(Origin="null"),
    "right origin": raw.request(Origin="http://chat.example"),
    "mqtt": raw.request(path="/mqtt"),
    "garbage": b"garbage\r\n\r\n",
}


def _head(port: int, request: bytes) -> list[bytes]:
    """The head of the answer, without what only one of the two says or what changes with time."""
    with socket.create_connection(("127.0.0.1", port), _DEADLINE) as client:
        client.sendall(request)
        heard = b""
        while b"\r\n\r\n" not in heard:
            heard += client.recv(65536)
    head = heard.partition(b"\r\n\r\n")[0].split(b"\r\n")
    # Where the real server would go on with another request, ours closes, and says so.
    return [line for line in head if not line.startswith((b"Date:", b"Connection: close"))]


@pytest.fixture(scope="module")
def doors(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, int]]:
    """Ports for WebSockets: the real server's and ours."""
    configuration = (
        'websocket { host: "127.0.0.1", port: -1, no_tls: true, compression: true,'
        ' allowed_origins: ["http://chat.example"] }'
    )
    block = WebsocketBlock(
        port=0, no_tls=True, compression=True, allowed_origins=("http://chat.example",)
    )
    with (
        _real(configuration, tmp_path_factory.mktemp("real")) as (_, theirs),
        Broker(port=0, websocket=block) as broker,
    ):
        yield theirs, int(broker.ws_url.rpartition(":")[2])


@pytest.mark.parametrize("name", _REQUESTS)
def test_requests_get_the_same_answers(name: str, doors: tuple[int, int]) -> None:
    theirs, ours = doors
    assert _head(theirs, _REQUESTS[name]) == _head(ours, _REQUESTS[name])


_HELLO = raw.frame(b'CONNECT {"verbose":false}\r\n')

_FRAMES = {
    "ping": _HELLO + raw.frame(b"hi", raw.PING),
    "close": _HELLO + raw.frame(b"\x03\xe8bye", raw.CLOSE),
    "close without code": _HELLO + raw.frame(b"", raw.CLOSE),
    "close with text": _HELLO + raw.frame(b"\x0f\xa0" + "ü".encode(), raw.CLOSE),
    "text": _HELLO + raw.frame(b"PING\r\n", raw.TEXT) + raw.frame(b"\x03\xe8", raw.CLOSE),
    "too large": _HELLO + raw.frame(b"PUB a 1048577\r\n"),
    "long line": _HELLO + raw.frame(b"SUB " + b"a" * 5000),
}


def _frames(port: int, said: bytes) -> list[raw.Received]:
    """The frames that answer these, from INFO's on, which is left out."""
    with socket.create_connection(("127.0.0.1", port), _DEADLINE) as client:
        client.sendall(raw.request())
        heard = b""
        while not heard.endswith(b"\r\n") or b"INFO" not in heard:
            heard += client.recv(65536)
        skip = len(heard)
        client.sendall(said)
        with contextlib.suppress(ConnectionResetError):
            while not _is_whole(heard[skip:]):
                piece = client.recv(65536)
                if not piece:
                    break
                heard += piece
    return raw.frames(heard[skip:])


def _is_whole(heard: bytes) -> bool:
    """Whether a close or pong has come, the last frame of every answer here."""
    try:
        found = raw.frames(heard)
    except (AssertionError, IndexError):
        return False
    return bool(found) and found[-1].opcode in (raw.CLOSE, raw.PONG)


@pytest.mark.parametrize("name", _FRAMES)
def test_frames_get_the_same_answers(name: str, doors: tuple[int, int]) -> None:
    theirs, ours = doors
    assert _frames(theirs, _FRAMES[name]) == _frames(ours, _FRAMES[name])
