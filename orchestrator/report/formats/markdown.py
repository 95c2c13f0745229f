"""report.md: the run for a ticket. Bounded in length, whatever the size of the run."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TextIO

from orchestrator.report.advice import advise
from orchestrator.report.failures import CauseGroup, group_by_cause
from orchestrator.report.headline import compose_headline, describe_end, find_dangers
from orchestrator.report.values import (
    OUTCOMES_OF,
    ChainedRun,
    ControlReport,
    GatewayReport,
    Report,
    ReportSource,
    SessionReport,
    Totals,
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
from orchestrator.text.counting import choose_form
from orchestrator.text.formats import DASH, format_moment, format_span
from orchestrator.text.markdown import escape_markdown, format_code

ROWS = 40
"""At most so many rows in a table; the rest is counted and left to report.csv."""

_OTHERS = ("failed", "unknown", "not_started", "requests", "retries")


def write(source: ReportSource, out: TextIO) -> None:
    """Write the report as Markdown with GitHub's tables, which most trackers read."""
    report = source.report
    act = report.run.act
    title = f"{escape_markdown(report.run.plan)}: {_what(report)} {format_code(report.run.id)}"
    out.write(f"# {title}\n\n**{compose_headline(report)}**\n\n")
    if report.run.rehearsal:
        out.write(f"> **{REHEARSAL}: {SIMULATED}.**\n\n")
    # Markdown knows no colour of its own; the sign is red everywhere.
    out.writelines(
        f"> 🔴 **{format_code(name)}: {escape_markdown(text)}**\n\n"
        for name, text in find_dangers(report)[:ROWS]
    )
    out.writelines(_facts(report))
    out.writelines(_sessions(report.run.sessions))
    out.writelines(_chain(report.chain))
    out.write("\n## What to do next\n\n")
    out.writelines(_steps(report))
    out.write("\n## Totals\n\n")
    out.writelines(_totals(report.totals, act))
    out.writelines(_causes(group_by_cause(source.trouble()), act))
    out.writelines(_gateways(report.gateways, act))
    out.writelines(_waves(report.waves, act))
    out.writelines(_controls(report.controls))


def _what(report: Report) -> str:
    return f"{len(report.chain):,} undeploy runs up to" if report.chain else f"{describe_act(report.run)} run"


