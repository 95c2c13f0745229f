"""The traffic log of a simulated Apinizer, judged by the samples and by Elasticsearch's own words."""

from __future__ import annotations

import json
from typing import Any

import pytest

from orchestrator.gateways.apinizer.traffic_log import LogPage, LogSpan, TrafficLog, read_page, read_span
from orchestrator.model.credentials import Secret
from orchestrator.model.http import Reply, Request
from orchestrator.model.settings import ElasticsearchStore
from orchestrator.simulator.apinizer_fixture import TrafficLogFixture
from orchestrator.simulator.faults import parse_storm
from orchestrator.simulator.gateway_fixture import FAKE_TOKEN
from tests.simulator.test_samples import compare
from tests.support.simulated import SimulatedClient, apinizer, document, status

INDEX = "apinizer-log-apiproxy-*"
STRICT = "allow_no_indices=false"
CALLS = {
    "Retail/petstore/test": ((0.5, 3), (30.0, 1201), (80.0, 7)),
    "Retail/petstore/old": ((2.0, 5),),
}
NOW = 1_000_060.0
HOUR = 3600.0
PLACED = [
    {name: {"terms": {"field": field, "missing_bucket": True}}}
    for name, field in (("project", "pi"), ("proxy", "apn"))
]


def client(*, without: bool = False, **fields: Any) -> SimulatedClient:
    log = None if without else TrafficLogFixture(**{"calls": CALLS, **fields})
    return SimulatedClient(apinizer(traffic_log=log))


def search(of: SimulatedClient, body: object, *, index: str = INDEX, query: str = STRICT, **head: str) -> Any:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return of.send("POST", f"/{index}/_search?{query}", head, raw)


def since(hours: float) -> dict[str, Any]:
    begin = int((NOW - hours * HOUR) * 1000)
    return {"range": {"@timestamp": {"gte": begin, "format": "epoch_millis"}}}


def span(hours: float = 72) -> dict[str, Any]:
    placeless = {"bool": {"filter": [since(hours)], "must_not": [{"exists": {"field": "ei"}}]}}
    times = {name: {how: {"field": "@timestamp"}} for name, how in (("oldest", "min"), ("newest", "max"))}
    return {"size": 0, "track_total_hits": False, "aggs": {**times, "placeless": {"filter": placeless}}}


def page(environment: str = "test", hours: float = 72, **composite: Any) -> dict[str, Any]:
    return {
        "size": 0,
        "track_total_hits": True,
        "query": {"bool": {"filter": [since(hours), {"term": {"ei": environment}}]}},
        "aggs": {"proxies": {"composite": {"size": 1000, "sources": PLACED, **composite}}},
    }


def rows(answer: Any) -> dict[str, int]:
    buckets = document(answer)["aggregations"]["proxies"]["buckets"]
    return {bucket["key"]["proxy"]: bucket["doc_count"] for bucket in buckets}


def test_the_calls_of_an_environment_are_counted_by_proxy() -> None:
    shown = client()

    answer = search(shown, page())

    assert rows(answer) == {"another-proxy": 1, "petstore": 1204}
    assert document(answer)["hits"]["total"] == {"value": 1205, "relation": "eq"}
    assert rows(search(shown, page(hours=100))) == {"another-proxy": 1, "petstore": 1211}
    assert rows(search(shown, page("old"))) == {"another-proxy": 1, "petstore": 5}
    assert rows(search(shown, page("production"))) == {"another-proxy": 1}


def test_the_log_of_a_fixture_that_says_nothing_is_alive_and_old() -> None:
    told = document(search(client(calls={}), span()))["aggregations"]

    assert told["newest"]["value"] == NOW * 1000
    assert told["oldest"]["value"] < (NOW - 365 * 24 * HOUR) * 1000
    assert told["placeless"]["doc_count"] == 0


def test_a_log_may_be_dead_or_young_or_empty() -> None:
    dead = document(search(client(calls={}, quiet=30.0, begins=40.0), span()))["aggregations"]
    empty = document(search(client(calls={}, others=False), span()))["aggregations"]

    assert dead["newest"]["value"] == (NOW - 30 * HOUR) * 1000
    assert dead["oldest"]["value"] == (NOW - 60 - 40 * HOUR) * 1000
    assert (empty["oldest"]["value"], empty["newest"]["value"]) == (None, None)


def test_pages_follow_each_other_in_the_order_of_their_keys() -> None:
    shown = client()
    first = search(shown, page(size=1))
    after = document(first)["aggregations"]["proxies"]["after_key"]
    second = search(shown, page(size=1, after=after))
    last = document(second)["aggregations"]["proxies"]["after_key"]

    assert (rows(first), rows(second)) == ({"petstore": 1204}, {"another-proxy": 1})
    assert after == {"project": "Retail", "proxy": "petstore"}
    third = document(search(shown, page(size=1, after=last)))["aggregations"]["proxies"]
    assert third == {"buckets": []}


