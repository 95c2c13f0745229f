"""How a session comes to begin: every check that needs no request, then the session, then the reports."""

from __future__ import annotations

import hashlib
import secrets
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, NamedTuple

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from orchestrator.errors import DiskError, ExitStatus, JournalError, OrchestratorError, RunError, UsageError
from orchestrator.events import Listener
from orchestrator.journal.account import Ending
from orchestrator.journal.database import Database
from orchestrator.journal.draft import Draft
from orchestrator.journal.folder import RunFolder, new_folder, publish, runs_folder
from orchestrator.journal.overlap import stand_alone
from orchestrator.journal.ownership import check_state
from orchestrator.journal.pending import Pending, hold_back, leave_up, recall, reopen
from orchestrator.journal.restores import Restore, gather_touched, restores_in, restores_of
from orchestrator.model import DEPLOY, UNDEPLOY, Ask, Gateway, Plan, Reason, RunId, Window
from orchestrator.output import check_folder
from orchestrator.pauses import Prompt
from orchestrator.plan.stored import plan_from_json
from orchestrator.report import write_all
from orchestrator.report.values import Report
from orchestrator.report.words import moment
from orchestrator.selection import (
    RunOptions,
    guard_of,
    hold,
    protections,
    refuse_dead,
    refuse_idle,
    split_waves,
    touched_by,
    wanted_by,
)
from orchestrator.session import Session, Start, check_window
from orchestrator.signals import Held, NoSignals, Signals
from orchestrator.steering import Desk, no_desk, recalled
from orchestrator.world import Material, World

OnStart = Callable[[RunFolder], None]


class RunResult(Struct, frozen=True, kw_only=True):
    """How a session ended. ``warnings`` tells what went wrong beside the targets: reports not written."""

    exit_status: ExitStatus
    folder: RunFolder
    report: Report
    warnings: tuple[str, ...] = ()


class Order(Struct, frozen=True, kw_only=True):
    """What a session is asked to do, and who is told of it."""

    options: RunOptions
    listeners: Sequence[Listener] = ()
    signals: Signals = NoSignals()
    on_start: OnStart = lambda _: None
    rehearsal: bool = False
    desk: Callable[[Path], Desk] = lambda _: no_desk
    """Makes where the run in a folder takes demands from while it works."""
    prompt: Prompt | None = None
    """Asks whether to go on after a wave that wants that; None where nobody can be asked."""


async def begin(
    plan: Plan, draft: Draft, place: Path, order: Order, world: World, change: Ask = UNDEPLOY
) -> RunResult:
    """Start the run of a draft, whose folder ``place`` becomes the run's. See ``api.run``.

    ``change`` is what is done to the targets.
    """
    options = order.options
    check_state(options.state)
    if options.report_dir is not None:
        check_folder(options.report_dir)
    refuse_dead(plan, options)
    refuse_idle(draft.database, plan, options)
    hold(draft.database, plan, options)
    split_waves(draft.database, plan)
    guard = guard_of(draft.database, plan, options) if change == UNDEPLOY else None
    hours = _hours(options.window, None if order.rehearsal else plan.window)
    materials = await _check_start(draft.database, plan, hours.window, options, world)
    expires = _approval_ends(draft.database)
    draft.keep({"created": world.now(), "rehearsal": order.rehearsal})
    draft.close()
    path = new_folder(
        options.state,
        name=_slug(f"restore-{plan.name}" if change == DEPLOY else plan.name),
        suffix=secrets.token_hex(2),
        at=world.now(),
        rehearsal=order.rehearsal,
    )
    with ExitStack() as gate:
        if not order.rehearsal:
            await stand_alone(gate, options.state, place / "journal.sqlite")
        folder = publish(place, path)
        with folder.locked() as holder:
            gate.close()
            with order.signals.held() as held:
                order.on_start(folder)
                played = _without_waits(plan) if order.rehearsal else plan
                start = _start(folder, played, hours, 1, holder, order, materials, change)
                start = replace(start, expires=expires, guard=guard)
                session = _session(folder, start, _open(folder), world, order)
            return await _work(folder, session, held, order)


class _Hours(NamedTuple):
    """When a session may work, and who says so."""

    window: Window | None
    origin: Literal["plan", "option"]


def _hours(
    asked: Window | None, otherwise: Window | None, origin: Literal["plan", "option"] = "plan"
) -> _Hours:
    """Return the window that is ``asked`` for on the command line, else the other one and its ``origin``."""
    return _Hours(otherwise, origin) if asked is None else _Hours(asked, "option")


def _approval_ends(database: Database) -> float | None:
    """Return when the approval file that a new run is begun with expires; None where it has none."""
    for (ends,) in database.rows("SELECT value FROM meta WHERE key = 'approval_ends'"):
        return float(ends)
    return None


def _without_waits(plan: Plan) -> Plan:
    """Return the plan as it is rehearsed: nobody waits for its pauses, or is asked."""
    waves = tuple(replace(wave, pause_after=None, proceed="automatic") for wave in plan.waves)
    return replace(plan, waves=waves)


