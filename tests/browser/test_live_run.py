"""The live page of real runs: the program, the simulator and the browser are processes of their own."""

from __future__ import annotations

import re
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import pytest
from playwright.async_api import Page, expect

from tests.support.browser import PageOpener, WatchedPage, assert_accessible, assert_no_overhang
from tests.support.page_client import PageClient, ShownOnTerminal, started_on_terminal
from tests.support.ports import find_free_port
from tests.support.stage import Stage, kill

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.long("runs the program beside a browser"),
]

SLOW = "limits: {concurrency: 4, rate: 10/s}"
SHOWN = "body:not(.waits-for-first)"


class ServedRun(NamedTuple):
    """A process that serves a page."""

    process: subprocess.Popen[str]
    shown: ShownOnTerminal
    link: str
    """The page's URL with its token, as the terminal shows it."""


@contextmanager
def _serving(stage: Stage, *arguments: str) -> Iterator[ServedRun]:
    """Run a command that serves a page until the block ends."""
    with started_on_terminal(stage, *arguments) as (process, shown):
        client = PageClient.find(shown)
        yield ServedRun(process, shown, f"{client.origin}/#token={client.token}")


@contextmanager
def _running(stage: Stage, *options: str, top: str = "", waves: bool = False) -> Iterator[ServedRun]:
    """Run a slow plan that serves its page."""
    plan = stage.write_plan(roma=SLOW, apim=SLOW, top=top, waves=waves)
    with _serving(stage, "run", str(plan), "--yes", "--serve", "127.0.0.1:0", *options) as served:
        # The page is there before the run is, and nobody can steer or watch what has not begun.
        stage.wait_for_requests(1, served.process)
        yield served


async def _open(open_page: PageOpener, link: str) -> WatchedPage:
    watched = await open_page(link)
    await watched.page.wait_for_selector(SHOWN)
    return watched


async def _act(page: Page, name: str, typed: str = "", **fields: str) -> None:
    """Carry out an act of the zone "steered by hand"."""
    await page.locator("#steered").get_by_role("button", name=f"{name}…").click()
    dialog = page.locator("#dialog")
    for field, text in fields.items():
        await dialog.locator(f"[name={field}]").fill(text)
    if fields:
        await dialog.locator("#dialog-submit").click()
    if typed:
        await dialog.locator("[name=typed]").fill(typed)
    await expect(dialog.locator("#dialog-submit")).to_be_enabled(timeout=10_000)
    await dialog.locator("#dialog-submit").click()
    await expect(dialog).to_be_hidden()


async def test_a_run_is_followed_and_steered_to_its_end(
    open_page: PageOpener, staged: Callable[..., Stage]
) -> None:
    stage = staged(80, 30, latency=0.05)
    with _running(stage) as served:
        watched = await _open(open_page, served.link)
        page = watched.page
        await expect(page.locator("#headline")).to_contain_text("of 110 down")
        await expect(page.locator("#list-of-gateways > li")).to_have_count(2)
        first = await page.text_content("#headline")
        await expect(page.locator("#headline")).not_to_have_text(first or "", timeout=10_000)

        await _act(page, "Pause")
        await expect(page.locator("#state")).to_have_text("paused")
        await _act(page, "Limits", concurrency="2", rate="40")
        await _act(page, "Skip targets", "skip", pattern="apim/**")
        await assert_accessible(page)
        await _act(page, "Continue")
        await expect(page.locator("#state")).to_have_text("running")
        await expect(page.locator("#control-list li")).to_have_count(4)
        await _act(page, "Stop", "stop")

        await expect(page.locator("#ended")).to_be_visible(timeout=20_000)
        await expect(page.locator("#ended-words")).to_contain_text("exit status 4")
        await expect(page.locator("#ended-folder")).to_contain_text(stage.run.name)
        watched.expect("net::ERR_")
        assert served.process.wait(timeout=20) == 4
    controls = stage.report()["controls"]

    assert [each["act"].split()[0] for each in controls] == ["pause", "limits", "skip", "continue", "stop"]
    assert all(each["by"] and "live page" in f"{each['by']} {each['from']}" for each in controls)
    assert all("127.0.0.1" in each["from"] for each in controls)


