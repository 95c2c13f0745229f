"""The reads of one target before its undeploy: how often they are made, and what follows from them."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import anyio
import pytest
from msgspec.structs import replace

from orchestrator.engine.attempts import TargetAttempts
from orchestrator.engine.snapshot import Precheck, SnapshotTaker
from orchestrator.lanes.run_gate import RunGate
from orchestrator.model.events import AnyEvent, SnapshotMissed
from orchestrator.model.http import Lost
from orchestrator.model.outcome import Outcome
from orchestrator.model.plan import Plan, Wave
from orchestrator.model.reading import Act, LookFacts, Snapshot, Verdict
from orchestrator.model.target import Target
from orchestrator.rules.retry import TargetEnd, TargetHistory
from tests.support.engine import (
    Answer,
    Heard,
    Journal,
    Wire,
    environment,
    gateway,
    lane,
    played,
    resources,
    script,
    target,
)
from tests.support.readings import reading

UP, DOWN, UNCLEAR = reading(Verdict.UP), reading(Verdict.DOWN), reading(Verdict.UNCLEAR, message="what?")
LOST = Lost(sent=True, detail="no reply")


class SnapshotJournal(Journal):
    """A record that keeps the snapshots, too."""

    def __init__(self) -> None:
        super().__init__()
        self.snapshots: list[Verdict] = []

    def keep_snapshot(self, target: Target, snapshot: Snapshot, at: float) -> None:
        self.snapshots.append(snapshot.verdict)


class Taken(NamedTuple):
    """What the reads made of a target, when they arrived, and what was kept and told of them."""

    check: Precheck
    times: list[float]
    kept: list[Verdict]
    missed: list[str]
    warnings: list[str]


def take(
    looks: list[Answer],
    *,
    snapshot: Literal["best", "required", "off"] = "best",
    history: TargetHistory | None = None,
    is_stopped: bool = False,
    **fields: Any,
) -> Taken:
    """Read one target whose looks are answered so; waits are the longest that the dice may give."""
    wire, journal, heard, events = Wire(script([], looks)), SnapshotJournal(), Heard(), list[AnyEvent]()

    async def main() -> Precheck:
        here, run_gate = environment(), RunGate()
        one_lane = lane(gateway(**fields), here, run_gate, heard, send=wire.send)
        one_lane.begin_step(1000)
        plan = Plan(name="p", gateways=(one_lane.gateway,), waves=(Wave(name="w"),), snapshot=snapshot)
        shared = resources(here, run_gate, journal, events.append, plan=plan)
        if is_stopped:
            run_gate.stop("interrupt", "a signal")
        with anyio.fail_after(3600.0):
            taker = SnapshotTaker(TargetAttempts(one_lane, shared, 0), shared)
            return await taker.check(target(), history or TargetHistory())

    check = played(main)
    missed = [event.reason for event in events if isinstance(event, SnapshotMissed)]
    return Taken(check, wire.times(Act.LOOK), journal.snapshots, missed, heard.warnings)


def test_a_read_that_meets_a_passing_fault_is_made_once_more_and_no_further() -> None:
    settled, left = take([LOST, UP]), take([LOST, LOST])

    assert settled.times == left.times == [0.0, 0.5]
    assert (settled.check.is_up, settled.check.end, settled.kept) == (True, None, [Verdict.UP])
    assert (left.check.is_up, left.check.end) == (False, None)


def test_a_fault_that_does_not_pass_is_met_once() -> None:
    assert take([UNCLEAR]).times == [0.0]


@pytest.mark.promise(6)
def test_a_read_that_is_told_to_wait_waits_and_is_not_spent() -> None:
    busy = reading(Verdict.BUSY, wait=7.0)
    taken = take([busy, LOST, busy, UP])

    assert taken.times == [0.0, 7.0, 7.5, 14.5]
    assert taken.check.is_up


def test_what_could_not_be_read_goes_down_and_is_told_and_kept_once() -> None:
    taken = take([LOST, LOST])

    assert taken.check.end is None
    assert taken.kept[-1] is Verdict.UNCLEAR
    assert len(taken.missed) == 1
    assert "no reply" in taken.missed[0]
    assert taken.warnings == [f"{taken.missed[0]}: gw/t1 may go down, and a restore could not bring it back"]


def test_what_could_not_be_read_stays_up_where_a_snapshot_is_required() -> None:
    taken = take([LOST, LOST], snapshot="required")

    assert taken.check.end is not None
    assert taken.check.end.outcome is Outcome.NOT_STARTED
    assert (taken.check.end.reason or "").startswith("snapshot: it could not be read: no reply")
    assert (taken.missed, taken.warnings) == ([], [])


def test_what_is_down_already_needs_no_undeploy() -> None:
    taken = take([DOWN])

    assert taken.check.end == TargetEnd(Outcome.ALREADY_UNDEPLOYED, evidence="look")
    assert (taken.kept, taken.missed) == ([Verdict.DOWN], [])


def test_what_was_seen_is_known_of_the_target_and_settles_its_doubt() -> None:
    doubted = TargetHistory(in_doubt=True, unsettled_reply=UNCLEAR)
    facts = LookFacts(pods_responded=3, name="Orders")
    seen, unseen = take([replace(UP, facts=facts)], history=doubted), take([UNCLEAR], history=doubted)

    assert (seen.check.target.pods, seen.check.target.name) == (3, "Orders")
    assert (unseen.check.target.pods, unseen.check.target.name) == (0, target().name)
    assert seen.check.history == replace(doubted, exists=True, in_doubt=False, unsettled_reply=None)
    assert unseen.check.history == doubted


@pytest.mark.parametrize("snapshot", ["best", "required"])
def test_where_nothing_may_be_sent_any_more_the_target_is_left(snapshot: Literal["best", "required"]) -> None:
    taken = take([], snapshot=snapshot, is_stopped=True)

    assert taken.check.end == TargetEnd(Outcome.NOT_STARTED, "interrupt: a signal")
    assert (taken.kept, taken.missed, taken.warnings) == ([], [], [])


@pytest.mark.parametrize(
    ("snapshot", "history"), [("off", TargetHistory()), ("best", TargetHistory(requests=1, charged=1))]
)
def test_nothing_is_read_without_a_snapshot_nor_after_an_undeploy(
    snapshot: Literal["best", "off"], history: TargetHistory
) -> None:
    taken = take([], snapshot=snapshot, history=history)

    assert taken.check == Precheck(target(), history)
    assert (taken.times, taken.kept) == ([], [])
