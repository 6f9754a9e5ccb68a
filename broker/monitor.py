"""The monitor: a small HTTP server on the broker's own reactor.

The idea: HTTP is not our subject, so h11 reads and writes it. h11 does no I/O of its own (bytes in,
events out; events in, bytes out), hence it sits on a `reactor.Stream` as naturally as the NATS
protocol does. Which pages there are and what they say is the business of `broker.monitorpages`;
this file joins the two.

Invariants: a visitor's mistake costs at most that visitor's connection; requests of one visitor are
answered one after another, and none is read while more than `UNREAD_LIMIT` bytes of answers wait
for the visitor to take them, so that nobody can fill our memory by asking without listening.
Whatever the method, the answer is that to a GET (HEAD: its headers only), as with nats-server.

Neighbours: `broker.server` makes a `Monitor` if the options ask for one, and is its `Source`. Loop
thread only. h11 is imported by this module alone, and this module only where a monitor is wanted:
start-up stays short.
"""

from __future__ import annotations

import socket
import time
from email.utils import formatdate
from typing import TYPE_CHECKING

import h11

from broker.monitorpages import HTML, JSON, TEXT, Page, Pages, Source
from reactor import CloseReason, Listener, Reactor, Stream, StreamHandler
from reactor.tls import TlsSession

if TYPE_CHECKING:
    import ssl

__all__ = ["Monitor", "Source"]

#: Bytes of answers that may wait for a visitor before its next request is looked at.
UNREAD_LIMIT = 64 * 1024

#: Seconds without a byte either way after which a visitor is shown out.
IDLE_TIMEOUT = 60.0


class Monitor:
    """Listens from the moment it is made until `close`. Raises OSError if it cannot.

    Speaks HTTP on ``http_port``; with certificates, ``tls``, it speaks HTTPS on ``https_port``
    instead.
    """

    def __init__(
        self, reactor: Reactor, source: Source, *, tls: ssl.SSLContext | None = None
    ) -> None:
        options = source.options
        port = options.http_port if tls is None else options.https_port
        self.host = options.http_host or options.host
        self._reactor = reactor
        self._tls = tls
        self._pages = Pages(source, reactor.now)
        self._visitors: set[Stream] = set()
        self._listener = Listener(reactor, (self.host, max(port or 0, 0)), self._admit)
        self.port = self._listener.port

    def close(self) -> None:
        """Stop listening and show every visitor out, after what they are owed."""
        self._listener.close()
        for stream in tuple(self._visitors):
            stream.close()

    def page(self, target: str) -> Page:
        """The answer to a request for a path with an optional query string."""
        return self._pages.answer(target)

    def leave(self, stream: Stream) -> None:
        """Forget a visitor that is gone."""
        self._visitors.discard(stream)

    def _admit(self, sock: socket.socket, address: object) -> None:
        tls = None if self._tls is None else TlsSession(self._tls, server_side=True)
        stream = Stream(
            self._reactor,
            sock,
            Visitor(self, self._reactor),
            tls=tls,
            high_water=UNREAD_LIMIT,
            idle_timeout=IDLE_TIMEOUT,
        )
        self._visitors.add(stream)


class Visitor(StreamHandler):
    """One HTTP connection: keep-alive and pipelining are h11's, the order of answers is ours."""

    def __init__(self, monitor: Monitor, reactor: Reactor) -> None:
        self._monitor = monitor
        self._reactor = reactor
        self._http = h11.Connection(h11.SERVER)
        self._request: h11.Request | None = None
        self._full = False

    def on_data(self, stream: Stream, data: bytes) -> None:
        """Feed h11 and answer what is complete."""
        self._http.receive_data(data)
        self._serve(stream)

    def on_eof(self, stream: Stream) -> None:
        """The visitor has asked all it wanted; it still gets its answers."""
        stream.close()

    def on_resume(self, stream: Stream) -> None:
        """The visitor took its answers: look at its next request."""
        self._look_again(stream)

    def _look_again(self, stream: Stream) -> None:
        if self._full and not stream.closed and stream.pending <= UNREAD_LIMIT:
            self._full = False
            stream.resume_reading()
            self._serve(stream)

    def on_close(self, stream: Stream, reason: CloseReason) -> None:
        """Tell the monitor."""
        self._monitor.leave(stream)

    def _serve(self, stream: Stream) -> None:
        try:
            while not stream.closed and self._step(stream):
                pass
        except h11.RemoteProtocolError as error:
            self._refuse(stream, error)

    def _step(self, stream: Stream) -> bool:
        """One event of h11's. False: nothing to do before the visitor does something."""
        if stream.pending > UNREAD_LIMIT:
            self._full = True
            stream.pause_reading()
            # What the kernel takes at the end of this very turn is no edge that on_resume would
            # tell of; what is still there in the next turn is.
            self._reactor.call_soon(self._look_again, stream)
            return False
        event = self._http.next_event()
        if isinstance(event, h11.Request):
            self._request = event
        elif isinstance(event, h11.EndOfMessage):
            self._answer(stream)
        return event is not h11.NEED_DATA and event is not h11.PAUSED

    def _answer(self, stream: Stream) -> None:
        request = self._request
        assert request is not None  # h11 reports the end of a message only after its beginning
        page = self._monitor.page(request.target.decode("latin-1"))
        bodiless, last = request.method == b"HEAD", _is_ambiguous(request)
        self._send(stream, page, bodiless=bodiless, last=last)
        if self._http.our_state is h11.MUST_CLOSE:
            stream.close()
        else:
            self._http.start_next_cycle()

    def _refuse(self, stream: Stream, error: h11.RemoteProtocolError) -> None:
        # Where an answer is no longer possible (it was given, or is under way), closing must do.
        if self._http.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            status = error.error_status_hint
            self._send(stream, Page(status, TEXT, f"{status} {error}\n"), last=True)
        stream.close()

    def _send(
        self, stream: Stream, page: Page, *, bodiless: bool = False, last: bool = False
    ) -> None:
        headers = [
            ("Content-Type", page.content_type),
            ("Date", formatdate(time.time(), usegmt=True)),
            ("Content-Length", str(len(page.body))),
        ]
        if page.content_type == JSON:
            headers.insert(0, ("Access-Control-Allow-Origin", "*"))
        elif page.content_type == HTML:
            headers.insert(0, ("Content-Security-Policy", page.policy))
        if last:
            headers.append(("Connection", "close"))
        events: list[h11.Event] = [h11.Response(status_code=page.status, headers=headers)]
        if not bodiless:
            events.append(h11.Data(data=page.body))
        events.append(h11.EndOfMessage())
        for event in events:
            stream.write(self._http.send(event) or b"")


def _is_ambiguous(request: h11.Request) -> bool:
    """Whether two readers may disagree on where the request ends.

    By RFC 9112, 6.1, the connection must be closed after the answer: what follows may have been
    meant as a body, and its sender may be hiding it from somebody in between.
    """
    names = {name for name, _ in request.headers}
    return {b"content-length", b"transfer-encoding"} <= names
