"""The monitor's ``/trace?subject=``: who would get a message published to a subject, and why. A
page of ours; nothing is published.

The idea: the switchboard works the subject out as it would for a publish, and keeps nothing of it;
`explain` writes down what it found as an `Explanation`, with what the flow table has of it;
`trace` puts that into words. The page cannot disagree with the broker, because the answer comes
from the same place.

Neighbours: `broker.server` calls `explain`, `broker.monitorpages` calls `trace`. No I/O, no clock.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from broker.gotime import timestamp
from broker.plane import DataPlane
from broker.snapshots import BrokerStats, Explanation, Recipient
from broker.switchboard import Subscription, Switchboard

__all__ = ["explain", "trace"]


def explain(
    switchboard: Switchboard, plane: DataPlane, account: str, subject: bytes
) -> Explanation:
    """What would become of a message that a client without restrictions published in ``account``.

    Costs what resolving does. Raises KeyError if there is no such account.
    """
    found = switchboard.explain(account, subject)
    place = switchboard.account(account)
    if found is None or place is None:
        raise KeyError(account)
    zone = place.inner.number
    return Explanation(
        account=account,
        published=_text(found.published),
        subject=_text(found.subject),
        zone=zone,
        pattern=_text(found.pattern),
        installed=plane.flows.lookup(zone, found.subject) is not None,
        asks=found.asks,
        plain=tuple(map(_recipient, found.plain)),
        picks=tuple(tuple(map(_recipient, pick)) for pick in found.picks),
        peers=tuple(map(_recipient, found.peers)),
        withheld=tuple(map(_recipient, found.withheld)),
        crossings=found.crossings,
    )


def _recipient(subscription: Subscription) -> Recipient:
    return Recipient(
        cid=subscription.link.id,
        sid=_text(subscription.sid),
        filter=_text(subscription.filter),
        queue=_text(subscription.queue),
        messages=subscription.msgs,
        max=subscription.limit,
    )


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")


def trace(explanation: Explanation, stats: BrokerStats, names: Mapping[int, str]) -> dict[str, Any]:
    """The page. ``names`` are those of the clients, by cid. O(recipients x tokens)."""

    def row(recipient: Recipient) -> dict[str, Any]:
        fields: dict[str, Any] = {"cid": recipient.cid}
        if names.get(recipient.cid):
            fields["name"] = names[recipient.cid]
        fields |= {"sid": recipient.sid, "subject": recipient.filter, "msgs": recipient.messages}
        if recipient.max:
            fields["max"] = recipient.max
        return fields | {"why": _why(recipient.filter, explanation.subject)}

    return {
        "server_id": stats.server_id,
        "now": timestamp(stats.now),
        "account": explanation.account,
        "published": explanation.published,
        "subject": explanation.subject,
        "flow": {
            "zone": explanation.zone,
            "pattern": explanation.pattern,
            "installed": explanation.installed,
            "asks": explanation.asks,
        },
        "copies": len(explanation.plain) + len(explanation.picks) + len(explanation.peers),
        "plain": [row(recipient) for recipient in explanation.plain],
        "picks": [
            {"queue": pick[0].queue, "members": [row(member) for member in pick]}
            for pick in explanation.picks
        ],
        "peers": [
            {
                "rid": one.cid,
                "name": names.get(one.cid, ""),
                "subject": one.filter,
                "why": _why(one.filter, explanation.subject),
            }
            for one in explanation.peers
        ],
        "withheld": [row(recipient) for recipient in explanation.withheld],
        "crossings": list(explanation.crossings),
        "explanation": list(_sentences(explanation)),
    }


def _why(filter: str, subject: str) -> str:
    """Which wildcard takes which tokens."""
    tokens = subject.split(".")
    taken = []
    for position, wanted in enumerate(filter.split(".")):
        if wanted == ">":
            taken.append(f"> takes {'.'.join(tokens[position:])}")
        elif wanted == "*":
            taken.append(f"* takes {tokens[position]}")
    return ", ".join(taken) or "the same subject"


def _sentences(explanation: Explanation) -> list[str]:
    sentences = []
    if explanation.subject != explanation.published:
        sentences.append(f"A mapping makes {explanation.subject} of it, this time.")
    if "" in explanation.subject.split("."):
        sentences.append("The subject has an empty token, so no subscription can match it.")
    elif not explanation.plain and not explanation.picks and not explanation.peers:
        sentences.append(
            "No subscription matches. A request gets a 503 if its publisher set no_responders "
            "and listens to the reply subject itself."
        )
    if explanation.plain:
        sentences.append(
            f"{_number(len(explanation.plain), 'plain subscription')}, each of which gets a copy "
            "unless it is the publisher's own and the publisher said echo:false."
        )
    if explanation.peers:
        sentences.append(
            f"{_number(len(explanation.peers), 'other server')}, each of which gets one line, "
            "whatever it wants the message for."
        )
    sentences += [
        f"One of {_number(len(pick), 'member')} of the queue group {pick[0].queue} gets a copy, "
        "chosen at random."
        for pick in explanation.picks
    ]
    if explanation.withheld:
        sentences.append(
            f"{_number(len(explanation.withheld), 'subscription')} would match, but may not be "
            "given it."
        )
    sentences += [f"It meets {crossing}." for crossing in explanation.crossings]
    return [*sentences, *_about_the_flow(explanation)]


def _about_the_flow(explanation: Explanation) -> list[str]:
    if not explanation.pattern:
        return ["The answer holds for this message only, so there is no flow to keep."]
    kept = "is in the table" if explanation.installed else "is not in the table: nobody has sent it"
    sentences = [f"The flow {explanation.pattern} {kept}."]
    if explanation.pattern != explanation.subject:
        sentences.append("Whatever stands in place of a * in its pattern, the answer is the same.")
    if explanation.asks:
        sentences.append(
            "The flow asks: every message goes through the switchboard, because something has to "
            "be counted or done for each."
        )
    return sentences


def _number(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
