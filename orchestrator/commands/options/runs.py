"""Options that name a run, and the folder where runs are kept."""

from __future__ import annotations

from pathlib import Path

import click
from click.core import ParameterSource

from orchestrator.commands.options.files import PATH
from orchestrator.system.state_folder import DEFAULT_STATE

MOST_COMPLETED = 50
"""Runs that a shell is offered, the newest first."""

state_option = click.option(
    "--state",
    type=PATH,
    default=DEFAULT_STATE,
    show_default=True,
    metavar="DIR",
    help="Where runs are kept; UNDEPLOY_STATE names another default.",
)


def complete_run(ctx: click.Context, _option: click.Parameter, incomplete: str) -> list[str]:
    """Return the ids of runs that begin with ``incomplete``; none where the state folder cannot be read."""
    from orchestrator.errors import OrchestratorError
    from orchestrator.journal.run_lookup import list_runs

    state = _find_state_folder(ctx)
    try:
        runs = (*list_runs(state), *list_runs(state, rehearsals=True))
    # A completion that fails must not print into the command line that is being typed.
    except (OrchestratorError, OSError):
        return []
    ids = ["latest", *(run.id for run in runs)]
    return [name for name in ids if name.startswith(incomplete)][:MOST_COMPLETED]


def _find_state_folder(ctx: click.Context) -> Path:
    """Return the state folder that an unfinished command line names, behind the subcommand or before it."""
    # A default behind the subcommand must not hide a --state in front of it.
    if ctx.get_parameter_source("state") is ParameterSource.COMMANDLINE:
        return Path(ctx.params["state"])
    return Path(ctx.find_root().params.get("state") or DEFAULT_STATE)


class RunArgument(click.Argument):
    """RUN, whose absence is told with the newest run's id: nobody knows an id by heart."""

    def process_value(self, ctx: click.Context, value: object) -> object:
        try:
            return super().process_value(ctx, value)
        except click.MissingParameter:
            newest = _find_newest(_find_state_folder(ctx))
            hint = f" (now {newest})" if newest else ""
            raise click.UsageError(f"name a run by its id, or `latest`{hint}", ctx) from None


def _find_newest(state: Path) -> str | None:
    """Return the id of the run that ``latest`` means; None where there is none, or it cannot be read."""
    from orchestrator.errors import OrchestratorError
    from orchestrator.journal.run_lookup import find_run

    try:
        return find_run(state, "latest").id
    # What is wrong with the folder is told once a run is named.
    except (OrchestratorError, OSError):
        return None


run_argument = click.argument("run", cls=RunArgument, metavar="RUN", shell_complete=complete_run)
run_or_none_argument = click.argument("run", metavar="[RUN]", required=False, shell_complete=complete_run)
