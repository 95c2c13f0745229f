"""The sessions of a run that a distributed engine has, as a resume finds them: to take over, or given up."""

from __future__ import annotations

import anyio
import msgspec

from orchestrator.engine.conductor import Conductor, EngineSession
from orchestrator.engine.request import RunRequest
from orchestrator.errors import UsageError
from orchestrator.journal.database import Database
from orchestrator.journal.engine_mark import (
    EngineMark,
    read_engine_mark,
    remove_engine_mark,
    write_engine_mark,
)
from orchestrator.journal.folder import RunFolder
from orchestrator.journal.holder import LockHolder
from orchestrator.journal.notes import has_heard_engine
from orchestrator.journal.record import insert_session
from orchestrator.journal.session_scope import reopen
from orchestrator.journal.sessions import SessionOptions, SessionRow, read_sessions
from orchestrator.journal.untold import doubt_untold
from orchestrator.model.outcome import Reason
from orchestrator.model.reading import Operation

ANSWERS_WITHIN = 30.0
"""Seconds for an engine that should be gone to say whether it has the run."""


class EngineLookup:
    """Finds the sessions that an engine has of one run."""

    def __init__(self, folder: RunFolder, database: Database, request: RunRequest, change: Operation) -> None:
        self._folder = folder
        self._database = database
        self._request = request
        self._change = change

    async def find_underway(self, newest: SessionRow | None) -> EngineSession | None:
        """Return the newest session of the run if an engine has it, be it at work or over; else None.

        Raises UsageError where the engine must be asked and cannot be.
        """
        if newest is None:
            remove_engine_mark(self._folder.path)
            return None
        if (mark := read_engine_mark(self._folder.path)) is None:
            return None
        if newest.ended is not None:
            await self._release_ended(mark, newest)
            return None
        if self._request.options.engine_gone:
            await self._refuse_if_there(mark, newest)
            doubt_untold(self._database, newest, self._change)
        else:
            conductor = self._get_conductor(mark, newest)
            await conductor.connect()
            if (found := await conductor.find_session(self._folder.id, newest.number)) is not None:
                return found
            # A driver that was killed at its start may have given the engine nothing.
            if has_heard_engine(self._database, newest.number):
                doubt_untold(self._database, newest, self._change)
        remove_engine_mark(self._folder.path)
        return None

    async def adopt_next(self, newest: SessionRow | None) -> EngineSession | None:
        """Return the session after the ``newest`` one if the engine has it: it was begun from another folder.

        It is here then as one that was begun here, and without an end. None if there is none.
        """
        conductor = self._request.conductor
        if conductor is None or newest is None or newest.ended is None or newest.state == "complete":
            return None
        if self._request.options.take_over_only:
            return None
        number = newest.number + 1
        await conductor.connect()
        found = await conductor.find_session(self._folder.id, number)
        if found is None:
            return None
        options = SessionOptions(
            window=found.window,
            window_from="option",
            engine=conductor.address,
            engine_options=conductor.options,
        )
        with self._database.transaction():
            reopen(self._database, lambda _name, _wave: True)
            holder = msgspec.json.encode(LockHolder()).decode()
            insert_session(self._database, number, at=found.started, holder=holder, options=options)
        mark = EngineMark(address=conductor.address, session=number, options=conductor.options)
        write_engine_mark(self._folder.path, mark)
        return found

    def warn_of_elsewhere(self) -> None:
        """Remark that later sessions may have been done from other folders, where the engine is not asked."""
        if self._request.conductor is not None or self._request.options.engine_gone:
            return
        for row in reversed(read_sessions(self._database)):
            engine = None if row.options is None else row.options.engine
            if row.options is not None and engine and has_heard_engine(self._database, row.number):
                told = (
                    f"warning: session {row.number} was done on {engine}, which is not asked now: whether a"
                    " later one was done from another folder is not known;"
                    f" {row.options.to_engine} takes such a session over"
                )
                self._folder.remarks += (told,)
                return

    async def has_later(self, number: int) -> bool:
        """Return whether the engine has a session after that of the ``number``."""
        conductor = self._request.conductor
        return conductor is not None and await conductor.find_session(self._folder.id, number + 1) is not None

    async def _release_ended(self, mark: EngineMark, newest: SessionRow) -> None:
        """Let the engine forget a session whose process here was killed, or lost it, at its very end."""
        conductor = self._request.conductor
        if conductor is not None and conductor.address == _find_address(mark, newest):
            await conductor.connect()
            await conductor.release(self._folder.id, newest.number, self._folder.path)

    def _get_conductor(self, mark: EngineMark, newest: SessionRow) -> Conductor:
        conductor, address = self._request.conductor, _find_address(mark, newest)
        if conductor is None or conductor.address != address:
            options = _name_options(mark, newest)
            raise UsageError(
                f"run {self._folder.id} may still be at work on {address}: {options} takes it over. If that"
                " engine is gone for good, --engine-gone goes on without what it had not told"
            )
        return conductor

    async def _refuse_if_there(self, mark: EngineMark, newest: SessionRow) -> None:
        """Raise UsageError if the engine that is said to be gone still has the run."""
        conductor, run, address = self._request.conductor, self._folder.id, _find_address(mark, newest)
        if conductor is None or conductor.address != address:
            if (reach := self._request.options.reach_engine) is None:
                return
            conductor = reach(address)
        options = _name_options(mark, newest)
        take_over = f"`undeploy resume {run} {options}{self._folder.state_option}` takes it over"
        try:
            if not await conductor.is_there():
                return
            with anyio.fail_after(ANSWERS_WITHIN):
                found = await conductor.find_session(run, newest.number)
        except UsageError as unclear:
            raise UsageError(
                f"whether the engine of run {run} is gone cannot be told: {unclear}. Nothing was sent. If it"
                f" is there, {take_over}; else try again once nothing listens there"
            ) from None
        except TimeoutError:
            raise UsageError(
                f"{address} answers, and does not say within {ANSWERS_WITHIN:g} s whether it has run {run};"
                " nothing was sent. Try again"
            ) from None
        if found is not None and found.is_open:
            raise UsageError(
                f"run {run} is still open on {address}, which answers: the engine is not gone, and nothing"
                f" was sent. Leave --engine-gone out: {take_over}"
            )


def _find_address(mark: EngineMark, newest: SessionRow) -> str:
    """Return where the engine is: by its session, since a mark may be unreadable."""
    engine = newest.options.engine if newest.options is not None else None
    return engine or mark.address


def _name_options(mark: EngineMark, newest: SessionRow) -> str:
    """Return the options of a command that reaches the engine: of the newest command that did, if known."""
    if mark.options or newest.options is None:
        return mark.to_engine
    return newest.options.to_engine or mark.to_engine


def may_go_on(found: EngineSession, *, past_stop: bool) -> bool:
    """Return whether the run goes on after a session that was stopped before anybody took it over."""
    stop = found.stopped_by
    return stop is not None and (past_stop or not stop.startswith(f"{Reason.STOP_RULE}:"))
