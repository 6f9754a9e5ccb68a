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
import os
import threading
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

from broker.auth import Authenticator, make_authenticator
from broker.config import Options
from broker.server import Server
from broker.snapshots import BrokerStats, ConnectionInfo, RouteInfo
from reactor import Reactor
from reactor.errors import ReactorClosedError

if TYPE_CHECKING:
    from broker.identity import Credentials, Identity
    from broker.mesh import Mesh

__all__ = ["Broker"]

T = TypeVar("T")

#: Seconds within which a loop that turns has surely answered a question from another thread.
ANSWER_TIMEOUT = 10.0

_SETTINGS = frozenset(field.name for field in dataclasses.fields(Options))


class Broker:
    """A broker inside this process.

    ``settings`` are any further fields of `broker.Options`, for example ``user``, ``password``,
    ``token``, ``http_port``, ``max_payload``, ``ping_interval``, ``backend``, ``flow_capacity``.
    ``config`` is the path of a configuration file, over which the settings that are given prevail.

    ``auth`` decides who may come in: a function that is given the client's credentials and returns
    an `broker.identity.Identity`, the name of an account, or whether it may. It is called in a
    thread, as it may take its time; on the loop if ``auth_blocks`` is false.

    Thread-safety: without ``reactor``, every method may be called from any thread. With it, only
    from the thread in which that reactor runs.

    Raises:
        OptionsError: a setting is unusable.
        TypeError: there is no setting of that name.
        OSError, ValueError: the configuration cannot be read, or says what cannot be.
    """

    def __init__(
        self,
        host: str | None = None,
        port: int | None = None,
        *,
        config: str | os.PathLike[str] | None = None,
        auth: Callable[[Credentials], Identity | str | bool | None] | None = None,
        auth_blocks: bool = True,
        reactor: Reactor | None = None,
        **settings: Any,
    ) -> None:
        _check_names(settings)
        for name, value in (("host", host), ("port", port)):
            if value is not None:
                settings[name] = value
        self.options = _read(config, settings)
        self._file = None if config is None else partial(_read, config, settings)
        self._make_authenticator: Callable[[Options], Authenticator] = make_authenticator
        if auth is not None:
            self._make_authenticator = partial(make_authenticator, hook=auth, blocks=auth_blocks)
            self._make_authenticator(self.options)  # what is wrong with it is wrong here
        if reactor is not None and self.options.backend is not None:
            raise TypeError("give a reactor or a backend, not both: a reactor has one already")
        #: Called by `start` with the server before it listens.
        self.on_start: Callable[[Server], object] = _ignored
        self._lent = reactor
        self._reactor: Reactor | None = None
        self._server: Server | None = None
        self._thread: threading.Thread | None = None

    @classmethod
    def cluster(cls, count: int, name: str = "test", **settings: Any) -> Mesh:
        """Several brokers in this process as one cluster, for tests; see `broker.mesh`.

        ``settings`` are those of each. Raises as making each raises.
        """
        from broker.mesh import Mesh  # most brokers stand alone

        return Mesh(cls, count, name, settings)

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
        server = Server(reactor, self.options, self._make_authenticator)
        if self._file is not None:
            server.reread = self._reread
        try:
            self.on_start(server)
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

    def reload(self, **changes: Any) -> list[str]:
        """Go on with some settings changed, without letting anybody go who may stay.

        Returns a line for each change. Clients that would not be let in any more are closed.

        Raises:
            OptionsError, TypeError, ValueError, OSError: a setting is unusable; nothing changed.
            ReloadRefused: one cannot be changed while the broker runs; nothing changed.
            RuntimeError: it does not run.
        """
        _check_names(changes)
        server = self._running()
        new = self.options.replace(**changes)
        lines = self._ask(lambda: server.reload(new))
        self.options = new
        return lines

    def _reread(self) -> None:
        """Go on with what the file says now, because the system account asks for it."""
        if self._file is not None:
            new = self._file()
            self._running().reload(new)
            self.options = new

    def lame_duck(self, done: Callable[[], object] | None = None) -> None:
        """Let no more clients in, tell those that are there, and send them away little by little.

        Returns at once; ``done`` is called on the loop when the last one has gone. The broker then
        runs on without clients until `stop`. Raises RuntimeError if it does not run.
        """
        server = self._running()
        self._ask(lambda: server.lame_duck(done or _nothing))

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
    def cluster_port(self) -> int:
        """Where other nodes connect to. Raises RuntimeError if it does not run, or is no node."""
        cluster = self._running().cluster
        if cluster is None:
            raise RuntimeError("this broker is no node of a cluster; give it a ClusterBlock")
        return cluster.port

    @property
    def url(self) -> str:
        """What to give to a client: ``tls://`` if clients have to use TLS, else ``nats://``.

        Raises RuntimeError if the broker does not run.
        """
        secure = self.options.tls is not None and not self.options.allow_non_tls
        return f"{'tls' if secure else 'nats'}://{_reachable(self.host)}:{self.port}"

    @property
    def ws_url(self) -> str:
        """What to give to a client that speaks WebSocket: ``ws://``, or ``wss://`` with TLS.

        Raises RuntimeError if the broker does not run, or has no door for such clients.
        """
        urls = self._running().urls.get("websocket", ())
        if not urls:
            raise RuntimeError("this broker has no websocket; give it a WebsocketBlock")
        return urls[0]

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

    def on_loop(self, function: Callable[[Server], T]) -> T:
        """Call ``function`` with the server, in the thread of its loop, and return what it returns.

        Raises what it raises, and RuntimeError if the broker does not run.
        """
        server = self._running()
        return self._ask(lambda: function(server))

    def routes(self) -> list[RouteInfo]:
        """The routes to other nodes of the cluster, with what these want.

        O(their subscriptions). Raises RuntimeError if it does not run.
        """
        server = self._running()
        return self._ask(lambda: list(server.routes()))

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


def _ignored(server: Server) -> None:
    """What is done with a server by default."""


def _nothing() -> None:
    """What is done when nobody wants to know."""


def _read(config: str | os.PathLike[str] | None, settings: dict[str, Any]) -> Options:
    if config is None:
        return Options(**{"host": "127.0.0.1", **settings})
    from broker import conffile  # the grammar of files takes time to import

    return conffile.load(os.fspath(config), settings)


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
