"""The C floor under the reactor, and its typed face.

What the C does, and why, is told in `epoll.h` and `uring.h`; this package only loads it. It is
optional: where it was not built, importing `_epoll_ext` raises ImportError and the reactor goes on
without.

Floor 0: `reactor.demux` is its only user.
"""

from __future__ import annotations

from typing import Any, Protocol

from _epoll_ext._native import ffi as _ffi
from _epoll_ext._native import lib as _lib

__all__ = ["Library", "ffi", "lib"]


class Library(Protocol):
    """The functions of `epoll.h` and `uring.h`. Sets and results are opaque pointers here."""

    RX_PLAIN: int
    RX_RECEIVED: int
    RX_GREW: int

    def rx_open(self, arena_size: int, /) -> Any:
        """Return a new set, or a null pointer."""

    def rx_close(self, set: Any, /) -> None:
        """Give back what it holds."""

    def rx_fileno(self, set: Any, /) -> int:
        """Return the kernel's descriptor of it."""

    def rx_look(self, set: Any, /) -> Any:
        """Return where its results are."""

    def rx_add(self, set: Any, fd: int, interest: int, /) -> int:
        """Watch; return the slot, or a negative errno."""

    def rx_modify(self, set: Any, slot: int, interest: int, /) -> int:
        """Watch for something else from the next wait on."""

    def rx_receive(self, set: Any, slot: int, on: int, /) -> int:
        """Receive during the wait, or do not."""

    def rx_remove(self, set: Any, slot: int, /) -> int:
        """Stop watching; return 0, or what the kernel objected."""

    def rx_renew(self, set: Any, /) -> int:
        """Make the kernel's part anew."""

    def rx_send(self, messages: Any, data: bytes, count: int, /) -> int:
        """Send many; return how many were not taken whole."""

    def rx_wait(self, set: Any, timeout: int, /) -> int:
        """Apply, wait, receive; return the number of events, or a negative errno."""

    def rx_is_precise(self) -> int:
        """Say whether timeouts are in nanoseconds."""

    UR_UNSENT: int
    UR_GREW: int
    UR_BUFFER: int
    UR_BUFFERS: int

    def ur_open(self, error: Any, /) -> Any:
        """Return a new set, or a null pointer and a negative errno in `error[0]`."""

    def ur_close(self, set: Any, /) -> None:
        """Give back what it holds."""

    def ur_look(self, set: Any, /) -> Any:
        """Return where its results are."""

    def ur_add(self, set: Any, fd: int, interest: int, /) -> int:
        """Watch from the next wait on; return the slot, or a negative errno."""

    def ur_modify(self, set: Any, slot: int, interest: int, /) -> int:
        """Watch for something else from the next wait on."""

    def ur_interest(self, set: Any, slot: int, /) -> int:
        """Return what it is watched for, or a negative errno."""

    def ur_receive(self, set: Any, slot: int, /) -> int:
        """Receive for it during waits."""

    def ur_receive_nothing(self, set: Any, /) -> None:
        """Receive for none of them any more."""

    def ur_remove(self, set: Any, slot: int, /) -> int:
        """Stop watching; return the number of events found meanwhile, or a negative errno."""

    def ur_renew(self, set: Any, /) -> int:
        """Make the kernel's part anew."""

    def ur_wait(self, set: Any, timeout: int, /) -> int:
        """Ask, wait, receive; return the number of events, or a negative errno."""

    def ur_send(self, set: Any, messages: Any, data: bytes, count: int, collect: int, /) -> int:
        """Send many; return the number of events found meanwhile."""


ffi: Any = _ffi
lib: Library = _lib
