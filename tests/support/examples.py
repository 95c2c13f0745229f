"""How many examples a test of made-up values tries."""

from __future__ import annotations

from hypothesis import settings


def count_examples(times: float) -> int:
    """Return ``times`` as many examples as other tests try in this run: the quick tests try fewer."""
    return round(times * settings.default.max_examples)
