"""Apinizer's report of all proxies of all projects: one document in place of many reads.

After the vendor's page "API Report". The report is for administrators and analyzers, and has no pages.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from orchestrator.gateways.apinizer.replies import (
    NAMELESS,
    find_error,
    is_success,
    judge_error,
    judge_rejection,
    make_reading,
)
from orchestrator.gateways.envelope import find_text
from orchestrator.model.http import Reply
from orchestrator.model.reading import Reading, Verdict

PATH = ("reports", "api-proxies")
"""Under ``/apiops/``; unlike that of a resource, it does not end with a slash."""

LARGEST_REPORT = 16 * 1024 * 1024
"""Bytes of a report that are read: some ten thousand proxies."""


class ReportedPlace(Struct, frozen=True):
    """The state of a proxy in one environment; None where the report does not tell, or contradicts itself."""

    deployed: bool | None
    edited: bool | None


UNTOLD = ReportedPlace(None, None)

_NO_ROLE = "unauthorized api access"
"""The vendor's text, in lower case, for a token without the role that a report wants."""


class ReportedProxy(Struct, frozen=True):
    """One proxy of the report."""

    project: str
    name: str
    type: str
    routes: tuple[str, ...]
    """Its paths, where its route is as the page of one proxy shows it."""
    places: Mapping[str, ReportedPlace] | None
    """By environment; None where the report does not say where the proxy is deployed."""


def list_reported(reply: Reply, body: Mapping[str, Any] | None) -> list[Any] | None:
    """Return the entries of a report; None where the reply is none."""
    listed = (body or {}).get("resultList") if reply.status == 200 and is_success(dict(body or {})) else None
    return listed if isinstance(listed, list) else None


def is_group(entry: Mapping[str, Any]) -> bool:
    """Return whether an entry is a group of proxies: it is no proxy, and has an undeploy of its own."""
    return entry.get("apiGroup") is True


def read_proxy(entry: Mapping[str, Any]) -> ReportedProxy | None:
    """Return the proxy that an entry is about; None where the entry does not name one."""
    name, project = find_text(entry, "apiName"), find_text(entry, "projectName")
    if name is None or project is None:
        return None
    return ReportedProxy(
        project, name, find_text(entry, "apiType") or "", _list_routes(entry), _read_places(entry)
    )


def _list_routes(entry: Mapping[str, Any]) -> tuple[str, ...]:
    route = entry.get("clientRoute")
    listed = route.get("relativePathList") if isinstance(route, dict) else None
    return tuple(path for path in listed if isinstance(path, str)) if isinstance(listed, list) else ()


def _read_places(entry: Mapping[str, Any]) -> dict[str, ReportedPlace] | None:
    anywhere, listed = entry.get("deployed"), entry.get("environmentList")
    if not isinstance(listed, list):
        return {} if anywhere is False else None
    places: dict[str, ReportedPlace] = {}
    for row in listed:
        if isinstance(row, dict) and (environment := find_text(row, "environmentName")):
            place = ReportedPlace(
                _keep_boolean(row.get("deployed")), _keep_boolean(row.get("redeployRequired"))
            )
            # An environment that is named twice, with two states, has none that can be believed.
            places[environment] = place if places.get(environment, place) == place else UNTOLD
    if _is_consistent(entry, places):
        return places
    return dict.fromkeys(places, UNTOLD) if places else None


def _is_consistent(entry: Mapping[str, Any], places: Mapping[str, ReportedPlace]) -> bool:
    """Return whether what an entry says as a whole fits what it says of its environments."""
    anywhere, states = entry.get("deployed"), [place.deployed for place in places.values()]
    if not isinstance(entry.get("apiGroup", False), bool | None):
        return False  # it may be a group that is called like a proxy
    match anywhere:
        case None:
            return True
        case True:
            return True in states or None in states
        case False:
            return True not in states
    return False


def _keep_boolean(value: object) -> bool | None:
    return value if isinstance(value, bool) else None


def read_report_refusal(reply: Reply, body: dict[str, Any] | None) -> Reading:
    """Read why a reply is no report. NOT_OFFERED for a 401, too: a token without the role gets one."""
    if judge_rejection(reply, body) is Verdict.BUSY:
        return make_reading(Verdict.BUSY, reply, body)
    judged = judge_error(find_error(body, NAMELESS)) if reply.status == 400 else None
    # Older managers have no report: they answer 404.
    if reply.status in {401, 403, 404} or judged is Verdict.REFUSED:
        return make_reading(Verdict.NOT_OFFERED, reply, body)
    return make_reading(Verdict.DENIED if judged is Verdict.DENIED else Verdict.UNCLEAR, reply, body)


def read_list_refusal(reply: Reply, body: dict[str, Any] | None) -> Reading:
    """Read why a reply is none of the lists that want no role. A 401 is about the token, unless its text
    names a missing right: of the list of environments the vendor's pages say both."""
    if judge_rejection(reply, body) is Verdict.DENIED and not _names_right(body):
        return make_reading(Verdict.DENIED, reply, body)
    return read_report_refusal(reply, body)


def _names_right(body: dict[str, Any] | None) -> bool:
    error = find_error(body, NAMELESS)
    return error is not None and (_NO_ROLE in error.plain or judge_error(error) is Verdict.REFUSED)
