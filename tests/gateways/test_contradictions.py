"""Where the two contracts contradict themselves, or leave open what they should say: one test for each.

A docstring names both sides. What is read either way must come to the same, or to what cannot do harm.
"""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import pytest

from orchestrator.gateways.apinizer.login import ApinizerLoginFeature
from orchestrator.gateways.roma.listing import BACKENDS
from orchestrator.model.credentials import LoginGranted, LoginRejected, LoginUnclear, Secret
from orchestrator.model.http import Reply
from orchestrator.model.reading import Act, ListPage, LookFacts, Operation, Reading, Verdict
from orchestrator.rules.retry import LookStep, RetryPolicy, TargetEnd, TargetHistory, decide, replay_all
from tests.support.recorded import PARTS, UNDEPLOY, Recorded, gateway, recorded_requests, samples, target

API, PROXY = target(*PARTS["roma"]), target(*PARTS["apinizer"])
SHOW = Operation(Act.LOOK, "show")
TOKEN = Secret("FAKE-TOKEN")
MANAGER_LOGIN = ApinizerLoginFeature("https://apim.example.com", "ci-user")
STATUS, HEALTH, HISTORIES, DETAILS = (
    Operation(Act.LOOK, via) for via in ("deploy-status", "route-health", "deploy-histories", "proxy")
)


@cache
def readings(kind: str) -> dict[str, Reading]:
    """What is read of each sample, by its name."""
    return {sample.name.removeprefix(f"{kind}/"): sample.read() for sample in samples(kind)}


@cache
def requests(kind: str) -> dict[str, Recorded]:
    return {recorded.name.removeprefix(f"{kind}/"): recorded for recorded in recorded_requests(kind)}


def roma(*names: str) -> list[Reading]:
    return [readings("roma")[name] for name in names]


def apinizer(*names: str) -> list[Reading]:
    return [readings("apinizer")[name] for name in names]


def verdicts(found: list[Reading]) -> set[Verdict]:
    return {reading.verdict for reading in found}


def reply(status: int, fields: Any, **headers: str) -> Reply:
    names = {name.replace("_", "-"): text for name, text in headers.items()}
    return Reply(status, names, json.dumps(fields).encode(), 0.0)


def outcome(reading: Reading, *looks: Reading) -> object:
    """What a target comes to whose undeploy is read so, and whose looks then say this."""
    policy = RetryPolicy.of(gateway("apinizer"))
    past, step = decide(policy, TargetHistory(), Act.UNDEPLOY, reading, roll=0.0)
    for look in looks:
        assert isinstance(step, LookStep)
        past, step = decide(policy, past, Act.LOOK, look, roll=0.0)
    return step.outcome.value if isinstance(step, TargetEnd) else step


def list_of(**row: Any) -> Reply:
    return reply(200, {"status": "SUCCESS", "resultCount": 1, "resultList": [row]})


def settle(found: Reading, lacking: frozenset[str], reads: dict[Operation, Reply | str]) -> object:
    """What a target comes to whose undeploy is read so, and of which every look reads the same.

    A read is a reply, or the name of a sample.
    """
    entry = gateway("apinizer")
    policy = RetryPolicy.of(entry)
    past, step = decide(policy, TargetHistory(), Act.UNDEPLOY, found, roll=0.0)
    while isinstance(step, LookStep):
        seen: dict[str, Reading] = {}
        while isinstance(look := entry.next_look(PROXY, seen, lacking, past.reply_to_settle), Operation):
            told = reads[look]
            seen[look.via] = apinizer(told)[0] if isinstance(told, str) else entry.read(look, PROXY, told)
        past, step = decide(policy, past, Act.LOOK, look, roll=0.0)
    return step.outcome.value if isinstance(step, TargetEnd) else step


# --- ROMA Connect ---------------------------------------------------------------------------------------


