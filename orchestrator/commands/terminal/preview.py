"""A preview on the terminal: how far it has come, and the preview itself."""

from __future__ import annotations

import os
import sys
from functools import partial
from typing import TYPE_CHECKING, Literal

import click

from orchestrator.commands.terminal.output import discard_stdout, tell, tell_of_zones
from orchestrator.commands.terminal.work_line import WorkLine, show_work
from orchestrator.errors import ExitStatus

if TYPE_CHECKING:
    from orchestrator.commands.options.engine import EngineAccess
    from orchestrator.commands.options.plan import PlanOptions
    from orchestrator.engine.options import RunOptions
    from orchestrator.preview.assessment import AssessedPreview
    from orchestrator.preview.states import Preview
    from orchestrator.runs.load import LoadedPlan

PreviewForm = Literal["table", "json", "markdown"]


class LookLine:
    """Shows on a line of work how far the looks of a preview have come."""

    def __init__(self, line: WorkLine) -> None:
        self._line = line
        self._seen = self._pause = ""

    def on_target_seen(self, done: int, of: int) -> None:
        """Show that ``done`` of the targets have been looked at."""
        # What comes then is not counted: where else the APIs are deployed, their groups, their use.
        self._seen = f"{done:,} of {of:,}{'; further reads' if done == of else ''}"
        self._line.note = self._seen + self._pause

    def on_pause(self, gateway: str, reason: str, seconds: float) -> None:
        """Show that a gateway asks for a pause; 0 seconds where the pause is over."""
        from orchestrator.text.characters import make_visible
        from orchestrator.text.formats import format_span

        asked = f"; {make_visible(gateway)} asked to wait {format_span(seconds)}: {make_visible(reason)}"
        self._pause = asked if seconds else ""
        self._line.note = self._seen + self._pause


def preview_with_progress(
    loaded: LoadedPlan,
    options: RunOptions,
    *,
    guarded: bool,
    quiet: bool = False,
    demanding: bool = False,
    hours: int | None = None,
    access: EngineAccess | None = None,
) -> AssessedPreview:
    """Look at live state, with a line of progress; raises what ``take_preview`` raises.

    With ``access`` to an engine its workers look; ``demanding`` is for looks from this machine.
    """
    from orchestrator.engine.signals import run_interruptibly
    from orchestrator.preview.assessment import assess_preview

    with show_work("looks at the targets", quiet=quiet) as line:
        if access is None:
            look = partial(_look_from_here, demanding=demanding, guarded=guarded, hours=hours)
        else:
            look = partial(_look_by_workers, access, guarded=guarded, hours=hours)
        preview = run_interruptibly(look, loaded, options, LookLine(line))
    return assess_preview(loaded.plan, preview, guarded=guarded)


async def _look_from_here(
    loaded: LoadedPlan,
    options: RunOptions,
    line: LookLine,
    *,
    demanding: bool,
    guarded: bool,
    hours: int | None,
) -> Preview:
    from orchestrator.preview.look import take_preview
    from orchestrator.runs.machine import make_real_environment

    environment = make_real_environment(loaded.folder)
    return await take_preview(
        loaded, options, environment, line, demanding=demanding, guarded=guarded, hours=hours
    )


async def _look_by_workers(
    access: EngineAccess,
    loaded: LoadedPlan,
    options: RunOptions,
    line: LookLine,
    *,
    guarded: bool,
    hours: int | None,
) -> Preview:
    from orchestrator.distributed.looking import Looking, preview_on

    async with access.open() as client:
        looking = Looking(client, tell)
        return await preview_on(looking, loaded, options, line, guarded=guarded, hours=hours)


def show_preview(
    plan: PlanOptions,
    options: RunOptions,
    form: PreviewForm,
    *,
    guarded: bool,
    quiet: bool,
    color: bool,
    hours: int | None = None,
    access: EngineAccess | None = None,
) -> AssessedPreview:
    """Look at live state, print the preview, and return it. ``guarded``: it is to become an approval.

    ``hours``: ask how often each target was called in so many hours. ``access``: workers of that engine look.
    """
    with plan.load(options.protect_files) as loaded:
        if access is None and form != "json" and not quiet:
            tell_of_zones(loaded.plan.gateways)
        shown = preview_with_progress(
            loaded, options, guarded=guarded, quiet=quiet, hours=hours, access=access
        )
    _print_preview(shown, form, color=color)
    return shown


def choose_exit_status(shown: AssessedPreview) -> ExitStatus:
    """Return the exit status of a preview."""
    is_known = shown.preview.complete and shown.preview.tells_use
    return ExitStatus.DONE if is_known else ExitStatus.UNFINISHED


def _print_preview(shown: AssessedPreview, form: PreviewForm, *, color: bool) -> None:
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
    """Print a line. If the reader of stdout has gone, go on: the approval is still to be saved."""
    try:
        click.echo(line)
    except BrokenPipeError:
        discard_stdout()


def _paint(line: str, *, color: bool) -> str:
    """Return a line in colours if stdout is a terminal, and colours are wanted."""
    if not color or os.environ.get("NO_COLOR") or not sys.stdout.isatty():
        return line
    if line.startswith("warning "):
        return click.style(line, fg="yellow")
    if line.startswith("verdict "):
        return click.style(line, bold=True)
    if line.startswith("State known"):
        return click.style(line, fg="magenta", bold=True)
    # The heading of a group: a word, a colon and a count.
    heads = line[:1].islower() and ":" in line and line[-1:].isdigit()
    return click.style(line, bold=True) if heads else line
