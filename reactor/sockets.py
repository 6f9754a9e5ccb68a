"""Opening listening sockets: families, options, and the files of Unix sockets.

The idea: everything that can go wrong between an address and a socket that listens there goes wrong
here, at once and in the caller's face, with the address and the mend in the error's text.

**The special problem of Unix sockets.** Their file outlives their program, so a program that was
killed cannot start again, and a program that removes whatever file it finds steals the address of
one that lives. So a file in the way is asked first: only a socket at which nobody listens is
removed. And at the end only the file that was made here is removed, not one that took its place.

Invariants: what is returned listens, is non-blocking and closed on exec; whatever fails, no socket
is left open.

Neighbours: `reactor.listener` is the caller; `reactor.resolver` knows names and the words for
addresses. Floor 3. Any thread may call; a name that must be looked up blocks.
"""

from __future__ import annotations

import errno
import os
import socket
import stat
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from reactor.errors import RegistrationError, UnsupportedError
from reactor.resolver import Address, Endpoint, check_port, describe, look_up, unix_family

#: How often a port is sought that is free on every address of a name.
_PORT_ATTEMPTS: Final = 8

#: An address family that a name has and this machine has not.
_ABSENT: Final = frozenset({errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL})

_MENDS: Final = {
    errno.EADDRINUSE: "stop the program that uses it, or choose another (port 0 is any free one)",
    errno.EACCES: "choose a port from 1024 upwards, or a folder that you may write to",
    errno.EADDRNOTAVAIL: "choose an address of this machine (0.0.0.0 is all of them)",
    errno.EAFNOSUPPORT: "choose an address of a family that this machine supports",
    errno.ENOENT: "make the folder first, or choose another path",
}


def open_listening(
    address: Address | socket.socket,
    backlog: int,
    reuse_port: bool,
    v6only: bool,
    no_delay: bool,
) -> list[socket.socket]:
    """Return sockets that listen at `address`, one for each address that a name has.

    What the arguments mean, and what is raised, is told by `Listener`, whose they are.
    """
    if isinstance(address, socket.socket):
        bound = [_adopt(address)]
    elif isinstance(address, str):
        bound = [_bind_path(address)]
    else:
        bound = _bind_host(*address, reuse_port, v6only)
    try:
        for sock in bound:
            if no_delay and sock.family != getattr(socket, "AF_UNIX", None):
                # Linux hands this option down to every accepted socket, so it is set once.
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.setblocking(False)
            sock.listen(backlog)
    except OSError as error:
        where = bound[0].getsockname()
        _close_all(bound)
        raise _unusable(where, error) from None
    return bound


def _adopt(sock: socket.socket) -> socket.socket:
    if sock.type != socket.SOCK_STREAM:
        raise RegistrationError(f"{sock!r} cannot listen; give a bound socket of type SOCK_STREAM")
    return sock


def _bind_host(host: str, port: int, reuse_port: bool, v6only: bool) -> list[socket.socket]:
    check_port(port)
    endpoints = look_up(host or None, port, flags=socket.AI_PASSIVE)
    for _ in range(_PORT_ATTEMPTS):
        try:
            return _bind_endpoints(endpoints, reuse_port, v6only)
        except OSError as error:
            # A port that was free on the first address may be taken on the second: try another one.
            if port or error.errno != errno.EADDRINUSE:
                raise
            refused = error
    raise refused


def _bind_endpoints(
    endpoints: list[Endpoint], reuse_port: bool, v6only: bool
) -> list[socket.socket]:
    bound: list[socket.socket] = []
    absent: OSError | None = None
    try:
        for family, sockaddr in endpoints:
            host, port, *scope = sockaddr
            # The first address chose the port if nobody else did; the others follow.
            port = port or (bound[0].getsockname()[1] if bound else 0)
            try:
                bound.append(_bind(family, (host, port, *scope), reuse_port, v6only))
            except OSError as error:
                if error.errno not in _ABSENT:
                    raise
                absent = error
        if absent is not None and not bound:
            raise absent
    except BaseException:
        _close_all(bound)
        raise
    return bound


def _bind(family: int, sockaddr: Any, reuse_port: bool, v6only: bool) -> socket.socket:
    sock: socket.socket | None = None
    try:
        sock = socket.socket(family, socket.SOCK_STREAM)
        # Without it, connections of an earlier run that linger in TIME_WAIT would hold the port.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if reuse_port:
            sock.setsockopt(socket.SOL_SOCKET, _reuse_port_option(), 1)
        if family == socket.AF_INET6:
            # Said either way, since the default is the machine's administrator's.
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(v6only))
        sock.bind(sockaddr)
    except BaseException as error:
        if sock is not None:
            sock.close()
        if isinstance(error, OSError):
            raise _unusable(sockaddr, error) from None
        raise
    return sock


def _reuse_port_option() -> int:
    try:
        return int(socket.SO_REUSEPORT)
    except AttributeError:
        raise UnsupportedError("this platform has no SO_REUSEPORT; leave reuse_port out") from None


def _close_all(sockets: list[socket.socket]) -> None:
    for sock in sockets:
        sock.close()


def _unusable(address: Any, error: OSError) -> OSError:
    why = error.strerror or str(error)
    mend = _MENDS.get(error.errno or 0)
    text = f"cannot listen at {describe(address)}: {why}" + (f"; {mend}" if mend else "")
    return OSError(error.errno or errno.EINVAL, text)


# Paths of Unix sockets. A socket's file outlives its program, so a file says nothing about life.


def _bind_path(path: str) -> socket.socket:
    sock = socket.socket(unix_family(), socket.SOCK_STREAM)
    try:
        try:
            sock.bind(path)
        except OSError as error:
            if error.errno != errno.EADDRINUSE or not _remove_stale(path):
                raise
            sock.bind(path)
    except OSError as error:
        sock.close()
        raise _unusable(path, error) from None
    return sock


def _remove_stale(path: str) -> bool:
    """Remove a socket file at which nobody listens. False if it is anything else, or somebody does.

    Two programs that take over one path in the same instant can still collide; the second look at
    the file makes that instant as short as a program can.
    """
    found = SocketFile.of(path)
    if found is None:
        return False
    with socket.socket(unix_family(), socket.SOCK_STREAM) as probe:
        probe.setblocking(False)  # a full backlog answers EAGAIN, which is a sign of life
        if probe.connect_ex(path) != errno.ECONNREFUSED:
            return False
    return found.remove()


@dataclass(frozen=True)
class SocketFile:
    """The file of a Unix socket: the path, and which file it was, as another may take its place."""

    path: str
    device: int
    inode: int

    @classmethod
    def of(cls, path: str) -> SocketFile | None:
        """Return the socket file at `path`; None for anything else, or an abstract path."""
        try:
            found = os.lstat(path)
        except (OSError, ValueError):
            return None
        return cls(path, found.st_dev, found.st_ino) if stat.S_ISSOCK(found.st_mode) else None

    def remove(self) -> bool:
        """Remove the file unless it is another one by now. Tell whether it was removed."""
        with suppress(OSError):
            if SocketFile.of(self.path) == self:
                os.unlink(self.path)
                return True
        return False
