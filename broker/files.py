"""The files by which others find a running broker: its process id, and where it listens.

The idea: both are for machines. A pid file is read by init scripts and by ``--signal``; a ports
file by launchers that let the kernel choose the ports. Neither reader should meet half a file, so
each is written beside its place and then moved there, which is one step to whoever looks.

Both go when the program goes. nats-server leaves its pid file behind; we remove ours, so that
nobody sends a signal to a number that has another owner by then, and only while it still holds our
number: another broker may have been started with the same path since.

The ports file is called ``nats-server_PID.ports`` in spite of our own name, and holds what
nats-server's does, because launchers look for exactly that.

Neighbours: `broker.__main__` writes at the start and at a reload, and removes at the end. Any
thread; each call costs a few system calls.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import struct
from collections.abc import Callable, Mapping, Sequence

__all__ = ["local_addresses", "remove_pid", "remove_ports", "write_pid", "write_ports"]


def write_pid(path: str, pid: int | None = None) -> None:
    """Write a process id (ours unless it is given), in decimal and without a line's end.

    Raises:
        OSError: it cannot be written; the text begins as nats-server's does.
    """
    number = os.getpid() if pid is None else pid
    _place(path, str(number), "Could not write pidfile")


def remove_pid(path: str, pid: int | None = None) -> None:
    """Remove what `write_pid` wrote; a file that holds another number, or none, stays."""
    number = os.getpid() if pid is None else pid
    with contextlib.suppress(OSError, ValueError):
        with open(path, encoding="ascii") as file:
            ours = int(file.read(32)) == number
        if ours:
            os.unlink(path)


def write_ports(folder: str, pid: int, ports: Mapping[str, Sequence[str]]) -> str:
    """Write where the broker listens, as lists of URLs by kind; return the file's path.

    The kinds are nats-server's (``nats``, ``monitoring``, ``websocket``); empty ones are left out.

    Raises:
        OSError: it cannot be written; the text begins as nats-server's does.
    """
    path = os.path.join(folder, f"nats-server_{pid}.ports")
    listed = {kind: list(urls) for kind, urls in ports.items() if urls}
    _place(path, json.dumps(listed, separators=(",", ":")), f"Error writing ports file ({path})")
    return path


def remove_ports(path: str, complain: Callable[[str], object]) -> None:
    """Remove what `write_ports` wrote; if that fails, say so through ``complain``."""
    try:
        os.unlink(path)
    except OSError as error:
        complain(f"Error cleaning up ports file {path}: {error}")


def _place(path: str, text: str, trouble: str) -> None:
    """Write a file in such a way that it is there as a whole or not at all."""
    # A device or a pipe is written to as it is: nothing may take its place.
    special = os.path.exists(path) and not os.path.isfile(path)
    written = path if special else f"{path}.{os.getpid()}.new"
    try:
        with open(written, "w", encoding="utf-8") as file:
            file.write(text)
        if not special:
            os.replace(written, os.path.realpath(path))
    except OSError as error:
        if not special:
            with contextlib.suppress(OSError):
                os.unlink(written)
        explained = type(error)(f"{trouble}: {error.strerror}: {path}")
        explained.errno = error.errno
        raise explained from error


#: Linux's number for the question which IPv4 address an interface has; see netdevice(7).
_SIOCGIFADDR = 0x8915


def local_addresses(host: str) -> list[str]:
    """The addresses at which a listener on ``host`` can be reached from here.

    That is itself, unless it is a wildcard: then one of each interface, this machine's own first.
    """
    if host == "::":
        return ["::1"]
    if host not in ("", "0.0.0.0"):
        return [host]
    found = ["127.0.0.1"]
    with contextlib.suppress(ImportError, OSError):
        found += [address for address in _interfaces() if address not in found]
    return found


def _interfaces() -> list[str]:
    import fcntl

    addresses = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        for _, name in socket.if_nameindex():
            question = struct.pack("256s", name.encode()[:15])
            with contextlib.suppress(OSError):  # it has none
                answer = fcntl.ioctl(sock.fileno(), _SIOCGIFADDR, question)
                addresses.append(socket.inet_ntoa(answer[20:24]))
    return addresses
