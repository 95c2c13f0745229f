"""The listener that draws a live run: when it begins, what else may be written meanwhile, and how it ends."""

import io
import sys

import pytest
from rich.console import Console

from orchestrator.display import live
from orchestrator.display.live import LiveDisplay
from tests.support import story
from tests.support.emulator import TerminalEmulator
from tests.support.story import START

SIZE = (100, 30)


def open_console(out: io.StringIO) -> Console:
    width, height = SIZE
    return Console(file=out, width=width, height=height, force_terminal=True, _environ={"TERM": "xterm"})


def test_the_display_lives_from_the_first_event_and_leaves_the_screen_as_it_was() -> None:
    out = io.StringIO()
    with LiveDisplay(open_console(out), now=lambda: START + 5) as display:
        before = out.getvalue()
        for event in story.short_run():
            display(event)
        display.draw()
        during = TerminalEmulator(*SIZE, out.getvalue())
    after = TerminalEmulator(*SIZE, out.getvalue())

    assert before == ""
    assert during.lines[0].startswith("retirement · run r1")
    assert (during.is_alternate, during.shows_cursor) == (True, False)
    assert (after.is_alternate, after.shows_cursor) == (False, True)
    assert after.titles[-1] == "9;4;0;0"


def test_lines_written_to_stderr_stay_on_the_normal_screen(monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.StringIO()
    monkeypatch.setattr(sys, "stderr", out)
    with LiveDisplay(open_console(out), now=lambda: START) as display:
        display(story.started())
        sys.stderr.write("a warn")
        sys.stderr.write("ing\nand ")
        display.draw()
    shown = TerminalEmulator(*SIZE, out.getvalue())

    assert sys.stderr is out
    assert shown.lines[0] == "a warning"


def test_a_picture_that_fails_says_so_and_leaves_the_run_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.StringIO()
    with LiveDisplay(open_console(out), now=lambda: START) as display:
        display(story.started())
        thread = display.thread
        monkeypatch.setattr(live, "draw_picture", lambda *_, **__: 1 / 0)
        assert thread is not None
        thread.join(5)
        display(story.wave_started())
    shown = TerminalEmulator(*SIZE, out.getvalue())

    assert not thread.is_alive()
    assert shown.lines[0].startswith("the live picture failed, and the run goes on without it: ZeroDivision")
    assert not shown.is_alternate


def test_a_terminal_of_one_column_ends_no_picture() -> None:
    out = io.StringIO()
    console = Console(file=out, width=1, height=1, force_terminal=True, _environ={"TERM": "xterm"})
    with LiveDisplay(console, now=lambda: START + 5) as display:
        for event in story.short_run():
            display(event)
        display.draw()
        during = TerminalEmulator(1, 1, out.getvalue())

    assert during.is_alternate
    assert "failed" not in out.getvalue()


@pytest.mark.parametrize(("encoding", "expected"), [("utf-8", "█"), ("ascii", "#")])
def test_an_ascii_terminal_gets_ascii(encoding: str, expected: str) -> None:
    raw = io.BytesIO()
    out = io.TextIOWrapper(raw, encoding=encoding, errors="strict", write_through=True)
    console = Console(file=out, width=100, height=30, force_terminal=True, _environ={"TERM": "xterm"})
    with LiveDisplay(console, now=lambda: START + 5) as display:
        for event in story.short_run():
            display(event)
        display.draw()

    assert expected in raw.getvalue().decode(encoding)


def test_what_is_shown_twice_is_written_once() -> None:
    out = io.StringIO()
    with LiveDisplay(open_console(out), now=lambda: START + 5) as display:
        for event in story.short_run():
            display(event)
        display.draw()
        before = len(out.getvalue())
        display.draw()
        display.draw()

        assert len(out.getvalue()) == before
