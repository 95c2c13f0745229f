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


HELD_BACK = frozenset({Reason.FILTERED, Reason.PROTECTED, Reason.SKIPPED})
"""The reasons of targets that were left out of a run on purpose."""

Counts = Mapping[tuple[Outcome, str], int]
"""Numbers of targets by outcome and first word of the reason, which is empty for a target without one."""
