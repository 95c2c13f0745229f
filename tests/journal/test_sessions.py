"""The sessions of a run, and how long each worked."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from orchestrator.journal.database import Database
from orchestrator.journal.holder import LockHolder
from orchestrator.journal.sessions import SessionOptions, measure_sessions, read_sessions
from orchestrator.model.plan import Window
from tests.support.journals import writable

SESSION = "INSERT INTO session (number, started, holder, options, seconds) VALUES (?, ?, ?, ?, ?)"
OPTIONS = SessionOptions(
    only=("a/*",), window=Window(None, datetime(2026, 11, 28, tzinfo=UTC)), window_from="option"
)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with closing(writable(tmp_path)) as opened:
        yield opened


def test_the_options_come_back_as_they_were(database: Database) -> None:
    database.run(SESSION, (1, 1.0, '{"user":"ada","host":"ops-1"}', OPTIONS.encode(), 2.0))

    (session,) = read_sessions(database)
    assert (session.number, session.started, session.seconds) == (1, 1.0, 2.0)
    assert session.options == OPTIONS
    assert session.holder == LockHolder(user="ada", host="ops-1")


def test_the_text_of_the_options_is_the_one_that_an_older_program_reads() -> None:
    assert OPTIONS.encode() == (
        '{"only":["a/*"],"skip":[],"waves":[],'
        '"window":{"opens":null,"closes":"2026-11-28T00:00:00Z"},"window_from":"option","engine":null}'
    )


def test_options_and_holder_that_cannot_be_read_are_told_apart_from_empty_ones(database: Database) -> None:
    database.run(SESSION, (1, 1.0, "", '{"window": 7}', None))
    database.run(SESSION, (2, 2.0, "{}", "{}", None))

    spoiled, empty = read_sessions(database)
    assert (spoiled.options, spoiled.holder) == (None, LockHolder())
    assert empty.options == SessionOptions()


def test_a_session_without_an_end_worked_until_its_last_sign_of_life(database: Database) -> None:
    database.run(SESSION, (1, 10.0, "{}", "{}", None))
    database.run(SESSION, (2, 100.0, "{}", "{}", 7.0))
    attempt = (
        "INSERT INTO attempt (seq, number, act, via, started, seconds) VALUES (1, 1, 'look', '', 12.0, 3.0)"
    )
    database.run(attempt)

    killed, whole = measure_sessions(database, read_sessions(database))
    assert (killed.started, killed.following, killed.seconds) == (10.0, 100.0, 5.0)
    assert whole.seconds == 7.0
