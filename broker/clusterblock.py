"""A cluster's settings: the URLs of nodes read, contradictions found, and what flags change.

The idea: a route is given as a URL, in a file, by a flag or from Python, so what a URL says is read
here once. Whatever cannot be right is found before anything is dialled.

Neighbours: `broker.config` asks for problems, `broker.cluster` reads routes, `broker.cli` makes
`ClusterFlags` and whoever joins flags and files applies them. Pure.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from broker.blocks import ClusterBlock, TlsBlock
from broker.permissions import Rules, SubscribeGate

__all__ = ["DEFAULT_PORT", "ClusterFlags", "RouteUrl", "problem_of", "with_flags"]

#: Where nodes are by convention; a URL need not say it.
DEFAULT_PORT = 6222


@dataclass(frozen=True)
class RouteUrl:
    """Where a node is, and what is said to it."""

    host: str
    port: int
    user: str = ""
    password: str = dataclasses.field(default="", repr=False)

    @classmethod
    def read(cls, url: str) -> RouteUrl:
        """Raises ValueError, without its secrets, for what is no URL of a node."""
        from urllib.parse import unquote, urlsplit  # a broker that stands alone reads no URL

        try:
            parts = urlsplit(url.strip())
            host, port = parts.hostname or "", parts.port
        except ValueError:
            host, port = "", None
        if not host or not parts.scheme:
            raise ValueError(
                "give it as nats-route://host:port, or nats-route://user:pass@host:port"
            )
        return cls(
            host,
            DEFAULT_PORT if port is None else port,
            unquote(parts.username or ""),
            unquote(parts.password or ""),
        )


def problem_of(block: ClusterBlock) -> str:
    """What is wrong with a block, and how to mend it; empty: nothing."""
    if " " in block.name:
        return "cluster name cannot contain spaces"
    if block.name == "_":
        return 'cluster name cannot be "_", which stands for leaf nodes without a cluster'
    for url in block.routes:
        try:
            if not RouteUrl.read(url).port:
                raise ValueError("nobody is at port 0")
        except ValueError as error:
            return f"error parsing route url [{_without_secret(url)!r}]: {error}"
    if block.auth_timeout <= 0:
        return f"auth_timeout must be more than 0 seconds, not {block.auth_timeout!r}"
    if bool(block.user) != bool(block.password):
        return "a user and a password go together; give both, or neither"
    if block.tls is not None and (unserved := _unserved(block.tls)):
        return f"{unserved} is for clients; between nodes both sides always show a certificate"
    for which, rules in (("import", block.imports), ("export", block.exports)):
        try:
            SubscribeGate(rules or Rules())
        except ValueError as error:
            return f"cluster {which}: {error}"
    return ""


def _unserved(tls: TlsBlock) -> str:
    """What a ``tls`` block of clients may say and one of nodes may not."""
    if tls.verify_and_map:
        return "verify_and_map"
    if tls.connection_rate_limit:
        return "connection_rate_limit"
    return "handshake_first" if tls.first else ""


def _without_secret(url: str) -> str:
    before, at, after = url.rpartition("@")
    return f"{before.partition('://')[0]}://[REDACTED]@{after}" if at else url


@dataclass(frozen=True)
class ClusterFlags:
    """What the command line says of the cluster; what is None is left to the file.

    ``listen`` is the whole of what stands in ``--cluster``: without a user there is none.
    """

    listen: RouteUrl | None = None
    name: str | None = None
    routes: tuple[str, ...] | None = None
    advertise: str | None = None
    no_advertise: bool | None = None
    connect_retries: int | None = None

    def over(self, block: ClusterBlock | None) -> ClusterBlock | None:
        """The block of a file with all this in its place; None: there is no cluster.

        Raises ValueError for routes without a place where other nodes can connect to us.
        """
        if block is None and self.listen is None:
            if self.routes:
                raise ValueError("Solicited routes require cluster capabilities, e.g. --cluster")
            return None
        named = ("name", "routes", "advertise", "no_advertise", "connect_retries")
        given = {name: getattr(self, name) for name in named if getattr(self, name) is not None}
        if self.listen is not None:
            given |= dataclasses.asdict(self.listen)
        return dataclasses.replace(block or ClusterBlock(), **given)


def with_flags(fields: Mapping[str, Any], flags: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of `Options` that a file sets, with those of the flags in their place.

    Raises ValueError as `ClusterFlags.over`.
    """
    joined = {**fields, **flags}
    if isinstance(joined.get("cluster"), ClusterFlags):
        joined["cluster"] = joined["cluster"].over(fields.get("cluster"))
    return joined
