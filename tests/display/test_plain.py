import io
import json
import re
import time
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from orchestrator.display.json_lines import JsonLinesWriter
from orchestrator.display.phrases import describe_done, describe_window_fit
from orchestrator.display.plain import PlainDisplay
from orchestrator.model.events import AnyEvent, Controlled, GatewayNoted, RunNoted, RunWarned, WaveFacts
from orchestrator.model.forecast import Forecast
from orchestrator.model.outcome import Outcome
from orchestrator.model.plan import RunId
from orchestrator.text.formats import format_clock
from tests.support import story
from tests.support.story import START, ended, parked, paused, reopened, started, stopping


def lines_of(*events: AnyEvent, quiet: bool = False) -> list[str]:
    lines: list[str] = []
    listen = PlainDisplay(lines.append, quiet=quiet)
    for event in events:
        listen(event)
    return [line.partition(" ")[2] for line in lines]


def test_a_restore_that_leaves_everything_out_names_no_gateway() -> None:
    (line,) = lines_of(msgspec.structs.replace(story.started(), targets=60, left={}))

    assert line.endswith("0 of 60 targets to do")


def test_a_failure_is_told_with_the_name_that_people_know() -> None:
    failed = replace(ended("roma-eu/b", Outcome.FAILED, reason="refused: no"), name="Orders \x1b[2J API")

    assert "failed: roma-eu/b (Orders \\u001b[2J API): refused: no (attempts: 1)" in lines_of(
        started(), failed
    )


def test_a_question_comes_with_the_result_of_the_wave_and_the_causes() -> None:
    waves = (WaveFacts(name="everything", targets=3, steps=1),)
    begun = replace(started({"apim": 3}), waves=waves)
    failed = ended("apim/b", Outcome.FAILED, reason="refused: no")
    lines = lines_of(
        begun, story.wave_started(), ended("apim/a"), failed, story.waiting("proceed"), quiet=True
    )

    assert lines[-3:-1] == ["wave everything: 1 of 3 down, 1 failed", "    1 failed: refused: no"]
    assert lines[-1].startswith("wave everything has ended: ")


def test_a_run_has_lines_from_its_start_to_its_end() -> None:
    lines = lines_of(*story.short_run())

    assert lines[0].startswith("run r1 of retirement starts (")
    assert lines[0].endswith("3 of 3 targets to do (roma-eu 2, apim 1)")
    assert lines[1] == "wave everything starts: 3 to do"
    assert "failed: roma-eu/b: refused: no (attempts: 1)" in lines
    assert lines[-2].startswith("wave everything ended: 3/3 ended, 2 undeployed, 1 failed")
    assert lines[-1] == "complete: 3/3 ended, 2 undeployed, 1 failed"


def test_what_a_run_that_was_stopped_has_not_started_has_not_ended() -> None:
    events = [
        started({"apim": 30}),
        story.wave_started(),
        *(ended(f"apim/{n}") for n in range(9)),
        stopping(),
    ]
    outcomes = {"everything": {"apim": {Outcome.UNDEPLOYED: 9, Outcome.NOT_STARTED: 21}}}
    over = replace(story.finish(), state="stopped", outcomes=outcomes)

    assert lines_of(*events, over)[-1] == "stopped: 9/30 ended, 9 undeployed, 21 not started"


def test_quiet_writes_only_what_went_wrong() -> None:
    lines = lines_of(*story.short_run()[:-2], parked(), reopened(), stopping(), quiet=True)

    assert lines == [
        "failed: roma-eu/b: refused: no (attempts: 1)",
        "apim: parked, being probed: five faults in a row",
        "stopping: SIGINT was received; nothing is in flight; interrupt again to leave at once",
    ]


def test_progress_has_a_line_each_tenth_but_not_each_second_of_a_quick_run() -> None:
    quick = [ended(f"apim/{n}", at=START + n / 1000) for n in range(1000)]
    slow = [ended(f"apim/{n}", at=START + n) for n in range(1000)]

    assert len(lines_of(started({"apim": 1000}), *quick)) == 1
    # Every ten seconds 1 % ends: a hundred lines for 1000 targets, and none oftener than each second.
    assert 90 < len(lines_of(started({"apim": 1000}), *slow)) < 115


def test_a_clock_that_is_set_back_silences_no_progress() -> None:
    work = [ended(f"apim/{n}", at=START + n) for n in range(1, 30)]
    later = [ended(f"apim/{n}", at=START - 3600 + n) for n in range(30, 60)]
    lines = lines_of(started({"apim": 2000}), *work, *later)

    assert [line.partition(" ")[0] for line in lines if "/2,000 ended" in line] == [
        f"{n}/2,000" for n in (10, 20, 30, 40, 50)
    ]


