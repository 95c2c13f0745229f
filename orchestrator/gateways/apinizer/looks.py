"""Apinizer's reads of live state: the meaning of each one, and of several of them together.

After the vendor's pages "Get Deploy Status", "Get Worker Route Health", "List Deploy History" and
"Get API Proxy". The first two exist from 2026.09.0 on, the others serve older managers.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from msgspec.structs import replace

from orchestrator.gateways.apinizer.replies import (
    find_error,
    is_cut,
    is_success,
    judge_error,
    judge_rejection,
    make_reading,
    may_be_hidden,
    names_another_target,
    quote_foreign_error,
)
from orchestrator.gateways.envelope import as_count, as_whole_number, find_text, parse_object
from orchestrator.gateways.naming import OF_ANOTHER, is_same_name
from orchestrator.gateways.text import keep_whole, list_first, show_text
from orchestrator.model.http import Reply
from orchestrator.model.reading import Act, LookFacts, Operation, Reading, Verdict
from orchestrator.model.target import Target

STATUS = Operation(Act.LOOK, "deploy-status")
HEALTH = Operation(Act.LOOK, "route-health")
HISTORIES = Operation(Act.LOOK, "deploy-histories")
PROXY = Operation(Act.LOOK, "proxy")


_UNREACHED = (
    r"(?i)refused|timed?[\s_-]*out|unreachable|unknown\s*host|no\s*route\s*to\s*host|reset|broken\s+pipe"
    r"|(?:not|failed\s+to)\s+(?:connect|resolve|reach)|connect\s*exception|socket|i/o\s+error"
)
"""Words of a pod's ``error`` about the network; its other error is "proxy not loaded", which is an answer."""


def read_look(via: str, target: Target, reply: Reply) -> Reading:
    """Return the meaning of a reply to the read ``via``. Never raises; a fault of any kind is UNCLEAR."""
    body = parse_object(reply)
    verdict = judge_rejection(reply, body)
    if verdict is not None:
        return make_reading(verdict, reply, body)
    if reply.status == 200:
        if names_another_target(target, body or {}, *_list_owners(via, body)):
            return make_reading(Verdict.UNCLEAR, reply, body, message=OF_ANOTHER)
        facts = _find_facts(via, target, body)
        if facts is None:
            return make_reading(Verdict.UNCLEAR, reply, body)
        return _judge_facts(facts, _count_unreached(via, body))
    error = find_error(body, target) if reply.status in {400, 404} else None
    verdict = judge_error(error)
    if verdict is Verdict.ABSENT:
        if error is not None and error.of_another:
            return make_reading(Verdict.UNCLEAR, reply, body, message=quote_foreign_error(body))
        return make_reading(verdict, reply, body, hidden=may_be_hidden(error), evidence="code")
    if verdict is Verdict.DENIED:
        return make_reading(verdict, reply, body)
    # The newer reads came with 2026.09.0: an older manager answers their paths with a bare 404.
    return make_reading(Verdict.NOT_OFFERED if reply.status == 404 else Verdict.UNCLEAR, reply, body)


def _list_owners(via: str, body: dict[str, Any] | None) -> list[dict[str, Any]]:
    """Return the objects of a reply that name its target.

    A proxy calls its own name ``name``. The records of a history are told apart by their environments, so
    records of other environments are no fault.
    """
    if via == PROXY.via:
        return [{**entry, "apiProxyName": entry.get("name")} for entry in list_proxies(body)]
    return _list_entries(body) if via in (STATUS.via, HEALTH.via) else []


def _find_facts(via: str, target: Target, body: dict[str, Any] | None) -> LookFacts | None:
    """Return the facts that a read saw; ``None`` where the reply says nothing that can be believed."""
    match via:
        case "deploy-status":
            return _read_status(_list_entries(body))
        case "route-health":
            return _read_health(_list_entries(body))
        case "deploy-histories":
            return _read_newest(_list_entries(body), target.parts[-1])
        case "proxy":
            return _read_deployment(list_proxies(body), target.parts[-1])
    return None


