"""The broker inside a process: starting, stopping, asking; by itself and on a lent reactor."""

from __future__ import annotations

import asyncio
import gc
import os
import socket
import threading
from collections.abc import Callable
from typing import Any

import nats
import nats.errors
import pytest
from nats.aio.msg import Msg

import broker
from broker import Broker, BrokerStats, OptionsError
from broker.server import Server
from reactor import Reactor
from tests.support.raw_client import RawClient

QUIET = b'CONNECT {"verbose":false}\r\n'


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


# ----------------------------------------------------------------------------------------- serving


def test_it_serves_when_the_block_is_entered() -> None:
    with Broker(port=0) as b, RawClient(b.port) as client:
        assert [b"MSG a 1 2\r\nhi\r\n"] == client.ask(QUIET + b"SUB a 1\r\nPUB a 2\r\nhi\r\n")


def test_its_url_is_what_clients_want() -> None:
    with Broker(port=0) as b:
        assert f"nats://127.0.0.1:{b.port}" == b.url


def test_a_broker_on_every_address_tells_one_that_can_be_connected_to() -> None:
    with Broker("0.0.0.0", port=0) as b:
        assert f"nats://127.0.0.1:{b.port}" == b.url
        assert "0.0.0.0" == b.host


def test_a_client_library_publishes_subscribes_and_requests() -> None:
    async def answer_it(message: Msg) -> None:
        await message.respond(b"answer")

    async def talk(url: str) -> list[bytes]:
        client = await nats.connect(url)
        try:
            subscription = await client.subscribe("news.*")
            await client.subscribe("question", cb=answer_it)
            await client.publish("news.today", b"rain")
            told = await subscription.next_msg(timeout=10)
            answer = await client.request("question", b"?", timeout=10)
            with pytest.raises(nats.errors.NoRespondersError):
                await client.request("nobody", timeout=10)
            return [told.data, answer.data]
        finally:
            await client.close()

    with Broker(port=0) as b:
        assert [b"rain", b"answer"] == asyncio.run(talk(b.url))


def test_settings_reach_the_wire() -> None:
    with Broker(port=0, max_payload=123, server_name="nova") as b, RawClient(b.port) as client:
        assert (123, "nova") == (client.info["max_payload"], client.info["server_name"])


def test_it_runs_on_every_backend(backend: str) -> None:
    with Broker(port=0, backend=backend) as b, RawClient(b.port) as client:
        assert [] == client.ask(QUIET)


@pytest.mark.parametrize("flows", [{"flow_capacity": 0}, {"flow_evict_chance": 1.0}])
def test_a_flow_table_that_keeps_nothing_changes_nothing(flows: dict[str, Any]) -> None:
    with Broker(port=0, **flows) as b, RawClient(b.port) as client:
        frames = client.ask(QUIET + b"SUB a.* 1\r\nPUB a.b 1\r\nx\r\nPUB a.b 1\r\ny\r\n")
        assert [b"MSG a.b 1 1\r\nx\r\n", b"MSG a.b 1 1\r\ny\r\n"] == frames


def test_several_brokers_in_one_process_know_nothing_of_each_other() -> None:
    with Broker(port=0) as one, Broker(port=0) as other:
        assert one.port != other.port
        with RawClient(one.port) as here, RawClient(other.port) as there:
            there.ask(QUIET + b"SUB a 1\r\n")
            here.ask(QUIET + b"PUB a 1\r\nx\r\n")
            assert [] == there.ask(b"")


# --------------------------------------------------------------------------- starting and stopping


def test_a_port_in_use_is_raised_where_the_caller_stands() -> None:
    with Broker(port=0) as first:
        threads = threading.active_count()
        with pytest.raises(OSError, match=rf"127\.0\.0\.1:{first.port}.*in use"):
            Broker(port=first.port).start()
        assert threads == threading.active_count()


def test_starting_twice_is_refused() -> None:
    with Broker(port=0) as b, pytest.raises(RuntimeError, match="stop it first"):
        b.start()


def test_stopping_twice_or_never_having_started_is_harmless() -> None:
    b = Broker(port=0)
    b.stop()
    b.start()
    b.stop()
    b.stop()
    assert not b.running


