"""The resume of a run: the checks for changes since it stopped, then the session, then the reports."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from pathlib import Path

from msgspec.structs import replace

from orchestrator.engine.conductor import EngineSession
from orchestrator.engine.control_commands import no_control
from orchestrator.engine.controller import recall_controls
from orchestrator.engine.protection import ProtectionSummary
from orchestrator.engine.request import RunRequest
from orchestrator.engine.resources import SessionSpec
from orchestrator.engine.session import Session
from orchestrator.engine.window import refuse_outside_window
from orchestrator.errors import UsageError
from orchestrator.journal.cells import check_cells
from orchestrator.journal.folder import RunFolder
from orchestrator.journal.notes import list_paces_and_controls
from orchestrator.journal.overlap import refuse_overlap
from orchestrator.journal.planned import check_planned
from orchestrator.journal.restores import (
    Restore,
    collect_touched_again,
)
from orchestrator.journal.session_scope import end_open, hold_back, leave_up, reopen
from orchestrator.journal.sessions import read_sessions
from orchestrator.lanes.environment import Environment
from orchestrator.model.events import AnyEvent, Listener, RunNoted, RunWarned
from orchestrator.model.reading import UNDEPLOY
from orchestrator.runs.engine_sessions import EngineLookup, may_go_on
from orchestrator.runs.prepare import (
    ChosenWindow,
    find_shortest_timeout,
    open_journal,
    resolve_credentials,
)
from orchestrator.runs.reporting import run_and_report, write_reports
from orchestrator.runs.result import RunResult
from orchestrator.runs.resume_refusals import refuse_edited_or_stopped, refuse_restored, refuse_unread_restore
from orchestrator.runs.selection import (
    list_protections,
    make_filter,
    make_touch_test,
    refuse_dead_patterns,
    refuse_idle_filters,
    summarize_protection,
)
from orchestrator.runs.stopped_run import StoppedRun, read_stopped_run
from orchestrator.system.writing import check_folder


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
            stopped = read_stopped_run(folder, database, request.options)
            environment = self._environment_of(Path(stopped.meta.folder))
            spec = await self._prepare(stopped, environment)
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

    async def _prepare(self, stopped: StoppedRun, environment: Environment) -> SessionSpec | None:
        """Open targets again for the session; return None if the run has reached its end.

        Raises as ``api.resume`` says, before anything was sent.
        """
        folder, options = stopped.folder, stopped.options
        if stopped.meta.rehearsal:
            raise UsageError(f"run {folder.id} was a rehearsal; its simulators are gone. Rehearse it again")
        lookup = EngineLookup(folder, stopped.database, self._request, stopped.change)
        if (found := await lookup.find_underway(stopped.newest)) is not None:
            return await self._take_over(stopped, found, lookup)
        if (found := await lookup.adopt_next(stopped.newest)) is not None:
            adopted = read_stopped_run(folder, stopped.database, options)
            return await self._take_over(adopted, found, lookup)
        refuse_restored(folder, stopped.find_restores(), options)
        if stopped.newest is not None and stopped.newest.state == "complete":
            return None
        refuse_unread_restore(stopped)
        lookup.warn_of_elsewhere()
        chosen = _check(stopped, environment.now())
        home = folder.find_state_folder(options.state)
        await refuse_overlap(self._gate, home, folder.journal, make_touch_test(stopped.plan, options))
        restores = stopped.find_restores()
        refuse_restored(folder, restores, options)  # once more: one may have begun since
        self._gate.close()
        return await self._begin(stopped, chosen, restores, environment)

    async def _begin(
        self,
        stopped: StoppedRun,
        chosen: ChosenWindow,
        restores: Sequence[Restore],
        environment: Environment,
    ) -> SessionSpec:
        """Open targets again for a session of this process."""
        plan, database, request = stopped.plan, stopped.database, self._request
        # All or nothing: a resume that is refused for a credential leaves outcomes and reasons alone.
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
            holder=self._holder,
            window=chosen.window,
            window_from=chosen.origin,
            materials=materials,
            learned=learned,
            skips=skips,
            accepted=stopped.meta.accept,
            protection=_summarize_protection(stopped),
        )

    async def _take_over(
        self, stopped: StoppedRun, found: EngineSession, lookup: EngineLookup
    ) -> SessionSpec:
        """Return the session that an engine works on, to take its results over; raises UsageError."""
        request, options, newest = self._request, self._request.options, stopped.newest
        assert newest is not None  # noqa: S101 - an engine works on a session
        is_about_next = bool(
            options.only or options.skip or options.waves or options.window or options.past_stop
        )
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
        earlier = stopped.read_earlier_options()
        learned, skips = recall_controls(stopped.plan.gateways, list_paces_and_controls(stopped.database))
        return SessionSpec(
            request=request,
            folder=stopped.folder,
            plan=stopped.plan,
            change=stopped.change,
            number=newest.number,
            holder=self._holder,
            window=earlier.window,
            window_from=earlier.window_from or "plan",
            materials={},
            learned=learned,
            skips=skips,
            accepted=stopped.meta.accept,
            is_underway=True,
            is_followed=is_followed,
            protection=_summarize_protection(stopped),
        )


def _has_ended(folder: RunFolder, session: int) -> bool:
    """Return whether the journal has the end of a session."""
    with closing(folder.open(whole=False)) as database:
        return any(row.number == session and row.ended is not None for row in read_sessions(database))


def _check(stopped: StoppedRun, now: float) -> ChosenWindow:
    """Refuse a run that another session may not go on with; return the window of that session."""
    plan, database, options = stopped.plan, stopped.database, stopped.options
    # Not before: a run that has ended sends nothing, whatever its journal says.
    check_planned(database)
    check_cells(database)
    refuse_edited_or_stopped(stopped)
    chosen = stopped.choose_window()
    takes = find_shortest_timeout(plan.gateways)
    refuse_outside_window(chosen.window, now, wait=options.wait, takes=takes)
    refuse_dead_patterns(plan, options)
    refuse_idle_filters(database, plan, options)
    return chosen


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


def _reopen(stopped: StoppedRun, restores: Sequence[Restore]) -> None:
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


def _summarize_protection(stopped: StoppedRun) -> ProtectionSummary | None:
    """Return how protection narrows the run; None of a restore, which it does not concern."""
    if stopped.change != UNDEPLOY:
        return None
    return summarize_protection(stopped.database, stopped.plan, stopped.options)
