"""Apinizer's reads of live state: what each one says, and what several of them amount to.

After the vendor's pages "Get Deploy Status", "Get Worker Route Health", "List Deploy History" and
"Get API Proxy". The first two exist from 2026.09.0 on, the others serve older managers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec.structs import replace

from orchestrator.gateways.apinizer.replies import (
    accepted,
    envelope,
    hides,
    is_of_another,
    reading,
    rejection,
    said,
    said_of_another,
)
from orchestrator.gateways.envelope import count_of, first_text, json_object, whole_number
from orchestrator.gateways.naming import OF_ANOTHER, is_named
from orchestrator.gateways.text import shown, some_of, uncut
from orchestrator.model.http import Reply
from orchestrator.model.reading import Act, LookFacts, Operation, Reading, Verdict
from orchestrator.model.target import Target

STATUS = Operation(Act.LOOK, "deploy-status")
HEALTH = Operation(Act.LOOK, "route-health")
HISTORIES = Operation(Act.LOOK, "deploy-histories")
PROXY = Operation(Act.LOOK, "proxy")


def read_look(via: str, target: Target, reply: Reply) -> Reading:
    """Return what a reply to the read ``via`` means. Never raises; a fault of any kind is UNCLEAR."""
    body = json_object(reply)
    verdict = rejection(reply, body)
    if verdict is not None:
        return reading(verdict, reply, body)
    if reply.status == 200:
        if is_of_another(target, body or {}, *_owners(via, body)):
            return reading(Verdict.UNCLEAR, reply, body, message=OF_ANOTHER)
        facts = _facts(via, target, body)
        return reading(Verdict.UNCLEAR, reply, body) if facts is None else _state(facts)
    error = envelope(body, target) if reply.status in {400, 404} else None
    verdict = said(error)
    if verdict is Verdict.ABSENT:
        if error is not None and error.of_another:
            return reading(Verdict.UNCLEAR, reply, body, message=said_of_another(body))
        return reading(verdict, reply, body, hidden=hides(error), evidence="code")
    if verdict is Verdict.DENIED:
        return reading(verdict, reply, body)
    return reading(Verdict.NOT_OFFERED if reply.status == 404 else Verdict.UNCLEAR, reply, body)


def _owners(via: str, body: dict[str, Any] | None) -> list[dict[str, Any]]:
    """Return what says whose state a read tells. A proxy calls its own name ``name``; the records of a
    history are told apart by their environments, so those of others are no fault."""
    if via == PROXY.via:
        return [{**entry, "apiProxyName": entry.get("name")} for entry in _entries(body) or [body or {}]]
    return _entries(body) if via in (STATUS.via, HEALTH.via) else []


def _facts(via: str, target: Target, body: dict[str, Any] | None) -> LookFacts | None:
    """Return what the read saw, ``None`` where it says nothing that can be believed."""
    match via:
        case "deploy-status":
            return _status(_entries(body))
        case "route-health":
            return _health(_entries(body))
        case "deploy-histories":
            return _newest(_entries(body), target.parts[-1])
        case "proxy":
            return _deployment(_entries(body) or [body or {}], target.parts[-1])
    return None


def _state(facts: LookFacts) -> Reading:
    """Judge by the pods where the read asked them (no answer says nothing), else by the manager's word."""
    if facts.pods_responded == 0:
        return Reading(verdict=Verdict.UNCLEAR, message="no pod answered the manager", facts=facts)
    up = facts.deployed if facts.pods_active is None else facts.pods_active > 0
    return Reading(verdict=Verdict.UP if up else Verdict.DOWN, evidence="look", facts=facts)


def _entries(body: dict[str, Any] | None) -> list[dict[str, Any]]:
    listed = (body or {}).get("resultList") if accepted(body) else None
    return [entry for entry in listed if isinstance(entry, dict)] if isinstance(listed, list) else []


def _status(entries: list[dict[str, Any]]) -> LookFacts | None:
    if len(entries) != 1 or not isinstance(entries[0].get("deployed"), bool):
        return None
    (entry,) = entries
    edited = entry.get("redeployRequired")
    return LookFacts(
        deployed=entry["deployed"],
        revision=_noted(entry.get("revision")),
        since=_noted(entry.get("lastDeployTime")),
        edited=edited if isinstance(edited, bool) else None,
    )


