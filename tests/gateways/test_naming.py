"""Whether a field of a reply names something else than the target."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest

from orchestrator.gateways.naming import names_another
from tests.support.names import CHINESE, TURKISH


@pytest.mark.parametrize(
    ("told", "ours", "another"),
    [
        (None, "orders", False),
        ("", "orders", False),
        (' "ORDERS" ', "orders", False),
        ("ord...", "orders", False),
        (quote(TURKISH), TURKISH, False),
        (quote(CHINESE, safe=""), CHINESE, False),
        ("".join(f"&#{ord(letter)};" for letter in CHINESE), CHINESE, False),
        ("?" * len(CHINESE), CHINESE, False),
        ("baskets", "orders", True),
        (7, "orders", True),
    ],
)
def test_a_text_that_may_be_our_name_in_another_spelling_is_no_other_name(
    told: Any, ours: str, another: bool
) -> None:
    assert names_another(told, ours) is another


@pytest.mark.parametrize("letter", ["?", "%41", "&amp;", "\N{COMBINING ACUTE ACCENT}", "."])
def test_no_name_is_so_much_longer_than_ours(letter: str) -> None:
    """To compare such texts letter by letter would hold up the other gateways."""
    assert names_another(letter * 100_000, "orders")
