"""`undeploy doctor` as a process, against both simulated platforms over real sockets."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from orchestrator.model.reading import Act
from orchestrator.simulator.accounts import SimulatedUser
from orchestrator.simulator.exchange import FaultKind
from orchestrator.simulator.faults import FaultScope, InjectedFault
from orchestrator.simulator.gateway_fixture import FAKE_TOKEN
from orchestrator.simulator.keys import AccessKey
from tests.support.commands import CommandResult
from tests.support.stage import Stage

pytestmark = pytest.mark.long("each examination is a process of its own")

MOST_REQUESTS = 12
ROMA_TOKEN, APINIZER_TOKEN = "{token: {env: ROMA_TOKEN}}", "{token: {env: APINIZER_TOKEN}}"
WRONG = "M4rk3r-wrong"


def told(ended: CommandResult) -> dict[str, str]:
    """What stands behind each gateway's name."""
    lines = (line.partition(" ") for line in ended.out.splitlines())
    return {name: rest.strip() for name, _, rest in lines}


def checks(ended: CommandResult, gateway: str) -> dict[str, Any]:
    (found,) = (one for one in json.loads(ended.out)["gateways"] if one["name"] == gateway)
    return {check["check"]: check for check in found["checks"]}


def assert_harmless(stage: Stage) -> None:
    """Nothing but looks, reads and logins has arrived, and not many of them."""
    books = stage.platform.books()
    for entry in stage.list_requests():
        assert entry.act in {None, Act.LOOK}, entry
        assert entry.method == "GET" or entry.login, entry
    for facts in books.gateways.values():
        assert (facts.undeploys, facts.deploys, facts.strays) == (0, 0, 0)
        assert facts.requests <= MOST_REQUESTS
        assert facts.together <= 1
    assert not any(facts.down_by for facts in books.targets.values())


def test_all_is_well_and_nothing_was_changed(staged: Callable[..., Stage]) -> None:
    stage = staged(7, 7)
    ended = stage.undeploy("doctor", stage.write_plan())

    assert ended.status == 0, ended
    assert told(ended)["roma-eu"].startswith("ok    v1, and v2 answers too; 3 of 7 looked at: 3 deployed; ")
    assert told(ended)["apim"].startswith("ok    APIOps of 2026.09.0 or newer; 3 of 7 looked at: 3 deployed")
    assert_harmless(stage)
    assert not (stage.folder / ".undeploy").exists()


def test_targets_that_are_down_cost_a_second_look_and_no_more(staged: Callable[..., Stage]) -> None:
    stage = staged(0, 3)
    places = tuple(("Retail", f"proxy-{number}", "test") for number in range(3))
    stage.refill(apim_fields={"targets": (), "down": places})
    ended = stage.undeploy("doctor", stage.write_plan())

    assert "3 of 3 looked at: 3 not deployed" in told(ended)["apim"]
    assert_harmless(stage)


def test_an_old_apinizer_and_a_roma_of_the_other_version(staged: Callable[..., Stage]) -> None:
    stage = staged(3, 3, roma_eu={"dialects": ("v2",)}, apim_fields={"looks": False})
    ended = stage.undeploy("doctor", stage.write_plan())
    mended = stage.undeploy("doctor", stage.write_plan(roma="api_version: v2"), "--format", "json")

    assert ended.status == 1
    assert told(ended)["roma-eu"].startswith("fail  version: v1, which the plan means, does not answer;")
    assert told(ended)["roma-eu"].endswith("write api_version: v2")
    assert told(ended)["apim"].startswith("ok    APIOps from before 2026.09.0; 3 of 3 looked at: 3 deployed")
    assert mended.status == 0
    assert checks(mended, "roma-eu")["version"]["text"] == "v2"
    assert (
        checks(mended, "apim")["looks"]["text"]
        == "deploy-histories, proxy; not offered: deploy-status, route-health"
    )


@pytest.mark.promise(5)
def test_a_wrong_token_is_shown_once(staged: Callable[..., Stage]) -> None:
    stage = staged(3, 3)
    stage.env |= {"ROMA_TOKEN": WRONG, "APINIZER_TOKEN": WRONG}
    ended = stage.undeploy("doctor", stage.write_plan())
    shown = [entry for entry in stage.list_requests() if entry.status == 401]

    assert ended.status == 1
    assert all(
        line.startswith("fail  credential: the credential was refused") for line in told(ended).values()
    )
    assert [entry.gateway for entry in shown].count("apim") == 1
    # The first of ROMA's holds no credential at all: that it is refused shows that ROMA is there.
    assert [entry.gateway for entry in shown].count("roma-eu") == 2
    assert_harmless(stage)


