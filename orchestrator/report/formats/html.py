"""report.html: the run as one page without any other file. The only home of jinja2.

The headline, the totals, the causes, the gateways and the waves need no script. The script adds the list of
all targets. The content policy allows the page's own style and script, by their hashes, and nothing else.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable
from functools import cache
from hashlib import sha256
from itertools import islice
from typing import TextIO
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from orchestrator.model.causes import CauseGroup
from orchestrator.model.outcome import DONE, Outcome
from orchestrator.model.usage import format_hours
from orchestrator.report.advice import advise
from orchestrator.report.causes import group_by_cause
from orchestrator.report.counts import count_done
from orchestrator.report.formats import ReportStream
from orchestrator.report.headline import compose_headline, find_dangers
from orchestrator.report.page.chart import draw_bar, draw_pace, draw_timeline, place_latencies
from orchestrator.report.page.rows import RowWriter
from orchestrator.report.use import describe_use, format_use, list_gaps
from orchestrator.report.values import GOOD_OUTCOMES, Report, ReportSource
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

MAX_TARGETS = 20_000
"""A page with more targets opens slowly. Above this, the targets that are down are left out first."""
BUCKETS = 60
"""Columns of a chart over time."""
MAX_CAUSES = 50
MAX_LINES = 200
"""The most gateways, waves, sessions and controls that the page shows."""


def write(source: ReportSource, out: TextIO) -> ReportStream:
    """Write the page, whose targets are at its end."""
    out.writelines(_render_beginning(source))
    rows = RowWriter(out, source.report.run.started)
    rows.begin()
    if source.report.totals.targets > MAX_TARGETS:
        yield from _write_trouble_first(source, rows)
    else:
        while targets := (yield):
            rows.write(targets)
    rows.end()
    out.write(_make_environment().get_template("page_end.html.jinja").render(_load_assets()))


def _write_trouble_first(source: ReportSource, rows: RowWriter) -> ReportStream:
    """Write at most ``MAX_TARGETS``: those that are not down, then the first of those that are."""
    trouble = min(_count_trouble(source.report), MAX_TARGETS)
    for target in islice(source.trouble(), trouble):
        rows.write((target,))
    room = MAX_TARGETS - trouble
    while room and (targets := (yield)):
        down = [target for target in targets if target.outcome in DONE][:room]
        rows.write(down)
        room -= len(down)


def _count_trouble(report: Report) -> int:
    return report.totals.targets - count_done(report.totals)


def _render_beginning(source: ReportSource) -> Iterable[str]:
    """Return the page up to its targets, in pieces."""
    report = source.report
    groups = group_by_cause(source.trouble())
    page = _make_environment().get_template("page.html.jinja")
    stream = page.stream(
        report=report,
        run=report.run,
        order=(*GOOD_OUTCOMES[report.run.act], Outcome.FAILED, Outcome.UNKNOWN, Outcome.NOT_STARTED),
        words_of_act=ACT_WORDS[report.run.act],
        headline=compose_headline(report),
        banner=f"{REHEARSAL}: {SIMULATED}." if report.run.rehearsal else "",
        sessions=report.run.sessions[-MAX_LINES:],
        advice=advise(report),
        dangers=find_dangers(report),
        parts=draw_bar(report.totals),
        chart=draw_timeline(source.timeline(BUCKETS)),
        paces=[draw_pace(pacing) for pacing in source.pace_timelines(BUCKETS)[:MAX_LINES]],
        controls=report.controls[:MAX_LINES],
        chain=report.chain[-MAX_LINES:],
        gateways=list(zip(report.gateways, place_latencies(report.gateways), strict=True))[:MAX_LINES],
        waves=[(wave, draw_bar(wave.totals)) for wave in report.waves[:MAX_LINES]],
        groups=groups[:MAX_CAUSES],
        unlisted=len(groups) - MAX_CAUSES,
        **_describe_use(report),
        embedded=min(report.totals.targets, MAX_TARGETS),
        trouble=min(_count_trouble(report), MAX_TARGETS),
        **_load_assets(),
    )
    # Otherwise each piece of the template, often a few characters, is a write of its own.
    stream.enable_buffering(50)
    return stream


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
    style, script = _read_asset("page.css"), _read_asset("page.js")
    policy = (
        f"default-src 'none'; style-src '{_hash(style)}'; script-src '{_hash(script)}'; "
        "base-uri 'none'; form-action 'none'"
    )
    return {"style": Markup(style), "script": Markup(script), "policy": policy}  # noqa: S704  files of this package


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
