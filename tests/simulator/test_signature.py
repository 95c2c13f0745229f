"""Signed requests, checked against those that the vendor's own client signed."""

from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec import Struct, structs

from orchestrator.simulator.exchange import Delivery, ReceivedRequest
from orchestrator.simulator.keys import AccessKey
from orchestrator.simulator.signature import is_genuine, parse_claim, parse_signing_time
from tests.support.simulated import BACKEND, PLACE, PROJECT, SimulatedClient, apinizer, document, roma, status

SECRET = "fakeSkFakeSkFakeSkFakeSkFakeSkFakeSk0000"
KEY = AccessKey(access="FAKEAKFAKEAKFAKEAK00", secret=SECRET)
TEMPORARY = structs.replace(KEY, security_token="FAKE-SECURITY-TOKEN")
ONE = f"/v2/{PLACE}/livedata-apis/{BACKEND}"
V1 = f"/v1/{PLACE}/livedata-apis/undeploy"
QUERY = "limit=500&name=a%20b%2F%C3%BC~%2A&offset=0&precise_search=name%2Cstatus&status=4"


class Vector(Struct, frozen=True):
    """One signed request and the key that it was signed with."""

    method: str
    path: str
    signature: str
    headers: dict[str, str]
    body: bytes = b""
    key: AccessKey = KEY

    def asked(self, **changes: Any) -> ReceivedRequest:
        signed = ";".join(sorted(name.lower() for name in self.headers))
        claim = f"Access={self.key.access}, SignedHeaders={signed}, Signature={self.signature}"
        headers = {**self.headers, "Authorization": f"SDK-HMAC-SHA256 {claim}"}
        whole = {"method": self.method, "raw_path": self.path, "headers": headers, "body": self.body}
        return ReceivedRequest(**whole | changes)


def known(method: str, path: str, signature: str, body: bytes = b"", **more: str) -> Vector:
    """One of the known answers, which were all signed in the same second."""
    own = {"Host": "roma.cn-north-4.myhuaweicloud.com", "X-Sdk-Date": "20200919T065813Z"}
    key = TEMPORARY if "X_Security_Token" in more else KEY
    headers = own | {name.replace("_", "-"): value for name, value in more.items()}
    return Vector(method, path, signature, headers, body, key)


def recorded(method: str, path: str, second: int, signature: str, body: bytes = b"", **more: str) -> Vector:
    """One request as the vendor's client sent it."""
    headers = {
        "User-Agent": "huaweicloud-usdk-python/3.0; rec/1",
        "Content-Type": "application/json",
        "X-Project-Id": PROJECT,
        "X-Sdk-Date": f"20261122T0128{second}Z",
        "Host": "127.0.0.1:38471",
    }
    key = TEMPORARY if "X_Security_Token" in more else KEY
    extra = {name.replace("_", "-"): value for name, value in more.items()}
    return Vector(method, path, signature, headers | extra, body, key)


