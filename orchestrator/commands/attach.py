"""undeploy attach: take over a run on a distributed engine where no folder of it is kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from orchestrator.commands.options.display import DisplayOptions, display_options
from orchestrator.commands.options.engine import EngineOptions, needed_engine_options
from orchestrator.commands.options.records import RecordOptions, record_options
from orchestrator.commands.terminal.output import print_result, tell
from orchestrator.commands.terminal.resuming import resume_and_show

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchestrator.commands.options.engine import EngineAccess
    from orchestrator.distributed.kept_runs import KeptRun
    from orchestrator.engine.options import RunOptions
    from orchestrator.journal.folder import RunFolder

HEADINGS = ("run", "plan", "started", "state", "progress")


@click.command("attach")
@click.argument("run", metavar="[RUN]", required=False)
@needed_engine_options
@record_options
@display_options
def command(
    run: str | None,
    engine: EngineOptions,
    records: RecordOptions,
    display: DisplayOptions,
) -> int:
    """Take over a run on a Temporal server.

    Shows the run to its end and writes its reports, in a folder that is made anew from what the server
    keeps. RUN is an id or its beginning, `latest`, or a plan's name; without RUN the runs there are listed. A
    run that has ended is taken over, too, for as long as the server has its history. Where the run's folder
    is kept, `undeploy resume RUN --on URL` does the same.
    """
    access = engine.read()
    if run is None:
        for line in _list(access):
            print_result(line)
        return 0
    from orchestrator.api import RunOptions
    from orchestrator.journal.ownership import check_state

    check_state(records.state)
    options = RunOptions(
        state=records.state,
        report_dir=records.report_dir,
        signing_key=records.load_key(),
        take_over_only=True,
    )
    return _take_over(access, run, options, display)


def _list(access: EngineAccess) -> Iterator[str]:
    from orchestrator.distributed.kept_runs import list_kept_runs
    from orchestrator.engine.signals import run_interruptibly
    from orchestrator.errors import RunError

    async def ask() -> list[KeptRun] | None:
        async with access.open() as client:
            return await list_kept_runs(client)

    found = run_interruptibly(ask)
    if found is None:
        raise RunError("the Temporal server lists no runs for us; name the run by its whole id")
    return describe_kept_runs(found)


def describe_kept_runs(kept: list[KeptRun]) -> Iterator[str]:
    """Yield the runs at a server as a table, or that there is none."""
    from orchestrator.text.columns import align_columns

    if not kept:
        yield "no runs"
        return
    yield from align_columns([HEADINGS, *map(_build_row, kept)], left=len(HEADINGS))


def _build_row(one: KeptRun) -> tuple[str, ...]:
    from orchestrator.text.characters import make_visible
    from orchestrator.text.formats import format_moment

    words = (one.id, one.plan, format_moment(one.started), one.state, one.progress)
    return tuple(map(make_visible, words))


def _take_over(access: EngineAccess, run: str, options: RunOptions, display: DisplayOptions) -> int:
    from orchestrator.distributed.conductor import TemporalConductor
    from orchestrator.engine.signals import run_interruptibly

    folder, workflow = run_interruptibly(_rebuild, access, run, options)
    tell(f"made {folder.path} anew from {access.url}")
    conductor = TemporalConductor(
        access.address,
        access.tls,
        api_key=access.revealed_key,
        workflow=workflow,
        options=access.list_words(),
    )
    return resume_and_show(folder, options, display, conductor)


async def _rebuild(access: EngineAccess, run: str, options: RunOptions) -> tuple[RunFolder, str]:
    """Return the run's new folder, and the id of its workflow."""
    from orchestrator.distributed.attach import rebuild_kept_run

    async with access.open() as client:
        return await rebuild_kept_run(client, run, access.url, options, tell, on=access.list_words())
