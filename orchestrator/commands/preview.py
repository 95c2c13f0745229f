"""undeploy preview: look at live state and show what a run would do."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from orchestrator.commands.approving import (
    check_replaceable,
    hmac_key_option,
    load_hmac_key,
    preview_with_progress,
    save_approval,
)
from orchestrator.commands.options.display import format_option, no_color_option
from orchestrator.commands.options.plan import PlanOptions, plan_options
from orchestrator.commands.options.selection import SelectionOptions, selection_options_without_wait
from orchestrator.commands.screen import discard_stdout, tell
from orchestrator.errors import ExitStatus, UsageError
from orchestrator.system.writing import check_place

if TYPE_CHECKING:
    from orchestrator.engine.options import RunOptions
    from orchestrator.preview.assessment import AssessedPreview

Form = Literal["table", "json", "markdown"]


@click.command("preview")
@plan_options
@selection_options_without_wait
@click.option(
    "--save",
    "file",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write an approval of what is shown, for `run --approval`.",
)
@hmac_key_option
@format_option("table", "json", "markdown", help_text="JSON names every target.", show_default=True)
@click.option("--quiet", "-q", is_flag=True, help="Show no progress.")
@no_color_option
def command(
    plan: PlanOptions,
    selection: SelectionOptions,
    file: Path | None,
    hmac_key: str | None,
    form: Form,
    quiet: bool,
    no_color: bool,
) -> int:
    """Look at live state and show what a run would do.

    Reads only. Of each target: deployed, undeployed, not there, or why nobody can tell; what would be deleted
    with it, how many requests a run needs, and whether it fits the window. Exits with 1 where the state of
    some target is not known.
    """
    if hmac_key is not None and file is None:
        raise UsageError("--hmac-key signs what --save writes, and there is no --save")
    key = load_hmac_key(hmac_key)
    if file is not None:
        check_place(file, streams=False)
        check_replaceable(file)
    options = selection.build_run_options()
    shown = show_preview(plan, options, form, guarded=file is not None, quiet=quiet, color=not no_color)
    if file is not None:
        approval = save_approval(shown, file, key)
        signed = "" if approval.hmac else ", not signed"
        tell(f"approval: {file}, until {approval.expires.isoformat()}{signed}")
    return choose_exit_status(shown)


def show_preview(
    plan: PlanOptions, options: RunOptions, form: Form, *, guarded: bool, quiet: bool, color: bool
) -> AssessedPreview:
    """Look at live state, print what was seen, and return it. ``guarded``: it is to become an approval."""
    with plan.load(options.protect_files) as loaded:
        shown = preview_with_progress(loaded, options, guarded=guarded, quiet=quiet)
    _print_preview(shown, form, color=color)
    return shown


def choose_exit_status(shown: AssessedPreview) -> ExitStatus:
    """Return the exit status of a preview."""
    return ExitStatus.DONE if shown.preview.complete else ExitStatus.UNFINISHED


def _print_preview(shown: AssessedPreview, form: Form, *, color: bool) -> None:
    from orchestrator.preview.json import render_json
    from orchestrator.preview.lines import render_lines
    from orchestrator.preview.markdown import render_markdown

    match form:
        case "table":
            for line in render_lines(shown):
                _print(_paint(line, color=color))
        case "json":
            for line in render_json(shown):
                _print(line)
        case "markdown":
            for line in render_markdown(shown):
                _print(line)


def _print(line: str) -> None:
    """Print a line; a reader who has seen enough does not keep the approval from being saved."""
    try:
        click.echo(line)
    except BrokenPipeError:
        discard_stdout()


def _paint(line: str, *, color: bool) -> str:
    """Return a line in colours, where stdout is a terminal that is to have them."""
    if not color or os.environ.get("NO_COLOR") or not sys.stdout.isatty():
        return line
    if line.startswith("warning "):
        return click.style(line, fg="yellow")
    if line.startswith("State known"):
        return click.style(line, fg="magenta", bold=True)
    heads = line[:1].islower() and ":" in line and line[-1:].isdigit()
    return click.style(line, bold=True) if heads else line
