"""A session whose targets another engine takes down: what the session does itself, and what it leaves."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import anyio
import pytest

from orchestrator.engine.controller import Controller
from orchestrator.engine.resources import RunResources
from orchestrator.errors import ExitStatus, RunError, UsageError
from orchestrator.journal.engine_mark import EngineMark, read_engine_mark, write_engine_mark
from orchestrator.journal.folder import RunFolder, list_runs
from orchestrator.journal.record import TRANSFERRED
from orchestrator.journal.sessions import read_sessions
from orchestrator.model.events import AnyEvent, RunEnded, RunStarted
from orchestrator.model.outcome import Outcome
from orchestrator.model.plan import WaveStep
from orchestrator.report.advice import find_resume
from tests.support.played_conductor import ADDRESS, PlayedConductor, resume_conducted, run_conducted

PLAN = """\
version: 1
name: far
gateways:
  a: {kind: apinizer, url: https://a.example.com, zone: dmz, auth: {token: {env: NOT_SET_HERE}}}
  b: {kind: apinizer, url: https://b.example.com, auth: {token: {env: NOT_SET_HERE}}}
targets:
  - {gateway: a, project: P, proxies: [one, two], environment: e}
  - {gateway: b, project: P, proxies: [one, two, three], environment: e}
"""
NO_WORKER = "parked: no worker of zone dmz took its work for 10m"


class KilledError(Exception):
    """Stands for the end of the process."""


def leave_mark(resources: RunResources) -> None:
    spec = resources.spec
    write_engine_mark(spec.folder.path, EngineMark(address=ADDRESS, session=spec.number))


async def take_first(resources: RunResources, _: Controller) -> None:
    """Take down the first target of each gateway, and give one lane up."""
    leave_mark(resources)
    assert "outcome" in TRANSFERRED
    for gateway in resources.spec.plan.gateways:
        batch, _cursor = resources.pending.read_batch(WaveStep(0, 0), gateway.name, (-1, 0))
        outcomes = [("undeployed", None, "look", 0.1, 1.0, target.seq) for target, _ in batch[:1]]
        resources.record.take_over([("outcome", values) for values in outcomes])
    resources.lane_refusals["a"] = NO_WORKER


async def die(resources: RunResources, _: Controller) -> None:
    leave_mark(resources)
    raise KilledError


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    path = tmp_path / "plan.yaml"
    path.write_text(PLAN)
    return path


@pytest.fixture
def killed(plan: Path) -> RunFolder:
    """A run whose process here died while the engine works."""
    with pytest.raises(BaseExceptionGroup) as caught:
        run_conducted(plan, PlayedConductor(die))
    assert caught.value.subgroup(KilledError) is not None
    (folder,) = list_runs(plan.parent / "state")
    return folder


def test_the_session_is_the_engines_and_the_reports_are_ours(plan: Path) -> None:
    conductor, events = PlayedConductor(take_first), list[AnyEvent]()

    result = run_conducted(plan, conductor, events=events)

    # No credential is there to be resolved, and none is asked for.
    assert conductor.told == ["connect", "conduct session 1", "release session 1"]
    assert (result.exit_status, result.report.totals.undeployed) == (ExitStatus.STOPPED, 2)
    assert [type(event) for event in events[:1]] == [RunStarted]
    assert isinstance(events[-1], RunEnded)
    assert events[-1].outcomes["targets"]["b"] == {Outcome.UNDEPLOYED: 1, Outcome.NOT_STARTED: 2}


def test_a_lane_that_was_left_elsewhere_gives_its_targets_its_reason(plan: Path) -> None:
    result = run_conducted(plan, PlayedConductor(take_first))

    with result.folder.open_source() as source:
        reasons = {target.id: target.reason for target in source.targets() if target.reason}
    assert reasons["a/P/two/e"] == NO_WORKER
    assert reasons["b/P/two/e"].startswith("interrupt: ")


def test_the_journal_tells_which_engine_worked(plan: Path) -> None:
    folder = run_conducted(plan, PlayedConductor(take_first)).folder

    database = folder.open()
    try:
        (session,) = read_sessions(database)
    finally:
        database.close()
    assert session.options is not None
    assert session.options.engine == ADDRESS


def test_nothing_is_left_of_a_run_whose_engine_sent_nothing(plan: Path) -> None:
    async def refuse(_: RunResources, __: Controller) -> str:
        return "the approval expired"

    conductor = PlayedConductor(refuse)

    with pytest.raises(UsageError, match="the approval expired"):
        run_conducted(plan, conductor)

    assert list_runs(plan.parent / "state") == []
    assert conductor.told[-1] == "release session 1"


def test_a_run_that_an_engine_works_on_counts_as_live(plan: Path, killed: RunFolder) -> None:
    assert killed.read_state() == "running"
    assert ADDRESS in (killed.describe_holder() or "")
    with pytest.raises(RunError, match=f"touches 5 targets.*undeploy resume {killed.id} --on {ADDRESS}"):
        run_conducted(plan, PlayedConductor(take_first))


def test_the_advice_names_the_engine(plan: Path) -> None:
    result = run_conducted(plan, PlayedConductor(take_first))

    assert find_resume(result.report) == f"undeploy resume {result.folder.id} --on {ADDRESS}"


def test_the_advice_on_a_run_that_an_engine_works_on_is_to_take_it_over(killed: RunFolder) -> None:
    with killed.open_source() as source:
        assert find_resume(source.report) == f"undeploy resume {killed.id} --on {ADDRESS}"


def test_a_resume_without_the_engine_is_refused(killed: RunFolder) -> None:
    for conductor in (None, PlayedConductor(take_first, address="temporal://elsewhere:7233/default")):
        with pytest.raises(UsageError, match=f"at work on {ADDRESS}: --on {ADDRESS} takes it over"):
            resume_conducted(killed, conductor)


def test_a_resume_takes_the_session_over(killed: RunFolder) -> None:
    conductor = PlayedConductor(take_first, at_work=True)

    result = resume_conducted(killed, conductor)

    assert conductor.told == ["connect", "is session 1 at work", "conduct session 1", "release session 1"]
    assert len(result.report.run.sessions) == 1
    assert result.report.totals.undeployed == 2


def test_a_session_that_was_taken_over_lasted_to_its_last_target(killed: RunFolder) -> None:
    with closing(killed.open()) as database:
        began = read_sessions(database)[0].started

    async def take_one(resources: RunResources, _: Controller) -> None:
        # It ended elsewhere, while nobody was here: only the rest is given up by this process, now.
        await anyio.sleep(0.3)
        ended = ("undeployed", None, "look", 0.1, began + 0.1, 1)
        resources.record.take_over([("outcome", ended)])

    result = resume_conducted(killed, PlayedConductor(take_one, at_work=True))

    assert result.report.totals.undeployed == 1
    assert result.report.run.seconds == pytest.approx(0.1)


def test_a_session_that_the_engine_does_not_know_is_followed_by_another(killed: RunFolder) -> None:
    conductor = PlayedConductor(take_first)

    result = resume_conducted(killed, conductor)

    assert "conduct session 2" in conductor.told
    assert len(result.report.run.sessions) == 2


def test_a_takeover_changes_nothing_of_the_session(killed: RunFolder) -> None:
    with pytest.raises(UsageError, match=r"session 1 of run .* goes on as it began"):
        resume_conducted(killed, PlayedConductor(take_first, at_work=True), only=("a/**",))


def test_a_run_whose_engine_is_gone_goes_on_once_a_person_says_so(killed: RunFolder) -> None:
    conductor = PlayedConductor(take_first, address="temporal://elsewhere:7233/default")

    result = resume_conducted(killed, conductor, engine_gone=True)

    assert len(result.report.run.sessions) == 2


def test_a_session_that_has_ended_is_forgotten_by_its_engine_at_the_next_occasion(plan: Path) -> None:
    folder = run_conducted(plan, PlayedConductor(take_first)).folder

    # The one that the test plays leaves the mark, as one that could not reach its server does.
    assert read_engine_mark(folder.path) is not None
    assert folder.read_holder() is None

    conductor = PlayedConductor(take_first)
    resume_conducted(folder, conductor)

    assert conductor.told[:2] == ["connect", "release session 1"]
