"""Handles: pause, resume, one-shot, ownership, what they say of themselves."""

from __future__ import annotations

import os
import socket

import pytest

from reactor import READ, WRITE, Reactor
from reactor.errors import ReactorClosedError, RegistrationError

Pair = tuple[socket.socket, socket.socket]


def test_a_paused_handle_is_not_called_and_loses_nothing(reactor: Reactor, pair: Pair) -> None:
    ours, peer = pair
    seen: list[bytes] = []
    handle = reactor.register(ours, READ, lambda ready: seen.append(ours.recv(9)))
    handle.pause()
    handle.pause()
    peer.send(b"late")
    reactor.run_once(0)
    assert (seen, handle.paused) == ([], True)
    handle.resume()
    handle.resume()
    reactor.run_once(0)
    assert (seen, handle.paused) == ([b"late"], False)


def test_a_paused_handle_that_is_modified_stays_paused(reactor: Reactor, pair: Pair) -> None:
    seen: list[int] = []
    handle = reactor.register(pair[0], READ, seen.append)
    handle.pause()
    handle.modify(WRITE)
    reactor.run_once(0)
    assert seen == []
    handle.resume()
    reactor.run_once(0)
    assert (seen, handle.interest) == ([WRITE], WRITE)


def test_a_one_shot_handle_is_called_once_until_it_is_resumed(reactor: Reactor, pair: Pair) -> None:
    seen: list[int] = []
    handle = reactor.register(pair[0], WRITE, seen.append, once=True)
    reactor.run_once(0)
    reactor.run_once(0)
    assert seen == [WRITE]
    handle.resume()
    reactor.run_once(0)
    assert seen == [WRITE, WRITE]


def test_a_one_shot_handle_may_resume_itself(reactor: Reactor, pair: Pair) -> None:
    handle = reactor.register(pair[0], WRITE, lambda ready: handle.resume(), once=True)
    reactor.run_once(0)
    reactor.run_once(0)
    assert handle.fired == 2


def test_a_closed_handle_cannot_be_changed(reactor: Reactor, pair: Pair) -> None:
    handle = reactor.register(pair[0], READ, print)
    handle.close()
    handle.close()
    with pytest.raises(ReactorClosedError, match="register anew"):
        handle.modify(WRITE)


def test_a_borrowed_descriptor_is_left_open(reactor: Reactor, pair: Pair) -> None:
    handle = reactor.register(pair[0], READ, print)
    handle.close()
    reactor.run_once(0)
    assert pair[0].fileno() >= 0


def test_an_owned_number_is_closed_at_the_turns_end(reactor: Reactor) -> None:
    read_end, write_end = os.pipe()
    handle = reactor.register(read_end, READ, print, owned=True)
    handle.close()
    os.fstat(read_end)
    reactor.run_once(0)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(read_end)
    os.close(write_end)


def test_a_descriptor_can_be_registered_again_after_its_handle_was_closed(
    reactor: Reactor, pair: Pair
) -> None:
    seen: list[int] = []
    for _ in range(3):
        handle = reactor.register(pair[0], WRITE, seen.append)
        reactor.run_once(0)
        handle.close()
    assert seen == [WRITE] * 3


def test_a_closed_object_is_refused(reactor: Reactor) -> None:
    sock = socket.socket()
    sock.close()
    with pytest.raises(RegistrationError, match="closed"):
        reactor.register(sock, READ, print)


def test_a_failed_registration_leaves_no_trace(reactor: Reactor, pair: Pair) -> None:
    before = reactor.stats().handles
    for _ in range(3):
        with pytest.raises(RegistrationError):
            reactor.register(9999, READ, print)
    assert reactor.stats().handles == before
    reactor.register(pair[0], READ, print)


def test_a_handle_describes_its_state(reactor: Reactor, pair: Pair) -> None:
    handle = reactor.register(pair[0], READ | WRITE, print, name="peer 7")
    number = handle.fd
    assert handle.describe() == f"handle 'peer 7' of descriptor {number} (READ|WRITE)"
    handle.pause()
    assert handle.describe() == f"handle 'peer 7' of descriptor {number} (paused)"
    handle.close()
    assert handle.describe() == f"handle 'peer 7' of descriptor {number} (closed)"
