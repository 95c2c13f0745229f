"""Segments: rows and events of another machine, on their way and into the journal."""

from __future__ import annotations

import zlib
from pathlib import Path

import anyio
import pytest

from orchestrator.errors import JournalError
from orchestrator.journal.database import open_database
from orchestrator.journal.notes import read_taken
from orchestrator.journal.record import TRANSFERRED, SessionRecord
from orchestrator.journal.schema import INSERT_INTENT, UPDATE_OUTCOME, UPDATE_RESULT
from orchestrator.journal.transfer import decode_segment, encode_segment, name_row
from orchestrator.journal.writer import GroupCommitWriter
from orchestrator.model.events import AttemptStarted, TargetEnded
from orchestrator.model.outcome import Outcome
from orchestrator.model.reading import Act
from orchestrator.model.target import TargetId
from tests.support.journals import writable

EVENTS = (
    AttemptStarted(at=1.0, target=TargetId("roma/a1"), gateway="roma", number=1, act=Act.UNDEPLOY),
    TargetEnded(
        at=2.0,
        target=TargetId("roma/a1"),
        gateway="roma",
        wave="everything",
        outcome=Outcome.UNDEPLOYED,
        reason=None,
        evidence="204",
        seconds=1.0,
        attempts=1,
    ),
)
ROWS = (
    name_row(INSERT_INTENT, (1, 1, "undeploy", "undeploy", 1.5)),
    name_row(UPDATE_RESULT, (0.5, 204, None, "ü", "removed", True, None, 1, 1)),
    name_row(UPDATE_OUTCOME, ("undeployed", None, "204", 0.5, 2.0, 1)),
    name_row(TRANSFERRED["note"], (99, 1.0, "roma", "pace", "2.5")),
)


def test_rows_and_events_come_out_as_they_went_in() -> None:
    segment = decode_segment(encode_segment(ROWS, EVENTS))

    assert (tuple(segment.rows), tuple(segment.events)) == (ROWS, EVENTS)


def test_no_other_statement_travels() -> None:
    with pytest.raises(KeyError):
        name_row("DELETE FROM target", ())


@pytest.mark.parametrize(
    "segment", [b"", b"no zlib", zlib.compress(b"no msgpack"), encode_segment(ROWS, EVENTS)[:-4]]
)
def test_other_bytes_are_refused(segment: bytes) -> None:
    with pytest.raises(JournalError, match="a segment of results"):
        decode_segment(segment)


def test_rows_of_another_machine_are_rows_of_this_session(tmp_path: Path) -> None:
    async def play() -> None:
        writer = GroupCommitWriter(writable(tmp_path))
        record = SessionRecord(writer, 2)
        record.take_over(decode_segment(encode_segment(ROWS, EVENTS)).rows)
        record.keep_taken(3.0, "undeploy/run/2/lane/0.0/roma/0", 4, 2)
        record.keep_taken(3.0, "undeploy/run/2/lane/0.0/roma/0", 4, 7)
        await writer.close()

    anyio.run(play)

    database = open_database(tmp_path / "journal.sqlite", write=False)
    try:
        assert list(database.rows("SELECT status, verdict FROM attempt")) == [(204, "removed")]
        assert list(database.rows("SELECT outcome FROM target WHERE seq = 1")) == [("undeployed",)]
        assert list(database.rows("SELECT session, text FROM note WHERE kind = 'pace'")) == [(2, "2.5")]
        assert read_taken(database, 2) == {("undeploy/run/2/lane/0.0/roma/0", 4): 7}
        assert read_taken(database, 1) == {}
    finally:
        database.close()
