"""The lanes of a run, part by part: which begin, what each is given, and what no lane takes any more.

Pure, as ``run_conduct`` is, which asks it. A part is the workflow of so many targets of one lane in a step as
the history of one workflow may hold.
"""

from __future__ import annotations

from collections.abc import Iterator

from orchestrator.distributed.bounds import OPEN_TARGETS, PART_TARGETS
from orchestrator.distributed.names import name_lane_workflow
from orchestrator.distributed.payloads import ChunkPlace, LaneCarry, LaneInput, LevelWork, RunInput, StepWork
from orchestrator.distributed.run_decisions import Release, RunDecisions, StartLane, TellOrders
from orchestrator.distributed.run_news import LanePartBegun, LanePartOver
from orchestrator.distributed.run_state import LostLane, PartState, RunState


class RunLanes:
    """Starts the parts of the lanes, level by level of a step, and keeps in the run's state how they end."""

    def __init__(self, given: RunInput, state: RunState, workflow: str, decisions: RunDecisions) -> None:
        """``workflow`` is the id of the run's workflow."""
        self._given = given
        self._state = state
        self._workflow = workflow
        self._decisions = decisions

    def begin_level(self, level: int) -> None:
        """Begin with the targets of a level of the present step."""
        self._state.level, self._state.handed, self._state.numbers = level, {}, {}

    @property
    def are_at_work(self) -> bool:
        """Whether the level goes on: in its parts, or in further ones that wait for the driver."""
        state, level = self._state, self._find_level()
        if any(not part.over for part in state.parts):
            return True
        return state.stop_order is None and any(self._has_more(level, name) for name in level.targets)

    def start_parts(self) -> None:
        """Start a part of each lane that has targets in this level and whose installation is free."""
        gateways, parts, level = self._given.gateways, self._state.parts, self._find_level()
        busy = {gateways[part.gateway].installation for part in parts if not part.over}
        for name in level.targets:
            installation = gateways[name].installation
            if installation not in busy and self._has_more(level, name) and self._start_part(level, name):
                busy.add(installation)

    def close_part(self, workflow: str) -> PartState | None:
        """Note that a part hands out no more chunks. Returns None if that is known, or the part is not."""
        part = self._find_part(workflow)
        if part is None or part.over:
            return None
        part.over = True
        return part

    def end_part(
        self,
        part: PartState,
        dispatches: int,
        refusal: str | None,
        rest: ChunkPlace | None,
        *,
        untold: bool,
    ) -> None:
        """Keep how a closed part has ended, and tell it.

        ``refusal`` is why its lane takes no targets any more, and ``rest`` what is left of the part.
        ``untold``: no worker has told of that refusal.
        """
        state, gateway = self._state, part.gateway
        first = state.handed[gateway] if rest is None else rest.first
        if refusal is not None and gateway not in state.refusals:
            state.refusals[gateway] = refusal
            state.lost[gateway] = LostLane(step=state.index, level=state.level, first=first)
        state.handed[gateway] = first
        self._decisions.tell(
            LanePartOver(
                workflow=part.workflow,
                gateway=gateway,
                dispatches=dispatches,
                refusal=refusal,
                untold=untold,
            )
        )

    def release_part(self, workflow: str) -> None:
        """Release a part that is over: a driver has its results. A further part may begin in its place."""
        part = self._find_part(workflow)
        if part is not None and part.over:
            self._state.parts.remove(part)
            self._decisions.act(Release(workflow))

    def release_all(self) -> None:
        """Release all parts: a driver has everything."""
        self._decisions.act(*(Release(part.workflow) for part in self._state.parts))
        self._state.parts = []

    def tell_orders(self) -> None:
        """Give the orders that hold now, under a new number, to the parts that hand out chunks."""
        self._state.serial += 1
        orders = self._state.lane_orders
        self._decisions.act(
            *(TellOrders(part.workflow, orders) for part in self._state.parts if not part.over)
        )

    def _find_level(self) -> LevelWork:
        return self._given.steps[self._state.index].levels[self._state.level]

    def _find_part(self, workflow: str) -> PartState | None:
        return next((part for part in self._state.parts if part.workflow == workflow), None)

    def _has_more(self, level: LevelWork, gateway: str) -> bool:
        state = self._state
        return state.handed.get(gateway, 0) < level.targets[gateway] and gateway not in state.refusals

    def _start_part(self, level: LevelWork, gateway: str) -> bool:
        """Start the next part of a lane, unless too many results wait for a driver already."""
        state = self._state
        first = state.handed.get(gateway, 0)
        count = min(level.targets[gateway] - first, PART_TARGETS)
        waiting = sum(part.place.count for part in state.parts)
        if state.parts and waiting + count > OPEN_TARGETS:
            return False
        step, number = self._given.steps[state.index], state.numbers.get(gateway, 0)
        place = ChunkPlace(
            wave=step.wave, step=step.step, gateway=gateway, first=first, count=count, level=level.level
        )
        workflow = name_lane_workflow(self._workflow, _name_place(place), gateway, number)
        state.handed[gateway], state.numbers[gateway] = first + count, number + 1
        state.parts.append(PartState(workflow=workflow, gateway=gateway, place=place))
        self._decisions.act(StartLane(workflow, self._describe_part(step, level, place)))
        self._decisions.tell(LanePartBegun(workflow=workflow, gateway=gateway, index=state.index))
        return True

    def _describe_part(self, step: StepWork, level: LevelWork, place: ChunkPlace) -> LaneInput:
        given, state, gateway = self._given, self._state, place.gateway
        zoned = given.gateways[gateway]
        further = sum(other.targets.get(gateway, 0) for other in step.levels[state.level + 1 :])
        return LaneInput(
            run_workflow=self._workflow,
            run=given.run,
            session=given.session,
            plan=given.plan,
            act=given.act,
            journal=given.journal,
            place=place,
            zone=zoned.zone,
            park_for=zoned.park_for,
            window=given.window,
            stop=state.counts,
            orders=state.lane_orders,
            carry=state.carries.get(gateway, LaneCarry()),
            first_run=given.first_run,
            past_stop=given.past_stop,
            searchable=given.searchable,
            broken=tuple(sorted({number for numbers in state.broken.values() for number in numbers})),
            undone=tuple(self._list_undone()),
            ahead=level.targets[gateway] - place.first - place.count + further,
            later=step.later.get(gateway, 0),
            accepted=given.accepted,
            lease=given.lease,
        )

    def _list_undone(self) -> Iterator[ChunkPlace]:
        """Yield the targets up to this level that no lane will take any more."""
        for gateway, lost in self._state.lost.items():
            for index in range(lost.step, self._state.index + 1):
                step = self._given.steps[index]
                levels = step.levels if index < self._state.index else step.levels[: self._state.level]
                for number, level in enumerate(levels):
                    at = (index, number)
                    first = lost.first if at == (lost.step, lost.level) else 0
                    count = level.targets.get(gateway, 0) - first
                    if at >= (lost.step, lost.level) and count > 0:
                        yield ChunkPlace(
                            wave=step.wave,
                            step=step.step,
                            gateway=gateway,
                            first=first,
                            count=count,
                            level=level.level,
                        )


def _name_place(place: ChunkPlace) -> str:
    where = f"{place.wave}.{place.step}"
    return where if place.level is None else f"{where}.{place.level}"
