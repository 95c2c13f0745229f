"""Shows a run on the terminal: its events while it works, and its counts when it has ended."""

from __future__ import annotations

import os
import sys
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from orchestrator.commands.options.display import DisplayOptions
from orchestrator.commands.terminal.output import print_result, tell
from orchestrator.errors import ExitStatus, OrchestratorError
from orchestrator.system.state_folder import format_state_option
from orchestrator.system.streams import PatientOutput
from orchestrator.system.writing import open_to_append

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from orchestrator.commands.terminal.live_page import LivePage
    from orchestrator.display.json_lines import JsonLinesWriter
    from orchestrator.engine.request import MakeControlSocket
    from orchestrator.journal.folder import RunFolder
    from orchestrator.model.events import Listener
    from orchestrator.model.plan import PlannedNotification, RunId
    from orchestrator.notify.messages import RunMessage
    from orchestrator.runs.result import RunResult

    Engine = Callable[
        [Sequence[Listener], Callable[[RunFolder], None], MakeControlSocket], Awaitable[RunResult]
    ]


def is_live(display: DisplayOptions) -> bool:
    """Return whether a live display can be drawn: on a terminal of its own, which can move its cursor."""
    # JSON lines on the same terminal would break the picture.
    shares_terminal = display.events == "-" and sys.stdout.isatty()
    can_move_cursor = os.environ.get("TERM", "dumb") != "dumb"
    return sys.stderr.isatty() and can_move_cursor and not display.quiet and not shares_terminal


class RunListeners:
    """The listeners of a run; some of them want to know the run before its first event."""

    def __init__(self) -> None:
        self.listeners: list[Listener] = []
        self.beginnings: list[Callable[[RunId], None]] = []

    def begin(self, run: RunId) -> None:
        """Tell the id of the run to those that want to know it."""
        for tell_run in self.beginnings:
            tell_run(run)


@contextmanager
def open_listeners(display: DisplayOptions, page: LivePage | None = None) -> Iterator[RunListeners]:
    """Give the listeners that ``display`` asks for, and close their files after the block.

    The picture on the terminal shows where the ``page`` is.
    """
    with ExitStack() as stack:
        opened = RunListeners()
        listeners = opened.listeners
        if display.events:
            lines = _open_event_lines(display.events, stack)
            listeners.append(lines)
            opened.beginnings.append(lines.begin)
        if logged := bool(display.log_level or display.log_format):
            from orchestrator.display.log import log_events

            listeners.append(log_events(display.log_level or "info", display.log_format or "text"))
        if is_live(display):
            from orchestrator.display.live import LiveDisplay, open_terminal

            link = None if page is None else lambda: page.link
            live = LiveDisplay(open_terminal(color=not display.no_color), link=link)
            listeners.append(stack.enter_context(live))
        elif display.quiet or not logged:  # the log holds all that the lines would say
            from orchestrator.display.plain import PlainDisplay

            listeners.append(PlainDisplay(tell, quiet=display.quiet))
        yield opened


def _open_event_lines(destination: str, stack: ExitStack) -> JsonLinesWriter:
    from orchestrator.display.json_lines import BEGINNING, JsonLinesWriter

    if destination == "-":
        return JsonLinesWriter(sys.stdout.buffer, tell)
    handle = open_to_append(Path(destination), BEGINNING)
    stack.callback(_close_quietly, partial(os.close, handle))
    out = PatientOutput(handle, strict=True)  # the file may be a pipe whose reader stops
    # Runs before the file is closed, since callbacks run in reverse.
    stack.callback(out.drain)
    return JsonLinesWriter(out, tell)


def _close_quietly(close: Callable[[], None]) -> None:
    with suppress(OSError):  # ``JsonLinesWriter`` has told already that the events cannot be written
        close()


