"""A lane as its workers see it: who waits for what, who is woken, and what a lane tells of itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import anyio
import pytest

from orchestrator.lanes.lane import MOST_RESTING, NOTHING_LEARNED, Lane, LearnedLimits
from orchestrator.lanes.run_gate import RunGate
from orchestrator.model.credentials import AccessKeys, Material, Secret
from orchestrator.model.gateway import Gateway
from orchestrator.model.http import Reply, Request
from orchestrator.model.reading import Act, Reading, Verdict
from orchestrator.model.settings import Limits
from orchestrator.model.target import TargetId
from orchestrator.rules.admission import AdmissionRequest, LaneState
from orchestrator.rules.pacing import FIRST_CUT
from orchestrator.rules.parking import FAULTY_TARGETS, UNSENT_IN_A_ROW
from tests.support import engine
from tests.support.engine import Heard, environment, gateway, played
from tests.support.readings import reading

UNDEPLOY = Act.UNDEPLOY
A, B, C, D = TargetId("gw/a"), TargetId("gw/b"), TargetId("gw/c"), TargetId("gw/d")
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
    learned: LearnedLimits = NOTHING_LEARNED,
    send: object = None,
    **fields: Any,
) -> Lane:
    return engine.lane(
        gateway(**fields),
        environment(credential),
        run_gate or RunGate(),
        heard,
        material=credential(gateway()),
        learned=learned,
        send=send,
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


@pytest.mark.promise(6)
@pytest.mark.parametrize("act", [UNDEPLOY, Act.LOOK])
@pytest.mark.parametrize("how", ["pause", "other gate"])
def test_a_pause_of_the_run_is_no_time_of_refusals(act: Act, how: str) -> None:
    """Its operator waits for the gateway, and the first refusal after that must not end the lane."""

    async def main() -> list[str | None]:
        run_gate = RunGate()
        lane = lane_of(run_gate=run_gate)
        turn = AdmissionRequest(A, act, settling=act is Act.LOOK)
        refusals = []
        for number in range(3):
            lane.observe(turn, busy(12.0), anyio.current_time())
            refusals.append(lane.refusal(act, settling=turn.settling))
            if how == "other gate":
                await anyio.sleep(PARK_FOR)
                lane.go_on(RunGate(), Heard())
            elif number == 0:
                run_gate.pause()
                await anyio.sleep(PARK_FOR)
                run_gate.skip("gw/x", "ana")
                run_gate.go_on()
            else:
                await anyio.sleep(PARK_FOR)
        return refusals

    went_on = [reason is None for reason in played(main)]
    assert went_on == ([True, True, True] if how == "other gate" else [True, True, False])


@pytest.mark.parametrize("act", [UNDEPLOY, Act.LOOK])
def test_a_target_that_is_skipped_leaves_its_slot_to_those_that_wait_behind_it(act: Act) -> None:
    """At a slow rate the others would wait for hours for what is not sent."""
    at: dict[str, float] = {}

    async def main() -> None:
        run_gate = RunGate(matcher=lambda texts: lambda name: name if name in texts else None)
        lane = lane_of(run_gate=run_gate, limits=Limits(rate=1 / 60))

        async def worker(target: TargetId) -> None:
            refused = await lane.admit(AdmissionRequest(target, act))
            at[refused or target] = anyio.current_time()

        async with anyio.create_task_group() as group:
            for target in (A, B, C, D):
                group.start_soon(worker, target)
            await anyio.sleep(1.0)
            run_gate.skip(B, "ana")
            run_gate.skip(C, "ana")

    played(main)
    assert at == {A: 0.0, f"skipped: {B}, by ana": 1.0, f"skipped: {C}, by ana": 1.0, D: 60.0}


@pytest.mark.parametrize(
    ("ends", "at"), [("room", 90.0), ("stop", 10.0), ("close", 70.0), ("no fixed rate", 10.0)]
)
def test_a_target_whose_reads_must_be_fresh_is_begun_once_their_slots_are_near(ends: str, at: float) -> None:
    """Those at a rate of two a minute are taken for two minutes; and in vain nobody waits."""

    async def main() -> float:
        run_gate = RunGate(closes=100.0 if ends == "close" else None)
        lane = lane_of(run_gate=run_gate, limits=Limits(rate=1 / 30))
        await lane.wait_for_room()
        assert anyio.current_time() == 0.0
        for target in (A, B, C, D, TargetId("gw/e")):
            lane.state.admit(AdmissionRequest(target, Act.LOOK), 0.0)

        async def end() -> None:
            await anyio.sleep(10.0)
            if ends == "stop":
                run_gate.stop("control", "by alice")
            elif ends == "no fixed rate":
                lane.limit(rate=None)

        async with anyio.create_task_group() as group:
            group.start_soon(end)
            await lane.wait_for_room()
        return anyio.current_time()

    assert played(main) == pytest.approx(at, abs=0.01)


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


def test_a_target_that_sends_nothing_more_makes_room_for_the_next_one_at_once() -> None:
    """The first signature is still to be let in: one target goes at a time."""

    def leave(lane: Lane) -> None:
        lane.leave(B)

    def release(lane: Lane) -> None:
        lane.release(B)

    async def main(change: Callable[[Lane], None]) -> float:
        lane = lane_of(lambda _: AccessKeys(Secret("access"), Secret("secret")))
        assert await lane.admit(AdmissionRequest(B, UNDEPLOY)) is None
        async with anyio.create_task_group() as group:

            async def change_later() -> None:
                await anyio.sleep(3.0)
                change(lane)

            group.start_soon(change_later)
            assert await lane.admit(AdmissionRequest(A, UNDEPLOY)) is None
        return anyio.current_time()

    for change in (leave, release):
        assert played(lambda change=change: main(change)) == 3.0


def test_a_list_that_a_parked_lane_does_not_wait_for_is_refused_with_the_reason() -> None:
    async def main() -> str | None:
        lane = lane_of()
        lane.begin_step(MANY)
        for number in range(FAULTY_TARGETS):
            landed(lane, TargetId(f"gw/{number}"), DOUBT)
        return await lane.admit(AdmissionRequest(A, Act.LOOK, dispensable=True))

    assert played(main) == "parked: HTTP 502"


def test_whoever_waits_out_a_pause_of_the_run_is_woken_once_the_last_probe_has_failed() -> None:
    async def main() -> list[tuple[float, str | None]]:
        run_gate, got = RunGate(), []
        lane = lane_of(run_gate=run_gate)
        lane.begin_step(MANY)
        for number in range(FAULTY_TARGETS):
            landed(lane, TargetId(f"gw/{number}"), DOUBT)
        run_gate.pause()

        async def settle() -> None:
            look = AdmissionRequest(B, Act.LOOK, settling=True)
            while (refused := await lane.admit(look)) is None:
                lane.observe(look, reading(Verdict.UNCLEAR), anyio.current_time())
                look = AdmissionRequest(B, Act.LOOK, settling=True)
            got.append((anyio.current_time(), refused))

        async def undeploy() -> None:
            refused = await lane.admit(AdmissionRequest(A, UNDEPLOY))
            got.append((anyio.current_time(), refused))

        with anyio.move_on_after(2 * PARK_FOR):
            async with anyio.create_task_group() as group:
                group.start_soon(settle)
                group.start_soon(undeploy)
        return got

    assert played(main) == [(PARK_FOR, "parked: HTTP 502")] * 2


def test_replies_that_change_nothing_wake_no_waiting_request(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thousand replies a second would otherwise wake every worker a thousand times."""
    asked: list[TargetId] = []
    admit = LaneState.admit

    def count(self: LaneState, request: AdmissionRequest, now: float) -> object:
        asked.append(request.target)
        return admit(self, request, now)

    monkeypatch.setattr(LaneState, "admit", count)

    async def main() -> float:
        lane = lane_of(limits=Limits(rate=0.1))
        assert await lane.admit(AdmissionRequest(A, UNDEPLOY)) is None
        async with anyio.create_task_group() as group:

            async def answer() -> None:
                for _ in range(20):
                    await anyio.sleep(0.1)
                    landed(lane, A, REMOVED)

            group.start_soon(answer)
            assert await lane.admit(AdmissionRequest(B, UNDEPLOY)) is None
        return anyio.current_time()

    assert played(main) == 10.0
    assert asked == [A, B, B]


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


