"""undeploy preview: look at live state and show what a run would do."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import click

from orchestrator.commands.options.bundles import bundle_options
from orchestrator.commands.options.consent import hmac_key_option, load_hmac_key
from orchestrator.commands.options.display import format_option, no_color_option
from orchestrator.commands.options.engine import EngineOptions, engine_options
from orchestrator.commands.options.plan import PlanOptions, plan_options
from orchestrator.commands.options.selection import SelectionOptions, selection_options_without_wait
from orchestrator.commands.options.usage import UsageCommand, hours_option
from orchestrator.commands.terminal.agreement import identify_approver
from orchestrator.commands.terminal.output import tell
from orchestrator.commands.terminal.preview import PreviewForm, choose_exit_status, show_preview
from orchestrator.errors import UsageError
from orchestrator.system.writing import check_place


class SaveOptions(NamedTuple):
    """Where the approval of a preview goes, and what signs it."""

    file: Path | None
    hmac_key: str | None


save_options = bundle_options(
    "save",
    SaveOptions,
    click.option(
        "--save",
        "file",
        type=click.Path(dir_okay=False, path_type=Path),
        metavar="FILE",
        help="Write an approval of what is shown, for `run --approval`.",
    ),
    hmac_key_option,
)


@click.command("preview", cls=UsageCommand)
@plan_options
@selection_options_without_wait
@save_options
@hours_option("--usage", "Ask how often each target was called in so many hours, and who may call it.")
@format_option("table", "json", "markdown", help_text="JSON names every target.", show_default=True)
@click.option("--quiet", "-q", is_flag=True, help="Show no progress.")
@no_color_option
@engine_options
def command(
    plan: PlanOptions,
    selection: SelectionOptions,
    save: SaveOptions,
    hours: int | None,
    form: PreviewForm,
    quiet: bool,
    no_color: bool,
    engine: EngineOptions,
) -> int:
    """Look at live state and show what a run would do.

    Sends only logins and reads. Tells of each target whether it is deployed, undeployed or not there, or why
    that is unknown, and which front-end APIs a run would delete with it; then how many requests a run needs,
    and whether it fits the window. With --usage the targets that are called most come first. Exits with 1 if
    the state of a target is unknown, or the use of one could not be told. With --on the worker of each
    gateway's zone looks, with credentials of its own.
    """
    from orchestrator.preview.approval_file import check_replaceable, save_approval

    file = save.file
    if save.hmac_key is not None and file is None:
        raise UsageError("--hmac-key signs what --save writes, and there is no --save")
    # Read before the looks, too: a missing key must not cost a preview.
    key = load_hmac_key(save.hmac_key)
    if str(file) == "-":  # elsewhere the standard output, which keeps nothing
        raise UsageError("--save names a file, so that people can look at an approval afterwards")
    if file is not None:
        # Tested before the looks, which may take minutes.
        check_place(file, streams=False)
        check_replaceable(file)
    access = engine.find()
    options = selection.build_run_options()
    shown = show_preview(
        plan,
        options,
        form,
        guarded=file is not None,
        quiet=quiet,
        color=not no_color,
        hours=hours,
        access=access,
    )
    if file is not None:
        approval = save_approval(shown.preview, file, identify_approver(), key)
        signed = "" if approval.hmac else ", not signed"
        tell(f"approval: {file}, until {approval.expires.isoformat()}{signed}")
    return choose_exit_status(shown)
