"""The least that Python can do: a loop of one page on `select.epoll`, and one on `selectors`.

What the kernel does not take at once is kept by descriptor, and until it is out nothing more is
read from that peer.
"""

from __future__ import annotations

import select
import selectors
import socket

from bench.servers import BACKLOG, HOST, tell

#: Bytes asked of one `recv`; more would make the allocator map memory for each of them.
READ_SIZE = 64 * 1024

READING = select.EPOLLIN
WRITING = select.EPOLLOUT


def serve(name: str, port: int) -> None:
    """Serve until killed."""
    listener = socket.create_server((HOST, port), backlog=BACKLOG)
    listener.setblocking(False)
    tell(listener.getsockname()[1])
    (on_epoll if name == "bare-epoll" else on_selectors)(listener)


def accept(listener: socket.socket) -> socket.socket:
    """Take one peer."""
    sock, _ = listener.accept()
    sock.setblocking(False)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def echo(sock: socket.socket, rest: bytes | None) -> bytes | None:
    """Read and send back, or send the rest; return what is left then, or None at the end."""
    try:
        data = rest or sock.recv(READ_SIZE)
    except BlockingIOError:
        return b""
    except OSError:
        return None
    if not data:
        return None
    try:
        return data[sock.send(data) :]
    except BlockingIOError:
        return data
    except OSError:
        return None


def on_epoll(listener: socket.socket) -> None:
    """Serve with `select.epoll`."""
    epoll = select.epoll()
    doorbell = listener.fileno()
    epoll.register(doorbell, READING)
    socks: dict[int, socket.socket] = {}
    rests: dict[int, bytes] = {}
    while True:
        for fd, _ in epoll.poll():
            if fd == doorbell:
                sock = accept(listener)
                socks[sock.fileno()] = sock
                epoll.register(sock.fileno(), READING)
                continue
            rest = echo(socks[fd], rests.get(fd) if rests else None)
            if rest is None:
                socks.pop(fd).close()
                rests.pop(fd, None)
            elif rest:
                if fd not in rests:
                    epoll.modify(fd, WRITING)
                rests[fd] = rest
            elif fd in rests:
                del rests[fd]
                epoll.modify(fd, READING)


def on_selectors(listener: socket.socket) -> None:
    """Serve with `selectors.DefaultSelector`, a peer's rest being its data."""
    selector = selectors.DefaultSelector()
    selector.register(listener, selectors.EVENT_READ)
    while True:
        for key, _ in selector.select():
            sock = key.fileobj
            assert isinstance(sock, socket.socket)
            if sock is listener:
                selector.register(accept(listener), selectors.EVENT_READ)
                continue
            rest = echo(sock, key.data)
            if rest is None:
                selector.unregister(sock)
                sock.close()
            elif rest:
                selector.modify(sock, selectors.EVENT_WRITE, rest)
            elif key.data is not None:
                selector.modify(sock, selectors.EVENT_READ)
