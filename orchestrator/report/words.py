"""The words of the reports for people: for outcomes, acts, sessions, approvals, windows and patterns."""

from __future__ import annotations

from msgspec import Struct

from orchestrator.model.outcome import Outcome, Reason
from orchestrator.report.values import (
    ApprovalMethod,
    RunApproval,
    RunReport,
    SessionReport,
    WindowReport,
)
from orchestrator.text.characters import make_visible, show_briefly
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
LONGEST_NAME = 60
"""Most characters of a name that stands beside an id."""

SIMULATED = "simulators stood in for the gateways, which were not touched"


class ActWords(Struct, frozen=True):
    """The words that a sentence about an act needs."""

    goal: str
    """The state in which the act leaves its targets."""
    request: str
    """The request that changes a target."""


ACT_WORDS = {"undeploy": ActWords("down", "undeploy"), "restore": ActWords("deployed again", "deploy")}


def shorten_name(name: str | None) -> str | None:
    """Return the name that people know a target by, as it stands beside an id: at most 60 characters."""
    return show_briefly(name, LONGEST_NAME) if name else None


def name_target(target: str, name: str | None) -> str:
    """Return the id of a target, with the name that people know it by, if there is one."""
    return make_visible(target if name is None else f"{target} ({name})")


def describe_patterns(patterns: int) -> str:
    """Return in words how many patterns are in force."""
    return {0: "no pattern is", 1: "1 pattern is"}.get(patterns, f"{patterns:,} patterns are") + " in force"


def describe_protection(patterns: int, protected: int) -> str:
    """Return in words how many patterns are in force, and how many targets they protect."""
    if not patterns:
        return describe_patterns(patterns)
    return f"{describe_patterns(patterns)}, {count_noun(protected, 'target is', 'targets are')} protected"


def describe_act(run: RunReport) -> str:
    """Return what the run did: ``undeploy``, ``restore``, or ``rehearsal of an undeploy``."""
    return name_act(run.act, rehearsal=run.rehearsal)


def name_act(act: str, *, rehearsal: bool) -> str:
    """Return the name of an act, or of its rehearsal."""
    return f"rehearsal of {'an' if act == 'undeploy' else 'a'} {act}" if rehearsal else act


def name_stop(reason: str) -> str:
    """Return why a run stops, in words: ``alice stopped it (ops-1)``, ``SIGTERM was received``.

    An operator's stop begins with the reason's word ``interrupt``, too. Beside "stopped" that reads as if a
    signal had come.
    """
    return reason.removeprefix(f"{Reason.INTERRUPT}: ")


def describe_session(session: SessionReport) -> str:
    """Say when a session worked, by whom, and how it ended."""
    by = " on ".join(filter(None, (session.by, session.host))) or "nobody known"
    if session.ended is None:
        return f"{format_moment(session.started)}, by {by}; its end is not known"
    status = "" if session.exit_status is None else f", exit status {session.exit_status}"
    return f"{format_moment(session.started)} to {format_moment(session.ended)}, by {by}{status}"


def describe_dated_approval(approval: RunApproval) -> str:
    """Say how a run was approved, by whom and when."""
    return f"{describe_approval(approval)}, {format_moment(approval.at)}"


def describe_approval(approval: RunApproval) -> str:
    """Say how a run was approved, and by whom."""
    return f"{_APPROVAL_WORDS[approval.how]}, by {approval.by}"


_APPROVAL_WORDS: dict[ApprovalMethod, str] = {
    "none": "nobody was asked",
    "yes": "--yes",
    "prompt": "digest typed",
    "digest": "digest given",
    "file": "approval file",
    "signed": "signed approval file",
}


def describe_window(window: WindowReport) -> str:
    """Say when the run could work, and whether an option set that."""
    opens = f"from {format_moment(window.opens)} " if window.opens else ""
    until = f"until {format_moment(window.closes)}" if window.closes else "without an end"
    return f"{opens}{until}" + (
        ", by --window or --close-at, not by the plan" if window.origin == "option" else ""
    )
