"""Children: programs run with their pipes on the loop, and their end known exactly once.

The idea: `subprocess.Popen` starts the program, as nobody should write fork and exec again. What it
cannot do is tell a loop that the child has ended. A *pidfd* can: it is a descriptor that becomes
readable then, so a child is watched like a socket. Nothing here touches SIGCHLD, which belongs to
the program; children of several reactors and threads do not meet.

**The special problem of process numbers.** A number is free for reuse as soon as the child has been
waited for, and a signal sent after that hits a stranger. So a child is waited for in one place
only, on the loop's thread, and nothing is sent to one that has been. Where there is no pidfd, a
thread waits for the end *without reaping* (`WNOWAIT`) and tells the loop, which does the rest.

**The special problem of pipes.** A pipe is not a socket. `PipeEnd` gives it the few methods a
stream needs. Half closing is the hard one: the child reads the end of its input only when our
descriptor is closed, but the loop still watches the number. So the number is pointed at a pipe
that nobody reads, until the stream lets go of it.

Invariants: `on_exit` is called exactly once, when the status is known; its streams may still have
data to deliver then, or may have ended before. No zombie is left as long as the loop runs.

Neighbours: `reactor.stream` reads and writes; `subprocess` starts. Floor 3; loop thread only.
"""

from __future__ import annotations

import logging
import os
import select
import signal
import socket
import subprocess
import threading
from collections.abc import Callable, Sequence
from typing import IO, TYPE_CHECKING, Any, Final, TypeAlias

from reactor.errors import ReactorClosedError
from reactor.events import READ
from reactor.stream import Stream, StreamHandler

if TYPE_CHECKING:
    from reactor.handles import Handle
    from reactor.loop import Reactor

#: What a child's descriptor may be: a handler (a stream on the loop), or what `Popen` takes: None
#: to inherit ours, `subprocess.DEVNULL`, a descriptor, a file; for stderr also `subprocess.STDOUT`.
Stdio: TypeAlias = "StreamHandler | int | IO[Any] | None"

_GONE: Final = select.POLLERR | select.POLLHUP | select.POLLNVAL

_log = logging.getLogger("reactor")


class PipeEnd:
    """Our end of a pipe, with the face that a `Stream` expects of a socket.

    Loop thread only. It reads or writes, never both; the other direction is at its end.
    """

    def __init__(self, file: IO[bytes], *, name: str) -> None:
        self._file = file
        self._reads = file.readable()
        self._name = name
        self._shut = False
        #: Called once when the write direction is shut: nothing is left to be done with it then.
        self.on_shut: Callable[[], object] | None = None
        os.set_blocking(file.fileno(), False)

    def fileno(self) -> int:
        """Return the descriptor, or -1 once it is closed."""
        return -1 if self._file.closed else self._file.fileno()

    def recv(self, size: int, /) -> bytes:
        """Return what has arrived, b"" at the end; BlockingIOError if there is nothing yet."""
        if self._reads:
            return os.read(self._file.fileno(), size)
        if not self._shut and self._reader_is_gone():
            return b""
        raise BlockingIOError

    def send(self, data: bytes | memoryview, /) -> int:
        """Take what fits, and return how much; BlockingIOError if nothing does."""
        return os.write(self._file.fileno(), data)

    def shutdown(self, how: int, /) -> None:
        """End the write direction, so that the child reads the end of its input. Idempotent."""
        if self._reads or self._shut or how == socket.SHUT_RD:
            return
        self._shut = True
        unread, written = os.pipe()
        os.dup2(written, self._file.fileno(), inheritable=False)
        os.close(unread)
        os.close(written)
        if self.on_shut is not None:
            self.on_shut()

    def close(self) -> None:
        """Release the descriptor. Idempotent."""
        self._file.close()

    def getpeername(self) -> str:
        """Return what is at the other end, in words."""
        return self._name

    def _reader_is_gone(self) -> bool:
        poll = select.poll()
        poll.register(self._file.fileno(), 0)
        return any(ready & _GONE for _, ready in poll.poll(0))


