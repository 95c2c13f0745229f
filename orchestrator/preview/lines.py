"""A preview as lines for people. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from orchestrator.preview.assessment import AssessedPreview
from orchestrator.preview.losses import foresee_restore, list_deleted_front_ends
from orchestrator.preview.phrases import (
    GROUP_ORDER,
    GROUP_WORDS,
    MOST_IN_WARNING,
    MOST_SHOWN,
    count_cells,
    describe_completeness,
    describe_filtered,
    describe_outlook,
    describe_sending,
    describe_target,
    describe_time,
    find_names,
    format_taken,
    group_by_wave_step,
    judge_preview,
    list_losses,
    name_wave_step,
)
from orchestrator.preview.states import Preview, PreviewGroup, SeenTarget
from orchestrator.preview.use import align_right, count_use, describe_consequence, sort_by_use
from orchestrator.report.use import describe_use, format_use, name_use_columns
from orchestrator.report.words import describe_protection, name_target
from orchestrator.text.characters import make_visible
from orchestrator.text.columns import align_columns
from orchestrator.text.counting import count_noun
from orchestrator.text.formats import DASH, format_span

MOST_BEFORE_QUESTION = 5
"""How many targets of a group are named before the question, which the rest must not push out of sight."""


def render_lines(shown: AssessedPreview) -> Iterator[str]:
    """Yield the whole preview as lines of bounded length and number."""
    yield from _render_heading(shown.preview)
    yield ""
    yield from _render_counts(shown)
    yield from _render_left_alone(shown.preview)
    for group in GROUP_ORDER:
        yield from _render_group(shown.preview, group)
    yield from _render_end(shown)
    verdict = judge_preview(shown)
    yield f"verdict   {verdict.sentence}; {verdict.advice}"


def render_before_question(shown: AssessedPreview) -> Iterator[str]:
    """Yield the lines that a person should see before agreeing to a run."""
    yield ""
    yield from _render_counts(shown)
    for group in (PreviewGroup.WILL_CHANGE, PreviewGroup.UNKNOWN):
        yield from _render_group(shown.preview, group, most=MOST_BEFORE_QUESTION)
    yield from _render_end(shown)
    # The advice is the question that comes next.
    yield f"verdict   {judge_preview(shown).sentence}"


def _render_heading(preview: Preview) -> Iterator[str]:
    yield f"plan      {make_visible(preview.plan)}" + (
        f" ({make_visible(preview.reason)})" if preview.reason else ""
    )
    yield f"digest    {preview.digest}"
    effort = f"{count_noun(preview.requests, 'request')} in {format_span(preview.seconds)}"
    yield f"taken     {format_taken(preview)}, by {effort}"


def _render_counts(shown: AssessedPreview) -> Iterator[str]:
    """Yield the counts by wave and gateway, and the requests and the time of a run."""
    rows = [
        (name_wave_step(shown.plan, wave, step), make_visible(gateway), *count_cells(seen_targets))
        for (wave, step, gateway), seen_targets in group_by_wave_step(shown.preview.targets)
    ]
    if len(rows) > 1:
        rows.append(("all", "", *count_cells(shown.preview.targets)))
    yield from align_columns([("wave", "gateway", *GROUP_WORDS.values()), *rows], left=2)
    yield ""
    yield f"a run     {describe_sending(shown.forecast)}"
    yield f"time      {describe_time(shown.forecast)}"
    outlook = foresee_restore(shown.plan, shown.preview)
    if outlook.undeployed:
        yield f"restore   {describe_outlook(outlook)}"
    if (use := count_use(shown.preview)) is not None:
        yield f"in use    {describe_use(use)}{describe_consequence(shown.plan, shown.preview)}"


def _render_left_alone(preview: Preview) -> Iterator[str]:
    yield f"protect   {describe_protection(preview.patterns, preview.protected)}"
    if preview.protected:
        yield f"protected {preview.protected:,}: left alone, and not looked at"
    if preview.filtered:
        yield f"filtered  {describe_filtered(preview.filtered)}"


def _render_group(preview: Preview, group: PreviewGroup, *, most: int = MOST_SHOWN) -> Iterator[str]:
    here = [seen for seen in preview.targets if seen.group is group]
    if not here:
        return
    yield ""
    yield f"{GROUP_WORDS[group]}: {len(here):,}"
    if preview.hours is not None and group is PreviewGroup.WILL_CHANGE:
        yield from _render_use(sort_by_use(here)[:most], preview.hours)
    else:
        rows = [
            (f"  {make_visible(seen.target.id)}", make_visible(describe_target(seen))) for seen in here[:most]
        ]
        yield from align_columns(rows, left=2)
    if len(here) > most:
        yield f"  … and {len(here) - most:,} more"


def _render_use(seen_targets: Sequence[SeenTarget], hours: float) -> Iterator[str]:
    """Yield the targets with their calls and who may call, below a heading."""
    cells = [name_use_columns(hours), *(format_use(seen.usage) for seen in seen_targets)]
    calls = align_right([calls for calls, _ in cells])
    callers = [make_visible(callers) for _, callers in cells]
    names = ["  target", *(f"  {make_visible(seen.target.id)}" for seen in seen_targets)]
    states = ["state", *(make_visible(describe_target(seen)) for seen in seen_targets)]
    yield from align_columns(list(zip(names, calls, callers, states, strict=True)), left=4)


def _render_end(shown: AssessedPreview) -> Iterator[str]:
    yield from _render_front_ends(shown)
    if shown.warnings:
        yield ""
        yield from _render_warnings(shown)
    yield ""
    yield describe_completeness(shown.preview)


def _render_front_ends(shown: AssessedPreview) -> Iterator[str]:
    found = list(list_deleted_front_ends(shown.plan, shown.preview.targets))
    if not found:
        return
    yield ""
    yield f"deleted with them: {count_noun(len(found), 'front-end API')}"
    yield from (f"  {make_visible(text)}" for text in list_losses(shown.plan, shown.preview))
    rows = [
        (f"  {make_visible(front.id)}", make_visible(front.name or DASH), make_visible(front.path or DASH))
        for _, front in found[:MOST_SHOWN]
    ]
    yield from align_columns(rows, left=3)
    if len(found) > MOST_SHOWN:
        yield f"  … and {len(found) - MOST_SHOWN:,} more"


def _render_warnings(shown: AssessedPreview) -> Iterator[str]:
    """Yield a line a warning, with the first targets that it is about."""
    names = find_names(shown)
    for warning in shown.warnings:
        where = f"{make_visible(warning.gateway)}: " if warning.gateway else ""
        yield f"warning   {where}{make_visible(warning.text)}"
        for target in warning.targets[:MOST_IN_WARNING]:
            yield f"          {name_target(target, names.get(target))}"
        if len(warning.targets) > MOST_IN_WARNING:
            yield f"          … and {len(warning.targets) - MOST_IN_WARNING:,} more"
