"""Targets given by id on the command line, instead of the plan's own."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from orchestrator.errors import UnfitError
from orchestrator.model.plan import Wave
from orchestrator.plan.given_targets import read_given_targets
from tests.support.plans import HEAD, load_plan, read_one_problem, read_problems

PLAN = f"""\
{HEAD}waves:
  - name: first
    targets:
      - {{gateway: apim, project: a/b, proxy: 5%, environment: test, description: why, persistent: true}}
  - name: second
    targets:
      - {{gateway: roma, ld_api_ids: [a, b]}}
"""


def test_given_ids_are_one_wave_in_their_own_order(tmp_path: Path) -> None:
    loaded, sink = load_plan(tmp_path, PLAN, instead=["roma/z", "apim/a%2Fb/5%25/test", "roma/a"])

    assert [(target.seq, target.id, target.wave) for target in sink.targets] == [
        (1, "roma/z", 0),
        (2, "apim/a%2Fb/5%25/test", 0),
        (3, "roma/a", 0),
    ]
    assert sink.targets[1].parts == ("a/b", "5%", "test")
    assert loaded.plan.waves == (Wave(name="targets"),)
    assert (loaded.targets, loaded.by_wave) == (3, {"targets": 3})
    assert loaded.by_gateway == {"roma": 2, "apim": 1}


def test_the_options_of_a_target_that_the_plan_lists_are_kept(tmp_path: Path) -> None:
    _, sink = load_plan(tmp_path, PLAN, instead=["apim/a%2Fb/5%25/test", "apim/a%2Fb/5%25/production"])

    assert [(target.description, target.persistent) for target in sink.targets] == [
        ("why", True),
        (None, None),
    ]


def test_the_digest_covers_the_ids(tmp_path: Path) -> None:
    digests = {
        load_plan(tmp_path, PLAN, instead=given)[0].digest
        for given in (None, ["roma/a"], ["roma/a", "roma/b"], ["roma/b", "roma/a"], ["roma/ab"])
    }

    assert len(digests) == 5


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("rma/a", '--target: "rma/a": the plan has no such gateway; did you mean "roma"?'),
        ("zzz/a", '--target: "zzz/a": the plan has no such gateway; the gateways are roma, apim'),
        ("a1", '--target: "a1" is no id of a target: the gateway is missing; write the gateway\'s name'),
        ("roma", '--target: "roma" is no id of a target there; its form is roma/<ld_api_id>'),
        ("apim/a/b", "its form is apim/<project>/<proxy>/<environment>"),
        ("roma/a/b", "its form is roma/<ld_api_id>"),
        ("roma/a b", '--target: "roma/a b": ld_api_id "a b" is not an id of ROMA'),
        ("apim/a/../c", '"apim/a/../c": proxy ".." would vanish from an address'),
        ("apim/a//c", '"apim/a//c": proxy is empty'),
        ("apim/a/50%/c", "holds a % that is neither %25 nor %2F"),
        ("apim/a/%2f/c", "holds a % that is neither %25 nor %2F"),
        ("", '--target: "": the plan has no such gateway'),
    ],
)
def test_a_text_that_is_no_id_is_refused(tmp_path: Path, given: str, expected: str) -> None:
    assert expected in read_one_problem(tmp_path, PLAN, instead=[given])


def test_an_id_twice_is_refused(tmp_path: Path) -> None:
    found = read_one_problem(tmp_path, PLAN, instead=["roma/a", "roma/a"])

    assert found == '--target number 2: the target "roma/a" is given twice; first at --target number 1'


def test_no_id_at_all_is_refused(tmp_path: Path) -> None:
    assert read_one_problem(tmp_path, PLAN, instead=[]) == "--target: no target is given"


def test_at_most_holds_for_given_ids_and_not_for_the_plans_own(tmp_path: Path) -> None:
    text = f"{PLAN}at_most: 2\n"

    assert load_plan(tmp_path, text, instead=["roma/a", "roma/b"])[0].targets == 2
    assert "at_most: the given ids are 3 targets, more than 2" in read_one_problem(
        tmp_path, text, instead=["roma/a", "roma/b", "roma/c"]
    )


def test_problems_of_the_plan_are_reported_with_those_of_the_ids(tmp_path: Path) -> None:
    found = read_problems(tmp_path, f"{PLAN}      - {{gateway: nobody}}\n", instead=["roma/"])

    assert [problem.partition(":")[0] for problem in found] == ["plan.yaml", "--target"]


@pytest.mark.parametrize(("written", "given"), [("o\u0308", "\u00f6"), ("\u00f6", "o\u0308")])
def test_an_id_finds_the_target_that_the_plan_spells_with_the_other_form_of_an_accent(
    tmp_path: Path, written: str, given: str
) -> None:
    """The plan's spelling is sent: a gateway knows a name by its bytes."""
    entry = f"{{gateway: apim, project: P, proxy: {written}, environment: e, persistent: true}}"
    text = f"{HEAD}targets: [{entry}]\n"

    _, sink = load_plan(tmp_path, text, instead=[f"apim/P/{given}/e"])

    assert [(target.parts, target.persistent) for target in sink.targets] == [(("P", written, "e"), True)]


