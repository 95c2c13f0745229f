"""Members of Apinizer's deployed proxy groups, by the administrator's report or the lists of a project."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from orchestrator.gateways.apinizer.groups import MOST_READS, REPORT
from orchestrator.model.credentials import Secret
from orchestrator.model.features import GroupMembership
from orchestrator.model.http import Reply
from tests.support.recorded import gateway, target

OURS = target("Retail", "orders-api", "production")
OTHER = target("Retail", "petstore-api", "production")
FORBIDDEN = Reply(401, {}, b'{"status":"FAILURE","resultMessage":"Unauthorized API Access!"}', 0)


def wrap(*rows: dict[str, Any]) -> Reply:
    return Reply(200, {}, msgspec.json.encode({"status": "SUCCESS", "resultList": rows}), 0)


def group(**fields: Any) -> dict[str, Any]:
    place = {"environmentName": "production", "deployed": True}
    plain = {"apiName": "G", "projectName": "Retail", "apiGroup": True, "environmentList": [place]}
    return {**plain, "deployed": True, "apiIdListOfApiGroup": ["1"], **fields}


def proxy(id_: str | None, name: str) -> dict[str, Any]:
    return {"id": id_, "apiName": name, "projectName": "Retail", "apiGroup": False}


def follow(answers: dict[str, Reply]) -> tuple[list[GroupMembership], list[str]]:
    """Return the memberships of two targets, and the paths that were asked for."""
    feature = gateway("apinizer").groups
    assert feature is not None
    told: dict[str, Any] = {}
    asked: list[str] = []
    while (read := feature.next_read(told, [OURS, OTHER])) is not None:
        path = read.build(Secret("t"), 0.0).url.partition("/apiops/")[2]
        asked.append(path)
        told[read.name] = read.read(answers.get(path, FORBIDDEN))
    return list(feature.list_memberships(told, [OURS, OTHER])), asked


def by_report(*entries: dict[str, Any]) -> list[GroupMembership]:
    found, asked = follow({"reports/api-proxies": wrap(*entries)})
    assert asked == ["reports/api-proxies"]
    return found


def test_the_report_names_the_member_of_a_deployed_group() -> None:
    found = by_report(proxy("1", "orders-api"), proxy("2", "petstore-api"), group())

    assert found == [GroupMembership("G", (OURS,), is_sure=True)]


@pytest.mark.parametrize(
    "entry",
    [
        group(deployed=False, environmentList=[{"environmentName": "production", "deployed": False}]),
        group(environmentList=[{"environmentName": "test", "deployed": True}]),
        group(environmentList=[], deployed=False),
        group(projectName="Billing"),
        group(apiIdListOfApiGroup=[]),
    ],
)
def test_a_group_that_serves_no_target_is_not_told_of(entry: dict[str, Any]) -> None:
    assert by_report(proxy("1", "orders-api"), proxy("2", "petstore-api"), entry) == []


@pytest.mark.parametrize(
    "entries",
    [
        [proxy(None, "orders-api"), group()],
        [proxy("1", "orders-api"), group(apiIdListOfApiGroup=None)],
        [proxy("1", "orders-api"), group(apiIdListOfApiGroup=[7])],
    ],
)
def test_members_that_are_not_told_may_be_any_of_the_project(entries: list[dict[str, Any]]) -> None:
    assert by_report(*entries) == [GroupMembership("G", (OURS, OTHER), is_sure=False)]


@pytest.mark.parametrize("places", [None, [{"environmentName": "production", "deployed": False}]])
def test_a_group_whose_environments_are_not_told_may_be_deployed(places: Any) -> None:
    found = by_report(proxy("1", "orders-api"), group(environmentList=places))

    assert found == [GroupMembership("G", (OURS,), is_sure=False)]


LISTED = "projects/Retail/apiProxyGroups/"


def test_without_the_report_the_lists_of_the_project_are_read() -> None:
    answers = {
        LISTED: wrap({"id": "g", "name": "G"}, {"id": "h", "name": "H"}),
        f"{LISTED}G/environments/": wrap({"name": "production", "deployed": True}),
        f"{LISTED}H/environments/": wrap({"name": "production", "deployed": False}),
    }

    found, asked = follow(answers)

    assert found == [GroupMembership("G", (OURS, OTHER), is_sure=False)]
    assert asked == ["reports/api-proxies", *answers]


def test_a_refused_list_of_environments_leaves_a_group_possible() -> None:
    found, _ = follow({LISTED: wrap({"id": "g", "name": "G"})})

    assert found == [GroupMembership("G", (OURS, OTHER), is_sure=False)]


def test_a_manager_without_groups_is_asked_twice() -> None:
    found, asked = follow({})

    assert (found, len(asked)) == ([], 2)


def test_the_reads_are_bounded() -> None:
    rows = [{"id": str(number), "name": f"G{number}"} for number in range(500)]

    _, asked = follow({LISTED: wrap(*rows)})

    assert len(asked) == MOST_READS + 1
    assert REPORT
