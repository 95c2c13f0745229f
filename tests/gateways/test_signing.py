"""SDK-HMAC-SHA256 against known answers, recorded requests, and its own algebra."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone
from hashlib import sha256
from traceback import TracebackException
from urllib.parse import quote

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct
from msgspec.structs import replace

from orchestrator.gateways.roma.signing import build_canonical_request, sign_request
from orchestrator.model.credentials import AccessKeys, Secret
from orchestrator.model.http import Request
from tests.support.recorded import INSTANCE, PROJECT

ACCESS = "FAKEAKFAKEAKFAKEAK00"
SECRET = "fakeSkFakeSkFakeSkFakeSkFakeSkFakeSk0000"
SECURITY_TOKEN = "FAKE-SECURITY-TOKEN"
KEYS = AccessKeys(Secret(ACCESS), Secret(SECRET))
TEMPORARY = replace(KEYS, security_token=Secret(SECURITY_TOKEN))
API = "bd42841c20184da6bbf457c6d8a06e37"
CLOUD = "https://roma.cn-north-4.myhuaweicloud.com"
V1, V2 = (f"/{version}/{PROJECT}/apic/instances/{INSTANCE}/livedata-apis" for version in ("v1", "v2"))
THEN = datetime(2020, 9, 19, 6, 58, 13, tzinfo=UTC)
JSON = {"Content-Type": "application/json"}
IN_PROJECT = {"X-Project-Id": PROJECT}
UNDEPLOY = Request("POST", f"{CLOUD}{V2}/{API}/undeploy", {**JSON, **IN_PROJECT})


class Vector(Struct, frozen=True):
    """A request, the headers that are signed, and the two known answers."""

    request: Request
    names: str
    digest: str
    signature: str
    keys: AccessKeys = KEYS


VECTORS = {
    "undeploy, the least": Vector(
        Request("POST", f"{CLOUD}{V2}/{API}/undeploy", {}),
        "host;x-sdk-date",
        "e52e9c8f66d6115a0c3146e1318769e8b6c69320f7b3ee19c93b13fff96de08c",
        "a12a3435398233d16d48ead378b875b878536e7395456fb3fafe90982a844f51",
    ),
    "undeploy": Vector(
        UNDEPLOY,
        "content-type;host;x-project-id;x-sdk-date",
        "a94f71eee628422990fc242c3c078c07341ac46ae1a88d4e578616c0ae889dbf",
        "3492f1e67f69784200aece2ce2425bb3e687d6897bb035a9f22ccc43e7dccc63",
    ),
    "undeploy, v1": Vector(
        Request(
            "POST",
            f"{CLOUD}{V1}/undeploy",
            {**JSON, **IN_PROJECT},
            b'{"ld_api_id": "bd42841c20184da6bbf457c6d8a06e37"}',
        ),
        "content-type;host;x-project-id;x-sdk-date",
        "7558ade6cbb8f6661b0ffe675f728663769c4da7a34b205a1b95d695ca13179e",
        "e00d52da31b73132a9c94302ead4b92ac405fc7c168eb6bdb0597f4e40a8f25e",
    ),
    "list": Vector(
        Request(
            "GET",
            f"{CLOUD}{V2}?limit=500&name=a%20b%2F%C3%BC~%2A&offset=0&precise_search=name%2Cstatus&status=4",
            IN_PROJECT,
        ),
        "host;x-project-id;x-sdk-date",
        "91aff4321d45d50ef4bc211507001668b4816765d213ee03280ba46bc94e92e1",
        "115d515ed37ecbf4009c8a90ed5e27ac3f8ebb8c37b0368a6049d27b812121cd",
    ),
    "show, temporary keys": Vector(
        Request("GET", f"{CLOUD}{V2}/{API}", IN_PROJECT),
        "host;x-project-id;x-sdk-date;x-security-token",
        "cccb161e15acae6ae4c69c1d0cec410c55ada2d19f459f3eec1aa09b61f0d1f5",
        "dc08888adb3fa9e8cc6f6fe25a0b9b43bb0502ce969ee20d0f7771d0cb247594",
        TEMPORARY,
    ),
    "deploy": Vector(
        Request(
            "POST",
            f"{CLOUD}{V2}/{API}/deploy",
            {"Content-Type": "application/json;charset=utf-8", **IN_PROJECT},
            b'{"deploy_front_api": false}',
        ),
        "content-type;host;x-project-id;x-sdk-date",
        "f0b17c5577610bca9fd82cbec5460ab99c8ff9ca177341ccd954bcc5f1686f2c",
        "4d54ee3e7716cdc80752061cebdfeb8de65defebc729a90ab1a695ac5174c20b",
    ),
}

FIRST_IN_FULL = f"""\
POST
/v2/{PROJECT}/apic/instances/{INSTANCE}/livedata-apis/{API}/undeploy/

