"""The samples of the catalogs judge the simulators, and the simulators do what a search has to bear."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.simulator.apinizer_fixture import ApinizerFixture, ProxyFixture
from orchestrator.simulator.exchange import HttpAnswer, RequestEffect
from orchestrator.simulator.faults import InjectedFault
from orchestrator.simulator.roma_fixture import BackendFixture, RomaFixture
from tests.simulator.test_samples import HASTY, OURS, PLACED, PROXY, SAMPLES, compare
from tests.support.simulated import BACKEND, PLACE, TEST, SimulatedClient, apinizer, document, roma, status

OTHER = "5f1c0a7799e84d3c8a1b2f60c4d5e6f7"
THIRD = "77aa0a7799e84d3c8a1b2f60c4d5e6f7"
BOTH = {"targets": (BACKEND,), "down": (OTHER,)}
THREE = {"targets": (BACKEND, THIRD), "down": (OTHER,)}


def page(limit: int = 500, offset: int = 0) -> tuple[str, str, bytes]:
    return "GET", f"/v1/{PLACE}/livedata-apis?limit={limit}&offset={offset}", b""


def history(version: str) -> tuple[str, str, bytes]:
    return "GET", f"/{version}/{PLACE}/livedata-apis/{BACKEND}/deploy", b""


ROMA: dict[str, tuple[dict[str, Any], InjectedFault | str, tuple[str, str, bytes]]] = {
    "list": (BOTH, "", page()),
    "list-first-page": (THREE, "", page(2)),
    "list-second-page": (THREE, "", page(2, 1)),
    "list-empty": ({"targets": (), "down": ()}, "", page()),
    "list-short-of-its-total": ({"down": (), "miscount": 1}, "", page()),
    "list-unknown-status": ({"down": (), "about": {BACKEND: BackendFixture(status=2)}}, "", page()),
    "list-type-not-given-yet": (
        {"down": (), "about": {BACKEND: BackendFixture(status=1, type="")}},
        "",
        page(),
    ),
    "list-401": ({"tokens": ("another",)}, "", page()),
    "list-404-not-published": ({"dialects": ("v2",)}, "", page()),
    "list-404-no-instance": ({"instance_id": "other"}, "", page()),
    "list-429": ({"rate": HASTY}, "", page()),
    "history-v1": ({}, "", history("v1")),
    "history-v2": ({}, "", history("v2")),
    "history-404-gone": ({"targets": ()}, "", history("v1")),
}
FRONTS = ("GET", f"/v2/{PLACE}/apis?limit=500&offset=0", b"")
TWO_PLACES = BackendFixture(environments=("DEFAULT_ENVIRONMENT_RELEASE_ID", "7a1b"))
ROMA_LISTS: dict[str, dict[str, Any]] = {
    "fronts": {"targets": (BACKEND, THIRD)},
    "fronts-in-several-environments": {"about": {BACKEND: TWO_PLACES}},
    "fronts-two-of-one-backend": {"about": {BACKEND: BackendFixture(second_front=True)}},
    "fronts-none": {"targets": (), "down": (BACKEND,)},
    "fronts-404-not-published": {"lists": "backends"},
    "fronts-404-no-instance": {"instance_id": "other"},
}
PROJECTS = ("GET", "/apiops/projects/", b"")
REPORT = ("GET", "/apiops/reports/api-proxies", b"")
ENVIRONMENTS = ("GET", "/apiops/environments/", b"")
OWN = ("GET", "/apiops/projects/MyProject/environments/", b"")
PROXIES = ("GET", "/apiops/projects/MyProject/apiProxies/", b"")
WHOLE = ("GET", PROXY, b"")
STATUS = ("GET", f"{PLACED}deploy-status/", b"")
APINIZER: dict[str, tuple[dict[str, Any], InjectedFault | str, tuple[str, str, bytes]]] = {
    "projects": ({}, "", PROJECTS),
    "projects-none": ({"targets": ()}, "", PROJECTS),
    "projects-fewer-than-counted": ({"withheld": 2}, "", PROJECTS),
    "projects-401": ({"tokens": ("another",), "errors": "new"}, "", PROJECTS),
    "projects-429": ({"rate": HASTY}, "", PROJECTS),
    "report": ({"report": "allowed"}, "", REPORT),
    "report-401-role": ({"errors": "new"}, "", REPORT),
    "report-401-role-old-envelope": ({}, "", REPORT),
    "report-404-older-server": ({"report": "absent"}, "", REPORT),
    "environments": ({}, "", ENVIRONMENTS),
    "environments-of-project": ({}, "", OWN),
    "environments-of-project-400-hidden": (
        {"closed": ("MyProject",), "unknown_project": 400, "errors": "new"}, "", OWN,
    ),
    "proxies": ({}, "", PROXIES),
    "proxies-404-hidden": ({"hidden": ("MyProject",)}, "", PROXIES),
    "status-deployed": ({}, "", STATUS),
    "status-undeployed": ({"targets": (), "down": (OURS,)}, "", STATUS),
    "status-404-older-server": ({"looks": False}, "", STATUS),
    "proxy": ({}, "", WHOLE),
    "proxy-no-deployments": ({"deployments": False}, "", WHOLE),
}  # fmt: skip


def answered(fixture: RomaFixture | ApinizerFixture, request: tuple[str, str, bytes]) -> HttpAnswer:
    answer = SimulatedClient(fixture).ask(*request).answer
    assert answer is not None
    return answer


@pytest.mark.parametrize("name", ROMA)
def test_roma_can_say_what_the_sample_says(name: str) -> None:
    fields, _, request = ROMA[name]

    compare("roma", f"catalog/{name}", answered(roma(**fields), request))


@pytest.mark.parametrize("name", ROMA_LISTS)
def test_roma_lists_front_ends_as_the_sample_says(name: str) -> None:
    compare("roma", f"lists/{name}", answered(roma(**ROMA_LISTS[name]), FRONTS))


@pytest.mark.parametrize("name", APINIZER)
def test_apinizer_can_say_what_the_sample_says(name: str) -> None:
    fields, _, request = APINIZER[name]

    compare(
        "apinizer",
        f"catalog/{name}",
        answered(apinizer(**{"targets": (OURS,), "down": ()} | fields), request),
    )


def test_every_sample_that_is_judged_is_there() -> None:
    assert all((SAMPLES / "roma" / "catalog" / name).is_dir() for name in ROMA)
    assert all((SAMPLES / "apinizer" / "catalog" / name).is_dir() for name in APINIZER)


def test_the_fixture_of_a_backend_shows_in_its_document() -> None:
    about = BackendFixture(
        name="orders", path="/o", application="legacy", application_id="a1", type="function", deployed=0.0
    )
    (api,) = document(SimulatedClient(roma(down=(), about={BACKEND: about})).ask(*page()))["apis"]

    assert (api["name"], api["path"], api["type"]) == ("orders", "/o", "function")
    assert (api["roma_app_name"], api["roma_app_id"]) == ("legacy", "a1")
    assert api["modified_time"] == "1970-01-01T00:00:00Z"


def test_a_list_shifts_as_often_as_the_fixture_says() -> None:
    client = SimulatedClient(roma(**THREE, shifts=2))
    pages = [document(client.ask(*page(1, number))) for number in range(3)]

    assert [one["total"] for one in pages] == [3, 2, 1]
    assert [[api["id"] for api in one["apis"]] for one in pages] == [[BACKEND], [OTHER], []]
    assert status(client.ask("GET", f"/v1/{PLACE}/livedata-apis/{BACKEND}")) == 404


def test_a_name_finds_the_backends_of_that_name() -> None:
    client = SimulatedClient(roma(**BOTH, about={OTHER: BackendFixture(name="orders")}))

    found = document(client.ask("GET", f"/v1/{PLACE}/livedata-apis?name=orders&precise_search=name"))["apis"]

    assert [api["id"] for api in found] == [OTHER]


def test_the_report_tells_where_each_proxy_is_deployed() -> None:
    fixture = apinizer(report="allowed", about={"Retail/petstore": ProxyFixture(type="SOAP")})
    (row,) = document(SimulatedClient(fixture).ask(*REPORT))["resultList"]

    assert (row["projectName"], row["apiName"], row["apiType"]) == ("Retail", "petstore", "SOAP")
    assert {one["environmentName"]: one["deployed"] for one in row["environmentList"]} == {
        "test": True,
        "production": True,
        "old": False,
    }


def test_the_report_lists_groups_leaves_out_proxies_and_contradicts_itself() -> None:
    fixture = apinizer(
        targets=(("Retail", "seen", "test"), ("Retail", "unseen", "test")),
        report="allowed",
        groups=(("Retail", "all"),),
        unreported=("Retail/unseen",),
        disputed=("Retail/seen",),
        report_padding=1000,
    )
    answer = SimulatedClient(fixture).ask(*REPORT)
    entries = {entry["apiName"]: entry for entry in document(answer)["resultList"]}

    assert {name: entry["apiGroup"] for name, entry in entries.items()} == {
        "seen": False,
        "petstore": False,
        "all": True,
    }
    assert entries["all"]["apiIdListOfApiGroup"]
    assert entries["seen"]["environmentList"][0]["deployed"] is True
    assert entries["seen"]["deployed"] is False
    assert len(entries["seen"]["description"]) == 1000


def test_the_report_lags_behind_what_has_changed() -> None:
    client = SimulatedClient(
        apinizer(targets=(("Retail", "petstore", "test"),), down=(), report="allowed", report_lag=10)
    )

    def read() -> tuple[bool, bool]:
        (entry,) = document(client.ask(*REPORT))["resultList"]
        return entry["deployed"], entry["environmentList"][0]["deployed"]

    assert client.ask("DELETE", TEST).effect is RequestEffect.DOWN
    assert read() == (True, True)
    client.now += 11
    assert read() == (False, False)


def test_environments_have_their_types_and_proxies_their_paths() -> None:
    fixture = apinizer(types={"old": "SANDBOX"}, about={"Retail/petstore": ProxyFixture(path="/pets")})
    client = SimulatedClient(fixture)
    types = {one["name"]: one["type"] for one in document(client.ask(*ENVIRONMENTS))["resultList"]}
    (proxy,) = document(client.ask("GET", "/apiops/projects/Retail/apiProxies/"))["resultList"]

    assert types == {"test": "TEST", "production": "PRODUCTION", "old": "SANDBOX"}
    assert proxy["relativePath"] == "/pets"


def test_a_hidden_project_is_not_listed_and_a_closed_one_cannot_be_looked_into() -> None:
    fixture = apinizer(
        targets=(("Open", "a", "test"), ("Closed", "b", "test"), ("Hidden", "c", "test")),
        down=(),
        closed=("Closed",),
        hidden=("Hidden",),
    )
    client = SimulatedClient(fixture)
    listed = [one["name"] for one in document(client.ask(*PROJECTS))["resultList"]]
    answers = [
        status(client.ask("GET", f"/apiops/projects/{name}/apiProxies/"))
        for name in ("Open", "Closed", "Hidden")
    ]

    assert listed == ["Open", "Closed"]
    assert answers == [200, 404, 404]


def test_where_a_proxy_never_was_deploy_status_says_so() -> None:
    fixture = apinizer(targets=(("Retail", "petstore", "test"), ("Retail", "orders", "production")), down=())
    place = "/apiops/projects/Retail/apiProxies/petstore/environments/production/deploy-status/"

    assert document(SimulatedClient(fixture).ask("GET", place))["resultList"] == [
        {"deployed": False, "lastDeployTime": None, "revision": None, "redeployRequired": False}
    ]


def test_a_deployment_has_the_time_of_the_fixture() -> None:
    fixture = apinizer(deployed={"Retail/petstore/test": 0.0})
    (state,) = document(
        SimulatedClient(fixture).ask(
            "GET", "/apiops/projects/Retail/apiProxies/petstore/environments/test/deploy-status/"
        )
    )["resultList"]

    assert state["lastDeployTime"].startswith("1970-01-01T00:00:00")
