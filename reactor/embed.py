"""A reactor inside somebody else's loop: asyncio, Tk, or any other.

The idea: a host needs to know three things of a reactor, and there is a method for each:
*what to watch* (`Reactor.fileno`, a descriptor that is readable when there is something to do),
*when to come by anyway* (`Reactor.next_deadline`), and *what to do then* (`Reactor.run_once(0)`,
one turn that does not wait). An attachment connects these to what every host has: watch a
descriptor, call me later, and no, do not. No thread is needed, and neither loop knows the other:
the reactor's handlers and the host's callbacks run in one thread, one at a time.

Work that the host's own callbacks give to the reactor between two turns is noticed without being
announced: the reactor then makes its descriptor readable itself.

Invariants: after each turn the alarm is set for the reactor's next deadline, or for nothing; after
`Attachment.close` the host calls nothing of ours. Time-outs are rounded up, never down.

Backends that keep nothing in the kernel (`select`, `poll`) have no descriptor to watch:
`UnsupportedError` when they are attached.

Floor 3: imports the loop; imports `asyncio` and `tkinter` only when they are attached to.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from reactor.loop import Reactor

if TYPE_CHECKING:
    import asyncio
    import tkinter


class Host(Protocol):
    """What `attach` needs of a loop; write these three methods for yours.

    Nothing here may call `callback` before it returns.
    """

    def watch(self, fd: int, callback: Callable[[], None]) -> None:
        """Call `callback()` whenever `fd` is readable, level-triggered, until `unwatch`."""
        ...

    def unwatch(self, fd: int) -> None:
        """Stop that."""
        ...

    def call_after(self, seconds: float, callback: Callable[[], None]) -> Callable[[], object]:
        """Call `callback()` once, `seconds` (0 or more) from now; return what cancels it.

        With 0, the host's own work must get its turn first.
        """
        ...


class Attachment:
    """A reactor that is turned by a host. Made by `attach`; belongs to the host's thread.

    Close it before the reactor. `Reactor.stop` does not end it: that is for `Reactor.run`.

    What it costs: one call of the host for each turn, and one alarm set and cancelled for each turn
    after which a timer waits.
    """

    def __init__(self, reactor: Reactor, host: Host) -> None:
        self.closed = False
        self._reactor = reactor
        self._host = host
        self._cancel_alarm: Callable[[], object] | None = None
        self._fd = reactor.fileno()
        host.watch(self._fd, self._turn)
        self._set_alarm()

    def close(self) -> None:
        """Have the host forget the reactor, which may be attached anew, or run. Idempotent."""
        if not self.closed:
            self.closed = True
            self._host.unwatch(self._fd)
            self._clear_alarm()

    def _turn(self) -> None:
        self._clear_alarm()
        if self._reactor.closed:
            self.close()
        if self.closed:
            return
        try:
            self._reactor.run_once(0)
        finally:
            # Also when KeyboardInterrupt passes: the host may survive it, and so must we.
            if not self.closed:
                self._set_alarm()

    def _set_alarm(self) -> None:
        deadline = self._reactor.next_deadline()
        if deadline is not None:
            delay = max(deadline - self._reactor.clock.now(), 0.0)
            self._cancel_alarm = self._host.call_after(delay, self._ring)

    def _ring(self) -> None:
        self._cancel_alarm = None
        self._turn()

    def _clear_alarm(self) -> None:
        if self._cancel_alarm is not None:
            self._cancel_alarm()
            self._cancel_alarm = None


def attach(reactor: Reactor, host: Host) -> Attachment:
    """Have `host` turn `reactor` from now on, until the attachment is closed.

    Raises `UnsupportedError` if the reactor's backend has no descriptor.
    """
    return Attachment(reactor, host)


def attach_to_asyncio(
    reactor: Reactor, loop: asyncio.AbstractEventLoop | None = None
) -> Attachment:
    """Have an asyncio loop turn `reactor`; by default the loop that is running.

    Raises `UnsupportedError` if the reactor's backend has no descriptor, `RuntimeError` if no loop
    was given and none is running.
    """
    import asyncio

    return attach(reactor, _AsyncioHost(loop or asyncio.get_running_loop()))


def attach_to_tk(reactor: Reactor, root: tkinter.Misc) -> Attachment:
    """Have Tk's main loop turn `reactor`. `root` is any widget. Unix only, as Tk's part is.

    Raises `UnsupportedError` if the reactor's backend has no descriptor.
    """
    return attach(reactor, _TkHost(root))


class _AsyncioHost:
    """An asyncio loop as a host."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop

    def watch(self, fd: int, callback: Callable[[], None]) -> None:
        self._loop.add_reader(fd, callback)

    def unwatch(self, fd: int) -> None:
        self._loop.remove_reader(fd)

    def call_after(self, seconds: float, callback: Callable[[], None]) -> Callable[[], object]:
        return self._loop.call_later(seconds, callback).cancel


class _TkHost:
    """Tk's main loop as a host."""

    def __init__(self, root: tkinter.Misc) -> None:
        self._root = root

    def watch(self, fd: int, callback: Callable[[], None]) -> None:
        import tkinter

        self._root.tk.createfilehandler(fd, tkinter.READABLE, lambda _fd, _mask: callback())

    def unwatch(self, fd: int) -> None:
        self._root.tk.deletefilehandler(fd)

    def call_after(self, seconds: float, callback: Callable[[], None]) -> Callable[[], object]:
        # Tk counts whole milliseconds. Never 0 of them: Tk redraws when it is idle, and with an
        # alarm that is due at once it would never be, while the reactor is busy.
        name = self._root.after(max(math.ceil(seconds * 1e3), 1), callback)
        return lambda: self._root.after_cancel(name)
