"""What is Apinizer's own: its paths, its body, and what several of its reads amount to."""

from __future__ import annotations

import msgspec
import pytest

from orchestrator.model.credentials import Secret
from orchestrator.model.http import Reply
from orchestrator.model.reading import Act, LookFacts, Operation, Reading, Verdict
from orchestrator.rules.retry import RetryPolicy, TargetEnd, TargetHistory, decide
from tests.support.recorded import ASKS, PARTS, UNDEPLOY, gateway, target

TOKEN = Secret("FAKE-TOKEN")
APIM = gateway("apinizer")
OURS = target(*PARTS["apinizer"])
STATUS, HEALTH, HISTORIES, PROXY = ASKS["apinizer"][2:]

UP = Reading(verdict=Verdict.UP, evidence="look", facts=LookFacts(deployed=True))
DOWN = Reading(
    verdict=Verdict.DOWN, evidence="look", facts=LookFacts(deployed=False, revision="7", edited=True)
)
UNCLEAR = Reading(verdict=Verdict.UNCLEAR, message="502")
LACKING = Reading(verdict=Verdict.NOT_OFFERED)
ABSENT = Reading(verdict=Verdict.ABSENT, hidden=True)
PARTIAL = Reading(verdict=Verdict.PARTIAL, pods=("worker-2",), pod_count=2)
DOUBT = Reading(verdict=Verdict.DOUBT)


def health(active: int, responded: int, *serving: str, deployed: bool | None = None) -> Reading:
    verdict = Verdict.UNCLEAR if responded == 0 else Verdict.UP if active else Verdict.DOWN
    facts = LookFacts(deployed=deployed, pods_active=active, pods_responded=responded, serving=serving)
    return Reading(verdict=verdict, facts=facts)


def settle(seen: dict[str, Reading], *lacking: str, about: Reading | None = None) -> Operation | Reading:
    return APIM.next_look(OURS, seen, frozenset(lacking), about)


def verdict(settled: Operation | Reading) -> Verdict:
    assert isinstance(settled, Reading)
    return settled.verdict


@pytest.mark.parametrize("place", [0, 1, 2])
@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        "../",
        "../..",
        "/",
        "a//b",
        "a/../b",
        "..\\",
        "..;x",
        "%2e%2e",
        "%252E%252e",
        "%2F..",
        "x%5c..",
    ],
)
def test_no_url_is_built_that_would_delete_the_proxy(name: str, place: int) -> None:
    parts = list(PARTS["apinizer"])
    parts[place] = name

    for operation in ASKS["apinizer"]:
        with pytest.raises(ValueError, match="would name something else"):
            APIM.build_request(operation, target(*parts), TOKEN, note=None, now=0.0)


@pytest.mark.parametrize("environment", ["?", "#", "a/b", "..a/b", "%", "%2", "a;b/c", " "])
def test_every_delete_ends_in_exactly_one_environment(environment: str) -> None:
    request = APIM.build_request(UNDEPLOY, target("P", "X", environment), TOKEN, note=None, now=0.0)

    head, _, tail = request.url.partition("/apiProxies/X/environments/")
    assert head == "https://apim.example.com/apiops/projects/P"
    assert tail.endswith("/")
    assert not set(tail[:-1]) & set("/?#")
    assert tail != "/"


def test_only_an_undeploy_is_a_delete() -> None:
    methods = {
        operation.act: APIM.build_request(operation, OURS, TOKEN, note=None, now=0.0).method
        for operation in ASKS["apinizer"]
    }

    assert methods == {Act.UNDEPLOY: "DELETE", Act.DEPLOY: "POST", Act.LOOK: "GET"}


def test_a_slash_at_the_end_of_the_url_is_not_doubled() -> None:
    entry = gateway("apinizer", url="https://apim.example.com/")
    request = entry.build_request(STATUS, OURS, TOKEN, note=None, now=0.0)

    assert request.url.startswith("https://apim.example.com/apiops/")


