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

FRAMES = 6
"""Pictures a second. Between two of them an event costs a few counters and nothing else."""

MARGIN = 4


class LiveDisplay:
    """Listener and context manager: draws the run from its first event until the ``with`` ends.

    What other code writes to stderr meanwhile appears above the picture.
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
        """Take ``event`` in; it is drawn with the next picture."""
        self._progress.observe(event)
        if isinstance(event, RunStarted) and self._live is None:
            self._live = Live(
                console=self._console,
                get_renderable=self._picture,
                refresh_per_second=FRAMES,
                redirect_stdout=False,
                transient=True,
                vertical_overflow="crop",
            )
            self._live.start(refresh=True)

    def _picture(self) -> RenderableType:
        # Ctrl-C shows as ^C behind the last line: without room for it there, the picture would slip down.
        return draw_picture(self._progress, self._now(), width=self._console.width - MARGIN)


def open_terminal(*, color: bool) -> Console:
    """Return the console of stderr; without ``color`` (or with NO_COLOR set) it only uses bold and dim."""
    return Console(stderr=True, highlight=False, markup=False, emoji=False, no_color=None if color else True)
