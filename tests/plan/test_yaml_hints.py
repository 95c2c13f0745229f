"""An error of YAML's syntax has a hint where the text of its lines proves the cause."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.plans import GATEWAYS, HEAD, ONE, TOP, read_problems

WAVE = f"{HEAD}waves:\n  - name: a\n"
ENTRY = "targets: []\n"
HELD = 'a text that holds ": " stands in quotes'
DEEP = "    auth: {token: {env: A"

SLIPS = {
    "a key too deep": (f"{WAVE}    # why\n     {ENTRY}", "line 17 is indented by 5, line 15's key by 4"),
    "a key too high": (f"{WAVE}   {ENTRY}", "line 16 is indented by 3, line 15's key by 4"),
    "a dash too deep": (f"{WAVE}    {ENTRY}   - name: b\n", "line 17 is indented by 3, line 16's key by 4"),
    "auth too deep": (
        f"{TOP}{GATEWAYS.replace(DEEP, f'  {DEEP}')}{ONE}",
        "line 13 is indented by 6, line 12's key by 4",
    ),
    "a colon in a text": (
        f"{HEAD}{ONE}reason: CHG-4711: gone  # ours\n",
        f'{HELD}: reason: "CHG-4711: gone"',
    ),
    "a colon in a name": (f'{HEAD}waves:\n  - name: The "a": b\n', f"{HELD}: name: 'The \"a\": b'"),
    "a colon at an end": (f"{HEAD}{ONE}reason: CHG-4711:\n", f'{HELD}: reason: "CHG-4711:"'),
    "a colon in a list": (f"{HEAD}targets:\n  - {{gateway: apim, description: a: b}}\n", HELD),
    "no comma": (
        f"{HEAD}targets: [{{gateway: roma ld_api_id: a}}]\n",
        f"a comma is missing, or {HELD}",
    ),
    "a bracket that nothing closes": (
        f"{HEAD}protect: [apim/**\n{ONE}",
        "nothing closes the [ of line 14 before this key, or a comma is missing",
    ),
    "a brace that nothing closes": (
        f"{HEAD}stop_when: {{failed: 20%\n{ONE}",
        "nothing closes the { of line 14 before this key, or a comma is missing",
    ),
    "no comma between two lines": (
        f"{HEAD}targets:\n  - {{gateway: roma\n     ld_api_id: a}}\n",
        "nothing closes the { of line 15 before this key, or a comma is missing",
    ),
    "a colon on a later line": (
        f"{HEAD}targets:\n  - {{gateway: apim,\n     description: a: b}}\n",
        HELD,
    ),
    "a dash before a text": (f"{HEAD}{ONE}reason: - gone\n", "a text that begins with - stands in quotes"),
    "a question mark before a text": (
        f"{HEAD}{ONE}reason: ? gone\n",
        "a text that begins with ? stands in quotes",
    ),
    "a bracket too many": (
        f"{HEAD}protect: [apim/**]]\n{ONE}",
        "the ] closes nothing; take it out",
    ),
    "a brace too many": (
        f"{HEAD}targets:\n  - {{gateway: roma, ld_api_id: a}}}}\n",
        "the } closes nothing; take it out",
    ),
    "a tab before a comment": (f"{TOP}\t# why\n{GATEWAYS}{ONE}", "the line holds a tab; indent with spaces"),
    "no space but a tab behind a dash": (
        f"{HEAD}targets:\n  -\t{{gateway: roma, ld_api_id: a}}\n",
        "the line holds a tab; indent with spaces",
    ),
    "a space that is no ordinary one behind a colon": (
        f"{HEAD}targets:\n  - gateway:\u00a0roma\n    ld_api_id: a\n",
        "the line holds a space that is no ordinary one, \\u00a0 (no-break space); write ordinary spaces",
    ),
    "one before a quote": (
        f'{HEAD}{ONE}reason: \u00a0"a: b"\n',
        "the line holds a space that is no ordinary one, \\u00a0 (no-break space); write ordinary spaces",
    ),
    "a byte order mark in the middle": (
        f"{HEAD}\ufeff{ONE}",
        "the line holds an invisible character, \\ufeff (zero width no-break space); write ordinary spaces",
    ),
    "no space behind a dash": (
        f"{HEAD}targets:\n  -{{gateway: roma, ld_api_id: a}}\n",
        "write a space after the - that begins line 15",
    ),
    "no space behind a second dash": (
        f"{HEAD}{ONE}  -{{gateway: roma, ld_api_id: a}}\n",
        "write a space after the - that begins line 16",
    ),
    "no space behind the dash of a wave": (
        f"{HEAD}waves:\n  -name: a\n    {ENTRY}",
        "write a space after the - that begins line 15",
    ),
    "no space behind a colon": (
        f"version: 1\nname:foo\n{GATEWAYS}{ONE}",
        "write a space after the colon of line 2",
    ),
    "no space behind the first colon": ("version:1\nname: x\n", "write a space after the colon"),
    "no colon": (f"version: 1\nname foo\n{GATEWAYS}{ONE}", "line 2 has no colon after its key"),
    "no space before a mapping": (
        f"{TOP}{GATEWAYS.replace('auth: {token: {env: R', 'auth:{token: {env: R')}{ONE}",
        "write a space after the colon of line 9",
    ),
    "no space in a gateway": (
        f"{TOP}{GATEWAYS.replace('kind: roma', 'kind:roma')}{ONE}",
        "write a space after the colon of line 5",
    ),
    "a percent sign before": (f"{HEAD}{ONE}stop_when: {{failed: %20, unknown: 5%}}\n", "write 20%"),
    "a percent sign in sizes": (f"{WAVE}    sizes: [1, %12.5, 100%]\n", "write 12.5%"),
    "an at sign": (f"{HEAD}{ONE}reason: @ops\n", "a text that begins with @ stands in quotes"),
    "a greater-than sign": (f"{HEAD}{ONE}reason: > x\n", "a text that begins with > stands in quotes"),
    "brackets": (f"{HEAD}{ONE}reason: [CHG-1] x\n", "a text that begins with [ stands in quotes"),
    "an apostrophe": (f"{HEAD}{ONE}reason: 'CHG-4711 API'lerin'\n", "a ' inside '…' is written ''"),
    "an apostrophe in a list": (
        f"{HEAD}targets:\n  - {{gateway: apim, project: 'P'x'}}\n",
        "a ' inside '…' is written ''",
    ),
    "a double quote": (f'{HEAD}{ONE}reason: "a "b" c"\n', 'a " inside "…" is written \\"'),
    "a star": (f"{HEAD}{ONE}protect: [*/production]\n", "a pattern that begins with * stands in quotes"),
    "two stars": (f"{HEAD}{ONE}protect:\n  - **/x\n", "a pattern that begins with * stands in quotes"),
    "a star before a name": (
        f"{HEAD}{ONE}protect: [*apim]\n",
        "a text that begins with * stands in quotes",
    ),
    "an apostrophe of a word processor": (
        f"{HEAD}{ONE}reason: CHG-1: API\u2019lerin\n",
        f'{HELD}: reason: "CHG-1: API\u2019lerin"',
    ),
}


@pytest.mark.parametrize("name", SLIPS)
def test_a_slip_of_syntax_has_a_hint(tmp_path: Path, name: str) -> None:
    text, hint = SLIPS[name]

    assert read_problems(tmp_path, text)[-1].endswith(f"; {hint}")


COLON = f'{HELD}: reason: "a: b"'
INNOCENT = {
    "a tab before a comment of the line before": f"{HEAD}{ONE}snapshot: best\t# ours\nreason: a: b\n",
    "a tab in a text of the line before": f"{HEAD}{ONE}name: a\tb\nreason: a: b\n",
    "a picture in a comment": f"{HEAD}{ONE}reason: a: b  # \u2714\ufe0f\n",
    "a space of people in a comment": f"{HEAD}{ONE}# 5\u00a0kg \u201cours\u201d\nreason: a: b\n",
    "a space of people in a text": f"{HEAD}{ONE}name: 5\u00a0kg\nreason: a: b\n",
}


@pytest.mark.parametrize("name", INNOCENT)
def test_no_hint_blames_a_character_that_is_no_slip(tmp_path: Path, name: str) -> None:
    assert read_problems(tmp_path, INNOCENT[name])[-1].endswith(f"; {COLON}")


SILENT = {
    "a list that nothing closes": f"{HEAD}targets:\n  - {{gateway: roma, ld_api_id: a\n  - {{gateway\n",
    "a quote that nothing closes": f'{HEAD}reason: "abc\n{ONE}',
    "a key at its place": f"{HEAD}waves:\n  - name: a\n    {ENTRY}  name: b\n",
    "an address": f"{HEAD}{ONE}reason: [https://a.example.com\n",
    "a long line": f"{HEAD}{ONE}reason: {'x' * 5000}: y\n",
}


@pytest.mark.parametrize("name", SILENT)
def test_no_hint_is_guessed(tmp_path: Path, name: str) -> None:
    assert ";" not in read_problems(tmp_path, SILENT[name])[-1]


def test_no_hint_repeats_what_may_be_a_credential(tmp_path: Path) -> None:
    for key in ("token", "password", "url", "proxy", "env"):
        (found,) = read_problems(tmp_path, f"{TOP}gateways:\n  roma:\n    {key}: hunter2: x\n")
        assert found.endswith(HELD)
