"""The loops under measurement within this process, behind one small face.

The parts that need no connection (ring, timers, deferred calls, wakeups, idle turns) measure a loop
through the few methods of `bench.loop_face`; this is where each gets them, and where they are made.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from typing import Any

from bench.bare_loop import BareLoop
from bench.loop_face import Callback, Cancellable, Loop
from bench.peers import OURS
from reactor import READ, Reactor
from reactor.demux import BACKENDS, features

#: Loops that have asyncio's methods: the name, and the module that has a `new_event_loop`.
ASYNCIO_LIKE = {
    "asyncio": "asyncio",
    "uvloop": "uvloop",
    "rloop": "rloop",
    "zuvloop": "zuvloop",
    OURS + "aio": "reactor.aio",
}


class Ours:
    """A reactor of ours on a given backend."""

    turned = True

    def __init__(self, backend: str) -> None:
        self._reactor = Reactor(backend=backend)
        self.call_soon: Callable[[Callable[[], object]], object] = self._reactor.call_soon
        self.call_later: Callable[[float, Callable[[], object]], Cancellable] = (
            self._reactor.call_later
        )
        self.call_threadsafe: Callable[[Callable[[], object]], object] = (
            self._reactor.call_threadsafe
        )
        self.stop: Callable[[], object] = self._reactor.stop
        self.turn: Callable[[], object] = partial(self._reactor.run_once, 0)

    def watch(self, fileobj: int | socket.socket, callback: Callback) -> None:
        """Register a handle."""
        self._reactor.register(fileobj, READ, callback)

    def run(self) -> None:
        """Turn until `stop`."""
        self._reactor.run()

    def close(self) -> None:
        """Close the reactor."""
        self._reactor.close()


class AsyncioLike:
    """The standard library's loop, or one that replaces it."""

    turned = False

    def __init__(self, module: str) -> None:
        loop: asyncio.AbstractEventLoop = import_module(module).new_event_loop()
        self._loop = loop
        self._watched: list[int] = []
        self.call_soon: Callable[[Callable[[], object]], object] = loop.call_soon
        self.call_later: Callable[[float, Callable[[], object]], Cancellable] = loop.call_later
        self.call_threadsafe: Callable[[Callable[[], object]], object] = loop.call_soon_threadsafe
        self.stop: Callable[[], object] = loop.stop

    def watch(self, fileobj: int | socket.socket, callback: Callback) -> None:
        """Add a reader: for a number, as not every loop takes a socket."""
        fd = fileobj if isinstance(fileobj, int) else fileobj.fileno()
        self._loop.add_reader(fd, callback)
        self._watched.append(fd)

    def turn(self) -> None:
        """One pass, at the cost of starting and ending `run_forever`: 30 us and more in uvloop."""
        self._loop.call_soon(self._loop.stop)
        self._loop.run_forever()

    def run(self) -> None:
        """Turn until `stop`."""
        self._loop.run_forever()

    def close(self) -> None:
        """Remove all readers and close."""
        for fd in self._watched:
            self._loop.remove_reader(fd)
        self._loop.close()


class GeventTimer:
    """Gives a gevent timer the name that others have for its `close`; costs it about 0.1 us."""

    __slots__ = ("cancel",)

    def __init__(self, cancel: Callable[[], object]) -> None:
        self.cancel = cancel


class Gevent:
    """gevent's own loop (libev), without greenlets."""

    turned = True

    def __init__(self) -> None:
        loop = import_module("gevent.core").loop(default=False)
        self._loop: Any = loop
        self._ios: list[Any] = []
        self._keeper = loop.timer(3600.0)  # without a watcher `run` would not wait
        self._keeper.start(int)
        self.call_soon: Callable[[Callable[[], object]], object] = loop.run_callback
        self.call_threadsafe: Callable[[Callable[[], object]], object] = (
            loop.run_callback_threadsafe
        )
        self.stop: Callable[[], object] = loop.break_

    def call_later(self, delay: float, callback: Callable[[], object]) -> Cancellable:
        """Set a timer."""
        timer = self._loop.timer(delay)
        timer.start(callback)
        return GeventTimer(timer.close)

    def watch(self, fileobj: int | socket.socket, callback: Callback) -> None:
        """Start an io watcher."""
        io = self._loop.io(fileobj if isinstance(fileobj, int) else fileobj.fileno(), 1)
        io.start(callback)
        self._ios.append(io)

    def turn(self) -> None:
        """One pass that does not sleep."""
        self._loop.run(nowait=True)

    def run(self) -> None:
        """Turn until `stop`."""
        self._loop.run()

    def close(self) -> None:
        """Close all watchers, and the loop."""
        for watcher in (*self._ios, self._keeper):
            watcher.close()
        self._loop.destroy()


def make(name: str) -> Loop:
    """Return a new loop of that name. Raises KeyError for one that is no loop in this process."""
    if name == "bare-epoll":
        return BareLoop()
    if name == "gevent":
        return Gevent()
    if name in ASYNCIO_LIKE:
        return AsyncioLike(ASYNCIO_LIKE[name])
    if name.removeprefix(OURS) in BACKENDS:
        return Ours(name.removeprefix(OURS))
    raise KeyError(name)


@contextmanager
def opened(name: str) -> Iterator[Loop]:
    """Make a loop for the length of a block."""
    loop = make(name)
    try:
        yield loop
    finally:
        loop.close()


def names() -> list[str]:
    """Return the loops that could be measured in this process, if they are here; ours first."""
    others = [name for name in ASYNCIO_LIKE if not name.startswith(OURS)]
    return [*(OURS + name for name in BACKENDS), OURS + "aio", "bare-epoll", *others, "gevent"]


def too_many(name: str, descriptors: int) -> bool:
    """Whether that many descriptors are more than this backend of ours can watch."""
    backend = name.removeprefix(OURS)
    if backend == name or backend not in BACKENDS:
        return False
    limit = features(backend).descriptor_limit
    return limit is not None and descriptors >= limit
