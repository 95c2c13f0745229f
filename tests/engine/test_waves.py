"""Many targets: the waves in their order, and the rules that stop them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.display.progress import RunProgress
from orchestrator.engine.controller import Controller
from orchestrator.engine.request import Prompt
from orchestrator.engine.waves import WaveRunner
from orchestrator.errors import DiskError, ExitStatus
from orchestrator.journal.database import Database, Value
from orchestrator.journal.draft import Draft
from orchestrator.journal.meta import RunMeta
from orchestrator.journal.notes import ControlNote, list_controls
from orchestrator.journal.pending import PendingTargets
from orchestrator.journal.record import SessionRecord
from orchestrator.journal.session_scope import split_into_steps
from orchestrator.journal.writer import write_entries
from orchestrator.lanes.lane import MOST_RESTING, Lane
from orchestrator.lanes.run_gate import RunGate
from orchestrator.model.credentials import Access, AccessKeys, Material, Secret
from orchestrator.model.events import (
    AnyEvent,
    RunContinued,
    RunWaiting,
    StepStarted,
    TargetEnded,
    WaveEnded,
    WaveStarted,
)
from orchestrator.model.http import Lost, Request
from orchestrator.model.plan import Plan, StepSize, StopWhen, Threshold, Wave, WaveStep
from orchestrator.model.reading import Act, Operation, Verdict
from orchestrator.model.settings import Limits, Retry
from orchestrator.model.target import Target, TargetId
from orchestrator.plan.patterns import Patterns
from orchestrator.plan.problems import FilePosition
from orchestrator.rules.exit_status import choose_exit_status
from orchestrator.rules.steps import find_step_ends
from orchestrator.rules.stop_rules import StopRules
from tests.support.engine import (
    EPOCH,
    Answer,
    Scripted,
    Wire,
    environment,
    gateway,
    lane,
    played,
    resources,
    target,
)
from tests.support.readings import reading

REMOVED = reading(Verdict.REMOVED, evidence="204")
REFUSED = reading(Verdict.REFUSED, message="no")
NEVER = Threshold(share=1.0)
CALM = StopWhen(failed=NEVER, unknown=NEVER, surprising=NEVER)


class DirectWriting:
    """Writes a journal at once; fails from the intent numbered ``full_from`` on."""

    def __init__(self, database: Database, full_from: int | None = None) -> None:
        self._database = database
        self._full_from = full_from
        self._intents = 0

    def post(self, statement: str, values: tuple[Value, ...]) -> None:
        write_entries(self._database, [(statement, values)])

    async def write(self, statement: str, values: tuple[Value, ...]) -> None:
        self._intents += 1
        if self._full_from is not None and self._intents >= self._full_from:
            raise DiskError("disk is full")
        write_entries(self._database, [(statement, values)])

    async def flush(self) -> None:
        pass

    async def close(self) -> None:
        pass


class ExecutedRun(NamedTuple):
    """The outcomes of a run, its requests with their times, and in ``kept`` the notes of control commands."""

    outcomes: dict[str, str | None]
    reasons: dict[str, str | None]
    wires: dict[str, Wire]
    events: list[AnyEvent]
    run_gate: RunGate
    at: float
    status: ExitStatus
    wave_steps: dict[str, WaveStep]
    lanes: dict[str, Lane]
    kept: list[ControlNote]

    def waits(self) -> list[tuple[float, str]]:
        """When the run began each wait, and its cause."""
        return [(one.at - EPOCH, one.why) for one in self.events if isinstance(one, RunWaiting)]


Steer = Callable[[Controller], Awaitable[None]]


def run_waves(
    folder: Path,
    targets: list[Target],
    answers: Callable[[Act, str], Answer] = lambda _act, _id: REMOVED,
    *,
    gateways: tuple[Scripted, ...] = (gateway(),),
    stop_when: StopWhen = CALM,
    full_from: int | None = None,
    closes: float | None = None,
    takes: float = 1.0,
    needs: Iterable[tuple[int, str]] = (),
    waves: tuple[Wave, ...] = (),
    prompt: Prompt | None = None,
    steer: Steer | None = None,
    material: Material | None = None,
    ends: bool = False,
    past_stop: bool = False,
    begun: Sequence[WaveStep] = (),
) -> ExecutedRun:
    """Execute a plan of these targets on a virtual clock; every answer takes ``takes`` seconds.

    ``needs`` says by number who comes after which id. ``ends``: what nobody has come to gets its reason, as
    at the end of a session. ``begun`` are wave steps to which an earlier session has come.
    """
    draft = Draft(folder / "journal.sqlite")
    draft.database.run("COMMIT")
    draft.database.run("PRAGMA synchronous = OFF")
    draft.database.run("BEGIN")
    for one in targets:
        draft.add(one, FilePosition(0, one.seq, 1))
    for seq, name in needs:
        draft.add_dependency(seq, TargetId(name), FilePosition(0, seq, 1))
    names = tuple(entry.name for entry in gateways)
    waves = waves or tuple(
        Wave(name=f"wave-{index}") for index in range(max(one.wave for one in targets) + 1)
    )
    plan = Plan(name="p", gateways=gateways, waves=waves, stop_when=stop_when, snapshot="off")
    draft.finish(plan, RunMeta())
    database = draft.database
    split_into_steps(
        database,
        [
            (index, lambda count, sizes=wave.sizes: find_step_ends(sizes, count))
            for index, wave in enumerate(waves)
            if wave.sizes
        ],
    )
    events: list[AnyEvent] = []
    wires = {name: Wire(answers, takes) for name in names}
    run_gate = RunGate(closes=closes, matcher=lambda texts: Patterns(texts, gateways).find_first)
    record, pending = (
        SessionRecord(DirectWriting(database, full_from), 1),
        PendingTargets(database, plan, resumed=bool(begun)),
    )

    for wave_step in begun:
        record.keep_wave_step(EPOCH, wave_step)

    async def main() -> tuple[float, dict[str, Lane]]:
        here = environment()
        lanes = {
            entry.name: lane(entry, here, run_gate, material=material, send=wires[entry.name].send)
            for entry in gateways
        }
        shared = resources(
            here,
            run_gate,
            record,
            events.append,
            plan=plan,
            pending=pending,
            stop_rules=StopRules(stop_when, {}, first_run=True, past_stop=past_stop),
            lanes=lanes,
            prompt=prompt,
        )
        controller = Controller(shared, RunProgress())
        async with anyio.create_task_group() as group:
            if steer is not None:
                group.start_soon(steer, controller)
            await WaveRunner(shared).run()
            group.cancel_scope.cancel()
        at = anyio.current_time()
        if ends:
            for index, name in enumerate(names):
                if refused := lanes[name].refusal():
                    record.leave_rest(refused, at, gateway=index)
            record.leave_rest(run_gate.reason or "interrupt: not reached", at)
        return at, lanes

    at, lanes = played(main)
    rows = list(database.rows("SELECT id, outcome, reason, wave, step FROM target ORDER BY seq"))
    kept = [note for _, note in list_controls(database)]
    status = choose_exit_status(pending.count_outcomes(), interrupted=run_gate.stop_kind == "interrupt")
    draft.close()
    return ExecutedRun(
        {name: outcome for name, outcome, *_ in rows},
        {name: reason for name, _, reason, *_ in rows},
        wires,
        events,
        run_gate,
        at,
        status,
        {name: WaveStep(*wave_step) for name, _, _, *wave_step in rows},
        lanes,
        kept,
    )


def make_narrow_gateway(name: str = "gw", concurrency: int = 1, **fields: Any) -> Scripted:
    return gateway(name, limits=Limits(concurrency=concurrency), **fields)


class SharedGateway(Scripted, frozen=True, kw_only=True):
    """All gateways of this kind are names of one installation."""

    @property
    def installation(self) -> str:
        return "one"


def make_shared_gateway(name: str) -> SharedGateway:
    given = make_narrow_gateway(name, 4, look="always")
    return SharedGateway(
        **{field: getattr(given, field) for field in ("name", "url", "auth", "limits", "look")}
    )


@pytest.mark.promise(1)
def test_each_target_gets_one_outcome_and_is_told_once(tmp_path: Path) -> None:
    went = run_waves(tmp_path, [target(seq) for seq in range(1, 41)])
    told = Counter(event.target for event in went.events if isinstance(event, TargetEnded))

    assert set(went.outcomes.values()) == {"undeployed"}
    assert told == Counter({target(seq).id: 1 for seq in range(1, 41)})


def test_the_end_of_a_target_tells_how_long_it_took_with_all_of_its_attempts(tmp_path: Path) -> None:
    answers = iter([reading(Verdict.DOUBT), REMOVED])
    went = run_waves(tmp_path, [target(1)], lambda *_: next(answers), takes=2.0)
    (end,) = (event for event in went.events if isinstance(event, TargetEnded))

    assert (end.seconds, end.attempts, end.doubted) == (4.5, 2, False)


def test_no_more_requests_are_in_flight_than_the_lane_allows(tmp_path: Path) -> None:
    went = run_waves(
        tmp_path, [target(seq) for seq in range(1, 11)], gateways=(make_narrow_gateway(concurrency=3),)
    )

    assert went.wires["gw"].times() == [0.0] * 3 + [1.0] * 3 + [2.0] * 3 + [3.0]


def test_targets_of_one_proxy_never_run_at_the_same_moment(tmp_path: Path) -> None:
    targets = [target(seq, like="x" if seq % 2 else "y") for seq in range(1, 9)]
    went = run_waves(tmp_path, targets)

    assert went.wires["gw"].times() == [0.0, 0.0, 1.0, 1.0, 2.0, 2.0, 3.0, 3.0]
    for second in range(4):
        proxies = [name.rpartition("/")[2] for at, _, name in went.wires["gw"].told if at == second]
        assert sorted(proxies) == ["x", "y"]


@pytest.mark.parametrize("names", [("gw",), ("gw", "same")])
def test_an_undeploy_after_a_late_look_waits_for_its_proxy_s_turn(
    tmp_path: Path, names: tuple[str, ...]
) -> None:
    """With ``look: always`` a target gives its key back before its look, and the look may call it up."""
    targets = [target(seq, names[seq % len(names)], like="x" if seq % 4 else "y") for seq in range(1, 13)]
    sent = Counter[str]()

    def answers(act: Act, name: str) -> Answer:
        if act is Act.LOOK:
            return reading(Verdict.DOWN if sent[name] > 1 else Verdict.UP)
        sent[name] += 1
        return REMOVED

    gateways = tuple(make_shared_gateway(name) for name in names)
    went = run_waves(tmp_path, targets, answers, gateways=gateways)

    assert set(went.outcomes.values()) == {"undeployed"}
    assert set(sent.values()) == {2}
    for proxy in ("x", "y"):
        told = [one for wire in went.wires.values() for one in wire.told if one[2].endswith(proxy)]
        begun = sorted(at for at, act, _ in told if act is Act.UNDEPLOY)
        assert all(later - before >= 1.0 for before, later in pairwise(begun)), proxy


def test_a_wave_starts_when_the_one_before_it_has_ended(tmp_path: Path) -> None:
    targets = [target(seq, wave=(seq - 1) // 3) for seq in range(1, 7)]
    went = run_waves(tmp_path, targets)

    assert went.wires["gw"].times() == [0.0] * 3 + [1.0] * 3
    waves = [event for event in went.events if isinstance(event, WaveStarted | WaveEnded)]
    assert [(type(event).__name__, event.wave) for event in waves] == [
        ("WaveStarted", "wave-0"),
        ("WaveEnded", "wave-0"),
        ("WaveStarted", "wave-1"),
        ("WaveEnded", "wave-1"),
    ]


@pytest.mark.promise(6)
def test_a_broken_gateway_does_not_slow_the_other_one(tmp_path: Path) -> None:
    """The broken one is parked, and its targets are left for a resume after ``park_for``."""
    targets = [target(seq, "good" if seq % 2 else "bad") for seq in range(1, 61)]

    def answers(act: Act, name: str) -> Answer:
        if act is Act.LOOK:
            return reading(Verdict.UNCLEAR)
        return REMOVED if name.startswith("good") else reading(Verdict.DOUBT, message="HTTP 502")

    went = run_waves(
        tmp_path, targets, answers, gateways=(make_narrow_gateway("good", 4), make_narrow_gateway("bad", 8))
    )

    assert went.wires["good"].times()[-1] == 7.0
    assert {went.outcomes[one.id] for one in targets if one.gateway == "good"} == {"undeployed"}
    assert max(at for at, _, _ in went.wires["bad"].told) < 700.0
    assert len(went.wires["bad"].times()) < 40
    bad = [went.reasons[one.id] for one in targets if one.gateway == "bad" and went.outcomes[one.id]]
    assert bad
    assert all(reason and reason.startswith(("parked: ", "spent: ")) for reason in bad)


@pytest.mark.promise(6)
def test_a_parked_gateway_does_not_delay_the_last_looks_of_the_other_one(tmp_path: Path) -> None:
    """With ``look: always`` a lane's last looks wait for its own undeploys, not for those of all lanes."""
    targets = [target(seq, "good" if seq % 2 else "bad") for seq in range(1, 21)]
    down = set[str]()

    def answers(act: Act, name: str) -> Answer:
        if name.startswith("bad"):
            return Lost(sent=False, detail="refused")
        if act is Act.LOOK:
            return reading(Verdict.DOWN if name in down else Verdict.UP)
        down.add(name)
        return REMOVED

    went = run_waves(
        tmp_path,
        targets,
        answers,
        gateways=(make_narrow_gateway("good", 5, look="always"), make_narrow_gateway("bad", 5)),
    )

    assert went.wires["good"].times(Act.LOOK)[-1] <= 10.0
    assert {went.outcomes[one.id] for one in targets if one.gateway == "good"} == {"undeployed"}
    assert went.wires["bad"].times()[-1] > 500.0


