"""An approval file and its run over real sockets: what it admits, what it refuses, and what has drifted."""

from __future__ import annotations

import json
import re
import time
import urllib.request
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace

from orchestrator.cli import execute
from orchestrator.preview.approval import Approval, add_seal, decode_approval, encode_approval
from orchestrator.simulator.gateway_fixture import FAKE_TOKEN
from tests.support.stage import INSTANCE, PROJECT, Stage, apim_id, backend, kill, roma_id

pytestmark = pytest.mark.long("previews and runs are processes of their own")

KEY = "a key that is long enough"


def approved(stage: Stage, *options: str, status: int = 0) -> Path:
    ended = stage.undeploy("preview", "plan.yaml", "--save", "ok.json", *options, env={"KEY": KEY})
    assert ended.status == status, ended
    return stage.folder / "ok.json"


def redeploy_proxy(stage: Stage, number: int) -> None:
    """Somebody else deploys a proxy again: it gets another revision."""
    url = f"{stage.platform.urls['apim']}/apiops/projects/Retail/apiProxies/proxy-{number}/environments/test/"
    request = urllib.request.Request(url, method="POST", headers={"Authorization": f"Bearer {FAKE_TOKEN}"})
    urllib.request.urlopen(request).close()


def redeploy_backend(stage: Stage, number: int) -> None:
    base = f"{stage.platform.urls['roma-eu']}/v1/{PROJECT}/apic/instances/{INSTANCE}/livedata-apis/deploy"
    body = {"ld_api_id": backend(number), "deploy_front_api": False}
    headers = {"X-Auth-Token": FAKE_TOKEN, "Content-Type": "application/json"}
    data = json.dumps(body).encode()
    urllib.request.urlopen(urllib.request.Request(base, data, headers, method="POST")).close()


def test_what_was_approved_is_undeployed(staged: Callable[..., Stage]) -> None:
    stage = staged(3, 2)
    stage.write_plan(top="approval: file")
    approved(stage)
    before = stage.requests()
    ended = stage.undeploy("run", "plan.yaml", "--approval", "ok.json")

    assert ended.status == 0, ended
    assert set(stage.outcomes().values()) == {"undeployed"}
    # Each is looked at before it is undeployed, although the plan keeps no snapshot.
    assert stage.requests() - before == 3 * (3 + 1) + 2 * (1 + 1)
    stage.assert_truth()
    assert "approval file, by " in (stage.run / "report.md").read_text()
    assert "approval file, by " in (stage.run / "report.html").read_text()


def test_what_was_deployed_again_since_is_left_alone(staged: Callable[..., Stage]) -> None:
    stage = staged(2, 2)
    stage.write_plan()
    approved(stage)
    redeploy_proxy(stage, 0)
    ended = stage.undeploy("run", "plan.yaml", "--approval", "ok.json")

    assert ended.status == 1, ended
    assert stage.outcomes() == {
        roma_id(0): "undeployed",
        roma_id(1): "undeployed",
        apim_id(0): "not_started",
        apim_id(1): "undeployed",
    }
    assert stage.reasons()[apim_id(0)] == ("drifted: its revision was 1 when it was approved, and is 2 now")
    assert stage.platform.books().targets[apim_id(0)].undeploys == 0


def test_many_that_drifted_stop_the_run(staged: Callable[..., Stage]) -> None:
    stage = staged(3, 2)
    stage.write_plan(waves=True)
    approved(stage)
    time.sleep(1.1)  # ROMA tells its times in whole seconds
    redeploy_backend(stage, 0)
    redeploy_backend(stage, 1)
    ended = stage.undeploy("run", "plan.yaml", "--approval", "ok.json")

    assert ended.status == 4, ended
    assert re.search(r"surprising: 2 of 3 \(\d\d\.\d+%\) in .*first, limit 50%", ended.err), ended.err
    assert stage.platform.books().gateways["apim"].undeploys == 0


def test_a_resume_after_a_kill_still_guards_without_the_file(staged: Callable[..., Stage]) -> None:
    stage = staged(0, 6, apim_fields={"latency": 0.15})
    stage.write_plan(apim="limits: {concurrency: 1}")
    path = approved(stage)
    before = stage.requests()
    with stage.started("run", "plan.yaml", "--approval", "ok.json") as process:
        stage.wait_for_requests(before + 4, process)
        kill(process)
    stage.settled()
    path.unlink()
    redeploy_proxy(stage, 5)
    ended = stage.undeploy("resume", "latest")

    assert ended.status == 1, ended
    outcomes = stage.outcomes()
    assert outcomes.pop(apim_id(5)) == "not_started"
    assert stage.reasons()[apim_id(5)].startswith("drifted: ")
    assert set(outcomes.values()) <= {"undeployed", "already_undeployed"}
    assert stage.platform.books().targets[apim_id(5)].undeploys == 0
    stage.assert_truth()


