"""Who uses a backend API of ROMA Connect: the calls of its front-end APIs, and who may call them.

The vendor counts calls by front-end API. The calls of a backend API are the sum over its front-end APIs;
where one of them cannot be told, the sum cannot.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from msgspec import Struct

from orchestrator.gateways.roma.binding_types import APPLICATIONS, BoundRead
from orchestrator.gateways.roma.kept_deploy import decode_deploy
from orchestrator.gateways.roma.records import is_front_id
from orchestrator.gateways.roma.requests import STATISTICS, RomaRequests, encode_statistics
from orchestrator.gateways.roma.statistics import InstanceStatistics, read_instance_statistics
from orchestrator.gateways.text import list_first
from orchestrator.model.features import SharedUsageRead
from orchestrator.model.obstacles import MISSING_HISTORY
from orchestrator.model.reading import Operation, Reading, Snapshot, Verdict
from orchestrator.model.target import Target
from orchestrator.model.usage import Usage, doubt_calls

INSTANCE = "statistics of the whole instance"

_NO_FRONT = "it has no front-end API of its own, and calls are counted by front-end API alone"


class _Callers(NamedTuple):
    names: tuple[str, ...] = ()
    more: int = 0
    unread: str | None = None


class RomaUsage(Struct, frozen=True):
    """The usage feature: one read of the instance where the user may, else one of each front-end API."""

    requests: RomaRequests

    def next_shared_read(self, told: Mapping[str, Any], hours: int) -> SharedUsageRead | None:
        """Return the read of the whole instance, the only one there is."""
        if INSTANCE in told:
            return None
        return SharedUsageRead(
            INSTANCE,
            lambda access, now: self.requests.build_statistics(hours, access, now),
            read_instance_statistics,
        )

    def next_read(
        self,
        target: Target,  # noqa: ARG002
        snapshot: Snapshot | None,
        told: Mapping[str, Any],
        seen: Mapping[str, Reading],
        lacking: Mapping[str, str],
        hours: int,
    ) -> Operation | Usage:
        """Return the next read: the statistics of each front-end API, then who may call it."""
        fronts = _list_fronts(snapshot)
        if snapshot is None or isinstance(fronts, str):
            return Usage(hours=hours, why=fronts if isinstance(fronts, str) else "its state was not read")
        calls = _sum_calls(fronts, _find_instance(told), seen, lacking, hours)
        if isinstance(calls, Operation):
            return calls
        callers = _find_callers(snapshot, fronts[0], seen, lacking)
        if isinstance(callers, Operation):
            return callers
        return Usage(
            hours=hours,
            calls=None if isinstance(calls, str) else calls,
            why=calls if isinstance(calls, str) else None,
            callers=callers.names,
            more_callers=callers.more,
            callers_unread=callers.unread,
            is_open=decode_deploy(snapshot.deploy).body.get("auth_type") == "NONE",
        )


def _find_instance(told: Mapping[str, Any]) -> InstanceStatistics | None:
    found = told.get(INSTANCE)
    return found if isinstance(found, InstanceStatistics) else None


def _list_fronts(snapshot: Snapshot | None) -> list[str] | str:
    """Return the ids of the front-end APIs of a target; or why they are not known."""
    if snapshot is None or snapshot.verdict is not Verdict.UP:
        return "its front-end API was not read"
    fronts = [front.id for front in snapshot.fronts]
    if not all(map(is_front_id, fronts)):
        return "its front-end API has an id of a form that no id has"
    if fronts:
        return fronts
    # A person may have made a front-end API for this backend API: so "none" is no "unused".
    return "its front-end API was not read" if MISSING_HISTORY.word in snapshot.obstacles else _NO_FRONT


def _sum_calls(
    fronts: list[str],
    instance: InstanceStatistics | None,
    seen: Mapping[str, Reading],
    lacking: Mapping[str, str],
    hours: int,
) -> Operation | int | str:
    """Return the calls of all front-end APIs, the next read, or why the calls cannot be told."""
    total = 0
    for front in fronts:
        if (calls := _look_up(front, instance, hours)) is not None:
            total += calls
            continue
        operation = encode_statistics(front, hours)
        reading = seen.get(operation.via)
        if reading is None:
            return lacking.get(STATISTICS) or operation
        if reading.verdict is not Verdict.TOLD or reading.kept is None:
            return _explain(reading)
        total += reading.kept["calls"]
    return doubt_calls(total) or total


def _look_up(front: str, instance: InstanceStatistics | None, hours: int) -> int | None:
    """Return the calls of a front-end API as the statistics of the instance tell them; None if they do not.

    An API that they leave out may have no calls, or none that this user sees: it is read alone.
    """
    if instance is None:
        return None
    if not instance.total.calls and instance.total.find_gap(hours) is None:
        return 0
    count = instance.by_front.get(front)
    return count.calls if count is not None and count.find_gap(hours) is None else None


def _explain(reading: Reading) -> str:
    return ": ".join(filter(None, (reading.code, reading.message))) or "no reason was given"


def _find_callers(
    snapshot: Snapshot, front: str, seen: Mapping[str, Reading], lacking: Mapping[str, str]
) -> Operation | _Callers:
    """Return who may call: by the bindings of the snapshot, or where these were not read by further reads."""
    if (bindings := snapshot.bindings) is not None:
        names = [each.name or each.id for each in bindings.found if each.what == APPLICATIONS.word]
        gaps = (gap.why for gap in bindings.unread if gap.what == APPLICATIONS.word)
        return _Callers(*list_first(names), next(gaps, None))
    named: list[str] = []
    hidden = 0
    for environment in filter(is_front_id, decode_deploy(snapshot.deploy).environments):
        operation = BoundRead(APPLICATIONS, front, environment).operation
        reading = seen.get(operation.via)
        if reading is None and APPLICATIONS.key not in lacking:
            return operation
        if reading is None or reading.verdict is not Verdict.TOLD or reading.kept is None:
            unread = lacking[APPLICATIONS.key] if reading is None else _explain(reading)
            return _Callers(*list_first(named), unread)
        named += [each.get("name") or each["id"] for each in reading.kept["bound"]]
        # The first page has 500 names. Of more, the number is enough.
        hidden += max(0, reading.kept["total"] - reading.kept["size"])
    first, more = list_first(named)
    return _Callers(first, more + hidden)
