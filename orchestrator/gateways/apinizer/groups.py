"""Apinizer's proxy groups: a proxy that belongs to a deployed group may stay reachable through the group.

After the vendor's pages "API Report", "List API Proxy Groups" and the one on a group's environments. The
administrator's report names a group's members by id; where it is refused, the lists of a project name its
groups, and not their members. What is not known is told as possible, and never left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from orchestrator.gateways.apinizer.replies import is_cut, is_success
from orchestrator.gateways.apinizer.report import (
    LARGEST_REPORT,
    PATH,
    is_group,
    list_reported,
    read_list_refusal,
    read_proxy,
    read_report_refusal,
)
from orchestrator.gateways.apinizer.requests import ApinizerRequests
from orchestrator.gateways.envelope import find_text, parse_object
from orchestrator.gateways.text import encode_segment, show_text
from orchestrator.model.features import GroupMembership, SharedUsageRead
from orchestrator.model.http import Reply
from orchestrator.model.reading import Reading, Verdict
from orchestrator.model.target import Target
from orchestrator.text.names import to_nfc

REPORT = "administrator's report"

MOST_READS = 40
"""Lists that are read where the report is refused; the groups that they would tell of are not told."""


_CUT = Reading(verdict=Verdict.UNCLEAR, message="the list counts more entries than were sent")


class ProxyGroup(Struct, frozen=True):
    """One group of proxies, with names in NFC."""

    project: str
    name: str
    environments: frozenset[str] | None
    """Where it is deployed; None where that is not told."""
    members: frozenset[str] | None
    """Names of its proxies; None where they are not told."""

    def holds(self, target: Target) -> bool | None:
        """Return whether a target is a member of the group where it is deployed; None if it may be one."""
        project, proxy, environment = map(to_nfc, target.parts)
        if project != self.project:
            return False
        if self.environments is not None and environment not in self.environments:
            return False
        if self.members is not None and proxy not in self.members:
            return False
        return None if self.members is None or self.environments is None else True


class ApinizerGroups(Struct, frozen=True):
    """The group feature of one manager."""

    requests: ApinizerRequests

    def next_read(self, told: Mapping[str, Any], targets: Sequence[Target]) -> SharedUsageRead | None:
        """Return the report; where it is refused, the lists of the targets' projects and their groups."""
        if REPORT not in told:
            return self._ask(REPORT, "/".join(PATH), _read_report)
        if not isinstance(told[REPORT], Reading):
            return None
        asked = sum(1 for _ in told)
        return None if asked > MOST_READS else next(self._list_missing(told, targets), None)

    def list_memberships(
        self, told: Mapping[str, Any], targets: Sequence[Target]
    ) -> Sequence[GroupMembership]:
        """Return each group that a target belongs to, or may belong to, with these targets."""
        return [
            GroupMembership(show_text(group.name) or "", tuple(held), is_sure=is_sure)
            for group in _list_groups(told)
            for is_sure in (True, False)
            if (held := [each for each in targets if group.holds(each) is (True if is_sure else None)])
        ]

    def _list_missing(self, told: Mapping[str, Any], targets: Sequence[Target]) -> Iterator[SharedUsageRead]:
        for project in dict.fromkeys(target.parts[0] for target in targets):
            name = f"groups of {project}"
            path = f"projects/{encode_segment(project)}/apiProxyGroups/"
            if (groups := told.get(name)) is None:
                yield self._ask(name, path, partial(_read_names, project))
            for group in groups if isinstance(groups, tuple) else ():
                if (place := f"environments of {project}/{group.name}") not in told:
                    yield self._ask(
                        place,
                        f"{path}{encode_segment(group.name)}/environments/",
                        partial(_read_places, group),
                    )

    def _ask(self, name: str, path: str, read: Any) -> SharedUsageRead:
        return SharedUsageRead(
            name,
            lambda access, _now: replace(self.requests.build_read(path, access), largest=LARGEST_REPORT),
            read,
            is_alone=True,
        )


def _list_groups(told: Mapping[str, Any]) -> Iterator[ProxyGroup]:
    """Yield all groups that the reads name, each as far as it is known; each once."""
    yield from told[REPORT] if isinstance(told.get(REPORT), tuple) else ()
    placed = {(one.project, one.name): one for one in told.values() if isinstance(one, ProxyGroup)}
    for name, found in told.items():
        for group in found if name != REPORT and isinstance(found, tuple) else ():
            known: ProxyGroup | None = placed.get((group.project, group.name))
            yield group if known is None else known


def _read_report(reply: Reply) -> tuple[ProxyGroup, ...] | Reading:
    body = parse_object(reply)
    entries = list_reported(reply, body)
    if entries is None:
        return read_report_refusal(reply, body)
    return _CUT if is_cut(body, entries) else list_groups(entries)


def list_groups(listed: Sequence[Any]) -> tuple[ProxyGroup, ...]:
    """Return the groups among the entries of the administrator's report."""
    entries = [entry for entry in listed if isinstance(entry, dict)]
    names = {
        id_: name
        for entry in entries
        if not is_group(entry) and (id_ := find_text(entry, "id")) and (name := find_text(entry, "apiName"))
    }
    return tuple(group for entry in entries if is_group(entry) for group in _read_group(entry, names))


def _read_group(entry: Mapping[str, Any], names: Mapping[str, str]) -> Iterator[ProxyGroup]:
    """Yield the group that an entry is about, unless it is deployed nowhere."""
    group, listed = read_proxy(entry), entry.get("apiIdListOfApiGroup")
    if group is None:
        return
    # Older managers do not say where a group is deployed.
    places = group.places or {}
    is_told = all(place.deployed is not None for place in places.values())
    is_told = is_told and (bool(places) or entry.get("deployed") is False)
    up = (name for name, place in places.items() if place.deployed)
    ids = listed if isinstance(listed, list) else [None]
    members = {names.get(one) if isinstance(one, str) else None for one in ids}
    yield ProxyGroup(
        to_nfc(group.project),
        to_nfc(group.name),
        frozenset(map(to_nfc, up)) if is_told else None,
        # The report is not promised to tell a proxy's own id.
        None if None in members else frozenset(to_nfc(name) for name in members if name),
    )


def _list_rows(reply: Reply, *, may_be_cut: bool) -> list[dict[str, Any]] | Reading:
    body = parse_object(reply)
    listed = (body or {}).get("resultList") if reply.status == 200 and is_success(body) else None
    if not isinstance(listed, list):
        return read_list_refusal(reply, body)
    if is_cut(body, listed) and not may_be_cut:
        return _CUT
    return [row for row in listed if isinstance(row, dict)]


def _read_names(project: str, reply: Reply) -> tuple[ProxyGroup, ...] | Reading:
    rows = _list_rows(reply, may_be_cut=True)
    if isinstance(rows, Reading):
        return rows
    named = filter(None, (find_text(row, "name") for row in rows))
    return tuple(ProxyGroup(to_nfc(project), to_nfc(name), None, None) for name in named)


def _read_places(group: ProxyGroup, reply: Reply) -> ProxyGroup | Reading:
    # Of a cut list none is believed: the group then counts as one that may be deployed anywhere.
    rows = _list_rows(reply, may_be_cut=False)
    if isinstance(rows, Reading):
        return rows
    up = (name for row in rows if row.get("deployed") is not False and (name := find_text(row, "name")))
    return replace(group, environments=frozenset(map(to_nfc, up)))
