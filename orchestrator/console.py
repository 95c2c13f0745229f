"""Listener: the live display of a run on a terminal, drawn on stderr."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime
from math import ceil
from types import TracebackType
from typing import Self

from rich.console import Console, ConsoleOptions, Group, RenderableType
from rich.live import Live
from rich.measure import Measurement
from rich.panel import Panel
from rich.segment import Segment
from rich.style import Style
from rich.table import Table
from rich.text import Text

from orchestrator.events import AnyEvent, RunStarted, TargetEnded
from orchestrator.lines import clock
from orchestrator.model import Outcome
from orchestrator.progress import LaneProgress, Progress
from orchestrator.report.words import span, visible

FRAMES = 6
"""Pictures a second. Between two of them an event costs a few counters and nothing else."""

STYLES = {
    Outcome.UNDEPLOYED: "green",
    Outcome.ALREADY_UNDEPLOYED: "cyan",
    Outcome.FAILED: "red",
    Outcome.UNKNOWN: "magenta",
    Outcome.NOT_STARTED: "bright_black",
}
SIGNS = {Outcome.FAILED: "✗", Outcome.UNKNOWN: "?"}
LANE_STYLES = {"open": "green", "paused": "yellow", "parked": "bold yellow", "closed": "bold red"}
# The columns behind the bar: heading, least width (so that they do not dance), wanted on 80 columns too.
COLUMNS = (
    ("ended", 9, True),
    ("%", 3, False),
    ("in flight", 9, True),
    ("waiting", 7, False),
    ("failed", 6, True),
    ("unknown", 7, True),
    ("rate", 7, True),
    ("ends", 9, False),
    ("lane", 6, True),
)
WIDE = 96
MARGIN = 4
CURVE = " ▁▂▃▄▅▆▇█"


class OutcomeBar:
    """A bar of all targets of a lane, each outcome in its colour and as wide as its share."""

    def __init__(self, lane: LaneProgress) -> None:
        self._lane = lane

    def __rich_measure__(self, _console: Console, options: ConsoleOptions) -> Measurement:
        return Measurement(12, options.max_width)

    def __rich_console__(self, _console: Console, options: ConsoleOptions) -> Iterator[Segment]:
        width, total, drawn, ended = options.max_width, max(self._lane.total, 1), 0, 0
        for outcome, style in STYLES.items():
            ended += self._lane.outcomes[outcome]
            upto = min(width, ended * width // total)
            yield Segment("━" * (upto - drawn), Style.parse(style))
            drawn = upto
        yield Segment("─" * (width - drawn), Style.parse("bright_black"))


def curve(counts: tuple[int, ...]) -> str:
    """Return ``counts`` as a line of little columns, the highest as high as a line."""
    top = max(counts, default=0)
    if not top:
        return ""
    return "".join(CURVE[-(-count * (len(CURVE) - 1) // top)] for count in counts)


def _state(lane: LaneProgress, now: float) -> str:
    over = lane.state == "paused" and lane.until is not None and lane.until <= now
    return "open" if over else lane.state


def _lane_text(lane: LaneProgress, now: float) -> Text:
    state = _state(lane, now)
    if state == "paused" and lane.until is not None:
        return Text(f"paused {span(ceil(lane.until - now))}", LANE_STYLES[state])
    return Text("done" if state == "open" and lane.ended >= lane.total else state, LANE_STYLES[state])


def _pace(lane: LaneProgress, now: float) -> str:
    rate = lane.pace.rate(now)
    return f"{rate:.1f}/s" if rate is not None and lane.ended < lane.total else ""


def _ends(lane: LaneProgress, now: float) -> str:
    seconds = lane.remaining_seconds(now)
    return f"~{clock(now + seconds)}" if seconds and lane.state in ("open", "paused") else ""


def _counted(count: int, outcome: Outcome) -> Text:
    return Text(f"{count:,}", STYLES[outcome]) if count else Text("·")


def lanes_table(progress: Progress, now: float, *, wide: bool = True) -> Table:
    """Draw one line a gateway; where there is no room, without what can be guessed."""
    table = Table(box=None, expand=True, pad_edge=False, padding=(0, 1), header_style="bright_black")
    table.add_column("gateway", no_wrap=True, max_width=24)
    table.add_column("", ratio=1, min_width=8)
    for heading, width, needed in COLUMNS:
        if wide or needed:
            table.add_column(
                heading, justify="left" if heading == "lane" else "right", no_wrap=True, min_width=width
            )
    for lane in progress.lanes.values():
        cells: tuple[str | Text, ...] = (
            f"{lane.ended:,}/{lane.total:,}",
            f"{lane.ended * 100 // max(lane.total, 1)}",
            str(lane.in_flight or "·"),
            str(len(lane.waiting) or "·"),
            _counted(lane.outcomes[Outcome.FAILED], Outcome.FAILED),
            _counted(lane.outcomes[Outcome.UNKNOWN], Outcome.UNKNOWN),
            _pace(lane, now),
            _ends(lane, now),
            _lane_text(lane, now),
        )
        shown = (cell for cell, (_, _, needed) in zip(cells, COLUMNS, strict=True) if wide or needed)
        table.add_row(Text(visible(lane.name), "bold"), OutcomeBar(lane), *shown)
    return table


def _time_text(progress: Progress, now: float) -> Text:
    started = progress.started.at if progress.started else now
    text = Text(f"{span(round(now - started))} so far")
    left = progress.remaining_seconds(now)
    if left:
        text.append(f" · about {span(round(left))} to go")
    if progress.started and progress.started.closes is not None:
        closes = datetime.fromtimestamp(progress.started.closes).astimezone()
        until = closes.timestamp() - now
        late = until <= 0 or (left is not None and left > until)
        words = f"window closes {closes:%H:%M}, in {span(round(until))}" if until > 0 else "window closed"
        text.append(f" · {words}", "bold yellow" if late else "")
        if late and until > 0:
            text.append(" (not everything will fit)", "yellow")
    return text


def _trouble(event: TargetEnded) -> Text:
    line = Text(f"{SIGNS[event.outcome]} {visible(event.target)}  ", STYLES[event.outcome])
    return line.append(visible(event.reason or ""), "default")


def _below(progress: Progress, now: float) -> Iterator[RenderableType]:
    for lane in progress.lanes.values():
        if lane.warning:
            yield Text(f"! {visible(lane.name)}: {visible(lane.warning)}", "yellow")
        state = _state(lane, now)
        if lane.why and state != "open":
            why = visible(lane.why.removeprefix(f"{state}: "))
            yield Text(f"! {visible(lane.name)} {state}: {why}", LANE_STYLES[state])
        elif lane.waiting and lane.fault:
            yield Text(f"↻ {visible(lane.name)} repeats: {visible(lane.fault)}", "yellow")
    if progress.troubles:
        wrong = progress.count(Outcome.FAILED) + progress.count(Outcome.UNKNOWN)
        yield Text(f"latest {len(progress.troubles)} of {wrong:,} failed or unknown", "bright_black")
        yield from (_trouble(event) for event in progress.troubles)
    if progress.stopping:
        yield Text(f"stopping: {visible(progress.stopping)}", "bold yellow")
        if progress.in_flight:
            again = "; interrupt again to leave at once" if progress.stopping.startswith("interrupt") else ""
            yield Text(f"nothing new starts; {progress.in_flight} in flight will land{again}", "yellow")


def picture(progress: Progress, now: float, *, width: int) -> RenderableType:
    """Draw the whole display as it stands at the Unix time ``now``."""
    started = progress.started
    if started is None:
        return Text("")
    head = Table.grid(expand=True)
    head.add_column(ratio=1)
    head.add_column(justify="right", no_wrap=True)
    rate = progress.pace.rate(now)
    pace = Text(curve(progress.pace.history(now)), "green")
    head.add_row(
        Text.assemble(("wave ", "bright_black"), (visible(progress.wave), "bold")),
        Text.assemble(
            (f"{progress.done:,}", "bold"), f" of {progress.total:,} ended, {progress.retries:,} repeats"
        ),
    )
    head.add_row(_time_text(progress, now), pace.append(f" {rate:.1f}/s" if rate is not None else ""))
    title = f"{visible(started.plan)} · run {started.run}" + (" · resumed" if started.resumed else "")
    body = Group(
        head, Text(""), lanes_table(progress, now, wide=width >= WIDE), *_spaced(_below(progress, now))
    )
    return Panel(
        body, title=Text(title, "bold"), title_align="left", border_style="bright_black", width=width
    )


def _spaced(lines: Iterator[RenderableType]) -> list[RenderableType]:
    shown = list(lines)
    for line in shown:
        if isinstance(line, Text):
            line.no_wrap, line.overflow = True, "ellipsis"
    return [Text(""), *shown] if shown else []


class LiveDisplay:
    """Listener and context manager: draws the run from its first event until the ``with`` ends.

    What other code writes to stderr meanwhile appears above the picture.
    """

    def __init__(self, console: Console, *, now: Callable[[], float] = time.time) -> None:
        self._console = console
        self._now = now
        self._progress = Progress()
        self._live: Live | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            with suppress(OSError):  # the terminal may be gone by now
                self._live.stop()

    def __call__(self, event: AnyEvent) -> None:
        """Take ``event`` in; it is drawn with the next picture."""
        self._progress.heed(event)
        if isinstance(event, RunStarted) and self._live is None:
            self._live = Live(
                console=self._console,
                get_renderable=self._picture,
                refresh_per_second=FRAMES,
                redirect_stdout=False,
                transient=True,
                vertical_overflow="crop",
            )
            self._live.start(refresh=True)

    def _picture(self) -> RenderableType:
        # Ctrl-C shows as ^C behind the last line: without room for it there, the picture would slip down.
        return picture(self._progress, self._now(), width=self._console.width - MARGIN)


def terminal(*, color: bool) -> Console:
    """Return the console of stderr; without ``color`` (or with NO_COLOR set) it only uses bold and dim."""
    return Console(stderr=True, highlight=False, markup=False, emoji=False, no_color=None if color else True)
