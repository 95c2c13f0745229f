"""A session whose targets another engine takes down: what the session does itself, and what it leaves."""

from __future__ import annotations

import os
import signal
from contextlib import closing
from pathlib import Path

import anyio
import pytest
from msgspec.structs import replace

from orchestrator.engine.conductor import EngineSession
from orchestrator.engine.controller import Controller
from orchestrator.engine.lane_recorder import LaneRecorder
from orchestrator.engine.options import RunOptions
from orchestrator.engine.request import RunRequest
from orchestrator.engine.resources import RunResources
from orchestrator.errors import ExitStatus, RunError, UsageError
from orchestrator.journal.engine_mark import EngineMark, read_engine_mark, write_engine_mark
from orchestrator.journal.folder import RunFolder
from orchestrator.journal.record import TRANSFERRED
from orchestrator.journal.restores import Restore
from orchestrator.journal.run_lookup import list_runs
from orchestrator.journal.sessions import read_sessions
from orchestrator.model.events import AnyEvent, RunEnded, RunStarted, RunStopping, RunWarned
from orchestrator.model.outcome import Outcome
from orchestrator.model.plan import WaveStep
from orchestrator.model.reading import UNDEPLOY
from orchestrator.report.advice import find_resume
from orchestrator.runs.engine_sessions import EngineLookup
from orchestrator.runs.resume_refusals import refuse_restored
from tests.support.played_conductor import ADDRESS, Conduct, PlayedConductor, resume_conducted, run_conducted

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


@pytest.mark.promise(1)
def test_a_later_session_whose_engine_sent_nothing_keeps_what_the_earlier_one_did(plan: Path) -> None:
    """A worker whose credential is missing says so of a resume, too: the journal must outlive that."""

    async def refuse(_: RunResources, __: Controller) -> str:
        return "TOKEN is not set"

    first = run_conducted(plan, PlayedConductor(take_first))
    second = resume_conducted(first.folder, PlayedConductor(refuse))

    assert second.exit_status is ExitStatus.STOPPED
    assert second.report.run.stopped_by == "interrupt: TOKEN is not set"
    assert second.report.totals.undeployed == first.report.totals.undeployed > 0
    assert [run.id for run in list_runs(plan.parent / "state")] == [first.folder.id]


def test_a_run_that_an_engine_works_on_counts_as_live(plan: Path, killed: RunFolder) -> None:
    assert killed.read_state() == "running"
    assert ADDRESS in (killed.describe_holder() or "")
    with pytest.raises(RunError, match=f"touches 5 targets.*undeploy resume {killed.id} --on {ADDRESS}"):
        run_conducted(plan, PlayedConductor(take_first))


def test_the_advice_names_the_engine(plan: Path) -> None:
    result = run_conducted(plan, PlayedConductor(take_first))

    assert find_resume(result.report) == f"undeploy resume {result.folder.id} --on {ADDRESS}"


def test_each_advice_names_the_options_with_which_the_engine_was_reached(plan: Path) -> None:
    """An engine behind TLS answers no command that is pasted without them."""
    options = f"--on {ADDRESS} --tls-ca /etc/ca.pem --api-key env:KEY"

    async def be_killed(resources: RunResources, controller: Controller) -> str | None:
        await take_first(resources, controller)
        mark = EngineMark(address=ADDRESS, session=resources.spec.number, options=options)
        write_engine_mark(resources.spec.folder.path, mark)
        assert options in controller._describe_resume("the rest")
        raise KilledError

    with pytest.raises(BaseExceptionGroup) as caught:
        run_conducted(plan, PlayedConductor(be_killed, options=options))
    assert caught.value.subgroup(KilledError) is not None

    (killed,) = list_runs(plan.parent / "state")
    state = killed.state_option
    with killed.open_source() as source:
        assert find_resume(source.report) == f"undeploy resume {killed.id} {options}"
    holder = killed.read_holder()
    assert holder is not None
    assert holder.engine_options == options
    with pytest.raises(UsageError, match=f"at work on {ADDRESS}: {options} takes it over"):
        resume_conducted(killed, None)
    with pytest.raises(RunError, match=f"`undeploy resume {killed.id} {options}{state}`"):
        run_conducted(plan, PlayedConductor(take_first))


def test_the_advice_to_go_on_with_a_restore_has_its_engine(plan: Path, tmp_path: Path) -> None:
    """And --past-stop, where a stop rule ended it: the plain command would be refused."""
    options = f"--on {ADDRESS} --tls"
    made = run_conducted(plan, PlayedConductor(take_first, options=options)).folder
    begun = Restore(
        id=made.id, journal=made.journal, brings_back=(made.id,), begun=1.0, live=False, whole=False
    )

    with pytest.raises(
        UsageError, match=f"`undeploy resume {made.id} {options} .*` goes on with the restore"
    ):
        refuse_restored(made, [begun], RunOptions())
    unreadable = replace(begun, journal=tmp_path / "gone" / "journal.sqlite")
    with pytest.raises(UsageError, match=f"`undeploy resume {made.id} --state .*` goes on with the restore"):
        refuse_restored(made, [unreadable], RunOptions())


