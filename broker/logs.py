"""Log lines as nats-server writes them: ``[PID] 2026/11/23 20:00:00.000000 [INF] text``.

The idea: inside the package everyone logs to the standard library's ``logging`` under the name
``broker``, so a program that embeds a broker decides about its lines with the tools it already has,
and hears nothing by default below a warning. Only the command line calls `configure`, which gives
those records nats-server's format; launchers and test suites of NATS clients parse these very
lines.

nats-server knows six kinds of line. Five are levels of ``logging``; `TRACE`, the protocol traces of
``-V``, lies below DEBUG because it tells more.

**The special problem of a log file that was moved away.** A rotated file goes on being written to
under its new name, because the kernel knows it by number. So a `LogFile` looks whether its path
still leads to it before each line (about a microsecond), and can be told to open it anew, as
SIGUSR1 does. Whichever it is, the old file is let go only when the new one is open: a folder that
vanished costs no line.

Neighbours: `broker.__main__` calls `configure` and `reconfigure`; `broker.server` logs.
Thread-safe, as ``logging`` is.
"""

from __future__ import annotations

import logging
import os
import time
from dataclasses import dataclass

__all__ = ["TRACE", "LogFile", "Logging", "NatsFormatter", "configure", "logger", "reconfigure"]

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
    """Formats one record as one line of nats-server's; a traceback follows below.

    With its time, unless ``timed`` is false, which is this place's or (``utc``) Greenwich's. For
    syslog, which adds the rest by itself, ``bare`` leaves the text only.
    """

    def __init__(self, *, timed: bool = True, utc: bool = False, bare: bool = False) -> None:
        super().__init__()
        self._timed = timed
        self._utc = utc
        self._bare = bare

    def format(self, record: logging.LogRecord) -> str:
        line = record.getMessage()
        if not self._bare:
            when = f"{stamp(record.created, utc=self._utc)} " if self._timed else ""
            line = f"[{record.process}] {when}[{tag(record.levelno)}] {line}"
        if record.exc_info:
            line += "\n" + self.formatException(record.exc_info)
        return line


def stamp(seconds: float, *, utc: bool = False) -> str:
    """A wall-clock time as ``2026/11/23 20:00:00.000000``."""
    whole, micros = divmod(round(seconds * 1_000_000), 1_000_000)
    parts = time.gmtime(whole) if utc else time.localtime(whole)
    return f"{time.strftime('%Y/%m/%d %H:%M:%S', parts)}.{micros:06d}"


