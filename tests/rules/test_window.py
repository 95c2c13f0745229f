"""Since when a plan's window is over, in words."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from orchestrator.model.plan import Window
from orchestrator.rules.window import describe_closed_window

CLOSES = datetime(2026, 3, 1, 2, 0, tzinfo=UTC)
NIGHT = Window(CLOSES - timedelta(hours=4), CLOSES)


@pytest.mark.parametrize(
    ("since", "told"),
    [
        (-3600.0, None),
        (-0.5, None),
        (0.5, "the window closed less than a minute ago"),
        (5400.0, "the window closed 1 h 30 min ago"),
    ],
)
def test_a_window_is_over_from_its_close_on(since: float, told: str | None) -> None:
    assert describe_closed_window(NIGHT, CLOSES.timestamp() + since) == told


def test_a_window_is_over_at_the_moment_of_its_close() -> None:
    assert describe_closed_window(NIGHT, CLOSES.timestamp()) is not None


def test_the_close_is_a_moment_whatever_its_offset_from_utc() -> None:
    there = Window(None, CLOSES.astimezone(timezone(timedelta(hours=3))))

    assert describe_closed_window(there, CLOSES.timestamp() + 60.0) == "the window closed 1 min ago"


def test_a_plan_without_a_window_and_a_window_without_a_close_are_never_over() -> None:
    assert describe_closed_window(None, CLOSES.timestamp()) is None
    assert describe_closed_window(Window(CLOSES, None), CLOSES.timestamp() + 60.0) is None
