"""report.xml in JUnit's format, for CI servers: a suite for each wave, a case for each target."""

from __future__ import annotations

import re
from datetime import UTC
from itertools import groupby
from operator import attrgetter
from typing import TextIO

from orchestrator.model.outcome import Outcome
from orchestrator.report.formats import ReportStream
from orchestrator.report.headline import find_dangers
from orchestrator.report.use import describe_use
from orchestrator.report.values import (
    AttemptReport,
    Report,
    ReportSource,
    TargetReport,
    Totals,
    round_to_milliseconds,
)
from orchestrator.report.words import describe_dated_approval, describe_session, describe_window

# XML 1.0 cannot hold these at all, not even as references.
_ILLEGAL = dict.fromkeys([*range(0x20), *range(0xD800, 0xE000), 0xFFFE, 0xFFFF], "\N{REPLACEMENT CHARACTER}")
_MARKUP = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "\t": "&#9;", "\n": "&#10;", "\r": "&#13;"}
_XML = _ILLEGAL | str.maketrans(_MARKUP)
_has_markup = re.compile(r"[^ !#-%'-;=?-~]").search
"""Find a character that may have to be escaped. Few ids have one, and to translate them all costs time."""


def write(source: ReportSource, out: TextIO) -> ReportStream:
    """Write JUnit XML: failed and unknown are failures, not started is skipped, all else has passed.

    Relies on the plan's order, in which the targets of a wave stand together.
    """
    report = source.report
    totals = report.totals
    out.write('<?xml version="1.0" encoding="UTF-8"?>\n')
    out.write(
        f'<testsuites name="{_escape(report.run.plan)}" tests="{totals.targets}" '
        f'failures="{_count_failures(totals)}" errors="0" time="{_format_seconds(report.run.seconds)}">\n'
    )
    current, ending = None, ""
    while targets := (yield):
        for wave, members in groupby(targets, key=attrgetter("wave")):
            if wave != current:
                out.write(ending + _begin_suite(report, wave))
                current, ending = wave, "</testsuite>\n"
            out.writelines(map(_format_case, members))
    out.write(f"{ending}</testsuites>\n")


def _begin_suite(report: Report, wave: str) -> str:
    totals = next((entry.totals for entry in report.waves if entry.name == wave), Totals())
    started = report.run.started.astimezone(UTC)
    return (
        f'<testsuite name="{_escape(wave)}" tests="{totals.targets}" failures="{_count_failures(totals)}" '
        f'errors="0" skipped="{totals.not_started}" timestamp="{started:%Y-%m-%dT%H:%M:%S}Z">\n'
        f"{_format_properties(report)}"
    )


def _format_properties(report: Report) -> str:
    # Each suite repeats them, because JUnit allows properties only in a suite.
    run = report.run
    values = {
        "run": run.id,
        "parent": run.parent,
        "chain": " ".join(each.run.id for each in report.chain) or None,
        "plan": run.plan,
        "digest": run.digest,
        "reason": run.reason,
        "state": run.state,
        "stopped_by": run.stopped_by,
        "act": run.act,
        "rehearsal": "true" if run.rehearsal else "false",
        "window": None if run.window is None else describe_window(run.window),
        "approval": None if report.approval is None else describe_dated_approval(report.approval),
        "in_use": None if report.use is None else describe_use(report.use.counts),
    }
    urls = ((f"url:{gateway.name}", gateway.url) for gateway in report.gateways)
    sessions = (("session", describe_session(session)) for session in run.sessions)
    properties = [
        *values.items(),
        *urls,
        *sessions,
        *(("warning", f"{name}: {text}") for name, text in find_dangers(report)),
    ]
    lines = (
        f'<property name="{_escape(name)}" value="{_escape(value)}"/>\n'
        for name, value in properties
        if value is not None
    )
    return f"<properties>\n{''.join(lines)}</properties>\n"


def _format_case(target: TargetReport) -> str:
    name, gateway = _escape(target.id), _escape(target.gateway)
    opening = f'<testcase name="{name}" classname="{gateway}" time="{_format_seconds(target.seconds)}"'
    match target.outcome:
        case Outcome.FAILED | Outcome.UNKNOWN:
            return f"{opening}>{_format_failure(target)}</testcase>\n"
        # Not a failure: a CI server would call the run broken, but a resume goes on with these targets.
        case Outcome.NOT_STARTED:
            return f'{opening}><skipped message="{_escape(target.reason or "")}"/></testcase>\n'
        case _:
            return f"{opening}/>\n"


def _format_failure(target: TargetReport) -> str:
    message = _escape(target.reason or target.outcome)
    log = "\n".join(map(_format_attempt, target.attempts)) or "No request was sent."
    return f'<failure type="{target.outcome}" message="{message}">{_escape(log)}</failure>'


def _format_attempt(attempt: AttemptReport) -> str:
    took = "" if attempt.seconds is None else f" after {_format_seconds(attempt.seconds)} s"
    answer = " ".join(filter(None, (attempt.code, attempt.message)))
    return f"{attempt.number} {attempt.act}: {attempt.reply}{took}{': ' if answer else ''}{answer}"


def _format_seconds(seconds: float | None) -> str:
    """Return seconds as the other formats have them: Python's own rounding may differ by a millisecond."""
    return f"{round_to_milliseconds(seconds) or 0:.3f}"


def _count_failures(totals: Totals) -> int:
    return totals.failed + totals.unknown


def _escape(text: str) -> str:
    return text.translate(_XML) if _has_markup(text) else text
