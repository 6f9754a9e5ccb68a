"""A browser to test with: the Chromium of the machine, driven by Playwright.

Playwright would download a browser of its own; one that the distribution keeps up to date does as
well. Used by conftest.py and screenshots.py.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator

from playwright.sync_api import Browser, sync_playwright

__all__ = ["MISSING", "WIDTHS", "find", "launched"]

#: The first is the same browser without windows, and three times as fast to start and stop.
NAMES = ("chromium-headless-shell", "chromium", "google-chrome", "chromium-browser")

MISSING = f"no browser is on PATH, by none of these names: {', '.join(NAMES)}"

#: Of a window on a desk and of a phone: width and height.
WIDTHS = {"desk": (1180, 900), "phone": (390, 844)}

_FLAGS = [
    "--no-sandbox",  # it sees nothing but pages of ours, and may be run as root
    "--ignore-certificate-errors",  # of WebSockets too: Playwright's own switch is for pages only
]


def find() -> str | None:
    """Where the browser is."""
    return next(filter(None, map(shutil.which, NAMES)), None)


@contextlib.contextmanager
def launched() -> Iterator[Browser]:
    """The browser. No coroutine may be run in this thread meanwhile: Playwright does so."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find(), args=_FLAGS)
        yield browser
        browser.close()
