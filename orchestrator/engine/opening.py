"""The event that opens a session: its open targets, its window, its approval and its protection."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

from orchestrator.engine.resources import RunResources
from orchestrator.engine.standing import drop_open, list_outcome_counts
from orchestrator.journal.pending import Standing
from orchestrator.lanes.lane import NOTHING_LEARNED, LearnedLimits
from orchestrator.model.events import GatewayFacts, PartLeft, RunStarted, WaveFacts
from orchestrator.model.gateway import Gateway
from orchestrator.model.plan import Plan, WaveStep
from orchestrator.rules.stop_rules import list_thresholds


def describe_start(resources: RunResources, *, approval: str) -> RunStarted:
    """Return the event that opens a session. ``approval`` is in words; empty without one."""
    spec, plan, window = resources.spec, resources.spec.plan, resources.spec.window
    left, standing = resources.pending.count_left(), resources.pending.count_standing()
    wave_steps = sorted({wave_step for wave_step, _ in left})
    by_gateway = _count_by_gateway(plan, left)
    protection = spec.protection
    return RunStarted(
        at=resources.environment.now(),
        run=spec.folder.id,
        plan=plan.name,
        targets=resources.pending.count_targets(),
        left=by_gateway,
        resumed=spec.number > 1,
        closes=window.closes.timestamp() if window and window.closes else None,
        timeouts={gateway.name: gateway.reply_timeout for gateway in plan.gateways},
        # No wave step follows the last one, so its pause is none.
        rests=sum(plan.waves[wave_step.wave].pause_after or 0.0 for wave_step in wave_steps[:-1]),
        parts=tuple(_describe_part(plan, wave_step, left) for wave_step in wave_steps),
        act="restore" if spec.is_restore else "undeploy",
        rehearsal=spec.request.rehearsal,
        urls={gateway.name: gateway.url for gateway in plan.gateways if gateway.name in by_gateway},
        opens=window.opens.timestamp() if window and window.opens else None,
        session=spec.number,
        approval=approval,
        patterns=None if protection is None else protection.patterns,
        protected=0 if protection is None else protection.protected,
        reason=plan.reason,
        waves=tuple(_describe_waves(resources, standing)),
        gateways=_describe_gateways(resources, standing),
        earlier=list_outcome_counts(resources.pending),
        causes=tuple(resources.pending.group_causes()),
        stop_when=list_thresholds(plan.stop_when),
        past_stop=spec.past_stop,
        state_option=spec.folder.state_option,
    )


def _describe_waves(resources: RunResources, standing: Standing) -> Iterator[WaveFacts]:
    for index, wave in enumerate(resources.spec.plan.waves):
        here = standing.get(index, {})
        yield WaveFacts(
            name=wave.name,
            targets=sum(sum(counts.values()) for counts in here.values()),
            steps=resources.pending.count_steps(index) if wave.sizes else 1,
            pause_after=wave.pause_after or 0.0,
            asks=wave.proceed == "ask",
            ended={name: ended for name, counts in here.items() if (ended := drop_open(counts))},
        )


def _describe_gateways(resources: RunResources, standing: Standing) -> dict[str, GatewayFacts]:
    targets: Counter[str] = Counter()
    for here in standing.values():
        targets.update({name: sum(counts.values()) for name, counts in here.items()})
    learned = resources.spec.learned
    return {
        gateway.name: _describe_gateway(gateway, targets[gateway.name], learned.get(gateway.name))
        for gateway in resources.spec.plan.gateways
        if targets[gateway.name]
    }


def _describe_gateway(gateway: Gateway, targets: int, learned: LearnedLimits | None) -> GatewayFacts:
    learned = learned or NOTHING_LEARNED
    limits = learned.limits or gateway.limits
    return GatewayFacts(
        kind=gateway.KIND,
        url=gateway.url,
        targets=targets,
        concurrency=limits.concurrency or gateway.CONCURRENCY,
        rate=min(filter(None, (limits.rate, learned.rate)), default=None),
    )


def _count_by_gateway(plan: Plan, left: Mapping[tuple[WaveStep, str], int]) -> dict[str, int]:
    """Return how many targets each gateway has left, in the plan's order; those without any are left out."""
    counts = {gateway.name: 0 for gateway in plan.gateways}
    for (_, name), count in left.items():
        counts[name] += count
    return {name: count for name, count in counts.items() if count}


def _describe_part(plan: Plan, wave_step: WaveStep, left: Mapping[tuple[WaveStep, str], int]) -> PartLeft:
    wave = plan.waves[wave_step.wave]
    here = {name: count for (other, name), count in left.items() if other == wave_step}
    return PartLeft(wave=wave.name, number=wave_step.step + 1, left=here, rest=wave.pause_after or 0.0)
