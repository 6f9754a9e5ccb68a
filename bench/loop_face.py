"""The small face behind which every loop is measured within this process.

What is timed is bound to the loop's own methods, without a wrapper that would be measured with it.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Protocol

from reactor import READ


class Callback(Protocol):
    """What is called at an event; `ready` is there for loops that say what happened."""

    def __call__(self, ready: int = READ, /) -> None:
        """Deal with it."""


class Cancellable(Protocol):
    """A timer that was set."""

    def cancel(self) -> object:
        """Have it not called."""


class Watching(Protocol):
    """What the ring asks of a loop."""

    #: Whether it can be turned pass by pass at no cost of its own. Where not, the ring has it `run`
    #: and stops it from the last callback.
    turned: bool

    def watch(self, fileobj: int | socket.socket, callback: Callback, /) -> object:
        """Call `callback` whenever `fileobj` is readable."""

    def turn(self) -> object:
        """One pass that does not sleep."""

    def run(self) -> object:
        """Turn until `stop`."""

    def stop(self) -> object:
        """End `run` after this turn."""

    def close(self) -> object:
        """Remove every watcher."""


class Loop(Watching, Protocol):
    """A whole loop."""

    def call_soon(self, callback: Callable[[], object], /) -> object:
        """Call in the next turn."""

    def call_later(self, delay: float, callback: Callable[[], object], /) -> Cancellable:
        """Call in `delay` seconds."""

    def call_threadsafe(self, callback: Callable[[], object], /) -> object:
        """Call in the next turn, from any thread, waking the loop."""
