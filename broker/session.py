"""A connection as policy sees it: what its operations mean, and when it must end.

The idea: a table of verbs on top of the data plane.  The plane parses and forwards by itself and
stops at what needs judgement; `Session` settles that and lets it go on.  The session owns the
handshake, the permissions that the protocol itself reserves, limits, and liveness.  It knows no
reactor, socket or clock: time comes as an argument, and the few things it wants done come to its
owner through a `Wire`.

How to drive one (the server does):

    session = Session(link_id, ..., wire)  makes the link
    session.open(now)                      INFO is queued, the ping timer set
    more = session.receive(data, now)      for every read; while it returns True there is more
    more = session.resume(now)             to do: do not read on, call this in the next turn
    session.on_ping_timer(now)             when the timer set through the wire fires
    session.on_auth_timer()                once, `auth_timeout` seconds after open
    session.on_overflow()                  for a link from plane.take_overflowed()
    session.on_expiry_timer()              when the timer set through the wire fires
    session.on_closed()                    when the stream is gone for whatever reason; idempotent

All output goes to the link's queue through the plane; the server takes it from there, also after
`Wire.close`, so that a last -ERR arrives.

Who may come in is asked of an authenticator.  Where its answer takes long, the session is
`waiting`: nothing is parsed, what comes is kept, and once the wire has delivered the answer
`resume` goes on with it.  A refusal may be held back in the same way, so that guessing is slow.

Invariants: after the end (`closed`) nothing is parsed and nothing subscribed; `wire.close` is
called at most once and not at all if the stream ended first; a subscription never outlives its
session.

Source: the order of checks is nats-server 2.15's, found by asking one.

Neighbours: above, server; below, switchboard, plane, admission, handshake, liveness.  One thread.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from broker import codec, errors, ops
from broker.admission import Admission
from broker.blocks import SYSTEM_ACCOUNT
from broker.config import Options
from broker.doorman import Doorman
from broker.errors import Closed, ProtocolError, WireError
from broker.handshake import ConnectOptions, ServerInfo, check_info, misfit, parse_connect
from broker.identity import Answer, Authenticator, Identity
from broker.inquiry import Wire
from broker.liveness import Liveness
from broker.plane import DataPlane, Verdict
from broker.reserved import QUEUE, refusal
from broker.subject import is_valid_publish
from broker.switchboard import Switchboard

__all__ = ["Session", "Wire"]

# Operations settled per receive or resume.  A read can hold thousands, of up to 30 us each, and
# others want their turn; with half as many the turns between them are felt in a flood of misses.
OPERATION_BUDGET = 16

# So many bytes more of a subject count as one operation more.
OPERATION_LENGTH = 256

# Subscriptions ended at once for a client that starts anew; they may be very many.
DROP_BUDGET = 256

_UNASKED = ConnectOptions()


class Session:
    """One client.

    `options` is what it asked for; `waiting` is true while an answer about it is.  Not thread-safe.
    """

    __slots__ = (
        "_admission",
        "_client_ip",
        "_connected",
        "_greeted",
        "_held",
        "_jitter",
        "_judged",
        "_limits",
        "_liveness",
        "_messages",
        "_plane",
        "_refused",
        "_server",
        "_switchboard",
        "_unheard",
        "_wire",
        "closed",
        "link",
        "options",
        "waiting",
    )

    def __init__(
        self,
        link_id: int,
        client_ip: str,
        *,
        plane: DataPlane,
        switchboard: Switchboard,
        authenticator: Authenticator,
        info: ServerInfo,
        limits: Options,
        wire: Wire,
        jitter: float = 0.0,
        doorman: Doorman | None = None,
    ) -> None:
        """`jitter`, from 0 to 1, spreads the first PINGs of clients that came together."""
        self.link = plane.open(link_id, 0, locked=authenticator.required)
        self.options = _UNASKED
        self.closed: Closed | None = None
        self.waiting = False
        self._client_ip = client_ip
        self._plane = plane
        self._switchboard = switchboard
        self._server = info
        self._limits = limits
        self._wire = wire
        self._jitter = jitter
        self._admission = Admission(
            self.link,
            client_ip,
            plane=plane,
            switchboard=switchboard,
            authenticator=authenticator,
            limits=limits,
            wire=wire,
            doorman=doorman,
        )
        self._liveness = Liveness()
        self._held: list[bytes] = []
        self._unheard = authenticator.has_guest  # to be let in as the guest by its first byte
        self._connected = self._refused = self._greeted = self._judged = False
        self._messages = 0

    @property
    def identity(self) -> Identity | None:
        """Who the client is; None before it proved that."""
        return self._admission.identity

    @property
    def rtt(self) -> float:
        """The last round trip in seconds, 0 if unmeasured."""
        return self._liveness.rtt

    @property
    def last_activity(self) -> float:
        """The time of the last operation that counts as activity."""
        return self._liveness.last_activity

    # --- what the server calls

    def open(self, now: float) -> None:
        """Greets the client.  Call once, first."""
        self._liveness.begin(now)
        self._send_info(nonce=self._admission.nonce)
        self._wire.set_ping_timer(self._limits.ping_interval)

    def refuse(self, error: WireError) -> None:
        """Greets the client and turns it away at once, e.g. because there are too many."""
        self._send_info(nonce=self._admission.nonce)
        self._report(error)

    def send_info(self, account: str = "") -> None:
        """Queues an INFO; with `account` it is the one that follows the first PING.  O(1)."""
        system = self._limits.system_account or SYSTEM_ACCOUNT
        # Where there is a guest, only the greeting is silent about that one may log in.
        self._send_info(
            account,
            auth_required=self._admission.required or self._admission.has_guest,
            max_payload=self._admission.max_payload(),
            is_system=account == system,
        )

    def _send_info(self, account: str = "", **details: Any) -> None:
        info = self._server.json(self.link.id, self._client_ip, account, **details)
        self._plane.send(self.link, codec.info_line(info))

    def receive(self, data: bytes, now: float) -> bool:
        """Takes what was read; True: there is more to do, call `resume` in the next turn."""
        if self.waiting or self._held:
            self._held.append(data)
            return not self.waiting
        if self._unheard:
            self._admit_guest(data)
        return self._drive(self._plane.feed(self.link, data), now)

    def resume(self, now: float) -> bool:
        """Goes on where `receive` or `resume` stopped; returns as `receive` does."""
        if self.waiting:
            return False
        more = self._drive(self._plane.resume(self.link), now)
        if more or not self._held:
            return more
        held, self._held = b"".join(self._held), []
        return self.receive(held, now)

    def on_ping_timer(self, now: float) -> None:
        """Sends a PING to a client that was silent; ends one that left too many unanswered."""
        if self.closed is not None:
            return
        liveness = self._liveness
        if liveness.wants_ping(now, self._limits.ping_interval):
            if liveness.pings_out >= self._limits.ping_max:
                self._report(errors.STALE_CONNECTION)
                return
            liveness.sent_ping(now)
            self._plane.send(self.link, codec.PING)
        self._wire.set_ping_timer(self._limits.ping_interval)

    def on_auth_timer(self) -> None:
        """Ends the connection of a client that has not proved who it is."""
        if self._admission.required and not self._connected and not self._refused:
            self._report(errors.AUTHENTICATION_TIMEOUT)

    def on_expiry_timer(self) -> None:
        """Ends the connection of a client whose credentials were good until now."""
        if self.identity is not None and self.identity.expires is not None:
            self._report(self.identity.farewell)

    def on_overflow(self) -> None:
        """Ends the connection of a client that reads too slowly."""
        self.close(Closed.SLOW_CONSUMER_PENDING)

    def on_closed(self, reason: Closed = Closed.CLIENT_CLOSED) -> None:
        """Cleans up after the stream ended; `reason` holds unless the session ended it itself."""
        if self.closed is None:
            self.closed = reason
            self._held.clear()
            self._switchboard.leave(self.link)
            self._plane.close(self.link)

    def close(self, reason: Closed) -> None:
        """Ends the session from our side, after what is queued.  Idempotent."""
        if self.closed is None:
            self._wire.close(reason)  # first, while it can still see what there was to close
            self.on_closed(reason)

    # --- when the server goes on with other settings

    def reload(self, limits: Options, info: ServerInfo, authenticator: Authenticator) -> None:
        """Goes on with other limits at once, and with another authenticator from the next question
        on.
        """
        self._limits, self._server = limits, info
        self._admission.reload(limits, authenticator)
        if self.closed is None:
            self._plane.set_limits(
                self.link,
                max_payload=self._admission.max_payload(),
                max_control_line=limits.max_control_line,
                max_pending=limits.max_pending,
            )

    def inform(self, info: ServerInfo) -> None:
        """Tells the client what has changed, if it wants to know and has been told the rest."""
        self._server = info
        if self._greeted and self.options.protocol >= 1 and self.closed is None:
            self.send_info()

    def judge_again(self) -> None:
        """Asks whether the client may stay, and as whom, by what its last CONNECT said."""
        if self.closed is None:
            self._admission.ask_again(self._rejudged)

    def _rejudged(self, answer: Answer) -> None:
        if self.closed is None:
            for error in self._admission.stay(answer):
                self._report(error)

    # --- verdicts

    def _drive(self, verdict: Verdict, now: float) -> bool:
        plane, link = self._plane, self.link
        left = OPERATION_BUDGET
        while verdict is Verdict.MISS or verdict is Verdict.CONTROL:
            if verdict is Verdict.MISS:
                publish = plane.parked(link)
                left -= 1 + len(publish.subject) // OPERATION_LENGTH
                self._publish(publish, now)
            else:
                op = plane.control(link)
                left -= 1
                if isinstance(op, ops.Subscribe):
                    left -= len(op.subject) // OPERATION_LENGTH
                _MEANING[type(op)](self, op, now)
                if self.waiting:
                    break
            # Only between settling one and asking for the next is it safe to leave.
            verdict = plane.resume(link) if left > 0 else Verdict.YIELD
        return self._conclude(verdict, now)

    def _conclude(self, verdict: Verdict, now: float) -> bool:
        if self.link.in_msgs != self._messages:
            self._messages = self.link.in_msgs
            self._liveness.last_activity = now
        unfinished = self._plane.unfinished(self.link)
        if unfinished is not None:
            self._judge_subject(unfinished)
        if verdict is Verdict.BROKEN:
            self._report(self._plane.error(self.link).error)
        return verdict is Verdict.YIELD

    def _report(self, error: WireError, sid: bytes = b"") -> None:
        """Tells the client what was wrong, if it is to be told; ends the session if fatal."""
        if self.closed is not None:
            return
        self._plane.send(self.link, codec.err_line(error))
        if error.closed is not None:
            self.close(error.closed)
        elif line := errors.complaint(error, sid):
            self._wire.complain(line)

    def _acknowledge(self) -> None:
        if self.link.verbose:
            self._plane.send(self.link, codec.OK)

    # --- the meaning of each verb

    def _publish(self, publish: ops.Publish, now: float) -> None:
        self._judge_subject(publish.subject)
        self._judged = False
        journey = None
        start = self._switchboard.trace(self.link, publish) if publish.header_size else None
        if start is not None:
            if start.complaint:
                self._wire.complain(start.complaint)
            if start.error is not None:
                self._report(start.error)
            if start.publish is None:
                return
            publish, journey = start.publish, start.journey
        judged = self._switchboard.judge(self.link, publish, now, journey)
        if not isinstance(judged, WireError):
            judged = refusal(judged) or judged
        if isinstance(judged, WireError):
            self._report(judged)
            if journey is not None:
                self._switchboard.give_up(journey, judged)
        else:
            self._acknowledge()
            self._switchboard.forward(self.link, judged, now, journey)

    def _judge_subject(self, subject: bytes) -> None:
        """Complains to a pedantic client, once per publish, as soon as its line has come.

        The message is delivered all the same.
        """
        if self.link.pedantic and not self._judged:
            self._judged = True
            if not is_valid_publish(subject):
                self._report(errors.INVALID_PUBLISH_SUBJECT)

    def _subscribe(self, op: ops.Subscribe, now: float) -> None:
        self._liveness.last_activity = now
        error = self._refuse_subscription(op) or self._switchboard.subscribe(
            self.link, op.subject, op.queue, op.sid
        )
        if error is None:
            self._acknowledge()
        else:
            self._report(error, op.sid)

    def _refuse_subscription(self, op: ops.Subscribe) -> WireError | None:
        if op.queue == QUEUE:
            return errors.subscription_violation(op.subject, op.queue)
        tokens = self._limits.max_sub_tokens
        if tokens and op.subject.count(b".") >= tokens:
            return errors.too_many_tokens(op.subject)
        return None if self._admission.may_subscribe() else errors.SUBSCRIPTIONS_EXCEEDED

    def _unsubscribe(self, op: ops.Unsubscribe, now: float) -> None:
        self._liveness.last_activity = now
        self._switchboard.unsubscribe(self.link, op.sid, op.max)
        self._acknowledge()

    def _connect(self, op: ops.Connect, now: float) -> None:
        try:
            options = parse_connect(op.json, self.options)
        except ProtocolError as failure:
            self._report(failure.error)
            return
        self.options = self._admission.collect(options)
        self._admission.identity = None
        self.waiting = True
        self._ask()

    def _ask(self) -> None:
        """Asks who the client is; of one that says CONNECT again, when its subscriptions are gone.

        What was subscribed before the first CONNECT stays.
        """
        if self._connected and not self._switchboard.drop(self.link, DROP_BUDGET):
            self._wire.delay(0.0, self._ask)
        else:
            self._admission.ask(self.answered)

    def answered(self, answer: Answer) -> None:
        """Takes what the authenticator said; after a question to the wire, call `resume` next."""
        self.waiting = False
        if self.closed is not None:
            return
        error = answer if isinstance(answer, WireError) else misfit(self.options)
        if error is errors.AUTHORIZATION_VIOLATION:
            self._turn_away(error)
        elif error is not None:
            self._report(error)
        elif isinstance(answer, Identity):
            self._admit(answer)
            self._acknowledge()

    def _turn_away(self, error: WireError) -> None:
        """Refuses a client, at once or after it has waited for it."""
        self._refused = self.waiting = True
        self._admission.refuse(partial(self._report, error))

    def _admit_guest(self, data: bytes) -> None:
        """Lets in a client whose first byte tells that it will not say CONNECT."""
        self._unheard = False
        if data[:1] in (b"C", b"c"):
            return
        self.options = self._admission.collect(self.options)
        answer = self._admission.judge()
        if isinstance(answer, WireError):
            self._report(answer)
        else:
            self._connected = True
            self._admit(answer)

    def _admit(self, identity: Identity) -> None:
        for error in self._admission.let_in(identity):
            self._report(error)
        if self.identity is identity and not self._connected:
            self._connected = True
            delay = min(self._limits.first_ping, self._limits.ping_interval)
            self._wire.set_ping_timer(delay * (1 + self._jitter / 5))

    def _ping(self, _op: ops.Ping, now: float) -> None:
        self._liveness.received_ping(now)
        self._plane.send(self.link, codec.PONG)
        if self._connected and not self._greeted:
            self._greeted = True
            if self.options.protocol >= 1 and self.identity is not None:
                self.send_info(self.identity.account)

    def _pong(self, _op: ops.Pong, now: float) -> None:
        self._liveness.received_pong(now)

    def _info(self, op: ops.Info, _now: float) -> None:
        try:
            check_info(op.json)
        except ProtocolError as failure:
            self._report(failure.error)

    def _ok(self, _op: ops.Ok, _now: float) -> None:
        """Tolerated, and means nothing."""

    def _err(self, _op: ops.Err, _now: float) -> None:
        self._report(errors.PEER_ERROR)


_MEANING: Mapping[type[ops.Op], Callable[[Session, Any, float], None]] = {
    ops.Connect: Session._connect,
    ops.Subscribe: Session._subscribe,
    ops.Unsubscribe: Session._unsubscribe,
    ops.Ping: Session._ping,
    ops.Pong: Session._pong,
    ops.Info: Session._info,
    ops.Ok: Session._ok,
    ops.Err: Session._err,
}
