"""The pictures of the dashboard in the documentation, made anew:

    python -m tests.browser.screenshots [--seconds 180] [--folder docs/img]

A class talks for as long as the plot is wide, so it takes three minutes. Needs what the tests here
need, and Pillow (which comes with the extra ``bench``) to make the pictures small.
"""

from __future__ import annotations

import argparse
import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, Page, expect

from broker import Broker
from broker.blocks import WebsocketBlock
from tests.browser import chromium
from tests.browser.classroom import lesson
from tests.support.raw_client import RawClient

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "img"

#: Colours in a picture: enough for the edges of letters, and a third of the bytes.
COLOURS = 200

_MEGABYTE = b"PUB class7.film 1000000\r\n" + b"x" * 1_000_000 + b"\r\n"


def main() -> None:
    parser = argparse.ArgumentParser(description="Make the pictures of the dashboard.")
    parser.add_argument("--seconds", type=float, default=180.0, help="how long the class talks")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where the pictures go")
    given = parser.parse_args()
    door = WebsocketBlock(port=0, no_tls=True)
    with (
        Broker(
            port=0,
            http_port=0,
            websocket=door,
            server_name="school-1",
            max_pending=40_000_000,
            write_deadline=1000.0,  # whoever is behind shall stay so
        ) as broker,
        lesson(broker.url),
        _sluggards(broker.port),
        chromium.launched() as browser,
    ):
        take(browser, f"http://127.0.0.1:{broker.http_port}/dashboard", given)


def take(browser: Browser, url: str, given: argparse.Namespace) -> None:
    """Open the page, wait, and take all pictures."""
    desk, phone = chromium.WIDTHS["desk"], chromium.WIDTHS["phone"]
    page = _open(browser, url, desk)
    small = _open(browser, url, phone, scale=2)
    page.wait_for_timeout(1000 * given.seconds)
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        _keep([_shot(page, full_page=True)], given.folder / f"dashboard-{scheme}.png")
    page.emulate_media(color_scheme="light")
    _use_console(page)
    _keep([_shot(page)], given.folder / "dashboard-console.png")
    overview = _shot(small)
    small.emulate_media(color_scheme="dark")
    _use_console(small)
    small.locator("section[aria-labelledby=h-send]").evaluate("card => card.scrollIntoView()")
    _keep([overview, _shot(small)], given.folder / "dashboard-phone.png")


def _open(browser: Browser, url: str, size: tuple[int, int], scale: int = 1) -> Page:
    width, height = size
    context = browser.new_context(
        viewport={"width": width, "height": height}, device_scale_factor=scale
    )
    page = context.new_page()
    page.goto(url)
    expect(page.locator("#said")).to_have_text("live")
    return page


def _use_console(page: Page) -> None:
    page.get_by_role("tab", name="Console").click()
    for subject in ("*.student.heartbeat", "class7.hands"):
        page.fill("#s-subject", subject)
        page.keyboard.press("Enter")
    expect(page.locator("#log li").nth(6)).to_be_visible()
    page.fill("#p-subject", "class7.state")
    page.fill("#payload", "which page are we on?")
    page.get_by_role("button", name="Request").click()
    expect(page.locator("#log li", has_text="answer after")).to_be_visible()
    heard = page.locator("#log li").count()
    expect(page.locator("#log li").nth(heard + 3)).to_be_visible()
    page.get_by_role("button", name="Hold").click()


@contextmanager
def _sluggards(port: int) -> Iterator[None]:
    """Two clients that do not read: one was cut off, the other is behind."""
    with RawClient(port) as film, RawClient(port) as old, RawClient(port) as slow:
        film.ask(b'CONNECT {"verbose":false,"name":"projector"}\r\n')
        for client, name, pieces in ((old, "old tablet", 60), (slow, "tablet 4", 24)):
            connect = b'CONNECT {"verbose":false,"name":"%b"}\r\n' % name.encode()
            client.ask(connect + b"SUB class7.film 1\r\n")
            film.ask(_MEGABYTE * pieces)
        yield


def _shot(page: Page, *, full_page: bool = False) -> Image.Image:
    return Image.open(io.BytesIO(page.screenshot(full_page=full_page)))


def _keep(pictures: list[Image.Image], path: Path) -> None:
    """Side by side in one file."""
    gap = 40
    width = sum(picture.width for picture in pictures) + gap * (len(pictures) - 1)
    whole = Image.new("RGB", (width, max(picture.height for picture in pictures)), "white")
    left = 0
    for picture in pictures:
        whole.paste(picture, (left, 0))
        left += picture.width + gap
    whole.quantize(COLOURS, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE).save(
        path, optimize=True
    )
    print(f"{path}: {path.stat().st_size // 1000} kB")


if __name__ == "__main__":
    main()
