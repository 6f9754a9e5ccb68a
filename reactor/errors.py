"""The two families of error, and the reasons for which a connection ends.

*Ours* (`ReactorError`) is a mistake of the program that uses the reactor: it is raised at the call
that made it, and its text says what, where, and how to mend it. *The peer's* is something the other
side did: it is never raised through a handler's call but handed over as the `CloseReason` of one
connection, and it never costs any other connection anything.

Floor 1: imports nothing of ours; anyone may import it.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass


class ReactorError(Exception):
    """A mistake of the program that uses the reactor. No connection is harmed by it."""


class ReactorClosedError(ReactorError):
    """The reactor was closed, and what was asked needs an open one."""


class ReentryError(ReactorError):
    """`run` or `run_once` was called from within a handler of the same reactor."""


class WrongThreadError(ReactorError):
    """The reactor runs in another thread: only `call_threadsafe` and `stop` may be called here."""


class ForkError(ReactorError):
    """The process was forked, and the child used the reactor without calling `after_fork`."""


class RegistrationError(ReactorError, ValueError):
    """A descriptor cannot be watched as asked: it is invalid, closed, or already registered."""


class DescriptorLimitError(RegistrationError):
    """The descriptor's number is too large for this backend; another backend can watch it."""


class UnsupportedError(ReactorError):
    """This backend or this platform cannot do what was asked; the text names what can."""


class UnknownBackendError(ReactorError, ValueError):
    """No backend has this name, or the one named does not work on this machine."""


class LimitError(ReactorError, ValueError):
    """A limit, size or delay is out of the range that makes sense for it."""


class CloseKind(enum.Enum):
    """Why a connection ended, in one word."""

    LOCAL = "closed here"
    EOF = "closed by the peer"
    RESET = "reset by the peer"
    TIMEOUT = "timed out"
    IDLE = "idle for too long"
    OVERFLOW = "over a limit"
    TLS = "TLS failed"
    ERROR = "failed"
    SHUTDOWN = "the reactor was closed"


@dataclass(frozen=True)
class CloseReason:
    """Why a connection ended: the kind, the exception behind it if there was one, and a detail.

    Handed to `on_close`, exactly once for each connection.
    """

    kind: CloseKind
    error: BaseException | None = None
    detail: str = ""

    def __str__(self) -> str:
        parts = [self.kind.value]
        if self.detail:
            parts.append(self.detail)
        elif self.error is not None:
            parts.append(str(self.error) or type(self.error).__name__)
        return ": ".join(parts)
