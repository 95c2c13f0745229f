"""Each key whose text has a form refuses a wrong text in words; a regular expression is none."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from orchestrator.errors import PlanError
from orchestrator.gateways import KINDS
from orchestrator.plan.patterns import find_fault
from orchestrator.plan.schema import make_plan_schema
from tests.support.plans import load_plan, read_problems

SCHEMA = make_plan_schema()
WRONG = ("\N{LATIN SMALL LETTER U WITH DIAERESIS} /;", "a\u0007b")
"""One or the other fits no form at all; neither holds what a regular expression has."""
EXPRESSION = re.compile(r"\[[^\]\s]+-[^\]\s]+\]|\{[0-9]+(?:,[0-9]*)?\}|\(\?|\\[AZbdsw.]|\^[(\[]|[)\]][*+?$]")

Path_ = tuple[str | int, ...]


def find_formed(schema: dict[str, Any], path: Path_ = ()) -> Iterator[Path_]:
    """Yield the place of each value below ``schema`` whose text must match an expression."""
    if "pattern" in schema:
        yield path
    for option in schema.get("anyOf", ()):
        yield from find_formed(option, path)
    for key, value in schema.get("properties", {}).items():
        yield from find_formed(value, (*path, key))
    if "items" in schema:
        yield from find_formed(schema["items"], (*path, 0))


def make_plan(kind: str) -> dict[str, Any]:
    """Return a plan of one gateway of this kind, with one target in one wave."""
    gateway = {"kind": kind, "url": "https://a.example.com", "auth": {"token": {"env": "TOKEN"}}}
    target = {"gateway": "g"}
    for name, schema in SCHEMA["$defs"][kind]["properties"].items():
        if name in SCHEMA["$defs"][kind]["required"]:
            gateway.setdefault(name, schema.get("examples", [""])[0])
    for coordinate in KINDS[kind].COORDINATES:
        target[coordinate.name] = coordinate.examples[0]
    waves = [{"name": "w", "targets": [target]}]
    return {"version": 1, "name": "x", "gateways": {"g": gateway}, "waves": waves}


def list_places() -> Iterator[tuple[str, Path_]]:
    """Yield each formed value of a plan: the kind of its gateway, and its place."""
    top = {key: value for key, value in SCHEMA["properties"].items() if key not in {"waves", "targets"}}
    wave = {key: value for key, value in SCHEMA["$defs"]["wave"]["properties"].items() if key != "targets"}
    first = next(iter(KINDS))
    yield from ((first, path) for path in find_formed({"properties": top}))
    yield from ((first, ("waves", 0, *path)) for path in find_formed({"properties": wave}))
    yield first, ("waves", 0, "targets", 0, "from_file")
    for kind in KINDS:
        for path in find_formed(SCHEMA["$defs"][kind]):
            yield kind, ("gateways", "g", *path)
        for path in find_formed(SCHEMA["$defs"][f"{kind}-target"]):
            yield kind, ("waves", 0, "targets", 0, *path)


PLACES = list(list_places())


def put(plan: dict[str, Any], path: Path_, value: object) -> None:
    """Set the value at ``path``, and make what leads there."""
    at: Any = plan
    for step, following in pairwise(path):
        empty: Any = [] if isinstance(following, int) else {}
        if isinstance(at, dict):
            at = at.setdefault(step, empty)
        else:
            at += [empty] * (len(at) <= int(step))
            at = at[step]
    if isinstance(at, dict):
        at[path[-1]] = value
    else:
        at[:] = [value]


def name_place(given: object) -> str:
    return given if isinstance(given, str) else ".".join(map(str, given))  # type: ignore[arg-type]


def read_all_problems(folder: Path, kind: str, path: Path_) -> list[str]:
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
    found = {name_place(path) for _, path in PLACES}

    assert len(PLACES) > 60
    assert {"parent", "gateways.g.zone", "gateways.g.project_id", "waves.0.name"} <= found
    assert "gateways.g.usage.elasticsearch.index" in found
    assert "waves.0.targets.0.revision" in found


@pytest.mark.parametrize(("kind", "path"), PLACES, ids=name_place)
def test_a_wrong_text_is_refused_in_words(tmp_path: Path, kind: str, path: Path_) -> None:
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
