"""How a run goes on: what may have changed since it stopped, then the session."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from msgspec.structs import replace

from orchestrator.engine.control import recall_controls
from orchestrator.engine.session import SessionSpec, check_window
from orchestrator.errors import RunError, UsageError
from orchestrator.journal.database import Database
from orchestrator.journal.folder import RunFolder, runs_folder
from orchestrator.journal.meta import RunMeta, read_meta, read_plan
from orchestrator.journal.overlap import stand_alone
from orchestrator.journal.pending import hold_back, leave_up, recall, reopen
from orchestrator.journal.restores import Restore, gather_touched, restores_in, restores_of
from orchestrator.journal.sessions import SessionOptions, SessionRow, read_sessions
from orchestrator.lanes.environment import Environment
from orchestrator.model.outcome import Reason
from orchestrator.model.plan import Plan, RunId
from orchestrator.model.reading import DEPLOY, UNDEPLOY
from orchestrator.runs.load import sha256
from orchestrator.runs.options import RunOptions
from orchestrator.runs.order import RunRequest, RunResult
from orchestrator.runs.selection import (
    guard_of,
    protections,
    refuse_dead,
    refuse_idle,
    touched_by,
    wanted_by,
)
from orchestrator.runs.start import (
    _check_start,
    _hours,
    _open,
    _reported,
    _session,
    _shortest_timeout,
    _start,
    _work,
)
from orchestrator.system.writing import check_folder
from orchestrator.text.formats import format_moment


async def go_on(
    folder: RunFolder, order: RunRequest, environment_of: Callable[[Path], Environment]
) -> RunResult:
    """Resume a run. ``environment_of`` takes the folder that the paths of the plan refer to.

    See ``api.resume``.
    """
    if order.options.report_dir is not None:
        check_folder(order.options.report_dir)
    # The gate is around the lock: who is refused has let go of the run before the next one looks.
    with ExitStack() as gate, folder.locked() as holder:
        database = _open(folder)
        try:
            meta = read_meta(database)
            environment = environment_of(Path(meta.folder))
            start = await _prepare_resume(folder, database, meta, order, environment, holder, gate)
        except BaseException:
            database.close()
            raise
        with order.signals.hold() as held:
            order.on_start(folder)
            if start is None:
                database.close()
                # Whoever killed it may have done so before its reports were written.
                return _reported(folder, order.options)
            session = _session(folder, start, database, environment, order)
        return await _work(folder, session, held, order)


async def _prepare_resume(
    folder: RunFolder,
    database: Database,
    meta: RunMeta,
    order: RunRequest,
    environment: Environment,
    holder: str,
    gate: ExitStack,
) -> SessionSpec | None:
    """Open again what a resume may go on with; None where the run has reached its end."""
    plan = read_plan(database)
    change = UNDEPLOY if meta.act == "undeploy" else DEPLOY
    options = order.options
    if change == DEPLOY:  # what is protected is to be up: nothing keeps a restore from it
        options = replace(options, protect=(), protect_files=())
    if meta.rehearsal:
        raise UsageError(f"run {folder.id} was a rehearsal; its simulators are gone. Rehearse it again")
    newest = next(reversed(read_sessions(database)), None)
    refuse_restored(folder.id, _restores(folder, options), options)
    if newest is not None and newest.state == "complete":
        return None
    if sha256(folder.plan) != meta.source:
        raise RunError(
            f"{folder.plan} was edited after run {folder.id} began; a run goes on with the plan that was"
            " approved. Put the file back, or start a new run with the edited plan"
        )
    stopped_by = (newest and newest.stopped_by) or ""
    if stopped_by.startswith(Reason.STOP_RULE) and not options.past_stop:
        raise UsageError(f"run {folder.id} was stopped ({stopped_by}); --past-stop goes on all the same")
    earlier = _options_of(newest, folder)
    hours = _hours(options.window, earlier.window or plan.window, _origin(earlier, plan))
    check_window(hours.window, environment.now(), wait=options.wait, takes=_shortest_timeout(plan.gateways))
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
    materials = await _check_start(database, plan, hours.window, options, environment)
    number = 1 if newest is None else newest.number + 1
    start = _start(folder, plan, hours, number, holder, order, materials, change)
    learned, skips = recall_controls(plan.gateways, *recall(database))
    guard = guard_of(database, plan, options) if change == UNDEPLOY else None
    return replace(start, learned=learned, skips=skips, guard=guard)


def _options_of(newest: SessionRow | None, folder: RunFolder) -> SessionOptions:
    """Return the options of the session before. Raises RunError where they cannot be read.

    Nothing is guessed in their place: a resume without that session's window could send outside of it.
    """
    if newest is None:
        return SessionOptions()
    if newest.options is None:
        raise RunError(f"{folder.journal}: the options of session {newest.number} cannot be read")
    return newest.options


def _origin(earlier: SessionOptions, plan: Plan) -> Literal["plan", "option"]:
    """Return where the window of the session before came from; older journals do not say it."""
    if earlier.window is None or earlier.window == plan.window:
        return "plan"
    return "plan" if earlier.window_from == "plan" else "option"


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
        said = (
            f"restore {newest.id} of it began on {format_moment(datetime.fromtimestamp(newest.begun, UTC))}"
        )
    raise UsageError(
        f"run {run} is not resumed: {said}, so that what this run took down is coming up again. Nothing was"
        " sent. --after-restore goes on all the same, with what was not started or is unknown; what the"
        f" restore brought back stays up{_with_the_restore(newest)}"
    )


def _with_the_restore(restore: Restore) -> str:
    unfinished = not (restore.whole or restore.live)
    return f". `undeploy resume {restore.id}` goes on with the restore" if unfinished else ""
