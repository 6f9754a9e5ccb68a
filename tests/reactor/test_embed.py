"""A reactor inside asyncio, inside Tk, and inside a host written for the purpose."""

from __future__ import annotations

import asyncio
import os
import selectors
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from reactor import READ, Reactor
from reactor.embed import Attachment, attach, attach_to_asyncio
from reactor.errors import UnsupportedError
from tests.examples.display import display

__all__ = ["display"]

#: Seconds; nothing here takes long, so this is only reached when something is lost.
LIMIT = 10.0


@pytest.fixture
def reactor() -> Iterator[Reactor]:
    with Reactor(backend="epoll") as reactor:
        yield reactor


# --- a host that can be looked into -------------------------------------------------------------


class PlainHost:
    """The smallest host: watches one descriptor, and remembers the alarm instead of setting it."""

    def __init__(self, selector: type[selectors.BaseSelector] = selectors.PollSelector) -> None:
        self.selector = selector()
        self.alarm: tuple[float, Callable[[], None]] | None = None

    def watch(self, fd: int, callback: Callable[[], None]) -> None:
        self.selector.register(fd, selectors.EVENT_READ, callback)

    def unwatch(self, fd: int) -> None:
        self.selector.unregister(fd)

    def call_after(self, seconds: float, callback: Callable[[], None]) -> Callable[[], object]:
        assert self.alarm is None, "the old alarm was not cancelled"
        self.alarm = (seconds, callback)
        return self._cancel

    def _cancel(self) -> None:
        assert self.alarm is not None, "an alarm was cancelled that was not set"
        self.alarm = None

    def turn(self, timeout: float = 0) -> bool:
        """Serve what is readable; say whether anything was."""
        ready = self.selector.select(timeout)
        for key, _ in ready:
            key.data()
        return bool(ready)

    def ring(self) -> None:
        assert self.alarm is not None
        _, callback = self.alarm
        self.alarm = None
        callback()


@pytest.fixture
def host() -> Iterator[PlainHost]:
    host = PlainHost()
    with host.selector:
        yield host


def test_a_reactor_without_work_asks_its_host_for_nothing(
    reactor: Reactor, host: PlainHost
) -> None:
    attach(reactor, host)

    assert not host.turn()
    assert host.alarm is None


def test_a_ready_handle_is_served_by_the_host(reactor: Reactor, host: PlainHost) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        heard: list[bytes] = []
        reactor.register(ours, READ, lambda ready: heard.append(ours.recv(10)))
        attach(reactor, host)

        theirs.send(b"hello")

        assert host.turn(LIMIT)
        assert [b"hello"] == heard


def test_the_alarm_is_set_for_the_next_deadline_and_again_after_it(
    reactor: Reactor, host: PlainHost
) -> None:
    fired: list[str] = []
    reactor.call_later(0.0, fired.append, "first")
    reactor.call_later(60.0, fired.append, "second")
    attach(reactor, host)

    host.ring()

    assert ["first"] == fired
    assert host.alarm is not None
    assert 50.0 < host.alarm[0] <= 60.0


@pytest.mark.parametrize(
    "add",
    [
        lambda reactor, done: reactor.call_soon(done.set),
        lambda reactor, done: reactor.call_threadsafe(done.set),
        lambda reactor, done: reactor.call_later(0, done.set),
        lambda reactor, done: reactor.call_later(60, lambda: None) and done.set(),
        lambda reactor, done: reactor.on_closing(done.set),
    ],
    ids=["call_soon", "call_threadsafe", "call_later", "a later timer", "on_closing"],
)
def test_work_that_the_host_adds_between_turns_is_noticed_unasked(
    reactor: Reactor, host: PlainHost, add: Callable[[Reactor, threading.Event], object]
) -> None:
    attach(reactor, host)
    done = threading.Event()

    add(reactor, done)

    assert host.turn(LIMIT), "the descriptor did not become readable"
    while host.alarm is not None and host.alarm[0] == 0:
        host.ring()
    assert done.is_set()