def test_roma_has_two_endpoints_and_each_carries_the_id_in_one_place_only() -> None:
    """V1 (out of date) has the id in the body, V2 in the path; either answers 204."""
    first, second = requests("roma")["undeploy-v1"].request(), requests("roma")["undeploy-v2"].request()
    (api,) = API.parts

    assert (api in first.url, api.encode() in (first.body or b"")) == (False, True)
    assert (api in second.url, second.body) == (True, b"")
    assert verdicts(roma("undeploy-204", "undeploy-204-v2")) == {Verdict.REMOVED}


def test_an_endpoint_that_roma_does_not_serve_names_the_other_version() -> None:
    """V1 is "out of date", and no page says when it goes: its APIGW.0101 suggests v2, and v2's does not."""
    first, second = roma("undeploy-404-not-published-v1", "undeploy-404-not-published-v2")

    assert verdicts([first, second]) == {Verdict.ELSEWHERE}
    assert first.hint == "try api_version: v2"
    assert "api_version" not in second.hint


@pytest.mark.parametrize("version", ["v1", "v2"])
@pytest.mark.parametrize("key", ["deploys", "histories"])
def test_the_deployment_history_is_no_evidence_under_either_of_its_names(version: str, key: str) -> None:
    """The array is ``deploys`` in V1 and ``histories`` in V2, and is a log: no look of ours reads it."""
    entry = gateway("roma", api_version=version)
    history = reply(200, {"size": 1, "total": 1, key: [{"ld_api_id": API.parts[0], "status": 4}]})

    assert [operation.via for operation in entry.LOOKS] == ["show"]
    assert entry.read(SHOW, API, history).verdict is Verdict.UNCLEAR
    assert isinstance(entry.listing.read(BACKENDS, history, {}), Reading)


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_the_list_is_the_same_in_both_versions(version: str) -> None:
    """V1 and V2 share the shape of the list, in which the status is a number; its filter takes a text."""
    entry = gateway("roma", api_version=version)
    apis = [{"id": "a", "status": 4}, {"id": "b", "status": 3}, {"id": "c", "status": "4"}, {"id": "d"}]
    page = entry.listing.read(BACKENDS, reply(200, {"size": 4, "total": 9, "apis": apis}), {})

    assert f"/{version}/" in entry.listing.build_request(BACKENDS, 0, 500, TOKEN, now=0.0).url
    assert isinstance(page, ListPage)
    assert (page.size, page.total) == (4, 9)
    told = {
        parts: {via: read.verdict for via, read in entry.listing.read_target(API, {BACKENDS: [row]}).items()}
        for parts, row in page.rows
    }
    up, down = {"definition": Verdict.UP}, {"definition": Verdict.DOWN}
    assert told == {("a",): up, ("b",): down, ("c",): {}, ("d",): {}}


def test_a_status_of_roma_is_a_number_and_one_of_three() -> None:
    """A number in replies, a text in the filter; 1, 3 and 4 in the tables, four names in the extension."""
    assert verdicts(roma("show-deployed")) == {Verdict.UP}
    assert verdicts(roma("show-to-be-developed", "show-in-development")) == {Verdict.DOWN}
    others = (
        "show-unknown-status-0",
        "show-unknown-status-2",
        "show-unknown-status-5",
        "show-status-as-text",
    )
    assert verdicts(roma(*others)) == {Verdict.UNCLEAR}


def test_four_kinds_of_404_of_roma_mean_three_things() -> None:
    """404 is: this API is gone, wrong instance, wrong path, or no service behind; the code tells which."""
    gone = ("undeploy-404-gone", "undeploy-404-gone-camel-case", "undeploy-404-gone-nested")
    place = ("undeploy-404-no-instance", "undeploy-404-not-published-v1", "undeploy-404-html")

    assert verdicts(roma(*gone)) == {Verdict.ABSENT}
    assert verdicts(roma(*place, "undeploy-404-empty", "undeploy-404-other-code")) == {Verdict.ELSEWHERE}
    assert verdicts(roma("undeploy-404-no-service-behind")) == {Verdict.DOUBT}


