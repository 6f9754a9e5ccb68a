"""Going on with other settings, without letting anybody go who may stay.

The idea: first everything that can fail (settings that only a restart can change, a certificate
that cannot be read, credentials that make no sense), and while that lasts nothing is touched; then
everything that cannot. So a reload happens as a whole or not at all, and a mistake in a file never
stops a broker that runs.

What new settings mean to those who are connected: limits hold for them at once. If who may come in
has changed, each is judged again by what it said in its CONNECT; whoever would not be let in any
more is told so and closed. If fewer connections are allowed than there are, in all or in one
account, the newest go.

What is logged: a line for each setting that changed, without secrets. (nats-server lists users,
accounts and TLS whether they changed or not; of these we list TLS only, as its certificates are
read again each time.)

Source: the lines and their order are nats-server's. Neighbours: `broker.reload` knows which changes
a running broker can take, `broker.server` is changed, `broker.__main__` and `broker.embedded` ask
for it. Loop thread only; O(connections).
"""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

from broker import codec
from broker.auth import accounts_of, issues_of
from broker.config import Options
from broker.errors import ACCOUNT_CONNECTIONS_EXCEEDED, CONNECTIONS_EXCEEDED, Closed, WireError
from broker.hook import Hook
from broker.logs import logger

if TYPE_CHECKING:
    from broker.connection import Connection
    from broker.server import Server

__all__ = ["ReloadRefused", "apply"]


class ReloadRefused(Exception):  # noqa: N818 # it is an answer, not an accident
    """The new settings cannot be taken over while the broker runs; the text says which."""


#: Settings that decide who may come in, and what they may do there.
_WHO = (
    "user",
    "password",
    "token",
    "users",
    "accounts",
    "no_auth_user",
    "permissions",
    "jwt",
)


def apply(server: Server, new: Options) -> list[str]:
    """Go on with ``new`` settings; return the lines to log.

    Raises:
        ReloadRefused: some change needs a restart; nothing has changed.
        OSError, ValueError: a certificate or credentials cannot be used; nothing has changed.
    """
    from broker.reload import plan  # with it come the tables of all settings

    old = server.options
    changes = plan(old, new)
    if changes.refused:
        raise ReloadRefused("; ".join(changes.refused))
    authenticator = server.make_authenticator(new)
    accounts = accounts_of(new, authenticator, server.wall(server.reactor.now()))
    tls = websocket_tls = None
    if new.tls is not None:
        from broker.tlscontext import server_context

        tls = server_context(new.tls)
    if new.websocket is not None and new.websocket.tls is not None:
        from broker.tlscontext import server_context

        websocket_tls = server_context(new.websocket.tls)
    if changes.of("accounts", "mappings", "jwt", "presence", "slow_consumer_notices"):
        server.switchboard.configure(accounts, new.mappings)
        server.attend()

    server.options, server.authenticator = new, authenticator
    server.change_certificates(tls, websocket_tls)
    server.info = server.make_info()
    server.plane.set_limits(
        None,
        max_payload=new.max_payload,
        max_control_line=new.max_control_line,
        max_pending=new.max_pending,
    )
    if changes.of("write_deadline"):
        server.set_write_deadline(new.write_deadline)
    server.census.keep(new.closed_ring)
    server.renewal.look()
    for issue in issues_of(new, authenticator):
        logger.warning("%s", issue)
    _tell_sessions(server, again=changes.of(*_WHO) and not isinstance(authenticator, Hook))
    _send_surplus_away(server)
    lines = [change.line for change in changes.changes]
    if tls is not None and not changes.of("tls"):
        lines.append("Reloaded: tls = enabled")
    return lines


def _tell_sessions(server: Server, *, again: bool) -> None:
    server.before_input()
    for connection in server.census.connections():
        entrance = connection.entrance
        info = server.info if entrance is None else entrance.info(server.info)
        connection.session.reload(server.options, info, server.authenticator)
        if again:
            connection.session.judge_again()


def _send_surplus_away(server: Server) -> None:
    most, census = server.options.max_connections, server.census
    surplus = census.connections()[most:] if most else ()
    for connection in surplus:
        _turn_out(server, connection, CONNECTIONS_EXCEEDED)
    if surplus:
        logger.info("Closed %d connections to fall within max_connections", len(surplus))
    crowds = [account.surplus() for account in server.switchboard.accounts()]
    for connection in filter(None, map(census.find, chain.from_iterable(crowds))):
        _turn_out(server, connection, ACCOUNT_CONNECTIONS_EXCEEDED)


def _turn_out(server: Server, connection: Connection, error: WireError) -> None:
    server.before_input()
    server.plane.send(connection.link, codec.err_line(error))
    connection.session.close(error.closed or Closed.MAX_CONNECTIONS)