# --- how many requests may be in flight, and how many workers there are -----------------------------------


@pytest.mark.parametrize(
    ("planned", "learned", "allowed"),
    [
        (Limits(), None, gateway().CONCURRENCY),
        (Limits(concurrency=2), None, 2),
        (Limits(concurrency=2), Limits(concurrency=3), 3),
        (Limits(concurrency=2), Limits(), gateway().CONCURRENCY),
    ],
)
def test_an_operator_s_limits_replace_the_plan_s_and_the_kind_s_fill_the_gaps(
    planned: Limits, learned: Limits | None, allowed: int
) -> None:
    async def main() -> int:
        return lane_of(limits=planned, learned=LearnedLimits(limits=learned)).concurrency

    assert played(main) == allowed


@pytest.mark.parametrize(
    ("concurrency", "flights", "goes"), [(2, [9.0], 0.0), (2, [9.0, 4.0], 4.0), (1, [9.0, 4.0], 9.0)]
)
def test_a_request_waits_until_fewer_are_in_flight_than_may_be(
    concurrency: int, flights: list[float], goes: float
) -> None:
    """``flights``: when each request lands that is in flight at the beginning."""

    async def main() -> float:
        lane = lane_of(limits=Limits(concurrency=concurrency))
        for _ in flights:
            lane.begin_flight()

        async def land(after: float) -> None:
            await anyio.sleep(after)
            lane.end_flight()

        async with anyio.create_task_group() as group:
            for after in flights:
                group.start_soon(land, after)
            assert await lane.admit(AdmissionRequest(A, UNDEPLOY)) is None
            return anyio.current_time()

    assert played(main) == goes


