import io
from typing import Any

import pytest
from rich.console import Console

from orchestrator.display.live import LiveDisplay
from orchestrator.display.picture import CURVE, draw_curve, draw_picture
from orchestrator.display.progress import RunProgress
from orchestrator.model.outcome import Outcome
from orchestrator.text.formats import format_clock
from tests.support import story
from tests.support.story import START, ended, parked, paused, sent, started, stopping


def drawn(progress: RunProgress, *, at: float = START + 10, width: int = 120) -> str:
    out = io.StringIO()
    console = Console(file=out, width=width, color_system=None, legacy_windows=False)
    console.print(draw_picture(progress, at, width=width))
    return out.getvalue()


def progress_of(*events: object) -> RunProgress:
    progress = RunProgress()
    for event in events:
        progress.observe(event)  # type: ignore[arg-type]  # the stories hold events of all kinds
    return progress


def row(text: str, name: str) -> list[str]:
    return next(line for line in text.splitlines() if line.startswith(f"│ {name} ")).strip("│ ").split()


def test_a_gateway_has_one_line_with_its_counts() -> None:
    failed = [ended(f"roma-eu/f{n}", Outcome.FAILED) for n in range(3)]
    down = [ended(f"roma-eu/{n}") for n in range(47)]
    text = drawn(
        progress_of(started({"roma-eu": 1200}), *down, *failed, sent("roma-eu/x"), story.retry("roma-eu/y"))
    )

    assert row(text, "roma-eu")[2:8] == ["50/1,200", "4", "1", "1", "3", "·"]
    assert row(text, "roma-eu")[8:] == ["5.0/s", "·", row(text, "roma-eu")[10], "open"]


def test_the_head_names_run_plan_and_wave() -> None:
    text = drawn(progress_of(started(resumed=True), story.wave_started()))

    assert "retirement · run r1 · resumed" in text
    assert "wave everything" in text
    assert "0 of 3 ended" in text


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (600, "fits the window, 9 min to spare"),
        (600, "in 9 min 50 s"),
        (15, "misses the window by 15 s"),
        (5, "window closed"),
    ],
)
def test_the_head_says_whether_the_work_fits_the_window(seconds: int, expected: str) -> None:
    work = [ended(f"apim/{n}", at=START + n / 10) for n in range(100)]
    text = drawn(progress_of(started({"apim": 300}, closes=START + seconds), *work))

    assert expected in text


def test_a_gateway_that_cannot_start_all_has_a_line_of_its_own() -> None:
    work = [ended(f"apim/{n}", at=START + n / 10) for n in range(100)]
    text = drawn(progress_of(started({"apim": 300}, closes=START + 15), *work))

    assert f"! apim starts nothing after {format_clock(START + 15)}: at least" in text
    assert "starts nothing" not in drawn(progress_of(started({"apim": 300}, closes=START + 600), *work))


def test_a_missed_window_is_bold_and_yellow() -> None:
    work = [ended(f"apim/{n}", at=START + n / 10) for n in range(100)]
    out = io.StringIO()
    console = Console(file=out, width=120, force_terminal=True, color_system="standard", _environ={})
    console.print(
        draw_picture(progress_of(started({"apim": 300}, closes=START + 15), *work), START + 10, width=120)
    )

    assert "\x1b[1;33mmisses the window by 15 s\x1b[0m" in out.getvalue()


def test_the_end_is_unknown_before_a_target_has_ended_and_while_a_lane_does_not_work() -> None:
    assert "forecast: not yet known" in drawn(progress_of(started()))
    assert "apim is parked: the end is unknown" in drawn(progress_of(started(), parked()))
    assert "! apim parked: five faults in a row" in drawn(progress_of(started(), parked()))
    assert "! apim given up until a resume: five faults" in drawn(
        progress_of(started(), parked(), parked(given_up=True))
    )


@pytest.mark.parametrize("width", [76, 104, 120])
def test_the_head_has_three_lines_whatever_the_run_does(width: int) -> None:
    """Nothing in it jumps: the longest texts are cut, the empty ones leave their line."""
    begun = [started({"apim": 999_999}, closes=START + 90_000), story.wave_started()]
    work = [ended(f"apim/{n}", at=START + n % 10) for n in range(50)]
    everywhere = [
        begun,
        [*begun, story.step(), *work],
        [*begun, *work, parked()],
        [*begun, *work, stopping()],
        [*begun, *work, story.waiting("proceed")],
    ]

    for events in everywhere:
        lines = drawn(progress_of(*events), width=width).splitlines()
        assert lines[1].startswith("│ wave everything")
        assert lines[2].startswith("│ 10 s so far")
        assert set(lines[4]) == {"│", " "}
        assert lines[5].startswith("│ gateway")


def test_the_wave_is_named_with_its_step() -> None:
    assert "wave everything · step 2/3" in drawn(progress_of(started(), story.wave_started(), story.step()))


