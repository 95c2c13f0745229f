"""Anchors and aliases: useful while small, refused before they explode."""

from __future__ import annotations

from pathlib import Path

from tests.support.plans import HEAD, ONE, ROMA, TOP, load_plan, read_one_problem, read_problems


def test_an_alias_repeats_what_its_anchor_names(tmp_path: Path) -> None:
    other = ROMA.replace("  roma:", "  other:").replace("f0fa1789", "00000000")
    roma = ROMA + "    retry: &patient {attempts: 9}\n"
    text = f"{TOP}gateways:\n{roma}{other}    retry: *patient\n"

    loaded, sink = load_plan(
        tmp_path,
        f"{text}targets:\n  - {{gateway: roma, ld_api_ids: &all [a, b]}}\n"
        "  - {gateway: other, ld_api_ids: *all}\n",
    )

    assert [gateway.retry.attempts for gateway in loaded.plan.gateways] == [9, 9]
    assert [target.id for target in sink.targets] == ["roma/a", "roma/b", "other/a", "other/b"]


def test_an_anchor_among_targets_serves_gateways_that_stand_later(tmp_path: Path) -> None:
    gateways = HEAD.removeprefix(TOP).replace(
        "project_id: 0123456789abcdef0123456789abcdef", "project_id: *id"
    )

    loaded, _ = load_plan(tmp_path, f"{TOP}targets: [{{gateway: roma, ld_api_id: &id a1}}]\n{gateways}")

    assert loaded.targets == 1


def test_an_alias_of_a_whole_target_is_that_target_again(tmp_path: Path) -> None:
    text = f"{HEAD}targets:\n  - &a {{gateway: roma, ld_api_id: x}}\n  - *a\n"
    line = HEAD.count("\n") + 2

    assert read_one_problem(tmp_path, text) == (
        f'plan.yaml:{line + 1}:5 the target "roma/x" is given twice; first at plan.yaml:{line}:5'
    )


def test_anchors_that_explode_are_refused(tmp_path: Path) -> None:
    """Nine levels of nine are four hundred million values."""
    levels = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    levels += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 9)]

    found = read_problems(tmp_path, HEAD + "\n".join(levels) + "\n")

    assert any("the anchor holds 7,381 values, aliases included; at most 1,000 may" in one for one in found)


def test_many_aliases_are_counted_together(tmp_path: Path) -> None:
    big = f"x: &big [{', '.join('x' * 900)}]\n"
    text = f"{HEAD}{big}y: [{', '.join(['*big'] * 1200)}]\n"

    assert "aliases stand for more than 1,000,000 values" in read_problems(tmp_path, text)[-1]


def test_anchors_together_hold_no_more_than_is_sensible(tmp_path: Path) -> None:
    many = "\n".join(f"k{n}: &k{n} [{', '.join('x' * 900)}]" for n in range(12))

    assert "all anchors together hold more than 10,000 values" in read_problems(tmp_path, HEAD + many)[-1]


def test_an_alias_inside_its_own_anchor_is_refused(tmp_path: Path) -> None:
    found = read_problems(tmp_path, f"{HEAD}targets:\n  - &a [*a]\n")

    assert "the alias names no anchor that stands before it" in found[-1]


def test_a_text_whose_first_word_became_an_anchor_is_warned_of(tmp_path: Path) -> None:
    """``reason: &ops gone`` is the text "gone": YAML takes the word away, and nothing else would tell."""
    entry = "{gateway: apim, project: &team P, proxy: x, environment: &e test}"
    other = "{gateway: apim, project: P, proxy: y, environment: *e}"
    loaded, _ = load_plan(tmp_path, f"{HEAD}reason: &ops gone\ntargets: [{entry}, {other}]\n")

    told = [str(one).replace(f"{tmp_path}/", "") for one in loaded.warnings]
    assert loaded.plan.reason == "gone"
    assert [one.partition(": the word behind the &")[0] for one in told] == [
        "plan.yaml:14:9 reason",
        "plan.yaml:15:36 targets[0].project",
    ]
    assert told[0].endswith("and no part of the text; a text that begins with & stands in quotes")


def test_an_anchor_on_a_mapping_gives_no_warning(tmp_path: Path) -> None:
    text = f"{HEAD.replace('auth: {token: {env: APINIZER', 'auth: &a {token: {env: APINIZER')}{ONE}"

    assert not load_plan(tmp_path, text)[0].warnings
