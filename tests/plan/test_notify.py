"""The key ``notify`` of a plan: references alone, and a literal address is refused without being repeated."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.model.plan import ALL_NOTIFICATIONS, PlannedNotification
from orchestrator.model.settings import CredentialReference
from orchestrator.plan import header, json_form
from orchestrator.plan.yaml_text import format_head
from tests.support.plans import GATEWAYS, ONE, load_plan, read_problems

SECRET = "s3cr3t-hook-token"


def text(notify: str) -> str:
    return f"version: 1\nname: told\nnotify: {notify}\n{GATEWAYS}{ONE}"


def test_a_plan_names_places_and_occasions(tmp_path: Path) -> None:
    plan = load_plan(tmp_path, text("[{url: {env: HOOK}}, {url: {file: hook}, on: [parked, ended]}]"))[0].plan

    assert plan.notify == (
        PlannedNotification(url=CredentialReference(env="HOOK"), on=ALL_NOTIFICATIONS),
        PlannedNotification(url=CredentialReference(file="hook"), on=("parked", "ended")),
    )
    assert json_form.decode_plan(json_form.encode_plan(plan)) == plan
    lines = "".join(format_head(plan, "20261122-190003412-no-7f3a", lambda path: f"../{path}"))
    assert 'notify: [{url: {env: HOOK}}, {url: {file: "../hook"}, on: [parked, ended]}]\n' in lines


@pytest.mark.promise(9)
@pytest.mark.parametrize(
    "notify",
    [
        f"slack://{SECRET}",
        f"[slack://{SECRET}]",
        f"[{{url: 'slack://{SECRET}'}}]",
        f"[{{'slack://{SECRET}': ended}}]",
        f"[{{url: {{'slack://{SECRET}': x}}}}]",
        f"[{{url: {{env: 'slack://{SECRET}'}}}}]",
    ],
)
def test_a_literal_address_is_refused_and_not_repeated(tmp_path: Path, notify: str) -> None:
    found = "\n".join(read_problems(tmp_path, text(notify)))

    assert "notify" in found
    assert SECRET not in found


@pytest.mark.parametrize(
    ("notify", "told"),
    [
        ("[]", "found an empty list, expected a list of one or more"),
        ("{url: {env: HOOK}}", "found a mapping, expected a list"),
        ("[{on: [ended]}]", "the key url is missing"),
        ("[{url: {env: HOOK}, on: []}]", "found an empty list"),
        ("[{url: {env: HOOK}, on: [paused]}]", "paused"),
        (f"[{', '.join(['{url: {env: HOOK}}'] * 11)}]", "11 places are too many; 10 are the most"),
    ],
)
def test_what_cannot_be_meant_is_a_problem_at_its_line(tmp_path: Path, notify: str, told: str) -> None:
    (found,) = read_problems(tmp_path, text(notify))

    assert told in found
    assert ":3:" in found


def test_without_the_package_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(header, "find_spec", lambda _: None)

    (found,) = read_problems(tmp_path, text("[{url: {env: HOOK}}]"))

    assert "notifications need the package apprise" in found
    assert "pip install 'undeploy-orchestrator[notify]'" in found
