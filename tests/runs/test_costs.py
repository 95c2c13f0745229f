"""What a target costs, in counts: requests, commits, tasks, calls of functions, bytes of the journal.

Seconds depend on the machine; these do not, so that a change that makes each target dearer fails here. The
bounds of calls hold for the oldest Python that the program supports, which makes the most of them.
"""

from typing import Any

import pytest

from tests.support.counted import RunCosts, run_counted

FEW, MANY = 500, 2000

RUNS: dict[str, dict[str, Any]] = {
    "plain": {},
    "chained": {"chained": True},
    "looks": {"keys": "look: always"},
    "snapshots": {"top": "snapshot: best"},
}
CALLS = {"plain": 165, "chained": 185, "looks": 389, "snapshots": 508}
"""Calls of functions a target. A slow machine has one or two more: more ticks fall into its run."""
JOURNAL_BYTES = {"plain": 340, "chained": 360, "looks": 370, "snapshots": 1550}
"""Bytes of the journal a target, with its plan, its index and its ledger.

The order in which snapshots arrive decides how full the pages of their table are: three per cent either way.
"""


LONG = pytest.mark.long("thousands of targets, whose costs a plain run tells as a rule")


@pytest.fixture(
    scope="module",
    params=["plain", *(pytest.param(name, marks=LONG) for name in ("chained", "looks", "snapshots"))],
)
def measured(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, RunCosts, RunCosts]:
    name = request.param
    few, many = (run_counted(tmp_path_factory.mktemp(name), count, **RUNS[name]) for count in (FEW, MANY))
    return name, few, many


Measured = tuple[str, RunCosts, RunCosts]


@pytest.mark.long("counts whole runs")
def test_a_target_costs_one_request_and_lists_a_small_share_of_one(measured: Measured) -> None:
    for count, costs in zip((FEW, MANY), measured[1:], strict=True):
        assert costs.requests - costs.lists == count
        # Beside the lists of targets those of applications and policies, and a few targets that are compared.
        bindings = 5 + 5 * 3 if measured[0] == "snapshots" else 0
        assert costs.lists <= 0.02 * count + bindings


@pytest.mark.promise(2)
def test_rows_share_their_commits(measured: Measured) -> None:
    """Each intent is on disk before its request; yet fifty workers that wait share one commit."""
    for count, costs in zip((FEW, MANY), measured[1:], strict=True):
        assert count / 50 <= costs.commits <= count / 4


def test_no_target_has_a_task_of_its_own(measured: Measured) -> None:
    _, few, many = measured
    # Each worker of the lane has a task, and once more when it makes the looks that were put off.
    assert many.tasks <= few.tasks <= 2 * 50 + 10


def test_a_target_costs_no_more_calls_than_it_did(measured: Measured) -> None:
    name, few, many = measured
    assert many.calls / MANY <= CALLS[name]
    assert many.calls / MANY <= 1.01 * few.calls / FEW


def test_a_target_takes_a_few_hundred_bytes_of_the_journal(measured: Measured) -> None:
    name, _, many = measured
    assert many.journal_bytes / MANY <= JOURNAL_BYTES[name]
