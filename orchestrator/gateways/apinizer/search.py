"""Apinizer's catalog: the report of an administrator in one request, or project by project.

After the vendor's pages "List Projects", "Get Environments by Project", "List API Proxies", "API Report",
"Get Deploy Status" and "Get API Proxy". None of the lists has pages; ``resultCount`` beside a list's length
is all that tells that one is cut.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from orchestrator.gateways.apinizer.looks import PROXY, STATUS, list_proxies, read_look
from orchestrator.gateways.apinizer.replies import (
    NAMELESS,
    find_error,
    is_success,
    judge_error,
    judge_rejection,
    make_reading,
)
from orchestrator.gateways.apinizer.report import PATH, ReportedProxy, is_group, read_proxy
from orchestrator.gateways.apinizer.requests import ApinizerRequests
from orchestrator.gateways.envelope import as_count, find_text, parse_object
from orchestrator.gateways.naming import OF_ANOTHER, names_another
from orchestrator.gateways.text import encode_segment, show_text
from orchestrator.model.http import Reply
from orchestrator.model.reading import LookFacts, Reading, Verdict
from orchestrator.model.search import ANY_TEXT, FoundTarget, QueryResult, SearchQuery, TargetFilter, Traits
from orchestrator.model.target import Target, TargetId
from orchestrator.text.names import to_nfc

ENVIRONMENT_TYPES = frozenset({"PRODUCTION", "SANDBOX", "TEST"})
PROXY_TYPES = frozenset({"REST", "SOAP", "GRPC", "WEBSOCKET"})

FILTERS: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "name": ANY_TEXT,
        "path": ANY_TEXT,
        "project": ANY_TEXT,
        "environment": ANY_TEXT,
        "type": ENVIRONMENT_TYPES | PROXY_TYPES,
        "deployed-before": ANY_TEXT,
    }
)

_BY_REPORT = "by the administrator's report: what the manager has recorded"
_BY_PROXY = (
    "by each proxy's own list of deployments: where that leaves an environment out, it is not deployed"
)


class ApinizerSearch(Struct, frozen=True):
    """The search feature of one manager."""

    requests: ApinizerRequests

    @property
    def filters(self) -> Mapping[str, frozenset[str]]:
        """The fields of a proxy and its environments in the lists, and the time of the last deploy."""
        return FILTERS

    def start(self, wanted: TargetFilter) -> SearchQuery:
        """Return the list of projects; the administrator's report or each project follows from it."""
        return _ManagerSearch(self.requests, wanted).start()


class _ListedProxy(Struct, frozen=True):
    """One proxy as a list shows it."""

    project: str
    name: str
    type: str
    paths: tuple[str, ...]

    def __str__(self) -> str:
        return f"the proxy {show_text(self.name)} of the project {show_text(self.project)}"


