"""Reads where else the APIs are deployed that would go down, for the warning about a last environment."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import anyio

from orchestrator.lanes.lane import Lane
from orchestrator.model.features import SiblingFeature
from orchestrator.model.http import Reply
from orchestrator.model.reading import Operation, Verdict
from orchestrator.model.target import Target, TargetId
from orchestrator.preview.snapshot_reader import DoubtCounter
from orchestrator.preview.states import SeenTarget, SiblingDeployments, TargetState
from orchestrator.preview.use_reader import SendLook
from orchestrator.rules.retry import LOOKS_PER_DOUBT, draw_backoff, is_passing_fault
from orchestrator.text.counting import count_noun

MOST_SIBLINGS = 200
"""APIs of one gateway about which it is asked: each costs one request."""
_NAME = TargetId("(family)")


class SiblingReader:
    """Asks one gateway about the other deployments of the APIs that would go down, once for each API."""

    def __init__(
        self, lane: Lane, send: SendLook, keep: Callable[[SiblingDeployments], None], doubts: DoubtCounter
    ) -> None:
        self._lane = lane
        self._send = send
        self._keep = keep
        self._doubts = doubts

    async def read_all(self, feature: SiblingFeature, seen_targets: Iterable[SeenTarget]) -> None:
        """Read the deployments of every API that would go down; for more than ``MOST_SIBLINGS`` read none."""
        # All environments of one proxy share this key, so that one question covers them.
        going: dict[str, Target] = {
            key: seen.target
            for seen in seen_targets
            if seen.state in (TargetState.DEPLOYED, TargetState.PARTIAL)
            and (key := self._lane.gateway.exclusive_key(seen.target)) is not None
        }
        # The warning is a courtesy, and must not make a preview of a large plan much longer.
        if len(going) > MOST_SIBLINGS:
            return
        for asked, target in enumerate(going.values()):
            reply = await self._ask(feature.operation, target)
            found = None if reply is None else feature.read(target, reply)
            if found is None:
                # A version without this read says so at the first one, which is no reason for a warning.
                if asked or reply is None:
                    things = count_noun(len(going) - asked, "thing")
                    self._lane.announcer.warn(
                        f"it could not be read where else {things} to go down may be deployed"
                    )
                return
            environments = frozenset(map(self._lane.authenticator.mask.clean_value, found))
            self._keep(SiblingDeployments(target, environments))

    async def _ask(self, operation: Operation, target: Target) -> Reply | None:
        """Return the reply about all environments of an API; None where a passing fault does not pass."""
        failures = 0
        while self._doubts.find_refusal() is None:
            exchanged = await self._send(self._lane, _NAME, operation, target)
            if isinstance(exchanged, str):
                return None
            # The lane lets the next try wait: for the pause that is asked for, or for a new credential.
            if exchanged.found.verdict in (Verdict.BUSY, Verdict.DENIED):
                continue
            if isinstance(exchanged.answer, Reply) and not is_passing_fault(exchanged.answer.status):
                return exchanged.answer
            if (failures := failures + 1) >= LOOKS_PER_DOUBT:
                return None
            await anyio.sleep(draw_backoff(self._lane.policy, failures, self._lane.environment.roll()))
        return None