def login(stage: Stage, password: str) -> CommandResult:
    iam = stage.platform.urls["roma-eu"]
    stage.env |= {"PASSWORD": password}
    plan = stage.write_plan()
    text = plan.read_text()
    text = text.replace(
        ROMA_TOKEN, f"{{iam: {{url: '{iam}', user: ops, domain: corp, password: {{env: PASSWORD}}}}}}"
    )
    plan.write_text(text.replace(APINIZER_TOKEN, "{login: {user: ops, password: {env: PASSWORD}}}"))
    return stage.undeploy("doctor", plan, "--format", "json")


def users() -> dict[str, Any]:
    return {
        "roma_eu": {"users": (SimulatedUser(name="ops", password="right-one", domain="corp"),)},
        "apim_fields": {"users": (SimulatedUser(name="ops", password="right-one"),)},
    }


def test_a_login_is_made_once_and_its_life_is_told(staged: Callable[..., Stage]) -> None:
    stage = staged(3, 3, **users())
    ended = login(stage, "right-one")
    books = stage.platform.books()

    assert ended.status == 0, ended
    assert [facts.logins for facts in books.gateways.values()] == [1, 1]
    assert checks(ended, "roma-eu")["life"]["text"].startswith("renewed by a login when it ends; this token")
    assert checks(ended, "apim")["life"]["text"] == "renewed by a login when it ends"
    assert_harmless(stage)


@pytest.mark.promise(5)
def test_a_wrong_password_costs_one_login(staged: Callable[..., Stage]) -> None:
    stage = staged(3, 3, **users())
    ended = login(stage, WRONG)

    assert ended.status == 1
    for name, facts in stage.platform.books().gateways.items():
        assert (facts.logins, facts.logins_refused, facts.requests) == (1, 1, 2)
        assert checks(ended, name)["credential"]["state"] == "fail"
    assert WRONG not in ended.out + ended.err
    assert_harmless(stage)


def signed(stage: Stage, secret: str) -> CommandResult:
    stage.env |= {"AK": "FAKEAK", "SK": secret}
    plan = stage.write_plan()
    keys = "{access_key: {env: AK}, secret_key: {env: SK}}"
    plan.write_text(plan.read_text().replace(ROMA_TOKEN, keys))
    return stage.undeploy("doctor", plan, "--format", "json")


@pytest.mark.promise(5)
def test_a_bad_signature_is_sent_once_and_a_good_one_is_let_in(staged: Callable[..., Stage]) -> None:
    stage = staged(3, 0, roma_eu={"keys": (AccessKey(access="FAKEAK", secret="right-one"),)})
    good = signed(stage, "right-one")
    assert good.status == 0, good
    assert checks(good, "roma-eu")["life"]["text"] == "access keys have no end of their own"
    assert_harmless(stage)

    stage.refill(roma_eu={"keys": (AccessKey(access="FAKEAK", secret="right-one"),)})
    bad = signed(stage, WRONG)

    assert bad.status == 1
    assert checks(bad, "roma-eu")["credential"]["state"] == "fail"
    facts = stage.platform.books().gateways["roma-eu"]
    assert (facts.bad_signatures, facts.requests) == (1, 2)
    assert WRONG not in bad.out + bad.err


def test_a_dead_port_and_a_name_that_nobody_has(staged: Callable[..., Stage]) -> None:
    stage = staged(3, 3)
    nowhere = {"roma-eu": "http://127.0.0.1:9", "apim": "https://manager.invalid"}
    ended = stage.undeploy("doctor", stage.write_plan(urls=nowhere))

    assert ended.status == 1
    assert told(ended)["roma-eu"].startswith(
        "fail  port: no connection to 127.0.0.1:9: connection refused; check the url"
    )
    assert told(ended)["apim"].startswith("fail  name: the name manager.invalid cannot be resolved; check")
    assert stage.requests() == 0


@pytest.mark.promise(9)
@pytest.mark.parametrize("form", [[], ["--table"], ["--format", "json"]])
def test_a_credential_that_is_repeated_is_not_told(staged: Callable[..., Stage], form: list[str]) -> None:
    stage = staged(3, 3)
    echo = f"user of {FAKE_TOKEN} \x1b[2J may not"
    script: dict[str, tuple[InjectedFault | str, ...]] = {
        name: (InjectedFault(kind=FaultKind.STATUS, on=FaultScope.LOOK, status=403, message=echo, times=0),)
        for name in ("roma-eu", "apim")
    }
    stage.expect(script)
    ended = stage.undeploy("doctor", stage.write_plan(), *form)

    assert ended.status == 1
    assert "•••" in ended.out
    assert FAKE_TOKEN not in ended.out + ended.err
    assert "\x1b" not in ended.out


def test_nothing_is_kept_of_a_plan_with_problems(staged: Callable[..., Stage]) -> None:
    stage = staged(3, 0)
    plan = stage.write_plan(top="nonsense: 1")
    ended = stage.undeploy("doctor", plan)

    assert (ended.status, ended.out) == (2, "")
    assert stage.requests() == 0
