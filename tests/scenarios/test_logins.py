"""Logins and access keys over real sockets: what a rejected one costs, and that none is left lying."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from orchestrator.lanes.login import LOGIN_TRIES
from orchestrator.model.reading import Act
from orchestrator.simulator.accounts import SimulatedUser
from orchestrator.simulator.books import SimulatedGatewayFacts
from orchestrator.simulator.exchange import FaultKind
from orchestrator.simulator.faults import FaultScope, InjectedFault
from orchestrator.simulator.keys import AccessKey
from tests.scenarios.test_secrets import forms_of
from tests.support.commands import CommandResult
from tests.support.ports import find_free_port
from tests.support.stage import CONCURRENCY, Stage, apim_id, roma_id

pytestmark = pytest.mark.long("runs are processes of their own")

PLANS = Path(__file__).parents[2] / "plans"
PASSWORD = 'M4rk3r pass"w\\ord&=+%'
KEY = AccessKey(access="TESTKEY0000000000000", secret="M4rk3rSecretKey/+=0000000000000000000000")
TEMPORARY = AccessKey(
    access="TESTKEY1111111111111", secret=KEY.secret, security_token="M4rk3r-security+/=token"
)
WRONG = "M4rk3r-wrong"
CALM = "stop_when: {failed: 100%, unknown: 100%}"
LOGIN = "{login: {user: ops, password: {env: OPS_PASSWORD}}}"
KEYS = "{access_key: {env: OPS_ACCESS_KEY}, secret_key: {env: OPS_SECRET_KEY}}"
TEMPORARY_KEYS = f"{KEYS[:-1]}, security_token: {{env: OPS_SECURITY_TOKEN}}}}"


def known_credentials(**fields: Any) -> dict[str, Any]:
    """Return fixtures of both gateways in which only the tests' own credentials are known."""
    return {
        "tokens": ("nobody-has-this-one",),
        "roma_eu": {
            "users": (SimulatedUser(name="ops", password=PASSWORD, domain="corp"),),
            "keys": (KEY, TEMPORARY),
            **fields.pop("roma_eu", {}),
        },
        "apim_fields": {
            "users": (SimulatedUser(name="ops", password=PASSWORD),),
            **fields.pop("apim_fields", {}),
        },
        **fields,
    }


def plan(stage: Stage, roma: str = "", *, hurried: bool = False) -> Path:
    """A plan in which ROMA is let in by ``roma`` (an IAM user if empty), and Apinizer by a login.

    What the environment does not say is right. ``hurried``: nothing waits for longer than it must.
    """
    right = {
        "OPS_PASSWORD": PASSWORD,
        "OPS_ACCESS_KEY": KEY.access,
        "OPS_SECRET_KEY": KEY.secret,
        "OPS_SECURITY_TOKEN": TEMPORARY.security_token or "",
    }
    stage.env = right | stage.env
    url = stage.platform.urls["roma-eu"]
    iam = f"{{iam: {{url: '{url}', user: ops, domain: corp, password: {{env: OPS_PASSWORD}}}}}}"
    keys = "retry: {first: 1ms, ceiling: 2ms}" if hurried else ""
    path = stage.write_plan(top=CALM, roma=keys, apim=keys)
    text = path.read_text().replace("{token: {env: ROMA_TOKEN}}", roma or iam)
    path.write_text(text.replace("{token: {env: APINIZER_TOKEN}}", LOGIN))
    return path


def facts(stage: Stage, name: str) -> SimulatedGatewayFacts:
    return stage.platform.books().gateways[name]


def assert_denied(stage: Stage, ended: CommandResult) -> None:
    """Nothing was undeployed, the run can be resumed, and each target says why."""
    assert ended.status == 4, ended
    assert set(stage.outcomes().values()) == {"not_started"}
    assert all(reason.startswith("denied: ") for reason in stage.reasons().values())
    assert {gateway["lane"] for gateway in stage.report()["gateways"]} == {"closed"}
    assert stage.report()["totals"]["requests"] == stage.platform.books().requests


