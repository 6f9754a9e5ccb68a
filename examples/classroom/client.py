"""A NATS client on our streams, small enough to run five thousand of in one process.

The idea: what a client wants to hear is a table that outlives its connections. Whenever one is
lost, the next seed is tried, all subscriptions are said again, and `on_ready` is called: whoever
keeps state asks for it there. Nothing that was published meanwhile is made up for; a program that
needs it repeats itself, as heartbeats do.

**A node that hangs** closes nothing. So a client that has heard nothing for a `pulse` sends a PING,
and a quarter of a pulse later, if there was still nothing, it leaves. Who hears something in every
pulse never asks, so a crowd that is spoken to costs no PINGs.

Invariants: a request's callback is called exactly once: with the answer, or with None if there was
nobody to answer, no answer in time, or the connection was lost. Loop thread only.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import Any, NamedTuple, Protocol, TypeAlias

from reactor import CloseReason, Reactor, Stream, StreamHandler, Timer, connect

#: Where a server is.
Seed: TypeAlias = tuple[str, int]

#: Seconds that clients spread their return over, so that a crowd does not come at once.
SPREAD = 0.2

_HELLO = (
    b'CONNECT {"verbose":false,"pedantic":false,"headers":true,"no_responders":true,'
    b'"lang":"classroom","name":"%b"}\r\n'
)


class Message(NamedTuple):
    """What was heard; `reply` is empty unless somebody waits for an answer."""

    subject: bytes
    reply: bytes
    payload: bytes


OnMessage: TypeAlias = Callable[[Message], object]
OnAnswer: TypeAlias = Callable[[bytes | None], object]


class Dial(Protocol):
    """What connects: `reactor.connect`, or in a test something in memory."""

    def __call__(
        self,
        reactor: Reactor,
        address: Seed,
        handler: StreamHandler,
        *,
        on_error: Callable[[Any], object],
        timeout: float,
    ) -> Any:
        """Give the handler a stream, or call `on_error`; what is returned can be cancelled."""


class Client(StreamHandler):
    """One client. It connects when `start` is called, and stays connected until `stop`."""

    __slots__ = (
        "_connector", "_dial", "_failures", "_heard_at", "_inbox", "_live", "_next", "_pending",
        "_pulse", "_reactor", "_rest", "_rng", "_seeds", "_serial", "_stream", "_subscriptions",
        "_timer", "_wanted", "connections", "name", "on_ready",
    )  # fmt: skip

    def __init__(
        self,
        reactor: Reactor,
        seeds: Sequence[Seed],
        name: str,
        *,
        rng: Random,
        pulse: float = 10.0,
        dial: Dial = connect,
        on_ready: Callable[[], object] = lambda: None,
    ) -> None:
        """`name` tells it from all others; `pulse` is in seconds; the first seed is tried first."""
        self._reactor = reactor
        self._seeds = seeds
        self.name = name
        self._rng = rng
        self._pulse = pulse
        self._dial = dial
        self.on_ready = on_ready
        #: How often it was connected.
        self.connections = 0
        self._subscriptions: list[tuple[str, str, OnMessage]] = []
        self._inbox = f"_INBOX.{name}."
        self._pending: dict[bytes, tuple[OnAnswer, Timer]] = {}
        self._serial = self._next = self._failures = 0
        self._stream: Stream | None = None
        self._connector: Any = None
        self._timer: Timer | None = None
        self._rest = b""
        self._live = self._wanted = False
        self._heard_at = 0.0
        self.subscribe(self._inbox + "*", self._on_answer)

    @property
    def live(self) -> bool:
        """Whether it is connected, as far as it knows."""
        return self._live

    def start(self) -> None:
        """Connect, and stay connected."""
        self._wanted = True
        self._timer = self._reactor.call_later(0, self._connect)

    def stop(self) -> None:
        """Leave for good. Requests under way get None."""
        self._wanted = False
        self._leave()

    # --- what a client says ---------------------------------------------------------------------

    def subscribe(self, subject: str, callback: OnMessage, queue: str = "") -> None:
        """Hear a subject from now on, over all connections to come; one member of `queue` does."""
        self._subscriptions.append((subject, queue, callback))
        if self._live and self._stream is not None:
            self._stream.write(self._subscription(len(self._subscriptions)))

    def publish(self, subject: str, payload: bytes, reply: str = "") -> bool:
        """Say something; False, and nothing is said, if there is no connection."""
        if not self._live or self._stream is None:
            return False
        line = f"PUB {subject} {reply} {len(payload)}\r\n"
        self._stream.write(b"%b%b\r\n" % (line.encode(), payload))
        return True

    def respond(self, message: Message, payload: bytes) -> None:
        """Answer."""
        self.publish(message.reply.decode(), payload)

    def request(self, subject: str, payload: bytes, callback: OnAnswer, timeout: float) -> None:
        """Ask, and hear the first answer within `timeout` seconds; see the invariants."""
        self._serial += 1
        reply = f"{self._inbox}{self._serial}"
        token = reply.encode()
        timer = self._reactor.call_later(timeout, self._settle, token, None)
        self._pending[token] = callback, timer
        if not self.publish(subject, payload, reply):
            self._reactor.call_soon(self._settle, token, None)

    def _settle(self, token: bytes, payload: bytes | None) -> None:
        callback, timer = self._pending.pop(token, (None, None))
        if callback is not None and timer is not None:
            timer.cancel()
            callback(payload)

    def _on_answer(self, message: Message) -> None:
        self._settle(message.subject, message.payload)

    def _subscription(self, sid: int) -> bytes:
        subject, queue, _ = self._subscriptions[sid - 1]
        return f"SUB {subject} {queue} {sid}\r\n".encode()

    # --- connections ----------------------------------------------------------------------------

    def _connect(self) -> None:
        seed = self._seeds[self._next % len(self._seeds)]
        self._next += 1
        self._connector = self._dial(
            self._reactor, seed, self, on_error=self._on_refused, timeout=2 * self._pulse
        )

    def _on_refused(self, _error: Any) -> None:
        self._connector = None
        self._again()

    def _again(self) -> None:
        """Try the next seed: soon, but ever more slowly, up to a pulse, if all were in vain."""
        rounds = self._failures // len(self._seeds)
        self._failures += 1
        wait = min(self._pulse, SPREAD * 2**rounds) * self._rng.uniform(0.2, 1.0)
        self._timer = self._reactor.call_later(wait, self._connect)

    def on_open(self, stream: Stream) -> None:
        """Wait for INFO."""
        self._connector = None
        if not self._wanted:  # stopped when the connector had done its work already
            stream.abort()
            return
        self._stream = stream
        self._rest = b""
        self._heard_at = self._reactor.now()
        # A node that many come to at once is slow to greet each; leaving would make that worse.
        self._timer = self._reactor.call_later(2 * self._pulse, self._check, False)

    def _check(self, asked: bool) -> None:
        """Has anything been heard in the last pulse? If not, ask; if we have asked, leave."""
        stream = self._stream
        if stream is None:
            return
        due = self._heard_at + self._pulse
        now = self._reactor.now()
        asks = now >= due
        if asks and (asked or not self._live):
            stream.abort()
            return
        if asks:
            stream.write(b"PING\r\n")
            due = now + self._pulse / 4
        self._timer = self._reactor.call_at(due, self._check, asks)

    def on_close(self, stream: Stream, reason: CloseReason) -> None:
        """Whatever the reason was: to the next seed."""
        if self._stream is stream:
            self._leave()
            self._again()

    def _leave(self) -> None:
        stream, self._stream = self._stream, None
        self._live = False
        if self._timer is not None:
            self._timer.cancel()
        if self._connector is not None:
            self._connector.cancel()
        if stream is not None:
            stream.abort()
        for token in tuple(self._pending):
            self._settle(token, None)

    # --- what a client hears --------------------------------------------------------------------

    def on_data(self, stream: Stream, data: bytes) -> None:
        """Take what is whole, keep the rest."""
        self._heard_at = self._reactor.now()
        if self._rest:
            data = self._rest + data
        start = 0
        while stream is self._stream:
            end = data.find(b"\r\n", start)
            if end < 0:
                break
            if data.startswith((b"MSG", b"HMSG"), start):
                fields = data[start:end].split(b" ")
                after = end + 2 + int(fields[-1]) + 2
                if len(data) < after:
                    break
                self._on_message(fields, data[end + 2 : after - 2])
                start = after
            else:
                self._on_line(stream, data[start:end])
                start = end + 2
        self._rest = data[start:]

    def _on_message(self, fields: list[bytes], body: bytes) -> None:
        """`MSG subject sid [reply] size`, `HMSG subject sid [reply] header_size size`."""
        headers = fields[0] == b"HMSG"
        reply = fields[3] if len(fields) == (6 if headers else 5) else b""
        if headers:
            size = int(fields[-2])
            if body.startswith(b"NATS/1.0 503"):  # nobody is subscribed to what we asked
                self._settle(fields[1], None)
                return
            body = body[size:]
        _, _, callback = self._subscriptions[int(fields[2]) - 1]
        callback(Message(fields[1], reply, body))

    def _on_line(self, stream: Stream, line: bytes) -> None:
        if line == b"PING":
            stream.write(b"PONG\r\n")
        elif line.startswith(b"INFO") and not self._live:
            lines = [self._subscription(sid + 1) for sid in range(len(self._subscriptions))]
            stream.write(_HELLO % self.name.encode() + b"".join(lines))
            self._live = True
            self._failures = 0
            self.connections += 1
            self.on_ready()
        elif line.startswith(b"-ERR"):
            stream.abort()  # each of them is the end here; the reconnect is the remedy
