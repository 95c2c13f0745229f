"""The common end of a start and a resume: run the session, then write the reports."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from orchestrator.engine.ending import SessionResult
from orchestrator.engine.options import RunOptions
from orchestrator.engine.request import RunRequest
from orchestrator.engine.resources import SessionSpec
from orchestrator.engine.session import Session
from orchestrator.engine.signals import HeldSignal
from orchestrator.errors import (
    DiskError,
    ExitStatus,
    JournalError,
    OrchestratorError,
    RunError,
    UsageError,
    list_grouped,
)
from orchestrator.journal.folder import RunFolder
from orchestrator.journal.holder import UnkeptEnding
from orchestrator.journal.run_report import SessionEnding
from orchestrator.model.outcome import Reason
from orchestrator.report.values import ReportSource
from orchestrator.report.writing import are_current, write_all
from orchestrator.rules.exit_status import EndState
from orchestrator.runs.result import RunResult
from orchestrator.system.writing import check_folder


async def run_and_report(session: Session, spec: SessionSpec, held: HeldSignal) -> RunResult:
    """Run a session to its end and write the reports. ``held`` may have a signal that came before it.

    Raises DiskError if another program has damaged or removed the journal meanwhile: requests may have been
    sent, so it is not the error of a run that could not begin.
    """
    folder, request = spec.folder, spec.request
    with _judge_lost_journal(folder):
        end = await session.run(received=held.name)
    if end.void is not None:
        # As after every refusal there is nothing to resume, so nothing is left of the run.
        shutil.rmtree(folder.path, ignore_errors=True)
        raise UsageError(end.void)
    ending = _describe_unkept_end(end)
    if end.left is None:
        # Else every later report would say that the run was killed.
        unkept = UnkeptEnding(session=spec.number, **ending._asdict())
        folder.keep_ending(None if end.is_kept else unkept)
    with _judge_lost_journal(folder):
        return _report(RunFolder(folder.path, ending=ending), request, end)


@contextmanager
def _judge_lost_journal(folder: RunFolder) -> Iterator[None]:
    try:
        yield
    except DiskError:
        raise
    except (JournalError, RunError) as error:
        raise _lose_journal(folder, error) from error
    except BaseExceptionGroup as group:
        lost, bugs = group.split(JournalError)
        if lost is None or bugs is not None:
            raise
        raise _lose_journal(folder, next(list_grouped(lost))) from group


def _lose_journal(folder: RunFolder, error: OrchestratorError) -> DiskError:
    if isinstance(error, DiskError):
        return error
    return DiskError(
        f"{error}. The journal of run {folder.id} was changed by another program while the run went on;"
        " requests may have been sent that no report tells of"
    )


def _report(folder: RunFolder, request: RunRequest, end: SessionResult) -> RunResult:
    """Write the reports of a session that has ended."""
    if end.cut:
        return _read_result(folder, end.status, (_describe_missing(folder, "not written"),))
    try:
        with request.signals.hold(before=end.interrupted):
            return write_reports(folder, request.options, end.status)
    except KeyboardInterrupt:
        return _read_result(folder, ExitStatus.INTERRUPTED, (_describe_missing(folder, "interrupted"),))


def _describe_missing(folder: RunFolder, how: str) -> str:
    """Return that the reports are missing, and what stands in their place after an earlier session."""
    has_older = (folder.path / "report.md").exists()
    old = "; those in its folder may be of an earlier session" if has_older else ""
    return f"the reports were {how}{old}; `undeploy report {folder.id}{folder.state_option}` makes them"


def write_reports(folder: RunFolder, options: RunOptions, status: ExitStatus | None = None) -> RunResult:
    """Write every report into the run's folder, and into ``report_dir`` if there is one.

    A report that cannot be written is among the result's warnings. Without a ``status`` the run ended in an
    earlier session, whose journal has the status: then reports that are up to date are left alone.
    """
    places = [folder.path] if options.report_dir is None else [folder.path, options.report_dir]
    # This process has had the journal open just before, and looked at all of it then.
    with folder.open_source(whole=False) as source:
        stale = [place for place in places if status is not None or not are_current(source, place)]
        faults = {place: _write_to(place, source, folder.state_option) for place in stale}
        report = source.report
    if status is None:
        status = ExitStatus(report.run.exit_status or 0)
    return RunResult(
        exit_status=status,
        folder=folder,
        report=report,
        warnings=tuple(filter(None, faults.values())),
        has_new_reports=faults.get(folder.path) is None,
    )


def _write_to(place: Path, source: ReportSource, state_option: str) -> str | None:
    """Write every report into a folder; return why that failed, None if it did not."""
    try:
        check_folder(place)
        place.mkdir(parents=True, exist_ok=True)
        write_all(source, place, state_option=state_option)
    except OrchestratorError as error:
        return str(error)
    except OSError as error:
        return f"the reports cannot be written to {place}: {error.strerror or error}"
    return None


def _read_result(folder: RunFolder, status: ExitStatus, warnings: tuple[str, ...]) -> RunResult:
    with folder.open_source(ours=True) as source:
        return RunResult(
            exit_status=status,
            folder=folder,
            report=source.report,
            warnings=warnings,
            has_new_reports=False,
        )


def _describe_unkept_end(end: SessionResult) -> SessionEnding:
    """Return the end for the reports of a session whose own end is not in the journal."""
    status, is_interrupted = end.status, end.status is ExitStatus.INTERRUPTED
    state: EndState = "interrupted" if is_interrupted else "stopped"
    if end.left is not None:
        return SessionEnding(state, f"{Reason.INTERRUPT}: {end.left}", status)
    if is_interrupted:
        return SessionEnding(state, f"{Reason.INTERRUPT}: a second signal ended the run", status)
    return SessionEnding(state, f"{Reason.DISK}: the journal could not be written to its end", status)
