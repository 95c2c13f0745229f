"""The targets that a run would take, by its filters and protection, before any look at live state."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from msgspec import Struct

from orchestrator.engine.options import RunOptions
from orchestrator.journal.database import Database
from orchestrator.journal.pending import START, PendingTargets
from orchestrator.model.plan import Plan
from orchestrator.model.target import Target
from orchestrator.runs.load import LoadedPlan
from orchestrator.runs.selection import list_protections, make_filter, make_touch_test


class PlannedTarget(Struct, frozen=True):
    """A target of a plan that was read and not yet run."""

    target: Target
    step: int
    """The step of its wave, from 0."""


class PlannedCounts(Struct, frozen=True):
    """How many targets a run would take, and how many it would leave alone."""

    taken: Counter[tuple[int, str]]
    """By the index of the wave, and the gateway."""
    protected: int
    filtered: int


def list_planned(database: Database, plan: Plan) -> Iterator[PlannedTarget]:
    """Yield the targets in the order in which a run takes them, without those that a draft holds back."""
    # Nothing of a draft was ever sent, so no history need be read.
    pending = PendingTargets(database, plan, resumed=False)
    for wave_step, gateway in pending.count_left():
        batch, after = pending.read_batch(wave_step, gateway, START)
        while batch:
            yield from (PlannedTarget(target, wave_step.step) for target, _ in batch)
            batch, after = pending.read_batch(wave_step, gateway, after)


def list_taken_ids(loaded: LoadedPlan, options: RunOptions) -> Iterator[str]:
    """Yield the ids of the targets that a run with ``options`` would take, in its order."""
    takes = make_touch_test(loaded.plan, options)
    for planned in list_planned(loaded.draft.database, loaded.plan):
        if takes(planned.target.id, planned.target.wave):
            yield str(planned.target.id)


def count_planned(loaded: LoadedPlan, options: RunOptions) -> PlannedCounts:
    """Count the targets that a run with ``options`` would take, and those that it would leave alone."""
    holds, wanted = list_protections(loaded.plan, options), make_filter(loaded.plan, options)
    taken: Counter[tuple[int, str]] = Counter()
    protected = filtered = 0
    for planned in list_planned(loaded.draft.database, loaded.plan):
        target = planned.target
        if any(hold.test(target.id, target.wave) is not None for hold in holds):
            protected += 1
        elif wanted(target.id, target.wave):
            taken[target.wave, target.gateway] += 1
        else:
            filtered += 1
    return PlannedCounts(taken, protected, filtered)
