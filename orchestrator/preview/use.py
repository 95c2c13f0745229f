"""The use of the targets that would go down, as a preview with ``--usage`` counts and sorts it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from orchestrator.model.plan import PlanHeader
from orchestrator.model.usage import NOT_TOLD, Usage
from orchestrator.preview.states import Preview, PreviewGroup, SeenTarget
from orchestrator.report.values import UseCounts
from orchestrator.rules.in_use import describe_doubt
from orchestrator.text.counting import count_noun


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


def is_left_for_use(plan: PlanHeader, seen: SeenTarget) -> bool:
    """Return whether a run would leave a target for its use, or because nothing tells that."""
    return plan.in_use == "refuse" and _is_doubtful(plan, seen)


def _is_doubtful(plan: PlanHeader, seen: SeenTarget) -> bool:
    """Return whether a target may still be needed by the bound of the plan.

    A preview that asked for other hours than the plan's does not know.
    """
    if seen.group not in (PreviewGroup.WILL_CHANGE, PreviewGroup.UNKNOWN):
        return False
    if seen.usage is None:
        return True  # a state that cannot be read names no front end whose calls would count
    return (
        seen.usage.hours == plan.in_use_over.hours
        and describe_doubt(seen.usage, plan.in_use_over) is not None
    )


def describe_consequence(plan: PlanHeader, preview: Preview) -> str:
    """Return the end of a sentence on the use: what a run makes of the targets in use; else nothing."""
    count = sum(_is_doubtful(plan, seen) for seen in preview.targets if seen.usage is not None)
    if not count or plan.in_use == "ignore":
        return ""
    if plan.in_use == "refuse":
        return f"; by in_use: refuse {count_noun(count, 'target stays', 'targets stay')} up"
    return f"; by in_use: warn {count_noun(count, 'of these goes', 'of these go')} down all the same"


def sort_by_use(seen_targets: Iterable[SeenTarget]) -> list[SeenTarget]:
    """Return the targets with the most calls first, then those not told, then the unused, else in order."""
    return sorted(seen_targets, key=lambda seen: _rank(seen.usage))


def _rank(usage: Usage | None) -> tuple[int, int]:
    if usage is None:
        return (3, 0)
    if usage.calls is None:
        return (1, 0)
    return (0, -usage.calls) if usage.calls else (2, 0)


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
