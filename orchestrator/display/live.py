"""The listener that draws a live run on a terminal, on stderr."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Self

from rich.console import Console, RenderableType
from rich.live import Live

from orchestrator.display.picture import draw_picture
from orchestrator.display.progress import RunProgress
from orchestrator.model.events import AnyEvent, RunStarted

PICTURES_PER_SECOND = 6
"""Between two pictures an event only costs its counting."""

MARGIN = 4


class LiveDisplay:
    """Listener and context manager: draws the run from its first event until the ``with`` ends.

    Lines that other code writes to stderr meanwhile appear above the picture.
    """

    def __init__(self, console: Console, *, now: Callable[[], float] = time.time) -> None:
        self._console = console
        self._now = now
        self._progress = RunProgress()
        self._live: Live | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            with suppress(OSError):  # the terminal may be gone by now
                self._live.stop()

    def __call__(self, event: AnyEvent) -> None:
        """Count ``event``; the next picture shows it."""
        self._progress.observe(event)
        if isinstance(event, RunStarted) and self._live is None:
            self._live = Live(
                console=self._console,
                get_renderable=self._draw,
                refresh_per_second=PICTURES_PER_SECOND,
                # Results go to stdout, for other programs: the picture leaves it alone.
                redirect_stdout=False,
                transient=True,
                vertical_overflow="crop",
            )
            self._live.start(refresh=True)

    def _draw(self) -> RenderableType:
        # The terminal writes ^C behind the last line. Without room for it the picture would move down a line.
        return draw_picture(self._progress, self._now(), width=self._console.width - MARGIN)


def open_terminal(*, color: bool) -> Console:
    """Return the console of stderr; without ``color`` (or with NO_COLOR set) it uses only bold and dim."""
    return Console(stderr=True, highlight=False, markup=False, emoji=False, no_color=None if color else True)
