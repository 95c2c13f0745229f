"""The drawn charts: what their markup holds, and what it never does."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import combinations
from math import dist
from pathlib import Path
from typing import TypeAlias

import pytest
from lxml import html as markup  # type: ignore[import-untyped]

from orchestrator import report
from orchestrator.model.live_status import OverTime, TimeMark
from orchestrator.model.outcome import Outcome
from orchestrator.report.page.chart import draw_bar
from orchestrator.report.page.live_charts import render_live_charts
from orchestrator.report.page.palette import PAGE_LOOKS
from orchestrator.report.page.svg import PATTERNS, render_bar
from orchestrator.report.values import Totals
from tests.report.formats.test_html import luminance
from tests.support.made_up_runs import HOSTILE

STYLE = Path(report.__file__).parent / "page" / "shared" / "style.css"


def over_time(*, buckets: int = 3, text: str = "wave canary", refused: tuple[int, ...] = ()) -> OverTime:
    return OverTime(
        start=1_795_873_454.0,
        seconds=2.0,
        ended=({"undeployed": 4, "failed": 1},) * buckets,
        sent=(2.5,) * buckets,
        bound=(None, *(50.0,) * (buckets - 1)),
        in_flight=(8,) * buckets,
        refused=refused,
        marks=(TimeMark(at=1_795_873_455.0, kind="wave", text=text),),
    )


def test_the_charts_of_a_live_run_have_a_figure_for_what_ended_and_one_for_the_pace() -> None:
    text = render_live_charts(over_time(), request="deploy", utc_offset=10_800) or ""
    root = markup.fromstring(f"<div>{text}</div>")

    titles = [element.text_content() for element in root.xpath("//*[@class='chart-title']")]
    assert titles == ["Targets that ended per 2 s", "Deploys a second"]
    assert [element.text_content() for element in root.xpath("//*[@class='plot-title']")] == [
        "Requests in flight"
    ]
    assert "UTC+03:00" in text
    assert [element.text_content() for element in root.xpath("//ol/li/bdi")] == ["wave canary"]


def test_refusals_are_drawn_as_in_the_report_and_a_run_without_them_has_no_key() -> None:
    quiet, busy = (
        render_live_charts(over_time(refused=refused), request="undeploy", utc_offset=0) or ""
        for refused in ((), (0, 12, 0))
    )

    assert "told to wait" not in quiet
    assert "told to wait" in busy
    assert "12 refused" in busy


def test_a_run_that_has_only_begun_has_no_charts() -> None:
    nothing = OverTime(start=1.0, seconds=1.0)

    assert render_live_charts(nothing, request="undeploy", utc_offset=0) is None


@pytest.mark.parametrize("text", HOSTILE)
def test_a_hostile_text_of_a_mark_stays_text(text: str) -> None:
    drawn = render_live_charts(over_time(text=text), request="undeploy", utc_offset=0) or ""

    assert not re.search(r"<(script|img)|[\x00-\x08\x0b-\x1f\u202e\u2028]", drawn)


def test_no_chart_needs_more_than_the_strictest_policy_allows() -> None:
    drawn = render_live_charts(over_time(), request="undeploy", utc_offset=0) or ""

    assert not re.search(r'style=|<style|<script| on\w+="|href=|src=', drawn)
    assert set(re.findall(r"url\((.*?)\)", PATTERNS + drawn)) <= {
        "#chart-dots",
        "#chart-stripes",
        "#chart-lines",
    }


def test_charts_of_the_most_buckets_stay_small() -> None:
    drawn = render_live_charts(over_time(buckets=240), request="undeploy", utc_offset=0) or ""

    assert len(drawn) < 200_000


def test_each_outcome_that_is_no_solid_colour_is_filled_by_its_pattern() -> None:
    parts = draw_bar(Totals(targets=4, undeployed=1, failed=1, unknown=1, not_started=1))

    fills = re.findall(r'class="fill-(\w+)"(?: fill="url\(#([\w-]+)\)")?', render_bar(parts, "x"))

    assert fills == [
        ("undeployed", ""), ("failed", ""), ("unknown", "chart-stripes"), ("not_started", "chart-lines"),
    ]  # fmt: skip


def _read_colours(scheme: int) -> dict[str, str]:
    return dict(re.findall(r"(--[a-z-]+): (#[0-9a-f]{6});", STYLE.read_text().split(":root {")[scheme + 1]))


NAMES = {
    Outcome.UNDEPLOYED: "--undeployed", Outcome.ALREADY_UNDEPLOYED: "--already", Outcome.FAILED: "--failed",
    Outcome.UNKNOWN: "--unknown", Outcome.NOT_STARTED: "--not-started", Outcome.RESTORED: "--undeployed",
    Outcome.ALREADY_DEPLOYED: "--already",
}  # fmt: skip


def test_the_style_has_the_colours_of_the_palette() -> None:
    for scheme, key in enumerate(("light", "dark")):
        colours = _read_colours(scheme)
        assert {outcome: colours[name] for outcome, name in NAMES.items()} == {
            outcome: getattr(look, key) for outcome, look in PAGE_LOOKS.items()
        }


ColourMatrix: TypeAlias = tuple[tuple[float, ...], ...]
XYZ = ((0.4124, 0.3576, 0.1805), (0.2126, 0.7152, 0.0722), (0.0193, 0.1192, 0.9505))
# What protanopes and deuteranopes see of a linear colour (Machado, Oliveira and Fernandes, 2009, severity 1).
PROTAN = ((0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216), (-0.003882, -0.048116, 1.051998))
DEUTAN = ((0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.011820, 0.042940, 0.968881))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_two_outcomes_differ_in_grey_or_by_a_pattern(scheme: str) -> None:
    for one, other in _list_alike(scheme):
        for measure in (luminance, _take_in_grey):
            darker, lighter = sorted((measure(one), measure(other)))
            assert (lighter + 0.05) / (darker + 0.05) >= 1.5


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("eye", [PROTAN, DEUTAN], ids=["protanope", "deuteranope"])
def test_two_outcomes_differ_for_the_colour_blind_or_by_a_pattern(scheme: str, eye: ColourMatrix) -> None:
    for one, other in _list_alike(scheme):
        assert dist(_see(one, eye), _see(other, eye)) >= 20


def _list_alike(scheme: str) -> list[tuple[str, str]]:
    """Return the pairs of colours that are filled alike."""
    looks = {PAGE_LOOKS[outcome] for outcome in NAMES}
    return [
        (getattr(one, scheme), getattr(other, scheme))
        for one, other in combinations(looks, 2)
        if one.fill == other.fill
    ]


def _see(colour: str, eye: ColourMatrix) -> tuple[float, float, float]:
    """Return a colour as the eye sees it, in CIE L*a*b*, where a distance of 2 is just noticed."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    light = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    seen = [min(1.0, max(0.0, sumprod(row, light))) for row in eye]
    x, y, z = (
        _bend(sumprod(row, seen) / white) for row, white in zip(XYZ, (0.9505, 1.0, 1.089), strict=True)
    )
    return 116 * y - 16, 500 * (x - y), 200 * (y - z)


def sumprod(one: Sequence[float], other: Sequence[float]) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True))


def _bend(share: float) -> float:
    return float(share ** (1 / 3)) if share > 0.008856 else 7.787 * share + 16 / 116


def _take_in_grey(colour: str) -> float:
    """Return the lightness of a colour as most printers make it grey: from its encoded values."""
    red, green, blue = (int(colour[at : at + 2], 16) for at in (1, 3, 5))
    grey = round(0.2126 * red + 0.7152 * green + 0.0722 * blue)
    return luminance(f"#{grey:02x}{grey:02x}{grey:02x}")
