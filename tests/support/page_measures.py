"""What a page costs a browser, and how it looks without colours."""

from __future__ import annotations

import base64
import gzip
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import combinations
from typing import Any, NamedTuple

from playwright.async_api import CDPSession, Page

from tests.support.browser import WatchedPage

# Luminance of a picture's pixels (WCAG 2): the mean, and the standard deviation, which a pattern raises.
LUMINANCE = """async (picture) => {
  const image = await createImageBitmap(await (await fetch(picture)).blob());
  const canvas = new OffscreenCanvas(image.width, image.height).getContext("2d");
  canvas.drawImage(image, 0, 0);
  const { data } = canvas.getImageData(0, 0, image.width, image.height);
  const linear = (part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
  const found = [];
  for (let at = 0; at < data.length; at += 4) found.push(linear(data[at] / 255));
  const mean = found.reduce((sum, each) => sum + each, 0) / found.length;
  return [mean, Math.sqrt(found.reduce((sum, each) => sum + (each - mean) ** 2, 0) / found.length)];
}"""

FIRST_PAINT = """() => new Promise((done) => new PerformanceObserver((list) => {
  const [paint] = list.getEntriesByName("first-contentful-paint");
  if (paint) done(paint.startTime);
}).observe({ type: "paint", buffered: true }))"""


class GreyLook(NamedTuple):
    """A patch of a page without its colours."""

    luminance: float
    """The mean, from 0 for black to 1 for white."""
    pattern: float
    """How far its pixels differ: their standard deviation."""

    @property
    def texture(self) -> float:
        """The pattern against the light of the patch: about a fifth is plain to see, 0 is one even grey."""
        return self.pattern / (self.luminance + 0.05)

    def differs(self, other: GreyLook, ratio: float) -> bool:
        """Return whether the two differ by contrast, or one by a pattern that the other has not."""
        light, dark = sorted((self.luminance + 0.05, other.luminance + 0.05), reverse=True)
        return light / dark >= ratio or abs(self.texture - other.texture) >= 0.2


async def look_in_grey(page: Page, selectors: dict[str, str]) -> dict[str, GreyLook]:
    """Return how the first element of each selector looks without colours, its edge left out."""
    await page.evaluate("document.documentElement.style.filter = 'grayscale(1)'")
    reader = await page.context.new_page()
    looks = {}
    for name, selector in selectors.items():
        box = await page.locator(selector).first.bounding_box()
        assert box is not None, f"{selector} is not shown"
        inside = {
            "x": box["x"] + 1,
            "y": box["y"] + 1,
            "width": box["width"] - 2,
            "height": box["height"] - 2,
        }
        picture = base64.b64encode(await page.screenshot(clip=inside, full_page=True)).decode()  # type: ignore[arg-type]
        looks[name] = GreyLook(*await reader.evaluate(LUMINANCE, f"data:image/png;base64,{picture}"))
    await reader.close()
    return looks


def find_alike(looks: dict[str, GreyLook], ratio: float = 1.5) -> list[tuple[str, str]]:
    """Return the pairs that cannot be told apart in grey."""
    return [
        (one, other)
        for (one, first), (other, second) in combinations(looks.items(), 2)
        if not first.differs(second, ratio)
    ]


async def weigh(watched: WatchedPage) -> int:
    """Return the bytes, gzipped, of all files that the page has loaded; its data and its stream left out."""
    files = [
        each
        for each in watched.requests
        if each.resource_type in ("document", "script", "stylesheet", "image")
    ]
    bodies = [await (await request.response()).body() for request in files]  # type: ignore[union-attr]
    return sum(len(gzip.compress(body, 9)) for body in bodies)


class BrowserMeter:
    """Chromium's own counters of one page."""

    def __init__(self, session: CDPSession) -> None:
        self._session = session

    async def read(self) -> dict[str, float]:
        """Return the counters; durations are seconds of the thread's processor time."""
        found: dict[str, Any] = await self._session.send("Performance.getMetrics")
        return {metric["name"]: metric["value"] for metric in found["metrics"]}

    async def measure_heap(self) -> float:
        """Return the bytes that scripts hold, after a collection of what they do not."""
        await self._session.send("HeapProfiler.collectGarbage")
        return (await self.read())["JSHeapUsedSize"]


@asynccontextmanager
async def metered(page: Page) -> AsyncIterator[BrowserMeter]:
    """Count for a while what a page costs."""
    session = await page.context.new_cdp_session(page)
    await session.send("Performance.enable", {"timeDomain": "threadTicks"})
    try:
        yield BrowserMeter(session)
    finally:
        await session.detach()


async def measure_first_paint(page: Page) -> float:
    """Return the milliseconds from the start of the navigation to the first content on the screen."""
    found: float = await page.evaluate(FIRST_PAINT)
    return found
