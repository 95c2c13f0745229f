"""report.md: the run for a ticket. Bounded in length, whatever the size of the run."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TextIO

from orchestrator.model.causes import CauseGroup
from orchestrator.report.advice import advise
from orchestrator.report.causes import group_causes
from orchestrator.report.formats import ReportStream
from orchestrator.report.headline import compose_headline, describe_end, find_dangers
from orchestrator.report.use import describe_use, format_use, list_gaps, name_use_columns
from orchestrator.report.values import (
    GOOD_OUTCOMES,
    ChainedRun,
    ControlReport,
    GatewayReport,
    Report,
    ReportSource,
    SessionReport,
    Totals,
    UseReport,
    WaveReport,
)
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
from orchestrator.text.counting import choose_form, count_noun
from orchestrator.text.formats import DASH, format_moment, format_span
from orchestrator.text.markdown import escape_markdown, format_code, format_target

# Trackers cut long texts, or refuse them.
MAX_ROWS = 40
"""The most rows of a table. The rest is counted, with the name of a report that has it."""

_OTHER_COUNTS = ("failed", "unknown", "not_started", "requests", "retries")


def write(source: ReportSource, out: TextIO) -> ReportStream:
    """Write the report as Markdown with GitHub's tables, which most trackers read."""
    yield from ()  # the counts and the causes are all that it tells of the targets
    report = source.report
    act = report.run.act
    title = f"{escape_markdown(report.run.plan)}: {_name_report(report)} {format_code(report.run.id)}"
    out.write(f"# {title}\n\n**{compose_headline(report)}**\n\n")
    if report.run.rehearsal:
        out.write(f"> **{REHEARSAL}: {SIMULATED}.**\n\n")
    # Markdown has no colours. The sign is red in every tracker.
    out.writelines(
        f"> 🔴 **{format_code(name)}: {escape_markdown(text)}**\n\n"
        for name, text in find_dangers(report)[:MAX_ROWS]
    )
    out.writelines(_render_facts(report))
    out.writelines(_render_sessions(report.run.sessions))
    out.writelines(_render_chain(report.chain))
    out.write("\n## What to do next\n\n")
    out.writelines(_render_steps(report))
    out.write("\n## Totals\n\n")
    out.writelines(_render_totals(report.totals, act))
    out.writelines(_render_causes(group_causes(source), act))
    out.writelines(_render_use(report.use))
    out.writelines(_render_gateways(report.gateways, act))
    out.writelines(_render_warnings(report))
    out.writelines(_render_waves(report.waves, act))
    out.writelines(_render_controls(report.controls))


def _name_report(report: Report) -> str:
    return (
        f"{count_noun(len(report.chain), 'undeploy run')} up to"
        if report.chain
        else f"{describe_act(report.run)} run"
    )


def _render_facts(report: Report) -> Iterable[str]:
    run = report.run
    goes_back = "Continues" if run.act == "undeploy" else "Parent"
    parent = {goes_back: format_code(run.parent)} if run.parent else {}
    facts = {
        "Act": describe_act(run),
        "Plan": escape_markdown(run.plan),
        **parent,
        "Reason": escape_markdown(run.reason or DASH),
        "State": escape_markdown(describe_end(report)),
        "Started": format_moment(run.started),
        "Ended": format_moment(run.ended),
        "Working time": format_span(run.seconds),
        "Digest": format_code(run.digest),
    }
    if run.window is not None:
        facts["Window"] = escape_markdown(describe_window(run.window))
    if report.approval is not None:
        facts["Approved"] = escape_markdown(describe_dated_approval(report.approval))
    if report.accepted:
        facts["Accepted"] = ", ".join(map(format_code, report.accepted))
    if report.snapshots is not None:
        facts["Snapshots"] = f"{report.snapshots:,} of {report.totals.targets:,} targets"
    # GitHub shows no table without a header, so this one has an empty header.
    yield "| | |\n|---|---|\n"
    yield from (_format_row((name, value)) for name, value in facts.items())


def _render_chain(chain: Sequence[ChainedRun]) -> Iterable[str]:
    if not chain:
        return
    yield "\n## Runs\n\n"
    yield _format_header(["run", "continues", "started", "ended", "state", *_name_columns("undeploy")])
    for each in chain[-MAX_ROWS:]:
        run = each.run
        parent = format_code(run.parent) if run.parent else DASH
        yield _format_row(
            (
                format_code(run.id),
                parent,
                format_moment(run.started),
                format_moment(run.ended),
                run.state,
                *_format_counts(each.totals, run.act),
            )
        )
    yield from _render_rest(len(chain), "runs before these", "report.json")


def _render_sessions(sessions: Sequence[SessionReport]) -> Iterable[str]:
    """Yield a line for each of the newest sessions."""
    yield f"\n## Session{choose_form(len(sessions), '', 's')}\n\n" if sessions else ""
    yield from (f"- {escape_markdown(describe_session(session))}\n" for session in sessions[-MAX_ROWS:])
    yield from _render_rest(len(sessions), "sessions before these", "report.json")


def _render_steps(report: Report) -> Iterable[str]:
    for step in advise(report):
        command = f" {format_code(step.command)}" if step.command else ""
        yield f"- {escape_markdown(step.text)}{command}\n"


