"""Files of targets: CSV as spreadsheets write it, and JSON lines; each fault at its own line."""

from __future__ import annotations

import os
import re
import subprocess
import threading
from pathlib import Path

import pytest

from orchestrator.errors import PlanError
from orchestrator.text.characters import make_visible
from tests.support.plans import HEAD, list_ids, load_plan, read_one_problem, read_problems

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
    loaded, sink = load_plan(tmp_path, plan(tmp_path, "apim", "a.csv", text))

    assert [target.id for target in sink.targets] == ["apim/Müşteri/orders/test", "apim/Retail/baskets/test"]
    assert [(target.description, target.persistent) for target in sink.targets] == [
        ("one, two", True),
        (None, None),
    ]
    assert [(place.file, place.line) for place in sink.positions] == [(1, 2), (1, 4)]
    assert loaded.targets == 2


def test_json_lines_hold_one_object_each(tmp_path: Path) -> None:
    text = '{"ld_api_id": "a"}\n\n{"ld_api_id": "0123", "gateway": "roma"}\n'

    _, sink = load_plan(tmp_path, plan(tmp_path, "roma", "a.jsonl", text))

    assert [target.id for target in sink.targets] == ["roma/a", "roma/0123"]


@pytest.mark.parametrize(("name", "text"), [("a.csv", "ld_api_id\na\n"), ("a.jsonl", '{"ld_api_id": "a"}')])
def test_a_byte_order_mark_is_ignored(tmp_path: Path, name: str, text: str) -> None:
    _, sink = load_plan(tmp_path, plan(tmp_path, "roma", name, b"\xef\xbb\xbf" + text.encode()))

    assert [target.id for target in sink.targets] == ["roma/a"]


def test_the_digest_covers_the_bytes_of_included_files(tmp_path: Path) -> None:
    first, _ = load_plan(tmp_path, plan(tmp_path, "roma", "a.csv", "ld_api_id\na\n"))
    other, _ = load_plan(tmp_path, plan(tmp_path, "roma", "a.csv", "ld_api_id\nb\n"))

    assert first.source_digest == other.source_digest
    assert first.digest != other.digest


def test_a_duplicate_is_reported_across_files(tmp_path: Path) -> None:
    text = plan(tmp_path, "roma", "a.csv", "ld_api_id\na\n") + "  - {gateway: roma, ld_api_id: a}\n"

    assert read_one_problem(tmp_path, text) == (
        f'plan.yaml:{LINE + 1}:5 the target "roma/a" is given twice; first at a.csv:2:1'
    )


def test_a_file_that_is_named_twice_is_told_of_as_one(tmp_path: Path) -> None:
    text = plan(tmp_path, "roma", "a.csv", "ld_api_id\na\n") + "  - {gateway: roma, from_file: a.csv}\n"

    assert read_one_problem(tmp_path, text) == (
        'a.csv:2:1 the target "roma/a" is given twice; the file is named twice'
    )


def test_a_path_may_begin_with_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "home" / "a.csv").write_text("ld_api_id\na\n")

    assert list_ids(tmp_path, "{gateway: roma, from_file: ~/a.csv}") == ["roma/a"]


