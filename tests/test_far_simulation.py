"""Runs beyond one machine, simulated: they pass, they repeat themselves, and they catch a broken engine."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import anyio
import pytest
from msgspec.structs import replace

from orchestrator.distributed import kept_lane
from orchestrator.distributed.conductor import TemporalConductor
from orchestrator.distributed.lane_conduct import LaneConduct
from orchestrator.distributed.lease import Lease
from orchestrator.distributed.order_desk import OrderDesk
from orchestrator.distributed.payloads import ChunkBeat
from orchestrator.distributed.remote_rows import RemoteRows
from orchestrator.distributed.run_conduct import RunConduct
from orchestrator.distributed.run_lanes import RunLanes
from orchestrator.engine import target_run
from orchestrator.gateways.roma.snapshot import RomaRestore
from orchestrator.journal.database import Value
from orchestrator.lanes.lane import Lane
from orchestrator.lanes.run_gate import RunGate
from orchestrator.model.plan import RunId
from orchestrator.model.reading import Act, Completeness, Reading
from orchestrator.rules.admission import LaneState
from orchestrator.rules.retry import (
    RetryPolicy,
    SendStep,
    Step,
    TargetEnd,
    TargetHistory,
    choose_first_step,
    decide,
)
from orchestrator.rules.shared_pace import SharedPace
from tests.simulation.clock import play
from tests.simulation.far.contents import FAR_CAPABILITIES, FAR_ORACLES
from tests.simulation.far.play import play_far_seed
from tests.simulation.far.processes import FarLoop, SimulatedProcess, find_process
from tests.simulation.far.scene import make_far_scene

pytestmark = pytest.mark.source
"""The played workers are made of private parts of Temporal's library, as the locked version has them."""


def find_broken(first: int, last: int) -> str:
    """Return everything that the seeds find broken, as one text."""
    return "\n".join(line for seed in range(first, last + 1) for line in play_far_seed(seed).broken)


def is_caught(promise: str, seeds: int = 30, first: int = 1) -> bool:
    """Return whether one of the seeds finds a promise broken; stop at the first that does."""
    return any(promise in line for seed in range(first, first + seeds) for line in play_far_seed(seed).broken)


@pytest.mark.promise(1)
@pytest.mark.promise(2)
@pytest.mark.promise(3)
@pytest.mark.promise(6)
@pytest.mark.promise(7)
@pytest.mark.promise(8)
@pytest.mark.promise(10)
@pytest.mark.promise(11)
@pytest.mark.timeout(300)  # of pure computing, which a busy machine does slowly
def test_three_seeds_break_no_promise() -> None:
    assert find_broken(31, 33) == ""


@pytest.mark.long("plays many seeds; `python -m tests.simulation --far` plays more")
@pytest.mark.timeout(300)
@pytest.mark.parametrize("first", range(1, 101, 10))
def test_more_seeds_break_no_promise(first: int) -> None:
    assert find_broken(first, first + 9) == ""


def test_the_same_seed_plays_the_same() -> None:
    assert play_far_seed(28) == play_far_seed(28)


def test_each_capability_is_in_some_scene() -> None:
    scenes = [make_far_scene(seed) for seed in range(1, 61)]

    missing = [each.name for each in FAR_CAPABILITIES if not any(map(each.is_in, scenes))]
    assert missing == []
    assert set(FAR_ORACLES) <= set(range(1, 12))
    assert any(scene.is_calm for scene in scenes)


@pytest.mark.long("plays seeds that once found a fault; each fault has a quick test of its own")
@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "seed",
    [
        83,  # what a gateway had asked for was lost with the worker that heard it
        344,  # a second signal at the moment of the first one left the run going on at the server
        394,  # each change of workers gave an undeploy beyond the plan's rate
        6,  # a worker whose clock was four hours behind took a pause of seconds for one of four hours
    ],
)
def test_a_seed_that_once_found_a_fault_finds_none(seed: int) -> None:
    assert find_broken(seed, seed) == ""


# --- an engine that is broken on purpose ----------------------------------------------------------------


