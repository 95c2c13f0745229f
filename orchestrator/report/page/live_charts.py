"""The charts of a live run, as the fragment that the live page shows."""

from __future__ import annotations

from datetime import timedelta, timezone

from orchestrator.model.live_status import OverTime
from orchestrator.report.page.axis import build_axis
from orchestrator.report.page.chart import draw_pace, draw_timeline
from orchestrator.report.page.svg import render_pace_chart, render_time_chart
from orchestrator.report.values import ClockSpan, PaceTimeline, RunTimeline


def render_live_charts(over_time: OverTime, *, request: str, utc_offset: int) -> str | None:
    """Return the charts of a session as HTML; None as long as there is nothing to draw.

    ``request`` is what changes a target: ``undeploy`` or ``deploy``. ``utc_offset`` is how many seconds the
    clock times are east of UTC.
    """
    timeline, pacing = _read_timeline(over_time), _read_pacing(over_time)
    axis = build_axis(timeline.spans, timeline.marks, timezone(timedelta(seconds=utc_offset)))
    ended = draw_timeline(timeline, axis)
    figures = [] if ended is None else [render_time_chart(ended)]
    if any(pacing.sent) or any(pacing.in_flight):
        figures.append(render_pace_chart(draw_pace(pacing, axis), request))
    return "".join(figures) or None


def _read_timeline(over_time: OverTime) -> RunTimeline:
    whole = over_time.seconds * len(over_time.ended)
    return RunTimeline(
        width=over_time.seconds,
        ended=over_time.ended,
        requests=None,
        spans=(ClockSpan(started=over_time.start, seconds=whole),) if whole else (),
        marks=over_time.marks,
    )


def _read_pacing(over_time: OverTime) -> PaceTimeline:
    return PaceTimeline(
        gateway="",
        width=over_time.seconds,
        bound=over_time.bound,
        sent=over_time.sent,
        # A run of an earlier program, which ``undeploy watch`` shows, does not tell its refusals.
        refused=over_time.refused or (0,) * len(over_time.sent),
        in_flight=tuple(map(float, over_time.in_flight)),
    )
