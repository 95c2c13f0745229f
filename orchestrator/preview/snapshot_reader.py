"""Reads the snapshots of the targets of one lane, as a run would read them before it undeploys."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import anyio

from orchestrator.lanes.exchange import count_as_unclear
from orchestrator.lanes.lane import Lane
from orchestrator.lanes.snapshot_reads import SnapshotReads
from orchestrator.model.reading import Act, Operation, Reading, Snapshot, Verdict
from orchestrator.model.target import Target
from orchestrator.preview.planned import PlannedTarget
from orchestrator.preview.states import SeenTarget
from orchestrator.preview.use_reader import SendLook
from orchestrator.rules.retry import LOOKS_PER_DOUBT, draw_backoff

GIVE_UP_AFTER = 20
"""Unknown targets in a row after which the remaining targets of their gateway are not looked at."""


class DoubtCounter:
    """Counts the targets in a row whose state a gateway could not tell; after too many, gives it up."""

    def __init__(self, warn: Callable[[str], None]) -> None:
        self._warn = warn
        self._in_a_row = 0

    def add(self, seen: SeenTarget) -> None:
        """Count a target that was asked for."""
        if self.find_refusal():
            return
        self._in_a_row = self._in_a_row + 1 if seen.snapshot.verdict is Verdict.UNCLEAR else 0
        if self._in_a_row >= GIVE_UP_AFTER:
            reason = f"it could not tell of {GIVE_UP_AFTER} targets in a row ({seen.why})"
            self._warn(f"{reason}, so the rest was not asked")

    def find_refusal(self) -> str | None:
        """Return why no further target is looked at; None while the gateway is not given up."""
        if self._in_a_row < GIVE_UP_AFTER:
            return None
        return f"not looked at: the gateway could not tell of {GIVE_UP_AFTER} targets before it"


class SnapshotReader:
    """Reads the snapshots of targets through one lane."""

    def __init__(
        self,
        lane: Lane,
        send: SendLook,
        keep: Callable[[SeenTarget], None],
        doubts: DoubtCounter,
        *,
        with_state: bool = True,
    ) -> None:
        """``with_state``: the lists may tell the state of a target, too."""
        self._lane = lane
        self._send = send
        self._keep = keep
        self._doubts = doubts
        self._with_state = with_state

    async def read_all(self, planned: Sequence[PlannedTarget]) -> None:
        """Read every target, as many at a time as the lane may have requests in flight."""
        left = iter(planned)
        async with anyio.create_task_group() as group:
            for _ in range(min(self._lane.concurrency, len(planned))):
                group.start_soon(self._work, left)

    async def _work(self, left: Iterator[PlannedTarget]) -> None:
        for planned in left:
            seen = await self._read(planned)
            # While the lane is closed no gateway was asked, so an unknown state is not its doubt.
            if self._lane.refusal(Act.LOOK) is None:
                self._doubts.add(seen)
            self._lane.leave(planned.target.id)
            self._keep(seen)

    async def _read(self, planned: PlannedTarget) -> SeenTarget:
        """Return a target as the lists and the vendor's reads of it show it."""
        target = planned.target
        if refused := self._lane.refusal(Act.LOOK) or self._doubts.find_refusal():
            return SeenTarget(target=target, step=planned.step, snapshot=make_unknown(refused))
        readings = await self._lane.state_list.read_before_snapshot(target, with_state=self._with_state)
        listed = tuple(via for via, told in readings.items() if told.verdict is not Verdict.TOLD)
        places: set[tuple[str, ...]] = set()
        snapshot, reads = await self._take_snapshot(target, readings, places)
        return SeenTarget(
            target=target,
            step=planned.step,
            snapshot=snapshot,
            reads=reads,
            listed=listed,
            places=len(places),
        )

    async def _take_snapshot(
        self, target: Target, readings: dict[str, Reading], places: set[tuple[str, ...]]
    ) -> tuple[Snapshot, int]:
        """Return the snapshot of a target, and how many reads it took beside lists and those of bindings.

        Adds to ``places`` those whose bindings were read.
        """
        lane, failures, reads = self._lane, 0, 0
        steps = SnapshotReads(lane.gateway.restore, target)
        while True:
            found = steps.find_next(readings, lane.offered_looks.lacking)
            if isinstance(found, Snapshot):
                self._warn_of_gap(target, found)
                return lane.authenticator.mask.clean_snapshot(lane.offered_looks.explain(found)), reads
            # A read that is not offered is not asked again.
            if refused_read := lane.offered_looks.refusal(found.via):
                readings[found.via] = refused_read
                continue
            place = lane.bindings.find_place(found)
            if place is not None:
                places.add(place.parts)
            readings |= await self._answer_from_lists(found, target, readings)
            if found.via in readings:
                continue
            reading = await self._ask(found, target)
            if isinstance(reading, str):
                return make_unknown(reading), reads
            if reading.verdict in (Verdict.BUSY, Verdict.DENIED):
                continue  # the lane admits the next look only after the pause, or with a new credential
            if reading.verdict is Verdict.UNCLEAR and (failures := failures + 1) < LOOKS_PER_DOUBT:
                await anyio.sleep(draw_backoff(lane.policy, failures, lane.environment.roll()))
                continue
            readings[found.via], failures, reads = reading, 0, reads + (place is None)

    async def _answer_from_lists(
        self, operation: Operation, target: Target, readings: Mapping[str, Reading]
    ) -> Mapping[str, Reading]:
        """Return what lists tell of the bindings of a target; nothing where the single read is cheaper."""

        async def read_alone(asked: Operation) -> Reading | None:
            reading = await self._ask(asked, target)
            return None if isinstance(reading, str) else reading

        return await self._lane.bindings.answer(target, operation, readings, read_alone)

    async def read_alone(self, target: Target) -> None:
        """Read a target once without the lists, only to see how long a reply takes."""
        found = self._lane.gateway.restore.next_snapshot_read(target, {}, self._lane.offered_looks.lacking)
        if isinstance(found, Operation):
            await self._ask(found, target)

    async def _ask(self, operation: Operation, target: Target) -> Reading | str:
        """Return the reading of one look, or why none may be sent."""
        exchanged = await self._send(self._lane, target.id, operation, target)
        if isinstance(exchanged, str):
            return exchanged
        reading = count_as_unclear(exchanged.found)
        if reading.verdict in (Verdict.BUSY, Verdict.DENIED):
            return reading
        return self._lane.offered_looks.learn(operation.via, reading)

    def _warn_of_gap(self, target: Target, snapshot: Snapshot) -> None:
        """Warn where a look finds a target that the gateway's list lacks."""
        if warning := self._lane.state_list.note_single_look(target, Reading(verdict=snapshot.verdict)):
            self._lane.announcer.warn(warning)


def make_unknown(why: str) -> Snapshot:
    """Return the snapshot of a target whose state is unknown."""
    return Snapshot(verdict=Verdict.UNCLEAR, message=why)