@pytest.mark.promise(6)
@pytest.mark.parametrize("heals", [True, False])
def test_doubts_at_a_gateway_that_dies_wait_until_it_answers_or_is_given_up(
    tmp_path: Path, heals: bool
) -> None:
    """The replies of a second are lost; then nothing can be sent for two minutes, or for good. No look
    is spent on that: once it is well each doubt is settled, and else it is left for a resume."""
    targets = [target(seq) for seq in range(1, 41)]
    sent, ill = list[float](), list[float]()

    def answers(act: Act, name: str) -> Answer:
        now = anyio.current_time()
        if now >= 4.0 and not (heals and now >= 124.0):
            ill.append(now)
            return Lost(sent=False, detail="refused")
        if act is Act.LOOK:
            return reading(Verdict.DOWN)
        sent.append(now)
        return Lost(sent=True, detail="reset") if 3.0 <= now < 4.0 else REMOVED

    went = run_waves(
        tmp_path,
        targets,
        answers,
        gateways=(make_narrow_gateway(concurrency=8, retry=Retry(attempts=1)),),
        ends=True,
    )

    ends = Counter(went.outcomes.values())
    if heals:
        assert ends == {"undeployed": 40}
    else:
        assert set(ends) == {"undeployed", "unknown", "not_started"}
        reasons = [reason for reason in went.reasons.values() if reason]
        assert all(reason.startswith("parked: ") for reason in reasons)
        assert went.status is ExitStatus.STOPPED
    assert len(ill) < 60


