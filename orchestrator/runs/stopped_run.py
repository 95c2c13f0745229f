"""A run that is to be resumed, as its journal has it."""

from __future__ import annotations

from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from orchestrator.engine.options import RunOptions
from orchestrator.errors import RunError
from orchestrator.journal.database import Database
from orchestrator.journal.folder import RunFolder
from orchestrator.journal.meta import RunMeta, read_meta, read_plan
from orchestrator.journal.notes import read_stop_rule
from orchestrator.journal.restores import Restore, find_restores, select_restores
from orchestrator.journal.sessions import SessionOptions, SessionRow, read_sessions
from orchestrator.model.outcome import Reason
from orchestrator.model.plan import Plan
from orchestrator.model.reading import DEPLOY, UNDEPLOY, Operation
from orchestrator.runs.prepare import ChosenWindow, WindowOrigin, choose_window
from orchestrator.system.state_folder import runs_folder


class StoppedRun(Struct, frozen=True, kw_only=True):
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

    def read_earlier_options(self) -> SessionOptions:
        """Return the options of the session before. Raises RunError where they cannot be read.

        Nothing is guessed in their place: a resume without that session's window could send outside of it.
        """
        if self.newest is None:
            return SessionOptions()
        if self.newest.options is None:
            raise RunError(
                f"{self.folder.journal}: the options of session {self.newest.number} cannot be read"
            )
        return self.newest.options

    def choose_window(self) -> ChosenWindow:
        """Return the window that is given now, else that of the session before, else the plan's."""
        earlier = self.read_earlier_options()
        if earlier.window is None or earlier.window == self.plan.window:
            return choose_window(self.options.window, self.plan.window)
        # Older journals do not say where a window came from: one that is not the plan's was an option.
        origin: WindowOrigin = "plan" if earlier.window_from == "plan" else "option"
        return choose_window(self.options.window, earlier.window, origin)

    def find_stop_rule(self) -> str | None:
        """Return the stop rule that has fired in the newest session, even if that was killed afterwards."""
        newest = self.newest
        if newest is None:
            return None
        if newest.stopped_by and newest.stopped_by.startswith(Reason.STOP_RULE):
            return newest.stopped_by
        return read_stop_rule(self.database, newest.number)

    def find_restores(self) -> tuple[Restore, ...]:
        """Return the restores of a run, those that are kept in our own state folder among them."""
        found = {restore.id: restore for place in self.list_places() for restore in find_restores(place)}
        return select_restores(self.folder.id, (found[name] for name in sorted(found)))

    def list_places(self) -> set[Path]:
        """Return the folders in which restores of a run are kept."""
        # A run may have been moved to another place since: its restores are beside it, or here.
        return {self.folder.path.resolve().parent, runs_folder(self.options.state).resolve()}


def read_stopped_run(folder: RunFolder, database: Database, options: RunOptions) -> StoppedRun:
    """Read what a resume with these ``options`` needs of a run. Raises JournalError."""
    meta = read_meta(database)
    if meta.act != "undeploy":
        # A protected target is meant to be up: no pattern keeps a restore from it.
        options = replace(options, protect=(), protect_files=())
    return StoppedRun(
        folder=folder,
        database=database,
        meta=meta,
        plan=read_plan(database),
        change=UNDEPLOY if meta.act == "undeploy" else DEPLOY,
        newest=next(reversed(read_sessions(database)), None),
        options=options,
    )
