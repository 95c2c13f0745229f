"""A restore in the reports: the same formats, its own words."""

from __future__ import annotations

import json
import re
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from lxml import html as markup  # type: ignore[import-untyped]
from msgspec.structs import replace

from orchestrator.display.summary import choose_headings, list_counts
from orchestrator.model.outcome import Outcome
from orchestrator.model.reading import Act
from orchestrator.report.advice import advise
from orchestrator.report.headline import compose_headline
from orchestrator.report.values import (
    GatewayReport,
    LatencyPercentiles,
    Report,
    RestoreOutlook,
    RestoreReport,
    Totals,
    UnrestorableTargets,
)
from tests.support.made_up_runs import FakeReportSource, build_attempt, build_run, build_target, render_report

PARENT = "20261122-190003-7f3a"
RESTORE = replace(build_run(), id="20261123-010000-restore-7f3b", act="restore", parent=PARENT)
AGAIN = f"undeploy restore {PARENT}"
ONCE_MORE = "Once the causes are mended, another restore deploys what is not up yet, and nothing else:"
AFTER = (
    "1 was not started, because a target that it comes after is not deployed again: see to that one first."
)
UNSEEN = "down or in doubt: no look had seen"
SKIPPED = "skipped: its front-end API would get a new id; --accept new-front-end-id brings it back"


def attempts(status: int = 200) -> tuple[Any, ...]:
    return (
        build_attempt(1, 200, act=Act.LOOK),
        build_attempt(2, status, act=Act.DEPLOY, after=1),
        build_attempt(3, 200, act=Act.LOOK, after=2),
    )


def build_source(run: Any = RESTORE, **more: Any) -> FakeReportSource:
    targets = (
        *(
            build_target(f"roma-eu/{n}", Outcome.RESTORED, evidence="look", attempts=attempts())
            for n in range(3)
        ),
        build_target("roma-eu/4", Outcome.ALREADY_DEPLOYED, evidence="look", attempts=attempts()[:1]),
        build_target("roma-eu/5", Outcome.FAILED, "refused: APIG.3479 differs", attempts=attempts(409)[:2]),
        build_target("roma-eu/6", Outcome.NOT_STARTED, SKIPPED),
    )
    made = FakeReportSource(targets, run)
    made.report = replace(made.report, **more)
    return made


def report(run: dict[str, Any] | None = None, **more: Any) -> Report:
    counts = {name: more.pop(name) for name in tuple(more) if name in Totals.__struct_fields__}
    totals = Totals(targets=sum(counts.values()), **counts)
    gateway = GatewayReport(
        name="roma-eu", kind="roma", totals=totals, seconds=LatencyPercentiles(), lane="open"
    )
    return Report(run=replace(RESTORE, **(run or {})), totals=totals, gateways=(gateway,), waves=(), **more)


@pytest.mark.parametrize(
    ("counts", "sentence"),
    [
        ({"restored": 9}, "All 9 targets are deployed again."),
        ({"restored": 7, "already_deployed": 2}, "All 9 targets are deployed again; 2 already were."),
        ({"restored": 1}, "The one target is deployed again."),
        ({"failed": 1}, "The one target is not deployed again; 1 failed."),
        ({"failed": 2, "unknown": 1}, "None of 3 targets is deployed again; 2 failed, 1 is unknown."),
        ({"restored": 1, "failed": 2}, "1 of 3 targets is deployed again; 2 failed."),
        (
            {"restored": 3, "not_started": 4, "kept_out": {"skipped": 4}},
            "3 of 7 targets are deployed again; 4 skipped.",
        ),
        ({}, "The run had no targets."),
    ],
)
def test_how_a_restore_ended_in_one_sentence(counts: dict[str, Any], sentence: str) -> None:
    assert compose_headline(report(**counts)) == sentence


@pytest.mark.parametrize(
    ("fields", "wanted"),
    [
        ({"restored": 3}, [("Nothing is left to do.", "")]),
        (
            {
                "restored": 3,
                "not_started": 2,
                "kept_out": {"skipped": 2},
                "unaccepted": ("new-front-end-id", "unpublished-edits"),
                "accepted": ("missing-history",),
            },
            [
                (
                    "2 were left out, because they would not come back as they were. To accept that:",
                    f"{AGAIN} --accept missing-history --accept new-front-end-id --accept unpublished-edits",
                )
            ],
        ),
        (
            {"restored": 3, "failed": 1, "accepted": ("new-front-end-id",)},
            [
                ("Read why 1 failed; a resume does not repeat it.", ""),
                (
                    ONCE_MORE,
                    f"{AGAIN} --accept new-front-end-id",
                ),
            ],
        ),
        (
            {"restored": 3, "not_started": 1, "dependent": 1},
            [
                (AFTER, ""),
                (
                    ONCE_MORE,
                    AGAIN,
                ),
            ],
        ),
        (
            {"restored": 3, "failed": 1, "brings_back": 2},
            [
                ("Read why 1 failed; a resume does not repeat it.", ""),
                (ONCE_MORE, f"{AGAIN} --chain"),
            ],
        ),
        ({"restored": 3, "unseen": 1}, [(f"1 more stays as it is, {UNSEEN} it deployed before.", "")]),
        ({"restored": 3, "unseen": 2}, [(f"2 more stay as they are, {UNSEEN} them deployed before.", "")]),
        (
            {"restored": 3, "not_started": 1, "run": {"state": "interrupted", "exit_status": 130}},
            [("Go on where it ended; what is unknown is looked at first:", f"undeploy resume {RESTORE.id}")],
        ),
    ],
)
def test_what_to_do_after_a_restore(fields: dict[str, Any], wanted: list[tuple[str, str]]) -> None:
    assert [(step.text, step.command) for step in advise(report(**fields))] == wanted


