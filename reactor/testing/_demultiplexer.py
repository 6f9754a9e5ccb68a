"""A demultiplexer without a kernel: readiness comes from a script, and waiting takes no time.

The idea: a loop asks the outside world one question, "what is ready, and what time is it now?".
Answer that from a script and the whole loop becomes a function of the script. So `wait` does not
sleep; it moves a `ManualClock` to the next thing that can happen: an action put on the agenda with
`at`, or the end of the timeout. If neither exists, a real loop would sleep for ever, which in a
test is a mistake, and is raised as one.

What it watches are *virtual files*: objects that say themselves whether they are ready. They get
descriptor numbers from far above those of the kernel, the lowest free one first, as the kernel does
it: a test for a reused number is easily written. Real descriptors may be registered too (a
reactor's own wakeup is one); a real demultiplexer looks at them, without waiting.

Invariants: what is reported is level-triggered, and in the order of registration; a file that is
closed while registered is dropped and counted, as epoll does it.

Neighbours: `_memory` has the stream sockets, `_reactor` the reactor on top.
"""

from __future__ import annotations

import heapq
import itertools
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Protocol

from reactor.clock import ManualClock
from reactor.demux import Demultiplexer, Features, open_demultiplexer
from reactor.errors import ReactorError, RegistrationError
from reactor.events import HANGUP, READ, WRITE, names
from reactor.handles import HasFileno

#: Virtual descriptors count from here: above any limit of the kernel, below what an int of C holds.
FIRST_VIRTUAL: Final = 1 << 30

#: Waits remembered in `history`.
_HISTORY: Final = 1000

_ALL: Final = READ | WRITE | HANGUP


class WouldSleepForeverError(ReactorError):
    """Nothing is ready, no timer is set, and nothing is on the agenda: a real loop would hang."""


class VirtualFile(Protocol):
    """What `ScriptedDemultiplexer.open` takes: a file that knows whether it is ready."""

    def readiness(self, interest: int) -> int:
        """Return what a wait reports to one who watches for `interest`, which is never 0.

        That is what is ready and was asked for; and every bit, asked for or not, if the file is
        hung up or in error, as the contract of `Demultiplexer` says.
        """
        ...


@dataclass(frozen=True)
class Wait:
    """One call of `wait`, for a test that asks how the loop has slept."""

    began: float
    timeout: float | None
    ended: float
    #: `(descriptor, mask)` for all that was reported.
    events: tuple[tuple[int, int], ...]

    def __str__(self) -> str:
        events = ", ".join(f"{fd}: {names(mask)}" for fd, mask in self.events) or "nothing"
        limit = "for ever" if self.timeout is None else f"{self.timeout:g} s"
        return f"at {self.began:g} s, for at most {limit}: {events} at {self.ended:g} s"


class ScriptedHandle:
    """The simplest virtual file: ready for what `ready` says, until that is changed.

    With HANGUP in it, everything is reported, as for any file that is hung up.
    """

    def __init__(self, demultiplexer: ScriptedDemultiplexer, ready: int = 0) -> None:
        #: The readiness; assign to it from the test or from an action.
        self.ready = ready
        self._demultiplexer = demultiplexer
        self._fd = demultiplexer.open(self)

    def fileno(self) -> int:
        """Return the virtual descriptor, or -1 once it is closed."""
        return self._fd

    def readiness(self, interest: int) -> int:
        """See `VirtualFile`."""
        return _ALL if self.ready & HANGUP else self.ready & interest

    def close(self) -> None:
        """Give the number back. Closing twice is harmless."""
        self._demultiplexer.release(self._fd)
        self._fd = -1