def test_a_look_of_roma_that_gets_a_404_never_closes_a_lane() -> None:
    """To a look a 404 without APIG.3084 may be a missing grant as well as a wrong place."""
    assert verdicts(roma("show-404-html", "show-404-not-published")) == {Verdict.NOT_OFFERED}
    assert verdicts(roma("show-404-no-service-behind")) == {Verdict.UNCLEAR}
    assert verdicts(roma("show-gone")) == {Verdict.ABSENT}


def test_a_bad_token_of_roma_is_a_401_or_a_400() -> None:
    """The APIC pages say 401, the "public resource" pages 400 with ROMA.1000 or ROMA.1002."""
    found = (
        "undeploy-401-bad-token",
        "undeploy-401-empty",
        "undeploy-400-bad-token",
        "undeploy-400-no-token",
    )

    assert verdicts(roma(*found)) == {Verdict.DENIED}


def test_a_missing_permission_of_roma_is_a_403_or_a_400_and_no_bad_token() -> None:
    """403 APIG.1005 on one side, 400 ROMA.1006 or ROMA.12001 on the other: that target only."""
    found = ("undeploy-403-no-permission", "undeploy-400-no-permission-1006")

    assert verdicts(roma(*found, "undeploy-400-no-permission-12001")) == {Verdict.REFUSED}


def test_the_wait_of_a_429_is_in_a_header_or_in_the_text() -> None:
    """The status page says to read Retry-After, the signing guide has "limit:N,time:M minute" in the text."""
    header, minutes, hours, neither = roma(
        "undeploy-429-retry-after",
        "undeploy-429-policy-in-minutes",
        "undeploy-429-policy-in-hours",
        "undeploy-429-empty",
    )
    both = gateway("roma").read(
        UNDEPLOY, API, reply(429, {"error_msg": "over ratelimit,limit:5,time:1 minute"}, retry_after="7")
    )

    assert verdicts([header, minutes, hours, neither, both]) == {Verdict.BUSY}
    assert header.wait is not None
    assert minutes.wait is not None
    assert minutes.wait % 60 == 0
    assert hours.wait is not None
    assert hours.wait % 3600 == 0
    assert neither.wait is None
    assert both.wait == 7.0


@pytest.mark.parametrize("code", ["APIGW.0308", "APIG.0308", "APIC.0308"])
def test_throttling_of_roma_has_three_codes(code: str) -> None:
    """APIGW.0308 is documented, the others are seen; on a 403 as on a 429."""
    fields = {"error_code": code, "error_msg": "Throttling threshold reached"}

    assert {gateway("roma").read(UNDEPLOY, API, reply(status, fields)).verdict for status in (403, 429)} == {
        Verdict.BUSY
    }


def test_a_503_of_roma_is_not_to_be_repeated_says_the_page_and_we_do() -> None:
    """ "Modify the request, do not retry": taken as passing all the same, and as a wait where it says one."""
    assert verdicts(roma("undeploy-503")) == {Verdict.DOUBT}
    assert verdicts(roma("undeploy-503-retry-after")) == {Verdict.BUSY}


@pytest.mark.parametrize("status", [204, 400, 404, 409])
def test_what_roma_says_of_an_undeploy_of_what_is_not_deployed_may_be_anything(status: int) -> None:
    """Documented nowhere: 204 again, or a 4xx with a code of its own. None of them is "does not exist"."""
    fields = {"error_code": "APIG.3999", "error_msg": "not deployed"}
    reading = gateway("roma").read(UNDEPLOY, API, reply(status, None if status == 204 else fields))

    assert reading.verdict is not Verdict.ABSENT
    if status == 400:
        down = Reading(verdict=Verdict.DOWN, evidence="look")
        assert outcome(reading, down) == "already_undeployed"