def test_an_absolute_path_may_lead_anywhere(tmp_path: Path) -> None:
    (tmp_path / "else").mkdir()
    (tmp_path / "else" / "a.csv").write_text("ld_api_id\na\n")
    (tmp_path / "here").mkdir()
    name = tmp_path / "else" / "a.csv"

    loaded, _ = load_plan(tmp_path / "here", f"{HEAD}targets: [{{gateway: roma, from_file: {name}}}]\n")

    assert loaded.targets == 1


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("no.csv", '"no.csv" does not exist'),
        ("../a.csv", '"../a.csv" leaves the plan\'s folder; write an absolute path if that is meant'),
        ("x/../../a.csv", "leaves the plan's folder"),
        ("a.txt", '"a.txt" is of no kind that can be read; its name ends in .csv or .jsonl'),
        ("''", "is not the path of a file"),
        ("~no-such-user/a.csv", "begins with the home folder of a user who has none here"),
        ("folder.csv", '"folder.csv" is a directory, not a file'),
        ("x" * 300 + ".csv", "cannot be opened: File name too long"),
    ],
)
def test_an_unreadable_file_is_reported_where_the_plan_names_it(
    tmp_path: Path, name: str, expected: str
) -> None:
    (tmp_path / "folder.csv").mkdir()

    found = read_one_problem(tmp_path, f"{HEAD}targets:\n  - {{gateway: roma, from_file: {name}}}\n")

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
    "no header": ("x," * 1000 + "x\n", "a.csv:1:1 found 1,001 columns; the columns are project, proxy"),
    "nested": ("project,proxy,environment,from_file\n", 'unknown column "from_file"'),
    "plural": ("project,proxies,environment\n", 'unknown column "proxies"'),
    "nobody's column": (
        "project,proxy,environment,team\n",
        (
            'unknown column "team"; the columns are project, proxy, environment, description, persistent,'
            " after; take the column out"
        ),
    ),
    "quotes and semicolons": (
        '"project";"proxy"\nP;x\n',
        'a.csv:1:1 the columns are separated by ";"; separate the columns with commas',
    ),
    "a quote inside a quoted cell": (
        'project,proxy,environment\n"P"x,p,e\n',
        "a.csv:2:1 cannot be read as CSV: ',' expected after '\"'; commas separate the columns, and a \"",
    ),
    "few cells": ("project,proxy,environment\nP,x\n", "a.csv:2:1 found 2 cells under 3 columns"),
    "many cells": (
        "project,proxy,environment\nP,x,e,d\n",
        "a text that holds a comma stands in double quotes",
    ),
    "empty name": ("project,proxy,environment\nP,,e\n", "a.csv:2:1 proxy: is empty; a text is expected"),
    "dots": ("project,proxy,environment\nP,..,e\n", 'a.csv:2:1 proxy: ".." would vanish'),
    "line break": ('project,proxy,environment\nP,"x\ny",e\n', 'a.csv:2:1 proxy: "x\\u000ay" holds a control'),
    "flag": (
        "project,proxy,environment,persistent\nP,x,e,yes\n",
        'persistent: "yes" is neither true nor false',
    ),
    "other gateway": (
        "gateway,project,proxy,environment\nroma,P,x,e\n",
        'a.csv:2:1 gateway: "roma" is not "apim", which the entry in the plan names',
    ),
    "another separator": (
        "sep=;\nproject;proxy;environment\nP;x;e\n",
        'a.csv:1:1 the columns are separated by ";"; separate the columns with commas',
    ),
    "the header again": (
        "project,proxy,environment\nP,x,e\nproject, proxy,environment\nP,y,e\n",
        "a.csv:3:1 the header stands here once more; take this line out",
    ),
    "a header that comes late": ("\r\n,,\r\nproject,proxy\r\nP,x\r\n", "a.csv:3:1 the column environment"),
    "a quote that nothing closes": (
        'project,proxy,environment\nP,w,e\n"P,x,e\nP,y,e\n',
        "; the row that begins at line 3 has a double quote that nothing closes",
    ),
    "a line break in a cell": (
        'project,proxy,environment,description\nP,w,e,\nP,x,e,"a\nb"\nP,,e,\n',
        'a.csv:3:1 description: holds a line break or a control character: "a\\u000ab"',
    ),
    "a row behind a line break in a cell": (
        'project,proxy,environment,description\nP,x,e,"a\nb"\nP,,e,\n',
        "a.csv:4:1 proxy: is empty; a text is expected",
    ),
    "one cell": ("project,proxy,environment\nP\n", "a.csv:2:1 found 1 cell under 3 columns"),
    "workbook": (
        b"PK\x03\x04\x14\x00\xff\n",
        "a.csv:1:1 this is a workbook, not a table of text; export it as CSV, in UTF-8",
    ),
    "UTF-16": (
        "project,proxy,environment\nP,x,e\n".encode("utf-16"),
        "a.csv:1:1 the file is UTF-16; save it as UTF-8",
    ),
    "UTF-16 without a mark": (
        "project,proxy,environment\n".encode("utf-16-le"),
        "holds the character U+0000; is this UTF-16? Save it as UTF-8",
    ),
    "capitals in the header": (
        "Project,proxy,environment\n",
        'unknown column "Project"; did you mean "project"?',
    ),
    "cells behind the last column": (
        "project,proxy,environment\nP,x,e,,y\n",
        "found 5 cells under 3 columns",
    ),
    "quote without end": ('project,proxy,environment\nP,"x,e\n', "a.csv:2:1 cannot be read as CSV"),
    "not UTF-8": (
        b"project,proxy,environment\nP,caf\xe9,e\n",
        'a.csv:2:6 the byte 0xe9 is not UTF-8; save the file as UTF-8 (in Excel: "CSV UTF-8 (Comma',
    ),
    "long line": (
        b"project,proxy,environment\n" + b"x" * (2 << 20),
        "a.csv:2:1 the line is longer than 1 MB",
    ),
}


