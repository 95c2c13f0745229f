"""ROMA Connect's list of backend APIs as a catalog: page by page, and again where it shifted meanwhile.

After the vendor's reference on custom backends (V2) and its older pages of the same (V1). The list has no
order that is promised and no snapshot. A page therefore begins with the last entry of the one before: where
another one stands there, or the total has changed, entries have moved, and some may be between.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from types import MappingProxyType
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from orchestrator.gateways.envelope import as_count, as_whole_number, describe_reply, find_text, parse_object
from orchestrator.gateways.roma.listing import LONGEST_PAGE
from orchestrator.gateways.roma.records import may_lack_newest
from orchestrator.gateways.roma.replies import give_hint, read_refused_look
from orchestrator.gateways.roma.requests import RomaRequests
from orchestrator.gateways.text import show_text
from orchestrator.model.http import Reply
from orchestrator.model.reading import Reading, Verdict
from orchestrator.model.search import (
    ANY_TEXT,
    MOST_LISTED,
    FoundTarget,
    QueryResult,
    SearchQuery,
    TargetFilter,
    Traits,
    parse_instant,
)

FILTERS: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "name": ANY_TEXT,
        "path": ANY_TEXT,
        "application": ANY_TEXT,
        "type": frozenset({"data", "function"}),
        "deployed-before": ANY_TEXT,
    }
)

PASSES = 4
"""Most readings of the list from its beginning; after them the list counts as changing too fast."""

MOST_PAGES = 5000
"""Pages that are read in all."""

_DEPLOYED = 4
_IN_DEVELOPMENT = frozenset({1, 3})


class RomaSearch(Struct, frozen=True):
    """The search feature of one instance."""

    requests: RomaRequests

    @property
    def filters(self) -> Mapping[str, frozenset[str]]:
        """The fields of an entry of the list, and the time of the last deployment."""
        return FILTERS

    def start(self, wanted: TargetFilter) -> SearchQuery:
        """Return the query for the first page of the list."""
        return _ListSearch(self.requests, wanted).start()


class _ListSearch:
    """One search: what was read so far of the list of one instance."""

    def __init__(self, requests: RomaRequests, wanted: TargetFilter) -> None:
        self._requests = requests
        self._wanted = wanted
        self._known: set[str] = set()
        self._met_in_pass: set[str] = set()
        """Ids that the present pass has met: a page without a new one leads no further."""
        self._pass = 1
        self._pages = 0
        self._total: int | None = None
        self._anchor: str | None = None
        """Id of the entry that the next page begins with."""

    def start(self) -> SearchQuery:
        """Return the query for the first page."""
        return self._ask_page(0)

    def _ask_page(self, offset: int) -> SearchQuery:
        return SearchQuery(
            name="the list of backend APIs" if not offset else f"the list of backend APIs from {offset:,} on",
            request=lambda access, now: self._requests.build_list(offset, LONGEST_PAGE, access, now),
            read=partial(self._read_page, offset),
            failed=self._report_failure,
        )

    def _report_failure(self, reading: Reading) -> QueryResult:
        said = " ".join(part for part in (reading.code, reading.message) if part) or "no reason was given"
        hint = f"; {reading.hint}" if reading.hint else ""
        seen = f"; {len(self._known):,} of {self._total:,} were seen" if self._total else ""
        return QueryResult(gaps=(f"the list of backend APIs: {said}{hint}{seen}",))

    def _read_refusal(self, reply: Reply) -> Reading:
        read = read_refused_look(reply)
        if read.verdict is not Verdict.NOT_OFFERED:
            return read
        return replace(read, hint=give_hint(read.code, self._requests.version))

    def _read_page(self, offset: int, reply: Reply) -> QueryResult | Reading:
        if reply.status != 200:
            return self._read_refusal(reply)
        fields = parse_object(reply) or {}
        entries, total = fields.get("apis"), as_count(fields.get("total"))
        if not isinstance(entries, list) or total is None:
            return Reading(verdict=Verdict.UNCLEAR, message=describe_reply(reply))
        apis = [entry for entry in entries if isinstance(entry, dict) and _find_text(entry, "id")]
        new, twice = self._split_new(apis)
        self._known.update(api["id"] for api in (*new, *twice))
        after = self._choose_next(offset, entries, total)
        found, asked, gaps = self._sort(new)
        gaps += (f"{_describe(api)}: it is listed twice, in two states" for api in twice)
        if len(apis) < len(entries):
            gaps.append("an entry of the list of backend APIs that has no id")
        if isinstance(after, str):
            gaps.append(after)
        return QueryResult(
            seen=len(new),
            deployed=sum(as_whole_number(api.get("status")) == _DEPLOYED for api in new),
            found=tuple(found),
            queries=[*([after] if isinstance(after, SearchQuery) else []), *asked],
            gaps=tuple(gaps),
        )

    def _split_new(self, apis: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """Return the entries of a page that were not known, and those that it shows in two states."""
        states: dict[str, set[str]] = {}
        for api in apis:
            states.setdefault(api["id"], set()).add(repr(api.get("status")))
        first = {api["id"]: api for api in reversed(apis) if api["id"] not in self._known}
        listed = list(reversed(first.values()))
        return (
            [api for api in listed if len(states[api["id"]]) == 1],
            [api for api in listed if len(states[api["id"]]) > 1],
        )

    def _choose_next(self, offset: int, entries: list[Any], total: int) -> SearchQuery | str | None:
        """Return the next page; nothing at a good end; or what is to be told of a bad one."""
        moved = self._has_moved(offset, entries, total)
        end = offset + len(entries)
        self._pages += 1
        seen = f"{len(self._known):,} were seen, and it says that there are {total:,}"
        if len(self._known) >= MOST_LISTED or self._pages >= MOST_PAGES:
            return f"the list of backend APIs is too long to be read whole: {seen}"
        if not moved and entries and end < total:
            return self._ask_page(end - 1 if self._anchor else end)
        if not moved and len(self._known) >= total:
            return None
        if self._pass < PASSES:
            self._pass += 1
            self._met_in_pass.clear()
            return self._ask_page(0)
        return f"the list of backend APIs is partial, or changes too fast to be read whole: {seen}"

    def _has_moved(self, offset: int, entries: list[Any], total: int) -> bool:
        """Take in a page; say whether entries have moved since the one before."""
        ids = [entry.get("id") if isinstance(entry, dict) else None for entry in entries]
        moved = self._anchor is not None and (not ids or ids[0] != self._anchor)
        fresh = not ids or any(isinstance(one, str) and one not in self._met_in_pass for one in ids)
        repeated = offset + len(entries) < total and not fresh
        moved = offset > 0 and (moved or repeated or total != self._total)
        # A page of one entry cannot begin with the last one and still go on.
        self._anchor = ids[-1] if len(ids) > 1 else None
        self._total = total
        self._met_in_pass.update(one for one in ids if isinstance(one, str))
        return moved

    def _sort(self, apis: list[dict[str, Any]]) -> tuple[list[FoundTarget], list[SearchQuery], list[str]]:
        """Return what is wanted, what must be asked for its time first, and what cannot be told."""
        found: list[FoundTarget] = []
        asked: list[SearchQuery] = []
        gaps: list[str] = []
        for api in apis:
            traits = _collect_traits(api)
            state = as_whole_number(api.get("status"))
            if state in _IN_DEVELOPMENT or not self._wanted.admits_all(traits):
                continue
            if state != _DEPLOYED:
                status = _describe_status(api.get("status"))
                gaps.append(f"{_describe(api)}: its status is {status}, which says neither")
            elif self._wanted.before is not None:
                asked.append(self._ask_history(api, traits))
            else:
                found.append(FoundTarget(parts=(api["id"],), traits=traits, notes=_collect_notes(api)))
        return found, asked, gaps

    def _ask_history(self, api: dict[str, Any], traits: Traits) -> SearchQuery:
        one: str = api["id"]
        notes, name = _collect_notes(api), _describe(api)
        return SearchQuery(
            name=f"the deployment history of {name}",
            request=lambda access, now: self._requests.build_history(one, access, now),
            read=lambda reply: self._read_history(one, traits, notes, name, reply),
        )

    def _read_history(
        self, one: str, traits: Traits, notes: tuple[str, ...], name: str, reply: Reply
    ) -> QueryResult | Reading:
        if reply.status != 200:
            fault = self._read_refusal(reply)
            return QueryResult() if fault.verdict is Verdict.ABSENT else fault  # deleted since it was listed
        fields = parse_object(reply) or {}
        listed = fields.get("histories", fields.get("deploys"))
        if not isinstance(listed, list):
            return Reading(verdict=Verdict.UNCLEAR, message=describe_reply(reply))
        # The order of the records is not promised, so the newest one is searched for.
        times = [_find_text(entry, "deploy_time") for entry in listed if isinstance(entry, dict)]
        told = [(moment, text) for text in times if (moment := parse_instant(text))]
        # A record whose time cannot be read may be the newest one, and so may one that is left out.
        is_whole = len(told) == len(listed) and not may_lack_newest(fields, listed)
        since = max(told)[1] if told and is_whole else None
        early = self._wanted.is_early(since)
        if early is None:
            return QueryResult(gaps=(f"{name}: when it was deployed last is not told",))
        found = FoundTarget(parts=(one,), traits=traits, notes=notes, since=since)
        return QueryResult(found=(found,) if early else ())


def _find_text(api: Mapping[str, Any], key: str) -> str:
    return find_text(api, key) or ""


def _describe_status(status: object) -> str | None:
    """Return what a status is that is none of the three, in a few words."""
    if isinstance(status, str):
        return show_text(status) or "empty"
    return "missing" if status is None else str(status)[:20] if isinstance(status, int) else "no number"


def _collect_traits(api: Mapping[str, Any]) -> Traits:
    keys = {
        "name": ("name",),
        "path": ("path",),
        "application": ("roma_app_name", "roma_app_id"),
        "type": ("type",),
    }
    return {name: tuple(text for key in own if (text := _find_text(api, key))) for name, own in keys.items()}


def _describe(api: Mapping[str, Any]) -> str:
    name = show_text(_find_text(api, "name"))
    return f"the backend API {name} ({api['id']})" if name else f"the backend API {show_text(api['id'])}"


def _collect_notes(api: Mapping[str, Any]) -> tuple[str, ...]:
    address = " ".join(text for key in ("method", "path") if (text := _find_text(api, key)))
    application = _find_text(api, "roma_app_name") or _find_text(api, "roma_app_id")
    modified = _find_text(api, "modified_time")
    said = (
        _find_text(api, "name"),
        address,
        application and f"application {application}",
        modified and f"modified {modified}",
    )
    return tuple(note for text in said if (note := show_text(text)))
