"""Plans for tests: a sound head to put targets under, and short ways to read a text as a plan."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from orchestrator.errors import PlanError
from orchestrator.plan.reader import ParsedPlan, read_plan
from orchestrator.plan.target_sink import TargetList

ROMA = """\
  roma:
    kind: roma
    url: https://roma.example.com
    project_id: 0123456789abcdef0123456789abcdef
    instance_id: f0fa1789-3b76-433b-a787-9892951c620e
    auth: {token: {env: ROMA_TOKEN}}
"""
APIM = """\
  apim:
    kind: apinizer
    url: https://apim.example.com
    auth: {token: {env: APINIZER_TOKEN}}
"""
TOP = "version: 1\nname: test\n"
GATEWAYS = f"gateways:\n{ROMA}{APIM}"
HEAD = f"{TOP}{GATEWAYS}"
EITHER = "targets:\n  - {gateway: apim, project: P, proxy: p, environment: e}\n"
ONE = "targets:\n  - {gateway: roma, ld_api_id: a1}\n"
UNSENT = """\
version: 1
name: far
gateways:
  a: {kind: apinizer, url: https://a.example.com, auth: {token: {env: NOT_SET_HERE}}}
targets: [{gateway: a, project: P, proxy: p, environment: e}]
"""
"""A plan of one target, whose credential stands nowhere: nothing of it can be sent."""


AUTH_KEYS = {
    "token": "token: {env: T}",
    "iam": "iam: {url: 'https://iam.example.com', user: u, domain: d, password: {env: P}}",
    "login": "login: {user: u, password: {env: P}}",
    "access_key": "access_key: {env: AK}",
    "secret_key": "secret_key: {env: SK}",
    "security_token": "security_token: {env: ST}",
}


def replace_auth(gateway: str, *keys: str) -> str:
    """Return ``gateway`` with these keys under ``auth``."""
    head, _, _ = gateway.partition("    auth:")
    return f"{head}    auth: {{{', '.join(AUTH_KEYS[key] for key in keys)}}}\n"


def load_plan(
    folder: Path, text: str | bytes, *, instead: Sequence[str] | None = None
) -> tuple[ParsedPlan, TargetList]:
    """Write ``text`` as plan.yaml into ``folder`` and read it."""
    path = folder / "plan.yaml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    sink = TargetList()
    return read_plan(path, sink, instead=instead), sink


def list_ids(folder: Path, entry: str) -> list[str]:
    """Return the ids of the targets that one entry names."""
    _, sink = load_plan(folder, f"{HEAD}targets:\n  - {entry}\n")
    return [str(target.id) for target in sink.targets]


def read_problems(folder: Path, text: str | bytes, *, instead: Sequence[str] | None = None) -> list[str]:
    """Return the problems of a plan, each without its folder: ``plan.yaml:3:7 key: what``."""
    with pytest.raises(PlanError) as caught:
        load_plan(folder, text, instead=instead)
    return [str(problem).replace(f"{folder}/", "") for problem in caught.value.problems]


def read_one_problem(folder: Path, text: str | bytes, *, instead: Sequence[str] | None = None) -> str:
    """Return the one problem of a plan."""
    (only,) = read_problems(folder, text, instead=instead)
    return only
