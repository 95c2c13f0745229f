"""The options that several commands share, and what they amount to."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import click
from click.core import ParameterSource

from orchestrator.commands.times import parse_close_at, parse_window
from orchestrator.errors import PlanError, UsageError

if TYPE_CHECKING:
    from orchestrator.model.plan import Window
    from orchestrator.plan.given import Given
    from orchestrator.plan.protect import ProtectFile
    from orchestrator.runs.load import LoadedPlan
    from orchestrator.system.reading import FileRefusedError

Command = Callable[..., Any]

STANDARD_INPUT = 0

DEFAULT_STATE = Path(".undeploy")
REHEARSALS = "rehearsals"
"""The folder of rehearsals in a state folder."""
PROTECT_FILE_VARIABLE = "UNDEPLOY_PROTECT_FILE"


class PlanOptions(NamedTuple):
    """A plan, and the targets that are to be taken instead of its own."""

    plan: Path
    more: tuple[str, ...]
    """The ids behind the first in ``--target A B C``."""
    target: tuple[str, ...]
    targets_from: tuple[Path, ...]

    def load(self, protect_files: Sequence[ProtectFile] = ()) -> LoadedPlan:
        """Return the plan, read for a run, and tell what it is warned of; close it.

        Raises ``UsageError``, and ``PlanError`` with what is wrong in ``protect_files``, too.
        """
        from orchestrator.commands.screen import tell_warnings
        from orchestrator.runs.load import load_plan

        targets = self.targets()
        with merge_protect_problems(protect_files):
            loaded = load_plan(self.plan, targets=targets)
        tell_warnings(loaded.warnings)
        return loaded

    def targets(self) -> list[str | Given] | None:
        """Return the ids asked for, None where the plan's own are meant; raises ``UsageError``."""
        if self.more and not self.target:
            raise UsageError(f"Got unexpected extra arguments ({' '.join(self.more)})")
        if not self.target and not self.targets_from:
            return None
        listed = [one for file in self.targets_from for one in read_target_ids(file)]
        return [*self.target, *self.more, *listed]


class DisplayOptions(NamedTuple):
    """How a run is shown while it goes on."""

    events: str | None
    quiet: bool
    log_level: str | None
    log_format: Literal["text", "json"] | None
    no_color: bool


class WindowOptions(NamedTuple):
    """When a run may work."""

    window: str | None
    close_at: str | None
    wait: bool

    def window_value(self, now: datetime | None = None) -> Window | None:
        """Return the window that is asked for, None for none; raises ``UsageError``."""
        from orchestrator.model.plan import Window

        if self.window and self.close_at:
            raise UsageError("--window and --close-at both say when the window closes; give one of them")
        if self.window:
            return Window(*parse_window(self.window))
        if self.close_at:
            return Window(None, parse_close_at(self.close_at, now or datetime.now(UTC)))
        return None


class SelectionOptions(NamedTuple):
    """Which of the targets, and when."""

    only: tuple[str, ...]
    skip: tuple[str, ...]
    waves: tuple[str, ...]
    window: str | None
    close_at: str | None
    wait: bool
    protect_files: tuple[Path, ...]

    def window_value(self, now: datetime | None = None) -> Window | None:
        """Return the window that replaces the plan's, None to keep the plan's; raises ``UsageError``."""
        return WindowOptions(self.window, self.close_at, self.wait).window_value(now)

    def protecting(self) -> tuple[ProtectFile, ...]:
        """Return all protect files, that of the environment first; raises ``UsageError``."""
        return read_protect_files(self.protect_files)


def read_protect_files(files: Sequence[Path]) -> tuple[ProtectFile, ...]:
    """Read the site's own protect file and ``files``; raises ``UsageError`` where one cannot be read."""
    from orchestrator.plan.protect import read_protect_file

    # The option adds to the site's own file: nobody unprotects anything by naming another one.
    site = os.environ.get(PROTECT_FILE_VARIABLE)
    return tuple(read_protect_file(file) for file in ([Path(site)] if site else []) + list(files))


@contextmanager
def merge_protect_problems(files: Sequence[ProtectFile]) -> Iterator[None]:
    """Tell what is wrong with the lines of protect files together with what is wrong with a plan."""
    from orchestrator.plan.protect import refuse_dead_lines

    try:
        yield
    except PlanError as error:
        try:
            refuse_dead_lines(files, None)
        except PlanError as more:
            raise PlanError(error.problems + more.problems) from None
        raise


