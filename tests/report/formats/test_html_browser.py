"""report.html in a browser: its script runs, finds, sorts and escapes, and nothing is cut on a phone."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from lxml import html as markup  # type: ignore[import-untyped]

from orchestrator.model.outcome import Outcome
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

pytestmark = pytest.mark.long("starts a browser")

FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-dev-shm-usage", "--enable-logging=stderr", "--allow-file-access-from-files",
    "--window-size=1280,2000",
)  # fmt: skip
# Opens the page and writes down where the marks of its first chart of a pace stand, and in which colour.
CHART = """<!doctype html>
<iframe src="report.html" style="border:0;width:1100px;height:3000px"></iframe><pre id="marks"></pre>
<script>
document.querySelector("iframe").onload = (event) => {
  const page = event.target.contentDocument;
  const marks = [...page.querySelectorAll(".pace svg :is(.bound, .sent, .flying, .refused)")];
  const plot = page.querySelector(".pace svg").getBoundingClientRect();
  const inside = (box) => box.left >= plot.left - 1 && box.right <= plot.right + 1 &&
    box.top >= plot.top - 1 && box.bottom <= plot.bottom + 1;
  document.querySelector("#marks").textContent = JSON.stringify(marks.map((mark) => {
    const box = mark.getBoundingClientRect(), style = page.defaultView.getComputedStyle(mark);
    const colour = style.fill === "none" ? style.stroke : style.fill;
    return [mark.getAttribute("class"), colour, box.width, box.height, inside(box)];
  }));
};
</script>"""
# Opens the page as narrow as a phone and writes down how wide its content is.
FRAME = """<!doctype html>
<iframe src="report.html" style="border:0;width:390px;height:3000px"></iframe><p id="wide"></p>
<script>
document.querySelector("iframe").onload = (event) => {
  document.querySelector("#wide").textContent = event.target.contentDocument.documentElement.scrollWidth;
};
</script>"""


@cache
def browser() -> str | None:
    names = ("chromium", "chromium-browser", "google-chrome")
    return next((path for path in map(shutil.which, names) if path), None)


@pytest.fixture(autouse=True)
def _wants_a_browser() -> None:
    if browser() is None:
        pytest.skip("chromium is not installed")


def opened(folder: Path, file: str, address: str = "") -> tuple[Any, list[str]]:
    """The document after its scripts ran, and what they wrote to the console."""
    command = [
        browser() or "",
        *FLAGS,
        f"--user-data-dir={folder / 'profile'}",
        "--dump-dom",
        f"file://{folder / file}{address}",
    ]
    environment = os.environ | {"HOME": str(folder)}
    done = subprocess.run(command, capture_output=True, text=True, timeout=50, check=True, env=environment)
    return markup.document_fromstring(done.stdout), re.findall(r"CONSOLE.*", done.stderr)


def page(folder: Path, source: FakeReportSource, address: str = "") -> Any:
    (folder / "report.html").write_text(render_report("html", source), encoding="utf-8")
    root, console = opened(folder, "report.html", address)
    assert console == []
    return root


def shown(root: Any) -> list[str]:
    return [element.text_content() for element in root.xpath("//tr[@class='target']//button")]


def test_an_error_of_the_page_s_script_fails_these_tests(tmp_path: Path) -> None:
    (tmp_path / "broken.html").write_text("<script>nowhere.to.be.found()</script>", encoding="utf-8")

    assert "nowhere is not defined" in opened(tmp_path, "broken.html")[1][0]


def test_the_first_fifty_targets_are_listed_in_the_order_of_the_plan(tmp_path: Path) -> None:
    source = make_up_run(10_000)

    root = page(tmp_path, source)

    assert shown(root) == [target.id for target in source.targets()][:50]
    assert root.get_element_by_id("shown").text == "1–50 of 10,000 targets"  # noqa: RUF001  as it is shown
    assert not root.xpath("//*[@id='browser' and @hidden]")


def test_an_address_can_name_a_search_an_outcome_and_an_order(tmp_path: Path) -> None:
    source = make_up_run(300, stopped=True)
    wanted = [t for t in source.targets() if t.outcome is Outcome.NOT_STARTED and t.gateway == "apim"]

    root = page(tmp_path, source, "#q=WINDOW%20apim&outcome=not_started&sort=-id")

    assert shown(root) == sorted((target.id for target in wanted), reverse=True)
    assert root.get_element_by_id("shown").text == f"{len(wanted)} targets of 300"
    assert root.xpath("//th[@aria-sort='descending']/button/@data-sort") == ["id"]


def test_one_target_is_shown_with_its_requests(tmp_path: Path) -> None:
    source = make_up_run(300)
    target = max(source.targets(), key=lambda target: len(target.attempts))

    root = page(tmp_path, source, f"#q={quote(target.id, safe='')}")

    assert shown(root) == [target.id]
    cells = [
        [cell.text_content() for cell in row] for row in root.xpath("//table[@class='attempts']/tbody/tr")
    ]
    assert [(cell[2], cell[3]) for cell in cells] == [
        (attempt.act.value, str(attempt.status or "no reply")) for attempt in target.attempts
    ]


def test_a_search_without_a_hit_says_so(tmp_path: Path) -> None:
    root = page(tmp_path, make_up_run(6), "#q=no-such-thing")

    assert shown(root) == []
    assert root.get_element_by_id("shown").text == "No target matches."


def test_hostile_texts_are_shown_and_do_nothing(tmp_path: Path) -> None:
    root = page(tmp_path, make_hostile_run())

    assert not root.xpath("//img")
    assert len(root.xpath("//script")) == 2
    assert f"roma-eu/{HOSTILE[0]}" in shown(root)
    assert "roma-eu/\\u202egnp.exe\\u202c" in shown(root)


def test_the_curves_of_a_pace_are_drawn_in_their_colours_and_inside_their_chart(tmp_path: Path) -> None:
    source = FakeReportSource(
        (build_target(),), build_run(), controls=[build_control()], curves=[build_pacing()]
    )
    (tmp_path / "report.html").write_text(render_report("html", source), encoding="utf-8")
    (tmp_path / "chart.html").write_text(CHART, encoding="utf-8")

    root, console = opened(tmp_path, "chart.html")

    marks = json.loads(root.get_element_by_id("marks").text)
    assert console == []
    assert [mark[0] for mark in marks] == ["flying", "refused", "refused", "sent", "bound"]
    assert len({colour for _, colour, *_ in marks} - {"none", "rgb(0, 0, 0)"}) == 4
    assert all(width > 5 and height > 3 and inside for *_, width, height, inside in marks)


@pytest.mark.parametrize(
    "source", [make_up_run(300, stopped=True), make_hostile_run()], ids=["plausible", "hostile"]
)
def test_nothing_is_wider_than_a_phone(tmp_path: Path, source: FakeReportSource) -> None:
    (tmp_path / "report.html").write_text(render_report("html", source), encoding="utf-8")
    (tmp_path / "frame.html").write_text(FRAME, encoding="utf-8")

    root, _ = opened(tmp_path, "frame.html")

    assert root.get_element_by_id("wide").text == "390"
