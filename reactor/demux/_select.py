"""The oldest demultiplexer: `select(2)`.

The kernel is handed the whole set at every call and looks at every member of it, and it can only
name descriptors below `FD_SETSIZE`. It is here because it is everywhere, because it is the one that
everybody learns first, and because it has the finest timeouts of the three: microseconds.

Special problem: a single closed descriptor spoils the whole call (EBADF). The call does not say
which one it was, so each member is asked, the dead are dropped and counted, and the call is made
again.

Floor 1: beside the other backends; only `reactor.demux` opens it.
"""

from __future__ import annotations

import errno
import math
import select
from typing import Any

from reactor.budgets import MAX_WAIT
from reactor.demux._base import Demultiplexer, Features, check_open, is_open
from reactor.errors import DescriptorLimitError, UnsupportedError
from reactor.events import HANGUP, READ, WRITE

#: glibc's fixed size of an `fd_set`; Python checks each descriptor against it as well.
FD_SETSIZE = 1024


class SelectDemultiplexer(Demultiplexer):
    """`select(2)`: every wait costs O(registered), in the kernel and in Python."""

    features = Features(
        name="select",
        cost="O(registered)",
        files=True,
        timeout_resolution=1e-6,
        descriptor_limit=FD_SETSIZE,
        pollable=False,
        early_close=False,
    )

    def __init__(self) -> None:
        super().__init__()
        self._readers: set[int] = set()
        self._writers: set[int] = set()

    def register(self, fd: int, interest: int, token: Any) -> None:
        if fd >= FD_SETSIZE:
            raise DescriptorLimitError(
                f"select cannot watch descriptor {fd}: its limit is {FD_SETSIZE - 1};"
                " use backend='poll' or backend='epoll'"
            )
        self._claim(fd)
        check_open(fd)
        self._set(fd, interest)
        self._tokens[fd] = token

    def modify(self, fd: int, interest: int, token: Any) -> None:
        self._known(fd)
        self._set(fd, interest)
        self._tokens[fd] = token

    def unregister(self, fd: int) -> None:
        if self._tokens.pop(fd, None) is not None:
            self._readers.discard(fd)
            self._writers.discard(fd)

    def wait(self, timeout: float | None) -> list[tuple[Any, int]]:
        self._waits += 1
        if timeout is not None:
            # Microseconds, rounded up: a wait must never end before its time.
            timeout = min(max(math.ceil(timeout * 1e6) / 1e6, 0.0), MAX_WAIT)
        readable, writable = self._select(timeout)
        ready = dict.fromkeys(readable, READ)
        for fd in writable:
            ready[fd] = ready.get(fd, 0) | WRITE
        self._events += len(ready)
        tokens = self._tokens
        # A signal handler may have unregistered some of them during the wait.
        return [(tokens[fd], mask) for fd, mask in ready.items() if fd in tokens]

    def close(self) -> None:
        self.closed = True
        self._tokens.clear()
        self._readers.clear()
        self._writers.clear()

    def _set(self, fd: int, interest: int) -> None:
        if interest & HANGUP and not interest & (READ | WRITE):
            raise UnsupportedError(
                "select cannot watch for HANGUP alone; watch for READ as well, or use"
                " backend='poll' or backend='epoll'"
            )
        (self._readers.add if interest & READ else self._readers.discard)(fd)
        (self._writers.add if interest & WRITE else self._writers.discard)(fd)

    def _select(self, timeout: float | None) -> tuple[list[int], list[int]]:
        while True:
            try:
                readable, writable, _ = select.select(self._readers, self._writers, (), timeout)
            except OSError as error:
                if error.errno != errno.EBADF:
                    raise
                self._drop_the_dead()
            else:
                return readable, writable

    def _drop_the_dead(self) -> None:
        for fd in [fd for fd in self._tokens if not is_open(fd)]:
            self.unregister(fd)
            self._vanished += 1
