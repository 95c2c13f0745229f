"""What became of a target, and why."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    pass


class Outcome(StrEnum):
    """What became of a target."""

    UNDEPLOYED = "undeployed"
    ALREADY_UNDEPLOYED = "already_undeployed"
    RESTORED = "restored"
    ALREADY_DEPLOYED = "already_deployed"
    FAILED = "failed"
    UNKNOWN = "unknown"
    NOT_STARTED = "not_started"


DONE = frozenset({Outcome.UNDEPLOYED, Outcome.ALREADY_UNDEPLOYED, Outcome.RESTORED, Outcome.ALREADY_DEPLOYED})
"""What a run wants of its targets: an undeploy the first two, a restore the others."""


class Reason(StrEnum):
    """The word with which a reason begins, before its colon."""

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
"""Why a target was kept out of a run on purpose."""

Counts = Mapping[tuple[Outcome, str], int]
"""How many targets by outcome and by the first word of the reason (empty where there is none)."""
