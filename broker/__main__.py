"""The program: ``python -m broker``, also installed as ``reactor-broker``.

The idea: everything that only a *program* does is here (the command line, stderr, signals, files
for other programs, the service manager, the exit status), so that `broker.server` stays a thing
that any process can hold.

Exit status: 0 after an ending that was asked for, whether by a signal or by lame duck mode, and for
``--help``, ``--version``, ``--signal`` and a good ``-t``; 1 when it cannot start, for example
because the port is taken, said in a ``[FTL]`` line, or because of its configuration; 2 for a
command line that cannot be understood.

What a signal does, `broker.signalling` lists. Two orders are nats-server's and worth knowing: in
lame duck mode SIGTERM is ignored, as service managers send it to what leaves already, and SIGINT is
not; a reload that cannot be applied as a whole is not applied at all.

Neighbours: on top of everything. Only what a plain start needs is imported with this module: it has
to be quick.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Sequence
from typing import Any

from broker import files, signalling, systemd
from broker.cli import PROGRAM, Request, UsageError, options_of, parse
from broker.config import Options
from broker.garbage import Garbage
from broker.logs import Logging, configure, logger, reconfigure
from broker.server import Server
from reactor import Reactor
from reactor.errors import UnknownBackendError

__all__ = ["main"]

#: Exit statuses.
FAILED = 1
USAGE = 2

#: The options that say where log lines go and how they look.
_LOG_FIELDS = ("debug", "trace", "log_file", "syslog", "logtime", "logtime_utc")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program with these arguments (default: ``sys.argv``'s); return its exit status."""
    try:
        request = parse(sys.argv[1:] if arguments is None else arguments)
        if request.show is not None:
            print(request.show, end="")
            return 0
        if request.signal is not None:
            return _send(request.signal)
        if request.test and request.config is not None:
            return _test(request.config, request)
        options = _options(request)
        reactor = Reactor(backend=options.backend)
    except (UsageError, UnknownBackendError) as error:
        return _refuse(error, USAGE)
    except (ValueError, OSError) as error:
        return _refuse(error, FAILED)
    with reactor:
        return _log_and_serve(reactor, request, options)


def _refuse(error: Exception, status: int) -> int:
    print(f"{PROGRAM}: {error}", file=sys.stderr)
    return status


def _send(text: str) -> int:
    """``--signal COMMAND[=TARGET]``."""
    command, _, target = text.partition("=")
    try:
        signalling.send(command, target or None)
    except signalling.SignalError as error:
        return _refuse(error, FAILED)
    return 0


def _test(config: str, request: Request) -> int:
    """``-t``: read the configuration, say whether it can be used, and that is all."""
    from broker import conffile

    print(f"{PROGRAM}: {conffile.check(config, request.options_given)}", file=sys.stderr)
    return 0


def _options(request: Request) -> Options:
    if request.config is None:
        return options_of(request)
    from broker import conffile  # the grammar of files takes time to import

    return conffile.load(request.config, request.options_given, _warn)


def _warn(line: str) -> None:
    print(line, file=sys.stderr)


def _log_settings(options: Options) -> dict[str, Any]:
    return {field: getattr(options, field) for field in _LOG_FIELDS}


def _log_and_serve(reactor: Reactor, request: Request, options: Options) -> int:
    try:
        log = configure(**_log_settings(options))
    except (OSError, ValueError) as error:
        print(f"{PROGRAM}: cannot open the log file: {error}", file=sys.stderr)
        return FAILED
    process = Process(reactor, request, options, log)
    try:
        return process.run()
    finally:
        process.log.close()


