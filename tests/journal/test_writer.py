"""When a row is on disk, and who is told when it is not."""

import asyncio
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import anyio
import pytest

from orchestrator.errors import DiskError, JournalError
from orchestrator.journal.database import Database, open_database
from orchestrator.journal.schema import INSERT_INTENT, UPDATE_OUTCOME, UPDATE_RESULT
from orchestrator.journal.writer import IDLE, LAST_COMMIT, GroupCommitWriter
from tests.support.journals import small, writable

NOTE = "INSERT INTO note (session, at, kind, text) VALUES (1, 0.0, 'warning', ?)"


def texts(path: Path) -> list[str]:
    """Read the notes through a connection of its own, which sees only what is committed."""
    with closing(open_database(path, write=False)) as other:
        return [text for (text,) in other.rows("SELECT text FROM note ORDER BY number")]


class Counting(Database):
    """Counts its commits, and can hold them up."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.commits = 0
        self.gate = threading.Event()
        self.gate.set()

    def commit(self) -> None:
        self.gate.wait()
        super().commit()
        self.commits += 1


@asynccontextmanager
async def writing(folder: Path) -> AsyncIterator[tuple[GroupCommitWriter, Counting]]:
    database = Counting(small(folder))
    database.make_durable()
    writer = GroupCommitWriter(database)
    try:
        yield writer, database
    finally:
        database.gate.set()
        await writer.close()


@pytest.mark.promise(2)
async def test_a_write_returns_once_another_connection_sees_it(tmp_path: Path) -> None:
    async with writing(tmp_path) as (writer, database):
        database.gate.clear()
        writer.post(NOTE, ("posted before",))
        pending = asyncio.ensure_future(writer.write(NOTE, ("written",)))
        await asyncio.sleep(IDLE * 2)
        assert not pending.done()
        assert texts(database.path) == []

        database.gate.set()
        await pending
        assert texts(database.path) == ["posted before", "written"]


@pytest.mark.promise(2)
async def test_a_commit_reaches_the_disk_before_it_returns(tmp_path: Path) -> None:
    async with writing(tmp_path) as (_, database):
        assert database.one("PRAGMA journal_mode")[0] == "wal"
        assert database.one("PRAGMA synchronous")[0] == 2  # FULL


async def test_a_hundred_writes_at_once_share_their_commits(tmp_path: Path) -> None:
    async with writing(tmp_path) as (writer, database):
        database.gate.clear()
        first = asyncio.ensure_future(writer.write(NOTE, ("first",)))
        await asyncio.sleep(0)
        rest = [asyncio.ensure_future(writer.write(NOTE, (f"{number}",))) for number in range(100)]
        await asyncio.sleep(0)
        database.gate.set()
        await asyncio.gather(first, *rest)
        assert database.commits <= 2
        assert texts(database.path) == ["first", *map(str, range(100))]


async def test_what_nobody_waits_for_is_committed_a_moment_later(tmp_path: Path) -> None:
    async with writing(tmp_path) as (writer, database):
        writer.post(NOTE, ("one",))
        writer.post(NOTE, ("two",))
        assert texts(database.path) == []
        async with asyncio.timeout(10):
            while database.commits == 0:  # noqa: ASYNC110 - a thread counts them
                await asyncio.sleep(IDLE / 5)
        assert texts(database.path) == ["one", "two"]


async def test_what_is_posted_during_a_commit_goes_into_the_next(tmp_path: Path) -> None:
    async with writing(tmp_path) as (writer, database):
        database.gate.clear()
        first = asyncio.ensure_future(writer.write(NOTE, ("first",)))
        await asyncio.sleep(IDLE / 5)
        writer.post(NOTE, ("meanwhile",))
        database.gate.set()
        await first
        await writer.flush()
        assert texts(database.path) == ["first", "meanwhile"]


async def test_results_and_outcomes_precede_what_follows_them(tmp_path: Path) -> None:
    """Rows are put together by statement; whatever depends on them must not overtake them."""
    async with writing(tmp_path) as (writer, database):
        await writer.write(INSERT_INTENT, (1, 1, "undeploy", "", 1.0))
        writer.post(UPDATE_OUTCOME, ("undeployed", None, "204", 0.1, 2.0, 1))
        writer.post(UPDATE_RESULT, (0.1, 204, None, None, "removed", 1, None, 1, 1))
        writer.post("UPDATE target SET outcome = 'not_started' WHERE outcome IS NULL", ())
        writer.post(UPDATE_OUTCOME, ("failed", "refused: x", None, 0.1, 3.0, 3))
        await writer.write(INSERT_INTENT, (2, 1, "undeploy", "", 3.0))
        with closing(open_database(database.path, write=False)) as other:
            rows = list(other.rows("SELECT outcome FROM target ORDER BY seq"))
            assert rows == [("undeployed",), ("not_started",), ("failed",)]
            assert list(other.rows("SELECT seq, status FROM attempt")) == [(1, 204), (2, None)]


async def test_an_intent_and_its_result_in_one_commit_follow_one_another(tmp_path: Path) -> None:
    """So rows of another machine come; a result before that belongs to an earlier intent."""
    async with writing(tmp_path) as (writer, database):
        await writer.write(INSERT_INTENT, (1, 1, "undeploy", "", 1.0))
        writer.post(UPDATE_RESULT, (0.1, 204, None, None, "removed", 1, None, 1, 1))
        writer.post(INSERT_INTENT, (2, 1, "undeploy", "", 2.0))
        writer.post(UPDATE_RESULT, (0.1, 403, None, None, "refused", 1, None, 2, 1))
        await writer.write(NOTE, ("over",))
        with closing(open_database(database.path, write=False)) as other:
            assert list(other.rows("SELECT seq, status FROM attempt")) == [(1, 204), (2, 403)]


@pytest.mark.promise(2)
async def test_on_a_full_disk_the_intent_is_absent_and_results_wait(tmp_path: Path) -> None:
    async with writing(tmp_path) as (writer, database):
        pages = database.one("PRAGMA page_count")[0]
        database.one(f"PRAGMA max_page_count = {pages}")
        writer.post(NOTE, ("a result",))
        with pytest.raises(DiskError, match=r"journal\.sqlite: .*full"):
            await writer.write(NOTE, ("an intent" + "!" * 100_000,))
        database.one("PRAGMA max_page_count = 100000")
        await writer.flush()
        assert texts(database.path) == ["a result"]


@pytest.mark.promise(2)
async def test_an_intent_is_not_durable_in_a_file_that_nobody_finds_again(tmp_path: Path) -> None:
    """SQLite goes on to write a file that was removed, as by `git clean` in the plan's folder."""
    async with writing(tmp_path) as (writer, database):
        await writer.write(NOTE, ("before",))
        elsewhere = database.path.rename(tmp_path / "elsewhere.sqlite")
        with pytest.raises(DiskError, match=r"journal\.sqlite: somebody removed the journal"):
            await writer.write(NOTE, ("an intent",))
        elsewhere.rename(database.path)
        await writer.write(NOTE, ("after",))
        assert texts(database.path) == ["before", "after"]


