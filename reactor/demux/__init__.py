"""The demultiplexers, in one ordered table: the first that works is the default.

The loop never names a backend. It opens what `open_demultiplexer` gives it: the one that was asked
for, or the one in `REACTOR_BACKEND`, or the first of the table that works here. Whether one works
is found out by opening it, never by asking which system this is.

Floor 1: imported by the loop and by `reactor.Selector`.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from reactor.demux._base import Demultiplexer, DemuxStats, Features
from reactor.errors import UnknownBackendError

__all__ = [
    "BACKENDS",
    "DemuxStats",
    "Demultiplexer",
    "Features",
    "available",
    "features",
    "open_demultiplexer",
]

#: The environment variable that forces a backend.
VARIABLE = "REACTOR_BACKEND"


def _epoll_c() -> Demultiplexer:
    from reactor.demux._epoll_c import EpollCDemultiplexer

    return EpollCDemultiplexer()


def _epoll() -> Demultiplexer:
    from reactor.demux._epoll import EpollDemultiplexer

    return EpollDemultiplexer()


def _io_uring() -> Demultiplexer:
    from reactor.demux._io_uring import IoUringDemultiplexer

    return IoUringDemultiplexer()


def _poll() -> Demultiplexer:
    from reactor.demux._poll import PollDemultiplexer

    return PollDemultiplexer()


def _select() -> Demultiplexer:
    from reactor.demux._select import SelectDemultiplexer

    return SelectDemultiplexer()


#: Name to opener, in the order of preference. An opener raises if its backend does not work here.
#: `io_uring` is not behind `epoll` for being slower (docs/c-path.md says where it wins), but as it
#: is to be chosen with open eyes: it holds files, and loses at a single connection.
BACKENDS: dict[str, Callable[[], Demultiplexer]] = {
    "epoll_c": _epoll_c,
    "epoll": _epoll,
    "io_uring": _io_uring,
    "poll": _poll,
    "select": _select,
}


def open_demultiplexer(name: str | None = None) -> Demultiplexer:
    """Open the backend `name`, or the one in `REACTOR_BACKEND`, or the best that works.

    Raises `UnknownBackendError` if the one that was asked for does not exist or does not work here;
    a backend that was forced is never silently replaced by another.
    """
    wanted = name or os.environ.get(VARIABLE)
    if wanted:
        return _open(wanted, source="backend" if name else VARIABLE)
    for candidate in BACKENDS:
        try:
            return _open(candidate, source="backend")
        except UnknownBackendError:
            continue
    raise UnknownBackendError(f"none of {', '.join(BACKENDS)} works on this machine")


def available() -> list[str]:
    """Return the names of the backends that work here, in order of preference. Opens each once."""
    return [name for name in BACKENDS if _works(name)]


def features(name: str) -> Features:
    """Return what the backend `name` can do; `UnknownBackendError` if it does not work here."""
    demultiplexer = _open(name, source="backend")
    demultiplexer.close()
    return demultiplexer.features


def _open(name: str, source: str) -> Demultiplexer:
    opener = BACKENDS.get(name)
    if opener is None:
        raise UnknownBackendError(
            f"{source}={name!r} is not a backend; choose one of {', '.join(BACKENDS)}"
        )
    try:
        return opener()
    except (ImportError, AttributeError, OSError) as error:
        raise UnknownBackendError(
            f"{source}={name!r} does not work on this machine ({error});"
            f" leave it out to get the best one that does"
        ) from error


def _works(name: str) -> bool:
    try:
        features(name)
    except (OSError, UnknownBackendError):
        return False
    return True
