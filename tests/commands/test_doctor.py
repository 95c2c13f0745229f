"""The output of `undeploy doctor` in each form, and its exit statuses."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from orchestrator.commands import doctor
from orchestrator.doctor import findings
from orchestrator.doctor.findings import Finding, GatewayDiagnosis, complete_findings
from orchestrator.doctor.lines import HEADINGS
from orchestrator.simulator.process import RunningSimulators

Undeploy = Callable[..., tuple[int, str, str]]


def test_one_line_a_gateway_and_0(
    platform: RunningSimulators, plan: Callable[..., Path], undeploy: Undeploy
) -> None:
    status, out, err = undeploy("doctor", plan(platform.urls["apim"]))

    assert (status, err) == (0, "")
    (line,) = out.splitlines()
    assert line.startswith("apim  ok    APIOps of 2026.09.0 or newer; 3 of 6 looked at: 3 deployed; ")


def test_a_failure_is_1_and_says_what_to_do(
    platform: RunningSimulators,
    plan: Callable[..., Path],
    undeploy: Undeploy,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("APINIZER_TOKEN")
    status, out, err = undeploy("doctor", plan(platform.urls["apim"]))

    assert (status, err) == (1, "")
    assert out.startswith("apim  fail  credential: gateway apim: the token {env: APINIZER_TOKEN} is not set")


def test_a_warning_alone_is_0(
    platform: RunningSimulators, plan: Callable[..., Path], undeploy: Undeploy
) -> None:
    path = plan(platform.urls["apim"])
    path.write_text(path.read_text().replace("proxy-5", "nobody"))
    status, out, _ = undeploy("doctor", path)

    assert status == 0
    assert out.startswith("apim  warn  targets: 3 of 6 looked at: 2 deployed, 1 not found (")


def test_the_table_has_a_row_for_each_check(
    platform: RunningSimulators, plan: Callable[..., Path], undeploy: Undeploy
) -> None:
    status, out, _ = undeploy("doctor", plan(platform.urls["apim"]), "--table")
    lines = out.splitlines()

    assert status == 0
    assert lines[0].split() == ["gateway", "check", "state", "found", "what", "to", "do"]
    assert [line.split()[1] for line in lines[1:]] == list(findings.CHECKS)
    assert len({line.index("  ok  ") for line in lines[1:] if "  ok  " in line}) == 1


def test_json(platform: RunningSimulators, plan: Callable[..., Path], undeploy: Undeploy) -> None:
    status, out, _ = undeploy("doctor", plan(platform.urls["apim"]), "--format", "json")
    (gateway,) = json.loads(out)["gateways"]

    assert status == 0
    assert (gateway["name"], gateway["state"]) == ("apim", "ok")
    assert [check["check"] for check in gateway["checks"]] == list(findings.CHECKS)


def test_targets_named_on_the_command_line_are_those_looked_at(
    platform: RunningSimulators, plan: Callable[..., Path], undeploy: Undeploy
) -> None:
    undeploy("doctor", plan(platform.urls["apim"]), "--target", "apim/Retail/proxy-4/test")

    assert {name for name, facts in platform.books().targets.items() if facts.looks} == {
        "apim/Retail/proxy-4/test"
    }


@pytest.mark.parametrize("arguments", [["--table", "--format", "json"], ["--format", "xml"]])
def test_what_cannot_be_done_is_2(
    plan: Callable[..., Path], undeploy: Undeploy, arguments: list[str]
) -> None:
    status, out, err = undeploy("doctor", plan(), *arguments)

    assert (status, out) == (2, "")
    assert err


def test_a_plan_with_problems_is_2(folder: Path, undeploy: Undeploy) -> None:
    (folder / "p.yaml").write_text("version: 1\nname: x\ngateways: {}\n")
    status, out, err = undeploy("doctor", "p.yaml")

    assert (status, out) == (2, "")
    assert "p.yaml" in err


def test_the_table_of_a_terminal_shows_the_texts_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    console = Console(record=True, width=120, force_terminal=True, file=open("/dev/null", "w"))  # noqa: PTH123, SIM115
    monkeypatch.setattr("rich.console.Console", lambda **_: console)
    found = complete_findings([Finding.failure("name", "[red]nowhere[/red]", "check the url")])
    doctor._draw(
        [GatewayDiagnosis(gateway="roma-eu", kind="roma", url="https://g", findings=found, requests=0)],
        color=True,
    )
    console.file.close()
    text = console.export_text()

    assert all(heading in text for heading in HEADINGS)
    assert "[red]nowhere[/red]" in text
    assert "check the url" in text
