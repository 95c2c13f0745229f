"""The command `undeploy simulator`, as another program uses it."""

from __future__ import annotations

import http.client
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import msgspec
import pytest
from click.testing import CliRunner

from orchestrator.cli import undeploy
from orchestrator.simulator.fixtures import SimulatorFixture
from orchestrator.simulator.gateway_fixture import FAKE_PASSWORD, FAKE_TOKEN
from tests.support.simulated import TEST, apinizer, roma

ROOT = Path(__file__).parents[2]
PLAN = """
version: 1
name: retirement
gateways:
  apim: {kind: apinizer, url: "https://apim.example.com", auth: {token: {env: NOBODY_SETS_THIS}}}
targets:
  - {gateway: apim, project: Retail, proxies: [petstore, orders], environments: [test]}
"""


@contextmanager
def serving(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], dict[str, str]]]:
    """The command as a process, and the URLs it printed."""
    call = [sys.executable, "-m", "orchestrator", "simulator", *arguments]
    with subprocess.Popen(call, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            count = 2 if "--seed-file" in arguments else 1
            lines = [process.stdout.readline().split() for _ in range(count)]
            yield process, dict(lines)
        finally:
            process.kill()


def logged_in(url: str) -> str:
    """The token that the plan's user gets."""
    form = {"grant_type": "client_credentials", "client_id": "ops", "client_secret": FAKE_PASSWORD}
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=10)
    try:
        kind = {"Content-Type": "application/x-www-form-urlencoded"}
        connection.request("POST", "/apiops/auth/token", urlencode(form), kind)
        return json.loads(connection.getresponse().read())["access_token"]
    finally:
        connection.close()


def asked(url: str, method: str, path: str, token: str = FAKE_TOKEN) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=10)
    try:
        connection.request(method, path, headers={"Authorization": f"Bearer {token}"})
        reply = connection.getresponse()
        return reply.status, dict(reply.getheaders()), reply.read()
    finally:
        connection.close()


@pytest.fixture
def seed_file(tmp_path: Path) -> str:
    path = tmp_path / "seed.json"
    path.write_bytes(msgspec.json.encode(SimulatorFixture(gateways=(roma(), apinizer()))))
    return str(path)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_simulator_prints_one_url_a_line_and_serves_until_a_signal(seed_file, number):
    with serving("--seed-file", seed_file, "--shape", "b") as (process, urls):
        status, _, body = asked(urls["apim"], "DELETE", TEST)
        process.send_signal(number)
        process.wait(10)

    assert list(urls) == ["roma-eu", "apim"]
    assert (status, json.loads(body)["status"]) == (200, "SUCCESS")
    assert process.returncode == 0


def test_the_simulator_holds_a_plans_targets_without_its_credentials(tmp_path):
    plan = tmp_path / "plan.yaml"
    plan.write_text(PLAN)

    with serving("--seed-from", str(plan), "--old") as (_, urls):
        books = json.loads(asked(urls["apim"], "GET", "/_books")[2])
        status, *_ = asked(urls["apim"], "GET", f"{TEST}deploy-status/")

    assert list(books["targets"]) == ["apim/Retail/petstore/test", "apim/Retail/orders/test"]
    assert status == 404


def test_its_faults_come_from_options_and_a_file(seed_file, tmp_path):
    faults = tmp_path / "faults.json"
    faults.write_text('{"script": {"apim/Retail/petstore/test": ["503@9"]}}')

    with serving("--seed-file", seed_file, "--faults", str(faults), "--storm", "100%:409") as (_, urls):
        replies = [asked(urls["apim"], "DELETE", TEST) for _ in range(2)]

    assert [status for status, *_ in replies] == [503, 409]
    assert replies[0][1]["Retry-After"] == "9"


def test_its_rate_is_kept(seed_file):
    with serving("--seed-file", seed_file, "--rate", "1/h") as (_, urls):
        assert [asked(urls["apim"], "GET", f"{TEST}route-health/")[0] for _ in range(2)] == [200, 429]


def test_its_tokens_live_as_long_as_told(tmp_path):
    plan = tmp_path / "plan.yaml"
    login = "{login: {user: ops, password: {env: NOBODY_SETS_THIS}}}"
    plan.write_text(PLAN.replace("{token: {env: NOBODY_SETS_THIS}}", login))

    with serving("--seed-from", str(plan), "--token-life", "50ms") as (_, urls):
        token = logged_in(urls["apim"])
        time.sleep(0.1)
        status, *_ = asked(urls["apim"], "DELETE", TEST, token)

    assert status == 401


@pytest.mark.parametrize(
    ("arguments", "said"),
    [([], "--seed-from PLAN or --seed-file FILE"), (["--storm", "2"], "no share"),
     (["--rate", "x"], "no rate"), (["--latency", "x"], "no time"),
     (["--token-life", "0s"], "more than 0"),
     (["--storm", "0.1", "--faults", "{file}"], "has a storm")],
)  # fmt: skip
def test_the_simulator_names_an_option_that_it_cannot_obey(seed_file, tmp_path, arguments, said):
    stormy = tmp_path / "faults.json"
    stormy.write_text('{"storm": {"share": 0.5}}')
    given = [one.replace("{file}", str(stormy)) for one in arguments]

    # Below its parent: click keeps a command's help option as it was when it was first asked for it.
    arguments = ["simulator", *given, *(["--seed-file", seed_file] if given else [])]
    result = CliRunner().invoke(undeploy, arguments)

    assert said in str(result.exception)
