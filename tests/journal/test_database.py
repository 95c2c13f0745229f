"""What is told of a file that is no journal of ours, or none any more."""

import gc
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from orchestrator.errors import DiskError, JournalError
from orchestrator.journal.database import create_database, open_database
from orchestrator.journal.schema import FORMAT
from tests.support.journals import small


def damage(path: Path) -> None:
    """Put other bytes in the middle of every page but the first."""
    raw = bytearray(path.read_bytes())
    for page in range(4096, len(raw), 4096):
        raw[page : page + 64] = bytes(range(1, 65))
    path.write_bytes(raw)


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def tell_other_format(path: Path) -> None:
    with closing(sqlite3.connect(path)) as other:
        other.execute(f"PRAGMA user_version = {FORMAT + 1}")


def replace_by_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def replace_by_stranger(path: Path) -> None:
    path.unlink()
    with closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE target (id)")


@pytest.mark.parametrize("write", [False, True], ids=["read", "write"])
@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (Path.unlink, "there is no journal here"),
        (replace_by_folder, "there is no journal here"),
        (lambda path: path.write_bytes(b""), "this is not a journal of this program"),
        (lambda path: path.write_text("waves:\n" * 2000), "file is not a database"),
        (replace_by_stranger, "this is not a journal of this program"),
        (tell_other_format, f"this journal has format {FORMAT + 1}; this version .* reads format {FORMAT}"),
        (truncate, "malformed|damaged"),
        (damage, "malformed|damaged"),
    ],
    ids=["missing", "folder", "empty", "text", "stranger", "newer", "truncated", "corrupt"],
)
def test_a_file_that_cannot_be_used_is_named_with_the_reason(
    tmp_path: Path, spoil: Callable[[Path], object], told: str, write: bool
) -> None:
    path = small(tmp_path, 2000)
    spoil(path)
    with pytest.raises(JournalError, match=told) as caught:
        open_database(path, write=write)
    assert str(caught.value).startswith(f"{path}: ")


def test_what_was_refused_is_not_changed(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("of somebody else\n" * 500)
    with pytest.raises(JournalError):
        open_database(path, write=True)
    assert path.read_text() == "of somebody else\n" * 500
    assert [each.name for each in tmp_path.iterdir()] == ["notes.txt"]


def test_what_cannot_be_made_or_copied_is_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An open connection would be told, and fail the test: see ``tests/conftest.py``."""
    read = open_database(small(tmp_path), write=False)
    read.close()
    with pytest.raises(JournalError, match="closed"):
        read.leave_file()

    monkeypatch.setattr("orchestrator.journal.database.TABLES", "no statement")
    with pytest.raises(JournalError, match="syntax error"):
        create_database(tmp_path / "j.sqlite")


def test_reading_cannot_write(tmp_path: Path) -> None:
    with closing(open_database(small(tmp_path), write=False)) as database:
        with pytest.raises(DiskError, match="readonly"), database.transaction():
            database.run("DELETE FROM target")
        assert database.one("SELECT COUNT(*) FROM target") == (3,)


@pytest.mark.parametrize("last", ["INSERT INTO meta VALUES ('digest', 'again')", "SELECT no_such_thing"])
def test_a_transaction_that_fails_leaves_nothing(tmp_path: Path, last: str) -> None:
    def change(*statements: str) -> None:
        with database.transaction():
            for statement in statements:
                database.run(statement)

    with closing(open_database(small(tmp_path), write=True)) as database:
        with pytest.raises(JournalError, match=r"journal\.sqlite: "):
            change("DELETE FROM target WHERE seq = 1", last)
        assert database.one("SELECT COUNT(*) FROM target") == (3,)
        change("DELETE FROM target WHERE seq = 1")
        assert database.one("SELECT COUNT(*) FROM target") == (2,)


def test_a_reader_sees_what_is_committed_while_the_writer_goes_on(tmp_path: Path) -> None:
    path = small(tmp_path)
    with (
        closing(open_database(path, write=True)) as writer,
        closing(open_database(path, write=False)) as reader,
    ):
        with writer.transaction():
            writer.run("DELETE FROM target WHERE seq = 1")
            assert reader.one("SELECT COUNT(*) FROM target") == (3,)
        assert reader.one("SELECT COUNT(*) FROM target") == (2,)


def test_a_reader_that_stopped_half_way_may_be_forgotten_after_the_end(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    database = create_database(tmp_path / "j.sqlite")
    rows = database.rows("VALUES (1), (2), (3)")
    assert next(rows) == (1,)
    database.close()
    del rows
    gc.collect()

    assert capsys.readouterr().err == ""


def test_a_path_with_signs_of_a_url_is_a_path(tmp_path: Path) -> None:
    folder = tmp_path / "50% of? it#all ü"
    folder.mkdir()
    with closing(open_database(small(folder), write=True)) as database:
        assert database.one("SELECT COUNT(*) FROM target") == (3,)
    assert (folder / "journal.sqlite").is_file()
