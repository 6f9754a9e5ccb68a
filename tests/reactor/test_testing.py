"""`reactor.testing`: the clock, the scripted demultiplexer and the reactor in virtual time."""

from __future__ import annotations

import random
import socket

import pytest

from reactor import (
    HANGUP,
    READ,
    WRITE,
    CloseKind,
    CloseReason,
    Stream,
    StreamHandler,
)
from reactor.errors import RegistrationError
from reactor.testing import (
    ManualClock,
    NeverSettlesError,
    ScriptedDemultiplexer,
    ScriptedHandle,
    VirtualReactor,
    Wait,
    WouldSleepForeverError,
    make_reactor,
    memory_socketpair,
)

# --- the scripted demultiplexer -----------------------------------------------------------------


def test_a_wait_moves_the_clock_by_its_timeout_and_takes_no_time() -> None:
    demultiplexer = ScriptedDemultiplexer(ManualClock(100.0))

    assert [] == demultiplexer.wait(3600.0)
    assert 3700.0 == demultiplexer.clock.now()


@pytest.mark.parametrize("timeout", [0, -5])
def test_a_wait_without_time_does_not_move_the_clock(timeout: float) -> None:
    demultiplexer = ScriptedDemultiplexer()

    assert [] == demultiplexer.wait(timeout)
    assert 0.0 == demultiplexer.clock.now()


def test_what_is_ready_is_reported_at_every_wait_until_it_is_not() -> None:
    demultiplexer = ScriptedDemultiplexer()
    file = ScriptedHandle(demultiplexer, READ | WRITE)
    demultiplexer.register(file.fileno(), READ, 77)

    assert [[(77, READ)]] * 2 == [demultiplexer.wait(None) for _ in range(2)]
    file.ready = WRITE
    assert [] == demultiplexer.wait(1)


def test_a_hang_up_reaches_whoever_watches_anything() -> None:
    demultiplexer = ScriptedDemultiplexer()
    file = ScriptedHandle(demultiplexer, HANGUP)
    demultiplexer.register(file.fileno(), WRITE, 1)

    assert [(1, READ | WRITE | HANGUP)] == demultiplexer.wait(None)
    demultiplexer.modify(file.fileno(), 0, 1)
    assert [] == demultiplexer.wait(0)


def test_an_action_happens_at_its_time_and_ends_the_wait_if_it_makes_something_ready() -> None:
    demultiplexer = ScriptedDemultiplexer()
    file = ScriptedHandle(demultiplexer)
    demultiplexer.register(file.fileno(), READ, 1)
    demultiplexer.at(2.0, lambda: None)
    demultiplexer.at(5.0, lambda: setattr(file, "ready", READ))

    assert [(1, READ)] == demultiplexer.wait(60)
    assert 5.0 == demultiplexer.clock.now()


def test_actions_of_one_moment_happen_in_the_order_in_which_they_were_scripted() -> None:
    demultiplexer = ScriptedDemultiplexer()
    done: list[str] = []
    for name in "abc":
        demultiplexer.at(1.0, lambda name=name: done.append(name))  # type: ignore[misc]  # default binds

    demultiplexer.wait(1.0)

    assert ["a", "b", "c"] == done


def test_a_wait_that_would_never_end_says_so_and_what_was_watched() -> None:
    demultiplexer = ScriptedDemultiplexer()
    file = ScriptedHandle(demultiplexer)
    demultiplexer.register(file.fileno(), READ | WRITE, 1)

    with pytest.raises(WouldSleepForeverError, match=rf"{file.fileno()} for READ\|WRITE"):
        demultiplexer.wait(None)


def test_a_forced_batch_is_reported_whatever_is_ready_and_once() -> None:
    demultiplexer = ScriptedDemultiplexer()
    one, other = ScriptedHandle(demultiplexer), ScriptedHandle(demultiplexer)
    demultiplexer.register(one.fileno(), READ, 1)
    demultiplexer.register(other.fileno(), READ, 2)
    demultiplexer.force((other, READ), (one.fileno(), WRITE))

    assert [(2, READ), (1, WRITE)] == demultiplexer.wait(None)
    assert [] == demultiplexer.wait(0)