@pytest.mark.promise(6)
@pytest.mark.parametrize("concurrency", [1, 4, 8, 100])
@pytest.mark.parametrize("how", [reading(Verdict.DOUBT, message="500"), Lost(sent=False, detail="refused")])
def test_an_outage_of_a_minute_costs_no_target_its_attempts(
    tmp_path: Path, concurrency: int, how: Answer
) -> None:
    """Five different targets meet it soon, however few may be in flight: the lane parks and they wait."""
    targets = [target(seq) for seq in range(1, 301)]
    went = run_waves(
        tmp_path,
        targets,
        lambda act, _: (
            reading(Verdict.UP) if act is Act.LOOK else how if 2.0 <= anyio.current_time() < 62.0 else REMOVED
        ),
        gateways=(make_narrow_gateway(concurrency=concurrency, retry=Retry(attempts=5, first=0.5)),),
        takes=0.2,
    )
    during = [at for at in went.wires["gw"].times() if 2.0 <= at < 62.0]

    assert Counter(went.outcomes.values()) == {"undeployed": 300}
    assert len(during) <= 2 * concurrency + 20


@pytest.mark.promise(6)
def test_targets_that_wait_for_their_next_try_keep_no_worker_from_the_others(tmp_path: Path) -> None:
    """Every tenth target meets a fault, and waits for ten seconds or so."""
    targets, seen = [target(seq) for seq in range(1, 201)], set[str]()

    def answers(_act: Act, name: str) -> Answer:
        is_first = name not in seen
        seen.add(name)
        return reading(Verdict.DOUBT) if is_first and name.endswith("0") else REMOVED

    went = run_waves(
        tmp_path,
        targets,
        answers,
        gateways=(make_narrow_gateway(concurrency=2, retry=Retry(first=10.0)),),
        takes=0.1,
    )
    times = went.wires["gw"].times()

    assert Counter(went.outcomes.values()) == {"undeployed": 200}
    assert all(after - before >= 0.099 for before, after in zip(times, times[2:], strict=False))
    assert went.at <= 30.0  # twenty waits of ten seconds took 111 s, when each kept a worker


