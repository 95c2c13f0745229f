"""The list of targets that stands in the page without any script: for paper, and for old browsers."""

from __future__ import annotations

from collections.abc import Iterable

from orchestrator.model.outcome import DONE, Outcome
from orchestrator.report.values import Report, TargetReport
from orchestrator.report.words import ACT_WORDS
from orchestrator.text.counting import count_noun

MOST_STANDING = 200
"""The most targets of the list. A run with no more has all of them in it."""
_ORDER = (Outcome.FAILED, Outcome.UNKNOWN, Outcome.NOT_STARTED)


class StandingList:
    """Keeps the first targets of each outcome that is not wanted, and all targets of a small run."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._is_small = report.totals.targets <= MOST_STANDING
        self._by_outcome: dict[Outcome, list[TargetReport]] = {outcome: [] for outcome in _ORDER}
        self._down: list[TargetReport] = []

    def add(self, targets: Iterable[TargetReport]) -> None:
        """Take the next targets of the run."""
        for target in targets:
            if target.outcome in DONE:
                if self._is_small:
                    self._down.append(target)
            elif len(kept := self._by_outcome[target.outcome]) < MOST_STANDING:
                kept.append(target)

    def list_targets(self) -> list[TargetReport]:
        """Return the targets: failed, unknown, not started, and those that are as wanted in a small run."""
        trouble = [target for outcome in _ORDER for target in self._by_outcome[outcome]]
        return (trouble + self._down)[:MOST_STANDING]

    def describe(self) -> str:
        """Say which targets the list has."""
        goal, totals = ACT_WORDS[self._report.run.act].goal, self._report.totals
        if self._is_small:
            return f"All {count_noun(totals.targets, 'target')}, failures first."
        trouble = totals.failed + totals.unknown + totals.not_started
        if not trouble:
            return f"All {totals.targets:,} targets are {goal}; report.csv lists them."
        if trouble <= MOST_STANDING:
            named = f"The {count_noun(trouble, 'target')} not {goal}, failures first"
        else:
            named = f"The first {MOST_STANDING:,} of {trouble:,} targets that are not {goal}, failures first"
        return f"{named}; report.csv has all {totals.targets:,} targets."
