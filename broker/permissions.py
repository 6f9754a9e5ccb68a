"""What a client may publish and subscribe to: frozen records, and the gates that judge by them.

The idea: permissions are values. Two users with equal rules have equal permissions, so whoever
keeps something per set of rules (the switchboard: a zone) finds it by value, and nothing has to be
told when rules change: they never do, a client gets others.

One direction has a list of what is allowed and a list of what is denied; a denial always wins. The
entries are filters, with ``*`` and ``>`` in their usual meaning. Each entry for subscribing may
name a queue group after a blank (``b"jobs.> workers"``), and then speaks of subscriptions in that
group.

Source: the ``permissions`` block of nats-server's configuration, and its ``allow_responses``.

A *gate* is rules made ready to be asked. `PublishGate` is asked for every subject that has no flow
yet, and says with its answer for which other subjects it holds, as the trie does; so permissions
cost the flows nothing. `SubscribeGate` is asked once for each SUB: whether it may be, and what it
must not be given although it may be: with `a.no` denied, `a.*` is a good subscription that `a.no`
never reaches.

A subscription is allowed if one allowed filter covers *all* that it asks for. (nats-server compares
token by token and so lets `a.>` in where `a.*` is allowed, which then also hears `a.b.c`: a hole
that we do not copy.)

Invariants: a record is what was asked for, already read and checked; a gate never changes.

Neighbours: `broker.blocks` holds permissions as configured, `broker.identity` as granted to one
client; the switchboard judges by them. Imports subject and trie; anybody may import it. The records
are immutable, hence thread-safe and good as keys of a dictionary.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from broker.subject import collides, covers, is_valid_filter, matches
from broker.trie import Trie, join_patterns

__all__ = ["FREE", "Permissions", "PublishGate", "Responses", "Rules", "SubscribeGate"]


@dataclass(frozen=True)
class Rules:
    """What is allowed in one direction.

    ``allow`` is None where everything is, and empty where nothing is; ``deny`` takes away from it.
    """

    allow: tuple[bytes, ...] | None = None
    deny: tuple[bytes, ...] = ()


@dataclass(frozen=True)
class Responses:
    """That a client may answer the requests which it received, whatever its rules for publishing.

    ``max`` is how many answers each request may get (below 0: no limit); ``expires`` is for how
    many seconds after the request (below 0: for ever).
    """

    max: int = 1
    expires: float = 120.0


@dataclass(frozen=True)
class Permissions:
    """Everything that one client may do.

    Whoever reads a configuration sets ``publish.allow`` to ``()`` where there are ``responses`` and
    no list of what may be published: as with nats-server, such a client may answer and no more.
    """

    publish: Rules = Rules()
    subscribe: Rules = Rules()
    responses: Responses | None = None


#: Of a client without any restriction.
FREE = Permissions()


class PublishGate:
    """What may be published under `rules`.  Immutable."""

    def __init__(self, rules: Rules) -> None:
        """Raises ValueError for an entry that is no filter."""
        self._allow = None if rules.allow is None else _trie(rules.allow)
        self._deny = _trie(rules.deny)

    def look(self, subject: bytes) -> tuple[bool, bytes]:
        """Whether `subject` may be published to, and a pattern of subjects with the same answer.

        The pattern is empty where the answer holds for this subject alone.  O(visited nodes).
        """
        denied = self._deny.resolve(subject)
        if self._allow is None:
            return not denied.values, denied.pattern
        allowed = self._allow.resolve(subject)
        pattern = join_patterns([allowed.pattern, denied.pattern])
        return bool(allowed.values) and not denied.values, pattern


def _trie(filters: Iterable[bytes]) -> Trie[bytes]:
    trie: Trie[bytes] = Trie()
    for filter in filters:
        trie.insert(filter, filter)
    return trie


@dataclass(frozen=True)
class _Entry:
    """One line of the rules for subscribing; without `queue` it speaks of all subscriptions."""

    filter: bytes
    queue: bytes

    def names(self, queue: bytes) -> bool:
        """Whether it names the group `queue`; it may do so with wildcards."""
        return bool(self.queue) and (self.queue == queue or matches(self.queue, queue))


def _entry(text: bytes) -> _Entry:
    filter, _, queue = text.strip().partition(b" ")
    if not is_valid_filter(filter):
        raise ValueError(f"{text!r} is no permission: give a filter, perhaps a blank and a group")
    return _Entry(filter, queue.strip())


class SubscribeGate:
    """What may be subscribed to under `rules`.  Immutable; each question is O(entries)."""

    def __init__(self, rules: Rules) -> None:
        """Raises ValueError for an entry that is no filter, or no filter with a queue group."""
        self._allow = None if rules.allow is None else tuple(map(_entry, rules.allow))
        self._deny = tuple(map(_entry, rules.deny))

    def may(self, subject: bytes, queue: bytes) -> bool:
        """Whether a subscription to `subject`, in the group `queue` unless that is empty, may be.

        If any entry that covers the subject names a group, then among subscriptions in groups
        only those that are named may be.
        """
        if self._allow is not None:
            if not is_valid_filter(subject):
                return False  # what is no filter is in no list
            entries = [entry for entry in self._allow if covers(entry.filter, subject)]
            grouped = [entry for entry in entries if entry.queue]
            if queue and grouped:
                if not any(entry.names(queue) for entry in grouped):
                    return False
            elif len(grouped) == len(entries):
                return False
        # Token by token, wildcards of the subscription taken as plain tokens, as nats-server does.
        return not any(
            matches(entry.filter, subject)
            for entry in self._deny
            if not entry.queue or entry.names(queue)
        )

    def withheld(self, filter: bytes, queue: bytes) -> tuple[bytes, ...]:
        """The denied filters that an allowed subscription meets with a part of its own."""
        return tuple(
            entry.filter
            for entry in self._deny
            if (not entry.queue or entry.names(queue)) and collides(entry.filter, filter)
        )
