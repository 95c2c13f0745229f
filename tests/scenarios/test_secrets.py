"""A credential is looked for in every byte that a run leaves."""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import pytest

from orchestrator.simulator.accounts import SimulatedUser
from orchestrator.simulator.exchange import FaultKind
from orchestrator.simulator.faults import InjectedFault
from tests.support.spelling import SPELLINGS
from tests.support.stage import Stage, apim_id, roma_id

pytestmark = pytest.mark.long("runs are processes of their own")

MARKERS = ("M4rk3r-roma/+=.tok~en", 'M4rk3r"apinizer\\tok&en')
TWICE = "retry: {attempts: 2, first: 1ms, ceiling: 2ms}"
PATIENT = f"{TWICE}, park_for: 1s"
"""What is left of a lane answers nothing but 500: so it parks."""


def forms_of(secret: str) -> set[bytes]:
    escaped = secret.replace("\\", "\\\\").replace('"', '\\"')
    texts = {secret, escaped, quote(secret, safe=""), base64.b64encode(secret.encode()).decode()}
    return {text.encode() for text in texts}


@pytest.mark.promise(9)
def test_a_credential_is_found_nowhere(staged: Callable[..., Stage]) -> None:
    stage = staged(6, 6, tokens=(), latency=0.1)
    stage.env |= {"ROMA_TOKEN": MARKERS[0], "APINIZER_TOKEN": MARKERS[1]}
    echoes = [
        InjectedFault(kind=FaultKind.STATUS, status=403, message=f"user with {token} may not", times=0)
        if number < 3
        else InjectedFault(
            kind=FaultKind.STATUS, status=500, body=f"trace: Authorization: Bearer {token} <end>", times=0
        )
        for token in MARKERS
        for number in range(6)
    ]
    stage.expect({target: (fault,) for target, fault in zip(stage.ids, echoes, strict=True)})
    log = ("--log-level", "debug", "--log-format", "json")
    plan = stage.write_plan(roma=PATIENT, apim=PATIENT, top="stop_when: {failed: 100%, unknown: 100%}")
    with stage.started("run", plan, "--yes", "--events", "events", *log) as process:
        stage.wait_for_requests(3, process)
        arguments = Path(f"/proc/{process.pid}/cmdline").read_bytes()
        out, err = process.communicate(timeout=20)
    told = [stage.undeploy("report", "latest", "--format", kind) for kind in ("html",)]

    assert process.returncode == 1, err
    assert {stage.outcomes()[target] for target in (roma_id(0), apim_id(0))} == {"failed"}
    assert "•••" in stage.reasons()[roma_id(0)]
    left = {
        "stdout": out.encode(),
        "stderr": err.encode(),
        "arguments": arguments,
        **{f"report {place}": ended.out.encode() + ended.err.encode() for place, ended in enumerate(told)},
        **{str(path): path.read_bytes() for path in stage.folder.rglob("*") if path.is_file()},
    }
    assert {"events", "journal.sqlite", "report.html", "lock"} <= {Path(name).name for name in left}
    found = {
        name for name, text in left.items() for secret in MARKERS for each in forms_of(secret) if each in text
    }
    assert found == set()


@pytest.mark.promise(9)
def test_a_gateway_may_repeat_the_credential_of_another_one(staged: Callable[..., Stage]) -> None:
    stage = staged(1, 1, tokens=())
    stage.env |= {"ROMA_TOKEN": MARKERS[0], "APINIZER_TOKEN": MARKERS[1]}
    stage.expect(
        {
            target: (InjectedFault(kind=FaultKind.STATUS, status=403, message=f"no: {token}"),)
            for target, token in zip(stage.ids, reversed(MARKERS), strict=True)
        }
    )
    ended = stage.undeploy("run", stage.write_plan(), "--yes", "--log-level", "debug", "--events", "events")

    assert ended.status == 1, ended.err
    assert all("•••" in reason for reason in stage.reasons().values())
    left = [ended.out, ended.err]
    left += [path.read_text(errors="replace") for path in stage.folder.rglob("*") if path.is_file()]
    assert not [
        text for text in left for token in MARKERS for form in forms_of(token) if form.decode() in text
    ]


