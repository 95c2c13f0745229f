"""Listener: the live display of a run on a terminal, drawn on stderr."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
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

from orchestrator.display.phrases import (
    describe_control,
    describe_done,
    describe_protect,
    describe_setting,
    describe_wait,
    describe_window_fit,
    format_short_rate,
    list_late_gateways,
)
from orchestrator.display.progress import GIVEN_UP, TROUBLES_KEPT, LaneProgress, RunProgress
from orchestrator.model.events import AnyEvent, RunStarted, TargetEnded
from orchestrator.model.outcome import Outcome
from orchestrator.text.characters import make_visible
from orchestrator.text.formats import format_clock, format_span, format_time_of_day

FRAMES = 6
"""Pictures a second. Between two of them an event costs a few counters and nothing else."""

STYLES = {
    Outcome.UNDEPLOYED: "green",
    Outcome.ALREADY_UNDEPLOYED: "cyan",
    Outcome.RESTORED: "green",
    Outcome.ALREADY_DEPLOYED: "cyan",
    Outcome.FAILED: "red",
    Outcome.UNKNOWN: "magenta",
    Outcome.NOT_STARTED: "bright_black",
}
SIGNS = {Outcome.FAILED: "✗", Outcome.UNKNOWN: "?"}
LANE_STYLES = {"open": "green", "paused": "yellow", "parked": "bold yellow", "closed": "bold red"}
WIDE, ROOMY = 104, 116
# The columns behind the bar: heading, least width (so that they do not dance), how wide the picture must be.
COLUMNS = (
    ("ended", 9, 0),
    ("%", 3, WIDE),
    ("in flight", 9, 0),
    ("waiting", 7, WIDE),
    ("failed", 6, 0),
    ("unknown", 7, 0),
    ("rate", 7, 0),
    ("at most", 7, ROOMY),
    ("ends", 9, WIDE),
    ("lane", 6, 0),
)
MARGIN = 4
CURVE = " ▁▂▃▄▅▆▇█"


class OutcomeBar:
    """A bar of all targets of a lane, each outcome in its colour and as wide as its share."""

    def __init__(self, lane: LaneProgress) -> None:
        self._lane = lane

    def __rich_measure__(self, _console: Console, options: ConsoleOptions) -> Measurement:
        return Measurement(4, options.max_width)

    def __rich_console__(self, _console: Console, options: ConsoleOptions) -> Iterator[Segment]:
        width, total, drawn, ended = options.max_width, max(self._lane.total, 1), 0, 0
        for outcome, style in STYLES.items():
            ended += self._lane.outcomes[outcome]
            upto = min(width, ended * width // total)
            yield Segment("━" * (upto - drawn), Style.parse(style))
            drawn = upto
        yield Segment("─" * (width - drawn), Style.parse("bright_black"))


def draw_curve(counts: tuple[int, ...]) -> str:
    """Return ``counts`` as a line of little columns, the highest as high as a line."""
    top = max(counts, default=0)
    if not top:
        return ""
    return "".join(CURVE[-(-count * (len(CURVE) - 1) // top)] for count in counts)


def _lane_text(lane: LaneProgress, now: float) -> Text:
    state = lane.standing(now)
    if state == "paused" and lane.until is not None:
        return Text(f"paused {format_span(ceil(lane.until - now))}", LANE_STYLES[state])
    return Text("done" if state == "open" and lane.ended >= lane.total else state, LANE_STYLES[state])


def _pace(lane: LaneProgress, now: float) -> str:
    rate = lane.pace.rate(now)
    return f"{rate:.1f}/s" if rate is not None and lane.ended < lane.total else ""


def _ends(lane: LaneProgress, ends: Mapping[str, float | None]) -> str:
    at = ends.get(lane.name) if lane.state in ("open", "paused") else None
    return f"~{format_clock(at)}" if at is not None else ""


def _counted(count: int, outcome: Outcome) -> Text:
    return Text(f"{count:,}", STYLES[outcome]) if count else Text("·")


def draw_lanes(progress: RunProgress, now: float, *, width: int = ROOMY) -> Table:
    """Draw one line a gateway; where there is no room, without what can be guessed."""
    table = Table(box=None, expand=True, pad_edge=False, padding=(0, 1), header_style="bright_black")
    table.add_column("gateway", no_wrap=True, max_width=min(24, max(10, width - 100)))
    table.add_column("", ratio=1, min_width=4)
    for heading, least, needed in COLUMNS:
        if width >= needed:
            table.add_column(
                heading, justify="left" if heading == "lane" else "right", no_wrap=True, min_width=least
            )
    forecast = progress.forecast(now)
    ends = {gateway.name: gateway.done for gateway in forecast.gateways} if forecast else {}
    for lane in progress.lanes.values():
        cells: tuple[str | Text, ...] = (
            f"{lane.ended:,}/{lane.total:,}",
            f"{lane.ended * 100 // max(lane.total, 1)}",
            str(lane.in_flight or "·"),
            str(len(lane.waiting) or "·"),
            _counted(lane.outcomes[Outcome.FAILED], Outcome.FAILED),
            _counted(lane.outcomes[Outcome.UNKNOWN], Outcome.UNKNOWN),
            _pace(lane, now),
            f"≤ {format_short_rate(lane.bound)}" if lane.bound is not None else "·",
            _ends(lane, ends),
            _lane_text(lane, now),
        )
        shown = (cell for cell, (_, _, needed) in zip(cells, COLUMNS, strict=True) if width >= needed)
        table.add_row(Text(make_visible(lane.name), "bold"), OutcomeBar(lane), *shown)
    return table


def _wave_text(progress: RunProgress) -> Text:
    if not progress.wave:
        return Text("no wave yet", "bright_black")
    text = Text.assemble(("wave ", "bright_black"), (make_visible(progress.wave), "bold"))
    if progress.step is not None:
        text.append(f" · step {progress.step.number}/{progress.step.steps}")
    return text


def _forecast_text(progress: RunProgress, now: float) -> Text:
    forecast = progress.forecast(now)
    if forecast is None:
        return Text("")
    text = Text(describe_done(forecast, now), "yellow" if forecast.hindered else "")
    if fits := describe_window_fit(forecast):
        text.append(", ")
        text.append(fits, "bold yellow" if forecast.spare is not None and forecast.spare < 0 else "")
    return text


def _closes_text(started: RunStarted, now: float, *, wide: bool) -> Text:
    if started.closes is None:
        return Text("")
    until = started.closes - now
    if until <= 0:
        return Text("window closed", "bold yellow")
    closes = f"closes {format_time_of_day(started.closes, now)}"
    return Text(f"window {closes}, in {format_span(round(until))}" if wide else closes)


def _trouble(event: TargetEnded) -> Text:
    line = Text(f"{SIGNS[event.outcome]} {make_visible(event.target)}  ", STYLES[event.outcome])
    return line.append(make_visible(event.reason or ""), "default")


def _late(progress: RunProgress, now: float) -> Iterator[Text]:
    if (forecast := progress.forecast(now)) is not None:
        yield from (Text(f"! {text}", "yellow") for text in list_late_gateways(forecast))


def _lost(progress: RunProgress) -> Iterator[Text]:
    if progress.lost:
        yield Text(f"! {progress.lost:,} went down, or may have, that a restore cannot bring back", "yellow")


def _below(progress: RunProgress, now: float) -> Iterator[RenderableType]:
    if waiting := describe_wait(progress, now):
        yield Text(waiting, "bold yellow" if "`" in waiting else "bold", no_wrap=False)
    for lane in progress.lanes.values():
        if lane.warning:
            yield Text(f"! {make_visible(lane.name)}: {make_visible(lane.warning)}", "yellow")
        state = lane.standing(now)
        if lane.why and state != "open":
            why = make_visible(lane.why.removeprefix(f"{state}: "))
            stands = GIVEN_UP if lane.given_up else state
            yield Text(f"! {make_visible(lane.name)} {stands}: {why}", LANE_STYLES[state])
        elif lane.waiting and lane.fault:
            yield Text(f"↻ {make_visible(lane.name)} repeats: {make_visible(lane.fault)}", "yellow")
    yield from _late(progress, now)
    yield from _lost(progress)
    for event in progress.controls:
        yield Text(f"» {describe_control(event)}", "cyan", no_wrap=False)
    # Who steered may take two lines each; the picture does not become higher for it.
    if troubles := progress.troubles[2 * len(progress.controls) - TROUBLES_KEPT :]:
        wrong = progress.count(Outcome.FAILED) + progress.count(Outcome.UNKNOWN)
        yield Text(f"latest {len(troubles)} of {wrong:,} failed or unknown", "bright_black")
        yield from (_trouble(event) for event in troubles)
    if progress.stopping:
        yield Text(f"stopping: {make_visible(progress.stopping)}", "bold yellow")
        if progress.in_flight:
            again = "; interrupt again to leave at once" if progress.stopping.startswith("interrupt") else ""
            yield Text(f"nothing new starts; {progress.in_flight} in flight will land{again}", "yellow")


def _act_text(started: RunStarted) -> str:
    if started.rehearsal:
        return "REHEARSAL · "
    return "restore · " if started.act == "restore" else ""


def _setting(started: RunStarted) -> Iterator[Text]:
    if started.urls:
        yield Text(describe_setting(started), "bright_black", no_wrap=True, overflow="ellipsis")
    if told := describe_protect(started):
        yield Text(told, "bright_black", no_wrap=True, overflow="ellipsis")


def draw_picture(progress: RunProgress, now: float, *, width: int) -> RenderableType:
    """Draw the whole display as it stands at the Unix time ``now``."""
    started = progress.started
    if started is None:
        return Text("")
    title = f"{_act_text(started)}{make_visible(started.plan)} · run {started.run}" + (
        " · resumed" if started.resumed else ""
    )
    body = Group(
        *_setting(started),
        *_head(progress, started, now, wide=width >= WIDE),
        Text(""),
        draw_lanes(progress, now, width=width),
        *_spaced(_below(progress, now)),
    )
    return Panel(
        body, title=Text(title, "bold"), title_align="left", border_style="bright_black", width=width
    )


def _head(progress: RunProgress, started: RunStarted, now: float, *, wide: bool) -> Iterator[Table]:
    """Draw three lines that are always there, each cut before it would wrap."""
    rate = progress.pace.rate(now)
    pace = Text.assemble(
        (draw_curve(progress.pace.history(now)), "green"), "" if rate is None else f" {rate:.1f}/s"
    )
    counts = Text.assemble(
        (f"{progress.done:,}", "bold"), f" of {progress.total:,} ended, {progress.retries:,} repeats"
    )
    for left, right in (
        (_wave_text(progress), counts),
        (Text(f"{format_span(round(now - started.at))} so far"), pace),
        (_forecast_text(progress, now), _closes_text(started, now, wide=wide)),
    ):
        line = Table.grid(expand=True, padding=(0, 1, 0, 0))
        line.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
        line.add_column(justify="right", no_wrap=True)
        line.add_row(left, right)
        yield line


def _spaced(lines: Iterator[RenderableType]) -> list[RenderableType]:
    shown = list(lines)
    for line in shown:
        if isinstance(line, Text) and line.no_wrap is None:
            line.no_wrap, line.overflow = True, "ellipsis"
    return [Text(""), *shown] if shown else []


class LiveDisplay:
    """Listener and context manager: draws the run from its first event until the ``with`` ends.

    What other code writes to stderr meanwhile appears above the picture.
    """

    def __init__(self, console: Console, *, now: Callable[[], float] = time.time) -> None:
        self._console = console
        self._now = now
        self._progress = RunProgress()
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
        self._progress.observe(event)
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
        return draw_picture(self._progress, self._now(), width=self._console.width - MARGIN)


def open_terminal(*, color: bool) -> Console:
    """Return the console of stderr; without ``color`` (or with NO_COLOR set) it only uses bold and dim."""
    return Console(stderr=True, highlight=False, markup=False, emoji=False, no_color=None if color else True)
