"""A real browser that the system has, and pages that may do nothing which a test did not expect of them."""

from __future__ import annotations

import re
import shutil
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Literal
from urllib.parse import urlsplit

from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, ConsoleMessage, Page, Request, async_playwright

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = (
    "--no-sandbox",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost, EXCLUDE [::1]",
)
"""The last one keeps every page of the tests from all other machines."""

PHONE, NARROW_PHONE, DESKTOP, WALL = (390, 844), (320, 568), (1440, 900), (1920, 1080)
"""Sizes of windows, in CSS pixels."""

WIDE_TYPE = (
    "* { letter-spacing: .12em !important; word-spacing: .16em !important; line-height: 1.5 !important; }"
)
"""The spacing of text that a page must bear (WCAG 2.2, 1.4.12).

So spaced, a narrow font takes the room of a wide one: the tests judge alike whatever fonts a machine has.
"""

# A page's policy refuses style elements; it has no say about sheets that a script of the test adopts.
ADOPT = """(rules) => {
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(rules);
  document.adoptedStyleSheets = [sheet];
}"""

# The pixels by which an element sticks out of the window, unless a box of its own scrolls or cuts it.
OVERHANG = """() => {
  const room = document.documentElement.clientWidth;
  const held = (element) => {
    for (let box = element.parentElement; box && box !== document.body; box = box.parentElement)
      if (getComputedStyle(box).overflowX !== "visible") return true;
    return false;
  };
  const over = [...document.body.querySelectorAll("*")]
    .filter((element) => element.getBoundingClientRect().right > room + 1 && !held(element))
    .map((element) => `${element.tagName.toLowerCase()}.${element.getAttribute("class")}`);
  return { scrolls: document.documentElement.scrollWidth - room, over: over.slice(0, 8) };
}"""


class WatchedPage:
    """A page, and all that went wrong in it: errors, warnings, broken policies, requests to elsewhere.

    Chromium writes a violation of the Content-Security-Policy to the console.
    """

    def __init__(self, page: Page) -> None:
        self.page = page
        self.faults: list[str] = []
        self.requests: list[Request] = []
        self._expected: list[re.Pattern[str]] = []
        self._home = ""
        page.on("console", self._read_console)
        page.on("pageerror", lambda error: self._note(f"uncaught: {error}"))
        page.on("request", self._read_request)

    async def open(self, address: str) -> Page:
        """Go to ``address``; from now on only its own server may be asked for anything."""
        self._home = find_origin(address)
        await self.page.goto(address, wait_until="load")
        return self.page

    async def settle(self) -> None:
        """Return once all that has gone wrong so far is known here."""
        if not self.page.is_closed():
            await self.page.evaluate("new Promise((done) => setTimeout(done))")

    def expect(self, pattern: str) -> None:
        """Take faults in which ``pattern`` is found for what the test wanted, those before included."""
        self._expected.append(re.compile(pattern))
        self.faults = [fault for fault in self.faults if not re.search(pattern, fault)]

    def _read_console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning", "assert"):
            self._note(f"{message.type}: {message.text} {message.location.get('url', '')}")

    def _read_request(self, request: Request) -> None:
        self.requests.append(request)
        if find_origin(request.url) not in (self._home, "data:", "blob:", "about:"):
            self._note(f"asked elsewhere: {request.url}")

    def _note(self, fault: str) -> None:
        if not any(pattern.search(fault) for pattern in self._expected):
            self.faults.append(fault)


def find_origin(address: str) -> str:
    """Return scheme, host and port of an address; the scheme alone, with its colon, where it has no host."""
    parts = urlsplit(address)
    return f"{parts.scheme}://{parts.netloc}" if parts.netloc else f"{parts.scheme}:"


@asynccontextmanager
async def start_browser() -> AsyncIterator[Browser]:
    """Start the system's Chromium. Playwright is told where it is, so it downloads none."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        try:
            yield browser
        finally:
            await browser.close()


class PageOpener:
    """Opens watched pages, each with a profile of its own, for one test."""

    def __init__(self, browser: Browser, stack: AsyncExitStack) -> None:
        self.browser = browser
        self.watched: list[WatchedPage] = []
        self._stack = stack

    async def __call__(
        self,
        address: str,
        *,
        size: tuple[int, int] = DESKTOP,
        scheme: Literal["light", "dark"] = "light",
        **context: Any,
    ) -> WatchedPage:
        """Open ``address`` in a window of this ``size``; ``context`` goes to Playwright's ``new_context``."""
        width, height = size
        profile = await self.browser.new_context(
            viewport={"width": width, "height": height}, color_scheme=scheme, **context
        )
        self._stack.push_async_callback(profile.close)
        watched = WatchedPage(await profile.new_page())
        self.watched.append(watched)
        await watched.open(address)
        return watched

    async def close(self) -> None:
        """Close all pages, and judge them: what a page does once its server has gone is no fault of it."""
        await self.assert_no_faults()
        await self._stack.aclose()

    async def assert_no_faults(self) -> None:
        """Assert that no page did what its test did not expect."""
        for watched in self.watched:
            await watched.settle()
        faults = [fault for watched in self.watched for fault in watched.faults]
        assert not faults, "\n".join(faults)


@asynccontextmanager
async def open_pages(browser: Browser) -> AsyncIterator[PageOpener]:
    """Open pages for one test. They are closed, and judged, at its end."""
    async with AsyncExitStack() as stack:
        opener = PageOpener(browser, stack)
        yield opener
        await opener.close()


async def resize(page: Page, size: tuple[int, int]) -> None:
    """Give the window of a page another size."""
    width, height = size
    await page.set_viewport_size({"width": width, "height": height})


async def assert_accessible(page: Page) -> None:
    """Assert that axe finds nothing, with all of its rules."""
    results = await Axe().run(page)
    assert not results.violations_count, results.generate_report()


async def assert_no_overhang(page: Page) -> None:
    """Assert that the page cannot be scrolled sideways, and that nothing sticks out of it.

    The page is judged in its own type and in wide type.
    """
    for rules in (WIDE_TYPE, ""):
        await page.evaluate(ADOPT, rules)
        found = await page.evaluate(OVERHANG)
        assert found == {"scrolls": 0, "over": []}, (rules, found)
