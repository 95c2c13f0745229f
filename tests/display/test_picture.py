"""The live picture: what it tells at any width and height, and what it never leaves out."""

import io

import pytest
from msgspec.structs import replace
from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.text import Text

from orchestrator.display.picture import CURVE, Picture, draw_curve, draw_picture
from orchestrator.model.causes import CauseGroup
from orchestrator.model.live_status import LiveStatus
from orchestrator.model.outcome import Outcome
from orchestrator.text.characters import make_visible
from orchestrator.text.formats import format_clock
from tests.support.live_statuses import (
    NOW,
    make_busy_status,
    make_causes,
    make_control,
    make_facts,
    make_headroom,
    make_lane,
    make_parked_lane,
    make_status,
    make_verdict,
    make_waves,
)
from tests.support.names import NAMES, REASON, TURKISH

SIZES = [(40, 10), (60, 15), (80, 24), (120, 40), (200, 60), (300, 200)]


def draw(status: LiveStatus, width: int = 120, height: int = 60, *, answers: bool = False) -> str:
    picture = draw_picture(status, width=width, height=height, answers=answers)
    return "\n".join(line.plain for line in picture.lines)


def find_row(text: str, name: str) -> list[str]:
    return next(line for line in text.splitlines() if line.startswith(f"{name} ")).split()


@pytest.mark.parametrize(("width", "height"), SIZES)
@pytest.mark.parametrize("status", [make_status(), make_busy_status()], ids=["calm", "busy"])
def test_no_line_is_too_wide_and_no_picture_too_high(status: LiveStatus, width: int, height: int) -> None:
    lines = draw(status, width, height).splitlines()

    assert max(map(cell_len, lines)) <= width
    assert len(lines) <= height


@pytest.mark.parametrize("width", [34, 79, 80, 140])
@pytest.mark.parametrize("height", [16, 60])
@pytest.mark.parametrize("name", NAMES)
def test_names_of_any_script_keep_each_line_in_its_cells(name: str, width: int, height: int) -> None:
    """A wide character that does not fit leaves a cell empty, and none is cut in two."""
    given = NAMES[name]
    (cause,) = (replace(cause, examples=(f"apim/{given}/{given}-api",)) for cause in make_causes(1))
    waves = tuple(replace(wave, name=f"{number} {given}") for number, wave in enumerate(make_waves(8, 3)))
    status = make_busy_status(
        run=make_facts(plan=given, reason=make_visible(REASON)),
        verdict=make_verdict(sentence=f"wave 2 of 8, {given}, goes on"),
        waves=waves,
        causes=(cause,),
        controls=(make_control(f"skip apim/{given}/**"),),
    )
    lines = draw(status, width, height).splitlines()

    assert max(map(cell_len, lines)) <= width
    assert not any("\u0301" <= line[:1] <= "\u0308" for line in lines)
    if width == 140 and cell_len(given) < 60:
        assert f"{given} · run" in lines[0]
        assert f"wave 2 of 8, {given}, goes on" in "\n".join(lines)


@pytest.mark.parametrize("name", NAMES)
def test_the_columns_of_waves_stand_below_each_other(name: str) -> None:
    names = [NAMES[name], TURKISH, "a", "支付"]
    waves = tuple(replace(wave, name=each) for wave, each in zip(make_waves(4, 1), names, strict=True))
    lines = draw(make_status(waves=waves), 140, 60).splitlines()
    first = next(
        number for number, line in enumerate(lines) if line.startswith("wave ") and "unknown" in line
    )
    heading, *rows = lines[first : first + 5]
    end = cell_len(heading[: heading.index("ended") + len("ended")])

    assert [row[: len(set_cell_size(row, end))].split()[-1] for row in rows] == [
        f"{wave.ended:,}/{wave.total:,}" for wave in waves
    ]


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_an_operator_always_sees_the_counts_the_stop_and_how_to_leave(width: int, height: int) -> None:
    text = " ".join(draw(make_busy_status(), width, height).split())

    assert " STOPPING " in f" {text} "
    assert "412 of 3,000 down · 9 failed · 2 unknown" in text
    assert "nothing new starts; 4 requests land" in text
    assert "interrupt again to leave at once" in text


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_a_question_is_the_last_that_is_cut(width: int, height: int) -> None:
    question = "wave canary has ended: 3 of 4 down, 1 failed; go on with the next?"
    picture = draw_picture(make_busy_status(question=question), width=width, height=height, answers=True)
    text = " ".join(" ".join(line.plain for line in picture.lines).split())

    assert question in text
    assert picture.lines[-1].plain.startswith("y goes on, n stops the run")
    assert picture.typed_at is not None
    assert picture.typed_at[0] == len(picture.lines) - 1
    assert len(picture.lines) <= height


