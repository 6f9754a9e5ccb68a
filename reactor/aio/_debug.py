"""Debug mode: a warning for every call that keeps the loop for too long.

asyncio times what it takes from its queue. What the reactor calls directly, the callbacks of
descriptors and transports, it would not see; so in debug mode the reactor is given an instrument
that times those. Off, none of this exists.

Floor 4: used by `reactor.aio._loop` only.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from asyncio import base_events
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from reactor.sources import Source
from reactor.trace import Instrument

if TYPE_CHECKING:
    from reactor.aio._loop import ReactorEventLoop

# asyncio's logger and its way to print a handle, of which its stubs do not speak.
_asyncio: Any = base_events


class SlowCalls(Instrument):
    """Warns of calls of the reactor that take longer than the loop's `slow_callback_duration`."""

    def __init__(self, loop: ReactorEventLoop) -> None:
        self._loop = loop
        self._started = 0.0

    def before_call(self, source: Source, ready: int) -> None:
        """Note the time."""
        self._started = time.monotonic()

    def after_call(self, source: Source, ready: int) -> None:
        """Compare it."""
        _warn_if_slow(self._loop, source.describe(), time.monotonic() - self._started)


@contextlib.contextmanager
def log_if_slow(loop: ReactorEventLoop, handle: asyncio.Handle) -> Iterator[None]:
    """Warn if the block takes longer than the loop's `slow_callback_duration`."""
    started = loop.time()
    yield
    taken = loop.time() - started
    if taken >= loop.slow_callback_duration:
        _warn_if_slow(loop, _asyncio._format_handle(handle), taken)


def _warn_if_slow(loop: ReactorEventLoop, what: str, taken: float) -> None:
    if taken >= loop.slow_callback_duration:
        _asyncio.logger.warning("Executing %s took %.3f seconds", what, taken)
