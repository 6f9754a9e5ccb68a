"""What leads from one account to another: streams, services, and the way home of answers.

The idea: a *crossing* stands under a filter in the trie of its account, beside the subscriptions.
A subject that meets one gets a flow that asks; whoever publishes to it is served by Python, which
lets the message over. Everything else of the account goes on without knowing.

* A stream: the exporter's messages are delivered to the importer's links under the importer's name
  for them, and go no further.
* A service: the importer's requests are published in the exporter's account, with a header that
  says where they come from, and with a reply subject `_R_.…` of the exporter's account, for which
  `ReplyHome` remembers where the answer must go. A service that an account imports may be exported
  by it again.
* Nothing, but each message is looked at: where a mapping chooses anew for each, where only the
  broker itself may publish, and where `traceparent` headers may ask for a trace.

An import holds if the other account exports the same subject or, without such an export, a wider
one, to everybody or to this one. One that does not hold is a complaint, not an error: with tokens,
accounts come and go.

Invariants: a request passes at most `MAX_DEPTH` accounts, and imports that form a cycle are
refused; a way home is forgotten after one answer, or (services that answer in streams) after
`threshold` seconds without one; an account has at most `MAX_AWAITED`, and the oldest goes first.

Source: nats-server's exports and imports, header `Nats-Request-Info` included. Where a queue group
of one name is on both sides of a stream, each side has a pick of its own here; nats-server takes
them for one.

Neighbours: accounts keep crossings, forwarding lets messages over. One thread; no clock.
"""

from __future__ import annotations

import json
import string
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from random import Random, SystemRandom
from typing import TYPE_CHECKING, Protocol

from broker.accounts import Account
from broker.blocks import Export, Import
from broker.link import Link
from broker.ops import Publish
from broker.reserved import EVENTS
from broker.subject import collides, covers
from broker.taps import Message, Tap
from broker.transform import Transform, compile, numbered, reversed_import
from broker.trie import Trie

if TYPE_CHECKING:
    from broker.msgtrace import Trail

__all__ = [
    "MAX_AWAITED",
    "MAX_DEPTH",
    "TRACE_DISABLED",
    "Carrier",
    "Crossing",
    "Passage",
    "ReplyHome",
    "export_for",
    "link_up",
]

MAX_DEPTH = 8

# A way home is about 300 bytes, and gone after an answer; this many are 20 MB of silence.
MAX_AWAITED = 65536

REQUEST_INFO = b"Nats-Request-Info: "

#: What is put into a message that must not be traced from here on.
TRACE_DISABLED = b"Nats-Trace-Dest: trace disabled\r\n"

_REPLIES = b"_R_."
_LETTERS = string.ascii_letters + string.digits


@dataclass(frozen=True)
class Passage:
    """A message on its way: what, from whom, where it is and where it was published, and when; and
    who is told of it.
    """

    publish: Publish
    link: Link | None
    account: Account
    origin: Account
    now: float
    depth: int = 0
    trace: Trail | None = None


class Carrier(Protocol):
    """What crossings ask of forwarding."""

    rng: Random

    def carry_on(self, passage: Passage) -> int:
        """Publish within the passage's account, crossings included; how many took it."""

    def hand_out(self, passage: Passage) -> int:
        """Deliver to the links of the passage's account alone; how many took it."""

    def overhear(self, tap: Tap, message: Message) -> None:
        """Have `tap` called when the clients have been served."""

    def details(self, link: Link | None, share: bool) -> Mapping[str, object]:
        """What a service may know about who asks: the round trip, or with `share` who it is."""


class Crossing(ABC):
    """One thing that a message meets beside subscriptions.

    `once`: it is met on the server where the message was published, and on no other.
    """

    once = False

    @property
    def wants(self) -> bytes:
        """The filter of what other servers must send us because of it; empty: nothing."""
        return b""

    @abstractmethod
    def meet(self, passage: Passage, carrier: Carrier) -> int:
        """Let the message over; returns how many took it there."""


class Asks(Crossing):
    """Lets nothing over; stands where messages have to be looked at one by one."""

    def __init__(self, why: str) -> None:
        self._why = why

    def __str__(self) -> str:
        return self._why

    def meet(self, passage: Passage, carrier: Carrier) -> int:
        """Nothing: what there was to look at was looked at before."""
        return 0