JUDGES = pytest.mark.long("breaks the engine on purpose, and plays seeds until a judge notices")


@JUDGES
@pytest.mark.promise(2)
def test_a_request_that_waits_for_no_server_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    def write(self: RemoteRows, statement: str, values: tuple[Value, ...]) -> Awaitable[None]:
        self.post(statement, values)
        done = asyncio.get_running_loop().create_future()
        done.set_result(None)
        return done

    monkeypatch.setattr(RemoteRows, "write", write)

    assert is_caught("left before its intent was on disk", seeds=5)


@JUDGES
@pytest.mark.promise(2)
def test_a_worker_that_heeds_no_lease_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Lease, "is_alive", property(lambda self: not self.is_lost))

    assert is_caught("had its lane", first=30, seeds=1)


@JUDGES
@pytest.mark.promise(2)
def test_a_worker_that_sends_again_without_a_look_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(target_run, "choose_first_step", lambda policy, history: SendStep())

    assert is_caught("left after a worker was lost, without a look", first=20, seeds=1)


@JUDGES
@pytest.mark.promise(1)
@pytest.mark.promise(2)
@pytest.mark.promise(3)
def test_heartbeats_of_a_lost_worker_that_are_forgotten_are_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    proper = LaneConduct.take_lost
    monkeypatch.setattr(LaneConduct, "take_lost", lambda self, beat, why: proper(self, None, why))

    told = find_broken(21, 21)
    assert "and the journal has" in told
    assert "is reported as not started, and we took it down" in told


@JUDGES
@pytest.mark.promise(6)
def test_a_pause_that_is_lost_with_its_worker_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    proper = LaneConduct.take_lost

    def forget(self: LaneConduct, beat: ChunkBeat | None, why: str) -> None:
        proper(self, None if beat is None else replace(beat, carry=None), why)

    monkeypatch.setattr(LaneConduct, "take_lost", forget)

    assert is_caught("before the end of a 429's wait", first=172, seeds=1)


@JUDGES
@pytest.mark.promise(6)
def test_a_worker_that_forgets_the_pace_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SharedPace, "go_on", lambda self, act, next_at: None)

    assert is_caught("undeploys in 10 s at", first=394, seeds=1)


@JUDGES
@pytest.mark.promise(8)
def test_a_stop_that_reaches_no_lane_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RunLanes, "tell_orders", lambda self: None)

    assert is_caught("promise 8", first=280, seeds=1)


@JUDGES
@pytest.mark.promise(8)
def test_a_stop_that_a_second_signal_loses_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    async def tell_last(self: OrderDesk) -> None:
        """Leave it."""

    monkeypatch.setattr(OrderDesk, "tell_last", tell_last)

    assert is_caught("promise 8", first=344, seeds=1)


@JUDGES
@pytest.mark.promise(7)
def test_a_window_that_no_worker_heeds_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RunGate, "refusal", lambda self, act, now, *, takes: None)

    assert is_caught("too late for the window", first=3, seeds=2)


@JUDGES
@pytest.mark.promise(6)
def test_parts_of_a_lane_that_go_side_by_side_are_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    def start_all(self: RunLanes) -> None:
        level = self._find_level()
        for name in level.targets:
            while self._has_more(level, name) and self._start_part(level, name):
                pass

    monkeypatch.setattr(RunLanes, "start_parts", start_all)

    assert is_caught("were out at once", first=5, seeds=1)


@JUDGES
@pytest.mark.promise(6)
def test_a_lane_that_sends_more_at_once_than_it_may_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    proper = Lane.__init__

    def widen(self: Lane, *values: Any, **named: Any) -> None:
        proper(self, *values, **named)
        self.concurrency *= 2

    monkeypatch.setattr(Lane, "__init__", widen)

    assert is_caught("of its lane under way", first=2, seeds=1)


