"""Running one coroutine to its end: `asyncio.Runner`, and what stands for it before Python 3.11.

Floor 4: used by `reactor.aio.run` only.
"""

from __future__ import annotations

import asyncio
import sys
from asyncio import runners
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

Factory = Callable[[], asyncio.AbstractEventLoop]


def run_in(factory: Factory, main: Coroutine[Any, Any, T], *, debug: bool | None) -> T:
    """Run `main` on a loop that `factory` makes."""
    if sys.version_info >= (3, 11):
        with asyncio.Runner(debug=debug, loop_factory=factory) as runner:
            return runner.run(main)
    return _run_as_before(factory, main, debug)


def _run_as_before(factory: Factory, main: Coroutine[Any, Any, T], debug: bool | None) -> T:
    """Do what `asyncio.run` did in Python 3.10, which takes no factory."""
    if asyncio._get_running_loop() is not None:
        raise RuntimeError("run() cannot be called from a running event loop; await it there")
    loop = factory()
    try:
        asyncio.set_event_loop(loop)
        if debug is not None:
            loop.set_debug(debug)
        return loop.run_until_complete(main)
    finally:
        try:
            module: Any = runners
            module._cancel_all_tasks(loop)
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.run_until_complete(loop.shutdown_default_executor())
        finally:
            asyncio.set_event_loop(None)
            loop.close()