def test_a_run_whose_mark_cannot_be_read_is_taken_over_by_the_address_of_its_session(
    killed: RunFolder,
) -> None:
    (killed.path / "engine").write_bytes(b'{"address": "\xff"}')
    holder = killed.read_holder()
    assert holder is not None
    assert holder.engine_options == "--on URL"

    with pytest.raises(UsageError, match=f"at work on {ADDRESS}: --on {ADDRESS} takes it over"):
        resume_conducted(killed, None)
    conductor = PlayedConductor(take_first, sessions={1: EngineSession()})
    resume_conducted(killed, conductor)
    assert "find session 1" in conductor.told


def test_the_advice_on_a_run_that_an_engine_works_on_is_to_take_it_over(killed: RunFolder) -> None:
    with killed.open_source() as source:
        assert find_resume(source.report) == f"undeploy resume {killed.id} --on {ADDRESS}"


def test_a_resume_without_the_engine_is_refused(killed: RunFolder) -> None:
    for conductor in (None, PlayedConductor(take_first, address="temporal://elsewhere:7233/default")):
        with pytest.raises(UsageError, match=f"at work on {ADDRESS}: --on {ADDRESS} takes it over"):
            resume_conducted(killed, conductor)


def test_a_resume_takes_the_session_over(killed: RunFolder) -> None:
    conductor = PlayedConductor(take_first, sessions={1: EngineSession()})

    result = resume_conducted(killed, conductor)

    assert conductor.told == [
        "connect",
        "find session 1",
        "find session 2",
        "conduct session 1",
        "release session 1",
    ]
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

    result = resume_conducted(killed, PlayedConductor(take_one, sessions={1: EngineSession()}))

    assert result.report.totals.undeployed == 1
    assert result.report.run.seconds == pytest.approx(0.1)


def test_a_session_that_the_engine_does_not_know_is_followed_by_another(killed: RunFolder) -> None:
    conductor = PlayedConductor(take_first)

    result = resume_conducted(killed, conductor)

    assert "conduct session 2" in conductor.told
    assert len(result.report.run.sessions) == 2


def test_a_takeover_changes_nothing_of_the_session(killed: RunFolder) -> None:
    with pytest.raises(UsageError, match=r"session 1 of run .* goes on as it began"):
        resume_conducted(killed, PlayedConductor(take_first, sessions={1: EngineSession()}), only=("a/**",))


def take_all(*, stop: str | None = None, but: int = 0) -> Conduct:
    """Return the work of an engine that takes all targets down, ``but`` some, and that ``stop`` stops."""

    async def take(resources: RunResources, _: Controller) -> None:
        leave_mark(resources)
        if stop is not None:
            resources.run_gate.stop("interrupt", stop)
        targets = [
            target
            for gateway in resources.spec.plan.gateways
            for target, _history in resources.pending.read_batch(WaveStep(0, 0), gateway.name, (-1, 0))[0]
        ]
        for target in targets[: len(targets) - but]:
            outcome = ("undeployed", None, "look", 0.1, 1.0, target.seq)
            resources.record.take_over([("outcome", outcome)])

    return take


ELSEWHERE = "temporal://elsewhere:7233/default"


@pytest.mark.promise(1)
def test_a_run_whose_engine_answers_and_has_it_is_not_taken_for_one_without_an_engine(
    killed: RunFolder,
) -> None:
    there = PlayedConductor(take_first, sessions={1: EngineSession()})

    for given in (there, None, PlayedConductor(take_first, address=ELSEWHERE)):
        with pytest.raises(UsageError, match=f"still open on {ADDRESS}.*--on {ADDRESS} .*` takes it over"):
            resume_conducted(killed, given, witness=there, engine_gone=True)

    # Nothing of the run has changed by that.
    assert read_engine_mark(killed.path) == EngineMark(address=ADDRESS, session=1)
    resumed = resume_conducted(killed, there)
    assert len(resumed.report.run.sessions) == 1


def test_a_run_whose_engine_cannot_be_asked_is_not_resumed(killed: RunFolder) -> None:
    class Unclear(PlayedConductor):
        async def is_there(self) -> bool:
            raise UsageError("something listens there")

    with pytest.raises(UsageError, match=r"is gone cannot be told: something listens there"):
        resume_conducted(killed, None, witness=Unclear(take_first), engine_gone=True)


