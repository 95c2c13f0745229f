"""A lane between two chunks: what one worker keeps of it, and what another one needs to go on with it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from msgspec.structs import replace

from orchestrator.distributed.lease import LeasedSend
from orchestrator.distributed.payloads import ChunkOrder, LaneCarry
from orchestrator.engine.lane_recorder import LaneRecorder
from orchestrator.engine.resources import RunResources
from orchestrator.engine.snapshot import are_snapshots_wanted
from orchestrator.engine.window import SessionWindow
from orchestrator.lanes.announcer import LaneNews
from orchestrator.lanes.environment import Environment, open_connection
from orchestrator.lanes.lane import Lane, LearnedLimits
from orchestrator.lanes.usage_reader import UsageReader
from orchestrator.model.credentials import Material
from orchestrator.model.gateway import Gateway
from orchestrator.model.http import Send
from orchestrator.model.settings import Limits
from orchestrator.rules.lane_standing import LaneStanding
from orchestrator.transport.warnings import list_warnings

MOST_TOLD = 20
"""Warnings of one lane that are remembered; a report shows as many."""


class ToldOnce(LaneRecorder):
    """Keeps and tells the news of a lane; a warning or a remark once a session, whichever worker has it."""

    told: list[str]

    def on_lane_state(self, gateway: str, state: LaneNews, reason: str | None, seconds: float | None) -> None:
        """Keep and tell a lane's new state; a warning or a remark only the first time."""
        if state in ("warning", "remark"):
            if reason in self.told:
                return
            if len(self.told) < MOST_TOLD:
                self.told.append(reason or "")
        super().on_lane_state(gateway, state, reason, seconds)


class KeptLane:
    """The lane of one gateway in one session of a run, with its connections and its credential."""

    def __init__(
        self, lane: Lane, sender: LeasedSend, stack: AsyncExitStack, usage_reader: UsageReader | None
    ) -> None:
        self.lane = lane
        self.sender = sender
        self.usage_reader = usage_reader
        self.carry: LaneCarry | None = None
        """What the last chunk returned; None while a chunk goes on."""
        self.limits: Limits | None = None
        self._stack = stack

    def fits(self, carry: LaneCarry) -> bool:
        """Return whether no other worker has worked on the lane since."""
        return self.carry == carry

    def obey_limits(self, limits: Limits | None) -> None:
        """Put the limits of an operator in force."""
        if limits is None or limits == self.limits:
            return
        concurrency = limits.concurrency or self.lane.gateway.CONCURRENCY
        self.lane.limit(concurrency=concurrency, rate=limits.rate)
        self.limits = limits

    def export(self, told: list[str], ahead: float) -> LaneCarry:
        """Return what another worker needs to go on with the lane.

        ``ahead``: the server's Unix time, less the monotonic clock's. The workers' own clocks may differ.
        """
        standing = self.lane.describe_standing()
        return LaneCarry(
            state=standing.state,
            reason=standing.reason,
            given_up=standing.given_up,
            rate=standing.rate,
            limits=self.limits,
            faulty=standing.faulty,
            unsent=standing.unsent,
            has_answered=standing.has_answered,
            parked_since=_shift(standing.parked_since, ahead),
            paused_until=_shift(standing.paused_until, ahead),
            next_at=_shift(standing.next_at, ahead),
            told=tuple(told),
        )

    async def close(self) -> None:
        """Close the connections; safe to call twice."""
        self.sender.lease = None
        await self._stack.aclose()


def _shift(at: float | None, by: float) -> float | None:
    return None if at is None else at + by


def import_standing(carry: LaneCarry, ahead: float) -> LaneStanding:
    """Return where another worker's lane stood, on this machine's monotonic clock.

    The server's Unix time is ``ahead`` of it.
    """
    return LaneStanding(
        state=carry.state,
        reason=carry.reason,
        given_up=carry.given_up,
        rate=carry.rate,
        faulty=carry.faulty,
        unsent=carry.unsent,
        has_answered=carry.has_answered,
        parked_since=_shift(carry.parked_since, -ahead),
        paused_until=_shift(carry.paused_until, -ahead),
        next_at=_shift(carry.next_at, -ahead),
    )


@asynccontextmanager
async def _connect_leased(
    environment: Environment, gateway: Gateway, sender: LeasedSend
) -> AsyncIterator[Send]:
    async with environment.connect(gateway) as send:
        yield sender.hold_back(send)


async def open_lane(
    gateway: Gateway,
    material: Material,
    resources: RunResources,
    order: ChunkOrder,
    recorder: ToldOnce,
    *,
    ahead: float,
) -> KeptLane:
    """Open the lane of a chunk, and go on where the worker before stood.

    ``ahead``: the server's Unix time, less the monotonic clock's.
    Raises CredentialError and UsageError where the gateway cannot be connected to; nothing was sent then.
    """
    environment, stack, sender = resources.environment, AsyncExitStack(), LeasedSend()
    leased = replace(environment, connect=lambda each: _connect_leased(environment, each, sender))
    limits = order.orders.limits.get(gateway.name) or order.carry.limits
    try:
        send = sender.guard(await stack.enter_async_context(open_connection(leased, gateway)))
        learned = LearnedLimits(rate=order.carry.rate, limits=limits)
        act = resources.spec.change.act
        lane = Lane(gateway, material, send, environment, resources.run_gate, recorder, learned, act)
    except BaseException:
        await stack.aclose()
        raise
    lane.take_up(import_standing(order.carry, ahead), recorder)
    kept = KeptLane(lane, sender, stack, _make_usage_reader(lane, resources))
    kept.limits = limits
    return kept


def _make_usage_reader(lane: Lane, resources: RunResources) -> UsageReader | None:
    spec = resources.spec
    if spec.in_use == "ignore":
        return None
    # A warning is not worth a wait.
    patience = lane.gateway.park_for if spec.in_use == "refuse" else 0.0
    return UsageReader(lane, spec.plan.in_use_over.hours, patience)


def prepare_lane(kept: KeptLane, resources: RunResources, window: SessionWindow) -> None:
    """Have the resources of a chunk know its lane; tell what is to be told of a lane that was just opened."""
    lane, name = kept.lane, kept.lane.gateway.name
    resources.lanes[name] = lane
    if kept.usage_reader is not None:
        resources.usage_readers[name] = kept.usage_reader
    if kept.carry is not None:
        return
    if are_snapshots_wanted(resources):
        lane.state_list.serve_snapshots()
    texts = [*list_warnings(lane.gateway), lane.authenticator.warning, *window.list_warnings(lane)]
    for warning in filter(None, texts):
        lane.announcer.warn(warning)