class _ManagerSearch:
    """One search, with the facts learned so far about one manager."""

    def __init__(self, requests: ApinizerRequests, wanted: TargetFilter) -> None:
        self._requests = requests
        self._wanted = wanted
        self._projects: tuple[str, ...] = ()
        self._has_status: bool | None = None
        """Whether this manager has deploy-status, once that is known."""
        self._whole: set[tuple[str, str]] = set()
        """Proxies that are asked as a whole, since it has not."""

    def start(self) -> SearchQuery:
        """Return the query for the projects, which shows a bad token: a 401 to the report may mean a role."""
        return self._ask_list("the list of projects", ("projects", ""), self._read_projects)

    def _ask_list(
        self,
        name: str,
        path: tuple[str, ...],
        take: Callable[[list[dict[str, Any]]], QueryResult],
        failed: Callable[[Reading], QueryResult] | None = None,
    ) -> SearchQuery:
        return SearchQuery(
            name=name,
            request=lambda access, _now: self._requests.build_read(
                "/".join(part and encode_segment(part) for part in path), access
            ),
            read=lambda reply: _read_list(name, reply, take),
            failed=failed,
        )

    def _read_projects(self, entries: list[dict[str, Any]]) -> QueryResult:
        names = [name for entry in entries if (name := find_text(entry, "name"))]
        self._projects = tuple(dict.fromkeys(name for name in names if self._wanted.admits("project", name)))
        # The type may be one of environments, and the report does not show those.
        if self._wanted.has_filter("type"):
            environments = self._ask_list(
                "the list of environments",
                ("environments", ""),
                self._read_environments,
                lambda _: self._ask_projects(),
            )
            return QueryResult(queries=(_tolerate_refusal(environments),))
        return QueryResult(queries=(self._ask_report({}),))

    def _read_environments(self, entries: list[dict[str, Any]]) -> QueryResult:
        return QueryResult(queries=(self._ask_report(_list_types(entries)),))

    def _ask_report(self, types: Mapping[str, str]) -> SearchQuery:
        take = partial(self._read_report, types)
        name = "the administrator's report"
        return _tolerate_refusal(self._ask_list(name, PATH, take, lambda _: self._ask_projects()))

    def _read_report(self, types: Mapping[str, str], entries: list[dict[str, Any]]) -> QueryResult:
        proxies = [read_proxy(entry) for entry in entries if not is_group(entry)]
        rows = [self._read_row(proxy, types) for proxy in proxies if proxy and self._is_reported(proxy)]
        if len(rows) < len(proxies):
            return self._ask_projects()  # older managers do not say where it is deployed
        shown_projects = {find_text(entry, "projectName") for entry in entries}
        return QueryResult(
            seen=sum(part.seen for part in rows),
            deployed=sum(part.deployed for part in rows),
            found=tuple(found for part in rows for found in part.found),
            queries=(query for part in rows for query in part.queries),
            gaps=(*(gap for part in rows for gap in part.gaps), *self._find_unlisted(shown_projects)),
            remarks=(_BY_REPORT,),
        )

    def _read_row(self, reported: ReportedProxy, types: Mapping[str, str]) -> QueryResult:
        proxy = _ListedProxy(reported.project, reported.name, reported.type, reported.routes)
        wanted = {
            environment: place.deployed
            for environment, place in (reported.places or {}).items()
            if self._wanted.admits_all(_collect_traits(proxy, environment, types))
        }
        return self._sum_up(proxy, types, wanted)

    def _is_reported(self, proxy: ReportedProxy) -> bool:
        """Return whether an entry of the report tells all that is asked."""
        return proxy.places is not None and bool(proxy.routes or not self._wanted.has_filter("path"))

    def _sum_up(
        self,
        proxy: _ListedProxy,
        types: Mapping[str, str],
        states: Mapping[str, bool | None],
        *,
        timed: bool = True,
    ) -> QueryResult:
        """Return the result of a proxy's states, by environment; None is a state that cannot be told.

        ``timed``: this manager has a look that tells when a proxy was deployed.
        """
        up = [environment for environment, state in states.items() if state]
        blank = [show_text(environment) or "" for environment, state in states.items() if state is None]
        gaps = [f"{proxy}: not told whether it is deployed to {', '.join(blank)}"] if blank else []
        dated = up if self._wanted.before else []
        if not timed:
            gaps += [gap for one in dated for gap in _miss_time(proxy, one).gaps]
        return QueryResult(
            seen=len(states) - len(blank),
            deployed=len(up),
            found=() if dated else tuple(_make_found(proxy, one, types, LookFacts()) for one in up),
            queries=(self._ask_status(proxy, one, types, again=True) for one in dated) if timed else (),
            gaps=tuple(gaps),
        )

    def _find_unlisted(self, projects: set[str | None]) -> Iterator[str]:
        known = {to_nfc(name) for name in projects if name}
        for name in self._wanted.literals.get("project", ()):
            if to_nfc(name) not in known:
                yield f"the project {show_text(name)}: it does not exist, or the token's user may not see it"

    def _ask_projects(self) -> QueryResult:
        gaps = list(self._find_unlisted(set(self._projects)))
        if not self._projects and not gaps:
            gaps = ["any project: none that is wanted is listed for the token's user"]
        return QueryResult(queries=map(self._ask_environments, self._projects), gaps=tuple(gaps))

    def _ask_environments(self, project: str) -> SearchQuery:
        name = f"the environments of the project {show_text(project)}"
        return self._ask_list(
            name, ("projects", project, "environments", ""), partial(self._read_environments_of, project)
        )

    def _read_environments_of(self, project: str, entries: list[dict[str, Any]]) -> QueryResult:
        types = _list_types(entries)
        if not any(self._wanted.admits("environment", name) for name in types):
            return QueryResult()
        name = f"the proxies of the project {show_text(project)}"
        path = ("projects", project, "apiProxies", "")
        return QueryResult(queries=(self._ask_list(name, path, partial(self._read_proxies, project, types)),))

    def _read_proxies(
        self, project: str, types: Mapping[str, str], entries: list[dict[str, Any]]
    ) -> QueryResult:
        proxies = [
            _ListedProxy(
                project, name, find_text(entry, "type") or "", (find_text(entry, "relativePath") or "",)
            )
            for entry in entries
            if (name := find_text(entry, "name"))
        ]
        return QueryResult(queries=self._ask_each(proxies, types))

    def _ask_each(self, proxies: list[_ListedProxy], types: Mapping[str, str]) -> Iterator[SearchQuery]:
        """Yield the look at each proxy in each environment, or at each proxy where that is all there is."""
        for proxy in proxies:
            for environment in types:
                if not self._wanted.admits_all(_collect_traits(proxy, environment, types)):
                    continue
                if self._has_status is False:
                    yield from self._ask_proxy(proxy, types)
                else:
                    yield self._ask_status(proxy, environment, types)

    def _ask_status(
        self, proxy: _ListedProxy, environment: str, types: Mapping[str, str], *, again: bool = False
    ) -> SearchQuery:
        """Return the look at one deployment; ``again`` where its state was seen, and its time is wanted."""
        target = _make_target(proxy, environment)
        return SearchQuery(
            name=f"{proxy} in {show_text(environment)}",
            request=lambda access, _now: self._requests.build(STATUS, target, access, None),
            read=lambda reply: self._read_status(proxy, environment, types, reply, again=again),
        )

    def _read_status(
        self, proxy: _ListedProxy, environment: str, types: Mapping[str, str], reply: Reply, *, again: bool
    ) -> QueryResult | Reading:
        read = read_look(STATUS.via, _make_target(proxy, environment), reply)
        counted = 0 if again else 1
        match read.verdict:
            case Verdict.UP:
                self._has_status = True
                return self._check_time(proxy, environment, types, read.facts or LookFacts(), counted)
            case Verdict.DOWN:
                self._has_status = True
                return QueryResult(seen=counted)
            case Verdict.ABSENT if not read.hidden:
                return QueryResult(seen=counted)  # deleted since it was listed
            case Verdict.NOT_OFFERED if again:
                return _miss_time(proxy, environment)
            case Verdict.NOT_OFFERED if self._has_status is not True:
                self._has_status = False
                return QueryResult(queries=self._ask_proxy(proxy, types))
            case Verdict.NOT_OFFERED:  # it was offered before, so this is a fault
                return Reading(verdict=Verdict.UNCLEAR, code=read.code, message=read.message)
        return _settle(read, reply)

    def _check_time(
        self, proxy: _ListedProxy, environment: str, types: Mapping[str, str], facts: LookFacts, counted: int
    ) -> QueryResult:
        early = self._wanted.is_early(facts.since)
        gaps = _miss_time(proxy, environment).gaps if early is None else ()
        found = (_make_found(proxy, environment, types, facts),) if early else ()
        return QueryResult(seen=counted, deployed=counted, found=found, gaps=gaps)

    def _ask_proxy(self, proxy: _ListedProxy, types: Mapping[str, str]) -> Iterator[SearchQuery]:
        key = (proxy.project, proxy.name)
        if key in self._whole:
            return
        self._whole.add(key)
        target = _make_target(proxy, next(iter(types)))
        yield SearchQuery(
            name=str(proxy),
            request=lambda access, _now: self._requests.build(PROXY, target, access, None),
            read=lambda reply: self._read_proxy(proxy, types, reply),
        )

    def _read_proxy(
        self, proxy: _ListedProxy, types: Mapping[str, str], reply: Reply
    ) -> QueryResult | Reading:
        """Read the proxy's own list of deployments; older managers send it without a list around it."""
        wanted = [one for one in types if self._wanted.admits_all(_collect_traits(proxy, one, types))]
        body = parse_object(reply)
        if reply.status != 200 or body is None:
            read = read_look(PROXY.via, _make_target(proxy, wanted[0]), reply)
            gone = read.verdict is Verdict.ABSENT and not read.hidden
            return QueryResult(seen=len(wanted)) if gone else _settle(read, reply)
        entries = list_proxies(body)
        own = entries[0] if len(entries) == 1 else {}
        if names_another(own.get("name"), proxy.name):
            return Reading(verdict=Verdict.UNCLEAR, message=OF_ANOTHER)
        places = own.get("deploymentList")
        # An environment that the list leaves out was never deployed to. Without a list nothing is known.
        states = dict.fromkeys(wanted, False if isinstance(places, list) else None)
        states |= {one: state for one, state in _list_states(places).items() if one in states}
        return replace(self._sum_up(proxy, types, states, timed=False), remarks=(_BY_PROXY,))


