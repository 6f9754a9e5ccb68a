"""Names to addresses: off the loop, answered once, cancelled for good."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from reactor import Reactor
from reactor.errors import LimitError, UnsupportedError
from reactor.resolver import Endpoint, describe, is_literal, look_up, resolve, unix_family
from reactor.threads import ThreadPool

DEADLINE = 10.0


@pytest.fixture
def reactor(backend: str) -> Iterator[Reactor]:
    with Reactor(backend=backend) as reactor:
        yield reactor


class Answers:
    """What a lookup answered."""

    def __init__(self) -> None:
        self.endpoints: list[list[Endpoint]] = []
        self.errors: list[OSError | None] = []
        self.threads: set[int] = set()

    def __call__(self, endpoints: Sequence[Endpoint], error: OSError | None) -> None:
        self.endpoints.append(list(endpoints))
        self.errors.append(error)
        self.threads.add(threading.get_ident())


@pytest.fixture
def name_server(monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], None]:
    """Let names be answered by the test: by a list of rows, or an exception."""
    real = socket.getaddrinfo

    def answer_with(rows: Any) -> None:
        def fake(host: Any, port: Any, *args: Any, **options: Any) -> Any:
            if options.get("flags", 0) & socket.AI_NUMERICHOST:
                return real(host, port, *args, **options)
            if isinstance(rows, BaseException):
                raise rows
            return rows() if callable(rows) else rows

        monkeypatch.setattr(socket, "getaddrinfo", fake)

    return answer_with


def row(host: str, port: int = 80) -> tuple[Any, ...]:
    if ":" in host:
        return (socket.AF_INET6, socket.SOCK_STREAM, 6, "", (host, port, 0, 0))
    return (socket.AF_INET, socket.SOCK_STREAM, 6, "", (host, port))


@pytest.mark.parametrize(
    ("host", "family", "sockaddr"),
    [
        ("127.0.0.1", socket.AF_INET, ("127.0.0.1", 80)),
        ("::1", socket.AF_INET6, ("::1", 80, 0, 0)),
    ],
)
def test_a_literal_is_answered_in_the_next_turn_without_a_thread(
    reactor: Reactor, name_server: Any, host: str, family: int, sockaddr: Any
) -> None:
    name_server(AssertionError("nobody is to be asked"))
    answers = Answers()
    resolve(reactor, host, 80, answers)
    assert answers.endpoints == []
    reactor.run_once(0)
    assert answers.endpoints == [[Endpoint(family, sockaddr)]]
    assert answers.errors == [None]


def test_a_name_is_answered_on_the_loop_in_the_order_of_the_system_without_repeats(
    reactor: Reactor, name_server: Any
) -> None:
    name_server([row("::5"), row("10.0.0.1"), row("::5"), row("10.0.0.2")])
    answers = Answers()
    resolve(reactor, "app.example", 80, answers)
    assert reactor.run_until(lambda: bool(answers.errors), DEADLINE)
    assert ["[::5]:80", "10.0.0.1:80", "10.0.0.2:80"] == [str(e) for e in answers.endpoints[0]]
    assert answers.threads == {threading.get_ident()}


def test_localhost_is_this_machine(reactor: Reactor) -> None:
    answers = Answers()
    resolve(reactor, "localhost", 80, answers)
    assert reactor.run_until(lambda: bool(answers.errors), DEADLINE)
    assert {endpoint.sockaddr[0] for endpoint in answers.endpoints[0]} <= {"127.0.0.1", "::1"}


def test_a_name_that_nobody_knows_is_an_error_that_names_it(
    reactor: Reactor, name_server: Any
) -> None:
    name_server(socket.gaierror(socket.EAI_NONAME, "Name or service not known"))
    answers = Answers()
    resolve(reactor, "nobody.example", 80, answers)
    assert reactor.run_until(lambda: bool(answers.errors), DEADLINE)
    assert answers.endpoints == [[]]
    assert "cannot look up 'nobody.example': Name or service not known" in str(answers.errors[0])


@pytest.mark.parametrize("host", ["a" * 300, "two..dots", ".x", "nul\0name"])
def test_what_is_no_host_name_is_an_error_and_not_an_exception(reactor: Reactor, host: str) -> None:
    answers = Answers()
    resolve(reactor, host, 80, answers)
    assert reactor.run_until(lambda: bool(answers.errors), DEADLINE)
    assert "cannot look up" in str(answers.errors[0])


def test_a_resolver_that_breaks_still_answers(reactor: Reactor, name_server: Any) -> None:
    name_server(RuntimeError("broken"))
    answers = Answers()
    resolve(reactor, "app.example", 80, answers)
    assert reactor.run_until(lambda: bool(answers.errors), DEADLINE)
    assert "cannot look up 'app.example': broken" in str(answers.errors[0])


def test_a_cancelled_lookup_never_answers(reactor: Reactor, name_server: Any) -> None:
    go, begun = threading.Event(), threading.Event()

    def slow() -> list[Any]:
        begun.set()
        go.wait(DEADLINE)
        return [row("10.0.0.1")]

    name_server(slow)
    answers = Answers()
    pool = ThreadPool(reactor, 1)
    running = resolve(reactor, "running.example", 80, answers, pool=pool)
    waiting = resolve(reactor, "waiting.example", 80, answers, pool=pool)
    literal = resolve(reactor, "127.0.0.1", 80, answers)
    assert begun.wait(DEADLINE)
    for lookup in (running, waiting, literal):
        lookup.cancel()
        lookup.cancel()
    go.set()
    pool.close()
    for _ in range(3):
        reactor.run_once(0)
    assert answers.errors == []
    assert running.cancelled
    assert reactor.stats().errors == 0


def test_a_lookup_whose_pool_is_closed_is_answered_with_an_error(
    reactor: Reactor, name_server: Any
) -> None:
    go, begun = threading.Event(), threading.Event()

    def slow() -> list[Any]:
        begun.set()
        go.wait(DEADLINE)
        return [row("10.0.0.1")]

    name_server(slow)
    running, waiting = Answers(), Answers()
    pool = ThreadPool(reactor, 1)
    resolve(reactor, "running.example", 80, running, pool=pool)
    resolve(reactor, "waiting.example", 80, waiting, pool=pool)
    assert begun.wait(DEADLINE)
    pool.close(cancel=True, wait=False)
    go.set()
    assert reactor.run_until(lambda: bool(running.errors and waiting.errors), DEADLINE)
    assert running.errors == [None]
    expected = "cannot look up 'waiting.example': the thread pool was closed"
    assert str(waiting.errors[0]) == expected


def test_a_lookup_that_was_answered_may_be_cancelled_in_vain(reactor: Reactor) -> None:
    answers = Answers()
    lookup = resolve(reactor, "127.0.0.1", 80, answers)
    reactor.run_once(0)
    lookup.cancel()
    assert len(answers.errors) == 1


def test_a_family_can_be_asked_for(reactor: Reactor) -> None:
    answers = Answers()
    resolve(reactor, "127.0.0.1", 80, answers, family=socket.AF_INET)
    reactor.run_once(0)
    assert answers.endpoints == [[Endpoint(socket.AF_INET, ("127.0.0.1", 80))]]


@pytest.mark.parametrize("port", [-1, 70_000])
def test_a_port_that_does_not_exist_is_refused(reactor: Reactor, port: int) -> None:
    with pytest.raises(LimitError, match=f"port {port} does not exist"):
        resolve(reactor, "127.0.0.1", port, Answers())


def test_looking_up_at_once_gives_the_same_answer() -> None:
    assert look_up("127.0.0.1", 80) == [Endpoint(socket.AF_INET, ("127.0.0.1", 80))]


@pytest.mark.parametrize(
    ("host", "expected"),
    [("127.0.0.1", True), ("::1", True), ("localhost", False), ("1.2.3.x", False), ("", False)],
)
def test_literals_are_told_from_names(host: str, expected: bool) -> None:
    assert is_literal(host) is expected


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        (("10.0.0.1", 80), "10.0.0.1:80"),
        (("::1", 80, 0, 0), "[::1]:80"),
        (("app.example", 80), "app.example:80"),
        ("/run/app", "unix:/run/app"),
        ("\0app", "unix:@app"),
        (b"\0app", "unix:@app"),
        ("", "unix:(unnamed)"),
    ],
)
def test_an_address_is_written_as_people_write_it(address: Any, expected: str) -> None:
    assert describe(address) == expected


def test_a_platform_without_unix_sockets_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(socket, "AF_UNIX")
    with pytest.raises(UnsupportedError, match="use a host and a port"):
        unix_family()