@pytest.mark.parametrize("name", CSV)
def test_a_wrong_csv_is_reported_at_its_own_line(tmp_path: Path, name: str) -> None:
    text, expected = CSV[name]

    found = read_problems(tmp_path, plan(tmp_path, "apim", "a.csv", text))

    assert any(expected in problem for problem in found), found


@pytest.mark.parametrize(
    ("gateway", "text", "hint"),
    [
        ("roma", "7e15dc40f3a849b2\n9c2b06d1\n", "write a line before it: ld_api_id"),
        ("apim", "P,x,e\nP,y,e\n", "write a line before it: project,proxy,environment"),
        ("apim", "# of today,\nproject,proxy,environment\nP,x,e\n", "no row is a comment: take it out"),
    ],
)
def test_a_table_without_a_header_is_one_problem(tmp_path: Path, gateway: str, text: str, hint: str) -> None:
    wanted = "ld_api_id" if gateway == "roma" else "project, proxy, environment"

    assert read_one_problem(tmp_path, plan(tmp_path, gateway, "a.csv", text)) == (
        f"a.csv:1:1 the first line names none of the columns {wanted}; {hint}"
    )


EXPORTS = {
    "semicolons": ("roma", "Ad;API_ID;Ekip\na, b;1;c, d\n", "\";\"; {}cut -d';' -f2 a.csv > targets.csv"),
    "tabs": ("roma", "ld_api_id\tname\n1\ta, b\n", "tabs; {}cut -f1 a.csv > targets.csv"),
    "bars": ("roma", "name|id\na, b|1\n", "\"|\"; {}cut -d'|' -f2 a.csv > targets.csv"),
    "a strange name": (
        "roma",
        "API;Ad\n1;a, b\n",
        "\";\"; {}cut -d';' -fN a.csv > targets.csv (N: the number of a column)",
    ),
    "two ids": (
        "roma",
        "Ad, Soyad;instance_id;LD_API_ID\n",
        "\";\"; {}cut -d';' -f3 a.csv > targets.csv",
    ),
    "three columns": (
        "apim",
        "Proxy Name;x;Project;Environment\na, b;;P;e\n",
        "\";\"; {}cut -d';' -f1,3,4 a.csv | tr ';' , > targets.csv",
    ),
    "cells in quotes": (
        "apim",
        '"Ekip";"project";"proxy";"environment"\n"x";"P";"p";"e"\n',
        "\";\"; {}cut -d';' -f2,3,4 a.csv | tr ';' , > targets.csv",
    ),
    "three columns and tabs": (
        "apim",
        "project\tproxy\tenvironment\nP\tu09\te\n",
        "tabs; {}cut -f1,2,3 a.csv | tr '\\t' , > targets.csv",
    ),
}


@pytest.mark.parametrize("name", EXPORTS)
def test_an_export_without_commas_is_one_problem_with_the_command_that_mends_it(
    tmp_path: Path, name: str
) -> None:
    gateway, text, expected = EXPORTS[name]

    found = read_one_problem(tmp_path, plan(tmp_path, gateway, "a.csv", text))

    hint = expected.format("separate the columns with commas: ")
    assert found == f"a.csv:1:1 the columns are separated by {hint}"


