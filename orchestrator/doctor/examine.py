"""All gateways of a plan, visited side by side, each with a few of its targets."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import anyio
from msgspec import Struct

from orchestrator.doctor.findings import GatewayDiagnosis
from orchestrator.doctor.visit import PATIENCE, GatewayProbe, visit_gateway
from orchestrator.journal.database import Database
from orchestrator.journal.targets import count_by_gateway, read_nth
from orchestrator.lanes.environment import Environment
from orchestrator.model.gateway import Gateway
from orchestrator.model.plan import Plan
from orchestrator.model.target import Target
from orchestrator.runs.load import LoadedPlan

SAMPLES = 3
"""Targets of each gateway that are looked at."""


async def examine_gateways(
    loaded: LoadedPlan, environment: Environment, *, patience: float = PATIENCE
) -> tuple[GatewayDiagnosis, ...]:
    """Return the diagnosis of each gateway, in the plan's order, within about ``patience`` seconds.

    Sends nothing but logins and reads, and resolves each credential once. Raises JournalError where the
    targets that were read cannot be read again.
    """
    samples = read_samples(loaded.draft.database, loaded.plan)
    return await examine_samples(loaded.plan, samples, environment, loaded.folder, patience=patience)


class GatewaySamples(Struct, frozen=True):
    """A gateway of a plan, and a few of its targets."""

    gateway: Gateway
    targets: tuple[Target, ...]
    total: int
    """How many targets the plan has at the gateway."""


def read_samples(database: Database, plan: Plan) -> list[GatewaySamples]:
    """Return each gateway of a plan with a few of its targets, in the plan's order."""
    counts = count_by_gateway(database)
    return [
        GatewaySamples(gateway, tuple(choose_samples(database, index, gateway.name, total)), total)
        for index, gateway in enumerate(plan.gateways)
        for total in (counts.get(index, 0),)
    ]


async def examine_samples(
    plan: Plan,
    samples: Sequence[GatewaySamples],
    environment: Environment,
    folder: Path,
    *,
    patience: float = PATIENCE,
) -> tuple[GatewayDiagnosis, ...]:
    """Return the diagnosis of each gateway of ``samples``; another machine may have read the plan.

    Paths in the plan are relative to ``folder``.
    """
    closes = _find_close(plan, environment.now())
    done: dict[str, GatewayDiagnosis] = {}

    async def visit_one(one: GatewaySamples) -> None:
        probe = GatewayProbe(
            gateway=one.gateway, samples=one.targets, total=one.total, folder=folder, closes=closes
        )
        done[one.gateway.name] = await visit_gateway(probe, environment, patience=patience)

    async with anyio.create_task_group() as group:
        for one in samples:
            group.start_soon(visit_one, one)
    return tuple(done[one.gateway.name] for one in samples)


def _find_close(plan: Plan, now: float) -> float | None:
    if plan.window is None or plan.window.closes is None:
        return None
    # A window that is over bounds nothing any more.
    closes = plan.window.closes.timestamp()
    return closes if closes > now else None


def choose_samples(database: Database, gateway: int, name: str, total: int) -> Sequence[Target]:
    """Return the first, the middle and the last of a gateway's ``total`` targets, or as many as there are."""
    # Plans are often sorted: targets that are far apart are more likely to differ in their rights.
    places = sorted({0, total // 2, total - 1}) if total else []
    return [read_nth(database, gateway, name, place) for place in places[:SAMPLES]]