def test_no_answer_is_typed_where_the_terminal_takes_none() -> None:
    assert draw_picture(make_status(question="go on?"), width=80, height=24).typed_at is None
    assert draw_picture(make_status(), width=80, height=24, answers=True).typed_at is None


def test_a_low_picture_shows_the_lanes_in_trouble_and_counts_the_others() -> None:
    text = draw(make_busy_status(), 79, 24)
    probes = [line for line in text.splitlines() if " parked, probe in 12 s, gives up " in line]

    assert [line.split()[1] for line in probes] == ["roma-eu", "roma-us", "apim-0"]
    assert "… 7 more gateways: 7 open" in text
    assert all(find_row(text, name)[-1] == "parked" for name in ("roma-eu", "roma-us", "apim-0"))


def test_a_high_picture_uses_its_height() -> None:
    low, high = (draw(make_busy_status(), 120, height) for height in (24, 200))

    assert len(low.splitlines()) == 24
    assert "more" not in high.replace("more stop the run", "").replace("and 9 more", "")
    assert all(f"wave-{n} " in high for n in range(1, 41))
    assert all(f"APIG.{1000 + n}" in high for n in range(12))


def test_a_gateway_has_one_line_with_its_counts() -> None:
    lane = make_lane(total=1200, ended=50, counts={"undeployed": 47, "failed": 3}, repeating=2, refused=7)
    row = find_row(draw(make_status(lanes=(lane,)), 160), "roma-eu")

    ends = f"~{format_clock(NOW + 300)[:5]}"
    assert row[2:] == ["50/1,200", "3", "·", "4/8", ends, "3.2/s", "≤", "20/s", "2", "7", "open"]


@pytest.mark.parametrize("width", [39, 60, 76, 103, 104, 140])
def test_no_name_is_so_long_that_the_lanes_state_has_no_room(width: int) -> None:
    text = draw(make_status(lanes=(make_parked_lane("a" * 64),)), width)

    assert [line.split()[-1] for line in text.splitlines() if line.startswith("aaa")][-1] == "parked"


def test_a_lane_that_is_done_is_not_open() -> None:
    row = find_row(draw(make_status(lanes=(make_lane(left=0, ended=1200, state_words="done"),))), "roma-eu")

    assert row[-1] == "done"


@pytest.mark.parametrize(
    ("lane", "expected"),
    [
        (
            make_parked_lane("eu", given_up=True, state_words="given up until a resume: five"),
            "eu given up until a resume: five targets in a row met HTTP 503",
        ),
        (make_lane("eu", state="closed", state_words="closed: denied", reason="closed: denied"), "! "),
        (
            make_lane(
                "eu", state="paused", state_words="paused 12 s", reason="429", since=NOW, until=NOW + 12
            ),
            "eu paused 12 s: 429",
        ),
        (make_lane("eu", list_asked="reads its list, page 3"), "· eu reads its list, page 3"),
        (make_lane("eu", repeating=2, fault="HTTP 500"), "↻ eu repeats 2 targets: HTTP 500"),
    ],
)
def test_a_lane_that_does_not_simply_work_says_why(lane: object, expected: str) -> None:
    assert expected in draw(make_status(lanes=(lane,)))


def test_a_pause_that_belongs_to_the_pace_is_no_trouble() -> None:
    lane = make_lane("eu", state="paused", state_words="paused 1 s", reason="429", since=NOW, until=NOW + 1)

    assert "!" not in draw(make_status(lanes=(lane,)))


def test_waves_are_a_table_where_there_is_room_and_one_line_where_there_is_not() -> None:
    status = make_status(waves=make_waves(5, 2))
    table, track = draw(status, 120, 40), draw(status, 120, 11)

    assert find_row(table, "▶ wave-2")[3:] == ["40/100", "·", "·", f"~{format_clock(NOW + 120)[:5]}", "going"]
    assert "✓ 1 ended  ▶ wave-2 40/100  · wave-3 0/100" in track


def test_the_waves_around_the_one_that_goes_on_are_shown_first() -> None:
    text = draw(make_status(waves=make_waves(40, 17)), 120, 26)

    assert "▶ wave-17" in text
    assert "✓ wave-16" in text
    assert "wave-40" not in text
    assert "more waves" in text


def test_failures_are_grouped_by_cause() -> None:
    group = CauseGroup(
        outcome=Outcome.FAILED,
        label="APIG.9999",
        text="System error",
        count=1200,
        gateways=("roma-eu",),
        examples=("roma-eu/a", "roma-eu/b"),
        names=("orders-v1", None),
    )
    text = draw(make_status(causes=(group,)))

    assert "✗ 1,200 failed  APIG.9999: System error · roma-eu · roma-eu/a (orders-v1)" in text