def _tolerate_refusal(query: SearchQuery) -> SearchQuery:
    """Return a query that has a substitute: a 401 to it is about a role, not about the token."""

    def read(reply: Reply) -> QueryResult | Reading:
        if reply.status in {401, 403} and judge_rejection(reply, parse_object(reply)) is not Verdict.BUSY:
            return make_reading(Verdict.REFUSED, reply, parse_object(reply))
        return query.read(reply)

    return replace(query, read=read)


def _read_list(
    name: str, reply: Reply, take: Callable[[list[dict[str, Any]]], QueryResult]
) -> QueryResult | Reading:
    """Return the result of ``take`` for a list, with a gap where the list is shorter than its own count."""
    body = parse_object(reply)
    entries = (body or {}).get("resultList") if reply.status == 200 and is_success(body) else None
    if not isinstance(entries, list):
        return _read_refusal(reply, body)
    part = take([entry for entry in entries if isinstance(entry, dict)])
    count = as_count((body or {}).get("resultCount"))
    if count is None or count <= len(entries):
        return part
    gap = f"{name} is partial: {len(entries):,} of {count:,} were sent"
    return replace(part, gaps=(gap, *part.gaps))


def _read_refusal(reply: Reply, body: dict[str, Any] | None) -> Reading:
    verdict = judge_rejection(reply, body)
    if verdict is not None:
        return make_reading(verdict, reply, body)
    if 400 <= reply.status < 500 and reply.status != 408:
        denied = judge_error(find_error(body, NAMELESS)) is Verdict.DENIED
        return make_reading(Verdict.DENIED if denied else Verdict.REFUSED, reply, body)
    return make_reading(Verdict.UNCLEAR, reply, body)


