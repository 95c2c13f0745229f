"""Times, durations and rates as people read them."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta, timezone

import pytest

from orchestrator.text.formats import (
    DASH,
    find_utc_offset,
    format_full_minute,
    format_given_time,
    format_moment,
    format_per_second,
    format_percent,
    format_span,
    format_time_of_day,
    list_utc_offsets,
)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, DASH), (0, "0 s"), (0.084, "84 ms"), (2.44, "2.4 s"), (2.0, "2 s"), (59.94, "59.9 s"),
        (60, "1 min"), (200.4, "3 min 20 s"), (7_500, "2 h 05 min"),
    ],
)  # fmt: skip
def test_durations_have_a_unit(seconds: float | None, text: str) -> None:
    assert format_span(seconds) == text


@pytest.mark.parametrize(("seconds", "text"), [(0.9996, "1 s"), (59.96, "1 min"), (3_599.6, "1 h 00 min")])
def test_a_duration_that_rounds_up_takes_the_next_unit(seconds: float, text: str) -> None:
    assert format_span(seconds) == text


@pytest.mark.parametrize(
    ("rate", "text"), [(0, "0/s"), (87.54, "87.5/s"), (100.0, "100/s"), (1234.5, "1,234.5/s")]
)
def test_rates_have_one_decimal(rate: float, text: str) -> None:
    assert format_per_second(rate) == text


def test_moments_are_in_utc() -> None:
    at = datetime(2026, 11, 22, 22, 0, tzinfo=timezone(timedelta(hours=3)))

    assert format_moment(at) == "2026-11-22 19:00:00 UTC"
    assert format_moment(None) == DASH


@pytest.mark.parametrize(
    ("zone", "here"),
    [("UTC", " (19:00 here)"), ("Europe/Istanbul", ""), ("Asia/Tokyo", " (Wed 04:00 here)")],
)
def test_a_given_time_keeps_its_offset_and_is_told_by_the_local_clock_too(
    monkeypatch: pytest.MonkeyPatch, zone: str, here: str
) -> None:
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        told = format_given_time(datetime(2026, 12, 1, 22, 0, tzinfo=timezone(timedelta(hours=3))))
    finally:
        monkeypatch.undo()
        time.tzset()

    assert told == f"Tue 2026-12-01 22:00 +03:00{here}"


@pytest.mark.parametrize(
    ("spare", "told"), [(timedelta(seconds=10), "22:00:10"), (timedelta(milliseconds=500), "22:00:00.500000")]
)
def test_a_time_with_seconds_shows_them(spare: timedelta, told: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without them a window of ten seconds begins when it ends."""
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    try:
        at = datetime(2026, 12, 1, 22, 0, tzinfo=timezone(timedelta(hours=3))) + spare
        shown = format_given_time(at)
    finally:
        monkeypatch.undo()
        time.tzset()

    assert shown == f"Tue 2026-12-01 {told} +03:00 (19{told.removeprefix('22')} here)"


@pytest.mark.parametrize(
    ("share", "expected"),
    [(0.2, "20%"), (12.5 / 100, "12.5%"), (0.07, "7%"), (1.0, "100%"), (0.0, "0%"), (1 / 3, "33.333333%")],
)
def test_a_share_is_told_as_it_was_written(share: float, expected: str) -> None:
    assert format_percent(share) == expected


@pytest.mark.parametrize(
    ("zone", "offset"), [("UTC", 0), ("Europe/Istanbul", 10_800), ("America/New_York", -18_000)]
)
def test_the_offset_of_local_time_is_in_seconds_east_of_utc(
    zone: str, offset: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        assert find_utc_offset(datetime(2026, 11, 28, tzinfo=UTC).timestamp()) == offset
    finally:
        monkeypatch.undo()
        time.tzset()


def test_the_offsets_around_a_change_of_the_clock_tell_when_it_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    change = datetime(2026, 3, 29, 1, tzinfo=UTC).timestamp()
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    try:
        (before, first), (at, second) = list_utc_offsets(change - 10_000)
        assert (first, at, second) == (3600, change, 7200)
        assert before <= change - 86_400
        assert list_utc_offsets(change + 40_000)[1:] == ((change, 7200),)
        assert list_utc_offsets(change + 10 * 86_400) == ()
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize(("seconds", "text"), [(0, "00:00"), (1, "00:01"), (60, "00:01"), (60.5, "00:02")])
def test_the_minute_of_an_end_is_the_one_that_is_over_then(seconds: float, text: str) -> None:
    midnight = datetime(2026, 1, 5).astimezone().timestamp()

    assert format_full_minute(midnight + seconds) == text


@pytest.mark.parametrize(
    ("days", "text"),
    [(0, "12:00"), (1, "Tue 12:00"), (7, "2026-01-12 12:00"), (-1, "Sun 12:00"), (-7, "2025-12-29 12:00")],
)
def test_a_weekday_stands_alone_only_where_it_can_mean_no_other_week(days: int, text: str) -> None:
    noon = datetime(2026, 1, 5, 12).astimezone().timestamp()

    assert format_time_of_day(noon + days * 86_400, noon) == text
