"""Takes a preview: looks at the live state of every target that a run would take, and sends no undeploy.

The looks go through lanes, like those of a run, and need no journal of a run.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import anyio
from msgspec import Struct

from orchestrator.engine.options import RunOptions
from orchestrator.engine.protection import ProtectionSummary
from orchestrator.errors import UsageError
from orchestrator.journal.pending import PendingTargets
from orchestrator.lanes.environment import Environment, resolve_each
from orchestrator.model.gateway import Gateway
from orchestrator.model.plan import Window
from orchestrator.preview.gateway_look import GatewayLook
from orchestrator.preview.planned import PlannedTarget, list_planned
from orchestrator.preview.progress import LookProgress, PreviewListener
from orchestrator.preview.states import GatewaySight, Preview
from orchestrator.runs.load import LoadedPlan
from orchestrator.runs.selection import (
    apply_selection,
    refuse_dead_patterns,
    refuse_idle_filters,
    split_waves,
    summarize_protection,
)


class LookQuestion(Struct, frozen=True, kw_only=True):
    """What a preview asks of each gateway."""

    guarded: bool = False
    """The run will compare each target with this look."""
    demanding: bool = False
    """All looks end as soon as one gateway has given no answer."""
    hours: int | None = None
    """How often each target was called in so many hours; None asks nobody."""


async def take_preview(
    loaded: LoadedPlan,
    options: RunOptions,
    environment: Environment,
    listener: PreviewListener | None = None,
    *,
    demanding: bool = False,
    guarded: bool = False,
    hours: int | None = None,
) -> Preview:
    """Look at every target that a run of ``loaded`` with ``options`` would take.

    Sends logins and reads, and nothing else. Marks in the plan's draft which targets are held back; a run of
    the draft marks them again. Raises ``UsageError`` and ``CredentialError`` before anything is sent. A fault
    of a gateway is no error: the preview holds it. ``demanding``: every gateway must answer, and
    ``UsageError`` is raised as soon as one of them has given no answer. ``guarded``: the run will compare
    each target with this preview. ``hours``: ask how often each target was called in so many hours; a plan
    whose runs ask has it asked anyway.
    """
    prepared = prepare_preview(loaded, options, hours=hours)
    began, taken = environment.monotonic(), environment.now()
    progress = LookProgress(listener, len(prepared.targets))
    question = LookQuestion(guarded=guarded, demanding=demanding, hours=prepared.hours)
    sights = await look_at_gateways(loaded.plan.gateways, prepared.targets, environment, progress, question)
    if demanding:
        _refuse_silent(sights)
    return prepared.assemble(sights, taken=taken, seconds=environment.monotonic() - began)


class PreparedPreview(NamedTuple):
    """The part of a preview that needs no look: what a run would take, and what it would leave alone."""

    loaded: LoadedPlan
    window: Window | None
    targets: list[PlannedTarget]
    hours: int | None
    """The calls of so many hours are asked for; None asks nobody."""
    guard: ProtectionSummary
    held: dict[str | None, int]

    def assemble(self, sights: Sequence[GatewaySight], *, taken: float, seconds: float) -> Preview:
        """Return the preview, of one sight for each gateway that has targets, in the plan's order."""
        plan = self.loaded.plan
        seen_targets = {seen.target.seq: seen for sight in sights for seen in sight.targets}
        return Preview(
            plan=plan.name,
            reason=plan.reason,
            digest=self.loaded.digest,
            taken=taken,
            seconds=seconds,
            window=self.window,
            targets=tuple(seen_targets[planned.target.seq] for planned in self.targets),
            gateways=tuple(sight.gateway for sight in sights),
            siblings=tuple(found for sight in sights for found in sight.siblings),
            memberships=tuple(found for sight in sights for found in sight.memberships),
            protected=self.held.get("protected", 0),
            filtered=self.held.get("filtered", 0),
            patterns=self.guard.patterns,
            guard_warnings=self.guard.warnings,
            hours=self.hours,
        )


def prepare_preview(loaded: LoadedPlan, options: RunOptions, *, hours: int | None) -> PreparedPreview:
    """Mark in the plan's draft which targets are held back, and list those to look at.

    Raises ``UsageError``, also where no target is left. ``hours`` as in ``take_preview``.
    """
    plan, database = loaded.plan, loaded.draft.database
    if hours is None and plan.in_use != "ignore":
        hours = plan.in_use_over.hours
    _hold_back(loaded, options)
    guard, held = summarize_protection(database, plan, options), _count_held(loaded)
    targets = list(list_planned(database, plan))
    if not targets:
        raise UsageError("no target is left that a run would take: all are protected or left out")
    return PreparedPreview(loaded, options.window or plan.window, targets, hours, guard, held)


def _hold_back(loaded: LoadedPlan, options: RunOptions) -> None:
    """Mark the targets that a run would leave alone, and split the waves, as the start of a run does."""
    plan, database = loaded.plan, loaded.draft.database
    refuse_dead_patterns(plan, options)
    refuse_idle_filters(database, plan, options)
    apply_selection(database, plan, options)
    split_waves(database, plan)


def _count_held(loaded: LoadedPlan) -> dict[str | None, int]:
    """Return how many targets a run would leave alone, by the reason."""
    pending = PendingTargets(loaded.draft.database, loaded.plan, resumed=False)
    return {reason: count for (_, reason), count in pending.count_outcomes().items()}


async def look_at_gateways(
    gateways: Iterable[Gateway],
    targets: Sequence[PlannedTarget],
    environment: Environment,
    progress: LookProgress,
    question: LookQuestion,
) -> list[GatewaySight]:
    """Look at ``targets`` at those of ``gateways`` that have some, side by side; in their order.

    Needs no plan: another machine may have read it. Raises ``UsageError`` and ``CredentialError`` before
    anything is sent; a fault of a gateway is in its sight.
    """
    looks = _make_looks(gateways, targets, environment, progress, question)
    for look in looks:
        environment.check(look.gateway)
    # Before any look, so that a credential that is missing is told while nothing was sent.
    materials = await resolve_each((look.gateway for look in looks), environment.credential)
    progress.begin()
    async with anyio.create_task_group() as group:
        scope = group.cancel_scope if question.demanding else None
        for look in looks:
            group.start_soon(look.run, materials[look.gateway.name], scope)
    return [look.conclude() for look in looks]


def _make_looks(
    gateways: Iterable[Gateway],
    targets: Sequence[PlannedTarget],
    environment: Environment,
    progress: LookProgress,
    question: LookQuestion,
) -> list[GatewayLook]:
    by_gateway: dict[str, list[PlannedTarget]] = {}
    for planned in targets:
        by_gateway.setdefault(planned.target.gateway, []).append(planned)
    return [
        GatewayLook(
            environment.reach(gateway),
            environment,
            by_gateway[gateway.name],
            progress,
            guarded=question.guarded,
            hours=question.hours,
        )
        for gateway in gateways
        if gateway.name in by_gateway
    ]


def _refuse_silent(sights: Iterable[GatewaySight]) -> None:
    for sight in sights:
        if sight.silence is not None:
            raise UsageError(
                f"{sight.gateway.name} could not be looked at: {sight.silence}. Nothing was undeployed;"
                " --no-preview asks without a look"
            )
