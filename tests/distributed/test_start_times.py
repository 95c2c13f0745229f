"""When a scheduled run starts, and until when it may send."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from orchestrator.distributed.start_times import AskedStart, StartTimes, choose_start
from orchestrator.errors import UsageError
from orchestrator.model.plan import Window

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
NIGHT = datetime(2026, 11, 22, 22, tzinfo=UTC)
HOUR = timedelta(hours=1)
WINDOW = Window(NIGHT, NIGHT + 4 * HOUR)


def choose(asked: AskedStart, plan_window: Window | None = None) -> StartTimes:
    return choose_start(asked, plan_window, takes=30.0, now=NOW)


def test_a_single_start_has_the_window_that_is_given_else_that_of_the_plan() -> None:
    later = Window(NIGHT, NIGHT + 6 * HOUR)
    chosen = {
        AskedStart(at=NIGHT, open_for=2 * HOUR): Window(NIGHT, NIGHT + 2 * HOUR),
        AskedStart(at=NIGHT + HOUR): WINDOW,
        AskedStart(at=NIGHT + HOUR, window=later): later,
        AskedStart(at=NIGHT, window=Window(None, NIGHT + HOUR)): Window(None, NIGHT + HOUR),
    }
    for asked, window in chosen.items():
        start = choose(asked, WINDOW)
        assert (start.at, start.window) == (asked.at, window), asked
        assert asked.at is not None
        assert asked.at + start.catch_up == window.closes
        assert not start.recurs


def test_without_a_time_the_run_starts_when_its_window_opens() -> None:
    assert choose(AskedStart(), WINDOW).at == NIGHT
    odd = Window(NIGHT + timedelta(milliseconds=1), NIGHT + HOUR)
    assert choose(AskedStart(), odd).at == NIGHT + timedelta(seconds=1)


@pytest.mark.parametrize("closes", [None, NIGHT + HOUR, NIGHT + 4 * HOUR])
def test_a_length_counts_from_the_opening_of_the_plans_window_where_no_time_is_given(
    closes: datetime | None,
) -> None:
    start = choose(AskedStart(open_for=2 * HOUR), Window(NIGHT, closes))

    assert (start.at, start.window) == (NIGHT, Window(NIGHT, NIGHT + 2 * HOUR))
    assert start.catch_up == 2 * HOUR


def test_many_starts_have_the_same_length_each() -> None:
    asked = AskedStart(cron="0 22 * * 1-5", time_zone="Europe/Istanbul", open_for=4 * HOUR)
    expected = StartTimes(
        cron="0 22 * * 1-5", time_zone="Europe/Istanbul", open_for=14400.0, catch_up=4 * HOUR
    )
    assert choose(asked, WINDOW) == expected
    assert choose(AskedStart(cron="@daily", open_for=HOUR)).time_zone == "UTC"


@pytest.mark.parametrize(
    ("asked", "plan_window", "why"),
    [
        (AskedStart(at=NIGHT, cron="@daily"), None, "give one of them"),
        (AskedStart(at=NIGHT, time_zone="UTC"), None, "is the zone of --cron"),
        (AskedStart(at=NIGHT, open_for=HOUR, window=WINDOW), None, "both say until when"),
        (AskedStart(cron="@daily", open_for=HOUR, window=WINDOW), None, "both say until when"),
        (AskedStart(cron="@daily", window=WINDOW), None, "for one night"),
        (AskedStart(cron="@daily"), WINDOW, "wants --for"),
        (AskedStart(cron="@every 5m", open_for=HOUR), None, "write minute, hour"),
        (AskedStart(cron="0 22 * *", open_for=HOUR), None, "write minute, hour"),
        (AskedStart(cron="0 22 * * 1;2", open_for=HOUR), None, "write minute, hour"),
        (AskedStart(cron="TZ=UTC 22 * * 1", open_for=HOUR), None, "write minute, hour"),
        (AskedStart(cron="@daily", open_for=HOUR, time_zone="../etc/passwd"), None, "no time zone"),
        (AskedStart(cron="@daily", open_for=timedelta(seconds=29)), None, "shorter than one timeout"),
        (AskedStart(), None, "when is the run to start"),
        (AskedStart(), Window(None, NIGHT), "when is the run to start"),
        (AskedStart(at=NIGHT), None, "until when may the run start"),
        (AskedStart(open_for=HOUR), Window(None, NIGHT), "when is the run to start"),
        (AskedStart(), Window(NIGHT, None), "until when may the run start"),
        (AskedStart(), Window(NOW - HOUR, NIGHT), "opened at .* already"),
        (AskedStart(at=NIGHT - HOUR), WINDOW, "without --at the run starts then"),
        (AskedStart(at=NIGHT + 4 * HOUR), WINDOW, "no longer fits"),
        (AskedStart(at=NIGHT + 50 * HOUR), WINDOW, "no longer fits"),
        (AskedStart(at=NIGHT, open_for=timedelta(seconds=29)), None, "no longer fits"),
    ],
)
def test_what_cannot_be_is_refused(asked: AskedStart, plan_window: Window | None, why: str) -> None:
    with pytest.raises(UsageError, match=why):
        choose(asked, plan_window)
