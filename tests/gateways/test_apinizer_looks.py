"""What one read of Apinizer's live state tells, row by row, and which facts of it are believed."""

from __future__ import annotations

import json
from typing import Any

import pytest

from orchestrator.gateways.apinizer.looks import (
    HEALTH,
    HISTORIES,
    PROXY,
    STATUS,
    ProxySiblings,
    copy_pods,
    is_offered,
    join_facts,
    next_look,
    read_look,
)
from orchestrator.gateways.naming import OF_ANOTHER
from orchestrator.model.http import Reply
from orchestrator.model.reading import LookFacts, Operation, Reading, Verdict
from tests.support.recorded import PARTS, target

OURS = target(*PARTS["apinizer"])
PROJECT, NAME, ENVIRONMENT = PARTS["apinizer"]
DOWN = Reading(verdict=Verdict.DOWN, evidence="look", facts=LookFacts(deployed=False, revision="7"))
UP = Reading(verdict=Verdict.UP, evidence="look", facts=LookFacts(deployed=True))
UNCLEAR = Reading(verdict=Verdict.UNCLEAR, message="HTTP 502")
LACKING = Reading(verdict=Verdict.NOT_OFFERED)
PARTIAL = Reading(
    verdict=Verdict.PARTIAL, code="E", message="one failed", pods=("w1",), more_pods=3, pod_count=9
)


def list_reply(*rows: Any, status: int = 200) -> Reply:
    body = {"status": "SUCCESS", "resultCount": len(rows), "resultList": list(rows)}
    return Reply(status, {}, json.dumps(body).encode(), 0.0)


def look(operation: Operation, *rows: Any) -> Reading:
    return read_look(operation.via, OURS, list_reply(*rows))


def facts(operation: Operation, *rows: Any) -> LookFacts | None:
    """The facts of a read that tells something; None where it proves nothing."""
    found = look(operation, *rows)
    assert (found.facts is None) <= (found.verdict is Verdict.UNCLEAR)
    return found.facts


@pytest.mark.parametrize(
    ("row", "wanted"),
    [
        ({"deployed": True}, LookFacts(deployed=True)),
        (
            {"deployed": False, "revision": 12, "lastDeployTime": "2026-01-02", "redeployRequired": True},
            LookFacts(deployed=False, revision="12", since="2026-01-02", edited=True),
        ),
        ({"deployed": True, "redeployRequired": False}, LookFacts(deployed=True, edited=False)),
        ({"deployed": True, "redeployRequired": "yes"}, LookFacts(deployed=True)),
        ({"deployed": True, "revision": 2**63 - 1}, LookFacts(deployed=True, revision=str(2**63 - 1))),
        ({"deployed": True, "revision": 2**63}, LookFacts(deployed=True)),
        ({"deployed": True, "revision": -(2**63) + 1}, LookFacts(deployed=True, revision=str(-(2**63) + 1))),
        ({"deployed": 1}, None),
        ({}, None),
    ],
)
def test_the_manager_s_word_is_believed_only_as_a_boolean(
    row: dict[str, Any], wanted: LookFacts | None
) -> None:
    assert facts(STATUS, row) == wanted


@pytest.mark.parametrize("operation", [STATUS, HEALTH])
@pytest.mark.parametrize("count", [0, 2])
def test_a_read_of_one_thing_that_shows_none_or_two_proves_nothing(operation: Operation, count: int) -> None:
    row = {"deployed": False, "podsActive": 0, "podsResponded": 2}
    found = look(operation, *[row] * count)

    assert (found.verdict, found.facts) == (Verdict.UNCLEAR, None)


def test_a_list_with_a_row_that_is_no_object_proves_nothing() -> None:
    assert look(STATUS, None, {"deployed": False}).verdict is Verdict.UNCLEAR
    assert look(STATUS, {"deployed": False}, "x").verdict is Verdict.UNCLEAR


SILENT = {"routeActive": False, "error": "Connection refused (10.0.0.2:8091)"}
UNLOADED = {"routeActive": False, "error": "API Proxy is not loaded"}


