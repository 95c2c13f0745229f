"""``after``: the valid dependencies reach the sink, the others are reported."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from orchestrator.errors import PlanError
from orchestrator.journal.draft import Draft
from orchestrator.plan.reader import read_plan
from tests.support.costs import measure_growth
from tests.support.plans import HEAD, load_plan, read_one_problem, read_problems

LINE = HEAD.count("\n") + 2


def plan(*entries: str) -> str:
    """Return a plan of one wave with these entries, the first of them at ``LINE``."""
    return f"{HEAD}targets:\n" + "".join(f"  - {entry}\n" for entry in entries)


def roma(name: str, after: str = "") -> str:
    return f"{{gateway: roma, ld_api_id: {name}{', after: ' if after else ''}{after}}}"


def needs(folder: Path, text: str) -> dict[str, list[str]]:
    """Return what each target needs, by id."""
    _, sink = load_plan(folder, text)
    ids = {target.seq: str(target.id) for target in sink.targets}
    return {ids[seq]: [ids[earlier] for earlier in before] for seq, before in sink.needs.items()}


def test_a_target_names_those_that_go_first(tmp_path: Path) -> None:
    text = plan(roma("a"), roma("b", "[roma/c, roma/a]"), roma("c", "[roma/a]"), roma("d", "[]"))

    assert needs(tmp_path, text) == {"roma/b": ["roma/c", "roma/a"], "roma/c": ["roma/a"]}
    assert load_plan(tmp_path, text)[1].compute_depths() == {3: 1, 2: 2}


def test_after_holds_for_every_target_of_a_matrix(tmp_path: Path) -> None:
    entry = "{gateway: apim, project: P, proxies: [x, y], environments: [e, f], after: [roma/a]}"

    found = needs(tmp_path, plan(roma("a"), entry))

    assert found == {f"apim/P/{proxy}/{env}": ["roma/a"] for proxy in "xy" for env in "ef"}


def test_an_id_is_written_as_everywhere(tmp_path: Path) -> None:
    entry = "{gateway: apim, project: a/b, proxy: 5%, environment: e}"

    found = needs(tmp_path, plan(entry, roma("a", "[apim/a%2Fb/5%25/e]")))

    assert found == {"roma/a": ["apim/a%2Fb/5%25/e"]}


def test_an_alias_may_stand_for_the_list(tmp_path: Path) -> None:
    text = plan(roma("a"), roma("b", "&first [roma/a]"), roma("c", "*first"))

    assert needs(tmp_path, text) == {"roma/b": ["roma/a"], "roma/c": ["roma/a"]}


def test_targets_of_an_earlier_wave_may_go_first(tmp_path: Path) -> None:
    text = (
        f"{HEAD}waves:\n  - name: a\n    targets: [{roma('a')}]\n"
        f"  - name: b\n    targets: [{roma('b', '[roma/a]')}]\n"
    )

    assert needs(tmp_path, text) == {"roma/b": ["roma/a"]}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.csv", "after,ld_api_id\n,b\nroma/z,c\n"),
        ("a.jsonl", '{"ld_api_id": "b", "after": []}\n{"after": ["roma/z"], "ld_api_id": "c"}\n'),
    ],
)
def test_rows_of_a_file_may_come_after_targets_too(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)

    found = needs(tmp_path, plan(roma("z"), f"{{gateway: roma, from_file: {name}}}"))

    assert found == {"roma/c": ["roma/z"]}


def test_given_ids_go_in_any_order_and_in_one_step(tmp_path: Path) -> None:
    text = f"{HEAD}waves: [{{name: w, sizes: [1, 100%], targets: [{roma('b', '[roma/a]')}, {roma('a')}]}}]\n"

    loaded, sink = load_plan(tmp_path, text, instead=["roma/b", "roma/a"])

    assert (sink.needs, loaded.plan.waves[0].sizes) == ({}, ())


WRONG = {
    "single value": ("roma/a", "after: found a single value, expected a list of target ids; write a list"),
    "mapping": ("{a: b}", "after: found a mapping, expected a list of target ids"),
    "list in a list": ("[[roma/a]]", "after[0]: found no single value, expected the id of a target"),
    "unknown": (
        "[roma/first-onw]",
        'after: "roma/first-onw" is no target of this plan; did you mean "roma/fi',
    ),
    "another case": (
        "[roma/FIRST-ONE]",
        'after: "roma/FIRST-ONE" is no target of this plan; did you mean "roma/first-one"?',
    ),
    "no gateway's name": (
        "[first-one]",
        "the gateway is missing; write the gateway's name and a slash before it",
    ),
    "nothing like it": ("[roma/000]", 'after: "roma/000" is no target of this plan'),
    "no gateway": ("[rma/a]", 'after[0]: "rma/a": the plan has no such gateway; did you mean "roma"?'),
    "too short": ("[apim/P]", 'after[0]: "apim/P" is no id of a target there; its form is apim/<project>/'),
    "stray percent": ("[apim/P/5%/e]", "after[0]: "),
    "no such text": ("['roma/a b']", 'after[0]: "roma/a b": ld_api_id "a b" is not an id of ROMA'),
    "itself": ("[roma/second]", 'after: the target "roma/second" comes after itself'),
    "twice": ("[roma/first-one, roma/first-one]", 'after[1]: "roma/first-one" is given twice in one list'),
    "alias": ("*nobody", "after: the alias names no anchor that stands before it"),
}


@pytest.mark.parametrize("name", WRONG)
def test_an_impossible_dependency_is_reported_at_its_position(tmp_path: Path, name: str) -> None:
    after, expected = WRONG[name]

    found = read_one_problem(tmp_path, plan(roma("first-one"), roma("second", after)))

    assert found.startswith(f"plan.yaml:{LINE + 1}:")
    assert expected in found


def test_a_target_of_a_later_wave_cannot_go_first(tmp_path: Path) -> None:
    text = (
        f"{HEAD}waves:\n  - name: a\n    targets: [{roma('a', '[roma/b]')}]\n"
        f"  - name: b\n    targets: [{roma('b')}]\n"
    )

    assert read_one_problem(tmp_path, text) == (
        f'plan.yaml:{LINE + 1}:53 after: the target "roma/b" is in a later wave; '
        "after names targets of the same or an earlier wave"
    )


def test_a_cycle_is_reported_once_at_one_of_its_members(tmp_path: Path) -> None:
    text = plan(roma("d", "[roma/b]"), roma("a", "[roma/b]"), roma("b", "[roma/c]"), roma("c", "[roma/a]"))

    assert read_one_problem(tmp_path, text) == (
        f"plan.yaml:{LINE + 1}:43 after: these targets wait for each other: "
        "roma/a → roma/b → roma/c → roma/a; take one of these dependencies out"
    )


def test_a_long_cycle_is_cut(tmp_path: Path) -> None:
    entries = [roma(f"n{n}", f"[roma/n{(n + 1) % 20}]") for n in range(20)]

    assert "roma/n0 → roma/n1 → roma/n2 → roma/n3 → (15 more) → roma/n19 → roma/n0" in read_one_problem(
        tmp_path, plan(*entries)
    )


def test_the_same_mistake_is_reported_once_for_a_whole_matrix(tmp_path: Path) -> None:
    entry = "{gateway: roma, ld_api_ids: [a, b, c], after: [roma/z]}"

    assert '"roma/z" is no target of this plan' in read_one_problem(tmp_path, plan(entry))


def test_a_matrix_that_needs_one_of_its_own_targets_is_reported(tmp_path: Path) -> None:
    entry = "{gateway: roma, ld_api_ids: [a, b, c], after: [roma/b]}"

    assert 'the target "roma/b" comes after itself' in read_one_problem(tmp_path, plan(entry))


def test_all_dependency_faults_are_reported_at_once_in_file_order(tmp_path: Path) -> None:
    text = plan(
        roma("a", "[roma/b, roma/10000, roma/a, nobody/a]"),
        roma("b", "[roma/a, roma/a]"),
        roma("a"),
        "{gateway: roma, ld_api_id: 'c d'}",
    )

    found = read_problems(tmp_path, text)

    assert [problem.partition(" ")[0].split(":")[1] for problem in found] == [
        str(LINE + row) for row in (0, 0, 0, 0, 1, 2, 3)
    ]
    assert "after: these targets wait for each other: roma/a → roma/b → roma/a" in found[0]
    assert found[1].endswith("mend the other problems first: the entry of that target may have one"), found[1]
    assert "comes after itself" in found[2]
    assert "the plan has no such gateway" in found[3]
    assert "is given twice in one list" in found[4]
    assert 'the target "roma/a" is given twice' in found[5]


def test_an_unreadable_part_hides_no_target(tmp_path: Path) -> None:
    """The targets of a gateway that could not be read are not told as missing, nor those above at_most."""
    broken = HEAD.replace("kind: roma", "kind: rom")
    entries = (
        f"targets: [{roma('a')}, {{gateway: apim, project: P, proxy: x, environment: e, after: [roma/a]}}]"
    )

    assert 'kind: "rom" is no kind' in read_one_problem(tmp_path, f"{broken}{entries}\n")
    few = HEAD.replace("name: test", "name: test\nat_most: 1")
    assert "at_most: the plan has 2 targets" in read_one_problem(
        tmp_path, f"{few}targets: [{roma('a', '[roma/b]')}, {roma('b')}]\n"
    )


FILES = {
    "unknown": (
        "a.csv",
        "ld_api_id,after\na,roma/x\n",
        'a.csv:2:1 after: "roma/x" is no target of this plan',
    ),
    "several": (
        "a.csv",
        "ld_api_id,after\na,\nb,roma/a roma/a\n",
        'a.csv:3:1 after: "roma/a roma/a" is no id',
    ),
    "column twice": ("a.csv", "ld_api_id,after,after\na,,\n", 'a.csv:1:1 the column "after" is given twice'),
    "text": ("a.jsonl", '{"ld_api_id": "a", "after": "roma/b"}\n', "a.jsonl:1:1 after is no list of texts"),
    "number": ("a.jsonl", '{"ld_api_id": "a", "after": [1]}\n', 'write it as ["gateway/part"]'),
    "itself": ("a.jsonl", '{"ld_api_id": "a", "after": ["roma/a"]}\n', "1:1 after: the target"),
    "twice": (
        "a.jsonl",
        '{"ld_api_id": "b"}\n{"ld_api_id": "a", "after": ["roma/b", "roma/b"]}\n',
        'a.jsonl:2:1 after: "roma/b" is given twice in one list',
    ),
}


@pytest.mark.parametrize("name", FILES)
def test_a_wrong_after_in_a_file_is_reported_at_its_own_line(tmp_path: Path, name: str) -> None:
    file, text, expected = FILES[name]
    (tmp_path / file).write_text(text)

    assert any(
        expected in problem
        for problem in read_problems(tmp_path, plan(f"{{gateway: roma, from_file: {file}}}"))
    )


def test_a_wrong_row_and_its_wrong_after_are_reported_together(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("ld_api_id,after\na b,nobody/a\n")

    assert len(read_problems(tmp_path, plan("{gateway: roma, from_file: a.csv}"))) == 2


def test_an_entry_makes_no_dependencies_without_end(tmp_path: Path) -> None:
    names = "[" + ", ".join(f"n{n}" for n in range(1001)) + "]"
    before = "[" + ", ".join(f"roma/m{n}" for n in range(1000)) + "]"

    assert "1,001 targets after 1,000 others each are more than 1,000,000" in read_one_problem(
        tmp_path, plan(f"{{gateway: roma, ld_api_ids: {names}, after: {before}}}")
    )


@pytest.mark.long("measures what a large plan costs")
def test_tens_of_thousands_may_come_after_one(tmp_path: Path) -> None:
    """A list of dependents that is searched for each of them would cost twenty times as much a target."""
    path = tmp_path / "plan.yaml"
    path.write_text(plan(roma("z"), "{gateway: roma, from_file: a.csv}"))

    def read(count: int) -> None:
        rows = "".join(f"a{n},roma/z\n" for n in range(count))
        (tmp_path / "a.csv").write_text("ld_api_id,after\n" + rows)
        (tmp_path / "j").unlink(missing_ok=True)
        with closing(Draft(tmp_path / "j")) as made:
            read_plan(path, made)
            assert made.count_dependents() == count

    assert measure_growth(read, 3_000, 60_000) < 5


def test_a_journal_finds_the_same_faults_as_a_list_in_memory(tmp_path: Path) -> None:
    text = plan(
        roma("a", "[roma/b, roma/x]"),
        roma("b", "[roma/a]"),
        "{gateway: roma, ld_api_ids: [c, d], after: [roma/c, roma/y]}",
        roma("a"),
    )
    expected = read_problems(tmp_path, text)

    with closing(Draft(tmp_path / "j")) as made, pytest.raises(PlanError) as caught:
        read_plan(tmp_path / "plan.yaml", made)

    assert [str(problem).replace(f"{tmp_path}/", "") for problem in caught.value.problems] == expected


def test_both_forms_of_an_accent_name_one_target(tmp_path: Path) -> None:
    entry = "{gateway: apim, project: P, proxy: \u00f6, environment: e}"
    text = plan(entry, roma("a", "[apim/P/o\u0308/e]"))

    assert needs(tmp_path, text) == {"roma/a": ["apim/P/\u00f6/e"]}
    assert "is given twice in one list" in read_one_problem(
        tmp_path, plan(entry, roma("a", "[apim/P/o\u0308/e, apim/P/\u00f6/e]"))
    )
