"""``in_use``: targets that are called stay up, over real sockets."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from orchestrator.simulator.apinizer_fixture import TrafficLogFixture
from orchestrator.simulator.bound_types import BoundFixture
from orchestrator.simulator.exchange import FaultKind
from orchestrator.simulator.faults import FaultScope, InjectedFault
from orchestrator.simulator.roma_fixture import BackendFixture
from tests.support.back import BEST
from tests.support.elasticsearch import Call, serve_log
from tests.support.stage import Stage, apim_id, backend, kill, roma_id

pytestmark = pytest.mark.long("runs are processes of their own")

REFUSE, WARN = "in_use: refuse", "in_use: warn"
CALLERS = (
    BoundFixture(type="applications", name="web-shop"),
    BoundFixture(type="applications", name="billing"),
)
BUSY = BackendFixture(calls=((1.0, 1200), (30.0, 4)), bound=CALLERS)
LONG_AGO = BackendFixture(calls=((100.0, 50),), bound=CALLERS)
ANYBODY = BackendFixture(calls=((2.0, 1),), auth_type="NONE")


def use(**fields: Any) -> dict[str, Any]:
    """Return a ROMA instance whose first APIs are in use, were used long ago, and are open to anybody."""
    about = {backend(0): BUSY, backend(1): LONG_AGO, backend(2): ANYBODY}
    return {"about": about, **fields}


def left_up(stage: Stage) -> dict[str, str]:
    """Return the reasons of the targets that have one."""
    return {name: reason for name, reason in stage.reasons().items() if reason}


def test_what_was_called_stays_up_and_its_callers_are_named(staged: Callable[..., Stage]) -> None:
    stage = staged(4, 0, roma_eu=use())
    ended = stage.undeploy("run", stage.write_plan(top=REFUSE), "--yes")

    assert ended.status == 1, ended
    assert left_up(stage) == {
        roma_id(0): "in_use: 1,204 calls in 72 h by web-shop, billing",
        roma_id(2): "in_use: 1 call in 72 h by anybody",
    }
    books = stage.platform.books()
    assert {name for name, facts in books.targets.items() if facts.undeploys} == {roma_id(1), roma_id(3)}
    stage.assert_truth()


def test_the_bound_and_the_hours_of_the_plan_hold(staged: Callable[..., Stage]) -> None:
    stage = staged(4, 0, roma_eu=use())
    ended = stage.undeploy("run", stage.write_plan(top=f"{REFUSE}\nin_use_over: 4/24h"), "--yes")

    assert ended.status == 1, ended
    assert left_up(stage) == {roma_id(0): "in_use: 1,200 calls in 24 h by web-shop, billing"}


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"statistics": "forbidden"}, "APIG.1005"),
        ({"statistics": "absent"}, "APIGW.0101"),
        ({"tells_quiet_hours": False}, "the statistics hold"),
    ],
)
def test_what_cannot_be_told_stays_up(staged: Callable[..., Stage], fields: dict[str, Any], why: str) -> None:
    stage = staged(3, 0, roma_eu=use(**fields))
    ended = stage.undeploy("run", stage.write_plan(top=REFUSE), "--yes")

    assert ended.status == 1, ended
    reasons = left_up(stage)
    assert len(reasons) == 3
    assert all(reason.startswith("in_use: cannot be told: ") and why in reason for reason in reasons.values())
    assert not any(facts.undeploys for facts in stage.platform.books().targets.values())


def test_apinizer_without_a_store_of_its_traffic_cannot_tell(staged: Callable[..., Stage]) -> None:
    stage = staged(1, 1)
    ended = stage.undeploy("run", stage.write_plan(top=REFUSE), "--yes")

    assert ended.status == 1, ended
    assert stage.reasons()[apim_id(0)].startswith("in_use: cannot be told: ")
    assert stage.outcomes()[roma_id(0)] == "undeployed"


def count_statistics(stage: Stage) -> int:
    return sum("/statistics/api" in entry.path for entry in stage.list_requests())


@pytest.mark.parametrize("sums", [False, True])
def test_the_owner_of_the_account_reads_the_whole_instance_at_once(
    staged: Callable[..., Stage], sums: bool
) -> None:
    stage = staged(40, 0, roma_eu={"statistics": "owner", "sums_instance": sums})
    ended = stage.undeploy("run", stage.write_plan(top=REFUSE), "--yes")

    assert ended.status == 0, ended
    assert count_statistics(stage) == 1


def test_a_sum_that_names_no_api_sends_for_each(staged: Callable[..., Stage]) -> None:
    stage = staged(6, 0, roma_eu=use(statistics="owner", sums_instance=True))
    ended = stage.undeploy("run", stage.write_plan(top=REFUSE), "--yes")

    assert ended.status == 1, ended
    assert count_statistics(stage) == 7
    assert set(left_up(stage)) == {roma_id(0), roma_id(2)}


def test_a_warning_stands_on_the_screen_and_in_the_report(staged: Callable[..., Stage]) -> None:
    stage = staged(3, 0, roma_eu=use())
    ended = stage.undeploy("run", stage.write_plan(top=WARN), "--yes")

    assert ended.status == 0, ended
    assert f"{roma_id(0)} goes down in use: 1,204 calls in 72 h by web-shop, billing" in ended.err
    (warnings,) = [
        gateway["warnings"] for gateway in stage.report()["gateways"] if gateway["name"] == "roma-eu"
    ]
    assert any("in use" in text for text in warnings)
    markdown = stage.undeploy("report", ended.run, "--format", "markdown").out
    assert "## In use" in markdown
    assert "1,204" in markdown


def test_the_remainder_keeps_what_is_in_use(staged: Callable[..., Stage]) -> None:
    stage = staged(4, 0, roma_eu=use())
    ended = stage.undeploy("run", stage.write_plan(top=f"{REFUSE}\nin_use_over: 0/72h"), "--yes")

    rest = stage.undeploy("remainder", ended.run)

    assert rest.status == 0, rest
    assert "in_use: refuse" in rest.out
    assert backend(0) in rest.out
    assert backend(3) not in rest.out


def test_a_target_that_is_down_is_not_asked_about(staged: Callable[..., Stage]) -> None:
    stage = staged(1, 0, roma_eu={"targets": (), "down": (backend(0),), **use()})
    ended = stage.undeploy("run", stage.write_plan(top=f"{REFUSE}\nstop_when: {{surprising: 100%}}"), "--yes")

    assert ended.status == 0, ended
    assert count_statistics(stage) == 0


def test_a_restore_asks_nobody(staged: Callable[..., Stage]) -> None:
    stage = staged(2, 0)
    ended = stage.undeploy("run", stage.write_plan(top=f"{BEST}\n{REFUSE}"), "--yes")
    before = count_statistics(stage)
    restored = stage.undeploy("restore", ended.run, "--yes", "--accept", "new-front-end-id")

    assert restored.status == 0, restored
    assert before > 0
    assert count_statistics(stage) == before


def test_a_rehearsal_reads_the_use_of_its_simulators(staged: Callable[..., Stage]) -> None:
    stage = staged(2, 0)
    ended = stage.undeploy("rehearse", stage.write_plan(top=REFUSE))

    assert ended.status == 0, ended


def test_show_tells_what_was_kept(staged: Callable[..., Stage]) -> None:
    stage = staged(3, 0, roma_eu=use())
    ended = stage.undeploy("run", stage.write_plan(top=REFUSE), "--yes")

    shown = json.loads(stage.undeploy("show", ended.run, roma_id(0), "--format", "json").out)

    assert shown["reason"].startswith("in_use: 1,204 calls")
    assert (shown["usage"]["calls"], shown["usage"]["callers"]) == (1204, ["web-shop", "billing"])
    text = stage.undeploy("show", ended.run, roma_id(0)).out
    assert "calls     1,204 calls in 72 h, read " in text
    assert "callers   web-shop, billing" in text
    unasked = stage.undeploy("show", ended.run, roma_id(1), "--format", "json").out
    assert json.loads(unasked)["usage"]["calls"] == 0


def test_a_resume_asks_again(staged: Callable[..., Stage]) -> None:
    stage = staged(4, 0, roma_eu=use())
    refused = InjectedFault(kind=FaultKind.STATUS, status=403, on=FaultScope.UNDEPLOY)
    stage.expect(script={roma_id(1): (refused,)})
    plan = stage.write_plan(top=f"{REFUSE}\nstop_when: {{failed: 0}}", roma="limits: {concurrency: 1}")
    ended = stage.undeploy("run", plan, "--yes")
    assert ended.status == 4, ended
    assert left_up(stage)[roma_id(0)].startswith("in_use: 1,204 calls")

    stage.refill(roma_eu={"about": {backend(2): ANYBODY}})
    resumed = stage.undeploy("resume", ended.run, "--past-stop")

    assert resumed.status == 1, resumed
    assert stage.outcomes()[roma_id(0)] == "undeployed"
    assert left_up(stage)[roma_id(2)] == "in_use: 1 call in 72 h by anybody"


@pytest.mark.promise(1)
def test_a_killed_run_asks_again_and_loses_no_target(staged: Callable[..., Stage]) -> None:
    stage = staged(30, 0, roma_eu=use(latency=0.02))
    plan = stage.write_plan(top=REFUSE)
    with stage.started("run", plan, "--yes") as process:
        stage.wait_for_requests(60, process)
        kill(process)

    resumed = stage.undeploy("resume", "latest")

    assert resumed.status == 1, resumed
    assert set(left_up(stage)) == {roma_id(0), roma_id(2)}
    assert [*stage.outcomes().values()].count("undeployed") == 28
    stage.assert_truth()
    stage.assert_intents()


def count_sent(stage: Stage) -> int:
    return stage.platform.books().requests


@pytest.mark.parametrize("mode", [WARN, REFUSE])
@pytest.mark.parametrize(
    ("roma", "fields"),
    [
        (8, use()),
        (8, use(statistics="owner")),
        (8, use(statistics="owner", sums_instance=True)),
        (60, use()),
        (60, {"statistics": "owner", "sums_instance": True}),
    ],
)
def test_a_preview_says_what_a_run_then_sends(
    staged: Callable[..., Stage], roma: int, fields: dict[str, Any], mode: str
) -> None:
    stage = staged(roma, 0, roma_eu=fields)
    stage.write_plan(top=f"{BEST}\n{mode}")
    seen = stage.undeploy("preview", "plan.yaml", "--format", "json")
    told = json.loads(seen.out)
    before = count_sent(stage)
    ended = stage.undeploy("run", "plan.yaml", "--yes")

    assert seen.status == 0, seen
    assert told["forecast"]["requests"] == count_sent(stage) - before
    undeploys = sum(facts.undeploys for facts in stage.platform.books().targets.values())
    assert told["forecast"]["undeploys"] == undeploys
    in_use = sum(1 for name in (0, 2) if fields.get("about")) if mode == REFUSE else 0
    assert undeploys == roma - in_use
    assert ended.status == int(in_use > 0)


def test_a_preview_names_the_calls_and_who_stays_up(staged: Callable[..., Stage]) -> None:
    stage = staged(4, 0, roma_eu=use())
    seen = stage.undeploy("preview", stage.write_plan(top=REFUSE))

    assert seen.status == 0, seen
    lines = seen.out.splitlines()
    assert any("by in_use: refuse 2 targets stay up" in line for line in lines)
    busy = next(line for line in lines if line.strip().startswith(roma_id(0)))
    assert "1,204" in busy
    assert "web-shop, billing" in busy


def test_a_preview_of_a_plan_that_ignores_the_use_reads_none(staged: Callable[..., Stage]) -> None:
    stage = staged(4, 0, roma_eu=use())
    assert stage.undeploy("preview", stage.write_plan()).status == 0

    assert count_statistics(stage) == 0


def test_a_chain_of_runs_tells_the_newest_use_of_each_target(staged: Callable[..., Stage]) -> None:
    stage = staged(4, 0, roma_eu=use())
    ended = stage.undeploy("run", stage.write_plan(top=REFUSE), "--yes")
    stage.undeploy("remainder", ended.run, "-o", "rest.yaml")
    stage.refill(roma_eu={"about": {backend(2): ANYBODY}})
    rest = stage.undeploy("run", "rest.yaml", "--yes")
    assert rest.status == 1, rest

    told = stage.undeploy("report", rest.run, "--chain", "--format", "markdown").out

    assert "1 of 4 targets was called in 72 h, once." in told
    assert "1,204" not in told


def test_a_proxy_in_the_traffic_log_stays_up(staged: Callable[..., Stage]) -> None:
    now = time.time()
    old = [Call(now - 400 * 3600, "test", "Retail", "proxy-1")]
    records = [*old, *(Call(now - age, "test", "Retail", "proxy-0") for age in range(1, 1205))]
    stage = staged(0, 2)
    with serve_log(records) as log:
        store = f"url: '{log.url}', index: 'apinizer-log-apiproxy-*'"
        plan = stage.write_plan(top=REFUSE, apim=f"usage: {{elasticsearch: {{{store}}}}}")
        ended = stage.undeploy("run", plan, "--yes")

    assert ended.status == 1, ended
    ((name, why),) = left_up(stage).items()
    assert name == apim_id(0)
    assert why.startswith("in_use: 1,204 calls in 72 h; who may call now: not told: the access report")
    books = stage.platform.books()
    assert {name for name, facts in books.targets.items() if facts.undeploys} == {apim_id(1)}
    stage.assert_truth()


def test_a_proxy_in_the_simulators_traffic_log_stays_up(staged: Callable[..., Stage]) -> None:
    calls = {"Retail/proxy-0/test": ((1.0, 1200), (30.0, 4)), "Retail/proxy-1/test": ((100.0, 50),)}
    stage = staged(0, 3, apim_fields={"traffic_log": TrafficLogFixture(calls=calls)})
    store = f"url: '{stage.platform.urls['apim']}', index: 'apinizer-log-apiproxy-*'"
    plan = stage.write_plan(top=REFUSE, apim=f"usage: {{elasticsearch: {{{store}}}}}")
    ended = stage.undeploy("run", plan, "--yes")

    assert ended.status == 1, ended
    ((name, why),) = left_up(stage).items()
    assert name == apim_id(0)
    assert why.startswith("in_use: 1,204 calls in 72 h")
    stage.assert_truth()


def test_a_proxy_stays_up_while_its_traffic_log_is_dead(staged: Callable[..., Stage]) -> None:
    stage = staged(0, 2)
    store = "url: 'http://127.0.0.1:9', index: 'apinizer-log-apiproxy-*'"
    plan = stage.write_plan(top=REFUSE, apim=f"usage: {{elasticsearch: {{{store}}}}}")
    ended = stage.undeploy("run", plan, "--yes")

    assert ended.status == 1, ended
    assert all(
        "in_use: cannot be told: the traffic log cannot tell: " in why for why in left_up(stage).values()
    )
    assert len(left_up(stage)) == 2
    assert not any(facts.undeploys for facts in stage.platform.books().targets.values())
