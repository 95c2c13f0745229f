"""Each key whose text has a form refuses a wrong text in words; a regular expression is none."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from pathlib import Path

import pytest

from orchestrator.errors import PlanError
from orchestrator.gateways import KINDS
from orchestrator.plan.patterns import find_fault
from tests.support.plan_places import PLACES, KeyPath, make_plan, name_place, put
from tests.support.plans import load_plan, read_problems

WRONG = ("\N{LATIN SMALL LETTER U WITH DIAERESIS} /;", "a\u0007b")
"""One or the other fits no form at all; neither holds what a regular expression has."""
EXPRESSION = re.compile(r"\[[^\]\s]+-[^\]\s]+\]|\{[0-9]+(?:,[0-9]*)?\}|\(\?|\\[AZbdsw.]|\^[(\[]|[)\]][*+?$]")


def read_all_problems(folder: Path, kind: str, path: KeyPath) -> list[str]:
    told: list[str] = []
    for value in WRONG:
        plan = make_plan(kind)
        put(plan, path, value)
        with suppress(PlanError):
            load_plan(folder, json.dumps(plan))
            continue
        told += read_problems(folder, json.dumps(plan))
    return told


def test_the_plans_of_these_tests_have_no_fault_of_their_own(tmp_path: Path) -> None:
    for kind in KINDS:
        load_plan(tmp_path, json.dumps(make_plan(kind)))


def test_the_table_has_every_sort_of_key() -> None:
    found = {name_place(place.path) for place in PLACES}

    assert len(PLACES) > 60
    assert {"parent", "gateways.g.zone", "gateways.g.project_id", "waves.0.name"} <= found
    assert "gateways.g.usage.elasticsearch.index" in found
    assert "waves.0.targets.0.revision" in found


@pytest.mark.parametrize(("kind", "path"), [place[:2] for place in PLACES], ids=name_place)
def test_a_wrong_text_is_refused_in_words(tmp_path: Path, kind: str, path: KeyPath) -> None:
    told = read_all_problems(tmp_path, kind, path)

    assert told
    assert [text for text in told if EXPRESSION.search(text)] == []


WSO2 = json.dumps(make_plan("wso2"))


@pytest.mark.parametrize(
    "text", ["missing", "7A2298C4-C905-403F-8FAC-38C73301631F", "7a2298c4c905403f8fac38c73301631f"]
)
def test_what_is_no_uuid_names_no_api_of_wso2(tmp_path: Path, text: str) -> None:
    plan = json.loads(WSO2)
    plan["waves"][0]["targets"][0]["api"] = text

    (problem,) = read_problems(tmp_path, json.dumps(plan))

    assert problem.endswith(
        f'.api: "{text}" is not a UUID; write it as the Publisher shows it, such as'
        " 7a2298c4-c905-403f-8fac-38c73301631f"
    )


@pytest.mark.parametrize(
    ("pattern", "may"),
    [
        ("g/7a2298c4*/**", True),
        ("g/*-38c73301631f/*/Default", True),
        ("g/ORDERS*/**", False),
        ("g/7a22/*/*", False),
    ],
)
def test_a_pattern_may_hold_a_part_of_a_uuid(tmp_path: Path, pattern: str, may: bool) -> None:
    plan = load_plan(tmp_path, WSO2)[0].plan

    assert (find_fault(pattern, plan.gateways) is None) is may