def _judge_facts(facts: LookFacts, unreached: int) -> Reading:
    """Judge by the pods where the read asked them (no answer says nothing), else by the manager's word.

    Where it names pods that could not be reached, the reading counts all that it names.
    """
    if facts.pods_responded == 0:
        return Reading(verdict=Verdict.UNCLEAR, message="no pod answered the manager", facts=facts)
    up = facts.deployed if facts.pods_active is None else facts.pods_active > 0
    verdict, named = Verdict.UP if up else Verdict.DOWN, 0 if up else unreached + (facts.pods_responded or 0)
    return Reading(verdict=verdict, evidence="look", facts=facts, pod_count=named if unreached else 0)


def _list_entries(body: dict[str, Any] | None) -> list[dict[str, Any]]:
    """Return the entries of a list; none where one is missing or unreadable: it may be the one that tells."""
    listed = (body or {}).get("resultList") if is_success(body) else None
    if not isinstance(listed, list) or is_cut(body, listed):
        return []
    return listed if all(isinstance(entry, dict) for entry in listed) else []


def list_proxies(body: dict[str, Any] | None) -> list[dict[str, Any]]:
    """Return the proxies of a reply; older managers send the one proxy without a list around it."""
    fields = body or {}
    # In a list, or in an envelope that says failure, nothing stands for the proxy itself.
    has_envelope = fields.keys() & {"resultList", "success", "error"} or fields.get("status") == "FAILURE"
    return _list_entries(body) if has_envelope else [fields]


def _read_status(entries: list[dict[str, Any]]) -> LookFacts | None:
    if len(entries) != 1 or not isinstance(entries[0].get("deployed"), bool):
        return None
    (entry,) = entries
    edited = entry.get("redeployRequired")
    return LookFacts(
        deployed=entry["deployed"],
        revision=_keep_value(entry.get("revision")),
        since=_keep_value(entry.get("lastDeployTime")),
        edited=edited if isinstance(edited, bool) else None,
    )


def _read_health(entries: list[dict[str, Any]]) -> LookFacts | None:
    if len(entries) != 1:
        return None
    (entry,) = entries
    active, responded = as_count(entry.get("podsActive")), as_count(entry.get("podsResponded"))
    if active is None or responded is None:
        return None
    pods = entry.get("pods")
    named = _list_serving(pods if isinstance(pods, list) else [])
    if _contradicts_count(entry, pods, active or len(named)):
        return None
    if not active and isinstance(pods, list):
        responded = _leave_out_unreached(responded, pods)
    deployed, path = entry.get("deployedInManager"), find_text(entry, "servedPath")
    return LookFacts(
        path=path and show_text(path),
        deployed=deployed if isinstance(deployed, bool) else None,
        # `routeActive` is false as soon as one pod is down, so it is the count that tells; where the count
        # and the list differ, the one that says more pods serve is believed.
        pods_active=max(active, len(named)),
        pods_responded=max(responded, active, len(named)),
        serving=list_first(named)[0],
    )


def _contradicts_count(entry: dict[str, Any], pods: object, active: int) -> bool:
    """Return whether a read speaks against its own count of no active pods, or cannot be read there."""
    if active:
        return False
    listed = pods if isinstance(pods, list) else [pods] if pods is not None else []
    told = [pod.get("routeActive") if isinstance(pod, dict) else pod for pod in listed]
    return entry.get("routeActive") is True or any(one is not None and one is not False for one in told)


def _leave_out_unreached(responded: int, pods: list[Any]) -> int:
    """Return how many pods have answered, of those that a read without any active pod counts and lists.

    The vendor counts a pod whose ``error`` is a failure of the network among those that responded. Nothing
    tells what such a pod serves; the undeploy may not have reached it either.
    """
    unlisted = max(0, responded - len(pods))
    return min(responded, len(pods) - _count_failures(pods) + unlisted)


def _count_failures(pods: list[Any]) -> int:
    """Return how many pods of a list have a failure of the network in place of an answer."""
    texts = [find_text(pod, "error") if isinstance(pod, dict) else None for pod in pods]
    return sum(bool(text and re.search(_UNREACHED, text[:2048])) for text in texts)