class Overhear(Crossing):
    """A tap as a crossing."""

    def __init__(self, tap: Tap) -> None:
        self.tap = tap

    def __str__(self) -> str:
        return f"the broker itself listens to {_text(self.tap.filter)}"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Overhear) and other.tap is self.tap

    def __hash__(self) -> int:
        return hash(self.tap)

    @property
    def wants(self) -> bytes:
        """What the tap listens to, if it listens to other servers."""
        return self.tap.filter if self.tap.across else b""

    def meet(self, passage: Passage, carrier: Carrier) -> int:
        """The tap will hear it."""
        publish = passage.publish
        if _only_traced(passage):
            return 1
        message = Message(
            publish.subject,
            publish.reply,
            publish.payload[: publish.header_size],
            publish.payload[publish.header_size :],
            passage.link,
            passage.account.name,
        )
        carrier.overhear(self.tap, message)
        return 1


class StreamOut(Crossing):
    """A stream that `importer` imports; stands in the exporter's account."""

    def __init__(self, importer: Account, transform: Transform, allow_trace: bool = False) -> None:
        self.importer = importer
        self.transform = transform
        self.allow_trace = allow_trace

    def __str__(self) -> str:
        there = _text(self.transform.destination)
        return f"account {self.importer.name} imports this stream as {there}"

    @property
    def wants(self) -> bytes:
        """The stream."""
        return self.transform.source

    def meet(self, passage: Passage, carrier: Carrier) -> int:
        """The importer's links hear it under their name for it."""
        subject = self.transform.apply(passage.publish.subject, carrier.rng)
        publish = renamed(passage.publish, subject)
        trace = passage.trace and passage.trace.through(subject, self.allow_trace)
        onward = replace(passage, publish=publish, account=self.importer, trace=trace)
        return carrier.hand_out(onward)


class ServiceIn(Crossing):
    """A service of `exporter`; stands in the importer's account."""

    once = True

    def __init__(
        self, exporter: Account, transform: Transform, export: Export, share: bool
    ) -> None:
        self.exporter = exporter
        self.transform = transform
        self.export = export
        self.share = share

    def __str__(self) -> str:
        there = _text(self.transform.destination)
        return f"account {self.exporter.name} serves this as {there}"

    def meet(self, passage: Passage, carrier: Carrier) -> int:
        """The request is published in the exporter's account, and its answer will come home."""
        home = self.exporter.home
        if passage.depth >= MAX_DEPTH or home is None:
            return 0
        publish, reply = passage.publish, b""
        if publish.reply:
            wait = Awaited(passage.account, publish.reply, self.export, 0.0)
            reply = home.expect(wait, passage.now, carrier.rng)
        subject = self.transform.apply(publish.subject, carrier.rng)
        subject = self.exporter.mapper.map(subject, carrier.rng)
        request = with_header(publish, subject, reply, self._info(passage, carrier))
        onward = replace(passage, publish=request, account=self.exporter, depth=passage.depth + 1)
        taken = _beyond(passage, onward, carrier, told=self.export.allow_trace)
        if reply and (not taken or _only_traced(passage)):
            home.forget(reply)
        return taken

    def _info(self, passage: Passage, carrier: Carrier) -> bytes:
        info: dict[str, object] = {"acc": passage.origin.name}
        if passage.account is not passage.origin:
            info["svc"] = passage.account.name
        info.update(carrier.details(passage.link, self.share))
        return REQUEST_INFO + json.dumps(info, separators=(",", ":")).encode() + b"\r\n"


@dataclass
class Awaited:
    """Where answers to one request go: to `reply` in `account`, until `until`."""

    __slots__ = ("account", "export", "reply", "until")

    account: Account
    reply: bytes
    export: Export
    until: float


