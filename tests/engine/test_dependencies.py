"""Whole runs in which targets come after other ones."""

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
from orchestrator.model.outcome import DONE
from orchestrator.model.reading import Act, Verdict
from orchestrator.model.target import TargetId
from tests.engine.test_waves import (
    DOUBT,
    REFUSED,
    REMOVED,
    UNCLEAR,
    UNSENT,
    ExecutedRun,
    make_narrow_gateway,
    make_signing_gateway,
    run_waves,
)
from tests.support.engine import EPOCH, Answer, target
from tests.support.readings import reading

ELSEWHERE = reading(Verdict.ELSEWHERE, message="no instance")


class DrawnGraph(NamedTuple):
    """Targets by gateway and wave, pairs of a target and one it requires by number, and the answers."""

    places: list[tuple[str, int]]
    needs: list[tuple[int, int]]
    answers: list[str]


@st.composite
def draw_graph(draw: st.DrawFn) -> DrawnGraph:
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
    return DrawnGraph(places, needs, [draw(st.sampled_from(kinds)) for _ in range(count)])


def choose_answer(kind: str, act: Act) -> Answer:
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
@given(drawn=draw_graph(), workers=st.integers(1, 4))
@pytest.mark.long("plays many made-up plans")
def test_a_target_goes_only_after_those_it_requires_are_down_and_each_gets_one_outcome(
    drawn: DrawnGraph, workers: int
) -> None:
    """On two gateways and in two waves; a run in which a target waits for ever raises a DeadlockError."""
    targets = [target(seq, name, wave=wave) for seq, (name, wave) in enumerate(drawn.places, 1)]
    ids = {one.seq: one.id for one in targets}
    kinds = {one.id: kind for one, kind in zip(targets, drawn.answers, strict=True)}
    with TemporaryDirectory() as folder:
        went = run_waves(
            Path(folder),
            targets,
            lambda act, name: choose_answer(kinds[TargetId(name)], act),
            gateways=(make_narrow_gateway("gw", workers), make_narrow_gateway("other", workers)),
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


def check_order(went: ExecutedRun, sent: dict[str, float], needs: list[tuple[TargetId, TargetId]]) -> None:
    """Each target was sent after those it requires, and not at all if one of them is still up."""
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
def test_more_targets_than_a_lane_reads_ahead_may_wait_for_one_that_the_plan_names_last(
    tmp_path: Path, first: str
) -> None:
    """3,000 come after one of their own gateway, or of another one that takes a minute."""
    count = 3000
    assert count > LOOK_AHEAD
    targets = [target(seq) for seq in range(1, count + 1)] + [target(count + 1, first)]

    went = run_waves(
        tmp_path,
        targets,
        gateways=(make_narrow_gateway("gw", 8), make_narrow_gateway("other", 1)),
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
def test_targets_that_wait_for_another_lane_learn_its_outcome(
    tmp_path: Path, said: Answer, became: str, until: float
) -> None:
    """That lane refuses the one, closes, or parks and is given up after ten minutes."""
    targets = [target(1, "bad"), *(target(seq) for seq in range(2, 40))]
    went = run_waves(
        tmp_path,
        targets,
        lambda _, name: said if name.startswith("bad") else REMOVED,
        gateways=(make_signing_gateway("bad"), make_narrow_gateway("gw", 4)),
        needs=[(seq, "bad/t1") for seq in range(2, 38)],
        ends=True,
    )

    why = f"dependency: bad/t1, which comes first, is {became}"
    assert {went.reasons[one.id] for one in targets[1:37]} == {why}
    assert went.outcomes[targets[-1].id] == "undeployed"
    assert 1.0 <= went.at <= until


@pytest.mark.promise(1)
def test_targets_that_wait_for_an_unreached_one_get_their_outcome(tmp_path: Path) -> None:
    """The lane closes over another target, with this one's predecessor still in its queue."""
    targets = [target(1, "bad"), target(2, "bad"), target(3)]
    went = run_waves(
        tmp_path,
        targets,
        lambda _, name: ELSEWHERE if name.startswith("bad") else REMOVED,
        gateways=(make_narrow_gateway("bad", 1), make_narrow_gateway("gw", 1)),
        needs=[(3, "bad/t2")],
    )

    assert went.outcomes == {"bad/t1": "not_started", "bad/t2": None, "gw/t3": "not_started"}
    assert went.reasons["gw/t3"] == "dependency: bad/t2, which comes first, was not reached"


async def _interrupt(controller: Controller) -> None:
    await anyio.sleep(0.5)
    controller._run_gate.stop("interrupt", "SIGTERM")


@pytest.mark.promise(8)
@pytest.mark.parametrize("said", [REMOVED, REFUSED])
def test_an_interrupted_run_waits_for_no_target_of_a_chain(tmp_path: Path, said: Answer) -> None:
    """t3 comes after t2, t2 after the one that is in flight; two workers wait for the two."""
    targets = [target(1, "other"), target(2), target(3)]
    went = run_waves(
        tmp_path,
        targets,
        lambda *_: said,
        gateways=(make_narrow_gateway("gw", 2), make_narrow_gateway("other", 1)),
        needs=[(2, "other/t1"), (3, "gw/t2")],
        steer=_interrupt,
        ends=True,
    )

    assert went.at == 1.0
    assert [went.reasons[one.id] for one in targets[1:]] == ["interrupt: SIGTERM"] * 2
