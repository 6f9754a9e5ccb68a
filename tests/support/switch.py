"""A switchboard over the Python data plane, and nothing else: no session, no socket.

It plays the session's part for SUB, UNSUB and parked publishes, so that tests of routing speak in
protocol lines and read protocol lines, and break only when routing breaks.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from broker.accounts import Accounts
from broker.blocks import DEFAULT_ACCOUNT, AccountBlock, MappingBlock
from broker.codec import err_line
from broker.errors import WireError
from broker.flow import FlowTable
from broker.ops import Interest, Subscribe, Unsubscribe
from broker.permissions import FREE, Permissions
from broker.plane import Link, PythonPlane, Verdict
from broker.scope import EVERYWHERE, Kind, Scope
from broker.switchboard import DEFAULT_ZONE, Switchboard

MESSAGE = re.compile(rb"H?MSG (\S+) (\S+) (?:(\S+) )??(?:(\d+) )?(\d+)\r\n")


@dataclass(frozen=True)
class Message:
    """A message as a client reads it; `head` is the header block, empty for a MSG."""

    subject: bytes
    sid: bytes
    reply: bytes
    head: bytes
    body: bytes


class Switch:
    """The control plane and the data plane of one broker, driven by hand.

    `now` is the time; `refused` has the texts of all errors, in order.
    """

    def __init__(
        self,
        flows: FlowTable[Link] | None = None,
        seed: int = 1,
        *,
        blocks: Sequence[AccountBlock] = (),
        mappings: Sequence[MappingBlock] = (),
        talks: bool = False,
    ) -> None:
        """With `talks`, a link hears its errors as well."""
        self.plane = PythonPlane(flows, rng=Random(seed))
        self.board = Switchboard(self.plane, Accounts(blocks, mappings), Random(seed))
        self.misses = 0
        self.now = 0.0
        self.refused: list[bytes] = []
        self._talks = talks
        self._ids = 0

    def connect(
        self,
        account: str = DEFAULT_ACCOUNT,
        permissions: Permissions = FREE,
        *,
        echo: bool = True,
        no_responders: bool = False,
    ) -> Link:
        self._ids += 1
        link = self.plane.open(self._ids, DEFAULT_ZONE)
        link.configure(
            zone=self.board.enter(link, account, permissions),
            verbose=False,
            pedantic=False,
            echo=echo,
            headers=True,
            no_responders=no_responders,
        )
        return link

    def peer(self, kind: Kind = Kind.ROUTE, origin: bytes = b"", scope: Scope = EVERYWHERE) -> Link:
        """Another server, that has introduced itself; a leaf is in `$G`."""
        self._ids += 1
        link = self.plane.open(self._ids, DEFAULT_ZONE, kind=kind)
        link.origin, link.origins = origin, True
        zone = DEFAULT_ZONE
        if kind is Kind.LEAF:
            zone = self.board.enter(link, DEFAULT_ACCOUNT, FREE, scope)
        link.configure(zone=zone, verbose=False, pedantic=False, echo=False, headers=True)
        return link

    def disconnect(self, link: Link) -> None:
        self.board.leave(link)
        self.plane.close(link)

    def say(self, link: Link, *lines: bytes) -> None:
        """Feed `lines`, each completed by CRLF, and do what a session would."""
        verdict = self.plane.feed(link, b"".join(line + b"\r\n" for line in lines))
        while verdict is not Verdict.DRAINED:
            if verdict is Verdict.MISS and link.kind is not Kind.CLIENT:
                self.misses += 1
                self.board.peering.arrive(link, self.plane.parked(link), self.now)
            elif verdict is Verdict.MISS:
                self.misses += 1
                judged = self.board.judge(link, self.plane.parked(link), self.now)
                if isinstance(judged, WireError):
                    self._note(link, judged)
                else:
                    self.board.forward(link, judged, self.now)
            elif verdict is Verdict.CONTROL:
                self._obey(link)
            else:
                raise AssertionError(f"the data plane stopped with {verdict}")
            verdict = self.plane.resume(link)

    def _obey(self, link: Link) -> None:
        op = self.plane.control(link)
        if isinstance(op, Subscribe):
            self._note(link, self.board.subscribe(link, op.subject, op.queue, op.sid))
        elif isinstance(op, Unsubscribe):
            self.board.unsubscribe(link, op.sid, op.max)
        elif isinstance(op, Interest):
            self._note(link, self.board.peering.learn(link, op))
        else:
            raise AssertionError(f"no test of routing says {op}")

    def _note(self, link: Link, error: WireError | None) -> None:
        if error is not None:
            self.refused.append(error.text or b"")
            if self._talks:
                self.plane.send(link, err_line(error))

    def told(self, link: Link) -> bytes:
        """The bytes queued for `link` since the last call."""
        return b"".join(link.take_output())

    def heard(self, link: Link) -> list[Message]:
        """The messages queued for `link` since the last call, in order."""
        return parse(b"".join(link.take_output()))


def parse(wire: bytes) -> list[Message]:
    """All messages in `wire`, which holds nothing else."""
    messages = []
    while wire:
        line = MESSAGE.match(wire)
        assert line is not None, wire
        subject, sid, reply, head_size, size = line.groups()
        if not line.group().startswith(b"HMSG") and head_size is not None:
            reply, head_size = head_size, None  # a reply made of digits
        end = line.end() + int(size)
        middle = line.end() + int(head_size or 0)
        assert wire[end : end + 2] == b"\r\n", wire
        messages.append(
            Message(subject, sid, reply or b"", wire[line.end() : middle], wire[middle:end])
        )
        wire = wire[end + 2 :]
    return messages