async def test_while_the_disk_is_full_every_waiter_is_told(tmp_path: Path) -> None:
    async with writing(tmp_path) as (writer, database):
        pages = database.one("PRAGMA page_count")[0]
        database.one(f"PRAGMA max_page_count = {pages}")
        writer.post(NOTE, ("x" * 100_000,))
        tries = await asyncio.gather(
            *(writer.write(NOTE, ("y",)) for _ in range(20)), writer.flush(), return_exceptions=True
        )
        assert {type(each) for each in tries} == {DiskError}
        with pytest.raises(DiskError):
            await writer.write(NOTE, ("later",))
        assert texts(database.path) == []


CRAMPED = """
import asyncio, resource, signal, sys
from pathlib import Path
from orchestrator.errors import DiskError
from orchestrator.journal.database import open_database
from orchestrator.journal.writer import GroupCommitWriter

async def main(path):
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    database = open_database(path, write=True)
    writer = GroupCommitWriter(database)
    note = "INSERT INTO note (session, at, kind, text) VALUES (1, 0.0, 'warning', ?)"
    await writer.write(note, ("before",))
    size = max(each.stat().st_size for each in path.parent.iterdir())
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
    writer.post(note, ("posted",))
    try:
        await writer.write(note, ("x" * 50_000,))
    except DiskError as error:
        print(error)
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    await writer.close()

asyncio.run(main(Path(sys.argv[1])))
"""


