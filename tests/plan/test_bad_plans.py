"""Each fault of a plan has its own message, at its own line."""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO

import pytest

from orchestrator.errors import PlanError
from orchestrator.plan.reader import read_plan
from orchestrator.plan.source import open_regular
from orchestrator.plan.target_sink import TargetList
from tests.support.plans import (
    APIM,
    AUTH_KEYS,
    GATEWAYS,
    HEAD,
    ONE,
    ROMA,
    TOP,
    load_plan,
    read_one_problem,
    read_problems,
)

LINE = HEAD.count("\n") + 1
"""The line after the head."""

FILES = {
    "empty": (b"", "plan.yaml: the file holds no plan; undeploy init writes a commented one"),
    "comments only": (b"# nothing\n", "plan.yaml: the file holds no plan"),
    "a bare document": (b"---\n", "plan.yaml:2:1 found a single value, expected a mapping"),
    "a list": (b"- a\n", "plan.yaml:1:1 found a list, expected a mapping"),
    "not UTF-8": (
        b"version: 1\nname: caf\xe9\n",
        "plan.yaml:2:10 the byte 0xe9 is not UTF-8 (invalid continuation byte); save the file as UTF-8",
    ),
    "not UTF-8, with the ends of lines of old": (
        b"version: 1\rname: caf\xe9\r",
        "plan.yaml:2:10 the byte 0xe9 is not UTF-8 (invalid continuation byte); save the file as UTF-8",
    ),
    "control character behind a lone CR": (b"a: 1\nb: 2\rc: a\x01b\n", "plan.yaml:3:5 the character U+0001"),
    "a slip, with the ends of lines of old": (
        b"version: 1\rname: x\rreason gone\rat_most: 5\r",
        "begins at line 3); line 3 has no colon after its key",
    ),
    "cut in a character": (
        b"name: \xc4",
        "plan.yaml:1:7 the byte 0xc4 is not UTF-8 (unexpected end of data)",
    ),
    "UTF-16": ("version: 1".encode("utf-16"), "plan.yaml:1:1 the byte 0xff is not UTF-8"),
    "UTF-16 without its mark": (
        "version: 1".encode("utf-16-be"),
        "plan.yaml:1:1 the character U+0000 is not allowed in YAML; is this UTF-16? Save it as UTF-8",
    ),
    "control character": (b"version: 1\nname: a\x01b\n", "plan.yaml:2:8 the character U+0001 is not allowed"),
    "tab": (b"version: 1\ngateways:\n\ta: b\n", "; the line holds a tab; indent with spaces"),
    "NBSP": (
        "version: 1\ngateways:\n  a: b\n\u00a0\u00a0c: d\n".encode(),
        'plan.yaml:4:1 the key "\\u00a0\\u00a0c" holds a space that is no ordinary one, \\u00a0 (no-break',
    ),
    "zero width space": (
        "a: b\nc: [d\u200b\n".encode(),
        "; the line holds an invisible character, \\u200b (zero width space); write ordinary spaces",
    ),
    "colon of another width": (
        "name\uff1a x\nversion: 1\n".encode(),
        "; the line holds \uff1a (U+FF1A, fullwidth colon); write :",
    ),
    "comma of another width": (
        "targets: [{gateway: a\uff0c project: b}]\n".encode(),
        "; the line holds \uff0c (U+FF0C, fullwidth comma); write ,",
    ),
    "half a pair": (
        b'name: "\\ud83d"\n',
        "plan.yaml:1:",
    ),
    "half a pair, in words": (
        b'name: "\\ude00\\ud83d"\n',
        "; half of a pair names no character; write the character itself",
    ),
    "no end of a list": (b"a: [1, 2\n", "cannot be read as YAML: did not find expected ',' or ']'"),
    "two documents": (f"{HEAD}{ONE}---\n{HEAD}{ONE}".encode(), " a second document begins"),
    "nesting": (b"a: " + b"[" * 5000, "nested deeper than 20 levels"),
    "nested mappings": (b"a: " + b"{a: " * 5000, "nested deeper than 20 levels"),
    "nested keys": (b"? " * 5000, "nested deeper than 20 levels"),
    "nested targets": (f"{HEAD}targets:\n  - {'[' * 3000}".encode(), "nested deeper than 20 levels"),
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_no_plan_is_reported(tmp_path: Path, name: str) -> None:
    text, expected = FILES[name]

    found = read_problems(tmp_path, text)

    assert expected in found[-1]


def test_a_byte_order_mark_is_ignored(tmp_path: Path) -> None:
    assert load_plan(tmp_path, b"\xef\xbb\xbf" + (HEAD + ONE).encode())[0].targets == 1


def test_a_missing_file_and_a_folder_are_told_apart(tmp_path: Path) -> None:
    for path, expected in (
        (tmp_path / "no.yaml", "does not exist"),
        (tmp_path, "is a directory, not a file"),
    ):
        with pytest.raises(PlanError, match=expected):
            read_plan(path, TargetList())


def test_a_pipe_is_refused_without_waiting_for_its_writer(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "plan.yaml")

    with pytest.raises(PlanError, match="is not a regular file; save it to one first"):
        read_plan(tmp_path / "plan.yaml", TargetList())


@pytest.mark.parametrize(
    ("place", "why"), [("/dev/zero", "is not a regular file"), ("huge", "is larger than 64 MB")]
)
def test_a_plan_without_end_is_not_read(tmp_path: Path, place: str, why: str) -> None:
    (tmp_path / "huge").touch()
    os.truncate(tmp_path / "huge", 5 << 30)
    (tmp_path / "plan.yaml").symlink_to(place)

    with pytest.raises(PlanError, match=why):
        read_plan(tmp_path / "plan.yaml", TargetList())


def test_a_line_without_end_is_refused_before_it_is_held(tmp_path: Path) -> None:
    """Sixty megabytes on one line: a sparse file of NULs after a sound beginning."""
    import tracemalloc

    path = tmp_path / "plan.yaml"
    path.write_bytes(b"version: 1\nname: " + b"x" * (3 << 20))
    os.truncate(path, 60 << 20)
    tracemalloc.start()
    try:
        with pytest.raises(PlanError, match=r":2:1 the line is longer than 1 MB"):
            read_plan(path, TargetList())
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()


def test_an_entry_without_end_is_refused(tmp_path: Path) -> None:
    rows = "\n".join(["        " + "x" * 1000] * 9000)

    found = read_one_problem(tmp_path, f"{HEAD}targets:\n  - gateway: roma\n    ld_api_id: |\n{rows}\n")

    assert "one entry is longer than 8 MB; put its targets into a file" in found


KEYS = {
    "unknown key": ("nmae: x\n", 'unknown key "nmae"; did you mean "name"?'),
    "a key of another one": ("opens: 2026-11-22T22:00:00Z\n", 'unknown key "opens"; it stands under window'),
    "duplicate key": ("name: y\n", 'the key "name" is given twice; first at plan.yaml:2:1'),
    "version": ("version: 1\n", 'the key "version" is given twice; first at plan.yaml:1:1'),
    "key that is a list": ("? [a, b]\n: c\n", "a key must be a plain text"),
    "key that is a mapping": ("{a: b}: c\n", "a key must be a plain text"),
    "merge key": ("<<: {a: b}\n", "merge keys (<<) are not supported; write the keys out"),
    "tag": ("reason: !!str x\n", "reason: tags (!...) are not supported; remove the tag"),
    "a text like a tag": ("reason: !urgent\n", "or put a text that begins with ! into quotes"),
    "tag of its own": ("reason: ! x\n", "reason: tags (!...) are not supported"),
    "python tag": ("reason: !!python/object/apply:os.system [id]\n", "tags (!...) are not supported"),
    "alias": ("reason: *x\n", "reason: the alias names no anchor that stands before it"),
    "empty text": ("reason:\n", "reason: is empty; a text is expected"),
    "text that is a list": ("reason: [a]\n", "reason: found a list, expected a single value"),
    "line break": (
        "reason: |\n  a\n  b\n",
        'reason: holds a line break or a control character: "a\\u000ab\\u000a"',
    ),
    "folded": ("reason: >\n  a\n", "in a folded text write >- for >"),
    "naive time": (
        "window: {opens: 2026-12-01 22:30}\n",
        "has no offset from UTC; write it as 2026-12-01 22:30+03:00, if +03:00 is yours",
    ),
    "date": (
        "window: {opens: 2026-12-01}\n",
        'window.opens: "2026-12-01" is no time; write it like 2026-12-01T22:00:00+03:00, with your own',
    ),
    "offset without a colon": (
        "window: {opens: 2026-12-01T22:00:00 -0430}\n",
        " is no time; write it as 2026-12-01T22:00:00-04:30",
    ),
    "a year beyond": (
        "window: {opens: 9999-12-31T23:59:00Z}\n",
        'window.opens: "9999-12-31T23:59:00Z" is in no year from 2000 to 2999; write it like 2026-',
    ),
    "a zone's name": (
        "window: {opens: 2026-12-01T22:30 UTC}\n",
        " is no time; write it as 2026-12-01T22:30Z",
    ),
    "another zone's name": (
        "window: {opens: 2026-12-01T22:30 Europe/Istanbul}\n",
        " is no time; write it like 2026-11-22T22:00:00+03:00",
    ),
    "an hour of an offset that is none": (
        "window: {opens: 2026-12-01T22:30+24:00}\n",
        " is no time that exists; write it like 2026-11-22T22:00:00+03:00",
    ),
    "a minute of an offset that is none": (
        "window: {opens: 2026-12-01T22:30+03:60}\n",
        "is no time that exists",
    ),
    "no such day": ("window: {opens: 2026-02-30T22:00:00Z}\n", "is no time that exists"),
    "no such hour": ("window: {opens: 2026-02-20T24:00:00Z}\n", "is no time that exists"),
    "empty window": ("window: {}\n", "window: neither opens nor closes is given"),
    "window that is no mapping": ("window: soon\n", "expected a mapping with the keys opens, closes"),
    "closes before it opens": (
        "window: {opens: 2026-11-22T02:00:00+03:00, closes: 2026-11-21T23:00:00+00:00}\n",
        "window.closes: the window closes before it opens, or at that moment",
    ),
    "stop rule": ("stop_when: {failed: 101%}\n", 'stop_when.failed: "101%" is neither a share'),
    "count in quotes": ('stop_when: {failed: "20"}\n', "a count such as 50, without quotes"),
    "negative count": ("stop_when: {failed: -1}\n", "is neither a share of 0% to 100% nor a count"),
    "protects nothing": ("protect: [apim]\n", 'protect[0]: "apim" matches no target\'s id'),
    "protect that is no list": (
        "protect: a/b\n",
        "protect: found a single value, expected a list of patterns",
    ),
    "at_most 0": ("at_most: 0\n", "at_most: 0 is out of bounds; expected 1 or more"),
    "at_most in quotes": ('at_most: "5"\n', 'at_most: the text "5" is not a whole number'),
    "at_most octal": ("at_most: 010\n", 'at_most: "010" is not a whole number'),
    "at_most 1_000": ("at_most: 1_000\n", 'at_most: "1_000" is not a whole number'),
    "at_most sexagesimal": ("at_most: 1:30\n", 'at_most: "1:30" is not a whole number'),
    "at_most without end": (f"at_most: {'9' * 5000}\n", "is not a whole number"),
    "no such snapshot": ("snapshot: all\n", 'snapshot: "all" is not best or off or required'),
    "no such approval": ("approval: me\n", 'approval: "me" is not digest or file or none'),
    "no such in_use": ("in_use: never\n", 'in_use: "never" is not ignore or refuse or warn'),
    "calls without hours": (
        "in_use_over: 100\n",
        'in_use_over: "100" is no number of calls in so many hours',
    ),
    "calls of no time": ("in_use_over: 1/0h\n", "in_use_over: the calls of 0 hours cannot be told"),
    "calls of too many hours": ("in_use_over: 1/73h\n", "in_use_over: the calls of 73 hours cannot be told"),
    "calls that nothing counts": ("in_use_over: 1/72h\n", "in_use_over: in_use: ignore counts no calls"),
    "waves and targets": ("waves: []\n", "waves and targets are both given"),
}


@pytest.mark.parametrize("name", KEYS)
def test_a_wrong_key_is_reported_at_its_line(tmp_path: Path, name: str) -> None:
    text, expected = KEYS[name]

    found = read_problems(tmp_path, HEAD + ONE + text)

    assert any(expected in problem for problem in found), found
    assert found[-1].startswith(f"plan.yaml:{LINE + 2}:")


WITHOUT = {
    "version": (f"name: x\n{GATEWAYS}{ONE}", "plan.yaml:1:1 the key version is missing"),
    "name": (f"version: 1\n{GATEWAYS}{ONE}", "plan.yaml:1:1 the key name is missing"),
    "gateways": (TOP + ONE, "plan.yaml:1:1 the key gateways is missing"),
    "targets": (HEAD, "plan.yaml:1:1 the plan has no targets; give waves, or targets for one wave"),
    "any target": (f"{HEAD}targets: []\n", f"plan.yaml:{LINE}:10 targets: the list of targets is empty"),
    "any wave": (f"{HEAD}waves: []\n", f"plan.yaml:{LINE}:8 waves: the list of waves is empty"),
    "any gateway": (f"{TOP}gateways: {{}}\ntargets: []\n", "plan.yaml:3:11 gateways: no gateway is named"),
}


@pytest.mark.parametrize("name", WITHOUT)
def test_a_missing_part_is_reported(tmp_path: Path, name: str) -> None:
    text, expected = WITHOUT[name]

    assert expected in read_problems(tmp_path, text)


def test_at_one_position_unknown_keys_stand_before_missing_ones_and_these_in_the_order_of_a_plan(
    tmp_path: Path,
) -> None:
    found = read_problems(tmp_path, "strange: x\n")

    assert [problem.split(";")[0] for problem in found] == [
        'plan.yaml:1:1 unknown key "strange"',
        "plan.yaml:1:1 the key version is missing",
        "plan.yaml:1:1 the key name is missing",
        "plan.yaml:1:1 the key gateways is missing",
        "plan.yaml:1:1 the plan has no targets",
    ]


@pytest.mark.parametrize("version", ["2", "10"])
def test_a_plan_of_another_version_has_no_other_problem(tmp_path: Path, version: str) -> None:
    found = read_one_problem(tmp_path, f"version: {version}\nsomething: new\n")

    expected = f"plan.yaml:1:10 version: this plan is of version {version}; this program reads version 1"
    assert found == expected


def test_a_version_that_is_no_number_is_a_problem(tmp_path: Path) -> None:
    assert 'version: the text "1" is not a whole number' in read_one_problem(
        tmp_path, f'version: "1"\nname: x\n{GATEWAYS}{ONE}'
    )


MISSPELT = {
    "version": (TOP.replace("version", "verison") + GATEWAYS + ONE, 'unknown key "verison"'),
    "gateways": (TOP + GATEWAYS.replace("gateways", "gatways") + ONE, 'unknown key "gatways"'),
    "targets": (HEAD + ONE.replace("targets", "tragets"), 'unknown key "tragets"; did you mean "targets"?'),
    "kind": (HEAD.replace("kind: roma", "knd: roma") + ONE, 'unknown key "knd"; did you mean "kind"?'),
    "a key of a gateway": (HEAD.replace("project_id", "projectid") + ONE, 'did you mean "project_id"?'),
    "the name of a wave": (
        f"{HEAD}waves: [{{nmae: a, targets: [{{gateway: roma, ld_api_id: a}}]}}]\n",
        'unknown key "nmae"; did you mean "name"?',
    ),
    "the targets of a wave": (f"{HEAD}waves: [{{name: a, target: [a]}}]\n", 'did you mean "targets"?'),
    "the gateway of a target": (HEAD + ONE.replace("gateway", "gatway"), 'did you mean "gateway"?'),
    "an id": (HEAD + ONE.replace("ld_api_id", "ld_apiid"), 'did you mean "ld_api_id"?'),
    "ids": (HEAD + ONE.replace("ld_api_id", "ld_apiids"), 'did you mean "ld_api_ids"?'),
    "no space behind the colon": (
        HEAD + ONE.replace("gateway: ", "gateway:"),
        "write a space after the colon",
    ),
    "a key of a login": (
        HEAD.replace("token: {env: ROMA_TOKEN}", AUTH_KEYS["iam"].replace("domain", "domian")) + ONE,
        'unknown key; the keys here are url, user, domain, password; did you mean "domain"?',
    ),
    "a secret key": (
        HEAD.replace("token: {env: ROMA_TOKEN}", "access_key: {env: A}, secretkey: {env: B}") + ONE,
        'did you mean "secret_key"?',
    ),
}


@pytest.mark.parametrize("name", MISSPELT)
def test_a_misspelt_key_is_one_problem(tmp_path: Path, name: str) -> None:
    text, expected = MISSPELT[name]

    assert expected in read_one_problem(tmp_path, text)


WAVES = {
    "no list": ("waves: {a: b}\n", "waves: found a mapping, expected a list of waves"),
    "no mapping": ("waves: [a]\n", "waves[0]: found a single value, expected a mapping"),
    "no name": ("waves: [{targets: [{gateway: roma, ld_api_id: a}]}]\n", "waves[0]: the key name is missing"),
    "no targets": ("waves: [{name: a}]\n", "waves[0]: the key targets is missing"),
    "targets that are no list": (
        "waves: [{name: a, targets: {b: c}}]\n",
        "found a mapping, expected a list of",
    ),
    "one name twice": (
        "waves:\n"
        + "".join(f"  - {{name: a, targets: [{{gateway: roma, ld_api_id: {n}}}]}}\n" for n in "ab"),
        f'waves[1].name: a wave named "a" stands already at plan.yaml:{LINE + 1}:12',
    ),
    "one name twice, the first in a wave with another problem": (
        "waves:\n"
        + "".join(
            f"  - {{name: a, {fault}targets: [{{gateway: roma, ld_api_id: {n}}}]}}\n"
            for n, fault in (("a", "pause_after: 5min, "), ("b", ""))
        ),
        f'waves[1].name: a wave named "a" stands already at plan.yaml:{LINE + 1}:12',
    ),
    "anchored list": ("targets: &a [{gateway: roma, ld_api_id: a}]\n", "an anchor (&...) cannot stand here"),
    "tagged list": ("targets: !!seq [{gateway: roma, ld_api_id: a}]\n", "tags (!...) are not supported"),
}


@pytest.mark.parametrize("name", WAVES)
def test_a_wrong_wave_is_reported(tmp_path: Path, name: str) -> None:
    text, expected = WAVES[name]

    assert any(expected in problem for problem in read_problems(tmp_path, HEAD + text))


ENTRIES = {
    "no mapping": ("[a]", "targets[0]: found a list, expected a mapping with gateway"),
    "no gateway": ("{ld_api_id: a}", "targets[0]: the key gateway is missing"),
    "unknown gateway": ("{gateway: rma, ld_api_id: a}", 'no gateway is named "rma"; did you mean "roma"?'),
    "strange gateway": ("{gateway: x, ld_api_id: a}", 'named "x"; the gateways are roma, apim'),
    "gateway that is a list": (
        "{gateway: [roma], ld_api_id: a}",
        "found a list, expected the name of a gateway",
    ),
    "bad id": (
        "{gateway: roma, ld_api_id: a/b}",
        '"a/b" is not an id of ROMA; write 1 to 64 of A to Z, a to z, 0 to 9, _ and -',
    ),
    "long id": (f"{{gateway: roma, ld_api_id: {'a' * 65}}}", "is not an id of ROMA"),
    "unknown key": ("{gateway: roma, ld_api_id: a, descripton: b}", 'unknown key "descripton"'),
    "key of another kind": (
        "{gateway: roma, ld_api_id: a, project: b}",
        'targets[0].project: does not belong to a target of "roma", a gateway of kind roma; its keys are',
    ),
    "option of another kind": (
        "{gateway: roma, ld_api_id: a, persistent: true}",
        "does not belong to a target",
    ),
    "missing key": ("{gateway: roma}", "targets[0]: the key ld_api_id or ld_api_ids is missing"),
    "missing project beside an unknown key": (
        "{gateway: apim, owner: a, proxy: b, environment: e}",
        "targets[0]: the key project is missing",
    ),
    "missing project": (
        "{gateway: apim, proxy: x, environment: e}",
        "targets[0]: the key project is missing",
    ),
    "both forms": (
        "{gateway: roma, ld_api_id: a, ld_api_ids: [b]}",
        "ld_api_id and ld_api_ids are both given",
    ),
    "list in the singular": ("{gateway: roma, ld_api_id: [a]}", "a list stands under ld_api_ids"),
    "project list": (
        "{gateway: apim, project: [a], proxy: x, environment: e}",
        "found a list, expected a single value; write one entry for each",
    ),
    "single in the plural": ("{gateway: roma, ld_api_ids: a}", "a single value stands under ld_api_id"),
    "empty list": ("{gateway: roma, ld_api_ids: []}", "targets[0].ld_api_ids: the list is empty"),
    "list in a list": (
        "{gateway: roma, ld_api_ids: [[a]]}",
        "ld_api_ids[0]: found a list, expected a single",
    ),
    "duplicate key": ("{gateway: roma, ld_api_id: a, ld_api_id: a}", 'the key "ld_api_id" is given twice'),
    "dot": ("{gateway: apim, project: ., proxy: x, environment: e}", '"." would vanish from an address'),
    "dots": ("{gateway: apim, project: P, proxy: .., environment: e}", '".." would vanish from an address'),
    "empty name": ("{gateway: apim, project: P, proxy: '', environment: e}", "targets[0].proxy: is empty"),
    "no name": ("{gateway: apim, project: P, proxy: , environment: e}", "targets[0].proxy: is empty"),
    "control": (
        '{gateway: apim, project: P, proxy: "a\\u0007", environment: e}',
        '"a\\u0007" holds a control',
    ),
    "line break": (
        '{gateway: apim, project: P, proxy: "a\\n", environment: e}',
        "control character or a line",
    ),
    "persistent": (
        "{gateway: apim, project: P, proxy: x, environment: e, persistent: yes}",
        '"yes" is neither',
    ),
    "quoted": ("{gateway: apim, project: P, proxy: x, environment: e, persistent: 'true'}", "without quotes"),
    "description": ("{gateway: apim, project: P, proxy: x, environment: e, description: ''}", "is empty"),
    "options": ("{gateway: apim, project: P, proxy: x, environment: e, description: [a]}", "found a list"),
    "tag": ("{gateway: roma, ld_api_id: !!int 5}", "targets[0].ld_api_id: tags (!...) are not supported"),
    "tagged": ("!!map {gateway: roma, ld_api_id: a}", "targets[0]: tags (!...) are not supported"),
    "merge key": ("{<<: {a: b}, gateway: roma, ld_api_id: a}", "merge keys (<<) are not supported"),
    "merge key of a text": ("{<<: a, gateway: roma, ld_api_id: a}", "merge keys (<<) are not supported"),
    "alias": ("*a", "targets[0]: the alias names no anchor that stands before it"),
    "another key beside a file": (
        "{gateway: roma, from_file: a.csv, ld_api_id: a}",
        "beside from_file only gateway",
    ),
    "after beside a file": (
        "{gateway: roma, from_file: a.csv, after: [roma/a]}",
        "targets[0].after: beside from_file only gateway",
    ),
    "file that is a list": (
        "{gateway: roma, from_file: [a.csv]}",
        "found a list, expected the path of a file",
    ),
}


@pytest.mark.parametrize("name", ENTRIES)
def test_a_wrong_entry_is_reported_at_its_line(tmp_path: Path, name: str) -> None:
    entry, expected = ENTRIES[name]

    found = read_problems(tmp_path, f"{HEAD}targets:\n  - {entry}\n")

    assert any(expected in problem for problem in found), found
    assert all(problem.startswith(f"plan.yaml:{LINE + 1}:") for problem in found)


GATEWAY = {
    "list of kinds": (APIM.replace("apinizer", "[apinizer]"), "found a list, expected roma or apinizer"),
    "auth by name": (
        APIM.replace("apim:", "auth:") + "    limts: x\n",
        'unknown key "limts"; did you mean "limits"?',
    ),
    "its name once more": (
        f"{APIM}    name: apim\n",
        'gateways.apim: unknown key "name"; the keys here are kind, url, auth, limits',
    ),
    "auth behind a dot": (
        APIM.replace("apim:", "a.auth:") + "    limits: 5\n",
        'gateways."a.auth".limits: found a single value, expected a mapping with the keys concurrency, rate',
    ),
    "no mapping": (
        "  x: y\n",
        "gateways.x: found a single value, expected a mapping with kind, url and auth",
    ),
    "name": (
        APIM.replace("apim:", "a/b:"),
        'gateways: "a/b" is not a name for a gateway; write 1 to 64 of A to Z',
    ),
    "no kind": ("  x: {url: 'https://a', auth: {token: {env: A}}}\n", "gateways.x: the key kind is missing"),
    "kind": (
        APIM.replace("apinizer", "apinizr"),
        '"apinizr" is no kind of gateway; did you mean "apinizer"?',
    ),
    "no such kind": (APIM.replace("apinizer", "kong"), "the kinds are roma, apinizer"),
    "no url": ("  x: {kind: apinizer, auth: {token: {env: A}}}\n", "gateways.x: the key url is missing"),
    "no auth": ("  x: {kind: apinizer, url: 'https://a'}\n", "gateways.x: the key auth is missing"),
    "other kind's key": (f"{APIM}    api_version: v2\n", "belongs to gateways of kind roma, not apinizer"),
    "version": (f"{ROMA}    api_version: v3\n", 'api_version: "v3" is not v1 or v2'),
    "project": (ROMA.replace("0123456789abcdef0", "0 1"), "project_id: "),
    "concurrency": (
        f"{APIM}    limits: {{concurrency: 1001}}\n",
        "1001 is out of bounds; expected 1 to 1000",
    ),
    "no concurrency": (f"{APIM}    limits: {{concurrency: 0}}\n", "0 is out of bounds; expected 1 to 1000"),
    "attempts": (f"{APIM}    retry: {{attempts: 101}}\n", "101 is out of bounds; expected 1 to 100"),
    "a key of limits": (
        f"{APIM}    rate: 5/s\n",
        'gateways.apim: unknown key "rate"; it stands under limits',
    ),
    "a key of auth": (
        f"{APIM}    token: {{env: T}}\n",
        'gateways.apim: unknown key "token"; it stands under auth',
    ),
    "a first above the default": (
        f"{APIM}    retry: {{first: 2m}}\n",
        ":8:13 gateways.apim.retry.first: first is longer than ceiling, which is 30s if not given; give",
    ),
    "a ceiling below the default": (
        f"{APIM}    retry: {{attempts: 3, ceiling: 0.1s}}\n",
        ":8:26 gateways.apim.retry.ceiling: ceiling is shorter than first, which is 0.5s if not given",
    ),
    "backwards": (f"{APIM}    retry: {{first: 2m, ceiling: 1m}}\n", "ceiling: ceiling is shorter than first"),
    "no timeout": (f"{APIM}    timeout: 0s\n", '"0s" is not longer than nothing'),
    "endless timeout": (f"{APIM}    timeout: 25h\n", '"25h" is longer than 24h'),
    "bare number": (f"{APIM}    timeout: 30\n", 'timeout: "30" is no duration'),
    "no parking": (f"{APIM}    park_for: 0m\n", 'park_for: "0m" is not longer than nothing'),
    "endless parking": (f"{APIM}    park_for: 25h\n", 'park_for: "25h" is longer than 24h'),
    "look": (f"{APIM}    look: never\n", 'look: "never" is not always or doubt'),
    "absent": (f"{APIM}    absent: fine\n", 'absent: "fine" is not fail or ok'),
}


@pytest.mark.parametrize("name", GATEWAY)
def test_a_wrong_gateway_is_reported(tmp_path: Path, name: str) -> None:
    text, expected = GATEWAY[name]

    found = read_problems(tmp_path, f"{TOP}gateways:\n{text}targets: [{{gateway: roma, ld_api_id: a}}]\n")

    assert any(expected in problem for problem in found), found


def test_a_key_of_another_kind_is_named_among_no_keys(tmp_path: Path) -> None:
    other, unknown = read_problems(tmp_path, f"{HEAD}    api_version: v2\n    foo: x\n{ONE}")

    assert "api_version: belongs to gateways of kind roma, not apinizer" in other
    assert 'unknown key "foo"; the keys here are kind, url, auth' in unknown
    assert "api_version" not in unknown


@pytest.mark.parametrize("zone", ["a/b", "-a", "ü", "a b", "a" * 65])
def test_a_zone_that_cannot_name_a_task_queue_is_refused(tmp_path: Path, zone: str) -> None:
    found = read_one_problem(tmp_path, f"{HEAD}    zone: '{zone}'\n{ONE}")

    assert found.startswith(f"plan.yaml:{LINE}:11 gateways.apim.zone: ")
    assert "is not the name of a zone; write 1 to 64 of A to Z, a to z, 0 to 9, _, - and ." in found


RATES = {
    "20": '"20" is no rate; write a number with /s, /m or /h, such as 20/s',
    "20/d": '"20/d" is no rate',
    "20/ms": '"20/ms" is no rate',
    "-1/s": '"-1/s" is no rate',
    "20 /s": '"20 /s" is no rate',
    "1e3/s": '"1e3/s" is no rate',
    "0/s": '"0/s" would let nothing through; leave the key out for no fixed rate',
    "0.0/h": '"0.0/h" would let nothing through',
    "100001/s": '"100001/s" is more than 100000/s',
    "[20/s]": "found a list, expected a single value",
}


@pytest.mark.parametrize("rate", RATES)
def test_a_wrong_rate_is_reported(tmp_path: Path, rate: str) -> None:
    found = read_one_problem(tmp_path, f"{HEAD}    limits: {{rate: {rate}}}\n{ONE}")

    assert found.startswith(f"plan.yaml:{LINE}:20 gateways.apim.limits.rate: {RATES[rate]}")


STEERING = {
    "no pause": ("pause_after: 0s", 'waves[0].pause_after: "0s" is not longer than nothing'),
    "bare pause": ("pause_after: 5", 'waves[0].pause_after: "5" is no duration'),
    "proceed": ("proceed: asks", 'waves[0].proceed: "asks" is not ask or automatic; did you mean "ask"?'),
    "single size": (
        "sizes: 100%",
        "sizes: found a single value, expected a list of sizes; write it as [1, 10%",
    ),
    "no size": ("sizes: []", "sizes: the list of sizes is empty; end the list with 100%"),
    "no target": ("sizes: [0, 100%]", 'sizes[0]: "0" is neither a share above 0% up to 100% nor a count'),
    "no share": ("sizes: [0%, 100%]", 'sizes[0]: "0%" is neither a share above 0% up to 100% nor a count'),
    "too much": ("sizes: [101%]", 'sizes[0]: "101%" is neither a share above 0% up to 100% nor a count'),
    "negative": ("sizes: [-1, 100%]", 'sizes[0]: "-1" is neither'),
    "quoted count": ('sizes: ["1", 100%]', 'sizes[0]: "1" is neither'),
    "part of a target": ("sizes: [1.5, 100%]", 'sizes[0]: "1.5" is neither'),
    "list in a list": ("sizes: [[1], 100%]", "sizes[0]: found a list, expected a single value"),
    "no end": (
        "sizes: [1, 10%]",
        "sizes[1]: the last step leaves targets of the wave out; end the list with",
    ),
    "count at the end": ("sizes: [10]", "sizes[0]: the last step leaves targets of the wave out"),
    "shares that shrink": ("sizes: [20%, 10%, 100%]", "sizes[1]: a step goes no further than one before it"),
    "equal counts": ("sizes: [5, 10%, 5, 100%]", "sizes[2]: a step goes no further than one before it"),
    "past the end": ("sizes: [100%, 5]", "sizes[1]: nothing is left for a step after 100%"),
    "all twice": ("sizes: [100%, 100%]", "sizes[1]: nothing is left for a step after 100%"),
}


@pytest.mark.parametrize("name", STEERING)
def test_a_wrong_step_or_pause_of_a_wave_is_reported(tmp_path: Path, name: str) -> None:
    key, expected = STEERING[name]

    found = read_one_problem(
        tmp_path, f"{HEAD}waves:\n  - name: a\n    {key}\n    targets: [{{gateway: roma, ld_api_id: a}}]\n"
    )

    assert found.startswith(f"plan.yaml:{LINE + 2}:")
    assert expected in found


def test_every_wrong_size_is_reported(tmp_path: Path) -> None:
    wave = "waves: [{name: a, sizes: [5, 4, 3, 10%, 5%], targets: [{gateway: roma, ld_api_id: a}]}]\n"

    assert [problem.split(" ")[1] for problem in read_problems(tmp_path, HEAD + wave)] == [
        "waves[0].sizes[1]:",
        "waves[0].sizes[2]:",
        "waves[0].sizes[4]:",
    ]


@pytest.mark.parametrize("key", ["pause_after: 5m", "proceed: ask", "sizes: [100%]"])
def test_the_short_form_has_no_keys_of_a_wave(tmp_path: Path, key: str) -> None:
    name = key.partition(":")[0]

    assert f'unknown key "{name}"' in read_one_problem(tmp_path, f"{HEAD}{ONE}{key}\n")


URLS = {
    "ftp://a.example": "does not begin with http:// or https://",
    "a.example": "does not begin with http:// or https://",
    "https://": "has no host",
    "https://a.example?x=1": "has a query or a fragment",
    "https://a.example/#x": "has a query or a fragment",
    "https://a.example:99999": "its host or its port cannot be read",
    "https://a.example:0": "has no host, or no port",
    "https://a.example:": "has no host, or no port",
    "https://[::1": "its host or its port cannot be read",
    "https://a b.example": "holds a character that no address has",
    "https://ğ.example": "holds a character that no address has",
    "https://a\\b.example": "holds a character that no address has",
}


@pytest.mark.parametrize("url", URLS)
def test_a_wrong_base_address_is_refused(tmp_path: Path, url: str) -> None:
    gateway = ROMA.replace("https://roma.example.com", f"'{url}'")

    found = read_one_problem(tmp_path, f"{TOP}gateways:\n{gateway}{ONE}")

    assert URLS[url] in found


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:8080", "https://[2001:db8::1]:8443/base", "https://a.example/b/"]
)
def test_an_address_may_have_a_port_a_path_and_be_a_number(tmp_path: Path, url: str) -> None:
    loaded, _ = load_plan(tmp_path, f"{TOP}gateways:\n{ROMA.replace('https://roma.example.com', url)}{ONE}")

    assert loaded.plan.gateways[0].url == url


@pytest.mark.parametrize("text", ["gateways: [a]\n", "gateways: a\n"])
def test_gateways_are_a_mapping_by_name(tmp_path: Path, text: str) -> None:
    found = read_problems(tmp_path, TOP + text + ONE)

    assert "expected a mapping from each gateway's name to its keys" in found[0]


def test_a_file_that_changes_between_two_readings_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "plan.yaml"
    path.write_text(TOP + ONE + GATEWAYS)

    def edited(file: Path) -> BinaryIO:
        stream = open_regular(file)
        with path.open("a") as out:
            out.write("# one more line\n")
        return stream

    monkeypatch.setattr("orchestrator.plan.reader.open_regular", edited)

    with pytest.raises(PlanError, match="the file was changed while it was read; try again"):
        read_plan(path, TargetList())
