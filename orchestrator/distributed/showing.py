"""What a person sees of a run on Temporal's own page: search attributes, memo, a line. Never a secret."""

from __future__ import annotations

from collections.abc import Mapping

from temporalio.common import (
    SearchAttributeKey,
    SearchAttributePair,
    SearchAttributeUpdate,
    TypedSearchAttributes,
)

from orchestrator.distributed.names import SEARCH_ATTRIBUTES
from orchestrator.distributed.payloads import LaneInput, RunInput
from orchestrator.text.characters import cut_between_letters

LONGEST_PLAN = 160
"""Characters of a plan's name that a search attribute and a line get.

A server takes 2,048 bytes of an attribute, as JSON in ASCII: a character is up to 12 of them.
"""

PLAN, RUN, GATEWAY = (SearchAttributeKey.for_keyword(name) for name in SEARCH_ATTRIBUTES)


def _name_plan(plan: str) -> str:
    """Return the name of a plan, or the beginning of a long one."""
    return plan if len(plan) <= LONGEST_PLAN else f"{cut_between_letters(plan, LONGEST_PLAN - 1)}…"


def describe_run(given: RunInput) -> Mapping[str, str]:
    """Return the memo with which the workflow of a session begins."""
    return {"plan": given.plan, "run": given.run}


def search_run(given: RunInput) -> TypedSearchAttributes | None:
    """Return the search attributes of the workflow of a session; None where the server has none."""
    if not given.searchable:
        return None
    return TypedSearchAttributes(
        [SearchAttributePair(PLAN, _name_plan(given.plan)), SearchAttributePair(RUN, given.run)]
    )


def search_scheduled(given: RunInput) -> TypedSearchAttributes:
    """Return the search attributes of what a schedule starts; none where the server has none."""
    return TypedSearchAttributes(
        [SearchAttributePair(PLAN, _name_plan(given.plan))] if given.searchable else []
    )


def name_started(given: RunInput) -> list[SearchAttributeUpdate[str]]:
    """Return the search attributes that only a workflow which a schedule has started can tell."""
    return [RUN.value_set(given.run)] if given.searchable else []


def summarize_run(given: RunInput) -> str:
    """Return the line that Temporal's page shows of a session."""
    act = "Restore" if given.act == "restore" else "Undeploy"
    return f"{act} {_name_plan(given.plan)}: run {given.run}, session {given.session}"


def describe_lane(given: LaneInput) -> Mapping[str, str]:
    """Return the memo with which a lane's workflow begins."""
    return {"plan": given.plan, "run": given.run, "gateway": given.place.gateway, "zone": given.zone}


def search_lane(given: LaneInput) -> TypedSearchAttributes | None:
    """Return the search attributes of a lane's workflow; None where the server has none."""
    if not given.searchable:
        return None
    values = {PLAN: _name_plan(given.plan), RUN: given.run, GATEWAY: given.place.gateway}
    return TypedSearchAttributes([SearchAttributePair(key, value) for key, value in values.items()])


def summarize_lane(given: LaneInput) -> str:
    """Return the line that Temporal's page shows of a lane."""
    place = given.place
    return f"{place.gateway} in zone {given.zone}: {place.count:,} targets of {_name_plan(given.plan)}"