def test_a_gateway_that_throttles_has_no_line_every_second() -> None:
    throttled: list[AnyEvent] = []
    for second in range(30):
        throttled += [paused("apim", START + second, 1.0), reopened("apim", START + second + 0.9)]
    lines = lines_of(started({"apim": 100}), *throttled)[1:]

    assert lines == ["apim: paused for 1 s: 429"] * 3


def test_a_parked_gateway_has_one_line_and_so_has_its_recovery() -> None:
    lines = lines_of(started(), parked(), reopened())[1:]

    assert lines == ["apim: parked, being probed: five faults in a row", "apim: goes on"]


def test_a_gateway_that_is_given_up_is_not_said_to_be_probed() -> None:
    given_up = story.LaneChanged(
        at=START, gateway="apim", state="parked", reason="parked: no token", given_up=True
    )

    assert lines_of(started(), given_up)[1:] == ["apim: given up until a resume: no token"]


def test_the_word_of_a_reason_is_not_written_twice() -> None:
    [_, line] = lines_of(started(), parked(why="parked: five faults"))

    assert line == "apim: parked, being probed: five faults"


def test_a_lane_without_a_worker_is_not_said_to_be_probed() -> None:
    [_, line] = lines_of(started(), parked(why="parked: no worker of zone dmz takes its work"))

    assert line == "apim: parked: no worker of zone dmz takes its work"


def test_a_stop_tells_what_is_in_flight_and_what_a_lost_worker_left_without_a_reply() -> None:
    begun: list[AnyEvent] = [started(), story.sent("apim/a"), story.sent("apim/b")]
    lost = story.answered("apim/a", status=None)

    assert lines_of(*begun, lost, stopping())[-1].endswith(
        "; 1 request in flight will land; interrupt again to leave at once"
    )
    gone = story.answered("apim/b", status=None)
    line = lines_of(*begun, lost, gone, stopping())[-1]
    assert line.startswith("stopping: SIGINT was received; nothing is in flight, and 2 had no reply;")


def test_a_wave_that_a_stop_cuts_off_has_not_ended() -> None:
    lines = lines_of(started(), story.wave_started(), ended("apim/a"), stopping(), story.wave_ended())

    assert lines[-1] == "wave everything broken off: 1/3 ended, 1 undeployed"


def test_a_warning_about_the_run_names_no_gateway_and_a_remark_is_none() -> None:
    told: list[AnyEvent] = [
        RunWarned(at=START, text="no worker"),
        RunNoted(at=START, text="one is back"),
        GatewayNoted(at=START, gateway="apim", text="it has no list"),
    ]

    assert lines_of(*told) == ["warning: no worker", "one is back", "apim: it has no list"]
    assert lines_of(*told, quiet=True) == ["warning: no worker"]


def test_only_an_interrupt_can_be_repeated() -> None:
    [_, line] = lines_of(started(), stopping(reason="stop_rule: 3 failed"))

    assert line == "stopping: stop_rule: 3 failed; nothing is in flight"

    [_, line] = lines_of(started(), stopping(reason="interrupt: ada stopped it (ops-1, process 7)"))

    assert line == "stopping: ada stopped it (ops-1, process 7); nothing is in flight"


def test_a_wait_has_a_line_when_it_begins_and_when_it_ends() -> None:
    lines = lines_of(started(), story.waiting("window"), story.goes_on(), story.waiting("pause_after"))[1:]

    opens = format_clock(START + 725)[:5]
    assert lines == [
        f"waits for the window to open at {opens}, in 12 min 05 s",
        "goes on",
        "pause after wave everything, 12 min 05 s left",
    ]


def test_quiet_writes_a_wait_only_if_a_person_must_act() -> None:
    waits = [story.waiting(why) for why in ("window", "pause_after", "proceed", "paused")]
    lines = lines_of(started(), *waits, story.goes_on(), quiet=True)

    assert lines == [
        "wave everything has ended: `undeploy control r1 continue` goes on with the next",
        "paused; `undeploy control r1 continue` goes on",
    ]


def test_the_command_that_goes_on_names_the_state_folder() -> None:
    begun = replace(started(), state_option=" --state 'my runs'")
    assert lines_of(begun, story.waiting("paused"), quiet=True) == [
        "paused; `undeploy control r1 continue --state 'my runs'` goes on"
    ]


def test_a_step_has_a_line_and_the_wait_after_it_names_the_step() -> None:
    lines = lines_of(started(), story.step(), story.waiting("proceed"))[1:]

    assert lines == [
        "wave everything, step 2 of 3 starts: 39 to do",
        "wave everything, step 2 of 3 has ended: `undeploy control r1 continue` goes on with the next",
    ]


