"""undeploy schedule: have a distributed engine start a plan's run, at a time or again and again."""

from __future__ import annotations

import re
import secrets
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from orchestrator.commands.options.bundles import bundle_options
from orchestrator.commands.options.consent import (
    ApprovalOptions,
    ConsentOptions,
    approval_file_options,
    consent_options,
)
from orchestrator.commands.options.engine import EngineOptions, needed_engine_options
from orchestrator.commands.options.plan import NO_PLAN, PlanOptions, plan_options
from orchestrator.commands.options.selection import SelectionOptions, selection_options_without_wait
from orchestrator.commands.options.times import parse_at, parse_open_for
from orchestrator.commands.terminal.output import print_result, tell
from orchestrator.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchestrator.commands.options.engine import EngineAccess
    from orchestrator.distributed.run_scheduling import ScheduledRun, ScheduleRequest
    from orchestrator.distributed.start_times import AskedStart
    from orchestrator.engine.options import RunOptions
    from orchestrator.runs.load import LoadedPlan
    from orchestrator.runs.prepare import WindowOrigin

_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,58}[a-z0-9])?")


class StartOptions(NamedTuple):
    """When runs start, and how the schedule is called."""

    at: str | None
    cron: str | None
    time_zone: str | None
    open_for: str | None
    name: str | None


class KeptOptions(NamedTuple):
    """What is done about the schedules that there are, in the place of a new one."""

    list_all: bool
    delete: str | None


def _want_no_plan(ctx: click.Context, _param: click.Parameter, given: object) -> object:
    if given:
        ctx.meta[NO_PLAN] = True
    return given


_start_options = bundle_options(
    "start",
    StartOptions,
    click.option("--at", metavar="TIME", help="Start once, at this time; else when the window opens."),
    click.option(
        "--cron", metavar="EXPR", help="Start a run of its own at each of these times, as '0 22 * * 1-5'."
    ),
    click.option(
        "--time-zone", metavar="ZONE", help="The zone of --cron, as Europe/Istanbul.  [default: UTC]"
    ),
    click.option("--for", "open_for", metavar="DURATION", help="How long a run may start undeploys, as 4h."),
    click.option("--name", metavar="NAME", help="How the schedule is called; else by the plan's name."),
)
_kept_options = bundle_options(
    "kept",
    KeptOptions,
    click.option(
        "--list", "list_all", is_flag=True, is_eager=True, callback=_want_no_plan, help="List the schedules."
    ),
    click.option(
        "--delete", metavar="NAME", is_eager=True, callback=_want_no_plan, help="Take a schedule back."
    ),
)


@click.command("schedule")
@plan_options
@_start_options
@_kept_options
@consent_options
@approval_file_options
@selection_options_without_wait
@needed_engine_options
def command(
    plan: PlanOptions,
    start: StartOptions,
    kept: KeptOptions,
    consent: ConsentOptions,
    approval: ApprovalOptions,
    selection: SelectionOptions,
    engine: EngineOptions,
) -> None:
    """Have a Temporal server start a plan's run later.

    It starts once, or again and again. Asks nothing: it wants --yes, --approve with the digest that `check`
    prints, or --approval with a file that `preview --save` wrote. A run of a schedule needs no process here;
    `undeploy attach` shows it while it works, and writes its reports, then or later. --list and --delete are
    about the schedules that there are.
    """
    if kept.list_all or kept.delete is not None:
        _refuse_plan(plan, kept)
        access = engine.read()
        for line in _list(access) if kept.delete is None else _delete(access, kept.delete):
            print_result(line)
        return
    _refuse_without_consent(consent, approval)
    now = datetime.now(UTC)
    asked, options = _read_start(start, selection, now)
    access = engine.read()
    with plan.load(options.protect_files) as loaded:
        request = _prepare(loaded, options, asked, start.name, now, consent, approval)
        scheduled = _ask_engine(access, request)
    _tell_scheduled(scheduled, access)


def _refuse_plan(plan: PlanOptions, kept: KeptOptions) -> None:
    if kept.list_all and kept.delete is not None:
        raise UsageError("--list and --delete are two things; give one of them")
    given: Path | None = plan.path
    if given is not None or plan.target or plan.targets_from:
        raise UsageError(f"{'--list' if kept.list_all else '--delete'} takes no plan")


