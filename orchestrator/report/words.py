"""What the reports for people say in words: how the run ended, what to do next, times and durations."""

from __future__ import annotations

from msgspec import Struct

from orchestrator.model.outcome import Outcome
from orchestrator.report.values import (
    ApprovalMethod,
    RunApproval,
    RunReport,
    SessionReport,
    WindowReport,
)
from orchestrator.text.counting import count_noun
from orchestrator.text.formats import format_moment

OUTCOME_WORDS = {
    Outcome.UNDEPLOYED: "undeployed",
    Outcome.ALREADY_UNDEPLOYED: "already undeployed",
    Outcome.RESTORED: "restored",
    Outcome.ALREADY_DEPLOYED: "already deployed",
    Outcome.FAILED: "failed",
    Outcome.UNKNOWN: "unknown",
    Outcome.NOT_STARTED: "not started",
}

REHEARSAL = "Rehearsal"
SIMULATED = "simulators stood in for the gateways, and nothing of it has happened to them"


class ActWords(Struct, frozen=True):
    """How an act is spoken of."""

    end: str
    """What its targets are to be."""
    change: str
    """What is sent for each of them."""


ACT_WORDS = {"undeploy": ActWords("down", "undeploy"), "restore": ActWords("deployed again", "deploy")}


def describe_patterns(patterns: int) -> str:
    """Return in words how many patterns are in force."""
    return {0: "no pattern is", 1: "1 pattern is"}.get(patterns, f"{patterns:,} patterns are") + " in force"


def describe_protection(patterns: int, protected: int) -> str:
    """Return in words how many patterns are in force, and how many targets they protect."""
    if not patterns:
        return describe_patterns(patterns)
    return f"{describe_patterns(patterns)}, {count_noun(protected, 'target is', 'targets are')} protected"


def describe_act(run: RunReport) -> str:
    """What was done: ``undeploy``, ``restore``, or the rehearsal of one."""
    return name_act(run.act, rehearsal=run.rehearsal)


def name_act(act: str, *, rehearsal: bool) -> str:
    """The same by its parts."""
    return f"rehearsal of {'an' if act == 'undeploy' else 'a'} {act}" if rehearsal else act


def describe_session(session: SessionReport) -> str:
    """Who worked on a session, when, and how it ended."""
    by = " on ".join(filter(None, (session.by, session.host))) or "nobody known"
    if session.ended is None:
        return f"{format_moment(session.started)}, by {by}; its end is not known"
    status = "" if session.exit_status is None else f", exit status {session.exit_status}"
    return f"{format_moment(session.started)} to {format_moment(session.ended)}, by {by}{status}"


def describe_approval(consent: RunApproval) -> str:
    """How a run was agreed to, by whom and when."""
    return f"{describe_consent(consent)}, {format_moment(consent.at)}"


def describe_consent(consent: RunApproval) -> str:
    """How a run was agreed to, and by whom."""
    return f"{_HOW[consent.how]}, by {consent.by}"


_HOW: dict[ApprovalMethod, str] = {
    "none": "nobody was asked",
    "yes": "--yes",
    "prompt": "digest typed",
    "digest": "digest given",
    "file": "approval file",
    "signed": "signed approval file",
}


def describe_window(window: WindowReport) -> str:
    """When the run might work, and where that was not the plan's own window."""
    opens = f"from {format_moment(window.opens)} " if window.opens else ""
    until = f"until {format_moment(window.closes)}" if window.closes else "without an end"
    return f"{opens}{until}" + (
        ", by --window or --close-at, not by the plan" if window.origin == "option" else ""
    )