def test_an_earlier_timer_brings_the_alarm_forward(reactor: Reactor, host: PlainHost) -> None:
    reactor.call_later(60, lambda: None)
    attach(reactor, host)

    reactor.call_later(5, lambda: None)

    assert host.turn(LIMIT)
    assert host.alarm is not None
    assert host.alarm[0] <= 5


def test_after_closing_the_host_is_asked_for_nothing_more(
    reactor: Reactor, host: PlainHost
) -> None:
    reactor.call_later(60, lambda: None)
    attachment = attach(reactor, host)

    attachment.close()
    attachment.close()
    reactor.call_soon(lambda: None)

    assert host.alarm is None
    assert not host.turn()


def test_a_handler_may_close_its_own_attachment(reactor: Reactor, host: PlainHost) -> None:
    attachment = attach(reactor, host)
    reactor.call_soon(attachment.close)
    reactor.call_later(60, lambda: None)

    assert host.turn(LIMIT)
    assert attachment.closed
    assert host.alarm is None


def test_an_interrupt_passes_through_to_the_host_and_the_reactor_goes_on(
    reactor: Reactor, host: PlainHost
) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    attach(reactor, host)
    done: list[str] = []
    reactor.call_soon(interrupt)
    reactor.call_soon(done.append, "the rest of the batch")

    with pytest.raises(KeyboardInterrupt):
        host.turn(LIMIT)
    host.ring()

    assert ["the rest of the batch"] == done


def test_a_reactor_that_was_closed_first_is_let_go_at_the_next_alarm(
    reactor: Reactor, host: PlainHost
) -> None:
    reactor.call_later(60, lambda: None)
    attachment = attach(reactor, host)
    reactor.close()

    host.ring()

    assert attachment.closed


@pytest.mark.parametrize("unpollable", ["poll", "select"])
def test_a_backend_without_a_descriptor_is_refused_with_the_mend(
    host: PlainHost, unpollable: str
) -> None:
    with Reactor(backend=unpollable) as reactor:
        with pytest.raises(UnsupportedError, match="backend='epoll'"):
            attach(reactor, host)

        assert 0 == len(host.selector.get_map())


def test_a_host_hears_of_the_reactor_after_its_kernel_set_was_built_anew(
    reactor: Reactor,
) -> None:
    # An epoll host knows open files, not numbers: it would lose one that was replaced.
    host = PlainHost(selectors.EpollSelector)
    one, other = socket.socketpair()
    with host.selector, one, other:
        attach(reactor, host)
        number = os.dup(one.fileno())
        handle = reactor.register(number, READ, lambda ready: None)
        # Closed before its handle, while a duplicate lives: a ghost, which the reuse of its
        # number makes the demultiplexer throw out.
        os.close(number)
        handle.close()
        os.dup2(other.fileno(), number)
        heard: list[bytes] = []
        reactor.register(number, READ, lambda ready: heard.append(other.recv(10)))
        assert 1 == reactor.demultiplexer.stats().rebuilds

        one.send(b"hello")

        assert host.turn(LIMIT)
        assert [b"hello"] == heard
        os.close(number)


def test_a_regular_file_is_served_although_no_kernel_set_takes_it(
    reactor: Reactor, host: PlainHost, tmp_path: Path
) -> None:
    heard: list[str] = []
    with (tmp_path / "file").open("w+") as file:
        handle = reactor.register(file, READ, lambda ready: heard.append("file"))
        attach(reactor, host)

        for _ in range(2):
            host.ring()

        assert ["file", "file"] == heard
        handle.close()


def test_a_regular_file_that_the_host_adds_between_turns_is_noticed(
    reactor: Reactor, host: PlainHost, tmp_path: Path
) -> None:
    heard: list[str] = []
    with (tmp_path / "file").open("w+") as file:
        attach(reactor, host)
        reactor.register(file, READ, lambda ready: heard.append("file"), once=True)

        assert host.turn(LIMIT), "the host was not told"
        assert ["file"] == heard


