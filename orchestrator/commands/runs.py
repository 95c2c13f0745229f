"""undeploy runs: the runs kept here, and the removal of old ones."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from orchestrator.commands.options import state_option
from orchestrator.commands.screen import tell
from orchestrator.commands.times import parse_age
from orchestrator.errors import OrchestratorError, UsageError

if TYPE_CHECKING:
    from orchestrator.journal.folder import RunFolder

HEADINGS = ("run", "plan", "state", "started", "act", "targets", "done", "failed", "unknown", "not started")


@click.command("runs")
@click.option(
    "--prune", metavar="AGE", help="Remove complete runs that ended longer ago than AGE, such as 30d."
)
@click.option("--rehearsals", is_flag=True, help="Rehearsals instead of runs.")
@state_option
def command(prune: str | None, rehearsals: bool, state: Path) -> None:
    """List the runs kept here, or remove old ones.

    The newest comes first. --prune keeps every run that is going on or can be resumed.
    """
    from orchestrator.journal.folder import list_runs

    folders = list_runs(state, rehearsals=rehearsals)
    if prune is not None:
        remove_old(folders, datetime.now(UTC) - parse_age(prune))
        return
    if not folders:
        tell(f"no {'rehearsals' if rehearsals else 'runs'} in {state}")
        return
    from orchestrator.summary import aligned

    for line in aligned([HEADINGS, *(row(folder) for folder in folders)], left=5):
        click.echo(line)


def row(folder: RunFolder) -> tuple[str, ...]:
    """Return a run as the cells of one row under ``HEADINGS``; what cannot be read is said in its row."""
    from orchestrator.report.words import done, visible

    try:
        with folder.account() as account:
            report = account.report
    except OrchestratorError as error:
        return (folder.id, "", f"unreadable: {visible(str(error))}", *[""] * (len(HEADINGS) - 3))
    totals = report.totals
    counts = (totals.targets, done(totals), totals.failed, totals.unknown, totals.not_started)
    started = f"{report.run.started.astimezone():%Y-%m-%d %H:%M}"
    told = (folder.id, visible(report.run.plan), folder.state(), started, report.run.act)
    return (*told, *(f"{count:,}" for count in counts))


def remove_old(folders: list[RunFolder], before: datetime) -> None:
    """Remove those of ``folders`` that are complete and ended before ``before``, and tell which."""
    removed = kept = 0
    for folder in folders:
        if is_old(folder, before):
            try:
                folder.remove()
            except OSError as error:
                raise UsageError(f"cannot remove {folder.path}: {error.strerror}") from error
            click.echo(f"removed {folder.id}")
            removed += 1
        elif folder.state() in ("stopped", "interrupted", "killed"):
            kept += 1
    if not removed:
        tell(f"nothing to remove: no complete run ended before {before.astimezone():%Y-%m-%d %H:%M}")
    if kept:
        tell(f"{kept} kept that can still be resumed; remove their folders by hand once nobody wants them")


def is_old(folder: RunFolder, before: datetime) -> bool:
    """Whether nobody holds or can resume the run, and it ended before ``before``."""
    if folder.state() != "complete" or folder.holder() is not None:
        return False
    try:
        with folder.account() as account:
            ended = account.report.run.ended
    except OrchestratorError:
        return False  # what cannot be read is not judged
    return ended is not None and ended < before
