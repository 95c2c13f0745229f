"""A journal in pages: packed, unpacked, and refused where it is not the one that was sent."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from orchestrator.distributed import journal_pages
from orchestrator.distributed.journal_pages import pack_journal, unpack_journal
from orchestrator.errors import JournalError
from orchestrator.journal.database import open_database
from orchestrator.journal.meta import read_meta, read_plan
from tests.support.journals import writable


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder of a run, whose journal is open and written to."""
    place = tmp_path / "run"
    place.mkdir()
    writable(place, 50).close()
    (place / "plan.yaml").write_text("version: 1\n")
    return place


def unpacked(folder: Path) -> Path:
    into = folder.parent / "elsewhere"
    into.mkdir()
    return into


def test_a_journal_comes_out_as_it_went_in(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_pages, "PAGE_BYTES", 1000)
    database = open_database(folder / "journal.sqlite", write=True)
    try:
        # In the file beside the database, as rows are while a run goes on.
        database.run("UPDATE target SET outcome = 'failed' WHERE seq = 7")
        packed = pack_journal(folder, "undeploy/run/1")
    finally:
        database.close()

    into = unpacked(folder)
    unpack_journal(packed.pages, packed.journal, into)

    assert packed.journal.pages == len(packed.pages) > 2
    assert max(map(len, packed.pages)) == 1000
    assert (into / "plan.yaml").read_text() == "version: 1\n"
    assert ((into / "journal.sqlite").stat().st_mode & 0o777) == 0o600
    copy = open_database(into / "journal.sqlite", write=False)
    try:
        assert list(copy.rows("SELECT seq FROM target WHERE outcome = 'failed'")) == [(7,)]
        assert copy.one("SELECT COUNT(*) FROM target")[0] == 50
        assert read_meta(copy).digest == "d" * 64
        assert read_plan(copy).name == "retirement"
    finally:
        copy.close()


def test_pages_that_were_not_sent_are_refused(folder: Path) -> None:
    packed = pack_journal(folder, "undeploy/run/1")
    into = unpacked(folder)

    for pages, journal in (
        ([*packed.pages[:-1], packed.pages[-1][:-9]], packed.journal),
        ([b"nothing of the sort"], packed.journal),
        (packed.pages, replace(packed.journal, digest="0" * 64)),
        (packed.pages, replace(packed.journal, size=packed.journal.size - 1)),
    ):
        with pytest.raises(JournalError, match="the pages of the journal"):
            unpack_journal(pages, journal, into)

    assert list(into.iterdir()) == []