def _settle(read: Reading, reply: Reply) -> Reading:
    """Return the reading of a look; after an unclear 4xx another request would be as unclear."""
    if read.verdict is Verdict.UNCLEAR and 400 <= reply.status < 500 and reply.status != 408:
        return Reading(verdict=Verdict.REFUSED, code=read.code, message=read.message)
    return read


def _list_states(rows: object) -> dict[str, bool | None]:
    """Return by environment whether it is deployed there; None where that is no JSON boolean."""
    listed = [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
    named = [(find_text(row, "environmentName"), row.get("deployed")) for row in listed]
    return {name: state if isinstance(state, bool) else None for name, state in named if name}


def _list_types(entries: list[dict[str, Any]]) -> dict[str, str]:
    """Return the environments with their types; older pages call the name ``environmentName``."""
    named = [(find_text(entry, "name", "environmentName"), find_text(entry, "type")) for entry in entries]
    return {name: kind or "" for name, kind in named if name}


def _collect_traits(proxy: _ListedProxy, environment: str, types: Mapping[str, str]) -> Traits:
    return {
        "name": (proxy.name,),
        "project": (proxy.project,),
        "environment": (environment,),
        "path": tuple(path for path in proxy.paths if path),
        "type": tuple(text for text in (types.get(environment), proxy.type) if text),
    }


def _make_target(proxy: _ListedProxy, environment: str) -> Target:
    return Target(0, TargetId(""), "", 0, (proxy.project, proxy.name, environment))


def _miss_time(proxy: _ListedProxy, environment: str) -> QueryResult:
    return QueryResult(gaps=(f"{proxy} in {show_text(environment)}: when it was deployed last is not told",))


def _make_found(
    proxy: _ListedProxy, environment: str, types: Mapping[str, str], facts: LookFacts
) -> FoundTarget:
    said = (proxy.type, *proxy.paths, types.get(environment, ""), "edited since" if facts.edited else "")
    return FoundTarget(
        parts=(proxy.project, proxy.name, environment),
        traits=_collect_traits(proxy, environment, types),
        notes=tuple(note for text in said if (note := show_text(text))),
        since=facts.since,
    )
