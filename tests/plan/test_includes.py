from __future__ import annotations

from pathlib import Path

import pytest

from .plans import HEAD, complaint, complaints, load

LINE = HEAD.count("\n") + 2


def plan(folder: Path, gateway: str, name: str, text: str | bytes) -> str:
    """Write the file ``name``; return a plan that includes it."""
    (folder / name).write_bytes(text.encode() if isinstance(text, str) else text)
    return f"{HEAD}targets:\n  - {{gateway: {gateway}, from_file: {name}}}\n"


def test_a_csv_has_a_header_of_the_targets_own_keys(tmp_path: Path) -> None:
    text = (
        "proxy,project,environment,persistent,description\r\n"
        'orders,Müşteri,test,true,"one, two"\r\n'
        "\r\n"
        "baskets,Retail,test,,\r\n"
    )
    loaded, sink = load(tmp_path, plan(tmp_path, "apim", "a.csv", text))

    assert [target.id for target in sink.targets] == ["apim/Müşteri/orders/test", "apim/Retail/baskets/test"]
    assert [(target.description, target.persistent) for target in sink.targets] == [
        ("one, two", True),
        (None, None),
    ]
    assert [(place.file, place.line) for place in sink.places] == [(1, 2), (1, 4)]
    assert loaded.targets == 2


def test_json_lines_hold_one_object_each(tmp_path: Path) -> None:
    text = '{"ld_api_id": "a"}\n\n{"ld_api_id": "0123", "gateway": "roma"}\n'

    _, sink = load(tmp_path, plan(tmp_path, "roma", "a.jsonl", text))

    assert [target.id for target in sink.targets] == ["roma/a", "roma/0123"]


@pytest.mark.parametrize(("name", "text"), [("a.csv", "ld_api_id\na\n"), ("a.jsonl", '{"ld_api_id": "a"}')])
def test_a_byte_order_mark_is_passed_over(tmp_path: Path, name: str, text: str) -> None:
    _, sink = load(tmp_path, plan(tmp_path, "roma", name, b"\xef\xbb\xbf" + text.encode()))

    assert [target.id for target in sink.targets] == ["roma/a"]


def test_the_digest_covers_the_bytes_of_included_files(tmp_path: Path) -> None:
    first, _ = load(tmp_path, plan(tmp_path, "roma", "a.csv", "ld_api_id\na\n"))
    other, _ = load(tmp_path, plan(tmp_path, "roma", "a.csv", "ld_api_id\nb\n"))

    assert first.source_digest == other.source_digest
    assert first.digest != other.digest


def test_a_target_twice_is_told_across_files(tmp_path: Path) -> None:
    text = plan(tmp_path, "roma", "a.csv", "ld_api_id\na\n") + "  - {gateway: roma, ld_api_id: a}\n"

    assert complaint(tmp_path, text) == (
        f'plan.yaml:{LINE + 1}:5 the target "roma/a" is given twice; first at a.csv:2:1'
    )


def test_an_absolute_path_may_lead_anywhere(tmp_path: Path) -> None:
    (tmp_path / "else").mkdir()
    (tmp_path / "else" / "a.csv").write_text("ld_api_id\na\n")
    (tmp_path / "here").mkdir()
    name = tmp_path / "else" / "a.csv"

    loaded, _ = load(tmp_path / "here", f"{HEAD}targets: [{{gateway: roma, from_file: {name}}}]\n")

    assert loaded.targets == 1


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("no.csv", '"no.csv" does not exist'),
        ("../a.csv", '"../a.csv" leaves the plan\'s folder; write an absolute path if that is meant'),
        ("x/../../a.csv", "leaves the plan's folder"),
        ("a.txt", '"a.txt" is of no kind that can be read; its name ends in .csv or .jsonl'),
        ("''", "is not the path of a file"),
        ("folder.csv", '"folder.csv" is a directory, not a file'),
        ("x" * 300 + ".csv", "cannot be opened: File name too long"),
    ],
)
def test_a_file_that_cannot_be_read_is_told_where_it_is_named(
    tmp_path: Path, name: str, expected: str
) -> None:
    (tmp_path / "folder.csv").mkdir()

    found = complaint(tmp_path, f"{HEAD}targets:\n  - {{gateway: roma, from_file: {name}}}\n")

    assert found.startswith(f"plan.yaml:{LINE}:32 targets[0].from_file: ")
    assert expected in found