@pytest.mark.parametrize("quote", ["", '"'])
@pytest.mark.parametrize("sign", [";", "\t", "|"])
def test_the_command_that_mends_an_export_does_so_as_it_is_shown(
    tmp_path: Path, sign: str, quote: str
) -> None:
    rows = (("project", "proxy", "environment"), ("P", "u09", "e"))
    text = "".join(sign.join(f"{quote}{cell}{quote}" for cell in row) + "\n" for row in rows)
    shown = make_visible(read_one_problem(tmp_path, plan(tmp_path, "apim", "a.csv", text)))

    subprocess.run(["/bin/sh", "-c", shown.partition("commas: ")[2]], cwd=tmp_path, check=True)

    written = (tmp_path / "targets.csv").read_text()
    assert written.replace('"', "") == "project,proxy,environment\nP,u09,e\n"
    assert list_ids(tmp_path, "{gateway: apim, from_file: targets.csv}") == ["apim/P/u09/e"]


def test_the_command_that_mends_an_export_names_the_file_as_it_is_found_from_here(tmp_path: Path) -> None:
    text = plan(tmp_path, "roma", "a.csv", "x;ld_api_id\n1;a\n")

    with pytest.raises(PlanError, match=re.escape(f"cut -d';' -f2 {tmp_path}/a.csv > targets.csv")):
        load_plan(tmp_path, text)


@pytest.mark.parametrize("column", ["id", "API_ID", "Api Id", "LD-API-ID", "ld_apiid"])
def test_the_only_column_of_ids_is_a_misspelt_one(tmp_path: Path, column: str) -> None:
    assert read_one_problem(tmp_path, plan(tmp_path, "roma", "a.csv", f"{column},after\na,\n")) == (
        f'a.csv:1:1 unknown column "{column}"; did you mean "ld_api_id"?'
    )


def list_warnings(folder: Path, text: str) -> list[str]:
    """Return the warnings of a plan, each without its folder."""
    return [str(one).replace(f"{folder}/", "") for one in load_plan(folder, text)[0].warnings]


HEADER = b"project,proxy,environment,persistent"
SPREADSHEETS: dict[str, bytes] = {
    "capitals": HEADER + b"\r\nP,x,e,TRUE\r\nP,y,e,FALSE\r\nP,z,e,True\r\n",
    "rows of commas": HEADER + b"\nP,x,e,TRUE\nP,y,e,FALSE\nP,z,e,TRUE\n,,,\n , ,,\n",
    "empty columns": HEADER + b",,\nP,x,e,TRUE,,\nP,y,e,FALSE,,\nP,z,e,TRUE,,,,\n",
    "old Mac": HEADER + b"\rP,x,e,TRUE\rP,y,e,FALSE\rP,z,e,TRUE\r",
    "all ends": HEADER + b"\nP,x,e,TRUE\r\nP,y,e,FALSE\rP,z,e,TRUE",
    "nothing before the header": b"\r\n,,\r\n" + HEADER + b"\r\nP,x,e,TRUE\r\nP,y,e,FALSE\r\nP,z,e,TRUE",
    "sep in a cell": b'"sep=,",,\r\n' + HEADER + b"\r\nP,x,e,TRUE\r\nP,y,e,FALSE\r\nP,z,e,TRUE",
    "sep": b"\xef\xbb\xbfsep=,\r\n" + HEADER + b"\r\nP,x,e,TRUE\r\nP,y,e,FALSE\r\nP,z,e,TRUE",
}


@pytest.mark.parametrize("name", SPREADSHEETS)
def test_a_csv_is_read_as_spreadsheets_write_it(tmp_path: Path, name: str) -> None:
    text = plan(tmp_path, "apim", "A.CSV", SPREADSHEETS[name])
    loaded, sink = load_plan(tmp_path, text)

    assert [(target.id, target.persistent) for target in sink.targets] == [
        ("apim/P/x/e", True),
        ("apim/P/y/e", False),
        ("apim/P/z/e", True),
    ]
    assert not loaded.warnings


