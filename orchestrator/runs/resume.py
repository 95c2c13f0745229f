"""The resume of a run: the checks for changes since it stopped, then the session, then the reports."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing, suppress
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from orchestrator.engine.conductor import EngineSession
from orchestrator.engine.control_commands import no_control
from orchestrator.engine.controller import recall_controls
from orchestrator.engine.options import RunOptions
from orchestrator.engine.request import RunRequest
from orchestrator.engine.resources import SessionSpec
from orchestrator.engine.session import Session
from orchestrator.engine.window import refuse_outside_window
from orchestrator.errors import OrchestratorError, RunError, UsageError
from orchestrator.journal.cells import check_cells
from orchestrator.journal.database import Database
from orchestrator.journal.folder import RunFolder, runs_folder
from orchestrator.journal.meta import RunMeta, read_meta, read_plan
from orchestrator.journal.notes import list_paces_and_controls, read_stop_rule
from orchestrator.journal.overlap import refuse_overlap
from orchestrator.journal.pending import end_open, hold_back, leave_up, reopen
from orchestrator.journal.planned import check_planned
from orchestrator.journal.restores import (
    Restore,
    collect_touched_again,
    find_restores,
    find_unreadable,
    select_restores,
)
from orchestrator.journal.sessions import SessionOptions, SessionRow, read_sessions
from orchestrator.lanes.environment import Environment
from orchestrator.model.events import AnyEvent, Listener, RunNoted, RunWarned
from orchestrator.model.outcome import Reason
from orchestrator.model.plan import Plan
from orchestrator.model.reading import DEPLOY, UNDEPLOY, Operation
from orchestrator.report.advice import find_resume
from orchestrator.runs.engine_sessions import EngineLookup, may_go_on
from orchestrator.runs.load import digest_file
from orchestrator.runs.prepare import (
    ChosenWindow,
    WindowOrigin,
    choose_window,
    find_shortest_timeout,
    open_journal,
    resolve_credentials,
)
from orchestrator.runs.reporting import run_and_report, write_reports
from orchestrator.runs.result import RunResult
from orchestrator.runs.selection import (
    list_protections,
    make_filter,
    make_touch_test,
    refuse_dead_patterns,
    refuse_idle_filters,
    summarize_protection,
)
from orchestrator.runs.start import make_slug
from orchestrator.system.writing import check_folder
from orchestrator.text.formats import format_unix_time


async def resume_run(
    folder: RunFolder, request: RunRequest, environment_of: Callable[[Path], Environment]
) -> RunResult:
    """Resume a run. ``environment_of`` takes the folder that the paths of the plan refer to.

    See ``api.resume``.
    """
    if request.options.report_dir is not None:
        check_folder(request.options.report_dir)
    # The gate is around the lock: a resume that is refused lets go of the run before the next one looks.
    with ExitStack() as gate, folder.lock() as holder:
        while True:
            next_session = _NextSession(folder, request, environment_of, holder, gate)
            result, goes_on = await next_session.run()
            if not goes_on:
                return result
            folder.remarks, request = (), replace(request, on_start=lambda _: None)


class _NextSession:
    """One session of a resume; another one may follow a session that was taken over."""

    def __init__(
        self,
        folder: RunFolder,
        request: RunRequest,
        environment_of: Callable[[Path], Environment],
        holder: str,
        gate: ExitStack,
    ) -> None:
        self._folder = folder
        self._request = request
        self._environment_of = environment_of
        self._holder = holder
        self._gate = gate

    async def run(self) -> tuple[RunResult, bool]:
        """Return the result of the session, and whether another one is to follow at once."""
        folder, request = self._folder, self._request
        database = open_journal(folder, request.options.signing_key)
        try:
            stopped = _read_stopped_run(folder, database, request.options)
            environment = self._environment_of(Path(stopped.meta.folder))
            spec = await _prepare(stopped, request, environment, self._holder, self._gate)
        except BaseException:
            database.close()
            raise
        with request.signals.hold() as held:
            request.on_start(folder)
            if spec is None:
                database.close()
                # The process before may have been killed before it wrote the reports, or some of them.
                return write_reports(folder, request.options), False
            session = Session(spec, database, environment)
        result = await run_and_report(session, spec, held)
        goes_on = spec.is_followed and not session.was_interrupted and _has_ended(folder, spec.number)
        return result, goes_on


def _has_ended(folder: RunFolder, session: int) -> bool:
    """Return whether the journal has the end of a session."""
    with closing(folder.open(whole=False)) as database:
        return any(row.number == session and row.ended is not None for row in read_sessions(database))


class _StoppedRun(Struct, frozen=True, kw_only=True):
    """A run as its journal has it before the resume."""

    folder: RunFolder
    database: Database
    meta: RunMeta
    plan: Plan
    change: Operation
    newest: SessionRow | None
    """The newest session; None in a run that was killed before its first one began."""
    options: RunOptions
    """The options of this resume, as far as they concern this sort of run."""


def _read_stopped_run(folder: RunFolder, database: Database, options: RunOptions) -> _StoppedRun:
    meta = read_meta(database)
    if meta.act != "undeploy":
        # A protected target is meant to be up: no pattern keeps a restore from it.
        options = replace(options, protect=(), protect_files=())
    return _StoppedRun(
        folder=folder,
        database=database,
        meta=meta,
        plan=read_plan(database),
        change=UNDEPLOY if meta.act == "undeploy" else DEPLOY,
        newest=next(reversed(read_sessions(database)), None),
        options=options,
    )


async def _prepare(
    stopped: _StoppedRun, request: RunRequest, environment: Environment, holder: str, gate: ExitStack
) -> SessionSpec | None:
    """Open targets again for the session; return None if the run has reached its end.

    Raises as ``api.resume`` says, before anything was sent.
    """
    plan, database, options = stopped.plan, stopped.database, stopped.options
    if stopped.meta.rehearsal:
        raise UsageError(
            f"run {stopped.folder.id} was a rehearsal; its simulators are gone. Rehearse it again"
        )
    lookup = EngineLookup(stopped.folder, database, request, stopped.change)
    if (found := await lookup.find_underway(stopped.newest)) is not None:
        return await _take_over(stopped, request, holder, found, lookup)
    if (found := await lookup.adopt_next(stopped.newest)) is not None:
        return await _take_over(
            _read_stopped_run(stopped.folder, database, options), request, holder, found, lookup
        )
    refuse_restored(stopped.folder, _find_restores(stopped), options)
    if stopped.newest is not None and stopped.newest.state == "complete":
        return None
    _refuse_unread_restore(stopped)
    lookup.warn_of_elsewhere()
    # Not before: a run that has ended sends nothing, whatever its journal says.
    check_planned(database)
    check_cells(database)
    _refuse_edited_or_stopped(stopped)
    chosen = _choose_window(stopped)
    takes = find_shortest_timeout(plan.gateways)
    refuse_outside_window(chosen.window, environment.now(), wait=options.wait, takes=takes)
    refuse_dead_patterns(plan, options)
    refuse_idle_filters(database, plan, options)
    home = stopped.folder.find_state_folder(options.state)
    await refuse_overlap(gate, home, stopped.folder.journal, make_touch_test(plan, options))
    restores = _find_restores(stopped)
    refuse_restored(stopped.folder, restores, options)  # once more: one may have begun since
    gate.close()
    # All or nothing: a resume that is refused for a credential leaves the run's outcomes and reasons alone.
    with database.transaction():
        _reopen(stopped, restores)
        materials = await resolve_credentials(database, plan, chosen.window, request, environment)
    learned, skips = recall_controls(plan.gateways, list_paces_and_controls(database))
    return SessionSpec(
        request=request,
        folder=stopped.folder,
        plan=plan,
        change=stopped.change,
        number=1 if stopped.newest is None else stopped.newest.number + 1,
        holder=holder,
        window=chosen.window,
        window_from=chosen.origin,
        materials=materials,
        learned=learned,
        skips=skips,
        accepted=stopped.meta.accept,
        protection=summarize_protection(database, plan, options) if stopped.change == UNDEPLOY else None,
    )


async def _take_over(
    stopped: _StoppedRun, request: RunRequest, holder: str, found: EngineSession, lookup: EngineLookup
) -> SessionSpec:
    """Return the session that an engine works on, to take its results over; raises UsageError."""
    plan, database, options, newest = stopped.plan, stopped.database, request.options, stopped.newest
    assert newest is not None  # noqa: S101 - an engine works on a session
    is_about_next = bool(options.only or options.skip or options.waves or options.window or options.past_stop)
    is_followed = not options.take_over_only and (
        may_go_on(found, past_stop=options.past_stop)
        or (found.is_over and is_about_next)
        or await lookup.has_later(newest.number)
    )
    if is_followed:
        request = _quieten(stopped.folder, request, newest.number, found)
    elif is_about_next:
        raise UsageError(
            f"session {newest.number} of run {stopped.folder.id} goes on as it began, so --only, --skip,"
            " --wave, --window, --close-at and --past-stop change nothing of it. Resume it without them"
        )
    earlier = _read_earlier_options(stopped)
    learned, skips = recall_controls(plan.gateways, list_paces_and_controls(database))
    return SessionSpec(
        request=request,
        folder=stopped.folder,
        plan=plan,
        change=stopped.change,
        number=newest.number,
        holder=holder,
        window=earlier.window,
        window_from=earlier.window_from or "plan",
        materials={},
        learned=learned,
        skips=skips,
        accepted=stopped.meta.accept,
        is_underway=True,
        is_followed=is_followed,
        protection=summarize_protection(database, plan, options) if stopped.change == UNDEPLOY else None,
    )


def _quieten(folder: RunFolder, request: RunRequest, session: int, found: EngineSession) -> RunRequest:
    """Return the request for a session that ended before; the listeners hear the one that follows it.

    Of this one they hear what keeps it from going on.
    """
    why = f" was stopped before ({found.stopped_by})" if found.stopped_by else " is over"
    folder.remarks += (f"session {session}{why}: what it did is taken over first, then the run goes on",)
    return replace(
        request,
        listeners=tuple(map(_hear_of_run, request.listeners)),
        prompt=None,
        control_socket=lambda _: no_control,
    )


def _hear_of_run(listener: Listener) -> Listener:
    """Return a listener that passes on only warnings and remarks about the run as a whole."""

    def hear(event: AnyEvent) -> None:
        if isinstance(event, RunWarned | RunNoted):
            listener(event)

    return hear


def _refuse_edited_or_stopped(stopped: _StoppedRun) -> None:
    """Raise RunError for a plan that was edited, UsageError for a stop rule that the operator must accept."""
    run, plan_file = stopped.folder.id, stopped.folder.plan
    if digest_file(plan_file) != stopped.meta.source:
        raise RunError(
            f"{plan_file} was edited after run {run} began; a run goes on with the plan that was"
            " approved. Put the file back, or start a new run with the edited plan"
        )
    stopped_by = _find_stop_rule(stopped)
    if stopped_by is not None and not stopped.options.past_stop:
        raise UsageError(f"run {run} was stopped ({stopped_by}); --past-stop goes on all the same")


def _find_stop_rule(stopped: _StoppedRun) -> str | None:
    """Return the stop rule that has fired in the newest session, be it that this was killed afterwards."""
    newest = stopped.newest
    if newest is None:
        return None
    if newest.stopped_by and newest.stopped_by.startswith(Reason.STOP_RULE):
        return newest.stopped_by
    return read_stop_rule(stopped.database, newest.number)


def _choose_window(stopped: _StoppedRun) -> ChosenWindow:
    """Return the window that is given now, else that of the session before, else the plan's."""
    earlier = _read_earlier_options(stopped)
    if earlier.window is None or earlier.window == stopped.plan.window:
        return choose_window(stopped.options.window, stopped.plan.window)
    # Older journals do not say where a window came from: one that is not the plan's was an option.
    origin: WindowOrigin = "plan" if earlier.window_from == "plan" else "option"
    return choose_window(stopped.options.window, earlier.window, origin)


