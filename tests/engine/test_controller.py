"""The commands of an operator to a live run, and their effect."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import msgspec
import pytest

from orchestrator.display.progress import RunProgress
from orchestrator.engine.control_commands import (
    ContinueRun,
    ControlCommand,
    Operator,
    PauseRun,
    SetLimits,
    SkipTargets,
    StopRun,
)
from orchestrator.engine.controller import Controller, recall_controls
from orchestrator.errors import DiskError, ExitStatus, JournalError, UsageError
from orchestrator.journal.notes import ControlNote, PaceNote
from orchestrator.journal.record import SessionRecord
from orchestrator.lanes.lane import LearnedLimits
from orchestrator.lanes.run_gate import RunGate
from orchestrator.model.events import (
    AnyEvent,
    Controlled,
    LimitsChanged,
    PartLeft,
    RunContinued,
    RunWaiting,
    RunWarned,
    StepStarted,
)
from orchestrator.model.plan import Wave, Window
from orchestrator.model.reading import Act, Verdict
from orchestrator.model.settings import Limits, Retry
from orchestrator.model.target import TargetId
from orchestrator.rules.admission import AdmissionRequest
from orchestrator.text.formats import format_unix_time
from tests.engine.test_waves import (
    DOUBT,
    REMOVED,
    UNCLEAR,
    DirectWriting,
    ExecutedRun,
    Steer,
    make_narrow_gateway,
    make_prompt,
    run_waves,
    sizes,
)
from tests.support.engine import EPOCH, Answer, Heard, environment, gateway, lane, played, resources, target
from tests.support.readings import reading

ADA = Operator(user="ada", origin="ops-1, process 7, pts/3")
UP, DOWN = reading(Verdict.UP), reading(Verdict.DOWN)


class KeptControls:
    """A record that keeps nothing."""

    def keep_control(self, *_: object) -> None:
        return

    async def flush(self) -> None:
        return


def ask_at(*commands: tuple[float, ControlCommand], answers: list[str] | None = None) -> Steer:
    """Send these commands to a run, each at its second."""

    async def steer(controller: Controller) -> None:
        for at, command in commands:
            await anyio.sleep(at - anyio.current_time())
            try:
                answer = await controller.execute(command, ADA)
            except UsageError as error:
                answer = f"no: {error}"
            if answers is not None:
                answers.append(answer)

    return steer


def make_targets(count: int) -> list[Any]:
    return [target(seq) for seq in range(1, count + 1)]


# --- pause and continue ---------------------------------------------------------------------------------


def test_a_pause_lets_requests_in_flight_land_and_starts_nothing_until_continue(tmp_path: Path) -> None:
    answers: list[str] = []
    went = run_waves(
        tmp_path,
        make_targets(5),
        gateways=(make_narrow_gateway(concurrency=2),),
        steer=ask_at((1.5, PauseRun()), (100.0, ContinueRun()), answers=answers),
    )

    assert went.wires["gw"].times() == [0.0, 0.0, 1.0, 1.0, 100.0]
    assert set(went.outcomes.values()) == {"undeployed"}
    assert went.waits() == [(1.5, "paused")]
    assert [one.at - EPOCH for one in went.events if isinstance(one, RunContinued)] == [100.0]
    assert answers == [
        "nothing new starts; what is in flight lands, and `continue` goes on",
        "it goes on",
    ]


def test_continue_before_the_window_opens_says_what_the_run_waits_for() -> None:
    """A pause that ends meanwhile leaves the wait for the window, which is shown again."""
    answers: list[str] = []
    events: list[AnyEvent] = []

    async def main() -> None:
        here, run_gate = environment(), RunGate()
        window = Window(datetime.fromtimestamp(EPOCH + 90.0, UTC), None)
        shared = resources(here, run_gate, KeptControls(), events.append, window=window)
        controller = Controller(shared, RunProgress())
        commands = (ContinueRun(), PauseRun(), ContinueRun())
        answers.extend([await controller.execute(command, ADA) for command in commands])
        await anyio.sleep(90.0)
        answers.append(await controller.execute(ContinueRun(), ADA))

    played(main)
    opens = format_unix_time(EPOCH + 90.0)
    assert answers == [
        f"it waits until its window opens at {opens}; nothing has changed",
        "nothing new starts; what is in flight lands, and `continue` goes on",
        f"it goes on once its window opens at {opens}",
        "it was not waiting; nothing has changed",
    ]
    assert [one for one in events if not isinstance(one, Controlled)] == [
        RunWaiting(at=EPOCH, why="paused"),
        RunContinued(at=EPOCH),
        RunWaiting(at=EPOCH, why="window", until=EPOCH + 90.0),
    ]


def test_doubts_are_looked_at_while_a_run_is_paused_and_nothing_is_repeated(tmp_path: Path) -> None:
    """The last attempt lands in doubt after the pause began; its look settles it at once."""
    went = run_waves(
        tmp_path,
        make_targets(3),
        lambda act, _: DOWN if act is Act.LOOK else DOUBT,
        gateways=(make_narrow_gateway(concurrency=1, retry=Retry(attempts=1)),),
        steer=ask_at((0.5, PauseRun()), (50.0, ContinueRun())),
    )

    assert went.wires["gw"].told[:3] == [
        (0.0, Act.UNDEPLOY, "gw/t1"),
        (1.0, Act.LOOK, "gw/t1"),
        (50.0, Act.UNDEPLOY, "gw/t2"),
    ]
    assert set(went.outcomes.values()) == {"undeployed"}


@pytest.mark.promise(7)
@pytest.mark.parametrize(("look", "pauses", "last"), [("doubt", 0.5, 70.0), ("always", 2.5, 71.0)])
def test_a_run_that_stays_paused_ends_with_its_window(
    tmp_path: Path, look: str, pauses: float, last: float
) -> None:
    """The last undeploy starts one timeout before the close, and its look follows it."""
    sent: set[str] = set()

    def answers(act: Act, name: str) -> Answer:
        if act is Act.LOOK:
            return DOWN if name in sent else UP
        sent.add(name)
        return REMOVED

    went = run_waves(
        tmp_path,
        make_targets(3),
        answers,
        gateways=(make_narrow_gateway(concurrency=1, look=look),),
        steer=ask_at((pauses, PauseRun())),
        closes=100.0,
        ends=True,
    )

    assert last <= went.at <= last + 0.01
    assert sent == {"gw/t1"}
    assert [went.outcomes[f"gw/t{seq}"] for seq in (1, 2, 3)] == ["undeployed", "not_started", "not_started"]
    assert all((went.reasons[f"gw/t{seq}"] or "").startswith("window: ") for seq in (2, 3))
    assert went.status is ExitStatus.STOPPED


def test_continue_ends_the_rest_between_two_waves(tmp_path: Path) -> None:
    answers: list[str] = []
    went = run_waves(
        tmp_path,
        [target(1), target(2, wave=1), target(3, wave=2)],
        waves=(Wave(name="a", pause_after=300.0), Wave(name="b", proceed="ask"), Wave(name="c")),
        steer=ask_at((0.5, ContinueRun()), (10.0, ContinueRun()), (20.0, ContinueRun()), answers=answers),
    )

    assert went.wires["gw"].times() == [0.0, 10.0, 20.0]
    assert answers == ["it was not waiting; nothing has changed", "it goes on", "it goes on"]


def test_a_pause_during_the_rest_holds_what_comes_after_it(tmp_path: Path) -> None:
    went = run_waves(
        tmp_path,
        [target(1), target(2, wave=1)],
        waves=(Wave(name="a", pause_after=30.0), Wave(name="b")),
        steer=ask_at((10.0, PauseRun()), (90.0, ContinueRun())),
    )

    assert went.wires["gw"].times() == [0.0, 90.0]


def test_a_yes_after_a_wave_ends_no_pause_that_another_operator_has_ordered(tmp_path: Path) -> None:
    went = run_waves(
        tmp_path,
        [target(1), target(2, wave=1)],
        waves=(Wave(name="a", proceed="ask"), Wave(name="b")),
        prompt=make_prompt(True, 30.0),
        steer=ask_at((10.0, PauseRun()), (90.0, ContinueRun())),
    )

    assert went.wires["gw"].times() == [0.0, 90.0]
    assert went.waits() == [(1.0, "proceed"), (10.0, "paused"), (31.0, "paused")]


# --- stop -----------------------------------------------------------------------------------------------


@pytest.mark.promise(8)
def test_a_stop_starts_nothing_more_and_leaves_the_rest_for_a_resume(tmp_path: Path) -> None:
    answers: list[str] = []
    went = run_waves(
        tmp_path,
        make_targets(6),
        gateways=(make_narrow_gateway(concurrency=2),),
        steer=ask_at((1.5, StopRun()), answers=answers),
        ends=True,
    )

    why = "interrupt: ada stopped it (ops-1, process 7, pts/3)"
    assert went.at == 2.0
    assert Counter(went.outcomes.values()) == {"undeployed": 4, "not_started": 2}
    assert {went.reasons[f"gw/t{seq}"] for seq in (5, 6)} == {why}
    assert went.status is ExitStatus.STOPPED
    assert answers == ["it stops; `undeploy resume r` goes on with what is left"]


def test_a_stop_lets_doubts_be_looked_at(tmp_path: Path) -> None:
    went = run_waves(
        tmp_path,
        make_targets(2),
        lambda act, _: UP if act is Act.LOOK else DOUBT,
        gateways=(make_narrow_gateway(concurrency=1),),
        steer=ask_at((0.5, StopRun())),
        ends=True,
    )

    assert [act for _, act, _ in went.wires["gw"].told] == [Act.UNDEPLOY, Act.LOOK]
    assert set(went.outcomes.values()) == {"not_started"}
    assert {(reason or "").partition(":")[0] for reason in went.reasons.values()} == {"interrupt"}


def test_a_stop_ends_a_pause_and_a_rest(tmp_path: Path) -> None:
    for name, commands in (("pause", [(0.5, PauseRun()), (9.0, StopRun())]), ("rest", [(9.0, StopRun())])):
        (tmp_path / name).mkdir()
        went = run_waves(
            tmp_path / name,
            [target(1), target(2), target(3, wave=1)],
            gateways=(make_narrow_gateway(concurrency=1 if name == "pause" else 2),),
            waves=(Wave(name="a", proceed="ask"), Wave(name="b")),
            prompt=make_prompt(True, 1e6),
            steer=ask_at(*commands),
            ends=True,
        )

        assert went.at == 9.0
        assert went.status is ExitStatus.STOPPED


# --- skip -----------------------------------------------------------------------------------------------


def test_a_target_skipped_before_its_turn_is_not_started_and_does_not_count(tmp_path: Path) -> None:
    answers: list[str] = []
    went = run_waves(
        tmp_path,
        [target(seq) for seq in (1, 2, 31, 32, 33, 40)],
        gateways=(make_narrow_gateway(concurrency=1),),
        steer=ask_at((0.5, SkipTargets("gw/t3*")), (0.6, SkipTargets("gw/nothing")), answers=answers),
    )

    assert [name for _, _, name in went.wires["gw"].told] == ["gw/t1", "gw/t2", "gw/t40"]
    skipped = "skipped: gw/t3*, by ada"
    assert list(went.reasons.values()) == [
        None,
        None,
        skipped,
        skipped,
        skipped,
        None,
    ]
    assert went.status is ExitStatus.DONE
    assert answers == [
        "3 targets will be passed over",
        (
            "no: gw/nothing matches no target that nothing was sent for"
            " (in a pattern * stays inside one part of an id, ** crosses parts); nothing has changed"
        ),
    ]


@pytest.mark.parametrize(
    ("look", "outcome"), [(UP, "not_started"), (DOWN, "undeployed"), (UNCLEAR, "unknown")]
)
def test_a_target_skipped_while_in_doubt_is_looked_at_and_never_undeployed_again(
    tmp_path: Path, look: Answer, outcome: str
) -> None:
    """The first target waits 20 s for its second attempt when the operator skips all."""
    went = run_waves(
        tmp_path,
        make_targets(20),
        lambda act, name: look if act is Act.LOOK else DOUBT if name == "gw/t1" else REMOVED,
        gateways=(make_narrow_gateway(concurrency=1, retry=Retry(first=20.0)),),
        steer=ask_at((5.0, SkipTargets("gw/*"))),
    )

    assert [at for at, act, name in went.wires["gw"].told if (act, name) == (Act.UNDEPLOY, "gw/t1")] == [0.0]
    assert went.wires["gw"].times(Act.LOOK)[0] == 21.0
    assert (went.outcomes["gw/t1"], went.outcomes["gw/t20"]) == (outcome, "not_started")
    assert went.reasons["gw/t20"] == "skipped: gw/*, by ada"
    if outcome == "not_started":
        assert went.reasons["gw/t1"] == "skipped: gw/*, by ada"
        assert went.status is ExitStatus.DONE


def test_a_skip_tells_only_the_targets_that_no_other_one_leaves_out(tmp_path: Path) -> None:
    went = run_waves(
        tmp_path,
        [*(target(seq) for seq in (1, 21, 22)), target(23, wave=1)],
        gateways=(make_narrow_gateway(concurrency=1),),
        steer=ask_at((0.4, SkipTargets("gw/t22")), (0.5, SkipTargets("gw/t2*"))),
    )

    first, second = (one for one in went.events if isinstance(one, Controlled))
    assert first.skipped == (PartLeft(wave="wave-0", number=1, left={"gw": 1}),)
    assert second.skipped == (
        PartLeft(wave="wave-0", number=1, left={"gw": 1}),
        PartLeft(wave="wave-1", number=1, left={"gw": 1}),
    )


def test_a_step_whose_targets_are_all_skipped_does_not_stop_the_run(tmp_path: Path) -> None:
    went = run_waves(
        tmp_path,
        [target(seq) for seq in (1, 21, 22, 30, 31)],
        gateways=(make_narrow_gateway(concurrency=1),),
        waves=(Wave(name="a", sizes=sizes(1, 3, 1.0)),),
        steer=ask_at((0.5, SkipTargets("gw/t2*"))),
    )

    assert went.run_gate.stop_kind is None
    (told,) = (one for one in went.events if isinstance(one, Controlled))
    assert told.skipped == (PartLeft(wave="a", number=2, left={"gw": 2}),)
    assert [name for _, _, name in went.wires["gw"].told] == ["gw/t1", "gw/t30", "gw/t31"]
    assert len([one for one in went.events if isinstance(one, StepStarted)]) == 3
    assert went.status is ExitStatus.DONE


def test_a_target_that_requires_a_skipped_one_is_not_started(tmp_path: Path) -> None:
    went = run_waves(
        tmp_path,
        make_targets(3),
        gateways=(make_narrow_gateway(concurrency=1),),
        needs=[(3, "gw/t2")],
        steer=ask_at((0.5, SkipTargets("gw/t2"))),
    )

    assert went.reasons["gw/t3"] == "dependency: gw/t2, which comes first, is not started"
    assert went.status is ExitStatus.UNFINISHED


# --- limits ---------------------------------------------------------------------------------------------


def count_in_flight(went: ExecutedRun, at: float, takes: float = 10.0) -> int:
    return sum(began <= at < began + takes for began, _, _ in went.wires["gw"].told)


def test_a_lower_concurrency_is_in_force_with_the_next_request_and_a_higher_one_at_once(
    tmp_path: Path,
) -> None:
    answers: list[str] = []
    went = run_waves(
        tmp_path,
        make_targets(60),
        gateways=(make_narrow_gateway(concurrency=4),),
        steer=ask_at(
            (15.0, SetLimits("gw", concurrency=1)), (55.0, SetLimits("gw", concurrency=9)), answers=answers
        ),
        takes=10.0,
    )

    assert [count_in_flight(went, at) for at in (5.0, 16.0, 25.0, 45.0, 54.0)] == [4, 4, 1, 1, 1]
    assert {count_in_flight(went, at) for at in (55.0, 66.0, 76.0, 86.0)} == {9}
    assert set(went.outcomes.values()) == {"undeployed"}
    assert answers == ["in force: gw concurrency=1", "in force: gw concurrency=9"]
    told = [event.concurrency for event in went.events if isinstance(event, LimitsChanged)]
    assert told == [1, 9]


def test_a_rate_is_in_force_at_once_also_for_requests_that_have_a_slot(tmp_path: Path) -> None:
    """At 1/m four have a place within four minutes; 2/s from the tenth second on voids those."""
    went = run_waves(
        tmp_path,
        make_targets(8),
        gateways=(gateway(limits=Limits(concurrency=4, rate=1 / 60)),),
        steer=ask_at((10.0, SetLimits("gw", rate=2.0)), (11.9, SetLimits("gw", rate=0.1))),
        takes=0.0,
    )

    assert went.wires["gw"].times() == [0.0, 10.0, 10.5, 11.0, 11.5, 21.5, 31.5, 41.5]


def test_a_removed_rate_lets_all_requests_go(tmp_path: Path) -> None:
    went = run_waves(
        tmp_path,
        make_targets(8),
        gateways=(gateway(limits=Limits(concurrency=4, rate=1 / 60)),),
        steer=ask_at((10.0, SetLimits("gw", unbounded=True))),
        takes=0.0,
    )

    assert went.wires["gw"].times() == [0.0] + [10.0] * 7


def test_setting_the_same_rate_repeatedly_lets_no_request_go_sooner(tmp_path: Path) -> None:
    went = run_waves(
        tmp_path,
        make_targets(3),
        gateways=(gateway(limits=Limits(concurrency=4, rate=0.1)),),
        steer=ask_at(*((float(second), SetLimits("gw", rate=0.1)) for second in range(1, 20))),
        takes=0.0,
    )

    assert went.wires["gw"].times() == [0.0, 10.0, 20.0]


@pytest.mark.parametrize(
    ("command", "why"),
    [
        (SetLimits("gw-2", rate=1.0), "the plan has no gateway 'gw-2'; it has gw"),
        (SetLimits("gw"), "give concurrency=N, rate=N/s, or both"),
    ],
)
def test_limits_that_cannot_be_set_change_and_keep_nothing(
    tmp_path: Path, command: ControlCommand, why: str
) -> None:
    answers: list[str] = []
    went = run_waves(tmp_path, make_targets(3), steer=ask_at((0.5, command), answers=answers))

    assert answers == [f"no: {why}"]
    assert went.kept == []
    assert [one for one in went.events if isinstance(one, Controlled)] == []


# --- what is kept ---------------------------------------------------------------------------------------

ACTS: list[ControlCommand] = [
    PauseRun(),
    ContinueRun(),
    SkipTargets("gw/t9"),
    SetLimits("gw", concurrency=2),
    SetLimits("gw", rate=5.0),
    SetLimits("gw", unbounded=True),
    StopRun(),
]


def test_each_command_is_kept_and_told_with_its_operator(tmp_path: Path) -> None:
    went = run_waves(
        tmp_path,
        make_targets(9),
        gateways=(make_narrow_gateway(concurrency=1),),
        steer=ask_at(*((0.1 * number, command) for number, command in enumerate(ACTS, 1))),
    )

    words = [
        "pause",
        "continue",
        "skip gw/t9",
        "limits gw concurrency=2",
        "limits gw rate=5/s",
        "limits gw rate=none",
        "stop",
    ]
    assert went.kept == [
        ControlNote(act=word, by="ada", origin=ADA.origin, command=msgspec.Raw(msgspec.json.encode(command)))
        for word, command in zip(words, ACTS, strict=True)
    ]
    told = [one for one in went.events if isinstance(one, Controlled)]
    assert [(one.act, one.by, one.origin) for one in told] == [(word, "ada", ADA.origin) for word in words]


def test_a_preview_tells_the_effect_and_has_none(tmp_path: Path) -> None:
    answers: list[str] = []

    async def steer(controller: Controller) -> None:
        await anyio.sleep(1.5)
        answers.extend([await controller.preview(command) for command in ACTS])
        for unfit in (SkipTargets("gw/none"), SetLimits("nowhere", concurrency=2), SetLimits("gw")):
            with pytest.raises(UsageError):
                await controller.preview(unfit)

    went = run_waves(tmp_path, make_targets(9), gateways=(make_narrow_gateway(concurrency=2),), steer=steer)

    rest = "`undeploy resume r` goes on with the rest, at most 0 targets"
    assert answers == [
        "nothing new starts; nothing is in flight; `continue` goes on",
        "it was not waiting; nothing has changed",
        "1 target will be passed over",
        "gw: 2 at once, no fixed rate now; 2 at once, no fixed rate then",
        "gw: 2 at once, no fixed rate now; 2 at once, 5/s then",
        "gw: 2 at once, no fixed rate now; 2 at once, no fixed rate then",
        f"nothing new starts; nothing is in flight; {rest}",
    ]
    assert (went.kept, set(went.outcomes.values())) == ([], {"undeployed"})
    assert not [one for one in went.events if isinstance(one, Controlled)]


def test_a_count_of_many_targets_lets_the_run_work_in_between(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestrator.journal.pending.STRETCH", 2)
    turns = 0

    async def take_turns() -> None:
        nonlocal turns
        while True:
            turns += 1
            await anyio.lowlevel.checkpoint()

    async def steer(controller: Controller) -> None:
        await anyio.sleep(0.5)
        async with anyio.create_task_group() as others:
            others.start_soon(take_turns)
            assert await controller.preview(SkipTargets("gw/**")) == "19 targets will be passed over"
            others.cancel_scope.cancel()

    run_waves(tmp_path, make_targets(20), gateways=(make_narrow_gateway(concurrency=1),), steer=steer)

    assert turns >= 10


class SlowWriting(DirectWriting):
    """A disk that takes its time, or is full."""

    def __init__(self, takes: float, fault: DiskError | None = None) -> None:
        self.posted: list[str] = []
        self.flushed: list[float] = []
        self._takes = takes
        self._fault = fault

    def post(self, statement: str, values: tuple[Any, ...]) -> None:
        self.posted.append(statement)

    async def flush(self) -> None:
        await anyio.sleep(self._takes)
        if self._fault:
            raise self._fault
        self.flushed.append(anyio.current_time())


def make_controller(disk: SlowWriting, events: Callable[[object], None], run_gate: RunGate) -> Controller:
    return Controller(resources(environment(), run_gate, SessionRecord(disk, 1), events), RunProgress())


def test_a_command_is_on_disk_before_its_answer() -> None:
    async def main() -> tuple[list[float], float, int]:
        disk = SlowWriting(2.0)
        controller = make_controller(disk, lambda _: None, RunGate())
        await controller.execute(PauseRun(), ADA)
        return disk.flushed, anyio.current_time(), len(disk.posted)

    assert played(main) == ([2.0], 2.0, 1)


def test_a_command_that_cannot_be_kept_is_not_answered() -> None:
    async def main() -> None:
        await make_controller(SlowWriting(0.0, DiskError("full")), lambda _: None, RunGate()).execute(
            PauseRun(), ADA
        )

    with pytest.raises(DiskError):
        played(main)


def test_a_run_without_a_control_socket_is_warned() -> None:
    events: list[object] = []

    async def main() -> int:
        disk = SlowWriting(0.0)
        make_controller(disk, events.append, RunGate()).warn_uncontrollable("no socket")
        return len(disk.posted)

    assert played(main) == 1
    assert [one.text for one in events if isinstance(one, RunWarned)] == ["no socket"]


# --- what an earlier session leaves ---------------------------------------------------------------------


def make_note(command: ControlCommand, by: str = "ada") -> ControlNote:
    encoded = msgspec.Raw(msgspec.json.encode(command))
    return ControlNote(act=str(command), by=by, origin="x", command=encoded)


def test_a_resume_does_not_guess_a_command_that_cannot_be_read() -> None:
    with pytest.raises(JournalError, match='the command "skip gw/x" cannot be read'):
        recall_controls((gateway("gw"),), [ControlNote(act="skip gw/x")])


def test_a_resume_goes_on_with_the_paces_the_limits_and_the_skips_of_earlier_sessions() -> None:
    entries = (gateway("gw", limits=Limits(concurrency=3, rate=7.0)), gateway("other"), gateway("third"))
    learned, skips = recall_controls(
        entries,
        [
            PaceNote("third", 8.0),
            PaceNote("third", 3.0),
            PaceNote("gone", 3.0),
            make_note(SetLimits("gw", concurrency=2)),
            make_note(PauseRun()),
            make_note(SetLimits("other", rate=5.0)),
            make_note(SkipTargets("gw/a*")),
            make_note(SetLimits("other", concurrency=9)),
            make_note(SetLimits("gone", rate=1.0)),
            make_note(SkipTargets("gw/a*"), by="bob"),
            make_note(SkipTargets("gw/b"), by="bob"),
            make_note(SetLimits("gw", unbounded=True)),
            PaceNote("gw", 12.5),
            make_note(StopRun()),
        ],
    )

    assert learned == {
        "gw": LearnedLimits(rate=12.5, limits=Limits(concurrency=2, rate=None)),
        "other": LearnedLimits(limits=Limits(concurrency=9, rate=5.0)),
        "third": LearnedLimits(rate=3.0),
    }
    assert skips == {"gw/a*": "ada", "gw/b": "bob"}


@pytest.mark.parametrize(
    ("notes", "rate"),
    [
        ([PaceNote("gw", 7.0)], None),
        ([PaceNote("gw", 6.99999)], None),
        ([PaceNote("gw", 5.0)], 5.0),
        ([PaceNote("gw", 5.0), PaceNote("gw", 7.0)], 7.0),
        ([PaceNote("gw", 7.0), SetLimits("gw", rate=1.0), PaceNote("gw", 1.0)], None),
        ([PaceNote("gw", 5.0), SetLimits("gw", rate=1.0), PaceNote("gw", 1.0)], 5.0),
        ([SetLimits("gw", rate=9.0), PaceNote("gw", 8.0), SetLimits("gw", rate=2.0)], 8.0),
        ([SetLimits("gw", unbounded=True), PaceNote("gw", 7.0)], 7.0),
        ([PaceNote("gw", 5.0), SetLimits("gw", unbounded=True), PaceNote("gw", None)], None),
    ],
)
def test_a_limit_that_a_person_has_set_is_no_pace_that_the_gateway_bears(
    notes: list[PaceNote | SetLimits], rate: float | None
) -> None:
    """Else it would bound the lane for long after an operator of the resume has raised it."""
    entry = gateway("gw", limits=Limits(rate=7.0))
    given = [note if isinstance(note, PaceNote) else make_note(note) for note in notes]

    learned, _ = recall_controls((entry,), given)

    assert learned.get("gw", LearnedLimits()).rate == rate


def test_a_lane_begins_with_the_learned_limits() -> None:
    heard = Heard()
    learned = LearnedLimits(rate=2.0, limits=Limits(concurrency=1, rate=5.0))

    async def main() -> tuple[int, list[float]]:
        begun = lane(gateway(), environment(), RunGate(), heard, learned=learned)
        at = []
        for _ in range(3):
            assert await begun.admit(AdmissionRequest(TargetId("gw/t1"), Act.UNDEPLOY)) is None
            at.append(anyio.current_time())
        return begun.concurrency, at

    assert played(main) == (1, [0.0, 0.5, 1.0])
    assert heard.paces == [2.0]
