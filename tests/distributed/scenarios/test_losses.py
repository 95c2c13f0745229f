"""What dies in mid-run: a worker, the driver, the server. And a worker that sleeps longer than its lease."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator

import pytest

from tests.support.stage import until
from tests.support.temporal import TemporalServer, run_temporal
from tests.support.zones import EAST, WEST, ZoneStage, freeze, kill, thaw

pytestmark = [
    pytest.mark.long("kills workers, drivers and a server, and waits for leases to end"),
    pytest.mark.timeout(300),
]

PACED = "limits: {concurrency: 6, rate: 40/s}"
"""A lane of so many targets that there is time to kill somebody."""
SHORT = 5.0
"""A lease that does not make a test wait for long."""


@pytest.fixture
def lasting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TemporalServer]:
    """A server of the test's own that finds everything again when it is started again."""
    with run_temporal(tmp_path_factory.mktemp("server") / "temporal.sqlite") as server:
        yield server


def _assert_all_down(stage: ZoneStage, status: int, told: str) -> None:
    assert status == 0, told
    assert set(stage.outcomes().values()) <= {"undeployed", "already_undeployed"}
    assert (stage.count_down(EAST), stage.count_down(WEST)) == (stage.roma, stage.apim)


@pytest.mark.promise(1)
@pytest.mark.promise(2)
@pytest.mark.parametrize("spare", ["another worker", "nobody for a while"])
def test_a_killed_worker_s_chunk_goes_to_another_one(zoned: Callable[..., ZoneStage], spare: str) -> None:
    stage = zoned(300, 30)
    stage.lease = SHORT
    stage.start_worker(WEST)
    first = stage.start_worker(EAST)
    with stage.started("run", stage.write_plan(roma=PACED), "--yes", *stage.on) as driver:
        stage.wait_for_down(EAST, 40)
        if spare == "another worker":
            stage.start_worker(EAST)
        kill(first)
        sent = stage.settled()
        if spare == "nobody for a while":
            time.sleep(1)
            assert stage.requests() == sent
            stage.start_worker(EAST)
        ended = stage.finish(driver)

    _assert_all_down(stage, ended.status, ended.err)
    stage.assert_sound(losses=1)


@pytest.mark.promise(1)
@pytest.mark.promise(2)
def test_a_worker_that_wakes_after_its_lease_sends_nothing_any_more(zoned: Callable[..., ZoneStage]) -> None:
    stage = zoned(300, 30)
    stage.lease = SHORT
    stage.start_worker(WEST)
    sleeper = stage.start_worker(EAST)
    with stage.started("run", stage.write_plan(roma=PACED), "--yes", *stage.on) as driver:
        stage.wait_for_down(EAST, 40)
        freeze(sleeper)
        stage.settled()
        second = stage.start_worker(EAST)
        asleep = stage.count_down(EAST)
        until(lambda: stage.count_down(EAST) > asleep + 20, 60)
        # From here on only the second one may send, though the first one wakes with a list of targets.
        freeze(second)
        quiet = stage.settled()
        thaw(sleeper)
        time.sleep(1.5)
        woken = stage.requests()
        thaw(second)
        ended = stage.finish(driver)

    assert woken == quiet, "a worker sent without a lease"
    _assert_all_down(stage, ended.status, ended.err)
    stage.assert_sound(losses=2)


@pytest.mark.promise(1)
@pytest.mark.promise(2)
@pytest.mark.parametrize("work", ["goes on", "has ended"])
def test_a_killed_driver_s_run_goes_on_and_its_results_are_kept(
    zoned: Callable[..., ZoneStage], work: str
) -> None:
    stage = zoned(300, 30)
    stage.start_workers()
    with stage.started("run", stage.write_plan(roma=PACED), "--yes", *stage.on) as driver:
        stage.wait_for_down(EAST, 40)
        kill(driver)
    # No driver lives, and yet the work goes on.
    stage.wait_for_down(EAST, 300 if work == "has ended" else 60)
    refused = stage.undeploy("resume", "latest")
    ended = stage.drive("resume", "latest")

    assert refused.status == 2, refused.err
    assert "--on" in refused.err
    _assert_all_down(stage, ended.status, ended.err)
    assert stage.assert_sound() == []
    assert stage.requests() == 330
    assert len(stage.report()["run"]["sessions"]) == 1
    until(lambda: stage.list_open_workflows() == [])  # the server lists an end a moment later


@pytest.mark.promise(1)
def test_a_run_whose_folder_is_lost_is_attached_to(zoned: Callable[..., ZoneStage]) -> None:
    stage = zoned(200, 30)
    stage.start_workers()
    with stage.started("run", stage.write_plan(roma=PACED), "--yes", *stage.on) as driver:
        stage.wait_for_down(EAST, 40)
        kill(driver)
    run = stage.run.name
    shutil.rmtree(stage.folder / ".undeploy")
    ended = stage.drive("attach", run)

    _assert_all_down(stage, ended.status, ended.err)
    assert stage.run.name == run
    assert stage.assert_sound() == []
    assert stage.requests() == 230


@pytest.mark.promise(1)
@pytest.mark.promise(2)
def test_nothing_is_sent_while_the_server_is_gone_and_the_run_goes_on_after_it(
    zoned: Callable[..., ZoneStage], lasting: TemporalServer
) -> None:
    stage = zoned(400, 30, server=lasting)
    stage.start_workers()
    with stage.started("run", stage.write_plan(roma=PACED), "--yes", *stage.on) as driver:
        stage.wait_for_down(EAST, 40)
        lasting.kill()
        sent = stage.settled()
        time.sleep(2)
        still = stage.requests()
        lasting.start()
        ended = stage.finish(driver)

    assert still == sent, "a request left without an intent that the server knows"
    _assert_all_down(stage, ended.status, ended.err)
    stage.assert_sound(losses=1)


def test_without_a_server_a_run_does_not_begin(zoned: Callable[..., ZoneStage]) -> None:
    stage = zoned(3, 3)
    stage.url = "temporal://127.0.0.1:9/default"
    ended = stage.drive("run", stage.write_plan(), "--yes")

    assert ended.status == 2, ended.err
    assert "127.0.0.1:9" in ended.err
    assert (stage.has_run, stage.requests()) == (False, 0)
