"""Tracing one message: where it went and why not elsewhere, reported to a subject of one's choice.

The idea: a publisher puts ``Nats-Trace-Dest: <subject>`` among a message's headers, and the broker
publishes there, as JSON, what became of the message: where it came in, what it was mapped to, which
services and streams it passed, and each client it was given to or not given to. With
``Nats-Trace-Only: true`` nothing is delivered, and only told. A W3C ``traceparent`` header that
says "sampled" does the same where the account names a destination (``msg_trace``).

Three steps: `wish` reads headers; `Tracer.begin` decides what becomes of such a message and begins
a `Journey`, to which forwarding and crossings add events; the journey's report is emitted when all
is done. A `Trail` is a journey as seen from one place on the way.

What it costs others: the data plane looks for the name of the header in messages that have headers,
and hands up those that hold it. In an account with ``msg_trace`` all messages take the way through
Python, because `traceparent` may be written in any mixture of capitals.

Invariants: a destination is judged as if the publisher published there itself. Whatever is wrong
with a wish, a message that was only to be traced is never delivered.

Where we differ from nats-server: all events of a message bear one time, as it is one turn; of a
queue group whose member was found, only that member is told; a member for a message that is only
traced is the first that would take it; a report asked for in snappy comes as it is; headers of more
than 16 KiB are not traced, nor is a message that is too large to be let in; of more than 1024
events the rest is counted.

Source: nats-server 2.15.1, asked with raw bytes; names of fields and headers are its own.

Neighbours: session begins and gives up, forwarding and crossing add and end. One thread; no clock.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from random import Random
from typing import Any, Protocol

from broker.accounts import Account, Subscription, Zone
from broker.crossing import TRACE_DISABLED, with_header
from broker.errors import WireError, publish_violation
from broker.flow import Delivery, Flow, Pick
from broker.link import Link
from broker.ops import Publish
from broker.reserved import refusal
from broker.scope import Kind
from broker.subject import is_valid_publish

__all__ = ["Journey", "Start", "Tracer", "Trail", "Wish", "Witness", "wish"]

NO_ECHO = "Not delivered because of no echo"
WITHHELD = "Not delivered because subscription denies this subject"
CLIENT_CLOSED = "Not delivered because client is closed"

_VERSION = b"NATS/1.0\r\n"
_DESTINATION = "Nats-Trace-Dest"
_ORIGIN = "Nats-Trace-Origin-Account"

# Cutting up more headers would take milliseconds, and who traces has a few.
MAX_HEADERS = 16 * 1024

# Telling of one more takes several microseconds, giving it the message a fraction of one.
MAX_EVENTS = 1024

# nats-server's numbers of what a connection is.
_KINDS = {Kind.CLIENT: 0, Kind.ROUTE: 1, Kind.LEAF: 4}

# The last part of a traceparent, flags of eight bits of which Go reads seven; the lowest: sampled.
_FLAGS = re.compile(r"[0-7][0-9a-fA-F]|\+[0-9a-fA-F]")


# --- what headers ask for


@dataclass(frozen=True)
class Wish:
    """All headers, by name; where to report (empty: where the account says) and whether that is
    all that is wanted.
    """

    headers: Mapping[str, list[str]]
    destination: str
    only: bool

    def first(self, name: str) -> str:
        """The first value of a header, or nothing."""
        return self.headers.get(name, [""])[0]


def wish(block: bytes) -> Wish | None:
    """What a block of headers asks for, if anything.  O(size)."""
    if not block.startswith(_VERSION):
        return None
    headers: dict[str, list[str]] = {}
    sampled = False
    for name, value in _fields(block):
        headers.setdefault(name, []).append(value)
        sampled = sampled or (name.lower() == "traceparent" and _is_sampled(value))
    destinations = headers.get(_DESTINATION)
    if destinations is None:
        return Wish(headers, "", False) if sampled else None
    if "trace disabled" in destinations[:1]:
        return None
    only = headers.get("Nats-Trace-Only", [""])[0].lower() in ("1", "true", "on")
    return Wish(headers, destinations[0], only)


def _fields(block: bytes) -> Iterator[tuple[str, str]]:
    """As nats-server cuts them: a line without a colon becomes a part of the next one's name."""
    pos = len(_VERSION)
    while (colon := block.find(b":", pos)) >= 0:
        end = block.find(b"\r\n", colon)
        if end < 0:
            return
        name, value = block[pos:colon], block[colon + 1 : end].strip(b" \t")
        if name and value:
            yield name.decode("utf-8", "replace"), value.decode("utf-8", "replace")
        pos = end + 2


