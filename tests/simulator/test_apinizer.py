"""An Apinizer installation as its management API shows it."""

from __future__ import annotations

import json

import pytest

from orchestrator.simulator.exchange import RequestEffect
from orchestrator.simulator.limits import RateLimit
from tests.support.simulated import PROXY, TEST, SimulatedClient, apinizer, document, status

TARGET = "apim/Retail/petstore/test"
OLD = f"{PROXY}environments/old/"


def first(client: SimulatedClient, look: str, where: str = TEST) -> dict[str, object]:
    (row,) = document(client.ask("GET", f"{where}{look}/"))["resultList"]
    return row


def test_shape_a_has_a_row_for_the_environment():
    delivery = SimulatedClient(apinizer()).ask("DELETE", TEST)

    row = {"environmentName": "test", "success": True, "message": "Undeployment successful"}
    assert document(delivery) == {
        "success": True,
        "deploymentResult": {"success": True, "deploymentResults": [row]},
    }
    assert delivery.effect is RequestEffect.DOWN


def test_shape_b_has_a_row_for_each_pod():
    told = document(SimulatedClient(apinizer(shape="b", pods=3)).ask("DELETE", TEST))

    rows = told["deploymentResult"]["detailList"]
    assert (told["status"], told["deploymentResult"]["success"]) == ("SUCCESS", True)
    assert [(row["envName"], row["podName"], row["success"]) for row in rows] == [
        ("test", f"apinizer-worker-{index}", True) for index in (1, 2, 3)
    ]


def test_after_an_undeploy_the_reads_agree_that_the_proxy_is_down():
    client = SimulatedClient(apinizer())
    before = first(client, "deploy-status")
    client.ask("DELETE", TEST)

    assert first(client, "deploy-status") == before | {"deployed": False}
    health = first(client, "route-health")
    assert (health["podsResponded"], health["podsActive"], health["inconsistent"]) == (2, 0, False)
    assert first(client, "deploy-status", f"{PROXY}environments/production/")["deployed"]


def test_a_second_undeploy_is_a_400():
    client = SimulatedClient(apinizer(not_deployed_text="{proxy} left {environment}"))
    client.ask("DELETE", TEST)

    delivery = client.ask("DELETE", TEST)

    assert status(delivery) == 400
    assert document(delivery) == {"error": "bad_request", "error_description": "petstore left test"}


def test_a_target_that_the_fixture_calls_down_is_not_deployed():
    client = SimulatedClient(apinizer())

    assert status(client.ask("DELETE", OLD)) == 400
    assert first(client, "deploy-status", OLD)["deployed"] is False
    newest = document(client.ask("GET", f"{PROXY}deploy-histories/"))["resultList"][0]
    assert (newest["environment"], newest["deploy"]) == ("old", False)


ABSENT = {
    "project": ("DELETE", "/apiops/projects/Nowhere/apiProxies/petstore/environments/test/", 404,
                "Project (Nowhere) is not found or user does not have privilege to access it!"),
    "proxy": ("DELETE", "/apiops/projects/Retail/apiProxies/x/environments/test/", 400,
              "ApiProxy with name (x) can not be deployed to Environment(test) because it is not exist!"),
    "proxy, to a look": ("GET", "/apiops/projects/Retail/apiProxies/x/environments/test/deploy-status/", 400,
                         "ApiProxy with name (x) is not found!"),
    "proxy, as a whole": ("GET", "/apiops/projects/Retail/apiProxies/x/", 400,
                          "ApiProxy with name (x) is not found!"),
    "environment": ("DELETE", f"{PROXY}environments/moon/", 400,
                    "Environment (moon) is not found or user does not have privilege to access it!"),
    "empty environment": ("DELETE", f"{PROXY}environments//", 400, "environmentName value can not be empty!"),
    "revision": ("GET", f"{PROXY}deploy-histories/99/", 400,
                 "Deploy history with revision (99) is not found for ApiProxy (petstore)!"),
}  # fmt: skip


@pytest.mark.parametrize(("method", "path", "expected", "text"), ABSENT.values(), ids=ABSENT)
def test_a_missing_thing_is_named_in_the_vendors_words(method, path, expected, text):
    delivery = SimulatedClient(apinizer()).ask(method, path)

    assert (status(delivery), document(delivery)["error_description"]) == (expected, text)


