"""Seeing what a loop does: creating sites, records, and the instrument.

An *instrument* is told of every phase of every turn and of every call. A loop without one pays for
this with a single comparison a turn: only when an instrument is set are the turn's sources wrapped
in `Traced` ones, which tell it before and after each call.

Floor 1: imports nothing of ours; anyone may import it.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from reactor.sources import Source

#: Frames of files below this folder are ours, so never the site that a user is looking for.
_OURS = os.path.dirname(os.path.abspath(__file__)) + os.sep


@dataclass(frozen=True, slots=True)
class Site:
    """A place in a program."""

    file: str
    line: int
    function: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line} in {self.function}"


def creation_site() -> Site | None:
    """Return the nearest caller outside this package. Cost: about half a microsecond."""
    frame = sys._getframe(1)
    while frame.f_code.co_filename.startswith(_OURS):
        if frame.f_back is None:
            return None
        frame = frame.f_back
    return Site(frame.f_code.co_filename, frame.f_lineno, frame.f_code.co_name)


@dataclass(frozen=True)
class SourceRecord:
    """One line of `Reactor.dump`: something the loop may call, and what is known of it."""

    kind: str
    description: str
    #: Where it was made; None for timers and deferred calls unless the reactor is in debug mode.
    site: Site | None
    fired: int
    #: Seconds since it was called last; None if it never was.
    idle: float | None
    #: Seconds until it is due; None for anything but a timer.
    due_in: float | None = None

    def __str__(self) -> str:
        idle = "never fired" if self.idle is None else f"last fired {self.idle:.3f} s ago"
        due = "" if self.due_in is None else f", due in {self.due_in:.3f} s"
        made = "" if self.site is None else f", made at {self.site}"
        return f"{self.kind:8} {self.description}: fired {self.fired} times, {idle}{due}{made}"


@dataclass(frozen=True)
class ErrorContext:
    """A handler's exception, and whose it was. What `Reactor.on_error` is called with."""

    error: BaseException
    source: Source
    ready: int

    def __str__(self) -> str:
        made = "" if self.source.site is None else f" (made at {self.source.site})"
        return f"{self.source.describe()}{made} raised {self.error!r}"


class Instrument:
    """Told of every phase; override what you need. Runs in the loop's thread: be quick.

    An instrument's own exception ends the turn it is raised in: it is a tool for developers, and
    one that hid its own failures would be worse than none.
    """

    def before_wait(self, timeout: float | None) -> None:
        """The loop is about to wait, at most `timeout` seconds (None: until something happens)."""

    def after_wait(self, ready: int) -> None:
        """The wait is over with `ready` events."""

    def before_call(self, source: Source, ready: int) -> None:
        """`source` is about to be called."""

    def after_call(self, source: Source, ready: int) -> None:
        """`source` has returned or raised."""

    def after_turn(self, turn: int, calls: int) -> None:
        """Turn number `turn` is over; `calls` sources were called in it."""


class Traced:
    """A source with an instrument around its call. Everything else is the source's own."""

    __slots__ = ("_instrument", "source")

    def __init__(self, source: Source, instrument: Instrument) -> None:
        self.source = source
        self._instrument = instrument

    @property
    def armed(self) -> int:
        """The source's, asked anew each time: it may have been cancelled since."""
        return self.source.armed

    @armed.setter
    def armed(self, armed: int) -> None:
        self.source.armed = armed

    @property
    def fired(self) -> int:
        """The source's count."""
        return self.source.fired

    @fired.setter
    def fired(self, fired: int) -> None:
        self.source.fired = fired

    @property
    def last_fired(self) -> float | None:
        """The source's time."""
        return self.source.last_fired

    @last_fired.setter
    def last_fired(self, last_fired: float | None) -> None:
        self.source.last_fired = last_fired

    @property
    def site(self) -> Site | None:
        """The source's."""
        return self.source.site

    @site.setter
    def site(self, site: Site | None) -> None:
        self.source.site = site

    def describe(self) -> str:
        """The source's."""
        return self.source.describe()

    def fire(self, ready: int) -> None:
        """Call the source between the instrument's two hooks."""
        self._instrument.before_call(self.source, ready)
        try:
            self.source.fire(ready)
        finally:
            self._instrument.after_call(self.source, ready)
