"""undeploy watch: the live page of a run of another process, or the report of one that has ended."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from orchestrator.commands.options.runs import run_argument, state_option
from orchestrator.commands.terminal.live_page import tell_address
from orchestrator.commands.terminal.output import print_result, tell

if TYPE_CHECKING:
    from orchestrator.journal.folder import RunFolder


@click.command("watch")
@run_argument
@click.option(
    "--serve",
    default="127.0.0.1:0",
    show_default=True,
    metavar="HOST:PORT",
    help="The address of the page; port 0 takes a free one.",
)
@state_option
def command(run: str, serve: str, state: Path) -> int:
    """Serve the live page of a run, or its report.

    RUN is an id or its beginning, a folder (with a /), `latest`, or a plan's name. The page follows a run
    that goes on, also a killed one once it is resumed; when the run has ended, the page is its report. Ctrl-C
    ends this command (exit status 0), and does nothing to the run.
    """
    from orchestrator.journal.run_lookup import find_run

    folder = find_run(state, run)
    try:
        _serve(folder, serve)
    except KeyboardInterrupt:
        tell("the page is served no more; the run is not concerned")
    return 0


def _serve(folder: RunFolder, serve: str) -> None:
    """Serve until a signal comes."""
    import anyio

    from orchestrator.engine.signals import run_interruptibly
    from orchestrator.live.address import bind, parse_address
    from orchestrator.live.server import make_guard, serve_page
    from orchestrator.live.watched_run import WatchedRun

    listener, address = bind(parse_address(serve))
    guard = make_guard(address)

    async def serve_until_interrupted() -> None:
        async with serve_page(listener, guard, WatchedRun(folder), tell):
            if not sys.stdout.isatty():
                print_result(address.url)
            tell_address(address, guard)
            await anyio.sleep_forever()

    with listener:
        run_interruptibly(serve_until_interrupted)