class LogFile(logging.FileHandler):
    """Appends lines to a file, also when that was moved or removed in the meantime.

    Raises:
        OSError: the file cannot be opened for appending.
    """

    def __init__(self, path: str) -> None:
        super().__init__(path, encoding="utf-8")
        self._identity = self._identify()

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line to where the path leads now, or else to where it led before."""
        try:
            there = os.stat(self.baseFilename)
            moved = (there.st_dev, there.st_ino) != self._identity
        except OSError:
            moved = True
        if moved:
            try:
                self.reopen()
            except OSError:
                pass  # tried again at the next line; this one goes to the file we have
        super().emit(record)

    def reopen(self) -> None:
        """Open the path anew. Raises OSError if it cannot be; then the old file stays in use."""
        fresh = self._open()
        self.acquire()
        try:
            old, self.stream = self.stream, fresh
            self._identity = self._identify()
        finally:
            self.release()
        if old is not None:
            old.close()

    def _identify(self) -> tuple[int, int]:
        assert self.stream is not None  # it was opened by the line before each call
        status = os.fstat(self.stream.fileno())
        return status.st_dev, status.st_ino


@dataclass(frozen=True)
class Logging:
    """What `configure` changed; `close` puts it back. Not thread-safe: the program's main thread
    owns it.
    """

    handler: logging.Handler
    before: tuple[tuple[logging.Logger, int, bool], ...]

    def reopen(self) -> None:
        """Open the log file anew, and log that it was done, or why not. Never raises."""
        if not isinstance(self.handler, LogFile):
            logger.info("File log re-open ignored, not a file logger")
            return
        try:
            self.handler.reopen()
        except OSError as error:
            logger.error("File log re-open failed, going on with the old file: %s", error)
        else:
            logger.info("File log re-opened")

    def close(self) -> None:
        """Detach and close the handler and restore the levels; harmless when called again."""
        for log, level, propagate in self.before:
            log.removeHandler(self.handler)
            log.setLevel(level)
            log.propagate = propagate
        self.handler.close()


def configure(
    *,
    debug: bool = False,
    trace: bool = False,
    log_file: str | None = None,
    syslog: str | None = None,
    logtime: bool = True,
    logtime_utc: bool = False,
) -> Logging:
    """Send the broker's and the reactor's lines to stderr, or append them to ``log_file``.

    Or to ``syslog``: a socket's path (``/dev/log`` is this machine's own), ``udp://HOST:PORT`` or
    ``tcp://HOST:PORT``.

    Raises:
        OSError: the file cannot be opened for appending, or syslog not reached.
        ValueError: ``syslog`` is no address.
    """
    logs = tuple(logging.getLogger(name) for name in _NAMES)
    before = tuple((log, log.level, log.propagate) for log in logs)
    handler = _handler(log_file, syslog, timed=logtime, utc=logtime_utc)
    _attach(handler, debug, trace)
    return Logging(handler, before)


def reconfigure(
    current: Logging,
    *,
    debug: bool = False,
    trace: bool = False,
    log_file: str | None = None,
    syslog: str | None = None,
    logtime: bool = True,
    logtime_utc: bool = False,
) -> Logging:
    """Put other settings in the place of ``current``, which is closed. No line is lost between.

    Raises what `configure` raises; then everything stays as it was.
    """
    handler = _handler(log_file, syslog, timed=logtime, utc=logtime_utc)
    _attach(handler, debug, trace)
    for log, _, _ in current.before:
        log.removeHandler(current.handler)
    current.handler.close()
    return Logging(handler, current.before)


def _attach(handler: logging.Handler, debug: bool, trace: bool) -> None:
    handler.addFilter(_kinds(debug, trace))
    for name in _NAMES:
        log = logging.getLogger(name)
        log.addHandler(handler)
        log.setLevel(_level(debug, trace))
        log.propagate = False


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


def _handler(
    log_file: str | None, syslog: str | None, *, timed: bool, utc: bool
) -> logging.Handler:
    handler: logging.Handler
    if syslog is not None:
        handler = _syslog(syslog)
        handler.setFormatter(NatsFormatter(bare=True))
        return handler
    handler = logging.StreamHandler() if log_file is None else LogFile(log_file)
    handler.setFormatter(NatsFormatter(timed=timed, utc=utc))
    return handler


def _syslog(address: str) -> logging.Handler:
    # Only here, because logging.handlers is slow to import and few want it.
    import socket
    from logging.handlers import SYSLOG_UDP_PORT, SysLogHandler

    scheme, found, where = address.partition("://")
    if not found:
        os.stat(address)  # the handler would only complain, line by line
        return _named(SysLogHandler(address))
    kinds = {"udp": socket.SOCK_DGRAM, "tcp": socket.SOCK_STREAM}
    host, _, port = where.rpartition(":") if ":" in where else (where, "", str(SYSLOG_UDP_PORT))
    if scheme not in kinds or not host or not port.isdigit():
        raise ValueError(f"{address!r} is no address of a syslog; write udp://HOST:PORT")
    return _named(SysLogHandler((host.strip("[]"), int(port)), socktype=kinds[scheme]))


def _named(handler: logging.Handler) -> logging.Handler:
    """With the program's name and number before each text, which syslog tells programs apart by."""
    handler.ident = f"reactor-broker[{os.getpid()}]: "  # type: ignore[attr-defined] # SysLogHandler's
    return handler
