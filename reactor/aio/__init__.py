"""An asyncio event loop on our reactor.

    import reactor.aio

    reactor.aio.run(main())

Everything that asyncio documents works on it, and every library that is written for asyncio: it is
asyncio's own loop, in which the waiting, the queues and the streams are a reactor's. `loop.reactor`
is that reactor, which a program may use at the same time and in the same thread.

Floor 4: stands on the reactor's public face. `docs/aio.md` says what was tested, and what is not
quite as in asyncio.
"""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, TypeVar

from reactor.aio._loop import ReactorEventLoop
from reactor.aio._policy import EventLoopPolicy
from reactor.aio._runner import run_in
from reactor.loop import Reactor

__all__ = ["EventLoopPolicy", "ReactorEventLoop", "new_event_loop", "run"]

T = TypeVar("T")


def new_event_loop(reactor: Reactor | None = None) -> ReactorEventLoop:
    """Return a new event loop, on a reactor of its own or on the one given.

    It fits wherever asyncio takes a factory of loops, such as `asyncio.Runner(loop_factory=...)`.
    A reactor that was given is not closed with the loop. Any thread.
    """
    return ReactorEventLoop(reactor)


def run(main: Coroutine[Any, Any, T], *, debug: bool | None = None) -> T:
    """Run a coroutine to its end on a new loop and return its result, as `asyncio.run` does.

    Tasks that are left are cancelled, asynchronous generators and the default executor shut down,
    the loop is closed. Raises RuntimeError if a loop is running in this thread already.
    """
    return run_in(new_event_loop, main, debug=debug)
