"""Surveys all gateways of a search side by side, each through a lane of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import anyio

from orchestrator.discover.survey import GatewaySurvey, SurveyListener, SurveyResult
from orchestrator.discover.unused import UnusedSelection
from orchestrator.lanes.environment import Environment, open_connection, resolve_each
from orchestrator.model.credentials import Material
from orchestrator.model.gateway import Gateway
from orchestrator.model.search import FoundTarget, TargetFilter

KeepTarget = Callable[[Gateway, FoundTarget], str | None]
"""Takes a target that was found, and returns why a plan cannot hold it; None where the plan can."""


async def survey_gateways(
    gateways: Sequence[Gateway],
    wanted: Mapping[str, TargetFilter],
    environment: Environment,
    listener: SurveyListener,
    keep: KeepTarget,
    *,
    unused: int | None = None,
) -> dict[str, SurveyResult]:
    """Return the result of each gateway's survey, by the gateway's name.

    ``unused``: keep only what nobody called in so many hours.

    Raises ``CredentialError`` and ``UsageError`` before anything is sent, where a credential, a certificate
    or a proxy cannot be used. A fault of a gateway is no error: it is among the gaps of its result.
    """
    for gateway in gateways:
        environment.check(environment.reach(gateway))
    materials = await resolve_each(gateways, environment.credential)
    surveys: dict[str, GatewaySurvey] = {}
    selections: dict[str, UnusedSelection] = {}

    async def survey_one(gateway: Gateway, material: Material) -> None:
        async with open_connection(environment, gateway) as send:
            await surveys[gateway.name].run(material, send)
        if (selection := selections.get(gateway.name)) is not None:
            await selection.select(environment, material, surveys[gateway.name])

    async with anyio.create_task_group() as group:
        for gateway in map(environment.reach, gateways):
            name = gateway.name
            surveys[name], selection = _make_survey(
                gateway, wanted[name], environment, listener, keep, unused
            )
            if selection is not None:
                selections[name] = selection
            group.start_soon(survey_one, gateway, materials[gateway.name])
    return {name: survey.result for name, survey in surveys.items()}


def _make_survey(
    gateway: Gateway,
    wanted: TargetFilter,
    environment: Environment,
    listener: SurveyListener,
    keep: KeepTarget,
    unused: int | None,
) -> tuple[GatewaySurvey, UnusedSelection | None]:
    def take(found: FoundTarget) -> None:
        if why := keep(gateway, found):
            survey.miss(why)

    selection = None if unused is None else UnusedSelection(gateway, unused, take)
    survey = GatewaySurvey(gateway, wanted, environment, listener, selection.add if selection else take)
    return survey, selection