@pytest.mark.parametrize(
    "fields",
    [
        {"error_code": "APIG.3084", "error_msg": "gone"},
        {"errorCode": "APIG.3084", "errorMsg": "gone"},
        {"code": "APIG.3084", "message": "gone"},
        {"error": {"error_code": "APIG.3084", "error_msg": "gone"}},
    ],
    ids=["documented", "camel-case", "bare", "nested"],
)
def test_an_error_of_roma_has_several_envelopes(fields: dict[str, Any]) -> None:
    """``error_code`` is documented; the vendor's own client takes three other forms as well."""
    reading = gateway("roma").read(UNDEPLOY, API, reply(404, fields))

    assert (reading.verdict, reading.code, reading.message) == (Verdict.ABSENT, "APIG.3084", "gone")


# --- Apinizer -------------------------------------------------------------------------------------------


def test_success_of_apinizer_has_two_shapes() -> None:
    """A: ``success`` and ``deploymentResults``, a row an environment. B: ``status`` and ``detailList``,
    a row a pod."""
    found = apinizer("undeploy-200-shape-a", "undeploy-200-shape-b", "undeploy-200-shape-b-nested")

    assert verdicts(found) == {Verdict.REMOVED}
    assert {reading.evidence for reading in found} == {"deploymentResult"}


def test_a_false_row_counts_in_either_shape_and_whatever_stands_above_it() -> None:
    """``deploymentResult.success`` is the overall result, and may say true above a row that says false."""
    names = ("undeploy-200-shape-a-row-false", "undeploy-200-one-pod-of-two", "undeploy-200-nested-pod-false")

    assert verdicts(apinizer(*names, "undeploy-200-one-pod-of-two-overall-true")) == {Verdict.PARTIAL}


def test_the_environment_of_a_row_has_two_names() -> None:
    """``environmentName`` in shape A, ``envName`` in shape B; a row about another one proves nothing."""
    names = ("undeploy-200-shape-a-other-environment", "undeploy-200-shape-b-other-environment")

    assert verdicts(apinizer(*names, "undeploy-200-row-names-two-environments")) == {Verdict.STRANGE}


def test_a_200_without_a_deployment_result_is_no_success() -> None:
    """The OpenAPI file types the 200 of this call as a list of proxies; siblings show null, or no rows."""
    names = ("undeploy-200-list-response", "undeploy-200-deployment-result-null", "undeploy-200-no-rows")

    assert verdicts(apinizer(*names, "undeploy-200-no-deployment-result")) == {Verdict.STRANGE}


def test_a_400_may_carry_a_deployment_result() -> None:
    """ "Undeployment failed" is among the causes of 400; its "not found" is then about a worker."""
    names = ("undeploy-400-deployment-result-shape-a", "undeploy-400-no-pod-obeyed")

    assert verdicts(apinizer(*names)) == {Verdict.CONTESTED}
    obeyed = apinizer("undeploy-400-deployment-result-shape-b", "undeploy-400-all-pods-obeyed")
    assert [reading.verdict for reading in obeyed] == [Verdict.PARTIAL, Verdict.STRANGE]


@pytest.mark.promise(3)
@pytest.mark.parametrize(
    ("name", "by_record", "by_one_pod", "by_all_pods"),
    [
        ("undeploy-400-deployment-result-shape-b", "failed", "failed", "undeployed"),
        ("undeploy-400-no-pod-obeyed", "failed", "unknown", "already_undeployed"),
        ("undeploy-400-all-pods-obeyed", "undeployed", "undeployed", "undeployed"),
        ("undeploy-200-outer-failure-one-pod-of-two", "failed", "failed", "undeployed"),
        ("undeploy-200-outer-failure-no-pod-obeyed", "failed", "undeployed", "undeployed"),
        ("undeploy-200-status-failure-with-rows", "undeployed", "undeployed", "undeployed"),
    ],
)
def test_the_record_never_overturns_a_row_that_says_false(
    name: str, by_record: str, by_one_pod: str, by_all_pods: str
) -> None:
    """What the manager records when a pod did not obey is not documented, nor the status of such a reply."""
    (found,) = apinizer(name)
    older = frozenset({STATUS.via, HEALTH.via})

    assert settle(found, older, {HISTORIES: "deploy-histories-newest-undeploys"}) == by_record
    pods = {STATUS: list_of(deployed=False), HEALTH: list_of(podsActive=0, podsResponded=1)}
    assert settle(found, frozenset(), pods) == by_one_pod
    pods[HEALTH] = list_of(podsActive=0, podsResponded=2)
    assert settle(found, frozenset(), pods) == by_all_pods