@pytest.mark.parametrize(
    ("note", "description", "persistent", "body"),
    [
        (None, None, None, None),
        ("run", None, None, b'{"description": "run"}'),
        ("run", "own", None, b'{"description": "own"}'),
        (None, "own", True, b'{"description": "own", "persistent": true}'),
        ("run", None, False, b'{"description": "run", "persistent": false}'),
        (None, None, True, b'{"persistent": true}'),
        (None, 'bakiş "gece"', None, '{"description": "bakiş \\"gece\\""}'.encode()),
    ],
)
def test_a_body_is_sent_only_where_it_says_something(
    note: str | None, description: str | None, persistent: bool | None, body: bytes | None
) -> None:
    asked = target(*PARTS["apinizer"], description=description, persistent=persistent)
    request = APIM.build_request(UNDEPLOY, asked, TOKEN, note=note, now=0.0)

    assert request.body == body
    assert ("Content-Type" in request.headers) == (body is not None)


def test_the_environments_of_a_proxy_take_turns_and_no_others() -> None:
    production, test = (target("P", "X", environment) for environment in ("production", "test"))

    assert APIM.exclusive_key(production) == APIM.exclusive_key(test)
    others = [
        target("P", "Y", "test"),
        target("Q", "X", "test"),
        target("P/X", "X", "t"),
        target("P", "X/X", "t"),
    ]
    assert len({APIM.exclusive_key(one) for one in [test, *others]}) == 5
    assert APIM.exclusive_key(target("P", "o\u0308", "test")) == APIM.exclusive_key(
        target("P", "\u00f6", "test")
    )


def test_a_look_begins_with_the_managers_word_and_asks_the_pods_where_it_says_down() -> None:
    assert settle({}) == STATUS
    assert settle({STATUS.via: DOWN}) == HEALTH
    assert settle({STATUS.via: UP}) is UP


@pytest.mark.parametrize(
    ("seen", "lacking", "about", "wanted"),
    [
        ({STATUS.via: DOWN, HEALTH.via: health(0, 2)}, (), None, Verdict.DOWN),
        ({STATUS.via: DOWN, HEALTH.via: health(0, 1)}, (), DOUBT, Verdict.DOWN),
        ({STATUS.via: DOWN, HEALTH.via: health(0, 0)}, (), None, Verdict.UNCLEAR),
        ({STATUS.via: DOWN, HEALTH.via: health(1, 2, "10.0.0.2")}, (), None, Verdict.PARTIAL),
        ({STATUS.via: DOWN, HEALTH.via: health(0, 2, deployed=True)}, (), None, Verdict.UNCLEAR),
        ({STATUS.via: DOWN, HEALTH.via: UNCLEAR}, (), None, Verdict.UNCLEAR),
        ({STATUS.via: DOWN, HEALTH.via: ABSENT}, (), None, Verdict.ABSENT),
        ({STATUS.via: DOWN, HEALTH.via: LACKING}, (), None, Verdict.DOWN),
        ({STATUS.via: DOWN}, (HEALTH.via,), DOUBT, Verdict.DOWN),
        ({STATUS.via: UNCLEAR}, (), None, Verdict.UNCLEAR),
        ({STATUS.via: ABSENT}, (), None, Verdict.ABSENT),
        ({STATUS.via: UP}, (HEALTH.via,), PARTIAL, Verdict.UP),
        ({STATUS.via: DOWN}, (HEALTH.via,), PARTIAL, Verdict.PARTIAL),
        ({STATUS.via: DOWN, HEALTH.via: LACKING}, (), PARTIAL, Verdict.PARTIAL),
        ({STATUS.via: DOWN, HEALTH.via: health(0, 2)}, (), PARTIAL, Verdict.DOWN),
        ({STATUS.via: DOWN, HEALTH.via: health(0, 3)}, (), PARTIAL, Verdict.DOWN),
        ({STATUS.via: DOWN, HEALTH.via: health(0, 1)}, (), PARTIAL, Verdict.UNCLEAR),
        ({STATUS.via: DOWN, HEALTH.via: health(0, 0)}, (), PARTIAL, Verdict.UNCLEAR),
        ({STATUS.via: DOWN, HEALTH.via: health(1, 2, "10.0.0.2")}, (), PARTIAL, Verdict.PARTIAL),
        ({HISTORIES.via: UP}, (STATUS.via,), None, Verdict.UP),
        ({HISTORIES.via: DOWN}, (STATUS.via,), DOUBT, Verdict.DOWN),
        ({HISTORIES.via: DOWN}, (STATUS.via,), PARTIAL, Verdict.PARTIAL),
        ({HISTORIES.via: ABSENT}, (STATUS.via,), None, Verdict.ABSENT),
        ({HISTORIES.via: UNCLEAR, PROXY.via: DOWN}, (STATUS.via,), None, Verdict.DOWN),
        ({HISTORIES.via: UNCLEAR, PROXY.via: UNCLEAR}, (STATUS.via,), None, Verdict.UNCLEAR),
        ({HISTORIES.via: UNCLEAR}, (STATUS.via, PROXY.via), None, Verdict.UNCLEAR),
        ({STATUS.via: LACKING, HISTORIES.via: LACKING, PROXY.via: UP}, (), None, Verdict.UP),
        ({PROXY.via: DOWN}, (STATUS.via, HISTORIES.via), PARTIAL, Verdict.PARTIAL),
        ({STATUS.via: LACKING, HISTORIES.via: LACKING, PROXY.via: LACKING}, (), None, Verdict.NOT_OFFERED),
        ({}, (STATUS.via, HISTORIES.via, PROXY.via), PARTIAL, Verdict.NOT_OFFERED),
    ],
)
def test_what_the_reads_amount_to(
    seen: dict[str, Reading], lacking: tuple[str, ...], about: Reading | None, wanted: Verdict
) -> None:
    assert verdict(settle(seen, *lacking, about=about)) is wanted