EDITS = {
    "plan": "another",
    "taken": "2019-12-31T00:00:00Z",
    "expires": "2999-01-01T00:00:00Z",
    "by": {"user": "mallory", "host": "ops-1"},
    "incomplete": ["apim/Retail/proxy-0/test"],
}


def expiring(path: Path, good: str, *, at: datetime) -> Approval:
    """The approval in ``good`` as somebody would forge it who knows how it is sealed, and has no key."""
    path.write_text(good)
    return add_seal(replace(decode_approval(path.read_bytes()), expires=at))


def refused(stage: Stage, told: str, *options: str) -> None:
    """The run is refused, and says why; nothing was sent, and there is no run."""
    before = stage.requests()
    ended = stage.undeploy("run", "plan.yaml", "--approval", "ok.json", *options, env={"KEY": KEY})
    assert (ended.status, ended.out, stage.requests()) == (2, "", before), ended
    assert told in ended.err
    assert not stage.has_run


def test_what_a_file_does_not_admit_is_refused(staged: Callable[..., Stage]) -> None:
    stage = staged(2, 1)
    plan = stage.write_plan()
    path = approved(stage)
    good = path.read_text()
    said = json.loads(good)

    refused(stage, "it is not signed, and --hmac-key wants it to be", "--hmac-key", "env:KEY")
    path.write_text(good.replace('"deployed"', '"absent"', 1))
    refused(stage, "it was edited")
    for key, value in EDITS.items():
        path.write_text(json.dumps(said | {key: value}))
        refused(stage, "it was edited")
    path.write_bytes(encode_approval(expiring(path, good, at=datetime(2020, 1, 1, tzinfo=UTC))))
    refused(stage, "it has expired, at 2020-01-01")
    path.write_text("not JSON")
    refused(stage, "it is not JSON")
    path.write_text(json.dumps(said | {"schema": 1}))
    refused(stage, "an older version of the program wrote it")
    path.write_text(json.dumps(said | {"schema": 3}))
    refused(stage, "it has schema 3")
    path.write_text(good)
    plan.write_text(plan.read_text() + "# another byte\n")
    refused(stage, "it approves of a plan with the digest")


def test_a_run_takes_only_what_the_file_names(staged: Callable[..., Stage]) -> None:
    stage = staged(3, 2)
    stage.write_plan()
    approved(stage, "--only", "roma-eu/**")

    refused(stage, f"it does not name {apim_id(0)}, {apim_id(1)}, which this run would take")
    ended = stage.undeploy("run", "plan.yaml", "--approval", "ok.json", "--only", roma_id(1))
    assert ended.status == 0, ended
    assert stage.platform.books().gateways["roma-eu"].undeploys == 1


def test_targets_of_the_command_line_need_an_approval_of_them(staged: Callable[..., Stage]) -> None:
    stage = staged(3, 0)
    stage.write_plan()
    approved(stage)
    refused(stage, "or has other --target", "--target", roma_id(1))
    approved(stage, "--target", roma_id(1))

    ended = stage.undeploy("run", "plan.yaml", "--approval", "ok.json", "--target", roma_id(1))
    assert ended.status == 0, ended


def test_a_signed_file_wants_its_key(staged: Callable[..., Stage]) -> None:
    stage = staged(2, 0)
    stage.write_plan()
    path = approved(stage, "--hmac-key", "env:KEY")
    good = path.read_text()
    assert KEY not in good

    refused(stage, "it is signed; give its key with --hmac-key")
    (stage.folder / "other").write_text("a key of somebody else\n")
    refused(stage, "its HMAC is wrong", "--hmac-key", "file:other")
    said = json.loads(good)
    path.write_text(json.dumps(said | {"expires": "2999-01-01T00:00:00Z"}))
    refused(stage, "it was edited", "--hmac-key", "env:KEY")
    path.write_bytes(encode_approval(expiring(path, good, at=datetime(2999, 1, 1, tzinfo=UTC))))
    refused(stage, "its HMAC is wrong: it was edited", "--hmac-key", "env:KEY")
    path.write_text(json.dumps({key: value for key, value in said.items() if key != "hmac"}))
    refused(stage, "it was edited")
    path.write_text(good)
    ended = stage.undeploy(
        "run", "plan.yaml", "--approval", "ok.json", "--hmac-key", "env:KEY", env={"KEY": KEY}
    )
    assert ended.status == 0, ended
    assert all(KEY.encode() not in file.read_bytes() for file in stage.run.iterdir() if file.is_file())


