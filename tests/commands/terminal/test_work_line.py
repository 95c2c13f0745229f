"""The line of long work: on a terminal, after a moment, and gone at the end."""

import os
import pty
import select
import sys
import threading
import time
from collections.abc import Iterator
from typing import TextIO

import pytest

from orchestrator.commands.terminal import work_line
from orchestrator.commands.terminal.work_line import WorkLine, show_work
from tests.support.emulator import TerminalEmulator


class Terminal:
    """A terminal as stderr, and what it shows."""

    def __init__(self, ours: int, stderr: TextIO) -> None:
        self._ours = ours
        self._stderr = stderr
        self.shown = TerminalEmulator(80, 5)

    def attach(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Make it stderr, with lines of work that are shown at once."""
        # Not in the fixture: pytest puts its own stderr in place before each test.
        monkeypatch.setattr(sys, "stderr", self._stderr)
        monkeypatch.setenv("TERM", "xterm")
        monkeypatch.setattr(work_line, "SHOWN_AFTER", 0.0)
        monkeypatch.setattr(work_line, "REDRAWN_EVERY", 0.3)

    def read(self) -> list[str]:
        """Return the lines that it shows, once nothing more has come for a moment."""
        # The kernel hands on what is written to a terminal a moment later, and not at once.
        while select.select([self._ours], [], [], 0.1)[0]:
            self.shown.feed(os.read(self._ours, 65536).decode())
        return self.shown.lines


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "w") as stderr:
        yield Terminal(ours, stderr)
    os.close(ours)


def test_work_that_takes_long_shows_how_far_it_is_and_leaves_nothing(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal.attach(monkeypatch)
    with show_work("counts the stars", count=lambda: "42 so far"):
        until = time.monotonic() + 10
        while not (during := terminal.read()[0]) and time.monotonic() < until:
            pass

    assert during == "counts the stars: 42 so far (0 s)"
    assert terminal.read() == [""] * 5


def test_where_no_thread_can_be_had_the_work_goes_on_without_its_line(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    terminal.attach(monkeypatch)
    monkeypatch.setattr(threading.Thread, "start", fail)
    with show_work("counts the stars"):
        done = True

    assert done
    assert terminal.read() == [""] * 5


def test_short_work_shows_nothing(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal.attach(monkeypatch)
    monkeypatch.setattr(work_line, "SHOWN_AFTER", 1.0)
    with show_work("blinks") as line:
        line.draw()

    assert terminal.read() == [""] * 5


def test_lines_that_stay_are_above_the_line(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal.attach(monkeypatch)
    line = WorkLine("works")
    line.draw()
    line.tell("roma-eu: parked")
    line.note = "x" * 200
    line.draw()
    during = terminal.read()
    line.close()

    assert during[0] == "roma-eu: parked"
    assert during[1].startswith("works: xxx")
    assert terminal.read() == ["roma-eu: parked", "", "", "", ""]


def test_if_quiet_no_line_is_drawn(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal.attach(monkeypatch)
    with show_work("works", quiet=True):
        time.sleep(0.5)

    assert terminal.read() == [""] * 5


def test_without_a_terminal_no_line_is_drawn(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(work_line, "SHOWN_AFTER", 0.0)
    monkeypatch.setattr(work_line, "REDRAWN_EVERY", 0.01)
    with show_work("works"):
        time.sleep(0.5)

    assert capsys.readouterr().err == ""
