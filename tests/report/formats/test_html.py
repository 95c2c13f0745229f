"""report.html as markup: what stands in it without its script."""

from __future__ import annotations

import gzip
import json
import re
from base64 import b64decode, b64encode
from hashlib import sha256
from typing import Any

import pytest
from lxml import html as markup  # type: ignore[import-untyped]
from msgspec.structs import replace

from orchestrator.model.outcome import Outcome
from orchestrator.report.formats import html
from tests.support.made_up_runs import (
    HOSTILE,
    FakeReportSource,
    build_attempt,
    build_control,
    build_pacing,
    build_run,
    build_target,
    make_hostile_run,
    make_up_run,
    render_report,
)


def read(source: FakeReportSource) -> Any:
    return markup.document_fromstring(render_report("html", source))


def texts(root: Any, path: str) -> list[str]:
    return [" ".join(element.text_content().split()) for element in root.xpath(path)]


def rows(root: Any) -> list[dict[str, Any]]:
    holder = root.get_element_by_id("data")
    packed = holder.get("type") == "text/plain"
    data = json.loads(gzip.decompress(b64decode(holder.text)) if packed else holder.text)
    names = ("id", "gateway", "wave", "outcome", "reason", "evidence", "seconds", "attempts")
    return [
        {
            name: data["texts"][value] if name in names[1:6] and value is not None else value
            for name, value in zip(names, row, strict=True)
        }
        for row in data["rows"]
    ]


def test_the_headline_the_totals_and_the_causes_need_no_script() -> None:
    targets = tuple(build_target(f"roma-eu/{n}") for n in range(58))
    gone = build_target(
        "roma-eu/58", Outcome.FAILED, "absent: x", attempts=(build_attempt(1, 404, "APIG.3084", "gone"),)
    )
    gone = replace(gone, name="orders\u202e<b>")
    unsure = build_target("roma-eu/59", Outcome.UNKNOWN, "spent: x", attempts=(build_attempt(1, None),))

    root = read(FakeReportSource((*targets, gone, unsure), build_run(exit_status=1)))

    assert texts(root, "//h1") == ["58 of 60 targets are down; 1 failed, 1 is unknown."]
    assert texts(root, "//div[contains(@class, 'tile')]") == [
        "undeployed 58", "already undeployed 0", "failed 1", "unknown 1", "not started 0", "requests 2",
        "retries 0",
    ]  # fmt: skip
    assert texts(root, "//li[contains(@class, 'cause')]") == [
        "1 failed APIG.3084 gone on roma-eu roma-eu/58 (orders\\u202e<b>)",
        "1 unknown spent spent: x on roma-eu roma-eu/59",
    ]


def test_the_record_says_what_was_run_and_when() -> None:
    facts = texts(read(make_up_run(300, stopped=True)), "//dl[@class='facts']/*")

    told = dict(zip(facts[::2], facts[1::2], strict=True))
    assert told["Plan"] == "orders-retirement"
    assert told["Reason"] == "CHG-1042 scheduled maintenance"
    assert told["Started"] == "2026-11-22 19:00:03 UTC"
    assert told["Stopped by"] == "window: closed"
    assert len(told["Digest"]) == 64


def test_gateways_waves_and_warnings_are_there() -> None:
    root = read(make_up_run(60))

    assert texts(root, "//section[@aria-labelledby='gateways']//tbody/tr/th/a") == [
        "roma-eu",
        "apim",
        "roma-me",
    ]
    assert texts(root, "//span[contains(@class, 'lane ')]") == ["open", "open", "closed"]
    assert texts(root, "//section[@aria-labelledby='waves']//tbody/tr/th") == [
        "canary",
        "everything",
        "the rest",
    ]
    assert any("renew it" in text for text in texts(root, "//div[contains(@class, 'warning')]"))


def test_a_run_that_went_well_shows_no_causes_and_one_without_requests_no_time_line() -> None:
    root = read(FakeReportSource((build_target(),), build_run()))

    assert texts(root, "//h2") == ["What to do next", "Record", "Gateways", "Waves", "Targets"]


def test_a_gateway_whose_pace_is_known_has_a_chart() -> None:
    curves = [build_pacing(), build_pacing("apim", refused=(0, 0, 0, 0), bound=(None,) * 4)]

    root = read(FakeReportSource((build_target(),), build_run(), curves=curves))

    assert texts(root, "//section[@aria-labelledby='pace']//h3") == ["roma-eu", "apim"]
    first, second = root.xpath("//figure[contains(@class, 'pace')]")
    assert len(texts(first, ".//svg//title")) == 4
    assert "at most 87.5/s" in texts(first, ".//svg//title")[3]
    assert len(first.xpath(".//*[@class='refused']")) == 2
    assert not second.xpath(".//*[@class='refused']")
    assert texts(first, ".//span[@class='legend']") == [
        "sent",
        "at most, as the gateway allows",
        "told to wait",
    ]
    assert texts(second, ".//span[@class='legend']") == ["sent"]


def test_two_scales_never_share_a_plot() -> None:
    root = read(FakeReportSource((build_target(),), build_run(), curves=[build_pacing()]))

    plots = root.xpath("//figure[contains(@class, 'pace')]//div[contains(@class, 'plot ')]")

    assert [texts(plot, ".//div[@class='scale']/span") for plot in plots] == [
        ["160/s", "80/s", "0"],
        ["12", "0"],
    ]
    assert [len(plot.xpath(".//*[@class='flying']")) for plot in plots] == [0, 1]


