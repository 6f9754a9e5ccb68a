"""Whether a web page from there may talk to a WebSocket here.

The idea: a browser lets any page open a WebSocket to any server, cookies included, and only tells
in ``Origin`` which page it was; it is for the server to refuse (RFC 6455, sections 1.6 and 10.2).
Two rules, both opt-in as in nats-server: *same origin* (the page came from this very host and
port), and a *list* of origins. With both, both must hold. Who sends no origin is no browser, could
claim any, and is let in.

Neighbours: `broker.wsdoor` asks. Pure; safe in any thread.
"""

from __future__ import annotations

from urllib.parse import urlsplit

__all__ = ["allowed"]

_PORTS = {"http": 80, "https": 443}


def allowed(
    origin: str | None, host: str, secure: bool, same: bool, listed: tuple[str, ...]
) -> str | None:
    """What is wrong with a request of this ``Origin`` for this ``Host``; None: nothing.

    ``secure`` says whether it came over TLS, ``same`` whether the origin must be this server,
    ``listed`` are the allowed origins, such as ``https://chat.example``; empty: any.
    """
    if not origin or not (same or listed):
        return None
    given = _parts(origin)
    if given is None:
        return f"cannot understand {origin!r}"
    if same and given != _parts(f"{'https' if secure else 'http'}://{host}"):
        return "not same origin"
    if listed and given not in map(_parts, listed):
        return "not in the allowed list"
    return None


def _parts(url: str) -> tuple[str, str, int] | None:
    """Scheme, host and port, which together are an origin (RFC 6454); None if it is none."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return None
    scheme = parts.scheme.lower()
    if not host:
        return None
    return scheme, host, port or _PORTS.get(scheme, 0)
