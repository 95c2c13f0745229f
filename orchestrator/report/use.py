"""The words for the use of targets: of a preview, and of the reports of a run. Pure."""

from __future__ import annotations

from collections import Counter

from orchestrator.model.usage import NOT_TOLD, Usage, describe_callers, format_hours
from orchestrator.report.values import UseCounts, UseReport
from orchestrator.text.counting import choose_form, count_noun, name_first

MOST_CALLERS = 3
"""How many callers of one target a table names."""
MOST_TO_ASK = 5
"""How many callers the advice names."""
MOST_CAUSES = 5
"""How many causes are named for which the calls of targets are not told."""


def describe_use(counts: UseCounts) -> str:
    """Return ``12 of 1,200 targets were called in 72 h, 45,678 times; of 3 it is not told``."""
    were = choose_form(counts.in_use, "was", "were")
    told = f"{counts.in_use:,} of {count_noun(counts.targets, 'target')} {were} called"
    told += f" in {format_hours(counts.hours)}"
    if counts.in_use:
        told += f", {choose_form(counts.calls, 'once', f'{counts.calls:,} times')}"
    return f"{told}; of {counts.not_told:,} it is {NOT_TOLD}" if counts.not_told else told


def name_use_columns(hours: float) -> tuple[str, str]:
    """Return the headings of the two cells of ``format_use``."""
    return f"calls in {format_hours(hours)}", "who may call"


def format_use(usage: Usage | None) -> tuple[str, str]:
    """Return the cells of a target: its calls, and who may call it. The reasons stand elsewhere."""
    if usage is None:
        return "", ""
    calls = NOT_TOLD if usage.calls is None else f"{usage.calls:,}"
    untold = usage.callers_unread is not None and not usage.callers and not usage.is_open
    return calls, NOT_TOLD if untold else describe_callers(usage, MOST_CALLERS)


def name_callers(use: UseReport) -> str:
    """Return the names of those who may call the most used targets, to ask them; empty if none is known."""
    names = dict.fromkeys(name for used in use.most_used for name in used.usage.callers)
    return name_first(list(names), MOST_TO_ASK)


def list_gaps(use: UseReport) -> tuple[str, ...]:
    """Return why the calls of targets are not told, each cause once, the most frequent first."""
    causes = Counter(used.usage.why for used in use.most_used if used.usage.calls is None)
    return tuple(why for why, _ in causes.most_common(MOST_CAUSES) if why)