CSV: dict[str, tuple[str | bytes, str]] = {
    "empty": ("", "a.csv: the file names no target"),
    "header only": ("project,proxy,environment\n", "a.csv: the file names no target"),
    "column": (
        "project,proxy,envronment\n",
        'a.csv:1:1 unknown column "envronment"; did you mean "environment"?',
    ),
    "missing column": ("project,proxy\nP,x\n", "a.csv:1:1 the column environment is missing"),
    "column twice": ("project,proxy,environment,proxy\n", 'a.csv:1:1 the column "proxy" is given twice'),
    "no header": ("," * 1000 + "\n", "a.csv:1:1 found 1,001 columns; the columns are project, proxy"),
    "nested": ("project,proxy,environment,from_file\n", 'unknown column "from_file"'),
    "plural": ("project,proxies,environment\n", 'unknown column "proxies"'),
    "semicolons": ("project;proxy;environment\nP;x;e\n", "separate the columns with commas"),
    "few cells": ("project,proxy,environment\nP,x\n", "a.csv:2:1 found 2 cells under 3 columns"),
    "many cells": (
        "project,proxy,environment\nP,x,e,d\n",
        "a text that holds a comma stands in double quotes",
    ),
    "empty name": ("project,proxy,environment\nP,,e\n", "a.csv:2:1 proxy: is empty; a text is expected"),
    "dots": ("project,proxy,environment\nP,..,e\n", 'a.csv:2:1 proxy: ".." would vanish'),
    "line break": ('project,proxy,environment\nP,"x\ny",e\n', 'a.csv:3:1 proxy: "x\\u000ay" holds a control'),
    "flag": (
        "project,proxy,environment,persistent\nP,x,e,yes\n",
        'persistent: "yes" is neither true nor false',
    ),
    "other gateway": (
        "gateway,project,proxy,environment\nroma,P,x,e\n",
        'a.csv:2:1 gateway: "roma" is not "apim", which the entry in the plan names',
    ),
    "quote without end": ('project,proxy,environment\nP,"x,e\n', "a.csv:2:1 cannot be read as CSV"),
    "not UTF-8": (b"project,proxy,environment\nP,caf\xe9,e\n", "a.csv:2:6 the byte 0xe9 is not UTF-8"),
    "long line": (
        b"project,proxy,environment\n" + b"x" * (2 << 20),
        "a.csv:2:1 the line is longer than 1 MB",
    ),
}


@pytest.mark.parametrize("name", CSV)
def test_a_wrong_csv_is_told_at_its_own_line(tmp_path: Path, name: str) -> None:
    text, expected = CSV[name]

    found = complaints(tmp_path, plan(tmp_path, "apim", "a.csv", text))

    assert any(expected in problem for problem in found), found


JSON = {
    "empty": ("\n", "a.jsonl: the file names no target"),
    "no JSON": ("{ld_api_id: a}\n", "a.jsonl:1:2 cannot be read as JSON: Expecting property name"),
    "no object": ('["a"]\n', "a.jsonl:1:1 found no JSON object"),
    "key": (
        '{"ld_api_id": "a"}\n{"ld_apiid": "a"}\n',
        'a.jsonl:2:1 unknown key "ld_apiid"; did you mean "ld_api_id"?',
    ),
    "missing key": ("{}\n", "a.jsonl:1:1 the key ld_api_id is missing"),
    "key twice": ('{"ld_api_id": "a", "ld_api_id": "b"}\n', "a.jsonl:1:1 a key is given twice in one object"),
    "number": ('{"ld_api_id": 12}\n', 'the value of "ld_api_id" is no text; write it in double quotes'),
    "null": ('{"ld_api_id": null}\n', 'the value of "ld_api_id" is no text'),
    "nested": ('{"ld_api_id": {"a": "b"}}\n', 'the value of "ld_api_id" is no text'),
    "long number": ('{"ld_api_id": ' + "9" * 9999 + "}\n", "a number or a nesting without end"),
    "nesting": ("[" * 500_000 + "\n", "cannot be read as JSON"),
    "half a character": ('{"ld_api_id": "\\ud800"}\n', 'ld_api_id: "\\ud800" does not fit the pattern'),
}


@pytest.mark.parametrize("name", JSON)
def test_wrong_json_lines_are_told_at_their_own_line(tmp_path: Path, name: str) -> None:
    text, expected = JSON[name]

    found = complaints(tmp_path, plan(tmp_path, "roma", "a.jsonl", text))

    assert any(expected in problem for problem in found), found


def test_a_flag_in_json_is_a_boolean(tmp_path: Path) -> None:
    row = '{{"project": "P", "proxy": "x", "environment": "e", "persistent": {}}}\n'

    _, sink = load(tmp_path, plan(tmp_path, "apim", "a.jsonl", row.format("false")))

    assert sink.targets[0].persistent is False
    assert "persistent is neither true nor false" in complaint(
        tmp_path, plan(tmp_path, "apim", "a.jsonl", row.format('"false"'))
    )


def test_problems_of_included_files_come_after_those_of_the_plan(tmp_path: Path) -> None:
    text = plan(tmp_path, "roma", "a.csv", "ld_api_id\na b\n") + "  - {gateway: nobody}\n"

    assert [problem.partition(":")[0] for problem in complaints(tmp_path, text)] == ["plan.yaml", "a.csv"]
