"""The data plane in Python: the fallback, explanation and oracle of the one in C.

The idea: `_forward` takes whole PUB messages from the read buffer, one regular expression, one flow
lookup and a few list operations each, for as long as they come.  Everything else, be it another
verb, a message cut by the network or a wrong one, goes through the parser, which is slower by a
small factor and knows all the rules.  Both ways give the same verdicts and the same bytes for the
same input; the tests cut streams everywhere to show it.

Invariants: see `broker.plane` for the contract.  What is parsed is counted, then forwarded or
parked, in the order of arrival; nothing is forwarded twice (a request that nobody took is parked
after the attempt, and attempted again by the switchboard: nobody took it, so nobody gets it twice).

Neighbours: codec parses, flow finds, `broker.pyoutput` writes; session and switchboard call.  One
plane per reactor, one thread.
"""

from __future__ import annotations

from random import Random

from broker.codec import CLIENT_DIALECT, CRLF, PUB_LINE, Parser, msg_parts
from broker.dialects import LEAF_DIALECT, LINE_FACTOR, ROUTE_DIALECT
from broker.errors import ProtocolError
from broker.flow import Flow, FlowTable
from broker.link import Link, PlaneStats, Verdict
from broker.ops import Op, Publish, Routing
from broker.pyoutput import Output
from broker.scope import Kind

__all__ = ["PythonPlane"]

# Work per feed or resume, in messages parsed plus deliveries made, so that one publisher with a
# wide fan-out cannot hold up everybody else for longer than a few milliseconds.
WORK_BUDGET = 4096

# Prefixes that go up to Python whatever the flow table says.  What they mean is the session's
# business.
ASK_SUBJECTS = (b"_GR_.", b"$GR.", b"$NRG.", b"$SYS.")
ASK_REPLIES = (b"$JS.ACK.", b"_R_.", b"_GR_.", b"$GR.")

# And the header with which a message asks to be traced.
ASK_HEADER = b"Nats-Trace-Dest:"


_DIALECTS = {
    Kind.CLIENT: CLIENT_DIALECT,
    Kind.ROUTE: ROUTE_DIALECT,
    Kind.LEAF: LEAF_DIALECT,
    Kind.HUB: LEAF_DIALECT,
}


def _unset(what: str) -> RuntimeError:
    return RuntimeError(
        f"the data plane holds no {what}: ask only after the verdict that promises one"
    )


