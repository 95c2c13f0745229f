"""Previews and doctors by the workers of two zones, of which this machine reaches none."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import Callable
from typing import Any

import pytest

from orchestrator.simulator.exchange import FaultKind
from orchestrator.simulator.faults import FaultScope, InjectedFault
from orchestrator.simulator.gateway_fixture import FAKE_TOKEN
from tests.support.commands import CommandResult
from tests.support.histories import read_everything
from tests.support.stage import roma_id, until
from tests.support.zones import EAST, GATEWAYS, WEST, ZoneStage, leave_out

pytestmark = [
    pytest.mark.long("workers, drivers and a server are processes of their own"),
    pytest.mark.timeout(300),
]

_OF_THE_MOMENT = frozenset({"taken", "seconds", "checked", "latency", "forecast"})


def read_document(ended: CommandResult) -> Any:
    """Return the JSON that a command wrote, without what differs from one look to the next."""
    return leave_out(json.loads(ended.out), _OF_THE_MOMENT)


@pytest.mark.promise(9)
def test_a_preview_by_workers_is_that_of_one_machine_and_its_approval_guards_a_run(
    zoned: Callable[..., ZoneStage],
) -> None:
    stage = zoned(5, 4)
    plan = stage.write_plan()
    for worker in stage.start_workers():
        stage.wait_until_serving(worker)
    with stage.reach_all() as env:
        here = stage.undeploy("preview", plan, "--format", "json", env=env)
    there = stage.drive("preview", plan, "--format", "json")
    saved = stage.drive("preview", plan, "--save", "approval.json")
    kept = asyncio.run(read_everything(stage.server.address.target, stage.namespace))
    left_open = stage.list_open_workflows()
    ran = stage.drive("run", plan, "--approval", "approval.json")

    assert (here.status, there.status, saved.status) == (0, 0, 0), there.err + saved.err
    assert read_document(there) == read_document(here)
    assert len(read_document(there)["targets"]) == 9
    secrets = [each.encode() for each in stage.secrets.values()]
    assert any(b"backend_00000000" in data for each in kept.values() for data in each)
    assert [name for name, each in kept.items() for data in each if any(key in data for key in secrets)] == []
    assert left_open == []
    assert ran.status == 0, ran.err
    assert {zone: stage.count_down(zone) for zone in GATEWAYS} == {EAST: 5, WEST: 4}


def test_a_zone_without_a_worker_is_named_and_the_other_is_looked_at(
    zoned: Callable[..., ZoneStage],
) -> None:
    stage = zoned(3, 2)
    stage.look_wait = 3.0
    words = f"not with {FAKE_TOKEN}"
    fault = InjectedFault(kind=FaultKind.STATUS, on=FaultScope.ANY, times=0, status=400, message=words)
    stage.expect({roma_id(0): (fault,)})
    plan = stage.write_plan()
    stage.wait_until_serving(stage.start_worker(EAST))
    preview = stage.drive("preview", plan, "--format", "json")
    doctor = stage.drive("doctor", plan, "--format", "json")
    kept = asyncio.run(read_everything(stage.server.address.target, stage.namespace))

    assert (preview.status, doctor.status) == (1, 1), preview.err + doctor.err
    targets = json.loads(preview.out)["targets"]
    states = {(each["id"].partition("/")[0], each["state"]) for each in targets}
    assert states == {("roma-eu", "deployed"), ("roma-eu", "unknown"), ("apim", "unknown")}
    assert "not with •••" in preview.out
    assert "no worker of zone west took the look" in preview.out
    gateways = {each["name"]: each for each in json.loads(doctor.out)["gateways"]}
    assert gateways["roma-eu"]["state"] != "fail"
    whole = [data for each in kept.values() for data in each]
    assert any("not with •••".encode() in data for data in whole)
    assert not any(FAKE_TOKEN.encode() in data for data in whole)
    answer = {check["check"]: check for check in gateways["apim"]["checks"]}["answer"]
    assert answer["state"] == "fail"
    assert "no worker of zone west" in answer["text"]
    assert stage.zones[WEST].proxy.requests == 0


def test_a_doctor_by_workers_finds_what_one_machine_finds(zoned: Callable[..., ZoneStage]) -> None:
    stage = zoned(3, 2)
    plan = stage.write_plan()
    for worker in stage.start_workers():
        stage.wait_until_serving(worker)
    with stage.reach_all() as env:
        here = stage.undeploy("doctor", plan, "--format", "json", env=env)
    there = stage.drive("doctor", plan, "--format", "json")
    text = stage.drive("doctor", plan)

    assert (here.status, there.status) == (0, 0), there.err
    names = [each["name"] for each in read_document(there)["gateways"]]
    assert sorted(names) == ["apim", "roma-eu"]
    assert {line.split()[0] for line in text.out.splitlines()} == {"apim", "roma-eu"}
    for one, other in zip(json.loads(here.out)["gateways"], json.loads(there.out)["gateways"], strict=True):
        assert [(each["check"], each["state"]) for each in one["checks"]] == [
            (each["check"], each["state"]) for each in other["checks"]
        ]
        assert one["requests"] == other["requests"]


def test_a_credential_that_a_zone_lacks_ends_a_preview_and_names_the_zone(
    zoned: Callable[..., ZoneStage],
) -> None:
    stage = zoned(2, 2)
    plan = stage.write_plan()
    stage.wait_until_serving(stage.start_worker(EAST))
    stage.wait_until_serving(stage.start_worker(WEST, APINIZER_TOKEN=""))
    ended = stage.drive("preview", plan)

    assert ended.status == 2, ended.err
    assert "zone west:" in ended.err
    assert "APINIZER_TOKEN" in ended.err

    text = plan.read_text()
    plan.write_text(text.replace("{env: APINIZER_TOKEN}", "{command: [touch, ran]}"))
    refused = stage.drive("preview", plan)

    assert plan.read_text() != text
    assert refused.status == 2, refused.err
    assert "--allow-commands" in refused.err
    assert not (stage.folder / "ran").exists()


def test_an_interrupt_ends_the_looks_and_leaves_nothing_at_the_server(
    zoned: Callable[..., ZoneStage],
) -> None:
    stage = zoned(400, 1, latency=0.5)
    plan = stage.write_plan()
    for worker in stage.start_workers():
        stage.wait_until_serving(worker)
    with stage.started("preview", plan, *stage.on) as asking:
        until(lambda: stage.requests() >= 4)
        asking.send_signal(signal.SIGINT)
        ended = stage.finish(asking)
    until(lambda: stage.list_open_workflows() == [])
    before = stage.settled_after(5.0)

    assert ended.status == 130, ended.err
    assert before < 200, "the look was over before it could be ended"
    assert stage.settled_after(2.0) == before
    assert stage.count_down(EAST) == 0


def test_without_any_worker_each_zone_is_named(zoned: Callable[..., ZoneStage]) -> None:
    """Nobody serves the look's workflow then, so nobody but the command can keep the time."""
    stage = zoned(1, 1)
    stage.look_wait = 2.0
    ended = stage.drive("doctor", stage.write_plan())

    assert ended.status == 1, ended.err
    assert "no worker of zone east took the look for 2 s" in ended.out
    assert "no worker of zone west took the look for 2 s" in ended.out


def test_another_worker_begins_the_look_of_a_lost_one_anew(zoned: Callable[..., ZoneStage]) -> None:
    stage = zoned(60, 1, latency=0.2)
    plan = stage.write_plan()
    first, west = stage.start_workers()
    stage.wait_until_serving(first)
    stage.wait_until_serving(west)
    with stage.started("preview", plan, *stage.on, "--format", "json") as asking:
        until(lambda: stage.requests() >= 10)
        first.kill()
        stage.wait_until_serving(stage.start_worker(EAST))
        ended = stage.finish(asking)

    assert ended.status == 0, ended.err
    targets = json.loads(ended.out)["targets"]
    assert [each["state"] for each in targets] == ["deployed"] * 61
