"""The forms of a preview, its exit statuses, and its use in a rehearsal."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.simulator.apinizer_fixture import ApinizerFixture
from orchestrator.simulator.faults import FaultScenario
from orchestrator.simulator.fixtures import SimulatorFixture
from orchestrator.simulator.process import RunningSimulators
from tests.support.commands import Undeploy

Write = Callable[..., Path]
KEYS = [
    "id",
    "gateway",
    "wave",
    "step",
    "state",
    "group",
    "why",
    "revision",
    "since",
    "path",
    "edited",
    "pods",
]


@pytest.fixture
def mixed_platform(platform: RunningSimulators) -> RunningSimulators:
    """Of the plan's six: two up (one of them edited), two down, two not there."""
    places = [("Retail", f"proxy-{number}", "test") for number in range(4)]
    manager = ApinizerFixture(
        name="apim", targets=tuple(places[:2]), down=tuple(places[2:]), edited=(places[1],)
    )
    platform.refill(SimulatorFixture(gateways=(manager,)))
    return platform


def test_the_table_sorts_what_it_saw(
    mixed_platform: RunningSimulators, plan: Write, undeploy: Undeploy
) -> None:
    ended = undeploy("preview", plan(mixed_platform.urls["apim"]))

    assert (ended.status, ended.err) == (0, "")
    assert re.search(r"^targets +apim +2 +2 +2 +0$", ended.out, re.MULTILINE)
    for heading in ("will change: 2", "already so: 2", "does not exist: 2"):
        assert f"\n{heading}\n" in ended.out
    assert "  apim/Retail/proxy-1/test  deployed, since " in ended.out
    assert "1 target with edits that were never deployed" in ended.out
    assert "a run     sends at least " in ended.out
    assert ended.out.splitlines()[-2:] == [
        "The state of all 6 targets is known.",
        "verdict   ready: 2 targets would change; `undeploy run` with this plan and the same options does it",
    ]
    assert mixed_platform.books().gateways["apim"].undeploys == 0


def test_json_has_every_target_and_its_schema(
    mixed_platform: RunningSimulators, plan: Write, undeploy: Undeploy
) -> None:
    found = json.loads(undeploy("preview", plan(mixed_platform.urls["apim"]), "--format", "json").out)

    assert (found["schema"], found["kind"], found["complete"]) == (1, "preview", True)
    assert found["counts"] == {
        "targets": 6,
        "will_change": 2,
        "already_so": 2,
        "does_not_exist": 2,
        "unknown": 0,
        "protected": 0,
        "filtered": 0,
    }
    assert [target["state"] for target in found["targets"]] == [
        *["deployed"] * 2,
        *["undeployed"] * 2,
        *["absent"] * 2,
    ]
    assert all(
        list(target) == [*KEYS, "fronts", "usage", "bindings", "obstacles"] for target in found["targets"]
    )
    assert found["targets"][1]["edited"] is True
    assert found["targets"][0]["revision"] == "1"
    assert found["targets"][0]["pods"] is None  # as in a run, the manager's record is read alone
    assert found["forecast"]["undeploys"] == 6  # this plan keeps no snapshot, so a run asks for all of them


def test_what_is_in_force_and_what_matches_nothing_is_told(
    mixed_platform: RunningSimulators, plan: Write, undeploy: Undeploy, folder: Path
) -> None:
    (folder / "site").write_text("apim/Retail/proxy-0/*\napim/Retial/**\n")
    path = plan(mixed_platform.urls["apim"], more="protect: ['127.0.0.1/Retail/proxy-5/test']")
    out = undeploy("preview", path, "--protect-file", "site").out
    found = json.loads(undeploy("preview", path, "--protect-file", "site", "--format", "json").out)
    idle = "protect: the pattern apim/Retial/** (site:2) matches none of the targets"
    idle += '; did you mean "apim/Retail/**"?'

    assert "protect   3 patterns are in force, 2 targets are protected\n" in out
    assert f"warning   apim: {idle}" in out or f"warning   {idle}" in out
    assert found["counts"]["protected"] == 2
    assert [warning for warning in found["warnings"] if warning["kind"] == "protect"] == [
        {"kind": "protect", "text": idle, "gateway": "apim", "targets": []}
    ]


