"""An Apinizer as its administrator sees it: who may call its proxies, and their groups."""

from __future__ import annotations

import json
from typing import Any

import pytest

from orchestrator.simulator.apinizer_fixture import GroupFixture, ProxyFixture
from tests.simulator.test_samples import SAMPLES, compare, unlike
from tests.support.simulated import SimulatedClient, apinizer, document, status

ACCESS = "/apiops/reports/organization-api-data-model-access"
REPORT = "/apiops/reports/api-proxies"
GROUPS = "/apiops/projects/Retail/apiProxyGroups/"
RECORDED = SAMPLES / "apinizer"


def test_the_access_report_names_the_callers_of_what_is_shared_outside():
    about = {
        "Retail/petstore": ProxyFixture(callers=("web-shop", "billing"), sharing="BOTH"),
        "Retail/orders": ProxyFixture(callers=("web-shop",), sharing="INTERNAL"),
    }
    targets = (("Retail", "petstore", "test"), ("Retail", "orders", "test"))
    shown = SimulatedClient(apinizer(access="allowed", about=about, targets=targets))

    (entry,) = document(shown.ask("GET", ACCESS))["result"]["apiAccessList"]

    assert (entry["name"], entry["projectName"], entry["sharingType"]) == ("petstore", "Retail", "BOTH")
    (method,) = entry["methodList"]
    assert [each["username"] for each in method["credentialList"]] == ["web-shop", "billing"]


@pytest.mark.parametrize(("access", "expected"), [("forbidden", 401), ("absent", 404)])
def test_the_access_report_may_be_forbidden_or_not_there(access, expected):
    shown = SimulatedClient(apinizer(access=access))

    assert status(shown.ask("GET", ACCESS)) == expected
    assert status(shown.ask("GET", GROUPS)) == 200


def test_groups_are_listed_without_members_and_with_their_environments():
    about = {"Retail/all": GroupFixture(members=("petstore",), environments=("test",))}
    shown = SimulatedClient(apinizer(groups=(("Retail", "all"), ("Other", "none")), about_groups=about))

    (group,) = document(shown.ask("GET", GROUPS))["resultList"]
    places = document(shown.ask("GET", f"{GROUPS}all/environments/"))["resultList"]

    assert group.keys() == {"id", "name", "description"}
    assert {place["name"]: place["deployed"] for place in places} == {
        "test": True,
        "production": False,
        "old": False,
    }
    assert status(shown.ask("GET", f"{GROUPS}none/environments/")) == 400


def test_the_report_names_the_members_of_a_group_by_their_ids():
    groups = {"groups": (("Retail", "all"),), "report": "allowed", "tells_ids": True}
    shown = SimulatedClient(apinizer(**groups))

    proxy, group = document(shown.ask("GET", REPORT))["resultList"]

    assert group["apiIdListOfApiGroup"] == [proxy["id"]]
    listed = document(shown.ask("GET", "/apiops/projects/Retail/apiProxies/"))["resultList"]
    assert [each["id"] for each in listed] == [proxy["id"]]
    unnamed = SimulatedClient(apinizer(**groups | {"tells_ids": False}))
    assert "id" not in document(unnamed.ask("GET", REPORT))["resultList"][0]


PLACES = f"{GROUPS}all/environments/"
CALLED = {"access": "allowed", "about": {"Retail/petstore": ProxyFixture(callers=("web-shop",))}}
GROUPED = {"groups": (("Retail", "all"),), "report": "allowed"}

# The sample, what the installation is like, and the address.
JUDGED: dict[str, tuple[dict[str, Any], str]] = {
    "access/shared-outside": (CALLED, ACCESS),
    "access/nothing-shared": (CALLED | {"about": {}}, ACCESS),
    "access/401-role": ({"access": "forbidden", "errors": "new"}, ACCESS),
    "access/404-older-server": ({"access": "absent"}, ACCESS),
    "groups/report-with-ids": (GROUPED | {"tells_ids": True}, REPORT),
    "groups/report-without-ids": (GROUPED, REPORT),
    "groups/report-deployed-nowhere": (
        GROUPED | {"tells_ids": True, "about_groups": {"Retail/all": GroupFixture(environments=())}},
        REPORT,
    ),
    "groups/report-without-a-group": (GROUPED | {"groups": ()}, REPORT),
    "groups/report-401-role": (GROUPED | {"report": "forbidden", "errors": "new"}, REPORT),
    "groups/list": (GROUPED, GROUPS),
    "groups/list-none": (GROUPED | {"groups": ()}, GROUPS),
    "groups/list-404-hidden": (GROUPED | {"hidden": ("Retail",)}, GROUPS),
    "groups/environments": (GROUPED, PLACES),
}


@pytest.mark.parametrize("name", JUDGED)
def test_reports_and_groups_are_told_as_the_sample_does(name):
    fields, address = JUDGED[name]
    answer = SimulatedClient(apinizer(**fields)).ask("GET", address).answer

    compare("apinizer", name, answer)
    # A list is judged by its first entry: here the last one is the group.
    if name.startswith("groups/report-with") and fields["groups"]:
        sample = json.loads((RECORDED / name / "body").read_bytes())["resultList"][-1]
        assert unlike(sample, json.loads(answer.body)["resultList"][-1]) == []