def test_a_line_may_end_anywhere_in_what_is_read_at_once(tmp_path: Path) -> None:
    rows = "".join(f"a{number}\r\n" for number in range(40_000))

    _, sink = load_plan(tmp_path, plan(tmp_path, "roma", "a.csv", f"ld_api_id\r\n{rows}"))

    assert [target.parts[0] for target in sink.targets] == [f"a{number}" for number in range(40_000)]
    assert [place.line for place in sink.positions][-1] == 40_001


def test_spaces_at_the_ends_of_a_cell_are_left_out_with_a_warning(tmp_path: Path) -> None:
    text = plan(tmp_path, "apim", "a.csv", "project, proxy,environment \nP, x,e\u00a0\nP,y,e\n\u3000P,z,e\n")

    assert [str(target.id) for target in load_plan(tmp_path, text)[1].targets] == [
        f"apim/P/{proxy}/e" for proxy in "xyz"
    ]
    assert list_warnings(tmp_path, text) == [
        'a.csv:1:1 the spaces at an end of " proxy" are left out',
        'a.csv:2:1 proxy: the spaces at an end of " x" are left out',
        'a.csv:4:1 project: the spaces at an end of "\\u3000P" are left out',
    ]


def test_invisible_characters_in_a_cell_are_a_problem(tmp_path: Path) -> None:
    found = read_one_problem(tmp_path, plan(tmp_path, "roma", "a.csv", "ld_api_id\nab\u200b\n"))

    assert found.startswith('a.csv:2:1 ld_api_id: "ab\\u200b" is not an id of ROMA')


def test_an_id_that_a_spreadsheet_spoilt_is_reported(tmp_path: Path) -> None:
    roma = read_one_problem(tmp_path, plan(tmp_path, "roma", "a.csv", "ld_api_id\n1.23E+31\n"))
    apim = plan(tmp_path, "apim", "a.csv", "project,proxy,environment\n1E+31,#N/A,1e10\n")

    assert roma.endswith("in a spreadsheet, make the column text and fill it in again")
    *spoilt, ends = [one.partition("; ")[0] for one in list_warnings(tmp_path, apim)]
    assert ends.startswith('a.csv:2:1 the target "apim/1E+31/#N%2FA/1e10" holds #:')
    assert spoilt == [
        'a.csv:2:1 "1E+31" looks like what a spreadsheet has made of a text',
        'a.csv:2:1 "#N/A" looks like what a spreadsheet has made of a text',
    ]


@pytest.mark.parametrize("cell", ["3-Jan", "1.2.2024", "03/01/2024", "2024-01-03 00:00:00", "12345.0"])
def test_an_id_that_a_spreadsheet_took_for_a_date_or_a_number_gives_a_warning(
    tmp_path: Path, cell: str
) -> None:
    text = plan(tmp_path, "apim", "a.csv", f"project,proxy,environment\nP,{cell},e\n")

    assert list_warnings(tmp_path, text)[0].startswith(f'a.csv:2:1 "{cell}" looks like what a spreadsheet')


@pytest.mark.parametrize(("cell", "name"), [(' "x"', '"x"'), ('"""x"""', '"x"'), ("'x'", "'x'")])
def test_a_name_in_quotes_gives_a_warning(tmp_path: Path, cell: str, name: str) -> None:
    text = plan(tmp_path, "apim", "a.csv", f"project,proxy,environment\nP,{cell},e\nP,'s,e\n")

    loaded, sink = load_plan(tmp_path, text)

    assert sink.targets[0].parts == ("P", name, "e")
    (found,) = [str(one).rpartition("/")[2] for one in loaded.warnings if "quotes" in one.message]
    said = f'"{name}" stands in quotes, which belong to it; take them out, with a space before them, if not'
    assert found == f"a.csv:2:1 {said}"


def test_no_row_is_a_comment(tmp_path: Path) -> None:
    text = plan(tmp_path, "apim", "a.csv", "project,proxy,environment\n# P,x,e\nP,#x,1.2.34\n")

    (found,) = [one for one in list_warnings(tmp_path, text) if "comment" in one]
    assert found.startswith('a.csv:2:1 "# P" is read as a name: no row of a table is a comment;')