@pytest.mark.parametrize(
    ("row", "verdict", "active", "responded"),
    [
        ({"podsActive": 0, "podsResponded": 1}, Verdict.DOWN, 0, 1),
        ({"podsActive": 1, "podsResponded": 3}, Verdict.UP, 1, 3),
        ({"podsActive": 3, "podsResponded": 2}, Verdict.UP, 3, 3),
        ({"podsActive": 0, "podsResponded": 0}, Verdict.UNCLEAR, 0, 0),
        (
            {"podsActive": 0, "podsResponded": 1, "pods": [{"routeActive": True, "workerPodIp": "w1"}] * 2},
            Verdict.UP,
            2,
            2,
        ),
        ({"podsActive": 0, "podsResponded": 1, "pods": [{"routeActive": False}]}, Verdict.DOWN, 0, 1),
        ({"podsActive": 0, "podsResponded": 1, "pods": [{"routeActive": None}, {}]}, Verdict.DOWN, 0, 1),
        ({"podsActive": 0, "podsResponded": 1, "routeActive": False}, Verdict.DOWN, 0, 1),
        ({"podsActive": 0, "podsResponded": 2, "pods": [SILENT, {"routeActive": False}]}, Verdict.DOWN, 0, 1),
        ({"podsActive": 0, "podsResponded": 1, "pods": [SILENT, {"routeActive": False}]}, Verdict.DOWN, 0, 1),
        ({"podsActive": 0, "podsResponded": 2, "pods": [SILENT, SILENT]}, Verdict.UNCLEAR, 0, 0),
        ({"podsActive": 0, "podsResponded": 3, "pods": [SILENT]}, Verdict.DOWN, 0, 2),
        ({"podsActive": 0, "podsResponded": 2, "pods": [UNLOADED, UNLOADED]}, Verdict.DOWN, 0, 2),
        ({"podsActive": 0, "podsResponded": 1, "pods": [{"error": {"refused": 1}}]}, Verdict.DOWN, 0, 1),
        # A restore wants every pod: one that was not reached may not serve it.
        ({"podsActive": 1, "podsResponded": 2, "pods": [SILENT, {"routeActive": True}]}, Verdict.UP, 1, 2),
        ({"podsActive": 0, "podsResponded": 1, "pods": []}, Verdict.DOWN, 0, 1),
        ({"podsActive": 1, "podsResponded": 1, "pods": "many"}, Verdict.UP, 1, 1),
        ({"podsActive": 1, "podsResponded": 1, "pods": [{"routeActive": "?"}]}, Verdict.UP, 1, 1),
    ],
)
def test_the_count_that_says_more_pods_serve_is_believed(
    row: dict[str, Any], verdict: Verdict, active: int, responded: int
) -> None:
    found = look(HEALTH, row)

    assert found.facts is not None
    assert (found.verdict, found.facts.pods_active, found.facts.pods_responded) == (
        verdict,
        active,
        responded,
    )


@pytest.mark.promise(3)
@pytest.mark.parametrize(
    "row",
    [
        {"podsActive": 0},
        {"podsResponded": 2},
        {"podsActive": "0", "podsResponded": 2},
        {"podsActive": 0, "podsResponded": True},
        {"podsActive": -1, "podsResponded": 2},
        {"podsActive": 0, "podsResponded": 2, "routeActive": True},
        {"podsActive": 0, "podsResponded": 2, "pods": [{"routeActive": "true"}]},
        {"podsActive": 0, "podsResponded": 2, "pods": [{"routeActive": 1}]},
        {"podsActive": 0, "podsResponded": 2, "pods": ["w1"]},
        {"podsActive": 0, "podsResponded": 2, "pods": "w1"},
        {"podsActive": 0, "podsResponded": 2, "pods": {"routeActive": True}},
    ],
)
def test_a_count_of_no_pods_that_something_speaks_against_proves_nothing(row: dict[str, Any]) -> None:
    assert facts(HEALTH, row) is None


def test_the_pods_that_serve_are_named_once_with_the_path_and_the_manager_s_word() -> None:
    pods = [
        {"routeActive": True, "workerPodIp": "w1"},
        {"routeActive": False, "workerPodIp": "w2"},
        {"routeActive": True},
        "w3",
    ]
    row = {
        "podsActive": 2,
        "podsResponded": 4,
        "pods": pods,
        "servedPath": "/pay",
        "deployedInManager": False,
    }

    assert facts(HEALTH, row) == LookFacts(
        path="/pay", deployed=False, pods_active=2, pods_responded=4, serving=("w1", "unnamed")
    )
    assert facts(HEALTH, {"podsActive": 1, "podsResponded": 1, "deployedInManager": "no"}) == LookFacts(
        pods_active=1, pods_responded=1
    )


