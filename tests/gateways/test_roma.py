"""What is ROMA Connect's own: its ids, its two versions, its one look."""

from __future__ import annotations

import msgspec
import pytest
from msgspec.structs import replace

from orchestrator.gateways.roma.gateway import Roma
from orchestrator.model.credentials import Secret
from orchestrator.model.http import Reply
from orchestrator.model.reading import Act, Operation, Reading, Verdict
from tests.support.recorded import ASKS, PARTS, UNDEPLOY, gateway, target

SHOW = Operation(Act.LOOK, "show")
TOKEN = Secret("FAKE-TOKEN")
API = target(*PARTS["roma"])
NOTHING_LACKS: frozenset[str] = frozenset()


@pytest.mark.parametrize("key", ["project_id", "instance_id"])
@pytest.mark.parametrize("value", ["", "a/b", "..", "a b", "ş", "a" * 65, "abc\n"])
def test_an_id_of_another_form_is_refused(key: str, value: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=key):
        gateway("roma", **{key: value})


def test_the_schema_says_what_the_keys_mean() -> None:
    fields = {field.name: field for field in msgspec.structs.fields(Roma)}
    schema = msgspec.json.schema(Roma)["$defs"]["Roma"]["properties"]

    assert all(schema[key]["description"] for key in ("project_id", "instance_id", "api_version"))
    assert fields["api_version"].default == "v1"


def test_the_version_of_the_api_does_not_make_another_place() -> None:
    assert gateway("roma").installation == gateway("roma", api_version="v2").installation
    assert gateway("roma").installation != gateway("roma", instance_id="other").installation
    assert gateway("roma").installation != gateway("roma", project_id="other").installation


def test_backend_apis_share_with_nobody() -> None:
    assert gateway("roma").exclusive_key(API) is None


@pytest.mark.promise(3)
def test_no_status_but_204_is_success() -> None:
    roma = gateway("roma")
    verdicts = {
        status: roma.read(UNDEPLOY, API, Reply(status, {}, b"", 0.0)).verdict for status in range(100, 600)
    }

    assert [status for status, verdict in verdicts.items() if verdict is Verdict.REMOVED] == [204]


@pytest.mark.parametrize("status", [400, 403, 404, 409, 500])
def test_the_code_for_gone_counts_before_the_status(status: int) -> None:
    reply = Reply(status, {}, b'{"error_code": "APIG.3084", "error_msg": "gone"}', 0.0)

    assert gateway("roma").read(UNDEPLOY, API, reply).verdict is Verdict.ABSENT


@pytest.mark.parametrize("status", [200, 201, 302])
def test_a_code_in_what_is_no_error_is_strange(status: int) -> None:
    reply = Reply(status, {}, b'{"error_code": "APIG.3084", "error_msg": "gone"}', 0.0)

    assert gateway("roma").read(UNDEPLOY, API, reply).verdict is Verdict.STRANGE


def test_a_slash_at_the_end_of_the_url_is_not_doubled() -> None:
    request = gateway("roma", url="https://roma.example.com/").build_request(
        SHOW, API, TOKEN, note=None, now=0.0
    )

    assert request.url.startswith("https://roma.example.com/v1/")


@pytest.mark.parametrize("version", ["v1", "v2"])
@pytest.mark.parametrize("api", ["", "..", "../a?b", "a/b", "a%2fb", "a;b", "ş", "a" * 65, "a\n"])
def test_no_request_is_made_for_what_is_no_id(version: str, api: str) -> None:
    roma = gateway("roma", api_version=version)

    for operation in ASKS["roma"]:
        with pytest.raises(ValueError, match="would name something else"):
            roma.build_request(operation, target(api), TOKEN, note=None, now=0.0)


@pytest.mark.parametrize("key", ["project_id", "instance_id"])
def test_no_request_is_made_through_an_instance_that_no_plan_may_name(key: str) -> None:
    strange = replace(gateway("roma"), **{key: "x/../y"})

    with pytest.raises(ValueError, match="would name something else"):
        strange.build_request(UNDEPLOY, API, TOKEN, note=None, now=0.0)


def test_a_look_is_show_and_what_it_said() -> None:
    up = Reading(verdict=Verdict.UP)

    assert gateway("roma").next_look(API, {}, NOTHING_LACKS, None) == SHOW
    assert gateway("roma").next_look(API, {"show": up}, NOTHING_LACKS, None) is up


def test_without_show_there_is_no_look() -> None:
    settled = gateway("roma").next_look(API, {}, frozenset({"show"}), None)

    assert settled == Reading(verdict=Verdict.NOT_OFFERED)
