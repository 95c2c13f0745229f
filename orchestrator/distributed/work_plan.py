"""What the workflows of a session are to do: its steps, its limits and its counts, out of the journal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Protocol

from orchestrator.distributed.payloads import (
    EndCount,
    JournalPages,
    LaneCarry,
    LevelWork,
    Orders,
    RunInput,
    StepWork,
    ZonedGateway,
)
from orchestrator.engine.resources import SessionSpec
from orchestrator.journal.pending import PendingTargets
from orchestrator.lanes.lane import LearnedLimits
from orchestrator.model.outcome import Counts
from orchestrator.model.plan import WaveStep
from orchestrator.rules.steps import find_step_before
from orchestrator.rules.stop_rules import StopRules
from orchestrator.rules.upcoming import count_upcoming


class PlannedSession(Protocol):
    """What is settled of a session before its first request: that of a driver, or that of a schedule."""

    @property
    def spec(self) -> SessionSpec:
        """What the session begins with."""
        ...

    @property
    def pending(self) -> PendingTargets:
        """The targets in its journal."""
        ...

    @property
    def stop_rules(self) -> StopRules:
        """The stop rules with the counts of earlier sessions."""
        ...


def make_run_input(
    planned: PlannedSession,
    journal: JournalPages,
    *,
    orders: Orders,
    learned: Mapping[str, LearnedLimits],
    searchable: bool,
    lease: float,
) -> RunInput:
    """Return the input of the workflow of a session that begins now.

    ``orders`` are what people want already, ``learned`` the pace and the limits of each lane so far.
    ``searchable``: the server has our search attributes.
    """
    spec, plan = planned.spec, planned.spec.plan
    return RunInput(
        run=spec.folder.id,
        session=spec.number,
        plan=plan.name,
        act="restore" if spec.is_restore else "undeploy",
        journal=journal,
        steps=tuple(list_steps(planned)),
        gateways={
            gateway.name: ZonedGateway(
                zone=gateway.zone,
                installation=gateway.installation,
                park_for=gateway.park_for,
                reply_timeout=gateway.reply_timeout,
            )
            for gateway in plan.gateways
        },
        stop_when=plan.stop_when,
        stop=planned.stop_rules.state,
        window=spec.window,
        first_run=spec.number == 1,
        past_stop=spec.past_stop,
        expires=spec.expires,
        carries={name: LaneCarry(rate=limits.rate, limits=limits.limits) for name, limits in learned.items()},
        orders=orders,
        accepted=spec.accepted,
        searchable=searchable,
        lease=lease,
    )


def list_steps(planned: PlannedSession) -> Iterator[StepWork]:
    """Yield the steps of the waves that have open targets, in their order."""
    spec, pending, waves = planned.spec, planned.pending, planned.spec.plan.waves
    left: dict[WaveStep, dict[str, int]] = {}
    for (wave_step, name), count in pending.count_left().items():
        left.setdefault(wave_step, {})[name] = count
    upcoming, crossed = count_upcoming(left, waves), pending.list_crossed()
    begun = pending.list_begun()
    for number, wave_step in enumerate(sorted(left)):
        wave = waves[wave_step.wave]
        before = None if number else find_step_before(wave_step, begun)
        yield StepWork(
            wave=wave_step.wave,
            step=wave_step.step,
            name=wave.name,
            steps=pending.count_steps(wave_step.wave) if wave.sizes else 1,
            levels=_split_into_levels(planned, wave_step, left[wave_step], crossed),
            later=dict(upcoming[wave_step]),
            before=tuple(count_ends(pending.count_outcomes(wave_step))),
            pause_after=wave.pause_after,
            asks=wave.proceed == "ask",
            asks_first=before is not None and waves[before.wave].proceed == "ask",
            asked_after=None if before is None else before.wave,
            # An operator who resumed past a stop saw how the earlier wave steps ended.
            accepted=spec.past_stop and wave_step in begun,
        )


def _split_into_levels(
    planned: PlannedSession, wave_step: WaveStep, left: dict[str, int], crossed: frozenset[WaveStep]
) -> tuple[LevelWork, ...]:
    """Split a step in which targets wait for those of other gateways: no lane sees how another one goes on.

    In any other step a lane's own order is enough, in which no target comes before those that it waits for.
    """
    if wave_step not in crossed:
        return (LevelWork(level=None, targets=left),)
    depths = planned.pending.count_by_depth(wave_step)
    return tuple(LevelWork(level=depth, targets=here) for depth, here in depths.items())


def count_ends(counts: Counts) -> Iterator[EndCount]:
    """Yield the counts of ended targets as they travel."""
    for (outcome, word), count in counts.items():
        yield EndCount(outcome=outcome, word=word, count=count)