host:roma.cn-north-4.myhuaweicloud.com
x-sdk-date:20200919T065813Z

host;x-sdk-date
e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"""


def of(request: Request, keys: AccessKeys = KEYS, now: datetime = THEN) -> str:
    """The signature alone."""
    return sign_request(request, keys, now=now).headers["Authorization"].rpartition("Signature=")[2]


def canonical(vector: Vector) -> str:
    names = vector.names.split(";")
    return build_canonical_request(sign_request(vector.request, vector.keys, now=THEN), names)


@pytest.mark.parametrize("name", VECTORS)
def test_a_known_answer_is_given(name: str) -> None:
    vector = VECTORS[name]

    made = sign_request(vector.request, vector.keys, now=THEN)

    assert sha256(canonical(vector).encode()).hexdigest() == vector.digest
    assert made.headers["Authorization"] == (
        f"SDK-HMAC-SHA256 Access={ACCESS}, SignedHeaders={vector.names}, Signature={vector.signature}"
    )
    assert made.headers["X-Sdk-Date"] == "20200919T065813Z"
    assert made.headers["Host"] == "roma.cn-north-4.myhuaweicloud.com"


def test_the_canonical_request_is_the_documented_text() -> None:
    assert canonical(VECTORS["undeploy, the least"]) == FIRST_IN_FULL


# Requests of the vendor's own client, as a server received them.
RECEIVED = {
    "User-Agent": "huaweicloud-usdk-python/3.0; rec/1",
    "Accept-Encoding": "gzip, deflate",
    "Accept": "*/*",
    "Connection": "keep-alive",
    "Content-Type": "application/json",
    "X-Project-Id": PROJECT,
    "X-Sdk-Date": "20261122T012829Z",
    "Host": "127.0.0.1:38471",
}
USUAL = "content-type;host;user-agent;x-project-id;x-sdk-date"


class Received(Struct, frozen=True):
    """A request as it came in, without its Authorization, and what that said."""

    method: str
    path: str
    more: Mapping[str, str]
    names: str
    signature: str
    body: bytes | None = None
    keys: AccessKeys = KEYS

    @property
    def headers(self) -> dict[str, str]:
        return {**RECEIVED, **self.more}


RECORDED = {
    "undeploy": Received(
        "POST",
        f"{V2}/{API}/undeploy",
        {"X-Sdk-Date": "20261122T012828Z", "Content-Length": "0"},
        USUAL,
        "1ce7c057a88f5445d925267825438cb571e96e8b7436b519f17551be6203cb04",
    ),
    "list": Received(
        "GET",
        f"{V2}?limit=500&offset=0&precise_search=status&status=4",
        {},
        USUAL,
        "aa2c98f4a1dabf84db11b60fd230ade550e217fcf940e2f50534745bde36da41",
    ),
    "show": Received(
        "GET",
        f"{V2}/{API}",
        {},
        USUAL,
        "44a218e682fd8d0022ea7caad08a5eb1ddebde7734219611cb473c81deeea63e",
    ),
    "deploy": Received(
        "POST",
        f"{V2}/{API}/deploy",
        {"Content-Type": "application/json;charset=utf-8", "Content-Length": "27"},
        USUAL,
        "5f8c5bd074bd7e1ecbee646673c9949fa090e4f9e267e9c1733f51222fb733fa",
        b'{"deploy_front_api": false}',
    ),
    "undeploy, temporary keys": Received(
        "POST",
        f"{V2}/{API}/undeploy",
        {"X-Security-Token": SECURITY_TOKEN, "Content-Length": "0"},
        f"{USUAL};x-security-token",
        "0f48d2b4a9fa33b380d15f1f4281aa66aaaf9a890b6fa7ffcd6fd1b6ce7a4b5d",
        keys=TEMPORARY,
    ),
    "undeploy, a token beside the keys": Received(
        "POST",
        f"{V2}/{API}/undeploy",
        {"X-Auth-Token": "FAKE-TOKEN", "Content-Length": "0"},
        "content-type;host;user-agent;x-auth-token;x-project-id;x-sdk-date",
        "eaa9baae38a6bc4fc92ded4bddc1500eb3fd1def6b57639157dbdf3ece96d333",
    ),
}


@pytest.mark.parametrize("name", RECORDED)
def test_a_recorded_signature_is_made_again(name: str) -> None:
    received = RECORDED[name]
    headers = received.headers
    request = Request(received.method, f"http://127.0.0.1:38471{received.path}", headers, received.body)
    now = datetime.strptime(headers["X-Sdk-Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)

    made = sign_request(request, received.keys, now=now)

    authorization = (
        f"SDK-HMAC-SHA256 Access={ACCESS}, SignedHeaders={received.names}, Signature={received.signature}"
    )
    assert made.headers == {**headers, "Authorization": authorization}
    assert sign_request(request, received.keys, now=now, sign=received.names.split(";")) == made


def test_method_url_body_bound_and_other_headers_stay_as_they_were() -> None:
    request = replace(
        UNDEPLOY, headers={**UNDEPLOY.headers, "Accept": "application/json"}, body=b"{}", largest=7
    )

    made = sign_request(request, KEYS, now=THEN)

    assert replace(made, headers=request.headers) == request
    assert request.headers.items() <= made.headers.items()
    assert made.headers.keys() - request.headers.keys() == {"Host", "X-Sdk-Date", "Authorization"}


def test_each_attempt_has_its_own_date() -> None:
    first = sign_request(UNDEPLOY, TEMPORARY, now=THEN)
    later = THEN + timedelta(minutes=20)

    assert sign_request(first, KEYS, now=later) == sign_request(UNDEPLOY, KEYS, now=later)
    assert "X-Security-Token" not in sign_request(first, KEYS, now=later).headers


def test_the_date_is_in_utc() -> None:
    elsewhere = THEN.astimezone(timezone(timedelta(hours=3)))

    assert sign_request(UNDEPLOY, KEYS, now=elsewhere) == sign_request(UNDEPLOY, KEYS, now=THEN)


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://Roma.Example.com/a", "roma.example.com"),
        ("https://roma.example.com:443/a", "roma.example.com"),
        ("https://roma.example.com:8443/a", "roma.example.com:8443"),
        ("http://roma.example.com:443/a", "roma.example.com:443"),
        ("http://127.0.0.1:80", "127.0.0.1"),
        ("https://[::1]:8443/a?b=c", "[::1]:8443"),
        ("https://someone:FAKE@roma.example.com/a", "roma.example.com"),
    ],
)
def test_the_host_has_its_port_where_it_is_not_the_usual_one(url: str, host: str) -> None:
    assert sign_request(Request("GET", url, {}), KEYS, now=THEN).headers["Host"] == host


def test_what_others_may_change_on_the_way_is_not_signed() -> None:
    plain = of(UNDEPLOY)
    for name in ("Accept", "Accept-Encoding", "Connection", "Via", "X-Request-Id"):
        assert of(replace(UNDEPLOY, headers={**UNDEPLOY.headers, name: "any"})) == plain


def test_only_what_was_named_is_signed_with_the_date_always() -> None:
    made = sign_request(UNDEPLOY, KEYS, now=THEN, sign=["Host", "some_name"])

    assert "SignedHeaders=host;x-sdk-date," in made.headers["Authorization"]


def path_of(url: str) -> str:
    return build_canonical_request(Request("GET", url, {}), ()).split("\n")[1]


@pytest.mark.parametrize(
    ("path", "wanted"),
    [
        ("", "/"),
        ("/", "/"),
        ("/a", "/a/"),
        ("/a/", "/a/"),
        ("/a%20b/%C3%BC", "/a%20b/%C3%BC/"),
        ("/a%2Fb", "/a/b/"),
        ("/%7Ea-_.~", "/~a-_.~/"),
        ("/a*b+c:d", "/a%2Ab%2Bc%3Ad/"),
        ("/%ff", "/%FF/"),
    ],
)
def test_a_path_is_decoded_and_each_segment_encoded_anew(path: str, wanted: str) -> None:
    assert path_of(f"https://roma.example.com{path}") == wanted


def query_of(query: str) -> str:
    return build_canonical_request(Request("GET", f"https://roma.example.com/a?{query}", {}), ()).split("\n")[
        2
    ]


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ("b=2&a=1", "a=1&b=2"),
        ("a=2&a=1&a=", "a=&a=1&a=2"),
        ("a", "a="),
        ("&a=1&&", "a=1"),
        ("a=b=c", "a=b%3Dc"),
        ("a%2Fb=1&a.b=2", "a.b=2&a%2Fb=1"),  # by the decoded names: encoded, the slash would come first
        ("a=x%20y%2a", "a=x%20y%2A"),
    ],
)
def test_a_query_is_sorted_and_encoded(query: str, wanted: str) -> None:
    assert query_of(query) == wanted


PAIRS = st.lists(st.tuples(st.text(min_size=1), st.text()), max_size=6)


@given(st.data(), PAIRS)
def test_the_order_of_a_query_does_not_count(data: st.DataObject, pairs: list[tuple[str, str]]) -> None:
    shuffled = data.draw(st.permutations(pairs))
    one, other = (
        "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in some)
        for some in (pairs, shuffled)
    )

    assert query_of(one) == query_of(other)
    assert query_of(query_of(one)) == query_of(one)


def test_values_are_trimmed_and_names_in_lower_case() -> None:
    request = Request("get", "https://roma.example.com/a", {"B-Name": "  two  words ", "A-Name": "1"})

    text = build_canonical_request(request, ["b-name", "A-NAME"])

    assert text.split("\n")[:1] == ["GET"]
    assert text.split("\n")[3:6] == ["a-name:1", "b-name:two  words", ""]
    assert text.split("\n")[6] == "a-name;b-name"


OTHERS = {
    "method": replace(UNDEPLOY, method="PUT"),
    "host": replace(UNDEPLOY, url=UNDEPLOY.url.replace("cn-north-4", "cn-north-1")),
    "port": replace(UNDEPLOY, url=UNDEPLOY.url.replace(".com", ".com:8443")),
    "path": replace(UNDEPLOY, url=UNDEPLOY.url.replace(API, API[::-1])),
    "case of the path": replace(UNDEPLOY, url=UNDEPLOY.url.replace("/undeploy", "/Undeploy")),
    "query": replace(UNDEPLOY, url=UNDEPLOY.url + "?a=1"),
    "value in the query": replace(UNDEPLOY, url=UNDEPLOY.url + "?a=2"),
    "body": replace(UNDEPLOY, body=b"{}"),
    "content type": replace(UNDEPLOY, headers={**UNDEPLOY.headers, "Content-Type": "text/plain"}),
    "project": replace(UNDEPLOY, headers={**UNDEPLOY.headers, "X-Project-Id": "other"}),
    "no project": replace(UNDEPLOY, headers=JSON),
    "user agent": replace(UNDEPLOY, headers={**UNDEPLOY.headers, "User-Agent": "some"}),
    "token": replace(UNDEPLOY, headers={**UNDEPLOY.headers, "X-Auth-Token": "some"}),
}


def test_another_request_time_or_key_has_another_signature() -> None:
    signatures = [of(request) for request in (UNDEPLOY, *OTHERS.values())]
    signatures += [
        of(UNDEPLOY, now=THEN + timedelta(seconds=1)),
        of(UNDEPLOY, replace(KEYS, secret=Secret(SECRET[::-1]))),
        of(UNDEPLOY, TEMPORARY),
        of(UNDEPLOY, replace(KEYS, security_token=Secret("OTHER"))),
    ]

    assert len(set(signatures)) == len(signatures)


@given(st.binary(), st.binary())
def test_two_bodies_have_one_signature_only_if_they_are_equal(one: bytes, other: bytes) -> None:
    equal = of(replace(UNDEPLOY, body=one)) == of(replace(UNDEPLOY, body=other))

    assert equal == (one == other)


def test_no_body_is_signed_as_an_empty_one() -> None:
    assert of(UNDEPLOY) == of(replace(UNDEPLOY, body=b""))


@pytest.mark.parametrize("field", ["access", "secret", "security_token"])
@pytest.mark.parametrize("text", ["", " ", "MARKER\n", "MARKER key", "MARKERş", "MARKER\udcff"])
def test_what_is_no_key_is_refused_without_being_shown(field: str, text: str) -> None:
    with pytest.raises(ValueError, match=f"the {field.replace('_', ' ').replace('access', 'access key')}"):
        replace(TEMPORARY, **{field: Secret(text)})


REFUSED = {
    "a header that is not ASCII": ({"X-Project-Id": "MARKERş"}, "", "X-Project-Id"),
    "a line break in a header": ({"X-Project-Id": "MARKER\r\nX-Other: 1"}, "", "X-Project-Id"),
    "a header under two names": ({"X-Project-Id": "MARKER", "x-project-id": "b"}, "", "2 times"),
    "a URL that is not encoded": ({}, "/MARKERş", "percent-encoded"),
}


@pytest.mark.promise(9)
@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_signed_is_refused_and_no_secret_is_told(name: str) -> None:
    headers, tail, match = REFUSED[name]
    request = Request("GET", f"{CLOUD}{V2}{tail}", {**headers, "X-Auth-Token": "MARKER-TOKEN"})

    with pytest.raises(ValueError, match=match) as caught:
        sign_request(request, TEMPORARY, now=THEN)

    error = caught.value
    told = "".join(TracebackException.from_exception(error, capture_locals=True).format())
    own = told[told.index("roma/signing.py") :]  # without this test's own variables
    assert "MARKER" not in str(error)
    assert not any(secret in own for secret in ("MARKER-TOKEN", SECRET, SECURITY_TOKEN))


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="zone"):
        sign_request(UNDEPLOY, KEYS, now=THEN.replace(tzinfo=None))


def test_a_header_to_sign_must_be_there() -> None:
    with pytest.raises(ValueError, match="x-other"):
        sign_request(UNDEPLOY, KEYS, now=THEN, sign=["host", "X-Other"])


@pytest.mark.parametrize("url", ["", "/a", "https:///a"])
def test_a_request_without_a_host_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="host"):
        sign_request(Request("GET", url, {}), KEYS, now=THEN)


@pytest.mark.promise(9)
def test_keys_and_signed_requests_show_no_secret() -> None:
    made = sign_request(UNDEPLOY, TEMPORARY, now=THEN)
    shown = [form(value) for value in (TEMPORARY, [TEMPORARY], made) for form in (repr, str, "{}".format)]

    text = "".join(shown)
    assert not any(secret in text for secret in (ACCESS, SECRET, SECURITY_TOKEN, of(UNDEPLOY, TEMPORARY)))
    for store in (pickle.dumps, msgspec.json.encode):
        with pytest.raises(TypeError, match=r"[Ss]ecret"):
            store(TEMPORARY)
