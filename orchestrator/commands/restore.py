"""undeploy restore: bring back what a run took down."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from orchestrator.commands.options.bundles import bundle_options
from orchestrator.commands.options.consent import ConsentOptions, consent_options
from orchestrator.commands.options.display import DisplayOptions, display_options
from orchestrator.commands.options.engine import (
    EngineOptions,
    conductor_options,
    make_conductor,
)
from orchestrator.commands.options.records import RecordOptions, record_options
from orchestrator.commands.options.runs import run_argument
from orchestrator.commands.options.selection import WindowOptions, window_options
from orchestrator.commands.terminal.agreement import (
    LONG_DIGITS,
    ask_for_digest,
    check_digest,
    identify_approver,
    make_consent,
)
from orchestrator.commands.terminal.live_page import open_page
from orchestrator.commands.terminal.output import tell
from orchestrator.commands.terminal.plan_words import MOST_NAMED, render_first
from orchestrator.commands.terminal.prompt import GO_ON, can_ask, read_answer
from orchestrator.commands.terminal.run_display import run_with_display
from orchestrator.commands.terminal.work_line import show_work
from orchestrator.errors import OrchestratorError, UsageError
from orchestrator.gateways import list_obstacles
from orchestrator.text.counting import choose_form

if TYPE_CHECKING:
    from orchestrator.journal.folder import RunFolder
    from orchestrator.report.values import ApprovalMethod
    from orchestrator.runs.restore import Choice, Restoration

ACCEPTABLE = tuple(obstacle.word for obstacle in list_obstacles())


class RestoreOptions(NamedTuple):
    """Which targets are to come back, and which differences are accepted for that."""

    only: tuple[str, ...]
    accept: tuple[str, ...]
    roll_back: bool
    chain: bool

    def make_choice(self, *more: str) -> Choice:
        """Return the choice as the engine takes it; the obstacles ``more`` are accepted, too."""
        from orchestrator.runs.restore import Choice

        return Choice(only=self.only, accept=frozenset((*self.accept, *more)), roll_back=self.roll_back)


restore_options = bundle_options(
    "request",
    RestoreOptions,
    click.option(
        "--only", multiple=True, metavar="GLOB", help="Only targets whose id matches; may be repeated."
    ),
    click.option(
        "--accept",
        multiple=True,
        type=click.Choice(ACCEPTABLE),
        help="Bring back what will not be the same; may be repeated.",
    ),
    click.option(
        "--roll-back",
        is_flag=True,
        help="Apinizer: bring back the revision that was deployed, over the manager's working definition.",
    ),
    click.option(
        "--chain", is_flag=True, help="Bring back all runs that continue one another, RUN among them."
    ),
)


@click.command("restore")
@run_argument
@click.option("--dry-run", is_flag=True, help="Tell what would come back, and its digest; send nothing.")
@restore_options
@consent_options
@window_options
@conductor_options
@record_options
@display_options
def command(
    run: str,
    dry_run: bool,
    request: RestoreOptions,
    consent: ConsentOptions,
    window: WindowOptions,
    engine: EngineOptions,
    records: RecordOptions,
    display: DisplayOptions,
) -> int:
    """Bring back what a run took down, in reverse order.

    RUN is an id or its beginning, a folder (with a /), `latest`, or a plan's name. Only what the run's
    snapshot saw deployed and an undeploy of the run may have reached is touched. What would not come back
    as it was is left out unless --accept takes it in. Asks like `run`; --dry-run prints the digest that
    --approve wants. There is no window unless one is given.
    """
    from orchestrator.api import RunOptions, restore
    from orchestrator.journal.run_lookup import find_run
    from orchestrator.runs.prepare import refuse_closed

    options = RunOptions(
        state=records.state,
        report_dir=records.report_dir,
        signing_key=records.load_key(),
        window=window.read_window(),
        wait=window.wait,
    )
    conductor = make_conductor(engine)
    parent = find_run(records.state, run)
    runs = _find_chain(parent, records.state) if request.chain else ()
    with ExitStack() as stack:
        restoration = _prepare(parent, request.make_choice(), stack, runs)
        if not request.chain:
            tell_left_out(parent, records.state, on="" if conductor is None else conductor.options)
        if dry_run:
            for line in describe_restore(restoration):
                click.echo(line)
            return 0
        refuse_closed(restoration.plan, options, time.time())  # so that no one agrees in vain
        page = stack.enter_context(open_page(display.serve))
        restoration = _agree(restoration, parent, request, consent, stack, runs)
        result = run_with_display(
            lambda listeners, started, control_socket: restore(
                restoration,
                options,
                listeners=listeners,
                signals=True,
                on_start=started,
                control_socket=control_socket,
                conductor=conductor,
            ),
            display,
            state=records.state,
            planned=(restoration.plan.notify, restoration.folder),
            page=page,
        )
    return result.exit_status


def _find_chain(parent: RunFolder, state: Path) -> tuple[RunFolder, ...]:
    """Return the runs of the parent's chain in their order, and tell the remarks about the chain."""
    from orchestrator.journal.chain import find_chain
    from orchestrator.journal.folder import RunFolder

    found = find_chain(RunFolder(parent.path.resolve()), state)
    for remark in found.remarks:
        tell(remark)
    return found.runs


