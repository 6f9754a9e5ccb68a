"""From HTTP to WebSocket: one client's request, and whether it may come in.

The idea: the upgrade is a single GET, which h11 reads and which is judged here rule by rule in
nats-server's order (RFC 6455, section 4.2.1), so that the first thing wrong is the one that is
logged. What is right becomes an *entrance*: `broker.server` admits it like a socket, and makes a
connection on top of it. What is wrong gets the answer that nats-server gives, and the connection
closes.

Besides the upgrade a request carries cookies, from which missing credentials are taken, and the
page's origin, which `broker.origins` judges.

Invariants: before the upgrade a client has `handshake_timeout` seconds and 16 KiB, TLS handshake
included; what it sends behind its request is not lost.

Neighbours: `broker.websocket` listens and makes doors; `broker.wstransport` is what lies behind
one. Loop thread only.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from email.utils import formatdate
from http import HTTPStatus
from typing import ClassVar

import h11

from broker.blocks import WebsocketBlock
from broker.complaints import Complaints
from broker.deflate import ACCEPTED, Inflater
from broker.handshake import ConnectOptions, ServerInfo
from broker.origins import allowed
from broker.runqueue import RunQueue
from broker.transport import Client, Entrance, Transport
from broker.wstransport import WebsocketTransport
from reactor import CloseKind, CloseReason, Reactor, Stream, StreamHandler, Timer
from reactor.tls import TlsSession

__all__ = ["WebsocketDoor", "WebsocketEntrance"]

#: Bytes that a request may have.
REQUEST = 16 * 1024

#: What is put behind the client's key before it is hashed (RFC 6455, section 1.3).
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

#: Paths that ask nats-server for protocols that we do not speak here.
_FOREIGN = (b"/mqtt", b"/leafnode")

#: nats-server's answer to what is no HTTP at all.
_GARBAGE = (
    b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\n"
    b"Connection: close\r\n\r\n400 Bad Request"
)


class RefusedError(Exception):
    """A request that is not let in: the status and what is wrong with it."""

    def __init__(self, status: HTTPStatus, problem: str) -> None:
        super().__init__(problem)
        self.status = status


class WebsocketEntrance(Entrance):
    """A client whose request was granted."""

    __slots__ = (
        "_defaults",
        "_early",
        "_host",
        "_inflater",
        "_port",
        "_reactor",
        "_run_queue",
        "stream",
    )

    kind: ClassVar[str] = "WEBSOCKET"

    def __init__(
        self,
        reactor: Reactor,
        run_queue: RunQueue,
        stream: Stream,
        address: tuple[str, int],
        defaults: ConnectOptions,
        inflater: Inflater | None,
        early: bytes,
    ) -> None:
        self.stream = stream
        self._reactor = reactor
        self._run_queue = run_queue
        self._host, self._port = address
        self._defaults = defaults
        self._inflater = inflater
        self._early = early

    @property
    def tls(self) -> TlsSession | None:
        """The stream's."""
        return self.stream.tls

    @property
    def defaults(self) -> ConnectOptions:
        """What the cookies said."""
        return self._defaults

    def info(self, info: ServerInfo) -> ServerInfo:
        """INFO with this listener's address and TLS, and without the addresses of others."""
        secure = self.stream.tls is not None
        return replace(
            info,
            host=self._host,
            port=self._port,
            tls_required=secure,
            tls_available=secure,
            connect_urls=(),
        )

    def attach(self, client: Client) -> Transport:
        """Make the transport. Raises nothing."""
        return WebsocketTransport(
            self._reactor,
            self.stream,
            client,
            run_queue=self._run_queue,
            inflater=self._inflater,
            early=self._early,
        )

    def close(self) -> None:
        """The server does not want it."""
        self.stream.abort()


