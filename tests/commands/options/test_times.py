import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from orchestrator.commands.options.times import (
    parse_age,
    parse_at,
    parse_close_at,
    parse_open_for,
    parse_window,
)
from orchestrator.errors import UsageError

EVENING = datetime(2026, 11, 22, 22, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("23:00Z", datetime(2026, 11, 22, 23, 0, tzinfo=UTC)),
        ("02:00Z", datetime(2026, 11, 23, 2, 0, tzinfo=UTC)),
        ("2:00 Z", datetime(2026, 11, 23, 2, 0, tzinfo=UTC)),
        ("10:29Z", datetime(2026, 11, 23, 10, 29, tzinfo=UTC)),
        ("02:00+03:00", datetime(2026, 11, 22, 23, 0, tzinfo=UTC)),
        ("02:00+0300", datetime(2026, 11, 22, 23, 0, tzinfo=UTC)),
        ("20:00-05", datetime(2026, 11, 23, 1, 0, tzinfo=UTC)),
        ("04:00Europe/Istanbul", datetime(2026, 11, 23, 1, 0, tzinfo=UTC)),
        ("04:00 Europe/Istanbul", datetime(2026, 11, 23, 1, 0, tzinfo=UTC)),
    ],
)
def test_a_closing_time_is_the_next_one(text: str, expected: datetime) -> None:
    assert parse_close_at(text, EVENING) == expected


@pytest.mark.parametrize("text", ["22:30Z", "22:29Z", "10:30Z", "22:00Z", "12:00Z"])
def test_a_closing_time_that_is_12_hours_away_has_passed(text: str) -> None:
    with pytest.raises(UsageError, match="that time has passed"):
        parse_close_at(text, EVENING)


def test_a_closing_time_without_a_zone_is_the_machines_own() -> None:
    at = parse_close_at(f"{(EVENING + timedelta(hours=2)).astimezone():%H:%M}", EVENING)

    assert at == EVENING + timedelta(hours=2)


def test_a_night_in_which_the_clock_changes_has_an_hour_more() -> None:
    """In the night to 2026-10-25 the clock in Berlin goes from 3:00 back to 2:00."""
    before = datetime(2026, 10, 24, 20, 0, tzinfo=UTC)

    assert parse_close_at("05:00 Europe/Berlin", before) - before == timedelta(hours=8)


@pytest.mark.parametrize(
    ("now", "waits"),
    [
        ("2026-10-25T00:10:00+00:00", 20),  # 02:10 in summer time: the first 02:30
        ("2026-10-25T00:45:00+00:00", 45),  # 02:45 in summer time: the second 02:30
        ("2026-10-25T01:20:00+00:00", 10),  # 02:20 in winter time
    ],
)
def test_a_clock_that_shows_an_hour_twice_closes_at_the_next_such_time(now: str, waits: int) -> None:
    begins = datetime.fromisoformat(now)

    # Python calls such a time unequal to any time of another zone.
    assert parse_close_at("02:30 Europe/Berlin", begins).astimezone(UTC) == begins + timedelta(minutes=waits)


@pytest.fixture
def in_berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The machine's own time is that of Berlin."""
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize("zone", ["", " Europe/Berlin"])
@pytest.mark.parametrize(
    ("clock", "closes"), [("01:59", "00:59"), ("02:00", "01:00"), ("02:30", "01:30"), ("03:00", "01:00")]
)
@pytest.mark.parametrize("begins", ["2026-03-28T21:00:00+00:00", "2026-03-29T00:30:00+00:00"])
@pytest.mark.usefixtures("in_berlin")
def test_a_clock_that_leaves_an_hour_out_closes_after_it(
    begins: str, clock: str, closes: str, zone: str
) -> None:
    """In the night to 2026-03-29 the clock in Berlin goes from 2:00 to 3:00, at 1:00 UTC."""
    at = parse_close_at(f"{clock}{zone}", datetime.fromisoformat(begins))

    assert at.astimezone(UTC) == datetime.fromisoformat(f"2026-03-29T{closes}:00+00:00")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2",
        "24:00",
        "02:60",
        "2am",
        "02:00+99:00",
        "02:00+03:75",
        "02:00 Nowhere/City",
        "02:00 ../etc/passwd",
        "-1:00",
    ],
)
def test_what_is_no_closing_time_is_told(text: str) -> None:
    with pytest.raises(UsageError, match="--close-at"):
        parse_close_at(text, EVENING)