def admit_beside(
    act: Act = UNDEPLOY,
    change: Callable[[Lane], object] = lambda _: None,
    *,
    settling: bool = False,
    prepare: Callable[[Lane], object] = lambda _: None,
    **fields: Any,
) -> tuple[float, str | None]:
    """When a request gets its decision, and which, if the lane changes after 3 s."""

    async def main() -> tuple[float, str | None]:
        lane = lane_of(**fields)
        prepare(lane)

        async def change_later() -> None:
            await anyio.sleep(3.0)
            change(lane)

        async with anyio.create_task_group() as group:
            group.start_soon(change_later)
            refused = await lane.admit(AdmissionRequest(A, act, settling=settling))
            return anyio.current_time(), refused

    return played(main)


def test_a_raised_limit_lets_a_waiting_request_go() -> None:
    def raise_limit(lane: Lane) -> None:
        lane.limit(concurrency=2)

    one = Limits(concurrency=1)
    assert admit_beside(change=raise_limit, prepare=Lane.begin_flight, limits=one) == (3.0, None)


def test_a_raised_limit_hires_workers_for_the_step_under_way() -> None:
    hired: list[int] = []

    async def main() -> list[int]:
        lane, allowed = lane_of(limits=Limits(concurrency=1)), []
        lane.begin_step(9, hired.append)
        for concurrency in (4, 4, 5, 2):
            lane.limit(concurrency=concurrency)
            allowed.append(lane.concurrency)
        lane.end_step()
        lane.limit(concurrency=8)
        return [*allowed, lane.concurrency]

    assert played(main) == [4, 4, 5, 2, 8]
    assert hired == [3, 1], "fewer need none, and between two steps there is no work for more"


def test_a_limit_that_is_not_given_stays() -> None:
    heard = Heard()

    async def main() -> list[tuple[int, float | None]]:
        lane = lane_of(limits=Limits(concurrency=3, rate=2.0), heard=heard)
        found = [(lane.concurrency, lane.state.pace.find_rate(UNDEPLOY))]
        for limits in ({"rate": 5.0}, {"concurrency": 7}, {"rate": None}):
            lane.limit(**limits)  # type: ignore[arg-type]
            found.append((lane.concurrency, lane.state.pace.find_rate(UNDEPLOY)))
        return found

    assert played(main) == [(3, 2.0), (3, 5.0), (7, 5.0), (7, None)]
    assert heard.paces == [2.0, 5.0, None]


def test_a_new_limit_of_the_pace_is_told_at_once() -> None:
    """Others within a second are not, if the pace only grows."""
    heard = Heard()

    async def main() -> None:
        lane = lane_of(heard=heard)
        for rate in (4.0, 5.0, 6.0):
            lane.limit(rate=rate)

    played(main)
    assert heard.paces == [4.0, 5.0, 6.0]


