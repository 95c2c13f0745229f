"""The oracles of runs beyond one machine, on made-up facts: each tells what breaks its promise."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import anyio
import msgspec
import pytest
from msgspec.structs import replace
from temporalio.api.common.v1 import Payload, Payloads

from tests.simulation.far.execution import Activity
from tests.simulation.far.oracles import check_attempts, check_gaps, check_pauses, check_place, check_window
from tests.simulation.far.play import play_far_seed
from tests.simulation.far.processes import SimulatedProcess
from tests.simulation.far.scene import FarScene, make_far_scene
from tests.simulation.far.stage import FarStage
from tests.simulation.far.witness import FarWitness
from tests.test_simulation_oracles import LOOK, a_scene, ask, wire

pytestmark = pytest.mark.source
"""The played workers are made of private parts of Temporal's library, as the locked version has them."""


def a_far_scene(**more: Any) -> FarScene:
    """A scene of one instance with twelve APIs, an operator's limits and attempts as ``more`` says."""
    return replace(make_far_scene(1), near=replace(a_scene(), **more))


class MadeUpRun:
    """A run of which the test tells the witness what the server knows and what leaves."""

    def __init__(self) -> None:
        self.scene = a_scene()
        self.witness = FarWitness(self.scene)

    def hand_out(self, worker: str) -> Activity:
        """Have a worker get a chunk of the lane."""
        order = msgspec.json.encode({"run": "made-up", "session": 1, "place": {"gateway": "gw"}})
        nowhere: Any = None
        activity = Activity(
            execution=nowhere,
            seq=1,
            scheduled=1,
            activity_id="chunk",
            kind="run_chunk",
            queue="zone",
            arguments=[Payload(data=order)],
            heartbeat_timeout=10.0,
            token=b"",
            worker=worker,
        )
        self.witness.on_given(activity)
        return activity

    def send(self, worker: str, **more: Any) -> None:
        """Have a request leave a worker that has no answer yet."""
        process: Any = SimpleNamespace(name=worker)
        self.witness.on_departure(process, ask(1.0, None, None, **more))

    @property
    def told(self) -> list[str]:
        return self.witness.broken


@pytest.mark.promise(2)
def test_a_request_of_a_worker_without_the_chunk_is_told() -> None:
    run = MadeUpRun()
    run.hand_out("east-1")

    run.send("east-1")
    assert run.told == []
    run.send("east-2", api=2)
    assert run.told == ["promise 2: undeploy of gw/api2 at 1.000 left east-2 while east-1 had its lane"]


@pytest.mark.promise(6)
@pytest.mark.parametrize("end", ["result", "loss", "termination"])
def test_two_chunks_of_one_lane_at_once_are_told(end: str) -> None:
    run = MadeUpRun()
    first = run.hand_out("east-1")
    ends: dict[str, Callable[[], None]] = {
        "result": lambda: run.witness.on_result(first, Payloads()),
        "loss": lambda: run.witness.on_lost(first),
        "termination": lambda: setattr(first, "is_over", True),
    }
    ends[end]()
    run.hand_out("east-2")
    assert run.told == []

    run.hand_out("east-1")
    assert run.told == ["promise 6: two chunks of gw were out at once"]


@pytest.mark.promise(6)
def test_more_requests_under_way_than_the_concurrency_are_told() -> None:
    run = MadeUpRun()
    run.hand_out("east-1")

    most = run.scene.plan.gateways[0].concurrency
    for number in range(most):
        run.send("east-1", api=number + 1, act=LOOK)
    assert run.told == []
    run.send("east-1", api=most + 1)
    assert run.told == [
        f"promise 6: undeploy of gw/api{most + 1} at 1.000 was number {most + 1} of its lane under way"
    ]


