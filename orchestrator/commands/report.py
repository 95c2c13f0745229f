"""undeploy report: make any report of a run again, from its journal."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import click

from orchestrator.commands.options.consent import load_journal_key
from orchestrator.commands.options.files import force_option, open_output, output_option
from orchestrator.commands.options.runs import run_argument, state_option
from orchestrator.commands.options.verification import VerifyOptions, verify_options
from orchestrator.commands.terminal.output import print_result, tell
from orchestrator.commands.terminal.work_line import show_work
from orchestrator.errors import ExitStatus, UsageError
from orchestrator.report.formats import FORMATS, find_format
from orchestrator.system.writing import check_place

if TYPE_CHECKING:
    from orchestrator.journal.folder import RunFolder
    from orchestrator.report.values import ReportSource


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
@verify_options
@state_option
def command(
    run: str,
    form: str | None,
    chain: bool,
    output: Path | None,
    force: bool,
    verification: VerifyOptions,
    state: Path,
) -> int:
    """Make any report of a run again from its journal.

    RUN is an id or its beginning, a folder (with a /), `latest`, or a plan's name. The report goes to
    stdout, or to FILE. With --verify there is no report: the command says whether the journal is still as it
    was written. If it was changed, the command says where, and exits with 2.
    """
    from orchestrator.journal.run_lookup import find_run

    folder = find_run(state, run)
    if verification.verify:
        if form or chain or output:
            raise UsageError("--verify makes no report; leave --format, --chain and -o out")
        return _verify(folder, verification)
    if verification.head or verification.journal_key:
        raise UsageError("--head and --journal-key go with --verify")
    _make_report(folder, form, output, chain=chain, force=force, state=state)
    return ExitStatus.DONE


def _make_report(
    folder: RunFolder, form: str | None, output: Path | None, *, chain: bool, force: bool, state: Path
) -> None:
    from orchestrator.journal.folder import RunFolder

    if output is not None:
        check_place(output, replace=force)
    form = form or (find_format(output.suffix) if output else None) or "json"
    # A terminal that shows the report has no room for a line on it.
    quiet = output is None and sys.stdout.isatty()
    if chain:
        from orchestrator.journal.chain import find_chain, open_chain_source

        found = find_chain(RunFolder(folder.path.resolve()), state)
        for remark in found.remarks:
            tell(remark)
        with open_chain_source(found.runs) as whole, open_output(output, force=force) as out:
            _write(form, whole, out, quiet=quiet)
        return
    with folder.open_source() as source, open_output(output, force=force) as out:
        _write(form, source, out, quiet=quiet)


def _write(form: str, source: ReportSource, out: TextIO, *, quiet: bool) -> None:
    """Write the report, and show on the terminal how far it has come."""
    from orchestrator.report.writing import write_report
    from orchestrator.text.counting import count_noun

    with show_work("makes the report", quiet=quiet) as line:
        of = count_noun(source.report.totals.targets, "target")

        def tell_written(targets: int) -> None:
            line.note = f"{targets:,} of {of}"

        write_report(form, source, out, tell_written)


def _verify(folder: RunFolder, verification: VerifyOptions) -> ExitStatus:
    """Audit the journal of a run and print what was found."""
    from contextlib import closing

    from orchestrator.journal.audit import audit_journal, describe_audit, list_noted_heads

    key = load_journal_key(verification.journal_key)
    heads = list_noted_heads(folder, verification.head)
    with closing(folder.open()) as database:
        audit = audit_journal(database, key=key, heads=heads)
    for line in describe_audit(audit):
        print_result(line)
    return ExitStatus.DONE if audit.holds else ExitStatus.NOTHING_SENT
