"""The use of the targets that would go down, as a preview with ``--usage`` counts and sorts it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from msgspec import Struct

from orchestrator.model.usage import NOT_TOLD, Usage, describe_callers, format_hours
from orchestrator.preview.states import Preview, SeenTarget
from orchestrator.text.counting import choose_form, count_noun

MOST_CALLERS = 3
"""How many callers of a target the table names."""


class UseCounts(Struct, frozen=True, kw_only=True):
    """How much the targets are used that a run would take down."""

    hours: float
    targets: int
    in_use: int
    """Targets that were called."""
    calls: int
    """Calls of these."""
    not_told: int
    """Targets of which nothing tells the calls; none of them counts as unused."""


def count_use(preview: Preview) -> UseCounts | None:
    """Count the use of the targets; None where the preview did not ask for it."""
    if preview.hours is None:
        return None
    use = [seen.usage for seen in preview.targets if seen.usage is not None]
    calls = [one.calls for one in use if one.calls is not None]
    return UseCounts(
        hours=preview.hours,
        targets=len(use),
        in_use=sum(1 for count in calls if count),
        calls=sum(calls),
        not_told=len(use) - len(calls),
    )


def describe_use(counts: UseCounts) -> str:
    """Return ``12 of 1,200 targets were called in 72 h, 45,678 times; of 3 it is not told``."""
    were = choose_form(counts.in_use, "was", "were")
    told = f"{counts.in_use:,} of {count_noun(counts.targets, 'target')} {were} called"
    told += f" in {format_hours(counts.hours)}"
    if counts.in_use:
        told += f", {choose_form(counts.calls, 'once', f'{counts.calls:,} times')}"
    return f"{told}; of {counts.not_told:,} it is {NOT_TOLD}" if counts.not_told else told


def sort_by_use(seen_targets: Iterable[SeenTarget]) -> list[SeenTarget]:
    """Return the targets with the most calls first, then those not told, then the unused, else in order."""
    return sorted(seen_targets, key=lambda seen: _rank(seen.usage))


def _rank(usage: Usage | None) -> tuple[int, int]:
    if usage is None:
        return (3, 0)
    if usage.calls is None:
        return (1, 0)
    return (0, -usage.calls) if usage.calls else (2, 0)


def name_use_columns(hours: float) -> tuple[str, str]:
    """Return the headings of the two cells of ``format_use``."""
    return f"calls in {format_hours(hours)}", "who may call"


def format_use(usage: Usage | None) -> tuple[str, str]:
    """Return the cells of a target: its calls, and who may call it. The reasons stand in the warnings."""
    if usage is None:
        return "", ""
    calls = NOT_TOLD if usage.calls is None else f"{usage.calls:,}"
    untold = usage.callers_unread is not None and not usage.callers and not usage.is_open
    return calls, NOT_TOLD if untold else describe_callers(usage, MOST_CALLERS)


def align_right(cells: Sequence[str]) -> list[str]:
    """Return the cells of a column of numbers, all of one width."""
    width = max(map(len, cells))
    return [cell.rjust(width) for cell in cells]


def group_untold(seen_targets: Iterable[SeenTarget]) -> Iterator[tuple[str, list[SeenTarget]]]:
    """Yield each gap in the use of targets, as a clause with ``{targets}``, and the targets that have it."""
    groups: dict[str, list[SeenTarget]] = {}
    for seen in seen_targets:
        for clause in _list_untold(seen.usage):
            groups.setdefault(clause, []).append(seen)
    yield from sorted(groups.items(), key=lambda group: -len(group[1]))


def _list_untold(usage: Usage | None) -> Iterator[str]:
    if usage is None:
        return
    if usage.calls is None:
        yield f"the calls of {{targets}} are {NOT_TOLD}: {usage.why or 'no reason was given'}"
    if usage.callers_unread is not None and not usage.is_open:
        yield f"who may call {{targets}} is {NOT_TOLD}: {usage.callers_unread}"
