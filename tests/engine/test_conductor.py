"""A session whose targets another engine takes down: what the session does itself, and what it leaves."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import anyio
import pytest

from orchestrator.api import RunOptions, load_plan, resume, run
from orchestrator.engine.controller import Controller
from orchestrator.engine.resources import RunResources
from orchestrator.errors import ExitStatus, RunError, UsageError
from orchestrator.journal.engine_mark import EngineMark, read_engine_mark, write_engine_mark
from orchestrator.journal.folder import RunFolder, list_runs
from orchestrator.journal.sessions import read_sessions
from orchestrator.model.events import AnyEvent, RunEnded, RunStarted
from orchestrator.model.outcome import Outcome
from orchestrator.model.plan import RunId, WaveStep
from orchestrator.runs.result import RunResult

ADDRESS = "temporal://127.0.0.1:7233/default"
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


class KilledError(Exception):
    """Stands for the end of the process."""


class FakeConductor:
    """An engine that takes down the first target of each gateway, and does then what a test wants."""

    def __init__(self, *, void: str | None = None, dies: bool = False, at_work: bool = False) -> None:
        self.address = ADDRESS
        self.told: list[str] = []
        self._void = void
        self._dies = dies
        self._at_work = at_work

    async def connect(self) -> None:
        self.told.append("connect")

    async def is_at_work(self, run: RunId, session: int) -> bool:
        self.told.append(f"is session {session} at work")
        return self._at_work

    async def conduct(self, resources: RunResources, controller: Controller) -> str | None:
        spec = resources.spec
        self.told.append(f"conduct session {spec.number}")
        write_engine_mark(spec.folder.path, EngineMark(address=ADDRESS, session=spec.number))
        if self._dies:
            raise KilledError
        if self._void is None:
            for gateway in spec.plan.gateways:
                batch, _ = resources.pending.read_batch(WaveStep(0, 0), gateway.name, (-1, 0))
                for target, _ in batch[:1]:
                    resources.record._writing.post(
                        "UPDATE target SET outcome = ?, reason = ?, evidence = ?, seconds = ?, ended = ?"
                        " WHERE seq = ?",
                        ("undeployed", None, "look", 0.1, 1.0, target.seq),
                    )
            resources.lane_refusals["a"] = "parked: no worker of zone dmz took its work for 10m"
        return self._void

    async def release(self, run: RunId, session: int, folder: Path) -> None:
        self.told.append("release")


@pytest.fixture
def begin(tmp_path: Path) -> Callable[..., RunResult]:
    def start(conductor: FakeConductor, events: list[AnyEvent] | None = None) -> RunResult:
        (tmp_path / "plan.yaml").write_text(PLAN)
        listeners = () if events is None else (events.append,)

        async def play() -> RunResult:
            with load_plan(tmp_path / "plan.yaml") as loaded:
                options = RunOptions(state=tmp_path / "state")
                return await run(loaded, options, listeners=listeners, conductor=conductor)

        return anyio.run(play)

    return start


def go_on(folder: RunFolder, conductor: FakeConductor | None, **options: object) -> RunResult:
    given = RunOptions(state=folder.path.parent.parent, **options)  # type: ignore[arg-type]

    async def play() -> RunResult:
        return await resume(folder, given, conductor=conductor)

    return anyio.run(play)


def test_the_session_is_the_engines_and_the_reports_are_ours(begin: Callable[..., RunResult]) -> None:
    conductor, events = FakeConductor(), list[AnyEvent]()

    result = begin(conductor, events)

    # No credential is there to be resolved, and none is asked for.
    assert conductor.told == ["connect", "conduct session 1", "release"]
    assert (result.exit_status, result.report.totals.undeployed) == (ExitStatus.STOPPED, 2)
    assert [type(event) for event in events[:1]] == [RunStarted]
    assert isinstance(events[-1], RunEnded)
    assert events[-1].outcomes["targets"]["b"] == {Outcome.UNDEPLOYED: 1, Outcome.NOT_STARTED: 2}


def test_a_lane_that_was_left_elsewhere_gives_its_targets_its_reason(
    begin: Callable[..., RunResult],
) -> None:
    result = begin(FakeConductor())

    with result.folder.open_source() as source:
        reasons = {target.id: target.reason for target in source.targets() if target.reason}
    assert reasons["a/P/two/e"] == "parked: no worker of zone dmz took its work for 10m"
    assert reasons["b/P/two/e"].startswith("interrupt: ")


def test_the_journal_tells_which_engine_worked(begin: Callable[..., RunResult]) -> None:
    folder = begin(FakeConductor()).folder

    database = folder.open()
    try:
        (session,) = read_sessions(database)
    finally:
        database.close()
    assert session.options is not None
    assert session.options.engine == ADDRESS


def test_nothing_is_left_of_a_run_whose_engine_sent_nothing(
    begin: Callable[..., RunResult], tmp_path: Path
) -> None:
    conductor = FakeConductor(void="the approval expired")

    with pytest.raises(UsageError, match="the approval expired"):
        begin(conductor)

    assert list_runs(tmp_path / "state") == []
    assert conductor.told[-1] == "release"


def kill(begin: Callable[..., RunResult], state: Path) -> RunFolder:
    """Have a run whose process dies while the engine works."""
    with pytest.raises(BaseExceptionGroup) as caught:
        begin(FakeConductor(dies=True))
    assert caught.value.subgroup(KilledError) is not None
    (folder,) = list_runs(state)
    return folder


def test_a_run_that_an_engine_works_on_counts_as_live(
    begin: Callable[..., RunResult], tmp_path: Path
) -> None:
    folder = kill(begin, tmp_path / "state")

    assert folder.read_state() == "running"
    assert ADDRESS in (folder.describe_holder() or "")
    with pytest.raises(RunError, match=f"touches 5 targets.*undeploy resume {folder.id} --on {ADDRESS}"):
        begin(FakeConductor())


def test_a_resume_without_the_engine_is_refused(begin: Callable[..., RunResult], tmp_path: Path) -> None:
    folder = kill(begin, tmp_path / "state")

    with pytest.raises(UsageError, match=f"may still be at work on {ADDRESS}: --on {ADDRESS} takes it over"):
        go_on(folder, None)


def test_a_resume_takes_the_session_over(begin: Callable[..., RunResult], tmp_path: Path) -> None:
    folder = kill(begin, tmp_path / "state")
    conductor = FakeConductor(at_work=True)

    result = go_on(folder, conductor)

    assert conductor.told == ["connect", "is session 1 at work", "conduct session 1", "release"]
    assert len(result.report.run.sessions) == 1
    assert result.report.totals.undeployed == 2


def test_a_session_that_the_engine_does_not_know_is_followed_by_another(
    begin: Callable[..., RunResult], tmp_path: Path
) -> None:
    folder = kill(begin, tmp_path / "state")
    conductor = FakeConductor()

    result = go_on(folder, conductor)

    assert "conduct session 2" in conductor.told
    assert len(result.report.run.sessions) == 2


def test_a_takeover_changes_nothing_of_the_session(begin: Callable[..., RunResult], tmp_path: Path) -> None:
    folder = kill(begin, tmp_path / "state")

    with pytest.raises(UsageError, match=r"session 1 of run .* goes on as it began"):
        go_on(folder, FakeConductor(at_work=True), only=("a/**",))


def test_a_run_whose_engine_is_gone_goes_on_once_a_person_says_so(
    begin: Callable[..., RunResult], tmp_path: Path
) -> None:
    folder = kill(begin, tmp_path / "state")
    conductor = FakeConductor()
    conductor.address = "temporal://elsewhere:7233/default"

    result = go_on(folder, conductor, engine_gone=True)

    assert len(result.report.run.sessions) == 2


def test_a_mark_that_a_finished_session_has_left_holds_nobody_up(
    begin: Callable[..., RunResult],
) -> None:
    folder = begin(FakeConductor()).folder

    assert read_engine_mark(folder.path) is not None  # the fake one leaves it
    assert folder.read_holder() is None
