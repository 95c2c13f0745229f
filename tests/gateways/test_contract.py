"""What every kind of gateway must do, over the table of kinds and all the samples."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from functools import reduce
from operator import getitem
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from orchestrator.gateways import KINDS
from orchestrator.gateways.envelope import parse_list, parse_object
from orchestrator.model.credentials import Secret
from orchestrator.model.http import Reply
from orchestrator.model.plan import Plan, Wave
from orchestrator.model.reading import CHANGES, Act, Operation, Reading, Verdict
from orchestrator.plan.json_form import decode_plan, encode_plan
from tests.support.recorded import (
    DEPLOY,
    PARTS,
    SAMPLES,
    Recorded,
    Sample,
    every_kind,
    every_operation,
    facts_of,
    folder_of,
    gateway,
    our_target,
    recorded_requests,
    samples,
)

ALL = [sample for kind in KINDS for sample in samples(kind)]
SENT = [recorded for kind in KINDS for recorded in recorded_requests(kind)]


def _name(item: Sample | Recorded) -> str:
    return item.name


@pytest.mark.parametrize("sample", ALL, ids=_name)
def test_a_sample_is_read_as_it_wants(sample: Sample) -> None:
    assert sample.read() == sample.wanted


@pytest.mark.parametrize("kind", every_kind())
def test_a_journal_keeps_a_gateway_and_its_kind(kind: str) -> None:
    """Otherwise a run could begin, and no resume and no restore could read its plan."""
    plan = Plan(name="kept", gateways=(gateway(kind),), waves=(Wave(name="all"),))

    assert decode_plan(encode_plan(plan)) == plan


@pytest.mark.promise(3)
@pytest.mark.parametrize("sample", [sample for sample in ALL if "undeploy-" in sample.name], ids=_name)
def test_only_the_vendors_full_evidence_is_success(sample: Sample) -> None:
    """The proofs are named by hand, so that a wrong sample cannot make a wrong reading right."""
    proofs = {f"{sample.kind}/{name}" for name in facts_of(sample.kind).proofs}

    assert (sample.read().verdict is Verdict.REMOVED) == (sample.name in proofs)


@pytest.mark.promise(4)
@pytest.mark.parametrize(
    "sample", [sample for sample in ALL if sample.wanted.verdict is Verdict.ABSENT], ids=_name
)
def test_absent_is_believed_only_with_the_vendors_own_code_or_text(sample: Sample) -> None:
    own = [words.encode() for words in facts_of(sample.kind).absent]
    written = sample.reply.body.replace(b"\0", b"")  # between the letters of UTF-16

    assert any(words in written for words in own)
    assert parse_object(sample.reply)


@pytest.mark.promise(4)
@pytest.mark.parametrize("kind", every_kind())
@pytest.mark.parametrize(
    "body", [b"", b"<html>Not Found</html>", b'{"status":404,"error":"Not Found"}', b"[]"]
)
def test_a_404_of_somebody_else_is_the_wrong_place_for_an_undeploy_and_no_look_closes_a_lane(
    kind: str, body: bytes
) -> None:
    reply = Reply(404, {}, body, 0.0)
    read = gateway(kind).read
    verdicts = {one: read(one, our_target(kind), reply).verdict for one in facts_of(kind).operations}

    assert {verdicts[one] for one in verdicts if one.act in CHANGES} == {Verdict.ELSEWHERE}
    # A step after a deploy comes to a place that the deploy has shown to be right.
    steps = [verdicts[one] for one in verdicts if one.act not in (*CHANGES, Act.LOOK)]
    assert set(steps) <= {Verdict.REFUSED}
    first, *others = (verdicts[one] for one in verdicts if one.act is Act.LOOK)
    assert first is Verdict.NOT_OFFERED
    # A read of one part of a target, as of a front-end API, says nothing of all the others.
    assert set(others) <= {Verdict.NOT_OFFERED, Verdict.UNCLEAR}


@pytest.mark.parametrize("kind", every_kind())
def test_every_verdict_is_reached_by_a_sample(kind: str) -> None:
    assert {sample.wanted.verdict.value for sample in samples(kind)} == set(facts_of(kind).verdicts)


def test_a_sample_says_where_it_is_from_and_names_no_path() -> None:
    folders = [SAMPLES, *map(folder_of, KINDS)]
    files = [path for folder in folders for path in folder.rglob("source.txt")]
    sources = {path.parent.name: path.read_text("utf-8").strip() for path in files}

    assert len(sources) > 300
    for folder, source in sources.items():
        assert "contract, section" in source or source.startswith(("Product, ", "Elasticsearch")), folder
        assert "/" not in source, folder


@pytest.mark.parametrize("recorded", SENT, ids=_name)
def test_a_recorded_request_is_sent_byte_for_byte(recorded: Recorded) -> None:
    sent, wanted = recorded.request(), recorded.wanted

    assert (sent.method, sent.url, sent.body) == (wanted.method, wanted.url, wanted.body)
    assert dict(sent.headers) == wanted.headers


@pytest.mark.promise(9)
@pytest.mark.parametrize(("kind", "operation"), every_operation())
def test_a_credential_travels_in_a_header_and_nowhere_else(kind: str, operation: Operation) -> None:
    request = gateway(kind).build_request(
        operation, our_target(kind), Secret("marker-token"), note="CHG-1", now=0.0
    )

    assert "marker-token" not in request.url + repr(request) + str(request.body)
    assert sum("marker-token" in value for value in request.headers.values()) == 1


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
_KEYS = [
    "success",
    "status",
    "deploymentResult",
    "deploymentResults",
    "detailList",
    "environmentName",
    "envName",
    "podName",
    "error",
    "error_description",
    "resultMessage",
    "resultList",
    "retry_after",
    "error_code",
    "error_msg",
    "deployed",
    "podsActive",
    "podsResponded",
    "pods",
    "routeActive",
    "revision",
    "environment",
    "deploy",
    "deploymentList",
]
_WORDS = st.sampled_from(
    ["SUCCESS", "FAILURE", "true", "APIG.3084", "not_found", "is not found", "limit:1,time:0 hour"]
)
vendor_like = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 5) | _WORDS | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(_KEYS), inner, max_size=6),
    max_leaves=20,
)
bodies = st.binary() | (json_values | vendor_like).map(msgspec.json.encode)
statuses = st.sampled_from(
    [200, 201, 204, 302, 400, 401, 403, 404, 408, 409, 429, 500, 502, 503]
) | st.integers(100, 999)
replies = st.builds(
    Reply,
    statuses,
    st.dictionaries(st.sampled_from(["retry-after", "content-type", "location"]), st.text(max_size=40)),
    bodies,
    st.floats(0, 2e9),
)


def _fully_proven(reply: Reply) -> bool:
    """The success rule of the contract, written again and otherwise: every row true, and one row below."""
    body = msgspec.json.decode(reply.body)

    def proven(row: Any, *, top: bool) -> bool:
        below = [*(row.get("deploymentResults") or []), *(row.get("detailList") or [])]
        named = {row.get("environmentName"), row.get("envName")} - {None}
        ours = named <= {PARTS["apinizer"][-1]}
        return (
            row["success"] is True
            and ours
            and bool(below or not top)
            and all(proven(r, top=False) for r in below)
        )

    outer = body.get("success") is True or body.get("status") == "SUCCESS"
    return outer and proven(body["deploymentResult"], top=True)


def _proves_at_roma(kind: str, operation: Operation, reply: Reply) -> bool:
    if operation == DEPLOY:
        return reply.status == 200 and msgspec.json.decode(reply.body)["ld_api_id"] == PARTS[kind][0]
    return reply.status == 204


def _proves_at_apinizer(kind: str, operation: Operation, reply: Reply) -> bool:
    return reply.status == 200 and _fully_proven(reply)


def _proves_at_wso2(kind: str, operation: Operation, reply: Reply) -> bool:
    """A JSON list of this revision's deployments: without our environment, or with it once and approved."""
    _, revision, environment = PARTS[kind]
    body = msgspec.json.decode(reply.body)
    if "json" not in reply.headers["content-type"].lower() or type(body) is not list:
        return False
    if any(type(row["name"]) is not str or (row.get("revisionUuid") or revision) != revision for row in body):
        return False
    if operation == DEPLOY:
        (ours,) = (row for row in body if row["name"] == environment)
        return reply.status in (200, 201) and ours.get("status", "APPROVED") in ("APPROVED", None)
    return reply.status == 201 and all(row["name"].lower() != environment.lower() for row in body)


