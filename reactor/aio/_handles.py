"""asyncio's `Handle` and `TimerHandle`, made and cancelled faster.

A program that defers or times something for every message makes one of these for each, so what
making one costs is felt. These are asyncio's own classes, with the same attributes and the same
meaning; only `__init__` and `cancel` are written out flat, without the calls to `super` and without
looking for debug mode, where the loop makes asyncio's own instead.

Floor 4: used by `reactor.aio._loop` only.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import Context, copy_context
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from reactor.aio._loop import ReactorEventLoop


class SoonHandle(asyncio.Handle):
    """What `call_soon` returns. Loop thread only, but for its making."""

    __slots__ = ()

    _callback: Callable[..., object] | None
    _args: Any
    _context: Context
    _loop: Any
    _repr: str | None
    _source_traceback: Any

    def __init__(
        self,
        callback: Callable[..., object],
        args: tuple[Any, ...],
        loop: ReactorEventLoop,
        context: Context | None,
    ) -> None:
        self._context = copy_context() if context is None else context
        self._loop = loop
        self._callback = callback
        self._args = args
        self._cancelled = False
        self._repr = None
        self._source_traceback = None


class LaterHandle(asyncio.TimerHandle):
    """What `call_later` and `call_at` return. Loop thread only."""

    __slots__ = ()

    _callback: Callable[..., object] | None
    _args: Any
    _context: Context
    _loop: Any
    _repr: str | None
    _source_traceback: Any
    _scheduled: bool
    _when: float

    def __init__(
        self,
        when: float,
        callback: Callable[..., object],
        args: tuple[Any, ...],
        loop: ReactorEventLoop,
        context: Context | None,
    ) -> None:
        self._context = copy_context() if context is None else context
        self._loop = loop
        self._callback = callback
        self._args = args
        self._cancelled = False
        self._repr = None
        self._source_traceback = None
        self._when = when
        self._scheduled = True

    def cancel(self) -> None:
        """Make sure that it is not called. O(1); idempotent."""
        if self._cancelled:
            return
        loop = self._loop
        if loop._debug:
            super().cancel()
            return
        self._cancelled = True
        self._callback = self._args = None
        if self._scheduled:
            loop._timer_handle_cancelled(self)
