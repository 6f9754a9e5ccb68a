"""`reactor.Selector`: what CPython's own suite (`tests/foreign`) does not ask."""

from __future__ import annotations

import asyncio
import os
import resource
import selectors
import socket
import tempfile
from collections.abc import Iterator

import pytest

from reactor.errors import DescriptorLimitError, UnknownBackendError
from reactor.selector import Selector

EVENT_READ, EVENT_WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE


@pytest.fixture
def selector(backend: str) -> Iterator[Selector]:
    with Selector(backend) as selector:
        yield selector


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


Pair = tuple[socket.socket, socket.socket]


def test_it_uses_the_backend_that_was_named(backend: str) -> None:
    with Selector(backend) as selector:
        assert backend == selector.features.name


def test_an_unknown_backend_is_refused_by_name() -> None:
    with pytest.raises(UnknownBackendError, match="kqueue9"):
        Selector("kqueue9")


def test_it_has_a_fileno_only_where_the_backend_has_one(selector: Selector) -> None:
    assert selector.features.pollable == hasattr(selector, "fileno")


def test_its_own_descriptor_becomes_readable_with_what_it_watches(pair: Pair) -> None:
    ours, theirs = pair
    with Selector("epoll") as inner, selectors.PollSelector() as outer:
        inner.register(ours, EVENT_READ)
        outer.register(inner.fileno(), EVENT_READ)
        assert [] == outer.select(0)

        theirs.send(b"x")

        assert 1 == len(outer.select(5))


def test_a_peer_that_is_gone_is_reported_in_the_words_that_were_asked_for(
    selector: Selector, pair: Pair
) -> None:
    ours, theirs = pair
    key = selector.register(ours, EVENT_READ)

    theirs.close()

    assert [(key, EVENT_READ)] == selector.select(5)


def test_a_closed_descriptor_is_refused_with_an_oserror(selector: Selector) -> None:
    reading, writing = os.pipe()
    os.close(writing)
    os.close(reading)

    with pytest.raises(OSError, match=str(reading)):
        selector.register(reading, EVENT_READ)

    assert 0 == len(selector.get_map())


def test_a_regular_file_is_always_ready_on_every_backend(selector: Selector) -> None:
    with tempfile.TemporaryFile() as file:
        key = selector.register(file, EVENT_READ | EVENT_WRITE)

        assert [(key, EVENT_READ | EVENT_WRITE)] == selector.select()


def test_select_refuses_a_number_that_it_cannot_watch_when_it_is_registered() -> None:
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit <= 1024:
        pytest.skip(f"only {limit} descriptors may be open here: none is out of select's reach")
    reading, writing = os.pipe()
    high = 1024
    os.dup2(reading, high)
    try:
        with Selector("select") as selector, pytest.raises(DescriptorLimitError, match="poll"):
            selector.register(high, EVENT_READ)
    finally:
        for fd in (reading, writing, high):
            os.close(fd)


@pytest.mark.parametrize("events", [0, 4, -1, EVENT_READ | 8])
def test_events_that_mean_nothing_are_refused(selector: Selector, pair: Pair, events: int) -> None:
    with pytest.raises(ValueError, match="EVENT_READ"):
        selector.register(pair[0], events)

    selector.register(pair[0], EVENT_READ)
    with pytest.raises(ValueError, match="EVENT_READ"):
        selector.modify(pair[0], events)
    assert EVENT_READ == selector.get_key(pair[0]).events


@pytest.mark.parametrize("fileobj", [-1, "a name", None])
def test_what_is_no_file_is_refused(selector: Selector, fileobj: object) -> None:
    with pytest.raises(ValueError, match=r"descriptor|no file"):
        selector.register(fileobj, EVENT_READ)  # type: ignore[arg-type]  # the mistake that is meant


def test_a_modification_that_the_kernel_refuses_leaves_the_file_unregistered() -> None:
    with Selector("epoll") as selector:
        reading, writing = os.pipe()
        selector.register(reading, EVENT_READ)
        os.close(reading)
        os.close(writing)

        with pytest.raises(OSError, match=str(reading)):
            selector.modify(reading, EVENT_WRITE)

        assert 0 == len(selector.get_map())


def test_a_file_that_was_closed_can_still_be_unregistered_by_itself(
    selector: Selector, pair: Pair
) -> None:
    ours, _ = pair
    fd = ours.fileno()
    selector.register(ours, EVENT_READ)
    ours.close()

    assert fd == selector.unregister(ours).fd
    with pytest.raises(KeyError):
        selector.unregister(ours)


def test_a_negative_timeout_only_looks(selector: Selector, pair: Pair) -> None:
    selector.register(pair[0], EVENT_READ)

    assert [] == selector.select(-1)


def test_a_file_is_registered_once(selector: Selector, pair: Pair) -> None:
    selector.register(pair[0], EVENT_READ)

    with pytest.raises(KeyError, match="already"):
        selector.register(pair[0].fileno(), EVENT_WRITE)


def test_the_map_is_live_and_finds_files_and_descriptors(selector: Selector, pair: Pair) -> None:
    registered = selector.get_map()
    key = selector.register(pair[0], EVENT_READ, "data")

    assert [pair[0].fileno()] == list(registered)
    assert key == registered[pair[0]] == registered[pair[0].fileno()]
    with pytest.raises(KeyError, match="not registered"):
        registered[pair[1]]


def test_a_file_unregistered_by_another_thread_during_the_wait_is_not_reported() -> None:
    with Selector("poll") as selector:
        reading, writing = os.pipe()
        selector.register(reading, EVENT_READ)
        os.write(writing, b"x")
        wait = selector._wait

        def wait_and_lose(timeout: float | None) -> list[tuple[int, int]]:
            ready = wait(timeout)
            selector.unregister(reading)
            return ready

        selector._wait = wait_and_lose

        assert [] == selector.select()
        os.close(reading)
        os.close(writing)


def test_a_closed_selector_says_so(selector: Selector, pair: Pair) -> None:
    selector.close()
    selector.close()

    assert selector.get_map() is None
    with pytest.raises(RuntimeError, match="closed"):
        selector.register(pair[0], EVENT_READ)
    with pytest.raises(RuntimeError, match="closed"):
        selector.get_key(pair[0])


def test_asyncio_runs_on_it(backend: str) -> None:
    async def echo() -> bytes:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(await reader.readline())
            writer.close()
            await writer.wait_closed()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        async with server:
            address = server.sockets[0].getsockname()
            reader, writer = await asyncio.open_connection(*address)
            writer.write(b"hello\n")
            answer = await reader.read()
            writer.close()
            await writer.wait_closed()
            return answer

    loop = asyncio.SelectorEventLoop(Selector(backend))
    try:
        assert b"hello\n" == loop.run_until_complete(asyncio.wait_for(echo(), 10))
    finally:
        loop.close()