def test_the_new_envelope_has_neither_error_nor_404():
    delivery = SimulatedClient(apinizer(errors="new", unknown_project=400)).ask(
        "GET", "/apiops/projects/Nowhere/apiProxies/"
    )

    assert status(delivery) == 400
    assert document(delivery).keys() == {"status", "resultMessage"}


@pytest.mark.parametrize(
    "path", [TEST.removesuffix("/"), PROXY.removesuffix("/"), "/apiops/health", "/elsewhere/", "/", "//", "*"]
)
def test_a_path_without_its_slash_or_off_the_api_is_a_404_without_an_envelope(path):
    delivery = SimulatedClient(apinizer()).ask("DELETE", path)

    assert (status(delivery), delivery.effect) == (404, RequestEffect.NONE)
    assert delivery.answer.body.startswith(b"<!doctype html>")


@pytest.mark.parametrize(
    ("fields", "path"),
    [({"looks": False}, f"{TEST}deploy-status/"), ({"looks": False}, f"{TEST}route-health/"),
     ({"histories": False}, f"{PROXY}deploy-histories/"),
     ({"looks": False}, "/apiops/projects/Retail/apiProxies/x/environments/test/deploy-status/")],
)  # fmt: skip
def test_a_look_that_an_old_version_lacks_is_a_404_without_an_envelope(fields, path):
    delivery = SimulatedClient(apinizer(**fields)).ask("GET", path)

    assert (status(delivery), delivery.answer.headers["Content-Type"]) == (404, "text/html;charset=UTF-8")


@pytest.mark.parametrize(
    ("token", "errors", "text"),
    [(None, "old", "Empty Key! Client must be authenticated to access this resource."),
     ("wrong", "old", "Invalid token"), ("wrong", "new", "Token is not valid!")],
)  # fmt: skip
def test_a_token_that_is_not_accepted_is_a_401(token, errors, text):
    delivery = SimulatedClient(apinizer(errors=errors)).ask("DELETE", TEST, token=token)

    assert (status(delivery), delivery.effect) == (401, RequestEffect.NONE)
    assert text in document(delivery).values()


def test_the_connection_tests_answer_in_plain_text():
    client = SimulatedClient(apinizer())

    assert client.ask("GET", "/apiops/test/healthcheck", token=None).answer.body == b"OK"
    assert client.ask("GET", "/apiops/test/hello/me").answer.body == b"Hello me"
    assert status(client.ask("GET", "/apiops/test/hello/me", token="wrong")) == 401


@pytest.mark.parametrize(
    ("body", "sent", "expected"),
    [("accept", {"description": "CHG-1", "persistent": True}, 200), ("accept", b"", 200),
     ("accept", b"{", 400),
     ("ignore", b"{", 200), ("reject", {}, 400), ("reject", b"", 200)],
)  # fmt: skip
def test_a_body_is_obeyed_ignored_or_rejected_by_a_setting(body, sent, expected):
    assert status(SimulatedClient(apinizer(body=body)).ask("DELETE", TEST, sent)) == expected


def test_the_history_names_users_and_acts_newest_first():
    client = SimulatedClient(apinizer())
    client.ask("DELETE", TEST, {"description": "CHG-1", "persistent": True})
    client.ask("POST", TEST)

    newest, before, *_ = document(client.ask("GET", f"{PROXY}deploy-histories/"))["resultList"]

    assert (newest["deploy"], newest["environment"], newest["description"]) == (
        True,
        "test",
        "Deployed by APIOPS Api",
    )
    assert (before["deploy"], before["description"], before["persistent"]) == (False, "CHG-1", True)
    assert newest["revision"] == before["revision"] + 1


@pytest.mark.parametrize(("kept", "revisions"), [(6, 7), (1, 2)])
def test_the_history_forgets_all_but_a_few_records_and_the_persistent_ones(kept, revisions):
    client = SimulatedClient(apinizer(kept=kept))
    client.ask("DELETE", TEST, {"description": "keep", "persistent": True})
    for _ in range(9):
        client.ask("POST", TEST)

    rows = document(client.ask("GET", f"{PROXY}deploy-histories/"))["resultList"]

    assert [row["description"] for row in rows if row["persistent"]] == ["keep"]
    assert len(rows) == revisions


