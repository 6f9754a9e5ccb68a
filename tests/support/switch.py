"""A switchboard over the Python data plane, and nothing else: no session, no socket.

It plays the session's part for SUB, UNSUB and parked publishes, so that tests of routing speak in
protocol lines and read protocol lines, and break only when routing breaks.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from random import Random

from broker.flow import FlowTable
from broker.ops import Subscribe, Unsubscribe
from broker.plane import Link, PythonPlane, Verdict
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
    """The control plane and the data plane of one broker, driven by hand."""

    def __init__(self, flows: FlowTable[Link] | None = None, seed: int = 1) -> None:
        self.plane = PythonPlane(flows, rng=Random(seed))
        self.board = Switchboard(self.plane)
        self.misses = 0
        self._ids = 0

    def connect(self, *, echo: bool = True, no_responders: bool = False) -> Link:
        self._ids += 1
        link = self.plane.open(self._ids, DEFAULT_ZONE)
        link.configure(
            zone=DEFAULT_ZONE,
            verbose=False,
            pedantic=False,
            echo=echo,
            headers=True,
            no_responders=no_responders,
        )
        return link

    def disconnect(self, link: Link) -> None:
        self.board.drop(link)
        self.plane.close(link)

    def say(self, link: Link, *lines: bytes) -> None:
        """Feed `lines`, each completed by CRLF, and do what a session would."""
        verdict = self.plane.feed(link, b"".join(line + b"\r\n" for line in lines))
        while verdict is not Verdict.DRAINED:
            if verdict is Verdict.MISS:
                self.misses += 1
                self.board.forward(link, self.plane.parked(link), 0.0)
            elif verdict is Verdict.CONTROL:
                self._obey(link)
            else:
                raise AssertionError(f"the data plane stopped with {verdict}")
            verdict = self.plane.resume(link)

    def _obey(self, link: Link) -> None:
        op = self.plane.control(link)
        if isinstance(op, Subscribe):
            self.board.subscribe(link, op.subject, op.queue, op.sid)
        elif isinstance(op, Unsubscribe):
            self.board.unsubscribe(link, op.sid, op.max)
        else:
            raise AssertionError(f"no test of routing says {op}")

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
