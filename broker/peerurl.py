"""The address of another server, as a configuration writes it: ``nats-leaf://user:pass@host:port``.

The idea: one small reader for the URLs of peers. The scheme is not looked at, as nats-server does
not either, but for the ones that would need a WebSocket; a port that is missing is the usual one.

Invariants: a password is neither shown by `repr` nor by `str` nor named in an error.

Pure. Neighbours: `broker.confleaf` checks with it, and whoever dials reads with it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["PeerUrl", "joined", "redacted"]

_WEBSOCKET = frozenset(["ws", "wss"])


@dataclass(frozen=True)
class PeerUrl:
    """Where a server is, and who we are to it. `str` gives the address alone, as ``host:port``."""

    host: str
    port: int
    user: str = ""
    password: str = field(default="", repr=False)
    tls: bool = False

    def __str__(self) -> str:
        return joined(self.host, self.port)

    @classmethod
    def parse(cls, text: str, default_port: int) -> PeerUrl:
        """Read a URL, or a plain ``host:port``.  Raises ValueError, without the password in it."""
        from urllib.parse import unquote, urlsplit  # slow to import, and most dial nobody

        whole = text.strip()
        try:
            parts = urlsplit(whole if "://" in whole else f"nats://{whole}")
            host, port = parts.hostname or "", parts.port
        except ValueError:
            raise ValueError(f"error parsing url {redacted(whole)}") from None
        if parts.scheme.lower() in _WEBSOCKET:
            raise ValueError(f"{redacted(whole)}: servers are not connected by WebSocket")
        blank = any(c.isspace() for c in whole)
        if blank or not host or parts.path.strip("/") or parts.query or parts.fragment:
            raise ValueError(f"{redacted(whole)} is no address; give one as nats://host:port")
        user, password = unquote(parts.username or ""), unquote(parts.password or "")
        return cls(host, port or default_port, user, password, parts.scheme.lower() == "tls")


def joined(host: str, port: int) -> str:
    """Host and port as one text."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def redacted(text: str) -> str:
    """The URL as it may be shown, in quotes: what stands before an ``@`` may hold a password."""
    scheme, found, rest = text.rpartition("://")
    return f'"{scheme}{found}{rest.rpartition("@")[2]}"'
