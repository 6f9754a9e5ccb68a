"""What a client may publish and subscribe to, as frozen records.

The idea: permissions are values. Two users with equal rules have equal permissions, so whoever
keeps something per set of rules (the switchboard: a zone) finds it by value, and nothing has to be
told when rules change: they never do, a client gets others.

One direction has a list of what is allowed and a list of what is denied; a denial always wins. The
entries are filters, with ``*`` and ``>`` in their usual meaning. Each entry for subscribing may
name a queue group after a blank (``b"jobs.> workers"``), and then speaks of subscriptions in that
group.

Source: the ``permissions`` block of nats-server's configuration, and its ``allow_responses``.

Invariants: nothing here decides; a record is what was asked for, already read and checked.

Neighbours: `broker.blocks` holds permissions as configured, `broker.identity` as granted to one
client; the switchboard judges by them. Imports nothing of ours; anybody may import it. Immutable,
hence thread-safe and good as keys of a dictionary.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["FREE", "Permissions", "Responses", "Rules"]


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
