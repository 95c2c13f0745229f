"""report.html: the run as one page without any other file. The only home of jinja2.

The headline, the totals, the causes, the charts, the gateways, the waves and a list of the failures need no
script. The script adds the list of all targets; a long one is packed. The content policy allows the page's
own style and script, by their hashes, and nothing else.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable, Sequence
from functools import cache
from hashlib import sha256
from itertools import islice
from typing import TextIO
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from orchestrator.model.causes import CauseGroup
from orchestrator.model.outcome import DONE
from orchestrator.model.usage import format_hours
from orchestrator.report.advice import advise
from orchestrator.report.causes import group_causes
from orchestrator.report.counts import count_done
from orchestrator.report.formats import ReportStream
from orchestrator.report.headline import compose_headline, find_dangers, judge_end
from orchestrator.report.page.axis import build_axis
from orchestrator.report.page.chart import draw_bar, draw_pace, draw_timeline, place_latencies
from orchestrator.report.page.rows import PackedWriter, RowWriter
from orchestrator.report.page.standing import StandingList
from orchestrator.report.page.svg import PATTERNS, render_bar, render_pace_chart, render_time_chart
from orchestrator.report.use import describe_use, format_use, list_gaps
from orchestrator.report.values import Report, ReportSource, TargetReport, Totals, list_outcomes
from orchestrator.report.words import (
    ACT_WORDS,
    OUTCOME_WORDS,
    REHEARSAL,
    SIMULATED,
    describe_act,
    describe_dated_approval,
    describe_session,
    describe_window,
)
from orchestrator.text.characters import make_visible
from orchestrator.text.formats import format_moment, format_span

MAX_TARGETS = 100_000
"""A page with more targets opens slowly. Above this, the targets that are down are left out first."""
MAX_PLAIN = 2_000
"""The targets of a page with more are packed, which needs a browser of 2023 or newer to unpack them."""
BUCKETS = 60
"""Columns of a chart over time."""
MAX_CAUSES = 50
MAX_LINES = 200
"""The most gateways, waves, sessions and controls that the page shows."""


def write(source: ReportSource, out: TextIO) -> ReportStream:
    """Write the page, whose targets are near its end."""
    out.writelines(_render_beginning(source))
    packing = PackedWriter(out) if _is_packed(source.report) else None
    page = _TargetPart(RowWriter(packing.write if packing else out.write, source.report.run.started), source)
    page.rows.begin()
    if source.report.totals.targets > MAX_TARGETS:
        yield from _write_trouble_first(source, page)
    else:
        while targets := (yield):
            page.write(targets)
    page.rows.end()
    if packing:
        packing.end()
    out.write(_render_end(source.report, page.standing))


def _is_packed(report: Report) -> bool:
    return report.totals.targets > MAX_PLAIN


class _TargetPart:
    """The targets of the page: the rows for the script, and the list for whoever has none."""

    def __init__(self, rows: RowWriter, source: ReportSource) -> None:
        self.rows = rows
        self.standing = StandingList(source.report)

    def write(self, targets: Sequence[TargetReport]) -> None:
        self.rows.write(targets)
        self.standing.add(targets)


def _write_trouble_first(source: ReportSource, page: _TargetPart) -> ReportStream:
    """Write at most ``MAX_TARGETS``: those that are not down, then the first of those that are."""
    trouble = min(_count_trouble(source.report), MAX_TARGETS)
    for target in islice(source.trouble(), trouble):
        page.write((target,))
    room = MAX_TARGETS - trouble
    while room and (targets := (yield)):
        down = [target for target in targets if target.outcome in DONE][:room]
        page.write(down)
        room -= len(down)


def _render_end(report: Report, standing: StandingList) -> str:
    """Return the page behind its rows."""
    return (
        _make_environment()
        .get_template("page_end.html.jinja")
        .render(
            report=report,
            run=report.run,
            standing=standing.list_targets(),
            standing_words=standing.describe(),
            **_load_assets(),
        )
    )


def _count_trouble(report: Report) -> int:
    return report.totals.targets - count_done(report.totals)


def _render_beginning(source: ReportSource) -> Iterable[str]:
    """Return the page up to its targets, in pieces."""
    report = source.report
    groups = group_causes(source)
    page = _make_environment().get_template("page.html.jinja")
    stream = page.stream(
        report=report,
        run=report.run,
        order=list_outcomes(report.run.act),
        words_of_act=ACT_WORDS[report.run.act],
        headline=compose_headline(report),
        banner=f"{REHEARSAL}: {SIMULATED}." if report.run.rehearsal else "",
        sessions=report.run.sessions[-MAX_LINES:],
        advice=advise(report),
        dangers=find_dangers(report),
        verdict=judge_end(report),
        bar=_render_totals(report.totals, compose_headline(report)),
        **_render_charts(source),
        controls=report.controls[:MAX_LINES],
        chain=report.chain[-MAX_LINES:],
        gateways=list(zip(report.gateways, place_latencies(report.gateways), strict=True))[:MAX_LINES],
        waves=[
            (wave, _render_totals(wave.totals, "Outcomes of this wave")) for wave in report.waves[:MAX_LINES]
        ],
        groups=groups[:MAX_CAUSES],
        unlisted=len(groups) - MAX_CAUSES,
        **_describe_use(report),
        embedded=min(report.totals.targets, MAX_TARGETS),
        trouble=min(_count_trouble(report), MAX_TARGETS),
        kind="text/plain" if _is_packed(report) else "application/json",
        patterns=Markup(PATTERNS),  # noqa: S704  ours
        **_load_assets(),
    )
    # Otherwise each piece of the template, often a few characters, is a write of its own.
    stream.enable_buffering(50)
    return stream


def _render_totals(totals: Totals, label: str) -> Markup:
    return Markup(render_bar(draw_bar(totals), label))  # noqa: S704  svg escapes every text


def _render_charts(source: ReportSource) -> dict[str, object]:
    """Return the figures over time; ``chart`` is None if nothing was sent."""
    timeline = source.timeline(BUCKETS)
    axis = build_axis(timeline.spans, timeline.marks)
    chart = draw_timeline(timeline, axis)
    request = ACT_WORDS[source.report.run.act].request
    paces = (
        render_pace_chart(draw_pace(pacing, axis), request)
        for pacing in source.pace_timelines(BUCKETS)[:MAX_LINES]
    )
    return {
        "chart": chart and Markup(render_time_chart(chart)),  # noqa: S704  svg escapes every text
        "paces": [Markup(pace) for pace in paces],  # noqa: S704  the same
    }


def _describe_use(report: Report) -> dict[str, object]:
    """Return the values of the template that tell which targets are in use."""
    use = report.use
    if use is None:
        return {}
    used = use.most_used[:MAX_LINES]
    in_use = use.counts.in_use + use.counts.not_told
    return {"used": used, "gaps": list_gaps(use), "unlisted_use": in_use - len(used)}


@cache
def _make_environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("orchestrator.report", "page"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        describe_act=describe_act,
        describe_approval=describe_dated_approval,
        describe_window=describe_window,
        moment=format_moment,
        span=format_span,
        visible=make_visible,
        describe_session=describe_session,
        describe_use=describe_use,
        format_use=format_use,
        hours=format_hours,
        count=_format_count,
        link_text=_link_text,
        link_group=_link_group,
    )
    environment.globals.update(words={outcome.value: word for outcome, word in OUTCOME_WORDS.items()})
    return environment


@cache
def _load_assets() -> dict[str, str]:
    """Return the style, the script, and the policy that allows these two and nothing else."""
    style = _join_assets("shared/style.css", "report.css")
    script = _join_assets("shared/parts.js", "shared/table.js", "report.js")
    policy = (
        f"default-src 'none'; style-src '{_hash(style)}'; script-src '{_hash(script)}'; "
        "base-uri 'none'; form-action 'none'"
    )
    return {"style": Markup(style), "script": Markup(script), "policy": policy}  # noqa: S704  files of this package


def _join_assets(*names: str) -> str:
    return "".join(map(_read_asset, names))


def _read_asset(name: str) -> str:
    environment = _make_environment()
    loader = environment.loader
    assert loader is not None  # noqa: S101  given where the environment is made
    return loader.get_source(environment, name)[0]


def _hash(text: str) -> str:
    return f"sha256-{b64encode(sha256(text.encode()).digest()).decode()}"


def _format_count(number: int) -> str:
    return f"{number:,}"


def _link_group(group: CauseGroup) -> str:
    """Return the address within the page that shows the targets of ``group``."""
    query = f"&q={quote(group.label, safe='')}" if group.is_searchable else ""
    return f"#outcome={group.outcome}{query}"


def _link_text(text: str, key: str = "q") -> str:
    """Return the address within the page that shows the targets with ``text``."""
    return f"#{key}={quote(text, safe='')}"
