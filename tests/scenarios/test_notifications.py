"""Notifications of real runs to services on loopback: well, refusing, hanging."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable

import pytest

from tests.support.stage import Stage
from tests.support.told import SECRET, serve_told


def assert_no_secret(stage: Stage, *texts: str) -> None:
    files = [path for path in stage.folder.rglob("*") if path.is_file()]
    assert SECRET not in "".join(texts)
    assert [path for path in files if SECRET.encode() in path.read_bytes()] == []


@pytest.mark.promise(9)
@pytest.mark.long("runs real processes")
def test_people_are_told_of_a_run_from_its_beginning_to_its_end(staged: Callable[..., Stage]) -> None:
    stage = staged(4, 2)
    stage.write_plan(top="reason: CHG-1042\nstop_when: {failed: 100%}", waves=True)
    stage.expect(script={stage.ids[1]: ("403",) * 8})

    with serve_told() as service:
        ended = stage.undeploy(
            *("run", "plan.yaml", "--yes", "--notify", "env:HOOK", "--log-level", "debug"),
            env={"HOOK": service.url},
        )

    assert ended.status == 1, ended.err
    first, *_, last = service.told
    assert first["title"] == "undeploy of scene has begun"
    assert "reason: CHG-1042" in first["message"]
    report = stage.report()["run"]
    assert last["title"].startswith("scene: 5 of 6 targets are down; 1 failed")
    assert last["type"] == "failure"
    assert f"journal head: {report['journal_head']}" in last["message"]
    assert "wave first has ended (1 of 2)" in last["message"]  # both within the spacing: one message
    assert "warning: notifications" not in ended.err
    assert_no_secret(stage, ended.out, ended.err)


@pytest.mark.long("a real process, and what it sends")
@pytest.mark.promise(9)
def test_a_service_that_refuses_is_a_warning_and_no_more(staged: Callable[..., Stage]) -> None:
    stage = staged(2, 0)
    stage.write_plan()

    with serve_told(lambda service: setattr(service, "status", 500)) as service:
        ended = stage.undeploy("run", "plan.yaml", "--yes", "--notify", "env:HOOK", env={"HOOK": service.url})

    assert ended.status == 0, ended.err
    assert ended.err.splitlines()[-1] == (
        f"warning: notifications to env:HOOK: the service did not take {len(service.told)} of"
        f" {len(service.told)} messages"
    )
    assert_no_secret(stage, ended.out, ended.err)


@pytest.mark.long("a service hangs for seconds")
@pytest.mark.promise(10)
def test_a_service_that_hangs_holds_an_interrupted_run_for_a_moment(staged: Callable[..., Stage]) -> None:
    stage = staged(30, 0, latency=0.3)
    stage.write_plan(roma="limits: {concurrency: 1}")

    with (
        serve_told(lambda service: service.released.clear()) as service,
        stage.started(
            "run", "plan.yaml", "--yes", "--notify", "env:HOOK", env={"HOOK": service.url}
        ) as process,
    ):
        stage.wait_for_requests(2, process)
        process.send_signal(signal.SIGINT)
        began = time.monotonic()
        _, err = process.communicate(timeout=30)
        took = time.monotonic() - began

    assert process.returncode == 130
    assert took < 10
    assert "the service did not take the last message in time" in err


@pytest.mark.long("two real processes, and what they send")
@pytest.mark.promise(9)
def test_a_plan_names_who_is_told_and_a_resume_tells_them_again(staged: Callable[..., Stage]) -> None:
    stage = staged(6, 0)
    stage.write_plan(
        top="stop_when: {failed: 0}\nnotify: [{url: {file: hook}, on: [stopped, ended]}]",
        roma="limits: {concurrency: 1}",
    )
    stage.expect(script={stage.ids[0]: ("403",)})

    with serve_told() as service:
        (stage.folder / "hook").write_text(f"{service.url}\n")
        stopped = stage.undeploy("run", "plan.yaml", "--yes")
        ended = stage.undeploy("resume", "latest", "--past-stop")
        assert stage.undeploy("resume", "latest").status == ended.status
        (stage.folder / "hook").unlink()

    assert (stopped.status, ended.status) == (4, 1), ended.err
    first, second = service.titles
    assert first.startswith("scene: Stopped early: ")
    assert second.startswith("scene: 5 of 6 targets are down; 1 failed")
    assert_no_secret(stage, stopped.out, stopped.err, ended.out, ended.err)


@pytest.mark.long("runs real processes")
def test_an_address_that_is_none_is_2_and_nothing_is_sent(staged: Callable[..., Stage]) -> None:
    stage = staged(2, 0)
    stage.write_plan()

    for arguments, env in (
        (("--notify", "env:HOOK"), {"HOOK": f"nosuch://{SECRET}"}),
        (("--notify", f"json://{SECRET}"), {}),
        (("--notify", "env:NO_SUCH_HOOK"), {}),
    ):
        ended = stage.undeploy("run", "plan.yaml", "--yes", *arguments, env=env)
        assert (ended.status, stage.requests()) == (2, 0), ended.err
        assert_no_secret(stage, ended.out, ended.err)