class ReplyHome(Crossing):
    """The requests from other accounts that may still be answered; stands under `wants`.

    Each has a part of `_R_.>` of its own, so that among several servers answers find the one that
    asked.
    """

    def __init__(self) -> None:
        self._prefix = _REPLIES + "".join(SystemRandom().choices(_LETTERS, k=6)).encode() + b"."
        self._awaited: dict[bytes, Awaited] = {}  # by reply subject, oldest first

    def __str__(self) -> str:
        return "answers to requests from other accounts go home"

    @property
    def wants(self) -> bytes:
        """All answers."""
        return self._prefix + b">"

    def __len__(self) -> int:
        """How many ways home are kept, expired ones included."""
        return len(self._awaited)

    def expect(self, wait: Awaited, now: float, rng: Random) -> bytes:
        """Remember where answers go, and make the reply subject that stands for it.  O(1)."""
        self._sweep(now)
        reply = b""
        while not reply or reply in self._awaited:
            reply = self._prefix + "".join(rng.choices(_LETTERS, k=6)).encode()
        wait.until = now + wait.export.threshold
        self._awaited[reply] = wait
        return reply

    def forget(self, reply: bytes) -> None:
        """No answer is waited for any more."""
        self._awaited.pop(reply, None)

    def _sweep(self, now: float) -> None:
        """Drop the oldest as far as they have expired or are too many; amortized O(1)."""
        while self._awaited:
            reply = next(iter(self._awaited))
            if now < self._awaited[reply].until and len(self._awaited) < MAX_AWAITED:
                return
            del self._awaited[reply]

    def meet(self, passage: Passage, carrier: Carrier) -> int:
        """The answer goes home; if it wants an answer itself, that one will find back."""
        publish, now = passage.publish, passage.now
        wait = self._awaited.pop(publish.subject, None)
        if wait is None or now >= wait.until or passage.depth >= MAX_DEPTH:
            return 0
        if wait.export.response != "single":
            wait.until = now + wait.export.threshold
            self._awaited[publish.subject] = wait
        reply = publish.reply
        if reply and wait.account.home is not None:
            back = Awaited(passage.account, reply, wait.export, 0.0)
            reply = wait.account.home.expect(back, now, carrier.rng)
        answer = renamed(publish, wait.reply, reply)
        onward = replace(passage, publish=answer, account=wait.account, depth=passage.depth + 1)
        return _beyond(passage, onward, carrier, told=False)


def _only_traced(passage: Passage) -> bool:
    return passage.trace is not None and passage.trace.journey.only


def _beyond(passage: Passage, onward: Passage, carrier: Carrier, *, told: bool) -> int:
    """Carry on in another account; unless `told`, whoever traces learns no more from there."""
    trace, publish = passage.trace, onward.publish
    if trace is not None:
        there = publish.subject
        trace.journey.into_service(onward.account, passage.publish.subject, there)
        if not told and trace.journey.only:
            return 0
        # The service may pass on the headers that it got, to whom that destination means nothing.
        publish = with_header(publish, there, publish.reply, TRACE_DISABLED)
        onward = replace(onward, publish=publish, trace=trace if told else None)
    return carrier.carry_on(onward)


def _text(subject: bytes) -> str:
    return subject.decode("utf-8", "backslashreplace")


def renamed(publish: Publish, subject: bytes, reply: bytes | None = None) -> Publish:
    """The same message under another subject, and perhaps with another reply.  O(1)."""
    return Publish(
        subject,
        publish.reply if reply is None else reply,
        publish.payload,
        size_text=publish.size_text,
        header_size=publish.header_size,
        header_text=publish.header_text,
    )


def with_header(publish: Publish, subject: bytes, reply: bytes, line: bytes) -> Publish:
    """The same message with a header `line` more, and under other names.  O(size).

    A line of the same key that is there is dropped: a client must not say who it is itself.  A
    block that does not end as it should is left alone.
    """
    size = publish.header_size
    block, body = publish.payload[:size], publish.payload[size:]
    if not size:
        block = b"NATS/1.0\r\n\r\n"
    elif not block.endswith(b"\r\n\r\n"):
        return renamed(publish, subject, reply)
    key = line[: line.index(b":") + 1].lower()
    lines = [kept for kept in block[:-2].splitlines(True) if not kept.lower().startswith(key)]
    block = b"".join(lines) + line + b"\r\n"
    return Publish(subject, reply, block + body, header_size=len(block))


# --- from the configuration to crossings


