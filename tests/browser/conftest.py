"""One browser for all tests of a session."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser

from tests.scenarios.conftest import platform, staged
from tests.support.browser import CHROMIUM, PageOpener, open_pages, start_browser

__all__ = ["platform", "staged"]


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    """The system's Chromium; without one the test is skipped."""
    if CHROMIUM is None:
        pytest.skip("chromium is not installed")
    async with start_browser() as running:
        yield running


@pytest_asyncio.fixture(loop_scope="session")
async def open_page(browser: Browser) -> AsyncIterator[PageOpener]:
    """Opens pages, and fails the test by each fault that the test did not expect of them."""
    async with open_pages(browser) as opener:
        yield opener
