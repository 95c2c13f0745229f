"""``preview --usage`` and ``discover --unused``, over real sockets."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

import pytest

from tests.scenarios.test_discover import assert_harmless, discover, found
from tests.scenarios.test_in_use import use
from tests.support.stage import Stage, roma_id

pytestmark = pytest.mark.long("previews and searches are processes of their own")


def test_a_preview_names_the_callers_and_sorts_by_calls(staged: Callable[..., Stage]) -> None:
    stage = staged(4, 0, roma_eu=use())
    stage.write_plan()
    ended = stage.undeploy("preview", "--usage", "plan.yaml")

    assert ended.status == 0, ended
    rows = [re.split(r"  +", line.strip())[:3] for line in ended.out.splitlines() if "  roma-eu/" in line]
    assert rows[:2] == [
        [roma_id(0), "1,204", "web-shop, billing"],
        [roma_id(2), "1", "anybody"],
    ]
    assert "in use    2 of 4 targets were called in 72 h, 1,205 times\n" in ended.out
    assert_harmless(stage)


def test_the_hours_of_a_preview_are_those_that_were_asked_for(staged: Callable[..., Stage]) -> None:
    stage = staged(4, 0, roma_eu=use())
    stage.write_plan()
    ended = stage.undeploy("preview", "plan.yaml", "--usage", "24h", "--format", "json")
    told = json.loads(ended.out)

    assert ended.status == 0, ended
    assert told["usage"] == {"hours": 24, "targets": 4, "in_use": 2, "calls": 1201, "not_told": 0}
    assert told["targets"][0]["usage"]["callers"] == ["web-shop", "billing"]


def test_a_preview_of_what_cannot_be_told_says_so_and_ends_with_1(staged: Callable[..., Stage]) -> None:
    stage = staged(3, 0, roma_eu=use(statistics="forbidden"))
    stage.write_plan()
    ended = stage.undeploy("preview", "plan.yaml", "--usage")

    assert ended.status == 1, ended
    assert "in use    0 of 3 targets were called in 72 h; of 3 it is not told\n" in ended.out
    assert "the calls of 3 targets are not told: " in ended.out


def test_a_search_takes_what_nobody_called(staged: Callable[..., Stage]) -> None:
    stage = staged(4, 0, roma_eu=use())
    ended = discover(stage, "--unused", "roma-eu")

    assert ended.status == 0, ended
    assert found(stage) == {roma_id(1), roma_id(3)}
    assert "2 called in 72 h and left out" in ended.err
    assert "# Filters: --unused 72h\n" in (stage.folder / "found.yaml").read_text()
    assert_harmless(stage)


def test_a_search_leaves_out_what_cannot_be_told_and_names_it(staged: Callable[..., Stage]) -> None:
    stage = staged(3, 1, roma_eu=use(tells_quiet_hours=False))
    ended = discover(stage, "--unused")

    assert ended.status == 1, ended
    text = (stage.folder / "found.yaml").read_text()
    assert "targets:" not in text
    assert f"{roma_id(1)} is left out: its calls are not told: the statistics hold" in text