def run_with_display(
    engine: Engine,
    display: DisplayOptions,
    *,
    state: Path,
    page: LivePage | None = None,
    planned: tuple[Sequence[PlannedNotification], Path] = ((), Path()),
) -> RunResult:
    """Run ``engine`` to its end, show it as ``display`` asks for and on its ``page``; tell how it ended.

    ``planned`` are the notifications of the plan, and the folder that their paths are relative to.
    """
    from orchestrator.engine.signals import run_interruptibly
    from orchestrator.notify.sending import list_specs, open_notifications
    from orchestrator.runs.control_socket import open_control_socket
    from orchestrator.telemetry.sending import open_telemetry

    def tell_start(folder: RunFolder) -> None:
        # Scripts read the id from the first line. With --events - stdout holds JSON lines and nothing else.
        if display.events != "-":
            print_result(f"run: {folder.id}")
        for remark in folder.remarks:
            tell(remark)
        opened.begin(folder.id)

    control_socket = open_control_socket if page is None else page.begin(open_control_socket)
    # Outermost: nobody waits for a collector before the run's end is told.
    specs = list_specs(display.notify, *planned)
    with open_notifications(specs, tell) as notifier, open_telemetry(tell) as telemetry:
        with open_listeners(display, page) as opened:
            listeners = (*opened.listeners, *filter(None, (telemetry, notifier)))
            result = run_interruptibly(engine, listeners, tell_start, control_socket)
        with suppress(OSError):  # the run is over, even if its ending can no longer be shown
            _tell_ending(result, display, state)
        if page is not None:
            page.finish(result.folder)
        if notifier is not None:
            notifier.finish(
                _make_last_message(result), interrupted=result.exit_status == ExitStatus.INTERRUPTED
            )
    return result


def _make_last_message(result: RunResult) -> RunMessage:
    """Return the notification of the end of a run: its headline, its Markdown report, its journal's head."""
    from orchestrator.display.summary import describe_ending
    from orchestrator.notify.messages import make_last_message

    report = result.report
    summary = _read_summary(result)
    return make_last_message(
        report.run.plan,
        describe_ending(report),
        summary,
        report.run.journal_head,
        exit_status=result.exit_status,
        complete=report.run.state == "complete",
    )


def _read_summary(result: RunResult) -> str:
    """Return the beginning of report.md; where that was not written, why: an older one tells other counts."""
    from orchestrator.notify.messages import LONGEST_SUMMARY, quote_outside

    if not result.has_new_reports:
        return "\n".join(map(quote_outside, result.warnings))
    with suppress(OSError), (result.folder.path / "report.md").open(encoding="utf-8") as file:
        return file.read(LONGEST_SUMMARY + 1)
    return ""


def _tell_ending(result: RunResult, display: DisplayOptions, state: Path) -> None:
    from orchestrator.display.summary import describe_ending, list_next_steps

    report = result.report
    if not display.quiet:
        _show_counts(result, display)
        _tell_troubles(result)
    if not display.quiet or result.exit_status:
        tell(describe_ending(report))
        if not result.folder.is_rehearsal:  # a rehearsal cannot be resumed
            for line in list_next_steps(report, state=format_state_option(state)):
                tell(line)
    for warning in result.warnings:
        tell(warning)
    if display.events != "-":
        print_result(f"reports: {result.folder.path}")


def _tell_troubles(result: RunResult) -> None:
    """Tell which targets are failed or unknown, and the warnings of the lanes and of the run."""
    from orchestrator.display.summary import list_trouble
    from orchestrator.text.characters import make_visible

    report = result.report
    if report.totals.failed + report.totals.unknown:
        # The reports have just been made from this journal, with a check of every page.
        try:
            with result.folder.open_source(whole=False) as source:
                for line in list_trouble(source.trouble(), report.totals):
                    tell(line)
        except OrchestratorError as error:  # the exit status is that of the run, and not of its last lines
            tell(str(error))
    for gateway in report.gateways:
        for warning in gateway.warnings:
            tell(f"{make_visible(gateway.name)}: {make_visible(warning)}")
    for warning in report.warnings:
        tell(make_visible(warning))


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
    """Print the counts as a table. On a narrow terminal leave out columns of zeros, then the requests."""
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

    from orchestrator.display.palette import FAILED, UNKNOWN

    table = Table(box=box.SIMPLE_HEAD, header_style="bright_black", pad_edge=False)
    styles = {"failed": FAILED.count_style, "unknown": UNKNOWN.count_style}
    shown = [number for number, heading in enumerate(headings) if heading not in left_out]
    for number in shown:
        justify: Literal["left", "right"] = "right" if number else "left"
        table.add_column(headings[number], justify=justify, no_wrap=True)
    for row in rows:
        # The style of a cell and not of its column, which would colour the padding, too.
        cells = (
            Text("0", "bright_black")
            if row[n] == "0"
            else Text.assemble((row[n], styles.get(headings[n], "")))
            for n in shown
        )
        table.add_row(*cells)
    return table
