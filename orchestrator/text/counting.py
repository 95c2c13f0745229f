"""Counts with the words that go with them: ``1 target is``, ``2,000 targets are``."""

from __future__ import annotations

from collections.abc import Sequence


def count_noun(count: int, noun: str, plural: str = "") -> str:
    """Return ``1 target``, ``2,000 targets``; the ``plural`` is the regular one if it is not given."""
    return f"{count:,} {choose_form(count, noun, plural or make_plural(noun))}"


def make_plural(noun: str) -> str:
    """Return the regular plural of a noun: ``targets``, ``policies``, ``keys``."""
    if noun.endswith("y") and noun[-2:-1] not in set("aeiou"):
        return f"{noun[:-1]}ies"
    return f"{noun}s"


def choose_form(count: int, one: str, many: str) -> str:
    """Return the form of a word that goes with ``count``: ``choose_form(2, "is", "are")`` is ``are``."""
    return one if count == 1 else many


def name_first(names: Sequence[str], most: int, total: int | None = None) -> str:
    """Return the first ``most`` names, and how many more there are: ``a, b and 3 more``.

    ``total`` is their number if ``names`` has the first of them only.
    """
    more = (len(names) if total is None else total) - most
    return ", ".join(names[:most]) + (f" and {more:,} more" if more > 0 else "")


def join_words(words: Sequence[str]) -> str:
    """Return words as one enumeration: ``a``, ``a and b``, ``a, b and c``."""
    return " and ".join(filter(None, (", ".join(words[:-1]), *words[-1:])))
