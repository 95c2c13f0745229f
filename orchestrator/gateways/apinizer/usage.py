"""Who uses a proxy of Apinizer: its calls by the traffic log, and who may call it by the access report.

The manager itself counts no calls. The log names an environment and a project by id, so their lists are read
first. Each thing that may hide a call makes the calls of a target "not told", never 0.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, NamedTuple, TypeGuard

from msgspec import Struct
from msgspec.structs import replace

from orchestrator.gateways.apinizer.access_report import ACCESS_PATH, AccessReport, read_access
from orchestrator.gateways.apinizer.replies import is_success
from orchestrator.gateways.apinizer.report import LARGEST_REPORT, read_list_refusal
from orchestrator.gateways.apinizer.requests import ApinizerRequests
from orchestrator.gateways.apinizer.traffic_log import LogPage, LogSpan, TrafficLog, read_page, read_span
from orchestrator.gateways.envelope import as_count, find_text, parse_object
from orchestrator.gateways.text import show_text
from orchestrator.model.features import SharedUsageRead, StoreCheck
from orchestrator.model.http import Reply
from orchestrator.model.reading import Operation, Reading, Snapshot, Verdict
from orchestrator.model.settings import ElasticsearchStore
from orchestrator.model.target import Target
from orchestrator.model.usage import Usage, doubt_calls
from orchestrator.text.counting import count_noun
from orchestrator.text.names import to_nfc

ACCESS = "access report"
ENVIRONMENTS = "environments"
PROJECTS = "projects"
SPAN = "traffic log's first and last time"

CHECKED_HOURS = 72
"""Hours that the log should hold, where nothing else was asked."""

MOST_PAGES = 150
"""Pages of the log that are read for all environments together; what more pages would tell is not told."""

_NO_STORE = "the manager counts no calls, and the plan names no traffic log (usage: elasticsearch)"
_NOT_READ = "it was not read"


class _ProxyPlace(NamedTuple):
    """An environment or a project, as a list of the manager names it."""

    id: str
    name: str


class ApinizerUsage(Struct, frozen=True):
    """The usage feature of one manager; all its reads tell of many targets."""

    requests: ApinizerRequests
    store: ElasticsearchStore | None

    def next_shared_read(self, told: Mapping[str, Any], hours: int) -> SharedUsageRead | None:
        """Return the next read: the access report, the lists of ids, then the log.

        After a fault of the log no more of it is read: its cause is most likely one of the whole store.
        """
        if ACCESS not in told:
            return self._read_manager(ACCESS, "/".join(ACCESS_PATH), read_access)
        if self.store is None:
            return None
        for name in (ENVIRONMENTS, PROJECTS):
            if name not in told:
                return self._read_manager(name, f"{name}/", _read_places)
            if isinstance(told[name], Reading):
                return None
        if SPAN not in told:
            return self._read_log(SPAN, TrafficLog.build_span, partial(read_span, hours), hours)
        return None if isinstance(told[SPAN], Reading) else self._next_page(told, hours)

    def make_check(self) -> StoreCheck | None:
        """Return the read that shows whether the traffic log can be searched, and is being written."""
        if self.store is None:
            return None
        read = self._read_log(SPAN, TrafficLog.build_span, partial(read_span, CHECKED_HOURS), CHECKED_HOURS)
        return StoreCheck(read, _describe_span)

    def _read_manager(self, name: str, path: str, read: Callable[[Reply], Any]) -> SharedUsageRead:
        return SharedUsageRead(
            name,
            lambda access, _now: replace(self.requests.build_read(path, access), largest=LARGEST_REPORT),
            read,
            is_alone=True,
            tells_calls=name != ACCESS,
        )

    def _read_log(
        self, name: str, build: Callable[..., Any], read: Callable[[Reply], Any], *about: Any
    ) -> SharedUsageRead:
        assert self.store is not None  # noqa: S101 - the caller has seen to it
        log = TrafficLog(self.store)
        return SharedUsageRead(
            name, lambda access, now: build(log, *about, access, now), read, of_store=True, is_alone=True
        )

    def _next_page(self, told: Mapping[str, Any], hours: int) -> SharedUsageRead | None:
        pages = 0
        for place in told[ENVIRONMENTS]:
            number, after = 1, None
            while (page := told.get(_name_page(place, number))) is not None:
                if isinstance(page, Reading):
                    return None
                number, after, pages = number + 1, page.after, pages + 1
                if after is None:
                    break
            else:
                if pages >= MOST_PAGES:
                    return None
                name = _name_page(place, number)
                return self._read_log(name, TrafficLog.build_page, read_page, place.id, after, hours)
        return None

    def next_read(
        self,
        target: Target,
        snapshot: Snapshot | None,  # noqa: ARG002
        told: Mapping[str, Any],
        seen: Mapping[str, Reading],  # noqa: ARG002
        lacking: Mapping[str, str],  # noqa: ARG002
        hours: int,
    ) -> Operation | Usage:
        """Return the use of a target, by the shared reads alone."""
        calls = _NO_STORE if self.store is None else _count_calls(target, told, hours)
        usage = Usage(hours=hours, why=calls) if isinstance(calls, str) else Usage(hours=hours, calls=calls)
        return _add_callers(usage, target, told.get(ACCESS))


def _describe_span(span: LogSpan, now: float) -> str:
    newest, oldest = max(0.0, now - span.newest), now - span.oldest
    return f"the traffic log's newest record is {newest:,.0f} s old, its oldest {oldest / 86400:,.1f} days"


def _name_page(place: _ProxyPlace, number: int) -> str:
    """Return the name of a page; with the id, since no two environments share one."""
    return f"traffic log of {show_text(place.name)} ({show_text(place.id)}), page {number}"


def _read_places(reply: Reply) -> tuple[_ProxyPlace, ...] | Reading:
    """Read the list of environments or of projects: all entries with their ids."""
    body = parse_object(reply)
    listed = (body or {}).get("resultList") if reply.status == 200 and is_success(body) else None
    if not isinstance(listed, list):
        return read_list_refusal(reply, body)
    count = as_count((body or {}).get("resultCount"))
    if count is not None and count != len(listed):
        text = f"the list names {len(listed):,} of {count:,} entries"
        return Reading(verdict=Verdict.UNCLEAR, message=text)
    return tuple(_list_places(listed))


def _list_places(listed: list[Any]) -> Iterator[_ProxyPlace]:
    for entry in listed:
        if isinstance(entry, dict) and (id_ := find_text(entry, "id")) and (name := find_text(entry, "name")):
            yield _ProxyPlace(id_, name)


def _count_calls(target: Target, told: Mapping[str, Any], hours: int) -> int | str:
    """Return the calls of a target, or why they cannot be told."""
    project, proxy, environment = map(to_nfc, target.parts)
    place = _find_place(told.get(ENVIRONMENTS), environment, "environment")
    owner = _find_place(told.get(PROJECTS), project, "project")
    if isinstance(place, str) or isinstance(owner, str):
        return place if isinstance(place, str) else str(owner)
    if not isinstance(told.get(SPAN), LogSpan):
        return f"the traffic log cannot tell: {_explain(told.get(SPAN))}"
    pages = list(_list_pages(told, place))
    if not _are_whole(pages):
        return f"the traffic log cannot tell: {_explain(_find_fault(told))}"
    return _add_up(pages, owner.id, proxy, hours)


def _find_place(listed: Any, name: str, what: str) -> _ProxyPlace | str:
    if not isinstance(listed, tuple):
        return f"the ids of the {what}s cannot be read: {_explain(listed)}"
    found: list[_ProxyPlace] = [place for place in listed if to_nfc(place.name) == name]
    if len(found) != 1:
        many = f"several {what}s" if found else f"no {what}"
        return f"the list of {what}s has {many} of this name with an id"
    return found[0]


def _list_pages(told: Mapping[str, Any], place: _ProxyPlace) -> Iterator[LogPage | Reading]:
    number = 1
    while (page := told.get(_name_page(place, number))) is not None:
        yield page
        number += 1


def _are_whole(pages: list[LogPage | Reading]) -> TypeGuard[list[LogPage]]:
    """Return whether these are all pages of an environment."""
    last = pages[-1] if pages else None
    return isinstance(last, LogPage) and last.after is None


def _find_fault(told: Mapping[str, Any]) -> Reading | None:
    """Return the fault after which no more of the log was read."""
    pages = (found for name, found in told.items() if name.startswith("traffic log of "))
    return next((page for page in pages if isinstance(page, Reading)), None)


def _add_up(pages: list[LogPage], project: str, proxy: str, hours: int) -> int | str:
    # Between two pages calls go on, so only one page that is the whole answer can be compared.
    if len(pages) == 1 and pages[0].records != pages[0].total:
        return "the rows of the traffic log do not add up to its records"
    calls = sum(page.calls.get((project, proxy), 0) for page in pages)
    hidden = sum(page.nameless.get(owner, 0) for page in pages for owner in (project, None))
    hidden += sum(page.calls.get((None, proxy), 0) for page in pages)
    if hidden:
        seen = f", beside {count_noun(calls, 'call')}" if calls else ""
        return f"{count_noun(hidden, 'record')} of the traffic log may be about it, and do not name it{seen}"
    # Whether to log is set for each environment and proxy. So silence of a whole environment proves nothing.
    if not any(page.records for page in pages):
        return f"the traffic log has no record of its environment in {hours} h"
    if not calls:
        alike = (page.names.get((project, proxy.casefold())) for page in pages)
        if other := next(filter(None, alike), None):
            return f"the traffic log names it in another case: {show_text(other)}"
    return doubt_calls(calls) or calls


def _explain(found: Any) -> str:
    if not isinstance(found, Reading):
        return _NOT_READ
    return ": ".join(filter(None, (found.code, found.message))) or "no reason was given"


def _add_callers(usage: Usage, target: Target, report: Any) -> Usage:
    """Return the use with those who may call the proxy, as far as the access report tells them."""
    if not isinstance(report, AccessReport):
        return replace(usage, callers_unread=f"the access report cannot be read: {_explain(report)}")
    project, proxy, _ = map(to_nfc, target.parts)
    callers = report.callers.get((project, proxy))
    if callers is None:
        return replace(usage, callers_unread="the access report names only proxies that are shared outside")
    return replace(usage, callers=callers.names, more_callers=callers.more)
