"""The lanes of a run as a table on a terminal, one line a gateway."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import ceil
from typing import Literal, NamedTuple

from rich.console import Console, ConsoleOptions
from rich.measure import Measurement
from rich.segment import Segment
from rich.style import Style
from rich.table import Table
from rich.text import Text

from orchestrator.display.lane_progress import LaneProgress
from orchestrator.display.phrases import format_bound, format_rate
from orchestrator.display.progress import RunProgress
from orchestrator.model.outcome import Outcome
from orchestrator.text.characters import make_visible
from orchestrator.text.formats import format_clock, format_span

OUTCOME_STYLES = {
    Outcome.UNDEPLOYED: "green",
    Outcome.ALREADY_UNDEPLOYED: "cyan",
    Outcome.RESTORED: "green",
    Outcome.ALREADY_DEPLOYED: "cyan",
    Outcome.FAILED: "red",
    Outcome.UNKNOWN: "magenta",
    Outcome.NOT_STARTED: "bright_black",
}
LANE_STYLES = {"open": "green", "paused": "yellow", "parked": "bold yellow", "closed": "bold red"}
WIDE, ROOMY = 104, 116
"""From how many characters on a picture has room for more columns, and for all of them."""


class LaneColumn(NamedTuple):
    """A column behind the bar. Without a least width the columns would dance as their numbers grow."""

    heading: str
    min_width: int
    shown_from: int = 0
    """How wide the picture must be for this column."""


COLUMNS = (
    LaneColumn("ended", 9),
    LaneColumn("%", 3, WIDE),
    LaneColumn("in flight", 9),
    LaneColumn("waiting", 7, WIDE),
    LaneColumn("failed", 6),
    LaneColumn("unknown", 7),
    LaneColumn("rate", 7),
    LaneColumn("at most", 7, ROOMY),
    LaneColumn("ends", 9, WIDE),
    LaneColumn("lane", 6),
)


class OutcomeBar:
    """A bar of all targets of a lane, each outcome in its colour and as wide as its share."""

    def __init__(self, lane: LaneProgress) -> None:
        self._lane = lane

    def __rich_measure__(self, _console: Console, options: ConsoleOptions) -> Measurement:
        return Measurement(4, options.max_width)

    def __rich_console__(self, _console: Console, options: ConsoleOptions) -> Iterator[Segment]:
        width, total, drawn, ended = options.max_width, max(self._lane.total, 1), 0, 0
        for outcome, style in OUTCOME_STYLES.items():
            ended += self._lane.outcomes[outcome]
            upto = min(width, ended * width // total)
            yield Segment("━" * (upto - drawn), Style.parse(style))
            drawn = upto
        yield Segment("─" * (width - drawn), Style.parse("bright_black"))


def draw_lanes(progress: RunProgress, now: float, *, width: int = ROOMY) -> Table:
    """Draw one line a gateway; a picture of little ``width`` leaves out the columns that can be guessed."""
    table = Table(box=None, expand=True, pad_edge=False, padding=(0, 1), header_style="bright_black")
    table.add_column("gateway", no_wrap=True, max_width=min(24, max(10, width - 100)))
    table.add_column("", ratio=1, min_width=4)
    for column in COLUMNS:
        if width >= column.shown_from:
            justify: Literal["left", "right"] = "left" if column.heading == "lane" else "right"
            table.add_column(column.heading, justify=justify, no_wrap=True, min_width=column.min_width)
    forecast = progress.make_forecast(now)
    ends = {gateway.name: gateway.done for gateway in forecast.gateways} if forecast else {}
    for lane in progress.lanes.values():
        if not lane.total and any(lane.earlier.values()):
            continue  # its targets ended in earlier sessions
        cells = zip(_draw_cells(lane, ends, now), COLUMNS, strict=True)
        shown = (cell for cell, column in cells if width >= column.shown_from)
        table.add_row(Text(make_visible(lane.name), "bold"), OutcomeBar(lane), *shown)
    return table


def _draw_cells(lane: LaneProgress, ends: Mapping[str, float | None], now: float) -> Iterator[str | Text]:
    """Yield a cell for each of ``COLUMNS``."""
    yield f"{lane.ended:,}/{lane.total:,}"
    yield f"{lane.ended * 100 // max(lane.total, 1)}"
    yield str(lane.in_flight or "·")
    yield str(len(lane.waiting) or "·")
    yield _draw_count(lane.outcomes[Outcome.FAILED], Outcome.FAILED)
    yield _draw_count(lane.outcomes[Outcome.UNKNOWN], Outcome.UNKNOWN)
    yield _format_pace(lane, now)
    yield f"≤ {format_bound(lane.bound)}" if lane.bound is not None else "·"
    yield _format_end(lane, ends)
    yield _draw_state(lane, now)


def _draw_state(lane: LaneProgress, now: float) -> Text:
    state = lane.find_state(now)
    if state == "paused" and lane.paused_until is not None:
        return Text(f"paused {format_span(ceil(lane.paused_until - now))}", LANE_STYLES[state])
    return Text("done" if state == "open" and lane.ended >= lane.total else state, LANE_STYLES[state])


def _format_pace(lane: LaneProgress, now: float) -> str:
    rate = lane.pace.measure_rate(now)
    return format_rate(rate) if rate is not None and lane.ended < lane.total else ""


def _format_end(lane: LaneProgress, ends: Mapping[str, float | None]) -> str:
    at = ends.get(lane.name) if lane.state in ("open", "paused") else None
    return f"~{format_clock(at)}" if at is not None else ""


def _draw_count(count: int, outcome: Outcome) -> Text:
    return Text(f"{count:,}", OUTCOME_STYLES[outcome]) if count else Text("·")