def _session(folder: RunFolder, start: Start, database: Database, world: World, order: Order) -> Session:
    return Session(start, database, world, order.listeners, order.desk(folder.path))


async def go_on(folder: RunFolder, order: Order, world_of: Callable[[Path], World]) -> RunResult:
    """Resume a run. ``world_of`` is given the folder that the plan's paths refer to. See ``api.resume``."""
    if order.options.report_dir is not None:
        check_folder(order.options.report_dir)
    # The gate is around the lock: who is refused has let go of the run before the next one looks.
    with ExitStack() as gate, folder.locked() as holder:
        database = _open(folder)
        try:
            meta: dict[str, Any] = dict(database.rows("SELECT key, value FROM meta"))
            world = world_of(Path(meta["folder"]))
            start = await _prepare_resume(folder, database, meta, order, world, holder, gate)
        except BaseException:
            database.close()
            raise
        with order.signals.held() as held:
            order.on_start(folder)
            if start is None:
                database.close()
                # Whoever killed it may have done so before its reports were written.
                return _reported(folder, order.options)
            session = _session(folder, start, database, world, order)
        return await _work(folder, session, held, order)


def _open(folder: RunFolder) -> Database:
    """Open the journal for writing; nothing was sent yet, so a disk that refuses is no stopped run."""
    try:
        return folder.open(write=True)
    except DiskError as error:
        raise JournalError(f"{error}; nothing was sent") from error


async def _work(folder: RunFolder, session: Session, held: Held, order: Order) -> RunResult:
    finish = await session.run(order.signals, received=held.name)
    if finish.void is not None:
        shutil.rmtree(folder.path, ignore_errors=True)  # as after every refusal: nothing is left to resume
        raise UsageError(finish.void)
    folder = RunFolder(folder.path, ending=_ending(finish.status))
    if finish.cut:
        told = f"the reports were not written; `undeploy report {folder.id}` makes them"
        return _result(folder, finish.status, (told,))
    try:
        with order.signals.held(before=finish.interrupted):
            return _reported(folder, order.options, finish.status)
    except KeyboardInterrupt:
        told = f"the reports were interrupted; `undeploy report {folder.id}` makes them"
        return _result(folder, ExitStatus.INTERRUPTED, (told,))


def _ending(status: ExitStatus) -> Ending:
    """Say how a session ended whose end is not in the journal: it was cut off, or the disk refused it."""
    if status is ExitStatus.INTERRUPTED:
        return Ending("interrupted", f"{Reason.INTERRUPT}: a second signal ended the run", status)
    return Ending("stopped", f"{Reason.DISK}: the journal could not be written to its end", status)


async def _prepare_resume(
    folder: RunFolder,
    database: Database,
    meta: Mapping[str, Any],
    order: Order,
    world: World,
    holder: str,
    gate: ExitStack,
) -> Start | None:
    """Open again what a resume may go on with; None where the run has reached its end."""
    plan = plan_from_json(meta["plan"].encode())
    change = UNDEPLOY if meta.get("act", "undeploy") == "undeploy" else DEPLOY
    options = order.options
    if change == DEPLOY:  # what is protected is to be up: nothing keeps a restore from it
        options = replace(options, protect=(), protect_files=())
    if meta.get("rehearsal"):
        raise UsageError(f"run {folder.id} was a rehearsal; its simulators are gone. Rehearse it again")
    sessions = list(database.rows("SELECT number, state, stopped_by, options FROM session ORDER BY number"))
    number, state, stopped_by, said = sessions[-1] if sessions else (0, None, None, "{}")
    refuse_restored(folder.id, _restores(folder, options), options)
    if state == "complete":
        return None
    if sha256(folder.plan) != meta["source"]:
        raise RunError(
            f"{folder.plan} was edited after run {folder.id} began; a run goes on with the plan that was"
            " approved. Put the file back, or start a new run with the edited plan"
        )
    if (stopped_by or "").startswith(Reason.STOP_RULE) and not options.past_stop:
        raise UsageError(f"run {folder.id} was stopped ({stopped_by}); --past-stop goes on all the same")
    earlier = msgspec.json.decode(said)
    had = msgspec.convert(earlier.get("window"), Window | None)
    hours = _hours(options.window, had or plan.window, _origin(had, earlier, plan))
    check_window(hours.window, world.now(), wait=options.wait, takes=_shortest_timeout(plan.gateways))
    refuse_dead(plan, options)
    refuse_idle(database, plan, options)
    await stand_alone(gate, folder.home(options.state), folder.journal, touched_by(plan, options))
    restores = _restores(folder, options)
    refuse_restored(folder.id, restores, options)  # once more: one may have begun since
    gate.close()
    gather_touched(database, plan.gateways, restores)
    left_up = leave_up(database, restores[-1].id if restores else "")
    wanted = wanted_by(plan, options)
    reopen(database, lambda name, wave: name not in left_up and wanted(name, wave))
    hold_back(database, protections(plan, options))
    materials = await _check_start(database, plan, hours.window, options, world)
    start = _start(folder, plan, hours, number + 1, holder, order, materials, change)
    learned, skips = recalled(plan.gateways, *recall(database))
    guard = guard_of(database, plan, options) if change == UNDEPLOY else None
    return replace(start, learned=learned, skips=skips, guard=guard)


