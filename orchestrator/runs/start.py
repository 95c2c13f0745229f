"""How a run begins: every check that needs no request, then the session, then the reports."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Literal, NamedTuple

from msgspec.structs import replace

from orchestrator.engine.session import Session, SessionSpec, check_window
from orchestrator.engine.signals import HeldSignal
from orchestrator.errors import DiskError, ExitStatus, JournalError, OrchestratorError, UsageError
from orchestrator.journal.database import Database
from orchestrator.journal.draft import Draft
from orchestrator.journal.folder import RunFolder, new_folder, publish
from orchestrator.journal.meta import RunMeta, read_meta
from orchestrator.journal.overlap import stand_alone
from orchestrator.journal.ownership import check_state
from orchestrator.journal.pending import Pending
from orchestrator.journal.run_report import Ending
from orchestrator.journal.sessions import SessionOptions
from orchestrator.lanes.environment import Environment
from orchestrator.model.credentials import Material
from orchestrator.model.gateway import Gateway
from orchestrator.model.outcome import Reason
from orchestrator.model.plan import Plan, Window
from orchestrator.model.reading import DEPLOY, UNDEPLOY, Operation
from orchestrator.report.writing import write_all
from orchestrator.runs.options import RunOptions
from orchestrator.runs.order import RunRequest, RunResult
from orchestrator.runs.selection import (
    guard_of,
    hold,
    refuse_dead,
    refuse_idle,
    split_waves,
)
from orchestrator.system.writing import check_folder


async def begin(
    plan: Plan,
    draft: Draft,
    place: Path,
    order: RunRequest,
    environment: Environment,
    change: Operation = UNDEPLOY,
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
    materials = await _check_start(draft.database, plan, hours.window, options, environment)
    expires = read_meta(draft.database).approval_ends
    draft.keep(RunMeta(created=environment.now(), rehearsal=order.rehearsal))
    draft.close()
    path = new_folder(
        options.state,
        name=_slug(f"restore-{plan.name}" if change == DEPLOY else plan.name),
        suffix=secrets.token_hex(2),
        at=environment.now(),
        rehearsal=order.rehearsal,
    )
    with ExitStack() as gate:
        if not order.rehearsal:
            await stand_alone(gate, options.state, place / "journal.sqlite")
        folder = publish(place, path)
        with folder.locked() as holder:
            gate.close()
            with order.signals.hold() as held:
                order.on_start(folder)
                played = _without_waits(plan) if order.rehearsal else plan
                start = _start(folder, played, hours, 1, holder, order, materials, change)
                start = replace(start, expires=expires, guard=guard)
                session = _session(folder, start, _open(folder), environment, order)
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


def _without_waits(plan: Plan) -> Plan:
    """Return the plan as it is rehearsed: nobody waits for its pauses, or is asked."""
    waves = tuple(replace(wave, pause_after=None, proceed="automatic") for wave in plan.waves)
    return replace(plan, waves=waves)


def _session(
    folder: RunFolder, start: SessionSpec, database: Database, environment: Environment, order: RunRequest
) -> Session:
    return Session(
        start, database, environment, order.listeners, order.control_socket(folder.path), order.storage
    )


def _open(folder: RunFolder) -> Database:
    """Open the journal for writing; nothing was sent yet, so a disk that refuses is no stopped run."""
    try:
        return folder.open(write=True)
    except DiskError as error:
        raise JournalError(f"{error}; nothing was sent") from error


async def _work(folder: RunFolder, session: Session, held: HeldSignal, order: RunRequest) -> RunResult:
    finish = await session.run(order.signals, received=held.name)
    if finish.void is not None:
        shutil.rmtree(folder.path, ignore_errors=True)  # as after every refusal: nothing is left to resume
        raise UsageError(finish.void)
    folder = RunFolder(folder.path, ending=_ending(finish.status))
    if finish.cut:
        told = f"the reports were not written; `undeploy report {folder.id}` makes them"
        return _result(folder, finish.status, (told,))
    try:
        with order.signals.hold(before=finish.interrupted):
            return _reported(folder, order.options, finish.status)
    except KeyboardInterrupt:
        told = f"the reports were interrupted; `undeploy report {folder.id}` makes them"
        return _result(folder, ExitStatus.INTERRUPTED, (told,))


def _ending(status: ExitStatus) -> Ending:
    """Say how a session ended whose end is not in the journal: it was cut off, or the disk refused it."""
    if status is ExitStatus.INTERRUPTED:
        return Ending("interrupted", f"{Reason.INTERRUPT}: a second signal ended the run", status)
    return Ending("stopped", f"{Reason.DISK}: the journal could not be written to its end", status)


def _start(
    folder: RunFolder,
    plan: Plan,
    hours: _Hours,
    number: int,
    holder: str,
    order: RunRequest,
    materials: Mapping[str, Material],
    change: Operation,
) -> SessionSpec:
    options = order.options
    past_stop = number > 1 and options.past_stop
    return SessionSpec(
        run=folder.id,
        plan=plan,
        window=hours.window,
        number=number,
        rehearsal=order.rehearsal,
        holder=holder,
        materials=materials,
        past_stop=past_stop,
        options=SessionOptions(
            only=options.only,
            skip=options.skip,
            waves=options.waves,
            window=hours.window,
            window_from=hours.origin,
        ),
        change=change,
        prompt=order.prompt,
    )


async def _check_start(
    database: Database, plan: Plan, window: Window | None, options: RunOptions, environment: Environment
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
    check_window(window, environment.now(), wait=options.wait, takes=takes)
    for gateway in gateways:
        environment.check(environment.reach(gateway))
    return {gateway.name: await environment.credential(gateway) for gateway in gateways}


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


def _slug(name: str) -> str:
    """Return a plan's name as part of a folder's name."""
    kept = "".join(letter if letter.isascii() and letter.isalnum() else "-" for letter in name.lower())
    return "-".join(part for part in kept.split("-") if part)[:40] or "plan"