def test_a_stopped_broker_can_be_started_again() -> None:
    b = Broker(port=0)
    for _ in range(3):
        with b, RawClient(b.port) as client:
            assert [] == client.ask(QUIET)


def test_the_port_is_free_again_after_stop() -> None:
    with Broker(port=0) as first:
        port = first.port
    with Broker(port=port) as second:
        assert port == second.port


def test_starting_and_stopping_leaks_neither_descriptors_nor_threads() -> None:
    def once() -> None:
        with Broker(port=0, http_port=0) as b, RawClient(b.port) as client:
            client.ask(QUIET + b"SUB a 1\r\n")

    once()
    gc.collect()  # what other tests left behind must not disappear while we count
    before = descriptors(), threading.active_count()
    for _ in range(20):
        once()
    gc.collect()
    assert before == (descriptors(), threading.active_count())


def test_clients_get_what_they_are_owed_before_the_broker_stops() -> None:
    with Broker(port=0) as b:
        client = RawClient(b.port)
        client.ask(QUIET + b"SUB a 1\r\n")
        with RawClient(b.port) as publisher:
            publisher.ask(QUIET + b"PUB a 1\r\nx\r\n" * 100)
    with client:
        assert [b"MSG a 1 1\r\nx\r\n"] * 100 == client.read_to_end()


def test_the_broker_stops_although_an_exception_leaves_the_block() -> None:
    b = Broker(port=0)
    with pytest.raises(KeyError), b:
        raise KeyError
    assert not b.running


def test_its_thread_is_named_after_its_port() -> None:
    with Broker(port=0) as b:
        assert f"broker-{b.port}" in [thread.name for thread in threading.enumerate()]


def test_a_handler_on_its_own_loop_may_stop_it() -> None:
    b = Broker(port=0)
    b.start()
    reactor, thread = b._reactor, b._thread
    assert reactor is not None
    assert thread is not None
    reactor.call_threadsafe(b.stop)
    thread.join(10)
    assert (False, False, True) == (thread.is_alive(), b.running, reactor.closed)


def test_a_loop_that_does_not_end_in_time_is_an_error() -> None:
    b = Broker(port=0)
    b.start()
    reactor, thread = b._reactor, b._thread
    assert reactor is not None
    assert thread is not None
    released = threading.Event()
    reactor.call_threadsafe(released.wait, 10)
    with pytest.raises(TimeoutError, match="did not end within"):
        b.stop(timeout=0.01)
    released.set()
    thread.join(10)
    assert not thread.is_alive()


# ------------------------------------------------------------------------------------------ asking


def test_statistics_are_a_snapshot() -> None:
    with Broker(port=0) as b, RawClient(b.port) as client:
        before = b.stats()
        client.ask(QUIET + b"SUB a 1\r\nPUB a 2\r\nhi\r\n")
        after = b.stats()
    assert isinstance(before, BrokerStats)
    assert (0, 0, 0) == (before.in_msgs, before.out_msgs, before.subscriptions)
    assert (1, 2, 1, 2) == (after.in_msgs, after.in_bytes, after.out_msgs, after.out_bytes)
    assert (1, 1, 1) == (after.connections, after.total_connections, after.subscriptions)


def test_connections_are_listed_with_their_subscriptions() -> None:
    with Broker(port=0) as b, RawClient(b.port) as client:
        client.ask(b'CONNECT {"verbose":false,"name":"bob"}\r\nSUB a.> q 7\r\nUNSUB 7 3\r\n')
        (connection,) = b.connections()
    (subscription,) = connection.subscription_list
    assert ("bob", "127.0.0.1", 1) == (connection.name, connection.ip, connection.subscriptions)
    assert ("a.>", "q", "7", 3) == (
        subscription.subject,
        subscription.queue,
        subscription.sid,
        subscription.max,
    )


def test_closed_connections_are_listed_with_their_reasons() -> None:
    with Broker(port=0) as b:
        with RawClient(b.port) as client:
            client.send(b"NONSENSE\r\n")
            client.read_to_end()
        (connection,) = b.connections(closed=True)
    assert "Protocol Violation" == connection.reason