def test_the_stop_rule_that_is_nearest_comes_first() -> None:
    lines = draw(make_status(headroom=(make_headroom(7), make_headroom(1)))).splitlines()
    rules = [line for line in lines if line.startswith("stop rule")]

    assert [line.endswith("1 more stop the run") for line in rules] == [True, False]


def test_the_newest_controls_are_kept_where_there_is_room_for_few() -> None:
    text = draw(make_status(controls=tuple(make_control(f"skip apim/{n}") for n in range(5))))

    assert f"» {format_clock(NOW - 30)} alice (host-1, process 4711, pts/3): skip apim/4" in text
    assert "skip apim/1" not in text


@pytest.mark.parametrize("width", [80, 120])
def test_the_end_is_compared_with_the_window(width: int) -> None:
    text = draw(
        make_status(verdict=make_verdict(against_close="misses the window by 4 min", is_late=True)), width
    )

    assert "done by 06:40 · misses the window by 4 min · window closes" in text


@pytest.mark.parametrize("width", [40, 60, 80])
def test_an_end_that_is_too_long_for_one_line_is_told_to_its_last_word(width: int) -> None:
    bound = "roma-tr is parked and 2 more stand still: the end is unknown; at the latest 06:58"
    status = make_status(verdict=make_verdict(done_by=bound, against_close=""))
    text = " ".join(draw(status, width).split())

    assert bound in text
    assert "window closes" in text
    assert "at the latest 06:58" in " ".join(draw(status, width, 24).split())
    # Where one line is free, the time comes first.
    assert "at the latest 06:58" in " ".join(draw(status, width, 8).split())


def test_a_missed_window_stands_out_without_colours_too() -> None:
    status = make_status(verdict=make_verdict(against_close="misses the window by 4 min", is_late=True))
    plain, shown = (render(draw_picture(status, width=120, height=40), system) for system in (None, "256"))

    assert "\x1b" not in plain
    assert "misses the window" in plain
    assert "\x1b[1;38;5;16;48;5;220mmisses the window by 4 min\x1b[0m" in shown


def test_the_title_names_a_rehearsal_a_restore_and_a_later_session() -> None:
    facts = make_facts(rehearsal=True, act="restore", session=3)
    title = draw(make_status(run=facts)).splitlines()[0]

    assert title.startswith(" REHEARSAL  restore of orders-retirement · run 2026")
    assert "session 3" in title
    assert title.endswith(format_clock(NOW))


def test_what_has_nothing_to_tell_takes_no_line_of_a_small_picture() -> None:
    verdict = make_verdict(state="stopping", done_by="", against_close="")
    lines = draw(make_busy_status(verdict=verdict, closes=None), 59, 15).splitlines()

    assert lines
    assert all(map(str.strip, lines))


@pytest.mark.parametrize(("width", "height"), [(59, 15), (79, 24), (119, 40)])
def test_the_link_of_the_live_page_is_whole(width: int, height: int) -> None:
    link = f"http://127.0.0.1:8787/#token={'x' * 43}"
    picture = draw_picture(make_busy_status(), width=width, height=height, link=link)

    assert link in "".join(line.plain for line in picture.lines)


def test_a_bar_without_colours_tells_failures_from_the_rest_by_its_characters() -> None:
    bar = next(line for line in draw(make_status()).splitlines() if "% ended" in line)

    assert bar.startswith("███")
    assert "✗" in bar
    assert "?" in bar
    assert bar.endswith("─ 14% ended")


@pytest.mark.parametrize("hostile", ["[red]x[/red]", "[/]", ":warning:"])
def test_markup_in_a_text_is_text(hostile: str) -> None:
    cause = CauseGroup(outcome=Outcome.FAILED, label=hostile, text=hostile, count=1)

    assert f"{hostile}" in render(draw_picture(make_status(causes=(cause,)), width=99, height=40), None)


def test_the_curve_reaches_from_nothing_to_full_height() -> None:
    assert draw_curve((0, 1, 50, 100)) == f" {CURVE[1]}{CURVE[4]}{CURVE[8]}"
    assert draw_curve((0, 0)) == ""


def test_twenty_causes_are_no_reason_to_lose_the_lanes() -> None:
    assert "gateway " in draw(make_status(causes=make_causes(20)), 80, 24)


def render(picture: Picture, system: str | None) -> str:
    out = io.StringIO()
    console = Console(
        file=out, width=300, force_terminal=system is not None, color_system=system, markup=False, _environ={}
    )  # type: ignore[arg-type]  # one of its names
    console.print(Text("\n").join(picture.lines), soft_wrap=True)
    return out.getvalue()