@pytest.mark.parametrize("answers", [False, True])
def test_a_run_whose_engine_is_gone_goes_on_once_a_person_says_so(killed: RunFolder, answers: bool) -> None:
    conductor = PlayedConductor(take_first, address=ELSEWHERE)
    # A server that answers and knows nothing of the run has another database.
    witness = PlayedConductor(take_first, answers=answers)

    result = resume_conducted(killed, conductor, witness=witness, engine_gone=True)

    assert len(result.report.run.sessions) == 2
    assert witness.told[0] == "is it there"


@pytest.mark.promise(1)
def test_what_a_lost_engine_had_and_told_nothing_of_is_in_doubt(killed: RunFolder) -> None:
    histories = []

    async def look(resources: RunResources, _: Controller) -> None:
        batch, _cursor = resources.pending.read_batch(WaveStep(0, 0), "a", (-1, 0))
        histories.extend(history for _target, history in batch)

    result = resume_conducted(killed, PlayedConductor(look, address=ELSEWHERE), engine_gone=True)

    assert [(each.in_doubt, each.may_have_arrived, each.charged) for each in histories] == [
        (True, True, 0)
    ] * 2
    assert (result.report.totals.unknown, result.report.totals.requests) == (5, 0)
    with result.folder.open_source() as source:
        (attempt,) = next(iter(source.targets())).attempts
    assert (attempt.act, attempt.status) == ("undeploy", None)
    assert f"{ADDRESS} had this target in session 1, and was lost" in (attempt.message or "")


def test_what_was_seen_down_before_a_lost_engine_had_it_is_in_no_doubt(killed: RunFolder) -> None:
    with closing(killed.open(write=True)) as database:
        database.run("INSERT INTO approved (seq, state) VALUES (1, 'down'), (2, 'up')")
        database.run("INSERT INTO snapshot VALUES (3, 1.0, 'down', '{}')")

    async def leave(_: RunResources, __: Controller) -> None:
        return

    result = resume_conducted(killed, PlayedConductor(leave, address=ELSEWHERE), engine_gone=True)

    with result.folder.open_source() as source:
        outcomes = [target.outcome for target in source.targets()]
    unknown, not_started = Outcome.UNKNOWN, Outcome.NOT_STARTED
    assert outcomes == [not_started, unknown, not_started, unknown, unknown]


@pytest.mark.parametrize("heard", [False, True])
def test_a_session_that_another_server_answers_for_is_in_doubt_once_it_was_heard_of(
    plan: Path, heard: bool
) -> None:
    async def begin(resources: RunResources, controller: Controller) -> None:
        if heard:
            resources.record.keep_wave_step(1.0, WaveStep(0, 0))
        await die(resources, controller)

    async def leave(_: RunResources, __: Controller) -> None:
        return

    with pytest.raises(BaseExceptionGroup):
        run_conducted(plan, PlayedConductor(begin))
    (folder,) = list_runs(plan.parent / "state")
    result = resume_conducted(folder, PlayedConductor(leave))

    assert result.report.totals.unknown == (5 if heard else 0)


@pytest.mark.promise(8)
def test_a_resume_goes_on_at_once_after_a_session_that_had_been_stopped(killed: RunFolder) -> None:
    stopped = EngineSession(stopped_by="interrupt: SIGINT was received")
    engine = PlayedConductor(take_all(stop="SIGINT was received", but=2), take_all(), sessions={1: stopped})
    events = list[AnyEvent]()

    result = resume_conducted(killed, engine, events=events)

    assert result.exit_status is ExitStatus.DONE
    assert [session.exit_status for session in result.report.run.sessions] == [130, 0]
    assert [each for each in engine.told if each.startswith("conduct")] == [
        "conduct session 1",
        "conduct session 2",
    ]
    # Who listens hears the session that this command began, and no stop that somebody else gave.
    assert [type(event) for event in events if isinstance(event, RunStarted | RunEnded | RunStopping)] == [
        RunStarted,
        RunEnded,
    ]


def test_the_start_of_a_resume_says_that_a_stopped_session_is_taken_over(killed: RunFolder) -> None:
    stopped = EngineSession(stopped_by="interrupt: SIGINT was received")
    engine = PlayedConductor(take_all(stop="SIGINT was received", but=2), take_all(), sessions={1: stopped})

    result = resume_conducted(killed, engine, told=(remarks := list[str]()))

    assert result.exit_status is ExitStatus.DONE
    told = "session 1 was stopped before (interrupt: SIGINT was received): what it did is taken over first"
    assert f"{told}, then the run goes on" in remarks