class Process:
    """A running child. Made by `spawn`; loop thread only."""

    def __init__(
        self,
        reactor: Reactor,
        popen: subprocess.Popen[bytes],
        on_exit: Callable[[Process], object] | None,
    ) -> None:
        """Watch a child that was just started. For `spawn`."""
        self._reactor = reactor
        self._popen = popen
        self._on_exit = on_exit
        self._handle: Handle | None = None
        #: The process number.
        self.pid = popen.pid
        #: Streams to and from the child, where a handler was given for them.
        self.stdin: Stream | None = None
        self.stdout: Stream | None = None
        self.stderr: Stream | None = None

    @property
    def args(self) -> Any:
        """The command, as it was given."""
        return self._popen.args

    @property
    def returncode(self) -> int | None:
        """None while it runs, then its exit status, or minus the signal that ended it.

        0 if something else in this program waited for the child first: then nobody can know.
        """
        return self._popen.returncode

    def send_signal(self, signum: int) -> bool:
        """Send a signal. False if it has ended already, and then nothing is sent to anybody."""
        if self._popen.poll() is not None:
            return False
        self._popen.send_signal(signum)
        return True

    def terminate(self) -> bool:
        """Ask it to end (SIGTERM). False if it has ended already."""
        return self.send_signal(signal.SIGTERM)

    def kill(self) -> bool:
        """End it (SIGKILL). False if it has ended already."""
        return self.send_signal(signal.SIGKILL)

    def _start(self, stdin: Stdio, stdout: Stdio, stderr: Stdio) -> None:
        self.stdin = self._stream(self._popen.stdin, stdin, "stdin")
        self.stdout = self._stream(self._popen.stdout, stdout, "stdout")
        self.stderr = self._stream(self._popen.stderr, stderr, "stderr")
        self._watch()

    def _stream(self, file: IO[bytes] | None, handler: Stdio, name: str) -> Stream | None:
        if file is None or not isinstance(handler, StreamHandler):
            return None
        pipe = PipeEnd(file, name=f"{name} of child {self.pid}")
        stream = Stream(self._reactor, pipe, handler)
        if name == "stdin":
            # Once the input has ended there is nothing to wait for: a pipe has one direction.
            pipe.on_shut = lambda: self._reactor.call_soon(stream.close)
        return stream

    def _give_up(self) -> None:
        """End a child that could not be watched, as nobody would ever wait for it."""
        self._popen.kill()
        self._popen.wait()
        streams = (self.stdin, self.stdout, self.stderr)
        files = (self._popen.stdin, self._popen.stdout, self._popen.stderr)
        for stream, file in zip(streams, files, strict=True):
            if stream is not None:
                stream.abort()
            elif file is not None:
                file.close()

    def _watch(self) -> None:
        try:
            pidfd = os.pidfd_open(self.pid)
        except (AttributeError, OSError):
            # No such call here: another system, an old kernel, or a sandbox that forbids it.
            self._watch_in_thread()
            return
        try:
            self._handle = self._reactor.register(
                pidfd, READ, self._on_ended, owned=True, name=f"child {self.pid}"
            )
        except BaseException:
            os.close(pidfd)
            raise
        self._handle.on_shutdown = self._shut_down

    def _watch_in_thread(self) -> None:
        # A daemon, since a child may outlive the program that started it.
        name = f"reactor-child-{self.pid}"
        threading.Thread(target=self._wait_in_thread, name=name, daemon=True).start()

    def _wait_in_thread(self) -> None:
        try:
            os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)
        except ChildProcessError:
            pass  # somebody else has waited for it; `Popen` knows what to make of that
        try:
            self._reactor.call_threadsafe(self._on_ended, READ)
        except ReactorClosedError:
            _log.info("child %d ended after its reactor was closed", self.pid)

    def _on_ended(self, _ready: int) -> None:
        if self._handle is not None:
            self._handle.close()
        # It has ended, so this does not block: it takes the status, and the zombie with it.
        self._popen.wait()
        if self._on_exit is not None:
            self._on_exit(self)

    def _shut_down(self, _force: bool) -> None:
        # A reactor that is closed does not kill: the child runs on, and nobody is told.
        if self._handle is not None:
            self._handle.close()
        self._popen.poll()


def spawn(
    reactor: Reactor,
    argv: Sequence[str | os.PathLike[str]],
    *,
    stdin: Stdio = None,
    stdout: Stdio = None,
    stderr: Stdio = None,
    on_exit: Callable[[Process], object] | None = None,
    cwd: str | os.PathLike[str] | None = None,
    env: dict[str, str] | None = None,
    **popen_options: Any,
) -> Process:
    """Start a program, and call `on_exit(process)` once its `returncode` is known.

    A `StreamHandler` for `stdin`, `stdout` or `stderr` makes a pipe with a `Stream` on the loop:
    write to `process.stdin`, and end it with `write_eof`; the others call `on_data` and `on_eof`.
    One handler may serve several. What else may be given is told at `Stdio`; `popen_options` go to
    `subprocess.Popen`. No other descriptor is inherited.

    The child's end and the end of its output are two things, in either order: wait for `on_exit`
    and for the streams' `on_close` if both matter. Closing the reactor does not end the child.

    Raises TypeError for a command that is one string, OSError if the program cannot be started.
    Blocks until the program has begun, a millisecond or a few.
    """
    if isinstance(argv, (str, bytes)):
        raise TypeError(
            f"{argv!r} is one string; give the program and its arguments as a list, such as"
            " ['ls', '-l'], which needs no quoting and hides no second command"
        )
    popen = subprocess.Popen(
        argv,
        stdin=_popen_stdio(stdin),
        stdout=_popen_stdio(stdout),
        stderr=_popen_stdio(stderr),
        cwd=cwd,
        env=env,
        bufsize=0,
        close_fds=True,
        **popen_options,
    )
    process = Process(reactor, popen, on_exit)
    try:
        process._start(stdin, stdout, stderr)
    except BaseException:
        process._give_up()
        raise
    return process


def _popen_stdio(stdio: Stdio) -> int | IO[Any] | None:
    return subprocess.PIPE if isinstance(stdio, StreamHandler) else stdio
