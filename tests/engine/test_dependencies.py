"""Who goes only after another one."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.engine.controller import Controller
from orchestrator.engine.queue import LOOK_AHEAD
from orchestrator.model.events import TargetEnded
from orchestrator.model.outcome import DONE, Outcome
from orchestrator.model.reading import Act, Verdict
from orchestrator.model.target import TargetId
from orchestrator.rules.dependencies import Dependencies, Prerequisite
from tests.engine.test_waves import DOUBT, REFUSED, REMOVED, UNCLEAR, UNSENT, Executed, narrow, ran, signed
from tests.support.engine import EPOCH, Answer, reading, target

ELSEWHERE = reading(Verdict.ELSEWHERE, message="no instance")


def need(
    seq: int, needs: int, outcome: Outcome | None = None, *, beside: bool = True, gateway: str = "gw"
) -> Prerequisite:
    return Prerequisite(seq, needs, TargetId(f"{gateway}/t{needs}"), gateway, outcome, beside)


# --- the rule -------------------------------------------------------------------------------------------


def test_a_target_waits_until_all_that_come_first_are_down() -> None:
    order = Dependencies([need(3, 1), need(3, 2)])
    assert order.is_waiting(3)
    assert not order.is_waiting(1)
    assert order.is_awaited(1)
    assert not order.is_awaited(3)

    assert order.settle(1, Outcome.UNDEPLOYED)
    assert (order.is_waiting(3), order.take_unblocked()) == (True, [])
    assert order.settle(2, Outcome.ALREADY_UNDEPLOYED)
    assert (order.is_waiting(3), order.take_unblocked(), order.refusal(3)) == (False, [3], None)
    assert order.take_unblocked() == []
    assert not order.settle(2, Outcome.UNDEPLOYED)


@pytest.mark.parametrize("outcome", sorted(set(Outcome) - DONE))
def test_one_that_did_not_end_down_breaks_all_that_come_after_it_at_once(outcome: Outcome) -> None:
    order = Dependencies([need(3, 1), need(3, 2), need(4, 1)])
    order.settle(1, outcome)

    why = f"dependency: gw/t1, which comes first, is {outcome.replace('_', ' ')}"
    assert order.take_unblocked() == [3, 4]
    assert [order.refusal(seq) for seq in (3, 4)] == [why, why]
    assert not order.is_waiting(3)
    order.settle(2, Outcome.FAILED)
    assert order.refusal(3) == why


def test_what_an_earlier_leg_has_settled_is_known_from_the_start() -> None:
    order = Dependencies(
        [
            need(5, 1, Outcome.UNDEPLOYED, beside=False),
            need(6, 2, Outcome.UNKNOWN, beside=False),
            need(7, 3, None, beside=False),
            need(8, 4, Outcome.ALREADY_UNDEPLOYED),
        ]
    )

    assert [order.is_waiting(seq) for seq in (5, 6, 7, 8)] == [False] * 4
    assert [order.refusal(seq) for seq in (5, 6, 7, 8)] == [
        None,
        "dependency: gw/t2, which comes first, is unknown",
        "dependency: gw/t3, which comes first, was not reached",
        None,
    ]


def test_a_lane_that_ends_settles_what_it_did_not_reach() -> None:
    order = Dependencies([need(2, 1, gateway="one"), need(4, 3, gateway="two")])

    assert order.abandon("one")
    assert order.take_unblocked() == [2]
    assert order.refusal(2) == "dependency: one/t1, which comes first, was not reached"
    assert order.is_waiting(4)
    assert not order.abandon("one")


# --- whole runs -----------------------------------------------------------------------------------------


class Drawn(NamedTuple):
    """Targets by gateway and wave, who comes after whom by number, and what each one is answered."""

    places: list[tuple[str, int]]
    needs: list[tuple[int, int]]
    answers: list[str]


@st.composite
def graphs(draw: st.DrawFn) -> Drawn:
    count = draw(st.integers(2, 14))
    places = [(draw(st.sampled_from(["gw", "other"])), draw(st.integers(0, 1))) for _ in range(count)]
    rank = draw(st.permutations(range(count)))
    needs = [
        (after + 1, first + 1)
        for after in range(count)
        for first in draw(st.sets(st.integers(0, count - 1), max_size=3))
        if rank[first] < rank[after] and places[first][1] <= places[after][1]
    ]
    kinds = ["removed"] * 6 + ["refused", "doubt", "settled", "late", "elsewhere"]
    return Drawn(places, needs, [draw(st.sampled_from(kinds)) for _ in range(count)])


def answered(kind: str, act: Act) -> Answer:
    if act is Act.LOOK:
        return reading(Verdict.DOWN) if kind == "settled" else UNCLEAR
    match kind:
        case "removed":
            return REMOVED
        case "refused":
            return REFUSED
        case "elsewhere":
            return ELSEWHERE
        case _:
            return DOUBT


@pytest.mark.promise(1)
@settings(max_examples=80, deadline=None)
@given(drawn=graphs(), workers=st.integers(1, 4))
def test_nobody_goes_before_those_it_comes_after_are_down_and_each_gets_one_outcome(
    drawn: Drawn, workers: int
) -> None:
    """On two gateways and in two waves; a run in which somebody waits for ever raises a DeadlockError."""
    targets = [target(seq, name, wave=wave) for seq, (name, wave) in enumerate(drawn.places, 1)]
    ids = {one.seq: one.id for one in targets}
    kinds = {one.id: kind for one, kind in zip(targets, drawn.answers, strict=True)}
    with TemporaryDirectory() as folder:
        went = ran(
            Path(folder),
            targets,
            lambda act, name: answered(kinds[TargetId(name)], act),
            gateways=(narrow("gw", workers), narrow("other", workers)),
            needs=[(after, ids[first]) for after, first in drawn.needs],
            ends=True,
        )

    told = Counter(event.target for event in went.events if isinstance(event, TargetEnded))
    assert set(told.values()) <= {1}
    assert all(went.outcomes.values())
    sent: dict[str, float] = {}
    for wire in went.wires.values():
        for at, _, name in wire.told:
            sent.setdefault(name, at)
    check_order(went, sent, [(ids[after], ids[first]) for after, first in drawn.needs])


def check_order(went: Executed, sent: dict[str, float], needs: list[tuple[TargetId, TargetId]]) -> None:
    """Whoever was sent came after all that it waits for; whoever waits for one that is up was not."""
    ended = {event.target: event.at - EPOCH for event in went.events if isinstance(event, TargetEnded)}
    for after, first in needs:
        if after in sent:
            assert went.outcomes[first] in DONE
            assert ended[first] <= sent[after]
        elif went.outcomes[first] not in DONE:
            assert went.outcomes[after] == "not_started"
            word = (went.reasons[after] or "").partition(":")[0]
            assert word in {"dependency", "wrong_place", "parked", "stop_rule"}


@pytest.mark.parametrize("first", ["gw", "other"])
def test_more_than_a_lane_reads_ahead_may_wait_for_one_that_the_plan_names_last(
    tmp_path: Path, first: str
) -> None:
    """3,000 come after one of their own gateway, or of another one that takes a minute."""
    count = 3000
    assert count > LOOK_AHEAD
    targets = [target(seq) for seq in range(1, count + 1)] + [target(count + 1, first)]

    went = ran(
        tmp_path,
        targets,
        gateways=(narrow("gw", 8), narrow("other", 1)),
        needs=[(seq, targets[-1].id) for seq in range(1, count + 1)],
        takes=60.0,
    )

    assert set(went.outcomes.values()) == {"undeployed"}
    assert min(at for at, _, name in went.wires["gw"].told if name != targets[-1].id) == 60.0


@pytest.mark.promise(1)
@pytest.mark.parametrize(
    ("said", "became", "until"),
    [
        (REFUSED, "failed", 1.0),
        (ELSEWHERE, "not started", 1.0),
        (UNSENT, "not started", 700.0),
    ],
)
def test_those_who_wait_for_another_lane_learn_what_became_of_it(
    tmp_path: Path, said: Answer, became: str, until: float
) -> None:
    """That lane refuses the one, closes, or parks and is given up after ten minutes."""
    targets = [target(1, "bad"), *(target(seq) for seq in range(2, 40))]
    went = ran(
        tmp_path,
        targets,
        lambda _, name: said if name.startswith("bad") else REMOVED,
        gateways=(signed("bad"), narrow("gw", 4)),
        needs=[(seq, "bad/t1") for seq in range(2, 38)],
        ends=True,
    )

    why = f"dependency: bad/t1, which comes first, is {became}"
    assert {went.reasons[one.id] for one in targets[1:37]} == {why}
    assert went.outcomes[targets[-1].id] == "undeployed"
    assert 1.0 <= went.at <= until


@pytest.mark.promise(1)
def test_those_who_wait_for_one_that_nobody_reached_are_not_forgotten(tmp_path: Path) -> None:
    """The lane closes over another target, with this one's predecessor still in its queue."""
    targets = [target(1, "bad"), target(2, "bad"), target(3)]
    went = ran(
        tmp_path,
        targets,
        lambda _, name: ELSEWHERE if name.startswith("bad") else REMOVED,
        gateways=(narrow("bad", 1), narrow("gw", 1)),
        needs=[(3, "bad/t2")],
    )

    assert went.outcomes == {"bad/t1": "not_started", "bad/t2": None, "gw/t3": "not_started"}
    assert went.reasons["gw/t3"] == "dependency: bad/t2, which comes first, was not reached"


async def _interrupted(controller: Controller) -> None:
    await anyio.sleep(0.5)
    controller._run_gate.stop("interrupt", "SIGTERM")


@pytest.mark.promise(8)
@pytest.mark.parametrize("said", [REMOVED, REFUSED])
def test_a_run_that_is_interrupted_waits_for_nobody_in_a_chain(tmp_path: Path, said: Answer) -> None:
    """t3 comes after t2, t2 after the one that is in flight; two workers wait for the two."""
    targets = [target(1, "other"), target(2), target(3)]
    went = ran(
        tmp_path,
        targets,
        lambda *_: said,
        gateways=(narrow("gw", 2), narrow("other", 1)),
        needs=[(2, "other/t1"), (3, "gw/t2")],
        steer=_interrupted,
        ends=True,
    )

    assert went.at == 1.0
    assert [went.reasons[one.id] for one in targets[1:]] == ["interrupt: SIGTERM"] * 2
