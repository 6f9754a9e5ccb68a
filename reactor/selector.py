"""A `selectors.BaseSelector` over any of our demultiplexers.

The idea: the standard library's contract for "wait on many descriptors" is older and better tested
than ours, so we meet it. ``asyncio.SelectorEventLoop(Selector())`` is then asyncio on our
demultiplexer, and every test that was ever written for a selector is a test for us:
`docs/foreign-suites.md` lists the suites and how to run them.

Invariants: `_keys` and the demultiplexer hold the same descriptors, except those that were closed
behind our back; a failed `register` leaves nothing, a failed `modify` leaves the file unregistered
(as CPython does); `select` never reports an event that was not asked for.

Floor 3: imports `reactor.demux`, `reactor.errors` and `reactor.events`; knows no reactor.
"""

from __future__ import annotations

import errno
import selectors
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, cast

from reactor.demux import Features, open_demultiplexer
from reactor.errors import DescriptorLimitError, RegistrationError

if TYPE_CHECKING:
    from _typeshed import FileDescriptorLike

_EVENTS = selectors.EVENT_READ | selectors.EVENT_WRITE


class Selector(selectors.BaseSelector):
    """A selector whose waiting is done by the backend named, or by the best one that works.

    It behaves as `selectors.EpollSelector` does, with two differences that come from our contract:
    regular files are accepted on every backend (they are always ready), and a descriptor above the
    limit of `select` is refused when it is registered (`DescriptorLimitError`, a `ValueError`)
    rather than when it is waited for.

    Not thread-safe, like every selector. `register`, `modify` and `unregister` cost O(1), `select`
    what `features.cost` says.
    """

    def __init__(self, backend: str | None = None) -> None:
        """Open the demultiplexer; `UnknownBackendError` if there is none of that name here."""
        self._demultiplexer = open_demultiplexer(backend)
        self._wait = self._demultiplexer.wait
        self._keys: dict[int, selectors.SelectorKey] = {}
        self._map = _ReadOnlyMap(self)

    @property
    def features(self) -> Features:
        """What the backend in use can do."""
        return self._demultiplexer.features

    @property
    def fileno(self) -> Callable[[], int]:
        """The method that returns the kernel's own descriptor, on a backend that has one.

        Elsewhere there is no such attribute, as on `selectors.PollSelector`: callers ask with
        `hasattr`, and an attribute that raises only when it is called would mislead them.
        """
        if not self.features.pollable:
            raise AttributeError(f"the {self.features.name} backend has no descriptor of its own")
        return self._demultiplexer.fileno

    def register(
        self, fileobj: FileDescriptorLike, events: int, data: Any = None
    ) -> selectors.SelectorKey:
        """Watch a file for `EVENT_READ`, `EVENT_WRITE` or both, and remember `data` with it.

        Raises `ValueError` for other events or an invalid file, `KeyError` if its descriptor is
        registered already, `OSError` if it is closed, `RuntimeError` if the selector is.
        """
        self._check_open()
        _check_events(events)
        key = selectors.SelectorKey(fileobj, self._descriptor(fileobj), events, data)
        if key.fd in self._keys:
            raise KeyError(f"{fileobj!r} (descriptor {key.fd}) is already registered")
        self._tell(self._demultiplexer.register, key)
        self._keys[key.fd] = key
        return key

    def unregister(self, fileobj: FileDescriptorLike) -> selectors.SelectorKey:
        """Stop watching a file, which may be closed already; `KeyError` if it is not registered."""
        key = self.get_key(fileobj)
        del self._keys[key.fd]
        self._demultiplexer.unregister(key.fd)
        return key

    def modify(
        self, fileobj: FileDescriptorLike, events: int, data: Any = None
    ) -> selectors.SelectorKey:
        """Change the events and the data; raises as `register` does, `KeyError` if unregistered.

        The kernel is asked only if the events differ. If it refuses, the file is unregistered.
        """
        old = self.get_key(fileobj)
        _check_events(events)
        key = old._replace(events=events, data=data)
        if events != old.events:
            try:
                self._tell(self._demultiplexer.modify, key)
            except BaseException:
                self.unregister(fileobj)
                raise
        self._keys[key.fd] = key
        return key

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Return `(key, events)` for all that is ready.

        Waits at most `timeout` seconds: None for ever, zero or less only to look. An interrupted
        wait is continued (PEP 475), unless the signal's handler raises.
        """
        keys = self._keys
        ready = []
        for fd, mask in self._wait(timeout):
            key = keys.get(fd)  # None: another thread unregistered it while we waited
            # A hang-up sets every bit, so whoever listens hears of it in the words they know.
            if key is not None and (events := mask & key.events):
                ready.append((key, events))
        return ready

    def close(self) -> None:
        """Give back the demultiplexer. The files stay open. Closing twice is harmless."""
        self._demultiplexer.close()
        self._keys.clear()

    def get_key(self, fileobj: FileDescriptorLike) -> selectors.SelectorKey:
        """Return the key of a registered file; `KeyError` if it is not one."""
        self._check_open()
        return self._map[fileobj]

    def get_map(self) -> Mapping[FileDescriptorLike, selectors.SelectorKey]:
        """Return a live, read-only view: file object or descriptor to key. None once closed."""
        if self._demultiplexer.closed:
            # The standard library's selectors answer None here, outside their declared type.
            return cast("Mapping[FileDescriptorLike, selectors.SelectorKey]", None)
        return self._map

    def _check_open(self) -> None:
        if self._demultiplexer.closed:
            raise RuntimeError("this selector is closed; make a new one")

    def _descriptor(self, fileobj: FileDescriptorLike) -> int:
        """Return the descriptor of a file, even of one that was registered and closed since."""
        try:
            return _fileno(fileobj)
        except ValueError:
            for key in self._keys.values():
                if key.fileobj is fileobj:
                    return key.fd
            raise

    @staticmethod
    def _tell(operation: Callable[[int, int, int], None], key: selectors.SelectorKey) -> None:
        try:
            operation(key.fd, key.events, key.fd)
        except DescriptorLimitError:
            raise
        except RegistrationError as error:
            # The contract of `BaseSelector`: what the kernel will not take is an OSError.
            raise OSError(errno.EBADF, str(error)) from error


class _ReadOnlyMap(Mapping["FileDescriptorLike", selectors.SelectorKey]):
    """What `get_map` returns: iterates over descriptors, is asked with files or descriptors."""

    def __init__(self, selector: Selector) -> None:
        self._selector = selector

    def __len__(self) -> int:
        return len(self._selector._keys)

    def __iter__(self) -> Iterator[FileDescriptorLike]:
        return iter(self._selector._keys)

    def __getitem__(self, fileobj: FileDescriptorLike) -> selectors.SelectorKey:
        try:
            return self._selector._keys[self._selector._descriptor(fileobj)]
        except (KeyError, ValueError):
            raise KeyError(f"{fileobj!r} is not registered") from None


def _fileno(fileobj: FileDescriptorLike) -> int:
    try:
        fd = fileobj if isinstance(fileobj, int) else int(fileobj.fileno())
    except (AttributeError, TypeError, ValueError):
        raise ValueError(
            f"{fileobj!r} is no file: give a descriptor, or an object with fileno()"
        ) from None
    if fd < 0:
        raise ValueError(f"{fileobj!r} has the descriptor {fd}: it is closed")
    return fd


def _check_events(events: int) -> None:
    if not events or events & ~_EVENTS:
        raise ValueError(f"invalid events {events!r}: give EVENT_READ, EVENT_WRITE or both")