def _is_a_recorded_proof(kind: str, operation: Operation, reply: Reply) -> bool:
    proofs = [sample.reply for sample in samples(kind) if sample.operation == operation]
    return any((reply.status, reply.body) == (proof.status, proof.body) for proof in proofs)


PROVES: dict[str, Callable[[str, Operation, Reply], bool]] = {
    "roma": _proves_at_roma,
    "apinizer": _proves_at_apinizer,
    "wso2": _proves_at_wso2,
}
"""Each vendor's rule of success, written again and otherwise; without one, only a recorded reply proves."""


@pytest.mark.promise(3)
@pytest.mark.parametrize("kind", every_kind())
@given(reply=replies)
def test_no_reply_makes_read_raise_and_none_is_success_by_accident(kind: str, reply: Reply) -> None:
    """Each reply is read for each operation: to make one up takes much longer than to read it."""
    for operation in facts_of(kind).operations:
        reading = gateway(kind).read(operation, our_target(kind), reply)

        assert isinstance(reading, Reading), operation
        assert reading.message is None or (len(reading.message) <= 256 and reading.message.isprintable())
        assert reading.wait is None or reading.wait > 0
        if reading.verdict not in (Verdict.REMOVED, Verdict.UP, Verdict.DOWN, Verdict.TOLD):
            assert reading.code or reading.message, f"{operation}: faults are told, at least the status"
        if reading.verdict is Verdict.REMOVED:
            assert operation.act is not Act.LOOK
            assert PROVES.get(kind, _is_a_recorded_proof)(kind, operation, reply), operation


