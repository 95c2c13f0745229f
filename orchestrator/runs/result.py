"""The result of a run."""

from __future__ import annotations

from msgspec import Struct

from orchestrator.errors import ExitStatus
from orchestrator.journal.folder import RunFolder
from orchestrator.report.values import Report


class RunResult(Struct, frozen=True, kw_only=True):
    """The end of a run's newest session, with the run's folder and its report."""

    exit_status: ExitStatus
    folder: RunFolder
    report: Report
    warnings: tuple[str, ...] = ()
    """Faults beside those of targets: reports that could not be written."""
    has_new_reports: bool = True
    """Whether the reports in the run's folder tell this end; if not, they may be of an earlier session."""