def test_markdown_is_for_tickets(mixed_platform: RunningSimulators, plan: Write, undeploy: Undeploy) -> None:
    out = undeploy("preview", plan(mixed_platform.urls["apim"]), "--format", "markdown").out

    assert out.startswith("# Preview of clean-up\n")
    assert "| targets | apim | 2 | 2 | 2 | 0 |" in out
    assert "## Does not exist: 2" in out
    assert "| Protect | no pattern is in force |" in out
    assert "Filtered" not in out


def test_a_ticket_says_what_a_preview_left_out(
    mixed_platform: RunningSimulators, plan: Write, undeploy: Undeploy
) -> None:
    path = plan(mixed_platform.urls["apim"], "protect: ['apim/*/proxy-0/*']")

    out = undeploy("preview", path, "--format", "markdown", "--skip", "apim/*/proxy-1/*").out

    assert "| Protect | 1 pattern is in force, 1 target is protected |" in out
    assert "| Filtered | 1: left out by --only, --skip or --wave, and not looked at |" in out


def test_what_would_stop_a_run_is_told(platform: RunningSimulators, plan: Write, undeploy: Undeploy) -> None:
    platform.refill(
        SimulatorFixture(gateways=(ApinizerFixture(name="apim", targets=(("Retail", "proxy-0", "test"),)),))
    )
    path = plan(platform.urls["apim"])
    path.write_text(
        path.read_text().replace("targets:\n", "waves:\n- name: first\n  targets:\n", 1)
        + "- name: second\n  targets:\n  - {gateway: apim, project: Retail, proxy: x, environment: test}\n"
    )
    out = undeploy("preview", path).out

    assert "a stop rule would end the run in first: failed: 5 of 6 " in out


def test_an_approval_says_until_when_and_whether_it_is_signed(
    mixed_platform: RunningSimulators, plan: Write, undeploy: Undeploy
) -> None:
    ended = undeploy("preview", plan(mixed_platform.urls["apim"]), "--save", "ok.json")
    approval = json.loads(Path("ok.json").read_text())

    assert ended.status == 0
    assert re.fullmatch(r"approval: ok\.json, until \S+, not signed\n", ended.err)
    assert approval["kind"] == "approval"
    assert [target["state"] for target in approval["targets"]].count("absent") == 2


@pytest.mark.parametrize(
    ("key", "told"),
    [
        ("hunter2hunter2hunter2", "is neither env:NAME nor file:PATH"),
        ("command:x", "is neither env:NAME nor file:PATH"),
        ("env:NO_SUCH_KEY", "is not set in the environment"),
        ("file:short", "gives a key of less than 16 characters"),
    ],
)
def test_a_key_that_cannot_be_had_is_2_and_not_repeated(
    mixed_platform: RunningSimulators, plan: Write, undeploy: Undeploy, key: str, told: str
) -> None:
    Path("short").write_text("brief\n")
    ended = undeploy("preview", plan(mixed_platform.urls["apim"]), "--save", "ok.json", "--hmac-key", key)

    assert (ended.status, mixed_platform.books().requests) == (2, 0)
    assert told in ended.err
    assert "hunter2" not in ended.err


def test_an_approval_goes_to_a_file_and_to_no_stream(plan: Write, folder: Path, undeploy: Undeploy) -> None:
    ended = undeploy("preview", plan(), "--save", "-")

    assert (ended.status, ended.out) == (2, "")
    assert "--save names a file" in ended.err
    assert not (folder / "-").exists()