def test_the_controls_of_the_run_are_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(html, "MAX_LINES", 2)
    acts = [build_control(), build_control("skip roma-eu/**", by="", origin=""), build_control("stop")]

    root = read(FakeReportSource((build_target(),), build_run(), controls=acts))

    section = "//section[@aria-labelledby='steered']"
    assert texts(root, f"{section}//tbody/tr") == [
        "2026-11-22 19:00:06 UTC alice host-1, process 4711, pts/3 limits roma-eu rate=5/s",
        "2026-11-22 19:00:06 UTC – – skip roma-eu/**",  # noqa: RUF001  as it is shown
    ]
    assert texts(root, f"{section}/p") == ["1 more are in report.json."]


def test_every_column_and_every_field_has_a_name() -> None:
    root = read(make_up_run(60))

    assert not root.xpath("//thead//th[not(@scope)] | //tbody//th[not(@scope)]")
    assert not root.xpath("//input[not(ancestor::label)] | //select[not(ancestor::label)]")
    assert not root.xpath("//svg[not(@aria-label) and not(@aria-hidden) and not(ancestor::svg)]")
    assert root.get("lang") == "en"


def test_the_page_asks_for_nothing_from_outside() -> None:
    text = render_report("html", make_up_run(60))
    root = markup.document_fromstring(text)

    assert not root.xpath("//@src | //link | //iframe | //object | //img | //form | //base")
    assert all(address.startswith("#") for address in root.xpath("//@href"))
    assert not re.search(r"url\(|@import", "".join(texts(root, "//style")))
    assert not root.xpath("//@style")
    assert not [name for name in root.xpath("//@*") if name.attrname.startswith("on")]


def test_the_policy_allows_exactly_the_style_and_the_script_of_the_page() -> None:
    root = read(make_up_run(6))
    policy = root.xpath("string(//meta[@http-equiv='Content-Security-Policy']/@content)")

    def allowed(element: Any) -> str:
        return f"'sha256-{b64encode(sha256(element.text.encode()).digest()).decode()}'"

    (style,) = root.xpath("//style")
    (script,) = root.xpath("//script[not(@type)]")
    assert policy == (
        f"default-src 'none'; style-src {allowed(style)}; script-src {allowed(script)}; "
        "base-uri 'none'; form-action 'none'"
    )


def test_the_embedded_targets_are_those_of_the_run() -> None:
    source = make_up_run(300, stopped=True)

    found = rows(read(source))

    assert [(row["id"], row["outcome"], row["reason"]) for row in found] == [
        (target.id, target.outcome.value, target.reason) for target in source.targets()
    ]
    assert [len(row["attempts"]) for row in found] == [len(target.attempts) for target in source.targets()]


def test_above_the_cap_targets_that_are_not_down_stay_and_the_page_counts_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(html, "MAX_TARGETS", 200)
    source = make_up_run(300, stopped=True)
    trouble = [target.id for target in source.trouble()]

    root = read(source)

    found = rows(root)
    assert len(found) == len({row["id"] for row in found}) == 200
    assert [row["id"] for row in found[: len(trouble)]] == trouble
    (note,) = texts(
        root, "//p[@class='note' and contains(., 'report.csv has all of them.') and not(parent::noscript)]"
    )
    assert note.startswith(f"This page holds 200 of 300 targets: {len(trouble)} that are not down first")
    assert "100 are left out" in note


def test_more_trouble_than_the_cap_is_cut_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(html, "MAX_TARGETS", 20)
    source = make_up_run(300, stopped=True)

    root = read(source)

    assert [row["id"] for row in rows(root)] == [target.id for target in source.trouble()][:20]
    assert any("20 that are not down first" in text for text in texts(root, "//p[@class='note']"))


def test_a_run_without_targets_is_a_page_too() -> None:
    root = read(FakeReportSource((), build_run()))

    assert texts(root, "//h1") == ["The run had no targets."]
    assert rows(root) == []


def test_hostile_texts_stay_texts() -> None:
    text = render_report("html", make_hostile_run())
    root = markup.document_fromstring(text)

    assert len(root.xpath("//script")) == 2
    assert text.count("<script") == text.count("</script>") == 2
    assert not root.xpath("//img")
    assert [row["attempts"][0][4] for row in rows(root)] == [row["attempts"][0][5] for row in rows(root)]
    assert [row["id"] for row in rows(root)] == [f"roma-eu/{hostile_text}" for hostile_text in HOSTILE]
    assert "{{ 7 * 7 }}" in text
    shown = "".join(root.xpath("//main//text()[not(ancestor::script)]"))
    assert not re.search(r"[\x00-\x08\x0b-\x1f\u202e\u2028]", shown)
    assert "\\u202egnp.exe" in shown


LIGHT, DARK = 0, 1
TEXT = ("--ink", "--quiet", "--faint", "--link", "--failed-ink", "--unknown-ink", "--good-ink")
FIGURES = (
    "--undeployed", "--already", "--failed", "--unknown", "--not-started", "--focus", "--bound", "--sent",
    "--refused", "--flying",
)  # fmt: skip
PAIRS = [
    *((name, "--paper", 4.5) for name in TEXT),
    *((name, "--wash", 4.5) for name in ("--ink", "--quiet")),
    *((name, "--paper", 3.0) for name in FIGURES),
]


@pytest.mark.parametrize("scheme", [LIGHT, DARK])
@pytest.mark.parametrize(("front", "back", "least"), PAIRS)
def test_colours_have_contrast_in_both_schemes(scheme: int, front: str, back: str, least: float) -> None:
    style = read(make_up_run(1)).xpath("string(//style)")
    colours = dict(re.findall(r"(--[a-z-]+): (#[0-9a-f]{6});", style.split(":root {")[scheme + 1]))

    lighter, darker = sorted((luminance(colours[front]), luminance(colours[back])), reverse=True)

    assert (lighter + 0.05) / (darker + 0.05) >= least


def luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
