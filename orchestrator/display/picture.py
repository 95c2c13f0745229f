"""The whole picture of a live run on a terminal."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from orchestrator.display.lane_progress import GIVEN_UP, LaneProgress
from orchestrator.display.lanes_table import LANE_STYLES, OUTCOME_STYLES, WIDE, draw_lanes
from orchestrator.display.phrases import (
    describe_control,
    describe_done,
    describe_landing,
    describe_protect,
    describe_setting,
    describe_wait,
    describe_window_fit,
    format_rate,
    list_late_gateways,
)
from orchestrator.display.progress import TROUBLES_KEPT, RunProgress
from orchestrator.model.events import RunStarted
from orchestrator.model.outcome import Outcome
from orchestrator.text.characters import make_visible
from orchestrator.text.formats import format_span, format_time_of_day

SIGNS = {Outcome.FAILED: "✗", Outcome.UNKNOWN: "?"}
CURVE = " ▁▂▃▄▅▆▇█"


def draw_picture(progress: RunProgress, now: float, *, width: int) -> RenderableType:
    """Draw the whole display as it stands at the Unix time ``now``."""
    started = progress.started
    if started is None:
        return Text("")
    title = f"{_name_act(started)}{make_visible(started.plan)} · run {started.run}" + (
        " · resumed" if started.resumed else ""
    )
    body = Group(
        *_draw_setting(started),
        *_draw_head(progress, started, now, wide=width >= WIDE),
        Text(""),
        draw_lanes(progress, now, width=width),
        *_cut_lines(_draw_notices(progress, now)),
    )
    return Panel(
        body, title=Text(title, "bold"), title_align="left", border_style="bright_black", width=width
    )


def draw_curve(counts: tuple[int, ...]) -> str:
    """Return ``counts`` as a row of little columns; the greatest count is as high as a line."""
    top = max(counts, default=0)
    if not top:
        return ""
    return "".join(CURVE[-(-count * (len(CURVE) - 1) // top)] for count in counts)


def _draw_head(progress: RunProgress, started: RunStarted, now: float, *, wide: bool) -> Iterator[Table]:
    """Draw the three lines that every picture has, each cut at the edge."""
    rate = progress.pace.measure_rate(now)
    pace = Text.assemble(
        (draw_curve(progress.pace.count_by_second(now)), "green"),
        "" if rate is None else f" {format_rate(rate)}",
    )
    counts = Text.assemble(
        (f"{progress.done:,}", "bold"), f" of {progress.total:,} ended, {progress.retries:,} repeats"
    )
    for left, right in (
        (_draw_wave(progress), counts),
        (Text(f"{format_span(round(now - started.at))} so far"), pace),
        (_draw_forecast(progress, now), _draw_window(started, now, wide=wide)),
    ):
        line = Table.grid(expand=True, padding=(0, 1, 0, 0))
        line.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
        line.add_column(justify="right", no_wrap=True)
        line.add_row(left, right)
        yield line


def _draw_wave(progress: RunProgress) -> Text:
    if not progress.wave:
        return Text("no wave yet", "bright_black")
    text = Text.assemble(("wave ", "bright_black"), (make_visible(progress.wave), "bold"))
    if progress.step is not None:
        text.append(f" · step {progress.step.number}/{progress.step.steps}")
    return text


def _draw_forecast(progress: RunProgress, now: float) -> Text:
    forecast = progress.make_forecast(now)
    if forecast is None:
        return Text("")
    text = Text(describe_done(forecast, now), "yellow" if forecast.hindered else "")
    if fits := describe_window_fit(forecast):
        text.append(", ")
        text.append(fits, "bold yellow" if forecast.spare is not None and forecast.spare < 0 else "")
    return text


def _draw_window(started: RunStarted, now: float, *, wide: bool) -> Text:
    if started.closes is None:
        return Text("")
    until = started.closes - now
    if until <= 0:
        return Text("window closed", "bold yellow")
    closes = f"closes {format_time_of_day(started.closes, now)}"
    return Text(f"window {closes}, in {format_span(round(until))}" if wide else closes)


def _draw_notices(progress: RunProgress, now: float) -> Iterator[Text]:
    """Draw the notices below the table; each kind only if there is something to tell."""
    if waiting := describe_wait(progress, now):
        # A command in backquotes means that a person is waited for.
        yield Text(waiting, "bold yellow" if "`" in waiting else "bold", no_wrap=False)
    for lane in progress.lanes.values():
        yield from _draw_lane_notices(lane, now)
    if (forecast := progress.make_forecast(now)) is not None:
        yield from (Text(f"! {text}", "yellow") for text in list_late_gateways(forecast))
    if lost := progress.unrestorable:
        yield Text(f"! {lost:,} went down, or may have, that a restore cannot bring back", "yellow")
    for event in progress.controls:
        yield Text(f"» {describe_control(event)}", "cyan", no_wrap=False)
    yield from _draw_troubles(progress)
    if progress.stopping:
        yield Text(f"stopping: {make_visible(progress.stopping)}", "bold yellow")
        if progress.in_flight:
            yield Text(f"nothing new starts; {describe_landing(progress, progress.stopping)}", "yellow")


def _draw_lane_notices(lane: LaneProgress, now: float) -> Iterator[Text]:
    name, state = make_visible(lane.name), lane.find_state(now)
    if lane.warning:
        yield Text(f"! {name}: {make_visible(lane.warning)}", "yellow")
    if lane.reason and state != "open":
        reason = make_visible(lane.reason.removeprefix(f"{state}: "))
        yield Text(f"! {name} {GIVEN_UP if lane.given_up else state}: {reason}", LANE_STYLES[state])
    elif lane.list_asked:
        yield Text(f"· {name} {lane.list_asked}", "bright_black")
    elif lane.waiting and lane.fault:
        yield Text(f"↻ {name} repeats: {make_visible(lane.fault)}", "yellow")


def _draw_troubles(progress: RunProgress) -> Iterator[Text]:
    # A control may take two lines: show two troubles less for each, so that the picture keeps its height.
    troubles = progress.troubles[2 * len(progress.controls) - TROUBLES_KEPT :]
    if not troubles:
        return
    wrong = progress.count(Outcome.FAILED) + progress.count(Outcome.UNKNOWN)
    yield Text(f"latest {len(troubles)} of {wrong:,} failed or unknown", "bright_black")
    for event in troubles:
        line = Text(f"{SIGNS[event.outcome]} {make_visible(event.target)}  ", OUTCOME_STYLES[event.outcome])
        yield line.append(make_visible(event.reason or ""), "default")


def _name_act(started: RunStarted) -> str:
    if started.rehearsal:
        return "REHEARSAL · "
    return "restore · " if started.act == "restore" else ""


def _draw_setting(started: RunStarted) -> Iterator[Text]:
    if started.urls:
        yield Text(describe_setting(started), "bright_black", no_wrap=True, overflow="ellipsis")
    if protect := describe_protect(started):
        yield Text(protect, "bright_black", no_wrap=True, overflow="ellipsis")


def _cut_lines(lines: Iterator[Text]) -> list[Text]:
    """Return ``lines`` below an empty one, each cut at the edge unless it may wrap."""
    shown = list(lines)
    for line in shown:
        if line.no_wrap is None:
            line.no_wrap, line.overflow = True, "ellipsis"
    return [Text(""), *shown] if shown else []