def test_a_row_that_says_false_is_kept_over_a_repeat() -> None:
    """A 500 is repeated, and the repeat may be refused since the manager has recorded the first one."""
    first, second = apinizer("undeploy-500-no-pod-obeyed", "undeploy-400-not-deployed")
    policy = RetryPolicy.of(gateway("apinizer"))
    past, _ = decide(policy, TargetHistory(), Act.UNDEPLOY, first, roll=0.0)
    past, step = decide(policy, past, Act.UNDEPLOY, second, roll=0.0)
    down = apinizer("deploy-histories-newest-undeploys")[0]
    found = gateway("apinizer").next_look(
        PROXY, {HISTORIES.via: down}, frozenset({STATUS.via, HEALTH.via}), past.reply_to_settle
    )

    assert step == LookStep()
    assert isinstance(found, Reading)
    assert (found.verdict, found.pods) == (Verdict.PARTIAL, ("worker-1",))


@pytest.mark.parametrize(
    "name",
    [
        "undeploy-400-environment-hidden",
        "undeploy-400-missing-right",
        "undeploy-400-missing-right-to-undeploy",
        "undeploy-400-no-privilege",
        "undeploy-400-not-deployed",
        "undeploy-400-not-exist",
        "undeploy-400-project-hidden",
        "undeploy-400-proxy-not-found",
        "undeploy-401-invalid-token",
    ],
)
def test_an_error_of_apinizer_has_two_envelopes(name: str) -> None:
    """``error``/``error_description`` up to July 2026, ``status``/``resultMessage`` since then."""
    old, new = apinizer(name, f"{name}-result-message")

    assert (old.verdict, old.message, old.hidden) == (new.verdict, new.message, new.hidden)
    assert old.code is not None
    assert new.code is None


def test_an_unknown_project_is_a_404_or_a_400() -> None:
    """404 up to July 2026, 400 since then; in both the text leaves "no privilege" open."""
    names = (
        "undeploy-404-not-found",
        "undeploy-400-project-hidden",
        "undeploy-400-project-hidden-result-message",
    )
    found = apinizer(*names)

    assert verdicts(found) == {Verdict.ABSENT}
    assert {reading.hidden for reading in found} == {True}


def test_a_404_that_is_not_apinizers_is_the_wrong_place() -> None:
    """The current pages know no 404 at all, so one without an envelope of theirs is somebody else's."""
    names = ("undeploy-404-empty", "undeploy-404-html", "undeploy-404-web-server-json")

    assert verdicts(apinizer(*names)) == {Verdict.ELSEWHERE}


@pytest.mark.parametrize(
    ("look", "wanted"),
    [
        (Reading(verdict=Verdict.DOWN, evidence="look"), "already_undeployed"),
        (Reading(verdict=Verdict.UP, evidence="look"), "failed"),
        (Reading(verdict=Verdict.NOT_OFFERED), "failed"),
    ],
    ids=["down", "up", "no look"],
)
@pytest.mark.parametrize("name", ["undeploy-400-not-deployed", "undeploy-400-not-deployed-result-message"])
def test_not_deployed_is_a_400_like_any_other(name: str, look: Reading, wanted: str) -> None:
    """It has no code and no text of its own, so a look settles what the 400 was about."""
    (reading,) = apinizer(name)

    assert reading.verdict is Verdict.CONTESTED
    assert outcome(reading, look) == wanted


def test_the_proxys_not_exist_is_worded_for_a_deploy() -> None:
    """ "Can not be deployed … because it is not exist" answers an undeploy; which "it" is open."""
    assert verdicts(apinizer("undeploy-400-not-exist", "undeploy-400-api-proxy-not-found")) == {
        Verdict.ABSENT
    }