def _count_unreached(via: str, body: dict[str, Any] | None) -> int:
    """Return how many pods a read names that could not be reached; 0 for a read that asks no pods."""
    entries = _list_entries(body) if via == HEALTH.via else []
    pods = entries[0].get("pods") if entries else None
    return _count_failures(pods) if isinstance(pods, list) else 0


def _list_serving(pods: list[Any]) -> tuple[str, ...]:
    active = [pod for pod in pods if isinstance(pod, dict) and pod.get("routeActive") is True]
    return tuple(find_text(pod, "workerPodIp") or "unnamed" for pod in active)


def _read_newest(entries: list[dict[str, Any]], environment: str) -> LookFacts | None:
    """Read the newest record of the environment; the order of the list is not promised."""
    places = [entry.get("environment") for entry in entries]
    records = [entry for entry in entries if is_same_name(entry.get("environment"), environment)]
    numbers = [as_whole_number(record.get("revision")) for record in records]
    # A record that does not say where it belongs may be the newest one of ours.
    if not records or None in numbers or not all(isinstance(place, str) for place in places):
        return None
    newest = max(records, key=lambda record: record["revision"])
    if _lacks_records_since(newest["revision"], entries):
        return None
    told = [record.get("deploy") for record in records if record["revision"] == newest["revision"]]
    # Two records of one revision that say the opposite of each other prove nothing.
    if not isinstance(newest.get("deploy"), bool) or told.count(newest["deploy"]) < len(told):
        return None
    return LookFacts(
        deployed=newest["deploy"],
        revision=_keep_value(newest["revision"]),
        since=_keep_value(newest.get("deploymentTime")),
    )


def _lacks_records_since(revision: int, entries: list[dict[str, Any]]) -> bool:
    """Return whether a record newer than ``revision`` is missing, or unreadable: it may be one of ours.

    One counter numbers the records of all environments. Retention removes old records, and spares persistent
    ones: so a persistent undeploy may outlive a deploy that came after it.
    """
    numbers = [as_whole_number(entry.get("revision")) for entry in entries]
    later = {number for number in numbers if number is not None and number > revision}
    return None in numbers or len(later) < max(later, default=revision) - revision


class ProxySiblings:
    """The sibling feature: a proxy's own list names the environments in which it is deployed."""

    @property
    def operation(self) -> Operation:
        """The read of the proxy."""
        return PROXY

    def read(self, target: Target, reply: Reply) -> frozenset[str] | None:
        """Return the environments that the list shows as deployed; None where there is no list."""
        body = parse_object(reply) if reply.status == 200 else None
        if names_another_target(target, *_list_owners(PROXY.via, body)):
            return None
        rows = _list_deployments(list_proxies(body))
        if not rows or not all(isinstance(row.get("deployed"), bool) for row in rows):
            return None
        return frozenset(row["environmentName"] for row in rows if row["deployed"] and _has_environment(row))


def _has_environment(row: dict[str, Any]) -> bool:
    return isinstance(row.get("environmentName"), str)


