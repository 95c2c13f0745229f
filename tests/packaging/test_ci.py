"""CI installs each program without which a test is skipped, so that it can fail if one is."""

from __future__ import annotations

import re

import pytest

from docs.locks import ROOT

pytestmark = pytest.mark.source

BESIDES = {"bash", "hadolint", "make", "node", "temporal"}
"""The shell and the program that run CI; what pip and the lock bring; what comes with npm."""
WHICH = re.compile(r"shutil\.which\(\s*\"([\w-]+)\"")
REASON = re.compile(r"(?:skipif\([^\"\n]*(?:\"[^\"]*\"[^\"\n]*)?reason=|pytest\.skip\()f?\"([^\"]+)\"")
PROGRAM = re.compile(r"not installed|there is no|needs make|has no simulator")


def read_ci() -> str:
    return (ROOT / ".ci" / "run").read_text(encoding="utf-8")


def find_in_tests(sought: re.Pattern[str]) -> set[str]:
    texts = [path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("*.py")]
    return {found for text in texts for found in sought.findall(text)}


def test_each_program_without_which_a_test_is_skipped_is_installed() -> None:
    asked = find_in_tests(WHICH)

    assert {"groff", "systemd-analyze"} <= asked
    assert asked - BESIDES <= set(re.findall(r"command -v ([\w-]+)", read_ci()))


def test_each_other_reason_for_a_skipped_test_is_allowed_by_name() -> None:
    (allowed,) = re.findall(r"^not_given='(.*)'$", read_ci(), re.MULTILINE)
    reasons = find_in_tests(REASON)
    others = {reason for reason in reasons if not PROGRAM.search(reason)}

    assert len(others) == len(allowed.split("|"))
    assert [reason for reason in others if not re.search(allowed, reason)] == []
    assert [reason for reason in reasons - others if re.search(allowed, reason)] == []
