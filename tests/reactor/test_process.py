"""Children: pipes on the loop, an end that is known once, no zombies and no strangers hit."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from reactor import Reactor
from reactor.errors import CloseKind, CloseReason, ReactorClosedError, RegistrationError
from reactor.handles import Handle
from reactor.process import PipeEnd, Process, spawn
from reactor.stream import Stream, StreamHandler
from reactor.trace import ErrorContext

DEADLINE = 20.0


@pytest.fixture(params=["pidfd", "thread"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """How the end of a child is known."""
    if request.param == "thread":
        monkeypatch.delattr(os, "pidfd_open", raising=False)
    elif not hasattr(os, "pidfd_open"):
        pytest.skip("this Python or system has no pidfd_open")
    return str(request.param)


@pytest.fixture
def reactor(backend: str) -> Iterator[Reactor]:
    with Reactor(backend=backend) as reactor:
        yield reactor


class Exits:
    """The children that ended, in order."""

    def __init__(self) -> None:
        self.codes: list[int | None] = []
        self.threads: set[int] = set()

    def __call__(self, process: Process) -> None:
        self.codes.append(process.returncode)
        self.threads.add(threading.get_ident())


class Collector(StreamHandler):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.data = b""
        self.reasons: list[CloseReason] = []

    def on_data(self, stream: Stream, data: bytes) -> None:
        self.data += data

    def on_close(self, stream: Stream, reason: CloseReason) -> None:
        self.reasons.append(reason)


def python(script: str) -> list[str]:
    return [sys.executable, "-S", "-c", script]


def is_ours(pid: int) -> bool:
    """Say whether there still is such a child, zombies included."""
    try:
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def test_the_exit_status_comes_once_on_the_loop_and_leaves_no_zombie(
    reactor: Reactor, way: str
) -> None:
    exits = Exits()
    process = spawn(reactor, ["sh", "-c", "exit 7"], on_exit=exits)
    assert process.returncode is None
    assert reactor.run_until(lambda: bool(exits.codes), DEADLINE)
    reactor.run_once(0)
    assert exits.codes == [7]
    assert exits.threads == {threading.get_ident()}
    assert not is_ours(process.pid)
    assert reactor.stats().handles == 0


def test_a_child_talks_and_listens_through_streams(reactor: Reactor, way: str) -> None:
    exits = Exits()
    out, err = Collector(), Collector()
    script = "import sys; d = sys.stdin.read(); print(d.upper(), end=''); sys.stderr.write('!')"
    process = spawn(
        reactor, python(script), stdin=Collector(), stdout=out, stderr=err, on_exit=exits
    )
    assert process.stdin is not None
    process.stdin.write(b"hello ")
    process.stdin.write(b"child")
    process.stdin.write_eof()
    assert reactor.run_until(lambda: bool(exits.codes and out.reasons and err.reasons), DEADLINE)
    assert exits.codes == [0]
    assert (out.data, err.data) == (b"HELLO CHILD", b"!")


def test_ending_the_input_ends_its_stream_and_nothing_else(reactor: Reactor) -> None:
    exits = Exits()
    into, out = Collector(), Collector()
    process = spawn(reactor, ["cat"], stdin=into, stdout=out, on_exit=exits)
    assert process.stdin is not None
    process.stdin.write(b"x" * 300_000)  # more than a pipe holds
    process.stdin.write_eof()
    assert reactor.run_until(lambda: bool(exits.codes and out.reasons), DEADLINE)
    assert out.data == b"x" * 300_000
    assert [CloseKind.LOCAL] == [reason.kind for reason in into.reasons]
    assert reactor.stats().handles == 0


def test_a_child_that_closes_its_input_is_noticed(reactor: Reactor) -> None:
    exits = Exits()
    into = Collector()
    process = spawn(
        reactor, python("import os, sys; os.close(0); sys.exit(3)"), stdin=into, on_exit=exits
    )
    assert process.stdin is not None
    assert reactor.run_until(lambda: bool(into.reasons and exits.codes), DEADLINE)
    assert exits.codes == [3]
    process.stdin.write(b"too late")
    assert process.stdin.stats().refused_writes == 1


def test_one_handler_may_serve_output_and_errors(reactor: Reactor) -> None:
    both, exits = Collector(), Exits()
    spawn(reactor, ["sh", "-c", "echo a; echo b >&2"], stdout=both, stderr=both, on_exit=exits)
    assert reactor.run_until(lambda: len(both.reasons) == 2 and bool(exits.codes), DEADLINE)
    assert sorted(both.data.split()) == [b"a", b"b"]


def test_a_stream_says_whose_pipe_it_is(reactor: Reactor) -> None:
    out, exits = Collector(), Exits()
    process = spawn(reactor, ["true"], stdout=out, on_exit=exits)
    assert process.stdout is not None
    assert process.stdout.peer == f"stdout of child {process.pid}"
    assert reactor.run_until(lambda: bool(out.reasons and exits.codes), DEADLINE)


def test_output_of_a_grandchild_may_come_after_the_exit(reactor: Reactor, way: str) -> None:
    exits = Exits()
    into, out = Collector(), Collector()
    # The grandchild keeps both pipes and answers when the child is gone.
    process = spawn(
        reactor,
        ["sh", "-c", "exec 3<&0; (cat <&3; echo end) & exit 0"],
        stdin=into,
        stdout=out,
        on_exit=exits,
    )
    assert process.stdin is not None
    assert reactor.run_until(lambda: bool(exits.codes), DEADLINE)
    assert out.reasons == []
    process.stdin.write(b"late ")
    process.stdin.write_eof()
    assert reactor.run_until(lambda: bool(out.reasons), DEADLINE)
    assert out.data == b"late end\n"


@pytest.mark.parametrize("name", ["kill", "terminate"])
def test_a_child_that_is_ended_by_a_signal_says_which(
    reactor: Reactor, way: str, name: str
) -> None:
    exits = Exits()
    process = spawn(reactor, ["cat"], stdin=Collector(), on_exit=exits)
    assert getattr(process, name)()
    assert reactor.run_until(lambda: bool(exits.codes), DEADLINE)
    expected = signal.SIGKILL if name == "kill" else signal.SIGTERM
    assert exits.codes == [-expected]


def test_no_signal_is_sent_to_a_child_that_has_ended(reactor: Reactor, way: str) -> None:
    exits = Exits()
    process = spawn(reactor, ["true"], on_exit=exits)
    assert reactor.run_until(lambda: bool(exits.codes), DEADLINE)
    assert not process.kill()
    assert not process.send_signal(signal.SIGUSR1)


def test_the_exit_is_told_once_even_if_a_signal_was_what_noticed_it(
    reactor: Reactor, way: str
) -> None:
    exits = Exits()
    process = spawn(reactor, ["true"], on_exit=exits)
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert not process.terminate()  # reaps it, before the loop has looked
    assert process.returncode == 0
    assert exits.codes == []
    assert reactor.run_until(lambda: bool(exits.codes), DEADLINE)
    reactor.run_once(0)
    assert exits.codes == [0]


def test_many_children_end_each_with_its_own_status(reactor: Reactor, way: str) -> None:
    exits = Exits()
    for code in range(12):
        spawn(reactor, ["sh", "-c", f"exit {code}"], on_exit=exits)
    assert reactor.run_until(lambda: len(exits.codes) == 12, DEADLINE)
    assert sorted(code for code in exits.codes if code is not None) == list(range(12))


def test_reactors_in_several_threads_have_children_of_their_own(backend: str) -> None:
    results: dict[int, list[int | None]] = {}

    def live(number: int) -> None:
        exits = Exits()
        with Reactor(backend=backend) as reactor:
            for _ in range(3):
                spawn(reactor, ["sh", "-c", f"exit {number}"], on_exit=exits)
            reactor.run_until(lambda: len(exits.codes) == 3, DEADLINE)
        results[number] = exits.codes

    threads = [threading.Thread(target=live, args=(number,)) for number in (1, 2, 3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DEADLINE)
    assert results == {number: [number] * 3 for number in (1, 2, 3)}


def test_the_disposition_of_sigchld_is_left_alone(reactor: Reactor) -> None:
    exits = Exits()
    before = signal.getsignal(signal.SIGCHLD)
    spawn(reactor, ["true"], on_exit=exits)
    assert signal.getsignal(signal.SIGCHLD) is before
    assert reactor.run_until(lambda: bool(exits.codes), DEADLINE)


def test_a_child_inherits_nothing_but_what_it_was_given(reactor: Reactor) -> None:
    out, exits = Collector(), Exits()
    script = "import os; print(sorted(int(n) for n in os.listdir('/proc/self/fd')))"
    read_fd, write_fd = os.pipe()
    os.set_inheritable(write_fd, True)
    try:
        spawn(reactor, python(script), stdin=subprocess.DEVNULL, stdout=out, on_exit=exits)
        assert reactor.run_until(lambda: bool(out.reasons and exits.codes), DEADLINE)
    finally:
        os.close(read_fd)
        os.close(write_fd)
    # 3 is the folder that is being listed.
    assert out.data == b"[0, 1, 2, 3]\n"


def test_a_child_gets_its_folder_and_its_environment(reactor: Reactor, tmp_path: Any) -> None:
    out, exits = Collector(), Exits()
    script = "import os; print(os.getcwd(), os.environ['NAME'], end='')"
    environment = {"NAME": "value"}
    spawn(reactor, python(script), stdout=out, cwd=tmp_path, env=environment, on_exit=exits)
    assert reactor.run_until(lambda: bool(out.reasons and exits.codes), DEADLINE)
    assert out.data.decode() == f"{os.path.realpath(tmp_path)} value"


def test_what_on_exit_raises_is_reported(reactor: Reactor, way: str) -> None:
    reported: list[ErrorContext] = []
    reactor.on_error = reported.append

    def on_exit(_process: Process) -> None:
        raise ValueError("not today")

    spawn(reactor, ["true"], on_exit=on_exit)
    assert reactor.run_until(lambda: bool(reported), DEADLINE)
    assert str(reported[0].error) == "not today"


def test_a_program_that_does_not_exist_is_refused_and_leaves_nothing(reactor: Reactor) -> None:
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(FileNotFoundError, match="no-such-program"):
        spawn(reactor, ["no-such-program"], stdin=Collector(), stdout=Collector())
    assert len(os.listdir("/proc/self/fd")) == before
    assert reactor.stats().handles == 0


def test_a_command_in_one_string_is_refused_with_the_mend(reactor: Reactor) -> None:
    with pytest.raises(TypeError, match="as a list"):
        spawn(reactor, "ls -l")


def test_a_child_that_cannot_be_watched_is_ended_and_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    started: list[subprocess.Popen[bytes]] = []
    original = subprocess.Popen.__init__

    def noted(self: subprocess.Popen[bytes], *args: Any, **options: Any) -> None:
        started.append(self)
        original(self, *args, **options)

    monkeypatch.setattr(subprocess.Popen, "__init__", noted)
    before = len(os.listdir("/proc/self/fd"))
    reactor = Reactor()
    reactor.close()
    with pytest.raises(ReactorClosedError):
        spawn(reactor, ["cat"], stdin=Collector(), stdout=Collector())
    assert started[0].returncode == -signal.SIGKILL
    assert len(os.listdir("/proc/self/fd")) == before


def test_children_leave_no_descriptor_behind(reactor: Reactor, way: str) -> None:
    exits = Exits()
    before = len(os.listdir("/proc/self/fd"))
    out = Collector()
    process = spawn(reactor, ["cat"], stdin=Collector(), stdout=out, on_exit=exits)
    assert process.stdin is not None
    process.stdin.write_eof()
    assert reactor.run_until(lambda: bool(exits.codes and out.reasons), DEADLINE)
    assert reactor.run_until(lambda: reactor.stats().handles == 0, DEADLINE)
    reactor.run_once(0)
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_child_whose_end_cannot_be_watched_leaves_nothing(
    reactor: Reactor, monkeypatch: pytest.MonkeyPatch
) -> None:
    reactor.run_once(0)
    before = len(os.listdir("/proc/self/fd"))
    really_register = reactor.register

    def register(fileobj: Any, *args: Any, **options: Any) -> Handle:
        if options["name"].startswith("child"):
            raise RegistrationError("not here")
        return really_register(fileobj, *args, **options)

    into = Collector()
    with monkeypatch.context() as patch:
        patch.setattr(reactor, "register", register)
        with pytest.raises(RegistrationError, match="not here"):
            spawn(reactor, ["cat"], stdin=into)
    assert reactor.run_until(lambda: bool(into.reasons), DEADLINE)
    assert len(os.listdir("/proc/self/fd")) == before


def test_shutting_a_pipe_end_is_for_its_write_direction_and_done_once() -> None:
    read_fd, write_fd = os.pipe()
    shut: list[str] = []
    with os.fdopen(read_fd, "rb", 0) as source, os.fdopen(write_fd, "wb", 0) as target:
        reader, writer = PipeEnd(source, name="reader"), PipeEnd(target, name="writer")
        reader.on_shut = lambda: shut.append("reader")
        writer.on_shut = lambda: shut.append("writer")
        reader.shutdown(socket.SHUT_WR)
        writer.shutdown(socket.SHUT_RD)
        with pytest.raises(BlockingIOError):
            reader.recv(1)
        for _ in range(2):
            writer.shutdown(socket.SHUT_WR)
        assert shut == ["writer"]
        assert reader.recv(1) == b""
        assert writer.fileno() == write_fd
        writer.close()
        assert writer.fileno() == -1


def test_closing_the_reactor_lets_the_child_live(backend: str, way: str) -> None:
    exits = Exits()
    with Reactor(backend=backend) as reactor:
        process = spawn(reactor, ["sleep", "60"], on_exit=exits)
    assert process.kill()
    while process.send_signal(0):
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert process.returncode == -signal.SIGKILL
    assert exits.codes == []