def test_only_so_many_targets_wait_at_a_time(tmp_path: Path) -> None:
    """Every second one waits for half a minute: a large plan must not come into memory for that."""
    targets, seen = [target(seq) for seq in range(1, 101)], set[str]()

    def answers(_act: Act, name: str) -> Answer:
        is_first = name not in seen
        seen.add(name)
        return reading(Verdict.DOUBT) if is_first and int(name.removeprefix("gw/t")) % 2 else REMOVED

    went = run_waves(
        tmp_path,
        targets,
        answers,
        gateways=(make_narrow_gateway(concurrency=2, retry=Retry(first=30.0)),),
        takes=0.1,
    )
    soon = {name for at, _, name in went.wires["gw"].told if at < 29.0}

    assert Counter(went.outcomes.values()) == {"undeployed": 100}
    assert len([name for name in soon if int(name.removeprefix("gw/t")) % 2]) == 2 * (MOST_RESTING + 1)


@pytest.mark.promise(4)
def test_a_lane_that_closes_takes_no_further_target(tmp_path: Path) -> None:
    wrong = reading(Verdict.ELSEWHERE, message="no instance")
    went = run_waves(tmp_path, [target(seq) for seq in range(1, 101)], lambda *_: wrong)

    assert len(went.wires["gw"].told) == 4
    assert Counter(went.outcomes.values()) == {"not_started": 4, None: 96}


@pytest.mark.promise(5)
def test_a_rejected_credential_costs_no_more_than_what_was_in_flight(tmp_path: Path) -> None:
    denied = reading(Verdict.DENIED, message="bad token")
    went = run_waves(tmp_path, [target(seq) for seq in range(1, 101)], lambda *_: denied)

    assert len(went.wires["gw"].told) == 4


