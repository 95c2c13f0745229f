"""An id and its parts lead back to one another."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.errors import UnfitError
from orchestrator.gateways.text import encode_segment
from orchestrator.model.target_id import decode_parts, join_id, split_id

PARTS = st.lists(st.text(st.sampled_from("a/%2F5 ğ"), min_size=1), min_size=1, max_size=3)


@given(PARTS)
def test_an_id_leads_back_to_its_parts(parts: list[str]) -> None:
    assert split_id(join_id("g", parts)) == ("g", tuple(parts))
    assert decode_parts(join_id("g", parts)) == tuple(parts)


@given(PARTS, PARTS)
def test_other_parts_have_another_id(first: list[str], other: list[str]) -> None:
    assert (join_id("g", first) == join_id("g", other)) == (first == other)


@pytest.mark.parametrize(
    "parts",
    [
        ("Retail", "petstore-api", "test"),
        ("50%", "a/b", "%2F"),
        ("%25", "%252F", "%%//"),
        ("ü ", "\u2028", "%2f"),
    ],
)
def test_a_part_with_signs_of_its_own_comes_back_whole(parts: tuple[str, ...]) -> None:
    written = "/".join(("apim", *(part.replace("%", "%25").replace("/", "%2F") for part in parts)))
    assert decode_parts(written) == parts


def test_the_parts_of_an_id_are_not_those_of_a_url() -> None:
    assert encode_segment("a b") != "a b"  # a URL's encoding is another one
    assert decode_parts("apim/a b/c+d/ü") == ("a b", "c+d", "ü")


def test_a_text_that_is_no_id_is_refused() -> None:
    with pytest.raises(UnfitError, match="neither %25 nor %2F"):
        split_id("g/%41")
