"""Which targets a run may touch."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from engine import gateway, target

from orchestrator.errors import UsageError
from orchestrator.journal.database import Database
from orchestrator.journal.draft import Draft
from orchestrator.model import Plan, TargetId, Wave
from orchestrator.plan.targets import Place
from orchestrator.selection import RunOptions, hold

IDS = ("apim/Retail/orders/test", "apim/Retail/orders/production", "apim/Payments/pay/production", "roma/a1")
PLAN = Plan(
    name="p",
    gateways=(
        gateway("apim", url="https://APIM.Example.com:8443/base"),
        gateway("roma", url="https://roma.example.com"),
    ),
    waves=(Wave(name="canary"), Wave(name="rest")),
)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """A journal of four targets; the first two are the canary."""
    draft = Draft(tmp_path / "journal.sqlite")
    for seq, name in enumerate(IDS, start=1):
        made = target(seq, name.partition("/")[0], wave=0 if seq < 3 else 1)
        draft.add(type(made)(seq, TargetId(name), made.gateway, made.wave, made.parts), Place(0, seq, 1))
    draft.finish(("apim", "roma"), {})
    yield draft.database
    draft.close()


def held(database: Database, plan: Plan = PLAN, **options: Any) -> dict[str, str]:
    """What is held back, and why."""
    hold(database, plan, RunOptions(**options))
    return dict(database.rows("SELECT id, reason FROM target WHERE outcome = 'not_started' ORDER BY seq"))


LEFT_OUT = "filtered: left out by --only, --skip or --wave"


@pytest.mark.parametrize(
    ("options", "numbers"),
    [
        ({}, []),
        ({"only": ("apim/**",)}, [3]),
        ({"only": ("apim/*",)}, [0, 1, 2, 3]),
        ({"skip": ("**/production",)}, [1, 2]),
        ({"only": ("apim/Retail/**",), "skip": ("**/test",)}, [0, 2, 3]),
        ({"waves": ("rest",)}, [0, 1]),
        ({"waves": ("rest", "canary")}, []),
        ({"waves": ("rest",), "only": ("apim/**",)}, [0, 1, 3]),
        ({"only": ("APIM/**",)}, [0, 1, 2, 3]),
    ],
)
def test_filters_narrow_a_run(database: Database, options: dict[str, Any], numbers: list[int]) -> None:
    assert held(database, **options) == {IDS[number]: LEFT_OUT for number in numbers}


def test_a_wave_that_the_plan_does_not_have_is_named(database: Database) -> None:
    with pytest.raises(UsageError) as caught:
        held(database, waves=("canary", "rst"))

    assert str(caught.value) == "no wave is named 'rst'; the plan has canary, rest"


def test_what_the_plan_protects_stays_so_whatever_the_filters_say(database: Database) -> None:
    plan = Plan(name="p", gateways=PLAN.gateways, waves=PLAN.waves, protect=("apim/Payments/*/production",))

    assert held(database, plan, only=("apim/Payments/**",), skip=("**",))[IDS[2]] == (
        "protected: apim/Payments/*/production"
    )


@pytest.mark.parametrize(
    ("pattern", "numbers"),
    [
        ("apim/**", [0, 1, 2]),
        ("apim.example.com/**", [0, 1, 2]),
        ("APIM.example.COM/Retail/**", [0, 1]),
        ("apim.example.com/retail/**", []),
        ("*.example.com/**", [0, 1, 2, 3]),
        ("roma.example.com/a1", [3]),
        ("**/production", [1, 2]),
        ("elsewhere.example.com/**", []),
        ("apim.example.com.:8443/**", [0, 1, 2]),
        ("apim.example.com:443/**", []),
    ],
)
def test_a_site_protects_by_gateway_or_by_host(database: Database, pattern: str, numbers: list[int]) -> None:
    """Whatever a plan calls its gateway; the case of a host does not count, nor need its port be named."""
    assert list(held(database, protect=(pattern,))) == [IDS[number] for number in numbers]


def test_a_plan_s_own_pattern_knows_hosts_too(database: Database) -> None:
    plan = Plan(name="p", gateways=PLAN.gateways, waves=PLAN.waves, protect=("apim.example.com/Retail/**",))

    assert list(held(database, plan)) == [IDS[0], IDS[1]]
