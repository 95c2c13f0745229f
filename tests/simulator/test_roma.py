"""A ROMA Connect instance as its API shows it."""

from __future__ import annotations

import json

import pytest

from orchestrator.simulator.exchange import RequestEffect
from orchestrator.simulator.faults import FaultScope
from orchestrator.simulator.limits import RateLimit
from tests.support.simulated import (
    BACKEND,
    INSTANCE,
    OFF,
    PLACE,
    PROJECT,
    SimulatedClient,
    document,
    roma,
    status,
)

DEPLOY = {
    "auth_type": "APP",
    "group_id": "g",
    "env_id": "DEFAULT_ENVIRONMENT_RELEASE_ID",
    "protocol": "HTTPS",
}


def undeploy(client: SimulatedClient, dialect: str, ld_api_id: str = BACKEND) -> object:
    if dialect == "v1":
        return client.ask("POST", f"/v1/{PLACE}/livedata-apis/undeploy", {"ld_api_id": ld_api_id})
    return client.ask("POST", f"/v2/{PLACE}/livedata-apis/{ld_api_id}/undeploy")


@pytest.mark.parametrize("dialect", ["v1", "v2"])
def test_an_undeploy_gives_204_without_a_body_and_takes_it_down(dialect):
    client = SimulatedClient(roma())

    delivery = undeploy(client, dialect)

    assert (delivery.answer.status, delivery.answer.body, delivery.effect) == (204, b"", RequestEffect.DOWN)
    assert document(client.ask("GET", f"/{dialect}/{PLACE}/livedata-apis/{BACKEND}"))["status"] == 3


@pytest.mark.parametrize(("again", "code"), [(204, None), (400, "APIG.3083"), (409, "APIG.3083")])
def test_the_answer_to_an_undeploy_of_a_developing_backend_is_a_setting(again, code):
    delivery = undeploy(SimulatedClient(roma(again=again)), "v2", OFF)

    assert status(delivery) == again
    assert delivery.effect is RequestEffect.NONE
    assert code is None or document(delivery)["error_code"] == code


@pytest.mark.parametrize(
    ("form", "keys"),
    [
        ("camel", ("errorCode", "errorMsg")),
        ("bare", ("code", "message")),
        ("nested", ("error",)),
    ],
)
def test_every_error_may_have_another_of_the_forms_that_the_vendors_client_takes(form, keys):
    client = SimulatedClient(roma(errors=form, rate=RateLimit(per_second=0.001, burst=3.0), again=409))
    client.expect(script={f"roma-eu/{BACKEND}": ("500",)})
    look = f"/v2/{PLACE}/livedata-apis/nowhere"
    told = [
        undeploy(client, "v2"),
        undeploy(client, "v2", OFF),
        client.ask("GET", look),
        client.ask("GET", look),
    ]

    assert [status(delivery) for delivery in told] == [500, 409, 404, 429]
    assert {tuple(document(delivery))[: len(keys)] for delivery in told} == {keys}


REFUSALS = {
    "unknown backend": ("GET", f"/v1/{PLACE}/livedata-apis/nowhere", 404, "APIG.3084"),
    "unknown instance": ("GET", f"/v1/{PROJECT}/apic/instances/other/livedata-apis/x", 404, "APIG.3030"),
    "unknown project": ("GET", f"/v1/other/apic/instances/{INSTANCE}/livedata-apis/x", 404, "APIG.3030"),
    "unknown version": ("GET", f"/v3/{PLACE}/livedata-apis/{BACKEND}", 404, "APIGW.0101"),
    "slash at the end": ("POST", f"/v2/{PLACE}/livedata-apis/{BACKEND}/undeploy/", 404, "APIGW.0101"),
    "v1 form under v2": ("POST", f"/v2/{PLACE}/livedata-apis/undeploy", 404, "APIGW.0101"),
    "v2 form under v1": ("POST", f"/v1/{PLACE}/livedata-apis/{BACKEND}/undeploy", 404, "APIGW.0101"),
    "delete of a backend": ("DELETE", f"/v2/{PLACE}/livedata-apis/{BACKEND}", 404, "APIGW.0101"),
    "slash inside an id": ("POST", f"/v2/{PLACE}/livedata-apis/a%2Fb/undeploy", 400, "APIG.2011"),
    "an instance that is no id": (
        "GET", f"/v1/{PROJECT}/apic/instances/a%20b/livedata-apis/{BACKEND}", 400, "APIG.2011"
    ),
    "no front-end API": ("GET", f"/v2/{PLACE}/apis/{BACKEND}", 404, "APIG.3002"),
}  # fmt: skip


@pytest.mark.parametrize(("method", "path", "expected", "code"), REFUSALS.values(), ids=REFUSALS)
def test_a_refusal_has_the_vendors_code(method, path, expected, code):
    delivery = SimulatedClient(roma()).ask(method, path)

    assert (status(delivery), document(delivery)["error_code"]) == (expected, code)


@pytest.mark.parametrize(
    ("body", "code"),
    [(b"", "APIG.2000"), (b"{", "APIG.2000"), (b"\xff", "APIG.2000"), (b"{}", "APIG.2011"),
     (b'{"ld_api_id": 7}', "APIG.2011"), (b'{"ld_api_id": "a/b"}', "APIG.2011"),
     (b'{"ld_api_id": "%62d42841c20184da6bbf457c6d8a06e37"}', "APIG.2011")],
)  # fmt: skip
def test_a_v1_body_that_names_no_backend_is_a_400(body, code):
    delivery = SimulatedClient(roma()).ask("POST", f"/v1/{PLACE}/livedata-apis/undeploy", body)

    assert (status(delivery), document(delivery)["error_code"]) == (400, code)