def test_no_answer_of_any_pod_says_nothing() -> None:
    found = look(HEALTH, {"podsActive": 0, "podsResponded": 0})

    assert (found.verdict, found.message) == (Verdict.UNCLEAR, "no pod answered the manager")
    assert found.evidence is None


def record(revision: Any, deploy: Any, environment: Any = ENVIRONMENT, **more: Any) -> dict[str, Any]:
    return {"revision": revision, "deploy": deploy, "environment": environment, **more}


@pytest.mark.parametrize(
    ("records", "wanted"),
    [
        ([record(3, True)], LookFacts(deployed=True, revision="3")),
        ([record(3, True), record(4, False)], LookFacts(deployed=False, revision="4")),
        ([record(4, False), record(3, True)], LookFacts(deployed=False, revision="4")),
        ([record(4, False), record(5, True, "another")], LookFacts(deployed=False, revision="4")),
        # What retention has removed may be a record of ours; what is older than our newest one may not.
        ([record(4, False), record(9, True, "another")], None),
        ([record(4, True), record(6, True, "another"), record(7, True, "another")], None),
        (
            [record(4, False), record(5, True, "another"), record(5, True, "third"), record(7, True, "x")],
            None,
        ),
        ([record(1, True), record(4, False), record(5, True, "x")], LookFacts(deployed=False, revision="4")),
        ([record(4, False), record("5", True, "another")], None),
        ([record(4, False), record(4, False)], LookFacts(deployed=False, revision="4")),
        (
            [record(4, True, deploymentTime="2026-01-02")],
            LookFacts(deployed=True, revision="4", since="2026-01-02"),
        ),
        ([record(4, False), record(4, True)], None),
        ([record(4, "false")], None),
        ([record(4, None)], None),
        ([record("4", False)], None),
        ([record(3, True), record(None, False)], None),
        ([record(3, True, "another")], None),
        ([], None),
    ],
)
def test_the_newest_record_of_the_environment_counts_wherever_it_stands(
    records: list[dict[str, Any]], wanted: LookFacts | None
) -> None:
    assert facts(HISTORIES, *records) == wanted


def deployment(deployed: Any, environment: Any = ENVIRONMENT, **more: Any) -> dict[str, Any]:
    return {"deployed": deployed, "environmentName": environment, **more}


@pytest.mark.parametrize(
    ("rows", "wanted"),
    [
        ([deployment(True)], LookFacts(deployed=True)),
        ([deployment(False), deployment(True, "another")], LookFacts(deployed=False)),
        ([deployment(False, redeployRequired=True)], LookFacts(deployed=False, edited=True)),
        ([deployment(False, redeployRequired="yes"), None], LookFacts(deployed=False)),
        ([deployment(False), deployment(False)], None),
        ([deployment(0)], None),
        ([deployment(True, "another")], None),
        ([], None),
    ],
)
def test_the_proxy_s_own_list_tells_of_the_environment_once(
    rows: list[Any], wanted: LookFacts | None
) -> None:
    assert facts(PROXY, {"name": NAME, "deploymentList": rows}) == wanted
    alone = Reply(200, {}, json.dumps({"deploymentList": rows}).encode(), 0.0)
    assert read_look(PROXY.via, OURS, alone).facts == wanted, "older managers send no list around it"


def test_a_list_of_two_proxies_or_no_list_at_all_tells_nothing() -> None:
    row = {"deploymentList": [deployment(False)]}

    assert facts(PROXY, row, row) is None
    assert facts(PROXY, {"deploymentList": {ENVIRONMENT: False}}) is None
    assert facts(PROXY, {}) is None


@pytest.mark.parametrize(
    ("operation", "row"),
    [
        (STATUS, {"deployed": False, "environmentName": "elsewhere"}),
        (HEALTH, {"podsActive": 0, "podsResponded": 1, "apiProxyName": "elsewhere"}),
        (PROXY, {"name": "elsewhere", "deploymentList": [deployment(False)]}),
        (PROXY, {"projectName": "elsewhere", "deploymentList": [deployment(False)]}),
    ],
)
def test_a_read_that_names_another_target_says_nothing_of_ours(
    operation: Operation, row: dict[str, Any]
) -> None:
    found = look(operation, row)

    assert (found.verdict, found.message, found.facts) == (Verdict.UNCLEAR, OF_ANOTHER, None)


