"""A browser for all tests here, a visit for each, and clients of other kinds to talk with.

Whatever a page logs as an error fails its test, unless the test expected it and took it away.
"""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, expect

from tests.browser import chromium
from tests.browser.classroom import Background, background

#: Milliseconds for what takes a few of them: machines that test have much else to do.
PATIENCE = 15_000

expect.set_options(timeout=PATIENCE)


class Visit:
    """A page with what it did wrong and whom it asked."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.errors: list[str] = []
        self.hosts: set[str] = set()
        self.asked: list[str] = []
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", self._logged)
        page.on("request", self._requested)

    def forgive(self, part: str) -> None:
        """Of the errors, those with this in them were to be expected; there must be one."""
        left = [error for error in self.errors if part not in error]
        assert len(left) < len(self.errors), self.errors
        self.errors[:] = left

    def _logged(self, message: ConsoleMessage) -> None:
        # That a broker is away, as each is at the end of its test, is no mistake of the page's.
        gone = message.text.startswith("Failed to load resource: net::")
        if message.type in ("error", "warning") and not gone:
            self.errors.append(message.text)

    def _requested(self, request: Request) -> None:
        parts = urlsplit(request.url)
        if parts.scheme != "data":
            self.hosts.add(parts.netloc)
            self.asked.append(parts.path + (f"?{parts.query}" if parts.query else ""))


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    if chromium.find() is None:
        pytest.skip(chromium.MISSING)
    with chromium.launched() as browser:
        yield browser


@pytest.fixture
def visit(browser: Browser) -> Iterator[Visit]:
    width, height = chromium.WIDTHS["desk"]
    context = browser.new_context(viewport={"width": width, "height": height})
    context.set_default_timeout(PATIENCE)
    visit = Visit(context.new_page())
    yield visit
    context.close()
    assert [] == visit.errors


@pytest.fixture
def page(visit: Visit) -> Page:
    return visit.page


@pytest.fixture
def others() -> Iterator[Background]:
    """A thread in which coroutines run: nats-py's, who are on the other side."""
    with background() as thread:
        yield thread
