"""What ROMA Connect is asked before an undeploy, and what of it a deploy needs."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from orchestrator.gateways.roma.kept_deploy import BACKEND_ALONE, WITHOUT_ITS_FRONT
from orchestrator.gateways.roma.snapshot import DEFINITION, HISTORY, LARGEST_FIELD
from orchestrator.model.credentials import Secret
from orchestrator.model.http import Reply
from orchestrator.model.reading import Act, Completeness, FrontEnd, Operation, Reading, Snapshot, Verdict
from orchestrator.rules.precheck import judge_snapshot
from orchestrator.rules.retry import RetryPolicy
from tests.support.recorded import PARTS, gateway, samples, target
from tests.support.unbound import follow_reads

ROMA = gateway("roma")
OURS = target(*PARTS["roma"])
READ = {sample.name.removeprefix("roma/"): sample.read() for sample in samples("roma")}
FRONT = "front/5f918d104dc84480a75166ba99efff21"
UNKNOWN = ("missing-history",)
"""The obstacles where no front-end API could be read, and so nothing that hangs on it."""
ALONE, WITHOUT = BACKEND_ALONE, WITHOUT_ITS_FRONT
WHOLE = {
    "deploy_front_api": True,
    "group_id": "30d7d4c41a1d4b0e8d5f51a6c0ffee02",
    "env_id": "DEFAULT_ENVIRONMENT_RELEASE_ID",
    "protocol": "HTTPS",
    "path": "/orders",
    "method": "GET",
    "auth_type": "APP",
    "cors": False,
    "roma_app_id": "6f0a3d0f-0000-4000-8000-51a6c0ffee01",
}
UP, HISTORY_OF, PUBLISHED = READ["definition-deployed"], READ["history-v2"], READ["front-200"]


def ask_next_read(*lacking: str, **seen: Reading) -> Operation | Snapshot:
    """What follows from reads by their ways, those of bindings apart; ``front`` is that of the sample."""
    ways = {FRONT if way == "front" else way: reading for way, reading in seen.items()}
    return follow_reads(ROMA, OURS, ways, *lacking)


def snapshot(*lacking: str, **seen: Reading) -> Snapshot:
    """The snapshot, where nothing hangs on the front-end API."""
    found = ask_next_read(*lacking, **seen)
    assert isinstance(found, Snapshot)
    return found


def told(reading: Reading, **fields: Any) -> Reading:
    """A reading whose reply said other things; None leaves the key out."""
    kept = {**(reading.kept or {}), **fields}
    return msgspec.structs.replace(
        reading, kept={key: value for key, value in kept.items() if value is not None}
    )


def recorded(**fields: Any) -> Reading:
    """A history whose newest record says other things."""
    records = (HISTORY_OF.kept or {})["histories"]
    return told(HISTORY_OF, histories=[records[0], {**records[1], **fields}])


def test_it_is_three_reads_one_after_the_other() -> None:
    assert ask_next_read() == DEFINITION
    assert ask_next_read(definition=UP) == HISTORY
    assert ask_next_read(definition=UP, history=HISTORY_OF) == Operation(Act.LOOK, FRONT)
    assert ask_next_read(definition=UP, history=READ["history-v1"]) == Operation(Act.LOOK, FRONT)


@pytest.mark.parametrize("name", ["show-in-development", "show-to-be-developed", "show-gone", "show-500"])
def test_what_is_not_seen_deployed_is_asked_no_more(name: str) -> None:
    found = snapshot(definition=READ[name])

    assert (found.verdict, found.deploy, found.obstacles) == (READ[name].verdict, None, ())
    assert (found.code, found.message) == (READ[name].code, READ[name].message)


def test_all_that_was_published_comes_back_under_a_new_id() -> None:
    found = snapshot(definition=UP, history=HISTORY_OF, front=PUBLISHED)

    assert msgspec.json.decode(found.deploy or "") == WHOLE
    assert found.obstacles == ("new-front-end-id",)
    assert found.fronts == (FrontEnd(id=FRONT[6:], name="orders_front", path="/orders"),)
    assert (found.verdict, found.facts.edited, found.facts.path) == (Verdict.UP, False, "/orders")
    assert (found.facts.since, found.facts.revision) == ("2026-03-01T09:31:00Z", "2026-03-01T09:30:00Z")


def test_a_front_end_that_was_not_read_tells_no_last_deploy_that_could_look_like_drift() -> None:
    """The publish_time of the front end and the deploy_time of the record may differ."""
    lost = snapshot(definition=UP, history=HISTORY_OF, front=Reading(verdict=Verdict.UNCLEAR))
    bare = snapshot(definition=UP, history=HISTORY_OF, front=told(PUBLISHED, auth_type=None))
    whole = snapshot(definition=UP, history=HISTORY_OF, front=PUBLISHED)

    assert (lost.deploy, lost.facts.since) == (WITHOUT, None)
    assert bare.facts.since == whole.facts.since == "2026-03-01T09:31:00Z"


def test_the_newest_deployment_counts_wherever_it_stands_in_the_list() -> None:
    records = (HISTORY_OF.kept or {})["histories"]

    assert ask_next_read(definition=UP, history=told(HISTORY_OF, histories=records[::-1])) == Operation(
        Act.LOOK, FRONT
    )


def test_a_history_that_is_cut_may_lack_the_newest_deployment() -> None:
    """It has no paging parameters, and yet a size and a total: then only "newest first" shows the newest."""
    oldest_first = (HISTORY_OF.kept or {})["histories"]
    look = Operation(Act.LOOK, FRONT)

    assert ask_next_read(definition=UP, history=told(HISTORY_OF, total=2)) == look
    assert (
        ask_next_read(definition=UP, history=told(HISTORY_OF, total=3, histories=oldest_first[::-1])) == look
    )
    for records in (oldest_first, oldest_first[1:]):
        found = snapshot(definition=UP, history=told(HISTORY_OF, total=3, histories=records))
        assert (found.deploy, found.obstacles) == (WITHOUT, UNKNOWN)


def test_the_backend_s_application_counts_since_another_one_is_refused() -> None:
    """Deploying a Backend API: 409 APIG.3479 where the two differ."""
    found = snapshot(definition=UP, history=HISTORY_OF, front=told(PUBLISHED, roma_app_id="another"))

    assert msgspec.json.decode(found.deploy or "")["roma_app_id"] == WHOLE["roma_app_id"]


def test_what_the_front_end_api_lacks_is_taken_from_the_record() -> None:
    bare = told(PUBLISHED, group_id=None, run_env_id=None)

    assert msgspec.json.decode(snapshot(definition=UP, history=HISTORY_OF, front=bare).deploy or "") == WHOLE


@pytest.mark.parametrize("missing", ["auth_type", "req_protocol"])
def test_without_a_mandatory_field_nothing_is_published(missing: str) -> None:
    found = snapshot(definition=UP, history=HISTORY_OF, front=told(PUBLISHED, **{missing: None}))

    assert (found.deploy, found.obstacles) == (WITHOUT, ("missing-history",))
    assert found.fronts == (FrontEnd(id=FRONT[6:]),)


@pytest.mark.parametrize(
    ("field", "value", "gap"),
    [
        ("req_uri", "/" + "x" * 10**6, "path has 1,000,001 characters, more than the 4,096 that are kept"),
        ("req_method", {"x": [1] * 10**5}, "method is neither a text nor a number"),
    ],
)
def test_a_field_that_cannot_be_kept_whole_is_named_and_never_cut(field: str, value: Any, gap: str) -> None:
    found = snapshot(definition=UP, history=HISTORY_OF, front=told(PUBLISHED, **{field: value}))
    end = judge_snapshot(RetryPolicy(), found, None, required=True)

    assert (found.deploy, found.obstacles, found.message) == (WITHOUT, ("missing-history",), gap)
    assert len(msgspec.json.encode(found)) < 2000
    assert end is not None
    assert end.reason == f"snapshot: its deployment could not be read: {gap}"


@pytest.mark.parametrize(
    "history",
    ["history-html", "history-404-not-offered", "history-none", "show-500", "show-404-not-published"],
)
def test_without_a_history_the_backend_alone_can_come_back(history: str) -> None:
    found = snapshot(definition=UP, history=READ[history])

    assert (found.verdict, found.deploy, found.obstacles) == (Verdict.UP, WITHOUT, UNKNOWN)


def test_what_a_gateway_lacks_is_not_asked_again() -> None:
    assert snapshot("history", definition=UP).obstacles == UNKNOWN
    assert snapshot("definition").verdict is Verdict.NOT_OFFERED


@pytest.mark.parametrize("front", ["front-404-html", "front-404-no-service-behind", "show-500", "show-429"])
def test_a_front_end_api_that_cannot_be_read_is_not_taken_for_gone(front: str) -> None:
    found = snapshot(definition=UP, history=HISTORY_OF, front=READ[front])

    assert (found.deploy, found.obstacles) == (WITHOUT, UNKNOWN)
    assert found.fronts == (FrontEnd(id=FRONT[6:]),)


def test_one_that_is_gone_by_the_service_s_own_code_need_not_come_back() -> None:
    found = snapshot(definition=UP, history=HISTORY_OF, front=READ["front-404-gone"])

    assert (found.deploy, found.obstacles, found.fronts) == (ALONE, (), ())


@pytest.mark.parametrize("front", ["", None])
def test_a_backend_that_was_deployed_alone_comes_back_alone(front: str | None) -> None:
    found = snapshot(definition=UP, history=recorded(api_id=front))

    assert (found.deploy, found.obstacles) == (ALONE, ())


@pytest.mark.promise(11)
@pytest.mark.parametrize("front", [42, 0, False, ["a"], {"id": "a"}])
def test_an_id_that_is_no_text_does_not_say_that_there_was_no_front_end_api(front: Any) -> None:
    found = snapshot(definition=UP, history=recorded(api_id=front))

    assert (found.deploy, found.obstacles, found.fronts) == (WITHOUT, UNKNOWN, ())


@pytest.mark.parametrize("front", ["..", ".", "a/b", "x" * 65, "a b", "ü", "a\n"])
def test_an_id_that_is_none_goes_into_no_url(front: str) -> None:
    found = snapshot(definition=UP, history=recorded(api_id=front))

    assert (found.deploy, found.obstacles) == (WITHOUT, UNKNOWN)


@pytest.mark.parametrize(("field", "edited"), [("path", True), ("modified_time", False), ("status", False)])
def test_an_edit_is_what_differs_from_the_definition_that_was_deployed(field: str, edited: bool) -> None:
    found = snapshot(definition=told(UP, **{field: "/other"}), history=HISTORY_OF, front=PUBLISHED)

    assert found.facts.edited is edited
    assert ("unpublished-edits" in found.obstacles) is edited
    assert "new-front-end-id" in found.obstacles


def test_without_the_definition_that_was_deployed_nobody_can_tell() -> None:
    found = snapshot(definition=UP, history=recorded(api_definition=None), front=PUBLISHED)

    assert found.facts.edited is None
    assert found.obstacles == ("missing-history", "new-front-end-id")
    assert msgspec.json.decode(found.deploy or "") == WHOLE


def test_records_of_another_backend_say_nothing() -> None:
    found = ask_next_read(definition=UP, history=recorded(ld_api_id="0" * 32))

    assert found == Operation(Act.LOOK, "front/0f918d104dc84480a75166ba99efff20")


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_the_front_end_api_is_read_under_v2_whatever_the_plan_says(version: str) -> None:
    """Only the backend APIs have a V1."""
    sent = gateway("roma", api_version=version).build_request(
        Operation(Act.LOOK, FRONT), OURS, Secret("t"), note=None, now=0.0
    )

    assert sent.url.endswith(f"/apis/{FRONT[6:]}")
    assert "/v2/" in sent.url
    assert "livedata" not in sent.url


def test_no_reply_whatever_ends_in_an_exception() -> None:
    for body in (b"", b"[]", b"null", b"{", b'{"histories": {}}', b'{"histories": [1, null, {}]}'):
        history = ROMA.read(HISTORY, OURS, Reply(200, {}, body, 0.0))
        assert snapshot(definition=UP, history=history).deploy in (ALONE, WITHOUT)


def test_a_snapshot_names_the_backend_and_its_front_end_as_people_know_them() -> None:
    named = snapshot(definition=told(UP, name="orders\x07"), history=HISTORY_OF, front=PUBLISHED)
    assert (named.facts.name, named.facts.path) == ("orders\\x07", "/orders")
    assert named.fronts == (FrontEnd(id=FRONT[6:], name="orders_front", path="/orders"),)

    odd = told(PUBLISHED, name="x\x07", req_uri="/y\x07")
    (shown,) = snapshot(definition=UP, history=HISTORY_OF, front=odd).fronts
    assert (shown.name, shown.path) == ("x\\x07", "/y\\x07")
    nameless = snapshot(definition=told(UP, name=None), history=HISTORY_OF, front=told(PUBLISHED, name=None))
    assert (nameless.facts.name, nameless.fronts[0].name) == (None, None)


@pytest.mark.parametrize(
    "read", [Reading(verdict=Verdict.TOLD), msgspec.structs.replace(PUBLISHED, verdict=Verdict.UNCLEAR)]
)
def test_a_front_end_api_of_which_nothing_is_told_is_not_guessed(read: Reading) -> None:
    found = snapshot(definition=UP, history=HISTORY_OF, front=read)

    assert (found.deploy, found.obstacles) == (WITHOUT, UNKNOWN)


def test_a_field_of_the_largest_size_is_kept() -> None:
    path = "/" + "x" * (LARGEST_FIELD - 1)
    found = snapshot(definition=UP, history=HISTORY_OF, front=told(PUBLISHED, req_uri=path))

    assert LARGEST_FIELD == 4096
    assert msgspec.json.decode(found.deploy or "")["path"] == path


def test_the_restore_of_a_target_knows_what_its_snapshot_lost_and_when_it_is_whole() -> None:
    kept = snapshot(definition=UP, history=HISTORY_OF, front=PUBLISHED)
    earlier = msgspec.structs.replace(kept, bindings=None)

    assert ROMA.restore.adapt_snapshot(kept) == kept
    assert ROMA.restore.adapt_snapshot(earlier).obstacles == (*kept.obstacles, "lost-bindings")
    assert ROMA.restore.next_completion(OURS, {}, frozenset(), None) == Completeness()
