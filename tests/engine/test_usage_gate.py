"""``in_use``: what becomes of a target that is used, on a virtual clock."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple

import anyio
import pytest

from orchestrator.engine.target_run import LookDeferred, TargetRun
from orchestrator.engine.usage_gate import MOST_LATE
from orchestrator.lanes.run_gate import RunGate
from orchestrator.lanes.usage_reader import FRESH_FOR, UsageReader
from orchestrator.model.events import AnyEvent, TargetInUse
from orchestrator.model.http import Lost
from orchestrator.model.outcome import Outcome
from orchestrator.model.plan import CallBound, Plan, Wave
from orchestrator.model.reading import Act, Snapshot, Verdict
from orchestrator.model.settings import Limits, Retry
from orchestrator.model.target import Target, TargetId
from orchestrator.rules.admission import AdmissionRequest
from orchestrator.rules.parking import FAULTY_TARGETS
from orchestrator.rules.retry import TargetEnd, TargetHistory
from tests.support.counted_kind import ASKED_OF_ALL, ASKED_OF_ONE, Counted, calls
from tests.support.engine import (
    Answer,
    Heard,
    Journal,
    NothingPending,
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
DOUBT = reading(Verdict.DOUBT, message="HTTP 502")
UP, DOWN = reading(Verdict.UP), reading(Verdict.DOWN)
LOST = Lost(sent=True, detail="no reply")
NEVER = CallBound(calls=0, hours=72)


class Played(NamedTuple):
    """How a target went: its end, its wire, its journal, its events, and what was told of its lane."""

    end: TargetEnd | LookDeferred
    wire: Wire
    journal: Journal
    events: list[AnyEvent]
    heard: Heard

    @property
    def counts(self) -> list[float]:
        """The seconds at which the calls were asked for."""
        return [round(at, 1) for at, _, address in self.wire.told if address.startswith(ASKED_OF_ONE)]


def take_down(
    used: list[Answer],
    *,
    in_use: Literal["ignore", "warn", "refuse"] = "refuse",
    over: CallBound = NEVER,
    undeploys: Callable[[], Answer] = lambda: REMOVED,
    look: Answer = UP,
    snapshot: Literal["best", "off"] = "off",
    history: TargetHistory | None = None,
    during: Callable[[RunGate], Any] | None = None,
    is_parked: bool = False,
    takes: float = 0.0,
    of_all: Answer = UP,
    pending: NothingPending | None = None,
    **fields: Any,
) -> Played:
    """Take one target through a session; ``used`` are the answers to the reads of its calls, in order."""
    left = list(used)

    def answer(act: Act, address: str) -> Answer:
        if address.startswith(ASKED_OF_ONE):
            return left.pop(0)
        if address == ASKED_OF_ALL:
            return of_all
        return undeploys() if act is Act.UNDEPLOY else look

    wire, journal, events, heard = Wire(answer, takes), Journal(), list[AnyEvent](), Heard()

    async def main() -> TargetEnd | LookDeferred:
        here, run_gate = environment(), RunGate(matcher=_match_exactly)
        given = {name: getattr(gateway(), name) for name in ("name", "url", "auth")}
        one_lane = lane(Counted(**given, **fields), here, run_gate, heard, send=wire.send)
        one_lane.begin_step(1000)
        for number in range(FAULTY_TARGETS if is_parked else 0):
            request = AdmissionRequest(TargetId(f"gw/other{number}"), Act.UNDEPLOY)
            one_lane.state.observe(request, DOUBT, 0.0, began=0.0, left=1000, within_reach=8)
        plan = Plan(
            name="p",
            gateways=(one_lane.gateway,),
            waves=(Wave(name="w"),),
            snapshot=snapshot,
            in_use=in_use,
            in_use_over=over,
        )
        parts = resources(here, run_gate, journal, events.append, plan=plan, pending=pending)
        if in_use != "ignore":
            patience = one_lane.gateway.park_for if in_use == "refuse" else 0.0
            parts.usage_readers["gw"] = UsageReader(one_lane, over.hours, patience)
        async with anyio.create_task_group() as group:
            if during is not None:
                group.start_soon(during, run_gate)
            end = await TargetRun(target(), history or TargetHistory(), one_lane, parts).run()
            group.cancel_scope.cancel()
        return end

    return Played(played(main), wire, journal, events, heard)


def _match_exactly(texts: Sequence[str]) -> Callable[[TargetId], str | None]:
    return lambda name: name if name in texts else None


def left_up(reason: str) -> TargetEnd:
    return TargetEnd(Outcome.NOT_STARTED, reason)


def test_a_target_in_use_is_left_and_its_callers_are_named() -> None:
    went = take_down([calls(1204)])

    assert went.end == left_up("in_use: 1,204 calls in 72 h by web-shop, billing")
    assert went.wire.times() == []
    assert [usage.calls for usage in went.journal.usages] == [1204]


@pytest.mark.parametrize(("count", "goes"), [(0, True), (100, True), (101, False)])
def test_the_bound_is_strict(count: int, goes: bool) -> None:
    went = take_down([calls(count)], over=CallBound(calls=100, hours=24))

    assert (went.wire.times() != []) is goes


@pytest.mark.parametrize(
    ("answers", "why"),
    [
        ([LOST, LOST], "no reply"),
        ([reading(Verdict.UNCLEAR, message="HTTP 200, plain text")], "HTTP 200, plain text"),
        (
            [reading(Verdict.NOT_OFFERED, code="APIG.1005", message="No permission")],
            "APIG.1005 No permission",
        ),
    ],
)
def test_what_cannot_be_told_is_never_taken_for_unused(answers: list[Answer], why: str) -> None:
    went = take_down(answers)

    assert went.end == left_up(f"in_use: cannot be told: {why}")
    assert went.wire.times() == []


@pytest.mark.promise(5)
def test_a_target_whose_use_was_not_read_since_the_credential_was_refused_is_left_for_that() -> None:
    went = take_down([], of_all=reading(Verdict.DENIED, message="bad token"), is_shared=True, is_silent=True)

    assert isinstance(went.end, TargetEnd)
    assert went.end.outcome is Outcome.NOT_STARTED
    assert (went.end.reason or "").startswith("denied: ")
    assert not went.journal.usages


def test_a_warning_names_the_target_and_lets_it_go() -> None:
    went = take_down([calls(3)], in_use="warn")

    assert went.end == TargetEnd(Outcome.UNDEPLOYED, evidence="204")
    told = [event for event in went.events if isinstance(event, TargetInUse)]
    assert [(event.target, event.calls, event.text) for event in told] == [
        ("gw/t1", 3, "3 calls in 72 h by web-shop, billing")
    ]
    assert len(went.heard.warnings) == 1


def test_a_warning_tells_what_cannot_be_told() -> None:
    went = take_down([LOST, LOST], in_use="warn")

    assert went.end == TargetEnd(Outcome.UNDEPLOYED, evidence="204")
    assert [event.text for event in went.events if isinstance(event, TargetInUse)] == [
        "cannot be told: no reply"
    ]


def test_an_unused_target_goes_without_a_word() -> None:
    went = take_down([calls(0)], in_use="warn")

    assert went.heard.warnings == []
    assert not any(isinstance(event, TargetInUse) for event in went.events)


def test_a_plan_that_ignores_it_reads_nothing() -> None:
    assert [act for _, act, _ in take_down([], in_use="ignore").wire.told] == [Act.UNDEPLOY]


def test_nobody_asks_who_uses_a_target_that_is_down() -> None:
    went = take_down([], look=DOWN, snapshot="best")

    assert went.end == TargetEnd(Outcome.ALREADY_UNDEPLOYED, evidence="look")
    assert went.counts == []


def test_the_state_is_read_before_the_calls_even_without_a_snapshot() -> None:
    went = take_down([calls(0)])

    assert [address for _, _, address in went.wire.told] == ["gw/t1", f"{ASKED_OF_ONE}gw/t1", "gw/t1"]
    assert [act for _, act, _ in went.wire.told] == [Act.LOOK, Act.LOOK, Act.UNDEPLOY]


async def _pause_for(run_gate: RunGate, seconds: float) -> None:
    run_gate.pause()
    await anyio.sleep(seconds)
    run_gate.go_on()


@pytest.mark.parametrize(("pause", "reads"), [(299.0, 1), (301.0, 2)])
def test_calls_are_read_again_where_the_undeploy_had_to_wait(pause: float, reads: int) -> None:
    """A pause holds the undeploy back after its calls were read: at the rate of the plan it is the second."""

    async def pause_after_the_read(run_gate: RunGate) -> None:
        await anyio.sleep(0.5)
        await _pause_for(run_gate, pause)

    # The first attempt fails after its calls were read, and the pause begins before the second may leave.
    fails = iter([Lost(sent=False, detail="refused")])
    went = take_down(
        [calls(0), calls(5)],
        undeploys=lambda: next(fails, REMOVED),
        during=pause_after_the_read,
        retry=Retry(first=1.0),
    )

    assert len(went.counts) == reads
    wanted = TargetEnd(Outcome.UNDEPLOYED, evidence="204")
    assert went.end == (wanted if reads == 1 else left_up("in_use: 5 calls in 72 h by web-shop, billing"))


def test_an_undeploy_that_is_skipped_while_it_waits_does_not_leave() -> None:
    """At one each ten seconds the second try may leave at 20 s, and the calls that were read allow it."""

    async def skip(run_gate: RunGate) -> None:
        await anyio.sleep(15.0)
        run_gate.skip("gw/t1", "ana")

    fails = iter([Lost(sent=False, detail="refused")])
    went = take_down(
        [calls(0)],
        undeploys=lambda: next(fails, REMOVED),
        during=skip,
        limits=Limits(rate=0.1),
        retry=Retry(first=1.0),
    )

    assert went.end == left_up("skipped: gw/t1, by ana")
    assert went.wire.times() == [10.0]


@pytest.mark.parametrize("history", [None, TargetHistory(requests=1, charged=1)], ids=["first", "resumed"])
def test_a_target_that_is_skipped_before_its_use_is_read_is_skipped(history: TargetHistory | None) -> None:
    """A parked lane lets it wait for each read: for the one that names what is called as well."""

    async def skip(run_gate: RunGate) -> None:
        await anyio.sleep(2.0)
        run_gate.skip("gw/t1", "ana")

    went = take_down([], during=skip, is_parked=True, history=history)

    assert isinstance(went.end, TargetEnd)
    assert went.end.reason == "skipped: gw/t1, by ana"
    assert went.wire.told == []
    assert not went.journal.usages


def test_a_target_in_use_is_told_of_once_however_often_its_calls_are_read() -> None:
    async def pause_after_the_read(run_gate: RunGate) -> None:
        await anyio.sleep(0.5)
        await _pause_for(run_gate, 301.0)

    fails = iter([Lost(sent=False, detail="refused")])
    went = take_down(
        [calls(3), calls(5)],
        in_use="warn",
        undeploys=lambda: next(fails, REMOVED),
        during=pause_after_the_read,
        retry=Retry(first=1.0),
    )

    assert went.end == TargetEnd(Outcome.UNDEPLOYED, evidence="204")
    assert [event.calls for event in went.events if isinstance(event, TargetInUse)] == [3]
    assert [usage.calls for usage in went.journal.usages] == [3, 5]


@pytest.mark.promise(10)
def test_calls_that_are_old_as_soon_as_they_are_told_are_not_read_for_ever() -> None:
    went = take_down([calls(0)] * 9, takes=FRESH_FOR + 1)

    assert len(went.counts) == MOST_LATE
    assert went.end == left_up("in_use: cannot be told: its calls took more than 5 minutes to read")
    assert went.wire.times() == []


def test_a_doubt_is_looked_at_before_a_target_in_use_is_left() -> None:
    """A repeat that comes too late for the newest calls wants new ones; what went before is settled first."""
    went = take_down(
        [calls(0), calls(5)],
        undeploys=lambda: DOUBT,
        retry=Retry(attempts=20, first=200.0, ceiling=400.0),
        look=UP,
    )

    assert went.end == left_up("in_use: 5 calls in 72 h by web-shop, billing")
    assert went.counts[1] > 300.0


def test_a_doubt_that_proves_down_is_undeployed_whoever_calls() -> None:
    went = take_down(
        [calls(0), calls(5)],
        undeploys=lambda: DOUBT,
        retry=Retry(attempts=20, first=200.0, ceiling=400.0),
        look=DOWN,
        history=TargetHistory(requests=1, charged=1, exists=True),
    )

    assert went.end == TargetEnd(Outcome.UNDEPLOYED, evidence="look")


def test_a_resume_asks_afresh_before_it_repeats() -> None:
    in_doubt = TargetHistory(
        requests=1, charged=1, may_have_arrived=True, in_doubt=True, unsettled_reply=DOUBT
    )

    went = take_down([calls(9)], history=in_doubt)

    assert went.end == left_up("in_use: 9 calls in 72 h by web-shop, billing")
    assert went.wire.times() == []
    # The look that settles the doubt, the read that names the front ends (no session kept any), the calls.
    assert [address.startswith(ASKED_OF_ONE) for _, _, address in went.wire.told] == [False, False, True]


class KeptSnapshot(NothingPending):
    """An earlier session has kept a snapshot of the target."""

    def read_snapshot(self, seq: int) -> Snapshot:
        return Snapshot(verdict=Verdict.UP, message="kept before")


def test_a_resume_does_not_read_again_what_an_earlier_snapshot_names(monkeypatch: pytest.MonkeyPatch) -> None:
    given = list[Snapshot | None]()
    real = UsageReader.read

    async def read(reader: UsageReader, target: Target, snapshot: Snapshot | None, ask: Any) -> Any:
        given.append(snapshot)
        return await real(reader, target, snapshot, ask)

    monkeypatch.setattr(UsageReader, "read", read)
    pending = KeptSnapshot()
    went = take_down([calls(0)], history=TargetHistory(requests=1, charged=1), pending=pending)

    assert went.end == TargetEnd(Outcome.UNDEPLOYED, evidence="204")
    assert given == [pending.read_snapshot(1)]
    assert [address for _, _, address in went.wire.told] == [f"{ASKED_OF_ONE}gw/t1", "gw/t1"]


@pytest.mark.promise(6)
def test_the_probe_of_a_parked_lane_reads_the_calls_again_once_they_are_old() -> None:
    went = take_down([calls(0), calls(5)], undeploys=lambda: DOUBT, retry=Retry(attempts=50), is_parked=True)

    assert went.end == left_up("in_use: 5 calls in 72 h by web-shop, billing")
    first, second = went.counts
    assert first == 5.0  # the first probe
    assert 300.0 < second - first < 400.0
    assert all(at < second for at in went.wire.times())


@pytest.mark.promise(6)
def test_a_parked_lane_opens_again_by_an_undeploy_whose_calls_were_read_as_its_probe() -> None:
    went = take_down([calls(0)], is_parked=True)

    assert went.end == TargetEnd(Outcome.UNDEPLOYED, evidence="204")
    assert went.wire.times() == [5.0]


@pytest.mark.promise(6)
def test_the_probe_of_a_parked_lane_makes_the_read_about_all_targets_that_it_needs() -> None:
    """Without it each probe would be left for its use, and the whole lane behind it."""
    told = reading(Verdict.TOLD, kept={"gw/t1": 0})
    went = take_down([], of_all=told, is_parked=True, is_shared=True, is_silent=True)

    assert went.end == TargetEnd(Outcome.UNDEPLOYED, evidence="204")
    assert went.wire.times() == [5.0]


def test_a_target_that_is_skipped_while_it_reads_the_use_of_all_is_skipped() -> None:
    async def skip(run_gate: RunGate) -> None:
        await anyio.sleep(1.2)  # between the first try and the second
        run_gate.skip("gw/t1", "ana")

    went = take_down([], of_all=LOST, during=skip, takes=1.0, is_shared=True, is_silent=True)

    assert went.end == left_up("skipped: gw/t1, by ana")
    assert went.wire.times() == []


@pytest.mark.promise(10)
def test_the_age_of_calls_counts_from_their_request_and_not_from_its_wait_for_the_lane() -> None:
    """At one read a minute, eight workers wait eight minutes for each of their reads."""
    wire = Wire(_answer_unused, takes=1.0)
    ends: list[TargetEnd | LookDeferred] = []

    async def main() -> None:
        here, run_gate = environment(), RunGate()
        given = {name: getattr(gateway(), name) for name in ("name", "url", "auth")}
        slow = Counted(**given, limits=Limits(concurrency=8, rate=1 / 60))
        one_lane = lane(slow, here, run_gate, send=wire.send)
        one_lane.begin_step(1000)
        plan = Plan(name="p", gateways=(slow,), waves=(Wave(name="w"),), snapshot="off", in_use="refuse")
        parts = resources(here, run_gate, Journal(), plan=plan)
        parts.usage_readers["gw"] = UsageReader(one_lane, 72)
        left = iter(range(1, 25))

        async def work() -> None:
            for number in left:
                end = await TargetRun(target(number), TargetHistory(), one_lane, parts).run()
                ends.append(end)

        async with anyio.create_task_group() as group:
            for _ in range(8):
                group.start_soon(work)

    played(main)

    assert ends == [TargetEnd(Outcome.UNDEPLOYED, evidence="204")] * 24


def _answer_unused(act: Act, address: str) -> Answer:
    if address.startswith(ASKED_OF_ONE):
        return calls(0)
    return REMOVED if act is Act.UNDEPLOY else UP
