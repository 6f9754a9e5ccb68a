"""The data plane: parses, looks flows up, frames and queues deliveries.  It decides nothing.

The idea, taken from network switches: what happens a million times a second is separated from what
needs thought.  The plane takes the bytes of a *link*, and as long as they are publishes whose
subject is in the flow table it turns them into deliveries by itself.  At anything else it stops and
returns a `Verdict`; the session settles the matter and calls `resume`.  Nothing is called back, so
nothing re-enters and order is kept for free.

    DRAINED   all that was fed has been parsed
    YIELD     the budget of this turn is spent; call resume in the next
    CONTROL   an operation for Python is in control(link)
    MISS      a publish for Python is in parked(link): no flow, a flow that asks, a reserved subject
              or reply, a request that nobody received, or a link in verbose or pedantic mode
              (those want an answer or a judgement per message and are made for people at
              terminals, not for speed)
    BROKEN    the peer broke the protocol: error(link) says how.  Nothing was sent to tell it
    CLOSED    the link was closed; what was fed is dropped

What comes from another server is looked up in the zone that `arrivals` has for its account, or in
that of the link if it has but one, and goes to MISS for fewer reasons: no flow, or one that asks.

A delivery's framing follows the kind of its link. All that one message has for one other server is
one line, which names the queue groups of which that server must serve a member.

After a MISS the session judges the parked publish and hands it to the switchboard, which finds or
makes the flow and calls `deliver`.  A publish is counted in `in_msgs` when parsed, delivered or
not.

Output: the owner of the socket asks `take_dirty` for the links with output, takes it with
`take_output`, and tells the link through `backlog` how many bytes it still holds itself.  A link
whose queue and backlog together exceed `max_pending` is *overflowed*: it becomes deaf, what would
be queued is dropped and counted, and `take_overflowed` reports it once.

Here are the contract and the choice; `broker.pyplane` is the plane in Python.  No sockets, no
clock, no meaning.

Neighbours: session feeds and resumes, switchboard delivers, server takes output.  One plane per
reactor, one thread.
"""

from __future__ import annotations

from typing import Protocol

from broker.errors import ProtocolError
from broker.flow import Flow, FlowTable
from broker.link import Link, PlaneStats, Verdict
from broker.ops import Op, Publish
from broker.pyplane import PythonPlane
from broker.scope import Kind

__all__ = ["DataPlane", "Link", "PlaneStats", "PythonPlane", "Verdict", "choose_plane"]


class DataPlane(Protocol):
    """What the control plane and the server may ask of any data plane, in Python or in C."""

    flows: FlowTable[Link]
    #: The zone of what comes by routes, by account and origin; the switchboard keeps it.
    arrivals: dict[tuple[bytes, bytes], int]

    def open(
        self, link_id: int, zone: int, *, locked: bool = False, kind: Kind = Kind.CLIENT
    ) -> Link:
        """A new link, with the flags of a client that has not said CONNECT; `kind` decides what is
        spoken on it.
        """

    def close(self, link: Link) -> None:
        """No more input or deliveries; what is queued can still be taken.  Idempotent."""

    def set_limits(
        self,
        link: Link | None,
        *,
        max_payload: int | None = None,
        max_control_line: int | None = None,
        max_pending: int | None = None,
    ) -> None:
        """Changes the limits of one open link at once, or (None) of links opened from now on.

        Sizes in bytes; what is None stays as it is.  To be called between operations, hence not
        from within a feed.  A payload whose line was accepted still comes in, and a queue that is
        over its new bound is not cut: the link overflows when something is added to it.  Without
        effect on a closed link.

        Raises ValueError, and changes nothing, if a size is below 1.
        """

    def feed(self, link: Link, data: bytes) -> Verdict:
        """Parses until drained, out of budget, or at something that Python must decide."""

    def resume(self, link: Link) -> Verdict:
        """Goes on after a YIELD, or after a CONTROL or MISS has been dealt with."""

    def control(self, link: Link) -> Op:
        """The operation of the last CONTROL verdict."""

    def parked(self, link: Link) -> Publish:
        """The publish of the last MISS verdict."""

    def error(self, link: Link) -> ProtocolError:
        """What was wrong, after BROKEN."""

    def unfinished(self, link: Link) -> bytes | None:
        """The subject of a publish whose line has come and whose payload has not (or was wrong)."""

    def send(self, link: Link, data: bytes) -> None:
        """Queues Python's own output, in order with deliveries; dropped when the link is deaf."""

    def deliver(self, source: Link | None, publish: Publish, flow: Flow[Link]) -> int:
        """Queues `publish` for all deliveries of `flow`; returns how many took it.

        `source` is the publishing link, or None for a message of our own.  A link that said
        echo:false is left out of its own messages.  Of a message that another server routed to us,
        only the queue groups that it names are served.
        """

    def take_dirty(self) -> list[Link]:
        """The links that got output since the last call, each once (their output may have been
        taken).
        """

    def take_overflowed(self) -> list[Link]:
        """The links that exceeded max_pending since the last call."""

    def stats(self) -> PlaneStats:
        """Totals over all links, open and closed."""


def choose_plane(
    flows: FlowTable[Link] | None = None,
    *,
    max_payload: int = 1024 * 1024,
    max_control_line: int = 4096,
    max_pending: int = 64 * 1024 * 1024,
) -> DataPlane:
    """The best data plane that is installed; today there is one.  Sizes in bytes."""
    return PythonPlane(
        flows,
        max_payload=max_payload,
        max_control_line=max_control_line,
        max_pending=max_pending,
    )
