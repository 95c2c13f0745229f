"""The public way to run a plan, against a simulated platform on loopback."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import orchestrator
from orchestrator.errors import CredentialError, ExitStatus, UsageError
from orchestrator.model.events import AnyEvent, RunEnded, RunStarted, RunWarned, TargetEnded
from orchestrator.model.outcome import Outcome
from orchestrator.simulator.faults import FaultScenario, FaultStorm
from orchestrator.simulator.process import RunningSimulators, start_simulators
from orchestrator.streaming import stream
from tests.support.commands import FIXTURE, PROXIES, refill_platform


@pytest.fixture(scope="module")
def simulated() -> Iterator[RunningSimulators]:
    with start_simulators(FIXTURE) as running:
        yield running


@pytest.fixture
def platform(simulated: RunningSimulators, monkeypatch: pytest.MonkeyPatch) -> RunningSimulators:
    """A manager with all six proxies deployed, and the token that it takes."""
    refill_platform(simulated, monkeypatch)
    return simulated


@pytest.fixture
def plan(tmp_path: Path, platform: RunningSimulators) -> Iterator[orchestrator.LoadedPlan]:
    source = tmp_path / "plan.yaml"
    source.write_text(
        f"""\
version: 1
name: retirement
snapshot: off
gateways:
  apim:
    kind: apinizer
    url: {platform.urls["apim"]}
    auth: {{token: {{env: APINIZER_TOKEN}}}}
targets:
  - {{gateway: apim, project: Retail, proxies: [{", ".join(PROXIES)}], environments: [test]}}
"""
    )
    with orchestrator.load_plan(source) as loaded:
        yield loaded


@pytest.fixture
def options(tmp_path: Path) -> orchestrator.RunOptions:
    return orchestrator.RunOptions(state=tmp_path / "state")


@pytest.mark.promise(1)
async def test_run_gives_its_result_and_its_folder(
    plan: orchestrator.LoadedPlan, options: orchestrator.RunOptions, platform: RunningSimulators
) -> None:
    result = await orchestrator.run(plan, options)

    assert result.exit_status is ExitStatus.DONE
    assert result.report.totals.undeployed == plan.targets == 6
    assert platform.books().requests == 6
    assert (result.folder.path / "report.json").is_file()


async def test_stream_gives_every_event_and_then_the_result(
    plan: orchestrator.LoadedPlan, options: orchestrator.RunOptions
) -> None:
    async with stream(plan, options) as events:
        seen: list[AnyEvent] = [event async for event in events]
        result = events.result

    assert isinstance(seen[0], RunStarted)
    assert isinstance(seen[-1], RunEnded)
    assert [event.outcome for event in seen if isinstance(event, TargetEnded)] == [Outcome.UNDEPLOYED] * 6
    assert result is not None
    assert result.exit_status is ExitStatus.DONE


@pytest.mark.promise(1)
async def test_a_stream_that_is_left_early_can_be_resumed(
    plan: orchestrator.LoadedPlan, options: orchestrator.RunOptions, platform: RunningSimulators
) -> None:
    """One target at a time is slow enough to leave while others wait."""
    platform.expect(FaultScenario(storm=FaultStorm(share=1.0, kinds=("slow@0.05",))))
    async with stream(plan, options) as events:
        async for event in events:
            if isinstance(event, TargetEnded):
                break
    assert events.result is None

    (left,) = orchestrator.list_runs(options.state)
    result = await orchestrator.resume(left, options)

    assert result.exit_status is ExitStatus.DONE
    totals = result.report.totals
    assert totals.undeployed + totals.already_undeployed == 6


async def test_an_error_of_a_run_leaves_the_block_unchanged(
    plan: orchestrator.LoadedPlan, options: orchestrator.RunOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("APINIZER_TOKEN")

    async def take_all() -> None:
        async with stream(plan, options) as events:
            async for _ in events:
                pass

    with pytest.raises(CredentialError, match="APINIZER_TOKEN"):
        await take_all()


async def test_an_error_of_the_block_leaves_the_block_unchanged(
    plan: orchestrator.LoadedPlan, options: orchestrator.RunOptions
) -> None:
    async def fail_at_the_first() -> None:
        async with stream(plan, options) as events:
            async for _ in events:
                raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        await fail_at_the_first()


async def test_filters_that_leave_nothing_send_nothing(
    plan: orchestrator.LoadedPlan, tmp_path: Path, platform: RunningSimulators
) -> None:
    nothing = orchestrator.RunOptions(state=tmp_path / "state", only=("roma/**",))
    with pytest.raises(UsageError, match="nothing was sent"):
        await orchestrator.run(plan, nothing)

    assert platform.books().requests == 0


def test_a_plan_that_is_not_run_leaves_no_folder(plan: orchestrator.LoadedPlan) -> None:
    assert plan.place.is_dir()
    plan.close()
    assert not plan.place.exists()


def test_the_public_names_are_all_there() -> None:
    for name in orchestrator.__all__:
        assert getattr(orchestrator, name)
    with pytest.raises(AttributeError, match="has no attribute 'undeploy_all'"):
        orchestrator.undeploy_all  # noqa: B018


async def test_an_aiohttp_that_is_otherwise_is_told_once_and_undeploys_all_the_same(
    plan: orchestrator.LoadedPlan, options: orchestrator.RunOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr("orchestrator.transport.aiohttp_parts.HttpResponseParser")
    async with stream(plan, options) as events:
        seen: list[AnyEvent] = [event async for event in events]
        result = events.result

    (warned,) = (event for event in seen if isinstance(event, RunWarned))
    assert "is not the one that this program was made for (head, chunks, end)" in warned.text
    assert result is not None
    assert result.report.totals.undeployed == 6