@pytest.mark.parametrize(
    ("why", "expected"),
    [
        ("window", f"waits for the window to open at {format_clock(START + 725)[:5]}, in 11 min 55 s"),
        ("pause_after", "pause after wave everything, 11 min 55 s left"),
        ("proceed", "wave everything has ended: `undeploy control r1 continue` goes on with the next"),
        ("paused", "paused; `undeploy control r1 continue` goes on"),
    ],
)
def test_a_wait_counts_down_or_names_the_command_that_ends_it(why: Any, expected: str) -> None:
    progress = progress_of(started(), story.wave_started(), story.waiting(why))

    assert expected in drawn(progress)
    progress.observe(story.goes_on())
    assert expected not in drawn(progress)


def test_a_bound_stands_beside_the_rate_where_there_is_room() -> None:
    progress = progress_of(started(), story.pace("apim", 87.4), story.pace("roma-eu", 2.5))

    assert "≤ 87/s" in drawn(progress)
    assert "≤ 2.5/s" in drawn(progress)
    assert "≤" not in drawn(progress, width=104)
    progress.observe(story.pace("apim", None))
    assert "≤ 87/s" not in drawn(progress)


def test_the_latest_three_controls_are_named() -> None:
    text = drawn(progress_of(started(), *(story.controlled(f"skip apim/{n}") for n in range(4))))

    assert "» alice (host-1, process 4711, pts/3): skip apim/3" in text
    assert "skip apim/0" not in text
    assert "skip apim/1" in text


@pytest.mark.parametrize("width", [76, 103, 104, 115, 116, 140])
def test_no_name_is_so_long_that_the_lanes_state_has_no_room(width: int) -> None:
    lines = drawn(progress_of(started({"a" * 64: 9}), parked("a" * 64)), width=width).splitlines()

    assert " parked " in next(line for line in lines if " 0/9 " in line)


def test_failures_are_listed_below_the_table_in_their_order() -> None:
    text = drawn(
        progress_of(started({"apim": 100}), ended("apim/a", Outcome.FAILED, reason="refused: locked"))
    )

    assert "latest 1 of 1 failed or unknown" in text
    assert "✗ apim/a  refused: locked" in text


def test_a_lane_that_does_not_work_says_why() -> None:
    text = drawn(progress_of(started(), parked()))

    assert "! apim parked: five faults in a row" in text


def test_a_pause_counts_down_and_is_over_by_itself() -> None:
    progress = progress_of(started(), paused("apim", START, 12.0))

    assert "paused 2 s" in drawn(progress, at=START + 10)
    assert "paused" not in drawn(progress, at=START + 13)


def test_an_interrupt_says_what_still_lands() -> None:
    text = drawn(progress_of(started(), sent("roma-eu/a"), stopping()))

    assert "nothing new starts; 1 in flight will land; interrupt again to leave at once" in text


@pytest.mark.parametrize("hostile", ["[red]x[/red]", "[/]", ":warning:"])
def test_markup_in_an_id_is_text(hostile: str) -> None:
    text = drawn(progress_of(started({"apim": 9}), ended(f"apim/{hostile}", Outcome.FAILED, reason=hostile)))

    assert f"apim/{hostile}  {hostile}" in text


@pytest.mark.parametrize("hostile", ["\x1b[2J", "\x9b2J", "\x07", "\r\n"])
def test_no_control_character_reaches_the_terminal(hostile: str) -> None:
    text = drawn(progress_of(started({"apim": 9}), ended(f"apim/{hostile}", Outcome.FAILED, reason=hostile)))

    assert hostile not in text


@pytest.mark.parametrize("width", [60, 80, 100, 200])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    events = [
        ended(f"apim/{'long' * 30}{n}", Outcome.UNKNOWN, reason="spent: " + "why " * 60) for n in range(9)
    ]
    events += [story.waiting("proceed"), *(story.controlled("limits apim rate=5/s") for _ in range(3))]
    lines = drawn(progress_of(started({"apim": 999_999}), *events), width=width).splitlines()

    assert max(map(len, lines)) <= width
    assert len(lines) < 24


def test_the_curve_reaches_from_nothing_to_full_height() -> None:
    assert draw_curve((0, 1, 50, 100)) == f" {CURVE[1]}{CURVE[4]}{CURVE[8]}"
    assert draw_curve((0, 0)) == ""


def test_the_display_lives_from_the_first_event_and_leaves_the_cursor_visible() -> None:
    out = io.StringIO()
    console = Console(file=out, width=120, force_terminal=True, _environ={"TERM": "xterm"})
    with LiveDisplay(console, now=lambda: START + 5) as display:
        before = out.getvalue()
        for event in story.short_run():
            display(event)

    assert before == ""
    assert "retirement" in out.getvalue()
    assert out.getvalue().rindex("\x1b[?25h") > out.getvalue().rindex("\x1b[?25l")
