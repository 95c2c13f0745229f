"""The end of a run: in one sentence, in a few words, and in the warnings that no reader may miss."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from msgspec import Struct

from orchestrator.report.counts import count_already, count_current_outcomes, count_done, count_missed
from orchestrator.report.values import Report, RunReport, Totals
from orchestrator.report.words import ACT_WORDS, REHEARSAL
from orchestrator.text.counting import choose_form

_STATE_WORDS = {
    "complete": "",
    "running": "Still running: ",
    "stopped": "Stopped early: ",
    "interrupted": "Interrupted: ",
    "killed": "Killed: ",
}
_KEPT_OUT_WORDS = {"filtered": "left out", "protected": "protected", "skipped": "skipped"}


class EndVerdict(Struct, frozen=True):
    """How a run ended, in a word or two, and whether that is good: for a badge and its colour.

    ``good``: all is as wanted. ``bad``: something failed or is unknown, or a lane is closed. ``over``: the
    run ended before its time, and nothing is broken. ``going``: it works.
    """

    words: str
    tone: Literal["going", "bad", "good", "over"]


def judge_end(report: Report) -> EndVerdict:
    """Return the verdict on a run. "Complete" alone is said of a run that left nothing to be wished for."""
    state, totals = report.run.state, count_current_outcomes(report)
    if state == "running":
        return EndVerdict("running", "going")
    broken = totals.failed + totals.unknown or any(gateway.lane == "closed" for gateway in report.gateways)
    if state != "complete":
        return EndVerdict(state, "bad" if broken else "over")
    return _judge_complete(report, totals)


def _judge_complete(report: Report, totals: Totals) -> EndVerdict:
    """Return the verdict on a run that came to the end of its plan."""
    goal = ACT_WORDS[report.run.act].goal
    missed = count_missed(report)
    if totals.targets and not count_done(totals) and totals.failed + totals.unknown:
        return EndVerdict(f"ended, nothing is {goal}", "bad")
    if totals.failed:
        return EndVerdict("ended with failures", "bad")
    if totals.unknown:
        return EndVerdict("ended in doubt", "bad")
    return EndVerdict("ended, not all was started", "over") if missed else EndVerdict("complete", "good")


def compose_headline(report: Report) -> str:
    """Say in one sentence how the run ended and how its targets are now. No count is rounded."""
    rest = ", ".join(_list_rest(report))
    goal = ACT_WORDS[report.run.act].goal
    share = _describe_up_again(report) or _describe_share(count_current_outcomes(report), goal)
    opening = _STATE_WORDS[report.run.state]
    if report.run.rehearsal:
        opening = f"{REHEARSAL}: {opening[:1].lower()}{opening[1:]}"
    sentence = f"{opening}{share}{'; ' if rest else ''}{rest}."
    return sentence[0].upper() + sentence[1:]


def _describe_share(totals: Totals, goal: str) -> str:
    match count_done(totals), totals.targets:
        case _, 0:
            return "the run had no targets"
        case 1, 1:
            return f"the one target is {goal}"
        case 0, 1:
            return f"the one target is not {goal}"
        case count, targets if count == targets:
            return f"all {targets:,} targets are {goal}"
        case 0, targets:
            return f"none of {targets:,} targets is {goal}"
        case count, targets:
            return f"{count:,} of {targets:,} targets {choose_form(count, 'is', 'are')} {goal}"


def _describe_up_again(report: Report) -> str:
    """Say how many targets are up again; empty if none is, or if others are still down."""
    up, targets = sum(report.up_again.values()), report.totals.targets
    if not up or count_done(count_current_outcomes(report)):
        return ""
    if up == targets:
        return "the one target is up again" if up == 1 else f"all {up:,} targets are up again"
    return f"{up:,} of {targets:,} targets {choose_form(up, 'is', 'are')} up again"


def _list_rest(report: Report) -> Iterator[str]:
    totals, up = count_current_outcomes(report), sum(report.up_again.values())
    if up and not _describe_up_again(report):
        yield f"{up:,} {choose_form(up, 'is', 'are')} up again"
    if already := count_already(totals):
        yield f"{already:,} already {choose_form(already, 'was', 'were')}"
    if totals.failed:
        yield f"{totals.failed:,} failed{_describe_in_part(report)}"
    if totals.unknown:
        yield f"{totals.unknown:,} {choose_form(totals.unknown, 'is', 'are')} unknown"
    if missed := count_missed(report):
        yield f"{missed:,} {choose_form(missed, 'was', 'were')} not started"
    # A person kept these out on purpose: among "not started" they would look like something that went wrong.
    for word, count in report.kept_out.items():
        yield f"{count:,} {_KEPT_OUT_WORDS[word]}"


def _describe_in_part(report: Report) -> str:
    """Say, in brackets, how many of a restore's failed targets are up all the same; else empty."""
    if not report.in_part:
        return ""
    of_them = "" if report.in_part == report.totals.failed else f"{report.in_part:,} of them "
    return f" ({of_them}deployed, but not whole)"


def find_dangers(report: Report) -> tuple[tuple[str, str], ...]:
    """Return the gateways whose verification is switched off, each with the warning that says so."""
    return tuple(
        (gateway.name, text)
        for gateway in report.gateways
        for text in gateway.warnings
        if text.startswith("insecure:")
    )


def describe_end(run: RunReport) -> str:
    """Say the state, the cause of a stop and the exit status, as far as they are known."""
    cause = f" by {run.stopped_by}" if run.state == "stopped" and run.stopped_by else ""
    status = "" if run.exit_status is None else f", exit status {run.exit_status}"
    return f"{run.state}{cause}{status}"
