"""undeploy runs: the runs kept here, and the removal of old ones."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from orchestrator.commands.options import state_option
from orchestrator.commands.screen import tell
from orchestrator.commands.times import parse_age
from orchestrator.errors import OrchestratorError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orchestrator.journal.folder import RunFolder
    from orchestrator.journal.restores import Restore
    from orchestrator.report.values import Report

HEADINGS = (
    "run", "plan", "state", "started", "act", "targets", "done", "failed", "unknown", "not started",
    "up again",
)  # fmt: skip


@click.command("runs")
@click.option(
    "--prune", metavar="AGE", help="Remove complete runs that ended longer ago than AGE, such as 30d."
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json"]),
    default="text",
    help="text, or JSON for programs.",
)
@click.option("--rehearsals", is_flag=True, help="Rehearsals instead of runs.")
@state_option
def command(prune: str | None, form: str, rehearsals: bool, state: Path) -> None:
    """List the runs kept here, or remove old ones.

    The newest comes first. --prune keeps every run that is going on or can be resumed.
    """
    from orchestrator.journal.folder import list_runs
    from orchestrator.journal.restores import restores_in

    folders = list_runs(state, rehearsals=rehearsals)
    if prune is not None:
        remove_old(folders, datetime.now(UTC) - parse_age(prune))
        return
    if form == "json":
        click.echo(as_json(folders))
        return
    if not folders:
        tell(f"no {'rehearsals' if rehearsals else 'runs'} in {state}")
        return
    from orchestrator.summary import aligned

    restores = restores_in(folders[0].path.parent)
    rows = [row(folder, restores) for folder in folders]
    # The last column, of what restores have begun, is there only where one has.
    shown = len(HEADINGS) - (0 if any(cells[-1] for cells in rows) else 1)
    for line in aligned([cells[:shown] for cells in (HEADINGS, *rows)], left=5):
        click.echo(line)


def as_json(folders: Sequence[RunFolder]) -> str:
    """Return the runs as one JSON object, the newest first: of each the ``run`` and the ``totals`` of its
    report.json, its ``folder``, and which ``restores`` of it have begun; or why it cannot be read."""
    import msgspec

    from orchestrator.journal.restores import restores_in

    restores = restores_in(folders[0].path.parent) if folders else ()
    runs = [_object(folder, restores) for folder in folders]
    return msgspec.json.encode({"schema": 1, "runs": runs}).decode()


def _object(folder: RunFolder, restores: Sequence[Restore]) -> dict[str, Any]:
    from orchestrator.report.json import head_json

    place = {"id": folder.id, "folder": str(folder.path)}
    try:
        with folder.account(among=restores) as account:
            report = account.report
    except OrchestratorError as error:
        return {**place, "error": str(error)}
    head = head_json(report)
    begun = [{"id": each.id, "begun": each.begun, "live": each.live} for each in report.restores]
    counts = {"up_again": sum(report.up_again.values()), "restores": begun}
    return {**place, "run": head["run"], "totals": head["totals"], **counts}


def row(folder: RunFolder, restores: Sequence[Restore]) -> tuple[str, ...]:
    """Return a run as the cells of one row under ``HEADINGS``; what cannot be read is said in its row.

    ``restores`` are those that are kept beside it.
    """
    from orchestrator.report.words import done, visible

    try:
        with folder.account(among=restores) as account:
            report = account.report
    except OrchestratorError as error:
        return (folder.id, "", f"unreadable: {visible(str(error))}", *[""] * (len(HEADINGS) - 3))
    totals = report.totals
    counts = (totals.targets, done(totals), totals.failed, totals.unknown, totals.not_started)
    told = (
        folder.id,
        visible(report.run.plan),
        report.run.state,
        _minute(report.run.started),
        report.run.act,
    )
    return (*told, *(f"{count:,}" for count in counts), _up_again(report))


def _up_again(report: Report) -> str:
    """Return how many of a run's targets are up again, and since when; empty where no restore has begun."""
    if not report.restores:
        return ""
    begun = report.restores[-1].begun
    return f"{sum(report.up_again.values()):,} since {_minute(begun)}" if begun else "about to begin"


def _minute(at: datetime) -> str:
    return f"{at.astimezone():%Y-%m-%d %H:%M}"


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
