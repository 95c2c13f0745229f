"""Many targets: waves in order, and what stops them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from engine import Answer, Scripted, Wire, gateway, lane, played, reading, target, world

from orchestrator.errors import DiskError
from orchestrator.events import AnyEvent, TargetEnded, WaveEnded, WaveStarted
from orchestrator.executor import Crew, Way, execute
from orchestrator.journal.database import Database, Value
from orchestrator.journal.draft import Draft
from orchestrator.journal.pending import Pending
from orchestrator.journal.record import Record
from orchestrator.model import Act, Limits, Plan, StopWhen, Target, Threshold, Verdict, Wave
from orchestrator.plan.targets import Place
from orchestrator.schedule import Tally
from orchestrator.stopping import Stopping
from orchestrator.undeploy import Tools

REMOVED = reading(Verdict.REMOVED, evidence="204")
REFUSED = reading(Verdict.REFUSED, message="no")
NEVER = Threshold(share=1.0)
CALM = StopWhen(failed=NEVER, unknown=NEVER, surprising=NEVER)


class Direct:
    """Writes a journal at once; fails from the intent numbered ``full_from`` on."""

    def __init__(self, database: Database, full_from: int | None = None) -> None:
        self._database = database
        self._full_from = full_from
        self._intents = 0

    def post(self, statement: str, values: tuple[Value, ...]) -> None:
        self._database.run(statement, values)

    async def write(self, statement: str, values: tuple[Value, ...]) -> None:
        self._intents += 1
        if self._full_from is not None and self._intents >= self._full_from:
            raise DiskError("disk is full")
        self._database.run(statement, values)

    async def flush(self) -> None:
        pass

    async def close(self) -> None:
        pass


class Executed(NamedTuple):
    """What became of a run's targets, and what was sent when."""

    outcomes: dict[str, str | None]
    reasons: dict[str, str | None]
    wires: dict[str, Wire]
    events: list[AnyEvent]
    stopping: Stopping


def ran(
    folder: Path,
    targets: list[Target],
    answers: Callable[[Act, str], Answer] = lambda _act, _id: REMOVED,
    *,
    gateways: tuple[Scripted, ...] = (gateway(),),
    stop_when: StopWhen = CALM,
    full_from: int | None = None,
    closes: float | None = None,
    takes: float = 1.0,
) -> Executed:
    """Execute a plan of these targets on a virtual clock; every answer takes ``takes`` seconds."""
    draft = Draft(folder / "journal.sqlite")
    for one in targets:
        draft.add(one, Place(0, one.seq, 1))
    names = tuple(entry.name for entry in gateways)
    draft.finish(names, {})
    database = draft.database
    waves = tuple(Wave(name=f"wave-{index}") for index in range(max(one.wave for one in targets) + 1))
    plan = Plan(name="p", gateways=gateways, waves=waves, stop_when=stop_when)
    events: list[AnyEvent] = []
    wires = {name: Wire(answers, takes) for name in names}
    stopping = Stopping(closes=closes)

    async def main() -> None:
        here = world()
        record = Record(Direct(database, full_from), 1)
        crew = Crew(
            plan=plan,
            pending=Pending(database, plan, resumed=False),
            record=record,
            tally=Tally(stop_when, {}, first_run=True),
            tools=Tools(world=here, stopping=stopping, record=record, emit=events.append, note=None),
        )
        lanes: dict[str, Way] = {
            entry.name: Way(lane(entry, here, stopping), wires[entry.name].send) for entry in gateways
        }
        await execute(crew, lanes)

    played(main)
    rows = list(database.rows("SELECT id, outcome, reason FROM target ORDER BY seq"))
    draft.close()
    return Executed(
        {name: outcome for name, outcome, _ in rows},
        {name: reason for name, _, reason in rows},
        wires,
        events,
        stopping,
    )


def narrow(name: str = "gw", concurrency: int = 1, **fields: Any) -> Scripted:
    return gateway(name, limits=Limits(concurrency=concurrency), **fields)


@pytest.mark.promise(1)
def test_each_target_gets_one_outcome_and_is_told_once(tmp_path: Path) -> None:
    went = ran(tmp_path, [target(seq) for seq in range(1, 41)])
    told = Counter(event.target for event in went.events if isinstance(event, TargetEnded))

    assert set(went.outcomes.values()) == {"undeployed"}
    assert told == Counter({target(seq).id: 1 for seq in range(1, 41)})


def test_no_more_requests_are_in_flight_than_the_lane_allows(tmp_path: Path) -> None:
    went = ran(tmp_path, [target(seq) for seq in range(1, 11)], gateways=(narrow(concurrency=3),))

    assert went.wires["gw"].times() == [0.0] * 3 + [1.0] * 3 + [2.0] * 3 + [3.0]


def test_targets_of_one_proxy_never_run_at_the_same_moment(tmp_path: Path) -> None:
    targets = [target(seq, like="x" if seq % 2 else "y") for seq in range(1, 9)]
    went = ran(tmp_path, targets)

    assert went.wires["gw"].times() == [0.0, 0.0, 1.0, 1.0, 2.0, 2.0, 3.0, 3.0]
    for second in range(4):
        proxies = [name.rpartition("/")[2] for at, _, name in went.wires["gw"].told if at == second]
        assert sorted(proxies) == ["x", "y"]


