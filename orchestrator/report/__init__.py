"""The reports of a run: one file a format, all written from the same ``ReportSource``.

The table is explicit; a format's module is imported when it is first asked for, so that nothing heavy is
loaded for a report that nobody wants.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import NamedTuple, Protocol, TextIO, cast

from orchestrator.errors import OrchestratorError, UsageError
from orchestrator.report.values import ReportSource
from orchestrator.system.writing import written


class Writer(Protocol):
    """Writes one report to ``out`` as it goes; never holds all targets."""

    def __call__(self, source: ReportSource, out: TextIO, /) -> None: ...


class Format(NamedTuple):
    """One format: the name of its file in a run's folder, and the module whose ``write`` makes it."""

    file: str
    module: str

    def writer(self) -> Writer:
        """Import the format and return its ``write``."""
        return cast("Writer", import_module(self.module).write)


# In the order in which they are written: what other programs read comes first.
FORMATS: Mapping[str, Format] = {
    "json": Format("report.json", "orchestrator.report.json"),
    "csv": Format("report.csv", "orchestrator.report.csv"),
    "junit": Format("report.xml", "orchestrator.report.junit"),
    "markdown": Format("report.md", "orchestrator.report.markdown"),
    "html": Format("report.html", "orchestrator.report.html"),
}


class ReportError(OrchestratorError):
    """Some reports could not be written. ``failures`` tells by file name why; the others were written."""

    def __init__(self, folder: Path, run: str, failures: Mapping[str, str]) -> None:
        told = "; ".join(f"{file}: {why}" for file, why in failures.items())
        super().__init__(
            f"could not write all reports to {folder} ({told}). The journal is not affected: mend the cause "
            f"and make them again with `undeploy report {run} --format FORMAT`"
        )
        self.failures = dict(failures)


def write_report(name: str, source: ReportSource, out: TextIO) -> None:
    """Write the report in format ``name`` to ``out``, target by target.

    Raises ``UsageError`` for a name that is not in ``FORMATS``, ``OSError`` where ``out`` cannot be written,
    and what ``source`` raises.
    """
    if name not in FORMATS:
        raise UsageError(f"no report format is called {name!r}; choose one of {', '.join(FORMATS)}")
    FORMATS[name].writer()(source, out)


def write_all(source: ReportSource, folder: Path) -> None:
    """Write every format into ``folder``, which exists, each whole or not at all (mode 0600, durable).

    A report that was there before is replaced. Where one format cannot be written the others still are, and
    ``ReportError`` at the end names each that is missing.
    """
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


def _write_file(form: Format, source: ReportSource, folder: Path) -> None:
    with written(folder / form.file) as out:
        form.writer()(source, out)