def test_a_plan_of_gateways_alone_is_enough(tmp_path: Path) -> None:
    loaded, sink = load_plan(tmp_path, HEAD, instead=["roma/a"])

    assert [target.id for target in sink.targets] == ["roma/a"]
    assert loaded.by_wave == {"targets": 1}
    assert "the plan has no targets" in read_one_problem(tmp_path, HEAD)


def test_each_fault_is_reported_where_the_id_was_given(tmp_path: Path) -> None:
    listed = read_given_targets("\ufeff# two\r\nroma/a\n\n  roma/a b\nroma/c\u00a0\n".encode(), "ids.txt")

    found = read_problems(tmp_path, HEAD, instead=["roma/ok", "roma/x/y", *listed, "roma/a"])

    assert [re.split(': | "', one)[0] for one in found] == [
        "--target number 2",
        "--target number 6",
        "ids.txt:4:3",
        "ids.txt:5:1",
    ]
    assert '"c\\u00a0" is not an id of ROMA' in found[3]
    assert found[1].endswith("first at ids.txt:2:1")


@pytest.mark.parametrize("name", ["..%2Fx", "..;x", "%252e%252e", "a%2F", "x\u200b", "x "])
def test_no_id_may_turn_into_another_one_on_its_way(tmp_path: Path, name: str) -> None:
    assert read_one_problem(tmp_path, HEAD, instead=[f"apim/Retail/{name}/test"]).startswith("--target: ")


def test_a_list_that_is_no_text_is_reported_with_its_line() -> None:
    with pytest.raises(UnfitError, match="not UTF-8 text, at line 2"):
        read_given_targets(b"roma/a\nroma/\xff", "ids")


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("apim/a/b/c # done", "is an id as a whole: a comment has a line of its own"),
        ("apim/a/b/c,", "is an id with the , at its end"),
        ("apim/a/*/c", "is an id, in which * stands for itself; --only and discover take patterns"),
        ("apim/a/b/c#1", None),
        ("apim/a/b/c", None),
    ],
)
def test_an_id_that_looks_like_a_mistake_gives_a_warning(
    tmp_path: Path, line: str, expected: str | None
) -> None:
    loaded, sink = load_plan(tmp_path, PLAN, instead=read_given_targets(f"roma/a\n{line}\n".encode(), "ids"))

    assert str(sink.targets[1].id) == line
    told = [str(one) for one in loaded.warnings if " is an id" in str(one)]
    assert len(told) == (expected is not None)
    assert all(one.startswith(f'ids:2:1 "{line}" {expected}') for one in told)
