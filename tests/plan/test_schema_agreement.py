"""The schema and the reader judge the same documents in the same way, apart from a list of exceptions.

Documents are made from sound plans, which together have every key, by changes at places that a seed draws.
"""

from __future__ import annotations

import copy
import json
import random
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from orchestrator.errors import PlanError
from orchestrator.plan.reader import read_plan
from orchestrator.plan.schema import make_plan_schema
from orchestrator.plan.target_sink import TargetList
from tests.plan.test_schema import list_properties
from tests.support.plan_places import KeyPath

VALIDATOR = jsonschema.Draft202012Validator(make_plan_schema())

ROMA = {
    "kind": "roma", "url": "https://r.example.com", "project_id": "p1", "instance_id": "i1",
    "auth": {"token": {"env": "T"}},
}  # fmt: skip
APIM = {
    "kind": "apinizer", "url": "https://a.example.com",
    "auth": {"login": {"user": "u", "password": {"file": "x"}}},
}  # fmt: skip
WSO2 = {"kind": "wso2", "url": "https://w.example.com", "auth": {"token": {"command": ["pass", "x"]}}}
TLS = {"ca_file": "x", "cert_file": "c", "key_file": "k", "insecure": False}
STORE = {
    "url": "https://e", "index": "i-*", "auth": {"user": "u", "password": {"env": "P"}}, "tls": TLS,
    "proxy": "http://p",
}  # fmt: skip

PLANS: list[dict[str, Any]] = [
    {
        "version": 1,
        "name": "short",
        "gateways": {"r": ROMA, "a": APIM},
        "targets": [
            {"gateway": "r", "ld_api_id": "q1"},
            {"gateway": "a", "project": "P", "proxy": "p", "environment": "e", "description": "d",
             "persistent": True, "after": ["r/q1"]},
        ],
    },
    {
        "version": 1,
        "name": "whole",
        "parent": "20261122-190003412-x-7f3a",
        "reason": "why",
        "window": {"opens": "2026-11-22T22:00:00+03:00", "closes": "2026-11-23T22:00:00+03:00"},
        "stop_when": {"failed": "20%", "unknown": 5, "surprising": "50%"},
        "protect": ["a/P/**"],
        "at_most": 50,
        "snapshot": "best",
        "in_use": "warn",
        "in_use_over": "5/72h",
        "approval": "none",
        "notify": [{"url": {"env": "U"}, "on": ["started"]}],
        "gateways": {
            "r": {**ROMA, "api_version": "v2", "limits": {"concurrency": 5, "rate": "5/s"}, "look": "always",
                  "retry": {"attempts": 3, "first": "1s", "ceiling": "5s"}, "absent": "ok", "timeout": "5s",
                  "park_for": "5m", "zone": "z", "tls": TLS, "proxy": "http://p:3128"},
            "a": {**APIM, "usage": {"elasticsearch": STORE}},
            "w": {**WSO2, "api_version": "v4"},
        },
        "waves": [
            {"name": "one", "sizes": [1, "10%", "100%"], "pause_after": "5m", "proceed": "ask",
             "targets": [{"gateway": "r", "ld_api_ids": ["q1", "q2"]},
                         {"gateway": "a", "project": "P", "proxies": ["p"], "environments": ["e", "f"]}]},
            {"name": "two", "targets": [{"gateway": "r", "ld_api_id": "q3", "after": ["r/q1", "a/P/p/e"]},
                                        {"gateway": "a", "from_file": "t.csv"}]},
        ],
    },
    {
        "version": 1,
        "name": "ways in",
        "gateways": {
            "r": {**ROMA, "auth": {"iam": {"url": "https://iam", "user": "u", "domain": "d",
                                           "password": {"keyring": "s/u"}}}},
            "k": {**ROMA, "instance_id": "i2",
                  "auth": {name: {"env": name} for name in ("access_key", "secret_key", "security_token")}},
            "a": {**APIM, "usage": {"elasticsearch": {**STORE, "auth": {"api_key": {"env": "K"}}}}},
            "b": {**APIM, "url": "https://b",
                  "usage": {"elasticsearch": {**STORE, "auth": {"token": {"env": "K"}}}}},
        },
        "waves": [{"name": "w", "targets": [{"gateway": "r", "ld_api_id": "q1"},
                                            {"gateway": "k", "ld_api_ids": ["q1"], "after": ["r/q1"]}]}],
    },
]  # fmt: skip

