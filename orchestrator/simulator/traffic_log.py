"""The Elasticsearch to which a simulated Apinizer logs its traffic, at the manager's own address.

After Elasticsearch's reference (8.17): the search API, the queries ``bool``, ``range``, ``term`` and
``exists``, the aggregations ``min``, ``max``, ``filter`` and ``composite``; and after Apinizer's page "API
Traffic Log Record Data Structure". A search that asks for anything else is refused as one that is not parsed.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Annotated, Any, Literal, NamedTuple, TypeAlias
from urllib.parse import unquote

import msgspec
from msgspec import Meta, Struct, field

from orchestrator.simulator.apinizer_fixture import TrafficLogFixture
from orchestrator.simulator.exchange import (
    CallResult,
    HttpAnswer,
    PlatformCall,
    ReceivedRequest,
    get_header,
    json_answer,
)
from orchestrator.simulator.pages import parse_query

_HOUR = 3600.0
_SHARDS = 3
_DEFAULT_TOTAL = 10_000
"""Hits up to which a search counts exactly that does not say how far it should."""
_MOST_BUCKETS = 65_536

Keyword = Literal["ei", "pi", "apn"]
"""The fields of a record that hold a keyword: environment and project by id, the proxy by name."""

Key: TypeAlias = tuple[str | None, ...]
Place: TypeAlias = tuple[str, str, str]
"""A project, a proxy and an environment, by their names."""


class LogRecord(NamedTuple):
    """Records that are alike. ``at`` is their Unix time in milliseconds."""

    at: int
    keywords: Mapping[str, str]
    number: int


class _Form(Struct, frozen=True, forbid_unknown_fields=True):
    """A part of a search. A key that is unknown here is refused, as Elasticsearch refuses a misspelt one."""


class _TimeRange(_Form, frozen=True):
    gte: int
    format: Literal["epoch_millis"]


class _KeywordField(_Form, frozen=True):
    field: Keyword


class _Bool(_Form, frozen=True):
    filter: tuple[_Query, ...] = ()
    must_not: tuple[_Query, ...] = ()


class _Query(_Form, frozen=True):
    both: _Bool | None = field(default=None, name="bool")
    since: dict[Literal["@timestamp"], _TimeRange] = field(default_factory=dict, name="range")
    term: dict[Keyword, str] = {}
    exists: _KeywordField | None = None

    def fits(self, record: LogRecord) -> bool:
        """Return whether a record is among those that the query asks for."""
        return (
            (self.both is None or _fits_bool(self.both, record))
            and all(record.at >= span.gte for span in self.since.values())
            and all(record.keywords.get(name) == value for name, value in self.term.items())
            and (self.exists is None or self.exists.field in record.keywords)
        )


class _Terms(_Form, frozen=True):
    field: Keyword
    missing_bucket: bool = False


class _Source(_Form, frozen=True):
    terms: _Terms


class _Composite(_Form, frozen=True):
    sources: tuple[dict[str, _Source], ...]
    size: Annotated[int, Meta(ge=1, le=_MOST_BUCKETS)] = 10
    after: dict[str, str | None] | None = None


class _TimeField(_Form, frozen=True):
    field: Literal["@timestamp"]


class _Aggregation(_Form, frozen=True):
    min: _TimeField | None = None
    max: _TimeField | None = None
    filter: _Query | None = None
    composite: _Composite | None = None


class _SearchBody(_Form, frozen=True):
    size: Literal[0]
    timeout: str = ""
    track_total_hits: bool | int = _DEFAULT_TOTAL
    query: _Query = _Query()
    aggs: dict[str, _Aggregation] = {}


def _fits_bool(query: _Bool, record: LogRecord) -> bool:
    return all(each.fits(record) for each in query.filter) and not any(
        each.fits(record) for each in query.must_not
    )


class SimulatedTrafficLog:
    """One traffic log."""

    def __init__(self, fixture: TrafficLogFixture, places: Sequence[Place], start: float) -> None:
        """``places`` are all proxies, deployed or not; ``start`` is the Unix time from which the fixture
        counts back."""
        self._fixture = fixture
        self._environments = tuple(dict.fromkeys(environment for _, _, environment in places))
        self._start = start
        self._calls = tuple(each for place in places for each in self._list_calls(place))

    def route(self, asked: ReceivedRequest) -> PlatformCall | None:
        """Return the call of a search; None for any other request."""
        path, _, query = asked.raw_path.partition("?")
        found = re.fullmatch(r"/([^/]+)/_search", path)
        if asked.method != "POST" or found is None:
            return None
        return PlatformCall(
            perform=lambda now, _twist: CallResult(self._answer(unquote(found[1]), query, asked, now)),
            # The log knows nothing of the manager's tokens.
            needs_token=False,
            error=_word_status,
        )

    def _list_calls(self, place: Place) -> Iterator[LogRecord]:
        # The manager's lists give a project and an environment their names as their ids.
        project, proxy, environment = place
        for hours, count in self._fixture.calls.get("/".join(place), ()):
            at = int((self._start - hours * _HOUR) * 1000)
            yield LogRecord(at, {"ei": environment, "pi": project, "apn": proxy}, count)

    def _list_records(self, now: float) -> Iterator[LogRecord]:
        yield from self._calls
        if self._fixture.others:
            times = self._start - self._fixture.begins * _HOUR, now - self._fixture.quiet * _HOUR
            for environment in self._environments:
                keywords = {"ei": environment, "pi": "another-project", "apn": "another-proxy"}
                yield from (LogRecord(int(at * 1000), keywords, 1) for at in times)

    def _answer(self, index: str, query: str, asked: ReceivedRequest, now: float) -> HttpAnswer:
        wanted = self._fixture.authorization
        if wanted is not None and get_header(asked.headers, "authorization") != wanted:
            reason = "unable to authenticate with the credential of this request"
            return _refuse(401, "security_exception", reason)
        patterns = [one for one in index.split(",") if self._has(one)]
        if len(patterns) < len(index.split(",")) and parse_query(query).get("allow_no_indices") == "false":
            return _refuse(404, "index_not_found_exception", f"no such index [{index}]", index=index)
        records = [*self._list_records(now)] if patterns else []
        try:
            search = msgspec.json.decode(asked.body, type=_SearchBody)
            return _send(search, records, _SHARDS if patterns else 0)
        # Queries stand in each other, as deep as a request says.
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            return _refuse(400, "x_content_parse_exception", str(error))

    def _has(self, pattern: str) -> bool:
        return not self._fixture.index or fnmatchcase(self._fixture.index, pattern)


def _send(search: _SearchBody, records: Sequence[LogRecord], shards: int) -> HttpAnswer:
    kept = [record for record in records if search.query.fits(record)]
    answer: dict[str, Any] = {
        "took": 1,
        "timed_out": False,
        "_shards": {"total": shards, "successful": shards, "skipped": 0, "failed": 0},
        "hits": {**_count_hits(search.track_total_hits, kept), "max_score": None, "hits": []},
    }
    if search.aggs:
        answer["aggregations"] = {name: _aggregate(each, kept) for name, each in search.aggs.items()}
    return json_answer(200, answer)


def _count_hits(limit: bool | int, kept: Iterable[LogRecord]) -> dict[str, Any]:
    if limit is False:
        return {}
    total = _add_up(kept)
    if limit is True or total <= limit:
        return {"total": {"value": total, "relation": "eq"}}
    return {"total": {"value": limit, "relation": "gte"}}


def _aggregate(asked: _Aggregation, kept: Sequence[LogRecord]) -> dict[str, Any]:
    if asked.composite is not None:
        return _compose(asked.composite, kept)
    if asked.filter is not None:
        return {"doc_count": _add_up(record for record in kept if asked.filter.fits(record))}
    choose = max if asked.max is not None else min
    at = choose((record.at for record in kept), default=None)
    return {"value": None if at is None else float(at)}


def _add_up(records: Iterable[LogRecord]) -> int:
    return sum(record.number for record in records)


def _compose(asked: _Composite, kept: Iterable[LogRecord]) -> dict[str, Any]:
    """Return one page of buckets in the order of their keys; a value that is missing comes first."""
    terms = {name: source.terms for each in asked.sources for name, source in each.items()}
    counts: Counter[Key] = Counter()
    for record in kept:
        if all(one.missing_bucket or one.field in record.keywords for one in terms.values()):
            counts[tuple(record.keywords.get(one.field) for one in terms.values())] += record.number
    keys = sorted(counts, key=_sort_key)
    if asked.after is not None:
        last = _sort_key(tuple(asked.after.get(name) for name in terms))
        keys = [key for key in keys if _sort_key(key) > last]
    named = [(dict(zip(terms, key, strict=True)), counts[key]) for key in keys[: asked.size]]
    after = {"after_key": named[-1][0]} if named else {}
    return {**after, "buckets": [{"key": key, "doc_count": count} for key, count in named]}


def _sort_key(key: Key) -> tuple[tuple[bool, str], ...]:
    return tuple((part is not None, part or "") for part in key)


def _refuse(status: int, kind: str, reason: str, **more: str) -> HttpAnswer:
    error = {"type": kind, "reason": reason, **more}
    return json_answer(status, {"error": {"root_cause": [error], **error}, "status": status})


def _word_status(status: int, code: str | None, message: str | None) -> HttpAnswer:
    return _refuse(status, code or "search_phase_execution_exception", message or "all shards failed")
