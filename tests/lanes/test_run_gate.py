"""Whether the run as a whole may still send."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Sequence

import anyio
import pytest

from orchestrator.lanes.run_gate import RunGate, StopKind
from orchestrator.model.outcome import Outcome
from orchestrator.model.reading import Act
from orchestrator.model.target import TargetId
from orchestrator.rules.completion import end_incomplete
from orchestrator.rules.forecast import LOOKS_PAST_CLOSE
from orchestrator.rules.retry import TargetEnd, TargetHistory
from tests.support.engine import gateway, played

CLOSED = "window: one timeout no longer fits before it closes"
TOO_LATE = "window: it closed before a look could settle this"


@pytest.mark.promise(7)
@pytest.mark.parametrize(
    ("now", "takes", "reason"),
    [
        (0.0, 30.0, None),
        (969.999, 30.0, None),
        (970.0, 30.0, None),
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
        (["stop_rule", "control"], "stop_rule: 0", 1),
        (["control", "stop_rule"], "interrupt: 0", 1),
        (["control", "disk"], "disk: 1", 2),
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


@pytest.mark.parametrize("seconds", [0.0, 0.5, 7.5])
def test_a_wait_lasts_as_long_as_it_says(seconds: float) -> None:
    async def main() -> float:
        await RunGate().sleep(seconds)
        return anyio.current_time()

    assert played(main) == seconds


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


@pytest.mark.parametrize(
    ("act", "now", "left"),
    [
        (Act.UNDEPLOY, 0.0, 970.0),
        (Act.UNDEPLOY, 970.0, 0.001),
        (Act.UNDEPLOY, 5000.0, 0.001),
        (Act.LOOK, 0.0, 1030.0),
        (Act.LOOK, 1030.0, 0.001),
    ],
)
def test_a_wait_for_the_close_ends_when_the_window_begins_to_refuse_and_is_never_none(
    act: Act, now: float, left: float
) -> None:
    """A wait of no time at all would make its caller spin."""
    assert RunGate(closes=1000.0).seconds_until_refused(act, now, gateway()) == left


def test_without_a_window_no_wait_is_cut_short() -> None:
    assert RunGate().seconds_until_refused(Act.UNDEPLOY, 0.0, gateway()) == math.inf


@pytest.mark.promise(7)
def test_a_stop_is_told_before_the_close_of_the_window() -> None:
    run_gate = RunGate(closes=1000.0)
    run_gate.stop("control", "by alice")

    assert run_gate.refusal(Act.UNDEPLOY, 5000.0, takes=30.0) == "interrupt: by alice"


def test_every_change_makes_the_waiting_workers_ask_again() -> None:
    calls: list[str] = []
    run_gate = RunGate()
    run_gate.call_on_change(lambda: calls.append("lane 1"))
    run_gate.call_on_change(lambda: calls.append("lane 2"))
    changes = (
        run_gate.pause,
        run_gate.go_on,
        lambda: run_gate.skip("**", "alice"),
        lambda: run_gate.recall("the chunk is full"),
        lambda: run_gate.stop("control", "by alice"),
    )
    for number, change in enumerate(changes, 1):
        change()
        assert calls == ["lane 1", "lane 2"] * number


def test_a_pause_holds_until_the_operator_goes_on() -> None:
    run_gate = RunGate()
    paused = [run_gate.paused]
    run_gate.pause()
    paused.append(run_gate.paused)
    run_gate.go_on()

    assert [*paused, run_gate.paused] == [False, True, False]


def test_a_rest_between_waves_ends_by_itself_by_going_on_or_by_a_stop() -> None:
    def rest(end: Callable[[RunGate], None]) -> list[bool]:
        run_gate = RunGate()
        seen = [run_gate.rests]
        run_gate.rest()
        seen.append(run_gate.rests)
        end(run_gate)
        return [*seen, run_gate.rests]

    ends: list[Callable[[RunGate], None]] = [
        lambda run_gate: run_gate.rest(over=True),
        RunGate.go_on,
        lambda run_gate: run_gate.stop("control", "by alice"),
    ]
    assert [rest(end) for end in ends] == [[False, True, False]] * 3
    assert rest(lambda run_gate: run_gate.recall("the chunk is full")) == [False, True, True]


def match_ends(patterns: Sequence[str]) -> Callable[[TargetId], str | None]:
    """A pattern of these tests matches the ids that end like it."""
    return lambda target: next((each for each in patterns if target.endswith(each)), None)


def test_a_target_is_passed_over_for_the_operator_who_asked_first() -> None:
    run_gate = RunGate(matcher=match_ends)
    assert run_gate.skip_reason(TargetId("gw/a1")) is None
    run_gate.skip("1", "alice")
    run_gate.skip("1", "bob")
    run_gate.skip("2", "bob")

    reasons = {name: run_gate.skip_reason(TargetId(name)) for name in ("gw/a1", "gw/a2", "gw/a3")}
    assert reasons == {"gw/a1": "skipped: 1, by alice", "gw/a2": "skipped: 2, by bob", "gw/a3": None}
    assert run_gate.skips == {"1": "alice", "2": "bob"}


def test_without_a_matcher_nothing_is_passed_over() -> None:
    run_gate = RunGate()
    run_gate.skip("**", "alice")

    assert run_gate.skip_reason(TargetId("gw/a1")) is None


def test_a_recall_holds_targets_up_that_go_on_elsewhere() -> None:
    run_gate = RunGate()
    assert not run_gate.is_called_back("interrupt: the chunk is full")
    run_gate.recall("the chunk is full")

    assert run_gate.refusal(Act.UNDEPLOY, 0.0, takes=30.0) == "interrupt: the chunk is full"
    assert run_gate.refusal(Act.LOOK, 0.0, takes=30.0) is None
    assert run_gate.is_called_back("interrupt: the chunk is full")
    left = end_incomplete(TargetEnd(Outcome.RESTORED), TargetHistory(), "interrupt: the chunk is full")
    assert run_gate.is_called_back(left.reason or ""), "it is deployed, and the next chunk completes it"
    assert not run_gate.is_called_back("interrupt: the chunk is fuller")
    assert not run_gate.is_called_back("interrupt: SIGTERM")
    assert run_gate.stop_kind is None


def test_a_target_that_a_first_recall_has_held_up_is_known_after_a_second_one() -> None:
    run_gate = RunGate()
    run_gate.recall("an operator's orders")
    held_up_by = run_gate.refusal(Act.UNDEPLOY, 0.0, takes=30.0)
    run_gate.recall("the chunk is full")

    assert run_gate.is_called_back(held_up_by or "")
    assert run_gate.refusal(Act.UNDEPLOY, 0.0, takes=30.0) == held_up_by


@pytest.mark.parametrize("first", ["recall", "stop"])
def test_a_recall_that_lets_nothing_look_holds_beside_an_earlier_recall_or_stop(first: str) -> None:
    run_gate = RunGate()
    CHANGES[first](run_gate)
    held_up_by = run_gate.reason
    assert run_gate.refusal(Act.LOOK, 0.0, takes=30.0) is None
    ends: list[float] = []
    run_gate.call_on_change(lambda: ends.append(0.0))
    run_gate.recall("this worker ends", lets_look=False)
    run_gate.recall("the chunk is full")

    assert run_gate.refusal(Act.LOOK, 0.0, takes=30.0) == run_gate.reason == held_up_by
    assert len(ends) == 1


def test_a_recall_does_not_hide_a_stop() -> None:
    run_gate = RunGate()
    run_gate.stop("control", "by alice")
    run_gate.recall("the chunk is full")

    assert run_gate.reason == "interrupt: by alice"
    assert not run_gate.is_called_back("interrupt: the chunk is full")


def wait_beside(wait: Callable[[RunGate], Awaitable[None]], change: Callable[[RunGate], None]) -> float:
    """When a wait of 100 s ends while the run gate changes after 2 s."""

    async def main() -> float:
        run_gate = RunGate()

        async def change_later() -> None:
            await anyio.sleep(2.0)
            change(run_gate)

        async with anyio.create_task_group() as group:
            group.start_soon(change_later)
            await wait(run_gate)
            return anyio.current_time()

    return played(main)


CHANGES: dict[str, Callable[[RunGate], None]] = {
    "pause": RunGate.pause,
    "go on": RunGate.go_on,
    "skip": lambda run_gate: run_gate.skip("**", "alice"),
    "recall": lambda run_gate: run_gate.recall("the chunk is full"),
    "stop": lambda run_gate: run_gate.stop("control", "by alice"),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_wait_for_a_change_ends_with_any(change: Callable[[RunGate], None]) -> None:
    assert wait_beside(lambda run_gate: run_gate.wait_for_change(100.0), change) == 2.0


@pytest.mark.parametrize(
    ("name", "ends"), [("pause", 100.0), ("skip", 100.0), ("recall", 2.0), ("stop", 2.0)]
)
def test_a_sleep_is_cut_short_only_where_nothing_new_may_start(name: str, ends: float) -> None:
    assert wait_beside(lambda run_gate: run_gate.sleep(100.0), CHANGES[name]) == ends


def test_a_wait_for_a_change_lasts_no_longer_than_it_says() -> None:
    assert wait_beside(lambda run_gate: run_gate.wait_for_change(1.5), RunGate.pause) == 1.5