@pytest.mark.parametrize("command", [("preview",), ("run", "--yes")])
def test_a_key_without_a_file_is_2(
    mixed_platform: RunningSimulators,
    plan: Write,
    undeploy: Undeploy,
    command: tuple[str, ...],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("KEY", "a key that is long enough")
    ended = undeploy(command[0], plan(mixed_platform.urls["apim"]), *command[1:], "--hmac-key", "env:KEY")

    assert (ended.status, mixed_platform.books().requests) == (2, 0)


def test_a_credential_that_cannot_be_had_is_2(
    platform: RunningSimulators, plan: Write, undeploy: Undeploy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("APINIZER_TOKEN")
    ended = undeploy("preview", plan(platform.urls["apim"]))

    assert (ended.status, ended.out) == (2, "")


@pytest.mark.parametrize("command", [("preview",), ("run", "--yes"), ("discover", "--from")])
def test_all_credentials_that_cannot_be_had_are_told_at_once(
    plan: Write, undeploy: Undeploy, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    monkeypatch.delenv("APINIZER_TOKEN", raising=False)
    monkeypatch.delenv("OTHER_TOKEN", raising=False)
    path = plan()
    other = "  other: {kind: apinizer, url: 'http://127.0.0.1:9/x', auth: {token: {env: OTHER_TOKEN}}}\n"
    target = "  - {gateway: other, project: P, proxy: p, environment: e}\n"
    path.write_text(path.read_text().replace("targets:\n", f"{other}targets:\n{target}"))

    ended = undeploy(*command, path)

    missing = [line for line in ended.err.splitlines() if "is not set in the environment" in line]
    assert (ended.status, ended.out) == (2, "")
    assert [("APINIZER_TOKEN" in line, "OTHER_TOKEN" in line) for line in missing] == [
        (True, False),
        (False, True),
    ]


def test_what_nobody_could_tell_is_1(platform: RunningSimulators, plan: Write, undeploy: Undeploy) -> None:
    platform.expect(FaultScenario(script={"apim/Retail/proxy-2/test": ("look:500",) * 3}))
    ended = undeploy("preview", plan(platform.urls["apim"]))

    assert ended.status == 1
    assert "\nunknown: 1\n  apim/Retail/proxy-2/test  " in ended.out
    *_, known, verdict = ended.out.splitlines()
    assert known == "State known for 5 of 6 targets."
    assert verdict.startswith("verdict   not ready: the state of 1 target could not be read; find out why")


def test_a_rehearsal_begins_with_what_was_seen(
    mixed_platform: RunningSimulators, plan: Write, undeploy: Undeploy
) -> None:
    path = plan(
        mixed_platform.urls["apim"],
        more="snapshot: best\nstop_when: {failed: 100%}".replace("snapshot: best\n", ""),
    )
    Path("seen.json").write_text(undeploy("preview", path, "--format", "json").out)
    ended = undeploy("rehearse", path, "--from", "seen.json", "--storm", "0", "--report-dir", "here")
    report = json.loads(Path("here/report.json").read_text())

    assert ended.status == 1, ended
    assert [target["outcome"] for target in report["targets"]] == [
        *["undeployed"] * 2,
        *["already_undeployed"] * 2,
        *["failed"] * 2,
    ]
    assert "The report agrees with the simulators." in ended.out


def test_a_rehearsal_says_what_it_takes_for_up(
    platform: RunningSimulators, plan: Write, undeploy: Undeploy
) -> None:
    path = plan(platform.urls["apim"])
    platform.expect(FaultScenario(script={"apim/Retail/proxy-2/test": ("look:500",) * 3}))
    Path("seen.json").write_text(undeploy("preview", path, "--format", "json").out)
    ended = undeploy("rehearse", path, "--from", "seen.json", "--storm", "0")

    assert ended.status == 0
    assert "1 target of which the preview says unknown (nobody could tell): deployed here" in ended.err


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("no JSON", "it is no preview"),
        ("[]", "it is no preview"),
        ('{"kind": "preview", "kind": "preview", "schema": 1, "digest": "", "targets": []}', "twice"),
        ('{"kind": "approval", "schema": 1, "digest": "", "targets": []}', "not a preview of schema 1"),
        ('{"kind": "preview", "schema": 1, "digest": "00", "targets": []}', "a plan with the digest 00"),
    ],
)
def test_a_rehearsal_of_another_plans_preview_is_refused(
    plan: Write, undeploy: Undeploy, text: str, told: str
) -> None:
    Path("seen.json").write_text(text)
    ended = undeploy("rehearse", plan("https://apim.example.com"), "--from", "seen.json")

    assert (ended.status, ended.out) == (2, "")
    assert told in ended.err
