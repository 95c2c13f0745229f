"""report.html in a browser: its script runs, finds, sorts and escapes, and nothing is cut on a phone."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeAlias
from urllib.parse import quote

import pytest
import pytest_asyncio
from playwright.async_api import Page

from orchestrator.model.outcome import Outcome
from tests.support.browser import (
    DESKTOP,
    NARROW_PHONE,
    PHONE,
    PageOpener,
    assert_accessible,
    assert_no_overhang,
)
from tests.support.made_up_runs import (
    HOSTILE,
    FakeReportSource,
    build_control,
    build_pacing,
    build_run,
    build_target,
    make_hostile_run,
    make_up_run,
    render_report,
)

pytestmark = pytest.mark.asyncio(loop_scope="session")

OpenReport: TypeAlias = Callable[..., Awaitable[Page]]
"""Renders a source's report and opens it; an address may be added, and the options of ``PageOpener``."""

# Where the marks of the first chart of a pace stand, and in which colour.
MARKS = """() => {
  const marks = [...document.querySelectorAll(".pace svg :is(.bound, .sent, .flying, .refused)")];
  const within = (box, plot) => box.left >= plot.left - 1 && box.right <= plot.right + 1 &&
    box.top >= plot.top - 1 && box.bottom <= plot.bottom + 1;
  return marks.map((mark) => {
    const box = mark.getBoundingClientRect(), style = getComputedStyle(mark);
    const colour = style.fill === "none" ? style.stroke : style.fill;
    const plot = mark.closest(".canvas").getBoundingClientRect();
    return [mark.getAttribute("class"), colour, box.width, box.height, within(box, plot)];
  });
}"""
SOURCES = {
    "plausible": make_up_run(300, stopped=True),
    "few": make_up_run(6),
    "hostile": make_hostile_run(),
    "steered": FakeReportSource(
        (build_target(),), build_run(), controls=[build_control()], curves=[build_pacing()]
    ),
}


@pytest_asyncio.fixture(loop_scope="session")
async def open_report(tmp_path: Path, open_page: PageOpener) -> OpenReport:
    async def build(
        source: FakeReportSource, address: str = "", *, size: tuple[int, int] = DESKTOP, scheme: str = "light"
    ) -> Page:
        path = tmp_path / "report.html"
        path.write_text(render_report("html", source), encoding="utf-8")
        page = (await open_page(path.as_uri() + address, size=size, scheme=scheme)).page
        await page.wait_for_function("document.querySelector('.shown')?.textContent")
        return page

    return build


async def _list_shown(page: Page) -> list[str]:
    return await page.locator("tr.target button").all_text_contents()


async def test_the_targets_of_a_large_run_are_unpacked_and_listed_failures_first(
    open_report: OpenReport,
) -> None:
    source = make_up_run(10_000)
    order = [Outcome.FAILED, Outcome.UNKNOWN, Outcome.NOT_STARTED]
    wanted = [target.id for outcome in order for target in source.targets() if target.outcome is outcome]

    page = await open_report(source)
    await page.wait_for_selector("tr.target")

    assert await _list_shown(page) == wanted[:100]
    assert await page.text_content(".shown") == "10,000 targets"


async def test_an_address_can_name_a_search_an_outcome_and_an_order(open_report: OpenReport) -> None:
    source = make_up_run(300, stopped=True)
    wanted = [t for t in source.targets() if t.outcome is Outcome.NOT_STARTED and t.gateway == "apim"]

    page = await open_report(source, "#q=WINDOW%20apim&outcome=not_started&sort=-id")

    assert await _list_shown(page) == sorted((target.id for target in wanted), reverse=True)
    assert await page.text_content(".shown") == f"{len(wanted)} targets of 300"
    assert await page.get_attribute("th[aria-sort=descending] button", "data-sort") == "id"


async def test_one_target_is_shown_with_its_requests(open_report: OpenReport) -> None:
    source = make_up_run(300)
    target = max(source.targets(), key=lambda target: len(target.attempts))

    page = await open_report(source, f"#q={quote(target.id, safe='')}")

    assert await _list_shown(page) == [target.id]
    rows = page.locator("table.attempts tbody tr")
    acts = await rows.locator("td:nth-child(3)").all_text_contents()
    statuses = await rows.locator("td:nth-child(4)").all_text_contents()
    assert list(zip(acts, statuses, strict=True)) == [
        (attempt.act.value, str(attempt.status or "no reply")) for attempt in target.attempts
    ]


async def test_a_search_without_a_hit_says_so(open_report: OpenReport) -> None:
    page = await open_report(make_up_run(6), "#q=no-such-thing")

    assert await _list_shown(page) == []
    assert await page.text_content(".shown") == "No target matches."


async def test_hostile_texts_are_shown_and_do_nothing(open_report: OpenReport) -> None:
    page = await open_report(make_hostile_run())

    assert await page.locator("img").count() == 0
    assert await page.locator("script").count() == 1
    shown = await _list_shown(page)
    assert f"roma-eu/{HOSTILE[0]}" in shown
    assert "roma-eu/\\u202egnp.exe\\u202c" in shown


async def test_the_curves_of_a_pace_are_drawn_in_their_colours_and_inside_their_chart(
    open_report: OpenReport,
) -> None:
    page = await open_report(SOURCES["steered"])

    marks = await page.evaluate(MARKS)

    assert [mark[0] for mark in marks] == ["refused", "refused", "sent", "bound", "flying"]
    assert len({colour for _, colour, *_ in marks} - {"none", "rgb(0, 0, 0)"}) == 4
    assert all(width > 5 and height > 3 and inside for *_, width, height, inside in marks)


@pytest.mark.parametrize("name", SOURCES)
async def test_nothing_is_wider_than_a_phone(name: str, open_report: OpenReport) -> None:
    for size in (PHONE, NARROW_PHONE):
        page = await open_report(SOURCES[name], size=size)
        await assert_no_overhang(page)


@pytest.mark.long("axe judges eight pages")
@pytest.mark.parametrize("name", SOURCES)
async def test_axe_finds_nothing(name: str, open_report: OpenReport) -> None:
    for scheme in ("light", "dark"):
        page = await open_report(SOURCES[name], scheme=scheme)
        await assert_accessible(page)