def test_a_forced_event_of_a_descriptor_that_nobody_watches_is_a_mistake_of_the_test() -> None:
    demultiplexer = ScriptedDemultiplexer()
    demultiplexer.force((ScriptedHandle(demultiplexer), READ))

    with pytest.raises(RegistrationError, match="not registered"):
        demultiplexer.wait(0)


def test_numbers_are_reused_lowest_first_as_by_a_kernel() -> None:
    demultiplexer = ScriptedDemultiplexer()
    files = [ScriptedHandle(demultiplexer) for _ in range(3)]
    numbers = [file.fileno() for file in files]

    files[2].close()
    files[0].close()

    assert [numbers[0], numbers[2]] == [ScriptedHandle(demultiplexer).fileno() for _ in range(2)]
    assert -1 == files[0].fileno()


def test_a_file_closed_while_registered_is_dropped_and_counted() -> None:
    demultiplexer = ScriptedDemultiplexer()
    file = ScriptedHandle(demultiplexer, READ)
    fd = file.fileno()
    demultiplexer.register(fd, READ, 1)

    file.close()
    file.close()

    assert [] == demultiplexer.wait(0)
    assert 1 == demultiplexer.stats().vanished
    demultiplexer.unregister(fd)
    with pytest.raises(RegistrationError, match="not open"):
        demultiplexer.register(fd, READ, 1)


def test_a_real_descriptor_is_looked_at_but_not_waited_for() -> None:
    demultiplexer = ScriptedDemultiplexer()
    ours, theirs = socket.socketpair()
    with ours, theirs:
        demultiplexer.register(ours.fileno(), READ, 5)
        assert [] == demultiplexer.wait(60)
        theirs.send(b"x")
        assert [(5, READ)] == demultiplexer.wait(60)

        demultiplexer.modify(ours.fileno(), WRITE, 6)
        demultiplexer.rebuild()
        assert [(6, WRITE)] == demultiplexer.wait(60)
        demultiplexer.unregister(ours.fileno())
        assert [] == demultiplexer.wait(0)
    demultiplexer.close()

    assert 60.0 == demultiplexer.clock.now()


def test_a_descriptor_is_registered_once() -> None:
    demultiplexer = ScriptedDemultiplexer()
    fd = ScriptedHandle(demultiplexer).fileno()
    demultiplexer.register(fd, READ, 1)

    with pytest.raises(RegistrationError, match="already"):
        demultiplexer.register(fd, READ, 2)


def test_the_history_tells_how_the_loop_has_slept() -> None:
    demultiplexer = ScriptedDemultiplexer()
    file = ScriptedHandle(demultiplexer)
    fd = file.fileno()
    demultiplexer.register(fd, READ, 1)
    demultiplexer.at(3.0, lambda: setattr(file, "ready", READ))

    demultiplexer.wait(2.0)
    demultiplexer.wait(None)

    assert [Wait(0.0, 2.0, 2.0, ()), Wait(2.0, None, 3.0, ((fd, READ),))] == list(
        demultiplexer.history
    )
    assert f"at 2 s, for at most for ever: {fd}: READ at 3 s" == str(demultiplexer.history[-1])


def test_a_seeded_generator_reorders_what_is_ready_and_does_it_again() -> None:
    def order(seed: int) -> list[int]:
        demultiplexer = ScriptedDemultiplexer(rng=random.Random(seed))
        for token in range(20):
            demultiplexer.register(ScriptedHandle(demultiplexer, READ).fileno(), READ, token)
        return [token for token, _ in demultiplexer.wait(None)]

    assert order(1) == order(1) != order(2)
    assert list(range(20)) == sorted(order(1))


# --- the reactor --------------------------------------------------------------------------------


@pytest.fixture
def reactor() -> VirtualReactor:
    return make_reactor()


def test_timers_fire_at_their_virtual_time_without_waiting(reactor: VirtualReactor) -> None:
    fired: list[float] = []
    for delay in (7200.0, 1.5):
        reactor.call_later(delay, lambda: fired.append(reactor.now()))

    reactor.run_for(7200.0)

    assert [1.5, 7200.0] == fired
    assert 7200.0 == reactor.clock.now()


