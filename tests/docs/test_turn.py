"""docs/turn.md and its drawing against the loop, and against the tests that they name."""

from __future__ import annotations

import re
import socket
import xml.etree.ElementTree as ElementTree
from pathlib import Path

from reactor import READ, Reactor
from reactor.sources import Flusher
from reactor.trace import Instrument

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "turn.md").read_text()
TEXT = "{http://www.w3.org/2000/svg}text"


def drawn(pattern: str) -> list[str]:
    """Return what `pattern` finds in the texts of the drawing, from top to bottom."""
    texts = list(ElementTree.parse(ROOT / "docs" / "turn.svg").iter(TEXT))
    texts.sort(key=lambda text: float(text.get("y", "0")))
    found = (re.fullmatch(pattern, text.text or "") for text in texts)
    return [match[1] for match in found if match]


def turned(backend: str) -> list[str]:
    """Do one turn in which everything happens, and return what happened, in order."""
    order: list[str] = []

    class Phases(Instrument):
        def before_wait(self, timeout: float | None) -> None:
            order.append("wait")

    ours, peer = socket.socketpair()
    with ours, peer, Reactor(backend=backend) as reactor:

        def on_ready(_ready: int) -> None:
            order.append("ready handles")
            reactor.on_closing(order.append, "close")
            reactor.flush_later(Flusher(lambda: order.append("flush")))

        peer.send(b"x")
        reactor.set_instrument(Phases())
        reactor.flush_later(Flusher(lambda: order.append("flush")))
        reactor.call_from_signal(order.append, "signals")
        reactor.call_soon(order.append, "deferred calls")
        reactor.call_later(0, order.append, "due timers")
        reactor.register(ours, READ, on_ready)
        reactor.run_once(0)
    return order


def test_the_drawing_shows_what_a_turn_does(backend: str) -> None:
    steps = drawn(r"(flush|wait|collect|call|close)")
    batch = drawn(r"\d  (ready handles|due timers|deferred calls|signals)(?:,.*)?")
    assert ["flush", "wait", "collect", "call", "close", "flush"] == steps
    expected = ["flush", "wait", *batch, "close", "flush"]
    assert expected == turned(backend)


def test_the_table_has_the_steps_of_the_drawing() -> None:
    first_table = PAGE[: PAGE.index("## Why")]
    assert drawn(r"(flush|wait|collect|call|close)") == re.findall(
        r"^\| \*\*(\w+)\*\*", first_table, re.M
    )


def test_every_test_that_is_named_exists() -> None:
    files = (ROOT / "tests" / "reactor").glob("test_*.py")
    exist = {
        name for file in files for name in re.findall(r"^def (test_\w+)", file.read_text(), re.M)
    }
    assert set() == set(re.findall(r"`(test_\w+)`", PAGE)) - exist


def test_every_promise_of_the_order_is_on_the_page() -> None:
    promises = (ROOT / "tests" / "reactor" / "test_turn_order.py").read_text()
    named = set(re.findall(r"`(test_\w+)`", PAGE))
    counts = {"test_a_turn_says_how_much_it_called"}  # about a number, not about the order
    assert set() == set(re.findall(r"^def (test_\w+)", promises, re.M)) - named - counts