def _list_places(value: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the keys that lead to each value in a JSON value, the first three of a list."""
    yield place
    keys = value if isinstance(value, dict) else range(min(3, len(value))) if isinstance(value, list) else ()
    for key in keys:
        yield from _list_places(value[key], (*place, key))


def _put(value: Any, place: tuple[Any, ...], odd: Any) -> Any:
    """Return a JSON value with another one at a place."""
    if not place:
        return odd
    changed = dict(value) if isinstance(value, dict) else list(value)
    changed[place[0]] = _put(value[place[0]], place[1:], odd)
    return changed


@pytest.mark.parametrize("kind", every_kind())
def test_a_value_of_another_type_anywhere_in_a_reply_makes_no_read_raise(kind: str) -> None:
    for sample in samples(kind):
        whole = parse_object(sample.reply) or parse_list(sample.reply)
        for place in _list_places(whole) if whole else ():
            for odd in ([], {}, [None], None, True, 10**30):
                reply = replace(sample.reply, body=msgspec.json.encode(_put(whole, place, odd)))
                reading = sample.gateway.read(sample.operation, sample.target, reply)

                assert isinstance(reading, Reading), (sample.name, place, odd)


_MARKS = "a" + "\u0301\u0316" * 50_000
"""To put these accents in order takes time that grows with their square."""
_HOSTILE = [
    dict.fromkeys(("id", "name", "ld_api_id", "projectName", "apiProxyName", "environmentName"), _MARKS),
    {"id": PARTS["roma"][0], "status": "SUCCESS", "resultList": [{"environment": _MARKS, "revision": 1}]},
    {"success": True, "deploymentResult": {"success": True, "detailList": [{"envName": _MARKS}]}},
    {"code": 404, "message": "", "description": "requested " * 50_000},
    {"error": "not_found", "error_description": "ApiProxy with name (" * 50_000},
    {"error_code": "APIG.3084", "error_msg": "id: " * 20_000},
    {"error_code": "APIGW.0308", "error_msg": "limit:1" + " " * 500_000},
]


@pytest.mark.promise(10)
@pytest.mark.parametrize("kind", every_kind())
def test_no_reply_takes_long_to_read(kind: str) -> None:
    """While a reply is read nothing else goes on: no timeout ends it, and no interrupt."""
    read = gateway(kind).read
    began = time.process_time()
    for body in map(msgspec.json.encode, _HOSTILE):
        for operation in facts_of(kind).operations:
            for status in (200, 404):
                read(operation, our_target(kind), Reply(status, {}, body, 0.0))
    assert time.process_time() - began < 60


def _places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, below in inside:
        yield from _places(below, (*path, key))


@pytest.mark.promise(3)
@given(data=st.data())
def test_evidence_with_one_value_exchanged_must_still_prove_it(
    data: st.DataObject,
) -> None:
    proofs = [sample for sample in ALL if sample.wanted.evidence == "deploymentResult"]
    sample = data.draw(st.sampled_from(proofs))
    body = msgspec.json.decode(sample.reply.body)
    *way, last = data.draw(st.sampled_from([path for path in _places(body) if path]))
    holder = reduce(getitem, way, body)
    holder[last] = data.draw(
        st.sampled_from([None, False, True, "true", 1, 0, "SUCCESS", "test", [], {}, [True]])
    )
    reading = sample.gateway.read(
        sample.operation, sample.target, Reply(200, {}, msgspec.json.encode(body), 0.0)
    )

    if reading.verdict is Verdict.REMOVED:
        assert _fully_proven(Reply(200, {}, msgspec.json.encode(body), 0.0))


_MEANT = ("success", "status", "environmentName", "envName", "deploymentResult", "deploymentResults")
_OTHERS: list[Any] = [False, 0, 1, "true", "True", "SUCCESS ", "success", "FAILURE", "test", {}, [], [True]]


@pytest.mark.promise(3)
@pytest.mark.parametrize(
    "sample", [sample for sample in ALL if sample.wanted.evidence == "deploymentResult"], ids=_name
)
def test_evidence_of_which_one_word_means_something_else_is_none(sample: Sample) -> None:
    """Every word that means something, in every row: exchanged, written twice, and gone."""
    whole = msgspec.json.decode(sample.reply.body)
    meant = [path for path in _places(whole) if path and path[-1] in _MEANT]
    changed = [(path, other) for path in meant for other in _OTHERS]

    def verdict(body: bytes) -> Verdict:
        return sample.gateway.read(sample.operation, sample.target, Reply(200, {}, body, 0.0)).verdict

    for (*way, last), other in changed:
        body = msgspec.json.decode(sample.reply.body)
        reduce(getitem, way, body)[last] = other
        assert verdict(msgspec.json.encode(body)) is not Verdict.REMOVED, (way, last, other)
        before, after = f'"{last}":'.encode(), f'"{last}":{json.dumps(other)},"{last}":'.encode()
        twice = msgspec.json.encode(whole).replace(before, after, 1)
        assert verdict(twice) is not Verdict.REMOVED, twice
    for *way, last in meant:
        if last not in ("environmentName", "envName"):
            body = msgspec.json.decode(sample.reply.body)
            del reduce(getitem, way, body)[last]
            assert verdict(msgspec.json.encode(body)) is not Verdict.REMOVED, (way, last)


@pytest.mark.promise(3)
@pytest.mark.parametrize("name", ["shape-a", "shape-b", "shape-b-nested"])
def test_no_cut_of_full_evidence_is_success(name: str) -> None:
    (sample,) = [sample for sample in ALL if sample.name == f"apinizer/undeploy-200-{name}"]
    whole = sample.reply
    read = sample.gateway.read
    cuts = [Reply(200, whole.headers, whole.body[:end], whole.at) for end in range(len(whole.body))]

    assert {read(sample.operation, sample.target, cut).verdict for cut in cuts} == {Verdict.STRANGE}


@pytest.mark.parametrize("kind", every_kind())
def test_a_kind_answers_every_question_itself_under_its_own_name(kind: str) -> None:
    questions = {"build_request", "read", "next_look", "installation"}

    assert questions <= set(vars(KINDS[kind]))
    assert kind == KINDS[kind].KIND == KINDS[kind].__struct_config__.tag


@pytest.mark.parametrize("kind", every_kind())
def test_equal_places_are_one_installation(kind: str) -> None:
    def installation(url: str) -> str:
        return gateway(kind, url=url).installation

    assert installation("HTTPS://GW.example.com:443/") == installation("https://gw.example.com")
    assert installation("http://gw.example.com:80/base/") == installation("http://GW.example.com/base")
    different = [
        "https://gw.example.com",
        "http://gw.example.com",
        "https://gw.example.com:8443",
        "https://b.example.com",
    ]
    assert len({installation(url) for url in different}) == len(different)


@pytest.mark.parametrize("kind", every_kind())
def test_the_kinds_defaults_hold_where_the_plan_is_silent(kind: str) -> None:
    facts = facts_of(kind)

    assert (gateway(kind).concurrency, gateway(kind).reply_timeout) == (facts.concurrency, facts.timeout)


@pytest.mark.parametrize("kind", every_kind())
def test_an_act_that_a_kind_does_not_know_is_refused(kind: str) -> None:
    with pytest.raises(ValueError, match="is not asked to look elsewhere"):
        gateway(kind).build_request(
            Operation(Act.LOOK, "elsewhere"), our_target(kind), Secret("t"), note=None, now=0.0
        )


@pytest.mark.promise(6)
@pytest.mark.parametrize(("kind", "operation"), every_operation())
@pytest.mark.parametrize(
    ("asked", "wait"),
    [("3", 3.0), ("3 seconds", 3.0), ('"3"', 3.0), ("1, 3", 3.0), ("soon", None), ("", None)],
)
def test_a_503_with_a_wait_in_any_form_concerns_the_lane_and_a_bare_one_its_target(
    kind: str, operation: Operation, asked: str, wait: float | None
) -> None:
    page = b"<html><head><title>503 Service Temporarily Unavailable</title></head></html>"
    read, ours = gateway(kind).read, our_target(kind)
    told = read(operation, ours, Reply(503, {"retry-after": asked, "content-type": "text/html"}, page, 0.0))
    bare = read(operation, ours, Reply(503, {"content-type": "text/html"}, page, 0.0))

    assert (told.verdict, told.wait) == (Verdict.BUSY, wait)
    assert bare.verdict is (Verdict.UNCLEAR if operation.act is Act.LOOK else Verdict.DOUBT)
