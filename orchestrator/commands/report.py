"""undeploy report: make any report of a run again, from its journal."""

from __future__ import annotations

from pathlib import Path

import click

from orchestrator.commands.options.files import force_option, open_output, output_option
from orchestrator.commands.options.runs import run_argument, state_option
from orchestrator.commands.terminal.output import tell
from orchestrator.report.formats import FORMATS, find_format
from orchestrator.system.writing import check_place


@click.command("report")
@run_argument
@click.option(
    "--format",
    "form",
    type=click.Choice(tuple(FORMATS)),
    help="Its form; by default that of FILE's ending, else json.",
)
@click.option("--chain", is_flag=True, help="Of all runs that continue one another, RUN among them, as one.")
@output_option
@force_option
@state_option
def command(run: str, form: str | None, chain: bool, output: Path | None, force: bool, state: Path) -> None:
    """Make any report of a run again from its journal.

    RUN is an id or its beginning, a folder (with a /), `latest`, or a plan's name. The report goes to
    stdout, or to FILE.
    """
    from orchestrator.journal.folder import RunFolder, find_run
    from orchestrator.report.writing import write_report

    folder = find_run(state, run)
    if output is not None:
        check_place(output, replace=force)
    form = form or (find_format(output.suffix) if output else None) or "json"
    if chain:
        from orchestrator.journal.chain import find_chain, open_chain_source

        found = find_chain(RunFolder(folder.path.resolve()), state)
        for remark in found.remarks:
            tell(remark)
        with open_chain_source(found.runs) as whole, open_output(output, force=force) as out:
            write_report(form, whole, out)
        return
    with folder.open_source() as source, open_output(output, force=force) as out:
        write_report(form, source, out)
