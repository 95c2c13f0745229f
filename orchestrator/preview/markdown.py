"""A preview as Markdown, for a ticket. Pure.

Texts of a vendor stand in code, which renders nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

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
from orchestrator.preview.use import count_use, describe_consequence, sort_by_use
from orchestrator.preview.warnings import PreviewWarning
from orchestrator.report.use import describe_use, format_use, name_use_columns
from orchestrator.report.words import describe_protection
from orchestrator.text.counting import count_noun
from orchestrator.text.formats import DASH
from orchestrator.text.markdown import escape_markdown, format_code, format_target


def render_markdown(shown: AssessedPreview) -> Iterator[str]:
    """Yield the lines of the preview as Markdown."""
    yield f"# Preview of {escape_markdown(shown.preview.plan)}"
    yield ""
    verdict = judge_preview(shown)
    yield f"**{verdict.sentence[:1].upper()}{verdict.sentence[1:]}**; {verdict.advice}."
    yield ""
    yield describe_completeness(shown.preview)
    yield ""
    yield from _render_facts(shown)
    yield ""
    yield from _render_counts(shown)
    for group in GROUP_ORDER:
        yield from _render_group(shown.preview, group)
    yield from _render_front_ends(shown)
    if shown.warnings:
        yield from _render_section("Warnings")
        names = find_names(shown)
        yield from (f"- {_describe_warning(warning, names)}" for warning in shown.warnings)


def _render_facts(shown: AssessedPreview) -> Iterator[str]:
    preview = shown.preview
    rows = [
        ("Reason", escape_markdown(preview.reason or DASH)),
        ("Digest", format_code(preview.digest)),
        ("Taken", format_taken(preview)),
        ("Requests", f"{preview.requests:,}"),
        ("A run", describe_sending(shown.forecast)),
        ("Time", describe_time(shown.forecast)),
        ("A restore", describe_outlook(foresee_restore(shown.plan, preview))),
        ("Protect", describe_protection(preview.patterns, preview.protected)),
    ]
    # Who reads a ticket sees no command line, and a run without its filters takes more.
    if preview.filtered:
        rows.append(("Filtered", describe_filtered(preview.filtered)))
    if (use := count_use(preview)) is not None:
        rows.append(("In use", f"{describe_use(use)}{describe_consequence(shown.plan, preview)}"))
    return _render_table(("", ""), rows)


def _render_counts(shown: AssessedPreview) -> Iterator[str]:
    rows = [
        (
            escape_markdown(name_wave_step(shown.plan, wave, step)),
            escape_markdown(gateway),
            *count_cells(seen_targets),
        )
        for (wave, step, gateway), seen_targets in group_by_wave_step(shown.preview.targets)
    ]
    whole = ("all", "", *count_cells(shown.preview.targets))
    return _render_table(("wave", "gateway", *GROUP_WORDS.values()), [*rows, whole])


def _render_group(preview: Preview, group: PreviewGroup) -> Iterator[str]:
    here = [seen for seen in preview.targets if seen.group is group]
    if not here:
        return
    yield from _render_section(f"{GROUP_WORDS[group].capitalize()}: {len(here):,}")
    if preview.hours is not None and group is PreviewGroup.WILL_CHANGE:
        yield from _render_use(sort_by_use(here), preview.hours)
    else:
        yield from _render_list(
            f"{format_code(seen.target.id)} {format_code(describe_target(seen))}" for seen in here
        )


def _render_use(seen_targets: Sequence[SeenTarget], hours: float) -> Iterator[str]:
    """Yield a table of the most used targets, and how many more there are."""
    rows = [
        (
            format_code(seen.target.id),
            *map(escape_markdown, format_use(seen.usage)),
            format_code(describe_target(seen)),
        )
        for seen in seen_targets[:MOST_SHOWN]
    ]
    yield from _render_table(("target", *name_use_columns(hours), "state"), rows)
    if (more := len(seen_targets) - MOST_SHOWN) > 0:
        yield ""
        yield f"… and {more:,} more"


def _render_front_ends(shown: AssessedPreview) -> Iterator[str]:
    fronts = [front for _, front in list_deleted_front_ends(shown.plan, shown.preview.targets)]
    if fronts:
        yield from _render_section(f"Deleted with them: {count_noun(len(fronts), 'front-end API')}")
        yield from (f"- {escape_markdown(text)}" for text in list_losses(shown.plan, shown.preview))
        yield from _render_list(
            f"{format_code(front.id)} {format_code(front.path or front.name or DASH)}" for front in fronts
        )


def _describe_warning(warning: PreviewWarning, names: Mapping[str, str]) -> str:
    where = f"{format_code(warning.gateway)}: " if warning.gateway else ""
    more = " …" if len(warning.targets) > MOST_IN_WARNING else ""
    first = warning.targets[:MOST_IN_WARNING]
    named = ", ".join(format_target(target, names.get(target)) for target in first) + more
    return f"{where}{escape_markdown(warning.text)}{f' ({named})' if named else ''}"


def _render_section(title: str) -> Iterator[str]:
    yield ""
    yield f"## {title}"
    yield ""


def _render_list(texts: Iterable[str]) -> Iterator[str]:
    """Yield the first of ``texts`` as points of a list, and how many more there are."""
    left_out = 0
    for number, text in enumerate(texts, 1):
        if number <= MOST_SHOWN:
            yield f"- {text}"
        else:
            left_out += 1
    if left_out:
        yield f"- … and {left_out:,} more"


def _render_table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(headings)} |"
    yield f"|{'---|' * len(headings)}"
    yield from (f"| {' | '.join(row)} |" for row in rows)
