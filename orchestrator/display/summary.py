"""How a run ended, in few words: the last lines on the screen."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice

from orchestrator.model.outcome import TROUBLE
from orchestrator.report.advice import advise
from orchestrator.report.counts import count_already, count_changed
from orchestrator.report.headline import compose_headline
from orchestrator.report.values import Report, TargetReport, Totals
from orchestrator.report.words import name_target
from orchestrator.text.characters import make_visible
from orchestrator.text.formats import format_span

UNDEPLOY_HEADINGS = (
    "", "targets", "undeployed", "already", "failed", "unknown", "not started", "requests", "retries",
)  # fmt: skip
RESTORE_HEADINGS = tuple("restored" if heading == "undeployed" else heading for heading in UNDEPLOY_HEADINGS)
TROUBLE_SHOWN = 10
"""How many of the failed and unknown targets are named; the reports name them all."""


def choose_headings(report: Report) -> tuple[str, ...]:
    """Return the headings above the rows of ``list_counts``."""
    return RESTORE_HEADINGS if report.run.act == "restore" else UNDEPLOY_HEADINGS


def list_counts(report: Report) -> list[tuple[str, ...]]:
    """Return a row of counts for each gateway, and one for all of them if there are several."""
    rows = [_format_counts(make_visible(gateway.name), gateway.totals) for gateway in report.gateways]
    return rows if len(rows) == 1 else [*rows, _format_counts("all", report.totals)]


def _format_counts(name: str, totals: Totals) -> tuple[str, ...]:
    counts = (
        totals.targets,
        count_changed(totals),
        count_already(totals),
        totals.failed,
        totals.unknown,
        totals.not_started,
        totals.requests,
        totals.retries,
    )
    return (name, *(f"{count:,}" for count in counts))


def describe_ending(report: Report) -> str:
    """Return how the run ended, in one line."""
    return f"{compose_headline(report)} ({format_span(report.run.seconds)} of work)"


def list_next_steps(report: Report, *, state: str = "") -> Iterator[str]:
    """Yield the next steps for the operator, with the commands to type; each command ends in ``state``."""
    for step in advise(report):
        yield step.text
        if step.command:
            # A worker keeps its state where it runs, which is often another machine.
            yield f"    {step.command}{'' if step.command.startswith('undeploy worker') else state}"


def list_trouble(trouble: Iterable[TargetReport], totals: Totals) -> Iterator[str]:
    """Yield a line for each of the first failed or unknown targets, and how many more there are."""
    wrong = totals.failed + totals.unknown
    if not wrong:
        return
    # A stream: after the last one wanted nothing more is read, and a million targets may follow.
    named = (target for target in trouble if target.outcome in TROUBLE)
    for target in islice(named, min(TROUBLE_SHOWN, wrong)):
        why = make_visible(target.reason or "no reason given")
        yield f"{target.outcome.value:<8} {name_target(target.id, target.name)}: {why}"
    if wrong > TROUBLE_SHOWN:
        yield f"… and {wrong - TROUBLE_SHOWN:,} more; the reports name them all"
