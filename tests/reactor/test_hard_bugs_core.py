"""The hard bugs of reactors that live in the core, each by its number in docs/special-problems.md.

Their brothers about time are in `test_hard_bugs_time.py`, those that need streams and listeners in
`test_hard_bugs_io.py` and `test_hard_bugs_load.py`.
"""

from __future__ import annotations

import os
import resource
import socket
import tempfile
from collections.abc import Iterator

import pytest

from reactor import HANGUP, READ, WRITE, Handle, Reactor
from reactor.budgets import HANGUP_PATIENCE
from reactor.errors import DescriptorLimitError, ForkError, ReentryError, RegistrationError
from reactor.trace import ErrorContext

Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def pairs() -> Iterator[list[Pair]]:
    ends = [socket.socketpair() for _ in range(4)]
    for ours, _ in ends:
        ours.setblocking(False)
    yield ends
    for ours, peer in ends:
        ours.close()
        peer.close()


def test_01_an_event_for_a_closed_descriptor_never_reaches_the_new_owner_of_its_number(
    reactor: Reactor, pairs: list[Pair]
) -> None:
    (first, _), (second, _) = pairs[:2]
    numbers: list[int] = []
    stale: list[int] = []

    def replace(doomed: Handle, sock: socket.socket) -> None:
        number = sock.fileno()
        doomed.close()
        sock.close()
        ours, peer = socket.socketpair()
        pairs.append((ours, peer))
        assert ours.fileno() == number, "the kernel gives the lowest free number"
        reactor.register(ours, READ, stale.append)
        numbers.append(number)

    # Whichever the kernel reports first replaces the other, whose event is in the batch already.
    one = reactor.register(first, WRITE, lambda ready: replace(two, second) if not numbers else 0)
    two = reactor.register(second, WRITE, lambda ready: replace(one, first) if not numbers else 0)
    reactor.run_once(0)
    reactor.run_once(0)
    assert len(numbers) == 1
    assert stale == []


def test_02_a_descriptor_closed_behind_our_back_gives_its_number_up_with_a_warning(
    reactor: Reactor, pairs: list[Pair], caplog: pytest.LogCaptureFixture
) -> None:
    ours, peer = pairs.pop()
    old = reactor.register(ours, READ, lambda ready: None, name="old owner")
    number = ours.fileno()
    ours.close()
    reused = socket.socket(fileno=os.dup2(pairs[0][0].fileno(), number, inheritable=False))
    seen: list[int] = []
    reactor.register(reused, WRITE, seen.append, name="new owner")
    reactor.run_once(0)
    assert seen == [WRITE]
    assert old.closed
    [record] = caplog.records
    assert "old owner" in record.getMessage()
    assert "new owner" in record.getMessage()
    reused.close()
    peer.close()


def test_02_a_bare_number_that_was_closed_and_reused_is_noticed_too(
    reactor: Reactor, pairs: list[Pair], caplog: pytest.LogCaptureFixture
) -> None:
    ours, peer = pairs.pop()
    number = ours.fileno()
    reactor.register(number, READ, lambda ready: None)
    ours.close()
    os.dup2(pairs[0][0].fileno(), number, inheritable=False)
    seen: list[int] = []
    reactor.register(number, WRITE, seen.append)
    reactor.run_once(0)
    assert seen == [WRITE]
    assert len(caplog.records) == 1
    os.close(number)
    peer.close()


def test_02_a_number_that_is_in_use_is_refused(reactor: Reactor, pairs: list[Pair]) -> None:
    reactor.register(pairs[0][0], READ, lambda ready: None, name="mine")
    with pytest.raises(RegistrationError, match=r"'mine'.*made at"):
        reactor.register(pairs[0][0].fileno(), WRITE, lambda ready: None)


def test_03_a_duplicate_that_lives_on_does_not_haunt_us(
    reactor: Reactor, pairs: list[Pair]
) -> None:
    ours, peer = pairs[0]
    ghost = os.dup(ours.fileno())
    seen: list[int] = []
    handle = reactor.register(ours, READ, seen.append)
    peer.send(b"x")
    ours.close()  # the wrong order: the kernel's set still holds the open file
    handle.close()
    for _ in range(3):
        reactor.run_once(0)
    assert seen == []
    os.close(ghost)


