"""The workers of one lane in one wave step: each takes a target, brings it to its outcome, takes the next."""

from __future__ import annotations

from collections.abc import Iterator

import anyio
import anyio.lowlevel

from orchestrator.engine.deferred_looks import DeferredLooks, DeferredTarget
from orchestrator.engine.queue import DependencyTracker, QueuedTarget, TargetQueue
from orchestrator.engine.resources import RunResources
from orchestrator.engine.target_run import TargetRun
from orchestrator.errors import DiskError
from orchestrator.lanes.lane import Lane
from orchestrator.model.events import TargetEnded
from orchestrator.rules.retry import TargetEnd, end_blocked

LOOKS_IN_ONE_GO = 50
"""Looks at a list after which the other workers get their turn."""


class LaneWorkers:
    """As many workers as a lane may have requests in flight, until its targets of a wave step have ended."""

    def __init__(
        self, resources: RunResources, lane: Lane, queue: TargetQueue, tracker: DependencyTracker
    ) -> None:
        self._resources = resources
        self._environment = resources.environment
        self._run_gate = resources.run_gate
        self._lane = lane
        self._queue = queue
        self._tracker = tracker
        self._deferred = DeferredLooks()
        self._workers = 0
        self._has_fresh_reads = resources.spec.in_use == "refuse"
        """Whether the reads of a target must be fresh when its undeploy leaves."""

    async def run(self, targets: int, later: int) -> None:
        """Work until the lane's ``targets`` of this step are taken; then make the looks that were put off.

        ``later``: the lane's targets in the steps that come soon after this one.

        The other lanes may still be at work then: no lane waits for another one's looks.
        """
        lane = self._lane
        async with anyio.create_task_group() as group:

            def hire(more: int) -> None:
                self._workers += more
                for _ in range(more):
                    group.start_soon(self._work)

            lane.begin_step(targets, hire, later=later)
            hire(min(lane.concurrency, targets))
        lane.end_step()
        try:
            self._tracker.abandon(lane.gateway.name)
        except DiskError as error:
            self._run_gate.stop("disk", str(error))
            self._tracker.unblock_all()
        await self._look_at_deferred(lane.concurrency)

    async def _work(self) -> None:
        lane = self._lane
        while (queued := await self._take()) is not None:
            try:
                if queued.refusal is None:
                    await self._run_target(queued)
                # Once the lane is refused, its targets end together, and with the lane's own reason.
                elif lane.refusal() is None:
                    target_run = TargetRun(queued.target, queued.history, lane, self._resources)
                    end = end_blocked(queued.history, queued.refusal)
                    self._keep(end, target_run, 0.0, doubted=queued.history.requests > 0)
            except DiskError as error:
                self._run_gate.stop("disk", str(error))
            finally:
                lane.leave(queued.target.id)
                # Without an outcome by now the target is not reached, and no other one may wait for it.
                self._tracker.settle(queued.target, None)

        self._workers -= 1

    async def _take(self) -> QueuedTarget | None:
        """Return a worker's next target; None if the worker has nothing more to do."""
        # The use of a target is believed for some minutes. At a slow pace the reads of many targets would go
        # in turn, and those of each be too old when the last of them has come.
        if self._has_fresh_reads:
            await self._lane.wait_for_room()
        if self._lane.refusal() is not None or self._lane.has_enough(self._workers):
            return None
        try:
            return await self._queue.take()
        except DiskError as error:  # a journal that cannot be read; what flies must land all the same
            self._run_gate.stop("disk", str(error))
            return None

    async def _run_target(self, queued: QueuedTarget) -> None:
        target, history = queued.target, queued.history
        # A target that others wait for gets a look of its own: the shared look comes after all others.
        dependencies = self._tracker.dependencies
        is_awaited = not dependencies.is_empty and dependencies.is_awaited(target.seq)
        state_list = None if is_awaited else self._lane.state_list
        target_run = TargetRun(target, history, self._lane, self._resources, state_list=state_list)
        self._lane.enter(target.id)
        began = self._environment.monotonic()
        try:
            end = await target_run.run()
        finally:
            self._queue.release(queued)
        if isinstance(end, TargetEnd):
            seconds = self._environment.monotonic() - began
            self._keep(end, target_run, seconds, doubted=history.requests > 0)
        else:
            await self._defer(DeferredTarget(target, target_run.history, began))

    async def _defer(self, waiting: DeferredTarget) -> None:
        """Put a target's look off until the lane's list is read for many of them."""
        self._deferred.add(waiting)
        if breach := self._resources.stop_rules.count_waiting():
            self._run_gate.stop("stop_rule", breach)
        if len(self._deferred) >= self._lane.state_list.most_deferred:
            # Only this worker looks: the others go on with their undeploys meanwhile.
            await self._look_at_deferred(workers=1)

    async def _look_at_deferred(self, workers: int) -> None:
        """Look at the targets whose look was put off: in a list that is read again, or one by one."""
        state_list = self._lane.state_list
        if not (waiting := self._deferred.take()):
            return
        # The journal gives them again, so what they wait with must be there.
        try:
            await self._resources.record.flush()
        except DiskError as error:
            self._run_gate.stop("disk", str(error))
            return
        await state_list.renew(len(waiting))
        remaining = waiting.read(self._resources.pending, self._lane.gateway.name)
        async with anyio.create_task_group() as group:
            for _ in range(min(workers, len(waiting))):
                group.start_soon(self._finish_deferred, remaining)

    async def _finish_deferred(self, remaining: Iterator[DeferredTarget]) -> None:
        try:
            await self._finish_each(remaining)
        except DiskError as error:
            self._run_gate.stop("disk", str(error))

    async def _finish_each(self, remaining: Iterator[DeferredTarget]) -> None:
        lane = self._lane
        for number, (target, history, began) in enumerate(remaining, 1):
            # A list answers without a wait: thousands of looks in one go would keep replies waiting.
            if not number % LOOKS_IN_ONE_GO:
                await anyio.lowlevel.checkpoint()
            claim = self._queue.claim_later(target)
            target_run = TargetRun(
                target, history, lane, self._resources, state_list=lane.state_list, late_claim=claim
            )
            try:
                end = await target_run.run()
            finally:
                claim.release()
                lane.release(target.id)
            if isinstance(end, TargetEnd):
                seconds = self._environment.monotonic() - began
                self._keep(end, target_run, seconds, doubted=False, waited=True)

    def _keep(
        self, end: TargetEnd, target_run: TargetRun, seconds: float, *, doubted: bool, waited: bool = False
    ) -> None:
        """Keep a target's outcome, tell it to those that wait for it, and ask the stop rules."""
        # Most ends have no reason, and none of those was called back.
        if end.reason is not None and self._run_gate.is_called_back(end.reason):
            return
        resources, target, at = self._resources, target_run.target, self._environment.now()
        resources.record.keep_outcome(target, end, seconds=seconds, at=at)
        resources.emit(
            TargetEnded(
                at=at,
                target=target.id,
                gateway=target.gateway,
                wave=resources.spec.plan.waves[target.wave].name,
                outcome=end.outcome,
                reason=end.reason,
                evidence=end.evidence,
                seconds=seconds,
                attempts=target_run.history.requests,
                doubted=doubted,
                name=target.name,
            )
        )
        if breach := resources.stop_rules.count_end(end.outcome, end.reason, doubted=doubted, waited=waited):
            self._run_gate.stop("stop_rule", breach)
        self._tracker.settle(target, end.outcome, end.reason)
