"""Several gateways with one access key: how many bad signatures it may cost."""

from __future__ import annotations

import anyio
import pytest

from orchestrator.lanes.environment import Environment
from orchestrator.lanes.exchange import LaneQuestion, exchange
from orchestrator.lanes.key_trials import FORGOTTEN_AFTER, MOST_UNPROVEN, KeyTrials
from orchestrator.lanes.lane import Lane
from orchestrator.lanes.run_gate import RunGate
from orchestrator.model.credentials import AccessKeys, Secret
from orchestrator.model.http import Lost, Reply, Request
from orchestrator.model.reading import Act, Reading, Verdict
from orchestrator.model.target import TargetId
from orchestrator.rules.admission import AdmissionRequest
from tests.support import engine
from tests.support.engine import environment, gateway, played
from tests.support.readings import reading

KEYS = AccessKeys(Secret("the-access-key"), Secret("the-secret-key"))
OTHERS = AccessKeys(Secret("another-access-key"), Secret("another-secret-key"))
UP, DENIED = reading(Verdict.UP), reading(Verdict.DENIED, message="bad signature")


class Platform:
    """Gateways that judge signatures, each after ``takes`` seconds; None in ``status`` is no reply."""

    def __init__(self, status: int | None, *, takes: float = 1.0) -> None:
        self.status = status
        self.seen: list[float] = []
        self._takes = takes

    async def send(self, _request: Request) -> Reply | Lost:
        self.seen.append(anyio.current_time())
        await anyio.sleep(self._takes)
        if self.status is None:
            return Lost(sent=True, detail="no whole reply in time")
        return Reply(self.status, {}, b"", 0.0)


def open_lanes(here: Environment, platforms: list[Platform], keys: AccessKeys = KEYS) -> list[Lane]:
    """Open a lane to each platform, all of them with one key."""
    return [
        engine.lane(gateway(f"gw{number}"), here, RunGate(), material=keys, send=platform.send)
        for number, platform in enumerate(platforms)
    ]


async def ask(lane: Lane) -> str | None:
    """Send the first request of a lane; return why it may not leave."""
    admission = AdmissionRequest(TargetId(f"{lane.gateway.name}/t"), Act.LOOK)
    if refused := await lane.admit(admission):
        return refused
    question = LaneQuestion[Reading](
        Act.LOOK,
        lambda _access, _now: Request("GET", "https://gw.example", {}),
        lambda reply: DENIED if reply.status == 401 else UP,
    )
    await exchange(lane, admission, question)
    lane.release(admission.target)
    return None


async def ask_all(lanes: list[Lane]) -> list[str | None]:
    refusals: dict[str, str | None] = {}

    async def work(lane: Lane) -> None:
        refusals[lane.gateway.name] = await ask(lane)

    async with anyio.create_task_group() as group:
        for lane in lanes:
            group.start_soon(work, lane)
    return [refusals[lane.gateway.name] for lane in lanes]


@pytest.mark.promise(5)
def test_a_wrong_key_of_many_gateways_is_rejected_fewer_times_than_lock_it() -> None:
    platforms = [Platform(401) for _ in range(9)]

    async def main() -> list[str | None]:
        here = environment()
        lanes = open_lanes(here, platforms)
        refusals = await ask_all(lanes)
        assert {lane.state.state for lane in lanes} == {"closed"}
        return refusals

    refusals = played(main)

    assert sum(len(platform.seen) for platform in platforms) == MOST_UNPROVEN < 5
    left = [refused for refused in refusals if refused is not None]
    assert len(left) == 9 - MOST_UNPROVEN
    assert all(refused.startswith("denied: 4 gateways have rejected signatures") for refused in left)


def test_a_key_that_one_gateway_lets_in_is_tried_at_all_others_at_once() -> None:
    platforms = [Platform(200, takes=2.0), *(Platform(None, takes=40.0) for _ in range(3))]
    platforms += [Platform(200) for _ in range(4)]

    async def main() -> list[str | None]:
        return await ask_all(open_lanes(environment(), platforms))

    assert played(main) == [None] * 8
    assert [platform.seen[0] for platform in platforms[:4]] == [0.0] * 4
    assert all(2.0 <= platform.seen[0] < 2.2 for platform in platforms[4:])


def test_requests_without_a_reply_let_the_next_ones_try_the_key() -> None:
    platforms = [Platform(None, takes=3.0) for _ in range(6)]

    async def main() -> list[str | None]:
        return await ask_all(open_lanes(environment(), platforms))

    assert played(main) == [None] * 6
    assert [round(platform.seen[0]) for platform in platforms] == [0, 0, 0, 0, 3, 3]


def test_another_key_is_another_matter() -> None:
    async def main() -> list[str | None]:
        here = environment()
        await ask_all(open_lanes(here, [Platform(401) for _ in range(5)]))
        return await ask_all(open_lanes(here, [Platform(200)], OTHERS))

    assert played(main) == [None]


def test_refusals_are_forgotten_and_a_refusal_ends_a_proof() -> None:
    trials = KeyTrials()

    def try_once(now: float, *, is_let_in: bool) -> None:
        assert trials.may_begin(KEYS, now)
        trials.begin(KEYS)
        trials.end(KEYS, now, is_let_in=is_let_in)

    for _ in range(MOST_UNPROVEN):
        try_once(1.0, is_let_in=False)
    assert trials.find_refusal(KEYS, 1.0 + FORGOTTEN_AFTER) is not None
    assert trials.find_refusal(KEYS, 1.1 + FORGOTTEN_AFTER) is None
    try_once(400.0, is_let_in=True)
    for _ in range(MOST_UNPROVEN):
        try_once(401.0, is_let_in=False)
    assert not trials.may_begin(KEYS, 401.0)