class WebsocketDoor(StreamHandler):
    """The handler of one stream until its request was judged. ``admit`` is called with the
    `WebsocketEntrance`, ``gone`` when this door is not needed any more.
    """

    __slots__ = (
        "_address",
        "_admit",
        "_block",
        "_complaints",
        "_gone",
        "_http",
        "_limit",
        "_reactor",
        "_run_queue",
        "_timer",
        "stream",
    )

    def __init__(
        self,
        reactor: Reactor,
        block: WebsocketBlock,
        address: tuple[str, int],
        limit: int,
        complaints: Complaints,
        run_queue: RunQueue,
        admit: Callable[[WebsocketEntrance], object],
        gone: Callable[[WebsocketDoor], object],
    ) -> None:
        self._reactor = reactor
        self._block = block
        self._address = address
        self._limit = limit
        self._complaints = complaints
        self._run_queue = run_queue
        self._admit = admit
        self._gone = gone
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=REQUEST)
        self.stream: Stream | None = None
        self._timer: Timer | None = reactor.call_later(block.handshake_timeout, self._on_timer)

    # --- as the stream's handler ----------------------------------------------------------------

    def on_data(self, stream: Stream, data: bytes) -> None:
        """A part of the request."""
        try:
            self._http.receive_data(data)
            event = self._http.next_event()
            if isinstance(event, h11.Request):
                self._judge(stream, event)
        except h11.RemoteProtocolError as error:
            error.__traceback__ = None  # in which a frame holds the error itself
            self._refuse(stream, _GARBAGE, str(error))

    def on_close(self, stream: Stream, reason: CloseReason) -> None:
        """It was over before it began."""
        if reason.kind is CloseKind.TLS:
            self._complain(stream, f"TLS handshake error: {reason.detail}")
        self._leave()

    def _on_timer(self) -> None:
        self._timer = None
        if self.stream is not None:
            self.stream.abort()

    def _leave(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._gone(self)

    # --- the request ----------------------------------------------------------------------------

    def _judge(self, stream: Stream, request: h11.Request) -> None:
        headers = _headers(request)
        try:
            key = _check(request, headers)
            self._check_origin(headers, secure=stream.tls is not None)
        except RefusedError as refused:
            self._refuse(stream, _error(refused.status), str(refused))
            return
        deflated = self._block.compression and _offers_deflate(headers)
        stream.write(_switch(key, deflated=deflated))
        self._http.next_event()  # the end of the request, behind which the early bytes are
        entrance = WebsocketEntrance(
            self._reactor,
            self._run_queue,
            stream,
            self._address,
            _credentials(self._block, headers),
            Inflater(self._limit) if deflated else None,
            bytes(self._http.trailing_data[0]),
        )
        self._leave()
        self._admit(entrance)

    def _check_origin(self, headers: Mapping[bytes, list[bytes]], *, secure: bool) -> None:
        origin = _first(headers, b"origin") or _first(headers, b"sec-websocket-origin")
        block = self._block
        host = _first(headers, b"host")
        trouble = allowed(origin, host, secure, block.same_origin, block.allowed_origins)
        if trouble is not None:
            raise RefusedError(HTTPStatus.FORBIDDEN, f"origin not allowed: {trouble}")

    def _refuse(self, stream: Stream, answer: bytes, problem: str) -> None:
        self._complain(stream, f"websocket handshake error: {problem}")
        stream.write(answer)
        stream.close()

    def _complain(self, stream: Stream, text: str) -> None:
        self._complaints.say(logging.ERROR, lambda: stream.peer, text)


_Headers = Mapping[bytes, list[bytes]]


def _headers(request: h11.Request) -> dict[bytes, list[bytes]]:
    found: dict[bytes, list[bytes]] = {}
    for name, value in request.headers:
        found.setdefault(name, []).append(value)
    return found


def _first(headers: _Headers, name: bytes) -> str:
    return headers.get(name, [b""])[0].decode("latin-1")


def _contains(headers: _Headers, name: bytes, wanted: bytes) -> bool:
    return any(
        token.strip().lower() == wanted
        for value in headers.get(name, ())
        for token in value.split(b",")
    )


def _check(request: h11.Request, headers: _Headers) -> str:
    """The client's key. Raises RefusedError for what is no upgrade to the WebSocket protocol."""
    bad = HTTPStatus.BAD_REQUEST
    if request.target.partition(b"?")[0].endswith(_FOREIGN):
        raise RefusedError(HTTPStatus.NOT_FOUND, "websocket endpoint not enabled")
    if request.method != b"GET":
        raise RefusedError(HTTPStatus.METHOD_NOT_ALLOWED, "request method must be GET")
    if not _first(headers, b"host"):
        raise RefusedError(bad, "'Host' missing in request")
    if not _contains(headers, b"upgrade", b"websocket"):
        raise RefusedError(bad, "invalid value for header 'Upgrade'")
    if not _contains(headers, b"connection", b"upgrade"):
        raise RefusedError(bad, "invalid value for header 'Connection'")
    key = _first(headers, b"sec-websocket-key")
    if not key:
        raise RefusedError(bad, "key missing")
    try:
        right = len(base64.b64decode(key, validate=True)) == 16
    except (binascii.Error, ValueError):
        right = False
    if not right:
        raise RefusedError(bad, "invalid websocket key")
    if not _contains(headers, b"sec-websocket-version", b"13"):
        raise RefusedError(bad, "invalid version")
    return key


def _offers_deflate(headers: _Headers) -> bool:
    return any(
        offer.partition(b";")[0].strip().lower() == b"permessage-deflate"
        for value in headers.get(b"sec-websocket-extensions", ())
        for offer in value.split(b",")
    )


def _switch(key: str, *, deflated: bool) -> bytes:
    digest = hashlib.sha1(key.encode() + _GUID, usedforsecurity=False).digest()
    lines = [
        "HTTP/1.1 101 Switching Protocols",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Accept: {base64.b64encode(digest).decode()}",
    ]
    if deflated:
        lines.append(f"Sec-WebSocket-Extensions: {ACCEPTED}")
    return "\r\n".join([*lines, "", ""]).encode()


def _error(status: HTTPStatus) -> bytes:
    body = f"{status.phrase}\n"
    lines = (
        f"HTTP/1.1 {status.value} {status.phrase}",
        "Content-Type: text/plain; charset=utf-8",
        "Sec-Websocket-Version: 13",
        "X-Content-Type-Options: nosniff",
        f"Date: {formatdate(usegmt=True)}",
        f"Content-Length: {len(body)}",
        "Connection: close",
        "",
        body,
    )
    return "\r\n".join(lines).encode()


def _credentials(block: WebsocketBlock, headers: _Headers) -> ConnectOptions:
    """What the cookies hold."""
    cookies = _cookies(headers)
    return ConnectOptions(
        jwt=cookies.get(block.jwt_cookie, ""),
        user=cookies.get(block.user_cookie, ""),
        password=cookies.get(block.pass_cookie, ""),
        auth_token=cookies.get(block.token_cookie, ""),
    )


def _cookies(headers: _Headers) -> dict[str, str]:
    """Cookies by name (RFC 6265, section 4.2.1); of several with one name, the last."""
    pairs = (
        pair.strip().partition("=")
        for value in headers.get(b"cookie", ())
        for pair in value.decode("latin-1").split(";")
    )
    return {name: value.strip('"') for name, equals, value in pairs if equals and name}