def test_a_missing_right_of_apinizer_is_a_400_or_a_403_and_never_absence() -> None:
    """403 in December 2025; "the API generally answers neither 403 nor 404" since then."""
    assert verdicts(apinizer("undeploy-403", "undeploy-400-missing-right")) == {Verdict.REFUSED}


def test_a_dead_token_of_apinizer_is_a_401_and_maybe_a_400() -> None:
    """401 by the table; "the API generally answers 400" by the page beside it: its text tells."""
    names = ("undeploy-401-token-expired", "undeploy-400-token-expired", "deploy-status-400-token-expired")

    assert verdicts(apinizer(*names)) == {Verdict.DENIED}


def test_the_rate_limit_of_apinizer_has_no_status() -> None:
    """``rate_limit_exceeded`` with ``retry_after`` in the body, and no HTTP code named, in one old page."""
    names = [f"undeploy-{status}-rate-limit" for status in (400, 401, 403, 429, 500)]

    assert verdicts(apinizer(*names)) == {Verdict.BUSY}
    assert None not in {reading.wait for reading in apinizer(*names)}


def test_the_wait_of_apinizer_is_in_the_body_before_it_is_in_the_header() -> None:
    """``retry_after`` of the body is the vendor's; a Retry-After may be a proxy's in between."""
    fields = {"error": "rate_limit_exceeded", "retry_after": 9}
    reading = gateway("apinizer").read(UNDEPLOY, PROXY, reply(429, fields, retry_after="60"))

    assert reading.wait == 9.0


def test_old_servers_know_no_body_so_none_is_sent_without_need() -> None:
    """``description`` and ``persistent`` exist since 2026.04.2; the OpenAPI file declares no body at all."""
    bare = requests("apinizer")["undeploy-without-body"].request()
    noted = requests("apinizer")["undeploy-with-the-runs-note"].request()

    assert (bare.method, bare.body, "Content-Type" in bare.headers) == ("DELETE", None, False)
    assert json.loads(noted.body or b"").keys() == {"description"}


def test_description_and_persistent_were_query_parameters_for_two_days() -> None:
    """A page in force from the 18th to the 20th of April 2026 had them in the query: never there."""
    asked = {name: one.request().url.partition("?")[2] for name, one in requests("apinizer").items()}

    assert {name: query for name, query in asked.items() if query} == {
        "rollback": "environmentName=production"
    }


@pytest.mark.parametrize("expires_in", [3600, 1_795_003_600_000, 86_400_000, "3600", -1, None, 10**30])
def test_the_life_of_apinizers_token_has_three_forms_and_none_is_believed(expires_in: Any) -> None:
    """Seconds in the prose, a time in milliseconds in the old page, a number without a unit in OpenAPI."""
    fields = {"access_token": "t0ken", "expires_in": expires_in}

    assert MANAGER_LOGIN.read(reply(200, fields)) == LoginGranted(Secret("t0ken"), until=None)


def test_a_login_of_apinizer_keeps_the_old_envelope_and_may_have_the_new_one() -> None:
    """The token endpoint keeps ``error`` even in current pages; one example there contradicts that."""
    old = {"error": "unauthorized_client", "error_description": "Invalid token"}
    new = {"status": "FAILURE", "resultMessage": "Invalid token"}

    assert MANAGER_LOGIN.read(reply(401, old)) == LoginRejected("unauthorized_client", "Invalid token")
    assert MANAGER_LOGIN.read(reply(401, new)) == LoginRejected(None, "Invalid token")
    limited = MANAGER_LOGIN.read(reply(400, {"error": "rate_limit_exceeded", "retry_after": 4}))
    assert isinstance(limited, LoginUnclear)
    assert limited.wait == 4.0