def _is_sampled(value: str) -> bool:
    parts = value.split("-")
    if len(parts) != 4 or not _FLAGS.fullmatch(parts[3]):
        return False
    return bool(int(parts[3], 16) & 1)


# --- what is told


class Witness(Protocol):
    """Who knows what a report says besides."""

    def stamp(self) -> Mapping[str, object]:
        """The server that reports, as nats-server's events name one."""

    def name(self, link: Link) -> str:
        """What a client calls itself."""

    def time(self) -> str:
        """The time."""


class Nobody:
    """The witness where there is no server."""

    def stamp(self) -> Mapping[str, object]:
        """Nothing is known."""
        return {}

    def name(self, link: Link) -> str:
        """No client has a name."""
        return ""

    def time(self) -> str:
        """There is no clock."""
        return ""


class Journey:
    """What became of one message.  `account` and `destination` are where it is reported."""

    def __init__(
        self,
        witness: Witness,
        zone: Zone,
        link: Link,
        publish: Publish,
        wanted: Wish,
        destination: bytes,
    ) -> None:
        self.account = zone.account
        self.destination = destination
        self.only = wanted.only
        self._encoding = wanted.first("Accept-Encoding").lower()
        self._witness = witness
        self._at = witness.time()
        # As Go writes a map.
        headers = dict(sorted(wanted.headers.items()))
        self._request = {"header": headers, "msgsize": len(publish.payload)}
        self._events: list[dict[str, object]] = []
        self._omitted = 0
        self._add(
            "in",
            kind=0,
            cid=link.id,
            name=witness.name(link),
            acc=self.account.name,
            subj=_text(publish.subject),
        )

    def _add(self, event: str, /, **fields: object) -> None:
        if len(self._events) >= MAX_EVENTS:
            self._omitted += 1
            return
        present = {name: value for name, value in fields.items() if value != ""}
        self._events.append({"type": event, "ts": self._at, **present})

    def refused(self, error: WireError) -> None:
        """It was not let in."""
        self._events[0]["error"] = _text(error.text or b"")

    def mapped(self, subject: bytes) -> None:
        """It goes to another subject."""
        self._add("sm", to=_text(subject))

    def into_service(self, account: Account, subject: bytes, there: bytes) -> None:
        """It was a request to `subject` that `account` serves as `there`."""
        self._add("si", acc=account.name, **{"from": _text(subject)}, to=_text(there))

    def into_stream(self, account: Account, subject: bytes) -> None:
        """It is heard in `account` as `subject`."""
        self._add("se", acc=account.name, to=_text(subject))

    def given(self, to: Subscription, problem: str) -> None:
        """A client or another server gets it, or does not because of a `problem`."""
        account, link = to.account, to.link
        is_client = link.kind is Kind.CLIENT
        self._add(
            "eg",
            kind=_KINDS[link.kind],
            cid=link.id,
            name=self._witness.name(link),
            acc="" if account is self.account else account.name,
            sub=_text(to.filter) if is_client else "",
            queue=_text(to.queue) if is_client else "",
            error=problem,
        )

    def report(self) -> Publish:
        """The message that tells it."""
        told: dict[str, Any] = {"server": self._witness.stamp(), "request": self._request}
        told["events"] = self._events
        if self._omitted:
            told["omitted"] = self._omitted
        text = json.dumps(told, separators=(",", ":"), ensure_ascii=False)
        for special in "<>&\u2028\u2029":  # which Go escapes; they only occur within texts
            text = text.replace(special, f"\\u{ord(special):04x}")
        body, encoding = text.encode("utf-8", "replace"), ""
        if self._encoding:
            encoding = "gzip" if "gzip" in self._encoding else "identity"
        if encoding == "gzip":
            import gzip  # for the few who ask for it

            body = gzip.compress(body, mtime=0)
        headers = f"NATS/1.0\r\nContent-Encoding: {encoding}\r\n\r\n".encode() if encoding else b""
        return Publish(self.destination, b"", headers + body, header_size=len(headers))


def _text(subject: bytes) -> str:
    return subject.decode("utf-8", "replace")


