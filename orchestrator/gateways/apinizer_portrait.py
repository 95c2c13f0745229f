"""What an Apinizer manager is asked before an undeploy and after a deploy.

A deploy publishes the manager's present definition, not what ran before: the two are the same only where
nothing was edited after the last deploy. After the vendor's pages "Get Deploy Status", "Get Worker Route
Health", "Deploy API Proxy" and "Rollback Deploy History".
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec.structs import replace

from orchestrator.gateways.apinizer_looks import HEALTH, STATUS, joined, next_look, offered
from orchestrator.model import Ask, Facts, Obstacle, Reading, Snapshot, Verdict

ROLLBACK = "rollback"
"""The way of a deploy that first brings a revision back. It overwrites the manager's working definition."""


def next_portrait(seen: Mapping[str, Reading], lacking: frozenset[str]) -> Ask | Snapshot:
    """Return the next read of a snapshot, or what the reads so far amount to."""
    found = next_look(seen, lacking, None)
    if isinstance(found, Ask):
        return found
    if found.verdict is not Verdict.UP:
        return _snapshot(found, found.facts or Facts())
    if not offered(STATUS, seen, lacking):
        # An older manager has no word for unpublished edits, nor for the revision that is deployed.
        return replace(_snapshot(found, found.facts or Facts()), deploy="{}", obstacles=("missing-history",))
    if offered(HEALTH, seen, lacking) and HEALTH.via not in seen:
        return HEALTH
    health = seen.get(HEALTH.via)
    facts = joined(found.facts or Facts(), (health.facts if health else None) or Facts())
    obstacles: list[Obstacle] = ["unpublished-edits"] if facts.edited else []
    if facts.edited is None:
        obstacles.append("missing-history")
    return replace(_snapshot(found, facts), deploy="{}", obstacles=tuple(obstacles))


def _snapshot(found: Reading, facts: Facts) -> Snapshot:
    return Snapshot(
        verdict=found.verdict, code=found.code, message=found.message, hidden=found.hidden, facts=facts
    )


def next_proof(seen: Mapping[str, Reading], lacking: frozenset[str], about: Reading | None) -> Ask | Reading:
    """Return the next read, or whether the proxy is deployed: by the manager's word and on every pod that
    answers, of which there are no fewer than the deploy's own reply named."""
    found = next_look(seen, lacking, None)
    if isinstance(found, Ask) or found.verdict is not Verdict.UP or not offered(STATUS, seen, lacking):
        return found
    if not offered(HEALTH, seen, lacking):
        return found
    health = seen.get(HEALTH.via)
    if health is None:
        return HEALTH
    facts = joined(found.facts or Facts(), health.facts or Facts())
    responded, active = facts.pods_responded or 0, facts.pods_active or 0
    wanted = max(responded, about.pod_count if about else 0)
    if not responded:
        return Reading(verdict=Verdict.UNCLEAR, message="no pod answered the manager", facts=facts)
    if active < wanted:
        text = f"{active} of {wanted} pods serve it"
        return Reading(verdict=Verdict.PARTIAL, message=text, pod_count=wanted, facts=facts)
    return replace(found, facts=facts)