def test_an_undeploy_run_names_its_way_back() -> None:
    back = RestoreOutlook(undeployed=2, restorable=2)
    done = report({"act": "undeploy", "parent": None, "id": PARENT}, undeployed=2, restore_outlook=back)
    one = replace(done, restore_outlook=RestoreOutlook(undeployed=1, restorable=1))
    stopped = replace(done, run=replace(done.run, state="stopped"))

    assert [(step.text, step.command) for step in advise(done)] == [
        ("Nothing is left to do.", ""),
        ("To bring back the 2 that this run took down, when the time comes:", f"undeploy restore {PARENT}"),
    ]
    assert "the one that this run took down" in advise(one)[-1].text
    assert "restore" not in " ".join(step.command for step in advise(stopped))


@pytest.mark.parametrize(
    ("back", "wanted"),
    [
        (
            RestoreOutlook(
                undeployed=297,
                restorable=294,
                unrestorable=(UnrestorableTargets("the gateway answered 503", 3),),
            ),
            [
                "3 cannot be brought back by a restore, since the gateway answered 503.",
                "To bring back 294 of the 297 that this run took down, when the time comes:",
            ],
        ),
        (
            RestoreOutlook(doubtful=2, doubtful_restorable=2),
            ["To bring back the 2 that may have gone down, when the time comes:"],
        ),
        (
            RestoreOutlook(
                undeployed=9,
                restorable=8,
                doubtful=1,
                doubtful_restorable=1,
                unrestorable=(UnrestorableTargets("nobody looked", 1),),
            ),
            [
                "1 cannot be brought back by a restore, since nobody looked.",
                (
                    "To bring back 8 of the 9 that this run took down and the one that may have gone down, "
                    "when the time comes:"
                ),
            ],
        ),
        (
            RestoreOutlook(undeployed=2, unrestorable=(UnrestorableTargets("nobody looked", 2),)),
            ["2 cannot be brought back by a restore, since nobody looked."],
        ),
        (RestoreOutlook(), []),
    ],
)
def test_the_advice_counts_both_restorable_and_unrestorable_targets(
    back: RestoreOutlook, wanted: list[str]
) -> None:
    done = report(
        {"act": "undeploy"}, undeployed=back.undeployed, unknown=back.doubtful, restore_outlook=back
    )

    assert [
        step.text for step in advise(done) if "bring back" in step.text or "brought" in step.text
    ] == wanted


@pytest.mark.parametrize(
    ("counts", "up", "sentence"),
    [
        ({"undeployed": 40}, {"undeployed": 40}, "All 40 targets are up again."),
        ({"undeployed": 1}, {"undeployed": 1}, "The one target is up again."),
        (
            {"undeployed": 38, "not_started": 2},
            {"undeployed": 38},
            "38 of 40 targets are up again; 2 were not started.",
        ),
        ({"undeployed": 40}, {"undeployed": 38}, "2 of 40 targets are down; 38 are up again."),
        (
            {"undeployed": 5, "unknown": 3, "failed": 2},
            {"undeployed": 4, "unknown": 2, "failed": 1},
            "1 of 10 targets is down; 7 are up again, 1 failed, 1 is unknown.",
        ),
    ],
)
def test_targets_that_a_restore_brought_back_do_not_count_as_down(
    counts: dict[str, int], up: dict[str, int], sentence: str
) -> None:
    assert compose_headline(report({"act": "undeploy"}, up_again=up, **counts)) == sentence


def test_a_run_says_which_restore_has_begun_and_how_it_is_resumed() -> None:
    begun = RestoreReport(id=RESTORE.id, begun=RESTORE.started, live=True)
    run = {"act": "undeploy", "id": PARENT, "state": "interrupted", "exit_status": 130}
    found = report(run, undeployed=38, not_started=2, up_again={"undeployed": 38}, restores=(begun,))

    told = [(step.text, step.command) for step in advise(found)]
    assert told[0] == (
        f"Restore {RESTORE.id} began on 2026-11-22 19:00:03 UTC, and goes on: 38 of 40 are up again.",
        "",
    )
    assert told[1][1] == f"undeploy resume {PARENT} --after-restore"
    assert told[1][0].startswith("A restore has begun, so only if the rest shall still go down: go on where")


def test_the_screen_s_columns_are_the_act_s() -> None:
    found = build_source().report

    assert choose_headings(found)[:4] == ("", "targets", "restored", "already")
    assert list_counts(found) == [("roma-eu", "6", "3", "1", "1", "0", "1", "12", "0")]


