"""Who uses a proxy of Apinizer, by its traffic log and its access report: a gap never looks like "unused"."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from orchestrator.gateways.apinizer.access_report import AccessReport, ProxyCallers, read_access
from orchestrator.gateways.apinizer.gateway import Apinizer
from orchestrator.gateways.apinizer.traffic_log import LogPage, LogSpan, read_page, read_span
from orchestrator.gateways.apinizer.usage import ACCESS, ENVIRONMENTS, PROJECTS, SPAN, ApinizerUsage
from orchestrator.model.credentials import Secret
from orchestrator.model.http import Reply
from orchestrator.model.reading import Reading, Verdict
from orchestrator.model.settings import ElasticsearchStore, UsageSources
from orchestrator.model.usage import Usage
from tests.support.recorded import SAMPLES, gateway, read_yaml, target

FOLDERS = sorted(path.parent for path in (SAMPLES / "elasticsearch").glob("*/reply.json"))
STORE = ElasticsearchStore(url="https://elastic.example.com:9200/", index="apinizer-log-apiproxy-*")
HOURS = 72
NOW = 1_764_342_000.0
OURS = target("Retail", "orders-api", "production")
PROJECT, PLACE = "p1", "e1"


def read_reply(folder: Path) -> Reply:
    head = json.loads((folder / "reply.json").read_text())
    return Reply(head["status"], {}, (folder / "body").read_bytes(), head["at"])


def feature() -> ApinizerUsage:
    entry = gateway("apinizer")
    assert isinstance(entry, Apinizer)
    return replace(entry, usage=UsageSources(elasticsearch=STORE)).traffic


def page(**fields: Any) -> LogPage:
    calls = {(PROJECT, "orders-api"): 12, (PROJECT, "petstore-api"): 3}
    plain: dict[str, Any] = {"records": 15, "total": 15, "calls": calls, "nameless": {}, "names": {}}
    return LogPage(**{**plain, "after": None, **fields})


def wrap(*rows: dict[str, str]) -> Reply:
    body = {"status": "SUCCESS", "resultList": rows, "resultCount": len(rows)}
    return Reply(200, {}, msgspec.json.encode(body), NOW)


PLACES = wrap({"id": PLACE, "name": "production"}, {"id": "e2", "name": "test"})
OWNERS = wrap({"id": PROJECT, "name": "Retail"}, {"id": "p2", "name": "Billing"})


def tell(*pages: LogPage | Reading, without: str = "", **other: Any) -> dict[str, Any]:
    """Return what the shared reads tell, with these pages of the environment ``production``."""
    told: dict[str, Any] = {ACCESS: AccessReport({("Retail", "orders-api"): ProxyCallers(("web-shop",), 0)})}
    spans = {ENVIRONMENTS: PLACES, PROJECTS: OWNERS, SPAN: LogSpan(NOW - 9e5, NOW)}
    left = list(pages)
    while (read := feature().next_shared_read(told, HOURS)) is not None:
        given_reply = {**spans, **other}.get(read.name)
        if given_reply is None:
            is_ours = f"({PLACE})" in read.name
            told[read.name] = left.pop(0) if is_ours else page(records=0, total=0, calls={})
        else:
            told[read.name] = read.read(given_reply) if isinstance(given_reply, Reply) else given_reply
    return {name: found for name, found in told.items() if name != without}


def use(told: dict[str, Any]) -> Usage:
    found = feature().next_read(OURS, None, told, {}, {}, HOURS)
    assert isinstance(found, Usage)
    return found


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_a_reply_of_the_store_tells_what_its_sample_says(folder: Path) -> None:
    expected = read_yaml(folder / "expected.yaml")
    reply = read_reply(folder)

    found = read_span(expected["hours"], reply) if expected["read"] == "span" else read_page(reply)

    if (wanted := expected.get("reading")) is not None:
        assert found == msgspec.convert(wanted, Reading)
    elif expected["read"] == "span":
        assert found == LogSpan(**expected["found"])
    else:
        assert isinstance(found, LogPage)
        wanted = expected["found"]
        calls = {(wanted["project"], name): count for name, count in wanted["calls"].items()}
        assert (found.records, found.total, found.calls) == (wanted["records"], wanted["total"], calls)
        assert found.after is None


def test_the_calls_and_the_callers_of_a_proxy_are_told() -> None:
    assert use(tell(page())) == Usage(hours=HOURS, calls=12, callers=("web-shop",))


def test_a_proxy_that_the_whole_log_leaves_out_was_not_called() -> None:
    assert use(tell(page(calls={(PROJECT, "petstore-api"): 15}))).calls == 0


def test_the_pages_of_an_environment_add_up() -> None:
    key = {"project": PROJECT, "proxy": "orders-api"}
    told = tell(page(after=key, total=90), page(total=90, calls={(PROJECT, "orders-api"): 5}))

    assert use(told).calls == 17


def refuse(text: str) -> Reply:
    return Reply(401, {}, msgspec.json.encode({"status": "FAILURE", "resultMessage": text}), 0)


@pytest.mark.promise(5)
@pytest.mark.parametrize(
    ("text", "of_report", "of_list"),
    [
        ("Token was expired!", Verdict.NOT_OFFERED, Verdict.DENIED),
        ("Token is not valid!", Verdict.NOT_OFFERED, Verdict.DENIED),
        ("Unauthorized API Access!", Verdict.NOT_OFFERED, Verdict.NOT_OFFERED),
        ("User does not have required permission!", Verdict.NOT_OFFERED, Verdict.NOT_OFFERED),
        ("Please sign in", Verdict.NOT_OFFERED, Verdict.DENIED),
    ],
)
def test_a_401_to_a_list_is_about_the_token_unless_its_text_names_a_right(
    text: str, of_report: Verdict, of_list: Verdict
) -> None:
    of_report_now = read_access(refuse(text))
    of_lists = [tell(**{ENVIRONMENTS: refuse(text)})[ENVIRONMENTS]]
    of_lists.append(tell(**{PROJECTS: refuse(text)})[PROJECTS])

    assert [each.verdict for each in (of_report_now, *of_lists) if isinstance(each, Reading)] == [
        of_report,
        of_list,
        of_list,
    ]


def unclear(text: str) -> Reading:
    return Reading(verdict=Verdict.UNCLEAR, message=text)


UNTOLD: dict[str, tuple[dict[str, Any], str]] = {
    "the search failed": (tell(unclear("no such index")), "no such index"),
    "the second page is missing": (tell(page(after={"a": 1}), unclear("timed out")), "timed out"),
    "the log does not cover the hours": (tell(**{SPAN: unclear("too young")}), "too young"),
    "nothing was read": ({}, "the access report cannot be read"),
    "the environments are refused": (
        tell(**{ENVIRONMENTS: refuse("Unauthorized API Access!")}),
        "the ids of the environments cannot be read: Unauthorized API Access!",
    ),
    "the list of projects is cut": (
        tell(**{PROJECTS: Reply(200, {}, b'{"status":"SUCCESS","resultList":[],"resultCount":4}', 0)}),
        "the ids of the projects cannot be read: the list names 0 of 4 entries",
    ),
    "the project is in no list": (
        tell(page(), **{PROJECTS: wrap({"id": "p2", "name": "Billing"})}),
        "the list of projects has no project of this name with an id",
    ),
    "the environment has no id": (
        tell(**{ENVIRONMENTS: wrap({"id": "", "name": "production"})}),
        "the list of environments has no environment of this name with an id",
    ),
    "two environments have the name": (
        tell(
            page(), page(), **{ENVIRONMENTS: wrap(*({"id": i, "name": "production"} for i in ("e1", "e3")))}
        ),
        "the list of environments has several environments of this name with an id",
    ),
    "records of the project name no proxy": (
        tell(page(calls={}, nameless={PROJECT: 15})),
        "15 records of the traffic log may be about it, and do not name it",
    ),
    "records name neither project nor proxy": (
        tell(page(records=16, total=16, nameless={None: 1})),
        "1 record of the traffic log may be about it, and do not name it, beside 12 calls",
    ),
    "a record names the proxy without its project": (
        tell(page(calls={(None, "orders-api"): 15})),
        "15 records of the traffic log may be about it, and do not name it",
    ),
    "the environment is silent": (
        tell(page(records=0, total=0, calls={})),
        "the traffic log has no record of its environment in 72 h",
    ),
    "the rows are not all": (
        tell(page(total=99)),
        "the rows of the traffic log do not add up to its records",
    ),
    "there are more than anything gets": (
        tell(page(records=10**13, total=10**13, calls={(PROJECT, "orders-api"): 10**13})),
        "more than 1,000,000,000,000 calls were counted, which cannot be",
    ),
    "the log writes it in another case": (
        tell(page(calls={(PROJECT, "Orders-API"): 15}, names={(PROJECT, "orders-api"): "Orders-API"})),
        "the traffic log names it in another case: Orders-API",
    ),
}


@pytest.mark.parametrize("case", UNTOLD)
def test_a_gap_makes_the_calls_untold_and_never_none(case: str) -> None:
    told, why = UNTOLD[case]

    usage = use(told)

    assert usage.calls is None
    assert why in f"{usage.why} {usage.callers_unread}"


def test_without_a_traffic_log_in_the_plan_only_callers_are_told() -> None:
    entry = gateway("apinizer")
    assert entry.traffic is not None
    told = tell(page())

    usage = entry.traffic.next_read(OURS, None, told, {}, {}, HOURS)

    assert isinstance(usage, Usage)
    assert (usage.calls, usage.callers) == (None, ("web-shop",))
    assert "usage: elasticsearch" in str(usage.why)
    assert not entry.tells_calls
    assert entry.traffic.next_shared_read({ACCESS: told[ACCESS]}, HOURS) is None


def test_names_are_compared_in_one_composition_of_their_accents() -> None:
    composed, apart = "café", "café"
    row = {"key": {"project": PROJECT, "proxy": apart}, "doc_count": 4}
    body = {
        "timed_out": False,
        "_shards": {"total": 1, "successful": 1, "failed": 0},
        "hits": {"total": {"value": 4, "relation": "eq"}},
        "aggregations": {"proxies": {"buckets": [row]}},
    }
    found = read_page(Reply(200, {}, msgspec.json.encode(body), NOW))
    assert isinstance(found, LogPage)

    usage = feature().next_read(target("Retail", composed, "production"), None, tell(found), {}, {}, HOURS)

    assert isinstance(usage, Usage)
    assert usage.calls == 4


def test_a_proxy_that_is_not_shared_outside_has_callers_that_nothing_tells() -> None:
    usage = use({**tell(page()), ACCESS: AccessReport({})})

    assert usage.callers_unread == "the access report names only proxies that are shared outside"
    assert not usage.is_told


ACCESS_LIST = {
    "status": "SUCCESS",
    "result": {
        "apiAccessList": [
            {
                "name": "orders-api",
                "projectName": "Retail",
                "methodList": [
                    {
                        "credentialList": [
                            {"username": "web-shop", "organization": {"name": "Example Org"}},
                            {"username": "billing", "organization": None},
                        ]
                    },
                    {"credentialList": [{"username": "billing"}, "odd", {}]},
                    None,
                ],
            },
            {"name": "no project"},
            7,
        ]
    },
}


def test_the_access_report_names_each_caller_once_with_its_organization() -> None:
    found = read_access(Reply(200, {}, msgspec.json.encode(ACCESS_LIST), 0))

    callers = ProxyCallers(("web-shop (Example Org)", "billing"), 0)
    assert found == AccessReport({("Retail", "orders-api"): callers})


def test_a_refused_access_report_is_no_bad_token() -> None:
    refusal = read_access(Reply(401, {}, b'{"status":"FAILURE","resultMessage":"User not found!"}', 0))

    assert isinstance(refusal, Reading)
    assert refusal.verdict is Verdict.NOT_OFFERED


def test_after_a_fault_of_the_store_nothing_more_is_asked_of_it() -> None:
    told = tell(unclear("dead"))

    assert sum(name.startswith("traffic log of") for name in told) == 1


def test_the_searches_ask_for_no_name_of_a_user_and_no_key() -> None:
    told = tell(page())
    del told[SPAN]
    read = feature().next_shared_read(told, HOURS)
    assert read is not None
    assert read.of_store

    request = read.build(Secret("Basic x"), NOW)

    assert request.url.startswith("https://elastic.example.com:9200/apinizer-log-apiproxy-*/_search?")
    assert request.headers["Authorization"] == "Basic x"
    assert b"uok" not in (request.body or b"")
    assert "Authorization" not in read.build(Secret(""), NOW).headers


numbers = st.one_of(st.integers(-2, 4), st.none(), st.text(max_size=2), st.booleans(), st.floats(0, 3))
keys = st.one_of(st.sampled_from([PROJECT, "orders-api", "", None, 7]))
rows = st.one_of(
    st.none(),
    st.fixed_dictionaries(
        {"key": st.fixed_dictionaries({"project": keys, "proxy": keys})}, optional={"doc_count": numbers}
    ),
)
shards = st.fixed_dictionaries({"total": numbers, "successful": numbers, "failed": numbers})


@settings(deadline=None)
@given(listed=st.lists(rows, max_size=4), about=shards, timed_out=numbers, total=numbers)
def test_a_page_of_any_form_tells_calls_only_by_whole_rows(
    listed: list[Any], about: dict[str, Any], timed_out: Any, total: Any
) -> None:
    body = {
        "timed_out": timed_out,
        "_shards": about,
        "hits": {"total": {"value": total}},
        "aggregations": {"proxies": {"buckets": listed}},
    }
    found = read_page(Reply(200, {}, msgspec.json.encode(body), NOW))

    usage = use(tell(found))

    if usage.calls is not None:
        assert timed_out is False
        assert about["failed"] == 0 < about["total"] == about["successful"]
        counts = [row["doc_count"] for row in listed]
        assert all(type(count) is int and count >= 0 for count in counts)
        assert 0 < sum(counts) == total
