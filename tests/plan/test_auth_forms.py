"""The forms of ``auth``, and ``tls`` and ``proxy``: valid ones reach the plan, others are reported."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.gateways import KINDS
from orchestrator.model.settings import (
    Auth,
    CredentialReference,
    ElasticsearchStore,
    IamLogin,
    ManagerLogin,
    StoreAuth,
    Tls,
)
from orchestrator.plan.auth_forms import AUTH_FORMS, WITH_TEMPORARY_KEYS
from orchestrator.plan.records import list_keys
from tests.support.plans import (
    APIM,
    EITHER,
    HEAD,
    ONE,
    ROMA,
    TOP,
    load_plan,
    read_one_problem,
    read_problems,
    replace_auth,
)

IAM = replace_auth(ROMA, "iam")
APIM_AUTH = "gateways.apim.auth"
ROMA_AUTH = "gateways.roma.auth"


def load_auth(folder: Path, gateway: str) -> Auth:
    loaded, _ = load_plan(folder, f"{TOP}gateways:\n{gateway}{ONE if 'roma:' in gateway else EITHER}")
    return loaded.plan.gateways[0].auth


def read_refusal(folder: Path, gateway: str) -> str:
    return read_one_problem(folder, f"{TOP}gateways:\n{gateway}{ONE if 'roma:' in gateway else EITHER}")


def load_token(reference: str) -> str:
    return ROMA.replace("{env: ROMA_TOKEN}", reference)


def test_each_form_of_auth_reaches_the_plan(tmp_path: Path) -> None:
    password = CredentialReference(env="P")
    keys = Auth(access_key=CredentialReference(env="AK"), secret_key=CredentialReference(env="SK"))
    temporary = Auth(
        access_key=CredentialReference(env="AK"),
        secret_key=CredentialReference(env="SK"),
        security_token=CredentialReference(env="ST"),
    )
    iam = IamLogin(url="https://iam.example.com", user="u", domain="d", password=password)

    assert load_auth(tmp_path, replace_auth(ROMA, "token")) == Auth(token=CredentialReference(env="T"))
    assert load_auth(tmp_path, replace_auth(ROMA, "iam")) == Auth(iam=iam)
    assert load_auth(tmp_path, replace_auth(ROMA, "access_key", "secret_key")) == keys
    assert load_auth(tmp_path, replace_auth(ROMA, "access_key", "secret_key", "security_token")) == temporary
    assert load_auth(tmp_path, replace_auth(APIM, "login")) == Auth(
        login=ManagerLogin(user="u", password=password)
    )


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("{env: no}", CredentialReference(env="no")),
        ("{file: ../a token}", CredentialReference(file="../a token")),
        (
            "{command: [./token, 5, no, '$(x);']}",
            CredentialReference(command=("./token", "5", "no", "$(x);")),
        ),
        ("{command: [pass]}", CredentialReference(command=("pass",))),
        ("{keyring: https://a/b/me@example.com}", CredentialReference(keyring="https://a/b/me@example.com")),
    ],
)
def test_each_form_of_reference_is_text_as_written(
    tmp_path: Path, written: str, meant: CredentialReference
) -> None:
    assert load_auth(tmp_path, load_token(written)).token == meant


NO_REFERENCE = {
    "{command: pass show x}": (
        ".token.command: found a single value, expected a list of a program and its arguments; "
        "write [program, argument]; no shell reads it"
    ),
    "{command: []}": ".token.command: found an empty list, expected a list of a program and its arguments",
    "{command: {a: b}}": ".token.command: found a mapping, expected a list",
    "{command: ['']}": ".token.command[0]: is empty, or holds a line break or a control character",
    "{command: [a, ~, '']}": ".token.command[2]: is empty",
    '{command: [a, "b\\n"]}': (
        ".token.command[1]: is empty, or holds a line break or a control character; each item is one argument"
    ),
    "{command: [a, [b]]}": ".token.command[1]: found a list, expected a single value",
    "{keyring: roma}": ".token.keyring: this is not service/user, as the keyring knows it; both parts",
    "{keyring: /me}": ".token.keyring: this is not service/user",
    "{keyring: roma/}": ".token.keyring: this is not service/user",
    '{keyring: "roma/m\\e"}': ".token.keyring: this is not service/user",
    "{keyring: [roma, me]}": ".token.keyring: found a list, expected a single value",
    "{file: ''}": ".token.file: this is not the path of a file",
    "{env: [A]}": ".token.env: found a list, expected a single value",
    "{vault: a}": ".token: unknown key; the keys here are env, file, command, keyring",
    "{env: A, keyring: a/b}": (
        ".token: expected exactly one of env, file, command, keyring; write a reference: {env: NAME}, "
    ),
}


@pytest.mark.parametrize("written", NO_REFERENCE)
def test_a_value_that_is_no_reference_is_reported(tmp_path: Path, written: str) -> None:
    assert f"{ROMA_AUTH}{NO_REFERENCE[written]}" in read_refusal(tmp_path, load_token(written))


NO_WAY_IN = {
    "none": (
        replace_auth(ROMA),
        f"{ROMA_AUTH}: no way in is given; the ways in are token or iam or access_key with",
    ),
    "two": (
        replace_auth(APIM, "token", "login"),
        f"{APIM_AUTH}: token and login are given; exactly one way in is expected; the ways in are token or",
    ),
    "token and keys": (
        replace_auth(ROMA, "token", "access_key", "secret_key"),
        f"{ROMA_AUTH}: token and access_key and secret_key are given; exactly one way in is expected",
    ),
    "a reference alone": (
        ROMA.replace("{token: {env: ROMA_TOKEN}}", "{env: ROMA_TOKEN}"),
        f"{ROMA_AUTH}: unknown key; write auth: {{token: {{env: NAME}}}}",
    ),
    "a file alone": (
        APIM.replace("{token: {env: APINIZER_TOKEN}}", "{file: token}"),
        f"{APIM_AUTH}: unknown key; write auth: {{token: {{file: path}}}}",
    ),
    "token and half a pair": (
        replace_auth(ROMA, "token", "access_key"),
        f"{ROMA_AUTH}: token and access_key are given",
    ),
    "no secret key": (replace_auth(ROMA, "access_key"), f"{ROMA_AUTH}: the key secret_key is missing"),
    "no access key": (replace_auth(ROMA, "secret_key"), f"{ROMA_AUTH}: the key access_key is missing"),
    "half a temporary pair": (
        replace_auth(ROMA, "access_key", "security_token"),
        f"{ROMA_AUTH}: the key secret_key is missing",
    ),
    "security token alone": (
        replace_auth(ROMA, "security_token"),
        f"{ROMA_AUTH}: security_token comes with access_key and secret_key only",
    ),
    "security token with a token": (
        replace_auth(ROMA, "token", "security_token"),
        f"{ROMA_AUTH}: security_token comes with access_key and secret_key only",
    ),
    "login for roma": (
        replace_auth(ROMA, "login"),
        f"{ROMA_AUTH}.login: gateways of kind roma have no such way in; the ways in are token or iam or acc",
    ),
    "iam for apinizer": (
        replace_auth(APIM, "iam"),
        f"{APIM_AUTH}.iam: gateways of kind apinizer have no such way in; the ways in are token or login",
    ),
    "iam beside a token": (
        replace_auth(APIM, "token", "iam"),
        f"{APIM_AUTH}.iam: gateways of kind apinizer have",
    ),
    "unknown": (
        APIM.replace("token:", "tokn:"),
        f"{APIM_AUTH}: unknown key; the keys here are token, iam, login,",
    ),
    "no user": (
        replace_auth(APIM, "login").replace("user: u, ", ""),
        f"{APIM_AUTH}.login: the key user is missing",
    ),
    "empty user": (
        replace_auth(APIM, "login").replace("user: u", "user: ''"),
        f"{APIM_AUTH}.login.user: is empty",
    ),
    "user that is a list": (
        replace_auth(APIM, "login").replace("user: u", "user: [u]"),
        f"{APIM_AUTH}.login.user: found a list, expected a single value",
    ),
    "no domain": (
        replace_auth(ROMA, "iam").replace("domain: d, ", ""),
        f"{ROMA_AUTH}.iam: the key domain is missing",
    ),
    "no url": (
        replace_auth(ROMA, "iam").replace("url: 'https://iam.example.com', ", ""),
        f"{ROMA_AUTH}.iam: the key url is missing",
    ),
    "bad url": (
        replace_auth(ROMA, "iam").replace("https://iam", "ftp://iam"),
        f"{ROMA_AUTH}.iam.url: the address does not begin with http",
    ),
    "literal login": (
        replace_auth(APIM, "login").replace("{user: u, password: {env: P}}", "abc"),
        f"{APIM_AUTH}.login: a credential never stands in the plan itself; write a mapping with the keys",
    ),
}


@pytest.mark.parametrize("name", NO_WAY_IN)
def test_auth_must_be_exactly_one_form_of_its_kind(tmp_path: Path, name: str) -> None:
    gateway, expected = NO_WAY_IN[name]

    assert expected in read_refusal(tmp_path, gateway)


def test_a_literal_under_another_kinds_form_is_reported_as_well(tmp_path: Path) -> None:
    gateway = replace_auth(APIM, "access_key", "secret_key").replace("{env: SK}", "abc")

    found = read_problems(tmp_path, f"{TOP}gateways:\n{gateway}{EITHER}")

    assert len(found) == 3
    assert any("secret_key: a credential never stands in the plan itself" in problem for problem in found)


def test_every_key_of_auth_belongs_to_a_form_and_to_a_kind() -> None:
    keys = {key for way in AUTH_FORMS for key in way} | {WITH_TEMPORARY_KEYS}

    assert keys == set(list_keys(Auth))
    assert keys == {key for kind in KINDS.values() for key in kind.AUTH}


TLS = {
    "{}": Tls(),
    "{insecure: true}": Tls(insecure=True),
    "{ca_file: a/b.pem, insecure: false}": Tls(ca_file="a/b.pem"),
    "{cert_file: both.pem}": Tls(cert_file="both.pem"),
    "{cert_file: ~/me.pem, key_file: /etc/me.key}": Tls(cert_file="~/me.pem", key_file="/etc/me.key"),
}


@pytest.mark.parametrize("written", TLS)
def test_tls_reaches_the_plan_and_no_file_is_opened(tmp_path: Path, written: str) -> None:
    loaded, _ = load_plan(tmp_path, f"{HEAD}    tls: {written}\n{ONE}")

    assert loaded.plan.gateways[1].tls == TLS[written]
    assert loaded.plan.gateways[0].tls == Tls()


NO_TLS = {
    "{key_file: a}": "gateways.apim.tls: the key cert_file is missing; name the certificate that the key",
    "{insecure: yes}": 'gateways.apim.tls.insecure: "yes" is neither true nor false; write true or false',
    "{insecure: 1}": 'insecure: "1" is neither true nor false',
    "{insecure: 'true'}": 'insecure: "true" is neither true nor false; write true or false, without quotes',
    "{insecure: }": 'insecure: "" is neither true nor false',
    "{insecure: [true]}": "insecure: found a list, expected a single value",
    "{insecur: true}": 'gateways.apim.tls: unknown key "insecur"; did you mean "insecure"?',
    "{ca_file: ''}": "gateways.apim.tls.ca_file: this is not the path of a file",
    '{ca_file: "a\\nb"}': "gateways.apim.tls.ca_file: this is not the path of a file",
    "{ca_file: [a, b]}": "gateways.apim.tls.ca_file: found a list, expected a single value",
    "corp-ca.pem": "gateways.apim.tls: found a single value, expected a mapping with the keys ca_file",
}


@pytest.mark.parametrize("written", NO_TLS)
def test_a_wrong_tls_is_reported(tmp_path: Path, written: str) -> None:
    assert NO_TLS[written] in read_one_problem(tmp_path, f"{HEAD}    tls: {written}\n{ONE}")


@pytest.mark.parametrize("scheme", ["http", "HTTP"])
def test_tls_on_an_http_url_is_reported(tmp_path: Path, scheme: str) -> None:
    head = HEAD.replace("https://apim", f"{scheme}://apim")

    found = read_one_problem(tmp_path, f"{head}    tls: {{insecure: true}}\n{ONE}")

    assert "gateways.apim.tls: has no effect on an http url; remove it, or write the url with https" in found
    assert load_plan(tmp_path, head + ONE)[0].plan.gateways[1].url == f"{scheme}://apim.example.com"


def test_a_wrong_tls_is_reported_for_an_unknown_kind_too(tmp_path: Path) -> None:
    gateway = f"{APIM.replace('apinizer', 'kong')}    tls: {{key_file: a}}\n"

    found = read_problems(tmp_path, f"{TOP}gateways:\n{gateway}{EITHER}")

    assert ["no kind of gateway" in found[0], "cert_file is missing" in found[1]] == [True, True]


@pytest.mark.parametrize("proxy", ["http://proxy:3128", "https://[::1]:3128/", "HTTP://127.0.0.1"])
def test_a_proxy_reaches_the_plan(tmp_path: Path, proxy: str) -> None:
    loaded, _ = load_plan(tmp_path, f"{HEAD}    proxy: {proxy}\n{ONE}")

    assert [gateway.proxy for gateway in loaded.plan.gateways] == [None, proxy]


NO_PROXY = {
    "socks5://proxy:1080": "the address does not begin with http:// or https://",
    "proxy:3128": "the address does not begin with http:// or https://",
    "http://": "the address has no host",
    "http://proxy/pac": "the address of a proxy has no path; write it as http://proxy.example.com:3128",
    "http://proxy?x": "the address has a query or a fragment",
    "http://me@proxy": (
        "the address holds user information, which is refused; remove it, and name a proxy that wants it by "
        "HTTPS_PROXY in the environment; if it was a password, change it"
    ),
    "": "the address is empty",
    "[a]": "found a list, expected a single value",
}


@pytest.mark.parametrize("written", NO_PROXY)
def test_a_wrong_proxy_is_reported(tmp_path: Path, written: str) -> None:
    found = read_one_problem(tmp_path, f"{HEAD}    proxy: {written}\n{ONE}")

    assert f"gateways.apim.proxy: {NO_PROXY[written]}" in found


STORE = "url: 'https://elastic.example.com:9200', index: 'apinizer-log-apiproxy-*'"
STORE_PATH = "gateways.apim.usage.elasticsearch"


def name_store(keys: str) -> str:
    return f"{APIM}    usage: {{elasticsearch: {{{keys}}}}}\n"


def load_store(folder: Path, keys: str) -> ElasticsearchStore | None:
    loaded, _ = load_plan(folder, f"{TOP}gateways:\n{name_store(keys)}{EITHER}")
    return loaded.plan.gateways[0].traffic_store


@pytest.mark.parametrize(
    ("auth", "expected"),
    [
        ("", None),
        (
            ", auth: {user: reader, password: {env: P}}",
            StoreAuth(user="reader", password=CredentialReference(env="P")),
        ),
        (", auth: {api_key: {file: key}}", StoreAuth(api_key=CredentialReference(file="key"))),
        (", auth: {token: {env: T}}", StoreAuth(token=CredentialReference(env="T"))),
    ],
)
def test_each_form_of_auth_of_a_traffic_log_reaches_the_plan(
    auth: str, expected: StoreAuth | None, tmp_path: Path
) -> None:
    assert load_store(tmp_path, STORE + auth) == ElasticsearchStore(
        url="https://elastic.example.com:9200", index="apinizer-log-apiproxy-*", auth=expected
    )


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        (f"{STORE}, auth: {{user: reader}}", f"{STORE_PATH}.auth: the key password is missing"),
        (f"{STORE}, auth: {{password: {{env: P}}}}", f"{STORE_PATH}.auth: the key user is missing"),
        (
            f"{STORE}, auth: {{token: {{env: T}}, api_key: {{env: K}}}}",
            f"{STORE_PATH}.auth: api_key and token are given; exactly one way in is expected",
        ),
        (f"{STORE}, auth: {{}}", f"{STORE_PATH}.auth: no way in is given"),
        ("url: 'https://e.example.com', index: '..'", f"{STORE_PATH}.index: "),
        ("url: 'https://e.example.com', index: 'a/b'", f"{STORE_PATH}.index: "),
        (
            "url: 'https://e.example.com', index: Logs",
            f'{STORE_PATH}.index: "Logs" is not the name of an index',
        ),
        ("index: logs", f"{STORE_PATH}: the key url is missing"),
        ("url: 'https://e.example.com'", f"{STORE_PATH}: the key index is missing"),
        ("url: 'http://e.example.com', index: logs, tls: {insecure: true}", "has no effect on an http url"),
    ],
)
def test_a_traffic_log_that_cannot_be_asked_is_refused(keys: str, expected: str, tmp_path: Path) -> None:
    problem = read_one_problem(tmp_path, f"{TOP}gateways:\n{name_store(keys)}{EITHER}")

    assert expected in problem
    assert problem.startswith("plan.yaml:8:")


@pytest.mark.parametrize("key", ["password", "api_key", "token"])
def test_a_credential_of_a_traffic_log_in_the_plan_is_refused_and_not_repeated(
    key: str, tmp_path: Path
) -> None:
    """Promise 9."""
    user = "user: reader, " if key == "password" else ""
    keys = f"{STORE}, auth: {{{user}{key}: hunter2-hunter2}}"

    problem = read_one_problem(tmp_path, f"{TOP}gateways:\n{name_store(keys)}{EITHER}")

    assert "a credential never stands in the plan itself" in problem
    assert "hunter2" not in problem


def test_roma_has_no_traffic_log_beside_it(tmp_path: Path) -> None:
    entry = f"{ROMA}    usage: {{elasticsearch: {{{STORE}}}}}\n"

    problem = read_refusal(tmp_path, entry)

    assert "gateways.roma.usage: belongs to gateways of kind apinizer, not roma" in problem


@pytest.mark.parametrize(
    ("gateway", "place", "path"),
    [
        (APIM.replace(".com", ".com/apiops"), "gateways.apim.url", "/apiops"),
        (APIM.replace(".com", ".com/manager/apiops/"), "gateways.apim.url", "/apiops"),
        (ROMA.replace(".com", ".com/v2"), "gateways.roma.url", "/v2"),
        (IAM.replace("iam.example.com", "iam.example.com/v3"), "gateways.roma.auth.iam.url", "/v3"),
        (
            IAM.replace("iam.example.com", "iam.example.com/v3/auth/tokens"),
            "gateways.roma.auth.iam.url",
            "/v3/auth/tokens",
        ),
    ],
)
def test_an_address_that_ends_with_the_path_of_the_requests_is_warned_of(
    tmp_path: Path, gateway: str, place: str, path: str
) -> None:
    """Every request would go to ``/apiops/apiops/…``, which closes the lane as a wrong place."""
    entry = ONE if "roma:" in gateway else EITHER

    (told,) = load_plan(tmp_path, f"{TOP}gateways:\n{gateway}{entry}")[0].warnings

    assert (told.path, told.hint) == (place, "write the base address alone")
    assert told.message == f"the requests add {path} themselves, and the address ends with it"


def test_an_address_with_a_path_of_its_own_gives_no_warning(tmp_path: Path) -> None:
    for path in ("/apiops2", "/myapiops", "/apiops/x", "/manager"):
        gateway = APIM.replace(".com", f".com{path}")

        assert not load_plan(tmp_path, f"{TOP}gateways:\n{gateway}{EITHER}")[0].warnings


def test_two_keys_of_one_place_are_a_slip(tmp_path: Path) -> None:
    """Each request would be signed with the access key: a failed login, and a few of them lock the key."""
    gateway = replace_auth(ROMA, "access_key", "secret_key").replace("{env: SK}", "{env: AK}")

    assert read_one_problem(tmp_path, f"{TOP}gateways:\n{gateway}{ONE}") == (
        "plan.yaml:9:35 gateways.roma.auth.secret_key: refers to the same place as access_key"
    )
