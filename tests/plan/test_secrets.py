"""A credential in a plan is refused, and no message repeats it."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.model.settings import CredentialReference
from tests.support.plans import APIM, ONE, ROMA, TOP, load_plan, read_problems, replace_auth

MARK = "hunter2SECRET"
PLANS = {
    "token": APIM.replace("{env: APINIZER_TOKEN}", MARK),
    "quoted token": APIM.replace("{env: APINIZER_TOKEN}", f'"{MARK}"'),
    "auth": APIM.replace("{token: {env: APINIZER_TOKEN}}", MARK),
    "auth list": APIM.replace("{token: {env: APINIZER_TOKEN}}", f"[{MARK}]"),
    "token list": APIM.replace("{env: APINIZER_TOKEN}", f"[{MARK}]"),
    "key": APIM.replace("{env: APINIZER_TOKEN}", f"{{{MARK}: x}}"),
    "key of auth": APIM.replace("{token: {env: APINIZER_TOKEN}}", f"{{{MARK}}}"),
    "duplicate key": APIM.replace("{env: APINIZER_TOKEN}", f"{{{MARK}: a, {MARK}: b}}"),
    "variable": APIM.replace("APINIZER_TOKEN", f'"eyJ.{MARK}"'),
    "long variable": APIM.replace("APINIZER_TOKEN", MARK * 20),
    "file": APIM.replace("{env: APINIZER_TOKEN}", f'{{file: "{MARK}\\n"}}'),
    "file list": APIM.replace("{env: APINIZER_TOKEN}", f"{{file: [{MARK}]}}"),
    "deeper": APIM.replace("{env: APINIZER_TOKEN}", f"{{env: {{{MARK}: !x {MARK}}}}}"),
    "tag": APIM.replace("{env: APINIZER_TOKEN}", f"!{MARK} x"),
    "anchor": APIM.replace("{env: APINIZER_TOKEN}", f"*{MARK}"),
    "merge": APIM.replace("{env: APINIZER_TOKEN}", f"{{<<: {MARK}}}"),
    "keyring": APIM.replace("{env: APINIZER_TOKEN}", f"{{keyring: {MARK}}}"),
    "login": APIM.replace("{token: {env: APINIZER_TOKEN}}", f"{{login: {{user: a, password: {MARK}}}}}"),
    "keyring that is no place": APIM.replace("{env: APINIZER_TOKEN}", f"{{keyring: {MARK}/}}"),
    "keyring list": APIM.replace("{env: APINIZER_TOKEN}", f"{{keyring: [{MARK}]}}"),
    "command that is a text": APIM.replace("{env: APINIZER_TOKEN}", f"{{command: echo {MARK}}}"),
    "argument": APIM.replace("{env: APINIZER_TOKEN}", f'{{command: [echo, "{MARK}\\n"]}}'),
    "argument that is a list": APIM.replace("{env: APINIZER_TOKEN}", f"{{command: [echo, [{MARK}]]}}"),
    "argument that is a mapping": APIM.replace("{env: APINIZER_TOKEN}", f"{{command: [{{{MARK}: a}}]}}"),
    "whole login": replace_auth(APIM, "login").replace("{user: u, password: {env: P}}", MARK),
    "login list": replace_auth(APIM, "login").replace("{user: u, password: {env: P}}", f"[{MARK}]"),
    "key of login": replace_auth(APIM, "login").replace("user: u", f"user: u, {MARK}: a"),
    "password in quotes": replace_auth(APIM, "login").replace("{env: P}", f'"{MARK}"'),
    "user": replace_auth(APIM, "login").replace("user: u", f'user: "{MARK}\\n"'),
    "password of iam": replace_auth(ROMA, "iam").replace("{env: P}", MARK),
    "domain": replace_auth(ROMA, "iam").replace("domain: d", f'domain: "{MARK}\\t"'),
    "user of iam's url": replace_auth(ROMA, "iam").replace("https://iam", f"https://u:{MARK}@iam"),
    "query of iam's url": replace_auth(ROMA, "iam").replace("iam.example.com", f"iam.example.com?{MARK}"),
    "secret key": replace_auth(ROMA, "access_key", "secret_key").replace("{env: SK}", MARK),
    "security token": replace_auth(ROMA, "access_key", "secret_key", "security_token").replace(
        "{env: ST}", MARK
    ),
    "another kind's": replace_auth(APIM, "iam").replace("{env: P}", MARK),
    "key of the certificate": f'{APIM}    tls: {{cert_file: a, key_file: "-----BEGIN\\n{MARK}"}}\n',
    "proxy twice": f"{APIM}    proxy: {{{MARK}: a, {MARK}: b}}\n",
    "access key": ROMA.replace("{token: {env: ROMA_TOKEN}}", f"{{access_key: {MARK}, secret_key: {MARK}}}"),
    "user of the url": APIM.replace("https://", f"https://admin:{MARK}@"),
    "user of the url behind a slash": APIM.replace("https://", f"https://admin:20/{MARK}@"),
    "user of the url behind a #": APIM.replace("https://apim.example.com", f'"https://admin:20#{MARK}@apim"'),
    "odd url": APIM.replace("https://apim", f"ftp://admin:{MARK}@apim"),
    "bad url": APIM.replace("https://apim.example.com", f'"https://admin:{MARK}@[::1"'),
    "query": APIM.replace("apim.example.com", f"apim.example.com?token={MARK}"),
    "proxy": f"{APIM}    proxy: http://admin:{MARK}@proxy\n",
    "unfinished": APIM.replace("{env: APINIZER_TOKEN}", f'"{MARK}'),
}


@pytest.mark.promise(9)
@pytest.mark.parametrize("name", PLANS)
def test_a_credential_in_a_plan_is_refused_and_never_repeated(tmp_path: Path, name: str) -> None:
    target = ONE if PLANS[name].startswith("  roma") else "targets: []\n"

    found = read_problems(tmp_path, f"{TOP}gateways:\n{PLANS[name]}{target}")

    assert any("gateways." in problem or "YAML" in problem for problem in found)
    assert not any(MARK in problem for problem in found)


def test_a_literal_token_is_answered_with_what_to_write(tmp_path: Path) -> None:
    found = read_problems(tmp_path, f"{TOP}gateways:\n{PLANS['token']}targets: []\n")

    assert found[0] == (
        "plan.yaml:7:19 gateways.apim.auth.token: a credential never stands in the plan itself; "
        "write a reference: {env: NAME}, {file: path}, {command: [program, argument]} or "
        "{keyring: service/user}; if it was a real one, change it"
    )


@pytest.mark.parametrize("name", ["auth", "auth list"])
def test_a_literal_in_place_of_all_ways_in_is_answered_with_one_that_is_taken(
    tmp_path: Path, name: str
) -> None:
    found = read_problems(tmp_path, f"{TOP}gateways:\n{PLANS[name]}targets: []\n")

    assert "; write auth: {token: {env: NAME}}, or another way in; if it was a real" in found[0]


@pytest.mark.parametrize("reference", ["{}", "{env: A, file: b}"])
def test_a_reference_names_one_place(tmp_path: Path, reference: str) -> None:
    gateway = ROMA.replace("{env: ROMA_TOKEN}", reference)

    (found,) = read_problems(tmp_path, f"{TOP}gateways:\n{gateway}{ONE}")

    assert "expected exactly one of env, file, command, keyring" in found


def test_a_credential_may_be_in_a_file(tmp_path: Path) -> None:
    gateway = ROMA.replace("{env: ROMA_TOKEN}", "{file: tokens/roma}")

    loaded, _ = load_plan(tmp_path, f"{TOP}gateways:\n{gateway}{ONE}")

    assert loaded.plan.gateways[0].auth.token == CredentialReference(file="tokens/roma")


def test_an_aliased_auth_that_holds_a_credential_is_refused_wherever_it_stands(tmp_path: Path) -> None:
    text = f"{TOP}reason: &a {MARK}\ngateways:\n{APIM.replace('{env: APINIZER_TOKEN}', '*a')}targets: []\n"

    found = read_problems(tmp_path, text)

    assert "gateways.apim.auth.token: a credential never stands in the plan itself" in found[0]
    assert not any(MARK in problem for problem in found)
