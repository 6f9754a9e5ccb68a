"""Subjects that are nobody's to publish to, or to name as a reply, and a queue that nobody joins.

The idea: nats-server keeps a few prefixes for what its parts say to one another, whoever a client
is and whatever it may do.  Clients expect to be refused there in the same words.

And one prefix is everybody's to publish to, but the broker itself listens there in every account:
`SYSTEM`.  A message below it is looked at each time, and no flow holds for it; so the flows of all
others need not know that anybody listens.

Source: found by asking nats-server 2.15; the bare prefix is free where the table says so.

Neighbours: the session asks for every publish that the data plane did not settle; the planes know
the same prefixes, as those that they must not settle; accounts and forwarding know the last.  Pure
functions, O(1).
"""

from __future__ import annotations

from broker import errors
from broker.errors import WireError
from broker.ops import Publish

__all__ = ["EVENTS", "QUEUE", "SYSTEM", "refusal"]

QUEUE = b"_sys_"

#: What is published below it asks the broker for something; see `broker.sysservice`.
SYSTEM = b"$SYS."

#: What begins like this comes from the broker alone, where an account has it tell of its clients.
EVENTS = b"$EVENT."

_SUBJECTS = ((b"_GR_.", True), (b"$GR.", True), (b"$NRG.", False))
_REPLIES = ((b"$JS.ACK.", True), (b"_R_.", False), (b"_GR_.", True), (b"$GR.", True))


def refusal(publish: Publish) -> WireError | None:
    """How a publish is refused because of what it names, or None."""
    if _is_reserved(publish.subject, _SUBJECTS):
        return errors.publish_violation(publish.subject)
    if _is_reserved(publish.reply, _REPLIES):
        return errors.reply_violation(publish.reply)
    return None


def _is_reserved(subject: bytes, table: tuple[tuple[bytes, bool], ...]) -> bool:
    return any(
        subject.startswith(prefix) and not (bare_is_free and subject == prefix)
        for prefix, bare_is_free in table
    )
