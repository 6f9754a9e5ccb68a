"""What the JWT of a user grants, and what it demands of the connection in return.

The idea: a user's token, or the template of the key that signed it, is one object with two halves.
One says what the user may do: permissions and limits. The other says where it must come from: by
which door, from which networks, at which times of the day. Both are read here, each when a user
logs in.

Invariants: what cannot be understood refuses the user; nothing is passed over.

Source: nats-server's ``auth.go`` and ``jwt.go``. A day's times are those of the named zone, or of
the machine where none is named. Neighbours: `broker.jwtauth` asks, and `broker.jwtaccount` reads an
account's default permissions. Pure functions, thread-safe; the time is an argument.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta, timezone, tzinfo

from broker.identity import Credentials
from broker.jwtfields import Fields, entry, flag, items, number, part, text, texts
from broker.permissions import FREE, Permissions, Responses, Rules
from broker.subject import is_valid_filter

__all__ = ["ends_today", "filter_of", "has_right_kind", "is_from_there", "permissions"]

_NANOSECONDS = 1e9
_DAY = timedelta(days=1)


def permissions(fields: Fields) -> Permissions | None:
    """What may be published and subscribed to; None where nothing is said, so that the account's
    default holds.
    """
    publish, subscribe = _rules(part(fields, "pub")), _rules(part(fields, "sub"), queues=True)
    responses = None
    if fields.get("resp") is not None:
        given = part(fields, "resp")
        expires = number(given, "ttl", 0) / _NANOSECONDS
        responses = Responses(number(given, "max", 0) or 1, expires or Responses.expires)
        if publish.allow is None:
            publish = replace(publish, allow=())
    found = Permissions(publish, subscribe, responses)
    return None if found == FREE else found


def _rules(given: Fields, *, queues: bool = False) -> Rules:
    allow, deny = (
        tuple(filter_of(one, queues=queues) for one in texts(given, key))
        for key in ("allow", "deny")
    )
    return Rules(allow or None, deny)


def filter_of(text: str, *, queues: bool = False) -> bytes:
    """A filter as our records have it, perhaps with the name of a queue group."""
    parts = text.split(" ")
    if len(parts) > 1 + queues or not all(is_valid_filter(part.encode()) for part in parts):
        raise ValueError(f"{text!r} is no subject")
    return text.encode()


def has_right_kind(fields: Fields, credentials: Credentials) -> bool:
    """Whether the user may come by this door."""
    kinds = texts(fields, "allowed_connection_types")
    if flag(fields, "proxy_required"):
        return False
    return not kinds or credentials.kind in [kind.upper() for kind in kinds]


def is_from_there(fields: Fields, ip: str) -> bool:
    """Whether the user may come from this address."""
    given = fields.get("src")
    if isinstance(given, str):  # some write all networks as one text
        given = [text for text in given.split(",") if text.strip()]
    networks = [_network(text.strip()) for text in texts({"src": given}, "src")]
    if not networks:
        return True
    address = ipaddress.ip_address(ip)
    return any(address in network for network in networks)


def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    if "/" not in text:
        raise ValueError(f"{text!r} is no network: an address, a slash and the bits that count")
    return ipaddress.ip_network(text, strict=False)


def ends_today(fields: Fields, wall: float) -> float | None:
    """The time at which the user must go by the hours it may come in, None if by none.

    Raises ValueError outside these hours. O(ranges).
    """
    ranges = items(fields, "times")
    if not ranges:
        return None
    now = datetime.fromtimestamp(wall, _zone(text(fields, "times_location")))
    ends = [end for span in ranges for end in _ends(now, entry(span))]
    if not ends:
        raise ValueError("not at this time of the day")
    return max(ends).timestamp()


def _ends(now: datetime, span: Fields) -> Iterator[datetime]:
    """When a range ends in which `now` lies; it may go on after midnight."""
    start, end = (_at(now, text(span, key)) for key in ("start", "end"))
    if start < now < end or now < end < start:
        yield end
    elif end < start < now:
        yield end + _DAY


def _at(now: datetime, text: str) -> datetime:
    clock = datetime.strptime(text, "%H:%M:%S").time()
    return datetime.combine(now.date(), clock, now.tzinfo)


def _zone(name: str) -> tzinfo | None:
    """The zone of that name; None is the machine's."""
    if not name or name == "Local":
        return None
    if name == "UTC":
        return timezone.utc
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, OSError):
        raise ValueError(f"the time zone {name!r} is not known") from None