def test_the_history_may_be_oldest_first():
    newest, oldest = (
        document(SimulatedClient(apinizer(oldest_first=order)).ask("GET", f"{PROXY}deploy-histories/"))
        for order in (False, True)
    )

    assert newest["resultList"] == oldest["resultList"][::-1] != oldest["resultList"]


def test_a_deploy_brings_a_proxy_back():
    client = SimulatedClient(apinizer())
    client.ask("DELETE", TEST)

    delivery = client.ask("POST", TEST, {"description": "back"})

    assert (status(delivery), delivery.effect) == (200, RequestEffect.UP)
    assert first(client, "deploy-status")["deployed"] is True
    assert first(client, "route-health")["podsActive"] == 2


def test_a_rollback_deploys_and_says_so_in_its_text_only():
    client = SimulatedClient(apinizer())
    client.ask("DELETE", TEST)

    delivery = client.ask("POST", f"{PROXY}deploy-histories/1/rollback/?environmentName=test")

    assert delivery.effect is RequestEffect.UP
    assert document(delivery).keys() == {"status", "resultMessage"}


def test_a_rollback_whose_deploy_failed_is_still_a_success():
    client = SimulatedClient(apinizer())
    client.ask("DELETE", TEST)
    client.expect(script={TARGET: ("deploy:inner-false",)})

    delivery = client.ask("POST", f"{PROXY}deploy-histories/1/rollback/?environmentName=test")

    assert (status(delivery), delivery.effect) == (200, RequestEffect.NONE)
    assert "but deployment failed" in document(delivery)["resultMessage"]


def test_a_delete_without_the_environments_tail_destroys_and_the_books_say_so():
    client = SimulatedClient(apinizer())

    delivery = client.ask("DELETE", PROXY)

    assert (status(delivery), delivery.effect) == (200, RequestEffect.DESTROYED)
    assert set(client.platforms.books().destroyed) == {
        f"apim/Retail/petstore/{place}" for place in ("test", "production", "old")
    }
    assert status(client.ask("GET", PROXY)) == 400


def test_names_of_any_kind_are_decoded_segment_by_segment():
    parts = ("Sipariş Yönetimi", "a/b%c?d#e+f", "prod ortamı")  # noqa: RUF001 - Turkish
    client = SimulatedClient(apinizer(targets=(parts,), down=()))

    delivery = client.ask(
        "DELETE",
        "/apiops/projects/Sipari%C5%9F%20Y%C3%B6netimi/apiProxies/a%2Fb%25c%3Fd%23e%2Bf/environments/prod%20ortam%C4%B1/",
    )

    assert delivery.effect is RequestEffect.DOWN
    assert delivery.call.row.id == "apim/Sipariş Yönetimi/a%2Fb%25c?d#e+f/prod ortamı"  # noqa: RUF001 - Turkish


def test_the_lists_name_the_targets_of_the_fixture():
    client = SimulatedClient(apinizer())

    def listed(path: str) -> list[str]:
        return [row["name"] for row in document(client.ask("GET", path))["resultList"]]

    assert listed("/apiops/projects/") == ["Retail"]
    assert listed("/apiops/projects/Retail/apiProxies/") == ["petstore"]
    assert listed("/apiops/environments/") == listed("/apiops/projects/Retail/environments/") == [
        "test", "production", "old"
    ]  # fmt: skip


def test_a_proxy_shows_its_deployments():
    (details,) = document(SimulatedClient(apinizer()).ask("GET", PROXY))["resultList"]

    assert {row["environmentName"]: row["deployed"] for row in details["deploymentList"]} == {
        "test": True, "production": True, "old": False
    }  # fmt: skip


def test_haste_is_a_429_with_the_seconds_in_header_and_body():
    client = SimulatedClient(apinizer(rate=RateLimit(per_second=1)))
    client.ask("GET", "/apiops/projects/")

    delivery = client.ask("GET", "/apiops/projects/")

    assert (status(delivery), delivery.answer.headers["Retry-After"]) == (429, "1")
    assert document(delivery)["retry_after"] == 1