def test_03_a_ghost_does_not_wake_the_new_owner_of_its_number(
    reactor: Reactor, pairs: list[Pair]
) -> None:
    ours, peer = pairs.pop()
    ghost, number = os.dup(ours.fileno()), ours.fileno()
    handle = reactor.register(ours, READ, lambda ready: None)
    peer.send(b"x")
    ours.close()
    handle.close()
    os.dup2(pairs[0][0].fileno(), number, inheritable=False)
    seen: list[int] = []
    reactor.register(number, READ, seen.append)
    reactor.run_once(0)
    assert seen == []
    for fd in (ghost, number):
        os.close(fd)
    peer.close()


def test_04_a_forked_child_must_say_so_before_it_uses_the_loop(reactor: Reactor) -> None:
    child = os.fork()
    if child == 0:
        try:
            reactor.run_once(0)
        except ForkError:
            reactor.after_fork()
            reactor.call_soon(os._exit, 7)
            reactor.run_once(0)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7


def test_05_a_hangup_that_the_handler_ignores_does_not_spin_for_ever(
    reactor: Reactor, pairs: list[Pair], caplog: pytest.LogCaptureFixture
) -> None:
    ours, peer = pairs[0]
    handle = reactor.register(ours, WRITE, lambda ready: None)
    peer.close()
    for _ in range(3 * HANGUP_PATIENCE):
        reactor.run_once(0)
    # select alone cannot tell a hang-up from room to write, so nothing looks wrong to it.
    told = reactor.demultiplexer.features.name != "select"
    assert handle.paused is told
    assert [("was hung up" in record.getMessage()) for record in caplog.records] == [True] * told


def test_05_a_hung_up_handle_that_is_being_read_is_left_alone(
    reactor: Reactor, pairs: list[Pair]
) -> None:
    ours, peer = pairs[0]
    size = 4 * HANGUP_PATIENCE
    peer.send(b"x" * size)
    peer.close()
    received: list[bytes] = []
    reactor.register(ours, READ, lambda ready: received.append(ours.recv(1)))
    for _ in range(size):
        reactor.run_once(0)
    assert received == [b"x"] * size


def test_05_hangups_that_are_dealt_with_one_by_one_do_no_harm(
    reactor: Reactor, pairs: list[Pair]
) -> None:
    seen: list[int] = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.setblocking(False)
        # Nobody listens where we send: each datagram brings an error, which the handler takes.
        sock.connect(("127.0.0.1", sock.getsockname()[1] ^ 1))
        handle = reactor.register(
            sock,
            READ,
            lambda ready: seen.append(sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)),
        )
        for _ in range(3 * HANGUP_PATIENCE):
            sock.send(b"x")
            reactor.run_once(0)
            reactor.run_once(0)
        assert not handle.paused
        handle.close()


def test_19_a_handler_may_close_itself_and_any_other(reactor: Reactor, pairs: list[Pair]) -> None:
    called: list[int] = []
    handles: list[Handle] = []

    def close_all(number: int) -> None:
        called.append(number)
        for handle in handles:
            handle.close()

    for number, (ours, _) in enumerate(pairs):
        handles.append(
            reactor.register(ours, WRITE, lambda ready, number=number: close_all(number))  # type: ignore[misc]  # mypy cannot infer a lambda's default
        )
    reactor.run_once(0)
    reactor.run_once(0)
    assert len(called) == 1


def test_19_a_handler_may_pause_another_whose_event_is_collected(
    reactor: Reactor, pairs: list[Pair]
) -> None:
    called: list[str] = []
    handles: dict[str, Handle] = {}

    def pause(other: str) -> None:
        called.append(other)
        handles[other].pause()

    handles["a"] = reactor.register(pairs[0][0], WRITE, lambda ready: pause("b"))
    handles["b"] = reactor.register(pairs[1][0], WRITE, lambda ready: pause("a"))
    reactor.run_once(0)
    assert len(called) == 1
    handles[called[0]].resume()
    reactor.run_once(0)
    assert len(called) == 2


def test_19_a_handle_changed_by_another_hears_only_what_it_still_wants(
    reactor: Reactor, pairs: list[Pair]
) -> None:
    (first, peer), (second, other_peer) = pairs[:2]
    peer.send(b"x")
    other_peer.send(b"x")
    heard: list[tuple[str, int]] = []

    def hear(name: str, ready: int) -> None:
        heard.append((name, ready))
        for handle in (one, two):
            handle.modify(READ)

    one = reactor.register(first, READ | WRITE, lambda ready: hear("one", ready))
    two = reactor.register(second, READ | WRITE, lambda ready: hear("two", ready))
    reactor.run_once(0)
    assert [ready for _, ready in heard] == [READ | WRITE, READ]