def test_its_own_loop_may_ask_without_waiting_for_itself() -> None:
    with Broker(port=0) as b:
        answered = threading.Event()
        answers: list[BrokerStats] = []

        def ask() -> None:
            answers.append(b.stats())
            answered.set()

        assert b._reactor is not None
        b._reactor.call_threadsafe(ask)
        assert answered.wait(10)
    assert [0] == [stats.connections for stats in answers]


def test_a_question_that_fails_fails_where_it_was_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: Server) -> BrokerStats:
        raise ZeroDivisionError

    monkeypatch.setattr(Server, "stats", broken)
    with Broker(port=0) as b, pytest.raises(ZeroDivisionError):
        b.stats()


@pytest.mark.parametrize(
    "ask",
    [
        lambda b: b.port,
        lambda b: b.url,
        lambda b: b.http_port,
        lambda b: b.stats(),
        lambda b: b.connections(),
    ],
)
def test_a_broker_that_does_not_run_says_so(ask: Callable[[Broker], object]) -> None:
    with pytest.raises(RuntimeError, match="does not run"):
        ask(Broker(port=0))


def test_the_monitors_port_is_told_if_there_is_one() -> None:
    with Broker(port=0) as without, Broker(port=0, http_port=0) as with_monitor:
        assert without.http_port is None
        assert with_monitor.http_port != 0


# ---------------------------------------------------------------------------------------- settings


def test_a_setting_that_does_not_exist_is_refused_with_the_one_that_was_meant() -> None:
    with pytest.raises(TypeError, match="no setting 'max_paylod'; did you mean 'max_payload'"):
        Broker(port=0, max_paylod=1)


def test_an_unusable_setting_is_refused_before_anything_is_opened() -> None:
    before = descriptors()
    with pytest.raises(OptionsError, match="ping_interval"):
        Broker(port=0, ping_interval=0)
    assert before == descriptors()


def test_a_lent_reactor_and_a_backend_contradict_each_other() -> None:
    with Reactor() as reactor, pytest.raises(TypeError, match="not both"):
        Broker(port=0, reactor=reactor, backend="poll")


# ---------------------------------------------------------------------------------- a lent reactor


def exchange(reactor: Reactor, client: socket.socket, sent: bytes, last: bytes) -> bool:
    """Send, and turn the reactor until ``last`` has come; ``b""`` is the connection's end."""
    client.setblocking(False)
    client.sendall(sent)
    received = bytearray()
    ended = False

    def complete() -> bool:
        nonlocal ended
        try:
            piece = client.recv(65536)
        except BlockingIOError:
            return False
        received.extend(piece)
        ended = not piece
        return ended if not last else received.endswith(last)

    return reactor.run_until(complete, timeout=10)


def test_on_a_lent_reactor_it_makes_no_thread_and_serves_while_that_turns() -> None:
    threads = threading.active_count()
    with Reactor() as reactor, Broker(port=0, reactor=reactor) as b:
        assert threads == threading.active_count()
        with socket.create_connection(("127.0.0.1", b.port)) as client:
            assert exchange(reactor, client, QUIET + b"PING\r\n", b"PONG\r\n")
        assert 1 == b.stats().total_connections


def test_stopping_on_a_lent_reactor_closes_while_that_turns_and_leaves_it_open() -> None:
    with Reactor() as reactor:
        before = reactor.stats()
        b = Broker(port=0, reactor=reactor)
        b.start()
        with socket.create_connection(("127.0.0.1", b.port)) as client:
            assert exchange(reactor, client, QUIET + b"PING\r\n", b"PONG\r\n")
            b.stop()
            assert exchange(reactor, client, b"", b"")
        after = reactor.stats()
        assert (before.handles, before.timers) == (after.handles, after.timers)
        assert not reactor.closed


# ------------------------------------------------------------------------------------- the package


def test_the_package_offers_what_it_says() -> None:
    for name in broker.__all__:
        assert getattr(broker, name) is not None
    assert set(broker.__all__) <= set(dir(broker))


def test_the_package_offers_nothing_else() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Brocker'"):
        _ = broker.Brocker
