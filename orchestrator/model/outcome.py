"""The outcomes of targets, and their reasons."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum


class Outcome(StrEnum):
    """The outcome of one target."""

    UNDEPLOYED = "undeployed"
    ALREADY_UNDEPLOYED = "already_undeployed"
    RESTORED = "restored"
    ALREADY_DEPLOYED = "already_deployed"
    FAILED = "failed"
    UNKNOWN = "unknown"
    NOT_STARTED = "not_started"


DONE = frozenset({Outcome.UNDEPLOYED, Outcome.ALREADY_UNDEPLOYED, Outcome.RESTORED, Outcome.ALREADY_DEPLOYED})
"""The outcomes that a run aims at: an undeploy at the first two, a restore at the others."""

TROUBLE = (Outcome.FAILED, Outcome.UNKNOWN)
"""The outcomes that a person has to look into."""


class Reason(StrEnum):
    """The first word of a reason, before its colon."""

    IN_USE = "in_use"
    WINDOW = "window"
    STOP_RULE = "stop_rule"
    INTERRUPT = "interrupt"
    PARKED = "parked"
    DENIED = "denied"
    WRONG_PLACE = "wrong_place"
    PROTECTED = "protected"
    FILTERED = "filtered"
    SKIPPED = "skipped"
    DEPENDENCY = "dependency"
    DRIFTED = "drifted"
    LIMIT = "limit"
    DISK = "disk"
    SNAPSHOT = "snapshot"
    ABSENT = "absent"
    REFUSED = "refused"
    PARTIAL = "partial"
    SPENT = "spent"


NO_WORKER = "no worker of zone"
"""Begins the text behind the word in the reason of a lane, and the zone's name follows it: the lane waited
for a worker, and its gateway was not asked."""

NO_WORKER_AT_ALL = "no worker at"
"""Begins the text behind the word in the reason of a run that its own process stopped, since nobody works on
it; the engine's address follows."""

NO_SERVER = "the Temporal server at"
"""Begins the text behind the word in the reason of a run whose engine does not answer; its address
follows."""

WORKER_AGAIN = "a worker takes the run's work again"
SERVER_AGAIN = "the Temporal server answers again"
PASSING = {WORKER_AGAIN: NO_WORKER_AT_ALL, SERVER_AGAIN: NO_SERVER}
"""The remarks that a warning about a run is over, each with how that warning begins."""


HELD_BACK = frozenset({Reason.FILTERED, Reason.PROTECTED, Reason.SKIPPED})
"""The reasons of targets that were left out of a run on purpose."""

DEPLOYED_IN_PART = f"{Reason.PARTIAL}: deployed"
"""The beginning of the reason of a restored target that is up, and lacks something."""
ACCEPTED_LOSS = f"{DEPLOYED_IN_PART} as accepted"
"""The beginning of the reason of a restored target that lacks only what a person accepted to lose."""


def is_accepted_loss(reason: str | None) -> bool:
    """Return whether a target lacks only what a person accepted to lose, by its reason or key of Counts."""
    return (reason or "").startswith(ACCEPTED_LOSS)


def is_as_wanted(outcome: Outcome | None, reason: str | None) -> bool:
    """Return whether a target ended as the run aims at, apart from what a person accepted to lose."""
    return outcome in DONE or is_accepted_loss(reason)


Counts = Mapping[tuple[Outcome, str], int]
"""Numbers of targets by outcome and first word of the reason, which is empty for a target without one.

An accepted loss counts apart, under ``ACCEPTED_LOSS``.
"""


def drop_word(reason: str, word: str) -> str:
    """Return a reason without its first word, for a sentence that has said the word already."""
    return reason.removeprefix(f"{word}: ")


def find_word(outcome: Outcome, reason: str | None) -> str:
    """Return the first word of a target's reason as ``Counts`` has it."""
    if outcome is Outcome.FAILED and is_accepted_loss(reason):
        return ACCEPTED_LOSS
    word, colon, _ = (reason or "").partition(":")
    return word if colon else ""