def test_logins_let_all_workers_in_at_the_price_of_one_each(staged: Callable[..., Stage]) -> None:
    stage = staged(30, 12, **known_credentials())
    ended = stage.undeploy("run", plan(stage), "--yes")

    assert ended.status == 0, ended
    for name, count in (("roma-eu", 30), ("apim", 12)):
        books = facts(stage, name)
        assert (books.logins, books.requests, books.denied) == (1, count + 1, 0)
    assert stage.report()["totals"]["requests"] == 44
    stage.assert_truth()


@pytest.mark.parametrize("keys", [KEYS, TEMPORARY_KEYS], ids=["permanent", "temporary"])
def test_access_keys_sign_each_request(staged: Callable[..., Stage], keys: str) -> None:
    stage = staged(30, 0, **known_credentials())
    path = plan(stage, keys)
    if keys is TEMPORARY_KEYS:
        stage.env["OPS_ACCESS_KEY"] = TEMPORARY.access
    ended = stage.undeploy("run", path, "--yes")

    assert ended.status == 0, ended
    books = facts(stage, "roma-eu")
    assert (books.requests, books.bad_signatures, books.logins) == (30, 0, 0)
    stage.assert_truth()


@pytest.mark.promise(5)
def test_a_storm_of_401_costs_one_refresh_and_what_was_in_flight(staged: Callable[..., Stage]) -> None:
    """However many are left: both gateways refuse each token that their logins give."""
    stage = staged(200, 60, **known_credentials())
    refused = InjectedFault(kind=FaultKind.STATUS, status=401, times=0)
    stage.expect({"roma-eu": (refused,), "apim": (refused,)})
    ended = stage.undeploy("run", plan(stage), "--yes")

    assert_denied(stage, ended)
    for name, concurrency in CONCURRENCY.items():
        books = facts(stage, name)
        assert books.logins == 2
        assert books.denied == books.requests - books.logins <= 2 * concurrency


@pytest.mark.promise(5)
def test_a_bad_secret_key_sends_one_request_and_closes_the_lane(staged: Callable[..., Stage]) -> None:
    stage = staged(200, 0, **known_credentials())
    stage.env["OPS_SECRET_KEY"] = WRONG
    ended = stage.undeploy("run", plan(stage, KEYS), "--yes")

    assert_denied(stage, ended)
    books = facts(stage, "roma-eu")
    assert (books.requests, books.bad_signatures, books.key_locks) == (1, 1, 0)


@pytest.mark.promise(5)
def test_a_wrong_password_is_sent_once_to_each(staged: Callable[..., Stage]) -> None:
    stage = staged(200, 60, **known_credentials(roma_eu={"lock_after": 2}))
    stage.env["OPS_PASSWORD"] = WRONG
    ended = stage.undeploy("run", plan(stage), "--yes")

    assert_denied(stage, ended)
    for name in CONCURRENCY:
        books = facts(stage, name)
        assert (books.requests, books.logins, books.logins_refused, books.user_locks) == (1, 1, 1, 0)


@pytest.mark.promise(5)
def test_a_second_factor_is_said_to_be_wanting(staged: Callable[..., Stage]) -> None:
    user = SimulatedUser(name="ops", password=PASSWORD, domain="corp", second_factor=True)
    stage = staged(30, 0, **known_credentials(roma_eu={"users": (user,)}))
    ended = stage.undeploy("run", plan(stage), "--yes")

    assert_denied(stage, ended)
    assert facts(stage, "roma-eu").requests == 1
    assert "not supported" in stage.reasons()[roma_id(0)]


@pytest.mark.promise(5)
def test_a_token_that_ends_in_mid_run_goes_unnoticed_by_the_targets(staged: Callable[..., Stage]) -> None:
    """IAM says when its token ends, so it is renewed before; Apinizer's word is not believed, a 401 is.

    The run takes a little over four seconds. ROMA's token lives for six and is renewed half-way; Apinizer's
    lives for three and says that it lives for an hour.
    """
    short = {"roma_eu": {"token_life": 6.0}, "apim_fields": {"token_life": 3.0, "expires_in": "3600"}}
    stage = staged(
        28 * CONCURRENCY["roma-eu"], 28 * CONCURRENCY["apim"], **known_credentials(latency=0.15, **short)
    )
    ended = stage.undeploy("run", plan(stage), "--yes")

    assert ended.status == 0, ended
    assert set(stage.outcomes().values()) == {"undeployed"}
    roma, apim = facts(stage, "roma-eu"), facts(stage, "apim")
    assert (roma.logins, roma.denied) == (2, 0)
    assert apim.logins == 2
    assert 1 <= apim.denied <= CONCURRENCY["apim"]
    assert {lane["lane"] for lane in stage.report()["gateways"]} == {"open"}
    stage.assert_truth()
    assert stage.report()["totals"]["requests"] == stage.platform.books().requests


