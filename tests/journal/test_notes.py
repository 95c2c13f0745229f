"""Notes, as text and as values."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from orchestrator.errors import JournalError
from orchestrator.journal.database import Database
from orchestrator.journal.notes import (
    ControlNote,
    PaceNote,
    decode_control,
    decode_wave_step,
    encode_control,
    encode_pace,
    encode_wave_step,
    list_controls,
    list_paces_and_controls,
    read_lane,
    read_last_begun,
    read_taken,
)
from orchestrator.model.plan import WaveStep
from tests.support.journals import writable

NOTE = "INSERT INTO note (session, at, gateway, kind, text) VALUES (?, ?, ?, ?, ?)"
SKIP = ControlNote(
    act="skip a/*", by="ada", origin="ops-1", command=msgspec.Raw(b'{"act":"skip","pattern":"a/*"}')
)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with closing(writable(tmp_path)) as opened:
        yield opened


def test_the_text_of_a_note_leads_back_to_its_value() -> None:
    assert decode_wave_step(encode_wave_step(WaveStep(12, 3))) == WaveStep(12, 3)
    assert decode_control(encode_control(SKIP)) == SKIP


def test_the_texts_are_those_that_an_older_program_reads() -> None:
    assert encode_wave_step(WaveStep(1, 0)) == "1 0"
    assert (encode_pace(12.5), encode_pace(None)) == ("12.5", None)
    assert encode_control(SKIP) == (
        '{"act":"skip a/*","by":"ada","origin":"ops-1","demand":{"act":"skip","pattern":"a/*"}}'
    )


def test_a_control_that_is_no_json_is_the_act_in_words() -> None:
    assert decode_control("stop").act == "stop"


@pytest.mark.parametrize("text", ["", "fast", "nan", "inf", "0", "-1"])
def test_a_pace_that_nobody_writes_is_refused(database: Database, text: str) -> None:
    database.run(NOTE, (1, 1.0, "roma", "pace", text))

    with pytest.raises(JournalError, match="the note `pace` cannot be read"):
        list(list_paces_and_controls(database))


@pytest.mark.parametrize("text", ["", "flow 1", "flow 1 x"])
def test_a_count_of_segments_that_nobody_writes_is_refused(database: Database, text: str) -> None:
    database.run(NOTE, (1, 1.0, None, "taken", text))

    with pytest.raises(JournalError, match="the note `taken` cannot be read"):
        read_taken(database, 1)


def test_controls_come_in_order_with_their_times(database: Database) -> None:
    for at in (1.0, 2.0):
        database.run(NOTE, (1, at, None, "control", encode_control(SKIP)))

    assert list(list_controls(database)) == [(1.0, SKIP), (2.0, SKIP)]


def test_the_step_that_began_last_counts(database: Database) -> None:
    assert read_last_begun(database) is None
    for text in ("0 0", "0 1"):
        database.run(NOTE, (1, 1.0, None, "leg", text))

    assert read_last_begun(database) == WaveStep(0, 1)


def test_a_lane_stands_as_the_newest_session_left_it(database: Database) -> None:
    database.run("INSERT INTO session (number, started, holder, options) VALUES (1, 1.0, '{}', '{}')")
    database.run(NOTE, (1, 1.0, "roma", "parked", "five faults"))
    before = read_lane(database, "roma")
    database.run("INSERT INTO session (number, started, holder, options) VALUES (2, 2.0, '{}', '{}')")

    assert (before, read_lane(database, "roma")) == ("parked", "open")


def test_the_paces_of_the_lanes_and_each_act_on_a_run_come_in_their_order(database: Database) -> None:
    note = "INSERT INTO note (session, at, gateway, kind, text) VALUES (1, 1.0, ?, ?, ?)"
    for row in [
        ("roma", "pace", "50"),
        ("apim", "pace", "7.5"),
        (None, "control", "one"),
        ("roma", "pace", "12.5"),
        ("roma", "paused", "slow down"),
        ("apim", "pace", None),
        (None, "control", "two"),
    ]:
        database.run(note, row)
    assert list(list_paces_and_controls(database)) == [
        PaceNote("roma", 50.0),
        PaceNote("apim", 7.5),
        ControlNote(act="one"),
        PaceNote("roma", 12.5),
        PaceNote("apim", None),
        ControlNote(act="two"),
    ]