def read_target_ids(file: Path) -> list[Given]:
    """Return the ids in a file, or on standard input for ``-``; raises ``UsageError``.

    Either may be a pipe, which has 30 seconds.
    """
    from orchestrator.errors import UnfitError
    from orchestrator.plan.given import read_given
    from orchestrator.system.reading import FileRefusedError, read_any, read_handle

    name = "standard input" if str(file) == "-" else str(file)
    try:
        data = read_handle(STANDARD_INPUT) if str(file) == "-" else read_any(file)
        ids = read_given(data, name)
    except (FileRefusedError, OSError) as refused:
        raise UsageError(f"cannot read the list of targets {name}: {_describe_refusal(refused)}") from None
    except UnfitError as unfit:
        hint = f"; {unfit.hint}" if unfit.hint else ""
        raise UsageError(f"cannot read the list of targets {name}: {unfit.message}{hint}") from None
    if not ids:
        raise UsageError(f"{name} names no target")
    return ids


def _describe_refusal(refused: FileRefusedError | OSError) -> str:
    if isinstance(refused, OSError):  # standard input is closed
        return refused.strerror or "no reason given"
    return refused.system or f"it {refused}"


def apply_in_order(*options: Command) -> Callable[[Command], Command]:
    """Return a decorator that applies ``options``, the first of them first in the help."""

    def decorate(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


def bundle_options(name: str, bundle: type[NamedTuple], *options: Command) -> Callable[[Command], Command]:
    """Return a decorator that adds ``options`` and hands their values to the command as one ``bundle``."""

    def decorate(command: Command) -> Command:
        @wraps(command)
        def call(**values: Any) -> Any:
            fields: Iterable[str] = bundle._fields
            return command(**{name: bundle(*(values.pop(field) for field in fields))}, **values)

        return apply_in_order(*options)(call)

    return decorate


PATH = click.Path(path_type=Path)
FILE = click.Path(path_type=Path, dir_okay=False)

state_option = click.option(
    "--state",
    type=PATH,
    default=DEFAULT_STATE,
    show_default=True,
    metavar="DIR",
    help="Where runs are kept; UNDEPLOY_STATE names another default.",
)
MOST_COMPLETED = 50
"""Runs that a shell is offered, the newest first."""


def complete_run(ctx: click.Context, _option: click.Parameter, incomplete: str) -> list[str]:
    """Return the ids that a shell may go on with; none where the state folder cannot be read."""
    from orchestrator.errors import OrchestratorError
    from orchestrator.journal.folder import list_runs

    state = _find_state_folder(ctx)
    try:
        runs = (*list_runs(state), *list_runs(state, rehearsals=True))
    except (OrchestratorError, OSError):
        return []
    ids = ["latest", *(run.id for run in runs)]
    return [name for name in ids if name.startswith(incomplete)][:MOST_COMPLETED]


def _find_state_folder(ctx: click.Context) -> Path:
    """Return the state folder of a command line that is not finished: of the subcommand, or before it."""
    if ctx.get_parameter_source("state") is ParameterSource.COMMANDLINE:
        return Path(ctx.params["state"])
    return Path(ctx.find_root().params.get("state") or DEFAULT_STATE)


output_option = click.option(
    "-o",
    "--output",
    type=FILE,
    metavar="FILE",
    callback=lambda _ctx, _param, given: None if str(given) == "-" else given,
    help="Write it here, whole or not at all.",
)
"""Where a command's result goes: None for stdout, which ``-`` names, too."""
run_argument = click.argument("run", metavar="RUN", shell_complete=complete_run)
run_or_none_argument = click.argument("run", metavar="[RUN]", required=False, shell_complete=complete_run)
report_dir_option = click.option(
    "--report-dir", type=PATH, metavar="DIR", help="Write the reports here as well as into the run's folder."
)
protect_file_option = click.option(
    "--protect-file",
    "protect_files",
    type=FILE,
    multiple=True,
    metavar="FILE",
    help=f"Patterns never to be touched, one a line, besides those of {PROTECT_FILE_VARIABLE}.",
)
_VERBOSE = f"{__name__}.verbose"
_FILE = f"{__name__}.file"
_SPARE = f"{__name__}.spare"
display_options = bundle_options(
    "view",
    DisplayOptions,
    click.option("--events", metavar="-|FILE", help="Write each event as a line of JSON to stdout or FILE."),
    click.option("--quiet", "-q", is_flag=True, help="Tell only what goes wrong."),
    click.option(
        "-v",
        is_flag=True,
        is_eager=True,
        expose_value=False,
        callback=lambda ctx, _, given: ctx.meta.update({_VERBOSE: given}),
        help="The same as --log-level info.",
    ),
    click.option(
        "--log-level",
        callback=lambda ctx, _, given: given or ("info" if ctx.meta.get(_VERBOSE) else None),
        type=click.Choice(["debug", "info", "warning", "error"]),
        help="Log to stderr from this level on; debug tells of each request.",
    ),
    click.option("--log-format", type=click.Choice(["text", "json"]), help="Log to stderr in this form."),
    click.option("--no-color", is_flag=True, help="No colours; NO_COLOR does the same."),
)
_only = click.option(
    "--only", multiple=True, metavar="GLOB", help="Only targets whose id matches; may be repeated."
)
_skip = click.option(
    "--skip", multiple=True, metavar="GLOB", help="Not the targets whose id matches; may be repeated."
)
_wave = click.option(
    "--wave", "waves", multiple=True, metavar="NAME", help="Only this wave; may be repeated."
)
_window = click.option("--window", metavar="OPENS/CLOSES", help="Replace the plan's window.")
_close_at = click.option(
    "--close-at", metavar="HH:MM[ZONE]", help="Replace the window by one that closes at this time."
)
_wait = click.option("--wait", is_flag=True, help="Wait until the window opens.")
selection_options = bundle_options(
    "selection", SelectionOptions, _only, _skip, _wave, _window, _close_at, _wait, protect_file_option
)


class Aim(NamedTuple):
    """Which of the targets, for what does not wait for a window."""

    only: tuple[str, ...]
    skip: tuple[str, ...]
    waves: tuple[str, ...]
    window: str | None
    close_at: str | None
    protect_files: tuple[Path, ...]

    def selection(self) -> SelectionOptions:
        """Return the selection of a run that this is about."""
        return SelectionOptions(*self[:5], wait=False, protect_files=self.protect_files)


aim_options = bundle_options("aim", Aim, _only, _skip, _wave, _window, _close_at, protect_file_option)

window_options = bundle_options(
    "hours",
    WindowOptions,
    click.option("--window", metavar="OPENS/CLOSES", help="Work within these times only."),
    click.option("--close-at", metavar="HH:MM[ZONE]", help="Start nothing that cannot end before this time."),
    click.option("--wait", is_flag=True, help="Wait until the window opens."),
)


def _resolve_plan(ctx: click.Context, param: click.Parameter, given: Path | None) -> Path | None:
    """Return the plan: what ``-f`` names, and then what stands in its place is one of ``more``."""
    named: Path | None = ctx.meta.get(_FILE)
    if named is not None:
        ctx.meta[_SPARE] = () if given is None else (str(given),)
        return named
    if given is None and not ctx.resilient_parsing:
        raise click.MissingParameter(ctx=ctx, param=param)
    return given


def _collect_more_ids(ctx: click.Context, _param: click.Parameter, given: tuple[str, ...]) -> tuple[str, ...]:
    return (*ctx.meta.get(_SPARE, ()), *given)


plan_options = bundle_options(
    "chosen",
    PlanOptions,
    click.argument("plan", metavar="PLAN", required=False, callback=_resolve_plan, type=FILE),
    click.argument("more", nargs=-1, metavar="", callback=_collect_more_ids),
    click.option(
        "-f",
        type=FILE,
        is_eager=True,
        expose_value=False,
        metavar="FILE",
        callback=lambda ctx, _, given: ctx.meta.update({_FILE: given}),
        help="The plan; the same as PLAN.",
    ),
    click.option(
        "--target", multiple=True, metavar="ID...", help="Take these targets instead of the plan's own."
    ),
    click.option(
        "--targets-from",
        type=FILE,
        multiple=True,
        metavar="FILE|-",
        help="The same from a file or standard input, one id a line.",
    ),
)
