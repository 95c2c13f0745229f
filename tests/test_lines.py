import io
import json
from typing import Any

import msgspec
import pytest
import story
from story import START, ended, parked, paused, reopened, started, stopping

from orchestrator.events import AnyEvent
from orchestrator.lines import EventLines, PlainLines
from orchestrator.model import Outcome


def lines_of(*events: AnyEvent, quiet: bool = False) -> list[str]:
    lines: list[str] = []
    listen = PlainLines(lines.append, quiet=quiet)
    for event in events:
        listen(event)
    return [line.partition(" ")[2] for line in lines]


def test_a_run_is_told_from_its_start_to_its_end() -> None:
    lines = lines_of(*story.short_run())

    assert lines[0].startswith("run r1 of retirement starts (")
    assert lines[0].endswith("3 of 3 targets to do (roma-eu 2, apim 1)")
    assert lines[1] == "wave everything starts: 3 to do"
    assert "failed: roma-eu/b: refused: no (attempts: 1)" in lines
    assert lines[-2].startswith("wave everything ended: 3/3 ended, 2 undeployed, 1 failed")
    assert lines[-1] == "complete: 3/3 ended, 2 undeployed, 1 failed"


def test_quiet_tells_only_what_went_wrong() -> None:
    lines = lines_of(*story.short_run()[:-2], parked(), reopened(), stopping(), quiet=True)

    assert lines == [
        "failed: roma-eu/b: refused: no (attempts: 1)",
        "apim: parked, being probed: five faults in a row",
        "stopping: interrupt: SIGINT; 0 in flight will land",
    ]


def test_progress_is_told_each_tenth_but_not_each_second_of_a_quick_run() -> None:
    quick = [ended(f"apim/{n}", at=START + n / 1000) for n in range(1000)]
    slow = [ended(f"apim/{n}", at=START + n) for n in range(1000)]

    assert len(lines_of(started({"apim": 1000}), *quick)) == 1
    # Every ten seconds 1 % ends: a hundred lines for 1000 targets, and none oftener than each second.
    assert 90 < len(lines_of(started({"apim": 1000}), *slow)) < 115


def test_a_gateway_that_throttles_is_not_told_every_second() -> None:
    throttled: list[AnyEvent] = []
    for second in range(30):
        throttled += [paused("apim", START + second, 1.0), reopened("apim", START + second + 0.9)]
    lines = lines_of(started({"apim": 100}), *throttled)[1:]

    assert lines == ["apim: paused for 1 s: 429"] * 3


def test_a_parked_gateway_is_told_once_and_so_is_its_recovery() -> None:
    lines = lines_of(started(), parked(), reopened())[1:]

    assert lines == ["apim: parked, being probed: five faults in a row", "apim: goes on"]


def test_the_word_of_a_reason_is_not_said_twice() -> None:
    [_, line] = lines_of(started(), parked(why="parked: five faults"))

    assert line == "apim: parked, being probed: five faults"


@pytest.mark.parametrize("hostile", ["\x1b[2J", "\r", "\u202e", "\n"])
def test_a_vendors_text_moves_no_cursor(hostile: str) -> None:
    [line] = lines_of(ended(f"apim/{hostile}", Outcome.FAILED, reason=f"refused: {hostile}"), quiet=True)

    assert hostile not in line


def told(*events: AnyEvent) -> list[dict[str, Any]]:
    out = io.BytesIO()
    listen = EventLines(out, pytest.fail)
    for event in events:
        listen(event)
    return [json.loads(line) for line in out.getvalue().splitlines()]


def test_events_begin_with_the_version_of_their_schema() -> None:
    assert told() == [{"event": "schema", "schema": 1}]


def test_each_event_is_a_line_that_reads_back_as_the_event() -> None:
    events = story.short_run()
    lines = told(*events)[1:]

    assert [line["event"] for line in lines][:3] == ["run_started", "wave_started", "attempt_started"]
    assert [msgspec.convert(line, AnyEvent) for line in lines] == events


class Full(io.BytesIO):
    """A disk that is full from the second line on."""

    def flush(self) -> None:
        if self.tell() > 40:
            raise OSError(28, "No space left on device")


def test_a_full_disk_is_told_once_and_does_not_end_the_run() -> None:
    complaints: list[str] = []
    listen = EventLines(Full(), complaints.append)
    for event in story.short_run():
        listen(event)

    assert complaints == ["--events: no more events are written (No space left on device); the run goes on"]