def _origin(had: Window | None, earlier: Mapping[str, Any], plan: Plan) -> Literal["plan", "option"]:
    """Say where the window of the session before came from; older journals do not."""
    if had is None or had == plan.window:
        return "plan"
    return "plan" if earlier.get("window_from") == "plan" else "option"


def _restores(folder: RunFolder, options: RunOptions) -> tuple[Restore, ...]:
    """Return the restores of a run, those that are kept in our own state folder among them."""
    places = {folder.path.resolve().parent, runs_folder(options.state).resolve()}
    found = {each.id: each for place in places for each in restores_in(place)}
    return restores_of(folder.id, (found[name] for name in sorted(found)))


def refuse_restored(run: RunId, restores: Sequence[Restore], options: RunOptions) -> None:
    """Raise UsageError where a restore of the run has begun, unless that is known."""
    if not restores or options.after_restore:
        return
    newest = restores[-1]
    if newest.begun is None:
        said = f"restore {newest.id} of it is about to begin"
    else:
        said = f"restore {newest.id} of it began on {moment(datetime.fromtimestamp(newest.begun, UTC))}"
    raise UsageError(
        f"run {run} is not resumed: {said}, so that what this run took down is coming up again. Nothing was"
        " sent. --after-restore goes on all the same, with what was not started or is unknown; what the"
        f" restore brought back stays up{_with_the_restore(newest)}"
    )


def _with_the_restore(restore: Restore) -> str:
    unfinished = not (restore.whole or restore.live)
    return f". `undeploy resume {restore.id}` goes on with the restore" if unfinished else ""


def _start(
    folder: RunFolder,
    plan: Plan,
    hours: _Hours,
    number: int,
    holder: str,
    order: Order,
    materials: Mapping[str, Material],
    change: Ask,
) -> Start:
    options = order.options
    past_stop = number > 1 and options.past_stop
    said = {
        "only": options.only,
        "skip": options.skip,
        "waves": options.waves,
        "window": hours.window,
        "window_from": hours.origin,
    }
    return Start(
        run=folder.id,
        plan=plan,
        window=hours.window,
        number=number,
        rehearsal=order.rehearsal,
        holder=holder,
        materials=materials,
        past_stop=past_stop,
        options=msgspec.json.encode(said).decode(),
        change=change,
        prompt=order.prompt,
    )


async def _check_start(
    database: Database, plan: Plan, window: Window | None, options: RunOptions, world: World
) -> dict[str, Material]:
    """Return what the credentials\' references give, by gateway.

    Raises where nothing may or can be sent: the window, the filters, the credentials.
    """
    pending = Pending(database, plan, resumed=False)
    pending.refuse_vanishing()
    left = pending.left()
    if not left and (options.only or options.skip or options.waves):
        raise UsageError("no target is left by --only, --skip and --wave; nothing was sent")
    gateways = [gateway for gateway in plan.gateways if any(gateway.name == name for _, name in left)]
    takes = _shortest_timeout(gateways or plan.gateways)
    check_window(window, world.now(), wait=options.wait, takes=takes)
    for gateway in gateways:
        world.check(world.reach(gateway))
    return {gateway.name: await world.credential(gateway) for gateway in gateways}


def _shortest_timeout(gateways: Iterable[Gateway]) -> float:
    return min(gateway.reply_timeout for gateway in gateways)


def _reported(folder: RunFolder, options: RunOptions, status: ExitStatus | None = None) -> RunResult:
    """Write every report; what could not be written is among the result's warnings.

    Without a ``status`` the run had ended before, with the one in its journal.
    """
    told = []
    with folder.account() as account:
        for place in [folder.path, options.report_dir]:
            try:
                if place is not None:
                    check_folder(place)
                    place.mkdir(parents=True, exist_ok=True)
                    write_all(account, place)
            except OrchestratorError as error:
                told.append(str(error))
            except OSError as error:
                told.append(f"the reports cannot be written to {place}: {error.strerror or error}")
        report = account.report
    if status is None:
        status = ExitStatus(report.run.exit_status or 0)
    return RunResult(exit_status=status, folder=folder, report=report, warnings=tuple(told))


def _result(folder: RunFolder, status: ExitStatus, warnings: tuple[str, ...]) -> RunResult:
    with folder.account() as account:
        return RunResult(exit_status=status, folder=folder, report=account.report, warnings=warnings)


def sha256(path: Path) -> str:
    """Return a file's digest; raises JournalError where it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise JournalError(f"{path}: cannot be read: {error.strerror or error}") from error


def _slug(name: str) -> str:
    """Return a plan's name as part of a folder's name."""
    kept = "".join(letter if letter.isascii() and letter.isalnum() else "-" for letter in name.lower())
    return "-".join(part for part in kept.split("-") if part)[:40] or "plan"
