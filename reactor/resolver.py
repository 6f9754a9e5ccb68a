"""Names to addresses, without ever blocking the loop, and addresses to text.

The idea: `getaddrinfo` is the system's one resolver (hosts file, DNS, the user's own configuration)
and it blocks, for seconds when a name server is away. So it runs in a thread and its answer comes
back on the loop. A literal address needs nobody's answer, so it costs no thread. Either way the
answer comes on a later turn, never from within `resolve` itself: a caller need not wonder whether
its callback has already run.

Invariants: each lookup answers exactly once, or never if it was cancelled; the callback gets
addresses or an error, never both and never neither.

The threads are shared by all reactors of the process, as a lookup belongs to no loop, and there are
few of them: a program that looks up thousands of names at once should ask a resolver of its own.

Neighbours: `reactor.threads` runs the lookups; `reactor.connector` asks; `reactor.listener` and
`reactor.datagram` use the words for addresses. Floor 3; anyone may call.
"""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

from reactor.errors import LimitError, UnsupportedError
from reactor.threads import ThreadPool

if TYPE_CHECKING:
    from reactor.loop import Reactor

#: Where to listen or connect: a host and a port, or the path of a Unix socket (a path that begins
#: with a null character names an abstract one, which has no file).
Address: TypeAlias = "tuple[str, int] | str"

#: Lookups at one time in the whole process. Each holds a thread for as long as a name server takes.
LOOKUP_THREADS: Final = 4

_MAX_PORT: Final = 65_535


class Endpoint(NamedTuple):
    """An address that a socket can be bound or connected to: its family, and the kernel's form."""

    family: int
    sockaddr: Any

    def __str__(self) -> str:
        return describe(self.sockaddr)


#: What a lookup calls: with the addresses and None, or with no addresses and the error.
Answer: TypeAlias = Callable[[Sequence[Endpoint], "OSError | None"], object]


class Lookup:
    """One question on its way. Loop thread only."""

    __slots__ = ("_answer", "_future", "cancelled", "host", "port")

    def __init__(self, host: str, port: int, answer: Answer) -> None:
        self.host = host
        self.port = port
        self.cancelled = False
        self._answer = answer
        self._future: Future[list[Endpoint]] | None = None

    def cancel(self) -> None:
        """Make sure the callback never runs; O(1).

        A lookup that has reached its thread runs on there, since nothing can stop `getaddrinfo`,
        and its answer is dropped.
        """
        self.cancelled = True
        if self._future is not None:
            self._future.cancel()

    def _finish(self, endpoints: Sequence[Endpoint], error: OSError | None) -> None:
        if not self.cancelled:
            self._answer(endpoints, error)

    def _finish_future(self, future: Future[list[Endpoint]]) -> None:
        if future.cancelled():
            self._finish([], OSError(f"cannot look up {self.host!r}: the thread pool was closed"))
            return
        error = future.exception()
        if error is None:
            self._finish(future.result(), None)
        elif isinstance(error, OSError):
            self._finish([], error)
        else:
            # A defect, not the name server's doing, but an answer is owed all the same.
            self._finish([], OSError(f"cannot look up {self.host!r}: {error}"))


def resolve(
    reactor: Reactor,
    host: str,
    port: int,
    callback: Answer,
    *,
    family: int = socket.AF_UNSPEC,
    kind: int = socket.SOCK_STREAM,
    pool: ThreadPool | None = None,
) -> Lookup:
    """Look up the addresses of `host` and call `callback(endpoints, error)` on a later turn.

    The order is the system's (RFC 6724): the address most likely to work comes first. `pool` runs
    the lookup; without one the process's few lookup threads do. Raises `LimitError` for a port out
    of range. Loop thread only; costs one thread hand-over, or about 10 us for a literal.
    """
    check_port(port)
    lookup = Lookup(host, port, callback)
    literal = literal_endpoints(host, port, family=family, kind=kind)
    if literal:
        reactor.call_soon(lookup._finish, literal, None)
        return lookup
    pool = pool or ThreadPool(reactor, executor=_shared_executor())
    lookup._future = pool.submit(
        look_up, host, port, family=family, kind=kind, then=lookup._finish_future
    )
    return lookup