def _facts(report: Report) -> Iterable[str]:
    run = report.run
    goes_back = "Continues" if run.act == "undeploy" else "Parent"
    parent = {goes_back: format_code(run.parent)} if run.parent else {}
    facts = {
        "Act": describe_act(run),
        "Plan": escape_markdown(run.plan),
        **parent,
        "Reason": escape_markdown(run.reason or DASH),
        "State": escape_markdown(describe_end(run)),
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
    yield "| | |\n|---|---|\n"
    yield from (_row((name, value)) for name, value in facts.items())


def _chain(chain: Sequence[ChainedRun]) -> Iterable[str]:
    if not chain:
        return
    yield "\n## Runs\n\n"
    yield _header(["run", "continues", "started", "ended", "state", *_short("undeploy")])
    for each in chain[-ROWS:]:
        run = each.run
        parent = format_code(run.parent) if run.parent else DASH
        yield _row(
            (
                format_code(run.id),
                parent,
                format_moment(run.started),
                format_moment(run.ended),
                run.state,
                *_counts(each.totals, run.act),
            )
        )
    yield from _rest(len(chain), "runs before these", "report.json")


def _sessions(sessions: Sequence[SessionReport]) -> Iterable[str]:
    """Of one session the facts have told all, but who it was."""
    yield f"\n## Session{choose_form(len(sessions), '', 's')}\n\n" if sessions else ""
    yield from (f"- {escape_markdown(describe_session(session))}\n" for session in sessions[-ROWS:])
    yield from _rest(len(sessions), "sessions before these", "report.json")


def _steps(report: Report) -> Iterable[str]:
    for step in advise(report):
        command = f" {format_code(step.command)}" if step.command else ""
        yield f"- {escape_markdown(step.text)}{command}\n"


def _names(act: str) -> tuple[str, ...]:
    """Return the names of the counts, in their order."""
    return ("targets", *(outcome.value for outcome in OUTCOMES_OF[act]), *_OTHERS)


def _totals(totals: Totals, act: str) -> Iterable[str]:
    names = _names(act)
    yield _header([name.replace("_", " ") for name in names], numbers=len(names))
    yield _row(_counts(totals, act))


def _causes(groups: Sequence[CauseGroup], act: str) -> Iterable[str]:
    if not groups:
        return
    yield f"\n## What is not {ACT_WORDS[act].goal}, by cause\n\n"
    yield _header(["count", "outcome", "code or cause", "told", "gateways", "targets"])
    for group in groups[:ROWS]:
        yield _row(
            (
                f"{group.count:,}",
                OUTCOME_WORDS[group.outcome],
                format_code(group.label),
                escape_markdown(group.text or DASH),
                _bounded(group.gateways),
                ", ".join(map(format_code, group.examples)) + _more(group.more),
            )
        )
    yield from _rest(len(groups), "causes")


def _gateways(gateways: Sequence[GatewayReport], act: str) -> Iterable[str]:
    yield "\n## Gateways\n\n"
    yield _header(["gateway", "kind", "url", "lane", *_short(act), "p50", "p95", "p99"])
    for gateway in gateways[:ROWS]:
        seconds = gateway.seconds
        latency = (format_span(seconds.p50), format_span(seconds.p95), format_span(seconds.p99))
        told = (format_code(gateway.name), gateway.kind, format_code(gateway.url), gateway.lane)
        yield _row((*told, *_counts(gateway.totals, act), *latency))
    yield from _rest(len(gateways), "gateways")
    warnings = [(gateway.name, text) for gateway in gateways for text in gateway.warnings]
    if warnings:
        yield "\nWarnings:\n\n"
        yield from (f"- {format_code(name)}: {escape_markdown(text)}\n" for name, text in warnings[:ROWS])
        yield from _rest(len(warnings), "warnings")


def _waves(waves: Sequence[WaveReport], act: str) -> Iterable[str]:
    yield "\n## Waves\n\n"
    yield _header(["wave", *_short(act)])
    yield from (_row((format_code(wave.name), *_counts(wave.totals, act))) for wave in waves[:ROWS])
    yield from _rest(len(waves), "waves")


def _controls(controls: Sequence[ControlReport]) -> Iterable[str]:
    if not controls:
        return
    yield "\n## Steered by hand\n\n"
    yield _header(["time", "who", "from", "what"])
    for control in controls[:ROWS]:
        who = (escape_markdown(text or DASH) for text in (control.by, control.origin))
        yield _row((format_moment(control.at), *who, format_code(control.act)))
    yield from _rest(len(controls), "acts", "report.json")


def _short(act: str) -> list[str]:
    return ["already" if name.startswith("already") else name.replace("_", " ") for name in _names(act)]


def _counts(totals: Totals, act: str) -> list[str]:
    return [f"{getattr(totals, name):,}" for name in _names(act)]


def _header(names: Sequence[str], *, numbers: int = 0) -> str:
    rule = "|".join(["---:"] * numbers + ["---"] * (len(names) - numbers))
    return f"{_row(names)}|{rule}|\n"


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |\n"


def _bounded(names: Sequence[str]) -> str:
    return ", ".join(map(format_code, names[:5])) + (_more(len(names) - 5))


def _more(count: int) -> str:
    return f" and {count:,} more, see report.csv" if count > 0 else ""


def _rest(count: int, what: str, where: str = "report.csv") -> Iterable[str]:
    if count > ROWS:
        yield f"\nand {count - ROWS:,} more {what}, see {where}\n"
