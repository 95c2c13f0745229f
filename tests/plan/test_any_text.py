"""The reader turns any bytes into a plan or into problems, and raises nothing else."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.errors import PlanError, Problem
from orchestrator.model.target import Target
from tests.support.examples import count_examples
from tests.support.plans import APIM, HEAD, ONE, ROMA, TOP, load_plan

TOKENS = st.sampled_from(
    [
        *(
            "version",
            "name",
            "gateways",
            "targets",
            "waves",
            "gateway",
            "ld_api_id",
            "ld_api_ids",
            "roma",
            "apim",
        ),
        *(
            "project",
            "proxy",
            "environments",
            "from_file",
            "auth",
            "token",
            "env",
            "retry",
            "window",
            "persistent",
            "after",
            "roma/a",
        ),
        *(
            ": ",
            "- ",
            "\n",
            "\n  ",
            "\n    ",
            "{",
            "}",
            "[",
            "]",
            ", ",
            "&a ",
            "*a",
            "<<",
            "? ",
            "!!x ",
            "| ",
            "> ",
        ),
        *(
            "'",
            '"',
            "#",
            "---\n",
            "...\n",
            "%",
            "@",
            "`",
            "\t",
            "\x00",
            "\ufeff",
            "1",
            "a.csv",
            "true",
            ".",
            "😀",
        ),
    ]
)


def read_or_refuse(
    text: str | bytes, *, instead: list[str] | None = None, beside: tuple[str, bytes] | None = None
) -> list[Target] | list[Problem]:
    """Return the targets or the problems of a plan; ``beside`` is the name of a file and what it holds."""
    with TemporaryDirectory() as folder:
        if beside is not None:
            (Path(folder) / beside[0]).write_bytes(beside[1])
        try:
            _, sink = load_plan(Path(folder), text, instead=instead)
        except PlanError as error:
            told = list(error.problems)
        else:
            return sink.targets
    assert told
    assert all(problem.message for problem in told)
    return told


@given(st.binary(max_size=200))
def test_any_bytes(data: bytes) -> None:
    read_or_refuse(data)


@given(st.lists(TOKENS, max_size=40).map("".join))
@settings(max_examples=count_examples(3))
def test_any_words_of_the_format(text: str) -> None:
    read_or_refuse(text.encode("utf-8", "surrogatepass"))


@given(st.lists(TOKENS, max_size=25).map("".join))
@settings(max_examples=count_examples(3))
def test_any_entry(text: str) -> None:
    read_or_refuse(f"{HEAD}targets:\n  - {text}\n")


@given(st.lists(TOKENS, max_size=25).map("".join))
def test_any_gateway(text: str) -> None:
    read_or_refuse(f"{TOP}gateways:\n{ROMA}{APIM}    {text}\n{ONE}")


@given(st.lists(st.text(max_size=30), max_size=4))
def test_any_ids(ids: list[str]) -> None:
    read_or_refuse(HEAD + ONE, instead=ids)


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl"])
@given(st.binary(max_size=100) | st.lists(TOKENS, max_size=25).map(lambda words: "".join(words).encode()))
def test_any_included_file(name: str, data: bytes) -> None:
    content = b"ld_api_id\n" * name.endswith("csv") + data

    read_or_refuse(f"{HEAD}targets: [{{gateway: roma, from_file: {name}}}]\n", beside=(name, content))


KEYS = [
    "gateway",
    "project",
    "proxy",
    "environment",
    "description",
    "persistent",
    "ld_api_id",
    "after",
    "<<",
    "x",
]
VALUES = [
    "[roma/a]",
    "[apim/a/a/a, roma/b]",
    "roma/a",
    "apim",
    "roma",
    "a",
    "a b",
    "",
    "..",
    '"\\u0007"',
    "true",
    '"true"',
    "'x'",
    "~",
]


@given(st.lists(st.tuples(st.sampled_from(KEYS), st.sampled_from(VALUES)), max_size=6))
@settings(max_examples=count_examples(4))
def test_the_short_way_through_the_reader_and_the_long_one_agree(pairs: list[tuple[str, str]]) -> None:
    """An anchor that nobody uses sends an entry the long way; it must not change what the entry means."""
    entry = "{" + ", ".join(f"{key}: {value}" for key, value in pairs) + "}"

    assert _outcome(entry) == _outcome(f"&unused {entry}")


def _outcome(entry: str) -> object:
    found = read_or_refuse(f"{HEAD}targets:\n  - {entry}\n")
    return [
        (one.path, one.message.partition("; first at ")[0]) if isinstance(one, Problem) else one
        for one in found
    ]