def test_a_dialect_that_does_not_answer_is_not_published():
    client = SimulatedClient(roma(dialects=("v2",)))

    assert document(undeploy(client, "v1"))["error_code"] == "APIGW.0101"
    assert status(undeploy(client, "v2")) == 204


@pytest.mark.parametrize(
    ("token", "code"), [(None, "APIGW.0301"), ("", "APIGW.0301"), ("wrong", "APIG.1002")]
)
def test_a_token_that_is_not_accepted_is_a_401_and_changes_nothing(token, code):
    client = SimulatedClient(roma())

    delivery = client.ask("POST", f"/v2/{PLACE}/livedata-apis/{BACKEND}/undeploy", token=token)

    assert (status(delivery), document(delivery)["error_code"]) == (401, code)
    assert not client.platforms.books().targets[f"roma-eu/{BACKEND}"].down


def test_haste_is_a_429_that_says_how_long_to_wait():
    client = SimulatedClient(roma(rate=RateLimit(per_second=0.5, on=FaultScope.UNDEPLOY)))
    undeploy(client, "v1")

    delivery = undeploy(client, "v1")

    assert (status(delivery), delivery.answer.headers["Retry-After"]) == (429, "2")
    assert "limit:30,time:1 minute" in document(delivery)["error_msg"]


def test_the_front_end_api_goes_with_the_undeploy_and_comes_back_as_another():
    client = SimulatedClient(roma())
    history = f"/v2/{PLACE}/livedata-apis/{BACKEND}/deploy"
    (record,) = document(client.ask("GET", history))["histories"]
    front = f"/v2/{PLACE}/apis/{record['api_id']}"

    assert document(client.ask("GET", front))["ld_api_id"] == BACKEND

    undeploy(client, "v2")
    assert status(client.ask("GET", front)) == 404

    deployed = client.ask("POST", history, DEPLOY)
    assert (status(deployed), deployed.effect) == (200, RequestEffect.UP)
    assert document(deployed)["api_id"] != record["api_id"]
    assert status(client.ask("GET", front)) == 404
    assert [one["id"] for one in document(client.ask("GET", history))["histories"]][1] == record["id"]


def test_the_history_is_called_deploys_under_v1():
    shown = document(SimulatedClient(roma()).ask("GET", f"/v1/{PLACE}/livedata-apis/{BACKEND}/deploy"))

    assert shown.keys() == {"size", "total", "deploys"}


@pytest.mark.parametrize(
    ("wish", "expected"),
    [({}, 400), ({"deploy_front_api": False}, 200), (DEPLOY, 200), (DEPLOY | {"roma_app_id": "other"}, 409),
     (["no object"], 400)],
)  # fmt: skip
def test_a_deploy_wants_what_its_front_end_api_needs(wish, expected):
    assert (
        status(SimulatedClient(roma()).ask("POST", f"/v2/{PLACE}/livedata-apis/{OFF}/deploy", wish))
        == expected
    )


def test_a_v1_deploy_names_the_backend_in_its_body():
    client = SimulatedClient(roma())

    delivery = client.ask("POST", f"/v1/{PLACE}/livedata-apis/deploy", DEPLOY | {"ld_api_id": OFF})

    assert (status(delivery), delivery.effect) == (200, RequestEffect.UP)


def test_a_lagging_instance_shows_a_backend_as_deployed_for_a_while():
    client = SimulatedClient(roma(lag=5.0))
    undeploy(client, "v1")
    show = f"/v1/{PLACE}/livedata-apis/{BACKEND}"

    assert document(client.ask("GET", show))["status"] == 4
    client.now += 5.0
    assert document(client.ask("GET", show))["status"] == 3


def names(client: SimulatedClient, query: str) -> list[str]:
    return [api["id"] for api in document(client.ask("GET", f"/v1/{PLACE}/livedata-apis?{query}"))["apis"]]


def test_a_list_is_paged_and_filtered():
    ids = tuple(f"{index:032x}" for index in range(45))
    client = SimulatedClient(roma(targets=ids, down=(OFF,)))

    assert names(client, "") == list(ids[:20])
    assert names(client, "offset=40&limit=500&status=4") == list(ids[40:])
    assert names(client, "status=3&precise_search=status") == [OFF]
    assert names(client, "offset=-5&limit=1") == [ids[0]]
    assert names(client, "name=backend_0000&precise_search=name") == []
    assert len(names(client, "name=backend_0000&limit=500")) == 46
    page = json.loads(client.ask("GET", f"/v1/{PLACE}/livedata-apis?limit=7").answer.body)
    assert (page["size"], page["total"]) == (7, 46)


@pytest.mark.parametrize("query", ["limit=0", "limit=501", "limit=many", "offset=x"])
def test_a_page_that_cannot_be_is_refused(query):
    delivery = SimulatedClient(roma()).ask("GET", f"/v1/{PLACE}/livedata-apis?{query}")

    assert (status(delivery), document(delivery)["error_code"]) == (400, "APIG.2011")