def look_up(
    host: str | None,
    port: int,
    family: int = socket.AF_UNSPEC,
    kind: int = socket.SOCK_STREAM,
    flags: int = 0,
) -> list[Endpoint]:
    """Ask the system for the addresses of a name, and wait for the answer, best address first.

    Blocks, so it is for threads, and for start-up before a loop runs. Any thread may call it.
    Raises `socket.gaierror` (an OSError) naming the host if it has no address.
    """
    try:
        found = socket.getaddrinfo(host, port, family=family, type=kind, flags=flags)
    except socket.gaierror as error:
        raise socket.gaierror(error.errno, f"cannot look up {host!r}: {error.strerror}") from None
    except UnicodeError as error:
        raise socket.gaierror(
            socket.EAI_NONAME, f"cannot look up {host!r}: not a host name ({error})"
        ) from None
    # One address may come several times, once for each protocol; order is kept, repeats are not.
    return list(dict.fromkeys(Endpoint(int(item[0]), item[4]) for item in found))


def literal_endpoints(
    host: str | None,
    port: int,
    *,
    family: int = socket.AF_UNSPEC,
    kind: int = socket.SOCK_STREAM,
) -> list[Endpoint]:
    """Return the endpoint of a literal IPv4 or IPv6 address (scopes included), or nothing.

    Asks nobody and does not block. Any thread may call it.
    """
    numeric = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
    try:
        return look_up(host, port, family, kind, numeric)
    except socket.gaierror:
        return []


@lru_cache(maxsize=1024)
def is_literal(host: str) -> bool:
    """Tell whether `host` is a literal address, which no name server need be asked about.

    Thread-safe; remembers its last answers, so that a datagram's destination may be checked.
    """
    return bool(literal_endpoints(host, 0))


def check_port(port: int) -> None:
    """Raise `LimitError` for a port that does not exist; C would take it modulo 65536."""
    if not 0 <= port <= _MAX_PORT:
        raise LimitError(
            f"port {port} does not exist; choose one from 0 (any free one) to {_MAX_PORT}"
        )


def describe(address: Any) -> str:
    """Return an address as people write it: ``10.0.0.1:80``, ``[::1]:80`` or ``unix:/run/app``.

    Takes what `getsockname`, `getpeername` and `accept` return, for any family. Any thread.
    """
    if isinstance(address, tuple):
        host, port = address[0], address[1]
        return f"[{host}]:{port}" if ":" in str(host) else f"{host}:{port}"
    if isinstance(address, (bytes, bytearray)):  # the kernel's way to give an abstract path
        address = os.fsdecode(bytes(address))
    if not address:
        return "unix:(unnamed)"
    return "unix:@" + address[1:] if address[0] == "\0" else f"unix:{address}"


def unix_family() -> int:
    """Return the family of Unix sockets; `UnsupportedError` where there are none. Any thread."""
    try:
        return int(socket.AF_UNIX)
    except AttributeError:
        raise UnsupportedError("this platform has no Unix sockets; use a host and a port") from None


_executor: ThreadPoolExecutor | None = None
_executor_lock = threading.Lock()


def _shared_executor() -> Executor:
    global _executor
    with _executor_lock:
        if _executor is None:
            _executor = ThreadPoolExecutor(LOOKUP_THREADS, thread_name_prefix="reactor-lookup")
        return _executor


def _forget_executor() -> None:
    # A forked child has the executor but none of its threads, and perhaps a lock nobody holds.
    global _executor, _executor_lock
    _executor = None
    _executor_lock = threading.Lock()


os.register_at_fork(after_in_child=_forget_executor)