def test_a_stop_rule_stops_every_lane(tmp_path: Path) -> None:
    rules = StopWhen(failed=Threshold(count=2), unknown=NEVER, surprising=NEVER)
    went = run_waves(
        tmp_path,
        [target(seq) for seq in range(1, 31)],
        lambda *_: REFUSED,
        gateways=(make_narrow_gateway(),),
        stop_when=rules,
    )

    assert went.run_gate.reason == "stop_rule: failed: 3 in the run, now in wave wave-0, limit 2"
    assert Counter(went.outcomes.values()) == {"failed": 3, None: 27}


def test_a_wave_that_breaks_a_rule_at_any_size_holds_the_next_one(tmp_path: Path) -> None:
    rules = StopWhen(failed=Threshold(share=0.4), unknown=NEVER, surprising=NEVER)
    targets = [target(1), target(2), target(3, wave=1)]
    went = run_waves(
        tmp_path, targets, lambda _, name: REFUSED if name == "gw/t1" else REMOVED, stop_when=rules
    )

    assert went.run_gate.reason == "stop_rule: failed: 1 of 2 (50%) in wave wave-0, limit 40%"
    assert went.outcomes["gw/t3"] is None


def test_a_wave_without_a_success_holds_the_next_one(tmp_path: Path) -> None:
    targets = [target(1), target(2, wave=1)]
    went = run_waves(tmp_path, targets, lambda *_: REFUSED)

    assert went.run_gate.reason == "stop_rule: nothing in wave wave-0 was undeployed"
    assert went.outcomes["gw/t2"] is None


def test_a_wave_that_no_worker_could_take_holds_the_next_one(tmp_path: Path) -> None:
    """Wave 1 is all on a lane that closed in wave 0: not one of its targets was tried."""
    targets = [target(1, "good"), target(2, "bad"), target(3, "bad", wave=1), target(4, "good", wave=2)]
    wrong = reading(Verdict.ELSEWHERE, message="no instance")
    went = run_waves(
        tmp_path,
        targets,
        lambda _, name: REMOVED if name.startswith("good") else wrong,
        gateways=(gateway("good"), gateway("bad")),
    )

    assert went.run_gate.reason == "stop_rule: nothing in wave wave-1 was undeployed"
    assert went.outcomes["good/t4"] is None


@pytest.mark.promise(2)
def test_a_full_disk_stops_the_run_and_nothing_leaves_without_its_intent(tmp_path: Path) -> None:
    went = run_waves(
        tmp_path, [target(seq) for seq in range(1, 31)], gateways=(make_narrow_gateway(),), full_from=4
    )

    assert went.run_gate.reason == "disk: disk is full"
    assert len(went.wires["gw"].told) == 3
    assert Counter(went.outcomes.values()) == {"undeployed": 3, None: 27}


@pytest.mark.promise(7)
def test_nothing_starts_that_cannot_end_before_the_window_closes(tmp_path: Path) -> None:
    went = run_waves(
        tmp_path, [target(seq) for seq in range(1, 31)], gateways=(make_narrow_gateway(),), closes=34.5
    )

    assert went.wires["gw"].times() == [0.0, 1.0, 2.0, 3.0, 4.0]
    assert Counter(went.outcomes.values()) == {"undeployed": 5, None: 25}


# --- a gateway that is dead -----------------------------------------------------------------------------

KEYS = AccessKeys(Secret("access-1"), Secret("secret-1"))
UNSENT = Lost(sent=False, detail="refused")
RESET = Lost(sent=True, detail="reset")
DOUBT = reading(Verdict.DOUBT, message="HTTP 500")
UNCLEAR = reading(Verdict.UNCLEAR, message="HTTP 500")


class SigningGateway(Scripted, frozen=True, kw_only=True):
    """A scripted kind that is let in by keys, too."""

    def build_request(
        self, operation: Operation, target: Target, access: Access, *, note: str | None, now: float
    ) -> Request:
        return Request(operation.act, target.id, {"token": "signed"})


def make_signing_gateway(name: str, concurrency: int = 8) -> SigningGateway:
    entry = make_narrow_gateway(name, concurrency)
    return SigningGateway(name=name, url=entry.url, auth=entry.auth, limits=entry.limits)


HEALTHY = [target(seq, "good") for seq in range(1, 401)]
DEAD: list[tuple[Answer, Answer]] = [(UNSENT, UNSENT), (RESET, RESET), (DOUBT, UNCLEAR)]


