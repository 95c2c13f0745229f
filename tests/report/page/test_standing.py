"""The list of targets that needs no script."""

from __future__ import annotations

from orchestrator.model.outcome import Outcome
from orchestrator.report.page.standing import MOST_STANDING, StandingList
from orchestrator.report.values import TargetReport
from tests.support.made_up_runs import FakeReportSource, build_run, build_target


def targets(count: int, outcome: Outcome, name: str) -> list[TargetReport]:
    return [build_target(f"roma-eu/{name}-{number}", outcome) for number in range(count)]


def fill(*several: list[TargetReport]) -> StandingList:
    whole = [target for some in several for target in some]
    standing = StandingList(FakeReportSource(whole, build_run()).report)
    standing.add(whole)
    return standing


def test_a_small_run_is_listed_whole_failures_first() -> None:
    down, failed = targets(3, Outcome.UNDEPLOYED, "down"), targets(1, Outcome.FAILED, "bad")

    standing = fill(down, targets(1, Outcome.UNKNOWN, "odd"), failed)

    ids = [target.id.partition("/")[2] for target in standing.list_targets()]
    assert ids == ["bad-0", "odd-0", "down-0", "down-1", "down-2"]
    assert standing.describe() == "All 5 targets, failures first."


def test_a_large_run_lists_its_failures_alone_however_late_they_come() -> None:
    standing = fill(
        targets(MOST_STANDING + 50, Outcome.NOT_STARTED, "left"),
        targets(MOST_STANDING, Outcome.UNDEPLOYED, "down"),
        targets(2, Outcome.FAILED, "bad"),
    )

    listed = standing.list_targets()

    assert [target.outcome for target in listed[:3]] == [Outcome.FAILED, Outcome.FAILED, Outcome.NOT_STARTED]
    assert len(listed) == MOST_STANDING
    assert standing.describe() == (
        "The first 200 of 252 targets that are not down, failures first; report.csv has all 452 targets."
    )


def test_a_large_run_without_failures_lists_nothing() -> None:
    standing = fill(targets(MOST_STANDING + 1, Outcome.UNDEPLOYED, "down"))

    assert standing.list_targets() == []
    assert standing.describe() == "All 201 targets are down; report.csv lists them."
