"""The least that a loop in Python can be: what ours and others are compared with.

`BareEpoll` is all that the ring needs, `BareLoop` adds what makes it a loop.
"""

from __future__ import annotations

import heapq
import os
import select
import socket
import time
from collections import deque
from collections.abc import Callable

from bench.loop_face import Callback
from reactor import READ


class BareEpoll:
    """The least that Python can do for the ring: a dictionary of callbacks on `select.epoll`."""

    turned = True

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._callbacks: dict[int, Callback] = {}
        self._stopping = False

    def stop(self) -> None:
        """End `run` after this turn."""
        self._stopping = True

    def run(self) -> None:
        """Turn until `stop`, without sleeping."""
        while not self._stopping:
            self.turn()
        self._stopping = False

    def watch(self, fileobj: int | socket.socket, callback: Callback) -> None:
        """Register."""
        fd = fileobj if isinstance(fileobj, int) else fileobj.fileno()
        self._epoll.register(fd, select.EPOLLIN)
        self._callbacks[fd] = callback

    def turn(self) -> None:
        """One wait, and the callbacks."""
        callbacks = self._callbacks
        for fd, _ in self._epoll.poll(0):
            callbacks[fd]()

    def close(self) -> None:
        """Close the set."""
        self._epoll.close()


class BareTimer:
    """A timer of the bare loop: a mark that says whether it is still wanted."""

    __slots__ = ("callback",)

    def __init__(self, callback: Callable[[], object] | None) -> None:
        self.callback = callback

    def cancel(self) -> None:
        """Have it not called. Its entry stays in the heap until it is due."""
        self.callback = None


class BareLoop(BareEpoll):
    """The least that is a loop: a deque, a heap, an eventfd. It promises nothing."""

    def __init__(self) -> None:
        super().__init__()
        self._deferred: deque[Callable[[], object]] = deque()
        self._heap: list[tuple[float, int, BareTimer]] = []
        self._sequence = 0
        self._doorbell = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self.watch(self._doorbell, self._on_doorbell)
        self.call_soon: Callable[[Callable[[], object]], object] = self._deferred.append

    def call_later(self, delay: float, callback: Callable[[], object]) -> BareTimer:
        """Set a timer."""
        self._sequence += 1
        timer = BareTimer(callback)
        heapq.heappush(self._heap, (time.monotonic() + delay, self._sequence, timer))
        return timer

    def call_threadsafe(self, callback: Callable[[], object]) -> None:
        """Defer and ring, whether it sleeps or not."""
        self._deferred.append(callback)
        os.eventfd_write(self._doorbell, 1)

    def run(self) -> None:
        """Turn until `stop`."""
        callbacks, deferred, heap = self._callbacks, self._deferred, self._heap
        poll, now = self._epoll.poll, time.monotonic
        while not self._stopping:
            if deferred:
                timeout = 0.0
            else:
                timeout = max(heap[0][0] - now(), 0.0) if heap else -1
            for fd, _ in poll(timeout):
                callbacks[fd]()
            while heap and heap[0][0] <= now():
                if (callback := heapq.heappop(heap)[2].callback) is not None:
                    callback()
            for _ in range(len(deferred)):
                deferred.popleft()()
        self._stopping = False

    def close(self) -> None:
        """Close the set and the doorbell."""
        super().close()
        os.close(self._doorbell)

    def _on_doorbell(self, _ready: int = READ, /) -> None:
        os.eventfd_read(self._doorbell)
