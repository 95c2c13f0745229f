"""Apinizer's traffic log, as the customer's Elasticsearch holds it: how often each proxy was called.

After the vendor's pages "API Traffic Log Record Data Structure" and "Manual ILM Policy and Template Creation"
and Elasticsearch's reference of the composite aggregation. A record names its environment (``ei``) and its
project (``pi``) by id, and its proxy (``apn``) by name; all three are keywords. Its field ``uok`` holds a
user name or a key. A key is a credential, so nothing here asks for that field.

A count is believed only if nothing speaks against it. Else a busy proxy might look unused.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from msgspec import Struct

from orchestrator.gateways.envelope import as_count, describe_reply, find_text, find_wait, parse_object
from orchestrator.gateways.text import show_text
from orchestrator.model.credentials import Access, Secret
from orchestrator.model.http import Reply, Request
from orchestrator.model.reading import Reading, Verdict
from orchestrator.model.settings import ElasticsearchStore
from orchestrator.text.counting import count_noun
from orchestrator.text.names import to_nfc

PAGE_SIZE = 1000
"""Most proxies that one page names."""

QUIET_FOR = 24
"""Hours without any record after which the log counts as dead, where more were asked for."""

AHEAD_BY = 600.0
"""Seconds by which a record may be ahead of our clock."""

_YEAR_1, _YEAR_10000 = -62_135_596_800_000, 253_402_300_800_000
"""Unix milliseconds. One record with a wrong time, such as one before 1970, spoils no whole log."""

_HOUR = 3600.0

# A search over half of the shards tells half of the calls. So Elasticsearch is to refuse it; and where it
# answers all the same, `_find_gap` sees that.
_OPTIONS = "allow_no_indices=false&ignore_unavailable=false&allow_partial_search_results=false"


class LogSpan(Struct, frozen=True):
    """The times of the oldest and the newest record, in Unix seconds."""

    oldest: float
    newest: float


class LogPage(Struct, frozen=True):
    """The calls of some proxies of one environment. A project is an id, None where a record names none."""

    records: int
    """All records that the rows count."""
    total: int | None
    """All records of the environment; None where the reply does not tell."""
    calls: Mapping[tuple[str | None, str], int]
    """By project, and by the name of the proxy in NFC."""
    nameless: Mapping[str | None, int]
    """By project, the records that name no proxy."""
    after: Mapping[str, Any] | None
    """Where the next page begins; None on the last one."""
    names: Mapping[tuple[str | None, str], str]
    """By project, and by the name in lower case, a name as the log writes it."""


class TrafficLog(Struct, frozen=True):
    """Builds the searches of one store."""

    store: ElasticsearchStore

    def build_span(self, hours: int, access: Access, now: float) -> Request:
        """Build the search for the oldest and the newest record, and for those without an environment."""
        placeless = {
            "bool": {"filter": [_bound_times(hours, now)], "must_not": [{"exists": {"field": "ei"}}]}
        }
        return self._build(
            access,
            {
                "track_total_hits": False,
                "aggs": {
                    "oldest": {"min": {"field": "@timestamp"}},
                    "newest": {"max": {"field": "@timestamp"}},
                    "placeless": {"filter": placeless},
                },
            },
        )

    def build_page(
        self, environment: str, after: Mapping[str, Any] | None, hours: int, access: Access, now: float
    ) -> Request:
        """Build the aggregation over the proxies of an environment, by its id, behind the key ``after``."""
        sources = [
            {name: {"terms": {"field": field, "missing_bucket": True}}}
            for name, field in (("project", "pi"), ("proxy", "apn"))
        ]
        composite: dict[str, Any] = {"size": PAGE_SIZE, "sources": sources}
        if after is not None:
            composite["after"] = after
        return self._build(
            access,
            {
                "track_total_hits": True,
                "query": {"bool": {"filter": [_bound_times(hours, now), {"term": {"ei": environment}}]}},
                "aggs": {"proxies": {"composite": composite}},
            },
        )

    def _build(self, access: Access, search: Mapping[str, Any]) -> Request:
        assert isinstance(access, Secret)  # noqa: S101 - the value of a header, see SharedUsageRead
        headers = {"Accept": "application/json", "Content-Type": "application/json"}
        if header := access.reveal():
            headers["Authorization"] = header
        url = f"{self.store.url.rstrip('/')}/{self.store.index}/_search?{_OPTIONS}"
        return Request("POST", url, headers, msgspec.json.encode({"size": 0, "timeout": "20s", **search}))


def _bound_times(hours: int, now: float) -> dict[str, Any]:
    # No upper bound: a worker whose clock is ahead writes records of the next minutes.
    begin = int((now - hours * _HOUR) * 1000)
    return {"range": {"@timestamp": {"gte": begin, "format": "epoch_millis"}}}


def read_span(hours: int, reply: Reply) -> LogSpan | Reading:
    """Read the span of the log; UNCLEAR where it does not cover the last ``hours`` before the reply."""
    found = _read_search(reply)
    if isinstance(found, Reading):
        return found
    oldest, newest = (_find_time(found.aggregations.get(name)) for name in ("oldest", "newest"))
    placeless = _find_count(found.aggregations.get("placeless"))
    if placeless is None or (oldest is None) != (newest is None):
        return _explain("the reply is no answer to the search")
    if oldest is None or newest is None:
        return _explain("the index holds no record with a time")
    span = LogSpan(oldest, newest)
    gap = _find_hole(span, hours, reply.at)
    if gap is None and placeless:
        gap = f"{count_noun(placeless, 'record')} of the traffic log name no environment"
    return span if gap is None else _explain(gap)


def _find_hole(span: LogSpan, hours: int, now: float) -> str | None:
    quiet, begins = (now - span.newest) / _HOUR, (now - span.oldest) / _HOUR
    if span.newest > now + AHEAD_BY:
        return f"its newest record is {-quiet:.1f} h ahead of this machine's clock"
    if quiet > min(hours, QUIET_FOR):
        return f"its newest record is {quiet:,.1f} h old: the gateway seems to log elsewhere, or not at all"
    if begins < hours:
        return f"its oldest record is {begins:.1f} h old, which is less than {hours} h"
    return None


def read_page(reply: Reply) -> LogPage | Reading:
    """Read one page of the aggregation; UNCLEAR where it may lack a call."""
    found = _read_search(reply)
    if isinstance(found, Reading):
        return found
    proxies = _as_object(found.aggregations.get("proxies"))
    buckets = proxies.get("buckets")
    if not isinstance(buckets, list) or len(buckets) > PAGE_SIZE:
        return _explain("the reply is no answer to the search")
    rows = [row for bucket in buckets if (row := _read_bucket(bucket)) is not None]
    # Fewer rows than were asked for are the last ones.
    after = proxies.get("after_key") if len(buckets) == PAGE_SIZE else None
    if len(rows) < len(buckets) or not isinstance(after, dict | None):
        return _explain("a row of the aggregation cannot be read")
    total = as_count(_as_object(found.hits.get("total")).get("value"))
    return _make_page(rows, after, total)


class _Row(Struct, frozen=True):
    project: str | None
    proxy: str | None
    calls: int


def _make_page(rows: Iterable[_Row], after: Mapping[str, Any] | None, total: int | None) -> LogPage:
    calls: dict[tuple[str | None, str], int] = {}
    nameless: dict[str | None, int] = {}
    names: dict[tuple[str | None, str], str] = {}
    records = 0
    for row in rows:
        records += row.calls
        if row.proxy is None:
            nameless[row.project] = nameless.get(row.project, 0) + row.calls
            continue
        name = to_nfc(row.proxy)
        calls[row.project, name] = calls.get((row.project, name), 0) + row.calls
        names[row.project, name.casefold()] = row.proxy
    return LogPage(records, total, calls, nameless, after, names)


def _read_bucket(bucket: object) -> _Row | None:
    key, calls = _as_object(_as_object(bucket).get("key")), _find_count(bucket)
    if calls is None or not {"project", "proxy"} <= key.keys():
        return None
    project, proxy = key["project"], key["proxy"]
    if not isinstance(project, str | None) or not isinstance(proxy, str | None):
        return None
    # An empty name names nothing.
    return _Row(project or None, proxy or None, calls)


def _find_time(value: object) -> float | None:
    """Return the Unix time that an aggregation gives in milliseconds; None for what is in no calendar."""
    milliseconds = _as_object(value).get("value")
    if isinstance(milliseconds, bool) or not isinstance(milliseconds, int | float):
        return None
    return milliseconds / 1000 if _YEAR_1 <= milliseconds < _YEAR_10000 else None


def _find_count(value: object) -> int | None:
    return as_count(_as_object(value).get("doc_count"))


class _Search(Struct, frozen=True):
    """The parts of a reply to a search that has seen all records."""

    hits: Mapping[str, Any]
    aggregations: Mapping[str, Any]


def _read_search(reply: Reply) -> _Search | Reading:
    """Return the reply to a search; or why it is not believed."""
    body = parse_object(reply)
    if reply.status != 200 or body is None:
        return _read_refusal(reply, body)
    if gap := _find_gap(body):
        return _explain(gap)
    return _Search(_as_object(body.get("hits")), _as_object(body.get("aggregations")))


def _find_gap(body: Mapping[str, Any]) -> str | None:
    """Return why a search has not seen all records; None if it has."""
    shards = _as_object(body.get("_shards"))
    total, successful, failed = (as_count(shards.get(name)) for name in ("total", "successful", "failed"))
    if body.get("timed_out") is not False or body.get("terminated_early") is True:
        return "the search ran out of time"
    if total is None or successful is None or failed is None:
        return "the reply does not say how many shards were searched"
    if not total:
        return "no index fits the name"
    if failed or successful != total:
        return f"{successful} of {total} shards of the index were searched"
    # Clusters beside this one, where the index names some.
    clusters = _as_object(body.get("_clusters"))
    if any(clusters.get(name) for name in ("skipped", "failed", "partial", "running")):
        return "not all clusters were searched"
    return None


def _as_object(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _read_refusal(reply: Reply, body: Mapping[str, Any] | None) -> Reading:
    """Read a refusal. NOT_OFFERED for a refused credential: a further try might lock the account."""
    error = (body or {}).get("error")
    fields = error if isinstance(error, dict) else {"reason": error}
    code, text = find_text(fields, "type"), find_text(fields, "reason")
    told = show_text(text) if text else describe_reply(reply)
    verdict = Verdict.UNCLEAR
    if reply.status in {401, 403}:
        verdict = Verdict.NOT_OFFERED
    elif reply.status == 429:
        verdict = Verdict.BUSY
    return Reading(verdict=verdict, code=code and show_text(code), message=told, wait=find_wait(reply))


def _explain(why: str) -> Reading:
    return Reading(verdict=Verdict.UNCLEAR, message=why)
