"""The marks on the time axis of a report, as journals hold them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from orchestrator.journal.database import Database, create_database
from orchestrator.journal.folder import RunFolder
from orchestrator.journal.sessions import SessionOptions, WorkingTime, read_sessions
from orchestrator.journal.time_marks import MOST_READ, list_marks
from orchestrator.model.live_status import TimeMark
from orchestrator.model.plan import Window
from tests.journal.test_earlier_formats import STOPPED, unpack

NOTE = "INSERT INTO note (session, at, gateway, kind, text) VALUES (?, ?, ?, ?, ?)"


def test_the_report_of_a_kept_run_marks_its_waves_and_who_steered_and_stopped_it(tmp_path: Path) -> None:
    folder = RunFolder(unpack(2, tmp_path) / "runs" / STOPPED)

    with folder.open_source() as source:
        timeline = source.timeline(10)

    assert [(mark.kind, mark.text) for mark in timeline.marks] == [
        ("wave", "wave canary"),
        ("steer", "operator: limits roma-eu rate=20/s"),
        ("steer", "operator: skip roma-eu/*7"),
        ("wave", "wave rest"),
        ("steer", "operator: stop"),
        ("stop", "stopping: interrupt: operator stopped it (ops-1, process 30798)"),
    ]
    assert [round(span.started) for span in timeline.spans] == [1795873454]


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with closing(create_database(tmp_path / "journal.sqlite")) as made:
        yield made


def read(
    database: Database, *notes: tuple[int, float, str | None, str, str | None]
) -> list[tuple[float, str]]:
    with database.transaction():
        database.run_many(NOTE, notes)
    marks = list_marks(database, ("canary", "everything"), (), ())
    return [(mark.at, mark.text) for mark in marks]


def test_a_parked_lane_is_marked_until_it_answers_again(database: Database) -> None:
    told = read(
        database,
        (1, 1.0, "roma-eu", "open", None),
        (1, 2.0, "roma-eu", "parked", "parked: HTTP 503"),
        (1, 3.0, "roma-eu", "open", None),
        (1, 4.0, "roma-eu", "open", None),
        (1, 5.0, "apim", "closed", "denied: x"),
    )

    assert told == [(2.0, "roma-eu parked"), (3.0, "roma-eu answers again"), (5.0, "apim closed")]


def test_a_wave_is_marked_once_whatever_its_steps_and_sessions(database: Database) -> None:
    legs = [(1, 1.0, "0 0"), (1, 2.0, "1 0"), (1, 3.0, "1 1"), (2, 9.0, "1 1"), (2, 10.0, "1 2")]

    told = read(database, *((session, at, None, "leg", text) for session, at, text in legs))

    assert told == [(1.0, "wave canary"), (2.0, "wave everything")]


def test_a_later_session_and_the_close_of_the_window_are_marked(database: Database) -> None:
    closes = datetime.fromtimestamp(150.0, UTC)
    options = SessionOptions(window=Window(None, closes)).encode()
    with database.transaction():
        database.run_many(
            "INSERT INTO session (number, started, ended, holder, options) VALUES (?, ?, ?, '{}', ?)",
            [(1, 100.0, 120.0, options), (2, 140.0, 160.0, options)],
        )

    marks = list_marks(
        database, (), read_sessions(database), [WorkingTime(100, 140, 20), WorkingTime(140, 1e12, 20)]
    )

    assert marks == (
        TimeMark(at=140.0, kind="session", text="session 2 begins"),
        TimeMark(at=150.0, kind="close", text="the window closes"),
    )


def test_the_marks_of_a_run_that_was_steered_without_end_are_bounded(database: Database) -> None:
    """The waves and the stop are kept, wherever they stand among the acts; of the acts, the newest."""
    acts = [(1, float(n), None, "control", f"act {n}") for n in range(MOST_READ + 5)]
    begun, over = (1, 0.0, None, "leg", "0 0"), (1, 5000.0, None, "stopping", "window: closed")

    told = read(database, begun, *acts, over)

    assert told == [
        (0.0, "wave canary"),
        *((float(n), f"act {n}") for n in range(5, MOST_READ + 5)),
        (5000.0, "stopping: window: closed"),
    ]
