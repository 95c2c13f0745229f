"""A run over two zones: what it does beyond one machine, and that it does the same as on one machine."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from orchestrator.model.reading import Act
from tests.support.stage import apim_id, backend, roma_id, until
from tests.support.zones import EAST, WEST, ZoneStage

pytestmark = [
    pytest.mark.long("workers, drivers and a server are processes of their own"),
    pytest.mark.timeout(300),
]

SLOW_RETRY = "retry: {attempts: 4, first: 5ms, ceiling: 20ms}"


@pytest.mark.promise(1)
def test_the_targets_of_each_zone_go_down_by_its_own_worker(zoned: Callable[..., ZoneStage]) -> None:
    stage = zoned(450, 60, latency=0.01)
    stage.start_workers()
    ended = stage.drive("run", stage.write_plan(), "--yes", "--events", "events")

    assert ended.status == 0, ended.err
    assert set(stage.outcomes().values()) == {"undeployed"}
    assert stage.assert_sound() == []
    assert stage.requests() == 510
    told = [json.loads(line) for line in (stage.folder / "events").read_text().splitlines()]
    over = [event["target"] for event in told if event["event"] == "target_ended"]
    assert sorted(over) == sorted(stage.ids)
    assert told[-1]["exit_status"] == 0
    until(lambda: stage.list_open_workflows() == [])  # the server lists an end a moment later
    verified = stage.undeploy("report", "latest", "--verify")
    assert verified.status == 0, verified.out


def test_a_report_tells_the_same_as_that_of_one_machine(zoned: Callable[..., ZoneStage]) -> None:
    stage = zoned(60, 30)
    script: dict[str, tuple[Any, ...]] = {
        roma_id(1): ("500",),
        roma_id(2): ("500-after",),
        roma_id(3): ("403",),
        roma_id(4): ("reset-after",),
        roma_id(5): ("500",) * 9,
        apim_id(1): ("reset",),
        apim_id(2): ("409",),
        apim_id(3): ("hang-after",),
    }
    keys = {"roma": SLOW_RETRY, "apim": f"{SLOW_RETRY}, timeout: 600ms", "top": "snapshot: best"}
    stage.start_workers()
    stage.expect(script)
    there = stage.drive("run", stage.write_plan(**keys), "--yes")
    distributed = stage.describe_targets()
    stage.assert_truth()
    stage.assert_zones()
    stage.refill(latency=0.02)
    stage.expect(script)
    with stage.reach_all() as environment:
        here = stage.undeploy("run", stage.write_plan(**keys), "--yes", env=environment)

    assert (there.status, here.status) == (1, 1), (there.err, here.err)
    assert stage.describe_targets() == distributed


def test_waves_and_what_comes_after_what_hold_across_zones(zoned: Callable[..., ZoneStage]) -> None:
    stage = zoned(12, 8)
    first = ", ".join(f"'{backend(number)}'" for number in range(4))
    rest = ", ".join(f"'{backend(number)}'" for number in range(4, 12))
    plan = stage.write_plan()
    head, _, _ = plan.read_text().partition("targets:")
    plan.write_text(
        f"{head}waves:\n"
        "- name: canary\n  sizes: [1, 100%]\n  pause_after: 200ms\n  targets:\n"
        f"  - {{gateway: roma-eu, ld_api_ids: [{first}]}}\n"
        "- name: rest\n  targets:\n"
        f"  - {{gateway: roma-eu, ld_api_ids: [{rest}], after: [{apim_id(0)}]}}\n"
        "  - {gateway: apim, project: Retail, environment: test, proxies:"
        f" [{', '.join(f'proxy-{number}' for number in range(8))}]}}\n"
    )
    stage.start_workers()
    ended = stage.drive("run", plan, "--yes", "--events", "events")
    arrived = {seen.target: seen.at for seen in stage.list_requests() if seen.act is Act.UNDEPLOY}
    canary = [arrived[roma_id(number)] for number in range(4)]
    waves = [event["wave"] for event in stage.read_events("wave_started")]

    assert ended.status == 0, ended.err
    assert sorted(canary)[1] - min(canary) > 0.2, "the first step has one target, and a pause after it"
    assert max(canary) < min(arrived[one] for one in stage.ids if arrived[one] not in canary)
    assert arrived[apim_id(0)] < min(arrived[roma_id(number)] for number in range(4, 12))
    assert waves == ["canary", "rest"]
    assert stage.assert_sound() == []


@pytest.mark.promise(6)
def test_a_zone_without_a_worker_is_parked_while_the_other_goes_on(zoned: Callable[..., ZoneStage]) -> None:
    stage = zoned(250, 20)
    stage.start_worker(EAST)
    plan = stage.write_plan(apim="park_for: 9s")
    with stage.started("run", plan, "--yes", *stage.on) as driver:
        stage.wait_for_words(driver, f"zone {WEST}")
        went_on = stage.count_down(EAST)
        ended = stage.finish(driver)
    outcomes, reasons = stage.outcomes(), stage.reasons()
    stage.start_worker(WEST)
    resumed = stage.drive("resume", "latest")

    assert ended.status == 4, ended.err
    assert went_on > 0
    assert [outcomes[roma_id(number)] for number in range(250)] == ["undeployed"] * 250
    assert {outcomes[apim_id(number)] for number in range(20)} == {"not_started"}
    assert {reasons[apim_id(number)] for number in range(20)} == {
        f"parked: no worker of zone {WEST} took its work for 9 s"
    }
    assert resumed.status == 0, resumed.err
    assert stage.assert_sound() == []
    assert stage.requests() == 270


def test_what_a_run_took_down_comes_back_through_the_workers(zoned: Callable[..., ZoneStage]) -> None:
    stage = zoned(30, 20)
    stage.start_workers()
    down = stage.drive("run", stage.write_plan(top="snapshot: best"), "--yes")
    before = stage.count_down(EAST), stage.count_down(WEST)
    up = stage.drive("restore", "latest", "--yes", "--accept", "new-front-end-id")

    assert (down.status, up.status) == (0, 0), (down.err, up.err)
    assert before == (30, 20)
    assert (stage.count_down(EAST), stage.count_down(WEST)) == (0, 0)
    assert {each["outcome"] for each in stage.report()["targets"]} == {"restored"}
    stage.assert_zones()


def test_without_its_credential_in_the_zone_nothing_is_sent(zoned: Callable[..., ZoneStage]) -> None:
    stage = zoned(5, 5)
    stage.start_worker(EAST)
    stage.start_worker(WEST, APINIZER_TOKEN="")
    ended = stage.drive("run", stage.write_plan(), "--yes")

    assert ended.status in (2, 4), ended.err
    assert "APINIZER_TOKEN" in ended.err + "".join(stage.reasons().values())
    assert stage.zones[WEST].simulators.books().requests == 0
