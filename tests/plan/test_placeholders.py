"""Placeholders that a template has left give warnings, wherever they stand in a plan."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.plans import GATEWAYS, HEAD, ONE, TOP, load_plan, read_problems

PLACES = {
    "a name": (
        f"{HEAD}targets:\n  - {{gateway: apim, project: P, proxy: '{{{{proxy}}}}', environment: e}}\n",
        'plan.yaml:15:5 "{{proxy}}" in the target "apim/P/{{proxy}}/e" looks like a placeholder',
    ),
    "a spreadsheet's, with signs that ids encode": (
        f"{HEAD}targets: [{{gateway: apim, project: P, proxy: x, environment: '<% e %>'}}]\n",
        '"<% e %>" in the target "apim/P/x/<%25 e %25>"',
    ),
    **{
        one: (
            f'{HEAD}targets: [{{gateway: apim, project: "{one}", proxy: x, environment: e}}]\n',
            f'"{one}" in',
        )
        for one in ("$(Project)", "$PROJECT", "@project.name@", "%PROJECT%", "<your project>")
    },
    "an id": (
        f"{HEAD}targets: [{{gateway: roma, ld_api_id: __ID__}}]\n",
        '"__ID__" in the target "roma/__ID__"',
    ),
    "a description": (
        f"{HEAD}targets: [{{gateway: apim, project: P, proxy: x, environment: e, description: '${{W}}'}}]\n",
        '"${W}" in the target "apim/P/x/e"',
    ),
    "the reason": (f"{HEAD}{ONE}reason: ${{CHANGE}}\n", 'plan.yaml:16:9 reason: "${CHANGE}" looks like'),
    "the plan": (f"version: 1\nname: '{{{{ name }}}}'\n{GATEWAYS}{ONE}", 'name: "{{ name }}" looks like'),
    "a wave": (
        f"{HEAD}waves: [{{name: __WAVE__, targets: [{{gateway: roma, ld_api_id: a}}]}}]\n",
        'waves[0].name: "__WAVE__" looks like',
    ),
    "an instance": (
        HEAD.replace("f0fa1789-3b76-433b-a787-9892951c620e", "__INSTANCE__") + ONE,
        'gateways.roma.instance_id: "__INSTANCE__" looks like',
    ),
    "an address": (
        HEAD.replace("https://roma.example.com", "https://${HOST}") + ONE,
        "gateways.roma.url: this looks like a placeholder",
    ),
}


@pytest.mark.parametrize("name", PLACES)
def test_a_placeholder_gives_a_warning_at_its_line(tmp_path: Path, name: str) -> None:
    text, expected = PLACES[name]

    (found,) = load_plan(tmp_path, text)[0].warnings

    assert expected in str(found)


def test_the_arguments_of_a_command_give_no_warning(tmp_path: Path) -> None:
    text = HEAD.replace("{env: ROMA_TOKEN}", "{command: [sh, -c, 'echo ${TOKEN}']}") + ONE

    assert not load_plan(tmp_path, text)[0].warnings


def test_a_sound_plan_gives_no_warning(tmp_path: Path) -> None:
    assert not load_plan(
        tmp_path, f'{TOP}{GATEWAYS}{ONE}reason: "50% off {{a}}, a@b.example, $5, <b>not</b>"\n'
    )[0].warnings


@pytest.mark.parametrize(("name", "sign"), [("C#", "#"), ("x?", "?"), ("x%3f", "?"), ("x%2523y", "#")])
def test_a_name_that_ends_an_address_once_decoded_gives_a_warning(
    tmp_path: Path, name: str, sign: str
) -> None:
    row = f"{{gateway: apim, project: P, proxy: '{name}', environment: e}}"
    told = [str(warning) for warning in load_plan(tmp_path, f"{HEAD}targets:\n  - {row}\n")[0].warnings]

    assert [f"holds {sign}: if a proxy on the way decodes the address" in one for one in told] == [True]


QUOTED = "\u201c{}\u201d"
"""A text in the quotes of a word processor."""


@pytest.mark.parametrize(
    ("before", "text"),
    [
        ("kind: ", "roma"),
        ("url: ", "https://roma.example.com"),
        ("env: ", "ROMA_TOKEN"),
        ("gateway: ", "roma"),
        ("ld_api_id: ", "a1"),
        ("after: [", "roma/a2"),
        ("protect: [", "apim/P/**"),
        ("opens: ", "2026-12-01T22:00:00+03:00"),
    ],
)
def test_a_refused_text_in_curly_quotes_wants_straight_ones(tmp_path: Path, before: str, text: str) -> None:
    top = "window: {opens: 2026-12-01T22:00:00+03:00}\nprotect: [apim/P/**]\n"
    whole = f"{HEAD}{top}{ONE[:-2]}, after: [roma/a2]}}\n  - {{ld_api_id: a2, gateway: roma}}\n"
    at = whole.rindex(before + text) + len(before)

    found = read_problems(tmp_path, whole[:at] + QUOTED.format(text) + whole[at + len(text) :])

    assert any(one.endswith("; write straight quotes") for one in found), found


def test_a_name_in_curly_quotes_is_warned_of(tmp_path: Path) -> None:
    entry = f"{{gateway: apim, project: {QUOTED.format('P')}, proxy: p\u2019s, environment: e}}"

    warnings = load_plan(tmp_path, f"{HEAD}reason: {QUOTED.format('x')}\ntargets: [{entry}]\n")[0].warnings

    assert [one.message.partition(",")[0] for one in warnings] == [
        f'"{QUOTED.format("x")}" stands in the quotes of a word processor',
        (
            '"\u201cP\u201d" in the target "apim/\u201cP\u201d/p\u2019s/e"'
            " stands in the quotes of a word processor"
        ),
    ]


@pytest.mark.parametrize("word", ["null", "NULL", "Null", "~", "None", "NaN", "nan", "undefined"])
def test_a_word_for_no_value_is_a_text_with_a_warning(tmp_path: Path, word: str) -> None:
    (tmp_path / "t.csv").write_text(f"project,proxy,environment,description\nP,x,{word},\nP,y,e,{word}\n")
    entries = (
        f"{{gateway: apim, project: P, proxy: {word}, environment: e}}, {{gateway: apim, from_file: t.csv}}"
    )

    loaded, sink = load_plan(tmp_path, f"{HEAD}reason: {word}\ntargets: [{entries}]\n")

    assert (loaded.plan.reason, sink.targets[0].parts[1]) == (word, word)
    told = [str(one).replace(f"{tmp_path}/", "") for one in loaded.warnings]
    assert [
        one.partition(" is read as a text, and programs write it where they have none")[0] for one in told
    ] == [
        f'plan.yaml:14:9 reason: "{word}"',
        f'plan.yaml:15:11 "{word}" in the target "apim/P/{word}/e"',
        f't.csv:2:1 "{word}" in the target "apim/P/x/{word}"',
        f't.csv:3:1 "{word}" in the target "apim/P/y/e"',
    ]
    assert told[0].endswith("; leave the key out if nothing is meant")


def test_a_word_for_no_value_gives_no_warning_in_quotes_or_within_a_text(tmp_path: Path) -> None:
    entry = "{gateway: apim, project: nullable, proxy: x~, environment: 'e ~'}"

    assert not load_plan(tmp_path, f"{HEAD}reason: 'null'\ntargets: [{entry}]\n")[0].warnings


def test_a_star_in_the_name_of_a_target_gives_a_warning(tmp_path: Path) -> None:
    entry = "{gateway: apim, project: P, proxies: ['*', 'v1-*'], environment: e}"

    loaded, sink = load_plan(tmp_path, f"{HEAD}targets: [{entry}]\n")

    assert [target.parts[1] for target in sink.targets] == ["*", "v1-*"]
    assert [one.message for one in loaded.warnings] == [
        f'"apim/P/{name}/e" is an id, in which * stands for itself; --only and discover take patterns'
        for name in ("*", "v1-*")
    ]