def link_up(accounts: Mapping[str, Account]) -> list[str]:
    """Make all crossings anew from the accounts' blocks and taps; returns what does not hold.

    O(imports x exports of the account that they name).
    """
    complaints = []
    for account in accounts.values():
        account.crossings = Trie()
        account.crossed = account.mapper.sources
        account.home = account.home or ReplyHome()
        for source in account.mapper.sources:
            account.crossings.insert(source, _MAPPED)
        if account.trace_destination:
            account.crossings.insert(b">", _TRACED)
        if account.keeps(EVENTS):
            account.crossings.insert(EVENTS + b">", _KEPT)
        for tap in account.taps:
            account.crossings.insert(tap.filter, Overhear(tap))
    for account in accounts.values():
        for wanted in account.block.imports if account.block else ():
            try:
                _import(accounts, account, wanted)
            except ValueError as problem:
                kind = "service" if wanted.service else "stream"
                complaints.append(
                    f"account {account.name!r}: {kind} import of"
                    f" {_text(wanted.subject)!r}"
                    f" from {wanted.account!r}: {problem}"
                )
    return complaints


_MAPPED = Asks("a mapping chooses anew for each message")
_KEPT = Asks("only the broker itself publishes here")
_TRACED = Asks("messages with a traceparent header may be traced")


def _import(accounts: Mapping[str, Account], account: Account, wanted: Import) -> None:
    exporter = accounts.get(wanted.account)
    if exporter is None:
        raise ValueError("there is no such account")
    export = _export(exporter, account, wanted)
    if not wanted.service:
        template = (
            wanted.prefix.rstrip(b".") + b"." + wanted.subject if wanted.prefix else wanted.to
        )
        transform = compile(wanted.subject, numbered(template or wanted.subject))
        stream = StreamOut(account, transform, wanted.allow_trace)
        exporter.crossings.insert(wanted.subject, stream)
        return
    source, destination = reversed_import(wanted.subject, wanted.to or wanted.subject)
    if _leads_to(accounts, exporter, wanted.subject, account, source):
        raise ValueError("import forms a cycle")
    service = ServiceIn(exporter, compile(source, destination), export, wanted.share)
    account.crossings.insert(source, service)
    account.crossed += (source,)
    for place in (account, exporter):
        if place.home is not None:
            place.crossings.insert(place.home.wants, place.home)


def _export(exporter: Account, account: Account, wanted: Import) -> Export:
    exports = exporter.block.exports if exporter.block else ()
    export = export_for(exports, wanted)
    if export is None or not _is_open(export, account.name, wanted):
        kind = "service" if wanted.service else "stream"
        raise ValueError(f"{kind} import not authorized")
    return export


def export_for(exports: Sequence[Export], wanted: Import) -> Export | None:
    """The export that `wanted` is an import of: the one of its very subject, else the first that
    covers it.  O(exports).
    """
    alike = [export for export in exports if export.service == wanted.service]
    for export in alike:
        if export.subject == wanted.subject:
            return export
    return next((export for export in alike if covers(export.subject, wanted.subject)), None)


def _is_open(export: Export, importer: str, wanted: Import) -> bool:
    if export.position:
        tokens = wanted.subject.split(b".")
        return export.position <= len(tokens) and tokens[export.position - 1] == importer.encode()
    if export.token:
        return wanted.activated
    return export.accounts is None or importer in export.accounts


def _leads_to(
    accounts: Mapping[str, Account], start: Account, subject: bytes, end: Account, back: bytes
) -> bool:
    """Whether a request to `subject` in `start` may come to `back` in `end` by imports."""
    seen = set()
    ways = [(start, subject)]
    while ways:
        way = ways.pop()
        account, arriving = way
        if account is end and collides(arriving, back):
            return True
        if way not in seen:
            seen.add(way)
            ways.extend(_onward(accounts, account, arriving))
    return False


def _onward(
    accounts: Mapping[str, Account], account: Account, arriving: bytes
) -> Iterator[tuple[Account, bytes]]:
    for wanted in account.block.imports if account.block else ():
        source = reversed_import(wanted.subject, wanted.to or wanted.subject)[0]
        if wanted.service and wanted.account in accounts and collides(source, arriving):
            yield accounts[wanted.account], wanted.subject