VALUES: list[Any] = [
    True, False, 0, 1, -1, 5, 1.5, 1e3, 10**20, "", " ", "a", "a ", " a", "a b", "no", "on", "y", "null", "~",
    "<<", "=", "1", "5", "05", "0x1", "0o17", "1e3", "1:30", "+1", ".5", ".inf", ".nan", "1_000",
    "5m", "0s", "05m", "25h", "1d", "20/s", "0/s", "0.1/h", "007/m", "20%", "101%", "100%", "0%", "050%",
    "a/b", "a//b", "r/q1", "r/q2", "a/P/p/e", "a/P/*/e", "r/*", "**", "z/**", "x/y",
    "..", "a/../b", "%2e%2e", "%zz",
    "a;b", "a?b", "a#b", "$X", "${X}", "{{x}}", "http://x", "https://x", "HTTPS://x/", "http://u:p@x",
    "https://x/?q", "https://x:0", "ftp://x", "https://x/y", "x" * 65, "x" * 5000,
    "\u00e9", "e\u0301", "\u00a0", "a\u00a0b", "a\u200b", "a\nb", "a\tb", "\ufeff",
    "\U0001f600", "\u2028", "\u65e5",
    "t.csv", "T.CSV", "../t.csv", "t.txt", "v1", "v2", "v4", "roma", "apinizer", "wso2", "ROMA",
    "best", "off", "ask", "warn", "refuse", "ignore", "none", "digest", "signed", "always", "fail",
    "ok", "ended",
    "2026-11-22T22:00:00+03:00", "2030-11-22 22:00Z", "2026-11-22", "2026-02-30T22:00Z", "1999-01-01T00:00Z",
    "2026-11-22T22:00:00", "2026-11-22T22:00+03:60", "2026-11-22T22:00+24:00",
    "20261122-190003412-x-7f3a", "5/72h", "0/1h", "5/73h", "5/072h", "5/0h", [], {}, [1], ["a"], ["a", "a"],
    ["r/q1"], ["r/q1", "r/q1"], [[]], [{}], {"a": 1}, {"env": "X"}, {"env": "X", "file": "y"}, {"env": ""},
    {"file": "x"}, {"command": ["x"]}, {"command": []}, {"command": "x"}, {"keyring": "x"},
    {"keyring": "x/y"},
    {"token": {"env": "X"}}, [1, "100%"], ["100%"], [1, 1, "100%"], ["10%", "5%", "100%"], [5],
    ["started", "started"], ["a/**"], [""], {"opens": "2026-11-22T22:00:00+03:00"}, {"url": {"env": "X"}},
    [{"url": {"env": "X"}}], [{"url": {"env": "X"}}] * 11, {"gateway": "r", "ld_api_id": "zz"},
    {"gateway": "a", "project": "P", "proxy": "y", "environment": "e"}, {"gateway": "r"},
]  # fmt: skip
"""What may stand in a plan, and what only looks so. Not ``null``: it is a text to the reader alone."""

KEYS = sorted({path.rpartition("/")[2] for path, _ in list_properties(make_plan_schema())} | {"", "x", "id"})

EXCEPTIONS = re.compile(
    # What only the whole plan tells, or the files beside it:
    r"no gateway is named|is no target of this plan|is given twice|is the same as|plan has no such gateway"
    r"|comes after itself|wait for each other|is in a later wave|stands already at|targets, more than"
    r"|a step goes no further|a step after 100%|closes before it opens|ceiling is shorter|first is longer"
    r"|refers to the same place as"
    r'|\.(csv|CSV)" (does not exist|leaves the plan\'s folder)'
    # The keys of a target, the form of an id and that of a pattern: they depend on the kind of its gateway.
    r"|does not belong to a target|the key (project|proxy|environment|ld_api_id|api|revision)\b.* is missing"
    r"|is no id of a target|matches no target's id|is not an id of ROMA|holds a %|holds a part"
    r"|no part of an id is empty"
    # What a regular expression cannot say, or only as a riddle for whoever edits a plan:
    r"|holds the piece|holds a space that is no ordinary one|holds an invisible character"
    r"|holds a line break or a control character|is longer than 24h|is more than 100000/s|is less than one an"
    r"|is no time that exists|has no host, or no port|places are too many|(begins|ends) with a"
    r"|this is not the path of a file"
)
"""The problems of plans that the schema may accept all the same."""


