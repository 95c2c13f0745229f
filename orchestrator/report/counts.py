"""Counts of targets that several reports are made from."""

from __future__ import annotations

from msgspec.structs import replace

from orchestrator.report.values import Report, Totals


def count_done(totals: Totals) -> int:
    """How many targets are known to be as the run wants them: down, or in a restore deployed again."""
    return totals.undeployed + totals.restored + count_already(totals)


def count_already(totals: Totals) -> int:
    return totals.already_undeployed + totals.already_deployed


def count_current_outcomes(report: Report) -> Totals:
    """Return the counts of outcomes without the targets that a restore has brought back."""
    less = {name: getattr(report.totals, name) - count for name, count in report.up_again.items()}
    return replace(report.totals, **less)


def count_missed(report: Report) -> int:
    """Count what was not started though nobody wanted it kept out."""
    return count_current_outcomes(report).not_started - sum(report.kept_out.values())
