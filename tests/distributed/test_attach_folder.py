"""The folder of a run that was made anew: whole, or not there at all."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import anyio
import pytest
from msgspec.structs import replace

from orchestrator.api import load_plan
from orchestrator.distributed.attach import RebuildRequest, rebuild_folder
from orchestrator.distributed.payloads import JournalPages, RunInput
from orchestrator.errors import JournalError, UsageError
from orchestrator.journal.audit import audit_journal
from orchestrator.journal.engine_mark import EngineMark, read_engine_mark
from orchestrator.journal.meta import read_meta
from orchestrator.journal.run_lookup import list_runs
from orchestrator.journal.sessions import SessionOptions, read_sessions
from orchestrator.model.plan import RunId, StopWhen, Window

ADDRESS = "temporal://127.0.0.1:7233/default"
OPTIONS = f"--on {ADDRESS} --tls"
STARTED = 1_795_000_000.0
PLAN = """\
version: 1
name: far
gateways:
  a: {kind: apinizer, url: https://a.example.com, auth: {token: {env: NOT_SET_HERE}}}
targets:
  - {gateway: a, project: P, proxies: [one, two], environment: e}
"""
GIVEN = RunInput(
    run=RunId("20261122-220000-far-25b7"),
    session=1,
    plan="far",
    act="undeploy",
    journal=JournalPages(workflow="undeploy/scheduled/far-25b7", pages=1, size=1, digest=""),
    steps=(),
    gateways={},
    stop_when=StopWhen(),
    window=Window(None, None),
    scheduled=True,
    options=SessionOptions(only=("a/**",), window_from="option").encode(),
)


@pytest.fixture
def sent(tmp_path: Path) -> Iterator[Path]:
    """The journal and the plan of a schedule, as they were sent."""
    (tmp_path / "plan.yaml").write_text(PLAN)
    with load_plan(tmp_path / "plan.yaml") as loaded:
        loaded.draft.close()
        yield loaded.place


class Fetching:
    """Stands for the pages of a journal."""

    def __init__(self, sent: Path) -> None:
        self._sent = sent

    async def __call__(self, pages: JournalPages, folder: Path) -> None:
        assert pages == GIVEN.journal
        for name in ("journal.sqlite", "plan.yaml"):
            shutil.copyfile(self._sent / name, folder / name)


def request(state: Path, given: RunInput = GIVEN) -> RebuildRequest:
    return RebuildRequest(given=given, started=STARTED, address=ADDRESS, options=OPTIONS, state=state)


def test_the_folder_of_a_scheduled_run_has_its_beginning(sent: Path, tmp_path: Path) -> None:
    folder = anyio.run(rebuild_folder, request(tmp_path / "state"), Fetching(sent))

    assert [run.path for run in list_runs(tmp_path / "state")] == [folder.path]
    assert folder.plan.read_text() == PLAN
    with closing(folder.open()) as database:
        assert read_meta(database).created == STARTED
        (session,) = read_sessions(database)
    assert (session.number, session.started, session.ended) == (1, STARTED, None)
    assert session.options == SessionOptions(
        only=("a/**",),
        window=Window(None, None),
        window_from="option",
        engine=ADDRESS,
        engine_options=OPTIONS,
    )
    assert read_engine_mark(folder.path) == EngineMark(address=ADDRESS, session=1, options=OPTIONS)
    assert (folder.read_state(), folder.path.stat().st_mode & 0o777) == ("running", 0o700)


def test_the_ledger_of_a_scheduled_run_begins_with_its_folder(sent: Path, tmp_path: Path) -> None:
    folder = anyio.run(rebuild_folder, request(tmp_path / "state"), Fetching(sent))

    with closing(folder.open()) as database:
        audit = audit_journal(database)
    assert (audit.holds, audit.commits > 0) == (True, True)


def test_a_journal_that_came_with_its_session_is_left_as_it_is(sent: Path, tmp_path: Path) -> None:
    first = anyio.run(rebuild_folder, request(tmp_path / "first"), Fetching(sent))
    driven = replace(GIVEN, scheduled=False, options="{}")
    with closing(first.open()) as database:
        before = read_sessions(database)

    second = anyio.run(rebuild_folder, request(tmp_path / "second", driven), Fetching(first.path))

    with closing(second.open()) as database:
        assert read_sessions(database) == before


def test_a_run_that_is_kept_here_is_not_made_anew(sent: Path, tmp_path: Path) -> None:
    asked = request(tmp_path / "state")
    folder = anyio.run(rebuild_folder, asked, Fetching(sent))
    before = folder.journal.read_bytes()

    with pytest.raises(UsageError, match=f"kept here already.*undeploy resume {folder.id} {OPTIONS} "):
        anyio.run(rebuild_folder, asked, Fetching(sent))
    assert folder.journal.read_bytes() == before


def test_nothing_is_left_where_the_pages_cannot_be_fetched(tmp_path: Path) -> None:
    async def fail(pages: JournalPages, folder: Path) -> None:
        (folder / "journal.sqlite").write_bytes(b"half")
        raise JournalError("the pages are not what was sent")

    with pytest.raises(JournalError, match="not what was sent"):
        anyio.run(rebuild_folder, request(tmp_path / "state"), fail)
    assert list_runs(tmp_path / "state") == []
