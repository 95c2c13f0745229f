"""The listener that draws a live run on a terminal, on stderr."""

from __future__ import annotations

import io
import os
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from threading import Event, RLock, Thread
from types import TracebackType
from typing import Self, TextIO

from rich.console import Console
from rich.text import Span, Text

from orchestrator.display.picture import Picture, draw_picture
from orchestrator.display.progress import RunProgress
from orchestrator.display.screen import AlternateScreen
from orchestrator.display.status import read_status
from orchestrator.display.tab import TabProgress
from orchestrator.model.events import AnyEvent, RunNoted, RunStarted, RunWarned
from orchestrator.system.terminal import Keyboard, handle_suspension, is_in_foreground
from orchestrator.system.threads import start_thread
from orchestrator.text.characters import make_visible
from orchestrator.text.charset import fit_charset
from orchestrator.text.formats import format_clock

PICTURES_PER_SECOND = 4
"""Between two pictures an event only costs its counting."""


class LiveDisplay:
    """Listener and context manager: draws the run from its first event until the ``with`` ends.

    The picture has a screen of its own. Lines that other code writes to stderr meanwhile go to the normal
    screen, where they stay. A job in the background draws nothing until it is in the foreground again.
    """

    def __init__(
        self,
        console: Console,
        *,
        now: Callable[[], float] = time.time,
        link: Callable[[], str] | None = None,
    ) -> None:
        """``link`` returns the address of the run's live page, if it has one."""
        self._console = console
        self._now = now
        self._link = link
        self._progress = RunProgress()
        self._out: TextIO = sys.stderr if console.stderr else console.file  # type: ignore[assignment]
        self._descriptor = _find_descriptor(self._out)
        self._screen = AlternateScreen(self._out)
        self._keyboard = Keyboard(self._descriptor)
        self._tab = TabProgress(self._screen.write_code)
        # Entered again by the handler of Ctrl-Z, which may interrupt the thread that holds it.
        self._lock = RLock()
        self._rendered: dict[tuple[str, str, tuple[Span, ...]], str] = {}
        self._over = Event()
        self._suspended = False
        self._stack = ExitStack()
        self.thread: Thread | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        if self.thread is not None:
            self.thread.join()
        self._stack.close()

    def __call__(self, event: AnyEvent) -> None:
        """Count ``event``; the next picture shows it."""
        self._progress.observe(event)
        if self.thread is not None:
            return
        if isinstance(event, RunStarted):
            self._begin()
        elif isinstance(event, RunWarned | RunNoted):
            # A session that an earlier command left is taken over first, without a picture.
            self._out.write(f"{format_clock(event.at)} {make_visible(event.text)}\n")
            self._out.flush()

    def _begin(self) -> None:
        # In reverse at the end: the lines go straight to stderr again once the normal screen is back.
        if self._out is sys.stderr:
            sys.stderr = _NormalScreen(self._out, self._write_above)
            self._stack.callback(setattr, sys, "stderr", self._out)
        self._stack.callback(self._leave)
        self._stack.callback(self._tab.clear)
        self._stack.enter_context(handle_suspension(self._suspend, self._resume))
        self.draw()
        self.thread = start_thread(self._draw_in_turn, "live picture")

    def _draw_in_turn(self) -> None:
        while not self._over.wait(1 / PICTURES_PER_SECOND):
            try:
                self.draw()
            except Exception as error:  # noqa: BLE001 - a picture that fails must not end a run
                self._leave()
                self._write_above(f"the live picture failed, and the run goes on without it: {error!r}\n")
                return

    def draw(self) -> None:
        """Draw the run as it is now; only the lines that have changed are written."""
        with self._lock:
            if self._suspended or not is_in_foreground(self._descriptor):
                return
            columns, rows = self._console.size = _read_size(self._descriptor) or self._console.size
            status = read_status(self._progress, self._now())
            waiting = self._progress.waiting
            picture = draw_picture(
                status,
                # One column less: to clear the rest of a full line would clear its last character. A window
                # that is dragged may have a single column for a moment.
                width=max(1, columns - 1),
                height=rows,
                answers=waiting is not None and waiting.answers,
                link="" if self._link is None else self._link(),
            )
            if picture.typed_at is None:
                self._keyboard.silence()
            else:
                self._keyboard.restore()
            self._screen.show(self._render(picture), (columns, rows), picture.typed_at)
            self._tab.show(status)

    def _render(self, picture: Picture) -> list[str]:
        """Return the lines with their colours as sequences; most are those of the picture before."""
        keys = [(line.plain, str(line.style), tuple(line.spans)) for line in picture.lines]
        new = {key: line for key, line in zip(keys, picture.lines, strict=True) if key not in self._rendered}
        if new:
            with self._console.capture() as rendered:
                self._console.print(Text("\n").join(new.values()), soft_wrap=True)
            text = rendered.get()
            lines = fit_charset(text, self._out.encoding or "utf-8").split("\n")
            self._rendered |= zip(new, lines, strict=False)
        self._rendered = {key: self._rendered[key] for key in keys}
        return [self._rendered[key] for key in keys]

    def _write_above(self, text: str) -> None:
        with self._lock:
            self._screen.write_above(text)

    def _suspend(self) -> None:
        # Otherwise the thread might draw once more before the process stops.
        self._suspended = True
        self._leave()

    def _resume(self) -> None:
        self._suspended = False

    def _leave(self) -> None:
        with self._lock:
            self._screen.leave()
            self._keyboard.restore()


class _NormalScreen(io.TextIOBase):
    """Stands in for stderr while a picture is shown: passes whole lines on to the normal screen."""

    def __init__(self, out: TextIO, write: Callable[[str], None]) -> None:
        self._out = out
        self._pass_on = write
        self._begun = ""

    @property
    def encoding(self) -> str:  # type: ignore[override]  # typeshed has an attribute
        """The encoding of stderr."""
        return self._out.encoding

    def fileno(self) -> int:
        """Return the descriptor of stderr."""
        return self._out.fileno()

    def isatty(self) -> bool:
        """Return whether stderr is a terminal."""
        return self._out.isatty()

    def writable(self) -> bool:
        """Return True, as io.TextIOBase wants it."""
        return True

    def write(self, text: str) -> int:
        """Take ``text``; the part behind its last newline waits for the next one."""
        whole, newline, self._begun = (self._begun + text).rpartition("\n")
        if newline:
            self._pass_on(whole + newline)
        return len(text)


def _find_descriptor(out: TextIO) -> int:
    with suppress(OSError, ValueError):
        return out.fileno()
    return -1


def _read_size(descriptor: int) -> tuple[int, int] | None:
    """Return the columns and rows of a terminal; None where it tells none."""
    with suppress(OSError, OverflowError):
        size = os.get_terminal_size(descriptor)
        return (size.columns, size.lines) if size.columns and size.lines else None
    return None


def open_terminal(*, color: bool) -> Console:
    """Return the console of stderr; without ``color`` (or with NO_COLOR set) it uses only bold and dim."""
    return Console(stderr=True, highlight=False, markup=False, emoji=False, no_color=None if color else True)
