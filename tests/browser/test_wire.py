"""The console's protocol code, fed by hand: wherever its input is cut, the same is heard."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.resources import files
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

#: What a server says, and what is to be heard of it. `wire` is on a connection that never was.
CONVERSATION = (
    'INFO {"max_payload":9,"server_name":"x"}\r\n'
    "PONG\r\n"
    "MSG a.b 2 5\r\nhello\r\n"
    "PING\r\n"
    "MSG a.b 2 re.ply 14\r\nMSG a 2 1\r\nx\r\n\r\n"
    "MSG c 3 0\r\n\r\n"
    "HMSG h 2 19 21\r\nNATS/1.0\r\nX: \xe9\r\n\r\nhi\r\n"
    "HMSG h 2 to 12 12\r\nNATS/1.0\r\n\r\n\r\n"
    "+OK\r\n"
    "-ERR 'Some Violation'\r\n"
    "MSG last 2 1\r\n!\r\n"
).encode()

HEARD = [
    ["opened", "x"],
    ["message", 2, "a.b", "", "", "hello"],
    ["message", 2, "a.b", "re.ply", "", "MSG a 2 1\r\nx\r\n"],
    ["message", 3, "c", "", "", ""],
    ["message", 2, "h", "", "NATS/1.0\r\nX: é", "hi"],
    ["message", 2, "h", "to", "NATS/1.0", ""],
    ["error", "Some Violation"],
    ["message", 2, "last", "", "", "!"],
]

_FEED = """([data, all]) => all.map((cuts) => {
  const heard = [], sent = [], text = (bytes) => new TextDecoder().decode(bytes);
  const on = {
    opened: (info) => heard.push(["opened", info.server_name]),
    message: (sid, m) => heard.push(["message", sid, m.subject, m.reply, m.headers, text(m.data)]),
    error: (text) => heard.push(["error", text]),
    closed: () => heard.push(["closed"]),
  };
  const real = WebSocket;
  window.WebSocket = class { send(data) { sent.push(text(data)); } close() { } };
  const wire = new Wire("ws://nowhere", {}, 1e6, on);
  window.WebSocket = real;
  let from = 0;
  for (const to of [...cuts, data.length]) {
    wire.feed(new Uint8Array(data.slice(from, to)));
    from = to;
  }
  return [heard, sent, wire.have];
})"""


@pytest.fixture(scope="module")
def blank(browser: Browser) -> Iterator[Page]:
    """A page with the code and nothing else."""
    page = browser.new_page()
    page.add_script_tag(content=(files("broker") / "pages" / "wire.js").read_text("utf-8"))
    yield page
    page.close()


def feed(blank: Page, data: bytes, *cuts: list[int]) -> list[Any]:
    """What is heard, said, and left over; for each of the ways to cut."""
    found: list[Any] = blank.evaluate(_FEED, [list(data), cuts or [[]]])
    return found


def test_every_operation_is_heard(blank: Page) -> None:
    ((heard, sent, left),) = feed(blank, CONVERSATION)
    assert (HEARD, 0) == (heard, left)
    assert sent[0].startswith('CONNECT {"verbose":false')
    assert ["PONG\r\n"] == sent[1:]


def test_wherever_it_is_cut_the_same_is_heard(blank: Page) -> None:
    (whole,), every = feed(blank, CONVERSATION), list(range(1, len(CONVERSATION)))
    found = feed(blank, CONVERSATION, every, *([cut] for cut in every))
    assert [whole] * len(CONVERSATION) == found


def test_a_line_of_white_space_or_of_unknown_words_is_nothing(blank: Page) -> None:
    assert [[[], [], 0]] == feed(blank, b"\r\nWHAT is this\r\nMSG a\r\n \r\n")


@pytest.mark.parametrize(
    ("subject", "word", "literal"),
    [
        ("a", True, True),
        ("a.b", True, True),
        ("a.*", True, False),
        (">", True, False),
        ("a.b*", True, True),
        ("", False, False),
        ("a b", False, False),
        ("a\r\nPUB b 0", False, False),
        ("a..b", False, False),
        ("a\0", False, False),
    ],
)
def test_what_would_break_out_of_a_line_is_no_subject(
    blank: Page, subject: str, word: bool, literal: bool
) -> None:
    assert [word, literal] == blank.evaluate("s => [isWord(s), isLiteral(s)]", subject)