def _name_counts(act: str) -> tuple[str, ...]:
    """Return the names of the counts, in their order."""
    return ("targets", *(outcome.value for outcome in GOOD_OUTCOMES[act]), *_OTHER_COUNTS)


def _render_totals(totals: Totals, act: str) -> Iterable[str]:
    names = _name_counts(act)
    yield _format_header([name.replace("_", " ") for name in names], numbers=len(names))
    yield _format_row(_format_counts(totals, act))


def _render_causes(groups: Sequence[CauseGroup], act: str) -> Iterable[str]:
    if not groups:
        return
    yield f"\n## What is not {ACT_WORDS[act].goal}, by cause\n\n"
    yield _format_header(["count", "outcome", "code or cause", "told", "gateways", "targets"])
    for group in groups[:MAX_ROWS]:
        yield _format_row(
            (
                f"{group.count:,}",
                OUTCOME_WORDS[group.outcome],
                format_code(group.label),
                escape_markdown(group.text or DASH),
                _format_gateways(group.gateways),
                ", ".join(format_target(*one) for one in group.list_examples()) + _format_more(group.more),
            )
        )
    yield from _render_rest(len(groups), "causes")


def _render_use(use: UseReport | None) -> Iterable[str]:
    """Yield the targets that were called, with their callers; the vendors' reasons for gaps in code."""
    if use is None:
        return
    yield f"\n## In use\n\n{describe_use(use.counts)}.\n"
    if not use.most_used:
        return
    yield f"\n{_format_header(['target', *name_use_columns(use.counts.hours), 'outcome'])}"
    for used in use.most_used[:MAX_ROWS]:
        cells = map(escape_markdown, format_use(used.usage))
        yield _format_row((format_code(used.id), *cells, OUTCOME_WORDS[used.outcome]))
    yield from _render_rest(use.counts.in_use + use.counts.not_told, "targets in use", "report.html")
    if gaps := list_gaps(use):
        yield "\nNot told:\n\n"
        yield from (f"- {format_code(gap)}\n" for gap in gaps)


def _render_gateways(gateways: Sequence[GatewayReport], act: str) -> Iterable[str]:
    yield "\n## Gateways\n\n"
    yield _format_header(["gateway", "kind", "url", "lane", *_name_columns(act), "p50", "p95", "p99"])
    for gateway in gateways[:MAX_ROWS]:
        seconds = gateway.seconds
        latency = (format_span(seconds.p50), format_span(seconds.p95), format_span(seconds.p99))
        identity = (format_code(gateway.name), gateway.kind, format_code(gateway.url), gateway.lane)
        yield _format_row((*identity, *_format_counts(gateway.totals, act), *latency))
    yield from _render_rest(len(gateways), "gateways", "report.json")


def _render_warnings(report: Report) -> Iterable[str]:
    warnings = [escape_markdown(text) for text in report.warnings]
    for gateway in report.gateways:
        warnings += [f"{format_code(gateway.name)}: {escape_markdown(text)}" for text in gateway.warnings]
    if warnings:
        yield "\nWarnings:\n\n"
        yield from (f"- {text}\n" for text in warnings[:MAX_ROWS])
        yield from _render_rest(len(warnings), "warnings", "report.json")


def _render_waves(waves: Sequence[WaveReport], act: str) -> Iterable[str]:
    yield "\n## Waves\n\n"
    yield _format_header(["wave", *_name_columns(act)])
    yield from (
        _format_row((format_code(wave.name), *_format_counts(wave.totals, act))) for wave in waves[:MAX_ROWS]
    )
    yield from _render_rest(len(waves), "waves", "report.json")


def _render_controls(controls: Sequence[ControlReport]) -> Iterable[str]:
    if not controls:
        return
    yield "\n## Steered by hand\n\n"
    yield _format_header(["time", "who", "from", "what"])
    for control in controls[:MAX_ROWS]:
        who = (escape_markdown(text or DASH) for text in (control.by, control.origin))
        yield _format_row((format_moment(control.at), *who, format_code(control.act)))
    yield from _render_rest(len(controls), "acts", "report.json")


def _name_columns(act: str) -> list[str]:
    return ["already" if name.startswith("already") else name.replace("_", " ") for name in _name_counts(act)]


def _format_counts(totals: Totals, act: str) -> list[str]:
    return [f"{getattr(totals, name):,}" for name in _name_counts(act)]


def _format_header(names: Sequence[str], *, numbers: int = 0) -> str:
    rule = "|".join(["---:"] * numbers + ["---"] * (len(names) - numbers))
    return f"{_format_row(names)}|{rule}|\n"


def _format_row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |\n"


def _format_gateways(names: Sequence[str]) -> str:
    return ", ".join(map(format_code, names[:5])) + (_format_more(len(names) - 5))


def _format_more(count: int) -> str:
    return f" and {count:,} more, see report.csv" if count > 0 else ""


def _render_rest(count: int, what: str, where: str = "report.csv") -> Iterable[str]:
    if count > MAX_ROWS:
        yield f"\nand {count - MAX_ROWS:,} more {what}, see {where}\n"