@pytest.mark.parametrize(("errors", "told"), [("old", 400), ("new", 429)])
def test_haste_may_have_any_status_and_no_header(errors, told):
    """The page that knows of it names no status; without its code only 429 tells what it is."""
    rate = RateLimit(per_second=1)
    client = SimulatedClient(apinizer(rate=rate, errors=errors, limit_status=400, limit_header=False))
    client.ask("GET", "/apiops/projects/")

    delivery = client.ask("GET", "/apiops/projects/")

    assert (status(delivery), "Retry-After" in delivery.answer.headers) == (told, False)
    assert document(delivery)["retry_after"] == 1


@pytest.mark.parametrize(
    "path", ["projects/", "reports/api-proxies", f"{PROXY[8:]}deploy-histories/", f"{TEST[8:]}deploy-status/"]
)
def test_a_list_may_say_success_in_place_of_its_status(path):
    wordings = (SimulatedClient(apinizer(report="allowed", lists=key)) for key in ("status", "success"))
    usual, other = (document(client.ask("GET", f"/apiops/{path}")) for client in wordings)

    assert (usual.pop("status"), other.pop("success")) == ("SUCCESS", True)
    assert usual == other


def test_json_may_come_in_another_character_set_and_lose_nothing():
    name = "Müşteri 渋谷 😀"
    client = SimulatedClient(
        apinizer(charset="ISO-8859-9", targets=(("Retail", name, "test"),), tokens=("another",))
    )
    told = client.ask("GET", "/apiops/projects/Retail/apiProxies/", token="another").answer
    denied = client.ask("GET", "/apiops/projects/").answer

    assert told.headers["Content-Type"] == "application/json;charset=ISO-8859-9"
    assert "Müşteri".encode("iso-8859-9") in told.body
    assert json.loads(told.body.decode("iso-8859-9"))["resultList"][0]["name"] == name
    assert denied.headers["Content-Type"] == told.headers["Content-Type"]


def test_a_route_health_need_not_say_what_the_manager_has_on_record():
    health = first(SimulatedClient(apinizer(tells_record=False)), "route-health")

    assert not health.keys() & {"deployedInManager", "inconsistent"}


def test_edited_definitions_want_a_redeploy():
    client = SimulatedClient(apinizer(edited=(("Retail", "petstore", "test"),)))

    assert first(client, "deploy-status")["redeployRequired"] is True
    client.ask("DELETE", TEST)
    assert first(client, "deploy-status")["redeployRequired"] is False


