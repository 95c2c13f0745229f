"""Writes a run's reports: one to a stream, or all of them into a folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, suppress
from io import StringIO
from itertools import islice
from pathlib import Path
from typing import TextIO

from orchestrator.errors import OrchestratorError, UsageError
from orchestrator.report.formats import FORMATS, ReportFormat, ReportStream
from orchestrator.report.values import ReportSource, TargetReport
from orchestrator.system.writing import write_regular_file

_MACHINE_REPORT = FORMATS["json"]
BATCH = 200
"""So many targets are in memory at a time."""


class ReportError(OrchestratorError):
    """Some reports could not be written; all others were. ``failures`` gives the cause by file name."""

    def __init__(self, folder: Path, run: str, failures: Mapping[str, str], state_option: str = "") -> None:
        causes = "; ".join(f"{file}: {why}" for file, why in failures.items())
        super().__init__(
            f"could not write all reports to {folder} ({causes}). The journal is not affected: "
            f"mend the cause and make them again with `undeploy report {run} --format FORMAT{state_option}`"
        )
        self.failures = dict(failures)


def write_report(
    name: str, source: ReportSource, out: TextIO, told: Callable[[int], object] = lambda _: None
) -> None:
    """Write the report in format ``name`` to ``out``, a batch of targets at a time.

    ``told`` is called after each batch with the number of targets so far.
    Raises ``UsageError`` for a name that is not in ``FORMATS``, ``OSError`` if ``out`` cannot be written,
    and the errors of ``source``.
    """
    if name not in FORMATS:
        raise UsageError(f"no report format is called {name!r}; choose one of {', '.join(FORMATS)}")
    with closing(FORMATS[name].load_writer()(source, out)) as stream, suppress(StopIteration):
        next(stream)
        written = 0
        for targets in _read_batches(source):
            stream.send(targets)
            written += len(targets)
            told(written)


def write_all(source: ReportSource, folder: Path, *, state_option: str = "") -> None:
    """Write every format into ``folder``, which exists, each whole or not at all (mode 0600, durable).

    The targets are read once for all formats. An older report is replaced. If one format cannot be written
    the others still are, and ``ReportError`` at the end names each that is missing. ``state_option`` is what
    the command that it advises needs to find the run.
    """
    with ExitStack() as files:
        reports = [
            files.enter_context(closing(_ReportFile(form.file, _write_file(form, source, folder))))
            for form in FORMATS.values()
        ]
        try:
            _send_to_all(reports, source)
        except (OSError, OrchestratorError) as error:
            for report in reports:
                report.fail(error)
    if failures := {report.name: report.failure for report in reports if report.failure is not None}:
        raise ReportError(folder, source.report.run.id, failures, state_option)


def are_current(source: ReportSource, folder: Path) -> bool:
    """Return whether all reports are in ``folder``, and were written after the run last ended as it has now.

    A report that could not be written, so that an older one stayed, is older than that end. And report.json
    begins with the sessions and all counts, which must be those of ``source``.
    """
    ended = source.report.run.ended
    if ended is None:
        return False
    try:
        written = [(folder / form.file).stat().st_mtime for form in FORMATS.values()]
        return min(written) >= ended.timestamp() and _begins_as(_MACHINE_REPORT, source, folder)
    except OSError:
        return False


def _begins_as(form: ReportFormat, source: ReportSource, folder: Path) -> bool:
    """Return whether the report in ``folder`` begins with all that ``form`` tells before the first target."""
    beginning = StringIO(newline="\n")
    with closing(form.load_writer()(source, beginning)) as stream:
        next(stream)
    with (folder / form.file).open("rb") as report:
        told = beginning.getvalue().encode()
        return report.read(len(told)) == told


def _send_to_all(reports: Sequence[_ReportFile], source: ReportSource) -> None:
    """Feed the targets to the reports, until no report wants any more. Raises the errors of ``source``."""
    for report in reports:
        report.send(None)
    for targets in _read_batches(source):
        for report in reports:
            report.send(targets)
        if not any(report.is_open for report in reports):
            return


def _read_batches(source: ReportSource) -> Iterator[Sequence[TargetReport]]:
    """Yield the targets in batches, and behind the last one an empty batch."""
    targets = iter(source.targets())
    while batch := list(islice(targets, BATCH)):
        yield batch
    yield ()


def _write_file(form: ReportFormat, source: ReportSource, folder: Path) -> ReportStream:
    with write_regular_file(folder / form.file) as out:
        yield from form.load_writer()(source, out)


class _ReportFile:
    """One report while it is written. A failure ends it, and is no failure of the others."""

    def __init__(self, name: str, stream: ReportStream) -> None:
        self.name = name
        self.failure: str | None = None
        self.is_open = True
        """It wants more targets."""
        self._stream = stream

    def send(self, targets: Sequence[TargetReport] | None) -> None:
        """Write the next targets; None begins the report."""
        if not self.is_open:
            return
        try:
            # None begins any generator, whatever it takes afterwards.
            self._stream.send(targets)  # type: ignore[arg-type]
        except StopIteration:
            self.is_open = False
        except (OSError, OrchestratorError) as error:
            # A full disk may have room for a small report yet, so the others go on.
            self.fail(error)

    def fail(self, error: OSError | OrchestratorError) -> None:
        """Give the report up, unless it is whole already."""
        if self.is_open:
            self.failure = (error.strerror if isinstance(error, OSError) else None) or str(error)
            self.close()

    def close(self) -> None:
        """Remove what is written of a report that did not come to its end."""
        self.is_open = False
        with suppress(OSError):  # what waits to be written may not fit on the disk, either
            self._stream.close()