def _read_earlier_options(stopped: _StoppedRun) -> SessionOptions:
    """Return the options of the session before. Raises RunError where they cannot be read.

    Nothing is guessed in their place: a resume without that session's window could send outside of it.
    """
    if stopped.newest is None:
        return SessionOptions()
    if stopped.newest.options is None:
        raise RunError(
            f"{stopped.folder.journal}: the options of session {stopped.newest.number} cannot be read"
        )
    return stopped.newest.options


def _find_restores(stopped: _StoppedRun) -> tuple[Restore, ...]:
    """Return the restores of a run, those that are kept in our own state folder among them."""
    found = {restore.id: restore for place in _list_places(stopped) for restore in find_restores(place)}
    return select_restores(stopped.folder.id, (found[name] for name in sorted(found)))


def _list_places(stopped: _StoppedRun) -> set[Path]:
    """Return the folders in which restores of a run are kept."""
    # A run may have been moved to another place since: its restores are beside it, or here.
    return {stopped.folder.path.resolve().parent, runs_folder(stopped.options.state).resolve()}


def _refuse_unread_restore(stopped: _StoppedRun) -> None:
    """Raise RunError if a later run that is named as a restore of this plan cannot be read.

    What such a restore brought back would go down again.
    """
    mark = f"-{make_slug(f'restore-{stopped.plan.name}')}-"
    for place in sorted(_list_places(stopped)) if stopped.meta.act == "undeploy" else ():
        for run, error in find_unreadable(place, mark):
            if run > stopped.folder.id:
                raise RunError(
                    f"run {stopped.folder.id} is not resumed: {run} may be a restore of it, and cannot be"
                    f" read: {error}. Nothing was sent. If it has brought nothing back, move its folder away"
                )