PLAIN = known("POST", f"{ONE}/undeploy", "a12a3435398233d16d48ead378b875b878536e7395456fb3fafe90982a844f51")
VECTORS = {
    "undeploy": PLAIN,
    "undeploy with a type": known(
        "POST", f"{ONE}/undeploy", "3492f1e67f69784200aece2ce2425bb3e687d6897bb035a9f22ccc43e7dccc63",
        Content_Type="application/json", X_Project_Id=PROJECT,
    ),
    "undeploy of v1": known(
        "POST", V1, "e00d52da31b73132a9c94302ead4b92ac405fc7c168eb6bdb0597f4e40a8f25e",
        json.dumps({"ld_api_id": BACKEND}).encode(), Content_Type="application/json", X_Project_Id=PROJECT,
    ),
    "list": known(
        "GET", f"/v2/{PLACE}/livedata-apis?{QUERY}",
        "115d515ed37ecbf4009c8a90ed5e27ac3f8ebb8c37b0368a6049d27b812121cd", X_Project_Id=PROJECT,
    ),
    "show with a temporary key": known(
        "GET", ONE, "dc08888adb3fa9e8cc6f6fe25a0b9b43bb0502ce969ee20d0f7771d0cb247594",
        X_Project_Id=PROJECT, X_Security_Token="FAKE-SECURITY-TOKEN",
    ),
    "deploy": known(
        "POST", f"{ONE}/deploy", "4d54ee3e7716cdc80752061cebdfeb8de65defebc729a90ab1a695ac5174c20b",
        b'{"deploy_front_api": false}',
        Content_Type="application/json;charset=utf-8", X_Project_Id=PROJECT,
    ),
    "recorded undeploy": recorded(
        "POST", f"{ONE}/undeploy", 28, "1ce7c057a88f5445d925267825438cb571e96e8b7436b519f17551be6203cb04"
    ),
    "recorded list": recorded(
        "GET", f"/v2/{PLACE}/livedata-apis?limit=500&offset=0&precise_search=status&status=4", 29,
        "aa2c98f4a1dabf84db11b60fd230ade550e217fcf940e2f50534745bde36da41",
    ),
    "recorded show": recorded(
        "GET", ONE, 29, "44a218e682fd8d0022ea7caad08a5eb1ddebde7734219611cb473c81deeea63e"
    ),
    "recorded deploy": recorded(
        "POST", f"{ONE}/deploy", 29, "5f8c5bd074bd7e1ecbee646673c9949fa090e4f9e267e9c1733f51222fb733fa",
        b'{"deploy_front_api": false}', Content_Type="application/json;charset=utf-8",
    ),
    "recorded undeploy with a temporary key": recorded(
        "POST", f"{ONE}/undeploy", 29, "0f48d2b4a9fa33b380d15f1f4281aa66aaaf9a890b6fa7ffcd6fd1b6ce7a4b5d",
        X_Security_Token="FAKE-SECURITY-TOKEN",
    ),
    "recorded undeploy with a token": recorded(
        "POST", f"{ONE}/undeploy", 29, "eaa9baae38a6bc4fc92ded4bddc1500eb3fd1def6b57639157dbdf3ece96d333",
        X_Auth_Token="FAKE-TOKEN",
    ),
}  # fmt: skip


def genuine(asked: ReceivedRequest, secret: str = SECRET) -> bool:
    claim = parse_claim(asked.headers["Authorization"])
    assert claim is not None
    return is_genuine(claim, asked, secret)


def sent(client: SimulatedClient, asked: ReceivedRequest) -> Delivery:
    return client.send(asked.method, asked.raw_path, asked.headers, asked.body)


def at(vector: Vector, later: float = 0.0, **fields: Any) -> SimulatedClient:
    """A client that knows the vector's key, so many seconds after it was signed."""
    client = SimulatedClient(roma(keys=(vector.key,), **fields))
    client.now = parse_signing_time(vector.headers) + later
    return client


@pytest.mark.parametrize("vector", VECTORS.values(), ids=VECTORS)
def test_a_request_that_the_vendors_client_signed_is_let_in(vector):
    client = at(vector, 60)

    delivery = sent(client, vector.asked())

    assert genuine(vector.asked())
    assert status(delivery) in (200, 204)
    assert (client.facts().bad_signatures, client.facts().denied) == (0, 0)


@pytest.mark.parametrize("vector", VECTORS.values(), ids=VECTORS)
def test_no_signed_part_may_change(vector):
    asked = vector.asked()
    changed = [
        vector.asked(method="PUT"),
        vector.asked(raw_path=asked.raw_path + "x"),
        vector.asked(raw_path=asked.raw_path.replace(PROJECT, "another")),
        vector.asked(body=asked.body + b" "),
        *(
            vector.asked(headers=asked.headers | {name: f"{value}1"})
            for name, value in vector.headers.items()
        ),
        *(
            vector.asked(headers={name: value for name, value in asked.headers.items() if name != gone})
            for gone in vector.headers
        ),
    ]

    assert [one for one in changed if genuine(one)] == []
    assert not genuine(asked, SECRET + "0")


def test_headers_that_are_not_signed_may_change():
    headers = PLAIN.asked().headers | {"Accept": "*/*", "User-Agent": "another"}

    assert genuine(PLAIN.asked(headers=headers))


@pytest.mark.parametrize(
    "signed", ["host", "x-sdk-date;host", "Host;X-Sdk-Date", "host;host;x-sdk-date", "host;x-sdk-date;x-y"]
)
def test_the_names_of_signed_headers_are_there_in_order_and_with_the_date(signed):
    asked = PLAIN.asked()
    claim = asked.headers["Authorization"].replace("host;x-sdk-date", signed)

    assert not genuine(PLAIN.asked(headers=asked.headers | {"Authorization": claim}))