@pytest.mark.promise(6)
@pytest.mark.promise(7)
@pytest.mark.parametrize("material", [None, KEYS])
@pytest.mark.parametrize(("undeploy", "look"), DEAD)
def test_a_dead_gateway_is_left_alone_after_few_requests_and_costs_the_other_one_nothing(
    tmp_path: Path, undeploy: Answer, look: Answer, material: Material | None
) -> None:
    """The defaults: 1,000 targets, 8 at once, five attempts each, ten minutes until it is given up."""
    dead = [target(400 + seq, "bad") for seq in range(1, 1001)]
    alone, beside = tmp_path / "alone", tmp_path / "beside"
    alone.mkdir()
    beside.mkdir()

    def answers(act: Act, name: str) -> Answer:
        if name.startswith("good"):
            return REMOVED
        return look if act is Act.LOOK else undeploy

    pair = (make_signing_gateway("good"), make_signing_gateway("bad"))
    went = run_waves(beside, HEALTHY + dead, answers, gateways=pair, material=material, takes=0.25, ends=True)
    single = run_waves(alone, HEALTHY, answers, gateways=pair[:1], material=material, takes=0.25)

    assert len(went.wires["bad"].told) < 60
    assert 600.0 <= went.at < 640.0
    assert went.lanes["bad"].state.state == "parked"
    left = Counter((went.outcomes[one.id], (went.reasons[one.id] or "")[:7]) for one in dead)
    assert set(left) <= {("not_started", "parked:"), ("unknown", "parked:"), ("unknown", "spent: ")}
    touched = {name for _, _, name in went.wires["bad"].told}
    if undeploy is UNSENT:
        assert set(left) == {("not_started", "parked:")}
    assert all(went.outcomes[one.id] == "not_started" for one in dead if one.id not in touched)
    assert went.status is ExitStatus.STOPPED

    def ended(run: ExecutedRun) -> float:
        return max(one.at for one in run.events if isinstance(one, TargetEnded) and one.gateway == "good")

    assert {went.outcomes[one.id] for one in HEALTHY} == {"undeployed"}
    assert went.wires["good"].told == single.wires["good"].told
    assert ended(went) == ended(single)


@pytest.mark.promise(7)
@pytest.mark.parametrize("material", [None, KEYS])
def test_a_lane_that_cannot_be_reached_parks_where_only_one_target_may_be_under_way(
    tmp_path: Path, material: Material | None
) -> None:
    """An unsent request costs no attempt: with the others waiting for this one, nothing else would end it."""
    for folder, likes, needs in (
        ("proxy", "x", []),
        ("order", None, [(seq, "gw/t1") for seq in range(2, 11)]),
    ):
        (tmp_path / folder).mkdir()
        went = run_waves(
            tmp_path / folder,
            [target(seq, like=likes) for seq in range(1, 11)],
            lambda *_: UNSENT,
            gateways=(make_signing_gateway("gw"),),
            needs=needs,
            material=material,
            ends=True,
        )

        assert 600.0 <= went.at < 700.0
        assert len(went.wires["gw"].told) < 30
        words = {(reason or "").partition(":")[0] for reason in went.reasons.values()}
        assert words == {"parked"}
        assert set(went.outcomes.values()) == {"not_started"}


@pytest.mark.promise(7)
def test_targets_that_wait_for_the_first_signed_request_do_not_outwait_the_window(tmp_path: Path) -> None:
    went = run_waves(
        tmp_path,
        [target(seq) for seq in range(1, 4)],
        lambda *_: UNSENT,
        gateways=(make_signing_gateway("gw"),),
        material=KEYS,
        closes=33.5,
        ends=True,
    )

    assert went.at <= 33.5
    assert {(reason or "").partition(":")[0] for reason in went.reasons.values()} == {"window"}


# --- waves and steps ------------------------------------------------------------------------------------


def sizes(*steps: int | float) -> tuple[StepSize, ...]:
    return tuple(StepSize(count=one) if isinstance(one, int) else StepSize(share=one) for one in steps)


PLANS = st.lists(
    st.tuples(st.integers(0, 2), st.sampled_from(["gw", "other"]), st.sampled_from([None, "x", "y"])),
    min_size=1,
    max_size=25,
)
SIZES = st.sampled_from([(), sizes(1, 1.0), sizes(1, 0.5, 1.0), sizes(2, 5), sizes(0.1, 0.2, 3)])


@settings(max_examples=40, deadline=None)
@given(drawn=PLANS, split_by=st.tuples(SIZES, SIZES, SIZES), refused=st.sets(st.integers(1, 25), max_size=8))
def test_no_target_of_a_later_step_or_wave_is_sent_before_all_of_an_earlier_one_have_ended(
    drawn: list[tuple[int, str, str | None]], split_by: tuple[tuple[StepSize, ...], ...], refused: set[int]
) -> None:
    targets = [target(seq, name, like=like, wave=wave) for seq, (wave, name, like) in enumerate(drawn, 1)]
    bad = {one.id for one in targets if one.seq in refused}
    with TemporaryDirectory() as folder:
        went = run_waves(
            Path(folder),
            targets,
            lambda _, name: REFUSED if name in bad else REMOVED,
            gateways=(make_narrow_gateway("gw", 3), make_narrow_gateway("other", 2)),
            waves=tuple(Wave(name=f"w{index}", sizes=steps) for index, steps in enumerate(split_by)),
        )

    sent = [(at, went.wave_steps[name]) for wire in went.wires.values() for at, _, name in wire.told]
    for at, wave_step in sent:
        assert all(other + 1.0 <= at for other, before in sent if before < wave_step)
    begun = {wave_step for _, wave_step in sent}
    assert all(
        went.outcomes[name] is not None for name, wave_step in went.wave_steps.items() if wave_step in begun
    )


