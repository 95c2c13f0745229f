"""A template is written and read back as it was, whatever its texts."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.errors import PlanError, UsageError
from orchestrator.plan.reader import read_plan
from orchestrator.plan.target_sink import TargetList
from orchestrator.plan.template import format_block, has_relative_paths, move_paths, read_template
from orchestrator.plan.yaml_text import format_comment, format_flow
from orchestrator.plan.yaml_text import format_text as as_text

ODD = [
    "no", "Yes", "null", "~", "1e10", "0123", "12", "0x1f", "1_000", "12:30:00", "2026-01-01", "- a", "-",
    "--- ", "a: b", "a:", ": a", "a #b", "#a", "'", '"', "\\", "a, b", "[a]", "{a: b}", "&a", "*a", "!a", "|",
    ">", "%a", "@a", "`a`", " a ", "Sipariş Yönetimi", "\u00a0a", "日本", "\U0001f600", "a/b%c", "..a", "?",
    "? a", "<<", "=", ".",
]  # fmt: skip
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)


@pytest.mark.parametrize("text", ODD)
def test_an_odd_name_is_a_text_for_every_reader(text: str) -> None:
    assert yaml.safe_load(format_flow({"key": text})) == {"key": text}


@settings(deadline=None)
@given(TEXTS, TEXTS)
def test_any_text_is_read_again_as_it_was(key: str, text: str) -> None:
    assert yaml.safe_load(
        f"- {format_flow({key: text, 'z': text})}  # {format_comment(text)}\n- {as_text(key)}"
    ) == [
        {key: text, "z": text},
        key,
    ]


@settings(deadline=None)
@given(st.text(max_size=20))
def test_a_remark_is_one_line_of_yaml(text: str) -> None:
    assert yaml.safe_load(f"a: b  # {format_comment(text)}\nc: d") == {"a": "b", "c": "d"}


HEAD = """\
# A comment that need not survive.
version: 1
name: "no"
reason: 'CHG-1 "quoted" # not a comment: here'
window: {opens: 2026-11-22T22:00:00+03:00, closes: 2026-11-23T02:00:00+03:00}
at_most: 500
stop_when: {failed: 20%, unknown: 5}
protect: ["1apim/Payments/*/production", third/Retail/**]
gateways:
  roma-eu:
    kind: roma
    url: https://roma.example.com
    project_id: 01234567890123456789012345678901
    instance_id: 1e10
    api_version: v2
    auth: {iam: {url: https://iam.example.com, user: "on", domain: d, password: {file: secrets/iam}}}
    limits: {concurrency: 3, rate: 20/s}
    retry: {attempts: 2, first: 0.5s}
    absent: ok
  "1apim":
    kind: apinizer
    url: https://apim.example.com
    auth: &way
      token: {command: [pass, show, "a b"]}
    tls: {ca_file: ca.pem, insecure: true}
    proxy: http://proxy.example.com:3128
  third:
    kind: apinizer
    url: https://other.example.com
    auth: *way
"""
TARGETS = "targets:\n  - {gateway: third, project: P, proxy: p, environment: e}\n"


def write_plan(path: Path, folder: Path) -> Path:
    copy = folder / "copy.yaml"
    copy.write_text("\n".join([*format_block(move_paths(read_template(path), folder)), TARGETS]), "utf-8")
    return copy


def test_a_header_is_copied_with_every_value_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "plan.yaml"
    path.write_text(HEAD + TARGETS, "utf-8")

    assert read_plan(write_plan(path, tmp_path), TargetList()).plan == read_plan(path, TargetList()).plan


def test_the_run_that_a_template_is_a_remainder_of_is_not_copied(tmp_path: Path) -> None:
    path = tmp_path / "plan.yaml"
    path.write_text(f"{HEAD}parent: 20261122-190003412-retirement-7f3a\n{TARGETS}", "utf-8")

    assert read_plan(path, TargetList()).plan.parent is not None
    assert read_plan(write_plan(path, tmp_path), TargetList()).plan.parent is None


def test_a_copied_list_without_end_has_lines_that_can_be_read(tmp_path: Path) -> None:
    path = tmp_path / "plan.yaml"
    patterns = [f"third/Project {number:060}/**" for number in range(20_000)]
    command = [f"argument {number}" for number in range(50)]
    text = HEAD.replace("[pass, show", f"[pass, {', '.join(command)}, show")
    listed = "\n".join(f"  - {pattern}" for pattern in patterns)
    path.write_text(re.sub("protect: .*", lambda _: f"protect:\n{listed}", text) + TARGETS, "utf-8")

    plan = read_plan(write_plan(path, tmp_path), TargetList()).plan

    assert plan.protect == tuple(patterns)
    assert plan == read_plan(path, TargetList()).plan


def test_paths_lead_to_the_same_files_from_another_folder(tmp_path: Path) -> None:
    (tmp_path / "deep" / "there").mkdir(parents=True)
    path = tmp_path / "plan.yaml"
    path.write_text(HEAD + TARGETS, "utf-8")
    plan = read_plan(write_plan(path, tmp_path / "deep" / "there"), TargetList()).plan
    roma, apim, _ = plan.gateways

    assert apim.tls.ca_file == "../../ca.pem"
    assert roma.auth.iam is not None
    assert roma.auth.iam.password.file == "../../secrets/iam"
    assert plan.gateways[2].auth.token is not None
    assert plan.gateways[2].auth.token.command == ("pass", "show", "a b")


def test_a_path_that_needs_no_folder_stays(tmp_path: Path) -> None:
    path = tmp_path / "plan.yaml"
    path.write_text(HEAD.replace("ca.pem", "/etc/ca.pem").replace("secrets/iam", "~/iam"), "utf-8")
    template = read_template(path)

    assert not has_relative_paths(template)
    assert "\n".join(format_block(move_paths(template, tmp_path / "else"))) == "\n".join(
        format_block(template.entries)
    )


@pytest.mark.parametrize("argument", ["./token.sh", "bin/token", "token.key"])
def test_a_command_that_depends_on_the_folder_is_not_moved(tmp_path: Path, argument: str) -> None:
    (tmp_path / "token.key").touch()
    path = tmp_path / "plan.yaml"
    path.write_text(HEAD.replace("[pass, show,", f"[{argument}, show,"), "utf-8")
    template = read_template(path)

    assert move_paths(template, tmp_path) is template.entries
    with pytest.raises(UsageError, match="the command runs in the plan's folder"):
        move_paths(template, tmp_path / "else")


def test_a_template_needs_no_targets_and_ignores_those_of_a_plan(tmp_path: Path) -> None:
    path = tmp_path / "plan.yaml"
    for targets in ("", TARGETS, "targets: [{gateway: third, from_file: to-come.csv}]\n"):
        path.write_text(HEAD + targets, "utf-8")

        assert [gateway.name for gateway in read_template(path).gateways] == ["roma-eu", "1apim", "third"]


def test_a_template_reports_every_problem_of_the_rest(tmp_path: Path) -> None:
    path = tmp_path / "plan.yaml"
    path.write_text("version: 1\nnonsense: 1\ngateways: {a: {kind: roma}}\n")

    with pytest.raises(PlanError) as caught:
        read_template(path)
    assert len(caught.value.problems) >= 4


def test_a_plan_without_gateways_is_no_template(tmp_path: Path) -> None:
    path = tmp_path / "plan.yaml"
    path.write_text("version: 1\nname: x\n")

    with pytest.raises(PlanError, match="the key gateways is missing"):
        read_template(path)
