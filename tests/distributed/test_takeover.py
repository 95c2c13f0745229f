"""Results of chunks on their way into the run's journal: each once, whichever way they come."""

from __future__ import annotations

from pathlib import Path

import anyio

from orchestrator.distributed.open_requests import LOST, OpenRequests
from orchestrator.distributed.takeover import DispatchKey, ResultTaker
from orchestrator.journal.database import open_database
from orchestrator.journal.notes import read_taken
from orchestrator.journal.record import TRANSFERRED, SessionRecord
from orchestrator.journal.transfer import encode_segment, name_row
from orchestrator.journal.writer import GroupCommitWriter
from orchestrator.model.events import AnyEvent, AttemptEnded, AttemptStarted, GatewayNoted, ListAsked
from orchestrator.model.reading import Act
from orchestrator.model.target import TargetId
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


TARGET = TargetId("roma/p/one/e")


def begin(number: int) -> AttemptStarted:
    return AttemptStarted(at=3.0, target=TARGET, gateway="roma", number=number, act=Act.UNDEPLOY)


def end(number: int, *, at: float, message: str | None = None, status: int | None = 200) -> AttemptEnded:
    return AttemptEnded(
        at=at,
        target=TARGET,
        gateway="roma",
        number=number,
        act=Act.UNDEPLOY,
        seconds=at - 3.0,
        status=status,
        code=None,
        message=message,
    )


def asks(text: str | None, at: float = 3.0) -> ListAsked:
    return ListAsked(at=at, gateway="roma", text=text)


def test_a_request_whose_beginning_an_earlier_process_told_begins_here_too() -> None:
    requests = OpenRequests()

    told = list(requests.pair([end(1, at=4.0), begin(2), end(2, at=5.0), asks(None), asks("page 2")]))

    assert told == [begin(1), end(1, at=4.0), begin(2), end(2, at=5.0), asks("page 2")]


def test_a_request_that_a_lost_worker_left_open_ends_as_lost() -> None:
    requests = OpenRequests()
    list(requests.pair([begin(1), asks("page 1"), asks(None), asks("page 2")]))

    assert list(requests.close(6.0)) == [end(1, at=6.0, message=LOST, status=None), asks(None, at=6.0)]
