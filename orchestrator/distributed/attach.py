"""Makes the folder of a run anew from what a Temporal server keeps of it."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import msgspec
from msgspec import Struct
from msgspec.structs import replace
from temporalio.client import Client

from orchestrator.distributed.journal_pages import FetchJournal
from orchestrator.distributed.kept_runs import find_kept_run, read_run_start
from orchestrator.distributed.kept_schedules import has_schedule
from orchestrator.distributed.names import read_scheduled_run
from orchestrator.distributed.patience import make_brief_patience
from orchestrator.distributed.payloads import JournalPages, RunInput
from orchestrator.distributed.shipping import fetch_journal
from orchestrator.engine.options import RunOptions
from orchestrator.errors import JournalError, RunError, UsageError
from orchestrator.journal.database import Database, open_database
from orchestrator.journal.engine_mark import EngineMark, write_engine_mark
from orchestrator.journal.folder import RunFolder
from orchestrator.journal.holder import LockHolder
from orchestrator.journal.ledger import begin_ledger, go_on_with_ledger
from orchestrator.journal.meta import RunMeta, insert_meta
from orchestrator.journal.publishing import publish_draft
from orchestrator.journal.record import insert_session
from orchestrator.journal.sessions import SessionOptions, read_sessions
from orchestrator.model.credentials import Secret
from orchestrator.system.state_folder import runs_folder
from orchestrator.text.formats import format_moment


class RebuildRequest(Struct, frozen=True, kw_only=True):
    """Which run is to have a folder here, and where."""

    given: RunInput
    """The input of its workflow."""
    started: float
    """When the workflow started, in Unix seconds."""
    address: str
    """The server, as ``--on`` takes it."""
    options: str
    """The options of a command that reaches the server, as a shell takes them."""
    state: Path
    key: Secret | None = None
    """Signs the journal of a scheduled run, which has had no ledger so far."""


def refuse_kept_here(request: RebuildRequest) -> None:
    """Raise UsageError if the run has its folder here already: another one beside it would part from it."""
    path = runs_folder(request.state) / request.given.run
    if path.exists():
        state = RunFolder(path).state_option
        raise UsageError(
            f"run {request.given.run} is kept here already, in {path}: "
            f"`undeploy resume {request.given.run} {request.options}{state}` goes on with it"
        )


async def rebuild_folder(request: RebuildRequest, fetch: FetchJournal) -> RunFolder:
    """Return the run's new folder, with the journal with which its session began.

    A session that takes the results over makes the rest of it. Raises UsageError if the folder is there
    already, and JournalError where it cannot be made or the pages are not what was sent.
    """
    refuse_kept_here(request)
    try:
        place = Path(tempfile.mkdtemp(prefix="undeploy-"))
    except OSError as error:
        raise JournalError(f"the journal cannot be unpacked in the temporary folder: {error}") from error
    try:
        await fetch(request.given.journal, place)
        with closing(open_database(place / "journal.sqlite", write=True)) as database:
            _begin_session(database, request)
        mark = EngineMark(address=request.address, session=request.given.session, options=request.options)
        write_engine_mark(place, mark)
        return publish_draft(place, runs_folder(request.state) / request.given.run)
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _begin_session(database: Database, request: RebuildRequest) -> None:
    """Insert the session that the engine works on, unless the journal was sent with it.

    A schedule sends the journal before any session, and before the run has its id and its beginning.
    """
    given = request.given
    if any(session.number == given.session for session in read_sessions(database)):
        return
    if given.scheduled:
        with database.transaction():
            insert_meta(database, RunMeta(created=request.started))
            begin_ledger(database, request.key)
    go_on_with_ledger(database, request.key)
    options = msgspec.json.decode(given.options, type=SessionOptions)
    options = replace(options, window=given.window, engine=request.address, engine_options=request.options)
    with database.transaction():
        insert_session(
            database,
            given.session,
            at=request.started,
            holder=msgspec.json.encode(LockHolder()).decode(),
            options=options,
        )


async def rebuild_kept_run(
    client: Client, ref: str, address: str, options: RunOptions, tell: Callable[[str], None], *, on: str
) -> tuple[RunFolder, str]:
    """Return the new folder of the run that ``ref`` means at a server, and the id of its workflow.

    ``address`` is the server's, ``on`` the options of a command that reaches it; ``tell`` gets a line while
    it does not answer. Raises RunError for a run that it does not have, and as ``rebuild_folder``.
    """
    patience = make_brief_patience(tell)
    try:
        kept = await find_kept_run(client, ref)
    except RunError:
        await _explain_not_begun(client, ref)
        raise
    start = await read_run_start(client, kept.workflow, patience)
    if start.given.run != kept.id:
        # The name of the folder comes from there: it must not lead out of the state folder.
        raise RunError(f"workflow {kept.workflow} there is of another run, {start.given.run!r}: not ours")
    request = RebuildRequest(
        given=start.given,
        started=start.at,
        address=address,
        options=on,
        state=options.state,
        key=options.signing_key,
    )

    async def fetch(pages: JournalPages, folder: Path) -> None:
        await fetch_journal(client, pages, folder, patience)

    return await rebuild_folder(request, fetch), kept.workflow


async def _explain_not_begun(client: Client, ref: str) -> None:
    """Raise RunError if ``ref`` is a run that a schedule has yet to start."""
    found = read_scheduled_run(ref)
    if found is not None and await has_schedule(client, found[0]):
        name, at = found
        raise RunError(
            f"run {ref} has not begun: schedule {name} starts it at {format_moment(at)}, unless a run of"
            " it is at work then"
        )
