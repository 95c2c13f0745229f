"""The live state of a plan's targets, as values, and the effect of a run on each. Pure.

Instants are Unix times, durations are seconds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from enum import StrEnum

from msgspec import Struct

from orchestrator.lanes.binding_reader import BindingCosts
from orchestrator.model.features import GroupMembership
from orchestrator.model.plan import Window
from orchestrator.model.reading import Reading, Snapshot, Verdict
from orchestrator.model.target import Target
from orchestrator.model.usage import Usage
from orchestrator.rules.precheck import StateAtApproval
from orchestrator.rules.retry import describe


class TargetState(StrEnum):
    """The live state of a target, as previews and approvals write it."""

    DEPLOYED = "deployed"
    UNDEPLOYED = "undeployed"
    PARTIAL = "partial"
    """Its manager calls the target undeployed, and pods still serve it."""
    ABSENT = "absent"
    UNKNOWN = "unknown"


class PreviewGroup(StrEnum):
    """The effect of a run on a target, by which the preview groups the targets."""

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
    """One target as the preview saw it."""

    target: Target
    step: int
    """The step of its wave, from 0."""
    snapshot: Snapshot
    reads: int = 0
    """How many of the vendor's reads the snapshot took, beside lists and the reads of bindings."""
    places: int = 0
    """How many front ends and environments things may hang on: each costs a read for each type of things."""
    listed: tuple[str, ...] = ()
    """The reads of the target's state, by ``via``, that a list stood for."""
    usage: Usage | None = None
    """How much the target is used; None where the preview did not ask, and for one that would not change."""
    use_reads: int = 0
    """How many reads of this target that took."""

    @property
    def state(self) -> TargetState:
        """The live state; UNKNOWN where the gateway could not tell."""
        return _STATES.get(self.snapshot.verdict, TargetState.UNKNOWN)

    @property
    def group(self) -> PreviewGroup:
        """The effect of a run on the target."""
        return _GROUPS[self.state]

    @property
    def why(self) -> str | None:
        """Why the state is unknown, or the gateway's words for an absent target; None where neither is so."""
        seen = self.snapshot
        said = seen.code or seen.message
        told = describe(Reading(verdict=seen.verdict, code=seen.code, message=seen.message))
        match self.state:
            case TargetState.UNKNOWN if seen.verdict is Verdict.NOT_OFFERED:
                # A code of the vendor's may have another cause than the version, so its own words are told.
                return told if seen.code else "this version offers no look"
            case TargetState.ABSENT if seen.hidden:
                return f"{told} (or it may not be seen)"
            case TargetState.UNKNOWN | TargetState.ABSENT:
                return told
            case _:
                return told if said else None


class SeenList(Struct, frozen=True):
    """The size of a gateway's list, as the preview read it."""

    pages: int
    entries: int
    """0 where the gateway refused the list: a run asks for it once, too."""
    tells_state: bool
    """Whether the list tells which targets are deployed; a snapshot may need others, too."""


class PreviewedGateway(Struct, frozen=True, kw_only=True):
    """One gateway as the preview found it."""

    name: str
    kind: str
    requests: int
    """HTTP requests that the preview sent to the gateway, with logins and pages of its list."""
    seconds: tuple[float, ...]
    """How long the reply to each look took."""
    lacking: frozenset[str] = frozenset()
    """The reads that the gateway turned out not to offer."""
    lists: tuple[SeenList, ...] = ()
    bindings: tuple[BindingCosts, ...] = ()
    shared_use_reads: int = 0
    """How many requests the reads took that tell the use of many targets."""
    until: float | None = None
    """When the credential ends, where it says so and the program cannot renew it."""
    warnings: tuple[str, ...] = ()


class SiblingDeployments(Struct, frozen=True):
    """Where else the same API is deployed as ``target``."""

    target: Target
    deployed: frozenset[str]
    """The environments, that of ``target`` among them."""


class GatewaySight(Struct, frozen=True, kw_only=True):
    """All that a look has found at one gateway; one machine may look and another one put it together."""

    gateway: PreviewedGateway
    targets: tuple[SeenTarget, ...]
    siblings: tuple[SiblingDeployments, ...] = ()
    memberships: tuple[GroupMembership, ...] = ()
    silence: str | None = None
    """Why the gateway counts as silent; None where it answers."""


class Preview(Struct, frozen=True, kw_only=True):
    """All that a look at the live state of a plan's targets found."""

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
    memberships: tuple[GroupMembership, ...] = ()
    """The deployed groups of which targets that would go down are, or may be, members."""
    protected: int = 0
    filtered: int = 0
    patterns: int = 0
    """How many patterns of ``protect`` and of protect files are in force."""
    guard_warnings: tuple[tuple[str | None, str], ...] = ()
    """Warnings about these patterns, and about gateways that may be one place: a gateway, and the words."""
    hours: float | None = None
    """The calls of so many hours were asked for; None: the preview did not ask who uses the targets."""

    @property
    def unknown(self) -> tuple[SeenTarget, ...]:
        """The targets whose state could not be found out."""
        return tuple(seen for seen in self.targets if seen.group is PreviewGroup.UNKNOWN)

    @property
    def complete(self) -> bool:
        """Whether the state of every target is known."""
        return not self.unknown

    @property
    def tells_use(self) -> bool:
        """Whether the use of every target that would go down is told, as far as the preview asked for it."""
        return all(seen.usage is None or seen.usage.is_told for seen in self.targets)

    @property
    def requests(self) -> int:
        """How many HTTP requests the preview sent."""
        return sum(place.requests for place in self.gateways)


def count_by_group(seen_targets: Iterable[SeenTarget]) -> dict[str, int]:
    """Return how many targets there are, and how many of each group; a group without any is there, too."""
    counts = Counter(seen.group for seen in seen_targets)
    return {"targets": counts.total(), **{group.value: counts[group] for group in PreviewGroup}}


def build_approved(state: str, revision: str | None, since: str | None) -> StateAtApproval:
    """Return the state with which a guarded run compares a target, from the value of a ``TargetState``."""
    verdict = _VERDICTS.get(TargetState(state), Verdict.UNCLEAR)
    return StateAtApproval(state=verdict.value, revision=revision, since=since)
