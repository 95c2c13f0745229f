"""Counts of targets that the headline, the advice and the formats share."""

from __future__ import annotations

from msgspec.structs import replace

from orchestrator.report.values import Report, Totals


def count_done(totals: Totals) -> int:
    """Return how many targets reached the act's goal: they are down, or in a restore deployed again."""
    return count_changed(totals) + count_already(totals)


def count_changed(totals: Totals) -> int:
    """Return how many targets the run itself brought to the act's goal."""
    return totals.undeployed + totals.restored


def count_already(totals: Totals) -> int:
    """Return how many targets had reached the act's goal before the run."""
    return totals.already_undeployed + totals.already_deployed


def count_current_outcomes(report: Report) -> Totals:
    """Return the totals without the targets that a restore has brought back since."""
    # The journal keeps the outcome that each target had at the run's end, whatever a restore did later.
    less = {name: getattr(report.totals, name) - count for name, count in report.up_again.items()}
    return replace(report.totals, **less)


def count_missed(report: Report) -> int:
    """Return how many targets were not started although the run should have."""
    return count_current_outcomes(report).not_started - sum(report.kept_out.values())
