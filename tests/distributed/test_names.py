"""The ids by which the parts of a distributed run find one another."""

from __future__ import annotations

import pytest

from orchestrator.distributed.names import name_chunk_activity, read_chunk_activity


def test_the_id_of_an_activity_tells_its_dispatch() -> None:
    assert read_chunk_activity(name_chunk_activity(17)) == 17
    with pytest.raises(ValueError, match="invalid literal"):
        read_chunk_activity("look-1")