def test_the_pods_are_counted_and_route_active_is_not_believed() -> None:
    """``routeActive`` is false as soon as one pod of two is down: that one still serves."""
    half, gone = apinizer("route-health-one-pod-still-serves", "route-health-gone")

    assert (half.verdict, gone.verdict) == (Verdict.UP, Verdict.DOWN)
    assert half.facts is not None
    assert half.facts.pods_active == 1
    assert half.facts.serving


def test_no_pod_that_answers_is_no_pod_that_is_down() -> None:
    """With no pod within reach both counts are 0 and ``inconsistent`` is false, as after an undeploy."""
    assert verdicts(apinizer("route-health-no-pod-answers")) == {Verdict.UNCLEAR}


def test_a_pod_that_has_not_loaded_the_proxy_answers_with_an_error() -> None:
    """``error`` is "proxy not loaded" as well as a network fault; the pod has responded either way."""
    assert verdicts(apinizer("route-health-gone-not-loaded")) == {Verdict.DOWN}


def test_an_orphan_is_down_by_the_manager_and_up_by_its_pods() -> None:
    """deploy-status and route-health contradict each other: that is not down, and the pods are named."""
    (status, health) = apinizer("deploy-status-undeployed", "route-health-orphan")
    seen = {STATUS.via: status, HEALTH.via: health}
    settled = gateway("apinizer").next_look(PROXY, seen, frozenset(), None)

    assert isinstance(settled, Reading)
    assert settled.verdict is Verdict.PARTIAL
    assert settled.pods


def test_the_managers_own_word_in_route_health_is_optional() -> None:
    """``deployedInManager`` is on the page and not in OpenAPI: absent it says nothing, true it objects."""
    (status,) = apinizer("deploy-status-undeployed")

    def settled(deployed: bool | None) -> Verdict:
        facts = LookFacts(deployed=deployed, pods_active=0, pods_responded=2)
        seen = {STATUS.via: status, HEALTH.via: Reading(verdict=Verdict.DOWN, facts=facts)}
        found = gateway("apinizer").next_look(PROXY, seen, frozenset(), None)
        assert isinstance(found, Reading)
        return found.verdict

    assert [settled(deployed) for deployed in (None, False, True)] == [
        Verdict.DOWN,
        Verdict.DOWN,
        Verdict.UNCLEAR,
    ]


def test_the_deployment_list_of_a_proxy_is_the_last_resort() -> None:
    """``deploymentList`` is in the page's example and not in OpenAPI; older pages lack the list around it."""
    wrapped, bare, without = apinizer(
        "proxy-undeployed", "proxy-without-the-list-around-it", "proxy-no-deployments"
    )

    assert (wrapped.verdict, bare.verdict) == (Verdict.DOWN, Verdict.DOWN)
    assert without.verdict is Verdict.UNCLEAR
    older = frozenset({STATUS.via, HEALTH.via})
    assert gateway("apinizer").next_look(PROXY, {}, older, None) == HISTORIES
    assert gateway("apinizer").next_look(PROXY, {}, older | {HISTORIES.via}, None) == DETAILS


def test_the_order_of_deploy_histories_is_not_promised() -> None:
    """The example is newest first; the record with the highest revision of our environment counts."""
    names = ("deploy-histories-newest-undeploys", "deploy-histories-oldest-first")

    assert verdicts(apinizer(*names)) == {Verdict.DOWN}
    assert verdicts(apinizer("deploy-histories-newest-deploys")) == {Verdict.UP}


@pytest.mark.promise(3)
def test_a_pod_that_was_not_reached_counts_as_one_that_responded() -> None:
    """``podsResponded`` counts answers with an error, and an ``error`` may be one of the network."""
    (partial,) = apinizer("undeploy-200-one-pod-of-two")
    health, gone = apinizer("route-health-pod-not-reached", "deploy-status-undeployed")
    found = gateway("apinizer").next_look(PROXY, {STATUS.via: gone, HEALTH.via: health}, frozenset(), partial)

    assert isinstance(found, Reading)
    assert (found.verdict, found.pods) == (Verdict.UNCLEAR, partial.pods)
    assert found.message == "1 of 2 pods answered the manager, none of them serves it"


