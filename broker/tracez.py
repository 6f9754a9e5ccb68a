"""The monitor's ``/trace?subject=``: who would get a message published to a subject, and why. A
page of ours; nothing is published.

The idea: the answer is the very flow that a publish would be forwarded by, so the page cannot
disagree with the data plane. `explain` looks it up, or resolves it where there is none yet, and
writes down what it found as an `Explanation`; `trace` puts that into words.

The hazard of looking: resolving installs the flow, as the first publish would have done. That
changes when things are worked out, and nothing else; ``installed`` tells how it was before.

Neighbours: `broker.server` calls `explain`, `broker.monitorpages` calls `trace`. No I/O, no clock.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from broker.flow import Delivery
from broker.gotime import timestamp
from broker.link import Link
from broker.plane import DataPlane
from broker.snapshots import BrokerStats, Explanation, Recipient
from broker.switchboard import Subscription, Switchboard

__all__ = ["explain", "trace"]


def explain(
    switchboard: Switchboard, plane: DataPlane, zone: int, account: str, subject: bytes
) -> Explanation:
    """What would become of a message that somebody in ``zone`` published to ``subject`` now.

    Costs what the publish would: a look-up, and resolving where there is no flow.
    """
    known = plane.flows.lookup(zone, subject)
    flow = known or switchboard.resolve(zone, subject)
    return Explanation(
        account=account,
        subject=_text(subject),
        zone=zone,
        pattern=_text(flow.pattern),
        installed=known is not None,
        asks=flow.ask,
        plain=tuple(map(_recipient, flow.plain)),
        picks=tuple(tuple(map(_recipient, pick)) for pick in flow.picks),
    )


def _recipient(delivery: Delivery[Link]) -> Recipient:
    subscription = cast(Subscription, delivery)  # the switchboard makes flows of nothing else
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
        "subject": explanation.subject,
        "flow": {
            "zone": explanation.zone,
            "pattern": explanation.pattern,
            "installed": explanation.installed,
            "asks": explanation.asks,
        },
        "copies": len(explanation.plain) + len(explanation.picks),
        "plain": [row(recipient) for recipient in explanation.plain],
        "picks": [
            {"queue": pick[0].queue, "members": [row(member) for member in pick]}
            for pick in explanation.picks
        ],
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
    if "" in explanation.subject.split("."):
        sentences.append("The subject has an empty token, so no subscription can match it.")
    elif not explanation.plain and not explanation.picks:
        sentences.append(
            "No subscription matches. A request gets a 503 if its publisher set no_responders "
            "and listens to the reply subject itself."
        )
    if explanation.plain:
        sentences.append(
            f"{_number(len(explanation.plain), 'plain subscription')}, each of which gets a copy "
            "unless it is the publisher's own and the publisher said echo:false."
        )
    sentences += [
        f"One of {_number(len(pick), 'member')} of the queue group {pick[0].queue} gets a copy, "
        "chosen at random."
        for pick in explanation.picks
    ]
    return [*sentences, *_about_the_flow(explanation)]


def _about_the_flow(explanation: Explanation) -> list[str]:
    if not explanation.pattern:
        return ["The answer holds for this message only, so there is no flow to keep."]
    kept = "is in the table" if explanation.installed else "was not in the table and has been made"
    sentences = [f"The flow {explanation.pattern} {kept}."]
    if explanation.pattern != explanation.subject:
        sentences.append("Whatever stands in place of a * in its pattern, the answer is the same.")
    if explanation.asks:
        sentences.append(
            "The flow asks: a subscription has a limit, so every message goes through the "
            "switchboard, which counts."
        )
    return sentences


def _number(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
