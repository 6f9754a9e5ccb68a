"""Log lines as nats-server writes them: ``[PID] 2026/11/23 20:00:00.000000 [INF] text``.

The idea: inside the package everyone logs to the standard library's ``logging`` under the name
``broker``, so a program that embeds a broker decides about its lines with the tools it already has,
and hears nothing by default below a warning. Only the command line calls `configure`, which gives
those records nats-server's format; launchers and test suites of NATS clients parse these very
lines.

nats-server knows six kinds of line. Five are levels of ``logging``; `TRACE`, the protocol traces of
``-V``, lies below DEBUG because it tells more.

Neighbours: `broker.__main__` calls `configure`; `broker.server` logs. Thread-safe, as ``logging``
is.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass

__all__ = ["TRACE", "Logging", "NatsFormatter", "configure", "logger"]

#: The level of protocol traces.
TRACE = 5

#: The logger of the whole package.
logger = logging.getLogger("broker")

#: Loggers whose lines belong in the broker's log: ours, and the reactor's (a handler that raised).
_NAMES = ("broker", "reactor")

_TAGS = (
    (logging.CRITICAL, "FTL"),
    (logging.ERROR, "ERR"),
    (logging.WARNING, "WRN"),
    (logging.INFO, "INF"),
    (logging.DEBUG, "DBG"),
)


def tag(level: int) -> str:
    """nats-server's three letters for a level."""
    for floor, letters in _TAGS:
        if level >= floor:
            return letters
    return "TRC"


class NatsFormatter(logging.Formatter):
    """Formats one record as one line of nats-server's, in local time; a traceback follows below."""

    def format(self, record: logging.LogRecord) -> str:
        head = f"[{record.process}] {stamp(record.created)} [{tag(record.levelno)}]"
        line = f"{head} {record.getMessage()}"
        if record.exc_info:
            line += "\n" + self.formatException(record.exc_info)
        return line


def stamp(seconds: float) -> str:
    """A wall-clock time as ``2026/11/23 20:00:00.000000``."""
    whole, micros = divmod(round(seconds * 1_000_000), 1_000_000)
    return f"{time.strftime('%Y/%m/%d %H:%M:%S', time.localtime(whole))}.{micros:06d}"


@dataclass(frozen=True)
class Logging:
    """What `configure` changed; `close` puts it back. Not thread-safe: the program's main thread
    owns it.
    """

    handler: logging.Handler
    before: tuple[tuple[logging.Logger, int, bool], ...]

    def close(self) -> None:
        """Detach and close the handler and restore the levels; harmless when called again."""
        for log, level, propagate in self.before:
            log.removeHandler(self.handler)
            log.setLevel(level)
            log.propagate = propagate
        self.handler.close()


def configure(*, debug: bool = False, trace: bool = False, log_file: str | None = None) -> Logging:
    """Send the broker's and the reactor's lines to stderr, or append them to ``log_file``.

    Raises:
        OSError: the file cannot be opened for appending.
    """
    handler = _handler(log_file)
    handler.setFormatter(NatsFormatter())
    handler.addFilter(_kinds(debug, trace))
    logs = tuple(logging.getLogger(name) for name in _NAMES)
    before = tuple((log, log.level, log.propagate) for log in logs)
    for log in logs:
        log.addHandler(handler)
        log.setLevel(_level(debug, trace))
        log.propagate = False
    return Logging(handler, before)


def _level(debug: bool, trace: bool) -> int:
    if trace:
        return TRACE
    return logging.DEBUG if debug else logging.INFO


def _kinds(debug: bool, trace: bool) -> logging.Filter:
    """To nats-server -D and -V are independent: -V alone shows traces but no debug lines."""

    class Kinds(logging.Filter):
        def filter(self, record: logging.LogRecord) -> bool:
            if record.levelno >= logging.INFO:
                return True
            return debug if record.levelno >= logging.DEBUG else trace

    return Kinds()


def _handler(log_file: str | None) -> logging.Handler:
    if log_file is None:
        return logging.StreamHandler()
    # Only here, because logging.handlers is slow to import. This handler notices when logrotate
    # moves the file.
    from logging.handlers import WatchedFileHandler

    return WatchedFileHandler(log_file, encoding="utf-8")
