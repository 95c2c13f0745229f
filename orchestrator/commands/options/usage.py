"""The options that ask how often targets are called: ``--usage`` and ``--unused``, with or without hours."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import click

from orchestrator.commands.options.bundles import Command
from orchestrator.model.plan import CallBound

DEFAULT_HOURS = f"{CallBound().hours}h"
_HOURS = re.compile(r"([1-9][0-9]{0,2})h")


def _parse_hours(ctx: click.Context, param: click.Parameter, given: str | None) -> int | None:
    from orchestrator.plan.scalars import MOST_HOURS

    if given is None:
        return None
    found = _HOURS.fullmatch(given)
    if found is None or int(found[1]) > MOST_HOURS:
        raise click.BadParameter(
            f"the calls of {given!r} cannot be told; write 1h to {MOST_HOURS}h", ctx, param
        )
    return int(found[1])


class UsageCommand(click.Command):
    """A command whose option ``--usage`` or ``--unused`` may stand without its hours before anything."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        return super().parse_args(ctx, list(_complete_hours(args)))


def _complete_hours(args: Sequence[str]) -> Iterator[str]:
    """Yield the arguments, with the default hours behind an option that has none."""
    # click would take the plan's name for the hours in `preview --usage plan.yaml`.
    for number, arg in enumerate(args):
        following = args[number + 1] if number + 1 < len(args) else ""
        is_bare = arg in ("--usage", "--unused") and not re.fullmatch(r"[0-9]+[a-z]*", following)
        yield f"{arg}={DEFAULT_HOURS}" if is_bare else arg


def hours_option(name: str, help_text: str) -> Command:
    """Return an option that gives a number of hours as ``hours``, or None where it is not given."""
    return click.option(name, "hours", callback=_parse_hours, metavar=f"[{DEFAULT_HOURS}]", help=help_text)
