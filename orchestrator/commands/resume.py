"""undeploy resume: go on with a run that was interrupted, killed or stopped."""

from __future__ import annotations

import click

from orchestrator.commands.options.display import DisplayOptions, display_options
from orchestrator.commands.options.engine import (
    EngineOptions,
    conductor_options,
    make_conductor,
    reach_conductor,
)
from orchestrator.commands.options.records import RecordOptions, record_options
from orchestrator.commands.options.runs import run_argument
from orchestrator.commands.options.selection import SelectionOptions, selection_options
from orchestrator.commands.terminal.resuming import resume_and_show
from orchestrator.errors import UsageError


@click.command("resume")
@run_argument
@click.option("--past-stop", is_flag=True, help="Go on although a stop rule ended the run.")
@click.option("--after-restore", is_flag=True, help="Go on although a restore of it has begun.")
@click.option(
    "--engine-gone",
    is_flag=True,
    help="Go on without the Temporal server that had the run and is gone for good; refused while it has it.",
)
@selection_options
@conductor_options
@record_options
@display_options
def command(
    run: str,
    past_stop: bool,
    after_restore: bool,
    engine_gone: bool,
    selection: SelectionOptions,
    engine: EngineOptions,
    records: RecordOptions,
    display: DisplayOptions,
) -> int:
    """Go on with a run that ended early.

    RUN is an id or its beginning, a folder (with a /), `latest`, or a plan's name. Asks nothing: the approval
    of the run still holds. A target whose state is unknown is looked at before anything is sent to it.
    --only, --skip and --wave narrow the filters of the run. Once a restore has begun, resume needs
    --after-restore; the targets that the restore brought back stay up. A run that workers of a Temporal
    server still have (--on) is taken over as it is, and nothing of theirs is lost.
    """
    from msgspec.structs import replace

    from orchestrator.journal.run_lookup import find_run

    options = selection.build_run_options(
        state=records.state,
        report_dir=records.report_dir,
        signing_key=records.load_key(),
        past_stop=past_stop,
        after_restore=after_restore,
        engine_gone=engine_gone,
    )
    options = replace(options, reach_engine=lambda address: reach_conductor(engine, address))
    # The TLS options say how the engine that should be gone is asked, also without --on.
    conductor = make_conductor(engine) if engine.on is not None or not engine_gone else None
    folder = find_run(records.state, run)
    if folder.is_rehearsal:
        # A rehearsal was never approved for the real gateways, whose addresses its plan holds.
        raise UsageError(f"{folder.id} is a rehearsal and is not resumed; rehearse the plan again")
    return resume_and_show(folder, options, display, conductor)
