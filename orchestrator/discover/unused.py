"""Leaves out of a search what was called lately, by the looks of a preview at what the search has found."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from orchestrator.discover.survey import GatewaySurvey
from orchestrator.discover.target_lines import find_naming_fault
from orchestrator.lanes.environment import Environment
from orchestrator.model.credentials import Material
from orchestrator.model.gateway import Gateway
from orchestrator.model.search import FoundTarget
from orchestrator.model.target import Target, TargetId
from orchestrator.model.target_id import join_id
from orchestrator.model.usage import describe_calls, format_hours
from orchestrator.preview.gateway_look import GatewayLook
from orchestrator.preview.planned import PlannedTarget
from orchestrator.preview.progress import LookProgress
from orchestrator.preview.states import PreviewGroup, SeenTarget


class UnusedSelection:
    """The found targets of one gateway, of which those are kept that nobody called in the last ``hours``."""

    def __init__(self, gateway: Gateway, hours: int, keep: Callable[[FoundTarget], None]) -> None:
        self._gateway = gateway
        self._hours = hours
        self._keep = keep
        self._found: dict[tuple[str, ...], FoundTarget] = {}

    def add(self, found: FoundTarget) -> None:
        """Take a target that may be unused; the same one more than once counts once."""
        # Of a name that no plan can hold no address can be made either: `keep` tells that it is left out.
        if find_naming_fault(self._gateway, found):
            self._keep(found)
        else:
            self._found.setdefault(found.parts, found)

    async def select(self, environment: Environment, material: Material, survey: GatewaySurvey) -> None:
        """Ask how often each target was called, and keep the unused; the others become gaps, or a remark.

        The credential is the one with which the survey has ended, or else ``material``.
        """
        if survey.refusal is not None:
            for parts in self._found:
                survey.miss(f"{join_id(self._gateway.name, parts)} is left out: {survey.refusal}")
            return
        if not self._found:
            return
        planned = [
            PlannedTarget(self._make_target(number, parts), 0) for number, parts in enumerate(self._found, 1)
        ]
        look = GatewayLook(
            self._gateway,
            environment,
            planned,
            LookProgress(None, len(planned)),
            hours=self._hours,
            reads_siblings=False,
        )
        # What the gateway has rejected during the survey must not be sent once more.
        await look.run(survey.access or material, None)
        survey.result.requests += look.conclude().gateway.requests
        self._sort(look.targets, survey)

    def _make_target(self, number: int, parts: tuple[str, ...]) -> Target:
        return Target(number, TargetId(join_id(self._gateway.name, parts)), self._gateway.name, 0, parts)

    def _sort(self, seen_targets: Sequence[SeenTarget], survey: GatewaySurvey) -> None:
        used = 0
        for seen in seen_targets:
            if gap := _find_gap(seen):
                survey.miss(f"{seen.target.id} is left out: {gap}")
            elif seen.usage is not None and seen.usage.calls == 0:
                self._keep(self._found[seen.target.parts])
            elif seen.usage is not None:
                used += 1
        if used:
            survey.result.remarks.append(f"{used:,} called in {format_hours(self._hours)} and left out")


def _find_gap(seen: SeenTarget) -> str | None:
    """Return why nothing tells whether a target is unused; None where its calls are told, or it is down."""
    if seen.usage is not None:
        return f"its calls are {describe_calls(seen.usage)}" if seen.usage.calls is None else None
    return f"its state is unknown: {seen.why}" if seen.group is PreviewGroup.UNKNOWN else None
