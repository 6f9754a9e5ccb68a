"""What may pass between us and a leaf or a hub, in both directions.

The idea: permissions are those of the server below, whichever side looks at them. What a leaf may
*publish* is what it may send up, and what it may *subscribe* to is what may be sent down to it. So
both ends hold the same two lists of rules and read them the other way round: what comes *in* for
one goes *out* for the other. Each list is asked three questions: may this message pass, may that
interest be told (and what is wanted with a wildcard may be told although a part of it may not
pass), and is there any rule at all.

What servers need among themselves passes always: the subjects by which loops are found, and the
answers to requests from other accounts.

Source: ``server/leafnode.go`` of nats-server 2.15.1.

Neighbours: the sessions of leaf links have one; the switchboard holds messages against
`permissions` and `gate`. Pure and immutable.
"""

from __future__ import annotations

from collections.abc import Iterable

from broker.permissions import Permissions, PublishGate, Responses, Rules, SubscribeGate
from broker.subject import is_literal

__all__ = ["FREE", "LOOP", "LeafRules", "denying", "passes_always"]

#: What the subjects begin with by which loops are found.
LOOP = b"$LDS."

_ANYTHING = Rules()
_EXEMPT = (LOOP, b"_R_.", b"_GR_.", b"$GR.")


def passes_always(subject: bytes) -> bool:
    """Whether servers need it among themselves."""
    return subject.startswith(_EXEMPT)


def _subjects(rules: Rules) -> Rules:
    """The rules for messages, which are in no group: who may have some only in a group may have
    them; who may not have them in a group may have them otherwise.
    """
    allow = rules.allow and tuple(entry.split()[0] for entry in rules.allow)
    return Rules(allow, tuple(entry for entry in rules.deny if len(entry.split()) == 1))


def denying(rules: Rules | None, subjects: Iterable[bytes]) -> Rules:
    """The rules, or none, and these denied as well."""
    allow, deny = (None, ()) if rules is None else (rules.allow, rules.deny)
    return Rules(allow, tuple(dict.fromkeys((*deny, *subjects))))


class LeafRules:
    """Two lists of rules; `responses` is what the other side may answer all the same.

    Entries may name a queue group besides. Raises ValueError for one that is no filter.
    """

    def __init__(
        self,
        incoming: Rules = _ANYTHING,
        outgoing: Rules = _ANYTHING,
        responses: Responses | None = None,
    ) -> None:
        self._asked = None if incoming == _ANYTHING else SubscribeGate(incoming)
        #: What may be sent to the other side; None: anything.
        self.gate = None if outgoing == _ANYTHING else PublishGate(_subjects(outgoing))
        #: What the link may do as a member of its account.
        self.permissions = Permissions(publish=_subjects(incoming), responses=responses)

    def refuses(self, filter: bytes) -> bool:
        """Whether the other side may not even want `filter`.

        As with nats-server that is said of literal subjects only; of others some may pass, which
        the gate tells.  O(visited nodes).
        """
        if self.gate is None or passes_always(filter) or not is_literal(filter):
            return False
        return not self.gate.look(filter)[0]

    def asks(self, filter: bytes) -> bool:
        """Whether the other side may be told that `filter` is wanted here.  O(entries)."""
        return self._asked is None or passes_always(filter) or self._asked.may(filter, b"")


#: Where everything may pass.
FREE = LeafRules()
