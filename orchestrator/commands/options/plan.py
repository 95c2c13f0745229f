"""Options that name a plan, and targets that take the place of the plan's own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from orchestrator.commands.options.bundles import bundle_options
from orchestrator.commands.options.files import FILE
from orchestrator.commands.options.protection import merge_protect_problems
from orchestrator.errors import UsageError

if TYPE_CHECKING:
    from orchestrator.plan.given_targets import GivenTarget
    from orchestrator.plan.protect import ProtectFile
    from orchestrator.runs.load import LoadedPlan
    from orchestrator.system.reading import FileRefusedError

# The handle and not sys.stdin, which would decode: the reader of the list names a line that is no UTF-8.
STANDARD_INPUT = 0

NO_PLAN = f"{__name__}.none"
"""Set in ``click.Context.meta`` by an option that wants no plan; it is read before the arguments."""

_FILE = f"{__name__}.file"
_SPARE = f"{__name__}.spare"


class PlanOptions(NamedTuple):
    """A plan, and the targets that are to be taken instead of its own."""

    path: Path
    more: tuple[str, ...]
    """The ids behind the first one of ``--target A B C``."""
    target: tuple[str, ...]
    targets_from: tuple[Path, ...]

    def load(self, protect_files: Sequence[ProtectFile] = ()) -> LoadedPlan:
        """Return the plan, read for a run, and write its warnings to stderr. The caller closes it.

        Raises ``UsageError``, and ``PlanError`` with the problems of the plan and of ``protect_files``.
        """
        from orchestrator.commands.terminal.output import tell_warnings
        from orchestrator.commands.terminal.work_line import show_work
        from orchestrator.runs.load import load_plan

        targets = self.list_targets()
        with merge_protect_problems(protect_files), show_work("reads the plan"):
            loaded = load_plan(self.path, targets=targets)
        tell_warnings(loaded.warnings)
        return loaded

    def list_targets(self) -> list[str | GivenTarget] | None:
        """Return the ids asked for, None where the plan's own are meant; raises ``UsageError``."""
        if self.more and not self.target:
            # In click's own words: for the sake of --target the command takes any number of arguments.
            raise UsageError(f"Got unexpected extra arguments ({' '.join(self.more)})")
        if not self.target and not self.targets_from:
            return None
        listed = [one for file in self.targets_from for one in read_target_ids(file)]
        return [*self.target, *self.more, *listed]


def read_target_ids(file: Path) -> list[GivenTarget]:
    """Return the ids in a file, or on standard input for ``-``; raises ``UsageError``.

    Either may be a pipe, which has 30 seconds.
    """
    from orchestrator.errors import UnfitError
    from orchestrator.plan.given_targets import read_given_targets
    from orchestrator.system.reading import FileRefusedError, read_any, read_handle

    name = "standard input" if str(file) == "-" else str(file)
    try:
        data = read_handle(STANDARD_INPUT) if str(file) == "-" else read_any(file)
        ids = read_given_targets(data, name)
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


def _resolve_plan(ctx: click.Context, param: click.Parameter, given: Path | None) -> Path | None:
    """Return the plan that ``-f`` names, else the argument PLAN."""
    named: Path | None = ctx.meta.get(_FILE)
    if named is not None:
        # With -f the first argument is no plan: it is one of the ids behind --target.
        ctx.meta[_SPARE] = () if given is None else (str(given),)
        return named
    if given is None and not ctx.resilient_parsing and NO_PLAN not in ctx.meta:
        raise click.MissingParameter(ctx=ctx, param=param)
    return given


def _collect_more_ids(ctx: click.Context, _param: click.Parameter, given: tuple[str, ...]) -> tuple[str, ...]:
    return (*ctx.meta.get(_SPARE, ()), *given)


plan_options = bundle_options(
    "plan",
    PlanOptions,
    click.argument("path", metavar="PLAN", required=False, callback=_resolve_plan, type=FILE),
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
