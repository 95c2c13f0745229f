"""What follows the deploy of a restored target, on a virtual clock."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from itertools import pairwise
from typing import Any, NamedTuple

import anyio
import pytest

from orchestrator.engine.attempts import TargetAttempts
from orchestrator.engine.completion import TargetCompletion
from orchestrator.engine.queue import ExclusiveKeys, LateClaim
from orchestrator.lanes.run_gate import RunGate
from orchestrator.model.events import AnyEvent, RetryPlanned
from orchestrator.model.http import Lost
from orchestrator.model.outcome import Outcome
from orchestrator.model.reading import Act, Completeness, MissingPart, Operation, Reading, Verdict
from orchestrator.model.settings import Retry
from orchestrator.model.target import Target
from orchestrator.rules.pacing import RetryBudget
from orchestrator.rules.retry import TargetEnd, TargetHistory
from tests.support.engine import (
    LOOK,
    Answer,
    Journal,
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

BIND = Operation(Act.BIND, "app")


class OnePart:
    """Restores: one part is missing until a look tells that it is there."""

    def next_completion(
        self, target: Target, seen: Mapping[str, Reading], lacking: frozenset[str], about: Reading | None
    ) -> Operation | Completeness | Reading:
        if LOOK.via not in seen:
            return LOOK
        is_there = seen[LOOK.via].message == "it is there"
        return Completeness(() if is_there else (MissingPart("app", BIND, LOOK.via),))


class Bound(Scripted, frozen=True, kw_only=True):
    """The scripted kind with one part to bring back."""

    @property
    def restore(self) -> Any:
        return OnePart()


UP, DOWN = reading(Verdict.UP, message="it is there"), reading(Verdict.DOWN)
UNCLEAR = reading(Verdict.UNCLEAR, message="what?")
DONE, DOUBT = reading(Verdict.REMOVED), reading(Verdict.DOUBT, message="HTTP 502")
UNSENT = Lost(sent=False, detail="refused")


class Completed(NamedTuple):
    """How a deployed target ended, when its looks and its binds arrived, and the waits that were told."""

    end: TargetEnd
    looks: list[float]
    binds: list[float]
    waits: list[tuple[Act, float]]


def complete(
    binds: list[Answer],
    looks: list[Answer],
    *,
    by: Outcome = Outcome.RESTORED,
    stops_at: float | None = None,
    **fields: Any,
) -> Completed:
    """Complete a target that is deployed ``by`` this outcome; ``stops_at`` is when a signal comes."""
    left: dict[Act, list[Answer]] = {Act.BIND: binds, Act.LOOK: looks}
    wire, events = Wire(lambda act, _: left[act].pop(0)), list[AnyEvent]()

    async def main() -> TargetEnd:
        here, run_gate = environment(), RunGate()
        given = {name: getattr(gateway(), name) for name in ("name", "url", "auth")}
        one_lane = lane(Bound(**given | fields), here, run_gate, send=wire.send)
        one_lane.begin_step(1)
        shared = resources(here, run_gate, Journal(), events.append)
        completion = TargetCompletion(TargetAttempts(one_lane, shared, 0), shared, target(), TargetHistory())
        if stops_at is not None:
            asyncio.get_running_loop().call_later(stops_at, run_gate.stop, "interrupt", "a signal")
        return await completion.run(TargetEnd(by, evidence="look"))

    end = played(main)
    assert left == {Act.BIND: [], Act.LOOK: []}, "fewer requests were sent than this test answers"
    waits = [(event.act, event.wait) for event in events if isinstance(event, RetryPlanned)]
    return Completed(end, wire.times(Act.LOOK), wire.times(Act.BIND), waits)


@pytest.mark.promise(11)
def test_a_part_that_is_missing_is_brought_back_and_the_vendor_s_evidence_for_it_is_no_further_look() -> None:
    whole, lacking = complete([], [UP]), complete([DONE], [DOWN])

    assert whole.end == lacking.end == TargetEnd(Outcome.RESTORED, evidence="look")
    assert complete([DONE], [DOWN], by=Outcome.ALREADY_DEPLOYED).end.outcome is Outcome.RESTORED
    assert complete([], [UP], by=Outcome.ALREADY_DEPLOYED).end.outcome is Outcome.ALREADY_DEPLOYED


@pytest.mark.promise(7)
@pytest.mark.promise(11)
def test_a_step_in_doubt_is_looked_at_before_each_repeat_and_has_attempts_of_its_own() -> None:
    retry = Retry(attempts=3, first=1.0)
    done, spent = complete([DOUBT], [DOWN, UP]), complete([DOUBT] * 3, [DOWN] * 4, retry=retry)

    assert done.end.outcome is Outcome.RESTORED
    assert spent.end == TargetEnd(Outcome.FAILED, "partial: deployed, but without app (HTTP 502)", "look")
    assert (spent.looks, spent.binds) == ([0.0, 0.0, 1.0, 3.0], [0.0, 1.0, 3.0])
    assert spent.waits == [(Act.BIND, 1.0), (Act.BIND, 2.0)]


@pytest.mark.promise(7)
def test_once_the_gateway_s_budget_is_spent_a_step_waits_for_it() -> None:
    quick = Retry(attempts=60, first=0.001, ceiling=0.001)
    times, free = complete([DOUBT] * 60, [DOWN] * 61, retry=quick).binds, int(RetryBudget.SIZE)

    assert times[free] < 0.1
    assert all(later - before >= 0.9 for before, later in pairwise(times[free + 1 :]))


def test_a_step_that_could_not_leave_or_was_told_to_wait_is_sent_again_and_costs_no_attempt() -> None:
    busy = reading(Verdict.BUSY, wait=9.0)
    went = complete([UNSENT, UNSENT, busy, DONE], [DOWN], retry=Retry(attempts=1, first=1.0))

    assert went.end.outcome is Outcome.RESTORED
    assert went.binds == [0.0, 1.0, 3.0, 12.0]


@pytest.mark.promise(10)
def test_looks_that_cannot_tell_what_it_lacks_are_three_and_leave_it_to_a_resume() -> None:
    went = complete([], [UNCLEAR] * 3, retry=Retry(first=1.0))

    assert went.looks == [0.0, 1.0, 3.0]
    assert went.end == TargetEnd(
        Outcome.UNKNOWN, "spent: it is deployed, and the looks could not tell what it lacks: what?"
    )
    unsent = complete([DONE], [UNSENT, UNCLEAR, UNSENT, UNCLEAR, DOWN], retry=Retry(first=1.0))
    assert unsent.end.outcome is Outcome.RESTORED  # only looks that were sent count


@pytest.mark.promise(4)
@pytest.mark.promise(8)
def test_a_wrong_place_or_a_signal_leaves_what_it_lacks_to_a_resume() -> None:
    elsewhere = complete([reading(Verdict.ELSEWHERE, code="E.1", message="no such instance")], [DOWN])
    stopped = complete([DOUBT], [DOWN, DOWN], stops_at=0.5, retry=Retry(first=1.0))
    untouched = complete([UNSENT], [DOWN], by=Outcome.ALREADY_DEPLOYED, stops_at=0.5, retry=Retry(first=1.0))

    assert elsewhere.end.outcome is stopped.end.outcome is Outcome.UNKNOWN
    assert untouched.end.outcome is Outcome.NOT_STARTED
    for went, word in ((elsewhere, "wrong_place"), (stopped, "interrupt"), (untouched, "interrupt")):
        assert (went.end.reason or "").startswith(f"{word}: ")
        assert (went.end.reason or "").endswith("; it is deployed, and may lack what belonged to it")


def test_what_did_not_come_to_be_deployed_is_not_looked_at() -> None:
    assert complete([], [], by=Outcome.FAILED).end.outcome is Outcome.FAILED


def test_a_step_after_a_late_look_waits_for_the_exclusive_key_and_a_look_does_not() -> None:
    bound = list[str]()

    def answer(act: Act, address: str) -> Reading:
        if act is Act.LOOK:
            return UP if bound else DOWN
        bound.append(address)
        return DONE

    wire = Wire(answer)

    async def main() -> TargetEnd:
        here, run_gate, keys = environment(), RunGate(), ExclusiveKeys()
        given = {name: getattr(gateway(), name) for name in ("name", "url", "auth")}
        one_lane = lane(Bound(**given), here, run_gate, send=wire.send)
        one_lane.begin_step(1)
        shared = resources(here, run_gate, Journal())
        claim = LateClaim(keys, "x")
        attempts = TargetAttempts(one_lane, shared, 0)
        completion = TargetCompletion(attempts, shared, target(), TargetHistory(), take_key=claim.take)
        assert keys.claim("x")

        async def give_back() -> None:
            await anyio.sleep(7.0)
            keys.release("x")

        async with anyio.create_task_group() as group:
            group.start_soon(give_back)
            return await completion.run(TargetEnd(Outcome.RESTORED))
        raise AssertionError

    end = played(main)

    assert end.outcome is Outcome.RESTORED
    assert wire.times(Act.LOOK)[0] == 0.0
    assert wire.times(Act.BIND) == [7.0]