@pytest.mark.parametrize(
    ("seconds", "expected"), [(-901, 401), (-899, 204), (0, 204), (899, 204), (901, 401)]
)
def test_the_clocks_may_differ_by_fifteen_minutes(seconds, expected):
    delivery = sent(at(PLAIN, seconds), PLAIN.asked())

    assert status(delivery) == expected
    assert expected == 204 or "15 minutes" in document(delivery)["error_msg"]


BAD_SIGNATURE = "verify aksk signature fail"
REFUSALS = {
    "another signature": ({"Authorization": ("Signature=a", "Signature=b")}, BAD_SIGNATURE),
    "a comma behind the algorithm": ({"Authorization": ("SHA256 ", "SHA256, ")}, BAD_SIGNATURE),
    "an unknown key": ({"Authorization": ("FAKEAKFAKEAKFAKEAK00", "OTHERAK")}, "ak OTHERAK not exist"),
    "a date in another form": ({"X-Sdk-Date": ("20200919T", "2020-09-19T")}, BAD_SIGNATURE),
    "a date that is none": ({"X-Sdk-Date": ("0919", "1399")}, BAD_SIGNATURE),
    "a security token of nobody": ({"X-Security-Token": ("", "x")}, "security token"),
}


@pytest.mark.parametrize(("change", "text"), REFUSALS.values(), ids=REFUSALS)
def test_a_refused_signature_is_a_401_in_the_gateways_words(change, text):
    client = at(PLAIN)
    [(name, (old, new))] = change.items()
    headers = PLAIN.asked().headers

    delivery = sent(client, PLAIN.asked(headers=headers | {name: headers.get(name, "").replace(old, new)}))

    assert (status(delivery), document(delivery)["error_code"]) == (401, "APIGW.0301")
    assert document(delivery)["error_msg"].startswith("Incorrect IAM authentication information: ")
    assert text in document(delivery)["error_msg"]
    assert (client.facts().bad_signatures, client.facts().undeploys, client.facts().down) == (1, 1, 1)


def test_a_temporary_key_wants_its_security_token():
    vector = VECTORS["recorded undeploy"]
    client = SimulatedClient(roma(keys=(TEMPORARY,)))
    client.now = parse_signing_time(vector.headers)

    assert "security token" in document(sent(client, vector.asked()))["error_msg"]


def bad(vector: Vector) -> ReceivedRequest:
    return vector.asked(method="PUT")


@pytest.mark.promise(5)
def test_more_than_five_bad_signatures_in_a_row_lock_the_key_for_five_minutes():
    client = at(PLAIN)
    for _ in range(5):
        sent(client, bad(PLAIN))
    assert (status(sent(client, PLAIN.asked())), client.facts().key_locks) == (204, 0)
    for _ in range(6):
        sent(client, bad(PLAIN))

    locked = sent(client, PLAIN.asked())
    client.now += 299
    still = sent(client, PLAIN.asked())
    client.now += 1
    again = sent(client, PLAIN.asked())

    assert "AK access failed to reach the limit,forbidden" in document(locked)["error_msg"]
    assert [status(one) for one in (locked, still, again)] == [401, 401, 204]
    assert (client.facts().key_locks, client.facts().bad_signatures) == (1, 13)


def test_another_key_is_not_locked_with_it():
    other = structs.replace(KEY, access="OTHERAK0000000000000")
    client = SimulatedClient(roma(keys=(other, KEY)))
    client.now = parse_signing_time(PLAIN.headers)
    strange = structs.replace(PLAIN, key=other).asked(method="PUT")
    for _ in range(7):
        sent(client, strange)

    assert "forbidden" in document(sent(client, strange))["error_msg"]
    assert status(sent(client, PLAIN.asked())) == 204


def test_a_token_still_counts_where_nothing_is_signed():
    headers = {"X-Auth-Token": "FAKE-TOKEN", "Authorization": "none"}

    assert (
        status(SimulatedClient(roma(tokens=("FAKE-TOKEN",))).send("POST", f"{ONE}/undeploy", headers)) == 204
    )


def test_an_apinizer_knows_no_signature():
    delivery = SimulatedClient(apinizer()).send("GET", "/apiops/projects/", PLAIN.asked().headers)

    assert (status(delivery), document(delivery)["error"]) == (401, "unauthorized_client")