@pytest.mark.promise(9)
def test_a_credential_is_found_in_no_spelling_of_it(staged: Callable[..., Stage]) -> None:
    """Each target is refused in words that repeat the credential in another spelling."""
    secret, spelt = MARKERS[1], spellings_of(MARKERS[1])
    stage = staged(len(spelt), 0, tokens=())
    stage.env["ROMA_TOKEN"] = secret
    stage.expect(
        {
            roma_id(number): (InjectedFault(kind=FaultKind.STATUS, status=403, message=f"no: <{text}>."),)
            for number, text in enumerate(spelt)
        }
    )
    log = ("--log-level", "debug", "--events", "events")
    ended = stage.undeploy("run", stage.write_plan(top="stop_when: {failed: 100%}"), "--yes", *log)

    assert ended.status == 1, ended.err
    told = set(stage.reasons().values())
    assert told <= {reason for reason in told if "•••" in reason}
    left = {
        "stdout": ended.out,
        "stderr": ended.err,
        **{str(path): path.read_text(errors="replace") for path in stage.folder.rglob("*") if path.is_file()},
    }
    assert {"events", "journal.sqlite", "report.html", "report.xml"} <= {Path(name).name for name in left}
    assert not [name for name, text in left.items() for each in spelt if each in text or each[8:-8] in text]


def spellings_of(secret: str) -> list[str]:
    """The spellings of a text, in base64 with each alignment and in hexadecimal digits too."""
    plain = dict.fromkeys(spell(secret) for name, spell in SPELLINGS.items() if "split" not in name)
    coded = [base64.b64encode(f"{before}{secret}".encode()).decode() for before in ("", "u", "us")]
    return [*plain, *coded, secret.encode().hex()]


@pytest.mark.promise(3)
@pytest.mark.parametrize("password", ["test", "deploy", "success", "1"])
def test_a_password_that_is_a_word_of_the_replies_changes_nothing_of_what_they_mean(
    staged: Callable[..., Stage], password: str
) -> None:
    users = {"users": (SimulatedUser(name="ops", password=password),)}
    stage = staged(0, 3, tokens=("nobody-has-this-one",), apim_fields=users)
    stage.env["OPS_PASSWORD"] = password
    path = stage.write_plan()
    login = "{login: {user: ops, password: {env: OPS_PASSWORD}}}"
    path.write_text(path.read_text().replace("{token: {env: APINIZER_TOKEN}}", login))
    ended = stage.undeploy("run", path, "--yes")

    assert ended.status == 0, ended.err
    assert set(stage.outcomes()) == {apim_id(number) for number in range(3)}
    assert {target["evidence"] for target in stage.report()["targets"]} == {"deploymentResult"}
    assert len(stage.list_requests()) == 4, "a login, and one request a target"
    assert "fewer than 8 characters" in stage.report()["gateways"][0]["warnings"][-1]
    told = stage.undeploy("check", path)
    assert "warning: gateway apim: {env: OPS_PASSWORD}: a credential of fewer than 8 characters" in told.out


@pytest.mark.promise(9)
def test_a_credential_that_no_header_can_carry_is_not_repeated(staged: Callable[..., Stage]) -> None:
    stage = staged(3, 3)
    stage.env["ROMA_TOKEN"] = "M4rk3r with\na break"
    ended = stage.undeploy("run", stage.write_plan(), "--yes")

    assert (ended.status, ended.out, stage.requests()) == (2, "", 0)
    assert "ROMA_TOKEN" in ended.err
    assert "M4rk3r" not in ended.err


def test_without_its_credential_nothing_is_sent_to_anybody(staged: Callable[..., Stage]) -> None:
    stage = staged(3, 3)
    del stage.env["APINIZER_TOKEN"]
    ended = stage.undeploy("run", stage.write_plan(), "--yes")

    assert (ended.status, ended.out, stage.requests(), stage.has_run) == (2, "", 0, False)
    assert "gateway apim: the token {env: APINIZER_TOKEN} is not set" in ended.err
