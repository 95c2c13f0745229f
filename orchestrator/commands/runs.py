"""undeploy runs: list the runs that are kept here, or remove old ones."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from orchestrator.commands.options.display import format_option
from orchestrator.commands.options.runs import state_option
from orchestrator.commands.terminal.output import tell
from orchestrator.errors import OrchestratorError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orchestrator.journal.folder import RunFolder
    from orchestrator.journal.restores import Restore
    from orchestrator.journal.run_report import RunOverview

HEADINGS = (
    "run", "plan", "state", "started", "act", "targets", "done", "failed", "unknown", "not started",
    "up again",
)  # fmt: skip


@click.command("runs")
@click.option(
    "--prune", metavar="AGE", help="Remove complete runs that ended longer ago than AGE, such as 30d."
)
@format_option("text", "json", help_text="text, or JSON for programs.")
@click.option(
    "--with-snapshots",
    is_flag=True,
    help="With --prune, also runs with the last snapshot of a target that is still down.",
)
@click.option("--rehearsals", is_flag=True, help="Rehearsals instead of runs.")
@state_option
def command(prune: str | None, form: str, with_snapshots: bool, rehearsals: bool, state: Path) -> None:
    """List the runs kept here, or remove old ones.

    The newest comes first. --prune keeps every run that is going on or can be resumed, and what a restore of
    something that is still down needs.
    """
    from orchestrator.journal.restores import find_restores
    from orchestrator.journal.run_lookup import list_runs

    if prune is not None and form == "json":
        raise UsageError("--prune lists no runs, and tells each removed one in a line; leave --format out")
    folders = list_runs(state, rehearsals=rehearsals)
    if prune is not None:
        from orchestrator.commands.options.times import parse_age

        prune_runs(folders, datetime.now(UTC) - parse_age(prune), with_snapshots=with_snapshots)
        return
    if with_snapshots:
        raise UsageError("--with-snapshots says what --prune removes, which is not given")
    if form == "json":
        click.echo(render_json(folders))
        return
    if not folders:
        tell(f"no {'rehearsals' if rehearsals else 'runs'} in {state}")
        return
    from orchestrator.text.columns import align_columns

    # Read once for all rows: each run would read every folder beside it again.
    restores = find_restores(folders[0].path.parent)
    rows = [build_row(folder, restores) for folder in folders]
    # The last column tells of restores, and is there only where a restore has begun.
    shown = len(HEADINGS) - (0 if any(cells[-1] for cells in rows) else 1)
    for line in align_columns([cells[:shown] for cells in (HEADINGS, *rows)], left=5):
        click.echo(line)


def render_json(folders: Sequence[RunFolder]) -> str:
    """Return the runs as one JSON object, the newest first.

    Each run has its ``folder``, the ``run`` and the ``totals`` of its report.json, and the ``restores`` of it
    that have begun; a run that cannot be read has the ``error`` instead.
    """
    import msgspec

    from orchestrator.journal.restores import find_restores

    restores = find_restores(folders[0].path.parent) if folders else ()
    runs = [_describe_run(folder, restores) for folder in folders]
    return msgspec.json.encode({"schema": 1, "runs": runs}).decode()


def _describe_run(folder: RunFolder, restores: Sequence[Restore]) -> dict[str, Any]:
    from orchestrator.report.formats.json import encode_run, encode_totals

    place = {"id": folder.id, "folder": str(folder.path)}
    try:
        found = folder.read_overview(among=restores, requests=True)
    except OrchestratorError as error:
        # One run that cannot be read must not hide the others.
        return {**place, "error": str(error)}
    return {
        **place,
        "run": encode_run(found.run),
        "totals": encode_totals(found.totals, found.run.act),
        "up_again": found.up_again,
        "restores": [{"id": each.id, "begun": each.begun, "live": each.live} for each in found.restores],
    }


def build_row(folder: RunFolder, restores: Sequence[Restore]) -> tuple[str, ...]:
    """Return a run as the cells of one row under ``HEADINGS``; the row of an unreadable run says why.

    ``restores`` are all restores that are kept beside the run.
    """
    from orchestrator.report.counts import count_done
    from orchestrator.text.characters import make_visible

    try:
        found = folder.read_overview(among=restores)
    except OrchestratorError as error:
        return (folder.id, "", f"unreadable: {make_visible(str(error))}", *[""] * (len(HEADINGS) - 3))
    totals = found.totals
    counts = (totals.targets, count_done(totals), totals.failed, totals.unknown, totals.not_started)
    identity = (
        folder.id,
        make_visible(found.run.plan),
        found.run.state,
        _format_minute(found.run.started),
        found.run.act,
    )
    return (*identity, *(f"{count:,}" for count in counts), describe_up_again(found))


def describe_up_again(found: RunOverview) -> str:
    """Return how many of a run's targets are up again, since when, and by which restore; empty for none."""
    if not found.restores:
        return ""
    begun = [restore.begun for restore in found.restores if restore.begun]
    since = f"since {_format_minute(begun[0])}" if begun else "about to begin"
    # Any of several may have brought a target back.
    by = found.restores[0].id if len(found.restores) == 1 else f"{len(found.restores):,} restores"
    return f"{found.up_again:,} {since} by {by}"


def _format_minute(at: datetime) -> str:
    return f"{at.astimezone():%Y-%m-%d %H:%M}"


def prune_runs(folders: Sequence[RunFolder], before: datetime, *, with_snapshots: bool = False) -> None:
    """Remove the old ones of ``folders``, the newest first, and tell which; see ``choose_prunable``."""
    from orchestrator.runs.pruning import choose_prunable

    choice = choose_prunable(folders, before, with_snapshots=with_snapshots)
    for folder in choice.removable:
        _remove(folder)
    if not choice.removable:
        tell(
            f"nothing to remove: no complete run ended before {_format_minute(before)}, or it is still wanted"
        )
    if choice.resumable:
        tell(
            f"{choice.resumable} kept that can still be resumed;"
            " remove their folders by hand once nobody wants them"
        )
    if choice.needed:
        told = "kept that hold the last snapshot of what is still down; --with-snapshots removes them as well"
        tell(f"{choice.needed} {told}")


def _remove(folder: RunFolder) -> None:
    try:
        folder.remove()
    except OSError as error:
        raise UsageError(f"cannot remove {folder.path}: {error.strerror}") from error
    click.echo(f"removed {folder.id}")