def test_a_target_that_rests_lends_its_place_to_another_worker() -> None:
    """As many as four for each request that may be in flight; the lane tells workers which are too many."""
    hired: list[int] = []

    async def main() -> list[bool]:
        lane = lane_of(limits=Limits(concurrency=2))
        lane.begin_step(100, hired.append)
        enough = [lane.has_enough(2), lane.has_enough(3)]
        async with anyio.create_task_group() as group:
            for _ in range(MOST_RESTING * 2 + 3):
                group.start_soon(lane.rest, 5.0)
            await anyio.sleep(1.0)
            enough += [lane.has_enough(13), lane.has_enough(14)]
        assert anyio.current_time() == 5.0
        return [*enough, lane.has_enough(2), lane.has_enough(3)]

    assert MOST_RESTING == 4
    assert played(main) == [False, True, False, True, False, True]
    assert hired == [1] * 8


def test_a_stop_of_the_run_ends_a_rest() -> None:
    async def main() -> float:
        run_gate = RunGate()
        lane = lane_of(run_gate=run_gate)
        async with anyio.create_task_group() as group:
            group.start_soon(lane.rest, 100.0)
            await anyio.sleep(2.0)
            run_gate.stop("interrupt", "SIGTERM")
        return anyio.current_time()

    assert played(main) == 2.0


def test_a_lane_knows_how_many_targets_are_left_and_come_soon() -> None:
    async def main() -> list[int]:
        lane = lane_of()
        lane.begin_step(5, later=7)
        counts = [lane.left, lane.ahead]
        lane.enter(A)
        lane.leave(A)
        counts += [lane.left, lane.ahead]
        lane.begin_step(3)
        return [*counts, lane.left, lane.ahead]

    assert played(main) == [5, 12, 4, 11, 3, 3]


def test_faults_of_all_targets_that_workers_have_now_park_a_lane_that_cannot_be_reached() -> None:
    """Nothing would ever bring another target's turn; a target that has left counts no more."""

    async def main() -> list[str]:
        lane, states = lane_of(), []
        lane.begin_step(MANY)
        for target in (A, B, C):
            lane.enter(target)
        lane.leave(C)
        for target in [*[A] * UNSENT_IN_A_ROW, B]:
            landed(lane, target, reading(Verdict.UNSENT, message="refused"))
            states.append(lane.state.state)
        return states

    assert played(main) == [*["open"] * UNSENT_IN_A_ROW, "parked"]


# --- what a request waits for -----------------------------------------------------------------------------


def test_while_an_operator_pauses_the_run_only_doubts_are_settled() -> None:
    def go(act: Act, *, settling: bool = False) -> tuple[float, str | None]:
        run_gate = RunGate()
        run_gate.pause()
        return admit_beside(act, lambda _: run_gate.go_on(), settling=settling, run_gate=run_gate)

    assert go(UNDEPLOY) == (3.0, None)
    assert go(Act.LOOK) == (3.0, None)
    assert go(Act.LOOK, settling=True) == (0.0, None)


def test_a_pause_of_the_run_ends_with_its_window() -> None:
    run_gate = RunGate(closes=40.0)
    run_gate.pause()
    decided, refused = admit_beside(run_gate=run_gate)

    assert (round(decided, 1), refused) == (10.0, "window: one timeout no longer fits before it closes")


def test_a_look_is_in_vain_where_the_change_behind_it_may_not_start() -> None:
    """A look that settles a doubt is not: what was sent may have arrived."""

    def ask(act: Act, *, settling: bool = False) -> str | None:
        run_gate = RunGate()
        run_gate.stop("stop_rule", "3 failed")
        return admit_beside(act, settling=settling, run_gate=run_gate)[1]

    assert ask(UNDEPLOY) == ask(Act.LOOK) == "stop_rule: 3 failed"
    assert ask(Act.LOOK, settling=True) is None


def test_a_skipped_target_is_passed_over_unless_a_doubt_about_it_is_open() -> None:
    def ask(*, settling: bool) -> str | None:
        run_gate = RunGate(matcher=lambda patterns: lambda _: patterns[0] if patterns else None)
        run_gate.skip("gw/*", "alice")
        return admit_beside(Act.LOOK, settling=settling, run_gate=run_gate)[1]

    assert ask(settling=False) == "skipped: gw/*, by alice"
    assert ask(settling=True) is None


