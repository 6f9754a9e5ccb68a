"""What kind of connection a link is, and how far a message may go that came by one.

The idea: in a mesh of servers a message must not go round in circles. Two rules see to that: what
came by a route goes to no other route (*one hop*, which is why every node is connected to every
other), and what came from a cluster of leaf nodes does not go back to it (*no echo*). Both depend
on where the message came from and not on the message; so they are part of the zone in which it is
resolved (`broker.accounts`), each flow has them built in, and the data plane knows nothing of them.

Neighbours: `broker.link` has a kind, zones have a scope, `broker.forwarding` asks it. Pure and
immutable; safe in any thread.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

__all__ = ["EVERYWHERE", "ONE_HOP", "Kind", "Scope"]


class Kind(IntEnum):
    """Who is at the other end: a client, a server of our cluster, one below it, or one above."""

    CLIENT = 0
    ROUTE = 1
    LEAF = 2
    HUB = 3


@dataclass(frozen=True)
class Scope:
    """How far messages go: to ``routes`` or not, not to the leaf cluster ``avoid``, and up to
    ``hubs`` or not.
    """

    routes: bool = True
    avoid: bytes = b""
    hubs: bool = True

    def admits(self, kind: Kind, origin: bytes) -> bool:
        """Whether a message may go by a link of this kind, on behalf of the leaf cluster ``origin``
        (empty: none).
        """
        if (kind is Kind.ROUTE and not self.routes) or (kind is Kind.HUB and not self.hubs):
            return False
        return not origin or origin != self.avoid


#: Of what clients and the broker itself publish.
EVERYWHERE = Scope()

#: Of what each node of a cluster delivers for itself.
ONE_HOP = Scope(routes=False)
