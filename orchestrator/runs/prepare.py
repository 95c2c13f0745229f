"""The common beginning of a start and a resume: the window, the journal, the credentials."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, NamedTuple

from orchestrator.engine.options import RunOptions
from orchestrator.engine.request import RunRequest
from orchestrator.engine.window import refuse_outside_window
from orchestrator.errors import DiskError, JournalError, UsageError
from orchestrator.journal.database import Database
from orchestrator.journal.folder import RunFolder
from orchestrator.journal.ledger import go_on_with_ledger
from orchestrator.journal.pending import PendingTargets
from orchestrator.lanes.environment import Environment, resolve_each
from orchestrator.model.credentials import Material, Secret
from orchestrator.model.gateway import Gateway
from orchestrator.model.plan import Plan, Window

WindowOrigin = Literal["plan", "option"]


class ChosenWindow(NamedTuple):
    """The window that holds for a session, and whether the plan or the command line gave it."""

    window: Window | None
    origin: WindowOrigin


def choose_window(
    given: Window | None, otherwise: Window | None, origin: WindowOrigin = "plan"
) -> ChosenWindow:
    """Return the window that was ``given`` on the command line, else the other one with its ``origin``."""
    return ChosenWindow(otherwise, origin) if given is None else ChosenWindow(given, "option")


def open_journal(folder: RunFolder, key: Secret | None) -> Database:
    """Open a run's journal for writing; a ``key`` signs what is written into it.

    Raises JournalError where that fails, UsageError if the journal is signed with another key: nothing was
    sent yet.
    """
    try:
        database = folder.open(write=True)
    except DiskError as error:
        # No DiskError: the run did not begin, so it is no run that the disk has stopped.
        raise JournalError(f"{error}; nothing was sent") from error
    try:
        go_on_with_ledger(database, key)
    except BaseException:
        database.close()
        raise
    if key is None and (ledger := database.ledger) is not None and ledger.head.mac is not None:
        folder.remarks += ("the journal is signed, and without --journal-key this session signs nothing",)
    return database


def refuse_closed(plan: Plan, options: RunOptions, now: float) -> None:
    """Raise UsageError if a run of ``plan`` that begins at the Unix time ``now`` could start nothing.

    For a command that is about to ask for an agreement; ``resolve_credentials`` tests once more, by the
    gateways that have targets.
    """
    takes = find_shortest_timeout(plan.gateways)
    refuse_outside_window(options.window or plan.window, now, wait=options.wait, takes=takes)


async def resolve_credentials(
    database: Database, plan: Plan, window: Window | None, request: RunRequest, environment: Environment
) -> dict[str, Material]:
    """Return the credentials of the gateways that have open targets, by gateway.

    There are none for a run on another engine, whose workers resolve their own; then the engine is reached.
    Raises UsageError if no target is left or the window lets nothing start, and CredentialError.
    """
    options = request.options
    # A gateway without open targets needs no credential, and on a resume its reference may be gone.
    gateways = list_open_gateways(database, plan, options)
    takes = find_shortest_timeout(gateways or plan.gateways)
    refuse_outside_window(window, environment.now(), wait=options.wait, takes=takes)
    if request.conductor is not None:
        await request.conductor.connect()
        return {}
    for gateway in gateways:
        environment.check(environment.reach(gateway))

    async def resolve(gateway: Gateway) -> Material:
        # At two in the morning it is too late to learn that nothing can tell the calls.
        if plan.in_use == "refuse" and gateway.traffic_store is not None and environment.store is not None:
            await environment.store.credential(gateway)
        return await environment.credential(gateway)

    return await resolve_each(gateways, resolve)


def list_open_gateways(database: Database, plan: Plan, options: RunOptions) -> list[Gateway]:
    """Return the gateways that have open targets. Raises UsageError if the options leave no target."""
    pending = PendingTargets(database, plan, resumed=False)
    pending.refuse_vanishing()
    left = pending.count_left()
    if not left and (options.only or options.skip or options.waves):
        raise UsageError("no target is left by --only, --skip and --wave; nothing was sent")
    names = {name for _, name in left}
    return [gateway for gateway in plan.gateways if gateway.name in names]


def find_shortest_timeout(gateways: Iterable[Gateway]) -> float:
    """Return the fewest seconds that one undeploy may take: a window shorter than that lets nothing start."""
    return min(gateway.reply_timeout for gateway in gateways)
