"""The use of targets as the three forms of a preview tell it, and its exit status."""

from __future__ import annotations

import json
import re

import pytest
from msgspec.structs import replace

from orchestrator.commands.terminal.preview import choose_exit_status
from orchestrator.errors import ExitStatus
from orchestrator.model.reading import Verdict
from orchestrator.model.usage import Usage
from orchestrator.preview.assessment import AssessedPreview, assess_preview
from orchestrator.preview.json import render_json
from orchestrator.preview.lines import render_before_question, render_lines
from orchestrator.preview.markdown import render_markdown
from orchestrator.preview.states import SeenTarget
from tests.preview.test_states import PLAN, make_preview, make_seen


def make_used(seq: int, verdict: Verdict = Verdict.UP, **usage: object) -> SeenTarget:
    return replace(make_seen(seq, verdict), usage=Usage(hours=72, **usage))


def assess(*seen_targets: SeenTarget, hours: float | None = 72) -> AssessedPreview:
    return assess_preview(PLAN, make_preview(*seen_targets, hours=hours), guarded=False)


MIXED = assess(
    make_used(1, calls=0, callers=("old-app",)),
    make_used(2, calls=1204, callers=("web-shop", "billing", "c", "d"), more_callers=2),
    make_used(3, why="APIG.1005 No *permissions*", callers_unread="APIG.1005 No *permissions*"),
    make_used(4, calls=98_765, is_open=True),
    make_seen(5, Verdict.DOWN),
)


def test_the_most_used_come_first_and_what_is_not_told_is_never_0() -> None:
    for render in (render_lines, render_before_question):
        lines = list(render(MIXED))
        at = lines.index("will change: 4")
        rows = [re.split(r"  +", line.strip()) for line in lines[at + 1 : at + 6]]
        assert [(row[0][-1], *row[1:3]) for row in rows] == [
            ("t", "calls in 72 h", "who may call"),
            ("4", "98,765", "anybody"),
            ("2", "1,204", "web-shop, billing, c and 3 more"),
            ("3", "not told", "not told"),
            ("1", "0", "old-app"),
        ]
        assert "in use    2 of 4 targets were called in 72 h, 99,969 times; of 1 it is not told" in lines
        told = [line for line in lines if "not told: APIG.1005" in line]
        assert [line.partition("roma: ")[2].partition(":")[0] for line in told] == [
            "the calls of 1 target are not told",
            "who may call 1 target is not told",
        ]


def test_markdown_has_a_table_of_the_use() -> None:
    text = "\n".join(render_markdown(MIXED))

    assert "| target | calls in 72 h | who may call | state |" in text
    assert re.search(r"\| `roma/0+2` \| 1,204 \| web-shop, billing, c and 3 more \| `deployed` \|", text)
    assert "| In use | 2 of 4 targets were called in 72 h, 99,969 times; of 1 it is not told |" in text
    assert r"No \*permissions\*" in text


def test_json_has_the_use_of_each_target_and_the_sum() -> None:
    found = json.loads("\n".join(render_json(MIXED)))

    assert found["usage"] == {"hours": 72, "targets": 4, "in_use": 2, "calls": 99_969, "not_told": 1}
    assert found["targets"][2]["usage"] == {
        "hours": 72,
        "calls": None,
        "why": "APIG.1005 No *permissions*",
        "callers": [],
        "more_callers": 0,
        "callers_unread": "APIG.1005 No *permissions*",
        "is_open": False,
    }
    assert found["targets"][4]["usage"] is None
    assert [warning["kind"] for warning in found["warnings"]].count("usage") == 2


@pytest.mark.parametrize(
    ("usage", "status"),
    [
        ({"calls": 0}, ExitStatus.DONE),
        ({"calls": 5, "is_open": True, "callers_unread": "401"}, ExitStatus.DONE),
        ({"why": "401"}, ExitStatus.UNFINISHED),
        ({"calls": 0, "callers_unread": "401"}, ExitStatus.UNFINISHED),
    ],
)
def test_an_exit_status_of_0_says_that_all_could_be_read(
    usage: dict[str, object], status: ExitStatus
) -> None:
    assert choose_exit_status(assess(make_used(1, **usage))) is status


def test_without_the_question_nothing_is_said_of_use() -> None:
    shown = assess(make_seen(1), hours=None)
    text = "\n".join((*render_lines(shown), *render_markdown(shown)))

    assert "calls" not in text
    assert "in use" not in text
    assert json.loads("\n".join(render_json(shown)))["usage"] is None


def test_many_causes_stay_few_warnings() -> None:
    shown = assess(*(make_used(number, why=f"request {number}") for number in range(30)))

    assert sum(warning.kind == "usage" for warning in shown.warnings) == 5


def test_those_in_use_that_would_go_down_are_warned_of_the_most_used_first() -> None:
    (warning,) = (one for one in MIXED.warnings if one.kind == "in_use")

    assert warning.text.startswith("2 targets in use would go down: ask those who call them")
    assert [name[-1] for name in warning.targets] == ["4", "2"]
    plan = replace(PLAN, in_use="refuse")
    refused = assess_preview(plan, MIXED.preview, guarded=False)
    assert "in_use" not in {one.kind for one in refused.warnings}
