"""What the loop can call: a source.

A turn's batch is a list of `(source, ready)`. Whatever the source is, a handle, a timer, a deferred
call, the loop treats it alike: ``ready & source.armed`` says whether it still wants to be called,
and ``source.fire(ready)`` calls it. A source that is closed, paused or cancelled has ``armed`` 0,
or fewer bits than before, and so is not called although it was in the batch already.

The loop counts the calls of handles; every other source counts its own, where somebody can ask.

Floor 1: imports `reactor.trace` only. `Handle` lives with the loop, `Timer` with its queue.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Protocol

from reactor.trace import Site

#: What a source other than a handle is called with, and armed with: it has no events, only this bit
#: that says go. It is none of the bits of `reactor.events`.
GO: Final = 8


class Source(Protocol):
    """Anything that can stand in a batch."""

    #: The bits of `ready` for which it wants to be called now; 0 for never.
    armed: int
    #: How often it was called.
    fired: int
    #: When it was called last, in seconds on the reactor's clock, of what is called repeatedly.
    last_fired: float | None
    #: Where it was made, where that is known.
    site: Site | None

    def fire(self, ready: int, /) -> object:
        """Do what it is there for."""
        ...

    def describe(self) -> str:
        """Say what it is, for a log line."""
        ...


class Call:
    """A deferred call. Made by `Reactor.call_soon` and `call_threadsafe`.

    `cancel` is safe from the loop's thread only, whoever made the call.

    It has no `__init__`, as calling one would double what a call costs: `new_call` fills in every
    slot, and so does `Reactor.call_soon` itself.
    """

    __slots__ = ("args", "armed", "callback", "fired", "site")

    callback: Callable[..., object]
    args: tuple[Any, ...]
    armed: int
    fired: int
    site: Site | None
    #: Not kept of what is called once: nobody finds it any more when it has been.
    last_fired: float | None = None

    def cancel(self) -> None:
        """Make sure that it is not called. O(1); idempotent."""
        self.armed = 0

    def fire(self, ready: int) -> None:
        """Call it, once; the loop's, not yours."""
        self.armed = 0
        self.fired = 1
        self.callback(*self.args)

    def describe(self) -> str:
        """Return what this is, for a log line."""
        return f"call of {getattr(self.callback, '__qualname__', repr(self.callback))}"


def new_call(callback: Callable[..., object], args: tuple[Any, ...]) -> Call:
    """Return a call of `callback(*args)`."""
    call = Call()
    call.callback = callback
    call.args = args
    call.armed = GO
    call.fired = 0
    call.site = None
    return call


class Flusher:
    """Work for the end of a turn, such as writing out what a stream's handlers wrote.

    Its owner keeps one and hands it to `Reactor.flush_later` whenever there is something to do;
    handing it over again in the same turn does nothing.
    """

    __slots__ = ("_flush", "armed")

    fired: int = 0
    last_fired: float | None = None
    site: Site | None = None

    def __init__(self, flush: Callable[[], object]) -> None:
        self._flush = flush
        self.armed = 0

    def fire(self, ready: int) -> None:
        """Flush; the loop's, not yours."""
        self.armed = 0
        self._flush()

    def describe(self) -> str:
        """Return what this is, for a log line."""
        return f"flush by {getattr(self._flush, '__qualname__', repr(self._flush))}"