def _reopen(stopped: _StoppedRun, restores: Sequence[Restore]) -> None:
    """Open again the targets that this resume may touch, and hold back those that are protected by now.

    Call it inside a transaction.
    """
    plan, database, options = stopped.plan, stopped.database, stopped.options
    ending, newest = stopped.folder.earlier_ending, stopped.newest
    if ending is not None and ending.stopped_by and ending.session == (newest.number if newest else 1):
        end_open(database, ending.stopped_by)  # else it would be said to have been killed
    collect_touched_again(database, plan.gateways, restores)
    left_up = leave_up(database, restores[-1].id if restores else "")
    is_wanted = make_filter(plan, options)
    reopen(database, lambda name, wave: name not in left_up and is_wanted(name, wave))
    hold_back(database, list_protections(plan, options))


def refuse_restored(folder: RunFolder, restores: Sequence[Restore], options: RunOptions) -> None:
    """Raise UsageError if a restore of the run has begun, unless ``--after-restore`` accepts that."""
    if not restores or options.after_restore:
        return
    newest = restores[-1]
    if newest.begun is None:
        state = f"restore {newest.id} of it is about to begin"
    else:
        began = format_unix_time(newest.begun)
        state = f"restore {newest.id} of it began on {began}"
    raise UsageError(
        f"run {folder.id} is not resumed: {state}, so that what this run took down is coming up again."
        " Nothing was sent. --after-restore goes on all the same, with what was not started or is unknown;"
        f" what the restore brought back stays up{_advise_on_restore(newest, folder.state_option)}"
    )


def _advise_on_restore(restore: Restore, state_option: str) -> str:
    if restore.whole or restore.live:
        return ""
    command = ""
    with suppress(OrchestratorError), RunFolder(restore.journal.parent).open_source(whole=False) as source:
        command = find_resume(source.report)  # it may want its server, or --past-stop
    return f". `{command or f'undeploy resume {restore.id}'}{state_option}` goes on with the restore"