def tell_left_out(parent: RunFolder, state: Path, *, on: str = "") -> None:
    """Tell how many targets other runs of the chain took down; a restore of this run leaves them down.

    ``on`` are the options of a command that reaches the engine of this restore; empty without one.
    """
    left = list(_list_left_out(parent, state))
    if not left:
        return
    whole = f"undeploy restore {parent.id} --chain{on and f' {on}'}{parent.state_option}"
    tell(f"not in here: what other runs of the same chain took down; `{whole}`")
    tell("             brings back all of them together")
    for run, count in left:
        tell(f"             {run}: {count:,}")


def _list_left_out(parent: RunFolder, state: Path) -> Iterator[tuple[str, int]]:
    """Yield each other run of the chain, with how many of its targets are still down.

    Tells of a run that cannot be read: it must not keep this one from being brought back.
    """
    from orchestrator.journal.chain import find_chain
    from orchestrator.journal.folder import RunFolder

    own = RunFolder(parent.path.resolve())
    for run in find_chain(own, state).runs:
        if run.path.resolve() == own.path:
            continue
        try:
            with run.open_source() as source:
                back = source.report.restore_outlook
        except OrchestratorError as error:
            tell(f"not in here: what run {run.id} of the same chain took down, which cannot be read: {error}")
            continue
        if back and (count := back.undeployed + back.doubtful):
            yield run.id, count


def _prepare(parent: RunFolder, choice: Choice, stack: ExitStack, runs: tuple[RunFolder, ...]) -> Restoration:
    """Prepare a restore. At the end of ``stack`` it is forgotten, unless it was run."""
    from orchestrator.api import prepare_restore

    with show_work("prepares the restore"):
        restoration = prepare_restore(parent, choice, runs)
    stack.callback(restoration.forget)
    return restoration


def describe_restore(restoration: Restoration) -> Iterator[str]:
    """Yield the facts that a person should know before agreeing to the restore, and its digest."""
    from orchestrator.report.bindings import describe_bindings, list_gaps
    from orchestrator.text.characters import make_visible

    if len(restoration.runs) > 1:
        yield f"restore of {len(restoration.runs):,} runs ({make_visible(restoration.plan.name)})"
        yield from (f"            {run}" for run in restoration.runs)
    else:
        yield f"restore of {restoration.parent} ({make_visible(restoration.plan.name)})"
    yield f"comes back: {restoration.coming:,}"
    for gateway, counts in restoration.count_bindings():
        yield f"with them:  {gateway}: {describe_bindings(counts)}"
        yield from (f"            {gateway}: {make_visible(gap)}" for gap in list_gaps(counts))
    if restoration.left_out:
        yield f"left out:   {restoration.left_out:,}"
    for obstacle, count in sorted(restoration.left.items()):
        yield f"            {count:,} of them {choose_form(count, 'wants', 'want')} --accept {obstacle}"
    for accepted in sorted(restoration.choice.accept):
        yield f"accepted:   {accepted}"
    if restoration.unseen:
        yield f"unseen:     {restoration.unseen:,} that no snapshot had seen deployed; left alone"
    if restoration.choice.roll_back:
        yield "roll-back:  the working definition of each Apinizer proxy is overwritten by its revision"
    yield f"digest: {restoration.digest}"


def _agree(
    restoration: Restoration,
    parent: RunFolder,
    request: RestoreOptions,
    consent: ConsentOptions,
    stack: ExitStack,
    runs: tuple[RunFolder, ...],
) -> Restoration:
    """Return the restore that a person has agreed to; raises ``UsageError`` without an agreement."""
    from orchestrator.journal.meta import RunMeta

    how: ApprovalMethod = "yes"
    if consent.approve is not None:
        check_digest(consent.approve, restoration.digest, of="restore")
        how = "digest"
    elif not consent.yes:
        if not can_ask():
            raise UsageError(
                "there is no terminal to ask on, and nothing was sent: run it with --yes, or with --approve "
                f"{restoration.digest[:LONG_DIGITS]} for this very restore"
            )
        restoration = _ask_about_obstacles(restoration, parent, request, stack, runs)
        for line in (
            *describe_restore(restoration),
            *render_first(restoration.list_first(MOST_NAMED), restoration.coming),
        ):
            tell(line)
        ask_for_digest(restoration.digest, restoration.coming, "restore")
        how = "prompt"
    restoration.draft.keep(RunMeta(approved=make_consent(how, identify_approver())))
    return restoration


def _ask_about_obstacles(
    restoration: Restoration,
    parent: RunFolder,
    request: RestoreOptions,
    stack: ExitStack,
    runs: tuple[RunFolder, ...],
) -> Restoration:
    """Ask once for the whole run about each obstacle that a person may accept by an answer."""
    asked = [one for one in list_obstacles() if one.question is not None and restoration.left[one.word]]
    accepted = [
        one.word
        for one in asked
        if read_answer((one.question or "").format(count=restoration.left[one.word])) in GO_ON
    ]
    # The digest covers the accepted obstacles, so the restore is prepared anew with them.
    return _prepare(parent, request.make_choice(*accepted), stack, runs) if accepted else restoration