class ScriptedDemultiplexer(Demultiplexer):
    """A demultiplexer over virtual files and virtual time; see the module's text.

    With `rng`, what is ready at the same time is reported in random order: a program that is right
    only in one order is found out, and a seeded generator shows it again.

    Costs: `wait` is O(registered); everything else O(1), `at` O(log n).
    """

    features = Features(
        name="scripted",
        cost="O(registered)",
        files=True,
        timeout_resolution=0.0,
        descriptor_limit=None,
        pollable=False,
        early_close=True,
    )

    def __init__(
        self, clock: ManualClock | None = None, *, rng: random.Random | None = None
    ) -> None:
        super().__init__()
        self.clock = clock or ManualClock()
        #: The last waits, oldest first.
        self.history: deque[Wait] = deque(maxlen=_HISTORY)
        self._rng = rng
        self._real = open_demultiplexer()
        self._files: dict[int, VirtualFile] = {}
        self._free: list[int] = []
        self._interests: dict[int, int] = {}
        self._agenda: list[tuple[float, int, Callable[[], object]]] = []
        self._sequence = itertools.count()
        self._forced: deque[list[tuple[int, int]]] = deque()

    # --- what a test does -----------------------------------------------------------------------

    def at(self, when: float, action: Callable[[], object]) -> None:
        """Have `action()` done when the clock reaches `when`, from within a wait.

        This is how the outside world acts: a peer sends, a cable breaks. Actions of the same moment
        are done in the order in which they were put here.
        """
        heapq.heappush(self._agenda, (when, next(self._sequence), action))

    def force(self, *events: tuple[int | HasFileno, int]) -> None:
        """Have the next wait return exactly these `(file, mask)`, whatever is ready.

        For what a kernel does rarely: readiness that turns out to be none, two events in one batch.
        Forced batches queue up, one for each wait.
        """
        self._forced.append([(_number(file), mask) for file, mask in events])

    def open(self, file: VirtualFile) -> int:
        """Give a virtual file the lowest free descriptor, as a kernel would."""
        fd = heapq.heappop(self._free) if self._free else FIRST_VIRTUAL + len(self._files)
        self._files[fd] = file
        return fd

    def release(self, fd: int) -> None:
        """Take a virtual descriptor back; it is not watched any more. A second time is harmless."""
        if self._files.pop(fd, None) is None:
            return
        heapq.heappush(self._free, fd)
        if self._tokens.pop(fd, None) is not None:
            del self._interests[fd]
            self._vanished += 1

    # --- the contract ---------------------------------------------------------------------------

    def register(self, fd: int, interest: int, token: Any) -> None:
        self._claim(fd)
        if fd < FIRST_VIRTUAL:
            self._real.register(fd, interest, fd)
        elif fd not in self._files:
            raise RegistrationError(
                f"virtual descriptor {fd} is not open; register it before it is closed"
            )
        self._tokens[fd] = token
        self._interests[fd] = interest

    def modify(self, fd: int, interest: int, token: Any) -> None:
        self._known(fd)
        if fd < FIRST_VIRTUAL:
            self._real.modify(fd, interest, fd)
        self._tokens[fd] = token
        self._interests[fd] = interest

    def unregister(self, fd: int) -> None:
        if self._tokens.pop(fd, None) is not None:
            del self._interests[fd]
            if fd < FIRST_VIRTUAL:
                self._real.unregister(fd)

    def wait(self, timeout: float | None) -> list[tuple[Any, int]]:
        self._waits += 1
        began = self.clock.now()
        limit = None if timeout is None else began + max(timeout, 0.0)
        ready = self._wait_until(limit)
        self._events += len(ready)
        self.history.append(Wait(began, timeout, self.clock.now(), tuple(ready)))
        return [(self._tokens[fd], mask) for fd, mask in ready]

    def rebuild(self) -> None:
        self._real.rebuild()

    def close(self) -> None:
        self.closed = True
        self._tokens.clear()
        self._interests.clear()
        self._agenda.clear()
        self._real.close()

    # --- how it waits ---------------------------------------------------------------------------

    def _wait_until(self, limit: float | None) -> list[tuple[int, int]]:
        while True:
            self._act()
            if ready := self._look():
                return ready
            coming = self._agenda[0][0] if self._agenda else None
            if limit is not None and (coming is None or coming > limit):
                self._move_to(limit)
                return []
            if coming is None:
                raise WouldSleepForeverError(self._explain())
            self._move_to(coming)

    def _act(self) -> None:
        """Do what is on the agenda up to now."""
        while self._agenda and self._agenda[0][0] <= self.clock.now():
            heapq.heappop(self._agenda)[2]()

    def _look(self) -> list[tuple[int, int]]:
        if self._forced:
            return self._checked(self._forced.popleft())
        ready = self._real.wait(0)
        for fd, interest in self._interests.items():
            if interest and fd >= FIRST_VIRTUAL and (mask := self._files[fd].readiness(interest)):
                ready.append((fd, mask))
        if self._rng is not None:
            self._rng.shuffle(ready)
        return ready

    def _checked(self, events: list[tuple[int, int]]) -> list[tuple[int, int]]:
        for fd, mask in events:
            if fd not in self._tokens:
                raise RegistrationError(
                    f"force(({fd}, {names(mask)})): descriptor {fd} is not registered at this wait"
                )
        return events

    def _move_to(self, when: float) -> None:
        if when > self.clock.now():
            self.clock.set(when)

    def _explain(self) -> str:
        watched = [
            f"{fd} for {names(interest)}" for fd, interest in self._interests.items() if interest
        ]
        return (
            f"nothing can ever happen at {self.clock.now():g} s: no timer is set, nothing is on the"
            f" agenda, and none of what is watched is ready"
            f" ({', '.join(watched) or 'nothing is watched'});"
            " stop the loop, give it a timeout, or put an event on the agenda with at()"
        )


def _number(file: int | HasFileno) -> int:
    return file if isinstance(file, int) else file.fileno()
