from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.errors import UnfitError
from orchestrator.model.target_id import split_id, target_id

PARTS = st.lists(st.text(st.sampled_from("a/%2F5 ğ"), min_size=1), min_size=1, max_size=3)


@given(PARTS)
def test_an_id_leads_back_to_its_parts(parts: list[str]) -> None:
    assert split_id(target_id("g", parts)) == ("g", tuple(parts))


@given(PARTS, PARTS)
def test_other_parts_have_another_id(first: list[str], other: list[str]) -> None:
    assert (target_id("g", first) == target_id("g", other)) == (first == other)


def test_an_id_that_nobody_would_write_is_refused() -> None:
    with pytest.raises(UnfitError, match="neither %25 nor %2F"):
        split_id("g/%41")
