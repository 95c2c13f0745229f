"""kill -9 at any instant, and what a resume makes of it."""

from __future__ import annotations

import random
import time
from collections.abc import Callable

import pytest

from orchestrator.model.reading import Act
from orchestrator.simulator.faults import FaultStorm
from tests.support.stage import CONCURRENCY, FINISHED, Stage, first_acts, kill

pytestmark = pytest.mark.long("kills a process again and again")

KILLS = 7
STORM = (
    "500",
    "500-after",
    "hang",
    "hang-after",
    "reset",
    "reset-after",
    "slow@0.1",
    "look:500",
    "look:reset",
)
QUICK = "retry: {attempts: 8, first: 5ms, ceiling: 20ms}, timeout: 600ms"


def _go_on(stage: Stage) -> tuple[str, ...]:
    return ("resume", "latest") if stage.has_run else ("run", "plan.yaml", "--yes")


def _killed_somewhere(stage: Stage, dice: random.Random) -> None:
    """Start or go on, and kill it: after some more requests, or at a moment of the start-up."""
    before = stage.requests()
    with stage.started(*_go_on(stage)) as process:
        if dice.random() < 0.25:
            time.sleep(dice.uniform(0.0, 0.35))
        else:
            stage.wait_for_requests(before + dice.randint(1, 18), process)
            time.sleep(dice.uniform(0.0, 0.02))
        kill(process)
    stage.settled()


@pytest.mark.promise(1)
@pytest.mark.promise(2)
@pytest.mark.parametrize(
    ("seed", "storm"),
    [
        (1, None),
        (3, FaultStorm(share=0.15, seed=3, kinds=STORM)),
        (4, FaultStorm(share=0.2, seed=4, kinds=STORM)),
    ],
)
def test_killed_again_and_again_no_target_is_lost_and_none_is_sent_twice(
    staged: Callable[..., Stage], seed: int, storm: FaultStorm | None
) -> None:
    dice = random.Random(seed)
    stage = staged(60, 30, latency=0.02)
    stage.write_plan(roma=QUICK, apim=QUICK)
    stage.expect(storm=storm)
    finished: dict[str, int] = {}
    for _ in range(KILLS):
        before = stage.settled()
        doubtful = _doubtful(stage)
        _killed_somewhere(stage, dice)
        _assert_looked_first(stage, doubtful, before)
        finished = _assert_journal(stage, doubtful) | finished

    before, doubtful = stage.settled(), _doubtful(stage)
    ended = stage.undeploy(*_go_on(stage))

    _assert_looked_first(stage, doubtful, before)
    assert ended.status in (0, 1), ended.err
    assert ended.status == 0 or storm is not None
    stage.assert_truth()
    stage.assert_intents()
    assert (verified := stage.undeploy("report", "latest", "--verify")).status == 0, verified.out
    again = {target: stage.platform.books().targets[target].undeploys for target in finished}
    assert again == finished


def _doubtful(stage: Stage) -> list[str]:
    """The targets whose newest intent has no result."""
    kept = stage.journal().values() if stage.has_run else ()
    return [target.id for target in kept if target.left_open and target.outcome not in FINISHED]


def _assert_looked_first(stage: Stage, doubtful: list[str], before: int) -> None:
    acts = first_acts(stage.list_requests(before))
    assert {acts.get(target, Act.LOOK) for target in doubtful} <= {Act.LOOK}


def _assert_journal(stage: Stage, before: list[str]) -> dict[str, int]:
    """Check a journal that was just left; return how often each finished target was sent to.

    A kill leaves no more new doubts than requests were in flight. Those from ``before`` may still be there: a
    target that waits for its next try lets others go.
    """
    if not stage.has_run:
        assert stage.requests() == 0
        return {}
    stage.assert_intents()
    assert (verified := stage.undeploy("report", "latest", "--verify")).status == 0, verified.out
    kept = stage.journal()
    assert len(set(_doubtful(stage)) - set(before)) <= sum(CONCURRENCY.values())
    targets = stage.platform.books().targets
    return {name: targets[name].undeploys for name, target in kept.items() if target.outcome in FINISHED}
