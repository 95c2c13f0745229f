"""Results of chunks on their way into the run's journal: each once, whichever way they come."""

from __future__ import annotations

from pathlib import Path

import anyio

from orchestrator.distributed.takeover import DispatchKey, ResultTaker
from orchestrator.journal.database import open_database
from orchestrator.journal.notes import read_taken
from orchestrator.journal.record import TRANSFERRED, SessionRecord
from orchestrator.journal.transfer import encode_segment, name_row
from orchestrator.journal.writer import GroupCommitWriter
from orchestrator.model.events import AnyEvent, GatewayNoted
from tests.support.journals import writable

KEY = DispatchKey("undeploy/run/1/lane/0.0/roma/0", 0)


def segment(number: int) -> bytes:
    row = name_row(TRANSFERRED["note"], (1, float(number), "roma", "remark", f"note {number}"))
    return encode_segment([row], [GatewayNoted(at=float(number), gateway="roma", text=f"note {number}")])


def take(
    folder: Path, *beats: tuple[bytes, ...], taken: dict[tuple[str, int], int] | None = None
) -> list[str]:
    """Take beats over; return the texts of the events."""
    told: list[AnyEvent] = []

    async def play() -> None:
        writer = GroupCommitWriter(writable(folder))
        taker = ResultTaker(SessionRecord(writer, 1), told.append, lambda: 5.0, taken)
        for beat in beats:
            taker.take(KEY, beat)
        await writer.close()

    anyio.run(play)
    return [event.text for event in told if isinstance(event, GatewayNoted)]


def read_notes(folder: Path) -> list[str]:
    database = open_database(folder / "journal.sqlite", write=False)
    try:
        return [text for (text,) in database.rows("SELECT text FROM note WHERE kind = 'remark'")]
    finally:
        database.close()


def test_each_segment_is_taken_once_from_beats_and_from_the_result(tmp_path: Path) -> None:
    one, two, three = segment(1), segment(2), segment(3)

    told = take(tmp_path, (one,), (one,), (one, two, three), (one, two))

    assert told == read_notes(tmp_path) == ["note 1", "note 2", "note 3"]


def test_a_later_process_goes_on_behind_what_the_journal_has(tmp_path: Path) -> None:
    one, two = segment(1), segment(2)

    told = take(tmp_path, (one,), (one, two), taken={tuple(KEY): 1})

    assert told == read_notes(tmp_path) == ["note 2"]
    database = open_database(tmp_path / "journal.sqlite", write=False)
    try:
        assert read_taken(database, 1) == {tuple(KEY): 2}
    finally:
        database.close()