@pytest.mark.parametrize(
    ("past_stop", "begun", "goes_on"),
    [
        (False, (), False),
        (False, (WaveStep(0, 0),), False),
        (True, (), False),
        (True, (WaveStep(0, 0),), True),
    ],
)
def test_behind_a_wave_without_a_success_only_a_resume_past_the_stop_that_saw_it_goes_on(
    tmp_path: Path, past_stop: bool, begun: tuple[WaveStep, ...], goes_on: bool
) -> None:
    went = run_waves(
        tmp_path,
        [target(1), target(2, wave=1)],
        lambda _, name: REFUSED if name == target(1).id else REMOVED,
        past_stop=past_stop,
        begun=begun,
    )

    assert went.outcomes[target(1).id] == "failed"
    assert went.outcomes[target(2).id] == ("undeployed" if goes_on else None)
    assert went.run_gate.reason == (None if goes_on else "stop_rule: nothing in wave wave-0 was undeployed")


def test_a_run_rests_as_long_as_its_wave_says_after_each_step_but_the_last(tmp_path: Path) -> None:
    waves = (Wave(name="a", sizes=sizes(1, 1.0), pause_after=300.0), Wave(name="b", pause_after=60.0))
    targets = [target(1), target(2), target(3), target(4, wave=1)]
    went = run_waves(tmp_path, targets, waves=waves)

    assert went.wires["gw"].told == [
        (0.0, Act.UNDEPLOY, "gw/t1"),
        (301.0, Act.UNDEPLOY, "gw/t2"),
        (301.0, Act.UNDEPLOY, "gw/t3"),
        (602.0, Act.UNDEPLOY, "gw/t4"),
    ]
    assert went.at == 603.0
    assert went.waits() == [(1.0, "pause_after"), (302.0, "pause_after")]
    assert [
        (one.wave, one.number, one.steps, one.left) for one in went.events if isinstance(one, StepStarted)
    ] == [
        ("a", 1, 2, 1),
        ("a", 2, 2, 2),
    ]


async def _stop_at(controller: Controller, seconds: float) -> None:
    await anyio.sleep(seconds)
    controller._run_gate.stop("interrupt", "SIGTERM")


@pytest.mark.promise(8)
def test_an_interrupted_run_rests_no_longer(tmp_path: Path) -> None:
    waves = (Wave(name="a", pause_after=300.0), Wave(name="b"))
    went = run_waves(
        tmp_path,
        [target(1), target(2, wave=1)],
        waves=waves,
        steer=lambda controller: _stop_at(controller, 5.0),
        ends=True,
    )

    assert went.at == 5.0
    assert went.reasons["gw/t2"] == "interrupt: SIGTERM"


CLOSED = "window: one timeout no longer fits before it closes"


@pytest.mark.promise(7)
@pytest.mark.parametrize("wave", [Wave(name="a", proceed="ask"), Wave(name="a", pause_after=500.0)])
def test_a_run_that_rests_until_its_window_closes_leaves_all_to_the_window(
    tmp_path: Path, wave: Wave
) -> None:
    """Not to a stop rule: nothing went down in the waves after it since nothing was let start."""
    targets = [target(1), target(2, wave=1), target(3, wave=2)]
    waves = (wave, Wave(name="b"), Wave(name="c"))
    went = run_waves(tmp_path, targets, waves=waves, closes=100.0, ends=True)

    assert went.at == 100.0
    assert went.run_gate.reason is None
    assert [went.reasons[one.id] for one in targets] == [None, CLOSED, CLOSED]
    assert went.status is ExitStatus.STOPPED


def make_prompt(answer: bool, after: float) -> Prompt:
    async def prompt(wave: str) -> bool:
        await anyio.sleep(after)
        return answer

    return prompt


def test_a_wave_that_asks_goes_on_when_the_operator_agrees(tmp_path: Path) -> None:
    waves = (Wave(name="a", proceed="ask", pause_after=10.0), Wave(name="b", proceed="ask"))
    went = run_waves(tmp_path, [target(1), target(2, wave=1)], waves=waves, prompt=make_prompt(True, 40.0))

    assert went.wires["gw"].times() == [0.0, 51.0]
    assert went.waits() == [(1.0, "pause_after"), (11.0, "proceed")]
    assert [one.at - EPOCH for one in went.events if isinstance(one, RunContinued)] == [11.0, 51.0]
    assert went.status is ExitStatus.DONE


def test_a_wave_that_asks_stops_the_run_when_the_operator_declines(tmp_path: Path) -> None:
    waves = (Wave(name="a", proceed="ask"), Wave(name="b"))
    went = run_waves(
        tmp_path, [target(1), target(2, wave=1)], waves=waves, prompt=make_prompt(False, 40.0), ends=True
    )

    assert went.at == 41.0
    assert went.reasons["gw/t2"] == "interrupt: the operator declined to continue after wave a"
    assert went.status is ExitStatus.STOPPED