@pytest.mark.parametrize(
    ("seen", "lacking", "wanted"),
    [
        ({}, (STATUS.via,), HISTORIES),
        ({STATUS.via: LACKING}, (), HISTORIES),
        ({STATUS.via: LACKING, HISTORIES.via: LACKING}, (), PROXY),
        ({HISTORIES.via: UNCLEAR}, (STATUS.via,), PROXY),
    ],
)
def test_an_older_manager_is_asked_for_its_records(
    seen: dict[str, Reading], lacking: tuple[str, ...], wanted: Operation
) -> None:
    assert settle(seen, *lacking) == wanted


@pytest.mark.promise(3)
@pytest.mark.parametrize("after_health", [None, LACKING, UNCLEAR, health(0, 0), health(0, 1), health(1, 2)])
def test_the_managers_word_alone_never_overturns_a_false_row(after_health: Reading | None) -> None:
    seen = {STATUS.via: DOWN} | ({HEALTH.via: after_health} if after_health else {})
    settled = settle(seen, about=PARTIAL)

    assert settled == HEALTH or verdict(settled) in {Verdict.PARTIAL, Verdict.UNCLEAR}


def test_what_did_not_obey_stays_named_while_it_is_open() -> None:
    for seen in ({STATUS.via: DOWN, HEALTH.via: LACKING}, {STATUS.via: DOWN, HEALTH.via: health(0, 1)}):
        settled = settle(seen, about=PARTIAL)

        assert isinstance(settled, Reading)
        assert (settled.pods, settled.pod_count) == (("worker-2",), 2)


def test_an_orphan_names_the_pods_that_still_serve() -> None:
    settled = settle({STATUS.via: DOWN, HEALTH.via: health(1, 2, "10.0.0.2")}, about=PARTIAL)

    assert isinstance(settled, Reading)
    assert (settled.verdict, settled.pods, settled.pod_count) == (Verdict.PARTIAL, ("10.0.0.2",), 2)


