"""`poll(2)`: like `select`, without the limit on descriptor numbers.

The kernel still looks at every registered descriptor at every wait, so its cost grows with the
number watched, not with the number ready: the benchmark's chart shows the line rise.

Floor 1: beside the other backends; only `reactor.demux` opens it.
"""

from __future__ import annotations

import select
from typing import Any

from reactor.demux._base import Demultiplexer, Features, check_open
from reactor.demux._masks import FROM_KERNEL, KERNEL_BITS, TO_KERNEL, milliseconds


class PollDemultiplexer(Demultiplexer):
    """`poll(2)`: every wait costs O(registered) in the kernel, O(ready) in Python."""

    features = Features(
        name="poll",
        cost="O(registered)",
        files=True,
        timeout_resolution=1e-3,
        descriptor_limit=None,
        pollable=False,
        early_close=True,
    )

    def __init__(self) -> None:
        super().__init__()
        self._poll = select.poll()

    def register(self, fd: int, interest: int, token: Any) -> None:
        self._claim(fd)
        check_open(fd)
        if interest:
            self._poll.register(fd, TO_KERNEL[interest])
        self._tokens[fd] = token

    def modify(self, fd: int, interest: int, token: Any) -> None:
        self._known(fd)
        self._tokens[fd] = token
        if interest:
            # Registering again replaces the mask; `poll.modify` would fail after a mask of 0.
            self._poll.register(fd, TO_KERNEL[interest])
        else:
            self._forget(fd)

    def unregister(self, fd: int) -> None:
        if self._tokens.pop(fd, None) is not None:
            self._forget(fd)

    def wait(self, timeout: float | None) -> list[tuple[Any, int]]:
        self._waits += 1
        events = self._poll.poll(milliseconds(timeout))
        tokens = self._tokens
        ready = []
        for fd, mask in events:
            if mask & select.POLLNVAL:
                self.unregister(fd)
                self._vanished += 1
            elif fd in tokens:  # a signal handler may have unregistered it during the wait
                ready.append((tokens[fd], FROM_KERNEL[mask & KERNEL_BITS]))
        self._events += len(ready)
        return ready

    def close(self) -> None:
        self.closed = True
        self._tokens.clear()
        self._poll = select.poll()

    def _forget(self, fd: int) -> None:
        try:
            self._poll.unregister(fd)
        except KeyError:
            return  # it was watched for nothing, so poll never knew it
