"""The examples that run to their end: what they say is what they are meant to show."""

from __future__ import annotations

import re
import socket

import pytest

from reactor.demux import available
from tests.examples.display import display
from tests.examples.program import LIMIT, Program

__all__ = ["display"]


def finish(name: str, *arguments: str) -> list[str]:
    with Program(name, *arguments) as program:
        return program.finish()


def test_the_timers_fire_in_the_order_of_their_deadlines() -> None:
    lines = finish("timers")

    assert "soon" == lines[-1]
    assert "stopping" == lines[-2]
    assert "once, between the second tick and the third" in lines
    assert [] == [line for line in lines if line.startswith("never")]


def test_a_reactor_serves_inside_an_asyncio_program() -> None:
    assert "hello from asyncio" == finish("in_asyncio")[0]


@pytest.mark.parametrize("name", available())
def test_asyncio_runs_on_a_demultiplexer_of_ours(name: str) -> None:
    assert [f"hello, asyncio on {name}"] == finish("on_asyncio", name)


def test_an_hour_passes_and_the_cut_line_is_noticed() -> None:
    assert [
        "after 3600 s: 359 beats, lost at None",
        "after 3660 s: 360 beats, lost at 3630.05",
    ] == finish("virtual_time")


def test_a_broker_serves_inside_the_process() -> None:
    lines = finish("in_process_broker")

    assert re.fullmatch(r"serving at nats://127\.0\.0\.1:\d+", lines[0])
    assert ["< MSG greet.world 1 5", "< hello", "< PONG"] == lines[-3:]


@pytest.mark.parametrize("name", available())
def test_twisted_runs_on_a_reactor_of_ours(name: str) -> None:
    pytest.importorskip("twisted", reason="this example adapts to Twisted, which is not installed")

    assert [f"hello, Twisted on {name}"] == finish("twisted_reactor", name)


def test_a_tk_window_shows_what_it_is_sent(display: str) -> None:
    with Program("in_tk", DISPLAY=display) as window:
        with socket.create_connection(("127.0.0.1", window.port()), timeout=LIMIT) as peer:
            lines = peer.makefile("rb")
            peer.sendall(b"hello\n")
            assert b"shown: hello\n" == lines.readline()
            peer.sendall(b"quit\n")
            assert b"shown: quit\n" == lines.readline()
        window.finish()
