"""The end of a run: in one sentence, in a few words, and in the warnings that no reader may miss."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct

from orchestrator.model.live_status import Tone
from orchestrator.report.counts import count_already, count_current_outcomes, count_done, count_missed
from orchestrator.report.values import Report, RunReport, Totals
from orchestrator.report.words import ACT_WORDS, REHEARSAL, name_stop
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
    """How a run ended, in a word or two, and how good that is: for a badge and its colour."""

    words: str
    tone: Tone


def choose_end_tone(*, is_whole: bool, is_broken: bool, is_done: bool) -> Tone:
    """Return how good the end of a run is, wherever it is shown.

    ``is_whole``: nothing that the run should have done is left. ``is_broken``: a target failed or is unknown,
    or a lane is closed. ``is_done``: a target reached the act's goal.
    """
    if is_broken:
        return "bad"
    return "good" if is_whole and is_done else "over"


def judge_end(report: Report) -> EndVerdict:
    """Return the verdict on a run. "Complete" alone is said of a run that left nothing to be wished for."""
    totals = count_current_outcomes(report)
    words = _name_end(report, totals)
    if words == "running":
        return EndVerdict(words, "going")
    closed = any(gateway.lane == "closed" for gateway in report.gateways)
    tone = choose_end_tone(
        is_whole=words == "complete",
        is_broken=bool(totals.failed or totals.unknown)
        or words == "killed"
        or (closed and words != "complete"),
        is_done=count_done(totals) > 0,
    )
    return EndVerdict(words, tone)


def _name_end(report: Report, totals: Totals) -> str:
    """Return the state of a run, but of one that came to the end of its plan also what is wrong."""
    if report.run.state != "complete":
        return report.run.state
    return name_completion(
        ACT_WORDS[report.run.act].goal,
        done=count_done(totals),
        failed=totals.failed,
        unknown=totals.unknown,
        missed=count_missed(report),
    )


def name_completion(goal: str, *, done: int, failed: int, unknown: int, missed: int) -> str:
    """Return how a run came to the end of its plan, by its numbers of targets, wherever it is shown.

    ``missed``: targets that were not started although the run should have.
    """
    if failed + unknown and not done:
        return f"ended, nothing is {goal}"
    if failed:
        return "ended with failures"
    if unknown:
        return "ended in doubt"
    return "ended, not all was started" if missed else "complete"


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


def describe_end(report: Report) -> str:
    """Say how the run ended, the cause of a stop and the exit status, as far as they are known."""
    status = "" if report.run.exit_status is None else f", exit status {report.run.exit_status}"
    return f"{judge_end(report).words}{_name_cause(report.run)}{status}"


def _name_cause(run: RunReport) -> str:
    """Name what stopped or interrupted a run, such as a signal; empty for any other end."""
    if run.state not in ("stopped", "interrupted") or not run.stopped_by:
        return ""
    return f" by {run.stopped_by}" if run.state == "stopped" else f": {name_stop(run.stopped_by)}"
