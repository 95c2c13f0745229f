"""The end of a session as an exit status and as a word. Pure."""

from __future__ import annotations

from typing import Literal

from orchestrator.errors import ExitStatus
from orchestrator.model.outcome import HELD_BACK, TROUBLE, Counts, Outcome, Reason

LEFT_UNDONE = frozenset(
    {
        Reason.WINDOW,
        Reason.STOP_RULE,
        Reason.INTERRUPT,
        Reason.DISK,
        Reason.PARKED,
        Reason.DENIED,
        Reason.WRONG_PLACE,
    }
)
"""Reasons with which a resume goes on with a target that is ``not_started`` or ``unknown``."""


EndState = Literal["complete", "stopped", "interrupted"]


def find_undone_reason(counts: Counts) -> str | None:
    """Return a reason for which targets were left for a resume, or None if none were."""
    for (outcome, word), count in counts.items():
        if count and outcome in (Outcome.NOT_STARTED, Outcome.UNKNOWN) and word in LEFT_UNDONE:
            return word
    return None


def choose_exit_status(counts: Counts, *, interrupted: bool, restores: bool = False) -> ExitStatus:
    """Return the status with which a session ends that began to work. ``restores``: the run is a restore."""
    is_left_undone = find_undone_reason(counts) is not None
    # A signal that came when all was done already leaves a run that has reached its end.
    if interrupted and is_left_undone:
        return ExitStatus.INTERRUPTED
    if is_left_undone:
        return ExitStatus.STOPPED
    for (outcome, word), count in counts.items():
        if count and outcome in TROUBLE:
            return ExitStatus.UNFINISHED
        # In a restore ``skipped`` names targets that need an ``--accept``: those are still down.
        is_held_back = word in HELD_BACK and not (restores and word == Reason.SKIPPED)
        if count and outcome is Outcome.NOT_STARTED and not is_held_back:
            return ExitStatus.UNFINISHED
    return ExitStatus.DONE


def name_end_state(status: ExitStatus) -> EndState:
    """Return the state that a report gives to a run that ended with this status."""
    match status:
        case ExitStatus.INTERRUPTED:
            return "interrupted"
        # Nothing was sent, although its session had begun: an approval that has ended by then stopped it.
        case ExitStatus.STOPPED | ExitStatus.NOTHING_SENT:
            return "stopped"
        case _:
            return "complete"