def test_a_timer_due_exactly_at_the_end_of_the_time_fires_however_the_sum_is_rounded(
    reactor: VirtualReactor,
) -> None:
    fired: list[float] = []
    for tenths in range(1, 30):
        reactor.call_at(tenths / 10, fired.append, tenths / 10)
        reactor.run_for(tenths / 10 - reactor.clock.now())

        assert tenths / 10 == fired[-1]


def test_work_that_follows_from_the_last_moment_is_done_in_it(reactor: VirtualReactor) -> None:
    done: list[str] = []
    reactor.call_later(1.0, lambda: reactor.call_soon(reactor.call_soon, done.append, "done"))

    reactor.run_for(1.0)

    assert ["done"] == done


def test_settle_does_what_can_be_done_now_and_nothing_later(reactor: VirtualReactor) -> None:
    done: list[str] = []
    reactor.call_soon(reactor.call_soon, done.append, "now")
    reactor.call_later(0.001, done.append, "later")

    reactor.settle()

    assert ["now"] == done
    assert 0.0 == reactor.clock.now()


@pytest.mark.parametrize("run", [VirtualReactor.settle, lambda reactor: reactor.run_for(1.0)])
def test_a_handler_that_ignores_what_is_ready_is_found_out(
    reactor: VirtualReactor, run: object
) -> None:
    ours, theirs = memory_socketpair(reactor.demultiplexer)
    theirs.send(b"unread")
    reactor.register(ours, READ, lambda ready: None, name="idler")

    with pytest.raises(NeverSettlesError, match="idler"):
        run(reactor)  # type: ignore[operator]  # either of the two above


def test_running_with_nothing_to_wait_for_is_an_error_and_not_a_hang(
    reactor: VirtualReactor,
) -> None:
    with pytest.raises(WouldSleepForeverError):
        reactor.run()


def test_a_call_from_the_agenda_wakes_the_loop_through_its_real_wakeup(
    reactor: VirtualReactor,
) -> None:
    reactor.demultiplexer.at(9.0, lambda: reactor.call_threadsafe(reactor.stop))

    reactor.run()

    assert 9.0 == reactor.clock.now()


def test_a_conversation_over_a_slow_line_takes_its_time(reactor: VirtualReactor) -> None:
    ours, theirs = memory_socketpair(reactor.demultiplexer, latency=0.25)
    answers: list[tuple[float, bytes]] = []
    reactor.register(theirs, READ, lambda ready: theirs.send(theirs.recv(100).upper()))
    reactor.register(ours, READ, lambda ready: answers.append((reactor.now(), ours.recv(100))))

    ours.send(b"hello")
    reactor.run_for(10)

    assert [(0.5, b"HELLO")] == answers


def test_a_stream_reads_a_hung_up_socket_to_its_end_however_slowly(
    reactor: VirtualReactor,
) -> None:
    class Collector(StreamHandler):
        def __init__(self) -> None:
            self.data = b""
            self.closed: list[CloseKind] = []

        def on_data(self, stream: Stream, data: bytes) -> None:
            self.data += data

        def on_close(self, stream: Stream, reason: CloseReason) -> None:
            self.closed.append(reason.kind)

    ours, theirs = memory_socketpair(reactor.demultiplexer)
    ours.recv_limit = 1  # many more turns than a handler may let a hang-up pass unheeded
    collector = Collector()
    Stream(reactor, ours, collector)
    theirs.send(b"x" * 300)
    theirs.close()

    reactor.run_for(1)

    assert b"x" * 300 == collector.data
    assert [CloseKind.EOF] == collector.closed


def test_an_old_event_does_not_reach_the_new_owner_of_a_number(reactor: VirtualReactor) -> None:
    called: list[str] = []
    first, second = (ScriptedHandle(reactor.demultiplexer, READ) for _ in range(2))
    number = second.fileno()

    def replace(ready: int) -> None:
        called.append("first")
        first_handle.close()
        second_handle.close()
        second.close()
        successor = ScriptedHandle(reactor.demultiplexer)
        assert number == successor.fileno()
        reactor.register(successor, READ, lambda ready: called.append("successor"))

    first_handle = reactor.register(first, READ, replace)
    second_handle = reactor.register(second, READ, lambda ready: called.append("second"))

    reactor.run_for(1)

    assert ["first"] == called
