"""Draws the charts as plain SVG, for the report and for the live page.

The markup has classes and attributes alone, so that the strictest content policy shows it. Every text is
escaped, and nothing in it is invisible. A page that shows such markup holds ``PATTERNS`` once, or its style
gives the patterned outcomes fills of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from html import escape

from orchestrator.model.outcome import Outcome
from orchestrator.report.page.axis import AxisLabel, AxisNote, TimeAxis
from orchestrator.report.page.chart import BarPart, PaceChart, TimeChart
from orchestrator.report.page.palette import PAGE_LOOKS
from orchestrator.report.words import OUTCOME_WORDS
from orchestrator.text.characters import make_visible
from orchestrator.text.formats import format_span

PATTERNS = (
    '<svg class="away" aria-hidden="true" width="0" height="0"><defs>'
    '<pattern id="chart-dots" width="5" height="5" patternUnits="userSpaceOnUse">'
    '<rect class="solid-already" width="5" height="5"/><circle class="paper" cx="2.5" cy="2.5" r="1.1"/>'
    '</pattern><pattern id="chart-stripes" width="6" height="6" patternUnits="userSpaceOnUse" '
    'patternTransform="rotate(45)"><rect class="paper" width="6" height="6"/>'
    '<rect class="solid-unknown" width="4" height="6"/></pattern>'
    '<pattern id="chart-lines" width="4" height="4" patternUnits="userSpaceOnUse">'
    '<rect class="paper" width="4" height="4"/><rect class="solid-not_started" width="1.5" height="4"/>'
    "</pattern></defs></svg>"
)
"""The fills of the outcomes that are not solid, to be referred to from anywhere in the page."""

_FLAG_HEIGHT = 16
_TICK_HEIGHT = 20
_PATTERNED = {
    outcome.value: f' fill="url(#chart-{look.fill})"'
    for outcome, look in PAGE_LOOKS.items()
    if look.fill != "solid"
}


def render_bar(parts: Iterable[BarPart], label: str) -> str:
    """Return the outcomes side by side, as wide as their place."""
    pieces = "".join(
        f'<rect class="fill-{part.outcome}"{_PATTERNED.get(part.outcome, "")} '
        f'x="{part.at:g}%" y="0" width="{part.size:g}%" height="100%"/>'
        for part in parts
    )
    return f'<svg class="bar" role="img" aria-label="{_escape(label)}">{pieces}</svg>'


def render_time_chart(chart: TimeChart, title: str = "Targets that ended") -> str:
    """Return the figure of the targets that ended, and of the requests if they are counted."""
    sent = _render_key("stroke", "requests sent") if chart.line else ""
    outcomes = "".join(_render_key(f"fill-{name}", OUTCOME_WORDS[Outcome(name)]) for name in chart.outcomes)
    plot = _Plot(height=176, buckets=len(chart.slots), axis=chart.axis, flags=True, ticks=True)
    bars = "".join(_render_slots(chart))
    return _render_figure(
        title,
        f"per {format_span(chart.width)}",
        outcomes + sent,
        _render_plot(plot, _render_scale(chart.top, ""), title, bars, _draw_path("line", chart.line)),
        _render_notes(chart.axis),
    )


def render_pace_chart(chart: PaceChart, request: str = "undeploy") -> str:
    """Return the figure of one gateway: its pace against its bound, and below it the requests in flight.

    Without a gateway's name it is the figure of all gateways together.
    """
    title, of = f"{request.capitalize()}s a second", f" of {chart.gateway}" if chart.gateway else ""
    keys = [_render_key("stroke sent", "sent")]
    if chart.bound:
        keys.append(_render_key("stroke bound", "at most, as the gateway allows"))
    if chart.has_refusals:
        keys.append(_render_key("refused", "told to wait"))
    count = len(chart.slots)
    pace = _Plot(height=104, buckets=count, axis=chart.axis, flags=True, ticks=False)
    flight = _Plot(height=48, buckets=count, axis=chart.axis, flags=False, ticks=True)
    lines = _draw_path("sent", chart.sent) + _draw_path("bound", chart.bound)
    refusals = "".join(_render_refusals(chart))
    return _render_figure(
        title,
        "",
        "".join(keys),
        _render_plot(pace, _render_scale(chart.top, "/s"), title + of, refusals, lines),
        '<p class="plot-title">Requests in flight</p>',
        _render_plot(
            flight,
            _render_scale(chart.most, "", middle=False),
            f"Requests in flight{of}",
            "",
            _draw_path("flying", chart.in_flight),
        ),
        name=chart.gateway,
    )


def _render_figure(title: str, unit: str, keys: str, *parts: str, name: str | None = None) -> str:
    """Return a figure; ``name`` is that of a gateway, empty for all of them."""
    told = f' <span class="quiet">{_escape(unit)}</span>' if unit else ""
    heading = f"<h3>{_isolate(name)}</h3>" if name else ""
    kind = "" if name is None else " pace"
    return (
        f'<figure class="chart{kind}">{heading}'
        f'<figcaption><span class="chart-title">{_escape(title)}{told}</span>'
        f'<span class="keys">{keys}</span></figcaption>{"".join(parts)}</figure>'
    )


class _Plot:
    """The sizes of one plot, in pixels, and its time axis."""

    def __init__(self, *, height: int, buckets: int, axis: TimeAxis, flags: bool, ticks: bool) -> None:
        self.height = height
        self.buckets = buckets
        self.axis = axis
        self.top = _FLAG_HEIGHT if flags and axis.flags else 4
        self.shows_flags = flags
        self.shows_ticks = ticks
        self.whole = self.top + height + (_TICK_HEIGHT if ticks else 4)


def _render_plot(plot: _Plot, scale: str, label: str, bars: str, lines: str) -> str:
    """Return a plot beside its scale. ``bars`` are in percent; ``lines`` in buckets, and in hundredths."""
    inner = f'x="0" y="{plot.top}" width="100%" height="{plot.height}"'
    flagged = " flagged" if plot.top == _FLAG_HEIGHT else ""
    return (
        f'<div class="plot plot-{plot.height}{flagged}">{scale}'
        f'<svg class="canvas" role="img" aria-label="{_escape(label)}" '
        f'width="100%" height="{plot.whole}">'
        f"<svg {inner}>{_GRID}{bars}</svg>"
        f'<svg {inner} viewBox="0 0 {plot.buckets} 100" preserveAspectRatio="none" class="lines">'
        f"{lines}</svg>"
        f"{''.join(_render_axis(plot))}</svg></div>"
    )


_GRID = "".join(
    f'<line class="grid" x1="0" y1="{place}%" x2="100%" y2="{place}%"/>' for place in (0, 50, 100)
)


def _render_axis(plot: _Plot) -> Iterator[str]:
    bottom = plot.top + plot.height
    for note in plot.axis.notes:
        yield (
            f'<line class="mark mark-{note.kind}" x1="{note.at:g}%" y1="{plot.top}" '
            f'x2="{note.at:g}%" y2="{bottom}"/>'
        )
    if plot.shows_flags:
        for flag in plot.axis.flags:
            yield _render_label("flag", flag, plot.top - 5)
    if plot.shows_ticks:
        for tick in plot.axis.ticks:
            yield (
                f'<line class="notch" x1="{tick.at:g}%" y1="{bottom}" x2="{tick.at:g}%" y2="{bottom + 4}"/>'
            )
            yield _render_label("tick", tick, bottom + 17)


def _render_label(name: str, label: AxisLabel, y: int) -> str:
    place = f'x="{label.at:g}%" y="{y}" text-anchor="{label.anchor}"'
    return f'<text class="{name}" {place}>{_escape(label.text)}</text>'


def _render_scale(top: int, unit: str, *, middle: bool = True) -> str:
    marks = (top, top // 2, 0) if middle else (top, 0)
    told = "".join(f"<span>{mark:,}{unit if mark else ''}</span>" for mark in marks)
    return f'<div class="scale" aria-hidden="true">{told}</div>'


def _render_slots(chart: TimeChart) -> Iterator[str]:
    width = 100 / len(chart.slots)
    for index, slot in enumerate(chart.slots):
        bars = "".join(
            f'<rect class="fill-{part.outcome}"{_PATTERNED.get(part.outcome, "")} '
            f'x="{(index + 0.08) * width:.4g}%" y="{part.at:g}%" '
            f'width="{width * 0.84:.4g}%" height="{part.size:g}%"/>'
            for part in slot.parts
        )
        yield _render_bucket(index * width, width, slot.tooltip, bars)


def _render_refusals(chart: PaceChart) -> Iterator[str]:
    width = 100 / len(chart.slots)
    for index, slot in enumerate(chart.slots):
        bar = (
            f'<rect class="refused" x="{(index + 0.2) * width:.4g}%" y="{100 - slot.refused:g}%" '
            f'width="{width * 0.6:.4g}%" height="{slot.refused:g}%"/>'
        )
        yield _render_bucket(index * width, width, slot.tooltip, bar if slot.refused else "")


def _render_bucket(at: float, width: float, tooltip: str, bars: str) -> str:
    """Return the bars of one bucket with what catches the pointer over all of it, so that its title shows."""
    catch = f'<rect class="catch" x="{at:.4g}%" y="0" width="{width:.4g}%" height="100%"/>'
    return f"<g><title>{_escape(tooltip)}</title>{catch}{bars}</g>"


def _render_notes(axis: TimeAxis) -> str:
    """Return the words for the flags, and for the axis itself."""
    if not axis.ticks:
        return ""
    items = "".join(map(_render_note, axis.notes))
    more = f'<li class="quiet">and {axis.left_out:,} more</li>' if axis.left_out else ""
    marks = f'<ol class="marks">{items}{more}</ol>' if items else ""
    return f'<p class="axis-title">{_escape(axis.day)}, time in {_escape(axis.zone)}</p>{marks}'


def _render_note(note: AxisNote) -> str:
    return (
        f'<li class="note-{note.kind}"><b>{note.number}</b> '
        f'<span class="clock">{_escape(note.clock)}</span> {_isolate(note.text)}</li>'
    )


def _render_key(name: str, text: str) -> str:
    return f'<span class="legend"><span class="key {name}"></span>{_escape(text)}</span>'


def _draw_path(name: str, d: str) -> str:
    return f'<path class="{name}" d="{d}"/>' if d else ""


def _isolate(text: str) -> str:
    return f"<bdi>{_escape(text)}</bdi>"


def _escape(text: str) -> str:
    return escape(make_visible(text))
