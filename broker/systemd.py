"""Telling systemd how we are: a service of ``Type=notify`` is up when it says so itself.

The idea: there is no library to it. systemd names a datagram socket in ``NOTIFY_SOCKET``, and each
message is a few lines ``NAME=value``. Where nobody set the name, as in a shell, nothing happens.

A broker sends ``READY=1`` when it listens, ``RELOADING=1`` and again ``READY=1`` around a reload,
and ``STOPPING=1`` when it begins to end.

Source: sd_notify(3), whose protocol is this. Neighbours: `broker.__main__` calls. Any thread; one
datagram, which does not block.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping

__all__ = ["notify", "reloading"]


def notify(state: str, environ: Mapping[str, str] = os.environ) -> bool:
    """Send one or more lines ``NAME=value``. Returns whether there was somebody to send them to.

    Never raises: a service manager that does not listen is no reason for a broker to stop.
    """
    address = environ.get("NOTIFY_SOCKET", "")
    if address[:1] not in ("/", "@"):
        return False
    if address.startswith("@"):  # a name without a file, which the kernel spells with a zero byte
        address = "\0" + address[1:]
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.setblocking(False)
            sock.sendto(state.encode(), address)
    except OSError:
        return False
    return True


def reloading() -> str:
    """The message that a reload begins. systemd wants to know when, on the monotonic clock."""
    return f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}"
