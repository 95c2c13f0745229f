"""Options that narrow a run to some of its targets, and to a window."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from orchestrator.commands.options.bundles import bundle_options
from orchestrator.commands.options.protection import protect_file_option, read_protect_files
from orchestrator.commands.options.times import parse_close_at, parse_window
from orchestrator.errors import UsageError

if TYPE_CHECKING:
    from orchestrator.engine.options import RunOptions
    from orchestrator.model.credentials import Secret
    from orchestrator.model.plan import Window


class WindowOptions(NamedTuple):
    """When a run may work."""

    window: str | None
    close_at: str | None
    wait: bool

    def read_window(self, now: datetime | None = None) -> Window | None:
        """Return the window that is asked for, None for none; raises ``UsageError``."""
        return _read_window(self.window, self.close_at, now)


class SelectionOptions(NamedTuple):
    """Which of the targets a run takes, and when."""

    only: tuple[str, ...]
    skip: tuple[str, ...]
    waves: tuple[str, ...]
    window: str | None
    close_at: str | None
    protect_files: tuple[Path, ...]
    wait: bool = False

    def build_run_options(
        self,
        *,
        state: Path = Path(),
        report_dir: Path | None = None,
        signing_key: Secret | None = None,
        past_stop: bool = False,
        after_restore: bool = False,
        engine_gone: bool = False,
        now: datetime | None = None,
    ) -> RunOptions:
        """Return the options of the run that is asked for, which begins ``now``; None is the present.

        Raises ``UsageError`` for a window that cannot be, and for a protect file that cannot be read.
        """
        from orchestrator.engine.options import RunOptions

        return RunOptions(
            state=state,
            report_dir=report_dir,
            signing_key=signing_key,
            only=self.only,
            skip=self.skip,
            waves=self.waves,
            window=_read_window(self.window, self.close_at, now),
            wait=self.wait,
            past_stop=past_stop,
            after_restore=after_restore,
            engine_gone=engine_gone,
            protect_files=read_protect_files(self.protect_files),
        )


def _read_window(window: str | None, close_at: str | None, now: datetime | None = None) -> Window | None:
    from orchestrator.model.plan import Window

    if window and close_at:
        raise UsageError("--window and --close-at both say when the window closes; give one of them")
    if window:
        return Window(*parse_window(window))
    if close_at:
        return Window(None, parse_close_at(close_at, now or datetime.now(UTC)))
    return None


_wait = click.option("--wait", is_flag=True, help="Wait until the window opens.")
_target_filters = (
    click.option(
        "--only", multiple=True, metavar="GLOB", help="Only targets whose id matches; may be repeated."
    ),
    click.option(
        "--skip", multiple=True, metavar="GLOB", help="Not the targets whose id matches; may be repeated."
    ),
    click.option("--wave", "waves", multiple=True, metavar="NAME", help="Only this wave; may be repeated."),
)
_other_window = (
    click.option("--window", metavar="OPENS/CLOSES", help="Replace the plan's window."),
    click.option(
        "--close-at", metavar="HH:MM[ZONE]", help="Replace the window by one that closes at this time."
    ),
)
selection_options = bundle_options(
    "selection", SelectionOptions, *_target_filters, *_other_window, _wait, protect_file_option
)
selection_options_without_wait = bundle_options(
    "selection", SelectionOptions, *_target_filters, *_other_window, protect_file_option
)
"""The same for a command that only looks at the targets, and so waits for no window."""
window_options = bundle_options(
    "window",
    WindowOptions,
    click.option("--window", metavar="OPENS/CLOSES", help="Work within these times only."),
    click.option("--close-at", metavar="HH:MM[ZONE]", help="Start nothing that cannot end before this time."),
    _wait,
)