def test_the_json_has_the_act_s_two_counts_in_the_place_of_the_others() -> None:
    found = json.loads(render_report("json", build_source()))

    for totals in (found["totals"], found["gateways"][0]["totals"], found["waves"][0]["totals"]):
        assert list(totals)[:4] == ["targets", "restored", "already_deployed", "failed"]
        assert (totals["restored"], totals["already_deployed"]) == (3, 1)
        assert not {"undeployed", "already_undeployed"} & totals.keys()
    assert (found["run"]["act"], found["run"]["parent"]) == ("restore", PARENT)
    assert found["targets"][0]["attempts"][1]["act"] == "deploy"


def test_the_ticket_says_what_came_back_and_of_which_run() -> None:
    text = render_report("markdown", build_source(accepted=("new-front-end-id",)))

    assert text.startswith(
        f"# orders-retirement: restore run `{RESTORE.id}`\n\n**4 of 6 targets are deployed"
    )
    assert f"| Parent | `{PARENT}` |" in text
    assert "| Accepted | `new-front-end-id` |" in text
    assert "| targets | restored | already deployed | failed |" in text
    assert "## What is not deployed again, by cause" in text
    assert "| targets | restored | already | failed |" in text


def test_the_page_says_so_too() -> None:
    root = markup.document_fromstring(render_report("html", build_source(accepted=("new-front-end-id",))))

    def texts(path: str) -> list[str]:
        return [" ".join(element.text_content().split()) for element in root.xpath(path)]

    assert texts("//h1") == ["4 of 6 targets are deployed again; 1 already was, 1 failed, 1 was not started."]
    assert texts("//div[contains(@class, 'tile')]")[:3] == ["restored 3", "already deployed 1", "failed 1"]
    facts = texts("//dl[@class='facts']/*")
    told = dict(zip(facts[::2], facts[1::2], strict=True))
    assert (told["Parent"], told["Accepted"]) == (PARENT, "new-front-end-id")
    assert texts("//h2[@id='causes']") == ["What is not deployed again, by cause"]
    assert "p50 · p95 · p99 of deploys" in texts("//th")
    assert {"Restored", "Already"} <= set(texts("//th"))
    assert root.xpath("//rect[@class='fill-restored']")
    body = re.sub(r"<(style|script)>.*?</\1>", "", render_report("html", build_source()), flags=re.DOTALL)
    assert "undeploy" not in re.sub(r"undeploy (report|restore|resume)", "", body)


@pytest.mark.parametrize("part", ["page.css", "page.js"])
@pytest.mark.parametrize("outcome", list(Outcome))
def test_every_outcome_has_its_colour_and_its_place(outcome: Outcome, part: str) -> None:
    text = render_report("html", build_source())
    kind = "style" if part == "page.css" else "script"
    (source,) = re.findall(rf"<{kind}>(.*?)</{kind}>", text, flags=re.DOTALL)

    told = rf"\.fill-{outcome}[ ,]" if kind == "style" else f'"{outcome}"'
    assert re.search(told, source)


def test_a_spreadsheet_and_a_ci_server_get_the_same_words() -> None:
    suite = ET.fromstring(render_report("junit", build_source())).find("testsuite")
    assert suite is not None
    properties = {one.get("name"): one.get("value") for one in suite.iter("property")}

    assert (properties["act"], properties["parent"]) == ("restore", PARENT)
    assert [case.find("failure") is not None for case in suite.iter("testcase")] == [
        *[False] * 4,
        True,
        False,
    ]
    assert render_report("csv", build_source()).count(",restored,") == 3


def test_an_undeploy_run_tells_how_many_were_seen_before() -> None:
    made = build_source(replace(RESTORE, act="undeploy", parent=None), snapshots=5)

    assert "| Snapshots | 5 of 6 targets |" in render_report("markdown", made)
    assert "5 of 6 targets</dd>" in render_report("html", made)
    assert "Snapshots" not in render_report("markdown", build_source())


def advise_in_part(in_part: int, accepted: int) -> tuple[str, ...]:
    """Return the headline and the steps of a restore of ten targets, of which four failed."""
    totals = Totals(targets=10, restored=6, failed=4)
    report = replace(build_source().report, kept_out={}, totals=totals)
    report = replace(report, in_part=in_part, accepted_losses=accepted)
    return (compose_headline(report), *(step.text for step in advise(report)))


def test_what_is_deployed_and_not_whole_is_told_apart_from_what_is_down() -> None:
    missing = ONCE_MORE.replace(", and", ", creates what is missing, and")
    lost = "4 are deployed without what you accepted to lose: no restore brings that back."
    why = "Read why 4 failed; a resume does not repeat them."
    share = "6 of 10 targets are deployed again"

    assert advise_in_part(0, 0) == (f"{share}; 4 failed.", why, ONCE_MORE)
    assert advise_in_part(4, 0) == (f"{share}; 4 failed (deployed, but not whole).", why, missing)
    assert advise_in_part(3, 0)[0] == f"{share}; 4 failed (3 of them deployed, but not whole)."
    assert advise_in_part(4, 4)[1:] == (lost,)
