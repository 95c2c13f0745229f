"""What was seen of a plan's targets, as values, and what a run would make of it. Pure.

Instants are Unix times, durations are seconds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from enum import StrEnum

from msgspec import Struct

from orchestrator.model.plan import Window
from orchestrator.model.reading import Reading, Snapshot, Verdict
from orchestrator.model.target import Target
from orchestrator.rules.precheck import Approved
from orchestrator.rules.retry import describe


class TargetState(StrEnum):
    """How a target is, as previews and approvals write it."""

    DEPLOYED = "deployed"
    UNDEPLOYED = "undeployed"
    PARTIAL = "partial"
    """The manager calls it undeployed, and it is still served."""
    ABSENT = "absent"
    UNKNOWN = "unknown"


class PreviewGroup(StrEnum):
    """What a run would make of a target."""

    WILL_CHANGE = "will_change"
    ALREADY_SO = "already_so"
    DOES_NOT_EXIST = "does_not_exist"
    UNKNOWN = "unknown"


_STATES = {
    Verdict.UP: TargetState.DEPLOYED,
    Verdict.DOWN: TargetState.UNDEPLOYED,
    Verdict.PARTIAL: TargetState.PARTIAL,
    Verdict.ABSENT: TargetState.ABSENT,
}
_VERDICTS = {state: verdict for verdict, state in _STATES.items()}
_GROUPS = {
    TargetState.DEPLOYED: PreviewGroup.WILL_CHANGE,
    TargetState.PARTIAL: PreviewGroup.WILL_CHANGE,
    TargetState.UNDEPLOYED: PreviewGroup.ALREADY_SO,
    TargetState.ABSENT: PreviewGroup.DOES_NOT_EXIST,
    TargetState.UNKNOWN: PreviewGroup.UNKNOWN,
}


class SeenTarget(Struct, frozen=True, kw_only=True):
    """One target as it was seen."""

    target: Target
    step: int
    """The step of its wave, from 0."""
    snapshot: Snapshot
    reads: int = 0
    """How many of the vendor's reads it takes to see it so."""

    @property
    def state(self) -> TargetState:
        """How it is; UNKNOWN where nobody could tell."""
        return _STATES.get(self.snapshot.verdict, TargetState.UNKNOWN)

    @property
    def group(self) -> PreviewGroup:
        """What a run would make of it."""
        return _GROUPS[self.state]

    @property
    def why(self) -> str | None:
        """Return why it cannot be told, or in whose words it does not exist; None where nothing is to say."""
        seen = self.snapshot
        said = seen.code or seen.message
        told = describe(Reading(verdict=seen.verdict, code=seen.code, message=seen.message))
        match self.state:
            case TargetState.UNKNOWN if seen.verdict is Verdict.NOT_OFFERED:
                return told if seen.code else "this version offers no look"
            case TargetState.ABSENT if seen.hidden:
                return f"{told} (or it may not be seen)"
            case TargetState.UNKNOWN | TargetState.ABSENT:
                return told
            case _:
                return told if said else None


class PreviewedGateway(Struct, frozen=True, kw_only=True):
    """One gateway as the preview met it."""

    name: str
    kind: str
    requests: int
    """HTTP requests that were sent to it, logins and pages of its list included."""
    seconds: tuple[float, ...]
    """How long each reply to a look took."""
    lacking: frozenset[str] = frozenset()
    """The reads that it turned out not to offer."""
    until: float | None = None
    """When its credential ends, where it says so and nobody renews it."""
    warnings: tuple[str, ...] = ()


class SiblingDeployments(Struct, frozen=True):
    """Where a thing is deployed: the environments of the targets that share it with ``target``."""

    target: Target
    deployed: frozenset[str]


class Preview(Struct, frozen=True, kw_only=True):
    """All that was seen, and of which plan."""

    plan: str
    reason: str | None
    digest: str
    taken: float
    seconds: float
    window: Window | None
    targets: tuple[SeenTarget, ...]
    """In the order in which a run takes them."""
    gateways: tuple[PreviewedGateway, ...]
    siblings: tuple[SiblingDeployments, ...] = ()
    protected: int = 0
    filtered: int = 0
    patterns: int = 0
    """How many patterns of ``protect`` and of protect files are in force."""
    guard_warnings: tuple[tuple[str, str], ...] = ()
    """What there is to warn of about them and about gateways that may be one place: a gateway, and words."""

    @property
    def unknown(self) -> tuple[SeenTarget, ...]:
        """The targets of which nobody could tell."""
        return tuple(seen for seen in self.targets if seen.group is PreviewGroup.UNKNOWN)

    @property
    def complete(self) -> bool:
        """Whether the state of every target is known."""
        return not self.unknown

    @property
    def requests(self) -> int:
        """How many HTTP requests the preview has sent."""
        return sum(place.requests for place in self.gateways)


def count_by_group(seen_targets: Iterable[SeenTarget]) -> dict[str, int]:
    """Count targets by group; every group is there."""
    counts = Counter(seen.group for seen in seen_targets)
    return {"targets": counts.total(), **{group.value: counts[group] for group in PreviewGroup}}


def build_approved(state: str, revision: str | None, since: str | None) -> Approved:
    """Return what a run compares a target with: ``state`` is a ``TargetState``'s value."""
    verdict = _VERDICTS.get(TargetState(state), Verdict.UNCLEAR)
    return Approved(state=verdict.value, revision=revision, since=since)
