"""A terminal's alternate screen: a picture of lines, of which only those that changed are written anew.

Resizing leaves nothing behind there, since a terminal wraps no lines of that screen, and a picture may be as
high as the terminal. The normal screen takes the lines that are to stay.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import TextIO

from orchestrator.system.streams import is_behind
from orchestrator.system.terminal import ENTER_SCREEN, LEAVE_SCREEN

# DEC mode 2026: the terminal shows all of an update at once. Terminals without it ignore both.
BEGIN_UPDATE, END_UPDATE = "\x1b[?2026h", "\x1b[?2026l"
CLEAR, TO_LINE_END, PLAIN = "\x1b[H\x1b[2J", "\x1b[K", "\x1b[0m"
KEEP_CURSOR, PUT_CURSOR_BACK = "\x1b7", "\x1b8"
SHOW_CURSOR, HIDE_CURSOR = "\x1b[?25h", "\x1b[?25l"


class AlternateScreen:
    """Shows pictures on the terminal behind ``out``, from the first ``show`` until ``leave``."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._is_shown = False
        self._lines: list[str] = []
        self._size = (0, 0)
        self._typed_at: tuple[int, int] | None = None

    def show(
        self, lines: Sequence[str], size: tuple[int, int], typed_at: tuple[int, int] | None = None
    ) -> None:
        """Show ``lines``, no more and none wider than a terminal of ``size`` (columns, rows) has room for.

        At ``typed_at`` (row and column, from 0) the cursor stands for an answer; None: no answer is wanted.
        A terminal that has not yet taken the earlier pictures gets none.
        """
        if is_behind(self._out):
            return
        anew = not self._is_shown or size != self._size or typed_at != self._typed_at
        update = self._draw_anew(lines, typed_at) if anew else self._draw_changes(lines)
        self._is_shown, self._size, self._typed_at, self._lines = True, size, typed_at, list(lines)
        if update:
            self._write(f"{BEGIN_UPDATE}{update}{END_UPDATE}")

    def write_above(self, text: str) -> None:
        """Write ``text`` to the normal screen, where it stays; the next picture is drawn anew."""
        self.leave()
        self._write(text)

    def write_code(self, code: str) -> None:
        """Write a sequence that moves nothing on the screen."""
        self._write(code)

    def leave(self) -> None:
        """Show the normal screen again, as it was."""
        if self._is_shown:
            self._is_shown = False
            self._write(LEAVE_SCREEN)

    def _draw_anew(self, lines: Sequence[str], typed_at: tuple[int, int] | None) -> str:
        start = CLEAR if self._is_shown else f"{ENTER_SCREEN}{CLEAR}"
        rows = "".join(_place(row, line) for row, line in enumerate(lines))
        if typed_at is None:
            return f"{start}{HIDE_CURSOR}{rows}"
        return f"{start}{rows}\x1b[{typed_at[0] + 1};{typed_at[1] + 1}H{SHOW_CURSOR}"

    def _draw_changes(self, lines: Sequence[str]) -> str:
        longest = max(len(lines), len(self._lines))
        before, after = ([*each, *[""] * (longest - len(each))] for each in (self._lines, lines))
        rows = [_place(row, after[row]) for row in range(longest) if before[row] != after[row]]
        if not rows or self._typed_at is None:
            return "".join(rows)
        # The cursor stands behind the letters that were typed so far.
        return "".join((KEEP_CURSOR, *rows, PUT_CURSOR_BACK))

    def _write(self, text: str) -> None:
        with suppress(OSError):  # the terminal may be gone by now
            self._out.write(text)
            self._out.flush()


def _place(row: int, line: str) -> str:
    return f"\x1b[{row + 1};1H{line}{PLAIN}{TO_LINE_END}"
