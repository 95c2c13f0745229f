"""undeploy remainder: write a plan of what a run did not finish."""

from __future__ import annotations

import re
from pathlib import Path

import click

from orchestrator.commands.options.files import force_option, open_output, output_option
from orchestrator.commands.options.runs import run_argument, state_option
from orchestrator.commands.terminal.output import tell
from orchestrator.errors import UsageError
from orchestrator.system.writing import check_place


@click.command("remainder")
@run_argument
@output_option
@force_option
@state_option
def command(run: str, output: Path | None, force: bool, state: Path) -> None:
    """Write a plan of what a run did not finish.

    RUN is an id or its beginning, a folder (with a /), `latest`, or a plan's name. The plan holds what was
    not started, failed or is unknown, without what is protected; it names its run as its parent, and it has
    no window. It goes to stdout, or to FILE.
    """
    from orchestrator.journal.folder import RunFolder
    from orchestrator.journal.remainder import open_remainder
    from orchestrator.journal.run_lookup import find_run
    from orchestrator.model.plan import RUN_ID
    from orchestrator.runs.remainder import write_remainder

    # Through a link the folder would have another name than the run.
    found = find_run(state, run)
    folder = RunFolder(found.path.resolve())
    if folder.is_rehearsal:
        raise UsageError(f"{folder.id} is a rehearsal and has no remainder; rehearse the plan again")
    # The new plan names the run as its `parent`, whose form this is.
    if re.fullmatch(RUN_ID.pattern, folder.id) is None:
        raise UsageError(f"{folder.id} is not what a run is called; give its folder its own name back")
    if output is not None:
        check_place(output, replace=force)
    with open_remainder(folder) as rest:
        # A plan without targets is invalid, so a finished run leaves no plan.
        if not rest.count:
            held = f"; {rest.stuck_count:,} would come after what is protected" if rest.stuck_count else ""
            raise UsageError(f"nothing is left of run {folder.id}{held}; no plan was written")
        with open_output(output, force=force) as out:
            place = None if output is None else output.absolute().parent
            write_remainder(rest, folder.id, out, folder=place, state_option=found.state_option)
        if rest.stuck_count:
            tell(f"{rest.stuck_count:,} left out: what they come after is protected; the plan names them")
