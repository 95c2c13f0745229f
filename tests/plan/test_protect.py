"""Protect files: the form of their lines, and all wrong lines reported at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.errors import PlanError, UsageError
from orchestrator.plan.protect import read_protect_file, refuse_dead_lines
from orchestrator.plan.template import read_template
from tests.plan.test_patterns import PLAN
from tests.support.plans import EITHER, HEAD, load_plan, read_one_problem, read_problems


def read_protect_problems(path: Path, data: bytes) -> list[str]:
    path.write_bytes(data)
    try:
        refuse_dead_lines([read_protect_file(path)], PLAN)
    except PlanError as error:
        return [f"{problem.path}{problem.line}:{problem.column}" for problem in error.problems]
    return []


@pytest.mark.parametrize(
    ("data", "wrong"),
    [
        (b"a/Payments/**\n", []),
        (b"a/Payments/**", []),
        (b"\xef\xbb\xbfa/Payments/**\r\nr/a1\r\n", []),
        (b"a/Payments/**\rr/a1\r", []),
        (b"# the till\n\n  # and more\n \t\n  a/Payments/** \t\n", []),
        (b"", ["0:0"]),
        (b"\n \n", ["0:0"]),
        (b"# nothing yet\n", ["0:0"]),
        (b"protect:\n  - a/Payments/**\n", ["1:1", "2:3"]),
        (b'["a/Payments/**"]', ["1:1"]),
        (b"<!DOCTYPE html>\n<html><body>Sign in</body></html>\n", ["1:1", "2:1"]),
        (b"a/Payments/** # never\n", ["1:1"]),
        (b"a/x\x0ba/y\n", ["1:1"]),
        (b"a/P/**\xc2\x85r/a1\n", ["1:1"]),
        (b"a/P/**\xe2\x80\xa8r/a1\n", ["1:1"]),
        (b"a/P/**\x00\n", ["1:1"]),
        (b"a/P/**\xef\xbb\xbf\n", ["1:1"]),
        (b"a/P/**\xc2\xa0\n", ["1:1"]),
        ("a/P/**\n".encode("utf-16-le"), ["1:1", "2:1"]),
        (b"a/P/**\na\n\nr/a1\n a/x\n'r/a1'\n", ["2:1", "5:2", "6:1"]),
    ],
)
def test_every_wrong_line_is_reported_with_its_position(
    tmp_path: Path, data: bytes, wrong: list[str]
) -> None:
    assert read_protect_problems(tmp_path / "file", data) == wrong


@pytest.mark.parametrize(
    ("data", "why"),
    [(b"a/P/**\xff\n", "not UTF-8 text"), ("a/P/**".encode("utf-16"), "not UTF-8 text")],
)
def test_a_file_that_is_no_text_is_refused(tmp_path: Path, data: bytes, why: str) -> None:
    (tmp_path / "file").write_bytes(data)
    with pytest.raises(UsageError, match=why):
        read_protect_file(tmp_path / "file")


def test_a_path_that_is_no_file_is_refused(tmp_path: Path) -> None:
    for path, why in [(tmp_path, "[Ii]s a directory"), (tmp_path / "no", "[Nn]o such file|does not exist")]:
        with pytest.raises(UsageError, match=why):
            read_protect_file(path)
    with pytest.raises(UsageError, match=r"a regular file|neither a file"):
        read_protect_file(Path("/dev/zero"))


def test_a_protect_file_gives_its_patterns_in_their_order(tmp_path: Path) -> None:
    (tmp_path / "site").write_text("# the till\na/Payments/**\n\nr/a1\n")

    assert read_protect_file(tmp_path / "site").patterns == ("a/Payments/**", "r/a1")


def test_every_dead_pattern_of_a_plan_is_reported_also_behind_one_of_a_wrong_form(tmp_path: Path) -> None:
    text = f"protect: ['apim//x', 'apimm/P/**', 'apim/*']\n{HEAD}{EITHER}"
    found = read_problems(tmp_path, text)

    for number in range(3):
        assert len([each for each in found if f"protect[{number}]" in each]) == 1, number


def test_all_files_are_reported_at_once(tmp_path: Path) -> None:
    (tmp_path / "one").write_text("a\n")
    (tmp_path / "two").write_text("r/a1\n/x\n")
    with pytest.raises(PlanError) as caught:
        refuse_dead_lines([read_protect_file(tmp_path / name) for name in ("one", "two")], PLAN)
    assert [(Path(each.file).name, each.line) for each in caught.value.problems] == [("one", 1), ("two", 2)]


@pytest.mark.parametrize(
    ("pattern", "told"),
    [
        ("apimm/Payments/**", "the plan has no such gateway"),
        ("apim/Payments/*", "ids there look like apim/<project>/<proxy>/<environment>"),
        ("apim/Payments/", "ends with a /"),
        ("roma/P/p/e", "ids there look like roma/<ld_api_id>"),
        ("other.example.com/**", "the plan has no such gateway"),
    ],
)
def test_a_plan_s_own_list_is_judged_by_its_gateways(tmp_path: Path, pattern: str, told: str) -> None:
    text = f"protect: ['**', '{pattern}']\n"
    found = read_one_problem(tmp_path, f"{HEAD}{text}{EITHER}")
    assert found.startswith("plan.yaml:")
    assert "protect[1]: " in found
    assert told in found
    # Where the list stands makes no difference, nor whether the plan has targets.
    assert told in read_one_problem(tmp_path, f"{text}{EITHER}{HEAD}")
    (tmp_path / "frame.yaml").write_text(f"{HEAD}{text}")
    with pytest.raises(PlanError, match="protect"):
        read_template(tmp_path / "frame.yaml")


def test_patterns_for_unreadable_gateways_are_not_judged(tmp_path: Path) -> None:
    text = f"protect: ['apimm/P/**', apim]\n{HEAD}  third: {{kind: soap}}\n{EITHER}"
    found = read_problems(tmp_path, text)
    assert [each for each in found if "protect" in each] == [
        each for each in found if 'protect[1]: "apim" matches no' in each
    ]


def test_a_pattern_that_could_match_is_accepted(tmp_path: Path) -> None:
    text = "protect: ['apim/{Payments,Cards}/**', apim.example.com/Payments/**]\n"
    assert len(load_plan(tmp_path, f"{HEAD}{text}{EITHER}")[0].plan.protect) == 2
