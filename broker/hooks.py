"""What there is to observe of a broker's connections: the hooks of events and presence.

The idea: server and connections tell what happens to clients, once each, at the moment it happens,
and know nothing of who listens. System events are made by an observer, and so may be whatever an
embedding program wants to count. What happens to messages is not told here, as that would cost
every message something; who wants messages subscribes.

Invariants: every `connected` is followed by exactly one `ended` of the same connection; a client
that says CONNECT again is connected again, perhaps as somebody else; one that never got in has only
ended, with ``authenticated`` false. All are called on the loop's
thread, after the fact, with a frozen snapshot. An observer returns soon, raises nothing, and must
not close connections from within a call.

Neighbours: `broker.server` has the one `Observers` that it and `broker.connection` tell; whoever
wants to know adds itself there. Imports `broker.snapshots` only; anybody may import it.
"""

from __future__ import annotations

from typing import Protocol

from broker.snapshots import ConnectionInfo

__all__ = ["Observer", "Observers", "Silent"]


class Observer(Protocol):
    """Is told what happens to connections. Loop's thread only; see the module for the order."""

    def connected(self, info: ConnectionInfo) -> None:
        """A client has said CONNECT and was let in."""

    def ended(self, info: ConnectionInfo, authenticated: bool) -> None:
        """A connection is over: ``info`` says when and why, ``authenticated`` if it was let in."""

    def auth_failed(self, info: ConnectionInfo) -> None:
        """A client's credentials were refused, or it took too long to give any: ``info`` says which
        as its reason, and as its user who the client claimed to be.
        """

    def slow(self, info: ConnectionInfo, dropped: int, dropped_bytes: int) -> None:
        """A client was cut off as a slow consumer; so many messages and bytes never left us."""

    def lame_duck(self) -> None:
        """The server takes no more clients, and will send those it has away one by one."""

    def closing(self) -> None:
        """The server is about to stop; what is emitted now is still delivered."""


class Silent:
    """Does nothing when told anything: a base to override from."""

    def connected(self, info: ConnectionInfo) -> None:
        """Does nothing. O(1), as are all of these."""

    def ended(self, info: ConnectionInfo, authenticated: bool) -> None:
        """Does nothing."""

    def auth_failed(self, info: ConnectionInfo) -> None:
        """Does nothing."""

    def slow(self, info: ConnectionInfo, dropped: int, dropped_bytes: int) -> None:
        """Does nothing."""

    def lame_duck(self) -> None:
        """Does nothing."""

    def closing(self) -> None:
        """Does nothing."""


class Observers:
    """Several observers as one: each call is passed on to all, in the order in which they came.

    Loop's thread only. Calls cost O(observers), and nothing where there is none.
    """

    def __init__(self) -> None:
        self._all: tuple[Observer, ...] = ()

    def add(self, observer: Observer) -> None:
        """Tell it everything from now on, after those that are there already."""
        self._all += (observer,)

    def remove(self, observer: Observer) -> None:
        """Tell it nothing more. Raises ValueError if it was not added."""
        kept = list(self._all)
        kept.remove(observer)
        self._all = tuple(kept)

    def connected(self, info: ConnectionInfo) -> None:
        """Pass it on, as are all of these."""
        for observer in self._all:
            observer.connected(info)

    def ended(self, info: ConnectionInfo, authenticated: bool) -> None:
        """Pass it on."""
        for observer in self._all:
            observer.ended(info, authenticated)

    def auth_failed(self, info: ConnectionInfo) -> None:
        """Pass it on."""
        for observer in self._all:
            observer.auth_failed(info)

    def slow(self, info: ConnectionInfo, dropped: int, dropped_bytes: int) -> None:
        """Pass it on."""
        for observer in self._all:
            observer.slow(info, dropped, dropped_bytes)

    def lame_duck(self) -> None:
        """Pass it on."""
        for observer in self._all:
            observer.lame_duck()

    def closing(self) -> None:
        """Pass it on."""
        for observer in self._all:
            observer.closing()
