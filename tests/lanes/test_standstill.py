"""Time in which this process stood still is none in which a gateway refused: nobody asked the gateway."""

from __future__ import annotations

import asyncio

import anyio
import pytest

from orchestrator.lanes.lane import Lane
from orchestrator.lanes.run_gate import RunGate
from orchestrator.lanes.standstill import LATE, StandstillWatch
from orchestrator.model.http import Lost, Reply
from orchestrator.model.reading import Act, Verdict
from orchestrator.model.target import TargetId
from orchestrator.preview.silence import SILENT_FOR, AnswerWatch
from orchestrator.rules.admission import AdmissionRequest
from tests.lanes.test_lane_ends import lane_with
from tests.simulation.clock import stand_still
from tests.support import engine
from tests.support.engine import EPOCH, environment, gateway, played
from tests.support.readings import reading

A, B = TargetId("gw/a"), TargetId("gw/b")
PARK_FOR = gateway().park_for
BUSY = reading(Verdict.BUSY, wait=12.0, message="slow down")


def test_a_standstill_is_measured_once_from_where_something_was_due() -> None:
    times = iter((100.0, 250.0, 250.0, 251.0, 300.0, 300.0 + LATE))
    watch = StandstillWatch(lambda: next(times))

    # In time; 100 s late; held up by the same; in time again; late by 44 s; as late as a busy process may be.
    due = (110.0, 150.0, 160.0, 260.0, 256.0, 300.0)
    assert [watch.measure(each) for each in due] == [0.0, 100.0, 0.0, 0.0, 44.0, 0.0]


def test_what_was_woken_before_it_was_due_hides_no_standstill() -> None:
    times = iter((250.0, 250.0, 250.0))
    watch = StandstillWatch(lambda: next(times))

    assert [watch.measure(each) for each in (300.0, 150.0, 160.0)] == [0.0, 100.0, 0.0]


def refuse_again(lane: Lane, act: Act, began: float) -> str | None:
    """A request that left at ``began`` is refused; return why no further one may leave."""
    turn = AdmissionRequest(A, act, settling=act is Act.LOOK)
    lane.observe(turn, BUSY, began)
    return lane.refusal(act, settling=turn.settling)


@pytest.mark.promise(6)
@pytest.mark.parametrize("act", [Act.UNDEPLOY, Act.LOOK])
@pytest.mark.parametrize("where", ["pause", "flight"])
def test_a_standstill_between_two_refusals_ends_no_lane(act: Act, where: str) -> None:
    async def main() -> str | None:
        lane = engine.lane(gateway(), environment(), RunGate())
        refuse_again(lane, act, 0.0)

        async def wait(target: TargetId) -> None:
            assert await lane.admit(AdmissionRequest(target, act, settling=act is Act.LOOK)) is None

        async with anyio.create_task_group() as group:
            for target in (A, B):
                group.start_soon(wait, target)
            await anyio.sleep(1.0)
            if where == "pause":
                stand_still(2 * PARK_FOR)
        began = anyio.current_time()
        if where == "flight":
            stand_still(2 * PARK_FOR)
        return refuse_again(lane, act, began)

    assert played(main) is None


@pytest.mark.promise(10)
@pytest.mark.parametrize("act", [Act.UNDEPLOY, Act.LOOK])
def test_a_lane_that_is_refused_to_the_end_is_given_up_although_it_stood_still_meanwhile(act: Act) -> None:
    async def main() -> float:
        lane = engine.lane(gateway(), environment(), RunGate())
        refused = None
        for number in range(100):
            refused = refused or refuse_again(lane, act, anyio.current_time())
            if refused is not None:
                break
            if number == 3:
                asyncio.get_running_loop().call_later(1.0, stand_still, 1000.0)
            turn = AdmissionRequest(A, act, settling=act is Act.LOOK)
            assert await lane.admit(turn) is None
        assert refused is not None
        return anyio.current_time()

    assert PARK_FOR + 985.0 <= played(main) <= PARK_FOR + 1012.0


@pytest.mark.promise(6)
@pytest.mark.parametrize("where", ["pause", "flight"])
def test_a_standstill_between_two_logins_ends_no_lane(where: str) -> None:
    asked: list[float] = []

    def answer() -> Reply | Lost:
        asked.append(anyio.current_time())
        if len(asked) == 2 and where == "flight":
            stand_still(2 * PARK_FOR)
        if len(asked) < 3:
            return Reply(503, {"wait": "2.0"}, b"", EPOCH)
        return Reply(200, {"lasts": "600.0"}, b"", EPOCH)

    async def main() -> str | None:
        lane = lane_with("login", answer, RunGate())
        if where == "pause":
            asyncio.get_running_loop().call_later(1.0, stand_still, 2 * PARK_FOR)
        return await lane.admit(AdmissionRequest(A, Act.UNDEPLOY))

    assert played(main) is None
    assert len(asked) == 3


def test_a_preview_that_stood_still_does_not_call_its_gateway_silent() -> None:
    async def main() -> float:
        watch = AnswerWatch(anyio.current_time)
        asyncio.get_running_loop().call_later(1.0, stand_still, 10 * SILENT_FOR)
        await watch.wait_for_silence()
        return anyio.current_time()

    # Its requests have a whole minute for an answer once it is awake again.
    assert played(main) == 11 * SILENT_FOR + 1.0
