"""A key that stands twice in one object of a JSON document is found."""

from __future__ import annotations

import pytest

from orchestrator.text.json_keys import find_repeated_key


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ('{"a": 1, "b": {"a": 2}, "c": [{"a": 3}, {"a": 4}]}', None),
        ('{"a": 1, "a": 1}', "a"),
        ('{"b": [{"c": 1, "d": 2, "\\u0063": 1}]}', "c"),
        ('{"a": ' + "9" * 5000 + ', "b": 1e999}', None),
        ('"a: a"', None),
    ],
)
def test_a_repeated_key_is_found_at_any_depth(text: str, key: str | None) -> None:
    assert find_repeated_key(text.encode()) == key
