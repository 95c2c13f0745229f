"""The live page before made-up states: it loads, follows, filters, steers, and everybody can read it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from typing import Any, NamedTuple

import msgspec
import pytest
import pytest_asyncio
from playwright.async_api import Page, Route, expect

from orchestrator.display.progress import RunProgress
from orchestrator.display.status import read_status
from tests.support.browser import (
    DESKTOP,
    NARROW_PHONE,
    PHONE,
    WALL,
    PageOpener,
    WatchedPage,
    assert_accessible,
    assert_no_overhang,
    resize,
)
from tests.support.made_up_server import TOKEN, MadeUpServer
from tests.support.made_up_status import HOSTILE, NOW, OFFSET, STATES, make_status
from tests.support.page_measures import (
    find_alike,
    look_in_grey,
    measure_first_paint,
    metered,
    weigh,
)

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.long("drives a browser")]

long = pytest.mark.long("a page takes a second on a busy machine")
LOW_WALL = (1280, 720)
CUT_CARDS = """[...document.querySelectorAll(".gateway, .wave")]
  .filter((card) => card.checkVisibility() && card.getBoundingClientRect().bottom > innerHeight)
  .map((card) => card.id)"""
SHOWN = "body:not(.waits-for-first)"
SLACK = 3.0
"""How many times the budgets of time may be passed on a machine that runs other tests at the same time."""


class LivePage(NamedTuple):
    """A page, and the server that it looks at."""

    server: MadeUpServer
    watched: WatchedPage

    @property
    def page(self) -> Page:
        return self.watched.page


OpenLivePage = Callable[..., Awaitable[LivePage]]
"""Serves a made-up state and opens its page; ``link`` is the address behind the slash."""


@pytest_asyncio.fixture(loop_scope="session")
async def open_live(open_page: PageOpener) -> AsyncIterator[OpenLivePage]:
    async with AsyncExitStack() as stack:

        async def build(state: str = "running", link: str = "", **options: Any) -> LivePage:
            server = MadeUpServer(make_status(state))
            address = await server.start()
            stack.push_async_callback(server.stop)
            watched = await open_page(address + link, **options)
            await watched.page.wait_for_selector(SHOWN)
            return LivePage(server, watched)

        yield build
        await open_page.close()


async def test_the_page_shows_the_state_and_follows_it(open_live: OpenLivePage) -> None:
    live = await open_live("running")

    await expect(live.page.locator("#headline")).to_have_text("412 of 3,000 down · 9 failed · 2 unknown")
    await expect(live.page.locator("#done-by")).to_have_text("done by 06:42")
    live.server.show(make_status("failed"))
    await expect(live.page.locator("#headline")).to_have_text(
        "4 of 24 down · 14 failed · 2 unknown · 4 not started"
    )
    await expect(live.page.locator("#ended-title")).to_have_text("The run was stopped")
    await expect(live.page).to_have_title(
        "4 of 24 down · 14 failed · 2 unknown · 4 not started – stopped – orders-retirement"  # noqa: RUF001
    )


@long
async def test_after_a_gap_the_page_fetches_a_fresh_snapshot(open_live: OpenLivePage) -> None:
    live = await open_live("running")
    live.server.state = make_status("parked")

    live.server.make_stale()

    await expect(live.page.locator("#done-by")).to_contain_text("the end is unknown")


@long
async def test_a_server_that_leaves_with_the_end_is_not_lost(open_live: OpenLivePage) -> None:
    live = await open_live("failed")
    live.watched.expect("net::ERR_")

    await live.server.stop()

    await expect(live.page.locator("#freshness")).to_contain_text("the run has left", timeout=9_000)
    await expect(live.page.locator("body")).not_to_have_class(re.compile(r"\blost\b"))


@long
async def test_a_run_that_has_told_nothing_yet_began_at_no_time(open_live: OpenLivePage) -> None:
    live = await open_live("running")
    told = await live.page.locator("#facts").text_content()
    live.server.state = msgspec.to_builtins(read_status(RunProgress(), NOW))

    live.server.make_stale()

    assert told is not None
    assert told.startswith("Run ")
    await expect(live.page.locator("#state")).to_have_text("starting")
    await expect(live.page.locator("#facts")).to_have_text("")


@long
async def test_times_beyond_a_change_of_the_clock_are_those_of_the_changed_clock(
    open_live: OpenLivePage,
) -> None:
    live = await open_live("running")
    done = live.page.locator("#list-of-gateways > li").first.locator("[data-slot=done]")
    state = make_status("running")
    state["lanes"][0]["done_by"] = NOW + 600.0
    live.server.show(state)
    await expect(done).to_have_text(f"{datetime.fromtimestamp(NOW + 660 + OFFSET, UTC):%H:%M}")

    changed = make_status("running")
    changed["lanes"][0]["done_by"] = NOW + 601.0
    changed["run"]["utc_offsets"] = [[NOW - 86_400, OFFSET], [NOW + 300, OFFSET + 3600]]
    live.server.show(changed)

    await expect(done).to_have_text(f"{datetime.fromtimestamp(NOW + 660 + OFFSET + 3600, UTC):%H:%M}")
    await expect(live.page.locator("#zone")).to_contain_text("that clock is UTC+04:00 from ")


@long
async def test_no_end_is_shown_while_a_lane_is_parked(open_live: OpenLivePage) -> None:
    live = await open_live("parked")

    gauges = live.page.locator("#list-of-gateways > li", has_text="roma-tr").locator("[data-slot=done]")
    await expect(gauges).to_have_text("–")  # noqa: RUF001
    await expect(live.page.locator("#done-by")).to_have_text(
        "roma-tr is parked: the end is unknown; at the latest 06:58"
    )


async def test_the_targets_are_listed_failures_first_and_filtered(open_live: OpenLivePage) -> None:
    live = await open_live("running", "#outcome=unknown&gateway=apim")
    rows = live.page.locator("#targets tr.target")

    await expect(live.page.locator(".shown")).to_contain_text("of 3,000")
    filtered = await rows.all_text_contents()
    await live.page.get_by_role("button", name="Show all").click()
    await expect(live.page.locator(".shown")).to_have_text("3,000 targets")
    await expect(rows.first).to_contain_text("failed")
    await live.page.get_by_role("searchbox").fill("orders-000007")
    await expect(live.page.locator(".shown")).to_contain_text("of 3,000")
    await expect(rows.first).to_contain_text("000007")

    assert filtered
    assert all("unknown" in row and "apim/" in row for row in filtered)
    assert "q=orders-000007" in live.page.url


@long
async def test_a_row_opens_its_requests_by_keyboard(open_live: OpenLivePage) -> None:
    live = await open_live("failed", "#outcome=failed")
    first = live.page.locator("#targets tr.target button").first

    await first.focus()
    await live.page.keyboard.press("Enter")

    await expect(live.page.locator("table.attempts tbody tr").first).to_contain_text("APIG.3201")
    await expect(first).to_have_attribute("aria-expanded", "true")


@long
async def test_rows_do_not_move_while_they_are_read(open_live: OpenLivePage) -> None:
    live = await open_live("running", "#outcome=failed")
    row = live.page.locator("#targets tr.target button").first
    await row.click()
    before = await row.text_content()
    place = await row.bounding_box()

    for _ in range(3):
        live.server.show(make_status("stopping"))
        live.server.show(make_status("running"))
        await live.page.wait_for_timeout(100)

    assert await row.text_content() == before
    assert await row.bounding_box() == place


@long
@pytest.mark.parametrize("comes", [True, False], ids=["late", "never"])
async def test_rows_stay_until_newer_ones_have_come(open_live: OpenLivePage, comes: bool) -> None:
    live = await open_live("failed", "#outcome=unknown")
    rows = live.page.locator("#targets tr.target")
    await live.page.locator("#targets").scroll_into_view_if_needed()
    await expect(rows.first).to_contain_text("unknown")
    before, asked, answered = await rows.count(), asyncio.Event(), asyncio.Event()

    async def wait_for_word(route: Route) -> None:
        asked.set()
        await answered.wait()
        await (
            route.fulfill(json={"rows": [], "next": None, "total": 0}) if comes else route.fulfill(status=503)
        )

    await live.page.route(re.compile(r"/targets\?"), wait_for_word)
    live.watched.expect("503")
    live.server.show(make_status("parked"))
    async with asyncio.timeout(20):
        await asked.wait()
    while_asked = await rows.count()
    answered.set()

    await expect(live.page.locator(".shown")).to_have_text(
        "No target matches." if comes else "The targets cannot be read now."
    )
    assert while_asked == before > 0
    assert await rows.count() == (0 if comes else before)


@long
@pytest.mark.parametrize("by", ["mouse", "keyboard"])
@pytest.mark.parametrize(
    ("state", "act", "fields", "typed", "wanted"),
    [
        ("running", "Pause", {}, "", {"act": "pause"}),
        ("paused", "Continue", {}, "", {"act": "continue"}),
        ("running", "Stop", {}, "stop", {"act": "stop"}),
        ("running", "Skip targets", {"pattern": "apim/**"}, "skip", {"act": "skip", "pattern": "apim/**"}),
        (
            "running",
            "Limits",
            {"concurrency": "4", "rate": "2.5"},
            "",
            {"act": "limits", "gateway": "roma-eu", "concurrency": 4, "rate": 2.5},
        ),
        ("question", "Continue", {}, "", {"act": "continue"}),
        ("question", "Stop", {}, "stop", {"act": "stop"}),
    ],
    ids=["pause", "continue", "stop", "skip", "limits", "go on", "no"],
)
async def test_an_act_shows_its_effect_and_is_carried_out(
    open_live: OpenLivePage,
    by: str,
    state: str,
    act: str,
    fields: dict[str, str],
    typed: str,
    wanted: dict[str, Any],
) -> None:
    live = await open_live(state, f"#token={TOKEN}")
    zone = live.page.locator("#question" if state == "question" else "#steered")
    button = zone.get_by_role("button", name=f"{act}…")
    dialog = live.page.locator("#dialog")
    submit = dialog.locator("#dialog-submit")

    await _press(live.page, button, by)
    await expect(dialog).to_be_visible()
    for name, text in fields.items():
        await _fill(live.page, dialog.locator(f"[name={name}]"), text, by)
    if fields:
        await _press(live.page, submit, by)
    await expect(dialog.locator("#dialog-effect")).not_to_be_empty()
    await expect(dialog.locator("#dialog-effect")).not_to_have_text("Asking the run …")
    assert live.server.commands == [], "showing the effect has an effect"
    if typed:
        await expect(submit).to_be_disabled()
        await _fill(live.page, dialog.locator("[name=typed]"), typed, by)
    await expect(submit).to_be_enabled()
    await _press(live.page, submit, by)
    await expect(dialog).to_be_hidden()

    (command,) = live.server.commands
    assert {key: value for key, value in command.items() if key != "typed"} == wanted
    assert command.get("typed", "") == typed
    await expect(live.page.locator("#result")).not_to_be_empty()
    await expect(live.page.locator("#control-list li").first).to_contain_text(wanted["act"])
    await expect(live.page.locator(":focus")).to_have_count(1)


async def _press(page: Page, button: Any, by: str) -> None:
    if by == "mouse":
        await button.click()
        return
    await _reach(page, button)
    await page.keyboard.press("Enter")


async def _fill(page: Page, field: Any, text: str, by: str) -> None:
    if by == "mouse":
        await field.fill(text)
        return
    await _reach(page, field)
    await page.keyboard.type(text)


async def _reach(page: Page, element: Any) -> None:
    """Press Tab until the element has the focus, as somebody without a mouse does."""
    await expect(element).to_be_enabled()
    handle = await element.element_handle()
    for _ in range(80):
        if await handle.evaluate("(element) => element === document.activeElement"):
            return
        await page.keyboard.press("Tab")
    raise AssertionError("the keyboard does not get there")


async def test_a_refusal_is_shown_and_escape_leaves_all_as_it_is(open_live: OpenLivePage) -> None:
    live = await open_live("running", f"#token={TOKEN}")
    button = live.page.locator("#steered").get_by_role("button", name="Skip targets…")
    await button.click()
    await live.page.locator("#dialog [name=pattern]").fill("nothing/**")
    live.watched.expect("409")

    await live.page.keyboard.press("Enter")
    await expect(live.page.locator("#dialog-refusal")).to_contain_text("matches no target")
    await live.page.keyboard.press("Escape")

    await expect(live.page.locator("#dialog")).to_be_hidden()
    await expect(button).to_be_focused()
    assert live.server.commands == []


@long
async def test_the_token_leaves_the_address_and_is_used_once(open_live: OpenLivePage) -> None:
    live = await open_live("running", f"#token={TOKEN}")
    await expect(live.page.locator("#acts")).to_be_visible()
    entries = await live.page.evaluate("history.length")

    await live.page.reload()
    await expect(live.page.locator("#acts")).to_be_visible()

    posts = [request.url for request in live.watched.requests if request.method == "POST"]
    assert len(posts) == 1
    assert TOKEN not in live.page.url
    assert not any(TOKEN in request.url for request in live.watched.requests)
    assert entries == await live.page.evaluate("history.length")
    assert await live.page.evaluate("localStorage.length + sessionStorage.length") == 0
    assert await live.page.evaluate("document.cookie") == "", "a script can read the session"


@long
async def test_without_a_session_the_page_says_how_to_get_one(open_live: OpenLivePage) -> None:
    live = await open_live("question", "")

    await expect(live.page.locator("#question .how")).to_contain_text("token")
    assert await live.page.locator("button[data-act]:visible").count() == 0


@long
async def test_a_phone_offers_each_answer_once(open_live: OpenLivePage) -> None:
    live = await open_live("question", f"#token={TOKEN}", size=PHONE, has_touch=True)
    await expect(live.page.locator("#acts")).to_be_visible()

    # The zone "steered by hand", far below, has all acts again.
    for act in ("continue", "stop"):
        assert await live.page.locator(f":not(#steered .acts) > button[data-act={act}]:visible").count() == 1
    assert await live.page.locator("#question-text").is_visible()


async def test_an_address_that_ends_within_an_escape_opens_the_page(open_live: OpenLivePage) -> None:
    """A script error would fail the test: no page may have one that is not expected."""
    live = await open_live("running", link="#100%")

    assert await live.page.evaluate("location.hash") == "#100%"
    await expect(live.page.locator("#targets")).to_be_visible()


@long
async def test_a_wrong_token_is_told(open_live: OpenLivePage, open_page: PageOpener) -> None:
    live = await open_live("running")
    watched = await open_page(live.page.url)
    watched.expect("403")

    await watched.page.goto(live.page.url + "#token=guessed")
    await watched.page.reload()
    await watched.page.wait_for_selector(SHOWN)

    await expect(watched.page.locator("#session-note")).to_contain_text("token")
    await expect(watched.page.locator("#acts")).to_be_hidden()


@long
async def test_a_cause_is_copied_as_text(open_live: OpenLivePage) -> None:
    live = await open_live("failed", permissions=["clipboard-read", "clipboard-write"])

    await live.page.locator("#list-of-causes li").first.get_by_role("button", name="Copy").click()
    await expect(live.page.locator("#list-of-causes li").first.locator(".copy")).to_have_text("Copied")

    copied = await live.page.evaluate("navigator.clipboard.readText()")
    assert copied.startswith("14 failed: APIG.3201\nThe API is being used by a plan")


@long
async def test_an_example_of_a_cause_has_its_name_beside_it(open_live: OpenLivePage) -> None:
    live = await open_live("failed")
    state = make_status("failed")
    names = [HOSTILE, None, None, None, None]
    state["causes"] = [state["causes"][0] | {"names": names}, *state["causes"][1:]]

    live.server.show(state)

    examples = live.page.locator("#list-of-causes li.cause").first.locator(".examples li")
    shown = HOSTILE.replace("\u202e", "\\u202e").replace("\0", "\\u0000")
    await expect(examples.nth(0)).to_have_text(f"roma-eu/bd42c0ffee0000 ({shown})")
    await expect(examples.nth(1)).to_have_text("roma-eu/bd42c0ffee0001")


@long
async def test_a_cause_without_examples_counts_none_further(open_live: OpenLivePage) -> None:
    """No event tells the gateways and the ids of the targets that a run which stops does not come to."""
    live = await open_live("failed")
    state = make_status("failed")
    state["causes"] = [*state["causes"][:2], {**state["causes"][2], "examples": [], "gateways": []}]

    live.server.show(state)

    await expect(live.page.locator("#list-of-causes li.cause").nth(2).locator(".examples li")).to_have_count(
        0
    )
    await expect(live.page.locator("#list-of-causes li.cause").nth(2).locator(".where")).to_have_count(0)
    await expect(live.page.locator("#list-of-causes li.cause").first.locator(".more")).to_have_text(
        "and 9 more"
    )


@long
async def test_a_link_leads_to_its_place(open_live: OpenLivePage) -> None:
    live = await open_live("running", "#causes")

    await expect(live.page.locator("#causes")).to_be_in_viewport()
    strip = await live.page.locator("#verdict").bounding_box()
    title = await live.page.locator("#causes-title").bounding_box()
    assert strip is not None
    assert title is not None
    assert title["y"] >= strip["y"] + strip["height"] - 1, "the strip covers the title that was linked"


async def test_hostile_names_are_text(open_live: OpenLivePage) -> None:
    live = await open_live("hostile")

    await expect(live.page.locator("#plan")).to_have_text(
        HOSTILE.replace("\u202e", "\\u202e").replace("\0", "\\u0000")
    )
    assert await live.page.locator("img").count() == 0
    assert await live.page.evaluate("document.querySelectorAll('a[href^=javascript]').length") == 0


async def test_nothing_can_be_clicked_on_a_wall(open_live: OpenLivePage) -> None:
    live = await open_live("parked", "#wall", size=WALL)

    clickable = "a[href]:visible, button:visible, input:visible, select:visible"
    assert await live.page.locator(clickable).count() == 0
    for zone in ("#verdict", "#waves", "#gateways"):
        await expect(live.page.locator(zone)).to_be_in_viewport()
    await expect(live.page.locator("#targets")).to_be_hidden()
    await assert_no_overhang(live.page)


@long
async def test_a_wall_has_what_does_not_work_in_its_first_row(open_live: OpenLivePage) -> None:
    live = await open_live("parked", "#wall", size=WALL)

    await expect(live.page.locator(".gateway h3")).to_have_text(["apim", "roma-tr", "roma-eu"])


@long
@pytest.mark.parametrize("size", [WALL, LOW_WALL])
@pytest.mark.parametrize("state", STATES)
async def test_all_that_a_wall_shows_fits_its_screen(
    state: str, size: tuple[int, int], open_live: OpenLivePage
) -> None:
    live = await open_live(state, "#wall", size=size)

    heights = "[document.documentElement.scrollHeight, innerHeight]"
    height, room = await live.page.evaluate(heights)
    assert height <= room
    assert await live.page.evaluate(CUT_CARDS) == []
    type_size = "parseFloat(getComputedStyle(document.querySelector('.strip h1')).fontSize)"
    assert await live.page.evaluate(type_size) >= 14


@long
async def test_a_wall_counts_the_gateways_that_it_has_no_room_for(open_live: OpenLivePage) -> None:
    live = await open_live("many_gateways", "#wall", size=LOW_WALL)
    cards = live.page.locator(".gateway:visible")

    shown = await cards.count()
    assert shown < 14
    assert [await cards.nth(at).locator("h3").text_content() for at in range(4)] == [
        "roma-05",
        "roma-06",
        "roma-07",
        "roma-08",
    ]
    await expect(live.page.locator("#gateways-left-out")).to_have_text(f"and {14 - shown} more")
    await live.page.evaluate("location.hash = ''")
    await expect(live.page.locator("#gateways-left-out")).to_be_hidden()
    await expect(cards).to_have_count(9)


@long
async def test_three_parked_lanes_leave_a_phone_room(open_live: OpenLivePage) -> None:
    live = await open_live("three_parked", f"#token={TOKEN}", size=PHONE)
    await expect(live.page.locator("#acts")).to_be_visible()

    strip = await live.page.locator("#verdict").bounding_box()
    assert strip is not None
    assert strip["height"] <= 220


@long
async def test_acts_are_large_enough_for_a_thumb(open_live: OpenLivePage) -> None:
    live = await open_live("question", f"#token={TOKEN}", size=PHONE, has_touch=True)
    await expect(live.page.locator("#acts")).to_be_visible()

    buttons = await live.page.locator("button[data-act]:visible").all()
    assert len(buttons) > 1
    for button in buttons:
        box = await button.bounding_box()
        assert box is not None
        assert box["height"] >= 44, await button.text_content()


@long
@pytest.mark.parametrize("state", STATES)
async def test_nothing_is_wider_than_a_phone(state: str, open_live: OpenLivePage) -> None:
    live = await open_live(state, f"#token={TOKEN}", size=PHONE)
    await assert_no_overhang(live.page)
    await resize(live.page, NARROW_PHONE)
    await assert_no_overhang(live.page)


@long
@pytest.mark.parametrize("state", STATES)
async def test_axe_finds_nothing(state: str, open_live: OpenLivePage) -> None:
    live = await open_live(state, f"#token={TOKEN}", scheme="light", size=DESKTOP)
    await assert_accessible(live.page)
    await live.page.emulate_media(color_scheme="dark")
    await resize(live.page, PHONE)
    await assert_accessible(live.page)


@long
async def test_axe_finds_nothing_in_a_dialog(open_live: OpenLivePage) -> None:
    for scheme in ("light", "dark"):
        live = await open_live("running", f"#token={TOKEN}", scheme=scheme)
        await live.page.locator("#steered").get_by_role("button", name="Stop…").click()
        await expect(live.page.locator("#dialog-typed")).to_be_visible()
        await assert_accessible(live.page)


@long
@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_outcomes_differ_in_grey(scheme: str, open_live: OpenLivePage) -> None:
    live = await open_live("running", scheme=scheme, device_scale_factor=4)
    names = ("undeployed", "already_undeployed", "failed", "unknown", "open")

    looks = await look_in_grey(live.page, {name: f"#legend .fill-{name}" for name in names})

    assert find_alike(looks) == [], looks


@long
async def test_what_the_page_weighs_and_how_soon_it_is_painted(open_live: OpenLivePage) -> None:
    live = await open_live("running")
    weight = await weigh(live.watched)

    # The floor of several: other programs on the machine make a page slower, never faster.
    paints = []
    for _ in range(5):
        await live.page.reload()
        paints.append(await measure_first_paint(live.page))

    assert weight <= 60_000
    assert min(paints) < 300 * SLACK


@long
async def test_a_tick_costs_little_and_100_000_targets_take_little_room(open_live: OpenLivePage) -> None:
    live = await open_live("huge")
    states = [make_status("huge"), make_status("running")]
    states[1] = states[0] | {
        "verdict": states[1]["verdict"],
        "lanes": states[1]["lanes"],
        "waves": states[0]["waves"],
    }

    async with metered(live.page) as meter:
        costs = []
        for turn in range(20):
            before = await meter.read()
            live.server.show(states[(turn + 1) % 2])
            await live.page.wait_for_timeout(150)
            costs.append((await meter.read())["ScriptDuration"] - before["ScriptDuration"])
        for _ in range(30):
            await live.page.mouse.wheel(0, 5000)
            await live.page.wait_for_timeout(50)
        heap = await meter.measure_heap()

    assert sorted(costs)[len(costs) // 2] < 0.004 * SLACK
    assert heap < 60_000_000
    assert await live.page.locator("tr.target").count() <= 700
