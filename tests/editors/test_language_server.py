"""Editors complete, explain and check a plan by the schema that the program writes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from docs.locks import ROOT
from tests.editors.language_server import LanguageServer, find_missing, start_language_server
from tests.support.commands import run_command

pytestmark = [
    pytest.mark.source,
    pytest.mark.long("starts the language server of editors"),
    pytest.mark.skipif(find_missing() is not None, reason=find_missing() or "it is here"),
]

PLAN = """\
# yaml-language-server: $schema=plan.schema.json
version: 1
name: orders
snapshot: bst
gateways:
  apim:
    kind: apinizer
    url: https://apim.example.com
    park_for: 10m
    auth: {token: {env: TOKEN}}
   \x20
targets:
  - {gateway: apim, project: Retail, proxy: orders-api, environments: [test]}
"""


@pytest.fixture
def server(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Iterator[LanguageServer]:
    assert run_command(capfd, "init", tmp_path / "plan.yaml").status == 0
    assert run_command(capfd, "schema", "-o", tmp_path / "plan.schema.json").status == 0
    (tmp_path / "orders.yaml").write_text(PLAN, encoding="utf-8")
    with start_language_server(tmp_path) as server:
        yield server


def test_an_editor_finds_nothing_wrong_in_the_starter_plan(server: LanguageServer) -> None:
    assert server.open("plan.yaml") == []


def test_an_editor_shows_a_wrong_value_as_the_page_says(server: LanguageServer) -> None:
    page = (ROOT / "docs/recipes/editors.md").read_text(encoding="utf-8")
    (told,) = re.findall(r"^```text\n(.*)\n```$", page, re.MULTILINE)

    assert server.open("orders.yaml") == [f"4: {told}"]


def test_an_editor_takes_each_way_to_write_a_time_and_wants_its_offset(
    server: LanguageServer, tmp_path: Path
) -> None:
    for name, time in (("whole", "2027-11-22 22:00+03:00"), ("bare", "2027-11-22T22:00:00")):
        text = PLAN.replace("bst\n", f"best\nwindow: {{opens: {time}}}\n")
        (tmp_path / f"{name}.yaml").write_text(text, encoding="utf-8")

    assert server.open("whole.yaml") == []
    (told,) = server.open("bare.yaml")
    assert told.startswith("5: A time with its offset from UTC is expected, such as 20")


def test_an_editor_explains_a_key(server: LanguageServer) -> None:
    server.open("orders.yaml")

    assert "before its targets are left" in server.explain("orders.yaml", 9, 7)


def test_an_editor_completes_the_keys_of_a_gateway(server: LanguageServer) -> None:
    server.open("orders.yaml")
    offered = server.complete("orders.yaml", 11, 5)

    assert {"limits", "retry", "timeout", "zone"} <= offered.keys()
    assert all(offered[key] for key in ("limits", "retry", "timeout", "zone"))
    assert "kind" not in offered
