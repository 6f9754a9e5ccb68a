"""The program: ``python -m broker``, also installed as ``reactor-broker``.

The idea: everything that only a *program* does is here (the command line, stderr, signals, the pid
file, the exit status), so that `broker.server` stays a thing that any process can hold.

Exit status: 0 after SIGINT or SIGTERM, and for ``--help`` and ``--version``; 1 when it cannot
start, for example because the port is taken, said in a ``[FTL]`` line; 2 for a command line that
cannot be understood.

nats-server leaves its pid file behind; this program removes the one it wrote, so that nobody sends
a signal to a number which has another owner by then.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Iterator, Sequence

from broker.cli import PROGRAM, UsageError, parse
from broker.config import Options
from broker.logs import configure, logger
from broker.server import Server
from reactor import Reactor
from reactor.errors import UnknownBackendError
from reactor.signals import on_signal

__all__ = ["main"]

#: Exit statuses.
FAILED = 1
USAGE = 2

#: The signals that end the program, by the names nats-server's log gives them.
_ENDINGS = {signal.SIGINT: "interrupt", signal.SIGTERM: "terminated"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program with these arguments (default: ``sys.argv``'s); return its exit status."""
    try:
        request = parse(sys.argv[1:] if arguments is None else arguments)
        if isinstance(request, str):
            print(request, end="")
            return 0
        reactor = Reactor(backend=request.backend)
    except (UsageError, UnknownBackendError) as error:
        print(f"{PROGRAM}: {error}", file=sys.stderr)
        return USAGE
    with reactor:
        return _log_and_serve(reactor, request)


def _log_and_serve(reactor: Reactor, options: Options) -> int:
    try:
        logging = configure(debug=options.debug, trace=options.trace, log_file=options.log_file)
    except OSError as error:
        print(f"{PROGRAM}: cannot open the log file: {error}", file=sys.stderr)
        return FAILED
    try:
        return _serve(reactor, options)
    finally:
        logging.close()


def _serve(reactor: Reactor, options: Options) -> int:
    _raise_descriptor_limit(reactor)
    server = Server(reactor, options)
    server.announce()
    try:
        with _pid_file(options.pid_file):
            # Before the line that says we are ready: whoever reads it may send a signal at once.
            for number in _ENDINGS:
                on_signal(reactor, number, lambda which: _end(reactor, server, which))
            server.start()
            reactor.run()
    except (OSError, ValueError) as error:  # the latter for certificates
        logger.critical("%s", error)
        return FAILED
    logger.info("Server Exiting..")
    return 0


def _end(reactor: Reactor, server: Server, number: int) -> None:
    logger.info('Trapped "%s" signal', _ENDINGS[signal.Signals(number)])
    logger.info("Initiating Shutdown...")
    server.close(reactor.stop)


@contextlib.contextmanager
def _pid_file(path: str | None) -> Iterator[None]:
    if path is None:
        yield
        return
    try:
        with open(path, "w", encoding="ascii") as file:
            file.write(str(os.getpid()))
    except OSError as error:
        raise OSError(f"Could not write pidfile: {error}") from error
    try:
        yield
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)


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
