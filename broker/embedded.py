"""A whole broker as an object: ``with Broker(port=0) as b: connect(b.url)``.

The idea: a broker is a server on a reactor, and a reactor runs in whatever thread one likes. So an
embedded broker needs no other process, no download and no waiting: it listens before `start`
returns, because the kernel queues connections from the moment the port is bound, and whatever can
go wrong (the port is taken, the address is unknown) is raised where the caller stands, not in a
thread that nobody watches.

Two ways to run it. By itself, it makes a reactor and a thread to turn it, and ends both. With
``reactor=...`` it runs on yours: it makes no thread, `start` and `stop` are to be called where your
loop runs, and it serves while your loop turns.

Invariants: after `stop` its thread has ended and its descriptors are closed; `stop` may be called
at any time and any number of times; a stopped broker may be started again.

Neighbours: `broker.server` does the work; `broker.snapshots` has the records that `stats` and
`connections` return.
"""

from __future__ import annotations

import contextlib
import dataclasses
import threading
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from types import TracebackType
from typing import Any, TypeVar

from broker.auth import make_authenticator
from broker.config import Options
from broker.hook import HookFunction
from broker.server import Server
from broker.snapshots import BrokerStats, ConnectionInfo
from reactor import Reactor
from reactor.errors import ReactorClosedError

__all__ = ["Broker"]

T = TypeVar("T")

#: Seconds within which a loop that turns has surely answered a question from another thread.
ANSWER_TIMEOUT = 10.0

_SETTINGS = frozenset(field.name for field in dataclasses.fields(Options))


class Broker:
    """A broker inside this process.

    ``settings`` are any further fields of `broker.Options`, for example ``user``, ``password``,
    ``token``, ``http_port``, ``max_payload``, ``ping_interval``, ``backend``, ``flow_capacity``.

    ``auth`` is a function that decides who may come in: it gets `Credentials` and returns an
    `Identity`, the name of an account, True, or None for "no". It is called in a thread, several
    at once, so that it may ask whom it likes; ``auth_blocks=False`` calls it on the loop.

    Thread-safety: without ``reactor``, every method may be called from any thread. With it, only
    from the thread in which that reactor runs.

    Raises:
        OptionsError: a setting is unusable.
        TypeError: there is no setting of that name.
    """

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 4222,
        *,
        reactor: Reactor | None = None,
        auth: HookFunction | None = None,
        auth_blocks: bool = True,
        **settings: Any,
    ) -> None:
        _check_names(settings)
        self.options = Options(host=host, port=port, **settings)
        if reactor is not None and self.options.backend is not None:
            raise TypeError("give a reactor or a backend, not both: a reactor has one already")
        make_authenticator(self.options, auth, blocks=auth_blocks)  # raises here what it would
        self._auth, self._auth_blocks = auth, auth_blocks
        self._lent = reactor
        self._reactor: Reactor | None = None
        self._server: Server | None = None
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Broker:
        """Start; the broker serves when the block is entered. Raises like `start`."""
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop, whatever happened in the block."""
        self.stop()

    def start(self) -> None:
        """Listen, and serve from now on. Takes milliseconds.

        Raises:
            OSError: the address or port cannot be listened on; the text says which and why.
            RuntimeError: it runs already.
        """
        if self._server is not None:
            raise RuntimeError("this broker runs already; stop it first")
        reactor = self._lent or Reactor(backend=self.options.backend)
        server = Server(reactor, self.options, auth=self._auth, auth_blocks=self._auth_blocks)
        try:
            server.start()
        except BaseException:
            if self._lent is None:
                reactor.close()
            raise
        self._reactor, self._server = reactor, server
        if self._lent is None:
            self._thread = threading.Thread(
                target=_turn, args=(reactor,), name=f"broker-{server.port}", daemon=True
            )
            self._thread.start()

    def stop(self, timeout: float = 5.0) -> None:
        """Stop listening, send every client what it is owed, close all connections.

        Waits at most ``timeout`` seconds for its thread; on a reactor of yours it does not wait at
        all, and the closing goes on while that turns. Does nothing if the broker does not run.

        Raises:
            TimeoutError: the thread did not end in time.
        """
        reactor, server, thread = self._reactor, self._server, self._thread
        if reactor is None or server is None:
            return
        self._reactor = self._server = self._thread = None
        if thread is None:
            server.close()
            return
        with contextlib.suppress(ReactorClosedError):  # if its thread came to an end by itself
            reactor.call_threadsafe(server.close, reactor.stop)
        if thread is threading.current_thread():
            return  # called by a handler of our own loop: it ends by itself
        thread.join(timeout)
        if thread.is_alive():
            raise TimeoutError(f"the broker's thread did not end within {timeout} s")

    @property
    def running(self) -> bool:
        """Whether it was started and not stopped."""
        return self._server is not None

    @property
    def host(self) -> str:
        """The address it listens on, as it was given."""
        return self.options.host

    @property
    def port(self) -> int:
        """The port it listens on. Raises RuntimeError if it does not run."""
        return self._running().port

    @property
    def http_port(self) -> int | None:
        """The monitor's port, or None if there is no monitor. Raises RuntimeError if it does not
        run.
        """
        return self._running().http_port

    @property
    def url(self) -> str:
        """What to give to a client. Raises RuntimeError if the broker does not run."""
        return f"nats://{_reachable(self.host)}:{self.port}"

    def stats(self) -> BrokerStats:
        """The broker in numbers, at one moment. O(connections). Raises RuntimeError if it does not
        run.
        """
        return self._ask(self._running().stats)

    def connections(self, *, closed: bool = False) -> list[ConnectionInfo]:
        """The open connections with their subscriptions, or records of the last closed ones.

        O(connections + subscriptions). Raises RuntimeError if it does not run.
        """
        server = self._running()

        def collect() -> list[ConnectionInfo]:
            rows = server.closed() if closed else server.opened()
            return [row.info(subscriptions=True) for row in rows]

        return self._ask(collect)

    def _running(self) -> Server:
        if self._server is None:
            raise RuntimeError("this broker does not run; use it within 'with', or call start()")
        return self._server

    def _ask(self, question: Callable[[], T]) -> T:
        """Have the loop's thread answer, unless this is it."""
        thread = self._thread
        if thread is None or thread is threading.current_thread():
            return question()
        assert self._reactor is not None  # it goes together with the thread
        answer: Future[T] = Future()
        try:
            self._reactor.call_threadsafe(_answer, answer, question)
            return answer.result(ANSWER_TIMEOUT)
        except (ReactorClosedError, FutureTimeout):
            raise RuntimeError("this broker was stopped while it was asked") from None


def _answer(answer: Future[T], question: Callable[[], T]) -> None:
    try:
        answer.set_result(question())
    except BaseException as error:
        answer.set_exception(error)


def _turn(reactor: Reactor) -> None:
    """What the thread does. The reactor is closed by the thread that turned it, after its last
    turn.
    """
    try:
        reactor.run()
    finally:
        reactor.close()


def _reachable(host: str) -> str:
    """An address to connect to, for one to listen on: the wildcards are none."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(host, host)
    return f"[{host}]" if ":" in host else host


def _check_names(settings: dict[str, Any]) -> None:
    for name in settings:
        if name not in _SETTINGS:
            import difflib  # only needed for a mistake

            close = difflib.get_close_matches(name, _SETTINGS, n=1)
            hint = f"; did you mean {close[0]!r}?" if close else "; see broker.Options"
            raise TypeError(f"Broker has no setting {name!r}{hint}")
