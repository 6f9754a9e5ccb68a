"""The monitor's visitors: HTTP connections, how many there may be and how long they may take.

The idea: HTTP is not our subject, so h11 reads and writes it. h11 does no I/O of its own (bytes in,
events out; events in, bytes out), hence it sits on a `reactor.Stream` as naturally as the NATS
protocol does.

Invariants: a visitor's mistake costs at most that visitor's connection; requests of one visitor are
answered one after another, each when `broker.reception` says that it is its turn, and none while
more than `UNREAD_LIMIT` bytes of answers wait for the visitor to take them. So nobody can fill our
memory by asking without listening, nor take the loop's time from the broker's clients. There are
at most `MAX_VISITORS`: when one more comes, whoever has got nothing for the longest time has to go;
and who takes too long, with a request or with an answer, has to go as well.

Whatever the method, the answer is that to a GET (HEAD: its headers only), as with nats-server.

Neighbours: `broker.monitor` lets visitors in and makes the pages. Loop thread only.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from email.utils import formatdate
from typing import TYPE_CHECKING

import h11

from broker.monitorpages import HTML, JSON, TEXT, Page
from broker.reception import Reception
from reactor import CloseReason, Reactor, Stream, StreamHandler, Timer
from reactor.stream import SocketLike
from reactor.tls import TlsSession

if TYPE_CHECKING:
    import ssl

__all__ = ["MAX_VISITORS", "PATIENCE", "UNREAD_LIMIT", "Visitor", "Visitors"]

#: Visitors at a time.
MAX_VISITORS = 128

#: Bytes of answers that may wait for a visitor before its next request is looked at.
UNREAD_LIMIT = 64 * 1024

#: Seconds that a visitor may take to send a request, or before it takes some of an answer.
PATIENCE = 10.0

#: Seconds that a visitor may stay between two requests.
IDLE_TIMEOUT = 60.0

#: Seconds between two looks at who takes too long.
LOOK = 1.0

#: Pieces of a request that are read in one go: the body of one may come in very small chunks.
PIECES = 32


class Visitors:
    """All of them. ``answer`` makes the page for a path with an optional query string."""

    def __init__(
        self,
        reactor: Reactor,
        answer: Callable[[str], Page],
        stopwatch: Callable[[], float] = time.thread_time,
    ) -> None:
        self.answer = answer
        self.reactor = reactor
        self.reception = Reception(reactor, stopwatch)
        self._present: dict[Visitor, None] = {}  # who was answered last, last
        self._timer: Timer | None = None

    def __len__(self) -> int:
        """How many there are."""
        return len(self._present)

    def admit(self, sock: SocketLike, tls: ssl.SSLContext | None = None) -> Visitor:
        """Serve a connected socket, which is ours from now on. Raises what `Stream` raises."""
        if len(self._present) >= MAX_VISITORS:
            next(iter(self._present)).stream.abort()
        session = None
        if tls is not None:
            session = TlsSession(tls, server_side=True, handshake_timeout=PATIENCE)
        visitor = Visitor(self, sock, session)
        self._present[visitor] = None
        if self._timer is None:
            self._timer = self.reactor.call_every(LOOK, self._look)
        return visitor

    def close(self) -> None:
        """Show every visitor out, after what they are owed."""
        for visitor in tuple(self._present):
            visitor.stream.close()

    def answered(self, visitor: Visitor) -> None:
        """A visitor has got something: it is the last who would have to make room."""
        if visitor in self._present:
            del self._present[visitor]
            self._present[visitor] = None

    def leave(self, visitor: Visitor) -> None:
        """Forget a visitor that is gone."""
        self._present.pop(visitor, None)
        if not self._present and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        now = self.reactor.now()
        for visitor in [one for one in self._present if one.is_overdue(now)]:
            visitor.stream.abort()


class Visitor(StreamHandler):
    """One HTTP connection: keep-alive and pipelining are h11's, the order of answers is ours."""

    def __init__(self, visitors: Visitors, sock: SocketLike, tls: TlsSession | None) -> None:
        self._visitors = visitors
        self._reactor = visitors.reactor
        self._http = h11.Connection(h11.SERVER)
        self._request: h11.Request | None = None
        self._waits = False  # for its turn
        self._full = False  # with answers that it does not take
        self._ended = False
        self._taken = 0  # bytes, when last looked at
        self._expect(PATIENCE)
        self.stream = Stream(self._reactor, sock, self, tls=tls, high_water=UNREAD_LIMIT)

    def _expect(self, seconds: float) -> None:
        """From now on the visitor has so long for what it has to do next."""
        self._since, self._patience = self._reactor.now(), seconds

    def is_overdue(self, now: float) -> bool:
        """Whether it has kept us waiting for too long."""
        if self._waits:
            return False  # it is us who keep it waiting
        if self.stream.pending:
            taken = self.stream.stats().bytes_out
            if taken != self._taken:
                self._taken = taken
                self._expect(PATIENCE)
        return now - self._since > self._patience

    # --- as a stream's handler ------------------------------------------------------------------

    def on_data(self, stream: Stream, data: bytes) -> None:
        """Feed h11, and ask to be served."""
        if self._patience == IDLE_TIMEOUT:
            self._expect(PATIENCE)  # a request has begun
        self._http.receive_data(data)
        if self._waits or self._full:
            stream.pause_reading()
        else:
            self._ask()

    def on_eof(self, stream: Stream) -> None:
        """The visitor has asked all it wanted; it still gets its answers."""
        self._ended = True
        if not (self._waits or self._full):
            stream.close()

    def on_resume(self, stream: Stream) -> None:
        """The visitor took its answers: look at its next request."""
        self._look_again()

    def on_close(self, stream: Stream, reason: CloseReason) -> None:
        """Make room for others."""
        self._visitors.leave(self)

    # --- when it is its turn --------------------------------------------------------------------

    def _ask(self) -> None:
        self._waits = True
        self._visitors.reception.ask(self._serve)

    def _serve(self) -> None:
        """Answer one request, if there is a whole one, and ask again if there may be another."""
        self._waits = False
        stream = self.stream
        if stream.closed:
            return
        if stream.stats().dropped:
            # It is gone, which a stream that is not read tells nobody.
            stream.abort()
            return
        try:
            event = self._read()
        except h11.RemoteProtocolError as error:
            error.__traceback__ = None  # in which a frame holds the error itself
            self._refuse(stream, error)
            return
        if event is h11.NEED_DATA or event is h11.PAUSED:
            self._wait_for_more()
        elif isinstance(event, h11.EndOfMessage):
            self._answer(stream)
            self._visitors.answered(self)
            self._go_on()
        else:
            self._ask()  # there is more of it than fits a turn

    def _read(self) -> object:
        """Read on until a request is whole, or nothing is left; the last event."""
        for _ in range(PIECES):
            event = self._http.next_event()
            if isinstance(event, h11.Request):
                self._request = event
            elif not isinstance(event, h11.Data):
                break
        return event

    def _wait_for_more(self) -> None:
        if self._ended:
            self.stream.close()
        else:
            self.stream.resume_reading()

    def _go_on(self) -> None:
        if self.stream.closed:
            return
        more = bool(self._http.trailing_data[0])
        self._expect(PATIENCE if more else IDLE_TIMEOUT)
        if self.stream.pending > UNREAD_LIMIT:
            self._full = True
            self.stream.pause_reading()
            # What the kernel takes at the end of this very turn is no edge that on_resume would
            # tell of; what is still there in the next turn is.
            self._reactor.call_soon(self._look_again)
        elif more:
            self._ask()
        else:
            self._wait_for_more()

    def _look_again(self) -> None:
        if self._full and not self.stream.closed and self.stream.pending <= UNREAD_LIMIT:
            self._full = False
            self._ask()

    def _answer(self, stream: Stream) -> None:
        request = self._request
        assert request is not None  # h11 reports the end of a message only after its beginning
        page = self._visitors.answer(request.target.decode("latin-1"))
        bodiless, last = request.method == b"HEAD", _is_ambiguous(request)
        self._send(stream, page, bodiless=bodiless, last=last)
        if self._http.our_state is h11.MUST_CLOSE:
            stream.close()
        else:
            self._request = None
            self._http.start_next_cycle()

    def _refuse(self, stream: Stream, error: h11.RemoteProtocolError) -> None:
        # Where an answer is no longer possible (it was given, or is under way), closing must do.
        if self._http.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            status = error.error_status_hint
            page = f"{status} {error}\n"
            # The body of a request may be wrong, too, and then it is known what was asked for.
            bodiless = self._request is not None and self._request.method == b"HEAD"
            self._send(stream, Page(status, TEXT, page), bodiless=bodiless, last=True)
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
