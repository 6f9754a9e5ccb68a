"""Presence: clients of an account are told, by messages, who comes, who goes, and who was too slow.

The idea: what the broker knows of connections is published where those whom it concerns can hear
it, in their own account, so that every role of an application can be observed by subscribing. An
account has to want it: ``presence: true``, ``slow_consumer_notices: true``.

========================  ===========================================================
`$EVENT.CONNECT`          a client was let in
`$EVENT.DISCONNECT`       it is gone, with the reason, as `/connz?state=closed` has it
`$EVENT.SLOW_CONSUMER`    it is about to be, because it did not take what it was sent;
                          how many messages and bytes it does not get
========================  ===========================================================

Payloads are JSON objects, described in docs/observing.md; they name no addresses and no secrets.

Invariants: in an account that wants any of it no client can publish below `$EVENT.`, so what is
heard there is true. Each client that was told of as come is told of as gone, in the same account;
one that another CONNECT, or a reload, takes to another account goes from one and comes to the
other. Nothing is
told while the broker itself stops: each of n clients would be told of n.

Neighbours: an `Observer` that the server adds to its own when some account wants it. Costs one
message per event, if anybody listens. Loop thread only.
"""

from __future__ import annotations

import json
from typing import Any

from broker.gotime import timestamp
from broker.hooks import Silent
from broker.reserved import EVENTS
from broker.server import Server
from broker.snapshots import ConnectionInfo

__all__ = ["CONNECT", "DISCONNECT", "SLOW_CONSUMER", "Presence"]

CONNECT = EVENTS + b"CONNECT"
DISCONNECT = EVENTS + b"DISCONNECT"
SLOW_CONSUMER = EVENTS + b"SLOW_CONSUMER"

#: The reason given to those whom a client leaves for another account.
MOVED = "Moved To Another Account"


class Presence(Silent):
    """Tells the clients of one server of each other."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._homes: dict[int, str] = {}  # by cid, the account that was told of it
        self._over = False

    def connected(self, info: ConnectionInfo) -> None:
        """Tell its account that it has come, unless that knows already."""
        home = self._homes.get(info.cid)
        if home == info.account:
            return
        if home is not None:
            self._tell_presence(home, DISCONNECT, info, **_done(info), reason=MOVED)
        self._homes[info.cid] = info.account
        self._tell_presence(info.account, CONNECT, info)

    def ended(self, info: ConnectionInfo, authenticated: bool) -> None:
        """Tell its account that it has gone, and why."""
        home = self._homes.pop(info.cid, info.account if authenticated else None)
        if home is not None:
            self._tell_presence(home, DISCONNECT, info, **_done(info), reason=info.reason)

    def slow(self, info: ConnectionInfo, dropped: int, dropped_bytes: int) -> None:
        """Tell its account what it does not get."""
        account = self._server.switchboard.account(info.account)
        if account is not None and account.slow_consumer_notices:
            what = {"dropped_messages": dropped, "dropped_bytes": dropped_bytes}
            self._tell(info.account, SLOW_CONSUMER, info, reason=info.reason, **what)

    def closing(self) -> None:
        """From now on there is nothing to tell."""
        self._over = True

    def _tell_presence(self, name: str, subject: bytes, info: ConnectionInfo, **more: Any) -> None:
        account = self._server.switchboard.account(name)
        if account is not None and account.presence:
            self._tell(name, subject, info, **more)

    def _tell(self, account: str, subject: bytes, info: ConnectionInfo, **more: Any) -> None:
        if self._over:
            return
        server = self._server
        what = {
            "time": timestamp(server.wall(server.reactor.now())),
            "server": server.name,
            "account": account,
            "cid": info.cid,
            "name": info.name,
            "user": info.user,
            "kind": info.type,
            "lang": info.lang,
            "version": info.version,
            "start": timestamp(info.start),
        }
        server.before_input()
        text = json.dumps(what | more, separators=(",", ":"), ensure_ascii=False)
        server.switchboard.emit(account, subject, text.encode("utf-8", "replace"))


def _done(info: ConnectionInfo) -> dict[str, int]:
    return {
        "in_msgs": info.in_msgs,
        "in_bytes": info.in_bytes,
        "out_msgs": info.out_msgs,
        "out_bytes": info.out_bytes,
    }
