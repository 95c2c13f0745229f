import io
import json
import sys

import pytest

from orchestrator.display.log import EVENT_LEVELS, LEVELS, LogFormat, find_level, log_events
from orchestrator.model.events import AnyEvent
from orchestrator.model.outcome import Outcome
from tests.support import story
from tests.support.story import START, ended, parked, paused, stopping


def logged(*events: AnyEvent, level: str = "info", form: LogFormat = "json") -> list[str]:
    out = io.StringIO()
    listen = log_events(level, form, out)
    for event in events:
        listen(event)
    return out.getvalue().splitlines()


def test_the_default_level_tells_of_no_single_target() -> None:
    events = [json.loads(line)["event"] for line in logged(*story.short_run())]

    assert events == ["run_started", "wave_started", "wave_ended", "run_ended"]


def test_debug_tells_of_every_event() -> None:
    events = story.short_run()

    assert len(logged(*events, level="debug")) == len(events)


@pytest.mark.parametrize(
    ("level", "expected"),
    [("debug", 4), ("info", 3), ("warning", 2), ("error", 0)],
)
def test_a_level_hides_the_less_grave_events(level: str, expected: int) -> None:
    lines = logged(story.wave_started(), paused(), parked(), stopping(), level=level)

    assert len(lines) == expected


def test_a_json_line_is_the_events_own_fields() -> None:
    [line] = logged(ended("apim/P/x/test", Outcome.FAILED, START, "refused: no"), level="debug")

    assert json.loads(line) == {
        "time": "2026-11-22T19:00:00.000Z",
        "level": "debug",
        "event": "target_ended",
        "target": "apim/P/x/test",
        "gateway": "apim",
        "wave": "everything",
        "outcome": "failed",
        "reason": "refused: no",
        "evidence": None,
        "seconds": 0.1,
        "attempts": 1,
        "doubted": False,
        "name": None,
    }


def test_a_text_line_begins_with_time_level_and_event() -> None:
    [line] = logged(parked(why="503 \x1b[31m\nred"), form="text")

    assert line.startswith("time=2026-11-22T19:00:00.000Z level=warning event=lane_changed gateway=apim")
    assert "\x1b" not in line


def test_the_log_follows_stderr_to_where_a_live_display_puts_it(monkeypatch: pytest.MonkeyPatch) -> None:
    listen = log_events("info", "json")
    later = io.StringIO()
    monkeypatch.setattr(sys, "stderr", later)
    listen(parked())

    assert "five faults" in later.getvalue()


def test_a_wait_that_only_a_person_can_end_is_a_warning() -> None:
    waits = [story.waiting(why) for why in ("window", "pause_after", "proceed", "paused")]

    assert len(logged(*waits)) == 4
    assert [json.loads(line)["why"] for line in logged(*waits, level="warning")] == ["proceed", "paused"]


def test_an_event_of_the_run_is_info_unless_the_table_gives_it_another_level() -> None:
    assert set(EVENT_LEVELS) < set(AnyEvent.__args__)
    assert set(EVENT_LEVELS.values()) == {LEVELS["debug"], LEVELS["warning"]}
    assert find_level(story.wave_started()) == LEVELS["info"]


def test_an_event_of_a_target_is_debug_unless_the_table_gives_it_another_level() -> None:
    told = ended("apim/P/x/test", Outcome.UNDEPLOYED, START)
    assert type(told) not in EVENT_LEVELS
    assert find_level(told) == LEVELS["debug"]
