"""The policy that makes our loop the one that every part of a program gets.

asyncio is giving policies up: from Python 3.14 on they warn, and later they are gone. Where they
are, setting this one is the way for a program whose loop is made by somebody else; anywhere else,
hand `reactor.aio.new_event_loop` over as the factory.

Before Python 3.12 asyncio's policy has children waited for by a thread each; this one watches a
descriptor for each (`pidfd`), where the system has them.

Floor 4: used by programs.
"""

from __future__ import annotations

import asyncio
import os
import sys
from typing import Any

from reactor.aio._loop import ReactorEventLoop


class EventLoopPolicy(asyncio.DefaultEventLoopPolicy):
    """asyncio's policy with our loop: `asyncio.set_event_loop_policy(EventLoopPolicy())`."""

    _loop_factory = ReactorEventLoop

    if sys.version_info < (3, 12):

        def get_child_watcher(self) -> Any:
            """Return the watcher of child processes, by default one that needs no thread."""
            this: Any = self
            if this._watcher is None and hasattr(os, "pidfd_open"):
                this._watcher = asyncio.PidfdChildWatcher()
            return super().get_child_watcher()