def _list_deployments(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    listed = entries[0].get("deploymentList") if len(entries) == 1 else None
    return [row for row in listed if isinstance(row, dict)] if isinstance(listed, list) else []


def _read_deployment(entries: list[dict[str, Any]], environment: str) -> LookFacts | None:
    """Read the proxy's own list of deployments; older managers send the object without a list around it."""
    ours = [
        row for row in _list_deployments(entries) if is_same_name(row.get("environmentName"), environment)
    ]
    if len(ours) != 1 or not isinstance(ours[0].get("deployed"), bool):
        return None
    edited = ours[0].get("redeployRequired")
    return LookFacts(deployed=ours[0]["deployed"], edited=edited if isinstance(edited, bool) else None)


def _keep_value(value: object) -> str | None:
    """Return a revision or a time as it can be kept: in full, or not at all."""
    if isinstance(value, str):
        return keep_whole(value)
    number = as_whole_number(value)
    return None if number is None or abs(number) >= 2**63 else str(number)


def next_look(
    seen: Mapping[str, Reading], lacking: frozenset[str], about: Reading | None
) -> Operation | Reading:
    """Return the next read, or what those in ``seen`` amount to (see ``Gateway.next_look``)."""
    doubted = find_disobedience(about)
    absent = next((one for one in seen.values() if one.verdict is Verdict.ABSENT), None)
    if absent is not None:
        return absent
    if is_offered(STATUS, seen, lacking):
        return _look_by_status(seen, lacking, doubted)
    return _look_by_record(seen, lacking, doubted)


def find_disobedience(about: Reading | None) -> Reading | None:
    """Return the reply to a change if some of its rows say that something did not obey.

    A refusal may have such rows, too. Against them the manager's own record proves nothing.
    """
    return about if about is not None and (about.verdict is Verdict.PARTIAL or about.pods) else None


def is_offered(operation: Operation, seen: Mapping[str, Reading], lacking: frozenset[str]) -> bool:
    """Return whether this manager has such a read, as far as that is known, or a list that told the same.

    The administrator's report is older than deploy-status: a manager may have the one without the other.
    """
    one = seen.get(operation.via)
    return operation.via not in lacking if one is None else one.verdict is not Verdict.NOT_OFFERED


def _look_by_status(
    seen: Mapping[str, Reading], lacking: frozenset[str], doubted: Reading | None
) -> Operation | Reading:
    status = seen.get(STATUS.via)
    if status is None:
        return STATUS
    if status.verdict is not Verdict.DOWN:
        return status
    if not is_offered(HEALTH, seen, lacking):
        return _trust_manager(status, doubted)
    health = seen.get(HEALTH.via)
    return HEALTH if health is None else _combine(status, health, doubted)


def _combine(status: Reading, health: Reading, doubted: Reading | None) -> Reading:
    """Put the manager's "down" and the pods' answer together."""
    facts = join_facts(status.facts or LookFacts(), health.facts or LookFacts())
    # The manager's record is its own opinion, and no proof of what the pods serve.
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
        return replace(health, facts=facts, **copy_pods(doubted))
    if health.facts is not None and health.facts.deployed:
        text = "the manager's two reads contradict each other"
        return Reading(verdict=Verdict.UNCLEAR, message=text, facts=facts, **copy_pods(doubted))
    wanted = max(doubted.pod_count, health.pod_count) if doubted is not None else 0
    # The silent pod may be the one that did not obey.
    if (facts.pods_responded or 0) < wanted:
        text = f"{facts.pods_responded} of {wanted} pods answered the manager, none of them serves it"
        return Reading(verdict=Verdict.UNCLEAR, message=text, facts=facts, **copy_pods(doubted))
    return replace(status, facts=facts)


def join_facts(manager: LookFacts, pods: LookFacts) -> LookFacts:
    """Return what the manager and its pods say, together."""
    return replace(
        manager,
        pods_active=pods.pods_active,
        pods_responded=pods.pods_responded,
        serving=pods.serving,
        path=pods.path,
    )


def copy_pods(doubted: Reading | None) -> dict[str, Any]:
    """Return the pods that a reply named as those that did not obey, as fields of a reading."""
    if doubted is None:
        return {}
    return {"pods": doubted.pods, "more_pods": doubted.more_pods, "pod_count": doubted.pod_count}


def _look_by_record(
    seen: Mapping[str, Reading], lacking: frozenset[str], doubted: Reading | None
) -> Operation | Reading:
    """Ask an older manager: its newest record of the environment, then the proxy's own list."""
    unclear = None
    # The proxy's list comes last: the vendor's example shows it, but the vendor's schema does not have it.
    for operation in (HISTORIES, PROXY):
        if not is_offered(operation, seen, lacking):
            continue
        one = seen.get(operation.via)
        if one is None:
            return operation
        if one.verdict is not Verdict.UNCLEAR:
            return _trust_manager(one, doubted)
        unclear = unclear or one
    return unclear or Reading(verdict=Verdict.NOT_OFFERED)


def _trust_manager(manager: Reading, doubted: Reading | None) -> Reading:
    """Return the manager's reading, or ``doubted`` where it contradicts the manager's "down".

    ``doubted`` is the reply to an undeploy in which a row said false.
    """
    if doubted is None or manager.verdict is not Verdict.DOWN:
        return manager
    return replace(doubted, verdict=Verdict.PARTIAL, facts=manager.facts)
