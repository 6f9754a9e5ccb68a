"""Signals, both ways: what a running broker does about them, and ``--signal``, which sends them.

The idea: the same few commands from both ends, so they stand in one file. A program that runs
*traps* signals and turns each into a word (``stop``, ``reload``, ``reopen``, ``ldm``); a program
that was called with ``--signal WORD=WHO`` finds out which processes are meant and sends the number
that belongs to the word.

Who is meant: a process id; the path of a file that holds one; ids that begin alike, as ``12*``, or
``*`` for all; nothing at all, if exactly one broker runs. Which processes are brokers is read from
``/proc`` by their command lines; where there is none, the caller has to say an id.

The words and numbers are nats-server's: ``stop`` is SIGKILL, ``quit`` SIGINT, ``term`` SIGTERM,
``reopen`` SIGUSR1, ``reload`` SIGHUP, ``ldm`` SIGUSR2. One difference: SIGQUIT, of which Go makes a
dump of all goroutines, ends a broker as SIGINT does.

Neighbours: `broker.__main__` is the only caller of both halves. `install` in the main thread only.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Protocol

from broker.logs import logger

if TYPE_CHECKING:
    from reactor import Reactor

__all__ = ["Program", "SignalError", "install", "running", "send"]

#: What ``--signal`` understands, and what it sends.
COMMANDS: Mapping[str, signal.Signals] = {
    "ldm": signal.SIGUSR2,
    "stop": signal.SIGKILL,
    "quit": signal.SIGINT,
    "term": signal.SIGTERM,
    "reopen": signal.SIGUSR1,
    "reload": signal.SIGHUP,
}

#: What nats-server's log calls the signals that it traps; the names are Go's.
_NAMES = {
    signal.SIGINT: "interrupt",
    signal.SIGTERM: "terminated",
    signal.SIGQUIT: "quit",
    signal.SIGHUP: "hangup",
    signal.SIGUSR1: "user defined signal 1",
    signal.SIGUSR2: "user defined signal 2",
}


class SignalError(Exception):
    """No signal was sent, or not to everybody who was meant. The text says why."""


class Program(Protocol):
    """What a broker that runs can be told by a signal. Called on the loop."""

    def stop(self) -> object:
        """SIGINT and SIGQUIT: end in good order."""

    def terminate(self) -> object:
        """SIGTERM: the same, unless an orderly end is under way already."""

    def reload(self) -> object:
        """SIGHUP: read the configuration again."""

    def reopen(self) -> object:
        """SIGUSR1: the log file was moved away; open it anew."""

    def lame_duck(self) -> object:
        """SIGUSR2: take nobody in any more, and send everybody away little by little."""


# ------------------------------------------------------------------------------ receiving them


def install(reactor: Reactor, program: Program) -> None:
    """Trap the signals that a broker understands, until the reactor is closed.

    Raises what `reactor.signals.on_signal` raises.
    """
    from reactor.signals import on_signal  # `send` needs no reactor

    meaning: Mapping[signal.Signals, Callable[[], object]] = {
        signal.SIGINT: program.stop,
        signal.SIGQUIT: program.stop,
        signal.SIGTERM: program.terminate,
        signal.SIGHUP: program.reload,
        signal.SIGUSR1: program.reopen,
        signal.SIGUSR2: program.lame_duck,
    }

    def trapped(number: int) -> None:
        which = signal.Signals(number)
        logger.info('Trapped "%s" signal', _NAMES[which])
        meaning[which]()

    for number in meaning:
        on_signal(reactor, number, trapped)


# -------------------------------------------------------------------------------- sending them


def send(
    command: str,
    target: str | None = None,
    processes: Callable[[], list[int]] | None = None,
    kill: Callable[[int, int], object] = os.kill,
) -> None:
    """Send the signal of ``command`` to whom ``target`` names: an id, a file, ``12*``, or None.

    ``processes`` lists the ids of the brokers that run (by default `running`); it is asked only
    where the target leaves open who is meant.

    Raises:
        SignalError: the command is unknown, nobody or too many are meant, or a signal could not be
            sent; the texts are nats-server's.
    """
    signum = COMMANDS.get(command)
    if signum is None:
        raise SignalError(f'unknown signal "{command}"; choose from {", ".join(COMMANDS)}')
    pids = _meant(_written(target), processes or running)
    failures = []
    for pid in pids:
        try:
            kill(pid, signum)
        except (OSError, OverflowError) as error:
            why = getattr(error, "strerror", None) or str(error)
            failures.append(f'signal "{command}" {pid}: {why.lower()}')
    if failures:
        raise SignalError("\n".join(failures))


def _written(target: str | None) -> str:
    """What a target says, or the file that it names."""
    if not target:
        return ""
    try:
        with open(target, encoding="ascii") as file:
            return file.read(64).strip()
    except (OSError, ValueError):
        return target


def _meant(target: str, processes: Callable[[], list[int]]) -> list[int]:
    start = target.removesuffix("*")
    # Not by isdigit alone, which takes digits of every script; nor a minus, which means a group.
    if start and not (start.isascii() and start.isdigit()):
        raise SignalError(f"invalid pid: {target}")
    if start and start == target:
        if int(start) == 0:
            raise SignalError(f"invalid pid: {target}")  # to the kernel, our whole process group
        return [int(start)]
    pids = [pid for pid in processes() if str(pid).startswith(start)]
    if not pids:
        raise SignalError(f"no reactor-broker processes running{_like(target)}")
    if len(pids) > 1 and not target:
        listed = "".join(f"\n{pid}" for pid in pids)
        raise SignalError(f"multiple reactor-broker processes running:{listed}")
    return pids


def _like(target: str) -> str:
    return f" with an id like {target}" if target else ""


def running(proc: str = "/proc") -> list[int]:
    """The ids of all brokers that run here, except this process, in ascending order.

    Raises:
        SignalError: the system does not tell.
    """
    try:
        pids = sorted(int(name) for name in os.listdir(proc) if name.isdigit())
    except OSError:
        raise SignalError("unable to resolve pid, try providing one") from None
    return [pid for pid in pids if pid != os.getpid() and _is_broker(f"{proc}/{pid}/cmdline")]


def _is_broker(path: str) -> bool:
    """Whether this command line is ours: ``python -m broker`` or the console script."""
    try:
        with open(path, "rb") as file:
            words = file.read(4096).split(b"\0")
    except OSError:  # it has ended since, or is another's
        return False
    program = os.path.basename(words[0])
    if program == b"reactor-broker":
        return True
    if not program.startswith((b"python", b"pypy")):
        return False
    rest = iter(words[1:])
    for word in rest:
        if word == b"-m":
            return next(rest, b"") in (b"broker", b"broker.__main__")
        if word in (b"-W", b"-X"):  # Python's own flags that take a value
            next(rest, None)
        elif not word.startswith(b"-"):
            return os.path.basename(word) == b"reactor-broker"
    return False