def _health(entries: list[dict[str, Any]]) -> LookFacts | None:
    if len(entries) != 1:
        return None
    (entry,) = entries
    active, responded = count_of(entry.get("podsActive")), count_of(entry.get("podsResponded"))
    if active is None or responded is None:
        return None
    pods = entry.get("pods")
    named = _serving(pods if isinstance(pods, list) else [])
    if _says_otherwise(entry, pods, active or len(named)):
        return None
    deployed, path = entry.get("deployedInManager"), first_text(entry, "servedPath")
    return LookFacts(
        path=path and shown(path),
        deployed=deployed if isinstance(deployed, bool) else None,
        # `routeActive` is false as soon as one pod is down, so it is the count that tells; where the count
        # and the list differ, the one that says more pods serve is believed.
        pods_active=max(active, len(named)),
        pods_responded=max(responded, active, len(named)),
        serving=some_of(named)[0],
    )


def _says_otherwise(entry: dict[str, Any], pods: object, active: int) -> bool:
    """Tell whether a read speaks against its own count of no active pods, or cannot be read there."""
    if active:
        return False
    listed = pods if isinstance(pods, list) else [pods] if pods is not None else []
    told = [pod.get("routeActive") if isinstance(pod, dict) else pod for pod in listed]
    return entry.get("routeActive") is True or any(one is not None and one is not False for one in told)


def _serving(pods: list[Any]) -> tuple[str, ...]:
    active = [pod for pod in pods if isinstance(pod, dict) and pod.get("routeActive") is True]
    return tuple(first_text(pod, "workerPodIp") or "unnamed" for pod in active)


def _newest(entries: list[dict[str, Any]], environment: str) -> LookFacts | None:
    """Read the newest record of the environment; the order of the list is not promised."""
    records = [entry for entry in entries if is_named(entry.get("environment"), environment)]
    numbers = [whole_number(record.get("revision")) for record in records]
    if not records or None in numbers:
        return None
    newest = max(records, key=lambda record: record["revision"])
    told = [record.get("deploy") for record in records if record["revision"] == newest["revision"]]
    if not isinstance(newest.get("deploy"), bool) or told.count(newest["deploy"]) < len(told):
        return None
    return LookFacts(
        deployed=newest["deploy"],
        revision=_noted(newest["revision"]),
        since=_noted(newest.get("deploymentTime")),
    )


class ProxySiblings:
    """The sibling feature: a proxy's own list names the environments in which it is deployed."""

    @property
    def operation(self) -> Operation:
        """The read of the proxy."""
        return PROXY

    def read(self, target: Target, reply: Reply) -> frozenset[str] | None:
        """Return the environments that the list shows as deployed; None where there is no list."""
        body = json_object(reply) if reply.status == 200 else None
        if is_of_another(target, *_owners(PROXY.via, body)):
            return None
        rows = _deployments(_entries(body) or [body or {}])
        if not rows or not all(isinstance(row.get("deployed"), bool) for row in rows):
            return None
        return frozenset(row["environmentName"] for row in rows if row["deployed"] and _named_place(row))


def _named_place(row: dict[str, Any]) -> bool:
    return isinstance(row.get("environmentName"), str)


