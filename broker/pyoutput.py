"""What the data plane in Python writes: one message, framed for each who gets it.

The idea: everybody who gets a message gets the same bytes, but for a few in front. So a message is
framed once, and what is queued for each receiver are pieces that all of them share. A client's
copy is an MSG or HMSG with its sid; another server's is one line, whatever it gets the message for,
which names the queue groups that it must serve (`broker.framing`).

Invariants: whatever is queued, its link is in the dirty list; a link that would hold more than it
may overflows instead, and gets no more.

Neighbours: `broker.pyplane` is this and the input; `broker.plane` has the contract. One thread.
"""

from __future__ import annotations

from random import Random

from broker.codec import CRLF, hmsg_parts, msg_parts
from broker.flow import Delivery, Flow, Pick
from broker.framing import message_line
from broker.link import Link
from broker.ops import Publish
from broker.scope import Kind

__all__ = ["Output"]

# A message in the form in which some receivers want it: before the sid, after it, size of the
# payload.
_Form = tuple[bytes, bytes, int]

# The groups that other servers must serve, by link, each with a delivery to that server.
_Groups = dict[Link, tuple[Delivery[Link], list[bytes]]]


class Output:
    """The output half of `PythonPlane`.  Not thread-safe."""

    def __init__(self, rng: Random) -> None:
        self._random = rng.random
        self._dirty: list[Link] = []
        self._overflowed: list[Link] = []

    # --- one message to many

    def _fan_out(
        self,
        mute: Link | None,
        flow: Flow[Link],
        prefix: bytes,
        tail: bytes,
        size: int,
        publish: Publish | None = None,
    ) -> int:
        """Queues one message for all.  The hottest loop there is, hence `_hand` written out.

        Without `publish` it is made of the other arguments if it is needed.
        """
        taken = 0
        common = len(prefix) + len(tail)
        dirty = self._dirty
        for delivery in flow.plain:
            link = delivery.link
            if link is mute:
                continue
            if link.deaf:
                link.dropped += 1
                continue
            sid = delivery.sid
            queued = link.queued + common + len(sid)
            if queued > link.room:
                self._overflow(link)
                continue
            out = link.out
            if not out:
                dirty.append(link)
            out.extend((prefix, sid, tail))
            link.queued = queued
            link.out_msgs += 1
            link.out_bytes += size
            delivery.msgs += 1
            taken += 1
        if flow.beyond:
            form = (prefix, tail, size)
            taken += self._fan_beyond(mute, flow, form, form, publish)
        return taken

    def _fan_out_headers(self, mute: Link | None, flow: Flow[Link], publish: Publish) -> int:
        """The same for a message with headers: receivers that did not ask for them get a MSG
        without.
        """
        full, bare = _forms(publish)
        taken = 0
        for delivery in flow.plain:
            if delivery.link is not mute:
                taken += self._hand(delivery, full if delivery.link.headers else bare)
        if flow.beyond:
            taken += self._fan_beyond(mute, flow, full, bare, publish)
        return taken

    def _fan_beyond(
        self,
        mute: Link | None,
        flow: Flow[Link],
        full: _Form,
        bare: _Form,
        publish: Publish | None,
    ) -> int:
        """Serves queue groups and other servers."""
        taken = 0
        routing = None if publish is None else publish.routing
        if routing is None and not flow.meshed:  # as in every broker that stands alone
            for pick in flow.picks:
                taken += self._pick(mute, pick, full, bare)
            return taken
        groups: _Groups = {}
        for pick in flow.picks:
            if routing is None or pick.queue in routing.queues:
                taken += self._pick_anywhere(mute, pick, full, bare, groups)
        if flow.peers or groups:
            told = publish or _publish_of(full)
            taken += self._tell_peers(mute, told, flow.peers, groups)
        return taken

    def _pick(self, mute: Link | None, pick: Pick[Link], full: _Form, bare: _Form) -> int:
        """One of a queue group: a random member, or the next after it that takes the message."""
        first = int(self._random() * len(pick))
        for delivery in pick[first:] + pick[:first] if first else pick:
            link = delivery.link
            if link is not mute and self._hand(delivery, full if link.headers else bare):
                return 1
        return 0

    def _pick_anywhere(
        self,
        mute: Link | None,
        pick: Pick[Link],
        full: _Form,
        bare: _Form,
        groups: _Groups,
    ) -> int:
        """The same where members may be another server's, which is noted in `groups`: it will be
        told of it with the rest of what it gets.
        """
        first = int(self._random() * len(pick))
        for members in (pick[first:] + pick[:first] if first else pick, pick.spare):
            for delivery in members:
                link = delivery.link
                if link is mute:
                    continue
                if link.kind is Kind.CLIENT:
                    if self._hand(delivery, full if link.headers else bare):
                        return 1
                elif not link.deaf:
                    groups.setdefault(link, (delivery, []))[1].append(pick.queue)
                    return 0
        return 0

    def _tell_peers(
        self,
        mute: Link | None,
        publish: Publish,
        peers: tuple[Delivery[Link], ...],
        groups: _Groups,
    ) -> int:
        """One line for each other server, with all that it must serve."""
        taken = 0
        origin = b"" if mute is None else mute.origin
        for delivery in peers:
            if delivery.link is not mute:
                _, queues = groups.pop(delivery.link, (None, []))
                taken += self._tell(delivery, origin, publish, queues)
        for delivery, queues in groups.values():
            taken += self._tell(delivery, origin, publish, queues)
        return taken

    def _tell(
        self, delivery: Delivery[Link], origin: bytes, publish: Publish, queues: list[bytes]
    ) -> bool:
        link = delivery.link
        if link.deaf:
            link.dropped += 1
            return False
        if publish.header_size and not link.headers:
            publish = _without_headers(publish)
        line = message_line(
            link.kind, delivery.sid, origin if link.origins else b"", publish, queues
        )
        size = len(publish.payload)
        if not self._queue(link, (line, publish.payload, CRLF), len(line) + size + 2):
            return False
        link.out_msgs += 1
        link.out_bytes += size
        delivery.msgs += 1
        return True

    def _hand(self, delivery: Delivery[Link], form: _Form) -> bool:
        link = delivery.link
        if link.deaf:
            link.dropped += 1
            return False
        prefix, tail, size = form
        length = len(prefix) + len(delivery.sid) + len(tail)
        if not self._queue(link, (prefix, delivery.sid, tail), length):
            return False
        link.out_msgs += 1
        link.out_bytes += size
        delivery.msgs += 1
        return True

    def _queue(self, link: Link, chunks: tuple[bytes, ...], length: int) -> bool:
        queued = link.queued + length
        if queued > link.room:
            self._overflow(link)
            return False
        if not link.out:
            self._dirty.append(link)
        link.out.extend(chunks)
        link.queued = queued
        return True

    def _overflow(self, link: Link) -> None:
        link.deaf = link.overflowed = True
        link.dropped += 1
        self._overflowed.append(link)


def _forms(publish: Publish) -> tuple[_Form, _Form]:
    """A message with headers, for those who want them and for those who do not."""
    subject, reply, payload = publish.subject, publish.reply, publish.payload
    full = hmsg_parts(subject, reply, publish.header_text, publish.size_text, payload + CRLF)
    body = payload[publish.header_size :]
    bare = msg_parts(subject, reply, b"%d" % len(body), body + CRLF)
    return (*full, len(payload)), (*bare, len(body))


def _without_headers(publish: Publish) -> Publish:
    return Publish(publish.subject, publish.reply, publish.payload[publish.header_size :])


def _publish_of(form: _Form) -> Publish:
    """The message of which `msg_parts` made this; O(size)."""
    prefix, tail, _ = form
    end = tail.index(CRLF)
    words = tail[1:end].split(b" ")
    reply = words[0] if len(words) == 2 else b""
    return Publish(prefix[4:-1], reply, tail[end + 2 : -2], size_text=words[-1])
