"""A lane as its workers see it: who waits for what, who is woken, and what a lane tells of itself."""

from __future__ import annotations

from collections.abc import Callable

import anyio
import pytest

from orchestrator.lanes.lane import Lane
from orchestrator.lanes.run_gate import RunGate
from orchestrator.model.credentials import AccessKeys, Material, Secret
from orchestrator.model.gateway import Gateway
from orchestrator.model.reading import Act, Reading, Verdict
from orchestrator.model.target import TargetId
from orchestrator.rules.admission import AdmissionRequest
from orchestrator.rules.pacing import FIRST_CUT
from tests.support import engine
from tests.support.engine import Heard, environment, gateway, played
from tests.support.readings import reading

UNDEPLOY = Act.UNDEPLOY
A, B, C = TargetId("gw/a"), TargetId("gw/b"), TargetId("gw/c")
DOUBT = reading(Verdict.DOUBT, message="HTTP 502")
ELSEWHERE = reading(Verdict.ELSEWHERE, code="E.3030", message="no instance")
REMOVED = reading(Verdict.REMOVED)
MANY = 1000
PARK_FOR = gateway().park_for


def busy(wait: float | None = None) -> Reading:
    return reading(Verdict.BUSY, wait=wait, message="slow down")


def lane_of(
    credential: Callable[[Gateway], Material] = lambda _: Secret("one"),
    *,
    run_gate: RunGate | None = None,
    heard: Heard | None = None,
) -> Lane:
    return engine.lane(
        gateway(),
        environment(credential),
        run_gate or RunGate(),
        heard,
        material=credential(gateway()),
    )


def landed(lane: Lane, target: TargetId, said: Reading) -> None:
    """What came of an undeploy that left just now."""
    lane.observe(AdmissionRequest(target, UNDEPLOY), said, anyio.current_time())


@pytest.mark.promise(6)
def test_all_workers_of_a_lane_wait_out_its_pause() -> None:
    async def main() -> list[float]:
        lane, at = lane_of(), []
        landed(lane, A, busy(12.0))

        async def worker(target: TargetId) -> None:
            assert await lane.admit(AdmissionRequest(target, UNDEPLOY)) is None
            at.append(anyio.current_time())

        async with anyio.create_task_group() as group:
            for target in (A, B, C):
                group.start_soon(worker, target)
        return at

    assert played(main) == [12.0, 12.0, 12.0]


def test_a_lane_that_closes_wakes_its_waiting_workers() -> None:
    async def main() -> tuple[float, str | None]:
        lane = lane_of()
        landed(lane, A, busy(300.0))
        async with anyio.create_task_group() as group:

            async def close() -> None:
                await anyio.sleep(2.0)
                landed(lane, B, ELSEWHERE)

            group.start_soon(close)
            refused = await lane.admit(AdmissionRequest(A, UNDEPLOY))
        return anyio.current_time(), refused

    assert played(main) == (2.0, "wrong_place: E.3030 no instance")


def test_a_run_that_stops_wakes_the_waiting_workers() -> None:
    async def main() -> tuple[float, str | None]:
        run_gate = RunGate()
        lane = lane_of(run_gate=run_gate)
        landed(lane, A, busy(300.0))
        async with anyio.create_task_group() as group:

            async def stop() -> None:
                await anyio.sleep(3.0)
                run_gate.stop("interrupt", "SIGTERM")

            group.start_soon(stop)
            refused = await lane.admit(AdmissionRequest(A, UNDEPLOY))
        return anyio.current_time(), refused

    assert played(main) == (3.0, "interrupt: SIGTERM")


@pytest.mark.promise(7)
def test_a_request_does_not_wait_for_a_pause_that_outlasts_the_window() -> None:
    async def main() -> tuple[float, str | None]:
        lane = lane_of(run_gate=RunGate(closes=100.0))
        landed(lane, A, busy(71.0))
        refused = await lane.admit(AdmissionRequest(A, UNDEPLOY))
        return anyio.current_time(), refused

    assert played(main) == (0.0, "window: one timeout no longer fits before it closes")


def test_the_second_prober_goes_when_the_first_one_has_failed() -> None:
    """Nobody is told when to ask again while a probe is under way; the lane wakes them."""

    async def main() -> list[tuple[float, str]]:
        lane = lane_of()
        at: list[tuple[float, str]] = []
        lane.begin_step(MANY)
        for number in range(5):
            landed(lane, TargetId(f"gw/{number}"), DOUBT)

        async def worker(target: TargetId) -> None:
            assert await lane.admit(AdmissionRequest(target, UNDEPLOY)) is None
            at.append((anyio.current_time(), target))
            await anyio.sleep(1.0)
            landed(lane, target, DOUBT if target == A else REMOVED)

        async with anyio.create_task_group() as group:
            for target in (A, B, C):
                group.start_soon(worker, target)
        return at

    assert played(main) == [(5.0, A), (16.0, B), (17.0, C)]