def _refuse_without_consent(consent: ConsentOptions, approval: ApprovalOptions) -> None:
    if not (consent.yes or consent.approve is not None or approval.approval is not None):
        raise UsageError(
            "schedule asks no question, and nothing was scheduled: give --yes, --approve DIGEST of"
            " `undeploy check PLAN`, or --approval FILE of `undeploy preview PLAN --save FILE`"
        )


def _read_start(
    start: StartOptions, selection: SelectionOptions, now: datetime
) -> tuple[AskedStart, RunOptions]:
    """Return when the run is to start, and its options; raises ``UsageError``."""
    from orchestrator.distributed.start_times import AskedStart, refuse_contradictions

    at = None if start.at is None else parse_at(start.at, now)
    if selection.close_at is not None and at is None and start.cron is None:
        raise UsageError("--close-at is the next such time after the start; give --at, too")
    # A closing time is the next one after the start, and not after the present.
    options = selection.build_run_options(now=at)
    asked = AskedStart(
        at=at,
        cron=start.cron,
        time_zone=start.time_zone,
        open_for=None if start.open_for is None else parse_open_for(start.open_for),
        window=options.window,
    )
    refuse_contradictions(asked)
    return asked, options


def _prepare(
    loaded: LoadedPlan,
    options: RunOptions,
    asked: AskedStart,
    name: str | None,
    now: datetime,
    consent: ConsentOptions,
    approval: ApprovalOptions,
) -> ScheduleRequest:
    """Return what the engine is to keep, with the consent in the plan's journal; raises ``UsageError``."""
    from orchestrator.commands.terminal.agreement import agree
    from orchestrator.distributed.run_scheduling import ScheduleRequest
    from orchestrator.distributed.start_times import choose_start
    from orchestrator.runs.later import prepare_later_run
    from orchestrator.runs.start import RunDraft, make_slug

    agree(loaded, options, consent, approval)
    called = name or f"{make_slug(loaded.plan.name)}-{secrets.token_hex(2)}"
    if _NAME.fullmatch(called) is None:
        raise UsageError(f"--name {called}: write small letters, digits and hyphens, 60 at most")
    later = prepare_later_run(RunDraft(loaded.plan, loaded.draft, loaded.place), options, called)
    start = choose_start(asked, loaded.plan.window, takes=later.takes, now=now)
    origin: WindowOrigin = (
        "plan" if start.window is not None and start.window == loaded.plan.window else "option"
    )
    return ScheduleRequest(
        name=called, start=start, later=later.have_window(start.window, origin), place=loaded.place
    )


def _ask_engine(access: EngineAccess, request: ScheduleRequest) -> ScheduledRun:
    from orchestrator.distributed.run_scheduling import schedule_run
    from orchestrator.engine.signals import run_interruptibly

    async def ask() -> ScheduledRun:
        async with access.open() as client:
            return await schedule_run(client, request, tell)

    return run_interruptibly(ask)


def _list(access: EngineAccess) -> Iterator[str]:
    from orchestrator.commands.terminal.schedule_words import describe_schedules
    from orchestrator.distributed.kept_schedules import KeptSchedule, list_kept_schedules
    from orchestrator.engine.signals import run_interruptibly

    async def ask() -> list[KeptSchedule]:
        async with access.open() as client:
            return await list_kept_schedules(client)

    return describe_schedules(run_interruptibly(ask))


def _delete(access: EngineAccess, name: str) -> Iterator[str]:
    from orchestrator.commands.terminal.schedule_words import describe_deleted
    from orchestrator.distributed.kept_schedules import DeletedSchedule, delete_schedule
    from orchestrator.engine.signals import run_interruptibly

    async def ask() -> DeletedSchedule:
        async with access.open() as client:
            return await delete_schedule(client, name)

    return describe_deleted(run_interruptibly(ask), access.list_words())


def _tell_scheduled(scheduled: ScheduledRun, access: EngineAccess) -> None:
    from orchestrator.commands.terminal.schedule_words import describe_scheduled

    print_result(f"schedule: {scheduled.name}")
    for line in describe_scheduled(scheduled, access.list_words()):
        tell(line)
