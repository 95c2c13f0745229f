"""A picture on the alternate screen: only what has changed is written, and nothing is left behind."""

import io

from orchestrator.display.screen import AlternateScreen
from orchestrator.display.tab import TabProgress, describe_progress
from orchestrator.system.terminal import ENTER_SCREEN, LEAVE_SCREEN
from tests.support.emulator import TerminalEmulator
from tests.support.live_statuses import make_status, make_verdict

SIZE = (40, 6)


class Shown:
    """A screen whose output an emulator shows."""

    def __init__(self) -> None:
        self.out = io.StringIO()
        self.screen = AlternateScreen(self.out)

    def take(self) -> str:
        written = self.out.getvalue()
        self.out.seek(0)
        self.out.truncate()
        return written

    @property
    def emulator(self) -> TerminalEmulator:
        return TerminalEmulator(*SIZE, self.out.getvalue())


def test_the_first_picture_enters_the_screen_and_the_last_one_is_gone() -> None:
    shown = Shown()
    shown.out.write("before\r\n")
    shown.screen.show(["one", "two"], SIZE)
    during = shown.emulator
    shown.screen.leave()
    shown.screen.leave()

    assert (during.lines[:2], during.is_alternate, during.shows_cursor) == (["one", "two"], True, False)
    assert (shown.emulator.lines[0], shown.emulator.is_alternate) == ("before", False)
    assert shown.emulator.shows_cursor
    assert shown.out.getvalue().count(LEAVE_SCREEN) == 1


def test_only_lines_that_changed_are_written_in_one_update() -> None:
    shown = Shown()
    shown.screen.show(["one", "two", "three"], SIZE)
    shown.take()
    shown.screen.show(["one", "TWO", "three"], SIZE)
    changed = shown.take()
    shown.screen.show(["one", "TWO", "three"], SIZE)

    assert "TWO" in changed
    assert "one" not in changed
    assert "three" not in changed
    assert changed.startswith("\x1b[?2026h")
    assert changed.endswith("\x1b[?2026l")
    assert shown.take() == ""


def test_a_shorter_picture_clears_the_lines_that_it_does_not_have() -> None:
    shown = Shown()
    shown.screen.show(["one is long", "two", "three"], SIZE)
    shown.screen.show(["one", "two"], SIZE)

    assert shown.emulator.lines[:3] == ["one", "two", ""]


def test_another_size_is_drawn_anew() -> None:
    shown = Shown()
    shown.screen.show(["one", "two"], SIZE)
    shown.take()
    shown.screen.show(["one", "two"], (30, 6))

    assert "\x1b[2J" in (anew := shown.take())
    assert "one" in anew
    assert ENTER_SCREEN not in anew


def test_lines_for_the_normal_screen_stay_there_and_the_picture_comes_back() -> None:
    shown = Shown()
    shown.screen.show(["picture"], SIZE)
    shown.screen.write_above("a warning\n")
    between = shown.emulator
    shown.screen.show(["picture"], SIZE)
    again = shown.emulator
    shown.screen.leave()

    assert (between.is_alternate, between.lines[0]) == (False, "a warning")
    assert (again.is_alternate, again.lines[0]) == (True, "picture")
    assert shown.emulator.lines[0] == "a warning"


def test_an_answer_is_typed_at_its_place_and_stays_there_when_the_picture_changes() -> None:
    shown = Shown()
    shown.screen.show(["12 s left", "go on? "], SIZE, (1, 7))
    shown.out.write("ye")  # the terminal's echo
    shown.screen.show(["11 s left", "go on? "], SIZE, (1, 7))
    shown.out.write("s")

    assert shown.emulator.lines[:2] == ["11 s left", "go on? yes"]
    assert shown.emulator.shows_cursor


def test_the_tab_has_the_state_and_the_per_cent_and_is_told_only_changes() -> None:
    told: list[str] = []
    tab = TabProgress(told.append, {"TERM": "xterm"})
    for _ in range(3):
        tab.show(make_status())
    tab.clear()
    tab.clear()

    assert told == ["\x1b]9;4;2;14\x07", "\x1b]9;4;0;0\x07"]


def test_the_tab_shows_a_run_that_stands_still_and_one_that_begins() -> None:
    counts = {"targets": 100, "ended": 50, "failed": 0, "unknown": 0}
    running, waiting, starting = (
        make_status(verdict=make_verdict(tone=tone, counts=given))
        for tone, given in (("going", counts), ("waiting", counts), ("going", {"targets": 0}))
    )

    assert [describe_progress(status) for status in (running, waiting, starting)] == ["1;50", "4;50", "3;0"]


def test_a_terminal_to_which_the_sequence_is_a_notification_gets_none() -> None:
    told: list[str] = []
    for environment in ({"TERM_PROGRAM": "iTerm.app"}, {"TERM": "linux"}):
        tab = TabProgress(told.append, environment)
        tab.show(make_status())
        tab.clear()

    assert told == []