def test_records_of_other_environments_and_a_proxy_s_own_name_are_no_fault() -> None:
    assert look(HISTORIES, record(4, True, "another", environmentName="another"), record(3, False)).facts
    assert look(PROXY, {"name": NAME, "deploymentList": [deployment(False)]}).verdict is Verdict.DOWN


@pytest.mark.parametrize(
    ("status", "body", "verdict"),
    [
        (404, {"error": "not_found", "error_description": "Not found"}, Verdict.ABSENT),
        (
            400,
            {"error": "bad_request", "error_description": f"ApiProxy ({NAME}) is not found"},
            Verdict.ABSENT,
        ),
        (404, {}, Verdict.NOT_OFFERED),
        (404, {"error": "bad_request", "error_description": "odd"}, Verdict.NOT_OFFERED),
        (400, {"error": "bad_request", "error_description": "odd"}, Verdict.UNCLEAR),
        (403, {"error": "not_found", "error_description": "Not found"}, Verdict.UNCLEAR),
        (500, {"error": "not_found", "error_description": "Not found"}, Verdict.UNCLEAR),
        (401, {}, Verdict.DENIED),
        (429, {}, Verdict.BUSY),
        (204, {}, Verdict.UNCLEAR),
        (200, {"status": "FAILURE", "resultList": [{"deployed": False}]}, Verdict.UNCLEAR),
        (200, {"status": "SUCCESS", "resultList": {"deployed": False}}, Verdict.UNCLEAR),
    ],
)
def test_what_a_refused_look_means(status: int, body: dict[str, Any], verdict: Verdict) -> None:
    found = read_look(STATUS.via, OURS, Reply(status, {}, json.dumps(body).encode(), 0.0))

    assert found.verdict is verdict
    assert found.evidence == ("code" if verdict is Verdict.ABSENT else None)


def test_a_look_that_misses_another_thing_does_not_say_that_ours_is_gone() -> None:
    body = {"error": "not_found", "error_description": "ApiProxy with name (elsewhere) is not found!"}
    found = read_look(STATUS.via, OURS, Reply(404, {}, json.dumps(body).encode(), 0.0))

    assert found.verdict is Verdict.UNCLEAR
    assert found.message == f"{OF_ANOTHER}: ApiProxy with name (elsewhere) is not found!"


def test_the_siblings_of_a_proxy_are_the_environments_that_its_list_calls_deployed() -> None:
    def read(rows: list[Any], status: int = 200, **more: Any) -> frozenset[str] | None:
        return ProxySiblings().read(
            OURS, list_reply({"name": NAME, "deploymentList": rows, **more}, status=status)
        )

    rows = [deployment(True), deployment(False, "test"), deployment(True, "live"), deployment(True, None)]
    assert ProxySiblings().operation == PROXY
    assert read(rows) == {ENVIRONMENT, "live"}
    assert read([deployment(False)]) == frozenset()
    assert read([*rows, deployment("yes", "odd")]) is None
    assert read([]) is None
    assert read(rows, status=404) is None
    assert read(rows, name="elsewhere") is None
    bare = Reply(200, {}, json.dumps({"deploymentList": rows}).encode(), 0.0)
    assert ProxySiblings().read(OURS, bare) == {ENVIRONMENT, "live"}


@pytest.mark.parametrize(
    ("seen", "lacking", "offered"),
    [
        ({}, frozenset(), True),
        ({}, frozenset({STATUS.via}), False),
        ({STATUS.via: LACKING}, frozenset(), False),
        ({STATUS.via: DOWN}, frozenset({STATUS.via}), True),
    ],
)
def test_a_list_may_stand_for_a_read_that_the_manager_lacks(
    seen: dict[str, Reading], lacking: frozenset[str], offered: bool
) -> None:
    assert is_offered(STATUS, seen, lacking) is offered


def settle(seen: dict[str, Reading], *lacking: str, about: Reading | None = None) -> Reading:
    found = next_look(seen, frozenset(lacking), about)
    assert isinstance(found, Reading)
    return found


def serving(active: int | None, responded: int | None, *pods: str, deployed: bool | None = None) -> Reading:
    seen = LookFacts(
        deployed=deployed, pods_active=active, pods_responded=responded, serving=pods, path="/pay"
    )
    return Reading(verdict=Verdict.UP if active else Verdict.DOWN, facts=seen)


