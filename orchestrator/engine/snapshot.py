"""The reads of a target before its undeploy, for a restore and for the drift guard."""

from __future__ import annotations

from typing import NamedTuple

from msgspec.structs import replace

from orchestrator.engine.attempts import TargetAttempts, make_look_request
from orchestrator.engine.resources import RunResources
from orchestrator.lanes.exchange import count_as_unclear
from orchestrator.lanes.snapshot_reads import SnapshotReads
from orchestrator.model.events import SnapshotMissed
from orchestrator.model.outcome import Outcome
from orchestrator.model.reading import Operation, Reading, Snapshot, Verdict
from orchestrator.model.target import Target
from orchestrator.rules.precheck import StateAtApproval, explain_miss, judge_snapshot
from orchestrator.rules.retry import TargetEnd, TargetHistory, draw_backoff, end_blocked, is_passing_fault


class Precheck(NamedTuple):
    """The result of a snapshot: the target and its history with the facts seen, and the target's end."""

    target: Target
    history: TargetHistory
    end: TargetEnd | None = None
    """None where the target is to be undeployed."""
    is_up: bool = False
    snapshot: Snapshot | None = None
    """The snapshot, where one was taken."""


def are_snapshots_wanted(resources: RunResources) -> bool:
    """Return whether some target of the run is to be read before its undeploy.

    An approval is compared with what a snapshot would keep, and a snapshot names the front ends whose calls
    are counted: be a snapshot wanted or not.
    """
    if resources.spec.snapshot != "off" or resources.usage_readers:
        return True
    return resources.pending.has_approvals


class SnapshotTaker:
    """Takes the snapshot of one target, where the plan or an approval wants one."""

    def __init__(self, attempts: TargetAttempts, resources: RunResources) -> None:
        self._attempts = attempts
        self._lane = attempts.lane
        self._resources = resources

    async def check(self, target: Target, history: TargetHistory) -> Precheck:
        """Take a snapshot where one is wanted, and keep it; say what follows for the target."""
        approved = self._resources.pending.read_approved(target.seq)
        # After an undeploy was sent, a snapshot would show our own work.
        is_kept = self._resources.spec.snapshot != "off" or approved is not None
        if history.charged or not (is_kept or self._resources.usage_readers):
            return Precheck(target, history)
        # An approval wants each target's state read just before its undeploy.
        state_list = self._lane.state_list
        seen = await state_list.read_before_snapshot(target, with_state=approved is None)
        snapshot = await self._read(target, history, seen)
        if isinstance(snapshot, str):
            return self._go_without(target, history, approved, snapshot)
        if warning := state_list.note_single_look(target, Reading(verdict=snapshot.verdict)):
            self._lane.announcer.warn(warning)
        snapshot = self._lane.authenticator.mask.clean_snapshot(self._lane.offered_looks.explain(snapshot))
        if snapshot.verdict is Verdict.DOWN and history.may_have_arrived:
            # It shows our own work, which an engine that was lost did not tell of: no state to bring back.
            return Precheck(
                target, history, TargetEnd(Outcome.UNDEPLOYED, evidence="look"), snapshot=snapshot
            )
        facts = snapshot.facts
        target = replace(target, pods=facts.pods_responded or 0, name=facts.name or target.name)
        if is_kept:
            self._resources.record.keep_snapshot(target, snapshot, self._resources.environment.now())
        is_up = snapshot.verdict is Verdict.UP
        history = replace(
            history,
            exists=is_up or snapshot.verdict is Verdict.PARTIAL,
            in_doubt=history.in_doubt and not is_up,
            unsettled_reply=None if is_up else history.unsettled_reply,
        )
        required = self._resources.spec.snapshot == "required"
        earlier = None if approved is None else self._resources.pending.read_snapshot(target.seq)
        end = judge_snapshot(self._lane.policy, snapshot, approved, required=required, earlier=earlier)
        if end is None and not is_up:
            self._miss(target, snapshot)
        return Precheck(target, history, end, is_up, snapshot)

    def _go_without(
        self, target: Target, history: TargetHistory, approved: StateAtApproval | None, refused: str
    ) -> Precheck:
        """Say what follows where the lane admits no look: the undeploy goes first, if it may go without."""
        # Without a look the drift guard cannot hold, a required snapshot is missing, and nothing tells whose
        # calls are to be counted: the target stays up.
        if (
            self._resources.spec.snapshot == "required"
            or self._resources.spec.in_use == "refuse"
            or approved is not None
            or self._is_undeploy_refused(target)
        ):
            return Precheck(target, history, end_blocked(history, refused))
        self._miss(target, Snapshot(verdict=Verdict.UNCLEAR, message=refused))
        return Precheck(target, history)

    def _is_undeploy_refused(self, target: Target) -> bool:
        """Return whether the undeploy itself is refused as well, and not only looks are."""
        refused = self._lane.refusal(self._lane.policy.act) or self._resources.run_gate.skip_reason(target.id)
        return refused is not None

    def _miss(self, target: Target, snapshot: Snapshot) -> None:
        """Keep and tell that the target goes on without what a restore needs, if a snapshot was wanted."""
        if self._resources.spec.snapshot == "off" and not self._resources.pending.has_approvals:
            return
        at, why = self._resources.environment.now(), explain_miss(snapshot)
        self._resources.record.keep_snapshot(target, snapshot, at)
        self._resources.emit(SnapshotMissed(at=at, target=target.id, gateway=target.gateway, reason=why))
        if snapshot.verdict is Verdict.NOT_OFFERED and snapshot.code:
            return  # an error of the vendor's, which the undeploy will meet as well: nothing goes down
        text = f"{why}: {target.id} may go down, and a restore could not bring it back"
        self._lane.announcer.warn_once(f"{snapshot.verdict.value} {snapshot.code}", text)

    async def _read(self, target: Target, history: TargetHistory, seen: dict[str, Reading]) -> Snapshot | str:
        """Read what a snapshot needs; return the snapshot, or why the lane admits no read.

        ``seen`` is what the lists tell; the lane answers reads of bindings for many targets where that is
        cheaper. Each read is made once, and once more after a passing fault.
        """
        repeated: set[str] = set()

        async def read_alone(operation: Operation) -> Reading | None:
            admission = make_look_request(target, history)
            if await self._lane.admit(admission):
                return None
            return await self._attempts.send(target, admission, operation)

        # The guards before an undeploy go by the target alone.
        is_kept = self._resources.spec.snapshot != "off"
        reads = SnapshotReads(self._lane.gateway.restore, target, with_bindings=is_kept)
        while True:
            looks = self._lane.offered_looks
            found = reads.find_next(seen, looks.lacking)
            if isinstance(found, Snapshot):
                return found
            seen |= await self._lane.bindings.answer(target, found, seen, read_alone)
            if found.via in seen:
                continue
            admission = make_look_request(target, history)
            if refused := await self._lane.admit(admission):
                return refused
            reading = count_as_unclear(await self._attempts.send(target, admission, found))
            if reading.verdict in (Verdict.BUSY, Verdict.DENIED):
                continue
            if self._is_passing(reading) and found.via not in repeated:
                repeated.add(found.via)
                await self._wait_before_repeat()
                continue
            seen[found.via] = looks.learn(found.via, reading)

    def _is_passing(self, reading: Reading) -> bool:
        """Return whether the newest reading could not tell for a cause that may be over in a moment."""
        return reading.verdict is Verdict.UNCLEAR and is_passing_fault(self._attempts.status)

    async def _wait_before_repeat(self) -> None:
        wait = draw_backoff(self._lane.policy, 1, self._resources.environment.roll())
        await self._lane.rest(wait)