@pytest.mark.parametrize(
    ("wanted", "options", "told"),
    [
        ("digest", ("--yes",), "--yes is not enough"),
        ("file", ("--yes",), "this plan wants an approval file"),
        ("file", ("--approve", "0" * 64), "this plan wants an approval file"),
        ("signed", ("--yes",), "this plan wants a signed approval file"),
        ("signed", ("--approve", "0" * 64), "this plan wants a signed approval file"),
    ],
)
def test_the_plan_says_which_consent_is_enough(
    staged: Callable[..., Stage], wanted: str, options: tuple[str, ...], told: str
) -> None:
    stage = staged(1, 0)
    stage.write_plan(top=f"approval: {wanted}")
    ended = stage.undeploy("run", "plan.yaml", *options)

    assert (ended.status, stage.requests()) == (2, 0)
    assert told in ended.err


@pytest.mark.parametrize("wanted", ["none", "digest"])
def test_the_digest_is_enough_where_no_file_is_wanted(staged: Callable[..., Stage], wanted: str) -> None:
    stage = staged(1, 0)
    stage.write_plan(top=f"approval: {wanted}")
    digest = stage.undeploy("check", "plan.yaml").out.splitlines()[-1].removeprefix("digest: ")
    ended = stage.undeploy("run", "plan.yaml", "--approve", digest[:32])

    assert ended.status == 0, ended
    assert "digest given, by " in (stage.run / "report.md").read_text()


def test_a_plan_that_wants_a_signed_file_takes_no_other(staged: Callable[..., Stage]) -> None:
    stage = staged(2, 0)
    stage.write_plan(top="approval: signed")
    path = approved(stage)
    refused(stage, "this plan wants a signed approval file")
    refused(stage, "it is not signed", "--hmac-key", "env:KEY")
    path.unlink()
    approved(stage, "--hmac-key", "env:KEY")
    refused(stage, "this plan wants a signed approval file")
    ended = stage.undeploy(
        "run", "plan.yaml", "--approval", "ok.json", "--hmac-key", "env:KEY", env={"KEY": KEY}
    )

    assert ended.status == 0, ended
    assert stage.report()["run"]["approval"]["how"] == "signed"
    assert "signed approval file, by " in (stage.run / "report.md").read_text()


def soon(seconds: float) -> datetime:
    return datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=seconds)


def test_an_approval_that_ends_before_the_window_opens_is_not_waited_with(
    staged: Callable[..., Stage],
) -> None:
    stage = staged(1, 0)
    stage.write_plan()
    path = approved(stage)
    path.write_bytes(encode_approval(expiring(path, path.read_text(), at=soon(1800))))
    window = f"{soon(3600).isoformat()}/{soon(7200).isoformat()}"

    refused(stage, "before the window opens at", "--window", window, "--wait")


def test_an_approval_that_expires_while_the_run_waits_is_void(
    staged: Callable[..., Stage], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    stage = staged(1, 0)
    monkeypatch.chdir(stage.folder)
    monkeypatch.setenv("ROMA_TOKEN", FAKE_TOKEN)
    stage.write_plan()
    path = approved(stage)
    opens = datetime.now(UTC) + timedelta(seconds=4)  # and the approval ends a moment after
    ends = opens + timedelta(microseconds=1)
    path.write_bytes(encode_approval(expiring(path, path.read_text(), at=ends)))
    before = stage.requests()
    window = f"{opens.isoformat()}/{soon(7200).isoformat()}"
    # Not as a process: that may take longer to start than the approval lasts.
    status = execute(["run", "plan.yaml", "--approval", "ok.json", "--window", window, "--wait"])

    assert (status, stage.requests()) == (2, before)
    assert "the approval expired at " in capfd.readouterr().err
    assert not stage.has_run  # so that no resume goes on without one


def test_another_window_than_the_plans_is_told_in_every_report(staged: Callable[..., Stage]) -> None:
    stage = staged(1, 0)
    ends = soon(7200)
    stage.write_plan(top=f"window: {{closes: '{ends.isoformat()}'}}")
    stage.undeploy("run", "plan.yaml", "--yes")
    told = stage.report()["run"]
    assert told["window"] == {"opens": None, "closes": f"{ends:%Y-%m-%dT%H:%M:%SZ}", "from": "plan"}
    assert told["approval"]["how"] == "yes"
    assert "--window" not in (stage.run / "report.md").read_text()

    stage.refill()
    window = f"{soon(-60).isoformat()}/{ends.isoformat()}"
    stage.undeploy("run", "plan.yaml", "--yes", "--window", window)
    assert stage.report()["run"]["window"]["from"] == "option"
    for name in ("report.md", "report.html", "report.xml"):
        assert "by --window or --close-at, not by the plan" in (stage.run / name).read_text()
