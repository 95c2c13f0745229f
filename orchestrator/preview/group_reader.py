"""Reads which targets that would go down are members of a deployed group, for the warning about them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from orchestrator.lanes.exchange import LaneQuestion, exchange
from orchestrator.lanes.lane import Lane
from orchestrator.model.features import GroupFeature, GroupMembership, SharedUsageRead
from orchestrator.model.reading import Act, Reading, Verdict
from orchestrator.model.target import Target, TargetId
from orchestrator.rules.admission import AdmissionRequest

MOST_TRIES = 3
"""Requests for one read. The warning is a courtesy, so a read is given up soon."""

_NAME = TargetId("(groups)")


class GroupReader:
    """Asks one gateway for the groups of targets, in a bounded number of requests."""

    def __init__(self, lane: Lane) -> None:
        self._lane = lane

    async def read_all(
        self, feature: GroupFeature, targets: Sequence[Target], *, may_ask: bool
    ) -> Sequence[GroupMembership]:
        """Return the groups of the targets, as far as they are told.

        What the lists of the lane have told is not read again; without ``may_ask`` nothing else is read.
        """
        told: dict[str, Any] = {**self._lane.state_list.spared}
        while may_ask and targets and (read := feature.next_read(told, targets)) is not None:
            found = await self._ask(read)
            if found is None:
                break
            told[read.name] = found
        memberships = feature.list_memberships(told, targets)
        clean = self._lane.authenticator.mask.clean_text
        return [GroupMembership(clean(one.name), one.targets, is_sure=one.is_sure) for one in memberships]

    async def _ask(self, read: SharedUsageRead) -> Any:
        """Return what a read tells, or its fault; None where the lane admits no read."""
        question: LaneQuestion[Any] = LaneQuestion(Act.LOOK, read.build, read.read)
        found: Any = None
        for _ in range(MOST_TRIES):
            admission = AdmissionRequest(_NAME, Act.LOOK, dispensable=True)
            if await self._lane.admit(admission):
                return None
            exchanged = await exchange(self._lane, admission, question)
            found = exchanged.found
            if not isinstance(found, Reading) or found.verdict not in (Verdict.BUSY, Verdict.DENIED):
                return found
        return found