async def test_the_question_after_a_wave_is_answered(
    open_page: PageOpener, staged: Callable[..., Stage]
) -> None:
    stage = staged(6, 6, latency=0.02)
    plan = stage.write_plan(roma=SLOW, apim=SLOW, waves=True)
    plan.write_text(plan.read_text().replace("- name: first", "- name: first\n  proceed: ask"))
    with _serving(stage, "run", str(plan), "--yes", "--quiet", "--serve", "127.0.0.1:0") as served:
        watched = await _open(open_page, served.link)
        page = watched.page
        question = page.locator("#question")
        await expect(question).to_be_visible(timeout=15_000)
        await expect(question.locator("#question-text")).to_contain_text("first")
        await question.get_by_role("button", name="Continue…").click()
        submit = page.locator("#dialog-submit")
        await expect(submit).to_be_enabled(timeout=10_000)
        await submit.press("Enter")

        await expect(question).to_be_hidden()
        await expect(page.locator("#ended")).to_be_visible(timeout=20_000)
        watched.expect("net::ERR_")
        served.process.wait(timeout=20)
    assert set(stage.outcomes().values()) == {"undeployed"}


async def test_a_frozen_server_is_told_within_seconds_and_the_page_finds_it_again(
    open_page: PageOpener, staged: Callable[..., Stage]
) -> None:
    stage = staged(400, 0, latency=0.05)
    with _running(stage) as served:
        watched = await _open(open_page, served.link)
        page = watched.page
        await expect(page.locator("body")).to_have_attribute("data-fresh", "live")
        watched.expect("net::ERR_|Failed to load")
        served.process.send_signal(signal.SIGSTOP)
        try:
            # Five seconds, and the time of a machine that runs other tests.
            await expect(page.locator("#freshness")).to_contain_text(
                "connection lost; last known", timeout=9_000
            )
            await expect(page.locator("body")).to_have_class(re.compile(r"\blost\b"))
            main = page.locator("#zones")
            assert "grayscale" in await main.evaluate("(main) => getComputedStyle(main).filter")
            lost = await page.text_content("#headline")
        finally:
            served.process.send_signal(signal.SIGCONT)
        await expect(page.locator("body")).to_have_attribute("data-fresh", "live", timeout=15_000)
        await expect(page.locator("#headline")).not_to_have_text(lost or "", timeout=10_000)
        await page.goto("about:blank")


async def test_a_server_that_comes_back_on_its_port_is_found_again(
    open_page: PageOpener, staged: Callable[..., Stage]
) -> None:
    stage = staged(400, 0, latency=0.05)
    port = find_free_port()
    with _running(stage):
        with _serving(stage, "watch", "latest", "--serve", f"127.0.0.1:{port}") as watch:
            watched = await _open(open_page, watch.link)
            await expect(watched.page.locator("body")).to_have_attribute("data-fresh", "live")
            kill(watch.process)
        watched.expect("net::ERR_|401")
        await expect(watched.page.locator("#freshness")).to_contain_text("connection lost", timeout=9_000)
        with _serving(stage, "watch", "latest", "--serve", f"127.0.0.1:{port}"):
            await expect(watched.page.locator("body")).to_have_attribute("data-fresh", "live", timeout=20_000)
            await watched.page.goto("about:blank")


async def test_the_page_of_a_run_that_has_ended_is_its_report(
    open_page: PageOpener, staged: Callable[..., Stage]
) -> None:
    stage = staged(5, 3)
    assert stage.undeploy("run", stage.write_plan(), "--yes").status == 0

    with _serving(stage, "watch", "latest") as watch:
        page = (await open_page(watch.link.partition("#")[0])).page
        await expect(page.locator("h1")).to_contain_text("8")
        await expect(page.locator("tr.target")).to_have_count(8)
        await assert_no_overhang(page)
        await open_page.close()


async def test_hostile_names_of_a_real_run_are_text(
    open_page: PageOpener, staged: Callable[..., Stage]
) -> None:
    names = ("<img src=x onerror=alert(1)>", "</script><script>alert(1)</script>")
    stage = staged(0, 2, apim_fields={"targets": tuple(("Retail", name, "test") for name in names)})
    plan = stage.write_plan(apim="limits: {concurrency: 1, rate: 1/s}")
    quoted = ", ".join(f'"{name}"' for name in names)
    plan.write_text(plan.read_text().replace("[proxy-0, proxy-1]", f"[{quoted}]"))
    with _serving(stage, "run", str(plan), "--yes", "--quiet", "--serve", "127.0.0.1:0") as served:
        watched = await _open(open_page, served.link)
        rows = watched.page.locator("tr.target")
        await expect(rows).to_have_count(2)
        shown = await rows.locator("button").all_text_contents()
        assert await watched.page.locator("img").count() == 0
        await watched.page.goto("about:blank")
        assert served.process.wait(timeout=20) == 0
    with _serving(stage, "watch", "latest") as watch:
        page = (await open_page(watch.link.partition("#")[0])).page
        await expect(page.locator("tr.target")).to_have_count(2)
        assert await page.locator("img").count() == 0
        await open_page.close()

    assert sorted(shown) == sorted(f"apim/Retail/{name.replace('/', '%2F')}/test" for name in names)