# --- asyncio ------------------------------------------------------------------------------------


def test_asyncio_turns_a_reactor_and_both_do_their_work(reactor: Reactor) -> None:
    async def main() -> list[str]:
        attachment = attach_to_asyncio(reactor)
        loop = asyncio.get_running_loop()
        done: asyncio.Queue[str] = asyncio.Queue()
        ours, theirs = socket.socketpair()
        with ours, theirs:
            reactor.register(ours, READ, lambda ready: done.put_nowait("handle"), once=True)
            reactor.call_later(0.001, done.put_nowait, "timer")
            theirs.send(b"x")
            seen = {await done.get(), await done.get()}
            # Added by asyncio's own callbacks, between two turns.
            loop.call_soon(reactor.call_soon, done.put_nowait, "soon")
            seen.add(await done.get())
            loop.call_later(0.001, reactor.call_later, 0.001, done.put_nowait, "later")
            seen.add(await done.get())
            # Added by another thread.
            await asyncio.to_thread(reactor.call_threadsafe, done.put_nowait, "thread")
            seen.add(await done.get())
        attachment.close()
        return sorted(seen)

    expected = ["handle", "later", "soon", "thread", "timer"]
    assert expected == asyncio.run(asyncio.wait_for(main(), LIMIT))


def test_a_busy_reactor_leaves_asyncio_its_turn(reactor: Reactor) -> None:
    async def main() -> int:
        turns = 0

        def again() -> None:
            nonlocal turns
            turns += 1
            reactor.call_soon(again)

        again()
        attachment = attach_to_asyncio(reactor)
        for _ in range(100):
            await asyncio.sleep(0)
        attachment.close()
        return turns

    assert 1 < asyncio.run(asyncio.wait_for(main(), LIMIT))


def test_without_a_running_loop_one_must_be_given(reactor: Reactor) -> None:
    with pytest.raises(RuntimeError, match="no running"):
        attach_to_asyncio(reactor)

    loop = asyncio.new_event_loop()
    try:
        attachment: Attachment = attach_to_asyncio(reactor, loop)
        reactor.call_soon(loop.stop)
        loop.call_later(LIMIT, loop.stop)
        began = loop.time()
        loop.run_forever()
        assert loop.time() - began < LIMIT
        attachment.close()
    finally:
        loop.close()


# --- Tk -----------------------------------------------------------------------------------------

_TK = """
import socket, threading, tkinter
from reactor import READ, Reactor
from reactor.embed import attach_to_tk

root = tkinter.Tk()
done = []

def note(what):
    done.append(what)
    if len(done) == 5:
        root.quit()

with Reactor(backend="epoll") as reactor:
    attachment = attach_to_tk(reactor, root)
    ours, theirs = socket.socketpair()
    handle = reactor.register(ours, READ, lambda ready: (handle.close(), note("handle")))
    reactor.call_later(0.001, note, "timer")
    theirs.send(b"x")
    root.after(1, lambda: reactor.call_soon(note, "soon"))
    root.after(2, lambda: reactor.call_later(0.001, note, "later"))
    threading.Thread(target=reactor.call_threadsafe, args=(note, "thread")).start()
    root.mainloop()
    attachment.close()
    reactor.call_soon(note, "never")
    root.update()
    print(*sorted(done))
    ours.close()
    theirs.close()
"""


def test_tk_turns_a_reactor_and_both_do_their_work(display: str) -> None:
    # In a process of its own: a Tk that fails may take its process with it.
    child = subprocess.run(
        [sys.executable, "-c", _TK],
        env={**os.environ, "DISPLAY": display, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=4 * LIMIT,
        check=False,
    )

    assert "handle later soon thread timer\n" == child.stdout, child.stderr
    assert 0 == child.returncode