class TestTwists:
    """Answers that look like success and are none, or the other way round."""

    @staticmethod
    def struck(fault: str, **fields: object) -> tuple[SimulatedClient, object]:
        client = SimulatedClient(apinizer(**fields))
        client.expect(script={TARGET: (fault,)})
        return client, client.ask("DELETE", TEST)

    @pytest.mark.parametrize("shape", ["a", "b"])
    def test_false_inside_changes_nothing(self, shape):
        client, delivery = self.struck("inner-false", shape=shape)

        told = document(delivery)
        assert told.get("success", told.get("status")) in (True, "SUCCESS")
        assert told["deploymentResult"]["success"] is False
        assert delivery.effect is RequestEffect.NONE
        assert first(client, "route-health")["podsActive"] == 2

    def test_one_pod_of_two_goes_on_serving_while_both_flags_look_clean(self):
        client, delivery = self.struck("partial", shape="b")

        rows = document(delivery)["deploymentResult"]["detailList"]
        assert [row["success"] for row in rows] == [True, False]
        health = first(client, "route-health")
        assert (health["podsActive"], health["podsResponded"]) == (1, 2)
        assert (health["routeActive"], health["inconsistent"]) == (False, False)
        assert first(client, "deploy-status")["deployed"] is False
        assert [pod["workerPodIp"] for pod in health["pods"] if pod["routeActive"]] == [rows[1]["podIp"]]
        assert not client.platforms.books().targets[TARGET].down

    def test_the_record_may_also_stay_with_the_pods(self):
        client, _ = self.struck("partial", record_flips=False)

        assert first(client, "deploy-status")["deployed"] is True

    def test_an_orphan_can_be_undeployed_again(self):
        client, _ = self.struck("partial")

        assert client.ask("DELETE", TEST).effect is RequestEffect.DOWN
        assert first(client, "route-health")["podsActive"] == 0

    def test_an_orphan_may_also_be_refused_as_whatever_is_not_deployed(self):
        client, _ = self.struck("partial", orphans="refuse")
        again = client.ask("DELETE", TEST)

        assert (status(again), again.effect) == (400, RequestEffect.NONE)
        assert first(client, "route-health")["podsActive"] == 1

    @pytest.mark.parametrize(("shape", "rows"), [("a", 1), ("b", 2)])
    def test_a_400_may_come_though_some_pods_have_obeyed(self, shape, rows):
        client, delivery = self.struck("refused-partial", shape=shape, errors="new")
        told = document(delivery)

        assert (status(delivery), delivery.effect) == (400, RequestEffect.PART)
        assert told.get("status") == "FAILURE"
        result = told["deploymentResult"]
        assert result["success"] is False
        assert len(result.get("detailList", result.get("deploymentResults"))) == rows
        assert first(client, "route-health")["podsActive"] == 1

    @pytest.mark.parametrize(("shape", "result"), [("a", {"success": False, "detailList": []}), ("b", None)])
    def test_success_outside_may_stand_over_no_deployment_at_all(self, shape, result):
        client, delivery = self.struck("no-deployment", shape=shape)

        assert document(delivery)["deploymentResult"] == result
        assert (status(delivery), delivery.effect) == (200, RequestEffect.NONE)
        assert first(client, "deploy-status")["deployed"] is True

    @pytest.mark.parametrize(("rows", "below"), [("environment", None), ("nested", 2)])
    def test_the_rows_of_shape_b_may_be_environments(self, rows, below):
        _, delivery = self.struck("partial", shape="b", rows=rows)
        (row,) = document(delivery)["deploymentResult"]["detailList"]

        assert (row["envName"], row["success"]) == ("test", False)
        assert row["detail"] == "apinizer-worker-2 (10.0.0.12): Connection refused"
        assert "podName" not in row
        assert below is None or len(row["detailList"]) == below

    @pytest.mark.parametrize(
        ("fault", "responded", "listed"), [("pod-unreached", 2, 2), ("pod-silent", 1, 1)]
    )
    def test_the_pod_that_did_not_obey_may_be_out_of_reach(self, fault, responded, listed):
        client, _ = self.struck("partial")
        client.expect(script={TARGET: (fault,)})
        health = first(client, "route-health")

        assert (health["podsResponded"], health["podsActive"], len(health["pods"])) == (responded, 0, listed)
        assert (health["routeActive"], health["inconsistent"]) == (False, False)
        errors = [pod["error"] for pod in health["pods"] if "error" in pod]
        assert errors == ["Connection refused (10.0.0.12:8091)"] * (listed - 1)
        assert first(client, "route-health")["podsActive"] == 1

    def test_booleans_in_quotes_are_a_done_deed(self):
        _, delivery = self.struck("quoted")

        assert document(delivery)["success"] == "true"
        assert delivery.effect is RequestEffect.DOWN

    def test_a_result_may_be_missing(self):
        _, delivery = self.struck("no-result")

        assert (document(delivery), delivery.effect) == ({"success": True}, RequestEffect.DOWN)

    @pytest.mark.parametrize(("shape", "rows"), [("a", "deploymentResults"), ("b", "detailList")])
    def test_rows_may_be_missing(self, shape, rows):
        _, delivery = self.struck("empty-rows", shape=shape)

        assert document(delivery)["deploymentResult"][rows] == []

    def test_a_400_may_carry_a_result(self):
        _, delivery = self.struck("refused-with-result")

        assert (status(delivery), delivery.effect) == (400, RequestEffect.NONE)
        assert document(delivery)["deploymentResult"]["success"] is False

    def test_no_pod_may_be_reachable(self):
        client = SimulatedClient(apinizer())
        client.expect(script={TARGET: ("no-pods",)})

        health = first(client, "route-health")

        assert (health["podsResponded"], health["podsActive"], health["pods"]) == (0, 0, [])
        assert (health["routeActive"], health["inconsistent"]) == (False, False)

    def test_pods_may_answer_not_loaded_after_an_undeploy(self):
        client = SimulatedClient(apinizer(not_loaded=True))
        client.ask("DELETE", TEST)

        assert all(pod["error"] == "API Proxy is not loaded" for pod in first(client, "route-health")["pods"])