class PythonPlane(Output):
    """The data plane in Python; see `DataPlane` for the contract and the module for the idea.

    Cost of a publish: one regular expression, one flow lookup, and per delivery a few attribute
    updates. Not thread-safe: one reactor, one thread.
    """

    def __init__(
        self,
        flows: FlowTable[Link] | None = None,
        *,
        max_payload: int = 1024 * 1024,
        max_control_line: int = 4096,
        max_pending: int = 64 * 1024 * 1024,
        work_budget: int = WORK_BUDGET,
        rng: Random | None = None,
    ) -> None:
        super().__init__(rng or Random())
        self.flows: FlowTable[Link] = FlowTable() if flows is None else flows
        self.arrivals: dict[tuple[bytes, bytes], int] = {}
        self._max_payload = max_payload
        self._max_control_line = max_control_line
        self._max_pending = max_pending
        self._work_budget = work_budget
        self._links: set[Link] = set()
        self._misses = 0
        self._past = [0, 0, 0, 0, 0]

    # --- links

    def open(
        self, link_id: int, zone: int, *, locked: bool = False, kind: Kind = Kind.CLIENT
    ) -> Link:
        """A new link with the flags of a client that has not said CONNECT.  O(1)."""
        client = kind is Kind.CLIENT
        parser = Parser(
            _DIALECTS[kind],
            # Another server's limit may be higher than ours; more than this reaches nobody.
            max_payload=self._max_payload if client else self._max_pending,
            max_control_line=self._max_control_line * (1 if client else LINE_FACTOR),
        )
        link = Link(link_id, zone, parser, self._max_pending, kind)
        link.configure(zone=zone, locked=locked)
        self._links.add(link)
        return link

    def close(self, link: Link) -> None:
        """Makes the link deaf and forgets its input; queued output can still be taken.  O(1)."""
        if link not in self._links:
            return
        self._links.remove(link)
        link.deaf = True
        link.control = link.parked = None
        link.parser.forget()
        for index, value in enumerate(_counters(link)):
            self._past[index] += value

    def set_limits(
        self,
        link: Link | None,
        *,
        max_payload: int | None = None,
        max_control_line: int | None = None,
        max_pending: int | None = None,
    ) -> None:
        """See `DataPlane.set_limits`.  O(1)."""
        _check_size("max_payload", max_payload)
        _check_size("max_control_line", max_control_line)
        _check_size("max_pending", max_pending)
        if link is None:
            self._max_payload = max_payload or self._max_payload
            self._max_control_line = max_control_line or self._max_control_line
            self._max_pending = max_pending or self._max_pending
            return
        parser = link.parser
        parser.max_payload = max_payload or parser.max_payload
        parser.max_control_line = max_control_line or parser.max_control_line
        link.max_pending = max_pending or link.max_pending
        link.room = link.max_pending - link.backlog

    # --- input

    def feed(self, link: Link, data: bytes) -> Verdict:
        """See `DataPlane.feed`.  O(len(data)) plus the deliveries."""
        if link not in self._links:
            return Verdict.CLOSED
        link.parser.feed(data)
        return self.resume(link)

    def resume(self, link: Link) -> Verdict:
        """See `DataPlane.resume`."""
        if link not in self._links:
            return Verdict.CLOSED
        if link.failure is not None:
            return Verdict.BROKEN
        link.control = link.parked = None
        try:
            return self._parse(link)
        except ProtocolError as failure:
            # Without its traceback, in which frames hold the link: nothing but the collector would
            # free the two.
            link.failure = failure.with_traceback(None)
            return Verdict.BROKEN

    def _parse(self, link: Link) -> Verdict:
        parser = link.parser
        budget = self._work_budget
        while budget > 0:
            if parser.at_start and not link.careful:
                budget -= self._forward(link, parser, budget)
                if link.parked is not None:
                    self._misses += 1
                    return Verdict.MISS
                if budget <= 0:
                    break
            op = parser.next()
            if op is None:
                return Verdict.DRAINED
            if not isinstance(op, Publish):
                link.control = op
                return Verdict.CONTROL
            link.in_msgs += 1
            link.in_bytes += len(op.payload)
            if op.header_size and op.payload.find(ASK_HEADER, 0, op.header_size) >= 0:
                flow = None
            elif op.routing is None:
                flow = self._flow_for(link, op.subject, op.reply)
            else:
                flow = self._flow_from_peer(link, op.subject, op.routing)
            taken = self.deliver(link, op, flow) if flow else 0
            if flow is None or (not taken and op.reply and link.no_responders):
                link.parked = op
                self._misses += 1
                return Verdict.MISS
            budget -= 1 + taken
        return Verdict.YIELD

    def _forward(self, link: Link, parser: Parser, budget: int) -> int:
        """The hot path: forwards whole PUBs for as long as they come; returns the work done.

        Stops before anything it cannot take in one glance (another verb, a cut message, a wrong
        one), which is left untouched for the parser, and behind a publish that it parked.
        """
        data, pos, end = parser.data, parser.pos, len(parser.data)
        max_line, max_payload = parser.max_control_line, parser.max_payload
        match, fan_out = PUB_LINE.match, self._fan_out
        mute = None if link.echo else link
        messages = size_sum = work = 0
        # Publishers repeat themselves.  A line equal to the one before means the same, as nothing
        # in here can change a flow, and comparing is ten times faster than reading it again.
        line = b""
        while work < budget:
            if not line or not data.startswith(line, pos):
                found = match(data, pos)
                if found is None:
                    break
                line = found[0]
                subject, reply, size_text = found.groups()
                size = int(size_text)
                # The line is measured with its verb; the parser will know what is too long.
                if len(line) > max_line or size > max_payload:
                    break
                flow = self._flow_for(link, subject, reply)
            start = pos + len(line)
            stop = start + size + 2
            body = data[start:stop]
            if stop > end or not body.endswith(CRLF):
                break
            pos = stop
            messages += 1
            size_sum += size
            if flow is None:
                link.parked = Publish(subject, reply or b"", body[:-2], size_text=size_text)
                break
            prefix, tail = msg_parts(subject, reply, size_text, body)
            taken = fan_out(mute, flow, prefix, tail, size)
            work += 1 + taken
            if not taken and reply and link.no_responders:
                link.parked = Publish(subject, reply, body[:-2], size_text=size_text)
                break
        parser.pos = pos
        link.in_msgs += messages
        link.in_bytes += size_sum
        return work

    def _flow_for(self, link: Link, subject: bytes, reply: bytes | None) -> Flow[Link] | None:
        """The flow by which to forward, or None when Python must have a look."""
        if link.careful or subject.startswith(ASK_SUBJECTS):
            return None
        flow = self.flows.lookup(link.zone, subject)
        if flow is None or flow.ask:
            return None
        if reply and reply.startswith(ASK_REPLIES):
            return None
        return flow

    def _flow_from_peer(self, link: Link, subject: bytes, routing: Routing) -> Flow[Link] | None:
        """The same for what another server sent."""
        zone: int | None = link.zone
        if link.kind is Kind.ROUTE:
            zone = self.arrivals.get((routing.account, routing.origin))
        flow = None if zone is None else self.flows.lookup(zone, subject)
        return None if flow is None or flow.ask else flow

    def control(self, link: Link) -> Op:
        """See `DataPlane.control`.  Raises RuntimeError when there is none."""
        if link.control is None:
            raise _unset("operation")
        return link.control

    def parked(self, link: Link) -> Publish:
        """See `DataPlane.parked`.  Raises RuntimeError when there is none."""
        if link.parked is None:
            raise _unset("publish")
        return link.parked

    def error(self, link: Link) -> ProtocolError:
        """See `DataPlane.error`.  Raises RuntimeError when there is none."""
        if link.failure is None:
            raise _unset("error")
        return link.failure

    def unfinished(self, link: Link) -> bytes | None:
        """See `DataPlane.unfinished`.  O(1)."""
        head = link.parser.head
        return None if head is None else head.subject

    # --- output

    def send(self, link: Link, data: bytes) -> None:
        """See `DataPlane.send`.  O(1)."""
        if not link.deaf and data:
            self._queue(link, (data,), len(data))

    def deliver(self, source: Link | None, publish: Publish, flow: Flow[Link]) -> int:
        """See `DataPlane.deliver`.  O(deliveries)."""
        mute = None if source is None or source.echo else source
        if publish.header_size:
            return self._fan_out_headers(mute, flow, publish)
        body = publish.payload + CRLF
        prefix, tail = msg_parts(publish.subject, publish.reply, publish.size_text, body)
        return self._fan_out(mute, flow, prefix, tail, len(publish.payload), publish)

    def take_dirty(self) -> list[Link]:
        """See `DataPlane.take_dirty`.  O(1)."""
        dirty, self._dirty = self._dirty, []
        return dirty

    def take_overflowed(self) -> list[Link]:
        """See `DataPlane.take_overflowed`.  O(1)."""
        overflowed, self._overflowed = self._overflowed, []
        return overflowed

    def stats(self) -> PlaneStats:
        """See `DataPlane.stats`.  O(links)."""
        totals = list(self._past)
        for link in self._links:
            for index, value in enumerate(_counters(link)):
                totals[index] += value
        in_msgs, in_bytes, out_msgs, out_bytes, dropped = totals
        return PlaneStats(
            links=len(self._links),
            in_msgs=in_msgs,
            in_bytes=in_bytes,
            out_msgs=out_msgs,
            out_bytes=out_bytes,
            misses=self._misses,
            dropped=dropped,
        )


def _check_size(name: str, value: int | None) -> None:
    if value is not None and value < 1:
        raise ValueError(f"{name}: {value} is not usable; give a number of bytes of at least 1")


def _counters(link: Link) -> tuple[int, int, int, int, int]:
    return link.in_msgs, link.in_bytes, link.out_msgs, link.out_bytes, link.dropped
