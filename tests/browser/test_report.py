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
    resize,
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
from tests.support.names import NAMES

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.long("opens pages in a browser; a few tests of the live page stay quick"),
]

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
# The labels of each chart, in pairs that cover each other.
COVERED = """() => {
  const found = [];
  for (const canvas of document.querySelectorAll(".canvas")) {
    for (const kind of ["tick", "flag"]) {
      const labels = [...canvas.querySelectorAll(`.${kind}`)];
      for (const [index, label] of labels.slice(1).entries()) {
        const [before, after] = [labels[index], label].map((each) => each.getBoundingClientRect());
        if (after.left < before.right) found.push([labels[index].textContent, label.textContent]);
      }
    }
  }
  return found;
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
        await page.wait_for_selector(".shown:not(:empty)")
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


async def test_the_table_of_gateways_fits_a_window_of_1200_pixels(open_report: OpenReport) -> None:
    page = await open_report(SOURCES["plausible"], size=(1200, 900))
    table = "document.querySelector('[aria-label^=Gateways]')"

    assert await page.evaluate(f"{table}.scrollWidth - {table}.clientWidth") <= 0


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


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("odeme", {"Turkish", "accents apart"}),
        ("\u0130\u015eLEM", {"Turkish"}),
        ("i\u015flem igu", {"Turkish"}),
        ("stra\u1e9een", {"German"}),
        ("网关", {"Chinese", "long Chinese"}),
        ("\U00020bb7", {"rare Chinese"}),
    ],
)
async def test_a_search_goes_neither_by_case_nor_by_accents(
    open_report: OpenReport, text: str, names: set[str]
) -> None:
    targets = tuple(build_target(f"apim/{each}/api/test", gateway="apim") for each in NAMES.values())

    page = await open_report(FakeReportSource(targets, build_run()), f"#q={quote(text)}")

    assert set(await _list_shown(page)) == {f"apim/{NAMES[name]}/api/test" for name in names}


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


@pytest.mark.long("a browser breaks a line of a megabyte")
async def test_an_id_and_a_reason_of_a_megabyte_are_shown_and_cut_nothing_else(
    open_report: OpenReport,
) -> None:
    huge = build_target(f"roma-eu/{'x' * 1_000_000}", Outcome.FAILED, f"refused: {'y' * 1_000_000}")

    page = await open_report(FakeReportSource((huge, build_target()), build_run()), size=PHONE)

    assert [len(text) for text in await _list_shown(page)] == [1_000_008, 40]
    await assert_no_overhang(page)


async def test_the_curves_of_a_pace_are_drawn_in_their_colours_and_inside_their_chart(
    open_report: OpenReport,
) -> None:
    page = await open_report(SOURCES["steered"])

    marks = await page.evaluate(MARKS)

    assert [mark[0] for mark in marks] == ["refused", "refused", "sent", "bound", "flying"]
    assert len({colour for _, colour, *_ in marks} - {"none", "rgb(0, 0, 0)"}) == 4
    assert all(width > 5 and height > 3 and inside for *_, width, height, inside in marks)


async def test_paper_shows_the_failures_and_not_the_list_for_the_screen(open_report: OpenReport) -> None:
    source = make_up_run(3_000)

    page = await open_report(source)
    assert not await page.is_visible(".standing")
    await page.emulate_media(media="print")

    assert not await page.is_visible(".target-table")
    outcomes = await page.locator(".standing .outcome").all_text_contents()
    assert outcomes[0] == "failed"
    assert set(outcomes) == {"failed", "unknown", "not started"}
    assert len(outcomes) == min(200, sum(1 for _ in source.trouble()))


async def test_without_script_the_page_tells_the_verdict_the_causes_the_charts_and_the_failures(
    tmp_path: Path, open_page: PageOpener
) -> None:
    path = tmp_path / "report.html"
    path.write_text(render_report("html", make_up_run(3_000)), encoding="utf-8")

    page = (await open_page(path.as_uri(), java_script_enabled=False)).page

    for part in ("h1", ".state", ".cause", ".canvas", ".standing tbody tr"):
        assert await page.locator(part).first.is_visible()
    await page.close()  # without script it has no console to be read to its end


async def test_a_browser_that_cannot_unpack_says_so_and_shows_the_failures(
    tmp_path: Path, open_page: PageOpener
) -> None:
    path = tmp_path / "report.html"
    path.write_text(render_report("html", make_up_run(3_000)), encoding="utf-8")
    watched = await open_page("about:blank")
    await watched.page.add_init_script("delete window.DecompressionStream")

    page = await watched.open(path.as_uri())

    await page.wait_for_selector("#unpacking:not([hidden])")
    assert "report.csv has all of them" in (await page.text_content("#unpacking") or "")
    assert await page.locator(".standing tbody tr").first.is_visible()


async def test_the_list_is_used_by_keyboard_alone(open_report: OpenReport) -> None:
    page = await open_report(make_up_run(300))

    await page.keyboard.press("Tab")
    assert await page.evaluate("document.activeElement.className") == "skip-link"
    await page.keyboard.press("Enter")
    assert await page.evaluate("document.activeElement.id") == "search"
    await page.keyboard.type("APIG.3084")
    await page.wait_for_selector(".shown:text('of 300')")
    await page.locator("tr.target button").first.focus()
    await page.keyboard.press("ArrowDown")
    await page.keyboard.press("Enter")

    second = page.locator("tr.target").nth(1)
    assert await second.locator("button").get_attribute("aria-expanded") == "true"
    assert await page.locator("table.attempts").count() == 1
    await page.keyboard.press("ArrowUp")
    await page.keyboard.press("Enter")
    assert await page.locator("table.attempts").count() == 2


@pytest.mark.long("makes up 100,000 targets")
async def test_a_hundred_thousand_targets_are_scrolled_through_in_few_rows(open_report: OpenReport) -> None:
    page = await open_report(make_up_run(100_000))

    for _ in range(12):
        await page.evaluate("scrollTo(0, document.documentElement.scrollHeight)")
        await page.wait_for_timeout(60)
    seen = await page.locator("tbody").count()
    first = await page.evaluate("document.querySelector('.targets tbody').getBoundingClientRect().height")
    await page.evaluate("document.getElementById('targets').scrollIntoView()")
    await page.wait_for_timeout(100)

    assert seen > 8
    assert await page.locator("tr.target").count() <= 600
    assert (
        await page.evaluate("document.querySelector('.targets tbody').getBoundingClientRect().height")
        == first
    )
    assert await page.text_content(".shown") == "100,000 targets"


@pytest.mark.long("opens four pages")
@pytest.mark.parametrize("name", SOURCES)
async def test_nothing_is_wider_than_a_phone_and_no_label_of_a_chart_covers_another_one(
    name: str, open_report: OpenReport
) -> None:
    page = await open_report(SOURCES[name], size=PHONE)
    await assert_no_overhang(page)
    await resize(page, NARROW_PHONE)
    await assert_no_overhang(page)

    assert await page.locator(".tick").count()
    assert await page.evaluate(COVERED) == []


@pytest.mark.long("axe judges four pages, each in light and dark")
@pytest.mark.parametrize("name", SOURCES)
async def test_axe_finds_nothing(name: str, open_report: OpenReport) -> None:
    page = await open_report(SOURCES[name], scheme="light")
    await assert_accessible(page)
    await page.emulate_media(color_scheme="dark")
    await assert_accessible(page)
