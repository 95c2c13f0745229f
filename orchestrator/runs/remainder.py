"""The remainder of a run: a plan of the targets that it did not finish, as text."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import TextIO

from orchestrator.errors import UsageError
from orchestrator.gateways import KINDS
from orchestrator.journal.remainder import Remainder, RemainingTarget
from orchestrator.plan.yaml_text import MovePath, format_comment, format_head, format_target, format_wave
from orchestrator.report.headline import describe_end
from orchestrator.report.words import OUTCOME_WORDS
from orchestrator.text.characters import show_name, why_not_prose
from orchestrator.text.counting import choose_form
from orchestrator.text.formats import format_moment


def write_remainder(
    rest: Remainder, run: str, out: TextIO, *, folder: Path | None, state_option: str = ""
) -> None:
    """Write the remainder of the run with the id ``run``, target by target.

    ``folder`` is the folder of the new plan. If it is another one than the old plan's, or None (not known),
    the paths in the plan become absolute. ``state_option`` is what a command about the run needs to find it.
    Raises ``UsageError`` if a path cannot be written so.
    """
    is_elsewhere = folder is None or os.path.realpath(folder) != os.path.realpath(rest.folder)
    # First: a path that cannot be written raises here, before any line is out.
    lines = list(format_head(rest.plan, run, _make_absolute(rest.folder) if is_elsewhere else str))
    resume = f"undeploy resume {run}{state_option}"
    out.writelines(
        f"#{' ' if line else ''}{line}\n"
        for line in _describe_remainder(rest, run, resume, away=is_elsewhere)
    )
    out.writelines(lines)
    kinds = {gateway.name: KINDS[gateway.KIND] for gateway in rest.plan.gateways}
    for wave, targets in groupby(rest.list_targets(), key=lambda left: left.target.wave):
        out.writelines(format_wave(rest.plan.waves[wave]))
        for left in targets:
            out.write(f"      # {_describe_left(left)}\n")
            out.write(format_target(left.target, kinds[left.target.gateway], left.after))
    if rest.stuck_count:
        out.write("\n# Left out, since what goes first is protected or left out itself, and so stays up:\n")
        out.writelines(
            f"#   {format_comment(name)} comes after {format_comment(needs)}\n"
            for name, needs in rest.list_stuck()
        )


def _make_absolute(folder: Path) -> MovePath:
    """Return a function that makes a path absolute; a relative one starts in ``folder``."""

    def make_absolute(path: str) -> str:
        # The home folder of a user is the same, wherever the plan is.
        if path.startswith("~"):
            return path
        whole = str(folder / path)
        if why := why_not_prose(whole):
            raise UsageError(
                f"the path {show_name(whole)} {why}, which no plan may; "
                "write the remainder into the folder of its run's plan with -o"
            )
        return whole

    return make_absolute


def _describe_remainder(rest: Remainder, run: str, resume: str, *, away: bool) -> Iterator[str]:
    report, totals = rest.report, rest.report.totals
    yield f"What run {format_comment(run)} has left: {rest.count:,} of its {totals.targets:,} targets."
    began = f"It began {format_moment(report.run.started)}"
    # A killed run, and one whose disk was full, has no end.
    ended = f" and ended {format_moment(report.run.ended)}" if report.run.ended else "; its end is not known"
    yield f"{began}{ended}: {format_comment(describe_end(report))}."
    yield ""
    for group in rest.list_causes():
        first = ", the first" if group.targets > 1 else ""
        said = f"{first}: {format_comment(group.reason)}" if group.reason else ""
        yield f"  {group.targets:,} {OUTCOME_WORDS[group.outcome]}{said}"
    yield ""
    if kept := report.kept_out.get("protected"):
        yield f"Not in here: {kept:,} that {choose_form(kept, 'is', 'are')} protected."
    if report.restores:
        up, newest = sum(report.up_again.values()), format_comment(report.restores[-1].id)
        yield f"Not in here: {up:,} that restore {newest} brought back, or one before it."
    if rest.stuck_count:
        yield f"Not in here: {rest.stuck_count:,} that would come after those; named at the end."
    if rest.plan.window is not None:
        yield "The window of that run is not in here; add one, or give --window or --close-at."
    if report.run.state != "complete":
        yield f"`{format_comment(resume)}` goes on with it as well, but not with what failed."
    if away and _runs_commands(rest):
        yield "A command that gives a credential runs in the folder of this plan; see to relative arguments."
    yield "Check it with: undeploy check PLAN"


def _describe_left(left: RemainingTarget) -> str:
    said = f": {format_comment(left.reason)}" if left.reason else ""
    return f"{OUTCOME_WORDS[left.outcome]}{said}"


def _runs_commands(rest: Remainder) -> bool:
    return any(reference.command for gateway in rest.plan.gateways for reference in gateway.references)
