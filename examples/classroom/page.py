"""The page, handed to browsers: one answer to every request. HTTP is h11's.

The page itself is a NATS client, over the nodes' WebSockets, so nothing else passes through here:
all that it needs to know is where the nodes are.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import h11

from examples.classroom.nodes import HOST
from reactor import Reactor, Stream, StreamHandler, listen


class Page:
    """Serves it at `url`, for as long as the reactor lives."""

    def __init__(self, reactor: Reactor, websocket_ports: Sequence[int]) -> None:
        urls = [f"ws://{HOST}:{port}" for port in websocket_ports]
        template = (Path(__file__).parent / "page.html").read_text(encoding="utf-8")
        self._body = template.replace("/*NODES*/[]", json.dumps(urls)).encode()
        self._listener = listen(reactor, (HOST, 0), lambda: _Visitor(self._body))
        self.url = f"http://{HOST}:{self._listener.port}/"


class _Visitor(StreamHandler):
    def __init__(self, body: bytes) -> None:
        self._body = body
        self._http = h11.Connection(h11.SERVER)

    def on_data(self, stream: Stream, data: bytes) -> None:
        """Answer as soon as the request is whole."""
        try:
            self._http.receive_data(data)
            event = self._http.next_event()
            while event is not h11.NEED_DATA:
                if isinstance(event, h11.EndOfMessage):
                    self._answer(stream)
                    return
                event = self._http.next_event()
        except h11.RemoteProtocolError:
            stream.abort()

    def _answer(self, stream: Stream) -> None:
        headers = [
            ("Content-Type", "text/html; charset=utf-8"),
            ("Content-Length", str(len(self._body))),
            ("Connection", "close"),
        ]
        for event in (
            h11.Response(status_code=200, headers=headers),
            h11.Data(data=self._body),
            h11.EndOfMessage(),
        ):
            stream.write(self._http.send(event) or b"")
        stream.close()
