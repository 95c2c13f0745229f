r"""Characters that JSON writes as pairs, ``\ud83d\ude00``, in a plan."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.plan.surrogates import SurrogateJoiner
from tests.support.plans import HEAD, list_ids, load_plan


def join_pieces(data: bytes, size: int) -> bytes:
    pairs = SurrogateJoiner()
    pieces = [pairs.feed(data[at : at + size]) for at in range(0, len(data), size)]
    return b"".join([*pieces, pairs.finish()])


@given(
    st.lists(st.text("ab\\\"\n'😀\U0010ffff: ", max_size=8), max_size=8),
    st.integers(1, 40),
    st.sampled_from([None, 1]),
)
def test_any_text_of_json_is_read_wherever_a_block_ends(
    texts: list[str], size: int, indent: int | None
) -> None:
    said = json.dumps(texts, indent=indent)

    assert yaml.load(join_pieces(said.encode(), size), Loader=yaml.CSafeLoader) == json.loads(said)


@pytest.mark.parametrize(
    "text",
    [
        r"a: \ud83d\ude00",
        r"a: '\ud83d\ude00'",
        r'a: "\\ud83d\\ude00"',
        r'a: "\\\\ud83d\\ude00"',
        r'a: "\ude00\ud83d"',
        r'a: "x" # \ud83d\ude00',
        r'a: "\u0041"',
    ],
)
@pytest.mark.parametrize("size", [1, 3, 1000])
def test_bytes_that_are_no_pair_in_quotes_stay_as_they_are(text: str, size: int) -> None:
    assert join_pieces(text.encode(), size) == text.encode()


def test_a_plan_that_a_program_wrote_as_json_is_read(tmp_path: Path) -> None:
    gateways = yaml.safe_load(HEAD)
    target = {"gateway": "apim", "project": "P", "proxy": "😀-ö", "environment": "e"}
    text = json.dumps({**gateways, "targets": [target]})
    assert "\\ud83d\\ude00" in text

    assert [str(one.id) for one in load_plan(tmp_path, text)[1].targets] == ["apim/P/😀-ö/e"]


def test_a_single_text_that_a_program_wrote_as_json_is_read(tmp_path: Path) -> None:
    entry = '{gateway: apim, project: P, proxy: "\\ud83d\\ude00", environment: e}'

    assert list_ids(tmp_path, entry) == ["apim/P/😀/e"]
