"""A window that opens soon, and one that closes: judged by when requests arrive."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from orchestrator.model.reading import Act
from tests.support.stage import Stage

pytestmark = pytest.mark.long("waits for windows on the real clock")


def _window(opens: float, closes: float) -> str:
    return "/".join(datetime.fromtimestamp(at, UTC).isoformat() for at in (opens, closes))


def test_who_waits_begins_when_the_window_opens(staged: Callable[..., Stage]) -> None:
    stage = staged(6, 4)
    plan = stage.write_plan()
    early = stage.undeploy("run", plan, "--yes", "--window", _window(time.time() + 60, time.time() + 600))
    opens = time.time() + 2
    waited = stage.undeploy("run", plan, "--yes", "--wait", "--window", _window(opens, opens + 600))
    arrivals = [seen.at for seen in stage.list_requests()]

    assert (early.status, early.out) == (2, "")
    assert "--wait waits for it" in early.err
    assert waited.status == 0, waited.err
    assert len(arrivals) == 10
    assert opens <= min(arrivals) < opens + 5
    stage.assert_truth()


@pytest.mark.promise(7)
def test_what_could_not_end_in_the_window_is_not_begun(staged: Callable[..., Stage]) -> None:
    stage = staged(150, 120, latency=0.2)
    plan = stage.write_plan(
        roma="timeout: 2s, limits: {concurrency: 3}", apim="timeout: 1s, limits: {concurrency: 3}"
    )
    closes = time.time() + 6
    ended = stage.undeploy("run", plan, "--yes", "--window", _window(closes - 100, closes))
    left = [reason for name, reason in stage.reasons().items() if stage.outcomes()[name] == "not_started"]

    assert ended.status == 4, ended.err
    for gateway, timeout in (("roma-eu", 2.0), ("apim", 1.0)):
        arrivals = [seen.at for seen in stage.list_requests() if seen.gateway == gateway]
        assert max(arrivals, default=0.0) < closes - timeout + 0.1
    assert len(left) > 20
    assert all(reason == "window: one timeout no longer fits before it closes" for reason in left)
    assert stage.report()["run"]["stopped_by"] == "window"
    for place in stage.report()["gateways"]:
        [warning] = [text for text in place["warnings"] if "lets nothing of it start" in text]
        assert warning.endswith(f"; {place['totals']['not_started']} targets were left")
    stage.assert_truth()


@pytest.mark.promise(7)
def test_a_gateway_whose_timeout_does_not_fit_is_named_by_preview_run_and_report(
    staged: Callable[..., Stage],
) -> None:
    """The shortest timeout of all would say that it fits, and half of the targets could not even start."""
    stage = staged(4, 3)
    plan = stage.write_plan(roma="timeout: 2s", apim="timeout: 150s")
    closes = time.time() + 60
    hours = ("--window", _window(closes - 100, closes))
    preview = stage.undeploy("preview", plan, *hours)
    told = json.loads(stage.undeploy("preview", plan, *hours, "--format", "json").out)
    ended = stage.undeploy("run", plan, "--yes", *hours)
    gateways = {gateway["name"]: gateway for gateway in stage.report()["gateways"]}
    starts = datetime.fromtimestamp(closes - 150, UTC)

    assert "it does not fit" in preview.out
    assert "apim: the window lets nothing of it start after" in preview.out
    assert "at least 3 targets cannot start" in preview.out
    assert told["forecast"]["fits"] is False
    assert {one["name"]: one["late"] for one in told["forecast"]["gateways"]} == {"roma-eu": 0, "apim": 3}
    assert ended.status == 4, ended.err
    assert f"apim: the window lets nothing of it start after {starts:%Y-%m-%d %H:%M:%S} UTC" in ended.err
    assert {seen.gateway for seen in stage.list_requests() if seen.act is Act.UNDEPLOY} == {"roma-eu"}
    assert gateways["roma-eu"]["totals"]["undeployed"] == 4
    [warning] = gateways["apim"]["warnings"]
    assert "one timeout (150 s) no longer fits before it closes" in warning
    assert gateways["roma-eu"]["warnings"] == []


def test_a_gateway_with_nothing_left_does_not_let_a_session_begin_in_vain(
    staged: Callable[..., Stage],
) -> None:
    stage = staged(2, 2)
    plan = stage.write_plan(roma="timeout: 2s", apim="timeout: 150s")
    closes = time.time() + 60
    hours = ("--window", _window(closes - 100, closes), "--only", "apim/**")
    ended = stage.undeploy("run", plan, "--yes", *hours)

    assert (ended.status, ended.out) == (2, "")
    assert "one timeout (150 s) no longer fits" in ended.err
    assert stage.list_requests() == []
