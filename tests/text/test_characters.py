"""Characters that people cannot see, or that mislead them."""

from __future__ import annotations

from orchestrator.text.characters import make_visible


def test_misleading_characters_are_made_visible() -> None:
    assert make_visible("a\u202eb\x00\x1b\n\u200b\ufeff") == "a\\u202eb\\u0000\\u001b\\u000a\\u200b\\ufeff"
    assert make_visible("müşteri 顧客 \U0001f600") == "müşteri 顧客 \U0001f600"