def test_a_login_that_fails_in_passing_is_tried_again(staged: Callable[..., Stage]) -> None:
    stage = staged(6, 3, **known_credentials())
    stage.expect(
        {
            "roma-eu": (
                InjectedFault(kind=FaultKind.STATUS, status=503, on=FaultScope.LOGIN, retry_after="1"),
            ),
            "apim": (InjectedFault(kind=FaultKind.RESET, on=FaultScope.LOGIN),),
        }
    )
    ended = stage.undeploy("run", plan(stage), "--yes")

    assert ended.status == 0, ended
    assert {facts(stage, name).logins for name in CONCURRENCY} == {2}
    stage.assert_truth()


@pytest.mark.parametrize("name", ["roma-iam", "roma-access-keys", "apinizer-login"])
def test_a_rehearsal_of_the_examples_agrees_with_its_simulators(
    staged: Callable[..., Stage], name: str
) -> None:
    """With no credential at hand, since none of the plan's is resolved."""
    stage = staged(0, 0)
    ended = stage.undeploy("rehearse", PLANS / f"{name}.yaml")

    assert ended.status == 0, ended
    assert "The report agrees with the simulators." in ended.out
    seen, told = re.findall(r"^requests +(\d+) +(\d+)$", ended.out, re.MULTILINE)[0]
    assert seen == told
    assert stage.requests() == 0


def left_behind(stage: Stage, ended: CommandResult) -> dict[str, bytes]:
    """Every byte that a run left, by where it is."""
    files = {path.name: path.read_bytes() for path in stage.folder.rglob("*") if path.is_file()}
    return {"stdout": ended.out.encode(), "stderr": ended.err.encode(), **files}


def echoing(secrets: tuple[str, ...]) -> dict[str, tuple[InjectedFault | str, ...]]:
    """Refusals of targets that repeat what their gateway knows: ROMA these secrets, Apinizer the password."""
    told = {roma_id(number): secret for number, secret in enumerate(secrets)} | {apim_id(0): PASSWORD}
    return {
        name: (InjectedFault(kind=FaultKind.STATUS, status=403, message=f"user with {secret} may not"),)
        for name, secret in told.items()
    }


@pytest.mark.promise(9)
@pytest.mark.parametrize("roma", ["", TEMPORARY_KEYS], ids=["iam", "keys"])
def test_no_password_key_or_token_is_found_anywhere(staged: Callable[..., Stage], roma: str) -> None:
    used = (KEY.secret, TEMPORARY.security_token or "") if roma else (PASSWORD,)
    stage = staged(6, 6, **known_credentials())
    stage.expect(echoing(used))
    path = plan(stage, roma)
    if roma:
        stage.env["OPS_ACCESS_KEY"] = TEMPORARY.access
    log = ("--events", "events", "--log-level", "debug", "--log-format", "json")
    ended = stage.undeploy("run", path, "--yes", *log)

    assert ended.status == 1, ended
    left = left_behind(stage, ended)
    assert {"events", "journal.sqlite", "report.html", "report.xml"} <= set(left)
    secrets = {*used, PASSWORD}
    found = {
        place
        for place, text in left.items()
        for secret in secrets
        for form in forms_of(secret)
        if form in text
    }
    assert found == set()
    assert not [place for place, text in left.items() if re.search(rb"granted-[0-9a-f]{64}", text)]
    struck = [*map(roma_id, range(len(used))), apim_id(0)]
    assert all(stage.reasons()[target].endswith("user with ••• may not") for target in struck)