@JUDGES
@pytest.mark.promise(7)
def test_attempts_without_end_are_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """A target whose attempts are spent begins anew, once more each time."""

    def forget(
        policy: RetryPolicy, history: TargetHistory, act: Act, reading: Reading, *, roll: float
    ) -> tuple[TargetHistory, Step]:
        history, step = decide(policy, history, act, reading, roll=roll)
        is_spent = isinstance(step, TargetEnd) and (step.reason or "").startswith("spent")
        return (replace(history, charged=0), SendStep(1.0)) if is_spent else (history, step)

    monkeypatch.setattr(target_run, "decide", forget)

    assert is_caught("times, by all workers", first=2, seeds=3)


@JUDGES
@pytest.mark.promise(4)
def test_a_lane_that_stays_open_in_a_wrong_place_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LaneState, "close", lambda self, reason: None)

    assert is_caught("after another place had answered", first=38, seeds=1)


@JUDGES
@pytest.mark.promise(10)
def test_a_run_that_no_lane_s_end_reaches_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RunConduct, "take_lane_over", lambda self, over: None)

    assert is_caught("promise 10: session", seeds=1)


@JUDGES
@pytest.mark.promise(10)
def test_a_takeover_by_a_clock_that_is_behind_is_caught(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    proper = kept_lane.import_standing
    hours = 4 * 3600.0
    monkeypatch.setattr(kept_lane, "import_standing", lambda carry, ahead: proper(carry, ahead - hours))

    assert is_caught("promise 10: nothing was done for", first=2, seeds=1)


@JUDGES
@pytest.mark.promise(11)
def test_results_that_nobody_takes_over_after_a_full_disk_are_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    async def find_nothing(self: TemporalConductor, run: RunId, session: int) -> None:
        """Begin a session of one's own, whatever the server keeps."""

    monkeypatch.setattr(TemporalConductor, "find_session", find_nothing)

    assert is_caught("was deployed without a look", first=66, seeds=1)


@JUDGES
@pytest.mark.promise(11)
def test_a_restore_that_forgets_what_hung_on_a_front_end_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RomaRestore, "next_completion", lambda *_: Completeness())

    assert is_caught("is reported restored, and lacks", first=32, seeds=1)


@JUDGES
@pytest.mark.promise(11)
def test_a_restore_that_deploys_without_a_look_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    def be_blind(policy: RetryPolicy, history: TargetHistory) -> Step:
        return SendStep() if policy.act is Act.DEPLOY else choose_first_step(policy, history)

    monkeypatch.setattr(target_run, "choose_first_step", be_blind)

    assert is_caught("without a look that showed it to be down", first=14, seeds=5)


# --- processes ------------------------------------------------------------------------------------------


def play_process(
    main: Callable[[], Coroutine[Any, Any, None]], **fate: Any
) -> tuple[SimulatedProcess, float]:
    """Play a process for ten virtual seconds; return it, and how long the clock went on."""
    loop = FarLoop(ends=100.0)
    process = SimulatedProcess("one", loop, **fate)

    async def wait() -> None:
        process.start(main())
        await anyio.sleep(10.0)

    play(loop, wait())
    return process, loop.time()


def test_a_killed_process_does_nothing_more_while_others_go_on() -> None:
    done: list[str] = []

    async def main() -> None:
        try:
            done.append("began")
            await find_process().step()
            done.append("went on")
        finally:
            done.append("cleaned up")

    process, ended = play_process(main, dies_at=1)

    assert process.is_dead
    assert (done, ended) == (["began"], 10.0)


def test_a_process_that_stands_still_goes_on_with_what_is_due_by_then() -> None:
    at: list[tuple[str, float]] = []

    async def note(name: str, seconds: float) -> None:
        await anyio.sleep(seconds)
        at.append((name, anyio.current_time()))

    async def main() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(note, "early", 1.0)
            group.start_soon(note, "late", 6.0)
            await anyio.sleep(0.5)
            with anyio.move_on_after(2.0):
                await find_process().step()
                await anyio.sleep_forever()
            await note("after the timeout", 0.0)

    play_process(main, freezes_at=1, freezes_for=4.0)

    assert at == [("early", 4.5), ("after the timeout", 4.5), ("late", 6.0)]
