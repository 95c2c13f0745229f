"""undeploy run: undeploy what a plan names, once a person has agreed."""

from __future__ import annotations

from pathlib import Path

import click

from orchestrator.commands.options.consent import (
    ApprovalOptions,
    ConsentOptions,
    approval_options,
    consent_options,
)
from orchestrator.commands.options.display import DisplayOptions, display_options
from orchestrator.commands.options.plan import PlanOptions, plan_options
from orchestrator.commands.options.records import RecordOptions, record_options
from orchestrator.commands.options.runs import state_option
from orchestrator.commands.options.selection import SelectionOptions, selection_options
from orchestrator.commands.terminal.agreement import agree
from orchestrator.commands.terminal.live_page import open_page
from orchestrator.commands.terminal.run_display import run_with_display
from orchestrator.errors import UsageError


@click.command("run")
@plan_options
@consent_options
@approval_options
@selection_options
@state_option
@record_options
@display_options
@click.option("--dry-run", is_flag=True, help="Only show what it would do, as `undeploy preview` does.")
@click.option("--on", hidden=True)
def command(
    plan: PlanOptions,
    consent: ConsentOptions,
    approval: ApprovalOptions,
    selection: SelectionOptions,
    state: Path,
    records: RecordOptions,
    display: DisplayOptions,
    dry_run: bool,
    **later: str | None,
) -> int:
    """Undeploy what a plan names.

    Asks first on a terminal, with a preview of live state. Without one it wants --yes, --approve with the
    digest that `check` prints, or --approval with a file that `preview --save` wrote.
    The first line on stdout is `run: ID`; `undeploy resume ID` goes on with a run that ended early.
    """
    # Options that belong to the product and are not there yet: refused by name, never ignored.
    for name, value in later.items():
        if value is not None:
            raise UsageError(f"--{name} is not supported yet")
    if dry_run:
        return _run_dry(plan, selection, display)
    from orchestrator.api import run
    from orchestrator.commands.terminal.prompt import ask_to_continue, can_ask
    from orchestrator.journal.ownership import check_state

    check_state(state)  # before the question, so that no one agrees in vain
    options = selection.build_run_options(
        state=state, report_dir=records.report_dir, signing_key=records.load_key()
    )
    with open_page(display.serve) as page, plan.load(options.protect_files) as loaded:
        agree(loaded, options, consent, approval)
        result = run_with_display(
            lambda listeners, started, control_socket: run(
                loaded,
                options,
                listeners=listeners,
                signals=True,
                on_start=started,
                prompt=ask_to_continue if can_ask() else None,
                control_socket=control_socket,
            ),
            display,
            state=state,
            page=page,
            planned=(loaded.plan.notify, loaded.folder),
        )
    return result.exit_status


def _run_dry(plan: PlanOptions, selection: SelectionOptions, display: DisplayOptions) -> int:
    from orchestrator.commands.terminal.preview import choose_exit_status, show_preview

    options = selection.build_run_options()
    shown = show_preview(
        plan, options, "table", guarded=False, quiet=display.quiet, color=not display.no_color
    )
    return choose_exit_status(shown)
