"""undeploy run: do what a plan says, once somebody has agreed to it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from orchestrator.commands.options import (
    Chosen,
    Selection,
    View,
    bundled,
    plan_options,
    report_dir_option,
    selection_options,
    state_option,
    view_options,
)
from orchestrator.commands.screen import drive, tell
from orchestrator.errors import UsageError

if TYPE_CHECKING:
    from orchestrator.model import Window
    from orchestrator.run import LoadedPlan, RunOptions

SHORT = 8
"""How many digits of a digest are enough to mean it."""
CHANCES = 3


class Consent(NamedTuple):
    """How somebody has agreed beforehand."""

    yes: bool
    approve: str | None


consent_options = bundled(
    "consent",
    Consent,
    click.option("--yes", is_flag=True, help="Do not ask."),
    click.option(
        "--approve", metavar="DIGEST", help="Do not ask, if this begins the plan's digest: 8 digits or more."
    ),
)


@click.command("run")
@plan_options
@consent_options
@selection_options
@state_option
@report_dir_option
@view_options
@click.option("--approval", hidden=True)
@click.option("--serve", hidden=True)
@click.option("--on", hidden=True)
def command(
    chosen: Chosen,
    consent: Consent,
    selection: Selection,
    state: Path,
    report_dir: Path | None,
    view: View,
    **later: str | None,
) -> int:
    """Undeploy what a plan names.

    Asks first on a terminal. Without one it wants --yes, or --approve with the digest that `check` prints.
    The first line on stdout is `run: ID`; `undeploy resume ID` goes on with a run that ended early.
    """
    for name, value in later.items():
        if value is not None:
            raise UsageError(f"--{name} is not supported yet")
    from orchestrator.run import load_plan, run

    options = run_options(selection, state, report_dir)
    with load_plan(chosen.plan, targets=chosen.targets()) as loaded:
        agree(loaded, options, consent)
        window = options.window or loaded.plan.window
        result = drive(
            lambda listeners, started: run(
                loaded, options, listeners=listeners, signals=True, on_start=started
            ),
            view,
            closes=window.closes if window else None,
            state=state,
        )
    return result.exit_status


def run_options(
    selection: Selection, state: Path, report_dir: Path | None, *, past_stop: bool = False
) -> RunOptions:
    """Return what the engine is told of the command line; raises ``UsageError``."""
    from orchestrator.run import RunOptions

    return RunOptions(
        state=state,
        report_dir=report_dir,
        only=selection.only,
        skip=selection.skip,
        waves=selection.waves,
        window=selection.window_value(),
        wait=selection.wait,
        past_stop=past_stop,
        protect=selection.protect(),
    )


def agree(loaded: LoadedPlan, options: RunOptions, consent: Consent) -> None:
    """Return once somebody has agreed to ``loaded``; raises ``UsageError`` where nobody has."""
    if consent.approve is not None:
        check_digest(consent.approve, loaded.digest)
    elif not consent.yes:
        if not (sys.stdin.isatty() and sys.stderr.isatty()):
            raise UsageError(
                "there is no terminal to ask on, and nothing was sent: "
                f"run it with --yes, or with --approve {loaded.digest[:SHORT]} to run this very plan"
            )
        for line in what_would_happen(loaded, options):
            tell(line)
        ask(loaded.digest)


def check_digest(given: str, digest: str) -> None:
    """Return if ``given`` means ``digest``; raises ``UsageError`` where it is too short or another's."""
    if len(given) < SHORT:
        raise UsageError(
            f"--approve {given}: give {SHORT} digits of the digest or more; `undeploy check` prints it"
        )
    if not digest.startswith(given.lower()):
        raise UsageError(
            f"--approve {given}: the digest of this plan is {digest[:SHORT]}…; another plan was approved, "
            "or it was changed since. Nothing was sent"
        )


def ask(digest: str) -> None:
    """Have the short digest typed on the terminal; raises ``UsageError`` when it was not."""
    short = digest[:SHORT]
    for _ in range(CHANCES):
        click.echo(f"To undeploy these, type the plan's digest ({short}): ", nl=False, err=True)
        answer = sys.stdin.readline()
        if answer.strip().lower() == short:
            return
        if not answer.strip():
            break
        tell("That is not the digest.")
    raise UsageError("not agreed to; nothing was sent")


def what_would_happen(loaded: LoadedPlan, options: RunOptions) -> Iterator[str]:
    """Yield what somebody should know before agreeing."""
    from orchestrator.commands.check import counted
    from orchestrator.report.words import visible

    yield from counted(loaded)
    if loaded.plan.reason:
        yield f"reason: {visible(loaded.plan.reason)}"
    yield f"window: {window_text(options.window or loaded.plan.window)}"
    for whose, patterns in (("the plan", loaded.plan.protect), ("this site", options.protect)):
        if patterns:
            yield f"protected by {whose}: {', '.join(map(visible, patterns))}"
    for name, globs in (("only", options.only), ("skip", options.skip), ("wave", options.waves)):
        if globs:
            yield f"{name}: {', '.join(map(visible, globs))}"


def window_text(window: Window | None) -> str:
    """Return ``window`` in words, in the machine's own time."""
    if window is None:
        return "none; it starts at once"
    opens = f"from {window.opens.astimezone():%Y-%m-%d %H:%M %z}" if window.opens else "from now"
    closes = f"until {window.closes.astimezone():%Y-%m-%d %H:%M %z}" if window.closes else "without an end"
    return f"{opens} {closes}"
