"""Permission to answer: who was asked may answer, and no more.

The idea: a client with `allow_responses` may not publish where it likes, but to the reply subject
of every request that it was given, so many times and for so long. Each delivered request leaves a
*grant*; each answer uses it up. So a service needs no rules for the inboxes of its clients.

Invariants: a link has at most `MAX_GRANTS` grants, and the oldest goes first; an expired grant
permits nothing, even while it is still kept. Grants are found by the exact reply subject.

Source: nats-server's `allow_responses`. A grant permits what the rules for publishing deny.

Neighbours: forwarding grants, judge uses, the switchboard forgets a link that goes. Time is an
argument. One thread.
"""

from __future__ import annotations

from broker.link import Link
from broker.permissions import Responses

__all__ = ["MAX_GRANTS", "Replies"]

# Per link.  Who answers a thousand requests at a time is far from it; who never answers costs 1 MB.
MAX_GRANTS = 4096


class Replies:
    """All grants of all links."""

    def __init__(self) -> None:
        # By link id, then reply subject: answers left (below 0: no limit), and until when.
        self._grants: dict[int, dict[bytes, tuple[int, float]]] = {}

    def __len__(self) -> int:
        """How many grants are kept, expired ones included."""
        return sum(map(len, self._grants.values()))

    def grant(self, link: Link, reply: bytes, responses: Responses, now: float) -> None:
        """Let `link` answer to `reply` as `responses` say, from now on.  O(1)."""
        grants = self._grants.setdefault(link.id, {})
        grants.pop(reply, None)  # a new one is the youngest
        if len(grants) >= MAX_GRANTS:
            del grants[next(iter(grants))]
        until = now + responses.expires if responses.expires >= 0 else float("inf")
        grants[reply] = responses.max, until

    def use(self, link: Link, subject: bytes, now: float) -> bool:
        """Whether `link` may answer to `subject` now; if so, that answer is counted.  O(1)."""
        grants = self._grants.get(link.id)
        grant = grants and grants.get(subject)
        if not grants or not grant:
            return False
        left, until = grant
        if left == 0 or now >= until:
            del grants[subject]
            return False
        if left > 0:
            grants[subject] = left - 1, until
        return True

    def forget(self, link: Link) -> None:
        """Take back all that was granted to `link`.  O(1)."""
        self._grants.pop(link.id, None)
