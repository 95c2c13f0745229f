"""What keeps targets of two zones up: protection, calls, drift since an approval. And who is told of it."""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import pytest

from orchestrator.simulator.gateway_fixture import FAKE_TOKEN
from orchestrator.simulator.roma_fixture import BackendFixture
from tests.support.elasticsearch import Call, serve_log
from tests.support.stage import INSTANCE, PROJECT, apim_id, backend, roma_id, until
from tests.support.told import serve_told
from tests.support.zones import EAST, GATEWAYS, PATIENCE, WEST, ZoneStage

pytestmark = [pytest.mark.long("workers, drivers and a server are processes"), pytest.mark.timeout(300)]

LOG_HOST = "log.west.test"


def test_what_is_protected_or_called_stays_up_as_on_one_machine_and_people_are_told_once(
    zoned: Callable[..., ZoneStage],
) -> None:
    busy = BackendFixture(calls=((1.0, 1200),), auth_type="NONE")
    stage = zoned(8, 6, roma_eu={"about": {backend(0): busy}})
    calls = [Call(time.time() - 60, "test", "Retail", "proxy-0") for _ in range(7)]
    # A log that does not reach back for 72 h would tell of no proxy that nobody called it.
    calls.append(Call(time.time() - 400 * 3600, "test", "Retail", "proxy-3"))
    kept = [roma_id(1), "roma-eu/*7", *map(apim_id, (1, 2))]
    keys = f"in_use: refuse\nprotect: {kept}"
    with serve_log(calls) as log, serve_told() as service:
        at = urlsplit(log.url)
        hosts = stage.zones[WEST].proxy.hosts
        hosts[LOG_HOST] = (at.hostname or "", at.port or 0)
        usage = f"usage: {{elasticsearch: {{url: 'http://{LOG_HOST}', index: 'apinizer-log-apiproxy-*'}}}}"
        try:
            stage.start_workers()
            plan = stage.write_plan(top=keys, apim=usage)
            hook = {"HOOK": service.url}
            there = stage.drive("run", plan, "--yes", "--notify", "env:HOOK", env=hook)
            distributed, reasons = stage.describe_targets(), stage.reasons()
            asked = len(log.searches)
            stage.zones[WEST].proxy.requests -= asked  # the log is no gateway, and keeps no book
            stage.assert_truth()
            stage.assert_zones()
            told = [f"{each['title']}\n{each['message']}" for each in service.told]
            stage.refill(latency=0.02, roma_eu={"about": {backend(0): busy}})
            with stage.reach_all() as environment:
                here = stage.undeploy("run", plan, "--yes", env=environment)
        finally:
            del hosts[LOG_HOST]

    assert (there.status, here.status) == (1, 1), (there.err, here.err)
    assert stage.describe_targets() == distributed
    assert asked > 0
    assert {name: reason.partition(":")[0] for name, reason in reasons.items() if reason} == {
        roma_id(0): "in_use",
        roma_id(1): "protected",
        roma_id(7): "protected",
        apim_id(0): "in_use",
        apim_id(1): "protected",
        apim_id(2): "protected",
    }
    assert reasons[apim_id(0)].startswith("in_use: 7 calls in 72 h"), reasons[apim_id(0)]
    whole = "\n".join(told)
    assert told[0].startswith("undeploy of scene has begun")
    for words in ("has begun", "targets: 10 of 14 to be done", "wave targets has ended", "journal head:"):
        assert whole.count(words) == 1, (words, whole)


def _redeploy(stage: ZoneStage, number: int) -> None:
    """Somebody else deploys a target of each zone again, from within the zone."""
    base = {zone: stage.zones[zone].simulators.urls[GATEWAYS[zone]] for zone in (EAST, WEST)}
    roma = f"{base[EAST]}/v1/{PROJECT}/apic/instances/{INSTANCE}/livedata-apis/deploy"
    body = json.dumps({"ld_api_id": backend(number), "deploy_front_api": False}).encode()
    headers = {"X-Auth-Token": FAKE_TOKEN, "Content-Type": "application/json"}
    urllib.request.urlopen(urllib.request.Request(roma, body, headers, method="POST")).close()
    apim = f"{base[WEST]}/apiops/projects/Retail/apiProxies/proxy-{number}/environments/test/"
    headers = {"Authorization": f"Bearer {FAKE_TOKEN}"}
    urllib.request.urlopen(urllib.request.Request(apim, method="POST", headers=headers)).close()


def test_a_worker_refuses_what_changed_since_the_approval_also_in_a_run_of_a_schedule(
    zoned: Callable[..., ZoneStage],
) -> None:
    stage = zoned(6, 5)
    plan = stage.write_plan()
    for worker in stage.start_workers():
        stage.wait_until_serving(worker)
    saved = stage.drive("preview", plan, "--save", "ok.json")
    _redeploy(stage, 0)
    some = (*map(roma_id, range(2)), *map(apim_id, range(2)))
    only = [option for name in some for option in ("--only", name)]
    ran = stage.drive("run", plan, "--approval", "ok.json", *only)
    first, reasons = stage.outcomes(), stage.reasons()
    _redeploy(stage, 3)
    # A start so near may be over before a busy machine has told it to the server.
    starts = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=15)
    scheduled = stage.drive(
        *("schedule", plan, "--approval", "ok.json", "--at", starts.isoformat(), "--for", "10m"),
        *("--name", "tonight"),
    )
    run = f"{starts:%Y%m%d-%H%M%S}-tonight"
    until(lambda: any("/scheduled/" in each for each in stage.list_open_lanes()), PATIENCE)
    ended = stage.drive("attach", run)

    assert (saved.status, scheduled.status) == (0, 0), saved.err + scheduled.err
    assert ran.status == 1, ran.err
    assert reasons[apim_id(0)] == "drifted: its revision was 1 when it was approved, and is 2 now"
    assert reasons[roma_id(0)].startswith("drifted: ")
    assert (first[roma_id(1)], first[apim_id(1)]) == ("undeployed", "undeployed")
    assert ended.status == 1, ended.err
    reasons = {name: each.partition(":")[0] for name, each in stage.reasons().items() if each}
    assert reasons == dict.fromkeys((roma_id(0), apim_id(0), roma_id(3), apim_id(3)), "drifted")
    assert stage.outcomes()[roma_id(1)] == "already_undeployed"
    assert stage.report()["run"]["approval"]["how"] == "file"
    books = stage.platform.books()
    assert {name for name, facts in books.targets.items() if not facts.undeploys} == set(reasons)
    stage.assert_truth()