def test_20_a_run_within_a_run_is_refused_by_name(reactor: Reactor) -> None:
    contexts: list[ErrorContext] = []
    reactor.on_error = contexts.append
    reactor.call_soon(reactor.run)
    reactor.run_once(0)
    assert [type(context.error) for context in contexts] == [ReentryError]


def test_21_an_exception_costs_only_the_handler_that_raised_it(
    reactor: Reactor, pairs: list[Pair]
) -> None:
    contexts: list[ErrorContext] = []
    reactor.on_error = contexts.append
    called: list[int] = []
    for number, (ours, _) in enumerate(pairs):
        action = [].pop if number == 1 else called.append
        reactor.register(ours, WRITE, action)
    reactor.run_once(0)
    assert (len(contexts), called) == (1, [WRITE] * 3)


def test_24_after_close_no_call_begins_and_an_owned_descriptor_is_closed_once(
    reactor: Reactor,
) -> None:
    ours, peer = socket.socketpair()
    states: list[int] = []

    def handler(ready: int) -> None:
        handle.close()
        handle.close()
        states.append(ours.fileno())

    handle = reactor.register(ours, WRITE, handler, owned=True)
    reactor.run_once(0)
    assert states == [states[0]]
    assert states[0] >= 0, "the descriptor stays open until the turn's end"
    assert ours.fileno() == -1
    reactor.run_once(0)
    assert len(states) == 1
    peer.close()


def test_25_a_regular_file_is_always_ready_on_every_backend(reactor: Reactor) -> None:
    with tempfile.TemporaryFile() as file:
        seen: list[int] = []
        handle = reactor.register(file, READ, seen.append)
        reactor.run_once(None)
        reactor.run_once(None)
        handle.close()
        reactor.run_once(0)
        assert seen == [READ, READ]


def test_26_a_number_that_select_cannot_watch_is_refused_with_the_mend(
    reactor: Reactor, pairs: list[Pair]
) -> None:
    high = os.dup2(pairs[0][0].fileno(), 1500, inheritable=False)
    seen: list[int] = []
    if reactor.demultiplexer.features.descriptor_limit is None:
        reactor.register(high, WRITE, seen.append, owned=True)
        reactor.run_once(0)
        assert seen == [WRITE]
    else:
        with pytest.raises(DescriptorLimitError, match="poll"):
            reactor.register(high, WRITE, seen.append)
        os.close(high)


def test_27_one_wait_reports_more_descriptors_than_fit_its_first_buffer(reactor: Reactor) -> None:
    count = 450 if reactor.demultiplexer.features.descriptor_limit else 1200
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8000), hard))
    ends = [socket.socketpair() for _ in range(count)]
    seen: list[int] = []
    for ours, _ in ends:
        reactor.register(ours, WRITE, seen.append)
    reactor.run_once(0)
    assert len(seen) == count
    reactor.close()
    for pair in ends:
        for end in pair:
            end.close()
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_28_a_host_can_watch_our_descriptor(backend: str, pairs: list[Pair]) -> None:
    ours, peer = pairs[0]
    with Reactor(backend="epoll") as inner, Reactor(backend=backend) as host:
        seen: list[bytes] = []
        inner.register(ours, READ, lambda ready: seen.append(ours.recv(9)))
        host.register(inner.fileno(), READ, lambda ready: inner.run_once(0))
        peer.send(b"nested")
        host.run_until(lambda: bool(seen), timeout=10)
        assert seen == [b"nested"]


def test_29_an_interest_of_nothing_keeps_its_place_and_is_not_woken_by_errors(
    reactor: Reactor, pairs: list[Pair]
) -> None:
    ours, peer = pairs[0]
    seen: list[int] = []
    handle = reactor.register(ours, READ, seen.append)
    handle.modify(0)
    peer.close()
    reactor.run_once(0)
    assert seen == []
    handle.modify(READ)
    reactor.run_once(0)
    assert [ready & READ for ready in seen] == [READ]
    assert reactor.demultiplexer.features.name == "select" or seen[0] & HANGUP