@pytest.mark.promise(3)
@pytest.mark.parametrize(
    "name",
    [
        "undeploy-200-shape-a-row-false",
        "undeploy-400-deployment-result-shape-a",
        "undeploy-200-outer-failure-one-pod-of-two",
    ],
)
def test_a_row_that_says_false_for_an_environment_does_not_say_how_many_pods_there_are(name: str) -> None:
    """Shape A has a row an environment, shape B one a pod; a pod that was not reached is a pod either way."""
    (found,) = apinizer(name)
    health, gone = apinizer("route-health-pod-not-reached", "deploy-status-undeployed")
    settled = gateway("apinizer").next_look(PROXY, {STATUS.via: gone, HEALTH.via: health}, frozenset(), found)

    assert isinstance(settled, Reading)
    assert settled.verdict is Verdict.UNCLEAR
    assert settled.message == "1 of 2 pods answered the manager, none of them serves it"


@pytest.mark.promise(3)
@pytest.mark.parametrize("name", ["undeploy-200-shape-a-row-false", "undeploy-504-empty"])
@pytest.mark.parametrize("forgets", [False, True])
def test_pods_that_a_look_saw_serve_are_remembered(name: str, forgets: bool) -> None:
    """A look saw one of two pods serve; the next one hears from the other one alone, and proves nothing."""
    entry, (reply,) = gateway("apinizer"), apinizer(name)
    policy = RetryPolicy.of(entry)
    down = list_of(deployed=False)
    one_serves, one_is_silent = list_of(podsActive=1, podsResponded=2), list_of(podsActive=0, podsResponded=1)

    def look(past: TargetHistory, health: Reply) -> Reading:
        seen = {STATUS.via: entry.read(STATUS, PROXY, down), HEALTH.via: entry.read(HEALTH, PROXY, health)}
        found = entry.next_look(PROXY, seen, frozenset(), past.reply_to_settle)
        assert isinstance(found, Reading)
        return found

    past, _ = decide(policy, TargetHistory(), Act.UNDEPLOY, reply, roll=0.0)
    first = look(past, one_serves)
    past, _ = decide(policy, past, Act.LOOK, first, roll=0.0)
    if forgets:  # what a resume knows is what the journal has
        past = replay_all([(Act.UNDEPLOY, reply), (Act.LOOK, first)])
    second = look(past, one_is_silent)

    assert (first.verdict, second.verdict) == (Verdict.PARTIAL, Verdict.UNCLEAR)
    assert second.message == "1 of 2 pods answered the manager, none of them serves it"
    assert look(past, list_of(podsActive=0, podsResponded=2)).verdict is Verdict.DOWN


def test_the_newest_record_of_an_environment_may_be_gone_from_the_deploy_histories() -> None:
    """Each act adds a record, says one page; another: six are kept, and those called persistent stay."""
    told = apinizer(
        "deploy-histories-newest-undeploys-before-others", "deploy-histories-records-missing-since"
    )

    assert [reading.verdict for reading in told] == [Verdict.DOWN, Verdict.UNCLEAR]


def test_names_hold_no_spaces_says_one_page_and_another_shows_some() -> None:
    """Each name is encoded by itself, a space as %20 and never as +, and the path keeps its last slash."""
    one = target("My Project", "a/b%c", "prod ş")
    url = gateway("apinizer").build_request(UNDEPLOY, one, TOKEN, note=None, now=0.0).url

    assert url.endswith("/My%20Project/apiProxies/a%2Fb%25c/environments/prod%20%C5%9F/")


def test_two_calls_on_one_proxy_are_documented_nowhere_and_never_made_together() -> None:
    """Deploy list and revision counter sit on the proxy: its environments take turns."""
    apim = gateway("apinizer")
    others = (target("MyProject", "petstore-api", "test"), target("MyProject", "orders-api", "production"))

    assert [apim.exclusive_key(other) == apim.exclusive_key(PROXY) for other in others] == [True, False]