@pytest.mark.parametrize(
    ("act", "wait", "refused"),
    [
        (UNDEPLOY, 0.0, None),
        (UNDEPLOY, 71.0, "window: one timeout no longer fits before it closes"),
        (Act.LOOK, 71.0, None),
        (Act.LOOK, 131.0, "window: it closed before a look could settle this"),
    ],
)
def test_a_lane_says_in_advance_what_the_window_will_refuse(
    act: Act, wait: float, refused: str | None
) -> None:
    async def main() -> str | None:
        return lane_of(run_gate=RunGate(closes=100.0)).refusal(act, wait)

    assert played(main) == refused


def test_a_lane_asked_without_more_speaks_of_an_undeploy_at_this_moment() -> None:
    async def main() -> str | None:
        return lane_of(run_gate=RunGate(closes=30.5)).refusal()

    assert played(main) is None


def test_a_lane_that_was_given_up_lets_only_looks_leave_that_settle_doubts() -> None:
    async def main() -> list[str | None]:
        lane = lane_of()
        lane.state.give_up("parked: HTTP 502", anyio.current_time())
        return [lane.refusal(), lane.refusal(Act.LOOK), lane.refusal(Act.LOOK, settling=True)]

    assert played(main) == ["parked: HTTP 502", "parked: HTTP 502", None]


def test_a_closed_lane_refuses_all_and_an_open_one_nothing() -> None:
    async def main() -> list[str | None]:
        lane = lane_of()
        before = lane.refusal()
        landed(lane, A, ELSEWHERE)
        return [before, lane.refusal(), lane.refusal(Act.LOOK, settling=True)]

    assert played(main) == [None, *["wrong_place: E.3030 no instance"] * 2]


# --- from one process, or one chunk, to the next ----------------------------------------------------------


def test_a_lane_that_goes_on_obeys_the_new_run_gate_and_tells_the_new_listener() -> None:
    first, second = Heard(), Heard()

    async def main() -> tuple[str | None, float]:
        lane = lane_of(heard=first)
        run_gate = RunGate()
        lane.go_on(run_gate, second)
        run_gate.pause()
        async with anyio.create_task_group() as group:

            async def stop() -> None:
                await anyio.sleep(2.0)
                run_gate.stop("interrupt", "SIGTERM")

            group.start_soon(stop)
            refused = await lane.admit(AdmissionRequest(A, UNDEPLOY))
        landed(lane, A, ELSEWHERE)
        return refused, anyio.current_time()

    assert played(main) == ("interrupt: SIGTERM", 2.0)
    assert (first.states, second.states) == ([], [("closed", "wrong_place: E.3030 no instance")])


def test_a_lane_stands_in_another_process_where_it_stood_and_tells_only_what_is_new() -> None:
    heard = Heard()

    async def main() -> tuple[str, str | None, bool]:
        before, after = lane_of(), lane_of(heard=heard)
        landed(before, A, ELSEWHERE)
        after.take_up(before.describe_standing(), heard)
        after.observe(AdmissionRequest(B, UNDEPLOY), DOUBT, anyio.current_time())
        return after.state.state, after.state.reason, after.describe_standing() == before.describe_standing()

    state, reason, _ = played(main)
    assert (state, reason) == ("closed", "wrong_place: E.3030 no instance")
    assert heard.states == []


def test_the_pace_that_an_earlier_session_learned_holds_from_the_first_request_on() -> None:
    heard = Heard()

    async def main() -> None:
        lane_of(heard=heard, learned=LearnedLimits(rate=2.5))

    played(main)
    assert heard.paces == [2.5]


def test_each_reply_is_passed_on_and_told() -> None:
    told: list[object] = []

    class Listener(Heard):
        def on_answer(self, gateway: str, answer: object, /) -> None:
            told.append((gateway, answer))

    reply = Reply(204, {}, b"", 0.0)

    async def send(_: Request) -> Reply:
        return reply

    async def main() -> object:
        return await lane_of(heard=Listener(), send=send).send(Request("POST", "x", {}))

    assert played(main) is reply
    assert told == [("gw", reply)]