@dataclass(frozen=True)
class Trail:
    """A journey in one account: with `stream`, the subject by which a stream brought it there.
    Unless `told`, who gets it there is that account's own affair.
    """

    journey: Journey
    stream: bytes = b""
    told: bool = True

    def through(self, subject: bytes, told: bool) -> Trail:
        """The same, beyond a stream."""
        return replace(self, stream=subject, told=told)

    def withhold(self, subscriptions: Iterable[Subscription]) -> None:
        """These match and may not be given it."""
        for subscription in subscriptions:
            self._note(subscription, WITHHELD)

    def pretend(self, flow: Flow[Link], source: Link | None) -> int:
        """Tell what a flow would do with the message; how many would take it."""
        taken = 0
        for delivery in (*flow.plain, *flow.peers):
            problem = _problem(delivery, source)
            self._note(delivery, problem)
            taken += not problem
        for pick in flow.picks:
            members = _members(pick)
            takers = [one for one in members if not _problem(one, source)][:1]
            taken += len(takers)
            for delivery in takers or members:
                self._note(delivery, _problem(delivery, source))
        return taken

    def record(
        self, flow: Flow[Link], before: Mapping[Delivery[Link], int], source: Link | None
    ) -> None:
        """Tell what a flow has done with it, by what its deliveries counted `before`."""
        for delivery in (*flow.plain, *flow.peers):
            taken = delivery.msgs > before[delivery]
            self._note(delivery, "" if taken else _problem(delivery, source))
        for pick in flow.picks:
            members = _members(pick)
            takers = [one for one in members if one.msgs > before[one]]
            for delivery in takers or members:
                self._note(delivery, "" if takers else _problem(delivery, source))

    def _note(self, delivery: Delivery[Link], problem: str) -> None:
        if not isinstance(delivery, Subscription):
            raise TypeError("a flow holds a delivery that the switchboard did not make")
        if self.stream:
            self.journey.into_stream(delivery.account, self.stream)
        if self.told:
            self.journey.given(delivery, problem)


def _members(pick: Pick[Link]) -> list[Delivery[Link]]:
    """Who of a queue group may be asked, each once."""
    return list(dict.fromkeys((*pick, *pick.spare)))


def _problem(delivery: Delivery[Link], source: Link | None) -> str:
    link = delivery.link
    if link is source and not link.echo:
        return NO_ECHO
    return CLIENT_CLOSED if link.deaf else ""


# --- how it begins


@dataclass(frozen=True)
class Start:
    """What becomes of a message that wishes to be traced: how it goes on (None: not at all), and
    what the publisher and the log are told.
    """

    publish: Publish | None
    journey: Journey | None = None
    error: WireError | None = None
    complaint: str = ""


class Tracer:
    """Begins journeys.  `witness` knows what no switchboard knows; whoever knows servers sets it.

    `rng` chooses which messages of an account that samples are traced.
    """

    def __init__(self, rng: Random) -> None:
        self.witness: Witness = Nobody()
        self._rng = rng

    def begin(self, zone: Zone, link: Link, publish: Publish) -> Start | None:
        """What becomes of a publish with headers, if they wish for a trace.  O(headers)."""
        account = zone.account
        block = publish.payload[: publish.header_size]
        if b"Nats-Trace-Dest:" not in block and not account.trace_destination:
            return None
        if len(block) > MAX_HEADERS:
            problem = f"{len(block)} bytes of headers are too many to trace a message"
            return Start(None if b"Nats-Trace-Only:" in block else publish, complaint=problem)
        wanted = wish(block)
        if wanted is None:
            return None
        rest = None if wanted.only else publish
        if origin := wanted.first(_ORIGIN):
            problem = (
                f'Message tracing disabled because of header "{_ORIGIN}" with value="{origin}"'
            )
            return Start(rest and _without_trace(rest), complaint=problem)
        destination = wanted.destination.encode()
        if not destination:
            destination = account.trace_destination
            if not destination:
                return None
            if self._rng.random() * 100 >= account.trace_sampling:
                return Start(_without_trace(publish))
        if not is_valid_publish(destination) or any(map(destination.__contains__, b" \t\n\r\f")):
            shown = wanted.destination
            problem = f'Destination "{shown}" is not valid, won\'t be able to trace events'
            return Start(rest, complaint=problem)
        if error := _forbidden(zone, destination):
            return Start(None, error=error)
        return Start(publish, Journey(self.witness, zone, link, publish, wanted, destination))


def _without_trace(publish: Publish) -> Publish:
    return with_header(publish, publish.subject, publish.reply, TRACE_DISABLED)


def _forbidden(zone: Zone, destination: bytes) -> WireError | None:
    allowed = zone.gate is None or zone.gate.look(destination)[0]
    if not allowed or zone.account.keeps(destination):
        return publish_violation(destination)
    return refusal(Publish(destination, b"", b""))
