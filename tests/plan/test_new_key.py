"""A new key of a plan is one field of ``PlanHeader``: reader, writer, schema and journal go by the fields."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import pytest
from msgspec import Meta

from orchestrator.model.plan import Plan, PlanHeader
from orchestrator.plan import header, json_form, reader, schema, yaml_text
from tests.support.plans import GATEWAYS, ONE, load_plan, read_problems

Foo = Annotated[int, Meta(ge=1, description="How many foos.")]


class WiderHeader(PlanHeader, frozen=True, kw_only=True):
    """The header after somebody has added the key ``foo``."""

    foo: Foo = 1


class WiderPlan(Plan, frozen=True, kw_only=True):
    """The plan that inherits from that header: no second field stands in the real one."""

    foo: Foo = 1


TEXT = f"version: 1\nname: with-foo\nfoo: 3\n{GATEWAYS}{ONE}"


@pytest.fixture(autouse=True)
def wider_header(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (header, json_form, schema, yaml_text):
        monkeypatch.setattr(module, "PlanHeader", WiderHeader)
    for module in (reader, json_form):
        monkeypatch.setattr(module, "Plan", WiderPlan)


def test_one_field_is_enough_to_read_the_key_and_to_keep_it(tmp_path: Path) -> None:
    plan = load_plan(tmp_path, TEXT)[0].plan

    assert plan.foo == 3  # type: ignore[attr-defined]
    assert json_form.decode_plan(json_form.encode_plan(plan)) == plan
    assert "foo: 3\n" in list(yaml_text.format_head(plan, "20261122-190003412-no-7f3a", str))


def test_one_field_is_enough_to_refuse_what_does_not_fit(tmp_path: Path) -> None:
    (found,) = read_problems(tmp_path, TEXT.replace("foo: 3", "foo: 0"))

    assert "foo: 0 is out of bounds; expected 1 or more" in found


def test_one_field_is_enough_for_the_schema() -> None:
    assert schema.make_plan_schema()["properties"]["foo"] == {
        "type": "integer",
        "minimum": 1,
        "description": "How many foos.",
    }
