"""What the engine writes, as another connection reads it."""

from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from orchestrator.errors import DiskError
from orchestrator.journal.database import open_database
from orchestrator.journal.record import SessionRecord, decode_reading
from orchestrator.journal.sessions import SessionOptions
from orchestrator.journal.writer import GroupCommitWriter
from orchestrator.model.http import Reply
from orchestrator.model.outcome import Outcome
from orchestrator.model.reading import UNDEPLOY, Act, Operation, Reading, Verdict
from orchestrator.rules.retry import TargetEnd
from tests.support.journals import START, small, target

ONE, TWO, THREE = (target(seq, f"roma/a{seq}") for seq in (1, 2, 3))
DOUBT = Reading(verdict=Verdict.DOUBT, code="APIG.9999", message="System error")


@pytest.fixture
async def record(tmp_path: Path) -> AsyncIterator[SessionRecord]:
    writer = GroupCommitWriter(open_database(small(tmp_path), write=True))
    yield SessionRecord(writer, 1)
    await writer.close()


def reply(status: int) -> Reply:
    return Reply(status, {}, b"", START)


def stored(folder: Path, query: str) -> list[tuple[Any, ...]]:
    with closing(open_database(folder / "journal.sqlite", write=False)) as database:
        return list(database.rows(query))


@pytest.mark.promise(2)
async def test_an_intent_is_in_the_journal_when_it_returns(record: SessionRecord, tmp_path: Path) -> None:
    await record.keep_intent(ONE, 1, UNDEPLOY, START)
    await record.keep_intent(ONE, 2, Operation(Act.LOOK, "show"), START + 1)
    rows = stored(tmp_path, "SELECT seq, number, act, via, started, verdict FROM attempt")
    assert rows == [(1, 1, "undeploy", "", START, None), (1, 2, "look", "show", START + 1, None)]


async def test_a_result_precedes_the_next_intent(record: SessionRecord, tmp_path: Path) -> None:
    await record.keep_intent(ONE, 1, UNDEPLOY, START)
    record.keep_result(ONE, 1, reply(500), DOUBT, seconds=0.2)
    record.keep_outcome(ONE, TargetEnd(Outcome.FAILED, "refused: no", "code"), seconds=0.3, at=START + 1)
    await record.keep_intent(TWO, 1, UNDEPLOY, START + 1)
    rows = stored(tmp_path, "SELECT seconds, status, code, message, verdict, sent FROM attempt WHERE seq = 1")
    assert rows == [(0.2, 500, "APIG.9999", "System error", "doubt", 1)]
    rows = stored(tmp_path, "SELECT outcome, reason, evidence, seconds, ended FROM target WHERE seq = 1")
    assert rows == [("failed", "refused: no", "code", 0.3, START + 1)]


@pytest.mark.parametrize(
    "reading",
    [
        DOUBT,
        Reading(verdict=Verdict.REMOVED),
        Reading(
            verdict=Verdict.PARTIAL,
            message="ü",
            pods=("pod-1", "pod-2"),
            pod_count=3,
            evidence="deploymentResult",
        ),
        Reading(
            verdict=Verdict.PARTIAL,
            pods=("pod-1",),
            more_pods=6999,
            pod_count=7000,
            evidence="deploymentResult",
        ),
    ],
)
async def test_a_reading_comes_back_as_far_as_a_resume_needs_it(
    record: SessionRecord, tmp_path: Path, reading: Reading
) -> None:
    await record.keep_intent(ONE, 1, UNDEPLOY, START)
    assert decode_reading(Act.UNDEPLOY, None, None, None, None, evidence="204") is None
    record.keep_result(ONE, 1, reply(500), reading, seconds=0.2)
    await record.flush()
    (row,) = stored(tmp_path, "SELECT code, message, verdict, pods FROM attempt")
    assert decode_reading(Act.UNDEPLOY, *row, evidence="deploymentResult") == reading


async def test_half_a_pair_in_a_vendors_text_is_stored_as_far_as_it_is_text(
    record: SessionRecord, tmp_path: Path
) -> None:
    await record.keep_intent(ONE, 1, UNDEPLOY, START)
    odd = Reading(verdict=Verdict.PARTIAL, code="\ud800", message="a\udfffb", pods=("p\ud800",), pod_count=1)
    record.keep_result(ONE, 1, reply(200), odd, seconds=0.2)
    record.keep_outcome(ONE, TargetEnd(Outcome.FAILED, "partial: p\ud800"), seconds=0.3, at=START)
    record.keep_note(START, "warning", text="x\ud800")
    await record.flush()
    assert stored(tmp_path, "SELECT code, message FROM attempt") == [("?", "a?b")]
    assert stored(tmp_path, "SELECT reason FROM target WHERE seq = 1") == [("partial: p?",)]


@pytest.mark.promise(1)
async def test_what_was_not_reached_is_unknown_only_where_a_request_may_have_arrived(
    record: SessionRecord, tmp_path: Path
) -> None:
    await record.keep_intent(ONE, 1, UNDEPLOY, START)
    await record.keep_intent(TWO, 1, UNDEPLOY, START)
    record.keep_result(TWO, 1, reply(429), Reading(verdict=Verdict.BUSY), seconds=0.1)
    record.leave_rest("parked: of another gateway", START, gateway=1)
    record.leave_rest("window: closed", START + 5)
    await record.flush()
    rows = stored(tmp_path, "SELECT outcome, reason, ended FROM target ORDER BY seq")
    assert rows == [
        ("unknown", "window: closed", START + 5),
        ("not_started", "window: closed", START + 5),
        ("not_started", "window: closed", START + 5),
    ]


async def test_what_one_gateway_leaves_is_not_what_the_others_do(
    record: SessionRecord, tmp_path: Path
) -> None:
    record.leave_rest("denied: 401", START, gateway=0)
    record.leave_rest("window: closed", START)
    await record.flush()
    assert {reason for (reason,) in stored(tmp_path, "SELECT reason FROM target")} == {"denied: 401"}


async def test_a_session_is_kept_from_its_begin_to_its_end(record: SessionRecord, tmp_path: Path) -> None:
    await record.begin(START, '{"pid": 1}', SessionOptions())
    assert stored(tmp_path, "SELECT started, ended, state FROM session") == [(START, None, None)]
    record.keep_note(START + 1, "parked", gateway="roma", text="parked: five faults")
    await record.finish(START + 9, state="stopped", stopped_by="window: x", exit_status=4, seconds=9.0)
    rows = stored(tmp_path, "SELECT number, ended, state, stopped_by, exit_status, seconds FROM session")
    assert rows == [(1, START + 9, "stopped", "window: x", 4, 9.0)]
    rows = stored(tmp_path, "SELECT session, at, gateway, kind, text FROM note")
    assert rows == [(1, START + 1, "roma", "parked", "parked: five faults")]


async def test_one_request_has_one_intent(record: SessionRecord) -> None:
    await record.keep_intent(THREE, 1, UNDEPLOY, START)
    with pytest.raises(DiskError, match="UNIQUE"):
        await record.keep_intent(THREE, 1, UNDEPLOY, START)
