"""`epoll(7)`: the kernel remembers the set, and a wait costs only what is ready.

Used level-triggered, like the others. Four special problems of epoll, each with a test:

* **It watches open files, not descriptors.** Close a descriptor while a duplicate of it lives on
  (`dup`, a forked child) and epoll goes on reporting the number that no longer is ours: a *ghost*.
  Only unregistering before closing prevents it. When a ghost is heard, or when a number is reused
  whose removal the kernel could not confirm, the set is built anew, and counted.
* **Descriptors that refuse.** Regular files and some devices answer EPERM. `select` and `poll` call
  them always ready; so do we, from a set of our own.
* **A mask of nothing still reports errors**, and would spin; so an interest of 0 leaves the kernel.
* **The result buffer is bounded**, and what does not fit is not reported. It grows until all fits.

Floor 1: beside the other backends; only `reactor.demux` opens it.
"""

from __future__ import annotations

import errno
import os
import select
from typing import Any

from reactor.demux._base import Demultiplexer, Features, check_open
from reactor.demux._masks import FROM_KERNEL, KERNEL_BITS, TO_KERNEL, milliseconds
from reactor.errors import RegistrationError
from reactor.events import READ, WRITE

#: Events asked for at first; doubled whenever a wait fills it.
_FIRST_BATCH = 256


class EpollDemultiplexer(Demultiplexer):
    """`epoll(7)`: a wait costs O(ready), whatever the number registered."""

    features = Features(
        name="epoll",
        cost="O(ready)",
        files=True,
        timeout_resolution=1e-3,
        descriptor_limit=None,
        pollable=True,
        early_close=True,
    )

    def __init__(self) -> None:
        super().__init__()
        self._epoll = _new_epoll()
        self._outer: select.epoll | None = None
        self._masks: dict[int, int] = {}  # what the kernel watches: descriptor to kernel mask
        self._always: dict[int, int] = {}  # what it refuses: descriptor to interest
        self._suspects: set[int] = set()  # numbers whose removal the kernel did not confirm
        self._batch = _FIRST_BATCH

    def register(self, fd: int, interest: int, token: Any) -> None:
        self._claim(fd)
        if fd in self._suspects:
            self._exorcise()
        if interest:
            self._watch(fd, interest)
        else:
            check_open(fd)
        self._tokens[fd] = token

    def modify(self, fd: int, interest: int, token: Any) -> None:
        self._known(fd)
        self._tokens[fd] = token
        if not interest:
            self._forget(fd)
        elif fd in self._always:
            self._always[fd] = interest
        elif fd not in self._masks:
            self._watch(fd, interest)
        elif self._masks[fd] != TO_KERNEL[interest]:
            self._change(fd, interest)

    def unregister(self, fd: int) -> None:
        if self._tokens.pop(fd, None) is not None:
            self._forget(fd)

    def wait(self, timeout: float | None) -> list[tuple[Any, int]]:
        self._waits += 1
        if timeout == 0 or self._always:
            seconds = 0.0
        else:
            # Python's epoll takes seconds; whole milliseconds leave no doubt about the rounding.
            seconds = -1 if timeout is None else milliseconds(timeout) / 1e3
        events = self._epoll.poll(seconds, self._batch)
        if not events and not self._always:
            return []
        while len(events) >= self._batch:
            self._batch *= 2
            events = self._epoll.poll(0, self._batch)
        tokens = self._tokens
        try:
            ready = [(tokens[fd], FROM_KERNEL[mask & KERNEL_BITS]) for fd, mask in events]
        except KeyError:
            self._exorcise()
            ready = [
                (tokens[fd], FROM_KERNEL[mask & KERNEL_BITS]) for fd, mask in events if fd in tokens
            ]
        if self._always:
            ready += [(tokens[fd], mask & (READ | WRITE)) for fd, mask in self._always.items()]
        self._events += len(ready)
        return ready

    def fileno(self) -> int:
        # A host watches an open file, as epoll does, and would lose sight of ours if the set were
        # built anew. So it is shown another set around ours, which stays.
        if self._outer is None:
            self._outer = _new_epoll()
            self._outer.register(self._epoll.fileno(), select.EPOLLIN)
        return self._outer.fileno()

    @property
    def always_ready(self) -> bool:
        return bool(self._always)

    def rebuild(self) -> None:
        if self._outer is not None:
            # Shared with the parent as well; a new one takes its number.
            fresh = _new_epoll()
            os.dup2(fresh.fileno(), self._outer.fileno(), inheritable=False)
            fresh.close()
        self._exorcise()

    def close(self) -> None:
        self.closed = True
        self._tokens.clear()
        self._masks.clear()
        self._always.clear()
        self._epoll.close()
        if self._outer is not None:
            self._outer.close()

    def _watch(self, fd: int, interest: int) -> None:
        mask = TO_KERNEL[interest]
        try:
            self._epoll.register(fd, mask)
        except FileExistsError:
            # An old registration of this very file under this number was never removed.
            self._epoll.modify(fd, mask)
        except PermissionError:
            self._always[fd] = interest
            return
        except (OSError, ValueError) as error:
            raise RegistrationError(
                f"epoll cannot watch descriptor {fd}: {error}; register an open one"
            ) from None
        self._masks[fd] = mask

    def _change(self, fd: int, interest: int) -> None:
        mask = TO_KERNEL[interest]
        try:
            self._epoll.modify(fd, mask)
        except FileNotFoundError:
            # Closed behind our back, and the number belongs to another file now.
            self._suspects.add(fd)
            self._epoll.register(fd, mask)
        except OSError as error:
            raise RegistrationError(
                f"epoll cannot change descriptor {fd}: {error}; was it closed without being"
                " unregistered?"
            ) from None
        self._masks[fd] = mask

    def _forget(self, fd: int) -> None:
        self._always.pop(fd, None)
        if self._masks.pop(fd, None) is None:
            return
        try:
            self._epoll.unregister(fd)
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.EBADF, errno.EPERM):
                raise
            self._suspects.add(fd)
            self._vanished += 1

    def _exorcise(self) -> None:
        """Make a new set of what we own: the only way to be rid of a ghost."""
        haunted, self._epoll = self._epoll, _new_epoll()
        self._rebuilds += 1
        self._suspects.clear()
        for fd, mask in list(self._masks.items()):
            try:
                self._epoll.register(fd, mask)
            except OSError:
                del self._masks[fd]
                self._vanished += 1
        haunted.close()
        if self._outer is not None:
            self._outer.register(self._epoll.fileno(), select.EPOLLIN)


def _new_epoll() -> select.epoll:
    return select.epoll(flags=select.EPOLL_CLOEXEC)
