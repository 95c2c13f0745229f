"""Whether a target may go by how much it is used, asked just before its undeploy leaves."""

from __future__ import annotations

import math

from msgspec.structs import replace

from orchestrator.engine.attempts import TargetAttempts
from orchestrator.engine.resources import RunResources
from orchestrator.lanes.exchange import count_as_unclear
from orchestrator.lanes.snapshot_reads import SnapshotReads
from orchestrator.lanes.usage_reader import FRESH_FOR, AskAboutUse, UsageAnswer, UsageReader
from orchestrator.model.events import TargetInUse
from orchestrator.model.reading import Act, Operation, Reading, Snapshot, Verdict
from orchestrator.model.target import Target
from orchestrator.model.usage import Usage
from orchestrator.rules.admission import AdmissionRequest
from orchestrator.rules.in_use import describe_doubt, end_in_use

MOST_LATE = 2
"""Reads of the use that may be too old as soon as they end: a wait for an outage makes one of them late."""


class UsageGate:
    """Admits the undeploys of one target, each by a look at its use that is no older than five minutes."""

    def __init__(self, attempts: TargetAttempts, resources: RunResources, reader: UsageReader) -> None:
        self.snapshot: Snapshot | None = None
        """The snapshot that this session has taken; None where it took none."""
        self.refusal: str | None = None
        """Why the target stays up in this session, by its use."""
        self._attempts = attempts
        self._lane = attempts.lane
        self._resources = resources
        self._reader = reader
        self._refuses = resources.spec.in_use == "refuse"
        self._read_at = -math.inf
        self._asked_at = math.inf
        """When the first read of the target's own calls left, in the newest look at its use."""
        self._late = 0
        """Reads that were too old as soon as they ended."""
        self._has_warned = False

    async def admit(self, target: Target, admission: AdmissionRequest) -> str | None:
        """Return None as soon as the undeploy may leave, or why it may not leave.

        The wait for the lane may be long: a parked gateway, a pause, a slow pace. Then the use is read again.
        """
        while self.refusal is None:
            if not self._is_fresh() and (refused := await self._check(target)):
                return refused
            if refused := await self._lane.admit(admission):
                return refused
            if self._is_fresh() or not self._refuses:
                return None
        return self.refusal

    def _is_fresh(self) -> bool:
        return self._resources.environment.monotonic() - self._read_at <= FRESH_FOR

    async def _check(self, target: Target) -> str | None:
        """Read the use of the target, and keep it; return why the target stays up, if it does."""
        # The use of a target that may not go anyway is not asked for.
        if refused := self._lane.refusal(self._lane.policy.act):
            return refused
        began = self._resources.environment.monotonic()
        usage = await self._read(target)
        if isinstance(usage, str):
            self._read_at = began
            self.refusal = usage if self._refuses else None
            return self.refusal
        # A lane that has closed meanwhile lets no read tell the use, nor does one whose operator has skipped
        # the target: it stays up for that reason.
        if usage.calls is None and (refused := self._lane.find_change_refusal(target.id)):
            return refused
        # The reads may have waited for their turns at the lane's pace; what they tell is newer than that.
        oldest = min(self._asked_at, self._reader.read_at)
        self._read_at = began if math.isinf(oldest) else oldest
        if self._refuses and (late := self._take_lateness()):
            usage = replace(usage, calls=None, why=late)
        self._resources.record.keep_usage(target, usage, self._resources.environment.now())
        doubt = describe_doubt(usage, self._resources.spec.plan.in_use_over)
        if doubt is None:
            return None
        if self._refuses:
            self.refusal = end_in_use(doubt)
            return self.refusal
        self._warn(target, usage, doubt)
        return None

    def _take_lateness(self) -> str | None:
        """Return why the use that was just read proves nothing, as each read of it is too old at once."""
        self._late += not self._is_fresh()
        if self._is_fresh() or self._late < MOST_LATE:
            return None
        return f"its calls took more than {FRESH_FOR / 60:.0f} minutes to read"

    async def _read(self, target: Target) -> Usage | str:
        async def ask(operation: Operation) -> UsageAnswer | str:
            admission = AdmissionRequest(target.id, Act.LOOK)
            if refused := await self._lane.admit(admission):
                return refused
            self._asked_at = min(self._asked_at, self._resources.environment.monotonic())
            reading = await self._attempts.send(target, admission, operation)
            return UsageAnswer(reading, self._attempts.status)

        if self.snapshot is None:
            found = await self._find_snapshot(target, ask)
            if isinstance(found, str):
                return found
            self.snapshot = found
        self._asked_at = math.inf
        return await self._reader.read(target, self.snapshot, ask)

    async def _find_snapshot(self, target: Target, ask: AskAboutUse) -> Snapshot | str:
        """Return the snapshot of an earlier session, whose undeploy left a doubt or was refused.

        A plan that keeps no snapshots has none: then what names the front ends is read again.
        """
        if kept := self._resources.pending.read_snapshot(target.seq):
            return kept
        reads = SnapshotReads(self._lane.gateway.restore, target, with_bindings=False)
        seen: dict[str, Reading] = {}
        while True:
            looks = self._lane.offered_looks
            found = reads.find_next(seen, looks.lacking)
            if isinstance(found, Snapshot):
                return found
            answer = await ask(found)
            if isinstance(answer, str):
                return answer
            if answer.reading.verdict not in (Verdict.BUSY, Verdict.DENIED):
                seen[found.via] = looks.learn(found.via, count_as_unclear(answer.reading))

    def _warn(self, target: Target, usage: Usage, doubt: str) -> None:
        """Tell, once, that the target goes down although it is in use."""
        if self._has_warned:
            return
        self._has_warned = True
        at = self._resources.environment.now()
        self._resources.emit(
            TargetInUse(at=at, target=target.id, gateway=target.gateway, calls=usage.calls, text=doubt)
        )
        text = f"targets go down that are in use, or of which nothing tells it: first {target.id}: {doubt}"
        self._lane.announcer.warn_once("in use", text)