def _deployments(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    listed = entries[0].get("deploymentList") if len(entries) == 1 else None
    return [row for row in listed if isinstance(row, dict)] if isinstance(listed, list) else []


def _deployment(entries: list[dict[str, Any]], environment: str) -> LookFacts | None:
    """Read the proxy's own list of deployments; older managers send the object without a list around it."""
    ours = [row for row in _deployments(entries) if is_named(row.get("environmentName"), environment)]
    if len(ours) != 1 or not isinstance(ours[0].get("deployed"), bool):
        return None
    edited = ours[0].get("redeployRequired")
    return LookFacts(deployed=ours[0]["deployed"], edited=edited if isinstance(edited, bool) else None)


def _noted(value: object) -> str | None:
    """Return a revision or a time as it can be kept: in full, or not at all."""
    if isinstance(value, str):
        return uncut(value)
    number = whole_number(value)
    return None if number is None or abs(number) >= 2**63 else str(number)


def next_look(
    seen: Mapping[str, Reading], lacking: frozenset[str], about: Reading | None
) -> Operation | Reading:
    """Return the next read, or what those in ``seen`` amount to (see ``Gateway.next_look``)."""
    doubted = about if about is not None and about.verdict is Verdict.PARTIAL else None
    absent = next((one for one in seen.values() if one.verdict is Verdict.ABSENT), None)
    if absent is not None:
        return absent
    if offered(STATUS, seen, lacking):
        return _by_status(seen, lacking, doubted)
    return _by_record(seen, lacking, doubted)


def offered(operation: Operation, seen: Mapping[str, Reading], lacking: frozenset[str]) -> bool:
    """Tell whether this manager has such a read, as far as that is known."""
    one = seen.get(operation.via)
    return operation.via not in lacking and (one is None or one.verdict is not Verdict.NOT_OFFERED)


def _by_status(
    seen: Mapping[str, Reading], lacking: frozenset[str], doubted: Reading | None
) -> Operation | Reading:
    status = seen.get(STATUS.via)
    if status is None:
        return STATUS
    if status.verdict is not Verdict.DOWN:
        return status
    if not offered(HEALTH, seen, lacking):
        return _word_alone(status, doubted)
    health = seen.get(HEALTH.via)
    return HEALTH if health is None else _both(status, health, doubted)


def _both(status: Reading, health: Reading, doubted: Reading | None) -> Reading:
    """Put the manager's "down" and the pods' answer together."""
    facts = joined(status.facts or LookFacts(), health.facts or LookFacts())
    if health.verdict is Verdict.UP:
        return Reading(
            verdict=Verdict.PARTIAL,
            message="the manager says undeployed, but pods still serve it",
            pods=facts.serving,
            more_pods=max(0, (facts.pods_active or 0) - len(facts.serving)),
            pod_count=facts.pods_responded or 0,
            facts=facts,
        )
    if health.verdict is not Verdict.DOWN:
        return replace(health, facts=facts, **named(doubted))
    if health.facts is not None and health.facts.deployed:
        text = "the manager's two reads contradict each other"
        return Reading(verdict=Verdict.UNCLEAR, message=text, facts=facts, **named(doubted))
    wanted = doubted.pod_count if doubted is not None else 0
    if (facts.pods_responded or 0) < wanted:
        text = f"{facts.pods_responded} of {wanted} pods answered the manager, none of them serves it"
        return Reading(verdict=Verdict.UNCLEAR, message=text, facts=facts, **named(doubted))
    return replace(status, facts=facts)


def joined(manager: LookFacts, pods: LookFacts) -> LookFacts:
    """Return what the manager and its pods say, together."""
    return replace(
        manager,
        pods_active=pods.pods_active,
        pods_responded=pods.pods_responded,
        serving=pods.serving,
        path=pods.path,
    )


def named(doubted: Reading | None) -> dict[str, Any]:
    """Return the pods that a reply named as those that did not obey, as fields of a reading."""
    if doubted is None:
        return {}
    return {"pods": doubted.pods, "more_pods": doubted.more_pods, "pod_count": doubted.pod_count}


def _by_record(
    seen: Mapping[str, Reading], lacking: frozenset[str], doubted: Reading | None
) -> Operation | Reading:
    """Ask an older manager: its newest record of the environment, then the proxy's own list."""
    unclear = None
    for operation in (HISTORIES, PROXY):
        if not offered(operation, seen, lacking):
            continue
        one = seen.get(operation.via)
        if one is None:
            return operation
        if one.verdict is not Verdict.UNCLEAR:
            return _word_alone(one, doubted)
        unclear = unclear or one
    return unclear or Reading(verdict=Verdict.NOT_OFFERED)


def _word_alone(manager: Reading, doubted: Reading | None) -> Reading:
    """The manager's word is enough, but never against a row of its own reply that said false."""
    if doubted is None or manager.verdict is not Verdict.DOWN:
        return manager
    return replace(doubted, facts=manager.facts)
