"""Writes a run's reports: one to a stream, or all of them into a folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TextIO

from orchestrator.errors import OrchestratorError, UsageError
from orchestrator.report.formats import FORMATS, ReportFormat
from orchestrator.report.values import ReportSource
from orchestrator.system.writing import write_regular_file


class ReportError(OrchestratorError):
    """Some reports could not be written; all others were. ``failures`` gives the cause by file name."""

    def __init__(self, folder: Path, run: str, failures: Mapping[str, str]) -> None:
        causes = "; ".join(f"{file}: {why}" for file, why in failures.items())
        super().__init__(
            f"could not write all reports to {folder} ({causes}). The journal is not affected: "
            f"mend the cause and make them again with `undeploy report {run} --format FORMAT`"
        )
        self.failures = dict(failures)


def write_report(name: str, source: ReportSource, out: TextIO) -> None:
    """Write the report in format ``name`` to ``out``, target by target.

    Raises ``UsageError`` for a name that is not in ``FORMATS``, ``OSError`` if ``out`` cannot be written,
    and the errors of ``source``.
    """
    if name not in FORMATS:
        raise UsageError(f"no report format is called {name!r}; choose one of {', '.join(FORMATS)}")
    FORMATS[name].load_writer()(source, out)


def write_all(source: ReportSource, folder: Path) -> None:
    """Write every format into ``folder``, which exists, each whole or not at all (mode 0600, durable).

    An older report is replaced. If one format cannot be written the others still are, and ``ReportError`` at
    the end names each that is missing.
    """
    # A full disk may have room for a small report yet, so each is tried.
    failures = {}
    for form in FORMATS.values():
        try:
            _write_file(form, source, folder)
        except OSError as error:
            failures[form.file] = error.strerror or str(error)
        except OrchestratorError as error:
            failures[form.file] = str(error)
    if failures:
        raise ReportError(folder, source.report.run.id, failures)


def _write_file(form: ReportFormat, source: ReportSource, folder: Path) -> None:
    with write_regular_file(folder / form.file) as out:
        form.load_writer()(source, out)
