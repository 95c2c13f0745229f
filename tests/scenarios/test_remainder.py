"""What one run leaves, another one takes up: over real sockets, judged by the platforms' own books."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from orchestrator.simulator.exchange import FaultKind
from orchestrator.simulator.faults import InjectedFault
from tests.support.stage import Stage, apim_id, kill, roma_id

pytestmark = pytest.mark.long("runs are processes of their own")

HANGS = InjectedFault(kind=FaultKind.HANG, times=0)


def _chain(stage: Stage) -> dict[str, Any]:
    ended = stage.undeploy("report", "latest", "--chain")
    assert ended.status == 0, ended.err
    found: dict[str, Any] = json.loads(ended.out)
    return found


def _assert_each_once_and_true(stage: Stage, report: dict[str, Any]) -> None:
    books = stage.platform.books()
    assert [target["id"] for target in report["targets"]] == stage.ids
    for target in report["targets"]:
        facts, down = books.targets[target["id"]], target["outcome"] in ("undeployed", "already_undeployed")
        assert facts.down if down else target["outcome"] == "unknown" or not facts.down, target
        assert sum(attempt["act"] == "undeploy" for attempt in target["attempts"]) >= facts.undeploys
        assert [attempt["number"] for attempt in target["attempts"]] == [
            *range(1, len(target["attempts"]) + 1)
        ]
    assert report["totals"]["requests"] >= books.requests


def _go_on(stage: Stage) -> None:
    assert stage.undeploy("remainder", "latest", "-o", "rest.yaml", "--force").status == 0
    checked = stage.undeploy("check", "rest.yaml")
    assert checked.status == 0, checked.err
    ran = stage.undeploy("run", "rest.yaml", "--yes")
    assert ran.status == 0, ran.err


def test_after_a_stop_rule(staged: Callable[..., Stage]) -> None:
    stage = staged(30, 4)
    stage.expect({roma_id(number): ("403",) for number in range(12)})
    plan = stage.write_plan(top="stop_when: {failed: 5}", waves=True)
    assert stage.undeploy("run", plan, "--yes").status == 4
    stage.expect()
    _go_on(stage)
    report = _chain(stage)

    _assert_each_once_and_true(stage, report)
    assert report["totals"]["undeployed"] == len(stage.ids)
    assert len(report["chain"]) == 2


def test_after_a_kill(staged: Callable[..., Stage]) -> None:
    stage = staged(12, 4)
    stage.expect({roma_id(3): (HANGS,)})
    with stage.started("run", stage.write_plan(), "--yes") as process:
        stage.wait_for_requests(10, process)
        live = stage.undeploy("remainder", "latest")
        kill(process)
    stage.settled()
    stage.expect()
    assert (live.status, live.out) == (2, "")
    assert "is going on" in live.err
    _go_on(stage)
    report = _chain(stage)

    _assert_each_once_and_true(stage, report)
    assert report["totals"]["failed"] + report["totals"]["unknown"] + report["totals"]["not_started"] == 0


def test_over_three_windows_with_what_still_fails(staged: Callable[..., Stage]) -> None:
    stage = staged(6, 3)
    stage.expect({roma_id(1): ("403",) * 9, apim_id(2): ("403",), roma_id(4): ("403",)})
    assert stage.undeploy("run", stage.write_plan(top="stop_when: {failed: 99}"), "--yes").status == 1
    assert stage.undeploy("remainder", "latest", "-o", "second.yaml").status == 0
    second = stage.undeploy("run", "second.yaml", "--yes")
    assert second.status in (1, 4), second.err
    report = _chain(stage)
    _assert_each_once_and_true(stage, report)
    assert {target["id"] for target in report["targets"] if target["outcome"] == "failed"} == {roma_id(1)}
    stage.expect()
    _go_on(stage)
    report = _chain(stage)

    _assert_each_once_and_true(stage, report)
    assert [each["totals"]["targets"] for each in report["chain"]] == [9, 3, 1]
    assert report["totals"]["undeployed"] == 9


@pytest.mark.parametrize("form", ["junit", "html", "markdown", "csv"])
def test_the_other_formats_of_a_chain(staged: Callable[..., Stage], form: str) -> None:
    stage = staged(3, 0)
    stage.expect({roma_id(1): ("403",)})
    stage.undeploy("run", stage.write_plan(top="stop_when: {failed: 99}"), "--yes")
    stage.expect()
    _go_on(stage)
    ended = stage.undeploy("report", "latest", "--chain", "--format", form)

    assert ended.status == 0, ended.err
    assert ("All 3 targets are down" if form == "markdown" else roma_id(1)) in ended.out
