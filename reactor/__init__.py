"""A reactor: one thread waits on many handles and dispatches what is ready to handlers.

    from reactor import READ, Reactor

    with Reactor() as reactor:
        reactor.register(sock, READ, on_readable)
        reactor.call_later(1.5, reactor.stop)
        reactor.run()

The pattern is Schmidt's *Reactor* (1995); the words are his: a **handle** is a descriptor, a
**demultiplexer** waits on many, the **reactor** dispatches, a **handler** is what it calls.

The core is imported here at once. What stands above it (streams, listeners, TLS, processes ...) is
imported when it is first used, so that a program pays for what it needs.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from reactor.errors import CloseKind, CloseReason, ReactorError
from reactor.events import HANGUP, READ, WRITE
from reactor.handles import Handle
from reactor.loop import Reactor, ReactorStats
from reactor.timers import Timer

if TYPE_CHECKING:
    from reactor.connector import Connector, connect
    from reactor.datagram import Datagram
    from reactor.embed import attach_to_asyncio, attach_to_tk
    from reactor.listener import Listener, listen
    from reactor.process import Process, spawn
    from reactor.ratelimit import TokenBucket
    from reactor.resolver import resolve
    from reactor.selector import Selector
    from reactor.signals import on_signal
    from reactor.stream import Stream, StreamHandler
    from reactor.threads import ThreadPool
    from reactor.watchdog import Watchdog

__version__ = "0.1.0"

#: Name to the module that is imported when the name is first asked for.
_LATER = {
    "Connector": "connector",
    "connect": "connector",
    "Datagram": "datagram",
    "attach_to_asyncio": "embed",
    "attach_to_tk": "embed",
    "Listener": "listener",
    "listen": "listener",
    "Process": "process",
    "spawn": "process",
    "TokenBucket": "ratelimit",
    "resolve": "resolver",
    "Selector": "selector",
    "on_signal": "signals",
    "Stream": "stream",
    "StreamHandler": "stream",
    "ThreadPool": "threads",
    "Watchdog": "watchdog",
}

__all__ = [
    "HANGUP",
    "READ",
    "WRITE",
    "CloseKind",
    "CloseReason",
    "Connector",
    "Datagram",
    "Handle",
    "Listener",
    "Process",
    "Reactor",
    "ReactorError",
    "ReactorStats",
    "Selector",
    "Stream",
    "StreamHandler",
    "ThreadPool",
    "Timer",
    "TokenBucket",
    "Watchdog",
    "attach_to_asyncio",
    "attach_to_tk",
    "connect",
    "listen",
    "on_signal",
    "resolve",
    "spawn",
]


def __getattr__(name: str) -> object:
    module = _LATER.get(name)
    if module is None:
        raise AttributeError(f"module 'reactor' has no attribute {name!r}")
    value = getattr(import_module(f"reactor.{module}"), name)
    globals()[name] = value
    return value
