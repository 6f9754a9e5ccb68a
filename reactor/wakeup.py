"""Waking a loop that sleeps, from another thread or from a signal.

A pipe whose read end the loop watches. One byte means "look": what to look at is in queues, the
pipe is a boolean. So a full pipe is as good as a written one (EAGAIN means already awake), a burst
of signals may overflow it without losing anything, and whoever drains it throws the bytes away.

It is a pipe and not an eventfd because the interpreter's C signal handler writes to it too, one
byte (`signal.set_wakeup_fd`), which an eventfd refuses. That is what closes the race between "no
signal yet" and "now asleep": the byte makes the wait return.

`notify` may be called from any thread and from a signal handler; everything else belongs to the
loop's thread.

Floor 1: imports nothing of ours; the loop owns one, `reactor.signals` borrows it.
"""

from __future__ import annotations

import contextlib
import os
import signal

#: More than a pipe is ever filled with between two turns; one read empties it.
_DRAIN = 4096


class Wakeup:
    """A self-pipe. All operations are O(1); `notify` is one system call."""

    __slots__ = ("_adopters", "_previous", "_read_fd", "_write_fd")

    def __init__(self) -> None:
        self._adopters = 0
        self._previous = -1
        self._open()

    def fileno(self) -> int:
        """Return the descriptor that becomes readable."""
        return self._read_fd

    def notify(self) -> None:
        """Make the descriptor readable.

        Raises OSError if that fails for any other reason than that it is readable already: a wakeup
        is never lost in silence.
        """
        with contextlib.suppress(BlockingIOError):
            os.write(self._write_fd, b"\0")

    def drain(self) -> bool:
        """Make the descriptor unreadable. False if the pipe is broken and must be reopened."""
        try:
            return os.read(self._read_fd, _DRAIN) != b""
        except BlockingIOError:
            return True

    def reopen(self) -> None:
        """Replace a pipe that is broken, or that is shared with the parent process after a fork."""
        self.close()
        self._open()
        if self._adopters:
            signal.set_wakeup_fd(self._write_fd, warn_on_full_buffer=False)

    def adopt_signals(self) -> None:
        """Have the interpreter write to this pipe when a signal arrives. Calls nest.

        Main thread only (ValueError otherwise). Undo with `release_signals`.
        """
        if not self._adopters:
            self._previous = signal.set_wakeup_fd(self._write_fd, warn_on_full_buffer=False)
        self._adopters += 1

    def release_signals(self) -> None:
        """Undo one `adopt_signals`; the last one restores the previous wakeup descriptor."""
        self._adopters -= 1
        if not self._adopters:
            current = signal.set_wakeup_fd(self._previous, warn_on_full_buffer=False)
            if current != self._write_fd:
                # Somebody adopted signals after us and has not given them back: leave it to them.
                signal.set_wakeup_fd(current, warn_on_full_buffer=False)

    def close(self) -> None:
        """Close both ends."""
        os.close(self._read_fd)
        os.close(self._write_fd)

    def _open(self) -> None:
        self._read_fd, self._write_fd = os.pipe()  # not inherited by children (PEP 446)
        os.set_blocking(self._read_fd, False)
        os.set_blocking(self._write_fd, False)