def test_shares_count_per_step(tmp_path: Path) -> None:
    """Two of the ten of the first step are few; two of the four of the second are not."""
    rules = StopWhen(failed=Threshold(share=0.3), unknown=NEVER, surprising=NEVER)
    bad = {f"gw/t{seq}" for seq in (1, 2, 11, 12)}
    went = run_waves(
        tmp_path,
        [target(seq) for seq in range(1, 21)],
        lambda _, name: REFUSED if name in bad else REMOVED,
        waves=(Wave(name="a", sizes=sizes(10, 14, 1.0)),),
        stop_when=rules,
    )

    assert went.run_gate.reason == "stop_rule: failed: 2 of 4 (50%) in step 2 of 3 of wave a, limit 30%"
    assert Counter(went.outcomes.values()) == {"undeployed": 10, "failed": 4, None: 6}


def test_a_step_without_a_success_stops_the_run(tmp_path: Path) -> None:
    went = run_waves(
        tmp_path,
        [target(seq) for seq in range(1, 11)],
        lambda _, name: REMOVED if name == "gw/t1" else REFUSED,
        waves=(Wave(name="a", sizes=sizes(1, 3, 1.0)),),
    )

    assert went.run_gate.reason == "stop_rule: nothing in step 2 of wave a was undeployed"
    assert len(went.wires["gw"].told) == 3


@pytest.mark.parametrize("closes", [None, 30.5])
def test_each_wave_that_has_begun_is_told_to_be_over_also_if_a_stop_breaks_it_off(
    tmp_path: Path, closes: float | None
) -> None:
    """By a stop rule between two steps, or by a window that lets no later step start."""
    went = run_waves(
        tmp_path,
        [target(seq, wave=(seq - 1) // 4) for seq in range(1, 9)],
        lambda _, name: REMOVED if closes or name == "gw/t1" else REFUSED,
        waves=(Wave(name="a", sizes=sizes(1, 2, 1.0), pause_after=0.25), Wave(name="b")),
        closes=closes,
    )

    steps = [event for event in went.events if isinstance(event, StepStarted | WaveStarted | WaveEnded)]
    assert [type(event).__name__ for event in steps] == [
        "WaveStarted",
        *["StepStarted"] * (1 if closes else 2),
        "WaveEnded",
    ]


@pytest.mark.promise(1)
def test_a_full_disk_wakes_the_targets_that_wait_for_the_one_it_stopped(tmp_path: Path) -> None:
    """t2 comes after t1, whose second intent finds the disk full."""
    went = run_waves(
        tmp_path, [target(1), target(2)], lambda *_: DOUBT, needs=[(2, "gw/t1")], full_from=2, ends=True
    )

    assert went.at < 10.0
    assert went.reasons["gw/t2"] == "disk: disk is full"


@pytest.mark.promise(1)
@pytest.mark.parametrize("which", ["read_batch", "count_left_in", "list_prerequisites"])
def test_a_journal_that_cannot_be_read_any_more_stops_the_run_and_lets_land_what_flies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, which: str
) -> None:
    """A network file system may fail a read while requests are in flight."""
    reads, real = Counter[str](), getattr(PendingTargets, which)

    def fail_later(self: PendingTargets, *arguments: Any) -> Any:
        reads[which] += 1
        if reads[which] > FINE[which]:
            raise DiskError("disk I/O error")
        return real(self, *arguments)

    monkeypatch.setattr("orchestrator.journal.pending.BATCH", 3)
    monkeypatch.setattr(PendingTargets, which, fail_later)
    gateways = (make_narrow_gateway("gw", 4), make_narrow_gateway("other", 4))
    targets = [target(seq, "gw" if seq % 2 else "other", wave=seq // 15) for seq in range(1, 25)]
    # The lane of the first target closes, and its last target of the wave is never taken.
    needs = [(2, "gw/t13")] if which == "list_prerequisites" else []

    def answers(_act: Act, name: str) -> Answer:
        is_closing = which == "list_prerequisites" and name == "gw/t1"
        return reading(Verdict.ELSEWHERE, message="not here") if is_closing else REMOVED

    went = run_waves(tmp_path, targets, answers, gateways=gateways, needs=needs, ends=True)

    assert went.run_gate.stop_kind == "disk"
    assert went.status is ExitStatus.STOPPED
    sent = {name for wire in went.wires.values() for _, _, name in wire.told} - {"gw/t1"}
    assert {went.outcomes[name] for name in sent} == {"undeployed"}
    assert None not in went.outcomes.values()
    left = {reason for name, reason in went.reasons.items() if went.outcomes[name] == "not_started"}
    assert any((reason or "").startswith("disk: ") for reason in left)


FINE = {"read_batch": 4, "count_left_in": 0, "list_prerequisites": 1}
"""How often each read of the journal succeeds."""