@pytest.mark.parametrize(
    ("heard", "asks", "warned"), [(True, False, True), (True, True, False), (False, False, False)]
)
def test_a_resume_that_does_not_ask_the_engine_warns_of_sessions_that_it_cannot_know(
    plan: Path, heard: bool, asks: bool, warned: bool
) -> None:
    async def stop(resources: RunResources, controller: Controller) -> None:
        if heard:
            resources.record.keep_wave_step(1.0, WaveStep(0, 0))
        resources.run_gate.stop("control", "ada stopped it")

    folder = run_conducted(plan, PlayedConductor(stop)).folder
    request = RunRequest(options=RunOptions(), conductor=PlayedConductor() if asks else None)
    with closing(folder.open()) as database:
        EngineLookup(folder, database, request, UNDEPLOY).warn_of_elsewhere()

    assert [f"--on {ADDRESS} takes such a session over" in remark for remark in folder.remarks] == [
        True
    ] * warned


def test_who_resumes_hears_what_keeps_a_stopped_session_from_being_taken_over(killed: RunFolder) -> None:
    stopped = EngineSession(stopped_by="interrupt: SIGINT was received")
    takes = take_all(stop="SIGINT was received", but=2)

    async def wait_for_worker(resources: RunResources, controller: Controller) -> str | None:
        for text in (None, "a"):
            LaneRecorder(resources.record, resources.emit, lambda: 1.0).warn(text, "no worker is there")
        return await takes(resources, controller)

    engine = PlayedConductor(wait_for_worker, take_all(), sessions={1: stopped})
    events = list[AnyEvent]()

    result = resume_conducted(killed, engine, events=events)

    assert [type(event) for event in events[:2]] == [RunWarned, RunStarted]
    assert "in session 1: no worker is there" in result.report.warnings


@pytest.mark.promise(8)
def test_one_signal_leaves_a_stopped_session_to_its_engine(killed: RunFolder) -> None:
    stopped = EngineSession(stopped_by="interrupt: SIGINT was received")

    async def wait_for_nobody(resources: RunResources, _: Controller) -> None:
        resources.run_gate.stop("interrupt", "SIGINT was received")
        await anyio.wait_all_tasks_blocked()
        os.kill(os.getpid(), signal.SIGTERM)
        await anyio.sleep(30)

    engine = PlayedConductor(wait_for_nobody, sessions={1: stopped})

    result = resume_conducted(killed, engine, signals=True)

    assert result.exit_status is ExitStatus.INTERRUPTED
    why = "interrupt: SIGTERM was received before all results of session 1 were here"
    assert (result.report.run.stopped_by, result.report.totals.unknown) == (why, 0)
    assert [each for each in engine.told if each.startswith(("conduct", "release"))] == ["conduct session 1"]
    assert (result.folder.path / "report.html").is_file()


def test_a_session_that_a_stop_rule_ended_is_taken_over_and_left_unless_a_person_goes_past_it(
    killed: RunFolder,
) -> None:
    stopped = EngineSession(stopped_by="stop_rule: failed: 2 in the run")

    async def stop(resources: RunResources, _: Controller) -> None:
        leave_mark(resources)
        resources.run_gate.stop("stop_rule", "failed: 2 in the run")

    left = resume_conducted(killed, PlayedConductor(stop, sessions={1: stopped}))
    past = resume_conducted(killed, PlayedConductor(take_all()), past_stop=True)

    assert (left.exit_status, len(left.report.run.sessions)) == (ExitStatus.STOPPED, 1)
    assert (past.exit_status, len(past.report.run.sessions)) == (ExitStatus.DONE, 2)


def test_a_takeover_alone_begins_no_session_after_it(killed: RunFolder) -> None:
    stopped = EngineSession(stopped_by="interrupt: SIGINT was received")
    engine = PlayedConductor(take_all(stop="SIGINT was received", but=2), take_all(), sessions={1: stopped})

    result = resume_conducted(killed, engine, take_over_only=True)

    assert (result.exit_status, len(result.report.run.sessions)) == (ExitStatus.INTERRUPTED, 1)


@pytest.mark.promise(1)
def test_a_session_that_was_begun_from_another_folder_is_taken_over_first(plan: Path) -> None:
    folder = run_conducted(plan, PlayedConductor(take_first)).folder
    elsewhere = EngineSession(started=1.0, is_over=True)
    engine = PlayedConductor(take_all(), sessions={2: elsewhere})

    result = resume_conducted(folder, engine)

    assert (result.exit_status, result.report.totals.undeployed) == (ExitStatus.DONE, 5)
    assert [each for each in engine.told if each.startswith("conduct")] == ["conduct session 2"]
    assert len(result.report.run.sessions) == 2


def test_a_session_that_has_ended_is_forgotten_by_its_engine_at_the_next_occasion(plan: Path) -> None:
    folder = run_conducted(plan, PlayedConductor(take_first)).folder

    # The one that the test plays leaves the mark, as one that could not reach its server does.
    assert read_engine_mark(folder.path) is not None
    assert folder.read_holder() is None

    conductor = PlayedConductor(take_first)
    resume_conducted(folder, conductor)

    assert conductor.told[:2] == ["connect", "release session 1"]