@pytest.mark.promise(2)
def test_a_disk_that_takes_no_more_bytes_is_told_with_the_path(tmp_path: Path) -> None:
    path = small(tmp_path)
    command = [sys.executable, "-c", CRAMPED, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"{path}: ")
    assert texts(path) == ["before", "posted"]


async def test_close_commits_what_is_queued_and_ends_the_thread(tmp_path: Path) -> None:
    before = threading.active_count()
    async with writing(tmp_path) as (writer, database):
        writer.post(NOTE, ("last",))
        await writer.close()
        assert texts(database.path) == ["last"]
        await writer.close()
    assert threading.active_count() == before
    with pytest.raises(JournalError, match="the journal is closed"):
        await writer.write(NOTE, ("too late",))


async def test_close_on_a_full_disk_comes_back(tmp_path: Path) -> None:
    async with writing(tmp_path) as (writer, database):
        pages = database.one("PRAGMA page_count")[0]
        database.one(f"PRAGMA max_page_count = {pages}")
        writer.post(NOTE, ("x" * 100_000,))
    assert texts(database.path) == []


@pytest.mark.promise(10)
async def test_close_does_not_wait_for_a_disk_that_never_answers_once_it_is_cut_off(tmp_path: Path) -> None:
    async with writing(tmp_path) as (writer, database):
        database.gate.clear()
        writer.post(NOTE, ("never committed",))
        began = asyncio.get_running_loop().time()
        with anyio.move_on_after(0.1):
            await writer.close()

        assert asyncio.get_running_loop().time() - began < 0.1 + LAST_COMMIT + 5  # or never
        database.gate.set()
        writer._thread.join()
        database.close()


async def test_a_waiter_that_is_cancelled_harms_nobody(tmp_path: Path) -> None:
    """Its row may be in the journal all the same: an intent too many is a look too many, not a loss."""
    async with writing(tmp_path) as (writer, database):
        database.gate.clear()
        first = asyncio.ensure_future(writer.write(NOTE, ("first",)))
        await asyncio.sleep(IDLE / 5)
        given_up = asyncio.ensure_future(writer.write(NOTE, ("given up",)))
        probe = asyncio.ensure_future(writer.write(NOTE, ("patient",)))
        await asyncio.sleep(0)
        for task in (first, given_up):
            task.cancel()
        await asyncio.gather(first, given_up, return_exceptions=True)
        database.gate.set()
        await probe
        assert first.cancelled()
        assert given_up.cancelled()
        assert texts(database.path) == ["first", "given up", "patient"]


class Unstorable:
    """A value that SQLite takes nowhere, as only a bug would hand in."""


@pytest.mark.parametrize("bad", [Unstorable(), 2**70, "\ud800"], ids=["type", "too large", "half a pair"])
async def test_a_row_that_cannot_be_stored_hangs_nobody(tmp_path: Path, bad: object) -> None:
    async with writing(tmp_path) as (writer, database):
        tries = asyncio.gather(
            writer.write(NOTE, (bad,)),  # type: ignore[arg-type]
            writer.write(NOTE, ("beside it",)),
            return_exceptions=True,
        )
        assert all(isinstance(each, Exception) for each in await asyncio.wait_for(tries, 5))
        await writer.write(NOTE, ("after",))
        assert texts(database.path) == ["after"]


class Buggy(Counting):
    broken = False

    def commit(self) -> None:
        if self.broken:
            raise ZeroDivisionError("a bug")
        super().commit()


async def test_a_bug_in_the_thread_reaches_who_waits_and_close_still_ends_it(tmp_path: Path) -> None:
    before = threading.active_count()
    database = Buggy(small(tmp_path))
    database.make_durable()
    writer = GroupCommitWriter(database)
    database.broken = True
    with pytest.raises(ZeroDivisionError):
        await asyncio.wait_for(writer.write(NOTE, ("lost",)), 5)
    with pytest.raises(ZeroDivisionError):
        await asyncio.wait_for(writer.close(), 5)
    assert threading.active_count() == before
    assert texts(database.path) == []


async def test_a_folder_that_turned_read_only_is_a_disk_error(tmp_path: Path) -> None:
    with closing(writable(tmp_path)) as database:
        database.run("PRAGMA query_only=ON")
        writer = GroupCommitWriter(database)
        with pytest.raises(DiskError, match="readonly"):
            await writer.write(NOTE, ("x",))
        await writer.close()
