"""undeploy run: undeploy what a plan names, once a person has agreed."""

from __future__ import annotations

import time

import click

from orchestrator.commands.options.consent import (
    ApprovalOptions,
    ConsentOptions,
    approval_options,
    consent_options,
)
from orchestrator.commands.options.display import DisplayOptions, display_options
from orchestrator.commands.options.engine import (
    EngineOptions,
    conductor_options,
    make_conductor,
)
from orchestrator.commands.options.plan import PlanOptions, plan_options
from orchestrator.commands.options.records import RecordOptions, record_options
from orchestrator.commands.options.selection import SelectionOptions, selection_options
from orchestrator.commands.terminal.agreement import agree
from orchestrator.commands.terminal.live_page import open_page
from orchestrator.commands.terminal.output import tell_of_zones
from orchestrator.commands.terminal.run_display import run_with_display
from orchestrator.errors import UsageError


@click.command("run")
@plan_options
@consent_options
@approval_options
@selection_options
@record_options
@display_options
@click.option("--dry-run", is_flag=True, help="Only show what it would do, as `undeploy preview` does.")
@conductor_options
def command(
    plan: PlanOptions,
    consent: ConsentOptions,
    approval: ApprovalOptions,
    selection: SelectionOptions,
    records: RecordOptions,
    display: DisplayOptions,
    dry_run: bool,
    engine: EngineOptions,
) -> int:
    """Undeploy what a plan names.

    Asks first on a terminal, with a preview of live state. Without one it wants --yes, --approve with the
    digest that `check` prints, or --approval with a file that `preview --save` wrote.
    The first line on stdout is `run: ID`; `undeploy resume ID` goes on with a run that ended early.
    With --on the workers of each zone (`undeploy worker`) send the requests, with credentials of their own;
    this command may end and come back meanwhile, by `undeploy resume ID --on URL`.
    """
    conductor = make_conductor(engine)
    if dry_run:
        if conductor is not None:
            raise UsageError("--dry-run looks from this machine; `undeploy preview` takes --on")
        return _run_dry(plan, selection, display)
    from orchestrator.api import run
    from orchestrator.commands.terminal.prompt import ask_to_continue, can_ask
    from orchestrator.journal.ownership import check_state
    from orchestrator.runs.prepare import refuse_closed

    check_state(records.state)  # before the question, so that no one agrees in vain
    options = selection.build_run_options(
        state=records.state, report_dir=records.report_dir, signing_key=records.load_key()
    )
    with open_page(display.serve) as page, plan.load(options.protect_files) as loaded:
        refuse_closed(loaded.plan, options, time.time())  # before a look, for the same reason
        if conductor is None and not display.quiet and display.log_format != "json":
            tell_of_zones(loaded.plan.gateways)
        # This machine may reach no gateway, so the question comes with the counts alone.
        shown = approval if conductor is None else approval._replace(no_preview=True)
        agree(loaded, options, consent, shown)
        result = run_with_display(
            lambda listeners, started, control_socket: run(
                loaded,
                options,
                listeners=listeners,
                signals=True,
                on_start=started,
                prompt=ask_to_continue if can_ask() else None,
                control_socket=control_socket,
                conductor=conductor,
            ),
            display,
            state=records.state,
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