@pytest.mark.promise(9)
def test_a_refused_login_that_repeats_the_password_is_told_without_it(staged: Callable[..., Stage]) -> None:
    stage = staged(3, 3, **known_credentials())
    refusal = InjectedFault(
        kind=FaultKind.STATUS, status=401, on=FaultScope.LOGIN, message=f"bad password {PASSWORD} of ops"
    )
    stage.expect({"roma-eu": (refusal,), "apim": (refusal,)})
    ended = stage.undeploy("run", plan(stage), "--yes", "--log-level", "debug")

    assert_denied(stage, ended)
    assert "bad password ••• of ops" in stage.reasons()[roma_id(0)]
    assert "bad password ••• of ops" in stage.reasons()[apim_id(0)]
    left = left_behind(stage, ended)
    assert not [place for place, text in left.items() for form in forms_of(PASSWORD) if form in text]


def test_a_resume_logs_in_again_and_sends_only_what_is_left(staged: Callable[..., Stage]) -> None:
    """A token is never on disk, so each session has a login of its own."""
    stage = staged(6, 3, **known_credentials())
    stage.env["OPS_PASSWORD"] = WRONG
    stage.undeploy("run", plan(stage), "--yes")
    stage.env["OPS_PASSWORD"] = PASSWORD
    ended = stage.undeploy("resume", "latest")

    assert ended.status == 0, ended
    assert {facts(stage, name).logins for name in CONCURRENCY} == {2}
    assert sum(entry.act is Act.UNDEPLOY for entry in stage.list_requests()) == 9
    stage.assert_truth()


# --- logins that nobody answers -------------------------------------------------------------------------
# These wait for about four seconds: the pauses between five logins, of which none is under a second.


@pytest.mark.promise(10)
def test_where_nobody_answers_a_login_everything_ends_and_says_so(staged: Callable[..., Stage]) -> None:
    """The other gateway's work ends as always. Side by side, since each waits for the same pauses."""
    stage = staged(3, 4, **known_credentials())
    path = plan(stage, hurried=True)
    nowhere = f"http://127.0.0.1:{find_free_port()}"
    text = path.read_text().replace("snapshot: off", "snapshot: best")
    path.write_text(
        text.replace(f"{{iam: {{url: '{stage.platform.urls['roma-eu']}'", f"{{iam: {{url: '{nowhere}'")
    )
    commands = [("run", path, "--yes"), ("preview", path), ("discover", "--from", path)]
    with ExitStack() as stack:
        processes = [stack.enter_context(stage.started(*command)) for command in commands]
        ended = [(*process.communicate(timeout=25), process.returncode) for process in processes]

    assert [status for _, _, status in ended] == [4, 1, 1], ended
    for out, err, _ in ended:
        assert "parked: no token could be had: no connection to 127.0.0.1" in out + err
    outcomes, reasons = stage.outcomes(), stage.reasons()
    assert {outcomes[apim_id(number)] for number in range(4)} == {"undeployed"}
    assert {outcomes[roma_id(number)] for number in range(3)} == {"not_started"}
    assert all(reasons[roma_id(number)].startswith("parked: no token") for number in range(3))


@pytest.mark.promise(10)
def test_tokens_that_die_in_mid_run_while_no_login_is_answered_leave_the_rest_for_a_resume(
    staged: Callable[..., Stage],
) -> None:
    stage = staged(12, 8, **known_credentials(token_life=0.5, latency=0.3))
    first = InjectedFault(kind=FaultKind.SLOW, on=FaultScope.LOGIN)
    ill = InjectedFault(kind=FaultKind.STATUS, status=503, on=FaultScope.LOGIN, times=0)
    stage.expect({"roma-eu": (first, ill), "apim": (first, ill)})
    ended = stage.undeploy("run", plan(stage, hurried=True), "--yes")
    reasons = stage.reasons()

    assert ended.status == 4, ended
    left = [name for name, outcome in stage.outcomes().items() if outcome != "undeployed"]
    assert 0 < len(left) < 20
    assert all(reasons[name].startswith("parked: no token could be had: ") for name in left)
    assert all(facts(stage, name).logins <= 2 + LOGIN_TRIES for name in CONCURRENCY)
    stage.expect()
    assert stage.undeploy("resume", "latest").status == 0
    stage.assert_truth()