def test_many_warnings_are_counted(tmp_path: Path) -> None:
    rows = "".join(f" a{number}\n" for number in range(50))

    found = list_warnings(tmp_path, plan(tmp_path, "roma", "a.csv", f"ld_api_id\n{rows}"))

    assert len(found) == 21
    assert found[-1] == "plan.yaml: 30 more warnings"


def test_a_file_of_targets_may_be_a_pipe(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.csv")
    writer = threading.Thread(target=(tmp_path / "a.csv").write_text, args=("ld_api_id\na\n",))
    writer.start()

    loaded, sink = load_plan(tmp_path, f"{HEAD}targets: [{{gateway: roma, from_file: a.csv}}]\n")
    writer.join()
    (tmp_path / "a.csv").unlink()

    assert [target.id for target in sink.targets] == ["roma/a"]
    assert (
        loaded.digest
        == load_plan(
            tmp_path,
            plan(tmp_path, "roma", "a.csv", "ld_api_id\na\n").replace(
                "targets:\n  - {gateway: roma, from_file: a.csv}",
                "targets: [{gateway: roma, from_file: a.csv}]",
            ),
        )[0].digest
    )


def test_a_file_of_targets_without_end_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "a.csv").symlink_to("/dev/zero")
    (tmp_path / "b.csv").touch()
    os.truncate(tmp_path / "b.csv", 5 << 30)

    for name, why in (("a.csv", "is not a regular file"), ("b.csv", "is larger than 1024 MB")):
        assert why in read_one_problem(tmp_path, f"{HEAD}targets: [{{gateway: roma, from_file: {name}}}]\n")


JSON = {
    "empty": ("\n", "a.jsonl: the file names no target"),
    "the comma of a list": (
        '{"ld_api_id": "a"},\n{"ld_api_id": "b"}\n',
        "a.jsonl:1:19 cannot be read as JSON: Extra data; take the comma behind the object out",
    ),
    "no JSON": ("{ld_api_id: a}\n", "a.jsonl:1:2 cannot be read as JSON: Expecting property name"),
    "a whole list": (
        '[\n  {"ld_api_id": "a"},\n  {"ld_api_id": "b"}\n]\n',
        "a.jsonl:1:1 found one list, expected an object a line; write one object a line: jq -c '.[]' a.jsonl",
    ),
    "a list from its first object on": ('[{"ld_api_id": "a"},\n{"ld_api_id": "b"}]\n', "jq -c '.[]' a.jsonl"),
    "an object of several lines": (
        '{\n  "ld_api_id": "a"\n}\n{\n  "ld_api_id": "b"\n}\n',
        "found objects of several lines, expected an object a line; write one object a line: jq -c . a.jsonl",
    ),
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
    "half a character": ('{"ld_api_id": "\\ud800"}\n', 'ld_api_id: "\\ud800" is not an id of ROMA'),
}


@pytest.mark.parametrize("name", JSON)
def test_wrong_json_lines_are_reported_at_their_own_line(tmp_path: Path, name: str) -> None:
    text, expected = JSON[name]

    found = read_problems(tmp_path, plan(tmp_path, "roma", "a.jsonl", text))

    assert any(expected in problem for problem in found), found


def test_a_flag_in_json_is_a_boolean(tmp_path: Path) -> None:
    row = '{{"project": "P", "proxy": "x", "environment": "e", "persistent": {}}}\n'

    _, sink = load_plan(tmp_path, plan(tmp_path, "apim", "a.jsonl", row.format("false")))

    assert sink.targets[0].persistent is False
    assert "persistent is neither true nor false" in read_one_problem(
        tmp_path, plan(tmp_path, "apim", "a.jsonl", row.format('"false"'))
    )


def test_problems_of_included_files_come_after_those_of_the_plan(tmp_path: Path) -> None:
    text = plan(tmp_path, "roma", "a.csv", "ld_api_id\na b\n") + "  - {gateway: nobody}\n"

    assert [problem.partition(":")[0] for problem in read_problems(tmp_path, text)] == ["plan.yaml", "a.csv"]
