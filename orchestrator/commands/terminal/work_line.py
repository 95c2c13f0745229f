"""A line on the terminal that shows that a command works, and how far it has come."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from threading import Event, Lock, Thread

import click

from orchestrator.commands.terminal.output import tell
from orchestrator.errors import RunError
from orchestrator.system.threads import start_thread

SHOWN_AFTER = 1.0
"""Seconds of work that need no line."""
REDRAWN_EVERY = 0.2
"""Seconds between two drawings of the line."""


class WorkLine:
    """One line on stderr, below whatever was written there before; ``text`` names the work.

    ``note`` says how far it has come; its owner sets it as often as it likes.
    """

    def __init__(self, text: str, *, count: Callable[[], str] | None = None) -> None:
        self.note = ""
        self._text = text
        self._count = count
        self._since = time.monotonic()
        self._is_shown = False
        self._lock = Lock()

    def draw(self) -> None:
        """Draw the line anew, once the work has taken long enough."""
        seconds = time.monotonic() - self._since
        if seconds >= SHOWN_AFTER:
            note = self._count() if self._count is not None else self.note
            self._write(f"{self._text}{note and f': {note}'} ({seconds:.0f} s)")

    def tell(self, line: str) -> None:
        """Write a line that stays, above this one."""
        with self._lock:
            self._remove()
            tell(line)

    def close(self) -> None:
        """Remove the line."""
        with self._lock:
            self._remove()

    def _write(self, text: str) -> None:
        from orchestrator.system.terminal import is_in_foreground
        from orchestrator.text.cells import cut_to_width

        with self._lock, suppress(OSError, ValueError):
            terminal = sys.stderr.fileno()
            if is_in_foreground(terminal):
                # A longer line would wrap, and the next drawing would leave its first row standing.
                width = os.get_terminal_size(terminal).columns or 80
                click.echo(f"\r\x1b[K{cut_to_width(text, width - 1)}", nl=False, err=True)
                self._is_shown = True

    def _remove(self) -> None:
        if self._is_shown:
            self._is_shown = False
            with suppress(OSError):
                click.echo("\r\x1b[K", nl=False, err=True)


@contextmanager
def show_work(
    text: str, *, quiet: bool = False, count: Callable[[], str] | None = None
) -> Iterator[WorkLine]:
    """Show the work of the block on the terminal, if it takes longer than a moment.

    Without a terminal, or if ``quiet``, nothing is shown. ``count`` returns how far the work has come, in
    place of the line's note.
    """
    line, over = WorkLine(text, count=count), Event()
    if quiet or not sys.stderr.isatty() or os.environ.get("TERM", "dumb") == "dumb":
        yield line
        return

    def draw_in_turn() -> None:
        while not over.wait(REDRAWN_EVERY):
            line.draw()

    thread = _start_drawing(draw_in_turn)
    try:
        yield line
    finally:
        over.set()
        if thread is not None:
            thread.join()
        line.close()


def _start_drawing(draw_in_turn: Callable[[], None]) -> Thread | None:
    """Start the thread that draws: most of the work leaves its own thread no moment to do so.

    Returns None if the system gives no further thread: the work goes on without its line.
    """
    try:
        return start_thread(draw_in_turn, "work line")
    except RunError:
        return None
