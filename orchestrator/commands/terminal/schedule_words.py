"""What is told about schedules: the new one, those that there are, and one that was taken back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from orchestrator.text.characters import make_visible
from orchestrator.text.columns import align_columns
from orchestrator.text.counting import count_noun
from orchestrator.text.formats import DASH, format_moment, format_span

if TYPE_CHECKING:
    from orchestrator.distributed.kept_schedules import DeletedSchedule, KeptSchedule
    from orchestrator.distributed.run_scheduling import ScheduledRun

HEADINGS = ("schedule", "plan", "starts", "next start", "newest run", "its outcome", "")


def describe_scheduled(scheduled: ScheduledRun, on: str) -> Iterator[str]:
    """Yield what a person should know of a new schedule; ``on`` are the options that name the engine."""
    yield f"plan      {make_visible(scheduled.plan)}, {count_noun(scheduled.targets, 'target')}"
    yield f"starts    {make_visible(scheduled.starts)}"
    for number, (at, run) in enumerate(scheduled.following):
        yield f"{'next' if number == 0 else '':<9} {format_moment(at)}, as run {run}"
    if scheduled.ends is not None:
        yield f"approval  until {format_moment(scheduled.ends)}: nothing starts from then on"
    yield f"workers   {_describe_zones(scheduled.zones, on)}"
    yield from (f"warning   {make_visible(text)}" for text in scheduled.warnings)
    yield from _describe_watching(scheduled, on)
    yield f"To take it back:  undeploy schedule --delete {scheduled.name} {on}"


def _describe_zones(zones: Sequence[str], on: str) -> str:
    named = " and ".join(zones)
    commands = ", ".join(f"undeploy worker --zone {zone} {on}" for zone in zones)
    return f"each zone needs one by then ({named}): {commands}"


def _describe_watching(scheduled: ScheduledRun, on: str) -> Iterator[str]:
    run = scheduled.following[0][1]
    yield f"To watch it:      undeploy attach {run} {on}"
    if not scheduled.recurs:
        yield (
            "If nobody does, the run is done all the same: the server keeps its results until somebody"
            " attaches, and that writes the reports."
        )
        return
    yield (
        "If nobody does, the runs are done all the same: the server keeps the results of each for"
        f" {describe_retention(scheduled.retention)} after its end, and to attach within that time writes the"
        " reports. A start is skipped while the run before it is at work."
    )


def describe_retention(retention: timedelta | None) -> str:
    """Return how long a server keeps what has ended."""
    if retention is None:
        return "the retention of its namespace"
    days = retention / timedelta(days=1)
    return count_noun(int(days), "day") if days == int(days) else format_span(retention.total_seconds())


def describe_schedules(kept: Sequence[KeptSchedule]) -> Iterator[str]:
    """Yield the schedules as a table, or that there is none."""
    if not kept:
        yield "no schedules"
        return
    yield from align_columns([HEADINGS, *map(_build_row, kept)], left=len(HEADINGS))


def _build_row(one: KeptSchedule) -> tuple[str, ...]:
    following: datetime | None = one.following[0] if one.following else None
    return (
        make_visible(one.name),
        make_visible(one.plan),
        make_visible(one.starts),
        format_moment(following),
        make_visible(one.newest or DASH),
        make_visible(one.outcome) or DASH,
        "paused" if one.is_paused else "",
    )


def describe_deleted(deleted: DeletedSchedule, on: str) -> Iterator[str]:
    """Yield that a schedule was taken back, and which of its runs are still open."""
    yield f"schedule {deleted.name} was taken back: nothing of it starts any more"
    for run in deleted.open_runs:
        yield f"its run {run} goes on, or waits to be taken over: undeploy attach {run} {on}"