def test_a_lane_tells_what_becomes_of_it_once() -> None:
    heard = Heard()

    async def main() -> None:
        lane = lane_of(heard=heard)
        lane.begin_step(MANY)
        landed(lane, A, busy(2.0))
        landed(lane, B, busy(2.0))
        for number in range(6):
            landed(lane, TargetId(f"gw/{number}"), DOUBT)
        landed(lane, A, REMOVED)
        landed(lane, A, ELSEWHERE)
        landed(lane, B, ELSEWHERE)

    played(main)

    assert heard.states == [
        ("paused", "slow down"),
        ("parked", "parked: HTTP 502"),
        ("open", None),
        ("closed", "wrong_place: E.3030 no instance"),
    ]


def test_a_lane_tells_once_that_it_is_given_up() -> None:
    heard = Heard()

    async def main() -> None:
        lane = lane_of(heard=heard)
        for number in range(5):
            landed(lane, TargetId(f"gw/{number}"), DOUBT)
        with anyio.move_on_after(PARK_FOR + 60.0):
            while await lane.admit(AdmissionRequest(A, UNDEPLOY)) is None:
                landed(lane, A, DOUBT)
        assert await lane.admit(AdmissionRequest(B, UNDEPLOY)) == "parked: HTTP 502"

    played(main)

    assert heard.states == [("parked", "parked: HTTP 502"), ("given_up", "parked: HTTP 502")]


def test_a_parked_lane_tells_when_it_is_probed_and_given_up_and_again_after_each_failed_probe() -> None:
    heard = Heard()

    async def main() -> None:
        lane = lane_of(heard=heard)
        for number in range(5):
            landed(lane, TargetId(f"gw/{number}"), DOUBT)
        landed(lane, A, DOUBT)  # it was in flight before: the probe stays where it is
        for _ in range(2):
            assert await lane.admit(AdmissionRequest(A, UNDEPLOY)) is None
            landed(lane, A, DOUBT)
        landed(lane, A, REMOVED)

    played(main)

    assert heard.probes == [(5.0, PARK_FOR), (10.0, PARK_FOR - 5.0), (20.0, PARK_FOR - 15.0)]


def test_an_absurd_wait_is_bounded_by_park_for_and_warned_of_once() -> None:
    heard = Heard()

    async def main() -> float:
        lane = lane_of(heard=heard)
        for said in (busy(PARK_FOR), busy(86400.0), busy(90000.0)):
            landed(lane, A, said)
        assert await lane.admit(AdmissionRequest(B, UNDEPLOY)) is None
        return anyio.current_time()

    assert played(main) == PARK_FOR
    assert heard.warnings == ["it asks to wait for 86400 s; it is asked again after 600 s (park_for)"]


def test_a_wait_without_end_is_told_in_few_words() -> None:
    heard = Heard()

    async def main() -> None:
        landed(lane_of(heard=heard), A, busy(1e300))

    played(main)

    (told,) = heard.warnings
    assert told == "it asks to wait for more than a year; it is asked again after 600 s (park_for)"


@pytest.mark.promise(5)
def test_when_the_first_signature_is_lost_the_next_target_tries_it_at_once() -> None:
    """Whoever waits for it is woken, also where the first one never comes again."""

    async def main() -> tuple[float, str | None]:
        keys = AccessKeys(Secret("access"), Secret("secret"))
        lane = lane_of(lambda _: keys)
        assert await lane.admit(AdmissionRequest(A, UNDEPLOY)) is None
        async with anyio.create_task_group() as group:

            async def lose() -> None:
                await anyio.sleep(3.0)
                landed(lane, A, DOUBT)
                lane.leave(A)

            group.start_soon(lose)
            refused = await lane.admit(AdmissionRequest(B, UNDEPLOY))
        return anyio.current_time(), refused

    assert played(main) == (3.0, None)


def test_a_pace_is_told_when_it_is_cut_and_then_once_a_second_at_most() -> None:
    heard = Heard()

    async def main() -> None:
        lane = lane_of(heard=heard)
        for _ in range(100):
            await lane.admit(AdmissionRequest(A, UNDEPLOY))
            await anyio.sleep(0.01)
            landed(lane, A, REMOVED)
        landed(lane, A, busy(1.0))
        for _ in range(100):
            await lane.admit(AdmissionRequest(A, UNDEPLOY))
            await anyio.sleep(0.01)
            landed(lane, A, REMOVED)

    played(main)

    first, *grown = heard.paces
    assert first == pytest.approx(100.0 * FIRST_CUT, rel=0.05)
    assert 2 <= len(grown) <= 3
    assert grown == sorted(grown, key=lambda rate: rate or 0.0)