@pytest.mark.promise(7)
def test_more_attempts_than_allowed_are_told_whichever_replies_came() -> None:
    free = [
        ask(1.0, 2.0, 429),
        ask(1.0, 2.0, 401),
        ask(1.0, 2.0, is_elsewhere=True),
        ask(1.0, 2.0, is_unsent=True),
    ]
    five = [ask(number, number + 0.5, 502) for number in range(4)] + [ask(5.0, None, None)]

    assert list(check_attempts(a_far_scene(), [*five, *free])) == []
    assert list(check_attempts(a_far_scene(), [*five, ask(9.0, 9.5, api=2)])) == []
    (told,) = check_attempts(a_far_scene(), [*five, ask(9.0, 9.5)])
    assert told == "promise 7: gw/api1 was sent 6 times, by all workers"


@pytest.mark.promise(4)
def test_a_request_after_another_place_has_answered_is_told() -> None:
    scene, strange = a_far_scene(), ask(1.0, 2.0, 404, is_elsewhere=True)

    assert list(check_place(scene, wire(strange, ask(2.01, 3.0, api=2)))) == []
    (told,) = check_place(scene, wire(strange, ask(2.5, 3.0, api=2, act=LOOK)))
    assert told == "promise 4: look of gw/api2 at 2.500 left 0.500 s after another place had answered"
    # Nobody else can know of an answer whose reader was lost at once.
    strange.is_untold = True
    assert list(check_place(scene, wire(strange, ask(2.5, 3.0, api=2)))) == []


@pytest.mark.promise(6)
def test_a_request_within_what_a_gateway_asked_of_another_worker_is_told() -> None:
    busy = ask(0.5, 1.0, 429, wait=10.0)

    assert list(check_pauses(a_far_scene(), wire(busy, ask(1.2, 2.0, api=2), ask(11.0, 12.0, api=3)))) == []
    (told,) = check_pauses(a_far_scene(), wire(busy, ask(10.0, 12.0, api=2)))
    assert told.startswith("promise 6: undeploy of gw/api2 at 10.000 left 0.999 s before the end of a 429")


@pytest.mark.promise(7)
def test_a_change_too_late_for_the_window_by_its_worker_s_clock_is_told() -> None:
    late = ask(15.0, 16.0)

    (told,) = check_window(a_far_scene(), wire(late, closes=20.0))
    assert told == "promise 7: undeploy of gw/api1 at 15.000 left too late for the window"
    # Its timeout is 10 s: a worker whose clock is 5 s behind may send it.
    late.behind = 5.0
    assert list(check_window(a_far_scene(), wire(late, closes=20.0))) == []


@pytest.mark.promise(10)
def test_a_wait_that_is_longer_than_all_of_the_plan_is_told() -> None:
    scene, first = a_far_scene(), ask(1.0, 2.0)

    assert list(check_gaps(scene, wire(first, ask(600.0, 601.0, api=2)))) == []
    (told,) = check_gaps(scene, wire(first, ask(14_402.0, 14_403.0, api=2)))
    assert told.startswith("promise 10: nothing was done for 14400 s from 2.000 on")


async def _do_nothing(*_: object) -> None:
    """Have no worker, which would only poll."""


@pytest.mark.promise(10)
def test_a_driver_that_does_not_end_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    async def stay(*_: object) -> None:
        await anyio.sleep_forever()

    monkeypatch.setattr(FarStage, "_keep_worker", _do_nothing)
    monkeypatch.setattr(FarStage, "_drive", stay)

    assert "promise 10: session 1 has not ended" in play_far_seed(1).broken


@pytest.mark.promise(10)
def test_a_driver_that_stays_after_a_second_signal_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    async def linger(self: FarStage, process: SimulatedProcess, *_: object) -> None:
        await anyio.sleep(1.0)
        now = self._world.now()
        self._witness.drivers[process.name].signals += [now, now]
        await anyio.sleep(6.0)

    monkeypatch.setattr(FarStage, "_keep_worker", _do_nothing)
    monkeypatch.setattr(FarStage, "_drive", linger)

    told = play_far_seed(1).broken
    assert "promise 10: the driver ended 6.0 s after the second interrupt" in told
    assert "the run has not reached its end after 40 sessions" in told
