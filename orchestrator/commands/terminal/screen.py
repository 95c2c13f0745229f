"""What a run shows while it goes on and when it has ended: which listeners, and the last lines."""

from __future__ import annotations

import os
import sys
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from orchestrator.commands.options.display import DisplayOptions
from orchestrator.commands.options.runs import REHEARSALS, format_state_option
from orchestrator.system.streams import PatientOutput
from orchestrator.system.writing import open_to_append

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from orchestrator.errors import Problem
    from orchestrator.journal.folder import RunFolder
    from orchestrator.model.events import Listener
    from orchestrator.runs.result import RunResult

    Engine = Callable[[Sequence[Listener], Callable[[RunFolder], None]], Awaitable[RunResult]]


def tell(line: str) -> None:
    """Write a line for people to stderr; nobody reading it any more is no reason to fail."""
    with suppress(OSError):
        click.echo(line, err=True)


def tell_warnings(warnings: Sequence[Problem]) -> None:
    """Write to stderr what a plan is warned of."""
    from orchestrator.text.characters import make_visible

    for warning in warnings:
        tell(f"warning: {make_visible(str(warning))}")


def print_result(line: str) -> None:
    """Write a line of the command's result to stdout; whoever has stopped reading does not end a run."""
    try:
        click.echo(line)
    except OSError:  # a closed pipe, or a terminal that was closed
        discard_stdout()


def discard_stdout() -> None:
    """Send what is still to come on stdout nowhere, so that the interpreter's last flush cannot fail."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def is_live(display: DisplayOptions) -> bool:
    """Whether a live display has a terminal of its own to draw on, one that can show its characters."""
    shared = display.events == "-" and sys.stdout.isatty()
    able = sys.stderr.encoding.lower().startswith("utf") and os.environ.get("TERM", "dumb") != "dumb"
    return sys.stderr.isatty() and able and not display.quiet and not shared


@contextmanager
def open_listeners(display: DisplayOptions) -> Iterator[list[Listener]]:
    """Give the listeners that ``display`` asks for; what they hold open is closed at the end."""
    with ExitStack() as stack:
        listeners: list[Listener] = []
        if display.events:
            listeners.append(_open_event_lines(display.events, stack))
        if logged := bool(display.log_level or display.log_format):
            from orchestrator.display.log import log_events

            listeners.append(log_events(display.log_level or "info", display.log_format or "text"))
        if is_live(display):
            from orchestrator.display.live import LiveDisplay, open_terminal

            live = LiveDisplay(open_terminal(color=not display.no_color))
            listeners.append(stack.enter_context(live))
        elif display.quiet or not logged:  # without a terminal the log says all that the lines would
            from orchestrator.display.plain import PlainDisplay

            listeners.append(PlainDisplay(tell, quiet=display.quiet))
        yield listeners


def _open_event_lines(destination: str, stack: ExitStack) -> Listener:
    from orchestrator.display.json_lines import JsonLinesWriter

    if destination == "-":
        return JsonLinesWriter(sys.stdout.buffer, tell)
    handle = open_to_append(Path(destination))
    stack.callback(_close_quietly, partial(os.close, handle))
    out = PatientOutput(handle, strict=True)  # it may be a pipe whose reader stops
    stack.callback(out.drain)
    return JsonLinesWriter(out, tell)


def _close_quietly(close: Callable[[], None]) -> None:
    with suppress(OSError):  # EventLines has told already that the events cannot be written
        close()


def run_with_display(engine: Engine, display: DisplayOptions, *, state: Path) -> RunResult:
    """Run ``engine`` to its end under the listeners that ``display`` asks for, then tell how it ended."""
    from orchestrator.engine.signals import run_interruptibly

    def started(folder: RunFolder) -> None:
        if display.events != "-":
            print_result(f"run: {folder.id}")
        for remark in folder.remarks:
            tell(remark)

    with open_listeners(display) as listeners:
        result = run_interruptibly(engine, tuple(listeners), started)
    with suppress(OSError):  # the run is over, whether or not anybody still reads how it went
        _tell_ending(result, display, state)
    return result


def _tell_ending(result: RunResult, display: DisplayOptions, state: Path) -> None:
    from orchestrator.display.summary import describe_ending, list_next_steps

    report = result.report
    if not display.quiet:
        _show_counts(result, display)
        _tell_troubles(result)
    if not display.quiet or result.exit_status:
        tell(describe_ending(report))
        if result.folder.path.parent.name != REHEARSALS:  # nobody goes on with a rehearsal
            for line in list_next_steps(report, state=format_state_option(state)):
                tell(line)
    for warning in result.warnings:
        tell(warning)
    if display.events != "-":
        print_result(f"reports: {result.folder.path}")


def _tell_troubles(result: RunResult) -> None:
    """Tell which targets are failed or unknown, and what the lanes warn of."""
    from orchestrator.display.summary import list_trouble
    from orchestrator.text.characters import make_visible

    report = result.report
    if report.totals.failed + report.totals.unknown:
        with result.folder.account() as account:
            for line in list_trouble(account.trouble(), report.totals):
                tell(line)
    for gateway in report.gateways:
        for warning in gateway.warnings:
            tell(f"{make_visible(gateway.name)}: {make_visible(warning)}")


def _show_counts(result: RunResult, display: DisplayOptions) -> None:
    from orchestrator.display.summary import choose_headings, list_counts
    from orchestrator.text.columns import align_columns

    rows = list_counts(result.report)
    if is_live(display):
        from orchestrator.display.live import open_terminal

        print_table(choose_headings(result.report), rows, open_terminal(color=not display.no_color))
    else:
        for line in align_columns([choose_headings(result.report), *rows]):
            tell(line)


def print_table(headings: Sequence[str], rows: Sequence[Sequence[str]], console: Console) -> None:
    """Print the counts; where the terminal is narrow without columns of zeros, then without requests."""
    from rich.measure import Measurement

    unbounded = console.options.update(max_width=1000)
    zeros = {heading for heading, *cells in zip(headings, *rows, strict=True) if set(cells) == {"0"}}
    for left_out in (set[str](), zeros, {*zeros, "requests", "retries"}):
        table = _build_table(headings, rows, left_out)
        if Measurement.get(console, unbounded, table).maximum <= console.width:
            break
    console.print(table)


def _build_table(headings: Sequence[str], rows: Sequence[Sequence[str]], left_out: set[str]) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, header_style="bright_black", pad_edge=False)
    styles = {
        "undeployed": "green",
        "restored": "green",
        "already": "cyan",
        "failed": "red",
        "unknown": "magenta",
    }
    shown = [number for number, heading in enumerate(headings) if heading not in left_out]
    for number in shown:
        justify: Literal["left", "right"] = "right" if number else "left"
        table.add_column(headings[number], justify=justify, no_wrap=True, style=styles.get(headings[number]))
    for row in rows:
        table.add_row(*(Text(row[number], "bright_black" if row[number] == "0" else "") for number in shown))
    return table
