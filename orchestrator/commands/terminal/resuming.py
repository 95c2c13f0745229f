"""Goes on with a run whose folder is here, and shows it: for the commands that take a run up again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.commands.options.display import DisplayOptions
from orchestrator.commands.terminal.live_page import open_page
from orchestrator.commands.terminal.run_display import run_with_display

if TYPE_CHECKING:
    from orchestrator.engine.conductor import Conductor
    from orchestrator.engine.options import RunOptions
    from orchestrator.journal.folder import RunFolder


def resume_and_show(
    folder: RunFolder, options: RunOptions, display: DisplayOptions, conductor: Conductor | None
) -> int:
    """Take a run to its end for this session; return the exit status. Raises as ``api.resume``."""
    from orchestrator.api import resume
    from orchestrator.commands.terminal.prompt import ask_to_continue, can_ask

    with open_page(display.serve) as page:
        result = run_with_display(
            lambda listeners, started, control_socket: resume(
                folder,
                options,
                listeners=listeners,
                signals=True,
                on_start=started,
                # Without a terminal, a wave that asks waits for `undeploy control continue`.
                prompt=ask_to_continue if can_ask() else None,
                control_socket=control_socket,
                conductor=conductor,
            ),
            display,
            state=options.state,
            page=page,
            planned=folder.read_notifications(),
        )
    return result.exit_status