def test_the_facts_of_both_reads_are_kept() -> None:
    settled = settle({STATUS.via: DOWN, HEALTH.via: health(0, 2)})

    assert isinstance(settled, Reading)
    assert settled.evidence == "look"
    assert settled.facts == LookFacts(
        deployed=False, revision="7", edited=True, pods_active=0, pods_responded=2
    )


def test_of_thousands_of_pods_some_are_named_and_the_others_counted() -> None:
    rows = [{"success": False, "podName": f"worker-{number}", "detail": "x" * 60} for number in range(7000)]
    body = {"status": "SUCCESS", "deploymentResult": {"success": False, "detailList": rows}}
    found = APIM.read(UNDEPLOY, OURS, Reply(200, {}, msgspec.json.encode(body), 0.0))
    settled = settle({STATUS.via: DOWN, HEALTH.via: LACKING}, about=found)
    end = decide(
        RetryPolicy(),
        TargetHistory(charged=1, in_doubt=True, unsettled_reply=found),
        Act.LOOK,
        LACKING,
        roll=0.0,
    )[1]

    assert (found.pods, found.more_pods, found.pod_count) == (
        tuple(f"worker-{number}" for number in range(8)),
        6992,
        7000,
    )
    assert (found.message or "").startswith("7,000 of 7,000 failed: worker-0: xxx")
    assert isinstance(settled, Reading)
    assert (settled.pods, settled.more_pods) == (found.pods, 6992)
    assert isinstance(end, TargetEnd)
    assert "worker-6, worker-7 and 6,992 more" in (end.reason or "")
    assert len(end.reason or "") < 600


def test_of_thousands_of_pods_that_still_serve_the_count_is_kept() -> None:
    pods = [{"routeActive": True, "workerPodIp": f"10.0.{number}"} for number in range(7000)]
    row = {"routeActive": True, "podsResponded": 7000, "podsActive": 7000, "pods": pods}
    body = {"status": "SUCCESS", "resultCount": 1, "resultList": [row]}
    served = APIM.read(HEALTH, OURS, Reply(200, {}, msgspec.json.encode(body), 0.0))
    orphan = settle({STATUS.via: DOWN, HEALTH.via: served})

    assert served.facts is not None
    assert (len(served.facts.serving), served.facts.pods_active) == (8, 7000)
    assert isinstance(orphan, Reading)
    assert (len(orphan.pods), orphan.more_pods, orphan.pod_count) == (8, 6992, 7000)


@pytest.mark.parametrize("revision", ["9" * 300, 10**30, " 7", "7\n", True, 7.0])
def test_a_revision_that_cannot_be_kept_as_it_is_is_none(revision: object) -> None:
    """A restore may put it into a URL: what was cut would bring back another one."""
    row = {"deployed": True, "revision": revision, "redeployRequired": False, "lastDeployTime": None}
    body = {"status": "SUCCESS", "resultCount": 1, "resultList": [row]}
    found = APIM.read(STATUS, OURS, Reply(200, {}, msgspec.json.encode(body), 0.0))

    assert found.facts == LookFacts(deployed=True, revision=None, edited=False)


@pytest.mark.promise(3)
def test_a_row_deep_below_that_is_false_is_found() -> None:
    deep = b'{"success":true,"detailList":[' * 300 + b'{"success":false,"podName":"w"}' + b"]}" * 300
    body = b'{"status":"SUCCESS","deploymentResult":' + deep + b"}"
    reading = APIM.read(UNDEPLOY, OURS, Reply(200, {}, body, 0.0))

    assert (reading.verdict, reading.pods, reading.pod_count) == (Verdict.PARTIAL, ("w",), 1)


def test_a_read_that_is_not_known_says_nothing() -> None:
    reply = Reply(200, {}, b'{"status": "SUCCESS", "resultList": [{"deployed": false}]}', 0.0)

    assert APIM.read(Operation(Act.LOOK, "elsewhere"), OURS, reply).verdict is Verdict.UNCLEAR
