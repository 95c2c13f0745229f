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
from orchestrator.commands.options import Aim, PlanOptions, aim_options, plan_options
from orchestrator.commands.screen import discard_stdout, tell
from orchestrator.errors import ExitStatus, UsageError
from orchestrator.system.writing import check_place

if TYPE_CHECKING:
    from orchestrator.preview.assessment import AssessedPreview
    from orchestrator.runs.options import RunOptions

Form = Literal["table", "json", "markdown"]


@click.command("preview")
@plan_options
@aim_options
@click.option(
    "--save",
    "file",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write an approval of what is shown, for `run --approval`.",
)
@hmac_key_option
@click.option(
    "--format",
    "form",
    type=click.Choice(["table", "json", "markdown"]),
    default="table",
    show_default=True,
    help="JSON names every target.",
)
@click.option("--quiet", "-q", is_flag=True, help="Show no progress.")
@click.option("--no-color", is_flag=True, help="No colours; NO_COLOR does the same.")
def command(
    chosen: PlanOptions,
    aim: Aim,
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
    from orchestrator.commands.run import build_run_options

    if hmac_key is not None and file is None:
        raise UsageError("--hmac-key signs what --save writes, and there is no --save")
    key = load_hmac_key(hmac_key)
    if file is not None:
        check_place(file, streams=False)
        check_replaceable(file)
    options = build_run_options(aim.selection(), Path(), None)
    shown = show_preview(chosen, options, form, guarded=file is not None, quiet=quiet, color=not no_color)
    if file is not None:
        approval = save_approval(shown, file, key)
        signed = "" if approval.hmac else ", not signed"
        tell(f"approval: {file}, until {approval.expires.isoformat()}{signed}")
    return choose_exit_status(shown)


def show_preview(
    chosen: PlanOptions, options: RunOptions, form: Form, *, guarded: bool, quiet: bool, color: bool
) -> AssessedPreview:
    """Look at live state, print what was seen, and return it. ``guarded``: it is to become an approval."""
    with chosen.load(options.protect_files) as loaded:
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