def test_pods_that_serve_what_the_manager_calls_undeployed_are_named_and_counted() -> None:
    found = settle({STATUS.via: DOWN, HEALTH.via: serving(5, 7, "w1", "w2")}, about=PARTIAL)

    assert found == Reading(
        verdict=Verdict.PARTIAL,
        message="the manager says undeployed, but pods still serve it",
        pods=("w1", "w2"),
        more_pods=3,
        pod_count=7,
        facts=LookFacts(
            deployed=False, revision="7", pods_active=5, pods_responded=7, serving=("w1", "w2"), path="/pay"
        ),
    )
    odd = Reading(verdict=Verdict.UP, facts=LookFacts(serving=("w1",)))
    assert [(each.more_pods, each.pod_count) for each in [settle({STATUS.via: DOWN, HEALTH.via: odd})]] == [
        (0, 0)
    ]


@pytest.mark.parametrize(
    ("health", "message"),
    [
        (UNCLEAR, "HTTP 502"),
        (serving(0, 9, deployed=True), "the manager's two reads contradict each other"),
        (serving(0, 8), "8 of 9 pods answered the manager, none of them serves it"),
    ],
)
def test_a_doubt_about_pods_stays_with_their_names_until_as_many_answer(
    health: Reading, message: str
) -> None:
    found = settle({STATUS.via: DOWN, HEALTH.via: health}, about=PARTIAL)

    assert (found.verdict, found.message) == (Verdict.UNCLEAR, message)
    assert (found.pods, found.more_pods, found.pod_count) == (("w1",), 3, 9)
    assert found.facts is not None
    assert (found.facts.deployed, found.facts.revision) == (False, "7")


def test_pods_that_all_obeyed_settle_a_doubt_with_what_both_reads_saw() -> None:
    found = settle({STATUS.via: DOWN, HEALTH.via: serving(0, 9)}, about=PARTIAL)

    assert (found.verdict, found.evidence, found.pods) == (Verdict.DOWN, "look", ())
    assert found.facts == LookFacts(
        deployed=False, revision="7", pods_active=0, pods_responded=9, path="/pay"
    )


def test_reads_without_facts_are_put_together_all_the_same() -> None:
    bare = Reading(verdict=Verdict.DOWN)

    together = settle({STATUS.via: bare, HEALTH.via: bare})
    assert (together.verdict, together.facts) == (Verdict.DOWN, LookFacts())
    one = Reading(verdict=Verdict.PARTIAL, pods=("w1",), pod_count=1)
    assert settle({STATUS.via: bare, HEALTH.via: bare}, about=one).verdict is Verdict.UNCLEAR
    untold = settle({STATUS.via: bare, HEALTH.via: Reading(verdict=Verdict.UP)})
    assert (untold.verdict, untold.more_pods, untold.pod_count) == (Verdict.PARTIAL, 0, 0)
    told = settle({STATUS.via: bare, HEALTH.via: bare}, about=PARTIAL)
    assert (told.verdict, told.message) == (
        Verdict.UNCLEAR,
        "None of 9 pods answered the manager, none of them serves it",
    )


def test_only_a_false_row_makes_the_manager_s_word_doubtful() -> None:
    for about, verdict in ((None, Verdict.DOWN), (UNCLEAR, Verdict.DOWN), (PARTIAL, Verdict.PARTIAL)):
        found = settle({STATUS.via: DOWN}, HEALTH.via, about=about)
        assert found.verdict is verdict
        assert found.facts == DOWN.facts
    kept = settle({STATUS.via: DOWN}, HEALTH.via, about=PARTIAL)
    assert (kept.code, kept.message, kept.pods) == ("E", "one failed", ("w1",))


def test_of_two_records_that_cannot_tell_the_first_is_told() -> None:
    other = Reading(verdict=Verdict.UNCLEAR, message="HTTP 500")

    assert settle({HISTORIES.via: UNCLEAR, PROXY.via: other}, STATUS.via) is UNCLEAR
    assert settle({HISTORIES.via: UP, PROXY.via: DOWN}, STATUS.via) is UP


def test_what_no_reply_named_is_copied_as_nothing() -> None:
    assert copy_pods(None) == {}
    assert copy_pods(PARTIAL) == {"pods": ("w1",), "more_pods": 3, "pod_count": 9}
    assert join_facts(LookFacts(revision="7"), LookFacts(revision="8", pods_active=1)) == LookFacts(
        revision="7", pods_active=1
    )
