"""The common beginning of a start and a resume."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from orchestrator.model.plan import Window
from orchestrator.runs.prepare import ChosenWindow, choose_window, find_shortest_timeout
from tests.support.engine import gateway

TONIGHT = Window(datetime(2026, 11, 22, 22, tzinfo=UTC), None)
TOMORROW = Window(datetime(2026, 11, 23, 22, tzinfo=UTC), None)


@pytest.mark.parametrize(
    ("given", "otherwise", "origin", "chosen"),
    [
        (None, None, "plan", ChosenWindow(None, "plan")),
        (None, TONIGHT, "plan", ChosenWindow(TONIGHT, "plan")),
        (None, TONIGHT, "option", ChosenWindow(TONIGHT, "option")),
        (TOMORROW, TONIGHT, "plan", ChosenWindow(TOMORROW, "option")),
        (TOMORROW, None, "plan", ChosenWindow(TOMORROW, "option")),
    ],
)
def test_a_window_of_the_command_line_replaces_the_other_one(
    given: Window | None, otherwise: Window | None, origin: str, chosen: ChosenWindow
) -> None:
    assert choose_window(given, otherwise, origin) == chosen  # type: ignore[arg-type]


def test_a_window_is_too_short_only_when_no_gateway_s_timeout_fits() -> None:
    assert find_shortest_timeout([gateway(timeout=150.0), gateway(timeout=30.0)]) == 30.0