def test_the_hits_are_counted_as_far_as_the_search_says() -> None:
    shown = client(calls={"Retail/petstore/test": ((1.0, 20_000),)})

    def total(**fields: Any) -> Any:
        body = {name: value for name, value in page().items() if name != "track_total_hits"}
        return document(search(shown, {**body, **fields}))["hits"].get("total")

    assert total() == {"value": 10_000, "relation": "gte"}
    assert total(track_total_hits=True) == {"value": 20_001, "relation": "eq"}
    assert total(track_total_hits=False) is None


REFUSED: dict[str, tuple[object, str]] = {
    "no JSON": (b"{", "x_content_parse_exception"),
    "no UTF-8": (b"\xff", "x_content_parse_exception"),
    "an unknown query": ({"size": 0, "query": {"wildcard": {"apn": "x"}}}, "x_content_parse_exception"),
    "an unknown field": ({"size": 0, "query": {"term": {"uok": "x"}}}, "x_content_parse_exception"),
    "records themselves": ({"size": 10}, "x_content_parse_exception"),
    "a query without end": (
        b'{"size":0,"query":' + b'{"bool":{"filter":[' * 5000,
        "x_content_parse_exception",
    ),
    "a page without end": (page(size=10**9), "x_content_parse_exception"),
}


@pytest.mark.parametrize(("body", "kind"), REFUSED.values(), ids=REFUSED)
def test_a_search_that_is_not_parsed_is_refused(body: object, kind: str) -> None:
    answer = search(client(), body)

    assert status(answer) == 400
    assert document(answer)["error"]["type"] == kind


def test_only_the_credential_of_the_fixture_is_let_in_and_stands_in_no_book() -> None:
    """Promise 9: a fixture's credential is masked wherever a request repeats it."""
    shown = client(authorization="ApiKey secret-of-the-log")

    assert status(search(shown, span(), Authorization="ApiKey another")) == 401
    assert status(search(shown, span(), Authorization="ApiKey secret-of-the-log")) == 200
    search(shown, span(), index="ApiKey secret-of-the-log")
    seen = shown.platforms.list_requests()
    assert len(seen) == 3
    assert not any("secret-of-the-log" in one.path for one in seen)


def test_a_manager_without_a_log_answers_a_search_as_an_unknown_address() -> None:
    token = f"Bearer {FAKE_TOKEN}"
    assert status(search(client(without=True), span(), Authorization=token)) == 404


def test_a_search_is_no_act_at_a_target() -> None:
    shown = client()
    shown.expect(storm=parse_storm("100%:500"))

    assert status(search(shown, page())) == 200
    assert (shown.facts().requests, shown.facts().looks, shown.facts().struck) == (1, 0, 0)


# The sample, what differs at the log, what goes wrong, the search.
SAMPLES: dict[str, tuple[dict[str, Any], str, dict[str, Any]]] = {
    "span-covers-the-hours": ({}, "", span()),
    "span-ends-too-early": ({"quiet": 90.0}, "", span()),
    "span-of-no-records": ({"calls": {}, "others": False}, "", span()),
    "page": ({}, "", page()),
    "page-without-calls": ({"others": False}, "", page("production")),
    "credential-refused": ({"authorization": "ApiKey x"}, "", span()),
    "index-missing": ({"index": "another-log"}, "", span()),
    "field-is-no-keyword": ({}, "any:400", page()),
    "shards-unavailable": ({}, "any:503", span()),
    "too-many-requests": ({}, "any:429", span()),
    "login-page": ({}, "any:login-page", span()),
}


@pytest.mark.parametrize("name", SAMPLES)
def test_the_log_answers_as_the_sample_does(name: str) -> None:
    fields, fault, body = SAMPLES[name]
    shown = client(**fields)
    if fault:
        shown.expect(script={"apim": (fault,)})

    compare("elasticsearch", name, search(shown, body).answer)


def ask_as_program(of: SimulatedClient, request: Request) -> Reply:
    place = request.url.removeprefix("https://elastic.example.com")
    answer = of.send(request.method, place, request.headers, request.body or b"").answer
    assert answer is not None
    return Reply(answer.status, {}, answer.body, NOW)


def test_the_searches_of_the_program_are_understood() -> None:
    shown = client()
    log = TrafficLog(ElasticsearchStore(url="https://elastic.example.com", index=INDEX))

    times = read_span(72, ask_as_program(shown, log.build_span(72, Secret(""), NOW)))
    told = read_page(ask_as_program(shown, log.build_page("test", None, 72, Secret(""), NOW)))

    assert isinstance(times, LogSpan)
    assert times.newest == NOW
    assert isinstance(told, LogPage)
    assert told.calls["Retail", "petstore"] == 1204
    assert (told.records, told.total, told.after) == (1205, 1205, None)
