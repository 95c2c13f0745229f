"""The places of a plan in which a text of some form stands, by the schema, and plans with a value there."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any, NamedTuple, TypeAlias

from orchestrator.gateways import KINDS
from orchestrator.plan.schema import make_plan_schema

SCHEMA = make_plan_schema()
KeyPath: TypeAlias = tuple[str | int, ...]
"""The keys, and the places in lists, that lead to a value of a plan."""


def find_formed(schema: dict[str, Any], path: KeyPath = ()) -> Iterator[tuple[KeyPath, str]]:
    """Yield the place of each value below ``schema`` whose text must match an expression, and that."""
    if "pattern" in schema:
        yield path, schema["pattern"]
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


class PlanPlace(NamedTuple):
    """A place of a plan whose value has a form: the kind of the plan's gateway, the keys that lead there."""

    kind: str
    path: KeyPath
    expression: str


def list_places() -> Iterator[PlanPlace]:
    """Yield each formed value of a plan."""
    top = {key: value for key, value in SCHEMA["properties"].items() if key not in {"waves", "targets"}}
    wave = {key: value for key, value in SCHEMA["$defs"]["wave"]["properties"].items() if key != "targets"}
    first = next(iter(KINDS))
    file = SCHEMA["$defs"]["file"]["properties"]
    yield from (PlanPlace(first, *found) for found in find_formed({"properties": top}))
    yield from (PlanPlace(first, *found) for found in find_formed({"properties": wave}, ("waves", 0)))
    yield PlanPlace(first, ("waves", 0, "targets", 0, "from_file"), file["from_file"]["pattern"])
    for kind in KINDS:
        for found in find_formed(SCHEMA["$defs"][kind], ("gateways", "g")):
            yield PlanPlace(kind, *found)
        for found in find_formed(SCHEMA["$defs"][f"{kind}-target"], ("waves", 0, "targets", 0)):
            yield PlanPlace(kind, *found)


PLACES = list(list_places())
FORMS = list({place.expression: place for place in reversed(PLACES)}.values())
"""The first place for each expression of the schema."""


def put(plan: dict[str, Any], path: KeyPath, value: object) -> None:
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
