"""What follows the deploy of a restored target, on a virtual clock."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import anyio

from orchestrator.engine.attempts import TargetAttempts
from orchestrator.engine.completion import TargetCompletion
from orchestrator.engine.queue import ExclusiveKeys, LateClaim
from orchestrator.lanes.run_gate import RunGate
from orchestrator.model.outcome import Outcome
from orchestrator.model.reading import Act, Completeness, MissingPart, Operation, Reading, Verdict
from orchestrator.model.target import Target
from orchestrator.rules.retry import TargetEnd, TargetHistory
from tests.support.engine import (
    LOOK,
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
    """Restores: one part is missing until the look of that name finds it."""

    def next_completion(
        self, target: Target, seen: Mapping[str, Reading], lacking: frozenset[str], about: Reading | None
    ) -> Operation | Completeness | Reading:
        if LOOK.via not in seen:
            return LOOK
        is_there = seen[LOOK.via].verdict is Verdict.UP
        return Completeness(() if is_there else (MissingPart("app", BIND, LOOK.via),))


class Bound(Scripted, frozen=True, kw_only=True):
    """The scripted kind with one part to bring back."""

    @property
    def restore(self) -> Any:
        return OnePart()


def test_a_step_after_a_late_look_waits_for_the_exclusive_key_and_a_look_does_not() -> None:
    bound = list[str]()

    def answer(act: Act, address: str) -> Reading:
        if act is Act.LOOK:
            return reading(Verdict.UP if bound else Verdict.DOWN)
        bound.append(address)
        return reading(Verdict.REMOVED)

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
