"""A page with NATS's own JavaScript client is a client: from where it may come, and with whom it
talks.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import nats
import pytest
from nats.aio.msg import Msg
from playwright.sync_api import Page

from broker import Broker
from broker.blocks import WebsocketBlock
from tests.browser import npm
from tests.browser.classroom import Background
from tests.browser.conftest import Visit
from tests.support import tls_files

_SCRIPT = Path(__file__).with_name("client_page.js")
_PAGE = (
    b'<!DOCTYPE html><link rel="icon" href="data:,"><script type="module" src="/page.js"></script>'
)


@pytest.fixture(scope="module")
def origin() -> Iterator[str]:
    """Where the page comes from: a web server that is not the broker."""
    contents = {
        "/": ("text/html", _PAGE),
        "/page.js": ("text/javascript", _SCRIPT.read_bytes()),
        "/nats-core.js": ("text/javascript", npm.client()),
    }

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            kind, body = contents[self.path]
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *words: object) -> None:
            """Not to the test's output."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


@pytest.fixture
def page(visit: Visit, origin: str) -> Page:
    visit.page.goto(origin)
    return visit.page


def does(page: Page, name: str, *arguments: object) -> Any:
    """Have the page do something, and wait for what came of it."""
    return page.evaluate("([name, all]) => window.does[name](...all)", [name, list(arguments)])


def encrypted(folder: Path, **fields: Any) -> WebsocketBlock:
    """A door whose certificate the browser was told to accept."""
    return WebsocketBlock(port=0, tls=tls_files.block(folder), **fields)


@pytest.mark.parametrize("compression", [False, True])
@pytest.mark.parametrize("scheme", ["ws", "wss"])
def test_a_page_subscribes_publishes_and_requests(
    page: Page, origin: str, tmp_path: Path, scheme: str, compression: bool
) -> None:
    settings: dict[str, Any] = {"compression": compression, "allowed_origins": (origin,)}
    plain = WebsocketBlock(port=0, no_tls=True, **settings)
    block = plain if scheme == "ws" else encrypted(tmp_path, **settings)
    with Broker(port=0, websocket=block) as broker:
        assert broker.ws_url.startswith(f"{scheme}://")
        assert ["one", "老师", True, "HELLO"] == does(page, "alone", broker.ws_url)
        (record,) = broker.connections(closed=True)
    assert ("websocket", "nats.ws", "Client Closed") == (record.type, record.lang, record.reason)


@pytest.mark.parametrize("scheme", ["ws", "wss"])
def test_a_page_and_a_program_behind_tcp_talk_with_each_other(
    page: Page, others: Background, tmp_path: Path, scheme: str
) -> None:
    async def outside(url: str) -> list[bytes]:
        async def answer(message: Msg) -> None:
            heard.append(message.data)
            await message.respond(b"from outside")

        heard: list[bytes] = []
        client = await nats.connect(url)
        ready = await client.subscribe("page.ready")
        done = await client.subscribe("page.done")
        await client.subscribe("outside.question", cb=answer)
        await client.flush()
        listening.set()
        await ready.next_msg(timeout=15)
        reply = await client.request(
            "page.question", b"who are you?", timeout=15, headers={"from": "Python"}
        )
        heard += [reply.data, (await done.next_msg(timeout=15)).data]
        await client.close()
        return heard

    listening = threading.Event()
    block = WebsocketBlock(port=0, no_tls=True) if scheme == "ws" else encrypted(tmp_path)
    with Broker(port=0, websocket=block) as broker:
        program = others.start(outside(broker.url))
        assert listening.wait(15)
        seen = does(page, "together", broker.ws_url)
        assert ["who are you?", "Python", "from outside"] == seen
        assert sorted([b"and you?", b"from the page", b"thanks"]) == sorted(program.result(15))


def test_a_page_from_elsewhere_is_refused(visit: Visit, origin: str, page: Page) -> None:
    foreign = WebsocketBlock(port=0, no_tls=True, allowed_origins=("https://school.example",))
    with Broker(port=0, websocket=foreign) as broker:
        assert does(page, "knock", broker.ws_url).startswith("out")
        assert [] == broker.connections(closed=True)
    visit.forgive("Unexpected response code: 403")
    strict = WebsocketBlock(port=0, no_tls=True, same_origin=True)
    with Broker(port=0, websocket=strict) as broker:  # another port is another origin
        assert does(page, "knock", broker.ws_url).startswith("out")
    visit.forgive("Unexpected response code: 403")
    listed = WebsocketBlock(port=0, no_tls=True, allowed_origins=("https://a.example", origin))
    with Broker(port=0, websocket=listed) as broker:
        assert "in" == does(page, "knock", broker.ws_url)


def test_a_cookie_or_a_token_lets_a_page_in_and_nothing_else(page: Page) -> None:
    block = WebsocketBlock(port=0, no_tls=True, token_cookie="pass")
    with Broker(port=0, token="secret", websocket=block) as broker:
        assert "out: AuthorizationError" == does(page, "knock", broker.ws_url)
        assert "in" == does(page, "knock", broker.ws_url, {"token": "secret"})
        page.evaluate("document.cookie = 'pass=secret'")
        assert "in" == does(page, "knock", broker.ws_url)
