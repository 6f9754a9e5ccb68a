"""Times and spans as Go writes them, because readers of nats-server's pages parse that.

Pure functions on seconds; O(1). Neighbours: `broker.connz` and `broker.varz` use them.
"""

from __future__ import annotations

import datetime

__all__ = ["duration", "nanoseconds", "timestamp", "uptime"]


def timestamp(seconds: float) -> str:
    """A wall-clock time as RFC 3339 in UTC, fractions without trailing zeros."""
    moment = datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc)
    text = moment.strftime("%Y-%m-%dT%H:%M:%S.%f").rstrip("0").rstrip(".")
    return text + "Z"


def nanoseconds(seconds: float) -> int:
    """A span as Go marshals one."""
    return round(seconds * 1_000_000_000)


def duration(seconds: float) -> str:
    """A span as Go prints one: ``308µs``, ``1.5s``, ``1h0m2s``."""
    nanos = nanoseconds(seconds)
    for unit, size in (("ns", 1_000), ("µs", 1_000_000), ("ms", 1_000_000_000)):
        if 0 < nanos < size:
            return _decimal(nanos, size // 1_000) + unit
    minutes, rest = divmod(nanos, 60_000_000_000)
    hours, minutes = divmod(minutes, 60)
    text = _decimal(rest, 1_000_000_000) + "s"
    if hours:
        return f"{hours}h{minutes}m{text}"
    return f"{minutes}m{text}" if minutes else text


def _decimal(number: int, unit: int) -> str:
    whole, part = divmod(number, unit)
    if not part:
        return str(whole)
    digits = str(part).zfill(len(str(unit)) - 1).rstrip("0")
    return f"{whole}.{digits}"


def uptime(seconds: float) -> str:
    """A span in whole seconds, up to years: ``2s``, ``1m2s``, ``3d4h1m2s``."""
    rest = max(0, int(seconds))
    parts = []
    for unit, size in (("s", 60), ("m", 60), ("h", 24), ("d", 365)):
        rest, part = divmod(rest, size)
        parts.append(f"{part}{unit}")
        if not rest:
            break
    else:
        parts.append(f"{rest}y")
    return "".join(reversed(parts))