def test_a_wave_starts_when_the_one_before_it_has_ended(tmp_path: Path) -> None:
    targets = [target(seq, wave=(seq - 1) // 3) for seq in range(1, 7)]
    went = ran(tmp_path, targets)

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

    went = ran(tmp_path, targets, answers, gateways=(narrow("good", 4), narrow("bad", 8)))

    assert went.wires["good"].times()[-1] == 7.0
    assert {went.outcomes[one.id] for one in targets if one.gateway == "good"} == {"undeployed"}
    assert max(at for at, _, _ in went.wires["bad"].told) < 700.0
    assert len(went.wires["bad"].times()) < 40
    bad = [went.reasons[one.id] for one in targets if one.gateway == "bad" and went.outcomes[one.id]]
    assert bad
    assert all(reason and reason.startswith(("parked: ", "spent: ")) for reason in bad)


@pytest.mark.promise(4)
def test_a_lane_that_closes_takes_no_further_target(tmp_path: Path) -> None:
    wrong = reading(Verdict.ELSEWHERE, message="no instance")
    went = ran(tmp_path, [target(seq) for seq in range(1, 101)], lambda *_: wrong)

    assert len(went.wires["gw"].told) == 4
    assert Counter(went.outcomes.values()) == {"not_started": 4, None: 96}


@pytest.mark.promise(5)
def test_a_rejected_credential_costs_no_more_than_what_was_in_flight(tmp_path: Path) -> None:
    denied = reading(Verdict.DENIED, message="bad token")
    went = ran(tmp_path, [target(seq) for seq in range(1, 101)], lambda *_: denied)

    assert len(went.wires["gw"].told) == 4


def test_a_stop_rule_stops_every_lane(tmp_path: Path) -> None:
    rules = StopWhen(failed=Threshold(count=2), unknown=NEVER, surprising=NEVER)
    went = ran(
        tmp_path,
        [target(seq) for seq in range(1, 31)],
        lambda *_: REFUSED,
        gateways=(narrow(),),
        stop_when=rules,
    )

    assert went.stopping.reason == "stop_rule: 3 failed in the run, more than 2"
    assert Counter(went.outcomes.values()) == {"failed": 3, None: 27}


def test_a_wave_that_breaks_a_rule_at_any_size_holds_the_next_one(tmp_path: Path) -> None:
    rules = StopWhen(failed=Threshold(share=0.4), unknown=NEVER, surprising=NEVER)
    targets = [target(1), target(2), target(3, wave=1)]
    went = ran(tmp_path, targets, lambda _, name: REFUSED if name == "gw/t1" else REMOVED, stop_when=rules)

    assert went.stopping.reason == "stop_rule: 1 of 2 failed in the wave, more than 0.4 of them"
    assert went.outcomes["gw/t3"] is None


def test_a_wave_in_which_nothing_went_down_holds_the_next_one(tmp_path: Path) -> None:
    targets = [target(1), target(2, wave=1)]
    went = ran(tmp_path, targets, lambda *_: REFUSED)

    assert went.stopping.reason == "stop_rule: nothing in wave wave-0 was undeployed"
    assert went.outcomes["gw/t2"] is None


def test_a_wave_that_nobody_could_take_holds_the_next_one(tmp_path: Path) -> None:
    """Wave 1 is all on a lane that closed in wave 0: not one of its targets was tried."""
    targets = [target(1, "good"), target(2, "bad"), target(3, "bad", wave=1), target(4, "good", wave=2)]
    wrong = reading(Verdict.ELSEWHERE, message="no instance")
    went = ran(
        tmp_path,
        targets,
        lambda _, name: REMOVED if name.startswith("good") else wrong,
        gateways=(gateway("good"), gateway("bad")),
    )

    assert went.stopping.reason == "stop_rule: nothing in wave wave-1 was undeployed"
    assert went.outcomes["good/t4"] is None


@pytest.mark.promise(2)
def test_a_full_disk_stops_the_run_and_nothing_leaves_without_its_intent(tmp_path: Path) -> None:
    went = ran(tmp_path, [target(seq) for seq in range(1, 31)], gateways=(narrow(),), full_from=4)

    assert went.stopping.reason == "disk: disk is full"
    assert len(went.wires["gw"].told) == 3
    assert Counter(went.outcomes.values()) == {"undeployed": 3, None: 27}


@pytest.mark.promise(7)
def test_nothing_starts_that_cannot_end_before_the_window_closes(tmp_path: Path) -> None:
    went = ran(tmp_path, [target(seq) for seq in range(1, 31)], gateways=(narrow(),), closes=34.5)

    assert went.wires["gw"].times() == [0.0, 1.0, 2.0, 3.0, 4.0]
    assert Counter(went.outcomes.values()) == {"undeployed": 5, None: 25}
