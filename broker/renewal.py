"""Going on with the accounts as they are now: what JWTs allow for a time ends when that is over.

The idea: an import that its exporter has signed for until noon must end at noon, with nobody asking
for it. The authenticator says when its accounts will be others next; a timer waits for that moment,
takes them over, and asks again. Logins need none of this: each session has a timer of its own.

Invariants: there is at most one timer, and none where nothing ends.

Neighbours: the server has one and looks after each change of its settings. Loop thread only.
O(accounts) each time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from broker.auth import accounts_of, next_change_of
from reactor import Timer

if TYPE_CHECKING:
    from broker.server import Server

__all__ = ["Renewal"]

# The clocks of two machines, and ours and the reactor's, are not that exact.
_AFTERWARDS = 0.01

# Timers are not set for years: what ends later is looked for again then.
_LONGEST = 86400.0


class Renewal:
    """The timer of one server."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._timer: Timer | None = None

    def look(self) -> None:
        """Wait for the next change there is by the present settings."""
        self.close()
        server = self._server
        wall = server.wall(server.reactor.now())
        moment = next_change_of(server.options, server.authenticator, wall)
        if moment is not None:
            delay = min(moment - wall + _AFTERWARDS, _LONGEST)
            self._timer = server.reactor.call_later(delay, self._renew)

    def _renew(self) -> None:
        server = self._server
        wall = server.wall(server.reactor.now())
        accounts = accounts_of(server.options, server.authenticator, wall)
        server.switchboard.configure(accounts, server.options.mappings)
        self.look()

    def close(self) -> None:
        """Wait no longer. Idempotent."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