class Process:
    """A broker that is a process of its own: the `signalling.Program`. Main thread only."""

    def __init__(self, reactor: Reactor, request: Request, options: Options, log: Logging) -> None:
        self.log = log
        self._reactor = reactor
        self._request = request
        self._server = Server(reactor, options)
        self._server.reread = self._reread
        self._stopping = False
        self._pid_file: str | None = None
        self._ports_file: str | None = None

    def run(self) -> int:
        """Serve until a signal ends it; return the exit status."""
        _raise_descriptor_limit(self._reactor)
        server = self._server
        server.announce()
        try:
            self._write_pid(server.options.pid_file)
            # Before the line that says we are ready: whoever reads it may send a signal at once.
            signalling.install(self._reactor, self)
            server.start()
            self._write_ports(server.options.ports_file_dir)
            systemd.notify(f"READY=1\nMAINPID={os.getpid()}")
            with contextlib.closing(Garbage(self._reactor)):
                self._reactor.run()
        except (OSError, ValueError) as error:
            logger.critical("%s", error)
            return FAILED
        finally:
            self._remove_files()
        logger.info("Server Exiting..")
        return 0

    # --- what signals ask for -------------------------------------------------------------------

    def stop(self) -> None:
        """End in good order. Once that is under way, being told again changes nothing."""
        if self._stopping:
            return
        self._stopping = True
        logger.info("Initiating Shutdown...")
        systemd.notify("STOPPING=1")
        self._server.close(self._reactor.stop)

    def terminate(self) -> None:
        """End in good order, unless lame duck mode is doing so already."""
        if not self._server.leaving:
            self.stop()

    def lame_duck(self) -> None:
        """Take nobody in any more, send everybody away little by little, and end."""
        self._server.lame_duck(self.stop)

    def reopen(self) -> None:
        """Open the log file anew."""
        self.log.reopen()

    def reload(self) -> None:
        """Read the configuration again and go on with what it says; if that fails, as before."""
        from broker.reloading import ReloadRefused

        try:
            self._reread()
        except (ReloadRefused, ValueError, OSError) as error:
            logger.error("Failed to reload server configuration: %s", error)

    def _reread(self) -> None:
        """The same for who wants to know what is wrong: raises instead of logging it."""
        from broker.reloading import ReloadRefused

        systemd.notify(systemd.reloading())
        try:
            if self._request.config is None:
                raise ReloadRefused(
                    "can only reload config when a file is provided using -c or --config"
                )
            self._go_on_with(_options(self._request))
        finally:
            systemd.notify("READY=1")

    def _go_on_with(self, new: Options) -> None:
        old = self._server.options
        lines = self._server.reload(new)
        # What is left can fail without harm to anybody: it is said, and the old is kept.
        try:
            if _log_settings(old) != _log_settings(new):
                self.log = reconfigure(self.log, **_log_settings(new))
        except (OSError, ValueError) as error:
            logger.error("Going on with the old log: %s", error)
        try:
            self._write_pid(new.pid_file)
            self._write_ports(new.ports_file_dir)
        except OSError as error:
            logger.error("%s", error)
        for line in lines:
            logger.info("%s", line)
        logger.info("Reloaded server configuration (%s)", new.digest)

    # --- files for other programs ---------------------------------------------------------------

    def _write_pid(self, path: str | None) -> None:
        if path == self._pid_file:
            return
        if path is not None:
            files.write_pid(path)
        if self._pid_file is not None:
            files.remove_pid(self._pid_file)
        self._pid_file = path

    def _write_ports(self, folder: str | None) -> None:
        before = self._ports_file
        if folder is not None:
            self._ports_file = files.write_ports(folder, os.getpid(), self._server.urls)
        else:
            self._ports_file = None
        if before is not None and before != self._ports_file:
            files.remove_ports(before, logger.error)

    def _remove_files(self) -> None:
        if self._pid_file is not None:
            files.remove_pid(self._pid_file)
        if self._ports_file is not None:
            files.remove_ports(self._ports_file, logger.error)


def _raise_descriptor_limit(reactor: Reactor) -> None:
    """Take as many descriptors as we may: a broker needs one per client, and shells give 1024.

    But no more than the backend can watch: at the kernel's limit the listener turns peers away
    politely.
    """
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    watchable = reactor.demultiplexer.features.descriptor_limit
    wanted = hard if watchable is None else watchable
    if wanted != soft:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


if __name__ == "__main__":
    sys.exit(main())
