"""Whether the run as a whole may still send."""

from __future__ import annotations

import anyio
import pytest

from orchestrator.lanes.run_gate import RunGate, StopKind
from orchestrator.model.reading import Act
from orchestrator.rules.forecast import LOOKS_PAST_CLOSE
from tests.support.engine import played

CLOSED = "window: one timeout no longer fits before it closes"
TOO_LATE = "window: it closed before a look could settle this"


@pytest.mark.promise(7)
@pytest.mark.parametrize(
    ("now", "takes", "reason"),
    [
        (0.0, 30.0, None),
        (969.999, 30.0, None),
        (970.001, 30.0, CLOSED),
        (969.0, 150.0, CLOSED),
        (5000.0, 30.0, CLOSED),
    ],
)
def test_an_undeploy_starts_only_where_its_timeout_ends_before_the_close(
    now: float, takes: float, reason: str | None
) -> None:
    """Each lane asks with its own timeout."""
    assert RunGate(closes=1000.0).refusal(Act.UNDEPLOY, now, takes=takes) == reason


@pytest.mark.parametrize(("history", "reason"), [(-1.0, None), (0.0, None), (30.0, None), (30.001, TOO_LATE)])
def test_a_look_may_run_until_thirty_seconds_past_the_close(history: float, reason: str | None) -> None:
    assert LOOKS_PAST_CLOSE == 30.0
    assert RunGate(closes=1000.0).refusal(Act.LOOK, 1000.0 + history, takes=30.0) == reason


def test_without_a_window_nothing_is_too_late() -> None:
    for act in Act:
        assert RunGate().refusal(act, 1e12, takes=86400.0) is None


@pytest.mark.promise(8)
@pytest.mark.parametrize("kind", ["interrupt", "disk"])
def test_an_interrupt_and_a_failed_disk_stop_looks_as_well(kind: StopKind) -> None:
    run_gate = RunGate(closes=1000.0)
    run_gate.stop(kind, "why")

    for act in Act:
        assert run_gate.refusal(act, 0.0, takes=30.0) == f"{kind}: why"


def test_a_stop_rule_lets_looks_settle_what_is_in_doubt() -> None:
    run_gate = RunGate(closes=1000.0)
    run_gate.stop("stop_rule", "3 failed")

    assert run_gate.refusal(Act.UNDEPLOY, 0.0, takes=30.0) == "stop_rule: 3 failed"
    assert run_gate.refusal(Act.LOOK, 0.0, takes=30.0) is None
    assert run_gate.refusal(Act.LOOK, 1031.0, takes=30.0) == TOO_LATE


@pytest.mark.parametrize(
    ("kinds", "stays", "told"),
    [
        (["stop_rule", "stop_rule"], "stop_rule: 0", 1),
        (["stop_rule", "interrupt"], "interrupt: 1", 2),
        (["stop_rule", "disk", "interrupt"], "interrupt: 2", 3),
        (["interrupt", "disk", "stop_rule"], "interrupt: 0", 1),
        (["disk", "stop_rule"], "disk: 0", 1),
    ],
)
def test_the_gravest_reason_stays_and_of_equals_the_first(
    kinds: list[StopKind], stays: str, told: int
) -> None:
    heard: list[str] = []
    run_gate = RunGate(announce=heard.append)
    for number, kind in enumerate(kinds):
        run_gate.stop(kind, str(number))

    assert run_gate.reason == stays
    assert len(heard) == told


def test_a_wait_lasts_as_long_as_it_says() -> None:
    async def main() -> float:
        await RunGate().sleep(7.5)
        return anyio.current_time()

    assert played(main) == 7.5


@pytest.mark.promise(8)
def test_a_stop_ends_a_wait_and_a_graver_one_the_next() -> None:
    async def main() -> list[float]:
        run_gate, at = RunGate(), []

        async def wait_twice() -> None:
            for _ in range(2):
                await run_gate.sleep(1000.0)
                at.append(anyio.current_time())

        async with anyio.create_task_group() as group:
            group.start_soon(wait_twice)
            await anyio.sleep(2.0)
            run_gate.stop("stop_rule", "3 failed")
            await anyio.sleep(2.0)
            run_gate.stop("stop_rule", "4 failed")
            await anyio.sleep(2.0)
            run_gate.stop("interrupt", "SIGTERM")
        return at

    assert played(main) == [2.0, 6.0]
