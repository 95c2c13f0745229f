"""undeploy run: do what a plan says, once somebody has agreed to it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from orchestrator.commands.agreement import ConsentOptions, agree, consent_options
from orchestrator.commands.approving import ApprovalOptions, approval_options
from orchestrator.commands.options import (
    DisplayOptions,
    PlanOptions,
    SelectionOptions,
    display_options,
    plan_options,
    report_dir_option,
    selection_options,
    state_option,
)
from orchestrator.commands.screen import run_with_display
from orchestrator.errors import UsageError

if TYPE_CHECKING:
    from orchestrator.runs.options import RunOptions


@click.command("run")
@plan_options
@consent_options
@approval_options
@selection_options
@state_option
@report_dir_option
@display_options
@click.option("--dry-run", is_flag=True, help="Only show what it would do, as `undeploy preview` does.")
@click.option("--serve", hidden=True)
@click.option("--on", hidden=True)
def command(
    chosen: PlanOptions,
    consent: ConsentOptions,
    approving: ApprovalOptions,
    selection: SelectionOptions,
    state: Path,
    report_dir: Path | None,
    view: DisplayOptions,
    dry_run: bool,
    **later: str | None,
) -> int:
    """Undeploy what a plan names.

    Asks first on a terminal, with a preview of live state. Without one it wants --yes, --approve with the
    digest that `check` prints, or --approval with a file that `preview --save` wrote.
    The first line on stdout is `run: ID`; `undeploy resume ID` goes on with a run that ended early.
    """
    for name, value in later.items():
        if value is not None:
            raise UsageError(f"--{name} is not supported yet")
    if dry_run:
        return _run_dry(chosen, selection, view)
    from orchestrator.api import run
    from orchestrator.commands.prompt import ask_to_continue, can_ask
    from orchestrator.journal.ownership import check_state

    check_state(state)  # here, too: nobody is to be asked first
    options = build_run_options(selection, state, report_dir)
    with chosen.load(options.protect_files) as loaded:
        agree(loaded, options, consent, approving)
        result = run_with_display(
            lambda listeners, started: run(
                loaded,
                options,
                listeners=listeners,
                signals=True,
                on_start=started,
                prompt=ask_to_continue if can_ask() else None,
            ),
            view,
            state=state,
        )
    return result.exit_status


def _run_dry(chosen: PlanOptions, selection: SelectionOptions, view: DisplayOptions) -> int:
    from orchestrator.commands.preview import choose_exit_status, show_preview

    options = build_run_options(selection, Path(), None)
    shown = show_preview(chosen, options, "table", guarded=False, quiet=view.quiet, color=not view.no_color)
    return choose_exit_status(shown)


def build_run_options(
    selection: SelectionOptions,
    state: Path,
    report_dir: Path | None,
    *,
    past_stop: bool = False,
    after_restore: bool = False,
) -> RunOptions:
    """Return what the engine is told of the command line; raises ``UsageError``."""
    from orchestrator.runs.options import RunOptions

    return RunOptions(
        state=state,
        report_dir=report_dir,
        only=selection.only,
        skip=selection.skip,
        waves=selection.waves,
        window=selection.window_value(),
        wait=selection.wait,
        past_stop=past_stop,
        after_restore=after_restore,
        protect_files=selection.protecting(),
    )
