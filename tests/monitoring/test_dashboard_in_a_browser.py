"""The dashboard as a browser shows it: its script runs, and what a client chose stays text.

Needs Chromium, which is no Python package and too large to ask of everybody who runs the tests.
"""

from __future__ import annotations

import html
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from broker import Broker
from tests.support.raw_client import RawClient

NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
BROWSER = next(filter(None, map(shutil.which, NAMES)), None)

pytestmark = pytest.mark.skipif(BROWSER is None, reason=f"there is none of {', '.join(NAMES)} here")


def shown(url: str, folder: Path) -> str:
    """The page after five seconds of the browser's time, as markup."""
    command = [
        str(BROWSER),
        "--headless",
        "--no-sandbox",  # it sees nothing but the page of ours, and may be run as root
        "--disable-gpu",
        f"--user-data-dir={folder}",
        "--virtual-time-budget=5000",
        "--dump-dom",
        url,
    ]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout


def text_of(page: str, name: str) -> str:
    """The text of the element with this id, up to the end of its section."""
    (inside,) = re.findall(rf'id="{name}"[^>]*>(.*?)</section>', page, re.DOTALL)
    return html.unescape(re.sub(r"<[^>]+>", " ", inside))


def test_a_browser_shows_clients_subjects_and_flows_as_text(tmp_path: Path) -> None:
    with (
        Broker(port=0, http_port=0, server_name="board-1") as broker,
        RawClient(broker.port) as one,
    ):
        one.ask(b'CONNECT {"verbose":false,"name":"<img src=x onerror=oh()>"}\r\nSUB room.* 1\r\n')
        one.ask(b"PUB room.<b>7</b> 0\r\n\r\n")
        page = shown(f"http://127.0.0.1:{broker.http_port}/dashboard", tmp_path)
    assert "<title>board-1 · reactor-broker</title>" in page
    assert re.search(r'id="said"[^>]*>live<', page)
    assert "<img" not in page
    assert "<img src=x onerror=oh()>" in text_of(page, "connections")
    assert "room.*" in text_of(page, "flows")
    assert "None so far" in text_of(page, "slow")
    assert re.search(r"1\s+connections\s+1\s+subscriptions", text_of(page, "tiles"))
