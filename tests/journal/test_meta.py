"""What a journal knows about its run as a whole, in the journals of this program and of older ones."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from orchestrator.errors import JournalError
from orchestrator.journal.database import Database, create_database
from orchestrator.journal.meta import (
    RunMeta,
    StoredConsent,
    insert_meta,
    insert_plan,
    read_meta,
    read_plan,
    read_plan_name,
)
from orchestrator.model.plan import RunId
from tests.support.journals import plan

CONSENT = StoredConsent(how="file", user="ada", host="ops-1", at=12.5)
RESTORE = RunMeta(
    digest="d" * 64,
    folder="/plans",
    source="s" * 64,
    planned="p" * 64,
    program="0.1.0",
    act="restore",
    parent=RunId("r2"),
    created=99.25,
    rehearsal=True,
    approved=CONSENT,
    approval_ends=120.0,
    brings_back=(RunId("r1"), RunId("r2")),
    accept=("missing-history",),
    unaccepted=(),
    unseen=3,
)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with closing(create_database(tmp_path / "journal.sqlite")) as made:
        yield made


def rows(database: Database) -> dict[str, object]:
    return dict(database.rows("SELECT key, value FROM meta"))


def test_every_key_comes_back_as_it_was(database: Database) -> None:
    insert_meta(database, RESTORE)

    assert read_meta(database) == RESTORE
    assert set(rows(database)) == set(RunMeta.__struct_fields__)


def test_the_rows_are_those_that_an_older_program_reads(database: Database) -> None:
    insert_meta(database, RESTORE)

    found = rows(database)
    assert found["approved"] == '{"how":"file","user":"ada","host":"ops-1","at":12.5}'
    assert found["brings_back"] == '["r1","r2"]'
    assert (found["act"], found["rehearsal"], found["created"]) == ("restore", 1, 99.25)


def test_a_restore_has_the_rows_without_which_older_programs_do_not_read_it(database: Database) -> None:
    insert_meta(database, RunMeta(act="restore"))

    assert rows(database) == {"act": "restore", "brings_back": "[]", "accept": "[]", "unseen": 0}


def test_keys_may_come_one_after_the_other(database: Database) -> None:
    insert_meta(database, RunMeta(digest="d"))
    insert_meta(database, RunMeta(created=1.5))
    insert_meta(database, RunMeta(approved=CONSENT))

    assert read_meta(database) == RunMeta(digest="d", created=1.5, approved=CONSENT)
    with pytest.raises(JournalError, match="UNIQUE"):
        insert_meta(database, RunMeta(created=2.5))


def test_a_journal_without_a_key_has_its_default(database: Database) -> None:
    assert read_meta(database) == RunMeta()


def test_a_key_of_a_newer_program_is_passed_over(database: Database) -> None:
    database.run("INSERT INTO meta VALUES ('colour', 'green'), ('parent', NULL)")

    assert read_meta(database) == RunMeta()


@pytest.mark.parametrize(
    ("before", "now"), [("--yes", "yes"), ("digest typed", "prompt"), ("digest given", "digest")]
)
def test_the_words_of_older_programs_for_a_consent_are_understood(
    database: Database, before: str, now: str
) -> None:
    stored = f'{{"how":"{before}","user":"ada","host":"ops-1","at":1.0}}'
    database.run("INSERT INTO meta VALUES ('approved', ?)", (stored,))

    approved = read_meta(database).approved
    assert approved is not None
    assert (approved.how, approved.by) == (now, "ada on ops-1")


@pytest.mark.parametrize("stored", ["", "yes", "{}", '{"how":"by post","user":"a","host":"b","at":1.0}'])
def test_a_consent_that_cannot_be_read_does_not_hide_the_rest(database: Database, stored: str) -> None:
    database.run("INSERT INTO meta VALUES ('approved', ?), ('digest', 'd')", (stored,))

    assert read_meta(database) == RunMeta(digest="d")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("act", "dance"),
        ("brings_back", "r1"),
        ("created", "noon"),
        ("created", 1e308),
        ("approval_ends", -1e11),
    ],
)
def test_a_key_that_cannot_be_read_is_told_with_the_journal(
    database: Database, key: str, value: str | float
) -> None:
    database.run("INSERT INTO meta VALUES (?, ?)", (key, value))

    with pytest.raises(JournalError, match=r"journal\.sqlite: the table `meta` cannot be read"):
        read_meta(database)


def test_a_restore_from_before_chains_brings_back_its_parent() -> None:
    assert RunMeta(act="restore", parent=RunId("r1")).restored_runs == ("r1",)
    assert RESTORE.restored_runs == ("r1", "r2")
    assert RunMeta(parent=RunId("r1")).restored_runs == ()


def test_the_plan_stands_beside_the_other_keys(database: Database) -> None:
    assert read_plan_name(database) == ""
    with pytest.raises(JournalError, match="holds no plan"):
        read_plan(database)

    insert_plan(database, plan())

    assert read_plan(database) == plan()
    assert read_plan_name(database) == "retirement"
