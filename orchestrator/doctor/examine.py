"""All gateways of a plan, visited side by side, each with a few of its targets."""

from __future__ import annotations

from collections.abc import Sequence

import anyio

from orchestrator.doctor.findings import GatewayDiagnosis
from orchestrator.doctor.visit import PATIENCE, GatewayProbe, visit_gateway
from orchestrator.journal.database import Database
from orchestrator.journal.targets import read_nth
from orchestrator.lanes.environment import Environment
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
    probes = _make_probes(loaded, environment.now())
    done: dict[str, GatewayDiagnosis] = {}

    async def visit_one(probe: GatewayProbe) -> None:
        done[probe.gateway.name] = await visit_gateway(probe, environment, patience=patience)

    async with anyio.create_task_group() as group:
        for probe in probes:
            group.start_soon(visit_one, probe)
    return tuple(done[probe.gateway.name] for probe in probes)


def _make_probes(loaded: LoadedPlan, now: float) -> list[GatewayProbe]:
    closes = _find_close(loaded.plan, now)
    return [
        GatewayProbe(
            gateway=gateway,
            samples=choose_samples(loaded.draft.database, index, gateway.name, total),
            total=total,
            folder=loaded.folder,
            closes=closes,
        )
        for index, gateway in enumerate(loaded.plan.gateways)
        for total in (loaded.by_gateway.get(gateway.name, 0),)
    ]


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