@pytest.mark.parametrize("text", ["02:00:00", "02:00:00Z", "02:000"])
def test_seconds_of_a_closing_time_are_no_time_zone(text: str) -> None:
    with pytest.raises(UsageError, match="write HH:MM"):
        parse_close_at(text, EVENING)


def test_a_window_has_two_aware_times() -> None:
    opens, closes = parse_window("2026-11-22T22:00:00+03:00/2026-11-23T02:00:00Z")

    assert opens == datetime(2026, 11, 22, 19, 0, tzinfo=UTC)
    assert closes == datetime(2026, 11, 23, 2, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("2026-11-22T22:00:00Z", "write OPENS/CLOSES"),
        ("2026-11-22T22:00:00/2026-11-23T02:00:00Z", "has no time zone"),
        ("tonight/2026-11-23T02:00:00Z", "is not a time"),
        ("2026-11-22T22:00:00+03:60/2026-11-23T02:00:00Z", "is not a time"),
        ("2026-11-22T22:00:00Z/2026-11-22T24:00:00Z", "is not a time"),
        ("2026-11-23T02:00:00Z/2026-11-22T22:00:00Z", "closes before it opens"),
        ("2026-11-23T02:00:00Z/2026-11-23T02:00:00Z", "closes before it opens"),
        ("2026-11-22T22:00:00Z/9999-12-31T23:59:59Z", "is in no year from 2000 to 2999"),
        ("0001-01-01T00:00:00+14:00/2026-11-22T22:00:00Z", "is in no year from 2000 to 2999"),
    ],
)
def test_what_is_no_window_is_told(text: str, told: str) -> None:
    with pytest.raises(UsageError, match=told):
        parse_window(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("90s", timedelta(seconds=90)),
        ("5m", timedelta(minutes=5)),
        ("30d", timedelta(days=30)),
        ("4w", timedelta(28)),
    ],
)
def test_an_age_has_a_unit(text: str, expected: timedelta) -> None:
    assert parse_age(text) == expected


@pytest.mark.parametrize(
    "text", ["", "30", "d", "-1d", "1.5d", "1y", "999999d", "9" * 12 + "d", "9" * 5000 + "d", "\u0663d"]
)
def test_what_is_no_age_is_told(text: str) -> None:
    with pytest.raises(UsageError, match="as in 30d"):
        parse_age(text)


def test_a_start_is_a_full_second_that_is_yet_to_come() -> None:
    assert parse_at("2026-11-22T23:00:00.9Z", EVENING) == datetime(2026, 11, 22, 23, 0, tzinfo=UTC)
    for text, why in {
        "2026-11-22T22:30:00Z": "has passed",
        "2026-11-22T23:00:00": "has no time zone",
        "tonight": "is not a time",
        "9999-12-31T23:59:59-10:00": "is in no year",
    }.items():
        with pytest.raises(UsageError, match=f"--at.*{why}"):
            parse_at(text, EVENING)


def test_how_long_a_start_may_send_is_a_sum_of_hours_and_minutes() -> None:
    lengths = {"4h": 240, "90m": 90, "1h30m": 90, " 2H ": 120, "1d": 1440}
    assert {text: parse_open_for(text).total_seconds() / 60 for text in lengths} == lengths
    for text in ("", "0h", "4", "h", "4h and", "-4h", "31d", "9" * 30 + "d", "9" * 5000 + "m", "1.5h"):
        with pytest.raises(UsageError, match="--for"):
            parse_open_for(text)