def test_a_control_names_the_person() -> None:
    [_, line] = lines_of(started(), story.controlled("limits roma-eu rate=5/s"))

    assert line == "alice (host-1, process 4711, pts/3): limits roma-eu rate=5/s"


def test_only_the_first_bound_has_a_line_and_not_too_often() -> None:
    bounds = [story.pace("roma-eu", 50.0 + n, at=START + n) for n in range(10)]
    again = [story.pace("roma-eu", rate, at=START + 10) for rate in (None, 9.0)]
    late = [story.pace("roma-eu", rate, at=START + 31) for rate in (None, 9.0)]
    lines = lines_of(started(), *bounds, story.pace("apim", 1.0), *again, *late)[1:]

    assert lines == [
        "roma-eu: at most 50.0/s from here on",
        "apim: at most 1.0/s from here on",
        "roma-eu: at most 9.0/s from here on",
    ]


def test_progress_ends_with_the_forecast() -> None:
    work = [ended(f"apim/{n}", at=START + n / 10) for n in range(120)]
    done = format_clock(START + 60)[:5]

    assert lines_of(started({"apim": 300}), *work)[-1].endswith(f"/s, done by {done}")
    line = lines_of(started({"apim": 300}, closes=START + 25), *work)[-1]
    stops = f"apim starts nothing after {format_clock(START + 25)}"
    late = rf"{stops}: at least \d+ targets of it cannot start in the window"
    assert re.search(rf"/s, done by {done}, misses the window by \d s, {late}$", line)
    assert lines_of(started({"apim": 300, "roma-eu": 1}), *work)[-1].endswith(", forecast: not yet known")


def test_a_start_in_a_window_names_the_last_start_of_each_gateway() -> None:
    begun = started(
        {"apim": 300, "roma-eu": 1}, closes=START + 300, timeouts={"apim": 150.0, "roma-eu": 30.0}
    )

    assert lines_of(begun)[-1] == (
        "undeploys start until one timeout before the window closes:"
        f" apim {format_clock(START + 150)}, roma-eu {format_clock(START + 270)}"
    )


NOON = time.mktime((2026, 11, 22, 12, 0, 0, 0, 0, -1))


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (1, "done by 12:01"),
        (60, "done by 12:01"),
        (43_200, "done by Mon 00:00"),
        (864_000, "done by 2026-12-02 12:00"),
    ],
)
def test_the_end_is_a_full_minute_with_its_day_if_that_is_not_today(seconds: int, text: str) -> None:
    assert describe_done(Forecast(done=NOON + seconds), NOON) == text


@pytest.mark.parametrize(
    ("spare", "text"),
    [
        (None, ""),
        (0.5, "fits the window, 0 s to spare"),
        (1_559, "fits the window, 25 min to spare"),
        (-0.5, "misses the window by 1 s"),
        (-661, "misses the window by 12 min"),
        (-5_000, "misses the window by 1 h 24 min"),
    ],
)
def test_spare_time_is_rounded_down_and_missing_time_up(spare: float | None, text: str) -> None:
    assert describe_window_fit(Forecast(done=NOON, spare=spare)) == text


@pytest.mark.parametrize("hostile", ["\x1b[2J", "\r", "\u202e", "\n"])
def test_a_strangers_name_moves_no_cursor(hostile: str) -> None:
    who = Controlled(at=START, act=f"skip {hostile}", by=hostile, origin=hostile)
    [line] = lines_of(who)

    assert hostile not in line


@pytest.mark.parametrize("hostile", ["\x1b[2J", "\r", "\u202e", "\n"])
def test_a_vendors_text_moves_no_cursor(hostile: str) -> None:
    [line] = lines_of(ended(f"apim/{hostile}", Outcome.FAILED, reason=f"refused: {hostile}"), quiet=True)

    assert hostile not in line


def told(*events: AnyEvent) -> list[dict[str, Any]]:
    out = io.BytesIO()
    listen = JsonLinesWriter(out, pytest.fail)
    listen.begin(RunId("20261128-one"))
    for event in events:
        listen(event)
    return [json.loads(line) for line in out.getvalue().splitlines()]


def test_events_begin_with_the_version_of_their_schema_and_the_run() -> None:
    assert told() == [{"event": "stream", "schema": 1, "run": "20261128-one"}]


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


def test_a_full_disk_has_one_complaint_and_does_not_end_the_run() -> None:
    complaints: list[str] = []
    listen = JsonLinesWriter(Full(), complaints.append)
    for event in story.short_run():
        listen(event)

    assert complaints == ["--events: no more events are written (No space left on device); the run goes on"]
