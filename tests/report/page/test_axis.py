"""The time axis of the charts: where clock times, flags and their words stand."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from itertools import pairwise

import pytest

from orchestrator.model.live_status import MarkKind, TimeMark
from orchestrator.report.page.axis import MOST_MARKS, build_axis
from orchestrator.report.values import ClockSpan

START = datetime(2026, 11, 22, 19, 0, 3, tzinfo=UTC).timestamp()


def span(seconds: float, after: float = 0.0) -> ClockSpan:
    return ClockSpan(started=START + after, seconds=seconds)


def mark(after: float, kind: MarkKind = "wave", text: str = "wave x") -> TimeMark:
    return TimeMark(at=START + after, kind=kind, text=text)


@pytest.mark.parametrize(
    ("seconds", "texts"),
    [
        (0.05, ["19:00:03.00", "19:00:03.01", "19:00:03.02", "19:00:03.03", "19:00:03.04", "19:00:03.05"]),
        (12.0, ["19:00:03", "19:00:05", "19:00:10", "19:00:15"]),
        (199.0, ["19:00:03", "19:01:00", "19:02:00", "19:03:00"]),
        (7200.0, ["19:00:03", "19:30:00", "20:00:00", "20:30:00", "21:00:00"]),
        (86400.0 * 5, ["11-22 19:00", "11-23 00:00", "11-24 00:00"]),
    ],
)
def test_the_axis_has_round_clock_times(seconds: float, texts: list[str]) -> None:
    told = [tick.text for tick in build_axis([span(seconds)], ()).ticks]

    assert told[0] == texts[0]
    assert set(told) <= {*texts, "11-25 00:00", "11-26 00:00", "11-27 00:00"}
    assert 2 <= len(told) <= 6


def test_no_two_labels_stand_on_each_other() -> None:
    for seconds in (0.2, 3, 7.5, 61, 3599, 4000, 90_000, 1e7):
        axis = build_axis([span(seconds)], [mark(seconds * part / 40) for part in range(40)])
        for labels in (axis.ticks, axis.flags):
            extents = [label.extent for label in labels]
            assert all(after >= ended for (_, ended), (after, _) in pairwise(extents))
            assert all(0 <= label.at <= 100 for label in labels)


def test_the_time_between_sessions_takes_no_room_on_the_axis() -> None:
    later = 86400.0
    axis = build_axis(
        [span(30), span(10, later)],
        [
            mark(15),
            mark(later, "session", "session 2 begins"),
            mark(later + 5),
            mark(600, "steer", "between"),
        ],
    )

    assert [note.at for note in axis.notes] == [37.5, 75.0, 87.5, 75.0]
    assert [note.clock for note in axis.notes][:2] == ["19:00:18", "19:00:03"]


def test_marks_that_stand_close_together_share_a_flag() -> None:
    axis = build_axis([span(100)], [mark(0), mark(40), mark(42), mark(45), mark(60)])

    assert [(flag.at, flag.text) for flag in axis.flags] == [(0, "1"), (40, "2-4"), (60, "5")]


def test_of_too_many_marks_waves_are_left_out_first_and_counted() -> None:
    waves = [mark(number, "wave", f"wave {number}") for number in range(100)]
    parked = mark(50.5, "park", "roma-eu parked")

    axis = build_axis([span(100)], sorted([*waves, parked], key=lambda each: each.at))

    assert len(axis.notes) == MOST_MARKS
    assert axis.left_out == 101 - MOST_MARKS
    assert [note.text for note in axis.notes if note.kind == "park"] == ["roma-eu parked"]


def test_the_end_of_a_run_is_marked_however_often_it_was_steered_before() -> None:
    steered = [mark(number, "steer", f"act {number}") for number in range(100)]
    ends = [mark(100, "close", "the window closes"), mark(101, "stop", "stopping")]

    axis = build_axis([span(200)], [*steered, *ends])

    assert axis.left_out == 102 - MOST_MARKS
    shown = [note.text for note in axis.notes]
    assert shown == [f"act {number}" for number in range(100 - MOST_MARKS + 2, 100)] + [
        "the window closes",
        "stopping",
    ]


def test_the_clock_times_are_those_of_the_zone() -> None:
    axis = build_axis([span(60)], [mark(0)], timezone(timedelta(hours=3)))

    assert (axis.notes[0].clock, axis.zone, axis.day) == ("22:00:03", "UTC+03:00", "2026-11-22")


def test_an_axis_without_sessions_is_empty() -> None:
    assert build_axis((), [mark(0)]).ticks == ()


def test_the_words_of_a_mark_are_bounded() -> None:
    (note,) = build_axis([span(9)], [mark(1, "steer", "x" * 1_000_000)]).notes

    assert len(note.text) < 300
