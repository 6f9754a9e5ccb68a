"""Going on with other settings, without letting anybody go who may stay.

The idea: first everything that can fail (settings that only a restart can change, a certificate
that cannot be read, credentials that make no sense), and while that lasts nothing is touched; then
everything that cannot. So a reload happens as a whole or not at all, and a mistake in a file never
stops a broker that runs.

What new settings mean to those who are connected: limits hold for them at once. If who may come in
has changed, each is judged again by what it said in its CONNECT; whoever would not be let in any
more is told so and closed. If fewer connections are allowed than there are, the newest go.

What is logged: a line for each setting that changed, without secrets. (nats-server lists users,
accounts and TLS whether they changed or not; of these we list TLS only, as its certificates are
read again each time.)

Source: the lines and their order are nats-server's. Neighbours: `broker.reload` knows which changes
a running broker can take, `broker.server` is changed, `broker.__main__` and `broker.embedded` ask
for it. Loop thread only; O(connections).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from broker import codec
from broker.config import Options
from broker.errors import (
    AUTHORIZATION_VIOLATION,
    CONNECTIONS_EXCEEDED,
    Closed,
    WireError,
)
from broker.gotime import duration
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

#: Settings that are not named in the log as their fields are; without a value, none is shown.
_NAMES: Mapping[str, str] = {
    "user": "authorization username",
    "password": "authorization password",
    "token": "authorization token",
    "auth_timeout": "authorization timeout",
    "users": "authorization users",
    "lame_duck_grace": "lame_duck_grace_period",
    "max_traced": "max_traced_msg_len",
    "config_file": "",
    "digest": "",
    "tls": "",
}

_SECRET = frozenset({"user", "password", "token", "users", "accounts", "jwt"})
_DURATIONS = frozenset(
    {"ping_interval", "first_ping", "write_deadline", "lame_duck_duration", "lame_duck_grace"}
)


def apply(server: Server, new: Options) -> list[str]:
    """Go on with ``new`` settings; return the lines to log.

    Raises:
        ReloadRefused: some change needs a restart; nothing has changed.
        OSError, ValueError: a certificate or credentials cannot be used; nothing has changed.
    """
    from broker.reload import plan  # with it come the tables of all settings

    old = server.options
    refused = plan(old, new).refused
    if refused:
        raise ReloadRefused("; ".join(refused))
    authenticator = server.make_authenticator(new)
    tls = None
    if new.tls is not None:
        from broker.tlscontext import server_context

        tls = server_context(new.tls)

    server.options, server.authenticator, server.tls = new, authenticator, tls
    server.info = server.make_info()
    _set_limits(server, old)
    if any(getattr(old, field) != getattr(new, field) for field in _WHO):
        _judge_again(server)
    _send_surplus_away(server)
    return _lines(old, new)


def _set_limits(server: Server, old: Options) -> None:
    new, plane = server.options, server.plane
    limits = {
        "max_payload": new.max_payload,
        "max_control_line": new.max_control_line,
        "max_pending": new.max_pending,
    }
    plane.set_limits(None, **limits)
    for connection in server.census.connections():
        plane.set_limits(connection.link, **limits)
        # What a session was made with stays the same for its life; a reload is the one exception.
        session = connection.session
        session._limits, session._server = new, server.info
        session._authenticator = server.authenticator
    if new.write_deadline != old.write_deadline:
        server.set_write_deadline(new.write_deadline)
    server.census.keep(new.closed_ring)


def _judge_again(server: Server) -> None:
    for connection in server.census.connections():
        session = connection.session
        if session.identity is None and not server.authenticator.required:
            continue
        identity = server.authenticator.authenticate(session.options)
        if identity is None:
            _turn_out(server, connection, AUTHORIZATION_VIOLATION)
        else:
            session.identity = identity


def _send_surplus_away(server: Server) -> None:
    most = server.options.max_connections
    surplus = server.census.connections()[most:] if most else ()
    for connection in surplus:
        _turn_out(server, connection, CONNECTIONS_EXCEEDED)
    if surplus:
        logger.info("Closed %d connections to fall within max_connections", len(surplus))


def _turn_out(server: Server, connection: Connection, error: WireError) -> None:
    server.before_input()
    server.plane.send(connection.link, codec.err_line(error))
    connection.session.close(error.closed or Closed.AUTHENTICATION_FAILURE)


# ----------------------------------------------------------------------------------- log lines


def _lines(old: Options, new: Options) -> list[str]:
    changed = [
        field.name
        for field in dataclasses.fields(Options)
        if getattr(old, field.name) != getattr(new, field.name)
    ]
    lines = [f"Reloaded: {_said(field, getattr(new, field))}" for field in changed if _named(field)]
    if old.tls is not None or new.tls is not None:
        lines.append(f"Reloaded: tls = {'disabled' if new.tls is None else 'enabled'}")
    return lines


def _named(field: str) -> str:
    return _NAMES.get(field, field)


def _said(field: str, value: Any) -> str:
    shown = _show(field, value)
    return f"{_named(field)} = {shown}" if shown is not None else _named(field)


def _show(field: str, value: Any) -> str | None:
    """A value as Go prints it, or None for what is secret or too large for a line."""
    if field in _SECRET:
        return None
    if field in _DURATIONS:
        return duration(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:g}"
    return str(value) if isinstance(value, (int, str)) else None