SLIPS: list[Callable[[str], str]] = [
    lambda text: re.sub("([0-9])", r"0\1", text, count=1),
    lambda text: re.sub("[0-9]+", "99", text),
    lambda text: re.sub("[0-9]", "0", text),
    lambda text: re.sub("([^A-Za-z0-9])", r"\1\1", text, count=1),
    lambda text: re.sub("[^A-Za-z0-9]", "", text, count=1),
    lambda text: text[:-1],
    lambda text: text[1:],
    lambda text: f"{text} ",
    str.upper,
    str.swapcase,
    lambda text: text * 2,
]
"""Slips of whoever types a value."""


def list_paths(value: Any, path: KeyPath = ()) -> Iterator[KeyPath]:
    yield path
    for key in value if isinstance(value, dict) else range(len(value) if isinstance(value, list) else 0):
        yield from list_paths(value[key], (*path, key))


def change(roll: random.Random, plan: dict[str, Any]) -> bool:
    """Set, add, repeat, copy or remove one value; return whether a number or a flag came in."""
    path = roll.choice([path for path in list_paths(plan) if path])
    parent: Any = plan
    for step in path[:-1]:
        parent = parent[step]
    place, value = path[-1], copy.deepcopy(roll.choice(VALUES))
    match roll.choices(("set", "slip", "add", "remove", "repeat"), (50, 20, 12, 10, 8))[0]:
        case "slip" if isinstance(parent[place], str):
            parent[place] = roll.choice(SLIPS)(parent[place])
        case "add" if isinstance(parent[place], dict):
            parent[place][roll.choice(KEYS)] = value
        case "remove":
            del parent[place]
        case "repeat" if isinstance(parent, list):
            parent.append(copy.deepcopy(roll.choice(parent)))
        case "repeat":
            value = parent[roll.choice(KEYS)] = copy.deepcopy(parent[place])
        case _:
            parent[place] = value
    return isinstance(value, int | float)


def list_faults(folder: Path, plan: dict[str, Any]) -> list[str]:
    (folder / "plan.yaml").write_text(json.dumps(plan))
    try:
        read_plan(folder / "plan.yaml", TargetList())
    except PlanError as error:
        return [problem.message for problem in error.problems]
    return []


def compare(folder: Path, seed: int, documents: int) -> None:
    """Fail at a document that one of the two accepts and the other refuses, unless an exception tells why."""
    roll = random.Random(seed)
    for name in ("t.csv", "T.CSV"):
        (folder / name).write_text("project,proxy,environment\nX,y,z\n")
    accepted = 0
    for number in range(documents):
        plan = copy.deepcopy(PLANS[number % len(PLANS)])
        # Editors take 0123 for a number, where a plan means a text: so the schema takes any number for one.
        is_loose = sum(change(roll, plan) for _ in range(roll.choice((0, 1, 1, 1, 1, 2)))) > 0
        faults, refusals = list_faults(folder, plan), list(VALIDATOR.iter_errors(plan))
        accepted += not faults
        if not faults:
            assert [one.message for one in refusals] == [], plan
        elif not refusals and not is_loose:
            assert [one for one in faults if EXCEPTIONS.search(one) is None] == [], plan
    # Of one-sided documents neither side of the comparison would be tested.
    assert documents / 10 < accepted < documents * 0.9


def test_the_schema_agrees_with_the_reader_on_changed_plans(tmp_path: Path) -> None:
    compare(tmp_path, 1, 300)


@pytest.mark.long("reads and judges thousands of plans")
@pytest.mark.parametrize("seed", range(2, 10))
def test_the_schema_agrees_with_the_reader_on_many_changed_plans(tmp_path: Path, seed: int) -> None:
    compare(tmp_path, seed, 1_500)
